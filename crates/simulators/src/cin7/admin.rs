//! The simulator's own doors under `/_sim`, for programs that run beside it: record, activity, faults, truth, clock.

use super::faults::FaultPlan;
use super::reply::Reply;
use super::server::Service;
use super::truth;
use http::{Method, Uri};
use serde::Serialize;
use serde_json::json;
use std::time::Duration;

pub(crate) fn answer(service: &Service, method: &Method, uri: &Uri, body: &[u8]) -> Reply {
    let params = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
    let params = params.map(|params| params.0).unwrap_or_default();
    let param = |name: &str| {
        params
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    let number = |name: &str| param(name).and_then(|text| text.parse::<u64>().ok());
    let path: Vec<&str> = uri
        .path()
        .trim_start_matches("/_sim")
        .trim_matches('/')
        .splitn(3, '/')
        .collect();
    match (method.as_str(), path.as_slice()) {
        ("GET", ["accounts"]) => ok(&accounts(service)),
        ("GET", ["wiretap"]) => {
            let mut calls = service.tap.calls();
            let last = number("last").map_or(calls.len(), |n| n as usize);
            ok(&calls.split_off(calls.len().saturating_sub(last)))
        }
        ("GET", ["wiretap", "summary"]) => ok(&json!({
            "calls": service.tap.len(),
            "max_in_60s_per_key": service.tap.max_in_window(true, Duration::from_secs(60)),
            "max_in_flight": service.tap.max_in_flight(),
        })),
        ("DELETE", ["wiretap"]) => {
            service.tap.clear();
            ok(&json!({}))
        }
        ("POST", ["tick"]) => {
            let n = number("n").unwrap_or(1).min(100_000);
            for at in 0..service.worlds.len() {
                let wanted = param("account").is_none_or(|id| service.find_account(id) == Some(at));
                if wanted {
                    service.write(at).tick(n as usize);
                }
            }
            ok(&json!({"ticked": n}))
        }
        ("GET", ["faults"]) => ok(&service.faults.plan()),
        ("POST", ["faults"]) => match serde_json::from_slice::<FaultPlan>(body) {
            Ok(plan) => {
                service.faults.set(plan);
                ok(&service.faults.plan())
            }
            Err(error) => Reply::text(400, &format!("cannot read the faults: {error}")),
        },
        ("DELETE", ["faults"]) => {
            service.faults.clear();
            ok(&service.faults.plan())
        }
        ("GET", ["clock"]) => ok(&json!({"now": service.clock.now()})),
        ("POST", ["clock"]) => {
            service
                .clock
                .advance(Duration::from_secs(number("advance_secs").unwrap_or(0)));
            ok(&json!({"now": service.clock.now()}))
        }
        ("GET", ["truth", account, resource]) => {
            let Some(at) = service.find_account(account) else {
                return Reply::text(404, "no such account");
            };
            let rest: Vec<(&str, &str)> = params
                .iter()
                .map(|(k, v)| (k.as_str(), v.as_str()))
                .collect();
            match truth::documents(service, at, resource, &rest) {
                Some(documents) => {
                    let rows = documents
                        .iter()
                        .map(|(id, document)| json!({"id": id, "document": document}));
                    ok(&rows.collect::<Vec<_>>())
                }
                None => Reply::text(404, "no such resource"),
            }
        }
        _ => Reply::text(404, "no such door"),
    }
}

fn accounts(service: &Service) -> serde_json::Value {
    let accounts = service.options.accounts.iter().enumerate();
    let rows = accounts.map(|(at, account)| {
        let world = service.read(at);
        json!({"account_id": account.account_id, "name": account.name, "currency": account.currency,
               "sales": world.live_sales().count(), "products": world.products.len(),
               "customers": world.customers.len(), "ticks": world.ticks})
    });
    rows.collect()
}

fn ok(value: &impl Serialize) -> Reply {
    Reply::json(200, serde_json::to_vec(value).unwrap_or_default())
}
