use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn start() -> Timestamp {
    "2026-03-02T00:00:00Z".parse().unwrap()
}

fn after(secs: f64) -> Timestamp {
    start() + SignedDuration::from_secs_f64(secs)
}

fn notes(n: u32) -> Target {
    Target {
        resource: "desk.notes".parse().unwrap(),
        id: n.to_string(),
        record: n.to_string(),
    }
}

fn sight(version: i64, as_of: Timestamp) -> Sight {
    Sight {
        version,
        own_at: as_of,
        as_of,
        stamp: None,
    }
}

fn allowance(limit: u32, free: u32) -> Allowance {
    Allowance {
        limit,
        window: Duration::from_secs(60),
        free,
    }
}

fn book() -> Book {
    Book::new(Policy::Priced, HOUR, start())
}

/// A book in which record 1 changes with every fetch, once a minute, and record 2 never does.
fn learned() -> Book {
    let mut book = book();
    for minute in 0..60 {
        let now = after(f64::from(minute) * 60.0);
        for (n, version) in [(1, i64::from(minute)), (2, 0)] {
            book.see(&notes(n), sight(version, now), now);
            book.note_read(&notes(n), now);
        }
    }
    book
}

fn explained(book: &Book, n: u32, now: Timestamp) -> Explanation {
    let target = notes(n);
    let found = book.explain(&target.resource, &target.id, now, &allowance(60, 30));
    found.unwrap().explanation
}

#[test]
fn what_changes_is_told_from_what_does_not_by_versions_alone() {
    let book = learned();
    let now = after(3600.0);
    let (busy, still) = (explained(&book, 1, now), explained(&book, 2, now));
    assert!(busy.changes_per_day > 100.0, "{busy}");
    assert!(still.changes_per_day < 10.0, "{still}");
    assert!(busy.stale > 5.0 * still.stale, "{busy}; {still}");
}

#[test]
fn a_row_seen_twice_is_learned_from_once() {
    let mut book = book();
    assert!(book.see(&notes(1), sight(1, after(0.0)), after(0.0)));
    assert!(book.see(&notes(1), sight(2, after(60.0)), after(60.0)));
    let before = explained(&book, 1, after(61.0));
    for _ in 0..100 {
        assert!(!book.see(&notes(1), sight(2, after(60.0)), after(61.0)));
        // An older row out of some cache says nothing new.
        assert!(!book.see(&notes(1), sight(1, after(30.0)), after(61.0)));
    }
    assert_eq!(explained(&book, 1, after(61.0)), before);
}

#[test]
fn what_was_learned_survives_a_restart_and_is_shared() {
    let mut first = learned();
    let now = after(3600.0);
    let rows = first.unsaved(100);
    assert_eq!(rows.len(), 2);
    assert!(first.unsaved(100).is_empty(), "saved once");
    let mut second = Book::new(Policy::Priced, HOUR, now);
    second.resume(&first.shared(now), now);
    for row in &rows {
        second.adopt(row, now);
    }
    let (a, b) = (explained(&first, 1, now), explained(&second, 1, now));
    assert!(
        (a.changes_per_day / b.changes_per_day - 1.0).abs() < 0.3,
        "{a}; {b}"
    );
    assert!((a.stale - b.stale).abs() < 0.1, "{a}; {b}");
    // What the other one fetches then is learned from here too.
    let mut row = rows.into_iter().find(|row| row.id == "1").unwrap();
    (row.fetched_at, row.version) = (after(3700.0), row.version + 1);
    second.adopt(&row, after(3700.0));
    let known = explained(&second, 1, after(3700.0));
    assert!(known.age < Duration::from_secs(1), "{known}");
}

#[test]
fn what_could_not_be_saved_is_saved_with_the_next() {
    let mut book = learned();
    let rows = book.unsaved(100);
    book.not_saved(&rows);
    let again = book.unsaved(100);
    let reads = |rows: &[LearnedRow]| rows.iter().map(|row| row.reads).sum::<f32>();
    assert_eq!(reads(&again), reads(&rows));
}

#[test]
fn without_a_free_call_everybody_is_served_the_copy() {
    let mut book = learned();
    let now = after(7200.0);
    for limit in [0, 60] {
        let decision = book.decide(&notes(1), now, &allowance(limit, 0));
        assert_eq!(decision, Decision::Serve);
        assert_eq!(book.next(now, &allowance(limit, 0)), None);
    }
}

#[test]
fn a_likely_stale_copy_is_fetched_first_and_a_likely_fresh_one_is_served() {
    let mut book = learned();
    let now = after(3600.0);
    let free = allowance(60, 2);
    assert_eq!(book.decide(&notes(1), now, &free), Decision::RefreshFirst);
    // Whoever comes meanwhile waits for the same call.
    assert_eq!(book.decide(&notes(1), now, &free), Decision::RefreshFirst);
    book.see(&notes(1), sight(100, now), now);
    let soon = now + SignedDuration::from_millis(200);
    assert_eq!(book.decide(&notes(1), soon, &free), Decision::Serve);
}

#[test]
fn a_budget_larger_than_needed_is_not_spent_for_nothing() {
    let mut book = book();
    let mut calls = 0;
    for n in 0..50 {
        book.see(&notes(n), sight(0, start()), start());
    }
    // Nothing ever changes, and nobody reads.
    for second in 1..3_600 {
        let now = after(f64::from(second));
        while let Some((target, _)) = book.next(now, &allowance(60_000, 60_000)) {
            calls += 1;
            book.see(&target, sight(0, now), now);
        }
    }
    // A thousand a second could be made.
    assert!(calls < 50 * 3_600 / 2, "{calls} calls for 50 still records");
}

