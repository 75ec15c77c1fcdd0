use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{
    Decision, Desk, Policy, RECORD_BYTES, Reason, RecordState, Seen, SharedState, Slot, StateError,
};
use crate::price::Allowance;

const HOUR: Duration = Duration::from_secs(3_600);

fn start() -> Timestamp {
    "2026-03-01T10:00:00Z".parse().expect("a time")
}

fn after(seconds: f64) -> Timestamp {
    start() + SignedDuration::from_millis((seconds * 1_000.0) as i64)
}

fn free(free: u32) -> Allowance {
    Allowance {
        limit: 60,
        window: Duration::from_secs(60),
        free,
    }
}

/// A desk with `count` records fetched at the start, and never seen changing for a day.
fn desk(policy: Policy, count: u32) -> (Desk, Vec<Slot>) {
    let mut desk = Desk::new(policy, start());
    let day_before = after(-86_400.0);
    let slots = (0..count)
        .map(|_| desk.add(start(), Some(day_before), HOUR))
        .collect();
    (desk, slots)
}

#[test]
fn what_changes_often_is_fetched_for_a_reader_and_what_rests_is_not() {
    let (mut desk, slots) = desk(Policy::Priced, 2);
    let mut now = 0.0;
    for fetch in 0..200 {
        now += 60.0;
        desk.fetched(slots[0], after(now), Seen::ChangedAt(after(now - 20.0)));
        desk.fetched(slots[1], after(now), Seen::Unchanged);
        assert_eq!(
            desk.read(slots[0], after(now), &free(3), true),
            Decision::Serve,
            "{fetch}"
        );
    }
    now += 60.0;
    assert_eq!(
        desk.read(slots[0], after(now), &free(3), true),
        Decision::RefreshFirst
    );
    assert_eq!(
        desk.read(slots[1], after(now), &free(3), true),
        Decision::Serve
    );
}

#[test]
fn a_reader_who_cannot_wait_is_never_made_to() {
    let (mut desk, slots) = desk(Policy::Priced, 1);
    desk.told_changed(slots[0]);
    assert_eq!(
        desk.read(slots[0], after(60.0), &free(30), false),
        Decision::ServeThenRefresh
    );
    // The call is under way: one who may wait joins it.
    assert_eq!(
        desk.read(slots[0], after(60.1), &free(29), false),
        Decision::Serve
    );
    assert_eq!(
        desk.read(slots[0], after(60.1), &free(29), true),
        Decision::RefreshFirst
    );
}

#[test]
fn without_free_calls_nothing_is_fetched() {
    for policy in [Policy::Tiers, Policy::Optimal, Policy::Priced] {
        let (mut desk, slots) = desk(policy, 5);
        let nothing = Allowance {
            limit: 0,
            window: Duration::from_secs(60),
            free: 0,
        };
        for allowance in [free(0), nothing] {
            for minute in 1..3_000 {
                let now = after(f64::from(minute) * 60.0);
                assert_eq!(desk.next(now, &allowance), None);
                assert_eq!(desk.read(slots[0], now, &allowance, true), Decision::Serve);
            }
        }
        let reason = desk.explain(slots[0], after(200_000.0), &nothing).reason;
        assert_eq!(reason, Reason::NoCalls);
    }
}

#[test]
fn tiers_go_by_the_lifetime_alone() {
    let (mut desk, slots) = desk(Policy::Tiers, 1);
    desk.set_lifetime(slots[0], Some(Duration::from_secs(30)));
    assert_eq!(
        desk.read(slots[0], after(29.8), &free(60), true),
        Decision::Serve
    );
    assert_eq!(
        desk.read(slots[0], after(30.0), &free(60), true),
        Decision::RefreshFirst
    );
    desk.failed(slots[0]);
    assert_eq!(
        desk.read(slots[0], after(30.0), &free(60), false),
        Decision::ServeThenRefresh
    );
}

