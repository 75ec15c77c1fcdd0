//! Writing records: what goes in comes out, and nothing that was said later is lost.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use store::{
    ResourceName, Store, StoreError,
    changes::ChangeCursor,
    jobs::JobSpec,
    records::{Incoming, Lease, PageWrite},
    testing::TestDatabase,
};
use xxhash_rust::xxh3::xxh3_128;

fn thing() -> ResourceName {
    "test.thing".parse().unwrap()
}

async fn database() -> (TestDatabase, Store) {
    let database = TestDatabase::fresh().await;
    let store = database.store();
    store.ensure_resource(&thing()).await.unwrap();
    (database, store)
}

fn record(id: &str, body: &str, asked_at: Timestamp) -> Incoming {
    Incoming {
        id: id.to_owned(),
        body: Bytes::copy_from_slice(body.as_bytes()),
        hash: xxh3_128(body.as_bytes()).to_be_bytes(),
        asked_at,
        upstream_at: None,
        wants: Vec::new(),
    }
}

fn page<'a>(resource: &'a ResourceName, records: Vec<Incoming>) -> PageWrite<'a> {
    PageWrite {
        resource,
        instance: "uk",
        run: None,
        records,
        children: &[],
        fetches: Vec::new(),
        progress: None,
        likely_new: false,
    }
}

async fn body_of(store: &Store, id: &str) -> String {
    store
        .find_record(&thing(), "uk", id, &thing())
        .await
        .unwrap()
        .unwrap()
        .body
        .get()
        .to_owned()
}

fn seed() -> u64 {
    let seed = std::env::var("MILLPOND_SEED")
        .ok()
        .map_or_else(rand::random, |text| text.parse().unwrap());
    println!("MILLPOND_SEED={seed}");
    seed
}

/// JSON of every kind, as text, because that is what upstream sends.
fn random_json(random: &mut StdRng, depth: u32) -> String {
    match random.random_range(0..if depth > 4 { 6 } else { 8 }) {
        0 => "null".to_owned(),
        1 => random.random_bool(0.5).to_string(),
        2 => random.random::<i64>().to_string(),
        // Decimals longer than any float holds.
        3 => {
            let digits = |random: &mut StdRng, n| {
                (0..n)
                    .map(|_| char::from(random.random_range(b'0'..=b'9')))
                    .collect::<String>()
            };
            let (whole, fraction) = (random.random_range(0..30), random.random_range(1..40));
            let sign = if random.random_bool(0.5) { "-" } else { "" };
            format!(
                "{sign}1{}.{}",
                digits(random, whole),
                digits(random, fraction)
            )
        }
        4 => format!(
            "{}e{}",
            random.random_range(1..100),
            random.random_range(-30..30)
        ),
        5 => {
            let text: String = (0..random.random_range(0..20))
                .map(|_| {
                    loop {
                        if let Some(c) =
                            char::from_u32(random.random_range(1..0x11_0000)).filter(|c| *c != '\0')
                        {
                            break c;
                        }
                    }
                })
                .collect();
            Value::String(text).to_string()
        }
        6 => {
            let parts: Vec<String> = (0..random.random_range(0..5))
                .map(|_| random_json(random, depth + 1))
                .collect();
            format!("[{}]", parts.join(" ,"))
        }
        _ => {
            let parts: Vec<String> = (0..random.random_range(0..5))
                .map(|n| {
                    format!(
                        "\"k{n}{}\": {}",
                        random.random_range(0..9),
                        random_json(random, depth + 1)
                    )
                })
                .collect();
            format!("{{{}}}", parts.join(","))
        }
    }
}

/// The same JSON with every number as a text that tells its exact value, however it was written: no float is exact.
fn exact(text: &str) -> Value {
    let mut quoted = String::with_capacity(text.len());
    let (mut in_text, mut escaped, mut number) = (false, false, String::new());
    for c in text.chars() {
        if !in_text
            && (c.is_ascii_digit() || "+-.eE".contains(c))
            && !(c == 'e' && number.is_empty())
        {
            number.push(c);
            continue;
        }
        if !number.is_empty() {
            quoted.push_str(&format!("\"{}\"", plain(&std::mem::take(&mut number))));
        }
        in_text ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        quoted.push(c);
    }
    serde_json::from_str(&quoted).unwrap()
}

