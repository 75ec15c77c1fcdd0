//! One test for each requirement, at both sides of its bound.

use crate::tables::{DAY, Deal, now, signal_map, tables};
use freshness::Signal;

/// Deals that differ in everything but what a test is about.
fn others() -> Vec<Deal> {
    vec![
        Deal::open(),
        Deal::open().updated(0),
        Deal::open().updated(10 * DAY).expected(-3 * DAY),
        Deal::open()
            .updated(400 * DAY)
            .expected(400 * DAY)
            .status("Open"),
    ]
}

fn primary(deal: Deal) -> Option<u128> {
    deal.ttl("primary")
}

fn sub(deal: Deal) -> Option<u128> {
    deal.ttl("sub_resource")
}

fn products(deal: Deal) -> Option<u128> {
    deal.ttl("products")
}

#[test]
fn b21_three_tables_share_one_input() {
    let signals = Deal::open().updated(4 * DAY).signals();
    let millis = |table: &str| {
        let ttl = tables()[table].lifetime(&signals, now()).ttl;
        ttl.expect("kept").as_millis()
    };
    assert_eq!(
        (
            millis("primary"),
            millis("sub_resource"),
            millis("products")
        ),
        (30_000, 60_000, 1_200_000)
    );
}

#[test]
fn b22_the_closed_flag_decides_the_first_rule_only() {
    // With the same dates an open deal is judged by its heat alone.
    let dates = Deal::open().updated(DAY).expected(0);
    for closed_at in [None, Some(DAY), Some(31 * DAY)] {
        let open = Deal { closed_at, ..dates };
        assert_eq!(primary(open), Some(30_000));
        assert_eq!(sub(open), Some(60_000));
        assert_eq!(products(open), Some(15_000));
    }
    assert_eq!(
        primary(Deal {
            closed: true,
            closed_at: Some(DAY),
            ..dates
        }),
        Some(900_000)
    );
}

#[test]
fn b23_the_closed_date_counts_to_30_days_and_missing_is_not_kept() {
    for (table, kept) in [("primary", 900_000), ("sub_resource", 300_000)] {
        for other in others() {
            let closed = |closed_at| {
                Deal {
                    closed: true,
                    closed_at,
                    ..other
                }
                .ttl(table)
            };
            assert_eq!(closed(Some(30 * DAY)), Some(kept));
            assert_eq!(closed(Some(30 * DAY + 1)), None);
            assert_eq!(closed(None), None);
            // A clock that runs ahead: closed just now.
            assert_eq!(closed(Some(-DAY)), Some(kept));
        }
    }
    let odd = |closed_date: serde_json::Value| {
        let body = serde_json::json!({"closedFlag": true, "closedDate": closed_date});
        tables()["primary"]
            .lifetime(&signal_map().read(&body), now())
            .ttl
    };
    for nothing in [
        serde_json::json!(null),
        serde_json::json!({}),
        serde_json::json!(""),
        serde_json::json!("last week"),
    ] {
        assert_eq!(odd(nothing), None);
    }
}

#[test]
fn b24_the_expected_close_date_is_near_both_ways_and_missing_matches_nothing() {
    for sign in [1, -1] {
        assert_eq!(primary(Deal::open().expected(sign * 5 * DAY)), Some(30_000));
        assert_eq!(
            primary(Deal::open().expected(sign * (5 * DAY + 1))),
            Some(60_000)
        );
        assert_eq!(
            primary(Deal::open().expected(sign * (14 * DAY + 1))),
            Some(900_000)
        );
    }
    assert_eq!(primary(Deal::open()), Some(900_000));
}

#[test]
fn b25_the_last_change_counts_back_from_now_and_missing_matches_nothing() {
    assert_eq!(primary(Deal::open().updated(5 * DAY)), Some(30_000));
    assert_eq!(primary(Deal::open().updated(5 * DAY + 1)), Some(60_000));
    assert_eq!(primary(Deal::open().updated(0)), Some(30_000));
    // A stamp in the future is age 0.
    assert_eq!(primary(Deal::open().updated(-300 * DAY)), Some(30_000));
    assert_eq!(primary(Deal::open()), Some(900_000));
}

#[test]
fn b27_primary_1a_closed_more_than_30_days_ago_is_not_kept() {
    assert_eq!(primary(Deal::closed(Some(30 * DAY + 1))), None);
    assert_eq!(
        primary(Deal::closed(Some(30 * DAY + 1)).updated(0).expected(0)),
        None
    );
    assert_eq!(primary(Deal::closed(None).updated(0)), None);
}

#[test]
fn b28_primary_1b_closed_within_30_days_is_kept_for_900_000_ms() {
    for deal in [
        Deal::closed(Some(30 * DAY)),
        Deal::closed(Some(0)),
        Deal::closed(Some(DAY)).updated(0).expected(0),
    ] {
        assert_eq!(primary(deal), Some(900_000));
    }
}

#[test]
fn b29_primary_2_within_5_days_is_kept_for_30_000_ms() {
    for hot in [
        Deal::open().updated(5 * DAY),
        Deal::open().expected(5 * DAY),
        Deal::open().expected(-5 * DAY),
    ] {
        assert_eq!(primary(hot), Some(30_000));
    }
    for warm in [
        Deal::open().updated(5 * DAY + 1),
        Deal::open().expected(5 * DAY + 1),
        Deal::open().expected(-5 * DAY - 1),
    ] {
        assert_eq!(primary(warm), Some(60_000));
    }
}

