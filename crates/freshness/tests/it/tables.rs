//! The tables of the fixture, compiled, and one opportunity at the bounds.

use std::collections::BTreeMap;
use std::time::Duration;

use freshness::{Rules, SignalMap, Signals};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

/// The tables by name.
pub fn tables() -> BTreeMap<String, Rules> {
    let text = include_str!("../fixtures/connectwise-ttl.toml");
    let root: toml::Table = text.parse().expect("the fixture is TOML");
    let tables = root["ttl"].as_table().expect("[ttl]");
    tables
        .iter()
        .map(|(name, rows)| (name.clone(), compile(rows)))
        .collect()
}

fn compile(rows: &toml::Value) -> Rules {
    let rows = rows.as_array().expect("a list of rows");
    let pairs: Vec<(Option<&str>, Option<Duration>)> = rows
        .iter()
        .map(|row| {
            let when = row.get("when").and_then(toml::Value::as_str);
            (when, ttl(row["ttl"].as_str().expect("a ttl")))
        })
        .collect();
    let rules = Rules::compile(&pairs).expect("the table compiles");
    let known = ["closed", "closed_at", "expected_close", "updated", "status"];
    rules.check_signals(&known).expect("known signals");
    rules
}

fn ttl(text: &str) -> Option<Duration> {
    if text == "none" {
        return None;
    }
    let (number, unit) = text.split_at(text.len() - 1);
    let number: u64 = number.parse().expect("a number");
    Some(Duration::from_secs(match unit {
        "s" => number,
        "m" => number * 60,
        _ => panic!("{text}"),
    }))
}

pub fn now() -> Timestamp {
    "2026-03-01T10:00:00.250Z".parse().expect("a time")
}

pub const DAY: i64 = 86_400_000;

/// An opportunity as ConnectWise sends it. Times are in ms before `now`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deal {
    pub closed: bool,
    pub closed_at: Option<i64>,
    pub expected_close: Option<i64>,
    pub updated: Option<i64>,
    pub status: Option<&'static str>,
}

impl Deal {
    /// Open, with no dates at all.
    pub fn open() -> Deal {
        Deal::default()
    }

    pub fn closed(ago: Option<i64>) -> Deal {
        Deal {
            closed: true,
            closed_at: ago,
            ..Deal::default()
        }
    }

    pub fn updated(self, ago: i64) -> Deal {
        Deal {
            updated: Some(ago),
            ..self
        }
    }

    pub fn expected(self, ago: i64) -> Deal {
        Deal {
            expected_close: Some(ago),
            ..self
        }
    }

    pub fn status(self, status: &'static str) -> Deal {
        Deal {
            status: Some(status),
            ..self
        }
    }

    pub fn signals(&self) -> Signals {
        let time = |ago: Option<i64>| {
            ago.map(|ago| (now() - SignedDuration::from_millis(ago)).to_string())
        };
        signal_map().read(&json!({
            "id": 4711,
            "closedFlag": self.closed,
            "closedDate": time(self.closed_at),
            "expectedCloseDate": time(self.expected_close),
            "status": self.status.map(|name| json!({"id": 3, "name": name})),
            "_info": {"lastUpdated": time(self.updated)},
        }))
    }

    /// The lifetime in ms by one table; `None`: not kept.
    pub fn ttl(&self, table: &str) -> Option<u128> {
        thread_local! {
            static TABLES: BTreeMap<String, Rules> = tables();
        }
        TABLES.with(|tables| {
            let lifetime = tables[table].lifetime(&self.signals(), now());
            assert_eq!(lifetime.notes, [], "{self:?}");
            lifetime.ttl.map(|ttl| ttl.as_millis())
        })
    }
}

pub fn signal_map() -> SignalMap {
    let pairs = [
        ("closed", "closedFlag"),
        ("closed_at", "closedDate"),
        ("expected_close", "expectedCloseDate"),
        ("updated", "_info.lastUpdated"),
        ("status", "status.name"),
    ];
    SignalMap::new(pairs.map(|(name, path)| {
        (
            name.to_owned(),
            path.split('.').map(str::to_owned).collect(),
        )
    }))
}