#[test]
fn a_record_read_a_million_times_an_hour_does_not_take_all_calls() {
    let mut book = book();
    let free = allowance(60, 20);
    let mut firsts = 0;
    book.see(&notes(1), sight(0, start()), start());
    for read in 0..1_000_000_u32 {
        let now = after(f64::from(read) * 0.0036);
        if book.decide(&notes(1), now, &free) != Decision::Serve {
            firsts += 1;
            book.see(&notes(1), sight(0, now), now);
        }
    }
    // It never changes: each call says so once more.
    assert!(
        firsts < 36_000,
        "{firsts} calls for a record that never changed"
    );
    let rows = book.unsaved(10);
    assert_eq!(rows[0].reads, 1_000_000.0);
}

#[test]
fn a_clock_that_jumped_ahead_and_back_leaves_nothing_fresh_for_ever() {
    let mut book = learned();
    let ahead = after(10.0 * 86_400.0);
    book.see(&notes(1), sight(1_000, ahead), ahead);
    let back = after(3_700.0);
    assert!(book.see(&notes(1), sight(1_001, back), back));
    let known = explained(&book, 1, back + SignedDuration::from_secs(300));
    assert!(known.age >= Duration::from_secs(299), "{known}");
    assert!(known.stale > 0.0 && known.stale < 1.0, "{known}");
}

#[test]
fn stamps_that_lie_in_the_future_count_as_now() {
    let mut book = book();
    for minute in 0..30 {
        let now = after(f64::from(minute) * 60.0);
        let mut sight = sight(i64::from(minute), now);
        sight.stamp = Some(now + SignedDuration::from_hours(24 * 365));
        book.see(&notes(1), sight, now);
    }
    let known = explained(&book, 1, after(1_801.0));
    assert!(
        known.changes_per_day.is_finite() && known.stale <= 1.0,
        "{known}"
    );
    assert!(known.changes_per_day > 100.0, "{known}");
}

#[test]
fn a_bulk_touch_of_all_records_does_not_break_the_bounds() {
    let mut book = book();
    for n in 0..1_000 {
        book.see(&notes(n), sight(0, start()), start());
    }
    let now = after(600.0);
    for n in 0..1_000 {
        book.told(&notes(n).resource, &notes(n).id, now);
    }
    let mut taken = 0;
    let mut left = 60;
    while let Some(_target) = book.next(now, &allowance(60, left)) {
        taken += 1;
        left -= 1;
        assert!(taken <= 60, "more than the budget");
    }
    assert!(taken >= 1, "told of a thousand changes, it fetches none");
}

#[test]
fn told_of_a_change_a_payload_is_stale_for_certain_until_it_is_fetched() {
    let mut book = book();
    let target = notes(1);
    book.see(&target, sight(1, after(0.0)), after(0.0));
    // Fetched since the feed is heard: while it tells of nothing, it confirms.
    book.see(&target, sight(1, after(10.0)), after(10.0));
    assert_eq!(
        book.confirmed(&target, after(10.0), after(60.0)),
        after(60.0)
    );
    book.told(&target.resource, &target.id, after(70.0));
    assert_eq!(
        book.confirmed(&target, after(10.0), after(80.0)),
        after(10.0)
    );
    let free = allowance(60, 30);
    assert_eq!(
        book.decide(&target, after(81.0), &free),
        Decision::RefreshFirst
    );
    book.see(&target, sight(2, after(81.5)), after(81.5));
    assert_eq!(
        book.confirmed(&target, after(81.5), after(90.0)),
        after(90.0)
    );
    // What the feed told before the fetch is in it.
    book.told(&target.resource, &target.id, after(75.0));
    assert_eq!(
        book.confirmed(&target, after(81.5), after(91.0)),
        after(91.0)
    );
}

#[test]
fn what_was_fetched_before_the_feed_was_heard_is_not_confirmed_by_it() {
    let mut book = book();
    let target = notes(1);
    book.see(&target, sight(1, after(0.0)), after(100.0));
    assert_eq!(
        book.confirmed(&target, after(0.0), after(200.0)),
        after(0.0)
    );
}

#[test]
fn more_records_than_there_is_room_for_push_out_those_read_longest_ago() {
    let mut book = book();
    let count = u32::try_from(RECORDS_MAX).unwrap() + 500;
    for n in 0..count {
        let now = after(f64::from(n) * 0.001);
        book.see(&notes(n), sight(0, now), now);
    }
    assert!(book.len() <= RECORDS_MAX, "{}", book.len());
    let now = after(f64::from(count));
    let of = |n: u32| {
        let target = notes(n);
        book.explain(&target.resource, &target.id, now, &allowance(60, 30))
    };
    assert!(of(0).is_none() && of(count - 1).is_some());
}

#[test]
fn what_nobody_reads_for_a_day_is_forgotten() {
    let mut book = learned();
    book.forget(after(3600.0 + 3600.0));
    assert_eq!(book.len(), 2);
    book.forget(after(3600.0 + 25.0 * 3600.0));
    assert_eq!(book.len(), 0);
}
