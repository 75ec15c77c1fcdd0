//! When a delivery is tried again.

use std::time::Duration;

/// How much a wait varies, both ways: receivers that come back are not met by everybody at once.
const JITTER: f64 = 0.2;
/// 2^30 waits of a millisecond are twelve days.
const DOUBLINGS_MAX: u32 = 30;

/// The wait after `failed` attempts in a row failed, the first wait being `first` and none longer than `longest`, give
/// or take a fifth by `chance` from 0 to 1. Never shorter than what the receiver `asked` for.
pub(super) fn wait_after(
    failed: u32,
    first: Duration,
    longest: Duration,
    asked: Option<Duration>,
    chance: f64,
) -> Duration {
    let doublings = failed.saturating_sub(1).min(DOUBLINGS_MAX);
    let backoff = first.saturating_mul(1 << doublings).min(longest);
    let backoff = backoff.mul_f64(1.0 + JITTER * (2.0 * chance.clamp(0.0, 1.0) - 1.0));
    backoff.max(asked.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::wait_after;

    const FIRST: Duration = Duration::from_secs(5);
    const LONGEST: Duration = Duration::from_secs(3600);

    #[test]
    fn waits_double_up_to_the_longest() {
        let waits = [1, 2, 3, 10, 11, 12, u32::MAX]
            .map(|failed| wait_after(failed, FIRST, LONGEST, None, 0.5).as_secs());
        assert_eq!(waits, [5, 10, 20, 2560, 3600, 3600, 3600]);
    }

    #[test]
    fn waits_vary_by_a_fifth_both_ways() {
        let waits = [0.0, 1.0].map(|chance| wait_after(1, FIRST, LONGEST, None, chance));
        assert_eq!(waits, [Duration::from_secs(4), Duration::from_secs(6)]);
    }

    #[test]
    fn a_receiver_is_not_asked_sooner_than_it_says() {
        let asked = |secs| Some(Duration::from_secs(secs));
        assert_eq!(
            wait_after(1, FIRST, LONGEST, asked(120), 0.5).as_secs(),
            120
        );
        assert_eq!(wait_after(3, FIRST, LONGEST, asked(1), 0.5).as_secs(), 20);
    }
}
