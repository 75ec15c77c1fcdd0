//! The doors under `/_sim` that every simulator has: its record of calls, its faults, its clock.

use crate::clock::Clock;
use crate::faults::{FaultPlan, Faults};
use crate::wiretap::Wiretap;
use http::{Method, Uri};
use serde::Serialize;
use serde_json::json;
use std::time::Duration;

/// What stands behind a door: a status and a JSON body, or a text that says what is wrong.
pub(crate) enum Door {
    Json(Vec<u8>),
    Wrong(u16, String),
}

/// A request to a door.
pub(crate) struct Knock<'k> {
    pub method: &'k str,
    /// The path below `/_sim`, in at most three parts.
    pub path: Vec<&'k str>,
    pub params: Vec<(String, String)>,
}

impl<'k> Knock<'k> {
    pub(crate) fn new(method: &'k Method, uri: &'k Uri) -> Knock<'k> {
        let params = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
        Knock {
            method: method.as_str(),
            path: uri
                .path()
                .trim_start_matches("/_sim")
                .trim_matches('/')
                .splitn(3, '/')
                .collect(),
            params: params.map(|params| params.0).unwrap_or_default(),
        }
    }

    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.params
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.param(name).and_then(|text| text.parse().ok())
    }
}

/// Opens one of the common doors; `None` when it is none of them.
pub(crate) fn common(
    knock: &Knock<'_>,
    body: &[u8],
    tap: &Wiretap,
    faults: &Faults,
    clock: &Clock,
) -> Option<Door> {
    Some(match (knock.method, knock.path.as_slice()) {
        ("GET", ["wiretap"]) => {
            let mut calls = tap.calls();
            let last = knock.number("last").map_or(calls.len(), |n| n as usize);
            ok(&calls.split_off(calls.len().saturating_sub(last)))
        }
        ("GET", ["wiretap", "summary"]) => ok(&json!({
            "calls": tap.len(),
            "max_in_60s_per_key": tap.max_in_window(true, Duration::from_secs(60)),
            "max_in_flight": tap.max_in_flight(),
        })),
        ("DELETE", ["wiretap"]) => {
            tap.clear();
            ok(&json!({}))
        }
        ("GET", ["faults"]) => ok(&faults.plan()),
        ("POST", ["faults"]) => match serde_json::from_slice::<FaultPlan>(body) {
            Ok(plan) => {
                faults.set(plan);
                ok(&faults.plan())
            }
            Err(error) => Door::Wrong(400, format!("cannot read the faults: {error}")),
        },
        ("DELETE", ["faults"]) => {
            faults.clear();
            ok(&faults.plan())
        }
        ("GET", ["clock"]) => ok(&json!({"now": clock.now()})),
        ("POST", ["clock"]) => {
            clock.advance(Duration::from_secs(
                knock.number("advance_secs").unwrap_or(0),
            ));
            ok(&json!({"now": clock.now()}))
        }
        _ => return None,
    })
}

/// An open door.
pub(crate) fn ok(value: &impl Serialize) -> Door {
    Door::Json(serde_json::to_vec(value).unwrap_or_default())
}
