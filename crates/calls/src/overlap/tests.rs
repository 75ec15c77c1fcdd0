//! Overlaps beside those found by looking at every moment.

use proptest::prelude::*;

use super::*;

struct Seen {
    peak: u32,
    peak_at: i64,
    level_ms: Vec<u64>,
    minutes: BTreeMap<i64, u32>,
    groups: [u32; 3],
}

/// Looks at every moment between two changes: what is under way then?
fn oracle(calls: &[(i64, i64, u8)]) -> Seen {
    let spans: Vec<(i64, i64, u8)> = calls
        .iter()
        .map(|(start, end, group)| (*start, *end.max(&(start + 1)), *group))
        .collect();
    let under_way = |at: i64, group: Option<u8>| {
        let here = spans.iter().filter(|(start, end, of)| {
            *start <= at && at < *end && group.is_none_or(|group| group == *of)
        });
        here.count() as u32
    };
    let mut seen = Seen {
        peak: 0,
        peak_at: 0,
        level_ms: vec![0; LEVELS],
        minutes: BTreeMap::new(),
        groups: [0; 3],
    };
    // Between two of these moments nothing changes.
    let minutes = (-3..5).map(|minute| minute * MINUTE_MS);
    let mut moments: Vec<i64> = spans
        .iter()
        .flat_map(|span| [span.0, span.1])
        .chain(minutes)
        .collect();
    moments.sort_unstable();
    moments.dedup();
    for pair in moments.windows(2) {
        let (at, level) = (pair[0], under_way(pair[0], None));
        if level > seen.peak {
            (seen.peak, seen.peak_at) = (level, at);
        }
        if level > 0 {
            seen.level_ms[(level as usize).min(LEVELS - 1)] += (pair[1] - at) as u64;
        }
        let minute = seen.minutes.entry(at.div_euclid(MINUTE_MS)).or_default();
        *minute = (*minute).max(level);
        for group in 0..3 {
            seen.groups[group as usize] =
                seen.groups[group as usize].max(under_way(at, Some(group)));
        }
    }
    seen
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn overlaps_are_those_of_every_moment_whatever_the_order(
        calls in prop::collection::vec((-70_000i64..130_000, prop_oneof![0i64..3, 0i64..900, 0i64..100_000], 0u8..3), 1..60),
    ) {
        let calls: Vec<_> = calls.into_iter().map(|(start, ms, group)| (start, start + ms, group)).collect();
        let seen = oracle(&calls);
        let (mut overlap, mut timeline) = (Overlap::default(), Timeline::default());
        for (start, end, group) in &calls {
            overlap.add(*start, *end, *group, &mut timeline);
        }
        overlap.sweep_to(i64::MAX, &mut timeline);
        prop_assert_eq!((overlap.peak, overlap.peak_at_ms), (seen.peak, seen.peak_at));
        prop_assert_eq!(overlap.level_ms.to_vec(), seen.level_ms);
        prop_assert_eq!(overlap.level, 0);
        for (group, peak) in seen.groups.iter().enumerate() {
            prop_assert_eq!(overlap.groups[group].peak, *peak);
        }
        for (minute, peak) in timeline.peaks(-3, 4) {
            prop_assert_eq!(peak, seen.minutes[&minute], "minute {}", minute);
        }
    }

    #[test]
    fn sweeping_early_changes_nothing_in_a_log_that_is_nearly_in_order(
        gaps in prop::collection::vec((0i64..9_000, 0i64..40_000, 0u8..3), 50..200),
    ) {
        let mut at = 0;
        let mut calls: Vec<_> = gaps.into_iter().map(|(gap, ms, group)| { at += gap; (at, at + ms, group) }).collect();
        calls.sort_by_key(|call| call.1);
        let run = |edges_max| {
            let (mut overlap, mut timeline) = (Overlap::new(edges_max), Timeline::default());
            for (start, end, group) in &calls {
                overlap.add(*start, *end, *group, &mut timeline);
            }
            overlap.sweep_to(i64::MAX, &mut timeline);
            let peaks = timeline.peaks(0, 60);
            (overlap.peak, overlap.peak_at_ms, overlap.level_ms, peaks, overlap.restarts, overlap.clipped)
        };
        let whole = run(EDGES_MAX);
        prop_assert_eq!(run(120), whole);
    }
}

#[test]
fn a_log_behind_a_log_is_swept_anew() {
    let (mut overlap, mut timeline) = (Overlap::new(100), Timeline::default());
    for _ in 0..2 {
        for n in 0..500 {
            overlap.add(n * 20_000, n * 20_000 + 30_000, 0, &mut timeline);
        }
    }
    overlap.sweep_to(i64::MAX, &mut timeline);
    assert_eq!((overlap.peak, overlap.restarts, overlap.level), (2, 1, 0));
}

#[test]
fn a_crowded_minute_stays_small() {
    let (mut overlap, mut timeline) = (Overlap::new(1_000), Timeline::default());
    for n in 0..600_000 {
        overlap.add(n % 100, n % 100 + 50, 0, &mut timeline);
    }
    assert!(overlap.waiting < 2 * FOLD_AT, "{}", overlap.waiting);
    overlap.sweep_to(i64::MAX, &mut timeline);
    assert_eq!(overlap.peak, 300_000);
}
