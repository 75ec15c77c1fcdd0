//! The simulator's own doors under `/_sim`, for programs that run beside it: record, activity, faults, truth, clock.

use super::kinds::kinds;
use super::reply::Reply;
use super::server::Service;
use super::truth;
use crate::doors::{self, Door, Knock, ok};
use http::{Method, Uri};
use serde_json::{Map, json};

pub(crate) fn answer(service: &Service, method: &Method, uri: &Uri, body: &[u8]) -> Reply {
    let knock = Knock::new(method, uri);
    let common = doors::common(&knock, body, &service.tap, &service.faults, &service.clock);
    match common.unwrap_or_else(|| own(service, &knock, uri)) {
        Door::Json(body) => Reply::json(200, body),
        Door::Wrong(status, text) => {
            Reply::json(status, json!({"message": text}).to_string().into_bytes())
        }
    }
}

fn own(service: &Service, knock: &Knock<'_>, uri: &Uri) -> Door {
    match (knock.method, knock.path.as_slice()) {
        ("GET", ["accounts"]) => ok(&accounts(service)),
        ("POST", ["tick"]) => {
            let n = knock.number("n").unwrap_or(1).min(100_000);
            service.write().tick(n as usize);
            ok(&json!({"ticked": n}))
        }
        ("GET", ["truth", ..]) => {
            let path = uri.path().trim_start_matches("/_sim/truth");
            let params: Vec<(&str, &str)> = knock
                .params
                .iter()
                .map(|(k, v)| (k.as_str(), v.as_str()))
                .collect();
            match truth::get(&service.read(), path, &params) {
                Ok(document) => ok(&document),
                Err(refusal) => Door::Wrong(refusal.status, refusal.message),
            }
        }
        _ => Door::Wrong(404, "no such door".into()),
    }
}

fn accounts(service: &Service) -> serde_json::Value {
    let world = service.read();
    let held = kinds()
        .iter()
        .filter(|kind| !kind.setup && !kind.embedded)
        .map(|kind| (kind.path.to_owned(), json!(world.table(kind).rows.len())));
    let company = &service.options.company;
    json!([{"company_id": company.id, "name": company.name, "codebase": service.codebase(), "ticks": world.ticks,
            "records": held.collect::<Map<_, _>>()}])
}
