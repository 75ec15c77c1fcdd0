//! Pages and single records.

use upstream::*;

use crate::server::*;

async fn walk(rig: &Rig, resource: &str, since: Option<&str>) -> Result<Vec<String>, CallError> {
    let resource = rig.client.connector().resource(resource).unwrap().clone();
    let mut ids = Vec::new();
    let mut position = Some(Position::First);
    while let Some(at) = position {
        // A position survives being written down.
        let at: Position = serde_json::from_str(&serde_json::to_string(&at).unwrap()).unwrap();
        let since = since.map(|since| since.parse().unwrap());
        let ask = PageAsk {
            position: at,
            since,
            ..PageAsk::default()
        };
        let page = rig
            .client
            .list_page(&resource, ask, Class::Backfill)
            .await?;
        ids.extend(
            page.records
                .into_iter()
                .map(|record| record.id.unwrap_or_else(|| "-".to_owned())),
        );
        position = page.next;
    }
    Ok(ids)
}

fn sales(total: u64, ids: &[&str]) -> Reply {
    let rows: Vec<String> = ids
        .iter()
        .map(|id| format!("{{\"SaleID\":\"{id}\"}}"))
        .collect();
    Reply::ok(&format!(
        "{{\"Total\":{total},\"Page\":1,\"SaleList\":[{}]}}",
        rows.join(",")
    ))
}

#[tokio::test]
async fn pages_by_number_end_when_the_total_is_in() {
    let rig = rig(vec![sales(3, &["a", "b"]), sales(3, &["c"])]).await;
    assert_eq!(
        walk(&rig, "sale_header", Some("2026-01-01T00:00:00Z"))
            .await
            .unwrap(),
        ["a", "b", "c"]
    );
    let query = "UpdatedSince=2026-01-01T00%3A00%3A00.000Z";
    assert_eq!(
        rig.server.lines(),
        [
            format!("GET /api/saleList?Limit=2&Page=1&{query} HTTP/1.1"),
            format!("GET /api/saleList?Limit=2&Page=2&{query} HTTP/1.1"),
        ]
    );
}

#[tokio::test]
async fn a_server_that_gives_smaller_pages_than_asked_for_is_read_to_the_end() {
    let rig = rig(vec![sales(3, &["a"]), sales(3, &["b"]), sales(3, &["c"])]).await;
    assert_eq!(
        walk(&rig, "sale_header", None).await.unwrap(),
        ["a", "b", "c"]
    );
}

#[tokio::test]
async fn a_listing_that_shrinks_while_it_is_read_ends_at_the_empty_page() {
    let rig = rig(vec![
        sales(5, &["a", "b"]),
        sales(5, &["c", "d"]),
        sales(5, &[]),
    ])
    .await;
    assert_eq!(
        walk(&rig, "sale_header", None).await.unwrap(),
        ["a", "b", "c", "d"]
    );
}

#[tokio::test]
async fn a_server_that_ignores_the_page_number_is_found_out() {
    let rig = rig(vec![sales(9, &["a", "b"])]).await;
    let error = walk(&rig, "sale_header", None).await.unwrap_err();
    assert!(error.to_string().contains("repeats"), "{error}");
    assert_eq!(rig.server.seen().len(), 3);
}

#[tokio::test]
async fn a_page_that_new_rows_pushed_down_once_is_no_error() {
    let rig = rig(vec![
        sales(4, &["a", "b"]),
        sales(6, &["a", "b"]),
        sales(6, &["c", "d"]),
    ])
    .await;
    assert_eq!(
        walk(&rig, "sale_header", None).await.unwrap(),
        ["a", "b", "a", "b", "c", "d"]
    );
}

#[tokio::test]
async fn links_are_followed_by_their_query_alone() {
    let next = "<https://elsewhere.example/v1//tickets?conditions=lastUpdated%3e%5b2026-01-01T00%3a00%3a00Z%5d&pageSize=2&pageId=7>; rel=\"next\"";
    let rig = rig(vec![
        Reply::ok("[{\"id\":3,\"_info\":{\"lastUpdated\":\"2026-01-02T00:00:00Z\"}},{\"id\":7}]")
            .with("link", next),
        Reply::ok("[{\"id\":9}]").with("link", ""),
    ])
    .await;
    assert_eq!(
        walk(&rig, "ticket", Some("2026-01-01T00:00:00Z"))
            .await
            .unwrap(),
        ["3", "7", "9"]
    );
    let lines = rig.server.lines();
    assert_eq!(
        lines[0],
        "GET /api/service/tickets?pageSize=2&conditions=lastUpdated%3E%5B2026-01-01T00%3A00%3A00Z%5D HTTP/1.1"
    );
    assert_eq!(
        lines[1],
        "GET /api/service/tickets?conditions=lastUpdated%3E%5B2026-01-01T00%3A00%3A00Z%5D&pageSize=2&pageId=7 HTTP/1.1"
    );
    assert_eq!(
        rig.server.seen()[0].header("pagination-type"),
        Some("forward-only")
    );
}

