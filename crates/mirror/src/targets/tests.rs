use serde_json::json;

use super::*;

fn connectwise() -> Connector {
    let text = include_str!("../../../../connectors/connectwise.toml");
    Connector::parse("connectwise.toml", text).unwrap()
}

fn knowing_that_status_2_is_closed() -> Targets {
    let targets = Targets::compile(&connectwise()).unwrap();
    let key = |id: &str| {
        ["psa", "opportunity_status", id, "closed"]
            .map(str::to_owned)
            .into()
    };
    let mut known = targets.known.lock().unwrap();
    known.insert(key("1"), (Instant::now(), Some(Signal::Flag(false))));
    known.insert(key("2"), (Instant::now(), Some(Signal::Flag(true))));
    drop(known);
    targets
}

#[test]
fn the_rules_of_connectwise_are_those_that_freshness_proves() {
    let tables = |text: &str| -> BTreeMap<String, Vec<upstream::connector::TtlRule>> {
        let least = "name = \"x\"\nbase_url = \"https://x.example\"\n[auth]\nkind = \"bearer\"\ntoken = \"{t}\"\n\
                     [limits]\ncalls_per_minute = 1\n[[resource]]\nname = \"r\"\nlist = \"r\"\nget = \"r/{id}\"\nkey = \"id\"\n";
        let payloads: String = ["primary", "sub_resource", "products", "site"]
            .iter()
            .map(|table| {
                format!("[[payload]]\nname = \"{table}\"\nfamily = \"{table}:{{id}}\"\nof = \"r\"\nget = \"{table}/{{id}}\"\nttl = \"{table}\"\n")
            })
            .collect();
        Connector::parse("x.toml", &format!("{least}{payloads}{text}"))
            .unwrap_or_else(|problems| panic!("{problems}"))
            .ttl
    };
    let proved = tables(include_str!(
        "../../../freshness/tests/fixtures/connectwise-ttl.toml"
    ));
    let shipped = connectwise().ttl;
    for (name, rows) in &proved {
        assert_eq!(shipped.get(name), Some(rows), "table {name}");
    }
    assert!(proved.len() >= 4);
}

#[test]
fn b22_whether_a_deal_is_closed_is_known_by_its_status() {
    let targets = knowing_that_status_2_is_closed();
    let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
    let life = |status: u32, more: Value| {
        let mut body = json!({ "id": 7, "status": { "id": status, "name": "x" } });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        targets.lifetime("primary", ("opportunity", "psa"), &body, now)
    };
    let secs = |secs| Some(Duration::from_secs(secs));
    assert_eq!(
        life(1, json!({ "closedDate": "2026-02-28T12:00:00Z" })),
        secs(900)
    );
    assert_eq!(
        life(
            1,
            json!({ "_info": { "lastUpdated": "2026-02-28T12:00:00Z" } })
        ),
        secs(30)
    );
    assert_eq!(
        life(
            2,
            json!({ "closedDate": "2026-02-28T12:00:00Z", "_info": { "lastUpdated": "2026-02-28T12:00:00Z" } })
        ),
        secs(900)
    );
    assert_eq!(
        life(2, json!({ "closedDate": "2026-01-01T12:00:00Z" })),
        None
    );
    assert_eq!(life(2, json!({})), None, "closed, and nobody knows when");
    assert_eq!(life(3, json!({})), secs(900), "a status that nobody knows");
    assert_eq!(
        life(1, json!({ "closedFlag": true })),
        None,
        "the record's own word counts first"
    );
}

#[test]
fn b26_b33_b39_b46_each_payload_follows_its_table() {
    let targets = knowing_that_status_2_is_closed();
    let connector = connectwise();
    let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
    let body = json!({ "status": { "id": 1, "name": "Open" }, "_info": { "lastUpdated": "2026-03-01T11:00:00Z" } });
    let lives: Vec<(String, u64)> = connector
        .payloads
        .iter()
        .map(|payload| {
            let ttl = targets.lifetime(
                payload.ttl.as_deref().unwrap(),
                (&payload.of, "psa"),
                &body,
                now,
            );
            (payload.short_name().to_owned(), ttl.unwrap().as_secs())
        })
        .collect();
    let expected = [
        ("activities", 30),
        ("notes", 60),
        ("contacts", 60),
        ("products", 15),
        ("company", 30),
        ("site", 1200),
        ("stock", 1200),
    ];
    assert_eq!(lives, expected.map(|(name, secs)| (name.to_owned(), secs)));
}

#[test]
fn rules_that_mean_nothing_are_refused_by_name() {
    let text = include_str!("../../../../connectors/connectwise.toml");
    let told = |from: &str, to: &str| {
        let connector = Connector::parse("x.toml", &text.replacen(from, to, 1)).unwrap();
        check_rules(&connector).unwrap_err().to_string()
    };
    let unknown = told(
        "{ when = \"within(updated, duration('72h'))\"",
        "{ when = \"within(updatd, duration('72h'))\"",
    );
    assert!(
        unknown.contains("products") && unknown.contains("updatd"),
        "{unknown}"
    );
    let broken = told(
        "{ when = \"within(updated, duration('72h'))\"",
        "{ when = \"within(updated,\"",
    );
    assert!(broken.contains("products"), "{broken}");
}
