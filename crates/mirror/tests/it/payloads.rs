//! What stands beside a deal: read hot, fetched whole, written through.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use mirror::{
    ConnectionSettings, Detail, InstanceSettings, Mirror, MirrorError, PayloadWrite, ReadAsk,
    ResourceFilter,
};
use serde_json::{Value, json};
use simulators::connectwise::{ConnectWise, Options};
use store::{ResourceName, testing::TestDatabase};
use upstream::{CallError, Class, Connector};

use crate::house::{SayingSecrets, sync};

const ALL: [&str; 6] = [
    "activities",
    "company",
    "contacts",
    "notes",
    "products",
    "site",
];

struct Desk {
    _database: TestDatabase,
    sim: ConnectWise,
    mirror: Mirror,
}

impl Desk {
    async fn new() -> Self {
        Self::with(|text| text).await
    }

    /// A mirror whose deals, statuses and catalog are in, and nothing beside them.
    async fn with(change: impl FnOnce(String) -> String) -> Self {
        let text = include_str!("../../../../connectors/connectwise.toml").to_owned();
        let connector = Connector::parse("connectwise.toml", &change(text));
        let connector = Arc::new(connector.unwrap_or_else(|problems| panic!("{problems}")));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let sim = ConnectWise::start(Options::for_testing(), address)
            .await
            .unwrap();
        let company = &sim.options().company;
        let secrets = [
            ("company", company.id.as_str()),
            ("public_key", &company.keys[0].public),
            ("private_key", &company.keys[0].private),
            ("client_id", "a3a1d1f0-0000-4000-8000-000000000001"),
        ];
        let secrets = secrets.map(|(name, secret)| (name.to_owned(), format!("say:{secret}")));
        let kept = ["opportunity", "opportunity_status", "catalog_item"];
        let settings = InstanceSettings {
            name: "psa".to_owned(),
            connector: Arc::clone(&connector),
            base_url: Some(sim.base_url()),
            currency: None,
            reporting: None,
            connections: vec![ConnectionSettings {
                name: "one".to_owned(),
                secrets: BTreeMap::from(secrets),
                limit: None,
                share: None,
            }],
            resources: ResourceFilter::Only(kept.map(str::to_owned).to_vec()),
            schedules: Vec::new(),
            quiet: None,
            private_hosts: true,
            timeout: None,
            limit: None,
            concurrency: None,
            chores: Default::default(),
            freshness: Default::default(),
        };
        let database = TestDatabase::fresh().await;
        let secrets = Arc::new(SayingSecrets);
        let mirror = Mirror::open(database.store(), vec![settings], secrets, None)
            .await
            .unwrap();
        sync(&mirror, None, Some("full")).await;
        sim.wiretap().clear();
        Self {
            _database: database,
            sim,
            mirror,
        }
    }

    async fn detail(&self, id: i64, include: &[&str], ask: ReadAsk) -> Detail {
        let include: Vec<String> = include.iter().map(|&name| name.to_owned()).collect();
        self.mirror
            .read_detail(&name("opportunity"), "psa", &id.to_string(), &include, ask)
            .await
            .unwrap()
            .unwrap()
    }

    async fn write(
        &self,
        id: i64,
        payload: &str,
        write: PayloadWrite,
    ) -> Result<Value, MirrorError> {
        let table = name(&format!("opportunity_{payload}"));
        let written = self
            .mirror
            .write_payload(&table, "psa", &id.to_string(), write)
            .await?;
        Ok(written.map_or(Value::Null, |written| {
            serde_json::to_value(written).unwrap()
        }))
    }

    /// Paths of the calls since the last look.
    fn calls(&self) -> Vec<String> {
        let calls = self.sim.wiretap().calls();
        self.sim.wiretap().clear();
        calls
            .iter()
            .map(|call| format!("{} {}", call.method, call.path))
            .collect()
    }

    /// Deals that are open and have a company, a site, notes, contacts, products and activities.
    fn rich_deals(&self) -> Vec<i64> {
        let truth = self.sim.truth();
        let open: BTreeSet<i64> = truth
            .documents("sales/opportunities/statuses")
            .iter()
            .filter(|(_, status)| status["closedFlag"] != true)
            .map(|(id, _)| *id)
            .collect();
        let deals = truth.documents("sales/opportunities");
        let rich = deals.iter().filter(|(id, deal)| {
            let of = format!("opportunity/id={id}");
            let has = |path: &str| {
                !truth
                    .documents(&format!("sales/opportunities/{id}/{path}"))
                    .is_empty()
            };
            deal["status"]["id"]
                .as_i64()
                .is_some_and(|status| open.contains(&status))
                && deal["site"]["id"].is_i64()
                && has("notes")
                && has("contacts")
                && truth
                    .documents_with("procurement/products", &[("conditions", &of)])
                    .len()
                    > 1
        });
        rich.map(|(id, _)| *id).collect()
    }
}

