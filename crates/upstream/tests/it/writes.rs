//! Writes are made again only when they certainly did not arrive.

use upstream::*;

use crate::server::*;

fn write() -> Call {
    let mut call = Call::new(http::Method::POST, "sale", Class::Read);
    call.body = Some("{\"Customer\":\"x\"}".into());
    call
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_not_repeated() {
    for reply in [
        Reply::Reset,
        Reply::status(500, ""),
        Reply::Torn("{".to_owned()),
        Reply::ok("{\"a\":"),
    ] {
        let rig = rig_with(vec![reply], CONNECTOR, 1, |_| {}, None).await;
        let error = rig.client.call(write()).await.unwrap_err();
        assert!(
            matches!(error, CallError::OutcomeUnknown { .. }),
            "{error:?}"
        );
        assert!(!error.is_transient());
        assert_eq!(rig.server.seen().len(), 1);
        assert_eq!(rig.server.seen()[0].body, "{\"Customer\":\"x\"}");
    }
}

#[tokio::test]
async fn a_write_that_never_arrived_or_may_arrive_twice_is_repeated() {
    let rig = rig(vec![Reply::Reset, Reply::ok("{}")]).await;
    let mut call = write();
    call.idempotent = true;
    rig.client.call(call).await.unwrap();
    assert_eq!(rig.server.seen().len(), 2);

    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("http://{closed}/");
    let rig = rig_with(
        vec![Reply::ok("{}")],
        CONNECTOR,
        1,
        |settings| settings.base_url = Some(url),
        None,
    )
    .await;
    let error = rig.client.call(write()).await.unwrap_err();
    assert!(
        matches!(&error, CallError::GaveUp { causes, .. } if causes.len() == 3),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_throttled_write_waits_its_turn() {
    let rig = rig(vec![
        Reply::status(429, "").with("retry-after", "5"),
        Reply::ok("{}"),
    ])
    .await;
    rig.client.call(write()).await.unwrap();
    assert_eq!(rig.server.seen().len(), 2);
}

#[tokio::test]
async fn stages_that_failed_inside_a_good_answer_are_told() {
    let body = r#"{"TaskID":"1","Errors":[{"ErrorCode":400,"Exception":"No stock"},"odd"]}"#;
    let rig = rig(vec![Reply::ok(body)]).await;
    let answer = rig.client.call(write()).await.unwrap();
    assert_eq!(answer.partial, ["400 No stock", "odd"]);
    assert!(read(&rig).await.unwrap().partial.is_empty());
}
