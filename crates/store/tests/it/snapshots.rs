//! Snapshots: what was in is read again, whatever is written later.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::json;
use store::{
    ResourceName, Store,
    instances::Instance,
    jobs::JobSpec,
    read::Search,
    reader::{Limits, QueryError, Reader, Scope},
    records::{Incoming, Lease, PageWrite},
    runs::{RunCounts, RunEnd},
    snapshots::{AtSnapshot, SnapshotError, Which},
    testing::TestDatabase,
};
use xxhash_rust::xxh3::xxh3_128;

use crate::POLL;

const HOUR: Duration = Duration::from_secs(3600);

fn thing() -> ResourceName {
    "test.thing".parse().unwrap()
}

async fn database() -> (TestDatabase, Store) {
    let database = TestDatabase::fresh().await;
    let store = database.store();
    store.ensure_resource(&thing()).await.unwrap();
    store.build_indexes(&thing(), &[]).await.unwrap();
    (database, store)
}

/// Writes records as a run does, and counts them for it.
async fn write(store: &Store, instance: &str, run: Option<i64>, records: &[(&str, String)]) {
    let now = Timestamp::now();
    let incoming = records.iter().map(|(id, body)| Incoming {
        id: (*id).to_owned(),
        body: Bytes::copy_from_slice(body.as_bytes()),
        hash: xxh3_128(body.as_bytes()).to_be_bytes(),
        asked_at: now,
        upstream_at: Some(now),
        wants: Vec::new(),
    });
    let page = PageWrite {
        resource: &thing(),
        instance,
        run,
        records: incoming.collect(),
        children: &[],
        fetches: Vec::new(),
        progress: None,
        likely_new: false,
    };
    let outcome = store.write_page(page).await.unwrap();
    let mut counts = RunCounts::default();
    counts.wrote(&outcome);
    if let Some(run) = run {
        store.add_to_run(run, counts, None).await.unwrap();
    }
}

async fn delete(store: &Store, instance: &str, run: Option<i64>, ids: &[String]) {
    let gone = store
        .tombstone(&thing(), instance, ids, Timestamp::now(), run, &[])
        .await
        .unwrap();
    if let Some(run) = run {
        let counts = RunCounts {
            deleted: i64::try_from(gone).unwrap(),
            ..RunCounts::default()
        };
        store.add_to_run(run, counts, None).await.unwrap();
    }
}

/// A run of a job, as a worker opens it.
async fn open_run(store: &Store, instance: &str) -> (i64, Lease) {
    let (_, lease) = store
        .take_this_job("us", instance, &thing(), "full", Duration::ZERO)
        .await
        .unwrap()
        .unwrap();
    let run = store
        .start_run(instance, &thing(), "full", "us")
        .await
        .unwrap();
    store.set_job_run(&lease, run).await.unwrap();
    (run, lease)
}

async fn add_jobs(store: &Store, instances: &[&str]) {
    for instance in instances {
        let added = Instance {
            name: (*instance).to_owned(),
            connector: "test".to_owned(),
            currency: None,
            reporting: None,
            paused: false,
        };
        store.save_instance(&added).await.unwrap();
        let job = JobSpec {
            instance: (*instance).to_owned(),
            resource: thing(),
            kind: "full",
            every: HOUR,
            jitter: Duration::ZERO,
            quiet: None,
            at_start: true,
        };
        store
            .sync_jobs(&[(*instance).to_owned()], &[job])
            .await
            .unwrap();
    }
}

/// A whole run that writes these records; the snapshot that it made.
async fn whole_run(store: &Store, records: &[(&str, String)]) -> i64 {
    let run = store.start_run("uk", &thing(), "full", "us").await.unwrap();
    write(store, "uk", Some(run), records).await;
    store
        .end_run(run, RunEnd::Done, None)
        .await
        .unwrap()
        .unwrap()
}

async fn at(store: &Store, number: i64) -> AtSnapshot {
    store.at_snapshot(Which::Number(number)).await.unwrap()
}