#[tokio::test]
async fn everything_after_the_last_id_is_asked_for_with_all_conditions_joined() {
    let rig = rig(vec![Reply::ok("[{\"id\":3},{\"id\":7}]"), Reply::ok("[]")]).await;
    assert_eq!(
        walk(&rig, "note", Some("2026-01-01T00:00:00Z"))
            .await
            .unwrap(),
        ["3", "7"]
    );
    let second = rig.server.lines()[1].replace('+', " ");
    let decoded = second
        .replace("%28", "(")
        .replace("%29", ")")
        .replace("%3D", "=")
        .replace("%3E", ">");
    assert!(
        decoded.contains("((type = 1) and (id > 7)) and (lastUpdated>"),
        "{decoded}"
    );
}

#[tokio::test]
async fn offsets_and_cursors_are_walked() {
    let rig = rig(vec![
        Reply::ok("{\"items\":[{\"id\":1},{\"id\":2}]}"),
        Reply::ok("{\"items\":[{\"id\":3}]}"),
    ])
    .await;
    assert_eq!(
        walk(&rig, "offset_thing", None).await.unwrap(),
        ["1", "2", "3"]
    );
    assert_eq!(
        rig.server.lines()[1],
        "GET /api/offset?take=2&skip=2 HTTP/1.1"
    );
    let rig = rig_with(
        vec![
            Reply::ok("{\"items\":[{\"id\":1}],\"meta\":{\"next\":\"x/y\"}}"),
            Reply::ok("{\"items\":[],\"meta\":{\"next\":null}}"),
        ],
        CONNECTOR,
        1,
        |_| {},
        None,
    )
    .await;
    assert_eq!(walk(&rig, "cursor_thing", None).await.unwrap(), ["1"]);
    assert_eq!(
        rig.server.lines()[1],
        "GET /api/cursor?first=2&after=x%2Fy HTTP/1.1"
    );
}

#[tokio::test]
async fn an_answer_without_the_list_is_no_empty_list() {
    for body in ["{\"Total\":0}", "{}", "[]", "7"] {
        let rig = rig(vec![Reply::ok(body)]).await;
        let error = walk(&rig, "sale_header", None).await.unwrap_err();
        assert!(
            matches!(error, CallError::Unusable { .. }),
            "{body}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_torn_page_is_asked_for_again_and_never_cut() {
    let rig = rig(vec![
        Reply::ok("{\"Total\":2,\"SaleList\":[{\"SaleID\":\"a\"}"),
        sales(1, &["a"]),
    ])
    .await;
    assert_eq!(walk(&rig, "sale_header", None).await.unwrap(), ["a"]);
    assert_eq!(rig.server.seen().len(), 2);
}

async fn fetch(reply: Reply, id: &str) -> Result<Fetched, CallError> {
    let rig = rig(vec![reply]).await;
    let sale = rig.client.connector().resource("sale").unwrap().clone();
    rig.client.get_record(&sale, id, Class::Read).await
}

#[tokio::test]
async fn a_record_is_found_missing_or_another() {
    let found = fetch(Reply::ok("{\"ID\":\"AB12\",\"x\":1}"), "AB12")
        .await
        .unwrap();
    assert!(
        matches!(&found, Fetched::Found(record, _) if record.problem.is_none()),
        "{found:?}"
    );
    let missing = fetch(
        Reply::status(
            400,
            "[{\"ErrorCode\":400,\"Exception\":\"Sale not found\"}]",
        ),
        "x",
    )
    .await
    .unwrap();
    assert!(matches!(missing, Fetched::Missing(_)), "{missing:?}");
    let other = fetch(Reply::ok("{\"ID\":\"other\"}"), "AB12")
        .await
        .unwrap();
    assert!(
        matches!(&other, Fetched::Found(record, _) if record.problem.is_some()),
        "{other:?}"
    );
    let error = fetch(Reply::status(404, "<html>nothing here</html>"), "x")
        .await
        .unwrap_err();
    assert!(
        matches!(error, CallError::Rejected { status: 404, .. }),
        "a wrong path is no missing record: {error:?}"
    );
    let error = fetch(Reply::ok("[]"), "x").await;
    assert!(!matches!(error, Ok(Fetched::Found(..))), "{error:?}");
}

#[tokio::test]
async fn ids_are_encoded_into_paths_and_queries() {
    let rig = rig(vec![Reply::ok("{\"id\":1}")]).await;
    let connector = rig.client.connector().clone();
    for (resource, id) in [("ticket", "../x?y"), ("sale", "a&b=c")] {
        let _ = rig
            .client
            .get_record(connector.resource(resource).unwrap(), id, Class::Read)
            .await;
    }
    assert_eq!(
        rig.server.lines()[0],
        "GET /api/service/tickets/..%2Fx%3Fy HTTP/1.1"
    );
    assert_eq!(rig.server.lines()[1], "GET /api/sale?ID=a%26b%3Dc HTTP/1.1");
    let ticket = connector.resource("ticket").unwrap();
    let error = rig
        .client
        .get_record(ticket, "..", Class::Read)
        .await
        .unwrap_err();
    assert!(matches!(error, CallError::Impossible { .. }), "{error:?}");
}
