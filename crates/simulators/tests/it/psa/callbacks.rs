//! Callbacks: registration, delivery, signature, retries.

use super::client::{Sim, psa, psa_with};
use crate::client::POLL;
use axum::extract::State;
use base64::Engine as _;
use serde_json::{Value, json};
use simulators::connectwise::Options;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const WAIT_MAX: Duration = Duration::from_secs(60);

/// What a receiver got: address, signature, body.
type Got = (String, String, Vec<u8>);

#[derive(Clone, Default)]
struct Inbox {
    letters: Arc<Mutex<Vec<Got>>>,
    /// Statuses to answer, the last for ever.
    answers: Arc<Mutex<Vec<u16>>>,
}

impl Inbox {
    async fn open(answers: &[u16]) -> (Inbox, String) {
        let inbox = Inbox::default();
        *inbox.answers.lock().unwrap() = answers.to_vec();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?recordId=", listener.local_addr().unwrap());
        let app = axum::Router::new()
            .fallback(receive)
            .with_state(inbox.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (inbox, url)
    }

    fn letters(&self) -> Vec<Got> {
        self.letters.lock().unwrap().clone()
    }

    async fn wait(&self, n: usize) -> Vec<Got> {
        let until = Instant::now() + WAIT_MAX;
        while self.letters().len() < n {
            assert!(
                Instant::now() < until,
                "{} of {n} letters came",
                self.letters().len()
            );
            tokio::time::sleep(POLL).await;
        }
        self.letters()
    }
}

async fn receive(
    State(inbox): State<Inbox>,
    request: http::Request<axum::body::Body>,
) -> http::StatusCode {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let signature = parts.headers["x-content-signature"]
        .to_str()
        .unwrap()
        .to_owned();
    inbox
        .letters
        .lock()
        .unwrap()
        .push((parts.uri.to_string(), signature, body.to_vec()));
    let mut answers = inbox.answers.lock().unwrap();
    let status = if answers.len() > 1 {
        answers.remove(0)
    } else {
        answers[0]
    };
    http::StatusCode::from_u16(status).unwrap()
}

async fn register(sim: &Sim, url: &str, ty: &str, level: &str, object: i64) -> Value {
    let body = json!({"id": 0, "inactiveFlag": false, "url": url, "objectId": object, "type": ty, "level": level,
                      "payloadVersion": "3.0.0", "memberId": 0, "isSelfSuppressedFlag": false});
    sim.put("POST", "system/callbacks", body, 201).await
}

fn quick() -> Options {
    Options {
        callback_pauses: [Duration::from_millis(10), Duration::from_millis(20)],
        ..Options::for_testing()
    }
}

#[tokio::test]
async fn a_change_is_told_with_a_signature_that_the_key_confirms() {
    let sim = psa().await;
    let (inbox, url) = Inbox::open(&[204]).await;
    let entry = register(&sim, &url, "Opportunity", "Owner", 0).await;
    assert_eq!(
        (entry["objectId"].as_i64(), entry["type"].as_str()),
        (Some(1), Some("opportunity"))
    );
    sim.put(
        "PATCH",
        "sales/opportunities/5",
        json!([{"op": "replace", "path": "name", "value": "Told"}]),
        200,
    )
    .await;
    let (address, signature, body) = inbox.wait(1).await.remove(0);
    assert!(
        address.ends_with("/hook?recordId=5&action=updated"),
        "{address}"
    );
    let letter: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (&letter["Action"], &letter["Type"], &letter["ID"]),
        (&json!("updated"), &json!("opportunity"), &json!(5))
    );
    assert_eq!(
        (&letter["MemberId"], &letter["CallbackObjectRecId"]),
        (&json!("Millpond"), &entry["id"])
    );
    let entity: Value = serde_json::from_str(letter["Entity"].as_str().unwrap()).unwrap();
    assert_eq!(entity["name"], "Told");
    assert!(entity.get("customFields").is_none());
    let key = sim
        .send(
            sim.http
                .get(letter["Metadata"]["key_url"].as_str().unwrap()),
        )
        .await
        .json();
    let key = ring::digest::digest(
        &ring::digest::SHA256,
        key["signing_key"].as_str().unwrap().as_bytes(),
    );
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.as_ref());
    let tag = base64::engine::general_purpose::STANDARD
        .decode(signature)
        .unwrap();
    ring::hmac::verify(&key, &body, &tag).unwrap();
    sim.call("DELETE", "sales/opportunities/5", None).await;
    let (_, _, body) = inbox.wait(2).await.remove(1);
    let letter: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (&letter["Action"], &letter["Entity"]),
        (&json!("deleted"), &Value::Null)
    );
}

