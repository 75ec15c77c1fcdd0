use super::*;

fn row(budget: &'static str, age: f64, target: Option<f64>) -> ForecastRow {
    ForecastRow {
        resource: "desk.notes".to_owned(),
        policy: "tiers",
        budget,
        fresh: 0.9,
        age_p95_secs: age,
        calls_per_minute: 10.0,
        target_secs: target,
    }
}

#[test]
fn warns_of_what_the_budget_cannot_keep_and_says_what_a_second_connection_gives() {
    let rows = [
        row("present", 900.0, Some(300.0)),
        row("double", 360.0, Some(300.0)),
    ];
    let said = warn(&rows, Policy::Tiers, 60.0);
    let expected = "desk.notes: 15 min at 60/min, past the 5 min that its TTL table aims at; a second connection gives 6 min";
    assert_eq!(said, [expected]);
}

#[test]
fn does_not_warn_of_what_is_kept_or_aims_at_nothing() {
    let kept = [
        row("present", 310.0, Some(300.0)),
        row("double", 300.0, Some(300.0)),
    ];
    assert!(warn(&kept, Policy::Tiers, 60.0).is_empty());
    let aimless = [row("present", 9_000.0, None), row("double", 9_000.0, None)];
    assert!(warn(&aimless, Policy::Tiers, 60.0).is_empty());
}
