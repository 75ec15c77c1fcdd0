//! Tokens that are given out, kept, and given out again.

use std::time::Duration;

use upstream::*;

use crate::server::*;

fn connector() -> String {
    let auth = "[auth]\nkind = \"oauth2\"\ntoken_url = \"oauth/token\"\nclient_id = \"{id}\"\nclient_secret = \"{secret}\"\nscope = \"read\"\n";
    CONNECTOR.replace(
        "[auth]\nkind = \"header\"\nheaders = { x-key = \"{key}\" }\n",
        auth,
    )
}

fn token(text: &str) -> Reply {
    Reply::ok(&format!(
        "{{\"access_token\":\"{text}\",\"token_type\":\"bearer\",\"expires_in\":3600}}"
    ))
}

#[tokio::test]
async fn a_token_is_fetched_once_and_again_when_it_ends_or_is_refused() {
    let script = vec![
        token("one"),
        Reply::ok("{}"),
        Reply::ok("{}"),
        token("two"),
        Reply::ok("{}"),
        Reply::status(401, ""),
        token("three"),
        Reply::ok("{}"),
    ];
    let rig = rig_with(script, &connector(), 1, |_| {}, None).await;
    read(&rig).await.unwrap();
    read(&rig).await.unwrap();
    rig.clock.advance(Duration::from_secs(3_600));
    read(&rig).await.unwrap();
    read(&rig).await.unwrap();
    let seen = rig.server.seen();
    let bearers: Vec<_> = seen
        .iter()
        .map(|seen| seen.header("authorization").unwrap_or("-"))
        .collect();
    assert_eq!(
        bearers,
        [
            "-",
            "Bearer one",
            "Bearer one",
            "-",
            "Bearer two",
            "Bearer two",
            "-",
            "Bearer three"
        ]
    );
    assert_eq!(seen[0].line, "POST /api/oauth/token HTTP/1.1");
    assert_eq!(
        seen[0].body,
        "grant_type=client_credentials&client_id=id-of-a&client_secret=secret-of-a&scope=read"
    );
}

#[tokio::test]
async fn a_refused_client_is_set_aside() {
    let rig = rig_with(
        vec![Reply::status(401, "{\"error\":\"invalid_client\"}")],
        &connector(),
        1,
        |_| {},
        None,
    )
    .await;
    let error = read(&rig).await.unwrap_err();
    assert!(
        matches!(error, CallError::Refused { status: 401, .. }),
        "{error:?}"
    );
    assert_eq!(rig.server.seen().len(), 1);
}

#[tokio::test]
async fn basic_and_bearer_send_what_they_should() {
    let header = "[auth]\nkind = \"header\"\nheaders = { x-key = \"{key}\" }\n";
    let basic = "[auth]\nkind = \"basic\"\nusername = \"company+{id}\"\npassword = \"{secret}\"\nheaders = { clientId = \"{key}\" }\n";
    let rig = rig_with(
        vec![Reply::ok("{}")],
        &CONNECTOR.replace(header, basic),
        1,
        |_| {},
        None,
    )
    .await;
    read(&rig).await.unwrap();
    let seen = &rig.server.seen()[0];
    assert_eq!(
        seen.header("authorization"),
        Some("Basic Y29tcGFueStpZC1vZi1hOnNlY3JldC1vZi1h")
    );
    assert_eq!(seen.header("clientid"), Some("key-of-a"));
    let bearer = "[auth]\nkind = \"bearer\"\ntoken = \"{key}\"\n";
    let rig = rig_with(
        vec![Reply::ok("{}")],
        &CONNECTOR.replace(header, bearer),
        1,
        |_| {},
        None,
    )
    .await;
    read(&rig).await.unwrap();
    assert_eq!(
        rig.server.seen()[0].header("authorization"),
        Some("Bearer key-of-a")
    );
}
