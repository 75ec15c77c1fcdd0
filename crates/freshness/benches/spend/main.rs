//! How fresh the same calls keep a company's records, by policy: `make bench-freshness`.
//!
//! Records change and are read by chance; a policy is told of reads and of what its own fetches show, and never of the rest.
//! All policies meet the same worlds and the same cap. Ends with lines `result NAME VALUE UNIT`, and fails when a target is
//! missed. Names of workloads and `--seeds N` may follow.

mod bound;
mod policies;
mod report;
mod run;
mod workload;

use std::error::Error;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use freshness::Policy;

use policies::{AtDesk, FullPass};
use report::Entry;
use run::{Outcome, Spender, run};
use workload::{HOUR, KINDS, Kind, World};

/// Learning, then measuring, in seconds.
const WARM: f64 = 12.0 * HOUR;
const END: f64 = 24.0 * HOUR;
const SEEDS: u64 = 5;
/// The most by which a forecast of the share of fresh reads may be off.
const FORECAST_ERROR_MAX: f64 = 0.05;

const POLICIES: [&str; 5] = [
    "full pass",
    "tiers",
    "optimal",
    "priced, never waits",
    "priced",
];

fn main() -> Result<(), Box<dyn Error>> {
    let (kinds, seeds) = arguments()?;
    let worlds: Vec<(Kind, u64)> = kinds
        .iter()
        .flat_map(|kind| (1..=seeds).map(|seed| (*kind, seed)))
        .collect();
    let taken = AtomicUsize::new(0);
    let outcomes: Mutex<Vec<(usize, usize, Outcome)>> = Mutex::default();
    let bounds: Mutex<Vec<(usize, f64)>> = Mutex::default();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((kind, seed)) = worlds.get(taken.fetch_add(1, Ordering::Relaxed)) {
                    let kind_index = kinds
                        .iter()
                        .position(|other| other.name == kind.name)
                        .unwrap_or(0);
                    // A full pass takes as many seconds as there are records, at a call a second.
                    let world = World::draw(kind, *seed, END, kind.records as f64);
                    let changes = world.changes_between(WARM, END) as f64 / ((END - WARM) / 60.0);
                    println!("{} seed {seed}: {changes:.1} changes/min", kind.name);
                    if kind.burst_every == 0.0 {
                        push(&bounds, (kind_index, bound::fresh_at_read(&world)));
                    }
                    for policy in 0..POLICIES.len() {
                        let mut spender = spender(policy, kind, &world);
                        let outcome = run(kind, &world, WARM, END, spender.as_mut());
                        push(&outcomes, (kind_index, policy, outcome));
                    }
                }
            });
        }
    });
    let outcomes = outcomes.into_inner()?;
    let bounds = bounds.into_inner()?;
    let mut entries = Vec::new();
    for (kind_index, kind) in kinds.iter().enumerate() {
        for (policy, name) in POLICIES.iter().enumerate() {
            let of_this = outcomes
                .iter()
                .filter(|(kind, other, _)| (*kind, *other) == (kind_index, policy));
            let outcomes = of_this.map(|(_, _, outcome)| outcome.clone()).collect();
            entries.push(Entry {
                workload: kind.name,
                policy: name,
                outcomes,
            });
        }
    }
    let bounds = mean_bounds(&kinds, &bounds);
    println!("\n{}", report::table(&entries, &bounds));
    let page = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench-freshness.html");
    std::fs::write(&page, report::page(&entries))?;
    println!("plot: {}\n", page.display());
    results(&kinds, &entries)
}