/// Runs background work alone: one call a second under a limit of 60 a minute, `seen` says what each fetch shows.
/// Gives how long every record went unfetched at most, in seconds.
fn background(
    desk: &mut Desk,
    count: u32,
    seconds: u32,
    mut seen: impl FnMut(u32, f64) -> Seen,
) -> Vec<f64> {
    let mut fetched = vec![0.0; count as usize];
    let mut oldest = vec![0.0_f64; count as usize];
    for second in 1..=seconds {
        let now = f64::from(second);
        if let Some(slot) = desk.next(after(now), &free(1)) {
            let index = slot.number() as usize;
            oldest[index] = oldest[index].max(now - fetched[index]);
            fetched[index] = now;
            desk.fetched(slot, after(now), seen(slot.number(), now));
        }
    }
    for (oldest, fetched) in oldest.iter_mut().zip(&fetched) {
        *oldest = oldest.max(f64::from(seconds) - fetched);
    }
    oldest
}

#[test]
fn no_record_grows_older_than_promised_although_all_came_in_at_once() {
    for policy in [Policy::Tiers, Policy::Optimal, Policy::Priced] {
        let (mut desk, slots) = desk(policy, 500);
        for slot in &slots {
            desk.set_lifetime(*slot, Some(Duration::from_secs(864_000)));
        }
        let oldest = background(&mut desk, 500, 20_000, |_, _| Seen::Unchanged);
        let worst = oldest.iter().copied().fold(0.0, f64::max);
        assert!(worst <= 3_600.0, "{policy:?}: {worst} s");
    }
}

#[test]
fn promises_that_cannot_be_kept_take_no_more_than_their_share() {
    // 20,000 records in an hour are 333 a minute.
    let (mut desk, _) = desk(Policy::Priced, 20_000);
    let mut calls = 0;
    for second in 1..7_200 {
        let now = after(f64::from(second));
        if let Some(slot) = desk.next(now, &free(1)) {
            calls += 1;
            desk.fetched(slot, now, Seen::Unchanged);
        }
    }
    assert!((2_000..=3_700).contains(&calls), "{calls}");
}

#[test]
fn when_everything_changes_at_once_the_most_read_come_first() {
    let (mut desk, slots) = desk(Policy::Optimal, 100);
    for second in 0..600 {
        let slot = slots[(second % 10) as usize];
        desk.read(slot, after(f64::from(second)), &free(0), true);
    }
    for slot in &slots {
        desk.told_changed(*slot);
    }
    let mut first = Vec::new();
    for call in 0..10 {
        let slot = desk
            .next(after(601.0 + f64::from(call)), &free(5))
            .expect("a record");
        first.push(slot.number());
    }
    first.sort_unstable();
    assert!(
        first.iter().filter(|number| **number < 10).count() >= 7,
        "{first:?}"
    );
}

#[test]
fn odd_clocks_and_stamps_leave_all_numbers_sound() {
    for policy in [Policy::Tiers, Policy::Optimal, Policy::Priced] {
        let (mut desk, slots) = desk(policy, 20);
        let odd = [0.0, 50.0, -1e9, 1e9, 60.0, 3e10, 1e8, 70.0];
        for (step, now) in odd.iter().cycle().take(400).enumerate() {
            let slot = slots[step % slots.len()];
            let seen = match step % 4 {
                0 => Seen::ChangedAt(after(now + 1e9)),
                1 => Seen::ChangedAt(Timestamp::MIN),
                2 => Seen::Changed,
                _ => Seen::Unchanged,
            };
            desk.read(slot, after(*now), &free(20), true);
            desk.fetched(slot, after(*now), seen);
            desk.next(after(*now), &free(40))
                .into_iter()
                .for_each(|slot| desk.failed(slot));
            let said = desk.explain(slot, after(*now), &free(20));
            let numbers = [
                said.changes_per_day,
                said.changes_seen,
                said.reads_per_hour,
                said.stale,
                said.saves,
                said.price,
            ];
            assert!(
                numbers
                    .iter()
                    .all(|number| number.is_finite() && *number >= 0.0),
                "{said:?}"
            );
        }
    }
}

