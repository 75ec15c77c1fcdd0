//! What a person does with a form.

use axum::{
    extract::{Path, State},
    response::Response,
};
use http::Method;
use serde_json::json;

use super::{
    Console,
    forms::{Filled, Visit, done},
    lists,
    record::{self, RecordPath},
};
use crate::door::{Refusal, encoded};

/// `POST …/refresh`: one record, and what stands beside it, from the service.
pub(super) async fn refresh(
    State(console): State<Console>,
    Path(of): Path<RecordPath>,
    visit: Visit,
    _: Filled,
) -> Response {
    let viewer = visit.viewer("/console/records");
    // A record that has nothing beside it is read anew.
    let path = format!("{}?fresh=true", record::api_path(&of));
    match visit.get(&console, &path).await {
        Ok(answer) => {
            let said = match answer["stale"].as_str() {
                Some(why) => format!("It could not be fetched: {why}"),
                None => "Fetched from the service just now.".to_owned(),
            };
            done(&record::page_path(&of), &said)
        }
        Err(refusal) => console.pages().refusal(&viewer, &refusal),
    }
}

/// `POST /console/orders`: a plan of an instance's open orders.
pub(super) async fn make_plan(
    State(console): State<Console>,
    visit: Visit,
    form: Filled,
) -> Response {
    let viewer = visit.viewer("/console/orders");
    let ask = json!({ "instance": form.one("instance"), "op": form.one("op").unwrap_or("pick") });
    let made = visit
        .send(
            &console,
            Method::POST,
            "/v1/orders/plans?by=console",
            Some(&ask),
        )
        .await;
    match made {
        Ok(plan) => done(
            &format!("/console/orders/{}", plan["id"]),
            "Planned. Nothing is written yet.",
        ),
        Err(refusal) => console.pages().refusal(&viewer, &refusal),
    }
}

/// `POST /console/orders/{plan}`: approve, apply or cancel it.
pub(super) async fn move_plan(
    State(console): State<Console>,
    Path(plan): Path<String>,
    visit: Visit,
    form: Filled,
) -> Response {
    let viewer = visit.viewer("/console/orders");
    let (verb, said) = match form.one("do") {
        Some("approve") => ("approve", "Approved: its units are held for it."),
        Some("apply") => ("apply", "Being applied."),
        Some("cancel") => ("cancel", "Cancelled: its units are free again."),
        _ => {
            return console
                .pages()
                .refusal(&viewer, &Refusal::new("nothing to do was chosen"));
        }
    };
    let path = format!("/v1/orders/plans/{}/{verb}?by=console", encoded(&plan));
    match visit.send(&console, Method::POST, &path, None).await {
        Ok(_) => done(&format!("/console/orders/{}", encoded(&plan)), said),
        Err(refusal) => console.pages().refusal(&viewer, &refusal),
    }
}

/// `POST /console/connections`: use one or not, or another share of its limit.
pub(super) async fn change_connection(
    State(console): State<Console>,
    visit: Visit,
    form: Filled,
) -> Response {
    let part = |name: &str| encoded(form.one(name).unwrap_or_default());
    let path = format!(
        "/v1/instances/{}/connections/{}",
        part("instance"),
        part("connection")
    );
    let percent = form
        .one("share")
        .and_then(|share| share.parse::<f64>().ok());
    let (change, said) = match (form.one("do"), percent) {
        (Some("enable"), _) => (json!({ "enabled": true }), "It is used again."),
        (Some("disable"), _) => (json!({ "enabled": false }), "It is used no more."),
        (Some("share"), Some(percent)) => (
            json!({ "share": percent / 100.0 }),
            "That share of its limit is ours from now on.",
        ),
        _ => {
            let refusal = Refusal::new("nothing to do was chosen, or the share is no number");
            let viewer = visit.viewer("/console/connections");
            return console.pages().refusal(&viewer, &refusal);
        }
    };
    match visit
        .send(&console, Method::PATCH, &path, Some(&change))
        .await
    {
        Ok(_) => done("/console/connections", said),
        Err(refusal) => console
            .pages()
            .refusal(&visit.viewer("/console/connections"), &refusal),
    }
}

/// `POST /console/keys`: a new key, whose credential is shown this once.
pub(super) async fn make_key(
    State(console): State<Console>,
    visit: Visit,
    form: Filled,
) -> Response {
    let ask = json!({
        "title": form.one("title"),
        "role": form.one("role"),
        "tenant": form.one("tenant"),
        "project": form.one("project"),
    });
    let made = visit
        .send(&console, Method::POST, "/v1/keys", Some(&ask))
        .await;
    told(&console, &visit, made).await
}

/// `POST /console/keys/{key}`: revoke it, or give it a new credential.
pub(super) async fn change_key(
    State(console): State<Console>,
    Path(key): Path<String>,
    visit: Visit,
    form: Filled,
) -> Response {
    let path = format!("/v1/keys/{}", encoded(&key));
    match form.one("do") {
        Some("revoke") => match visit.send(&console, Method::DELETE, &path, None).await {
            Ok(_) => done("/console/keys", "Revoked: it opens nothing from now on."),
            Err(refusal) => console
                .pages()
                .refusal(&visit.viewer("/console/keys"), &refusal),
        },
        Some("rotate") => {
            let made = visit
                .send(&console, Method::POST, &format!("{path}/rotate"), None)
                .await;
            told(&console, &visit, made).await
        }
        _ => {
            let refusal = Refusal::new("nothing to do was chosen");
            console
                .pages()
                .refusal(&visit.viewer("/console/keys"), &refusal)
        }
    }
}

async fn told(
    console: &Console,
    visit: &Visit,
    made: Result<serde_json::Value, Refusal>,
) -> Response {
    match made {
        Ok(key) => {
            let more = json!({ "credential": key["credential"], "made": key["title"] });
            lists::keys_with(console, visit, more).await
        }
        Err(refusal) => console
            .pages()
            .refusal(&visit.viewer("/console/keys"), &refusal),
    }
}
