//! Tenants, projects, keys and roles, as callers of the HTTP API meet them.

use serde_json::{Value, json};

use crate::world::{Reply, World};

/// A world with an operator's key and two tenants, each with one instance and one record of the same id.
struct Estate {
    world: World,
    operator: String,
}

impl Estate {
    async fn new() -> Self {
        let world = World::new().await;
        for (instance, total) in [("pond-uk", 1), ("pond-eu", 2)] {
            let body = json!({ "Total": total }).to_string();
            world.write("cin7.sale", instance, &[("1", &body)]).await;
        }
        let new = world
            .post("/v1/keys", &json!({ "role": "admin", "title": "first" }))
            .await;
        assert_eq!(new.status, 201, "{}", new.body);
        let operator = new.json()["credential"].as_str().unwrap().to_owned();
        let estate = Self { world, operator };
        for (tenant, instance) in [("britain", "pond-uk"), ("europe", "pond-eu")] {
            estate
                .must("POST", "/v1/tenants", Some(json!({ "id": tenant })))
                .await;
            let path = format!("/v1/tenants/{tenant}/instances/{instance}");
            estate.must("PUT", &path, None).await;
        }
        estate
    }

    async fn ask(&self, key: &str, method: &str, path: &str, body: Option<Value>) -> Reply {
        let bearer = format!("Bearer {key}");
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        let body = body.map(|body| body.to_string());
        self.world.send(method, path, &headers, body).await
    }

    /// What the operator asks, which must succeed.
    async fn must(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let reply = self.ask(&self.operator, method, path, body).await;
        assert!(reply.status < 300, "{method} {path}: {}", reply.body);
        if reply.body.is_empty() {
            Value::Null
        } else {
            reply.json()
        }
    }

    /// A key of a tenant: its id and its credential.
    async fn key(&self, tenant: &str, role: &str) -> (String, String) {
        let values = json!({ "tenant": tenant, "role": role, "title": role });
        let made = self.must("POST", "/v1/keys", Some(values)).await;
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        (text("id"), text("credential"))
    }

    async fn status(&self, key: &str, path: &str) -> u16 {
        self.ask(key, "GET", path, None).await.status
    }
}

#[tokio::test]
async fn the_first_key_closes_what_was_open_to_this_machine() {
    let world = World::new().await;
    assert_eq!(world.get("/v1/instances").await.status, 200);
    let made = world
        .post("/v1/keys", &json!({ "role": "admin", "title": "first" }))
        .await
        .json();
    assert_eq!(world.get("/v1/instances").await.status, 401);
    let bearer = format!("Bearer {}", made["credential"].as_str().unwrap());
    let headers = [("authorization", bearer.as_str())];
    let id = made["id"].as_str().unwrap();
    let reply = world.send("GET", "/v1/instances", &headers, None).await;
    assert_eq!(reply.status, 200);
    let path = format!("/v1/keys/{id}");
    assert_eq!(
        world.send("DELETE", &path, &headers, None).await.status,
        200
    );
    // Nothing opens again when the last key is gone.
    assert_eq!(world.get("/v1/instances").await.status, 401);
    assert_eq!(world.send("GET", &path, &headers, None).await.status, 401);
}

#[tokio::test]
async fn a_credential_is_shown_once_and_kept_nowhere() {
    let estate = Estate::new().await;
    let (id, credential) = estate.key("britain", "user").await;
    assert!(credential.contains(&id), "a key is recognised by its id");
    let secret = credential.rsplit('_').next().unwrap();
    for path in [format!("/v1/keys/{id}"), "/v1/keys".to_owned()] {
        let shown = estate.must("GET", &path, None).await.to_string();
        assert!(shown.contains(&id) && !shown.contains(secret), "{shown}");
    }
    for table in ["api_key", "access_news", "secret", "tenant"] {
        let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "SELECT t::text FROM millpond.{table} t"
        )))
        .fetch_all(estate.world.store.pool())
        .await
        .unwrap();
        assert!(!rows.concat().contains(secret), "{table} has a credential");
    }
}