fn name(resource: &str) -> ResourceName {
    format!("connectwise.{resource}").parse().unwrap()
}

fn body(detail: &Detail, payload: &str) -> Value {
    let found = detail.payloads[payload].as_ref().unwrap();
    serde_json::from_str(found.answer.record.body.get()).unwrap()
}

fn id_of(element: &Value) -> String {
    element["id"].to_string()
}

fn source(detail: &Detail, payload: &str) -> &'static str {
    detail.payloads[payload].as_ref().unwrap().answer.source
}

fn documents(rows: Vec<(i64, Value)>) -> Value {
    rows.into_iter().map(|(_, row)| row).collect()
}

/// B11 to B18, B47, B141: all of a detail view, as upstream has it, at one call per part, and then at none.
#[tokio::test]
async fn b11_a_detail_view_fetches_each_payload_once_and_then_none() {
    let desk = Desk::new().await;
    let id = desk.rich_deals()[0];
    let detail = desk.detail(id, &ALL, ReadAsk::default()).await;
    let truth = desk.sim.truth();
    let deal = truth.document("sales/opportunities", id).unwrap();
    let (company, site) = (&deal["company"]["id"], &deal["site"]["id"]);
    let of_deal = format!("opportunity/id={id}");
    let of_company = format!("company/id={company}");
    let listed = |path: &str, conditions: &str| {
        documents(truth.documents_with(path, &[("conditions", conditions)]))
    };

    let told: Value = serde_json::from_str(detail.record.record.body.get()).unwrap();
    assert_eq!(told, deal);
    let below =
        |part: &str| documents(truth.documents(&format!("sales/opportunities/{id}/{part}")));
    assert_eq!(body(&detail, "notes"), below("notes"));
    assert_eq!(body(&detail, "contacts"), below("contacts"));
    assert_eq!(
        body(&detail, "activities"),
        listed("sales/activities", &of_deal)
    );
    let products = body(&detail, "products");
    assert_eq!(
        products["products"],
        listed("procurement/products", &of_deal)
    );
    assert!(products["forecast"]["forecastItems"].is_array());
    let whole = body(&detail, "company");
    assert_eq!(&whole["company"]["id"], company);
    assert_eq!(whole["contacts"], listed("company/contacts", &of_company));
    assert_eq!(&body(&detail, "site")["id"], site);

    let mut calls = desk.calls();
    calls.sort();
    let mut expected = vec![
        format!("GET company/companies/{company}"),
        format!("GET company/companies/{company}/sites/{site}"),
        "GET company/contacts".to_owned(),
        "GET procurement/products".to_owned(),
        "GET sales/activities".to_owned(),
        format!("GET sales/opportunities/{id}/contacts"),
        format!("GET sales/opportunities/{id}/forecast"),
        format!("GET sales/opportunities/{id}/notes"),
    ];
    expected.sort();
    // The deal itself may have grown older than its rule allows since the listing brought it.
    calls.retain(|call| *call != format!("GET sales/opportunities/{id}"));
    assert_eq!(calls, expected);

    let keys: BTreeSet<String> = detail
        .payloads
        .values()
        .map(|payload| payload.as_ref().unwrap().key.clone())
        .collect();
    let expected = BTreeSet::from([
        format!("opp:activities:{id}"),
        format!("opp:company-cw:{company}"),
        format!("opp:contacts:{id}"),
        format!("opp:notes:{id}"),
        format!("opp:products:{id}"),
        format!("opp:site:{company}:{site}"),
    ]);
    assert_eq!(keys, expected);

    let began = Instant::now();
    let again = desk.detail(id, &ALL, ReadAsk::default()).await;
    println!("a detail view out of the mirror: {:?}", began.elapsed());
    let payloads = desk.calls();
    assert!(
        payloads
            .iter()
            .all(|call| call.ends_with(&format!("opportunities/{id}"))),
        "{payloads:?}"
    );
    for payload in ALL {
        assert_eq!(body(&again, payload), body(&detail, payload), "{payload}");
        assert_eq!(source(&again, payload), "mirror", "{payload}");
    }
}

/// B13: a listing of a payload is followed to its last page.
#[tokio::test]
async fn b13_more_pages_than_one_are_followed_to_the_end() {
    let desk = Desk::with(|text| text.replace("size = 1000\nsize_max", "size = 1\nsize_max")).await;
    let id = desk.rich_deals()[0];
    let detail = desk
        .detail(id, &["products", "company"], ReadAsk::default())
        .await;
    let of = format!("opportunity/id={id}");
    let truth = desk.sim.truth();
    let wanted = truth.documents_with("procurement/products", &[("conditions", &of)]);
    assert!(wanted.len() > 1);
    let pages = desk
        .calls()
        .iter()
        .filter(|call| *call == "GET procurement/products")
        .count();
    assert_eq!(pages, wanted.len() + 1);
    assert_eq!(body(&detail, "products")["products"], documents(wanted));
}

