use super::*;
use crate::answer::Loaded;
use crate::family::{FamilySpec, SizeClass};
use crate::life::Ttl;
use crate::scope::Everyone;
use crate::value::Body;

fn info() -> FamilyInfo {
    let _ = Loaded::<Body>::absent;
    FamilySpec::<Everyone, u64, Body>::new(
        "note:{id}",
        "notes",
        Ttl::fixed(std::time::Duration::from_secs(1)),
        SizeClass::Bulk,
    )
    .info
}

fn stats(hits: u64, misses: u64, distinct_missed: u64) -> FamilyStats {
    FamilyStats {
        hits,
        misses,
        distinct_missed,
        loads: misses,
        ..FamilyStats::default()
    }
}

#[test]
fn a_family_whose_keys_return_after_expiry_has_too_short_a_ttl() {
    let finding = examine_family(&info(), &stats(100, 900, 90)).unwrap();
    assert!(
        matches!(finding, Finding::TtlTooShort { misses_per_key, .. } if misses_per_key == 10.0)
    );
}

#[test]
fn a_family_whose_keys_never_return_is_badly_keyed() {
    let finding = examine_family(&info(), &stats(100, 900, 880)).unwrap();
    assert!(matches!(finding, Finding::BadlyKeyed { .. }), "{finding}");
}

#[test]
fn a_family_whose_keys_return_after_invalidation_is_not_blamed_on_its_ttl() {
    let stats = FamilyStats {
        invalidated: 800,
        ..stats(100, 900, 90)
    };
    let finding = examine_family(&info(), &stats).unwrap();
    assert!(
        matches!(finding, Finding::InvalidatedTooOften { .. }),
        "{finding}"
    );
}

#[test]
fn a_family_whose_values_are_not_kept_says_why() {
    let stats = FamilyStats {
        rejected_size: 700,
        ..stats(100, 900, 90)
    };
    let finding = examine_family(&info(), &stats).unwrap();
    assert!(
        finding.to_string().contains("over the size limit"),
        "{finding}"
    );
}

#[test]
fn a_stampede_is_not_taken_for_a_short_ttl() {
    let stats = FamilyStats {
        waited: 890,
        ..stats(10, 900, 10)
    };
    let finding = examine_family(&info(), &stats).unwrap();
    assert!(matches!(finding, Finding::BadlyKeyed { .. }), "{finding}");
}

#[test]
fn a_healthy_or_quiet_family_is_left_alone() {
    assert_eq!(examine_family(&info(), &stats(700, 300, 30)), None);
    assert_eq!(examine_family(&info(), &stats(1, 150, 30)), None);
    assert_eq!(examine_family(&info(), &stats(0, 0, 0)), None);
}

#[test]
fn a_route_that_lost_its_wrap_is_named_with_the_family_it_should_use() {
    let evidence = RouteEvidence {
        route: "GET /v1/notes/{id}".into(),
        declared: vec!["note:{id}".into()],
        requests: 50,
        touched: Default::default(),
    };
    let found = examine_route(&evidence);
    assert_eq!(
        found[0].to_string(),
        "`GET /v1/notes/{id}` is declared cached, but 50 requests read none of `note:{id}`. Wrap \
         its loader in `get_or_load`",
    );
    let touched = [("note:{id}".to_owned(), 50)].into_iter().collect();
    assert_eq!(
        examine_route(&RouteEvidence {
            touched,
            ..evidence
        }),
        []
    );
}
