//! Webhooks of upstream: whoever shows the secret is believed which record they are about, and nothing else.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use simulators::cin7::{Account, Options};
use sqlx::Row as _;
use tokio_util::sync::CancellationToken;

use crate::{
    orders::shop::{HOOK_SECRET, INSTANCE, POLL, Shop},
    world::{CONFIG, Kind, World},
};

const SECRET: &str = "sixteen letters, or more";
const PATIENCE: Duration = Duration::from_secs(60);

/// Class and id of each fetch that waits.
async fn waiting(store: &store::Store) -> Vec<(i16, String, String)> {
    let rows =
        sqlx::query("SELECT class, resource, id FROM millpond.fetch_queue ORDER BY resource, id")
            .fetch_all(store.pool())
            .await
            .unwrap();
    rows.iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect()
}

async fn tell(world: &World, path: &str, authorization: &str, body: &str) -> (u16, Value) {
    let headers = [("authorization", authorization)];
    let reply = world
        .send("POST", path, &headers, Some(body.to_owned()))
        .await;
    (reply.status, reply.json())
}

#[tokio::test]
async fn a_webhook_queues_what_it_names_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hook");
    std::fs::write(&file, SECRET).unwrap();
    let listens = format!(
        "name = \"pond-uk\"\nhook_secret = \"file:{}\"",
        file.display()
    );
    let config = CONFIG.replace("name = \"pond-uk\"", &listens);
    let world = World::of(
        Kind::of_this_run(),
        &config,
        &["a-key-of-the-configuration"],
    )
    .await;
    let bearer = format!("Bearer {SECRET}");
    let path = "/v1/hooks/pond-uk";
    let sale = |id: &str| json!({ "EventType": "Sale/OrderAuthorised", "SaleID": id }).to_string();

    let (status, heard) = tell(
        &world,
        path,
        &bearer,
        &sale("0F8FAD5B-D9CB-469F-A165-70867728950E"),
    )
    .await;
    assert_eq!(
        (status, heard),
        (202, json!({ "resource": "cin7.sale", "queued": 1 }))
    );
    // Told twice is told once, and other ways to show the secret are as good.
    let again = sale("0f8fad5b-d9cb-469f-a165-70867728950e");
    let by_address = format!("{path}?secret={}&recordId=", SECRET.replace(' ', "%20"));
    assert_eq!(tell(&world, &by_address, "", &again).await.0, 202);
    let customers = json!({ "EventType": "Customer/Updated", "CustomerDetailsList": [
        { "Customer": { "ID": "c-1" } }, { "Customer": { "ID": "c-2" } }, { "Customer": {} },
    ] });
    let (_, heard) = tell(&world, path, &bearer, &customers.to_string()).await;
    assert_eq!(heard["queued"], 2);
    for nothing in [
        json!({ "EventType": "Lead/Updated" }),
        json!([{ "ID": "x" }]),
        json!(null),
    ] {
        let (status, heard) = tell(&world, path, &bearer, &nothing.to_string()).await;
        assert_eq!(
            (status, heard),
            (202, json!({ "resource": null, "queued": 0 }))
        );
    }
    let expected = [
        (1, "cin7.customer", "c-1"),
        (1, "cin7.customer", "c-2"),
        (1, "cin7.sale", "0f8fad5b-d9cb-469f-a165-70867728950e"),
    ];
    let expected: Vec<_> = expected
        .map(|(class, resource, id)| (class, resource.to_owned(), id.to_owned()))
        .into();
    assert_eq!(waiting(&world.store).await, expected);

    // Strangers, even those with a key of the API, change nothing.
    for (path, authorization, expected) in [
        (path, "Bearer a-key-of-the-configuration", 401),
        (path, "Bearer sixteen letters, or mor", 401),
        (path, "", 401),
        ("/v1/hooks/pond-eu", bearer.as_str(), 404),
        ("/v1/hooks/nobody", bearer.as_str(), 404),
    ] {
        let (status, problem) = tell(&world, path, authorization, &sale("stranger")).await;
        assert_eq!(status, expected, "{path} {authorization}: {problem}");
        assert!(!problem.to_string().contains(SECRET), "{problem}");
    }
    assert_eq!(tell(&world, path, &bearer, "{\"EventType\"").await.0, 400);
    assert_eq!(waiting(&world.store).await, expected);
}

#[test]
fn a_secret_that_anybody_could_guess_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("hook"), "short").unwrap();
    let config = CONFIG.replace(
        "name = \"pond-uk\"",
        "name = \"pond-uk\"\nhook_secret = \"file:hook\"",
    );
    let environment = millpond::environment::Environment::default();
    let loaded = millpond::config::parse("x", &config, folder.path(), &environment).unwrap();
    let secrets = millpond::secrets::Secrets::new(environment, folder.path());
    let refused = millpond::http::hooks::hook_secrets(&loaded, &secrets).unwrap_err();
    assert!(
        refused.contains("pond-uk") && !refused.contains("short\""),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_upstream_is_told_and_fetched_without_waiting_for_a_listing() {
    let shop = Shop::with(Options {
        accounts: vec![Account {
            sales_max: 20,
            ..Account::gbp()
        }],
        limit: None,
        webhook_delay: Duration::ZERO,
        ..Options::default()
    })
    .await;
    let world = shop.serve().await;
    let hook = json!({
        "Type": "Sale/OrderAuthorised",
        "ExternalURL": format!("http://{}/v1/hooks/{INSTANCE}", world.address),
        "ExternalAuthorizationType": "bearerauth",
        "ExternalBearerToken": HOOK_SECRET,
    });
    shop.post("webhooks", hook).await;
    let sku = &shop.plain_skus(1)[0];
    shop.stock(sku, "Glasgow", 5).await;
    let (sale, _) = shop.sale("Glasgow", &[(sku, 2)]).await;
    let began = Instant::now();
    while waiting(&world.store).await.is_empty() {
        assert!(began.elapsed() < PATIENCE, "no webhook came");
        tokio::time::sleep(POLL).await;
    }
    let row = (1, "cin7.sale".to_owned(), sale.to_lowercase());
    assert_eq!(waiting(&world.store).await, [row]);

    let stop = CancellationToken::new();
    let worker = tokio::spawn({
        let (mirror, stop) = (shop.mirror.clone(), stop.clone());
        async move { mirror.work("hooks", stop, None).await }
    });
    let began = Instant::now();
    let path = format!(
        "/v1/records/cin7.sale/{INSTANCE}/{}?no_calls=true",
        sale.to_lowercase()
    );
    while world.get(&path).await.status != 200 {
        assert!(began.elapsed() < PATIENCE, "it was told of and not fetched");
        tokio::time::sleep(POLL).await;
    }
    stop.cancel();
    worker.await.unwrap().unwrap();
    let events = world.get("/v1/events?name=webhook:").await.json();
    assert_eq!(events["events"][0]["name"], "webhook:heard", "{events}");
}
