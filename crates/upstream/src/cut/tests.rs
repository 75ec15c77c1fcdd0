use proptest::prelude::*;

use super::*;
use crate::Connector;

fn connector(resource: &str) -> Connector {
    let text = format!(
        "name = \"x\"\nbase_url = \"https://x\"\n[auth]\nkind = \"bearer\"\ntoken = \"{{t}}\"\n[limits]\ncalls_per_minute = 60\n\
         [errors.body]\ncode = \"ErrorCode\"\nmessage = \"Exception\"\nin_200 = true\n\
         [paging]\nkind = \"page\"\nparam = \"Page\"\nsize_param = \"Limit\"\nsize = 2\ntotal_at = \"Total\"\n\
         [[resource]]\nname = \"thing\"\nlist = \"things\"\n{resource}"
    );
    Connector::parse("x.toml", &text).unwrap()
}

fn cutter(resource: &str) -> Cutter {
    let connector = connector(resource);
    Cutter::new(&connector.resources[0], &connector.errors, 1_000)
}

fn show(cut: &Cut) -> String {
    let mut lines = vec![format!("total {:?}, error {:?}", cut.total, cut.error)];
    for record in &cut.records {
        let body = std::str::from_utf8(&record.body).unwrap();
        let at = record
            .upstream_at
            .map(|at| at.to_string())
            .unwrap_or_default();
        let id = record.id.as_deref().unwrap_or("-");
        lines.push(
            format!(
                "{id} {at} {body} {}",
                record.problem.as_deref().unwrap_or("")
            )
            .trim_end()
            .to_owned(),
        );
    }
    lines.join("\n")
}

const THING: &str =
    "records_at = \"Things\"\nkey = \"ID\"\nkey_case = \"lower\"\nmodified_at = \"Meta.Updated\"";

#[test]
fn a_page_is_cut_into_records_with_ids_and_stamps() {
    let body = r#" { "Total": 250, "Page": 1, "Things": [ {"ID":"B","Meta":{"Updated":"2026-01-02T03:04:05.6"},"x":[1,{"ID":9}]} ,
        {"Meta":null,"ID":7}, {"n":1}, "text", {"ID":true} ] } "#;
    let cut = cutter(THING).cut_page(&Bytes::from(body)).unwrap();
    insta::assert_snapshot!(show(&cut), @r#"
    total Some(250), error None
    B 2026-01-02T03:04:05.6Z {"ID":"B","Meta":{"Updated":"2026-01-02T03:04:05.6"},"x":[1,{"ID":9}]}
    7  {"Meta":null,"ID":7}
    -  {"n":1} no id
    -  "text" not an object
    -  {"ID":true} an id that is true or false
    "#);
}

