use proptest::prelude::*;

use super::*;

fn at(millisecond: i64) -> Timestamp {
    Timestamp::from_millisecond(millisecond).unwrap()
}

#[test]
fn a_row_that_is_20_s_old_under_a_30_s_rule_lives_10_s() {
    let window = Window::of(
        Duration::from_secs(30),
        at(80_000),
        at(100_000),
        0.0,
        0.0,
        Duration::ZERO,
    )
    .unwrap();
    assert_eq!(window.expires_at, 110_000);
}

#[test]
fn a_row_older_than_its_rule_is_not_kept() {
    let life = Duration::from_secs(20);
    assert_eq!(
        Window::of(
            life,
            at(80_000),
            at(100_000),
            0.0,
            0.0,
            Duration::from_secs(60)
        ),
        None
    );
}

#[test]
fn a_fetch_time_in_the_future_counts_as_now() {
    let life = Duration::from_secs(30);
    let window = Window::of(life, at(900_000), at(100_000), 0.0, 0.0, Duration::ZERO).unwrap();
    assert_eq!((window.fetched_at, window.expires_at), (100_000, 130_000));
}

proptest! {
    #[test]
    fn no_window_outlives_its_life(
        life in 0u64..40 * 24 * 3_600_000,
        fetched in 0i64..4_000_000_000_000,
        age in -100_000i64..100_000_000,
        jitter in -0.5f64..1.5,
        draw in 0.0f64..1.0,
        stale in 0u64..100_000_000,
    ) {
        let (life, now) = (Duration::from_millis(life), fetched + age);
        let window =
            Window::of(life, at(fetched), at(now), jitter, draw, Duration::from_millis(stale));
        if let Some(window) = window {
            prop_assert!(window.expires_at > now);
            prop_assert!(window.expires_at - window.fetched_at <= millis(life.min(LIFE_MAX)));
            prop_assert!(window.fetched_at <= now);
            prop_assert!(window.is_plausible(at(now)));
        }
    }
}
