//! Calls spent by what they save: the bound on age, what feeds tell, what survives a restart, whose calls are whose.

use std::time::{Duration, Instant};

use mirror::{FreshnessSettings, Mirror, Policy, ReadAsk, ResourceFilter};
use serde_json::json;
use store::ResourceName;
use tokio_util::sync::CancellationToken;

use crate::{
    desk::{Desk, connector_with, size},
    house::{sync_of, work},
    sweeping::mostly_cool,
};

const POLL: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(60);

fn deals() -> ResourceName {
    "connectwise.opportunity".parse().unwrap()
}

async fn desk(max_age: Duration) -> Desk {
    let freshness = FreshnessSettings {
        policy: Policy::Priced,
        max_age,
        ..FreshnessSettings::default()
    };
    let change = |settings: &mut mirror::InstanceSettings| {
        settings.freshness = freshness;
        let resources = ["opportunity_status", "opportunity", "activity"];
        settings.resources = ResourceFilter::Only(resources.map(str::to_owned).to_vec());
    };
    Desk::with(size(12, 10), change, mostly_cool(0)).await
}

/// A process that answers readers, until the token is cancelled.
fn follow(mirror: &Mirror) -> (CancellationToken, tokio::task::JoinHandle<()>) {
    let (mirror, stop) = (mirror.clone(), CancellationToken::new());
    let token = stop.clone();
    (
        stop,
        tokio::spawn(async move { mirror.follow(token).await }),
    )
}

async fn payload(mirror: &Mirror, deal: i64, name: &str) -> (String, f64) {
    let include = [name.to_owned()];
    let (deals, id) = (deals(), deal.to_string());
    let read = mirror.read_detail(&deals, "psa", &id, &include, ReadAsk::default());
    let detail = read.await.unwrap().unwrap();
    let answer = &detail.payloads[name].as_ref().unwrap().answer;
    (answer.record.body.get().to_owned(), answer.age_secs)
}

/// Reads until the desk knows of it: it begins a moment after its process.
async fn until_explained(mirror: &Mirror, deal: i64, name: &str) -> mirror::Explained {
    let table: ResourceName = format!("connectwise.opportunity_{name}").parse().unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        payload(mirror, deal, name).await;
        let explained = mirror.explain(&table, "psa", &deal.to_string()).await;
        if let Some(explained) = explained.unwrap() {
            return explained;
        }
        assert!(Instant::now() < deadline, "nothing is learned of it");
        tokio::time::sleep(POLL).await;
    }
}

#[tokio::test]
async fn nobody_is_answered_with_a_copy_older_than_promised() {
    let desk = desk(Duration::from_secs(1)).await;
    let mirror = desk.process(None).await;
    let (stop, followed) = follow(&mirror);
    let deal = desk.sim.truth().ids("sales/opportunities")[0];
    let began = Instant::now();
    let mut oldest: f64 = 0.0;
    while began.elapsed() < Duration::from_secs(5) {
        let asked = Instant::now();
        let (_, age) = payload(&mirror, deal, "notes").await;
        // Whoever waited, waited for an answer that aged meanwhile.
        oldest = oldest.max(age - asked.elapsed().as_secs_f64());
        tokio::time::sleep(POLL).await;
    }
    assert!(oldest <= 1.1, "{oldest}");
    stop.cancel();
    followed.await.unwrap();
}

#[tokio::test]
async fn a_reader_who_names_no_age_takes_the_copy_when_a_call_takes_too_long() {
    const HELD: Duration = Duration::from_secs(2);
    let lives = ["30s", "60s", "2m", "5m", "15m"];
    let short = |text: String| {
        lives.iter().fold(text, |text, life| {
            text.replace(&format!("ttl = \"{life}\" }}"), "ttl = \"50ms\" }")
        })
    };
    let change = |settings: &mut mirror::InstanceSettings| {
        settings.connector = connector_with(short);
        settings.freshness.patience = Duration::from_millis(100);
    };
    let desk = Desk::with(size(12, 10), change, mostly_cool(0)).await;
    let mirror = desk.process(None).await;
    let (deals, id) = (deals(), desk.live_deals().first().unwrap().to_string());
    let notes = ["notes".to_owned()];
    let read = async |ask| {
        let detail = mirror.read_detail(&deals, "psa", &id, &notes, ask);
        let detail = detail.await.unwrap().unwrap();
        let notes = detail.payloads["notes"].as_ref().unwrap();
        (
            detail.record.stale.clone(),
            notes.answer.stale.clone(),
            detail.record.record.as_of,
        )
    };
    // What is not there at all is waited for.
    desk.sim.faults().hold_every(1, HELD);
    let began = Instant::now();
    let (_, stale, _) = read(ReadAsk::default()).await;
    assert!(stale.is_none() && began.elapsed() >= HELD, "{stale:?}");

    tokio::time::sleep(Duration::from_millis(100)).await; // two lives
    let (record, payload, before) = read(ReadAsk::default()).await;
    for stale in [record, payload] {
        assert!(stale.unwrap().contains("no call was free within 100ms"));
    }
    // Whoever says how old it may be waits.
    let ask = ReadAsk {
        max_age: Some(Duration::from_millis(50)),
        fresh: false,
    };
    let (record, payload, after) = read(ask).await;
    assert!(record.is_none() && payload.is_none() && after > before);

    // The calls went on without their reader.
    desk.sim.faults().clear();
    let deadline = Instant::now() + PATIENCE;
    while let (Some(stale), ..) = read(ReadAsk::default()).await {
        assert!(Instant::now() < deadline, "{stale}");
        tokio::time::sleep(POLL).await;
    }
}

