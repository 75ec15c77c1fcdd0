//! Webhooks: managed over the API, delivered a minute later, given up after six attempts.

use crate::client::{POLL, Sim, sim, text};
use axum::extract::State;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[derive(Clone, Default)]
struct Inbox {
    letters: Arc<Mutex<Vec<(String, Value)>>>,
    refuse: Arc<std::sync::atomic::AtomicBool>,
}

impl Inbox {
    async fn open() -> (Inbox, String) {
        let inbox = Inbox::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let app = axum::Router::new()
            .fallback(receive)
            .with_state(inbox.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (inbox, url)
    }

    async fn wait_for(&self, count: usize) -> Vec<(String, Value)> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let letters = self.letters.lock().unwrap().clone();
            if letters.len() >= count {
                return letters;
            }
            assert!(Instant::now() < deadline, "only {letters:?}");
            tokio::time::sleep(POLL).await;
        }
    }
}

async fn receive(
    State(inbox): State<Inbox>,
    headers: http::HeaderMap,
    body: String,
) -> http::StatusCode {
    let auth = headers
        .get("authorization")
        .map_or("", |v| v.to_str().unwrap())
        .to_owned();
    inbox
        .letters
        .lock()
        .unwrap()
        .push((auth, serde_json::from_str(&body).unwrap()));
    match inbox.refuse.load(std::sync::atomic::Ordering::SeqCst) {
        true => http::StatusCode::INTERNAL_SERVER_ERROR,
        false => http::StatusCode::OK,
    }
}

async fn subscribe(sim: &Sim, kind: &str, url: &str) -> String {
    let answer = sim.post("webhooks", json!({"Type": kind, "ExternalURL": url, "ExternalAuthorizationType": "bearerauth", "ExternalBearerToken": "secret"})).await;
    text(answer["Webhooks"].as_array().unwrap().last().unwrap(), "ID")
}

#[tokio::test]
async fn events_are_delivered_a_minute_later_with_their_authorisation() {
    let sim = sim().await;
    let (inbox, url) = Inbox::open().await;
    for kind in [
        "Sale/Created",
        "Sale/OrderAuthorised",
        "Stock/AvailableStockLevelChanged",
    ] {
        subscribe(&sim, kind, &url).await;
    }
    let (product, _) = crate::sales::stocked(&sim, 3).await;
    let (id, _) = crate::sales::order(&sim, "Simple", &product, 2.into(), "NOPICK").await;
    sim.cin7.clock().advance(Duration::from_secs(30));
    assert!(inbox.letters.lock().unwrap().is_empty());
    sim.cin7.clock().advance(Duration::from_secs(40));
    let letters = inbox.wait_for(3).await;
    assert!(letters.iter().all(|(auth, _)| auth == "Bearer secret"));
    let of = |kind: &str| {
        letters
            .iter()
            .find(|(_, body)| body["EventType"] == kind)
            .map(|(_, body)| body.clone())
    };
    assert_eq!(of("Sale/OrderAuthorised").unwrap()["SaleID"], id.as_str());
    assert_eq!(
        text(&of("Sale/Created").unwrap(), "SaleOrderDate").len(),
        10
    );
    let stock = letters
        .iter()
        .find(|(_, body)| body.is_array())
        .unwrap()
        .1
        .clone();
    assert_eq!(
        (&stock[0]["SKU"], stock[0]["MaxRows"].as_u64()),
        (
            &product["SKU"],
            Some(stock.as_array().unwrap().len() as u64)
        )
    );
}

