//! How fast a sweep goes, and that it never crowds upstream: the simulator's wiretap is the witness.

use std::{sync::Arc, time::Duration, time::Instant};

use mirror::{
    ChoreSettings, ReadAsk,
    batch::{Batches, CONCURRENCY, Pace},
};
use simulators::connectwise::Latency;

use crate::{
    desk::{Desk, never, size},
    sweeping::{mostly_cool, sweep},
};

/// What 500 values may take at the default pace, and the batches that they make.
const ALLOWED: (Duration, u32) = (Duration::from_secs(120), 84);

#[tokio::test(flavor = "multi_thread")]
async fn b89_b90_at_230_ms_a_sweep_keeps_its_pace_without_an_error() {
    let mut options = size(18, 10);
    options.latency = Latency::observed();
    let desk = Desk::new(options, ChoreSettings::default(), mostly_cool(0)).await;
    let began = Instant::now();
    let report = sweep(&desk.mirror, "opportunities").await;
    let took = began.elapsed();
    println!(
        "{} values in {} batches took {took:?}",
        report.done, report.batches
    );
    assert_eq!((report.state, report.failed, report.left), ("done", 0, 0));
    assert!(report.done >= 40, "{report:?}");
    assert_eq!(report.batches, report.done.div_ceil(CONCURRENCY as u64));
    let allowed = ALLOWED.0 * u32::try_from(report.batches).unwrap() / ALLOWED.1;
    assert!(took < allowed, "{took:?}, allowed are {allowed:?}");
    assert!(desk.calls().iter().all(|call| call.status == 200));
    let most = desk.sim.wiretap().max_in_flight();
    assert!((4..=CONCURRENCY).contains(&most), "{most} in flight");
}

/// The fault that the list of lazy work is made against, over real HTTP: work that begins when it is queued. The
/// wiretap sees it; the same reads as functions pass.
#[tokio::test(flavor = "multi_thread")]
async fn b84_eager_reads_crowd_upstream_and_lazy_ones_do_not() {
    let mut options = size(30, 10);
    options.latency = Latency::Fixed(Duration::from_millis(150));
    // Nothing else than the list limits what is under way.
    let desk = Desk::with(
        options,
        |settings| settings.concurrency = Some(64),
        mostly_cool(0),
    )
    .await;
    let mirror = Arc::new(desk.mirror.clone());
    let deals = desk.live_deals();
    let read = |id: i64| {
        let mirror = Arc::clone(&mirror);
        async move {
            let deal = "connectwise.opportunity".parse().unwrap();
            let fresh = ReadAsk {
                fresh: true,
                max_age: None,
            };
            let answer = mirror.read(&deal, "psa", &id.to_string(), fresh).await;
            answer.map(drop).map_err(|error| error.to_string())
        }
    };
    let pace = Pace {
        delay: Duration::ZERO,
        ..Pace::default()
    };
    let mut most = Vec::new();
    for eager in [true, false] {
        desk.sim.wiretap().clear();
        let mut batches = Batches::new();
        for id in deals.clone() {
            if eager {
                let running = tokio::spawn(read(id));
                batches.push(id.to_string(), move || async move {
                    running.await.map_err(|error| error.to_string())?
                });
            } else {
                batches.push(id.to_string(), move || read(id));
            }
        }
        let tally = batches.run(pace, &never(), |_, _| {}).await;
        assert_eq!(tally.done, deals.len() as u64);
        most.push(desk.sim.wiretap().max_in_flight());
    }
    println!("in flight: eager {}, lazy {}", most[0], most[1]);
    assert!(most[0] > CONCURRENCY, "the eager variant went unnoticed");
    assert!(most[1] <= CONCURRENCY);
}
