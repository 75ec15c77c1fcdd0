//! A million random opportunities against rules written out by hand, one property test per table.

use freshness::{Rules, Signal, Signals};
use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::tables::{DAY, tables};

const INPUTS: u32 = 1_000_000;

/// An opportunity by its ages in ms, as the requirements speak of it.
#[derive(Clone, Copy, Debug)]
struct Deal {
    closed: bool,
    closed_age: Option<i64>,
    expected_age: Option<i64>,
    updated_age: Option<i64>,
    status: Option<&'static str>,
}

const MINUTE: u64 = 60_000;

/// B27 to B31.
fn primary(deal: Deal) -> Option<u64> {
    if deal.closed {
        return match deal.closed_age {
            None => None,
            Some(age) if age > 30 * DAY => None,
            Some(_) => Some(15 * MINUTE),
        };
    }
    if deal.moved_or_due_within(5 * DAY) {
        Some(30_000)
    } else if deal.moved_or_due_within(14 * DAY) {
        Some(60_000)
    } else {
        Some(15 * MINUTE)
    }
}

/// B34 to B38.
fn sub_resource(deal: Deal) -> Option<u64> {
    if deal.closed {
        return match deal.closed_age {
            None => None,
            Some(age) if age > 30 * DAY => None,
            Some(_) => Some(5 * MINUTE),
        };
    }
    if deal.moved_or_due_within(5 * DAY) {
        Some(MINUTE)
    } else if deal.moved_or_due_within(14 * DAY) {
        Some(2 * MINUTE)
    } else {
        Some(5 * MINUTE)
    }
}

/// B40 to B43.
fn products(deal: Deal) -> Option<u64> {
    let decided = ["won", "lost", "pendingwon", "pendinglost"];
    let status = deal
        .status
        .unwrap_or("")
        .to_lowercase()
        .replace(char::is_whitespace, "");
    if decided.contains(&status.as_str()) {
        return None;
    }
    primary(deal)?;
    match deal.updated_age {
        Some(age) if age <= 3 * DAY => Some(15_000),
        _ => Some(20 * MINUTE),
    }
}

impl Deal {
    /// D1.
    fn moved_or_due_within(self, bound: i64) -> bool {
        let moved = match self.updated_age {
            Some(age) if age < 0 => true,
            Some(age) => age <= bound,
            None => false,
        };
        let due = match self.expected_age {
            Some(age) => -bound <= age && age <= bound,
            None => false,
        };
        moved || due
    }

    fn random(random: &mut StdRng) -> Deal {
        const STATUSES: [Option<&str>; 9] = [
            None,
            Some("Won"),
            Some("lost"),
            Some("PENDING WON"),
            Some(" Pending  Lost"),
            Some("Open"),
            Some("Pending"),
            Some("Quoted"),
            Some("Lost in post"),
        ];
        Deal {
            closed: random.random_bool(0.4),
            closed_age: age(random),
            expected_age: age(random),
            updated_age: age(random),
            status: STATUSES[random.random_range(0..STATUSES.len())],
        }
    }

    fn signals(self, now: Timestamp) -> Signals {
        let mut pairs = vec![("closed", Signal::Flag(self.closed))];
        let mut time = |name, age: Option<i64>| {
            pairs.extend(
                age.map(|age| (name, Signal::Time(now - SignedDuration::from_millis(age)))),
            );
        };
        time("closed_at", self.closed_age);
        time("expected_close", self.expected_age);
        time("updated", self.updated_age);
        pairs.extend(
            self.status
                .map(|status| ("status", Signal::Text(status.to_owned()))),
        );
        Signals::from_pairs(pairs)
    }
}

/// An age that is often near a bound, on either side of now.
fn age(random: &mut StdRng) -> Option<i64> {
    let days = [0, 3, 5, 14, 30][random.random_range(0..5)];
    let magnitude = match random.random_range(0..10) {
        0 => return None,
        1..=5 => days * DAY + random.random_range(-2..=2),
        6..=8 => random.random_range(0..40 * DAY),
        _ => random.random_range(0..4_000 * DAY),
    };
    Some(if random.random_bool(0.3) {
        -magnitude
    } else {
        magnitude
    })
}

fn seed() -> u64 {
    rand::random()
}

/// Checks a table against the rules written out by hand.
fn check(table: &str, oracle: fn(Deal) -> Option<u64>) {
    let seed = seed();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let rules = &tables()[table];
    let mut rows_met = std::collections::BTreeSet::new();
    for _ in 0..INPUTS {
        let deal = Deal::random(&mut random);
        let now =
            Timestamp::from_millisecond(random.random_range(1_500_000_000_000..2_000_000_000_000))
                .expect("a time");
        let lifetime = rules.lifetime(&deal.signals(now), now);
        let millis = lifetime
            .ttl
            .map(|ttl| u64::try_from(ttl.as_millis()).expect("short"));
        assert_eq!(millis, oracle(deal), "{deal:?} at {now}");
        assert!(lifetime.notes.is_empty(), "{deal:?}: {:?}", lifetime.notes);
        rows_met.insert(lifetime.row);
    }
    assert!(rows_met.len() >= 4, "only rows {rows_met:?} were met");
}

#[test]
fn b32_the_primary_table_equals_the_oracle_on_a_million_inputs() {
    check("primary", primary);
}

#[test]
fn b33_the_sub_resource_table_equals_the_oracle_on_a_million_inputs() {
    check("sub_resource", sub_resource);
}

#[test]
fn b39_the_products_table_equals_the_oracle_on_a_million_inputs() {
    check("products", products);
}

/// Random deals, and what a closure says of each with the lifetimes under all tables at hand.
fn for_all(inputs: u32, mut check: impl FnMut(Deal, &dyn Fn(&str, Deal) -> Option<u128>)) {
    let seed = seed();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let tables = tables();
    let now = Timestamp::from_millisecond(1_800_000_000_000).expect("a time");
    let ttl = |table: &str, deal: Deal| {
        let rules: &Rules = &tables[table];
        rules
            .lifetime(&deal.signals(now), now)
            .ttl
            .map(|ttl| ttl.as_millis())
    };
    for _ in 0..inputs {
        check(Deal::random(&mut random), &ttl);
    }
}

#[test]
fn b41_products_are_not_kept_where_the_primary_is_not() {
    for_all(INPUTS, |deal, ttl| {
        if ttl("primary", deal).is_none() {
            assert_eq!(ttl("products", deal), None, "{deal:?}");
        }
    });
}

#[test]
fn b6_a_more_recent_change_never_makes_a_lifetime_longer() {
    for_all(INPUTS / 4, |deal, ttl| {
        let Some(age) = deal.updated_age else { return };
        let sooner = Deal {
            updated_age: Some(age / 2),
            ..deal
        };
        for table in ["primary", "sub_resource", "products"] {
            assert!(ttl(table, sooner) <= ttl(table, deal), "{table} {deal:?}");
        }
    });
}
