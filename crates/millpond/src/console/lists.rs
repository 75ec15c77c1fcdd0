//! Pages that show one answer of the API each.

use axum::{
    extract::{Path, State},
    response::Response,
};
use serde_json::{Value, json};

use super::{Console, forms::Visit, page::merged};
use crate::door::encoded;

async fn shown(
    console: &Console,
    visit: &Visit,
    place: &'static str,
    template: &str,
    path: &str,
    content: impl FnOnce(Value) -> Value,
) -> Response {
    let viewer = visit.viewer(place);
    match visit.get(console, path).await {
        Ok(answer) => {
            let done = json!({ "done": visit.one("done") });
            let content = content(answer);
            console
                .pages()
                .show(template, &viewer, merged(content, done))
        }
        Err(refusal) => console.pages().refusal(&viewer, &refusal),
    }
}

/// `GET /console/runs`.
pub(super) async fn runs(State(console): State<Console>, visit: Visit) -> Response {
    let names = ["instance", "resource", "state"];
    let mut more = vec![("limit", "50")];
    if let Some(before) = visit.one("before") {
        more.push(("before", before));
    }
    let path = format!("/v1/runs{}", visit.query(&names, &more));
    shown(
        &console,
        &visit,
        "/console/runs",
        "runs.html",
        &path,
        |answer| {
            let next = answer["next"].as_i64().map(|next| {
                format!(
                    "/console/runs{}",
                    visit.query(&names, &[("before", &next.to_string())])
                )
            });
            json!({
                "title": "Runs",
                "runs": answer["runs"],
                "next": next,
                "instance": visit.one("instance"),
                "resource": visit.one("resource"),
                "state": visit.one("state"),
            })
        },
    )
    .await
}

/// `GET /console/runs/{run}`.
pub(super) async fn run(
    State(console): State<Console>,
    Path(run): Path<String>,
    visit: Visit,
) -> Response {
    let path = format!("/v1/runs/{}", encoded(&run));
    shown(
        &console,
        &visit,
        "/console/runs",
        "run.html",
        &path,
        |run| json!({ "title": format!("Run {}", run["id"]), "run": run }),
    )
    .await
}

/// `GET /console/changes`.
pub(super) async fn changes(State(console): State<Console>, visit: Visit) -> Response {
    let path = format!(
        "/v1/changes{}",
        visit.query(&["after"], &[("limit", "100")])
    );
    shown(
        &console,
        &visit,
        "/console/changes",
        "changes.html",
        &path,
        |answer| {
            let count = answer["changes"].as_array().map_or(0, Vec::len);
            let next = answer["next"].as_str();
            let href = |change: &Value| {
                let part = |key: &str| encoded(change[key].as_str().unwrap_or_default());
                format!(
                    "/console/records/{}/{}/{}",
                    part("resource"),
                    part("instance"),
                    part("id")
                )
            };
            let changes: Vec<Value> = answer["changes"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|change| merged(json!({ "href": href(change)}), change.clone()))
                .collect();
            json!({
                "title": "Changes",
                "changes": changes,
                "is_full": count == 100,
                "next": next.map(|next| format!("/console/changes?after={}", encoded(next))),
            })
        },
    )
    .await
}

/// `GET /console/events`.
pub(super) async fn events(State(console): State<Console>, visit: Visit) -> Response {
    let path = format!(
        "/v1/events{}",
        visit.query(&["name", "instance"], &[("limit", "200")])
    );
    shown(
        &console,
        &visit,
        "/console/events",
        "events.html",
        &path,
        |mut answer| {
            if let Some(events) = answer["events"].as_array_mut() {
                events.reverse();
            }
            json!({ "title": "Events", "events": answer["events"], "name": visit.one("name") })
        },
    )
    .await
}

/// `GET /console/cache`; `key` explains one.
pub(super) async fn cache(State(console): State<Console>, visit: Visit) -> Response {
    let explained = match visit.one("key") {
        Some(key) => {
            let path = format!("/v1/cache/keys/{}", encoded(key));
            Some(match visit.get(&console, &path).await {
                Ok(answer) => serde_json::to_string_pretty(&answer).unwrap_or_default(),
                Err(refusal) => refusal.to_string(),
            })
        }
        None => None,
    };
    let doctor = visit.get(&console, "/v1/cache/doctor").await.ok();
    shown(
        &console,
        &visit,
        "/console/cache",
        "cache.html",
        "/v1/cache/families",
        |answer| {
            json!({
                "title": "Cache",
                "cache": answer,
                "doctor": doctor,
                "key": visit.one("key"),
                "explained": explained,
            })
        },
    )
    .await
}

