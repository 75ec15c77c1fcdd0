use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{AgeHazard, BRACKETS, bracket_of, bracket_start};

#[test]
fn brackets_double_and_the_last_is_open() {
    assert_eq!(
        [0.0, 59.9, 60.0, 119.9, 120.0, 3_840.0].map(bracket_of),
        [0, 0, 1, 1, 2, 7]
    );
    assert_eq!(bracket_of(1e12), BRACKETS - 1);
    for bracket in 1..BRACKETS {
        assert_eq!(bracket_of(bracket_start(bracket)), bracket);
        assert_eq!(bracket_of(bracket_start(bracket) - 1e-6), bracket - 1);
    }
}

#[test]
fn operational_time_is_plain_time_as_long_as_nothing_is_known() {
    let hazard = AgeHazard::flat();
    for age in [0.0, 30.0, 60.0, 100.0, 5_000.0, 1e7] {
        assert!(
            (hazard.operational(age) - age).abs() < 1e-6 * (1.0 + age),
            "{age}"
        );
        assert_eq!(hazard.at(age).0, 1.0);
    }
}

/// Multipliers learned from a record fetched every `every` seconds, whose gaps between changes `gap` draws.
fn learn(every: f64, rate: f64, mut gap: impl FnMut(&mut StdRng) -> f64) -> AgeHazard {
    let mut random = StdRng::seed_from_u64(7);
    let mut hazard = AgeHazard::flat();
    let (mut last, mut next) = (0.0, gap(&mut random));
    let mut now = 0.0;
    for fetch in 0..400_000 {
        let age = now - last;
        now += every;
        let known = last;
        while next <= now {
            last = next;
            next += gap(&mut random).max(1e-3);
        }
        if last > known {
            hazard.changed(age, last - known, rate);
            hazard.unchanged(0.0, now - last, rate);
        } else {
            hazard.unchanged(age, age + every, rate);
        }
        if fetch % 1_000 == 0 {
            hazard.refresh();
        }
    }
    hazard.refresh();
    hazard
}

#[test]
fn independent_changes_teach_that_age_does_not_matter() {
    let rate = 1.0 / 1_000.0;
    let hazard = learn(200.0, rate, |random| {
        -(1.0 - random.random::<f64>()).ln() / rate
    });
    for age in [100.0, 300.0, 1_000.0, 3_000.0] {
        let (multiplier, _) = hazard.at(age);
        assert!(
            (0.75..1.25).contains(&multiplier),
            "{multiplier} at {age} s"
        );
    }
}

#[test]
fn bursts_teach_that_a_change_brings_another() {
    // Nine changes a minute or two apart, then half a day of rest.
    let mut count = 0;
    let hazard = learn(60.0, 1.0 / 5_000.0, |random| {
        count += 1;
        if count % 10 == 0 {
            43_200.0
        } else {
            60.0 + 60.0 * random.random::<f64>()
        }
    });
    assert!(hazard.at(90.0).0 > 5.0, "{:?}", hazard.at(90.0));
    assert!(hazard.at(10_000.0).0 < 0.5, "{:?}", hazard.at(10_000.0));
}