#[tokio::test]
async fn faults_drop_repeat_and_delay_webhooks() {
    let sim = sim().await;
    let (inbox, url) = Inbox::open().await;
    subscribe(&sim, "Customer/Updated", &url).await;
    let customer = sim.get("customer?Limit=1").await["CustomerList"][0]["ID"].clone();
    let edit = async |limit: i64| {
        sim.put(
            "PUT",
            "customer",
            json!({"ID": customer, "CreditLimit": limit}),
        )
        .await;
        sim.cin7.clock().advance(Duration::from_secs(61));
    };
    sim.cin7.faults().drop_event_every(2);
    edit(1).await;
    inbox.wait_for(1).await;
    edit(2).await;
    let until = Instant::now() + Duration::from_secs(20);
    while sim.cin7.faults().struck() < 1 {
        assert!(Instant::now() < until, "nothing is dropped");
        tokio::time::sleep(POLL).await;
    }
    sim.cin7.faults().clear();
    sim.cin7.faults().duplicate_event_every(1);
    edit(3).await;
    inbox.wait_for(3).await;
    sim.cin7.faults().clear();
    // The first of two is overtaken by the second.
    sim.cin7
        .faults()
        .hold_event_every(2, Duration::from_secs(3));
    edit(4).await;
    inbox.wait_for(4).await;
    edit(5).await;
    edit(6).await;
    let letters = inbox.wait_for(6).await;
    let limits: Vec<_> = letters
        .iter()
        .map(|(_, body)| {
            body["CustomerDetailsList"][0]["Customer"]["CreditLimit"]
                .as_f64()
                .unwrap_or_default()
        })
        .collect();
    assert_eq!(limits, [1.0, 3.0, 3.0, 4.0, 6.0, 5.0]);
}

#[tokio::test]
async fn after_six_failures_a_webhook_is_switched_off() {
    let sim = sim().await;
    let (inbox, url) = Inbox::open().await;
    inbox
        .refuse
        .store(true, std::sync::atomic::Ordering::SeqCst);
    let id = subscribe(&sim, "Sale/Created", &url).await;
    // Letters go out one after the other: when the later letter is here, the failure of the earlier one is booked.
    let (fence, url) = Inbox::open().await;
    let other = subscribe(&sim, "Customer/Updated", &url).await;
    let customer = sim.get("customer?Limit=1").await["CustomerList"][0]["ID"].clone();
    crate::sales::new_sale(&sim, "Simple").await;
    for (attempt, minutes) in [1, 5, 10, 15, 20, 25].into_iter().enumerate() {
        sim.put(
            "PUT",
            "customer",
            json!({"ID": customer, "CreditLimit": minutes}),
        )
        .await;
        sim.cin7.clock().advance(Duration::from_secs(minutes * 60));
        fence.wait_for(attempt + 1).await;
        assert_eq!(inbox.letters.lock().unwrap().len(), attempt + 1);
    }
    let hook = sim.get("webhooks").await["Webhooks"][0].clone();
    assert_eq!(
        (text(&hook, "ID"), hook["IsActive"].clone()),
        (id.clone(), json!(false))
    );
    assert_eq!(inbox.letters.lock().unwrap().len(), 6);
    sim.put("PUT", "webhooks", json!({"ID": id, "IsActive": true}))
        .await;
    sim.put("DELETE", &format!("webhooks?ID={other}"), json!({}))
        .await;
    assert_eq!(
        sim.put("DELETE", &format!("webhooks?ID={id}"), json!({}))
            .await,
        json!({"Webhooks": []})
    );
}

#[tokio::test]
async fn a_type_takes_five_webhooks_and_unknown_types_are_refused() {
    let sim = sim().await;
    for n in 0..5 {
        subscribe(&sim, "Sale/Voided", &format!("http://127.0.0.1:9/{n}")).await;
    }
    let body = json!({"Type": "Sale/Voided", "ExternalURL": "http://127.0.0.1:9/"});
    assert!(
        sim.refused("POST", "webhooks", body)
            .await
            .contains("at most 5")
    );
    assert!(
        sim.refused(
            "POST",
            "webhooks",
            json!({"Type": "Sale/Sold", "ExternalURL": "http://127.0.0.1:9/"})
        )
        .await
        .contains("not supported")
    );
}
