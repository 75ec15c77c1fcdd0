//! Logging in, limits, faults, https, and the record of calls.

use super::client::{ids, psa, psa_with};
use serde_json::{Value, json};
use simulators::connectwise::{Latency, Limit, Options};
use std::time::{Duration, Instant};

#[tokio::test]
async fn wrong_keys_and_a_missing_client_id_are_refused() {
    let sim = psa().await;
    let url = format!("{}/system/info", sim.psa.base_url());
    let company = &sim.psa.options().company;
    let (public, private) = (&company.keys[0].public, &company.keys[0].private);
    for (user, password, client_id) in [
        (format!("pond+{public}"), "wrong", "x"),
        (format!("other+{public}"), private.as_str(), "x"),
        (public.clone(), private.as_str(), "x"),
        (format!("pond+{public}"), private.as_str(), ""),
    ] {
        let request = sim
            .http
            .get(&url)
            .basic_auth(&user, Some(password))
            .header("clientId", client_id);
        let answer = sim.send(request).await;
        assert_eq!(answer.status, 401, "{user}");
        assert_eq!(answer.json()["code"], "Unauthorized");
        assert_eq!(answer.json().get("errors"), Some(&Value::Null));
    }
    assert_eq!(sim.send(sim.http.get(&url)).await.status, 401);
    // The name of the company in any case, the id of the client in the query.
    let request = sim
        .http
        .get(format!("{url}?clientid=abc"))
        .basic_auth(format!("POND+{public}"), Some(private));
    assert_eq!(sim.send(request).await.json()["isCloud"], true);
    let odd = psa_with(Options {
        bad_credentials_404: true,
        ..Options::for_testing()
    })
    .await;
    assert_eq!(
        odd.send(odd.http.get(format!("{}/system/info", odd.psa.base_url())))
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn company_info_names_the_codebase_and_an_upgrade_ends_the_old_one() {
    let sim = psa().await;
    let ask = |path: String| sim.send(sim.http.get(format!("{}{path}", sim.psa.site_url())));
    let info = ask("/login/companyinfo/POND".into()).await.json();
    assert_eq!(info["Codebase"], "v2026_1/");
    assert_eq!(info["IsCloud"], "True");
    let unknown = ask("/login/companyinfo/nobody".into()).await;
    assert_eq!((unknown.status, unknown.text.as_str()), (200, "null"));
    let with = |codebase: &str| {
        let path = format!(
            "{}/{codebase}/apis/3.0/sales/opportunities/count",
            sim.psa.site_url()
        );
        let company = &sim.psa.options().company;
        let request = sim.http.get(path).header("clientid", "x");
        sim.send(request.basic_auth(
            format!("pond+{}", company.keys[0].public),
            Some(&company.keys[0].private),
        ))
    };
    assert_eq!(with("v2026_1").await.status, 200);
    sim.psa.upgrade("v2026_2");
    assert_eq!(with("v2026_1").await.status, 404);
    assert_eq!(with("v2026_2").await.status, 200);
    assert_eq!(with("v4_6_release").await.status, 200);
}

#[tokio::test]
async fn over_the_limit_the_body_says_error_and_retry_after_is_a_number() {
    let limit = Limit {
        calls: 3,
        per: Duration::from_secs(3600),
        sliding: true,
    };
    let sim = psa_with(Options {
        limit: Some(limit),
        retry_after: Duration::from_secs(7),
        ..Options::for_testing()
    })
    .await;
    for _ in 0..3 {
        assert_eq!(sim.call("GET", "system/info", None).await.status, 200);
    }
    let answer = sim.call("GET", "system/info", None).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("retry-after"), Some("7"));
    assert_eq!(
        answer.json(),
        json!({"error": "ConnectWiseAPI", "message": "Too many requests. Please try again in 7 seconds."})
    );
    sim.psa.reset_limits();
    assert_eq!(sim.call("GET", "system/info", None).await.status, 200);
    let html = psa_with(Options {
        limit: Some(Limit { calls: 0, ..limit }),
        throttle_html: true,
        ..Options::for_testing()
    })
    .await;
    assert!(
        html.call("GET", "system/info", None)
            .await
            .text
            .starts_with("<!DOCTYPE html>")
    );
}

#[tokio::test]
async fn a_long_address_is_refused_with_414() {
    let sim = psa().await;
    let many = (0..600)
        .map(|id| id.to_string())
        .collect::<Vec<_>>()
        .join(",");
    let answer = sim
        .ask(
            "sales/opportunities",
            &[("conditions", &format!("id in ({many})"))],
        )
        .await;
    assert_eq!(answer.status, 414);
}

#[tokio::test]
async fn https_is_served_with_a_certificate_that_can_be_trusted() {
    let sim = psa_with(Options {
        tls: true,
        ..Options::for_testing()
    })
    .await;
    assert!(sim.psa.base_url().starts_with("https://"));
    assert_eq!(
        sim.get("sales/opportunities/count", &[]).await["count"],
        300
    );
    // Who does not trust it gets nothing.
    let strict = reqwest::Client::builder().no_proxy().build().unwrap();
    assert!(strict.get(sim.psa.base_url()).send().await.is_err());
    // Somebody who never shakes hands keeps nobody waiting.
    let silent = tokio::net::TcpStream::connect(sim.psa.addr())
        .await
        .unwrap();
    assert_eq!(
        sim.get("sales/opportunities/count", &[]).await["count"],
        300
    );
    drop(silent);
    sim.psa.faults().reset_every(1);
    assert!(sim.request("GET", "system/info").send().await.is_err());
}

#[tokio::test]
async fn named_faults_strike_in_their_rhythm() {
    let sim = psa().await;
    let faults = sim.psa.faults();
    faults.throttle_every(2);
    assert_eq!(sim.call("GET", "system/info", None).await.status, 200);
    assert_eq!(sim.call("GET", "system/info", None).await.status, 429);
    faults.clear();
    faults.status_every(1, 504);
    assert_eq!(sim.call("GET", "system/info", None).await.status, 504);
    faults.clear();
    faults.torn_json_every(1);
    let torn = sim.call("GET", "sales/opportunities", None).await;
    assert!(torn.status == 200 && serde_json::from_str::<Value>(&torn.text).is_err());
    faults.clear();
    faults.html_200_every(1);
    assert!(
        sim.call("GET", "sales/opportunities", None)
            .await
            .text
            .starts_with("<!DOCTYPE")
    );
    faults.clear();
    faults.error_in_200_every(1);
    assert_eq!(
        sim.get("sales/opportunities", &[]).await["message"],
        "An error has occurred."
    );
    faults.clear();
    faults.reset_every(1);
    let cut = sim
        .request("PATCH", "sales/opportunities/1")
        .header("content-type", "application/json");
    let cut = cut.body(json!([{"op": "replace", "path": "name", "value": "Cut off"}]).to_string());
    assert!(cut.send().await.is_err());
    faults.clear();
    assert_eq!(
        sim.get("sales/opportunities/1", &[]).await["name"],
        "Cut off",
        "the write was done before the cut"
    );
    faults.not_applied_every(1);
    let lost = sim
        .call(
            "POST",
            "sales/opportunities/1/notes",
            Some(json!({"text": "lost"})),
        )
        .await;
    assert_eq!(lost.status, 201);
    let notes = sim.psa.truth().documents("sales/opportunities/1/notes");
    assert!(notes.iter().all(|(_, note)| note["text"] != "lost"));
    faults.clear();
    faults.rows_missing_every(10);
    assert_eq!(
        ids(&sim
            .get("sales/opportunities", &[("pageSize", "1000")])
            .await)
        .len(),
        270
    );
}

#[tokio::test]
async fn the_record_has_start_and_end_of_every_call() {
    let latency = Latency::Fixed(Duration::from_millis(60));
    let sim = psa_with(Options {
        latency,
        ..Options::for_testing()
    })
    .await;
    let began = Instant::now();
    let (a, b, c) = tokio::join!(
        sim.call("GET", "sales/opportunities/1", None),
        sim.call("GET", "sales/opportunities/2/notes?pageSize=3", None),
        sim.call("GET", "nothing/here", None),
    );
    assert_eq!((a.status, b.status, c.status), (200, 200, 404));
    assert!(began.elapsed() >= Duration::from_millis(60));
    let tap = sim.psa.wiretap();
    let calls = tap.calls();
    assert_eq!(calls.len(), 3);
    assert_eq!(tap.max_in_flight(), 3);
    for call in &calls {
        assert!(call.answered.unwrap() - call.arrived >= Duration::from_millis(60));
        assert_eq!(call.account_id, "pond");
        assert_eq!(call.key, sim.psa.options().company.keys[0].public);
    }
    let notes = tap.of("sales/opportunities/2/notes");
    assert_eq!(
        (notes.len(), notes[0].query.as_str(), notes[0].status),
        (1, "pageSize=3", 200)
    );
}

#[tokio::test]
async fn the_doors_beside_the_interface_answer_programs() {
    let sim = psa().await;
    let door = |path: &str| sim.http.get(format!("{}/_sim/{path}", sim.psa.site_url()));
    let accounts = sim.send(door("accounts")).await.json();
    assert_eq!(accounts[0]["records"]["sales/opportunities"], 300);
    let tick = sim
        .http
        .post(format!("{}/_sim/tick?n=5", sim.psa.site_url()));
    assert_eq!(sim.send(tick).await.json()["ticked"], 5);
    let truth = sim
        .send(door(
            "truth/sales/opportunities?fields=id&conditions=id%3D3",
        ))
        .await
        .json();
    assert_eq!(truth, json!([{"id": 3}]));
    let deal = sim.send(door("truth/sales/opportunities/3")).await.json();
    assert_eq!(
        Some(deal),
        sim.psa.truth().document("sales/opportunities", 3)
    );
    assert_eq!(sim.send(door("truth/nothing")).await.status, 404);
    assert!(sim.psa.wiretap().is_empty());
}