/// Each of the three verbs, and only that key goes.
#[tokio::test]
async fn b132_b133_b131_each_write_of_a_note_or_a_contact_is_read_at_once_and_outdates_one_key() {
    let desk = Desk::new().await;
    let id = desk.rich_deals()[0];
    desk.detail(id, &ALL, ReadAsk::default()).await;
    desk.calls();
    for (payload, new, changed) in [
        (
            "notes",
            json!({ "text": "call back on Friday" }),
            json!({ "text": "called" }),
        ),
        (
            "contacts",
            json!({ "contact": body(&desk.detail(id, &["contacts"], ReadAsk::default()).await, "contacts")[0]["contact"] }),
            json!({ "notes": "prefers mail" }),
        ),
    ] {
        let path = format!("sales/opportunities/{id}/{payload}");
        let made = desk
            .write(id, payload, PayloadWrite::Create(new))
            .await
            .unwrap();
        let item = made["element"]["id"].to_string();
        assert_eq!(made["status"], 201, "{made}");
        assert_eq!(made["invalidated"], json!([format!("opp:{payload}:{id}")]));
        desk.calls();
        let read = desk.detail(id, &ALL, ReadAsk::default()).await;
        assert_eq!(
            body(&read, payload),
            documents(desk.sim.truth().documents(&path))
        );
        let calls: Vec<String> = desk.calls();
        let reads: Vec<&String> = calls.iter().filter(|call| call.contains(&path)).collect();
        assert_eq!(reads, [&format!("GET {path}")], "one upstream read");
        for other in ALL
            .iter()
            .filter(|other| **other != payload && **other != "products")
        {
            assert_eq!(source(&read, other), "mirror", "{other} after {payload}");
        }
        let update = PayloadWrite::Update(item.clone(), changed.clone());
        desk.write(id, payload, update).await.unwrap();
        let read = desk.detail(id, &[payload], ReadAsk::default()).await;
        let field = changed.as_object().unwrap().keys().next().unwrap();
        let elements = body(&read, payload);
        let element = elements
            .as_array()
            .unwrap()
            .iter()
            .find(|e| id_of(e) == item);
        assert_eq!(element.unwrap()[field], changed[field]);
        desk.write(id, payload, PayloadWrite::Delete(item.clone()))
            .await
            .unwrap();
        let read = desk.detail(id, &[payload], ReadAsk::default()).await;
        let elements = body(&read, payload);
        assert!(
            elements
                .as_array()
                .unwrap()
                .iter()
                .all(|e| id_of(e) != item)
        );
    }
}

/// B9, B131: what was fetched before stands in for what cannot be fetched, and says so.
#[tokio::test]
async fn b131_writes_are_read_at_once_and_outages_are_answered_with_the_last_row() {
    let desk = Desk::new().await;
    let id = desk.rich_deals()[0];
    desk.detail(id, &ALL, ReadAsk::default()).await;
    desk.calls();

    // D10: nobody knows whether it arrived, so nobody believes what was there before.
    desk.sim.faults().reset_every(1);
    let lost = desk
        .write(
            id,
            "notes",
            PayloadWrite::Create(json!({ "text": "lost on the way" })),
        )
        .await;
    let Err(MirrorError::Upstream { source: error, .. }) = lost else {
        panic!("a cut connection was no error: {lost:?}");
    };
    assert!(matches!(error, CallError::OutcomeUnknown { .. }), "{error}");
    desk.sim.faults().clear();
    let read = desk.detail(id, &["notes"], ReadAsk::default()).await;
    assert_eq!(source(&read, "notes"), "upstream");
    assert!(body(&read, "notes").to_string().contains("lost on the way"));

    // What upstream refuses changes nothing.
    let before = desk.detail(id, &["notes"], ReadAsk::default()).await;
    let refused = desk
        .write(id, "notes", PayloadWrite::Create(json!({})))
        .await;
    assert!(matches!(
        refused,
        Err(MirrorError::Upstream {
            source: CallError::Rejected { .. },
            ..
        })
    ));
    let after = desk.detail(id, &["notes"], ReadAsk::default()).await;
    assert_eq!(body(&after, "notes"), body(&before, "notes"));

    // B135: a refresh in an outage leaves nothing in the cache; the last rows come marked.
    desk.sim.faults().status_every(1, 503);
    let failed = desk
        .mirror
        .refresh_detail(&name("opportunity"), "psa", &id.to_string())
        .await;
    assert!(failed.is_err());
    let stale = desk.detail(id, &["notes"], ReadAsk::default()).await;
    let notes = stale.payloads["notes"].as_ref().unwrap();
    assert_eq!(notes.answer.source, "mirror");
    assert!(notes.answer.stale.is_some());
}

