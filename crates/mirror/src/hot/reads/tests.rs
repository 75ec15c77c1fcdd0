use super::*;

fn name() -> ResourceName {
    "desk.deal_notes".parse().unwrap()
}

#[test]
fn a_value_is_told_of_at_once_and_then_a_few_times_a_minute() {
    let reads = Reads::default();
    let begin = Instant::now();
    assert!(!reads.is_news(&name(), "psa", "7", begin), "nobody tells");
    reads.told.store(true, Ordering::Relaxed);
    let news = (0..60)
        .filter(|secs| reads.is_news(&name(), "psa", "7", begin + Duration::from_secs(*secs)))
        .count();
    assert_eq!(news, 3);
    assert!(reads.is_news(&name(), "other", "7", begin));
}

#[test]
fn what_is_remembered_is_bounded() {
    let reads = Reads::default();
    reads.told.store(true, Ordering::Relaxed);
    let now = Instant::now();
    for id in 0..TOLD_MAX + 10 {
        assert!(reads.is_news(&name(), "psa", &id.to_string(), now));
    }
    assert!(reads.state().told_at.len() <= TOLD_MAX);
}
