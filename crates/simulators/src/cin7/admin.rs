//! The simulator's own doors under `/_sim`, for programs that run beside it: record, activity, faults, truth, clock.

use super::reply::Reply;
use super::server::Service;
use super::truth;
use crate::doors::{self, Door, Knock, ok};
use http::{Method, Uri};
use serde_json::json;

pub(crate) fn answer(service: &Service, method: &Method, uri: &Uri, body: &[u8]) -> Reply {
    let knock = Knock::new(method, uri);
    let common = doors::common(&knock, body, &service.tap, &service.faults, &service.clock);
    match common.unwrap_or_else(|| own(service, &knock)) {
        Door::Json(body) => Reply::json(200, body),
        Door::Wrong(status, text) => Reply::text(status, &text),
    }
}

fn own(service: &Service, knock: &Knock<'_>) -> Door {
    match (knock.method, knock.path.as_slice()) {
        ("GET", ["accounts"]) => ok(&accounts(service)),
        ("POST", ["tick"]) => {
            let n = knock.number("n").unwrap_or(1).min(100_000);
            for at in 0..service.worlds.len() {
                let account = knock.param("account");
                if account.is_none_or(|id| service.find_account(id) == Some(at)) {
                    service.write(at).tick(n as usize);
                }
            }
            ok(&json!({"ticked": n}))
        }
        ("GET", ["truth", account, resource]) => {
            let Some(at) = service.find_account(account) else {
                return Door::Wrong(404, "no such account".into());
            };
            let params: Vec<(&str, &str)> = knock
                .params
                .iter()
                .map(|(k, v)| (k.as_str(), v.as_str()))
                .collect();
            match truth::documents(service, at, resource, &params, None) {
                Some(documents) => {
                    let rows = documents
                        .iter()
                        .map(|(id, document)| json!({"id": id, "document": document}));
                    ok(&rows.collect::<Vec<_>>())
                }
                None => Door::Wrong(404, "no such resource".into()),
            }
        }
        _ => Door::Wrong(404, "no such door".into()),
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
