//! Real processes, really killed in the middle of an apply: another goes on at the right step, and nothing is there
//! twice.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use simulators::cin7::FaultPlan;

use super::{
    fire::{Bench, Job, STEPS},
    shop::{POLL, config, variables},
};

/// How long the killed process may take to come to its write.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts `millpond orders apply`, and kills it while the write number `at` is on its way.
async fn killed_in_write(bench: &Bench, job: &Job, at: usize, faults: FaultPlan, what: &str) {
    let shop = &bench.shop;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("millpond.toml");
    std::fs::write(&file, config(&shop.sim).replace("\"2s\"", "\"30s\"")).unwrap();
    shop.sim.wiretap().clear();
    shop.sim.faults().set(faults);
    let mut process = Command::new(env!("CARGO_BIN_EXE_millpond"))
        .arg("--config")
        .arg(&file)
        .args(["orders", "apply", &job.plan.to_string()])
        .env_clear()
        .env("DATABASE_URL", shop.database.url())
        .envs(variables(&shop.sim))
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while shop.writes().len() < at {
        let is_alive = process.try_wait().unwrap().is_none();
        assert!(
            is_alive && began.elapsed() < PATIENCE,
            "{what}: it never came to its write"
        );
        tokio::time::sleep(POLL).await;
    }
    process.kill().unwrap(); // SIGKILL
    process.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a51_an_apply_that_is_killed_in_any_step_goes_on_there_and_writes_everything_once() {
    let bench = Bench::new().await;
    for (at, step) in STEPS.iter().enumerate() {
        for is_after in [false, true] {
            let only = FaultPlan {
                only_write: Some(at as u64 + 1),
                ..FaultPlan::default()
            };
            // Killed before upstream did anything, and after it did all: the killed process cannot know which.
            let (when, faults) = match is_after {
                false => (
                    "before",
                    FaultPlan {
                        slow_every: Some((1, 120_000)),
                        ..only
                    },
                ),
                true => (
                    "after",
                    FaultPlan {
                        hold_every: Some((1, 120_000)),
                        ..only
                    },
                ),
            };
            let what = format!("killed {when} the work of {step}");
            let before = bench.assembly_count();
            let job = bench.job().await;
            killed_in_write(&bench, &job, at + 1, faults, &what).await;
            bench.shop.sim.faults().clear();
            let left = bench.shop.orders.show(job.plan).await.unwrap();
            assert_eq!(left.row.state, "applying", "{what}");
            let steps = &left.shipments[0].steps;
            assert_eq!(
                (steps.len(), steps[at].state.as_str()),
                (at + 1, Some("sent")),
                "{what}"
            );

            bench.shop.sim.wiretap().clear();
            let view = bench.insist(job.plan).await;
            assert_eq!(view.row.state, "done", "{what}: {:#?}", view.shipments);
            bench.written_once(&job, before, &what);
            let repeated = usize::from(!is_after);
            let writes = bench.shop.writes();
            assert_eq!(
                writes.len(),
                STEPS.len() - at - 1 + repeated,
                "{what}: {writes:?}"
            );
            bench.clear_away(&job).await;
        }
    }
}