#[test]
fn a_record_read_a_million_times_an_hour_stays_sound() {
    let (mut desk, slots) = desk(Policy::Priced, 1);
    for read in 0..1_000_000_u32 {
        let now = after(f64::from(read) * 0.0036);
        if desk.read(slots[0], now, &free(30), true) != Decision::Serve {
            desk.fetched(slots[0], now, Seen::Unchanged);
        }
    }
    let said = desk.explain(slots[0], after(3_600.0), &free(30));
    assert!(
        (200_000.0..2_000_000.0).contains(&said.reads_per_hour),
        "{}",
        said.reads_per_hour
    );
}

#[test]
fn nothing_ever_changing_leaves_calls_unused_or_spent_on_promises() {
    let (mut desk, _) = desk(Policy::Optimal, 10);
    background(&mut desk, 10, 20_000, |_, _| Seen::Unchanged);
    let said = desk.explain(Slot(3), after(20_001.0), &free(1));
    assert!(said.changes_per_day < 1.5, "{}", said.changes_per_day);
}

#[test]
fn one_observation_is_enough_to_go_by() {
    let mut desk = Desk::new(Policy::Priced, start());
    let rate = |desk: &Desk, slot| desk.explain(slot, start(), &free(9)).changes_per_day;
    let recent = desk.add(start(), Some(after(-60.0)), HOUR);
    let old = desk.add(start(), Some(after(-90.0 * 86_400.0)), HOUR);
    let unknown = desk.add(start(), None, HOUR);
    assert!(rate(&desk, recent) > 20.0 * rate(&desk, old));
    assert!((0.8..1.6).contains(&rate(&desk, unknown)));
}

#[test]
fn without_stamps_the_rate_is_learned_from_changed_or_not() {
    let (mut desk, slots) = desk(Policy::Priced, 1);
    // Changes once in 1,000 s on average, regularly; fetched every 500 s.
    for fetch in 1..400 {
        let seen = if fetch % 2 == 0 {
            Seen::Changed
        } else {
            Seen::Unchanged
        };
        desk.fetched(slots[0], after(f64::from(fetch) * 500.0), seen);
    }
    let (events, exposure) = desk.records[0].rate.parts();
    let per_second = f64::from(events / exposure);
    assert!((0.5e-3..2.5e-3).contains(&per_second), "{per_second}");
}

#[test]
fn what_was_learned_survives_a_restart() {
    let (mut desk, slots) = desk(Policy::Priced, 3);
    for minute in 1..500 {
        let now = after(f64::from(minute) * 60.0);
        desk.read(slots[1], now, &free(2), true);
        desk.fetched(
            slots[1],
            now,
            Seen::ChangedAt(now - SignedDuration::from_secs(10)),
        );
    }
    let now = after(500.0 * 60.0);
    let before = desk.explain(slots[1], now, &free(2));
    let shared = SharedState::from_bytes(desk.save_shared(now).as_bytes()).expect("sound");
    let record = RecordState::from_bytes(desk.save(slots[1]).as_bytes()).expect("sound");
    let mut resumed = Desk::resume(Policy::Priced, now, &shared);
    let slot = resumed.restore(&record, HOUR);
    let again = resumed.explain(slot, now, &free(2));
    assert_eq!((before.reason, before.age), (again.reason, again.age));
    for (before, again) in [
        (before.changes_per_day, again.changes_per_day),
        (before.reads_per_hour, again.reads_per_hour),
        (before.stale, again.stale),
        (before.price, again.price),
    ] {
        assert!((before / again - 1.0).abs() < 0.05, "{before} {again}");
    }
}

#[test]
fn damaged_states_are_refused() {
    let (desk, slots) = desk(Policy::Priced, 1);
    let sound = desk.save(slots[0]).as_bytes().to_vec();
    assert_eq!(sound.len(), RecordState::BYTES);
    assert_eq!(
        RecordState::from_bytes(&sound[1..]),
        Err(StateError::Length(RecordState::BYTES - 1))
    );
    let mut other_version = sound.clone();
    other_version[0] = 9;
    let mut nonsense = sound.clone();
    nonsense[9..13].copy_from_slice(&f32::NAN.to_le_bytes());
    for bad in [other_version, nonsense] {
        assert_eq!(RecordState::from_bytes(&bad), Err(StateError::Damaged));
    }
    assert_eq!(SharedState::from_bytes(&[]), Err(StateError::Length(0)));
}

