use jiff::SignedDuration;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::*;

const BOUNDS: Bounds = Bounds {
    per_cycle_max: 50,
    cooldown: Duration::from_secs(600),
};

type Known = BTreeMap<String, WatchedItem>;

fn minute(n: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap() + SignedDuration::from_mins(n)
}

fn items(range: std::ops::Range<u32>, sum: u32) -> Totals {
    range
        .map(|n| (format!("{n:04}"), vec![sum.to_string()]))
        .collect()
}

/// What the first look does: it knows all and fetches nothing.
fn baseline(totals: &Totals) -> Known {
    let known = |(item, sums): (&String, &Vec<String>)| {
        let known = WatchedItem {
            totals: sums.clone(),
            ..WatchedItem::default()
        };
        (item.clone(), known)
    };
    totals.iter().map(known).collect()
}

/// One look, all of whose fetches succeed. Answers what it fetched.
fn look(known: &mut Known, totals: &Totals, at: Timestamp) -> Vec<String> {
    let choice = choose(known, totals, at, BOUNDS);
    for item in &choice.now {
        let fetched = WatchedItem {
            totals: totals.get(item).cloned().unwrap_or_default(),
            fetched_at: Some(at),
            tried_at: Some(at),
        };
        known.insert(item.clone(), fetched);
    }
    choice.now
}

#[test]
fn b65_exactly_the_changed_records_are_chosen() {
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    for _ in 0..500 {
        let before = items(0..rng.random_range(0..40), 1);
        let known = baseline(&before);
        let mut after = before.clone();
        for _ in 0..rng.random_range(0..10) {
            let item = format!("{:04}", rng.random_range(0..50));
            match rng.random_range(0..3) {
                0 => drop(after.remove(&item)),
                _ => drop(after.insert(item, vec![rng.random_range(1..3).to_string()])),
            }
        }
        let all = before.keys().chain(after.keys());
        let mut expected: Vec<&String> = all
            .filter(|item| before.get(*item) != after.get(*item))
            .collect();
        expected.sort();
        expected.dedup();
        let choice = choose(&known, &after, minute(1), BOUNDS);
        assert_eq!(
            choice.now.iter().collect::<Vec<_>>(),
            expected,
            "seed {seed}"
        );
        assert_eq!((choice.waiting, choice.resting), (0, 0));
        assert_eq!(
            choose(&known, &before, minute(1), BOUNDS),
            Choice::default()
        );
    }
}

#[test]
fn b70_more_changes_than_the_cap_come_over_several_looks_and_none_is_lost() {
    let mut known = baseline(&items(0..300, 1));
    let mut now = items(0..300, 1);
    now.extend(items(100..220, 2));
    let mut seen = Vec::new();
    let counts: Vec<usize> = (1..=4)
        .map(|n| {
            let fetched = look(&mut known, &now, minute(n));
            let count = fetched.len();
            seen.extend(fetched);
            count
        })
        .collect();
    assert_eq!(counts, [50, 50, 20, 0]);
    seen.sort();
    assert_eq!(seen, items(100..220, 2).into_keys().collect::<Vec<_>>());
}

#[test]
fn b71_what_changes_all_the_time_is_fetched_once_per_cooldown_and_the_last_state_wins() {
    let mut known = baseline(&items(0..3, 0));
    let mut fetched_at = Vec::new();
    for n in 1..=60 {
        // It moves every minute until the 55th.
        let mut now = items(0..3, 0);
        now.extend(items(1..2, u32::try_from(n.min(55)).unwrap()));
        if !look(&mut known, &now, minute(n)).is_empty() {
            fetched_at.push(n);
        }
    }
    assert_eq!(fetched_at, [1, 11, 21, 31, 41, 51]);
    let last = items(1..2, 55);
    look(&mut known, &last, minute(61));
    assert_eq!(known["0001"].totals, ["55"], "the state after the cooldown");
}

#[test]
fn records_that_always_change_or_fail_do_not_keep_others_waiting_for_ever() {
    let mut known = baseline(&items(0..1000, 0));
    let mut fetched = std::collections::BTreeSet::new();
    for n in 1..=40 {
        // All change all the time; those below 60 always fail.
        let now = items(0..1000, u32::try_from(n).unwrap());
        let choice = choose(&known, &now, minute(n), BOUNDS);
        for item in choice.now {
            let known = known.get_mut(&item).unwrap();
            known.tried_at = Some(minute(n));
            if item.as_str() >= "0060" {
                known.fetched_at = Some(minute(n));
                known.totals = now[&item].clone();
                fetched.insert(item);
            }
        }
    }
    assert_eq!(
        fetched.len(),
        940,
        "every record that can be fetched had its turn"
    );
}

#[test]
fn a_clock_that_was_set_back_keeps_nobody_waiting() {
    let mut known = baseline(&items(0..1, 0));
    look(&mut known, &items(0..1, 1), minute(100));
    assert_eq!(look(&mut known, &items(0..1, 2), minute(0)).len(), 1);
    assert_eq!(look(&mut known, &items(0..1, 3), minute(1)).len(), 0);
}

#[test]
fn ten_thousand_changes_at_once_come_in_two_hundred_looks_and_each_once() {
    let before = items(0..10_000, 1);
    let after = items(0..10_000, 2);
    let mut known = baseline(&before);
    let mut seen = std::collections::BTreeSet::new();
    for n in 0..200 {
        let chosen = look(&mut known, &after, minute(n));
        assert_eq!(chosen.len(), BOUNDS.per_cycle_max);
        for item in chosen {
            assert!(seen.insert(item), "an item came twice");
        }
    }
    assert_eq!(seen.len(), 10_000);
    assert!(look(&mut known, &after, minute(200)).is_empty());
}
