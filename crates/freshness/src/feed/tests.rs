use super::*;

fn allowance(limit: u32) -> Allowance {
    Allowance {
        limit,
        window: Duration::from_secs(60),
        free: limit,
    }
}

fn every(feeds: usize, share: f64, people: u32, limit: u32) -> f64 {
    let asked = look_every(
        (Duration::from_secs(3), Duration::from_secs(60)),
        feeds,
        share,
        people,
        &allowance(limit),
    );
    asked.as_secs_f64()
}

#[test]
fn feeds_are_asked_every_few_seconds_when_calls_are_free() {
    assert_eq!(every(3, 0.25, 0, 900), 3.0);
}

#[test]
fn feeds_together_stay_within_their_share() {
    // 60 a minute, a quarter of it: 15 looks a minute for three feeds.
    assert_eq!(every(3, 0.25, 0, 60), 12.0);
    for feeds in 1..40 {
        let calls = feeds as f64 * 60.0 / every(feeds, 0.25, 0, 60);
        assert!(
            calls <= 15.0 + 1e-9 || every(feeds, 0.25, 0, 60) == 60.0,
            "{calls}"
        );
    }
}

#[test]
fn people_go_before_feeds() {
    assert_eq!(every(1, 0.25, 50, 60), 6.0);
    assert_eq!(every(1, 0.25, 60, 60), 60.0);
}

#[test]
fn without_a_budget_feeds_keep_the_interval_of_their_connector() {
    assert_eq!(every(3, 0.25, 0, 0), 60.0);
    assert_eq!(every(3, 0.0, 0, 60), 60.0);
    assert_eq!(every(0, 0.25, 0, 60), 60.0);
}

#[test]
fn an_interval_shorter_than_the_least_is_kept() {
    let bounds = (Duration::from_secs(3), Duration::from_secs(1));
    let every = look_every(bounds, 1, 1.0, 0, &allowance(900));
    assert_eq!(every, Duration::from_secs(1));
}