#[test]
fn b30_primary_3_within_14_days_is_kept_for_60_000_ms() {
    for warm in [
        Deal::open().updated(14 * DAY),
        Deal::open().expected(14 * DAY),
        Deal::open().expected(-14 * DAY),
    ] {
        assert_eq!(primary(warm), Some(60_000));
    }
    for cold in [
        Deal::open().updated(14 * DAY + 1),
        Deal::open().expected(14 * DAY + 1),
        Deal::open().expected(-14 * DAY - 1),
    ] {
        assert_eq!(primary(cold), Some(900_000));
    }
}

#[test]
fn b31_primary_4_everything_else_is_kept_for_900_000_ms() {
    assert_eq!(primary(Deal::open()), Some(900_000));
    assert_eq!(
        primary(Deal::open().updated(300 * DAY).expected(-300 * DAY)),
        Some(900_000)
    );
}

#[test]
fn b34_sub_1a_closed_more_than_30_days_ago_or_without_date_is_not_kept() {
    assert_eq!(sub(Deal::closed(Some(30 * DAY + 1)).updated(0)), None);
    assert_eq!(sub(Deal::closed(None).updated(0)), None);
}

#[test]
fn b35_sub_1b_closed_within_30_days_is_kept_for_300_000_ms() {
    assert_eq!(sub(Deal::closed(Some(30 * DAY))), Some(300_000));
    assert_eq!(
        sub(Deal::closed(Some(DAY)).updated(0).expected(0)),
        Some(300_000)
    );
}

#[test]
fn b36_sub_2_within_5_days_is_kept_for_60_000_ms() {
    for (hot, warm) in [
        (
            Deal::open().updated(5 * DAY),
            Deal::open().updated(5 * DAY + 1),
        ),
        (
            Deal::open().expected(5 * DAY),
            Deal::open().expected(5 * DAY + 1),
        ),
        (
            Deal::open().expected(-5 * DAY),
            Deal::open().expected(-5 * DAY - 1),
        ),
    ] {
        assert_eq!((sub(hot), sub(warm)), (Some(60_000), Some(120_000)));
    }
}

#[test]
fn b37_sub_3_within_14_days_is_kept_for_120_000_ms() {
    for (warm, cold) in [
        (
            Deal::open().updated(14 * DAY),
            Deal::open().updated(14 * DAY + 1),
        ),
        (
            Deal::open().expected(14 * DAY),
            Deal::open().expected(14 * DAY + 1),
        ),
        (
            Deal::open().expected(-14 * DAY),
            Deal::open().expected(-14 * DAY - 1),
        ),
    ] {
        assert_eq!((sub(warm), sub(cold)), (Some(120_000), Some(300_000)));
    }
}

#[test]
fn b38_sub_4_everything_else_is_kept_for_300_000_ms() {
    assert_eq!(sub(Deal::open()), Some(300_000));
}

#[test]
fn b40_products_1_of_decided_deals_are_not_kept() {
    for status in [
        "Won",
        "Lost",
        "Pending Won",
        "Pending Lost",
        "won",
        "LOST",
        "pending  won",
        " Pending Lost ",
        "PendingWon",
    ] {
        for other in others() {
            assert_eq!(products(other.status(status)), None, "{status}");
        }
    }
    for status in ["Open", "Pending", "Won back", "Not Lost", ""] {
        assert_eq!(
            products(Deal::open().updated(0).status(status)),
            Some(15_000),
            "{status}"
        );
    }
}

#[test]
fn b42_products_3_changed_within_3_days_are_kept_for_15_000_ms() {
    for expected in [None, Some(0), Some(400 * DAY)] {
        let deal = Deal {
            expected_close: expected,
            ..Deal::open()
        };
        assert_eq!(products(deal.updated(3 * DAY)), Some(15_000));
        assert_eq!(products(deal.updated(3 * DAY + 1)), Some(1_200_000));
    }
}

#[test]
fn b43_products_4_everything_else_is_kept_for_1_200_000_ms() {
    assert_eq!(products(Deal::open().updated(3 * DAY + 1)), Some(1_200_000));
    assert_eq!(products(Deal::open()), Some(1_200_000));
    assert_eq!(products(Deal::open().expected(0)), Some(1_200_000));
}

#[test]
fn b46_sites_are_kept_for_1_200_000_ms_whatever_the_deal() {
    for deal in others().into_iter().chain([Deal::closed(None)]) {
        assert_eq!(deal.ttl("site"), Some(1_200_000));
    }
}

#[test]
fn a_record_with_nothing_in_it_is_kept_as_an_open_deal_and_the_missing_flag_is_noted() {
    let signals = signal_map().read(&serde_json::json!({}));
    let lifetime = tables()["primary"].lifetime(&signals, now());
    assert_eq!(lifetime.ttl.map(|ttl| ttl.as_millis()), Some(900_000));
    let rows: Vec<usize> = lifetime.notes.iter().map(|note| note.row).collect();
    assert_eq!(rows, [0, 1]);
}

#[test]
fn a_flag_looked_up_from_the_status_record_counts_like_the_body_s() {
    let mut signals = Deal::open().updated(0).signals();
    signals.set("closed", Some(Signal::Flag(true)));
    assert_eq!(tables()["primary"].lifetime(&signals, now()).ttl, None);
}