/// `GET /console/connections`.
pub(super) async fn connections(State(console): State<Console>, visit: Visit) -> Response {
    shown(
        &console,
        &visit,
        "/console/connections",
        "connections.html",
        "/v1/instances",
        |answer| json!({ "title": "Connections", "instances": answer["instances"] }),
    )
    .await
}

/// `GET /console/settings`; `about` narrows it.
pub(super) async fn settings(State(console): State<Console>, visit: Visit) -> Response {
    let about = visit.one("about").unwrap_or_default().to_lowercase();
    shown(
        &console,
        &visit,
        "/console/settings",
        "settings.html",
        "/v1/settings",
        |answer| {
            let settings: Vec<&Value> = answer["settings"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|setting| {
                    let key = setting["key"].as_str().unwrap_or_default();
                    key.to_lowercase().contains(&about)
                })
                .collect();
            json!({ "title": "Settings", "settings": settings, "about": about })
        },
    )
    .await
}

/// `GET /console/orders`.
pub(super) async fn plans(State(console): State<Console>, visit: Visit) -> Response {
    let instances = visit.get(&console, "/v1/instances").await.ok();
    let path = format!(
        "/v1/orders/plans{}",
        visit.query(&["instance", "before"], &[("limit", "50")])
    );
    shown(&console, &visit, "/console/orders", "plans.html", &path, |answer| {
        json!({
            "title": "Order plans",
            "plans": answer["plans"],
            "next": answer["next"].as_i64().map(|next| format!("/console/orders?before={next}")),
            "instances": instances.map(|mut all| all["instances"].take()),
        })
    })
    .await
}

/// `GET /console/orders/{plan}`.
pub(super) async fn plan(
    State(console): State<Console>,
    Path(plan): Path<String>,
    visit: Visit,
) -> Response {
    let path = format!("/v1/orders/plans/{}?limit=200", encoded(&plan));
    let explained = match visit.one("order") {
        Some(order) => {
            let path = format!(
                "/v1/orders/plans/{}/orders/{}",
                encoded(&plan),
                encoded(order)
            );
            Some(match visit.get(&console, &path).await {
                Ok(answer) => serde_json::to_string_pretty(&answer).unwrap_or_default(),
                Err(refusal) => refusal.to_string(),
            })
        }
        None => None,
    };
    shown(
        &console,
        &visit,
        "/console/orders",
        "plan.html",
        &path,
        |answer| {
            json!({
                "title": format!("Order plan {}", answer["id"]),
                "plan": answer,
                "order": visit.one("order"),
                "explained": explained,
            })
        },
    )
    .await
}

/// `GET /console/keys`.
pub(super) async fn keys(State(console): State<Console>, visit: Visit) -> Response {
    keys_with(&console, &visit, json!({})).await
}

/// The page of keys, with what was just made.
pub(super) async fn keys_with(console: &Console, visit: &Visit, more: Value) -> Response {
    let tenants = visit.get(console, "/v1/tenants?limit=1000").await.ok();
    let path = format!("/v1/keys{}", visit.query(&["tenant"], &[("limit", "500")]));
    shown(
        console,
        visit,
        "/console/keys",
        "keys.html",
        &path,
        |answer| {
            merged(
                json!({
                    "title": "Keys",
                    "keys": answer["keys"],
                    "tenants": tenants.map(|mut all| all["tenants"].take()),
                    "tenant": visit.one("tenant")
                }),
                more,
            )
        },
    )
    .await
}

/// `GET /console/tenants`.
pub(super) async fn tenants(State(console): State<Console>, visit: Visit) -> Response {
    let viewer = visit.viewer("/console/tenants");
    let mut all = match visit.get(&console, "/v1/tenants?limit=200").await {
        Ok(all) => all,
        Err(refusal) => return console.pages().refusal(&viewer, &refusal),
    };
    for tenant in all["tenants"].as_array_mut().into_iter().flatten() {
        let id = encoded(tenant["id"].as_str().unwrap_or_default());
        if let Ok(usage) = visit
            .get(&console, &format!("/v1/tenants/{id}/usage"))
            .await
        {
            tenant["usage"] = usage;
        }
        if let Ok(mut projects) = visit
            .get(&console, &format!("/v1/tenants/{id}/projects"))
            .await
        {
            tenant["projects"] = projects["projects"].take();
        }
    }
    let content = json!({ "title": "Tenants", "tenants": all["tenants"] });
    console.pages().show("tenants.html", &viewer, content)
}
