use crate::age_hazard::{AgeHazard, BRACKETS};
use crate::change_rate::ChangeRate;

use super::Staleness;

/// A rate that is as good as known, in changes per second.
fn known(hazard: &AgeHazard, rate: f64) -> Staleness<'_> {
    let rate = ChangeRate::from_parts(1e6, (1e6 / rate) as f32).expect("a rate");
    Staleness::new(hazard, rate, 0.0)
}

#[test]
fn with_a_known_rate_the_worth_is_that_of_the_books() {
    let hazard = AgeHazard::flat();
    for rate in [1e-5, 1e-3, 0.02] {
        for after in [1.0, 50.0, 1_000.0, 40_000.0] {
            let x = rate * after;
            let worth = known(&hazard, rate).worth(after);
            assert!(
                (worth.stale - (1.0 - f64::exp(-x))).abs() < 1e-4,
                "stale, x {x}"
            );
            let saved = (1.0 - f64::exp(-x) * (1.0 + x)) / rate;
            assert!(
                (worth.saved - saved).abs() <= 2e-3 * saved + 1e-3,
                "saved {} {saved}",
                worth.saved
            );
        }
    }
}

#[test]
fn little_knowledge_makes_careful() {
    // The same mean rate, from one event and from a thousand.
    let hazard = AgeHazard::flat();
    let stale = |events: f32| {
        let rate = ChangeRate::from_parts(events, events * 1_000.0).expect("a rate");
        Staleness::new(&hazard, rate, 0.0).worth(3_000.0).stale
    };
    assert!((stale(1_000.0) - 0.95).abs() < 0.01);
    assert!((stale(1.0) - 0.75).abs() < 0.01);
}

#[test]
fn a_due_time_is_where_the_worth_is_reached() {
    let mut seen = [(0.0, 0.0); BRACKETS];
    seen[0] = (500.0, 20.0);
    seen[6] = (5.0, 300.0);
    let bursty = AgeHazard::from_seen(seen);
    for hazard in [AgeHazard::flat(), bursty] {
        for (events, exposure) in [(0.5, 86_400.0), (1.0, 500.0), (30.0, 40_000.0)] {
            let rate = ChangeRate::from_parts(events, exposure).expect("a rate");
            let staleness = Staleness::new(&hazard, rate, 40.0);
            for wanted in [1.0, 60.0, 900.0] {
                let Some(due) = staleness.due(wanted, 1e6) else {
                    assert!(staleness.worth(1e6).saved < wanted);
                    continue;
                };
                let saved = staleness.worth(due).saved;
                assert!(
                    (saved / wanted - 1.0).abs() < 0.1,
                    "{saved} at {due} s instead of {wanted}"
                );
                assert!(staleness.worth(due * 0.9).saved < wanted);
            }
        }
    }
}

#[test]
fn the_worth_never_falls_while_a_copy_ages() {
    let mut seen = [(0.0, 0.0); BRACKETS];
    seen[2] = (900.0, 10.0);
    seen[9] = (0.0, 900.0);
    let hazard = AgeHazard::from_seen(seen);
    let staleness = Staleness::new(&hazard, ChangeRate::unknown(), 10.0);
    let mut before = staleness.worth(0.0);
    for step in 1..2_000 {
        let worth = staleness.worth(f64::from(step) * 37.0);
        assert!(worth.stale >= before.stale - 1e-9 && worth.saved >= before.saved - 1e-6);
        assert!((0.0..=1.0).contains(&worth.stale) && worth.saved.is_finite());
        before = worth;
    }
}