#[tokio::test]
async fn a_feed_tells_of_a_payload_whose_own_copy_is_young() {
    let desk = desk(Duration::from_secs(3600)).await;
    let mirror = desk.process(None).await;
    let (stop, followed) = follow(&mirror);
    let truth = desk.sim.truth();
    let (activity, document) = truth
        .documents("sales/activities")
        .into_iter()
        .find(|(_, activity)| activity["opportunity"]["id"].is_i64())
        .unwrap();
    let deal = document["opportunity"]["id"].as_i64().unwrap();
    let before = until_explained(&mirror, deal, "activities").await;
    assert!(before.stale < 0.5, "{before:?}");
    let path = format!("sales/activities/{activity}");
    desk.sim
        .change(&path, json!({ "notes": "Called back." }))
        .unwrap();
    let report = sync_of(&desk.mirror, Some("connectwise.activity"), Some("changes")).await;
    assert!(report.complete, "{report:?}");
    let table: ResourceName = "connectwise.opportunity_activities".parse().unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let explained = mirror.explain(&table, "psa", &deal.to_string()).await;
        if explained.unwrap().unwrap().stale >= 1.0 {
            break;
        }
        assert!(Instant::now() < deadline, "the feed has told nothing");
        tokio::time::sleep(POLL).await;
    }
    let (body, _) = payload(&mirror, deal, "activities").await;
    assert!(body.contains("Called back."), "{body}");
    stop.cancel();
    followed.await.unwrap();
}

#[tokio::test]
async fn what_one_process_learned_another_knows_after_its_end() {
    let desk = desk(Duration::from_secs(3600)).await;
    let mirror = desk.process(None).await;
    let (stop, followed) = follow(&mirror);
    let deal = desk.sim.truth().ids("sales/opportunities")[0];
    until_explained(&mirror, deal, "notes").await;
    for _ in 0..20 {
        payload(&mirror, deal, "notes").await;
    }
    let known = until_explained(&mirror, deal, "notes").await;
    stop.cancel();
    followed.await.unwrap();

    let other = desk.process(None).await;
    let table: ResourceName = "connectwise.opportunity_notes".parse().unwrap();
    let explained = other.explain(&table, "psa", &deal.to_string()).await;
    let explained = explained.unwrap().unwrap();
    assert!(
        (explained.reads_per_hour / known.reads_per_hour - 1.0).abs() < 0.5,
        "{explained:?} {known:?}"
    );
    assert!(explained.last_decision.is_some(), "{explained:?}");
    let forecast = other.forecast("psa").await.unwrap();
    assert!(forecast.records >= 1, "{forecast:?}");
    let fresh = forecast
        .rows
        .iter()
        .all(|row| (0.0..=1.0).contains(&row.fresh));
    assert!(fresh, "{forecast:?}");
    // Nobody reads it: nothing is known of it.
    let unread = other.explain(&table, "psa", "999999").await.unwrap();
    assert!(unread.is_none());
    assert!(other.explain(&table, "nowhere", "1").await.is_err());
}

#[tokio::test]
async fn calls_that_are_left_go_to_what_was_read() {
    let desk = desk(Duration::from_secs(2)).await;
    let mirror = desk.process(None).await;
    let (stop, followed) = follow(&mirror);
    let deal = desk.sim.truth().ids("sales/opportunities")[0];
    until_explained(&mirror, deal, "notes").await;
    let working = work(&mirror, "one");
    desk.sim.wiretap().clear();
    let path = format!("sales/opportunities/{deal}/notes");
    let deadline = Instant::now() + PATIENCE;
    // Nobody reads it now, and its promise runs out.
    while desk.calls().iter().filter(|call| call.path == path).count() < 2 {
        assert!(
            Instant::now() < deadline,
            "what was promised is not fetched"
        );
        tokio::time::sleep(POLL).await;
    }
    working.stop().await;
    stop.cancel();
    followed.await.unwrap();
}