fn arguments() -> Result<(Vec<Kind>, u64), Box<dyn Error>> {
    let mut names = Vec::new();
    let mut seeds = SEEDS;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seeds" => seeds = arguments.next().ok_or("--seeds needs a number")?.parse()?,
            // What cargo adds.
            "--bench" => {}
            name => names.push(name.to_owned()),
        }
    }
    let known: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    if let Some(stranger) = names.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(format!(
            "there is no workload `{stranger}`; there are {}",
            known.join(", ")
        )
        .into());
    }
    let kinds = KINDS
        .into_iter()
        .filter(|kind| names.is_empty() || names.iter().any(|name| name == kind.name))
        .collect();
    Ok((kinds, seeds.max(1)))
}

fn push<T>(list: &Mutex<Vec<T>>, item: T) {
    list.lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .push(item);
}

fn spender(policy: usize, kind: &Kind, world: &World) -> Box<dyn Spender> {
    match policy {
        0 => Box::new(FullPass::new(kind)),
        1 => Box::new(AtDesk::new(kind, world, Policy::Tiers, true)),
        2 => Box::new(AtDesk::new(kind, world, Policy::Optimal, true)),
        3 => Box::new(AtDesk::new(kind, world, Policy::Priced, false)),
        _ => Box::new(AtDesk::new(kind, world, Policy::Priced, true)),
    }
}

fn mean_bounds(kinds: &[Kind], bounds: &[(usize, f64)]) -> Vec<(&'static str, f64)> {
    let mut means = Vec::new();
    for (index, kind) in kinds.iter().enumerate() {
        let of_this: Vec<f64> = bounds
            .iter()
            .filter(|(kind, _)| *kind == index)
            .map(|(_, bound)| *bound)
            .collect();
        if !of_this.is_empty() {
            means.push((
                kind.name,
                of_this.iter().sum::<f64>() / of_this.len() as f64,
            ));
        }
    }
    means
}

/// Prints the lines for programs, and fails when a target is missed.
fn results(kinds: &[Kind], entries: &[Entry]) -> Result<(), Box<dyn Error>> {
    let mut missed = Vec::new();
    let mut decision_us: f64 = 0.0;
    for kind in kinds {
        let entry = |policy: &str| {
            let found = entries
                .iter()
                .find(|entry| entry.workload == kind.name && entry.policy == policy);
            found.ok_or_else(|| format!("{policy} did not run on {}", kind.name))
        };
        let (tiers, priced) = (entry("tiers")?, entry("priced")?);
        let fresh = |entry: &Entry| entry.mean(|outcome| outcome.fresh);
        println!(
            "result fresh_{}_priced {:.4} share",
            kind.name,
            fresh(priced)
        );
        println!("result fresh_{}_tiers {:.4} share", kind.name, fresh(tiers));
        decision_us = decision_us.max(priced.mean(|outcome| outcome.decision_us));
        let target = match kind.name {
            "crm" => 0.985,
            "busy" => 0.72,
            _ => 0.0,
        };
        let mut must = |holds: bool, what: String| {
            if !holds {
                missed.push(format!("{}: {what}", kind.name));
            }
        };
        must(fresh(priced) >= target, format!("priced is below {target}"));
        must(
            fresh(priced) >= fresh(tiers),
            "priced is worse than tiers".to_owned(),
        );
        for policy in POLICIES {
            let entry = entry(policy)?;
            let most = entry.worst(|outcome| f64::from(outcome.calls_max));
            must(
                most <= f64::from(run::CALLS_PER_MINUTE),
                format!("{policy} made {most} calls in a minute"),
            );
        }
        let off = priced.forecast_error().unwrap_or(1.0);
        println!("result forecast_{}_error {off:.4} share", kind.name);
        must(
            off <= FORECAST_ERROR_MAX,
            format!("the forecast is off by {off:.3}"),
        );
        let oldest = priced.worst(|outcome| outcome.age_max);
        must(
            oldest <= kind.max_age,
            format!(
                "a copy grew {oldest:.0} s old, {:.0} s are promised",
                kind.max_age
            ),
        );
    }
    println!("result decision_us {decision_us:.2} us");
    if missed.is_empty() {
        Ok(())
    } else {
        Err(missed.join("; ").into())
    }
}
