use jiff::{SignedDuration, Timestamp};
use upstream::Connector;

use super::*;
use crate::schedule::{Turn, next_start};

fn settings() -> InstanceSettings {
    let text = include_str!("../../../../connectors/connectwise.toml");
    InstanceSettings {
        name: "psa".to_owned(),
        connector: Arc::new(Connector::parse("connectwise.toml", text).unwrap()),
        base_url: None,
        currency: None,
        reporting: None,
        connections: Vec::new(),
        resources: Default::default(),
        schedules: Vec::new(),
        quiet: None,
        private_hosts: false,
        timeout: None,
        limit: None,
        concurrency: None,
        chores: ChoreSettings::default(),
        freshness: Default::default(),
    }
}

fn spec(name: &str) -> JobSpec {
    let settings = settings();
    let kinds = Kind::all_of(&settings).unwrap();
    let chores = Chore::all_of(&settings, &kinds);
    let chore = chores.iter().find(|chore| chore.name() == name).unwrap();
    chore.spec(&settings).unwrap()
}

/// The starts of a job within `span` of the start of a process, in virtual time; every run takes `takes`. A worker takes
/// a due job up to 20 ms late.
fn starts(spec: &JobSpec, span: Duration, takes: Duration) -> Vec<Duration> {
    let add = |at: Timestamp, by: Duration| at + SignedDuration::try_from(by).unwrap();
    let origin = Timestamp::from_second(1_700_000_000).unwrap();
    let end = add(origin, span);
    let mut due = if spec.at_start {
        origin
    } else {
        add(origin, spec.every)
    };
    let mut starts = Vec::new();
    while due < end {
        let began = add(due, Duration::from_millis(20));
        starts.push(Duration::try_from(began.duration_since(origin)).unwrap());
        due = next_start(
            began,
            add(began, takes),
            spec.every,
            spec.jitter,
            0.5,
            Turn::Whole,
            None,
        );
    }
    starts
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn no_overlap(starts: &[Duration], takes: Duration) -> bool {
    starts.windows(2).all(|pair| pair[1] >= pair[0] + takes)
}

#[test]
fn b49_the_sweep_of_opportunities_runs_six_times_in_two_hours_and_never_overlaps() {
    let spec = spec("opportunities");
    for takes in [MINUTE, 19 * MINUTE, 25 * MINUTE] {
        let starts = starts(&spec, 2 * HOUR, takes);
        let expected = if takes > spec.every { 5 } else { 6 };
        assert_eq!(starts.len(), expected, "{starts:?}");
        assert!(no_overlap(&starts, takes), "{starts:?}");
    }
}

#[test]
fn b62_the_listener_looks_ten_times_in_ten_minutes() {
    let spec = spec("adjustments");
    assert_eq!(spec.kind, "watch");
    let takes = Duration::from_secs(20);
    let starts = starts(&spec, 10 * MINUTE, takes);
    assert_eq!(starts.len(), 10, "{starts:?}");
    assert!(no_overlap(&starts, takes));
}

#[test]
fn b73_the_catalog_is_refreshed_six_times_in_three_hours() {
    assert_eq!(starts(&spec("catalog"), 3 * HOUR, 5 * MINUTE).len(), 6);
}

#[test]
fn b80_b81_the_inventory_sweep_runs_four_times_a_day_and_not_at_the_start() {
    let spec = spec("inventory");
    assert!(!spec.at_start);
    // A day of a process that was started a moment before it.
    let starts = starts(&spec, 24 * HOUR + MINUTE, 40 * MINUTE);
    assert_eq!(starts.len(), 4, "{starts:?}");
    assert!(starts[0] >= 6 * HOUR);
}

#[test]
fn b88_an_interval_of_five_minutes_gives_twenty_four_runs_in_two_hours() {
    let mut spec = spec("opportunities");
    spec.every = 5 * MINUTE;
    assert_eq!(starts(&spec, 2 * HOUR, MINUTE).len(), 24);
}

#[test]
fn chores_of_resources_that_are_not_mirrored_are_left_out() {
    let mut settings = settings();
    settings.resources = crate::ResourceFilter::Only(vec!["catalog_item".to_owned()]);
    let kinds = Kind::all_of(&settings).unwrap();
    let names: Vec<String> = Chore::all_of(&settings, &kinds)
        .iter()
        .map(|chore| chore.name().to_owned())
        .collect();
    assert_eq!(names, ["catalog", "inventory"]);
}