#[test]
fn errors_inside_a_good_answer_are_seen_in_every_shape() {
    let error = |body: &str| {
        cutter(THING)
            .cut_page(&Bytes::from(body.to_owned()))
            .unwrap()
            .error
    };
    let expected = Some(("400".to_owned(), "Nope".to_owned()));
    assert_eq!(error(r#"{"ErrorCode":400,"Exception":"Nope"}"#), expected);
    assert_eq!(error(r#"[{"ErrorCode":400,"Exception":"Nope"}]"#), expected);
    assert_eq!(
        error(r#"{"Things":[{"ID":"1","ErrorCode":400}]}"#),
        None,
        "a field of a record is no error"
    );
    let plain = cutter("key = \"ID\"");
    let bare = plain
        .cut_page(&Bytes::from(r#"[{"ErrorCode":400,"Exception":"Nope"}]"#))
        .unwrap();
    assert_eq!(bare.error, expected);
}

#[test]
fn a_missing_list_is_told_from_an_empty_one() {
    let cut = |body: &str| {
        cutter(THING)
            .cut_page(&Bytes::from(body.to_owned()))
            .unwrap()
            .has_records
    };
    assert!(cut(r#"{"Total":0,"Things":[]}"#));
    assert!(cut(r#"{"Total":0,"Things":null}"#));
    assert!(!cut(r#"{"Total":0}"#));
    assert!(!cut("[]"));
    assert!(!cut("null"));
}

#[test]
fn one_record_is_found_with_or_without_its_envelope() {
    let cutter = cutter(
        "records_at = \"Things\"\nkey = \"ID\"\nget = \"thing?ID={id}\"\nget_at = \"Things\"",
    );
    let ids = |body: &str| {
        let cut = cutter.cut_single(&Bytes::from(body.to_owned())).unwrap();
        (
            cut.has_records,
            cut.records
                .into_iter()
                .filter_map(|record| record.id)
                .collect::<Vec<_>>(),
        )
    };
    assert_eq!(
        ids(r#"{"Things":[{"ID":"1"}]}"#),
        (true, vec!["1".to_owned()])
    );
    assert_eq!(
        ids(r#"{"Things":{"ID":"1"}}"#),
        (true, vec!["1".to_owned()])
    );
    assert_eq!(ids(r#"{"ID":"1"}"#), (true, vec!["1".to_owned()]));
    assert_eq!(ids(r#"{"Things":[]}"#), (true, vec![]));
    assert_eq!(ids(r#"{"Something":"else"}"#), (false, vec![]));
}

#[test]
fn totals_and_tokens_are_found_where_the_connector_says() {
    let in_record = cutter(
        "records_at = \"Things\"\nkey = \"ID\"\npaging = { kind = \"page\", param = \"p\", total_in_record = \"TotalCount\" }",
    );
    let cut = in_record
        .cut_page(&Bytes::from(r#"{"Things":[{"ID":1,"TotalCount":17}]}"#))
        .unwrap();
    assert_eq!(cut.total, Some(17));
    let cursor = cutter(
        "records_at = \"data.rows\"\nkey = \"ID\"\npaging = { kind = \"cursor\", param = \"p\", next_at = \"data.next\" }",
    );
    let cut = cursor
        .cut_page(&Bytes::from(r#"{"data":{"next":"abc","rows":[{"ID":1}]}}"#))
        .unwrap();
    assert_eq!((cut.next.as_deref(), cut.records.len()), (Some("abc"), 1));
}

#[test]
fn a_record_that_is_too_large_keeps_its_id_and_says_so() {
    let body = format!(r#"{{"Things":[{{"ID":"1","x":"{}"}}]}}"#, "y".repeat(2_000));
    let cut = cutter(THING).cut_page(&Bytes::from(body)).unwrap();
    assert_eq!(cut.records[0].id.as_deref(), Some("1"));
    assert!(
        cut.records[0]
            .problem
            .as_deref()
            .unwrap()
            .contains("at most 1000")
    );
}

fn record() -> impl Strategy<Value = serde_json::Value> {
    let extra = prop::collection::vec(("[a-zA-Z\\\\\" é]{1,6}", ".{0,20}"), 0..5);
    ("[a-z0-9]{1,8}", extra).prop_map(|(id, extra)| {
        let mut map: serde_json::Map<_, _> = extra
            .into_iter()
            .map(|(key, text)| (key, text.into()))
            .collect();
        map.insert("ID".to_owned(), id.into());
        serde_json::Value::Object(map)
    })
}

proptest! {
    #[test]
    fn cutting_finds_what_the_oracle_parses(records in prop::collection::vec(record(), 0..8), pretty in any::<bool>()) {
        let page = serde_json::json!({ "Total": records.len(), "Things": records });
        let text = if pretty { serde_json::to_string_pretty(&page) } else { serde_json::to_string(&page) }.unwrap();
        let cut = cutter(THING).cut_page(&Bytes::from(text)).unwrap();
        let bodies: Vec<serde_json::Value> =
            cut.records.iter().map(|record| serde_json::from_slice(&record.body).unwrap()).collect();
        let ids: Vec<_> = cut.records.iter().map(|record| record.id.clone().unwrap()).collect();
        let oracle_ids: Vec<_> = records.iter().map(|record| record["ID"].as_str().unwrap().to_owned()).collect();
        prop_assert_eq!(bodies, records);
        prop_assert_eq!(ids, oracle_ids);
    }

    #[test]
    fn a_torn_page_is_never_taken_for_a_whole_one(
        records in prop::collection::vec(record(), 1..5), at in any::<prop::sample::Index>(),
    ) {
        let text = serde_json::to_string(&serde_json::json!({ "Things": records })).unwrap();
        let torn = Bytes::copy_from_slice(&text.as_bytes()[..at.index(text.len())]);
        let error = cutter(THING).cut_page(&torn).unwrap_err();
        prop_assert_eq!(error, CutError::NotJson(NotJson::Torn));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = cutter(THING).cut_page(&Bytes::from(bytes));
    }
}