#[tokio::test]
async fn levels_choose_the_records_and_a_member_may_leave_its_own_changes_out() {
    let sim = psa().await;
    let (inbox, url) = Inbox::open(&[200]).await;
    register(&sim, &url, "opportunity", "opportunity", 7).await;
    register(&sim, &url, "opportunity", "statusid", 2).await;
    let body = json!({"url": url, "objectId": 1, "type": "opportunity", "level": "owner", "isSelfSuppressedFlag": true});
    sim.put("POST", "system/callbacks", body, 201).await;
    let name = |text: &str| json!([{"op": "replace", "path": "name", "value": text}]);
    sim.put("PATCH", "sales/opportunities/8", name("nobody hears"), 200)
        .await;
    sim.put("PATCH", "sales/opportunities/7", name("one hears"), 200)
        .await;
    assert!(sim.psa.set_status(9, "Won"), "by a person: two hear");
    let letters = inbox.wait(3).await;
    let mut heard: Vec<(i64, i64)> = letters
        .iter()
        .map(|(_, _, body)| {
            let letter: Value = serde_json::from_slice(body).unwrap();
            (
                letter["ID"].as_i64().unwrap(),
                letter["CallbackObjectRecId"].as_i64().unwrap(),
            )
        })
        .collect();
    heard.sort_unstable();
    assert_eq!(heard, [(7, 1), (9, 2), (9, 3)]);
}

#[tokio::test]
async fn only_four_answers_lead_to_another_try_and_to_three_in_all() {
    for (status, tries) in [(404, 3), (409, 3), (419, 3), (429, 3), (500, 1), (400, 1)] {
        let sim = psa_with(quick()).await;
        let (inbox, url) = Inbox::open(&[status]).await;
        register(&sim, &url, "opportunity", "owner", 1).await;
        sim.psa.edit_opportunities(1);
        inbox.wait(tries).await;
        tokio::time::sleep(Duration::from_millis(200)).await; // one try more would come within the pauses of 20 ms
        assert_eq!(inbox.letters().len(), tries, "{status}");
    }
}

#[tokio::test]
async fn three_days_of_failures_switch_a_callback_off() {
    let sim = psa_with(quick()).await;
    let (inbox, url) = Inbox::open(&[500]).await;
    let entry = register(&sim, &url, "opportunity", "owner", 1).await;
    sim.psa.edit_opportunities(1);
    inbox.wait(1).await;
    let path = format!("system/callbacks/{}", entry["id"]);
    assert_eq!(sim.get(&path, &[]).await["inactiveFlag"], false);
    sim.psa.clock().advance(Duration::from_secs(73 * 3600));
    let until = Instant::now() + WAIT_MAX;
    while sim.get(&path, &[]).await["inactiveFlag"] == false {
        assert!(Instant::now() < until, "it is never switched off");
        sim.psa.edit_opportunities(1);
        tokio::time::sleep(POLL).await;
    }
}

#[tokio::test]
async fn a_receiver_that_never_answers_makes_nobody_wait() {
    let options = Options {
        callback_wait_max: Duration::from_secs(30),
        ..Options::for_testing()
    };
    let sim = psa_with(options).await;
    // Accepts connections and says nothing.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/?id=", listener.local_addr().unwrap());
    register(&sim, &url, "opportunity", "owner", 1).await;
    let began = Instant::now();
    sim.psa.edit_opportunities(200);
    for _ in 0..20 {
        sim.get("system/info", &[]).await;
    }
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    sim.psa.stop().await;
    assert!(
        began.elapsed() < Duration::from_secs(28),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn faults_drop_repeat_and_delay_events() {
    let sim = psa_with(quick()).await;
    let (inbox, url) = Inbox::open(&[200]).await;
    register(&sim, &url, "opportunity", "owner", 1).await;
    sim.psa.faults().drop_event_every(2);
    sim.psa.edit_opportunities(4);
    inbox.wait(2).await;
    sim.psa.faults().clear();
    sim.psa.faults().duplicate_event_every(1);
    sim.psa.edit_opportunities(1);
    inbox.wait(4).await;
    assert_eq!(sim.psa.faults().struck(), 3);
    assert_eq!(inbox.letters().len(), 4);
}

#[tokio::test]
async fn an_impossible_callback_is_refused_as_the_service_does() {
    let sim = psa().await;
    let body = json!({"url": "nowhere", "objectId": 1, "type": "contact", "level": "board"});
    let answer = sim.call("POST", "system/callbacks", Some(body)).await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.json(),
        json!({"code": "InvalidObject", "message": "callbackEntry object is invalid", "errors": [
            {"code": "InvalidField", "message": "Invalid URL", "resource": "callbackEntry", "field": "url"},
            {"code": "InvalidObject", "message": "Unrecognized level for type, see documentation for supported levels for each type",
             "resource": "callbackEntry", "field": "level"}]})
    );
    let body = json!({"url": "https://pond.example/?id=", "objectId": 1, "type": "contact", "level": "owner"});
    sim.put("POST", "system/callbacks", body.clone(), 201).await;
    let twin = sim.call("POST", "system/callbacks", Some(body)).await;
    assert_eq!(twin.json()["errors"][0]["code"], "ObjectExists");
}