#[test]
fn removed_records_are_never_chosen_and_their_slots_are_used_again() {
    let (mut desk, slots) = desk(Policy::Optimal, 3);
    desk.remove(slots[1]);
    desk.remove(slots[1]);
    assert_eq!(desk.len(), 2);
    let oldest = background(&mut desk, 3, 5_000, |_, _| Seen::Unchanged);
    assert_eq!(oldest[1], 5_000.0);
    assert_eq!(desk.add(after(5_000.0), None, HOUR), slots[1]);
    assert_eq!(desk.len(), 3);
}

#[test]
fn a_million_new_records_take_the_bytes_that_are_stated() {
    let count = 1_000_000;
    let (desk, _) = desk(Policy::Priced, count);
    assert_eq!(desk.len(), count as usize);
    let per_record = desk.bytes() / count as usize;
    println!("{per_record} bytes a record");
    assert!(per_record <= 2 * RECORD_BYTES, "{per_record}");
    let tight = size_of::<super::Record>() + 2 * (size_of::<(u32, u32)>() + size_of::<u32>());
    assert!(tight <= RECORD_BYTES, "{tight}");
}

#[test]
fn a_record_s_story_reads_as_a_sentence() {
    let (mut desk, slots) = desk(Policy::Priced, 1);
    for minute in 1..100 {
        let now = after(f64::from(minute) * 60.0);
        desk.read(slots[0], now, &free(2), true);
        desk.fetched(
            slots[0],
            now,
            Seen::ChangedAt(now - SignedDuration::from_secs(30)),
        );
    }
    let said = desk.explain(slots[0], after(6_000.0), &free(2)).to_string();
    insta::assert_snapshot!(said, @"is fetched for the next reader: that saves more than a call costs now; fetched 60 s ago, read 49 an hour, changes 87 a day (60.0 seen), 14 % likely stale; a call saves 0.2 stale reads at a price of 0.1; due in the background in 80 s, promised within 59 min");
}

#[test]
fn a_forecast_grows_with_the_budget_and_tells_what_promises_need() {
    let (mut desk, slots) = desk(Policy::Priced, 400);
    for minute in 1..600_u32 {
        let slot = slots[(minute * minute % 400) as usize];
        let now = after(f64::from(minute) * 60.0);
        desk.read(slot, now, &free(0), true);
        desk.fetched(
            slot,
            now,
            Seen::ChangedAt(now - SignedDuration::from_secs(120)),
        );
    }
    for slot in &slots {
        desk.set_lifetime(*slot, Some(Duration::from_secs(60)));
    }
    let now = after(36_000.0);
    for policy in [Policy::Tiers, Policy::Optimal, Policy::Priced] {
        let mut before = 0.0;
        for calls in [10.0, 20.0, 40.0, 80.0] {
            let forecast = desk.forecast(policy, calls, now);
            assert!(
                forecast.fresh >= before - 1e-3,
                "{policy:?} {calls}: {forecast:?}"
            );
            assert!((0.0..=1.0).contains(&forecast.fresh));
            before = forecast.fresh;
            // 400 records in 0.825 of an hour.
            assert!((forecast.promised_calls_per_minute - 400.0 / 49.5).abs() < 0.01);
            assert_eq!(forecast.keeps_promises, calls > 16.2);
            assert!(forecast.age_p95 <= HOUR);
        }
    }
}

#[test]
fn forecasts_of_nothing_are_sound() {
    let empty = Desk::new(Policy::Priced, start());
    let forecast = empty.forecast(Policy::Priced, 60.0, start());
    assert_eq!(
        (
            forecast.fresh,
            forecast.calls_per_minute,
            forecast.keeps_promises
        ),
        (1.0, 0.0, true)
    );
    let (desk, _) = desk(Policy::Priced, 10);
    for policy in [Policy::Tiers, Policy::Optimal, Policy::Priced] {
        let forecast = desk.forecast(policy, 0.0, after(60.0));
        assert!(
            forecast.fresh.is_finite() && !forecast.keeps_promises,
            "{forecast:?}"
        );
    }
}