/// A decimal without exponent, leading or trailing zeros.
fn plain(number: &str) -> String {
    let (sign, number) = number
        .strip_prefix('-')
        .map_or(("", number), |rest| ("-", rest));
    let (digits, exponent) = number
        .split_once(['e', 'E'])
        .map_or((number, 0), |(d, e)| (d, e.parse::<i32>().unwrap()));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let point = whole.len() as i32 + exponent;
    let all = format!("{whole}{fraction}");
    let significant = all.trim_start_matches('0');
    let point = point - (all.len() - significant.len()) as i32;
    let significant = significant.trim_end_matches('0');
    if significant.is_empty() {
        return "0".to_owned();
    }
    format!("{sign}0.{significant}e{point}")
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_bodies_come_back_as_they_were_sent_to_the_last_digit() {
    let mut random = StdRng::seed_from_u64(seed());
    let (_database, store) = database().await;
    let resource = thing();
    let now = Timestamp::now();
    let mut sent = BTreeMap::new();
    for n in 0..10_000 {
        sent.insert(
            format!("r{n:05}"),
            format!("{{\"v\":{}}}", random_json(&mut random, 0)),
        );
    }
    let all: Vec<_> = sent.iter().collect();
    // By COPY and by statement: pages with one known record do not take the short way.
    for (nth, chunk) in all.chunks(500).enumerate() {
        let mut records: Vec<_> = chunk
            .iter()
            .map(|(id, body)| record(id, body, now))
            .collect();
        if nth % 2 == 1 {
            let first = record(
                chunk[0].0,
                "{\"v\":\"before\"}",
                now - SignedDuration::from_secs(5),
            );
            store
                .write_page(page(&resource, vec![first]))
                .await
                .unwrap();
            records.rotate_left(7);
        }
        let outcome = store.write_page(page(&resource, records)).await.unwrap();
        assert!(outcome.refused.is_empty(), "{:?}", outcome.refused);
        assert_eq!(outcome.changed(), chunk.len() as u64);
    }
    let rows: Vec<(String, String)> = sqlx::query_as("SELECT id, body::text FROM test.thing")
        .fetch_all(store.pool())
        .await
        .unwrap();
    assert_eq!(rows.len(), sent.len());
    for (id, body) in rows {
        assert_eq!(exact(&body), exact(&sent[&id]), "{id}");
    }
    // And through the door that readers use.
    for id in ["r00001", "r00777", "r09999"] {
        assert_eq!(exact(&body_of(&store, id).await), exact(&sent[id]));
    }
}

#[tokio::test]
async fn a_late_answer_never_overwrites_a_newer_one() {
    let (_database, store) = database().await;
    let resource = thing();
    let at = |secs| {
        "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(secs)
    };
    let write = async |body: &str, asked| {
        store
            .write_page(page(&resource, vec![record("a", body, asked)]))
            .await
            .unwrap()
    };
    write("{\"n\":1}", at(10)).await;
    write("{\"n\":3}", at(30)).await;
    let late = write("{\"n\":2}", at(20)).await;
    assert_eq!((late.changed(), late.unchanged), (0, 1));
    assert_eq!(body_of(&store, "a").await, "{\"n\": 3}");
    // Nor does a late answer bring back what was found gone, or a late absence remove what is there.
    assert_eq!(
        store
            .tombstone(&resource, "uk", &["a".to_owned()], at(25), None, &[])
            .await
            .unwrap(),
        0
    );
    assert_eq!(
        store
            .tombstone(&resource, "uk", &["a".to_owned()], at(40), None, &[])
            .await
            .unwrap(),
        1
    );
    assert_eq!(write("{\"n\":9}", at(35)).await.changed(), 0);
    assert_eq!(write("{\"n\":9}", at(45)).await.changed(), 1);
}

#[tokio::test]
async fn bad_records_are_refused_one_by_one_and_the_rest_of_the_page_goes_in() {
    let (_database, store) = database().await;
    let resource = thing();
    let now = Timestamp::now();
    for with_known in [false, true] {
        let prefix = if with_known { "k" } else { "n" };
        if with_known {
            store
                .write_page(page(
                    &resource,
                    vec![record("k05", "{}", now - SignedDuration::from_secs(1))],
                ))
                .await
                .unwrap();
        }
        let mut records: Vec<_> = (0..60)
            .map(|n| record(&format!("{prefix}{n:02}"), "{\"fine\":true}", now))
            .collect();
        let long = "x".repeat(1001);
        let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        let bad = [
            ("nul", "{\"v\":\"\\u0000\"}"),
            ("half", "{\"v\":\"\\udc00\"}"),
            ("huge", "{\"v\":1e400000}"),
            ("deep", deep.as_str()),
            ("not json", "{\"v\":"),
            ("", "{}"),
            ("nul\0id", "{}"),
            (long.as_str(), "{}"),
        ];
        for (nth, (id, body)) in bad.iter().enumerate() {
            records.insert(nth * 7, record(id, body, now));
        }
        let outcome = store.write_page(page(&resource, records)).await.unwrap();
        assert_eq!(outcome.changed(), 60);
        let mut refused: Vec<&str> = outcome.refused.iter().map(|r| r.id.as_str()).collect();
        let mut expected: Vec<&str> = bad.iter().map(|(id, _)| *id).collect();
        refused.sort_unstable();
        expected.sort_unstable();
        assert_eq!(refused, expected);
        assert!(outcome.refused.iter().all(|r| !r.reason.is_empty()));
    }
    let kept = store.quarantined(100).await.unwrap();
    assert_eq!(
        kept.len(),
        8,
        "seen again, they are counted and not piled up"
    );
    assert!(kept.iter().all(|q| q.seen == 2), "{kept:#?}");
}

#[tokio::test]
async fn a_body_of_thirty_megabytes_goes_in() {
    let (_database, store) = database().await;
    let resource = thing();
    let body = format!("{{\"v\":\"{}\"}}", "y".repeat(30 << 20));
    let outcome = store
        .write_page(page(
            &resource,
            vec![record("big", &body, Timestamp::now())],
        ))
        .await
        .unwrap();
    assert_eq!(outcome.inserted, ["big"]);
    assert_eq!(body_of(&store, "big").await.len(), body.len() + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_on_the_same_records_lose_no_version_and_readers_of_the_feed_no_change() {
    let seed = seed();
    let (database, store) = database().await;
    let start = Timestamp::now();
    let mut writers = Vec::new();
    for writer in 0..4_u64 {
        let store = store.clone();
        writers.push(tokio::spawn(async move {
            let resource = thing();
            let mut random = StdRng::seed_from_u64(seed ^ writer);
            for step in 0..25_u64 {
                // Everybody begins with the same unknown records, later all change them.
                let ids: BTreeSet<u32> = (0..random.random_range(1..60))
                    .map(|_| random.random_range(0..80))
                    .collect();
                let asked =
                    start + SignedDuration::from_micros(i64::try_from(step * 10 + writer).unwrap());
                let records = ids
                    .iter()
                    .map(|id| {
                        record(
                            &format!("r{id:02}"),
                            &format!("{{\"writer\":{writer},\"step\":{step}}}"),
                            asked,
                        )
                    })
                    .collect();
                let mut page = page(&resource, records);
                page.likely_new = random.random_bool(0.3);
                store.write_page(page).await.unwrap();
                if random.random_bool(0.1) {
                    let gone = format!("r{:02}", random.random_range(0..80));
                    store
                        .tombstone(&resource, "uk", &[gone], asked, None, &[])
                        .await
                        .unwrap();
                }
            }
        }));
    }
    // A reader follows the feed all the while, and another keeps a transaction open now and then.
    let mut seen = Vec::new();
    let mut cursor = ChangeCursor::default();
    let mut others = 0;
    while !writers.iter().all(tokio::task::JoinHandle::is_finished) {
        if others % 5 == 0 {
            let pool = database.pool();
            let mut slow = pool.begin().await.unwrap();
            sqlx::query("INSERT INTO millpond.change (op, resource, instance, id, version) VALUES ('i', 'test.other', 'uk', $1, 1)")
                .bind(others.to_string())
                .execute(&mut *slow)
                .await
                .unwrap();
            let (changes, next) = store.changes_after(cursor, 30).await.unwrap();
            seen.extend(changes);
            cursor = next;
            slow.commit().await.unwrap();
        }
        others += 1;
        let (changes, next) = store.changes_after(cursor, 30).await.unwrap();
        seen.extend(changes);
        cursor = next;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    // Whoever still has a transaction open on the server holds the feed back for a moment.
    let all: i64 = sqlx::query_scalar("SELECT count(*) FROM millpond.change")
        .fetch_one(store.pool())
        .await
        .unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while (seen.len() as i64) < all {
        assert!(
            std::time::Instant::now() < deadline,
            "{} of {all} changes were read",
            seen.len()
        );
        let (changes, next) = store.changes_after(cursor, 1000).await.unwrap();
        seen.extend(changes);
        cursor = next;
    }
    assert_eq!(seen.len() as i64, all);
    let distinct: BTreeSet<_> = seen
        .iter()
        .map(|c| (c.resource.clone(), c.id.clone(), c.version))
        .collect();
    assert_eq!(distinct.len(), seen.len(), "a change was read twice");

    for (what, statement) in [
        (
            "a version is missing",
            "SELECT count(*) FROM millpond.record r WHERE version - 1 <> (SELECT count(*) FROM millpond.record_version v WHERE v.resource = r.resource AND v.id = r.id)",
        ),
        (
            "a change is missing",
            "SELECT count(*) FROM millpond.record r WHERE version <> (SELECT count(*) FROM millpond.change c WHERE c.resource = r.resource AND c.id = r.id)",
        ),
        (
            "an older answer is newer",
            "SELECT count(*) FROM millpond.record_version v JOIN millpond.record r USING (resource, instance, id) WHERE (v.body->>'step')::int * 10 + (v.body->>'writer')::int > (r.body->>'step')::int * 10 + (r.body->>'writer')::int",
        ),
    ] {
        let wrong: i64 = sqlx::query_scalar(statement)
            .fetch_one(store.pool())
            .await
            .unwrap();
        assert_eq!(wrong, 0, "{what}");
    }
    // Every version of every record, once. Their order is that of the transactions' beginnings.
    let mut versions: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
    for change in seen.iter().filter(|c| c.resource == "test.thing") {
        versions
            .entry(change.id.clone())
            .or_default()
            .insert(change.version);
    }
    for (id, versions) in versions {
        assert!(
            versions.iter().copied().eq(1..=versions.len() as i64),
            "{id}: {versions:?}"
        );
    }
}

#[tokio::test]
async fn nothing_is_written_under_a_lost_lease() {
    let (database, store) = database().await;
    let instance = store::instances::Instance {
        name: "uk".to_owned(),
        connector: "test".to_owned(),
        currency: None,
        reporting: None,
        paused: false,
    };
    store.save_instance(&instance).await.unwrap();
    let hour = std::time::Duration::from_secs(3600);
    let job = JobSpec {
        instance: "uk".to_owned(),
        resource: thing(),
        kind: "full",
        every: hour,
        jitter: std::time::Duration::ZERO,
        quiet: None,
        at_start: true,
    };
    store.sync_jobs(&["uk".to_owned()], &[job]).await.unwrap();
    let instances = ["uk".to_owned()];
    let (_, lost): (_, Lease) = store
        .take_job("first", &instances, &["full"], hour)
        .await
        .unwrap()
        .unwrap();
    assert!(
        store
            .take_job("second", &instances, &["full"], hour)
            .await
            .unwrap()
            .is_none(),
        "taken twice"
    );
    sqlx::query("UPDATE millpond.job SET lease_until = now() - interval '1 s'")
        .execute(&database.pool())
        .await
        .unwrap();
    let (_, held) = store
        .take_job("second", &instances, &["full"], hour)
        .await
        .unwrap()
        .unwrap();

    let resource = thing();
    let write = async |lease: &Lease, id: &str| {
        let mut page = page(&resource, vec![record(id, "{}", Timestamp::now())]);
        page.progress = Some((lease, json!({"page": id})));
        store.write_page(page).await
    };
    assert!(matches!(
        write(&lost, "a").await,
        Err(StoreError::LeaseLost { .. })
    ));
    assert!(matches!(
        store.renew_lease(&lost, hour).await,
        Err(StoreError::LeaseLost { .. })
    ));
    let finished = store
        .finish_job(
            &lost,
            Some(&json!({"since": 1})),
            true,
            false,
            Timestamp::now(),
        )
        .await;
    assert!(matches!(finished, Err(StoreError::LeaseLost { .. })));
    write(&held, "b").await.unwrap();

    let ids: Vec<String> = sqlx::query_scalar("SELECT id FROM test.thing")
        .fetch_all(store.pool())
        .await
        .unwrap();
    assert_eq!(ids, ["b"]);
    let job = store.jobs().await.unwrap().remove(0);
    assert_eq!(
        (job.progress, job.cursor, job.lease_owner),
        (Some(json!({"page": "b"})), None, Some("second".to_owned()))
    );
}

#[tokio::test]
async fn a_person_who_speaks_while_a_job_runs_is_heard_when_it_ends() {
    let (_database, store) = database().await;
    let instance = store::instances::Instance {
        name: "uk".to_owned(),
        connector: "test".to_owned(),
        currency: None,
        reporting: None,
        paused: false,
    };
    store.save_instance(&instance).await.unwrap();
    let hour = std::time::Duration::from_secs(3600);
    let job = JobSpec {
        instance: "uk".to_owned(),
        resource: thing(),
        kind: "full",
        every: hour,
        jitter: std::time::Duration::from_secs(30),
        quiet: None,
        at_start: true,
    };
    store
        .sync_jobs(&["uk".to_owned()], std::slice::from_ref(&job))
        .await
        .unwrap();
    let instances = ["uk".to_owned()];
    let (_, lease) = store
        .take_job("one", &instances, &["full"], hour)
        .await
        .unwrap()
        .unwrap();
    let shorter = store::jobs::JobChange {
        every: Some(std::time::Duration::from_secs(2)),
        ..store::jobs::JobChange::default()
    };
    store.change_jobs("uk", None, None, &shorter).await.unwrap();
    let later = Timestamp::now() + SignedDuration::from_hours(1);
    store
        .finish_job(&lease, None, true, false, later)
        .await
        .unwrap();
    let row = store.jobs().await.unwrap().remove(0);
    assert!(
        row.next_at < Timestamp::now() + SignedDuration::from_secs(3),
        "{}",
        row.next_at
    );
    assert_eq!((row.every_ms, row.jitter_ms), (2000, 100));
    // Configuration does not take it back.
    store.sync_jobs(&["uk".to_owned()], &[job]).await.unwrap();
    let row = store.jobs().await.unwrap().remove(0);
    assert_eq!((row.every_ms, row.jitter_ms), (2000, 100));
}

#[tokio::test]
async fn a_record_removed_by_hand_is_written_and_changed_again() {
    let (database, store) = database().await;
    let resource = thing();
    let mut now = Timestamp::now();
    let mut write = async |body: &str| {
        now += SignedDuration::from_secs(1);
        store
            .write_page(page(&resource, vec![record("a", body, now)]))
            .await
            .unwrap()
            .changed()
    };
    for n in 0..3 {
        assert_eq!(write(&format!("{{\"n\":{n}}}")).await, 1);
    }
    sqlx::query("DELETE FROM test.thing")
        .execute(&database.pool())
        .await
        .unwrap();
    for n in 10..13 {
        assert_eq!(write(&format!("{{\"n\":{n}}}")).await, 1);
    }
    assert_eq!(body_of(&store, "a").await, "{\"n\": 12}");
}
