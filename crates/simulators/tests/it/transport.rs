//! Credentials, paths, verbs, the limit.

use crate::client::{sim, sim_with};
use simulators::cin7::{Limit, Options};
use std::time::Duration;

#[tokio::test]
async fn wrong_credentials_get_403_in_plain_text() {
    let mut sim = sim().await;
    sim.account.keys[0] = "00000000-0000-4000-8000-000000000000".into();
    let answer = sim.call("GET", "me", None).await;
    assert_eq!(
        (answer.status, answer.text.as_str()),
        (403, "Incorrect credentials!")
    );
    assert!(answer.kind.starts_with("text/plain"));
}

#[tokio::test]
async fn a_key_opens_only_its_own_account() {
    let mut sim = sim().await;
    sim.account.keys = sim.cin7.options().accounts[1].keys.clone();
    assert_eq!(sim.call("GET", "me", None).await.status, 403);
}

#[tokio::test]
async fn paths_and_parameters_have_no_case_and_unknown_parameters_are_ignored() {
    let sim = sim().await;
    let plain = sim.get("saleList?Page=2&Limit=7").await;
    assert_eq!(
        plain,
        sim.get("SALELIST?pAge=2&LIMIT=7&RestockReceivedStatus=nothing")
            .await
    );
    assert_eq!(plain["Page"], 2);
    assert_eq!(
        sim.get("ref/accountBank").await,
        sim.get("ref/account/bank").await
    );
    let url = sim
        .cin7
        .base_url()
        .replace("ExternalApi/v2", "EXTERNALAPI/V2/me");
    let request = sim.http.get(url).header("api-auth-accountid", sim.id());
    let answer = request
        .header("api-auth-applicationkey", &sim.account.keys[0])
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn an_unknown_path_is_an_html_page_with_200() {
    let sim = sim().await;
    let answer = sim.call("GET", "saleLists", None).await;
    assert_eq!(answer.status, 200);
    assert!(answer.kind.starts_with("text/html") && answer.text.contains("Page not found"));
    let strict = sim_with(Options {
        unknown_path_404: true,
        ..Options::for_testing()
    })
    .await;
    assert_eq!(strict.call("GET", "saleLists", None).await.status, 404);
}

#[tokio::test]
async fn a_wrong_verb_is_405() {
    let sim = sim().await;
    let answer = sim
        .call("PUT", "purchase/stock", Some(&serde_json::json!({})))
        .await;
    assert_eq!(answer.status, 405);
    assert_eq!(
        answer.fault(),
        "The requested resource does not support http method 'PUT'."
    );
    assert_eq!(sim.call("GET", "product-suppliers", None).await.status, 405);
}

#[tokio::test]
async fn a_detail_that_does_not_exist_is_an_error_array() {
    let sim = sim().await;
    let none = "00000000-0000-4000-8000-00000000000f";
    for path in [
        "sale?ID=",
        "advanced-purchase?ID=",
        "stockTransfer?TaskID=",
        "finishedGoods?TaskID=",
    ] {
        let answer = sim.call("GET", &format!("{path}{none}"), None).await;
        assert_eq!(answer.status, 400, "{path}");
        assert_eq!(answer.json()[0]["ErrorCode"], 400, "{path}");
    }
    assert_eq!(
        sim.call("GET", &format!("stockTransfer?ID={none}"), None)
            .await
            .fault(),
        "Required attribute 'TaskID' not provided."
    );
    assert_eq!(
        sim.call("GET", "ref/account?Code=none", None).await.fault(),
        "Account with specified ID not found"
    );
}

#[tokio::test]
async fn the_limit_answers_exactly_as_observed() {
    let limit = Limit {
        calls: 3,
        per: Duration::from_secs(60),
        sliding: false,
    };
    let sim = sim_with(Options {
        limit: Some(limit),
        ..Options::for_testing()
    })
    .await;
    for _ in 0..3 {
        let answer = sim.call("GET", "me", None).await;
        assert_eq!(answer.status, 200);
        assert!(
            answer
                .headers
                .keys()
                .all(|name| !name.as_str().starts_with("x-ratelimit"))
        );
    }
    let answer = sim.call("GET", "me", None).await;
    assert_eq!(answer.status, 429);
    assert_eq!(
        answer.text,
        "You have reached 3 calls per 60 seconds API limit."
    );
    let header = |name: &str| answer.headers[name].to_str().unwrap().to_owned();
    assert_eq!(header("retry-after"), "60 Seconds");
    assert_eq!(
        [
            header("x-ratelimit-limit"),
            header("x-ratelimit-remaining"),
            header("x-ratelimit-reset")
        ],
        ["3", "0", "60"]
    );
    assert_eq!(
        sim.cin7
            .wiretap()
            .max_in_window(true, Duration::from_secs(60)),
        4
    );
    sim.cin7.reset_limits();
    assert_eq!(sim.call("GET", "me", None).await.status, 200);
}

#[tokio::test]
async fn the_limit_of_old_is_503_without_headers() {
    let limit = Limit {
        calls: 0,
        ..Limit::default()
    };
    let sim = sim_with(Options {
        limit: Some(limit),
        legacy_503: true,
        ..Options::for_testing()
    })
    .await;
    let answer = sim.call("GET", "me", None).await;
    assert_eq!(answer.status, 503);
    assert!(answer.headers.get("retry-after").is_none());
}

#[tokio::test]
async fn the_wiretap_shows_what_was_received() {
    let sim = sim().await;
    sim.get("saleList?Limit=2").await;
    let calls = sim.cin7.wiretap().of("salelist");
    assert_eq!(calls.len(), 1);
    assert_eq!(
        (
            calls[0].status,
            calls[0].query.as_str(),
            calls[0].method.as_str()
        ),
        (200, "Limit=2", "GET")
    );
    assert_eq!(calls[0].key, sim.account.keys[0]);
    assert!(calls[0].bytes > 100 && calls[0].answered.is_some());
    sim.cin7.wiretap().clear();
    assert!(sim.cin7.wiretap().is_empty());
}

#[tokio::test]
async fn the_own_doors_show_record_truth_and_faults() {
    let sim = sim().await;
    let root = sim.cin7.base_url().replace("/ExternalApi/v2", "/_sim");
    sim.get("me").await;
    let text = |path: String| async move {
        reqwest::Client::builder()
            .no_proxy()
            .build()
            .unwrap()
            .get(path)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    };
    assert!(
        text(format!("{root}/wiretap"))
            .await
            .contains("\"path\":\"me\"")
    );
    let truth = text(format!("{root}/truth/{}/ref/brand", sim.id())).await;
    assert!(truth.contains("Millrace"), "{truth}");
    let posted = sim
        .http
        .post(format!("{root}/faults"))
        .body(r#"{"html_200_every":1}"#)
        .send()
        .await
        .unwrap();
    assert_eq!(posted.status(), 200);
    assert!(
        sim.call("GET", "me", None)
            .await
            .kind
            .starts_with("text/html")
    );
    assert_eq!(
        sim.http
            .delete(format!("{root}/faults"))
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    assert_eq!(sim.call("GET", "me", None).await.json()["Currency"], "GBP");
    assert_eq!(
        sim.http
            .post(format!("{root}/tick?n=3"))
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    assert_eq!(
        sim.http
            .post(format!("{root}/faults"))
            .body(r#"{"no_such":1}"#)
            .send()
            .await
            .unwrap()
            .status(),
        400
    );
}