/// B134: products are added, changed and put in order; another deal's products are not touched.
#[tokio::test]
async fn b134_products_are_put_in_the_order_that_was_sent() {
    let desk = Desk::new().await;
    let deals = desk.rich_deals();
    let (id, other) = (deals[0], deals[1]);
    let products = |id: i64| {
        let of = format!("opportunity/id={id}");
        desk.sim
            .truth()
            .documents_with("procurement/products", &[("conditions", &of)])
    };
    let item = products(id)[0].1["catalogItem"]["id"].clone();
    let new = json!({ "catalogItem": { "id": item }, "billableOption": "Billable", "quantity": 2 });
    let made = desk
        .write(id, "products", PayloadWrite::Create(new))
        .await
        .unwrap();
    assert_eq!(made["element"]["opportunity"]["id"], id, "{made}");

    let mut order: Vec<String> = products(id).iter().map(|(id, _)| id.to_string()).collect();
    order.reverse();
    desk.write(id, "products", PayloadWrite::Resequence(order.clone()))
        .await
        .unwrap();
    let read = desk.detail(id, &["products"], ReadAsk::default()).await;
    let mut rows: Vec<Value> = body(&read, "products")["products"]
        .as_array()
        .unwrap()
        .clone();
    rows.sort_by_key(|row| row["sequenceNumber"].as_f64().unwrap() as i64);
    let found: Vec<String> = rows.iter().map(|row| row["id"].to_string()).collect();
    assert_eq!(found, order);

    let foreign = products(other)[0].0.to_string();
    let before = products(other);
    let write = PayloadWrite::Update(foreign, json!({ "quantity": 99 }));
    assert_eq!(
        desk.write(id, "products", write).await.unwrap(),
        Value::Null
    );
    assert_eq!(products(other), before);
}

/// B135, B20: a refresh brings everything anew; a catalog item comes with its stock and its row.
#[tokio::test]
async fn b135_a_refresh_makes_every_payload_younger_than_itself() {
    let desk = Desk::new().await;
    let id = desk.rich_deals()[0];
    desk.detail(id, &ALL, ReadAsk::default()).await;
    let began = jiff::Timestamp::now();
    let refreshed = desk
        .mirror
        .refresh_detail(&name("opportunity"), "psa", &id.to_string())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(refreshed.len(), ALL.len());
    for payload in refreshed {
        assert!(
            payload.error.is_none() && payload.as_of.unwrap() > began,
            "{payload:?}"
        );
    }
    let detail = desk.detail(id, &ALL, ReadAsk::default()).await;
    assert!(detail.record.record.as_of > began);

    desk.calls();
    let stock = name("catalog_item_stock");
    let item = desk.sim.truth().ids("procurement/catalog")[3];
    let found = desk
        .mirror
        .fetch_payload(&stock, "psa", &item.to_string(), Class::Event)
        .await
        .unwrap()
        .unwrap();
    let value: Value = serde_json::from_str(found.record.body.get()).unwrap();
    assert_eq!(
        value["item"],
        desk.sim
            .truth()
            .document("procurement/catalog", item)
            .unwrap()
    );
    assert_eq!(value["on_hand"], desk.sim.truth().on_hand(item));
    assert_eq!(value["row"]["id"], item.to_string());
    assert_eq!(desk.calls().len(), 2, "two calls per product");
}

/// B4, C34: many who look at one deal at once share its calls.
#[tokio::test]
async fn b4_many_readers_of_one_deal_share_its_calls() {
    let desk = Arc::new(Desk::new().await);
    let id = desk.rich_deals()[0];
    let readers = (0..40).map(|_| {
        let desk = Arc::clone(&desk);
        tokio::spawn(async move { desk.detail(id, &ALL, ReadAsk::default()).await })
    });
    for reader in readers.collect::<Vec<_>>() {
        reader.await.unwrap();
    }
    let calls = desk.calls();
    let notes = calls.iter().filter(|call| call.ends_with("/notes")).count();
    assert_eq!(notes, 1, "{calls:?}");
    assert!(calls.len() <= 9, "{calls:?}");

    let mut took: Vec<Duration> = Vec::new();
    for _ in 0..50 {
        let began = Instant::now();
        desk.detail(
            id,
            &ALL,
            ReadAsk {
                max_age: Some(Duration::from_secs(600)),
                fresh: false,
            },
        )
        .await;
        took.push(began.elapsed());
    }
    took.sort();
    println!("b3: median of a detail view from the mirror {:?}", took[25]);
}