/// All of a listing, page by page, as text.
async fn listed(store: &Store, at: Option<&AtSnapshot>, search: &Search) -> Vec<String> {
    let mut search = Search {
        at: at.cloned(),
        ..search.clone()
    };
    let mut lines = Vec::new();
    loop {
        let page = store.search(&search, &thing()).await.unwrap();
        lines.extend(
            page.records
                .iter()
                .map(|record| serde_json::to_string(record).unwrap()),
        );
        search.after = page.next;
        if search.after.is_none() {
            return lines;
        }
    }
}

fn bodies(lines: &[String]) -> BTreeMap<(String, String), String> {
    lines
        .iter()
        .map(|line| {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            let of = |key: &str| record[key].as_str().unwrap().to_owned();
            ((of("instance"), of("id")), record["body"].to_string())
        })
        .collect()
}

fn body(n: i64) -> String {
    json!({ "n": n }).to_string()
}

#[tokio::test]
async fn a_snapshot_says_the_same_for_ever() {
    let (_database, store) = database().await;
    let all = Search::all(thing());
    let first = whole_run(&store, &[("a", body(1)), ("b", body(1)), ("c", body(1))]).await;
    delete(&store, "uk", None, &["b".to_owned()]).await;
    let second = whole_run(&store, &[("a", body(2)), ("d", body(1))]).await;
    assert!(second > first);
    let told = [
        listed(&store, Some(&at(&store, first).await), &all).await,
        listed(&store, Some(&at(&store, second).await), &all).await,
    ];
    assert_eq!(
        bodies(&told[0]).into_values().collect::<Vec<_>>(),
        [r#"{"n":1}"#; 3]
    );
    assert_eq!(
        bodies(&told[1])
            .into_iter()
            .map(|((_, id), body)| format!("{id} {body}"))
            .collect::<Vec<_>>(),
        [r#"a {"n":2}"#, r#"c {"n":1}"#, r#"d {"n":1}"#]
    );
    let with_gone = Search {
        deleted: true,
        ..all.clone()
    };
    let gone = listed(&store, Some(&at(&store, second).await), &with_gone).await;
    assert_eq!(gone.len(), 4);

    // Everything changes, comes back, goes.
    whole_run(&store, &[("a", body(3)), ("b", body(3)), ("c", body(3))]).await;
    delete(&store, "uk", None, &["a".to_owned(), "c".to_owned()]).await;
    write(&store, "uk", None, &[("a", body(4)), ("e", body(1))]).await;
    store
        .distrust(&thing(), "uk", &["a".to_owned()])
        .await
        .unwrap();
    for (number, told) in [first, second].into_iter().zip(&told) {
        let at = at(&store, number).await;
        assert_eq!(listed(&store, Some(&at), &all).await, *told);
        store.still_kept(&at).await.unwrap();
    }
    let at = at(&store, second).await;
    assert_eq!(listed(&store, Some(&at), &with_gone).await, gone);
    let find = async |id: &str| {
        let found = store.find_record_at(&thing(), "uk", id, &at).await;
        found
            .unwrap()
            .map(|record| (record.version, record.deleted_at.is_some()))
    };
    assert_eq!(find("a").await, Some((2, false)));
    assert_eq!(find("b").await, Some((2, true)));
    assert_eq!(find("c").await, Some((1, false)));
    assert_eq!(find("e").await, None);
    // Criteria look at what the records were.
    let search = Search {
        criteria: vec!["n=1".parse().unwrap()],
        ..all.clone()
    };
    let found = bodies(&listed(&store, Some(&at), &search).await);
    let ids: Vec<&str> = found.keys().map(|(_, id)| id.as_str()).collect();
    assert_eq!(ids, ["c", "d"]);
}

#[tokio::test]
async fn what_a_job_under_way_has_brought_is_not_in_until_its_run_is_whole() {
    let (_database, store) = database().await;
    add_jobs(&store, &["uk", "de"]).await;
    let all = Search::all(thing());
    write(&store, "de", None, &[("x", body(0)), ("y", body(0))]).await;
    let (run, _lease) = open_run(&store, "de").await;
    write(&store, "de", Some(run), &[("x", body(1)), ("z", body(1))]).await;
    let during = whole_run(&store, &[("a", body(1))]).await;
    // A read past the job is nobody's run.
    write(&store, "de", None, &[("w", body(9))]).await;
    write(&store, "de", Some(run), &[("y", body(1))]).await;
    let after = store.end_run(run, RunEnd::Done, None).await.unwrap();
    let during = bodies(&listed(&store, Some(&at(&store, during).await), &all).await);
    let lines: Vec<String> = during
        .iter()
        .map(|((_, id), body)| format!("{id} {body}"))
        .collect();
    assert_eq!(lines, [r#"x {"n":0}"#, r#"y {"n":0}"#, r#"a {"n":1}"#]);
    let after = bodies(&listed(&store, Some(&at(&store, after.unwrap()).await), &all).await);
    assert_eq!(after.len(), 5);
    assert!(after.iter().all(|(_, body)| body != r#"{"n":0}"#));
}

#[tokio::test]
async fn a_page_that_commits_late_is_not_in() {
    let (database, store) = database().await;
    add_jobs(&store, &["uk", "de"]).await;
    let all = Search::all(thing());
    let first = whole_run(&store, &[("a", body(1))]).await;
    // The page's last statement waits for the job's row, so its records are written and not in.
    let (run, lease) = open_run(&store, "de").await;
    let mut holder = database.pool().begin().await.unwrap();
    sqlx::query("SELECT FROM millpond.job WHERE instance = 'de' FOR UPDATE")
        .execute(&mut *holder)
        .await
        .unwrap();
    let late = {
        let store = store.clone();
        tokio::spawn(async move {
            let now = Timestamp::now();
            let page = PageWrite {
                resource: &thing(),
                instance: "uk",
                run: None,
                records: vec![Incoming {
                    id: "a".to_owned(),
                    body: Bytes::from_static(br#"{"n": 2}"#),
                    hash: [7; 16],
                    asked_at: now,
                    upstream_at: Some(now),
                    wants: Vec::new(),
                }],
                children: &[],
                fetches: Vec::new(),
                progress: Some((&lease, json!({}))),
                likely_new: false,
            };
            store.write_page(page).await.unwrap()
        })
    };
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while sqlx::query_scalar::<_, i64>(waits)
        .fetch_one(&database.pool())
        .await
        .unwrap()
        == 0
    {
        assert!(std::time::Instant::now() < deadline, "nobody waits");
        tokio::time::sleep(POLL).await;
    }
    let second = whole_run(&store, &[("b", body(1))]).await;
    holder.rollback().await.unwrap();
    assert_eq!(late.await.unwrap().updated, ["a"]);
    store.end_run(run, RunEnd::Done, None).await.unwrap();
    for number in [first, second] {
        let told = bodies(&listed(&store, Some(&at(&store, number).await), &all).await);
        let a = &told[&("uk".to_owned(), "a".to_owned())];
        assert_eq!(a, r#"{"n":1}"#, "at {number}");
    }
    let now = bodies(&listed(&store, None, &all).await);
    assert_eq!(now[&("uk".to_owned(), "a".to_owned())], r#"{"n":2}"#);
}

/// The run that brought a version, and what it says; no body: gone.
type Said = (Option<i64>, Option<String>);

/// What the mirror should have said: versions of each record, oldest first.
#[derive(Default)]
struct Oracle {
    records: BTreeMap<(String, String), Vec<Said>>,
    open: Vec<i64>,
}

impl Oracle {
    fn say(&mut self, instance: &str, id: &str, run: Option<i64>, body: Option<String>) {
        let key = (instance.to_owned(), id.to_owned());
        let versions = self.records.entry(key).or_default();
        let is_same = versions
            .last()
            .map_or(body.is_none(), |(_, last)| *last == body);
        if !is_same {
            versions.push((run, body));
        }
    }

    fn now(&self) -> BTreeMap<(String, String), String> {
        let is_in = |run: &Option<i64>| run.is_none_or(|run| !self.open.contains(&run));
        self.records
            .iter()
            .filter_map(|(key, versions)| {
                let (_, body) = versions.iter().rev().find(|(run, _)| is_in(run))?;
                Some((key.clone(), body.clone()?))
            })
            .collect()
    }
}

#[tokio::test]
async fn every_snapshot_is_what_an_oracle_remembers() {
    let seed = std::env::var("MILLPOND_SEED")
        .ok()
        .map_or_else(rand::random, |text| text.parse().unwrap());
    println!("MILLPOND_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (_database, store) = database().await;
    let instances = ["uk", "de", "fr"];
    add_jobs(&store, &instances).await;
    let mut oracle = Oracle::default();
    let mut open: BTreeMap<&str, i64> = BTreeMap::new();
    let mut expected = Vec::new();
    for _ in 0..150 {
        let instance = instances[random.random_range(0..instances.len())];
        let run = open
            .get(instance)
            .copied()
            .filter(|_| random.random_bool(0.8));
        match random.random_range(0..10) {
            0..5 => {
                // Many at once go by COPY.
                let count = if random.random_bool(0.2) { 40 } else { 3 };
                let records: BTreeMap<String, String> = (0..random.random_range(1..=count))
                    .map(|_| {
                        let id = format!("r{}", random.random_range(0..60));
                        (id, body(random.random_range(0..4)))
                    })
                    .collect();
                let page: Vec<(&str, String)> = records
                    .iter()
                    .map(|(id, body)| (id.as_str(), body.clone()))
                    .collect();
                write(&store, instance, run, &page).await;
                for (id, body) in page {
                    oracle.say(instance, id, run, Some(body.replace(' ', "")));
                }
            }
            5 => {
                let id = format!("r{}", random.random_range(0..60));
                delete(&store, instance, run, std::slice::from_ref(&id)).await;
                oracle.say(instance, &id, run, None);
            }
            6..8 => {
                if !open.contains_key(instance) {
                    let (run, _) = open_run(&store, instance).await;
                    open.insert(instance, run);
                    oracle.open.push(run);
                }
            }
            _ => {
                let Some(run) = open.remove(instance) else {
                    continue;
                };
                let end = if random.random_bool(0.8) {
                    RunEnd::Done
                } else {
                    RunEnd::Partial
                };
                oracle.open.retain(|open| *open != run);
                if let Some(number) = store.end_run(run, end, None).await.unwrap() {
                    expected.push((number, oracle.now()));
                }
            }
        }
    }
    assert!(!expected.is_empty());
    assert!(expected.is_sorted_by(|a, b| a.0 < b.0));
    for (number, expected) in &expected {
        let at = at(&store, *number).await;
        let search = Search {
            limit: random.random_range(1..100),
            ..Search::all(thing())
        };
        let lines = listed(&store, Some(&at), &search).await;
        assert_eq!(bodies(&lines), *expected, "at {number}");
        assert_eq!(lines.len(), expected.len(), "one twice at {number}");
        let one = instances[random.random_range(0..instances.len())];
        let search = Search {
            instances: vec![one.to_owned()],
            contains: Some(json!({ "n": 1 })),
            ..search
        };
        let found = bodies(&listed(&store, Some(&at), &search).await);
        let mut wanted = expected.clone();
        wanted.retain(|(instance, _), said| instance == one && *said == body(1).replace(' ', ""));
        assert_eq!(found, wanted, "n=1 of {one} at {number}");
        for _ in 0..10 {
            let id = format!("r{}", random.random_range(0..60));
            let found = store.find_record_at(&thing(), one, &id, &at).await.unwrap();
            let live = found.filter(|record| record.deleted_at.is_none());
            let said = live.map(|record| record.body.get().replace(' ', ""));
            let key = (one.to_owned(), id);
            assert_eq!(said.as_ref(), expected.get(&key), "{key:?} at {number}");
        }
    }
}

#[tokio::test]
async fn a36_readers_of_the_newest_snapshot_never_see_half_a_run_and_pinned_ones_the_same_bytes() {
    let (_database, store) = database().await;
    let instances = ["uk", "de"];
    add_jobs(&store, &instances).await;
    let ids: Vec<String> = (0..40).map(|n| format!("r{n:02}")).collect();
    let stop = AtomicBool::new(false);
    // Each run gives all records of an instance one number, in four pages.
    let run = async |instance: &'static str, step: i64| {
        let (run, _) = open_run(&store, instance).await;
        for page in ids.chunks(10) {
            let records: Vec<(&str, String)> =
                page.iter().map(|id| (id.as_str(), body(step))).collect();
            write(&store, instance, Some(run), &records).await;
        }
        store.end_run(run, RunEnd::Done, None).await.unwrap();
    };
    run("uk", 0).await;
    run("de", 0).await;
    let pinned = store.at_snapshot(Which::Newest).await.unwrap();
    let all = Search {
        limit: 30,
        ..Search::all(thing())
    };
    let told = listed(&store, Some(&pinned), &all).await;
    assert_eq!(told.len(), 80);
    let writer = async |instance: &'static str| {
        for step in 1..=15 {
            run(instance, step).await;
        }
    };
    let pinned_reader = async || {
        let mut reads = 0;
        while !stop.load(Ordering::Relaxed) || reads == 0 {
            assert_eq!(listed(&store, Some(&pinned), &all).await, told);
            reads += 1;
        }
    };
    let newest_reader = async || {
        let (mut last, mut snapshots) = (BTreeMap::<String, i64>::new(), 0);
        let mut number = 0;
        while !stop.load(Ordering::Relaxed) {
            let newest = store.at_snapshot(Which::Newest).await.unwrap();
            assert!(newest.number >= number, "went back");
            snapshots += i64::from(newest.number > number);
            number = newest.number;
            let mut steps: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for ((instance, _), body) in bodies(&listed(&store, Some(&newest), &all).await) {
                steps.entry(instance).or_default().push(body);
            }
            for (instance, bodies) in steps {
                assert_eq!(bodies.len(), 40);
                assert!(
                    bodies.iter().all(|body| *body == bodies[0]),
                    "half a run of {instance} at {number}"
                );
                let body: serde_json::Value = serde_json::from_str(&bodies[0]).unwrap();
                let step = body["n"].as_i64().unwrap();
                let before = last.insert(instance, step).unwrap_or_default();
                assert!(before <= step, "a run went away at {number}");
            }
        }
        assert!(snapshots > 1, "it saw no other snapshot");
    };
    tokio::join!(
        async {
            tokio::join!(writer("uk"), writer("de"));
            stop.store(true, Ordering::Relaxed);
        },
        pinned_reader(),
        pinned_reader(),
        newest_reader(),
    );
}

#[tokio::test]
async fn a_pin_keeps_a_snapshot_beyond_retention_and_the_others_are_gone() {
    let (database, store) = database().await;
    let all = Search::all(thing());
    let mut numbers = Vec::new();
    for n in 0..4 {
        numbers.push(whole_run(&store, &[("a", body(n)), ("b", body(n))]).await);
    }
    let pinned = store
        .pin_snapshot(Which::Number(numbers[1]), "me", HOUR)
        .await
        .unwrap();
    assert!(pinned.pinned_until.unwrap() > Timestamp::now());
    store
        .pin_snapshot(Which::Number(numbers[1]), "you", HOUR)
        .await
        .unwrap();
    let told = listed(&store, Some(&at(&store, numbers[1]).await), &all).await;

    let future = Timestamp::now() + SignedDuration::from_hours(1);
    let (_, versions) = store.forget_before(future).await.unwrap();
    // Of six those two that only the first snapshot needs, unless a transaction elsewhere on the server was older.
    assert!(versions <= 2, "{versions}");
    assert_eq!(
        listed(&store, Some(&at(&store, numbers[1]).await), &all).await,
        told
    );
    for gone in [numbers[0], numbers[2]] {
        let refused = store.at_snapshot(Which::Number(gone)).await.unwrap_err();
        assert!(matches!(refused, SnapshotError::Gone { .. }), "{refused}");
        let message = refused.to_string();
        let range = format!("{} to {} can be read", numbers[1], numbers[3]);
        assert!(message.contains(&range), "{message}");
    }
    // The newest is always there.
    at(&store, numbers[3]).await;
    let not_yet = store.at_snapshot(Which::Number(numbers[3] + 1)).await;
    assert!(matches!(not_yet, Err(SnapshotError::NotYet { .. })));

    // A pin of one holder ends; the other's holds on, until it runs out.
    let held = at(&store, numbers[1]).await;
    assert!(store.release_snapshot(numbers[1], "me").await.unwrap());
    assert!(!store.release_snapshot(numbers[1], "me").await.unwrap());
    store.forget_before(future).await.unwrap();
    at(&store, numbers[1]).await;
    sqlx::raw_sql(
        "UPDATE millpond.snapshot_pin SET until = now() - interval '1 s'; \
         UPDATE millpond.snapshot SET pinned_until = now() - interval '1 s' WHERE pinned_until IS NOT NULL;",
    )
    .execute(&database.pool())
    .await
    .unwrap();
    store.forget_before(future).await.unwrap();
    let refused = store.still_kept(&held).await.unwrap_err();
    assert!(matches!(refused, SnapshotError::Gone { .. }), "{refused}");
    let late = store
        .pin_snapshot(Which::Number(numbers[1]), "me", HOUR)
        .await;
    assert!(matches!(late, Err(SnapshotError::Gone { .. })));
    assert_eq!(store.snapshots(None, None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn before_the_first_whole_run_there_is_none() {
    let (_database, store) = database().await;
    for which in [Which::Newest, Which::Number(1)] {
        let refused = store.at_snapshot(which).await.unwrap_err();
        assert!(matches!(refused, SnapshotError::NotYet { .. }), "{refused}");
    }
}

#[tokio::test]
async fn sql_reads_a_snapshot_of_what_the_caller_sees() {
    let (database, store) = database().await;
    add_jobs(&store, &["uk", "de"]).await;
    write(&store, "de", None, &[("x", body(1))]).await;
    let first = whole_run(&store, &[("a", body(1)), ("b", body(1))]).await;
    whole_run(&store, &[("a", body(2))]).await;
    delete(&store, "uk", None, &["b".to_owned()]).await;
    write(&store, "de", None, &[("x", body(2))]).await;
    let reader = Reader::open(&database.pool(), 2).await.unwrap();
    let sql = format!(
        "SELECT instance, id, body->>'n' FROM millpond.records_at('test.thing', {first}) ORDER BY 1, 2"
    );
    let ask = async |scope: Scope<'_>, sql: &str| {
        let answer = reader.query_as(scope, sql, &[], &Limits::default()).await?;
        Ok::<_, QueryError>(serde_json::to_string(&answer.rows).unwrap())
    };
    assert_eq!(
        ask(Scope::All, &sql).await.unwrap(),
        r#"[["de","x","1"],["uk","a","1"],["uk","b","1"]]"#
    );
    let own = ["de".to_owned()];
    assert_eq!(
        ask(Scope::Instances(&own), &sql).await.unwrap(),
        r#"[["de","x","1"]]"#
    );
    let none = "SELECT * FROM millpond.records_at('test.thing', 999)";
    let refused = ask(Scope::Instances(&own), none).await.unwrap_err();
    assert!(refused.to_string().contains("no snapshot 999"), "{refused}");
    // A search of a tenant goes back as well.
    let at = at(&store, first).await;
    let search = Search {
        at: Some(at),
        visible: Some(own.to_vec()),
        ..Search::all(thing())
    };
    let page = reader
        .search_as(Scope::Instances(&own), &search, &thing())
        .await
        .unwrap();
    assert_eq!(page.records.len(), 1);
    assert_eq!(page.records[0].body.get(), r#"{"n": 1}"#);
}