#[tokio::test]
async fn a_tenant_sees_the_records_of_its_instances_alone() {
    let estate = Estate::new().await;
    let (_, key) = estate.key("britain", "developer").await;
    let record = "/v1/records/cin7.sale/pond-uk/1";
    let own = estate.ask(&key, "GET", record, None).await.json();
    assert_eq!(own["body"], json!({ "Total": 1 }));
    for path in [
        "/v1/records/cin7.sale/pond-eu/1",
        "/v1/records/cin7.sale/pond-eu/1?fresh=true",
        "/v1/records/cin7.sale/pond-eu/1/history",
        "/v1/instances/pond-eu",
        "/v1/search?resource=cin7.sale&instance=pond-eu",
        "/v1/tenants/europe",
        "/v1/tenants/europe/projects",
    ] {
        let reply = estate.ask(&key, "GET", path, None).await;
        assert_eq!(reply.status, 404, "{path}: {}", reply.body);
    }
    for path in [
        "/v1/records/cin7.sale",
        "/v1/search?resource=cin7.sale",
        "/v1/instances",
        "/v1/changes",
        "/v1/principal",
        "/v1/tenants",
    ] {
        let reply = estate.ask(&key, "GET", path, None).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        assert!(
            !reply.body.contains("pond-eu") && !reply.body.contains("europe"),
            "{path}: {}",
            reply.body
        );
    }
    for (sql, rows) in [
        ("SELECT instance FROM cin7.sale", json!([["pond-uk"]])),
        (
            "SELECT instance FROM cin7.sale WHERE instance = 'pond-eu'",
            json!([]),
        ),
        ("SELECT name FROM millpond.instance", json!([["pond-uk"]])),
    ] {
        let query = json!({ "sql": sql });
        let reply = estate.ask(&key, "POST", "/v1/query/sql", Some(query)).await;
        assert_eq!(reply.json()["rows"], rows, "{sql}: {}", reply.body);
    }
    let found = estate.ask(&key, "GET", "/v1/records/cin7.sale", None).await;
    assert_eq!(found.json()["records"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_project_shows_a_part_and_its_keys_no_more() {
    let estate = Estate::new().await;
    estate
        .must("PUT", "/v1/tenants/europe/instances/pond-uk", None)
        .await;
    let projects = "/v1/tenants/europe/projects";
    let part = json!({ "id": "part", "instances": ["pond-uk"] });
    estate.must("POST", projects, Some(part)).await;
    let values =
        json!({ "tenant": "europe", "project": "part", "role": "admin", "title": "confined" });
    let made = estate.must("POST", "/v1/keys", Some(values)).await;
    let key = made["credential"].as_str().unwrap();
    let status = async |instance: &str| {
        let path = format!("/v1/records/cin7.sale/{instance}/1");
        estate.status(key, &path).await
    };
    assert_eq!(
        (status("pond-uk").await, status("pond-eu").await),
        (200, 404)
    );
    let counts = estate.must("GET", &format!("{projects}/part"), None).await;
    assert_eq!(counts["counts"]["records"], 1);
    assert_eq!(counts["counts"]["keys"], 1);
    // The next request sees what changed.
    let both = json!({ "instances": null });
    estate
        .must("PATCH", &format!("{projects}/part"), Some(both))
        .await;
    assert_eq!(
        (status("pond-uk").await, status("pond-eu").await),
        (200, 200)
    );
    estate
        .must("PUT", "/v1/tenants/britain/instances/pond-uk", None)
        .await;
    assert_eq!(
        (status("pond-uk").await, status("pond-eu").await),
        (404, 200)
    );
    // Confined, it manages nothing, although it is an admin's.
    let reply = estate
        .ask(key, "POST", projects, Some(json!({ "id": "other" })))
        .await;
    assert_eq!(reply.status, 403, "{}", reply.body);
    estate
        .must("DELETE", &format!("{projects}/part"), None)
        .await;
    assert_eq!(status("pond-eu").await, 401);
}

#[tokio::test]
async fn a_role_may_what_those_below_it_may_and_no_more() {
    let estate = Estate::new().await;
    let mut keys = Vec::new();
    for role in ["user", "developer", "admin"] {
        keys.push(estate.key("britain", role).await.1);
    }
    for (path, statuses) in [
        ("/v1/records/cin7.sale", [200, 200, 200]),
        ("/v1/runs", [403, 200, 200]),
        ("/v1/keys", [403, 403, 200]),
        ("/metrics", [403, 403, 403]),
        ("/v1/events", [403, 403, 403]),
    ] {
        for (key, status) in keys.iter().zip(statuses) {
            assert_eq!(estate.status(key, path).await, status, "{path}");
        }
    }
    let admin = &keys[2];
    for (values, status) in [
        (json!({ "role": "user", "title": "t" }), 201),
        (
            json!({ "tenant": "europe", "role": "user", "title": "t" }),
            404,
        ),
        (
            json!({ "tenant": "britain", "project": "none", "role": "user", "title": "t" }),
            404,
        ),
        (json!({ "role": "boss", "title": "t" }), 422),
        (json!({ "role": "user", "title": "" }), 400),
        (json!({ "role": "user", "title": "a\u{0}b" }), 400),
        (
            json!({ "role": "user", "title": "t", "calls_per_minute": 0 }),
            400,
        ),
    ] {
        let reply = estate
            .ask(admin, "POST", "/v1/keys", Some(values.clone()))
            .await;
        assert_eq!(reply.status, status, "{values}: {}", reply.body);
    }
    // Keys of another tenant, and operators', are not there for it.
    let (foreign, _) = estate.key("europe", "user").await;
    for method in ["GET", "DELETE"] {
        let path = format!("/v1/keys/{foreign}");
        let reply = estate.ask(admin, method, &path, None).await;
        assert_eq!(reply.status, 404, "{method}: {}", reply.body);
    }
    let seen = estate.ask(admin, "GET", "/v1/keys", None).await.json();
    let seen = seen["keys"].as_array().unwrap().iter();
    assert!(seen.clone().all(|key| key["tenant"] == "britain"));
    assert_eq!(seen.count(), 4);
    let reply = estate
        .ask(admin, "POST", "/v1/tenants", Some(json!({ "id": "new" })))
        .await;
    assert_eq!(reply.status, 403);
}

#[tokio::test]
async fn what_changes_about_a_key_holds_at_the_next_request() {
    let estate = Estate::new().await;
    let (id, old) = estate.key("britain", "user").await;
    let path = format!("/v1/keys/{id}");
    assert_eq!(estate.status(&old, "/v1/runs").await, 403);
    estate
        .must("PATCH", &path, Some(json!({ "role": "developer" })))
        .await;
    assert_eq!(estate.status(&old, "/v1/runs").await, 200);
    let rotated = estate.must("POST", &format!("{path}/rotate"), None).await;
    let new = rotated["credential"].as_str().unwrap();
    assert_eq!(estate.status(&old, "/v1/runs").await, 401);
    assert_eq!(estate.status(new, "/v1/runs").await, 200);
    estate.must("DELETE", &path, None).await;
    assert_eq!(estate.status(new, "/v1/runs").await, 401);
    let (_, other) = estate.key("europe", "user").await;
    estate.must("DELETE", "/v1/tenants/europe", None).await;
    assert_eq!(estate.status(&other, "/v1/instances").await, 401);
    // Its instance is nobody's now, and still there.
    let record = "/v1/records/cin7.sale/pond-eu/1";
    assert_eq!(estate.status(&estate.operator, record).await, 200);
}

#[tokio::test]
async fn a_hundred_left_and_four_hundred_at_once_are_a_hundred_answers() {
    let estate = Estate::new().await;
    let (_, key) = estate.key("britain", "user").await;
    let limits = json!({ "limits": { "requests": 100 } });
    estate
        .must("PATCH", "/v1/tenants/britain", Some(limits))
        .await;
    let asked = (0..400).map(|_| estate.ask(&key, "GET", "/v1/principal", None));
    let replies = futures::future::join_all(asked).await;
    let count = |status: u16| {
        replies
            .iter()
            .filter(|reply| reply.status == status)
            .count()
    };
    assert_eq!((count(200), count(429)), (100, 300));
    let refused = replies.iter().find(|reply| reply.status == 429).unwrap();
    assert!(refused.head.contains("retry-after: "), "{}", refused.head);
    assert_eq!(refused.json()["code"], "over_quota");
    let usage = estate.must("GET", "/v1/tenants/britain/usage", None).await;
    assert_eq!(
        usage["meters"],
        json!([{ "meter": "requests", "used": 100, "limit": 100 }])
    );
    // More is let through as soon as the limit is raised.
    let limits = json!({ "limits": { "requests": 101 } });
    estate
        .must("PATCH", "/v1/tenants/britain", Some(limits))
        .await;
    assert_eq!(estate.status(&key, "/v1/principal").await, 200);
    assert_eq!(estate.status(&key, "/v1/principal").await, 429);
    // Who has no limit is counted as well, a little later.
    let (_, other) = estate.key("europe", "user").await;
    assert_eq!(estate.status(&other, "/v1/principal").await, 200);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let usage = estate.must("GET", "/v1/tenants/europe/usage", None).await;
        if usage["meters"] == json!([{ "meter": "requests", "used": 1, "limit": null }]) {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{usage}");
    }
}

#[tokio::test]
async fn a_tenant_is_made_changed_and_deleted() {
    let estate = Estate::new().await;
    let reply = async |method: &str, path: &str, body: Option<Value>| {
        let reply = estate.ask(&estate.operator, method, path, body).await;
        (reply.status, reply.body)
    };
    let tenants = "/v1/tenants";
    for (body, status) in [
        (json!({ "id": "britain" }), 409),
        (json!({ "id": "Not-An-Id" }), 400),
        (json!({ "id": "acme", "cycle": "year" }), 400),
        (json!({ "id": "acme", "limits": { "requests": -1 } }), 400),
        (json!({ "id": "acme", "owner": "me" }), 422),
        (
            json!({ "id": "acme", "plan": "big", "cycle": "day", "limits": { "requests": 5 } }),
            201,
        ),
    ] {
        let (got, said) = reply("POST", tenants, Some(body.clone())).await;
        assert_eq!(got, status, "{body}: {said}");
    }
    let acme = estate.must("GET", "/v1/tenants/acme", None).await;
    assert_eq!(
        (&acme["plan"], &acme["limits"]["requests"]),
        (&json!("big"), &json!(5))
    );
    let at = |name: &str| {
        acme[name]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .unwrap()
    };
    let window = at("window_end").duration_since(at("window_start"));
    assert_eq!(window.as_hours(), 24);
    let changed = estate
        .must(
            "PATCH",
            "/v1/tenants/acme",
            Some(json!({ "plan": "small" })),
        )
        .await;
    assert_eq!(
        (&changed["plan"], &changed["limits"]["requests"]),
        (&json!("small"), &json!(5))
    );
    assert_eq!(reply("DELETE", "/v1/tenants/acme", None).await.0, 204);
    assert_eq!(reply("DELETE", "/v1/tenants/acme", None).await.0, 404);
    let page = estate.must("GET", "/v1/tenants?limit=1", None).await;
    assert_eq!(page["next"], "britain");
}

#[tokio::test]
async fn x12_an_order_plan_is_seen_and_changed_only_by_whose_instance_it_is() {
    let estate = Estate::new().await;
    let ask = json!({ "instance": "pond-uk" });
    let plan = estate
        .must("POST", "/v1/orders/plans", Some(ask.clone()))
        .await;
    let path = format!("/v1/orders/plans/{}", plan["id"]);
    let (_, developer) = estate.key("britain", "developer").await;
    let (_, user) = estate.key("britain", "user").await;
    let (_, stranger) = estate.key("europe", "admin").await;
    assert_eq!(estate.status(&user, &path).await, 200);
    assert_eq!(estate.status(&stranger, &path).await, 404);
    let list = estate.ask(&stranger, "GET", "/v1/orders/plans", None).await;
    assert_eq!(list.json()["plans"], json!([]));
    let post = async |key: &str, path: &str, body: Option<Value>| {
        estate.ask(key, "POST", path, body).await.status
    };
    assert_eq!(
        post(&user, "/v1/orders/plans", Some(ask.clone())).await,
        403
    );
    assert_eq!(post(&stranger, "/v1/orders/plans", Some(ask)).await, 404);
    for verb in ["approve", "apply", "cancel"] {
        let path = format!("{path}/{verb}");
        assert_eq!(post(&stranger, &path, None).await, 404, "{verb}");
        assert_eq!(post(&user, &path, None).await, 403, "{verb}");
    }
    assert_eq!(
        estate
            .status(&stranger, "/v1/orders/claims?instance=pond-uk")
            .await,
        404
    );
    let approved = estate
        .ask(&developer, "POST", &format!("{path}/approve?by=anna"), None)
        .await;
    let by = approved.json()["approved_by"].as_str().unwrap().to_owned();
    assert!(by.starts_with("anna (key "), "{by}");
}

#[test]
fn every_route_is_declared_and_every_write_says_what_it_makes_old() {
    use millpond::http::{
        ROUTES,
        declared::{
            DECLARED, Effect, KEYS_OWN, Needs, PAYLOAD, PRINCIPAL, PROJECT, QUERY, RECORD, TENANT,
        },
    };
    let mut declared: Vec<(&str, &str)> = DECLARED.iter().map(|r| (r.method, r.path)).collect();
    let mut routed: Vec<(&str, &str)> = ROUTES
        .iter()
        .flat_map(|(methods, path)| methods.split(", ").map(move |method| (method, *path)))
        .collect();
    declared.sort();
    routed.sort();
    assert_eq!(declared, routed);
    for route in DECLARED {
        let Effect::Writes(families) = route.effect else {
            let may_read = route.method == "GET"
                || [
                    "/v1/search",
                    "/v1/query/sql",
                    "/v1/queries/{name}/run",
                    "/v1/memory/query",
                    "/mcp",
                ]
                .contains(&route.path);
            assert!(may_read, "{} {} reads?", route.method, route.path);
            continue;
        };
        // A webhook shows the secret of its instance.
        let is_hook = route.path.starts_with("/v1/hooks/");
        assert_eq!(route.needs == Needs::Nobody, is_hook, "{}", route.path);
        // Plans, claims, connections, the queue, rates, saved queries, pins and webhooks are cached nowhere.
        let is_cached = !is_hook
            && !["/v1/rates", "/v1/queries/{name}"].contains(&route.path)
            && !route.path.starts_with("/v1/webhooks")
            && !route.path.starts_with("/v1/orders/")
            && !route.path.starts_with("/v1/snapshots/")
            && !route.path.contains("/connections/");
        assert_eq!(
            !families.is_empty(),
            is_cached,
            "{} {}",
            route.method,
            route.path
        );
        let known = [KEYS_OWN, PRINCIPAL, TENANT, PROJECT, QUERY, RECORD, PAYLOAD];
        assert!(families.iter().all(|family| known.contains(family)));
    }
}
