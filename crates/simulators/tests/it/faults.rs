//! Each fault does what its name says, and leaves no trace when it is off.

use crate::client::{POLL, sim, sim_with, text};
use serde_json::json;
use simulators::cin7::{FaultRates, Latency, Options};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

#[tokio::test]
async fn rhythmic_faults_hit_every_nth_call() {
    let sim = sim().await;
    let faults = sim.cin7.faults();
    let statuses = async |n: usize| {
        let mut seen = vec![];
        for _ in 0..n {
            let answer = sim.try_call("GET", "me", None).await;
            seen.push(answer.map_or(0, |answer| answer.status));
        }
        seen
    };
    faults.throttle_every(2);
    assert_eq!(statuses(4).await, [200, 429, 200, 429]);
    faults.clear();
    faults.status_every(3, 502);
    assert_eq!(statuses(6).await, [200, 200, 502, 200, 200, 502]);
    faults.clear();
    faults.reset_every(2);
    assert_eq!(statuses(4).await, [200, 0, 200, 0]);
    faults.clear();
    assert_eq!(statuses(3).await, [200; 3]);
    assert_eq!(faults.struck(), 6);
}

#[tokio::test]
async fn bodies_can_be_torn_wrong_or_html_with_200() {
    let sim = sim().await;
    let faults = sim.cin7.faults();
    faults.torn_json_every(1);
    let torn = sim.call("GET", "saleList", None).await;
    assert_eq!(torn.status, 200);
    assert!(serde_json::from_str::<serde_json::Value>(&torn.text).is_err());
    faults.clear();
    faults.error_in_200_every(1);
    let wrong = sim.call("GET", "saleList", None).await;
    assert_eq!(
        (wrong.status, wrong.json()[0]["ErrorCode"].as_u64()),
        (200, Some(500))
    );
    faults.clear();
    faults.html_200_every(1);
    let html = sim.call("GET", "saleList", None).await;
    assert!(html.status == 200 && html.kind.starts_with("text/html"));
}

#[tokio::test]
async fn a_cut_connection_has_applied_the_write_and_a_faked_answer_has_not() {
    let sim = sim().await;
    let body = json!({"Name": "Lacquer"});
    sim.cin7.faults().not_applied_every(1);
    assert_eq!(sim.call("POST", "ref/brand", Some(&body)).await.status, 200);
    assert_eq!(sim.get("ref/brand?Name=Lacquer").await["Total"], 0);
    sim.cin7.faults().clear();
    sim.cin7.faults().reset_every(1);
    assert!(
        sim.try_call("POST", "ref/brand", Some(&body))
            .await
            .is_err()
    );
    sim.cin7.faults().clear();
    assert_eq!(sim.get("ref/brand?Name=Lacquer").await["Total"], 1);
}

#[tokio::test]
async fn slow_answers_wait_and_held_answers_are_stale() {
    let sim = sim().await;
    sim.cin7.faults().slow_every(1, Duration::from_millis(80));
    let began = Instant::now();
    sim.get("me").await;
    assert!(began.elapsed() >= Duration::from_millis(80));
    sim.cin7.faults().clear();
    sim.cin7.faults().hold_every(1, Duration::from_millis(400));
    let held = sim.get("saleList?Limit=1");
    let later = async {
        let deadline = Instant::now() + Duration::from_secs(10);
        while sim.cin7.wiretap().of("saleList").is_empty() {
            assert!(Instant::now() < deadline, "the call did not arrive");
            tokio::time::sleep(POLL).await;
        }
        // The simulator runs on our thread and first waits once the answer is rendered: by now it is.
        sim.cin7.add_sales(sim.id(), 1)
    };
    let (held, _) = tokio::join!(held, later);
    assert_eq!(held["Total"], 200);
    sim.cin7.faults().clear();
    assert_eq!(sim.get("saleList?Limit=1").await["Total"], 201);
}

#[tokio::test]
async fn pages_drift_while_rows_are_inserted() {
    let sim = sim().await;
    sim.cin7.faults().page_drift(true);
    let first = sim.get("saleList?Limit=10").await;
    let second = sim.get("saleList?Limit=10&Page=2").await;
    assert_eq!(second["Total"], 201);
    assert_eq!(
        first["SaleList"][9]["SaleID"],
        second["SaleList"][0]["SaleID"]
    );
}

#[tokio::test]
async fn rows_repeat_turn_round_or_go_missing() {
    let sim = sim().await;
    let faults = sim.cin7.faults();
    let plain = sim.get("saleList?Limit=10&Page=2").await;
    faults.duplicate_rows(true);
    let twice = sim.get("saleList?Limit=10&Page=2").await;
    assert_eq!(twice["SaleList"].as_array().unwrap().len(), 11);
    assert_eq!(
        twice["SaleList"][0],
        sim.get("saleList?Limit=10").await["SaleList"][9]
    );
    assert_eq!(twice["SaleList"][1], plain["SaleList"][0]);
    faults.clear();
    faults.out_of_order(true);
    assert_eq!(
        sim.get("saleList?Limit=10&Page=2").await["SaleList"][9],
        plain["SaleList"][0]
    );
    faults.clear();
    let total = sim.get("ref/productavailability").await["Total"]
        .as_u64()
        .unwrap();
    faults.rows_missing_every(10);
    assert_eq!(
        sim.get("ref/productavailability").await["Total"]
            .as_u64()
            .unwrap(),
        total - total / 10
    );
}

#[tokio::test]
async fn faults_by_chance_come_from_their_seed() {
    let rates = FaultRates {
        seed: 7,
        p5xx: 0.2,
        ptorn: 0.2,
        perr200: 0.2,
        preset: 0.1,
        ..FaultRates::default()
    };
    let mut runs = BTreeSet::new();
    for _ in 0..2 {
        let sim = sim().await;
        sim.cin7.faults().rates(rates);
        let mut seen = vec![];
        for _ in 0..40 {
            let answer = sim.try_call("GET", "ref/brand", None).await;
            seen.push(answer.map_or_else(
                |_| "cut".into(),
                |a| format!("{} {}", a.status, a.text.len()),
            ));
        }
        assert!(sim.cin7.faults().struck() > 10);
        runs.insert(seen);
    }
    assert_eq!(runs.len(), 1);
}

#[tokio::test]
async fn latency_is_what_was_asked_for() {
    let latency = Latency::Fixed(Duration::from_millis(60));
    let sim = sim_with(Options {
        latency,
        ..Options::for_testing()
    })
    .await;
    let began = Instant::now();
    assert_eq!(text(&sim.get("me").await, "Currency"), "GBP");
    assert!(began.elapsed() >= Duration::from_millis(60));
}
