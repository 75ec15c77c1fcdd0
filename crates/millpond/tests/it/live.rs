//! The same company, the same readers and the same cap under both policies: the real server, its answers compared with
//! what the simulator says at that moment.

mod stage;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use self::stage::{Company, Scene, Server};
use crate::world::send_to;

/// A reader waits so long at the most; it then goes on with what it had.
const PATIENCE: Duration = Duration::from_secs(2);

/// Reads under way at once; more are late, and counted as unanswered.
const READS_AT_ONCE: usize = 400;

#[derive(Debug, Default)]
struct Tally {
    reads: AtomicU64,
    fresh: AtomicU64,
    stale: AtomicU64,
    /// Not answered within a reader's patience, or with an error.
    unanswered: AtomicU64,
    called: AtomicU64,
}

/// What a policy came to.
#[derive(Debug)]
struct Outcome {
    reads: u64,
    stale: u64,
    unanswered: u64,
    called: u64,
    calls: usize,
    /// The most calls in any window of the cap.
    calls_max: usize,
    /// The share of fresh reads that its forecast expected.
    forecast: f64,
}

impl Outcome {
    fn fresh(&self) -> f64 {
        (self.reads - self.stale - self.unanswered) as f64 / self.reads.max(1) as f64
    }

    fn summary(&self) -> String {
        format!(
            "{:.4} fresh of {} reads, forecast {:.4}: {} stale, {} unanswered, {} waited for a call; {} calls, at most {} in a \
             window",
            self.fresh(),
            self.reads,
            self.forecast,
            self.stale,
            self.unanswered,
            self.called,
            self.calls,
            self.calls_max,
        )
    }

    fn not_fresh(&self) -> f64 {
        (1.0 - self.fresh()).max(0.5 / self.reads.max(1) as f64)
    }
}

async fn run(scene: Scene, policy: &'static str) -> Outcome {
    let company = Arc::new(Company::new(&scene).await);
    let server = Server::start(&company, &scene, policy).await;
    let began = Instant::now();
    let (measures_at, ends_at) = (began + scene.warm, began + scene.warm + scene.measured);
    let tally = Arc::new(Tally::default());
    let play = {
        let company = Arc::clone(&company);
        tokio::spawn(async move { company.sim.play(&company.script).await })
    };
    let forecast = {
        // By what was learned before anything is measured.
        let address = server.address;
        tokio::spawn(async move {
            sleep_until(measures_at).await;
            let reply = send_to(address, "GET", "/v1/instances/psa/forecast", &[], None).await;
            let forecast = reply.json();
            println!("{policy}: {}", forecast["warnings"]);
            let rows = forecast["rows"].as_array().cloned().unwrap_or_default();
            let row = rows.iter().find(|row| {
                row["resource"] == "all" && row["budget"] == "present" && row["policy"] == policy
            });
            row.and_then(|row| row["fresh"].as_f64()).unwrap_or(-1.0)
        })
    };
    let wiretap = company.sim.wiretap();
    let mut rng = StdRng::seed_from_u64(scene.seed ^ 0x5eed);
    let (mut total, mut sums) = (0.0, Vec::new());
    for item in &company.items {
        total += item.reads;
        sums.push(total);
    }
    let mut reads = JoinSet::new();
    let mut at = began;
    let mut is_cleared = false;
    loop {
        at += Duration::from_secs_f64(-(1.0 - rng.random::<f64>()).ln() / total);
        if at >= ends_at {
            break;
        }
        let place = sums.partition_point(|sum| *sum < rng.random::<f64>() * total);
        let place = place.min(company.items.len() - 1);
        sleep_until(at).await;
        while reads.try_join_next().is_some() {}
        let counts = at >= measures_at;
        if counts && !is_cleared {
            wiretap.clear();
            is_cleared = true;
        }
        if counts {
            tally.reads.fetch_add(1, Ordering::Relaxed);
        }
        if reads.len() >= READS_AT_ONCE {
            tally
                .unanswered
                .fetch_add(u64::from(counts), Ordering::Relaxed);
            continue;
        }
        let (company, tally) = (Arc::clone(&company), Arc::clone(&tally));
        let address = server.address;
        reads.spawn(async move {
            let item = &company.items[place];
            let before = company.sim.said(&item.subject);
            let path = format!("/v1/records/{}", item.path);
            let answered = timeout(PATIENCE, send_to(address, "GET", &path, &[], None)).await;
            let after = company.sim.said(&item.subject);
            let Ok(reply) = answered else {
                tally
                    .unanswered
                    .fetch_add(u64::from(counts), Ordering::Relaxed);
                return;
            };
            let to = if reply.status == 200 {
                let answer = reply.json();
                let called = answer["source"] == "upstream";
                tally
                    .called
                    .fetch_add(u64::from(counts && called), Ordering::Relaxed);
                let said = item.said(&answer);
                if said == before || said == after {
                    &tally.fresh
                } else {
                    &tally.stale
                }
            } else {
                &tally.unanswered
            };
            to.fetch_add(u64::from(counts), Ordering::Relaxed);
        });
    }
    while reads.join_next().await.is_some() {}
    let calls = wiretap.len();
    let window = Duration::from_secs_f64(60.0 / scene.haste);
    let calls_max = wiretap.max_in_window(true, window);
    play.abort();
    let explained = explain(&server, &company);
    println!("{policy}: {explained}");
    assert!(explained.contains("changes"), "{explained}");
    let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
    Outcome {
        reads: of(&tally.reads),
        stale: of(&tally.stale),
        unanswered: of(&tally.unanswered),
        called: of(&tally.called),
        calls,
        calls_max,
        forecast: forecast.await.unwrap(),
    }
}

