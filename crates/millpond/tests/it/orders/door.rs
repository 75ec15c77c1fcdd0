//! Plans and claims over HTTP, by a caller who knows nothing else.

use serde_json::{Value, json};

use super::shop::{INSTANCE, POLL, Shop};
use crate::world::World;

/// Asks until the plan is through.
async fn ended(world: &World, path: &str) -> Value {
    loop {
        let plan = world.get(path).await.json();
        let state = plan["state"].as_str().unwrap();
        if !["approved", "applying"].contains(&state) {
            return plan;
        }
        tokio::time::sleep(POLL).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a40_a_plan_is_made_explained_approved_and_applied_over_http() {
    let shop = Shop::with_sales(20).await;
    let sku = &shop.plain_skus(1)[0];
    shop.stock(sku, "Glasgow", 3).await;
    let (sale, number) = shop.sale("Glasgow", &[(sku, 5)]).await;
    shop.sync().await;
    let world = shop.serve().await;
    shop.sim.wiretap().clear();
    let ask = json!({ "instance": INSTANCE, "orders": [number], "through": "ship", "rules": { "ship_from": ["Glasgow"] } });
    let made = world.post("/v1/orders/plans?by=anna", &ask).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let plan = made.json();
    assert_eq!(plan["made_by"], "anna");
    assert_eq!(plan["short"][0]["qty"], 2);
    assert!(shop.sim.wiretap().is_empty(), "a plan makes no call");
    let path = format!("/v1/orders/plans/{}", plan["id"]);
    let listed = world.get("/v1/orders/plans?state=proposed").await.json();
    assert_eq!(listed["plans"][0]["id"], plan["id"]);

    let told = world.get(&format!("{path}/orders/{number}")).await.json();
    assert_eq!(told["short"][0]["code"], "SHIP_FROM", "{told}");
    assert_eq!(world.get(&format!("{path}/orders/SO-0")).await.status, 404);
    assert_eq!(world.get("/v1/orders/plans/nothing").await.status, 404);
    let page = world.get(&format!("{path}?limit=1&after=1")).await.json();
    assert_eq!(page["shipments"], json!([]));

    let apply = format!("{path}/apply");
    let early = world.post(&apply, &json!(null)).await;
    assert_eq!(
        (early.status, &early.json()["code"]),
        (409, &json!("plan_not_now"))
    );
    let approve = world
        .post(&format!("{path}/approve?by=anna"), &json!(null))
        .await;
    assert_eq!(
        (approve.status, &approve.json()["state"]),
        (200, &json!("approved"))
    );
    // Sent several times at once, it is written once.
    let again = tokio::join!(
        world.post(&apply, &json!(null)),
        world.post(&apply, &json!(null)),
        world.post(&apply, &json!(null))
    );
    for reply in [again.0, again.1, again.2] {
        assert!([200, 202].contains(&reply.status), "{}", reply.body);
    }
    let done = ended(&world, &path).await;
    assert_eq!(done["state"], "done", "{done}");
    let fulfilments = shop.truth("sale", &sale)["Fulfilments"].clone();
    assert_eq!(fulfilments.as_array().unwrap().len(), 1);
    assert_eq!(fulfilments[0]["Ship"]["Status"], "AUTHORISED");
    assert_eq!(shop.on_hand(sku, "Glasgow"), 0.0);
    assert_eq!(world.post(&apply, &json!(null)).await.status, 200);
    assert_eq!(
        world
            .post(&format!("{path}/cancel"), &json!(null))
            .await
            .status,
        409
    );

    let told = world.get("/v1/events?name=orders:").await.json();
    let names: Vec<&str> = told["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "orders:plan:proposed",
            "orders:plan:approved",
            "orders:plan:ended"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a48_units_are_held_once_and_released_over_http() {
    let shop = Shop::with_sales(20).await;
    let sku = &shop.plain_skus(1)[0];
    shop.stock(sku, "Glasgow", 1).await;
    shop.sync().await;
    let world = shop.serve().await;
    let node = shop.node(sku, "Glasgow").await;
    let ask = |order: &str, qty: &str| json!({ "instance": INSTANCE, "order": order, "node": node, "qty": qty });
    let path = "/v1/orders/claims";
    let held = world
        .post(&format!("{path}?by=anna"), &ask("SO-1", "1"))
        .await;
    assert_eq!(held.status, 201, "{}", held.body);
    let taken = world.post(path, &ask("SO-2", "1")).await;
    assert_eq!(
        (taken.status, &taken.json()["code"]),
        (409, &json!("units_taken"))
    );
    for qty in ["0", "-1", "0.5", "many", "99999999999999999999999999999999"] {
        assert_eq!(
            world.post(path, &ask("SO-3", qty)).await.status,
            400,
            "{qty}"
        );
    }
    // Whose claims these names stand for is decided elsewhere.
    for by in ["upstream", "plan"] {
        let posed = world
            .post(&format!("{path}?by={by}"), &ask("SO-4", "1"))
            .await;
        assert_eq!(posed.status, 400, "{}", posed.body);
    }
    let listed = world
        .get(&format!("{path}?instance={INSTANCE}&order=SO-1"))
        .await
        .json();
    assert_eq!(listed["claims"][0]["id"], held.json()["id"]);
    let release = json!({ "instance": INSTANCE, "id": held.json()["id"], "reason": "sold" });
    assert_eq!(
        world
            .post(&format!("{path}/release"), &release)
            .await
            .status,
        204
    );
    assert_eq!(
        world
            .post(&format!("{path}/release"), &release)
            .await
            .status,
        404
    );
    assert_eq!(world.post(path, &ask("SO-2", "1")).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_planned_is_said_with_the_place_of_the_fault() {
    let shop = Shop::with_sales(1).await;
    let world = shop.serve().await;
    let cases = [
        (json!({}), "missing field `instance`"),
        (
            json!({ "instance": INSTANCE, "ordres": [] }),
            "unknown field `ordres`",
        ),
        (
            json!({ "instance": INSTANCE, "config": { "age_step_days": 0 } }),
            "age_step_days",
        ),
        (
            json!({ "instance": INSTANCE, "config": { "efficiency": ["cost", "cost"] } }),
            "efficiency",
        ),
        (
            json!({ "instance": INSTANCE, "rules": { "complete": "half" } }),
            "half",
        ),
        (
            json!({ "instance": INSTANCE, "entered_from": "tomorrow" }),
            "YYYY-MM-DD",
        ),
        (
            json!({ "instance": INSTANCE, "locations": [{ "id": "Glasgow", "rank": 1.5 }] }),
            "rank",
        ),
    ];
    for (ask, said) in cases {
        let reply = world.post("/v1/orders/plans", &ask).await;
        assert!([400, 422].contains(&reply.status), "{ask}: {}", reply.body);
        assert!(reply.body.contains(said), "{ask}: {}", reply.body);
    }
    let unknown = world
        .post("/v1/orders/plans", &json!({ "instance": "nowhere" }))
        .await;
    assert_eq!(unknown.status, 404, "{}", unknown.body);
}
