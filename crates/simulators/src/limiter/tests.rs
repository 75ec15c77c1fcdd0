use super::*;
use std::time::Duration;

fn limit(sliding: bool) -> Limit {
    Limit {
        calls: 2,
        per: Duration::from_secs(60),
        sliding,
    }
}

fn answers(limit: Limit, at_secs: &[u64]) -> Vec<bool> {
    let (limiter, start) = (Limiter::default(), Instant::now());
    at_secs
        .iter()
        .map(|s| limiter.allow(limit, "k", start + Duration::from_secs(*s)))
        .collect()
}

#[test]
fn a_fixed_window_starts_with_its_first_call() {
    assert_eq!(
        answers(limit(false), &[0, 59, 59, 60, 61, 62]),
        [true, true, false, true, true, false]
    );
}

#[test]
fn a_sliding_window_frees_one_call_at_a_time() {
    assert_eq!(
        answers(limit(true), &[0, 59, 59, 60, 61, 119]),
        [true, true, false, true, false, true]
    );
}

#[test]
fn keys_have_windows_of_their_own() {
    let (limiter, now) = (Limiter::default(), Instant::now());
    assert!(limiter.allow(limit(false), "a", now) && limiter.allow(limit(false), "a", now));
    assert!(!limiter.allow(limit(false), "a", now));
    assert!(limiter.allow(limit(false), "b", now));
}