/// Why the record that is read most was or was not fetched last, as the command says it.
fn explain(server: &Server, company: &Company) -> String {
    let reads = |item: &&stage::Item| item.reads;
    let most = company.items.iter().filter(|item| item.element.is_none());
    let most = most.max_by(|a, b| reads(a).total_cmp(&reads(b))).unwrap();
    let id = most.path.rsplit('/').next().unwrap();
    let explained = server.asked(&["explain", "connectwise.opportunity", "psa", id]);
    let text = explained["text"].as_str();
    text.expect("it was read").to_owned()
}

async fn both(scene: Scene) -> (Outcome, Outcome) {
    println!("{scene:?}");
    // One after the other: they would take the machine from each other.
    let tiers = run(scene, "tiers").await;
    println!("tiers: {}", tiers.summary());
    let priced = run(scene, "priced").await;
    println!("priced: {}", priced.summary());
    (tiers, priced)
}

/// Repeat with MILLPOND_SEED.
fn seed() -> u64 {
    std::env::var("MILLPOND_SEED").map_or(7, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_server_under_priced_keeps_the_cap_and_answers_what_is_so() {
    let scene = Scene {
        deals: 30,
        haste: 20.0,
        calls: 30,
        reads: 0.5,
        warm: Duration::from_secs(5),
        measured: Duration::from_secs(10),
        seed: seed(),
    };
    println!("{scene:?}");
    let priced = run(scene, "priced").await;
    println!("priced: {}", priced.summary());
    assert!(
        priced.calls_max <= scene.calls as usize,
        "more calls in a window than the cap: {priced:?}"
    );
    // How many are answered in time says how busy this machine is; what they are told does not depend on it.
    let answered = priced.reads - priced.unanswered;
    assert!(priced.stale * 5 <= answered, "{priced:?}");
    assert!((0.0..=1.0).contains(&priced.forecast), "{priced:?}");
}

/// `make bench-freshness-live`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: make bench-freshness-live"]
async fn bench_freshness_live() {
    let minutes = std::env::var("MILLPOND_MINUTES").map_or(2.0, |text| text.parse().unwrap());
    let scene = Scene {
        deals: 60,
        haste: 20.0,
        calls: 30,
        reads: 1.5,
        warm: Duration::from_secs_f64(minutes * 60.0),
        measured: Duration::from_secs_f64(minutes * 60.0),
        seed: seed(),
    };
    let (tiers, priced) = both(scene).await;
    let ratio = tiers.not_fresh() / priced.not_fresh();
    println!("result live_stale_ratio {ratio:.2} ratio");
    println!("result live_fresh_tiers {:.4} share", tiers.fresh());
    println!("result live_fresh_priced {:.4} share", priced.fresh());
    let off = (priced.forecast - priced.fresh()).abs() * 100.0;
    println!("result forecast_error_points {off:.2} points");
    let stale = |outcome: &Outcome| outcome.stale as f64 / outcome.reads as f64;
    println!("result live_stale_answers_tiers {:.4} share", stale(&tiers));
    println!(
        "result live_stale_answers_priced {:.4} share",
        stale(&priced)
    );
    assert!(ratio >= 3.0, "{ratio}");
    assert!(off <= 5.0, "{off}");
}
