use super::*;

/// The connectors that ship with the project must be readable; users start from them.
#[test]
fn shipped_connectors_are_read_without_a_problem() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../connectors");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if let Err(diagnostics) = Connector::parse(&name, &text) {
            panic!("{diagnostics}");
        }
        count += 1;
    }
    assert!(count > 0);
}

/// The least that a connector file must say, with `change` in its place.
const LEAST: &str = r#"name = "x"
base_url = "https://x.example/api/"
[auth]
kind = "header"
headers = { key = "{api_key}" }
[limits]
calls_per_minute = 60
[[resource]]
name = "sale"
list = "sales"
key = "id"
"#;

fn problems(text: &str) -> String {
    match Connector::parse("x.toml", text) {
        Ok(_) => "no problem".to_owned(),
        Err(diagnostics) => diagnostics.to_string(),
    }
}

fn with(change: &str) -> String {
    problems(&format!("{LEAST}{change}"))
}

#[test]
fn the_least_file_gives_sensible_defaults() {
    let connector = Connector::parse("x.toml", LEAST).unwrap();
    assert_eq!(connector.base_url, "https://x.example/api");
    assert_eq!(connector.secret_names(), ["api_key"]);
    let limits = &connector.limits;
    assert_eq!(
        (
            limits.calls,
            limits.per.as_secs(),
            limits.reserve,
            limits.timeout.as_secs()
        ),
        (60, 60, 3, 30)
    );
    let sale = connector.resource("sale").unwrap();
    assert_eq!(sale.paging.kind, PagingKind::None);
    assert_eq!(connector.errors.refused, [401, 403]);
}

#[test]
fn unknown_keys_are_named_with_the_closest_allowed_one() {
    let unknown = LEAST.replace("list = \"sales\"", "lsit = \"sales\"\nmodifed_at = \"x\"");
    insta::assert_snapshot!(problems(&unknown), @r#"
    x.toml:8: `resource.sale.list`: is missing: give `list`, or `get` with `of`
    x.toml:10: `resource.sale.lsit`: unknown key `lsit`; did you mean `list`? Allowed here: changes, family, full, get, get_at, indexes, key, key_case, list, lookups, modified_at, name, of, of_at, order, page_size, paging, params, reconcile, records_at, signals, title, ttl, unless, when
    x.toml:11: `resource.sale.modifed_at`: unknown key `modifed_at`; did you mean `modified_at`? Allowed here: changes, family, full, get, get_at, indexes, key, key_case, list, lookups, modified_at, name, of, of_at, order, page_size, paging, params, reconcile, records_at, signals, title, ttl, unless, when
    "#);
}

#[test]
fn all_problems_come_together_in_the_order_of_lines() {
    let text = r#"name = "Bad Name"
[auth]
kind = "magic"
[limits]
calls = 10
concurrency = 0
timeout = "30 parsecs"
[paging]
kind = "page"
size = 5000
size_max = 100
[[resource]]
name = "a"
list = "a/{id}"
changes = { every = "1m", param = "since", condition = "x>{since}" }
[[resource]]
name = "a"
get = "a"
key = ["id", 7]
"#;
    insta::assert_snapshot!(problems(text), @r#"
    x.toml:1: `base_url`: is missing
    x.toml:1: `name`: `Bad Name` is no name: use a-z, 0-9 and _, a letter first, at most 48
    x.toml:3: `auth.kind`: unknown value `magic`; did you mean `basic`? Allowed here: header, basic, bearer, oauth2
    x.toml:5: `limits.calls`: is missing: give `calls_per_minute`, or `calls` and `per`
    x.toml:6: `limits.concurrency`: 0 is out of bounds: 1 to 1000
    x.toml:7: `limits.timeout`: `30 parsecs` is no duration: write a whole number and one of ms, s, m, h, d, as in `30s`
    x.toml:8: `paging.param`: is missing
    x.toml:10: `paging.size`: 5000 is more than `size_max` = 100
    x.toml:12: `resource.a.key`: is missing: say where a record's id stands
    x.toml:14: `resource.a.list`: `{id}` has no meaning here: no place is allowed
    x.toml:15: `resource.a.changes.condition`: stands beside `param`: give one or the other
    x.toml:16: `resource.a#2`: there is a `a` already
    x.toml:16: `resource.a#2.of`: is missing: a resource without `list` needs a parent whose records name it
    x.toml:18: `resource.a#2.get`: `a` must say where the record's id goes: {id}
    x.toml:19: `resource.a#2.key`: must be a list of texts, not a list of something else
    "#);
}

#[test]
fn texts_that_are_not_toml_say_where() {
    insta::assert_snapshot!(problems("name = \"x\"\nbase_url = oops\n"), @r#"
    x.toml:2: not TOML: string values must be quoted, expected literal string
    "#);
}

#[test]
fn references_must_lead_somewhere() {
    let text = r#"ttl = "primry"
[[resource]]
name = "detail"
of = "sal"
get = "sale/{id}"
key = "id"
[[view]]
name = "sale"
of = "slae"
columns = [{ name = "a", path = "a", type = "text" }]
[[payload]]
name = "notes"
of = "nobody"
family = "notes"
get = "sale/{id}/notes"
[ttl]
primary = [{ ttl = "5m" }]
"#;
    insta::assert_snapshot!(with(text), @r#"
    x.toml:12: `resource.sale.ttl`: there is no table in `[ttl]` `primry`; did you mean `primary`?
    x.toml:15: `resource.detail.of`: there is no resource `sal`; did you mean `sale`?
    x.toml:19: `view.sale.name`: a resource is called `sale` already
    x.toml:20: `view.sale.of`: there is no resource `slae`; did you mean `sale`?
    x.toml:22: `payload.notes.parts`: {id} has no place in `family`: two payloads would share one key
    x.toml:24: `payload.notes.of`: there is no resource `nobody`
    x.toml:25: `payload.notes.family`: must say whose it is, as in {id}
    x.toml:28: `ttl.primary`: is named by no resource and no payload
    "#);
}

#[test]
fn parents_must_not_go_in_a_circle() {
    let text = r#"
[[resource]]
name = "a"
of = "b"
get = "a/{id}"
key = "id"
[[resource]]
name = "b"
of = "a"
get = "b/{id}"
key = "id"
[[resource]]
name = "self"
of = "self"
get = "s/{id}"
key = "id"
"#;
    insta::assert_snapshot!(with(text), @r#"
    x.toml:15: `resource.a.of`: goes in a circle: a → b → a
    x.toml:20: `resource.b.of`: goes in a circle: b → a → b
    x.toml:25: `resource.self.of`: goes in a circle: self → self
    "#);
}

#[test]
fn braces_must_name_something() {
    let auth = LEAST.replace("headers = { key = \"{api_key}\" }", "headers = { key = \"{api_kye}\", b = \"{open\" }\nsecrets = { api_key = \"in the settings\" }");
    insta::assert_snapshot!(problems(&auth), @r#"
    x.toml:5: `auth.headers`: `{open` has a brace without its partner
    x.toml:6: `auth.secrets`: `api_key` is used nowhere
    x.toml:6: `auth.secrets`: `{api_kye}` names no secret. Secrets: api_key
    "#);
    insta::assert_snapshot!(with("get = \"sale\"\nchanges = { every = \"5m\", condition = \"x > {now}\" }"), @r#"
    x.toml:12: `resource.sale.get`: `sale` must say where the record's id goes: {id}
    x.toml:13: `resource.sale.changes.condition`: must have the place {since} once and no other
    "#);
}

#[test]
fn views_are_checked() {
    let text = r#"
[[view]]
name = "v"
of = "sale"
each = ["A", "B", "C"]
columns = [
  { name = "line", path = "x", type = "text" },
  { name = "a", path = "x", type = "txt" },
  { name = "a", path = "x[*]", type = "numeric", level = 9 },
  { name = "m", path = "m", type = "text", money = true },
]
"#;
    insta::assert_snapshot!(with(text), @r#"
    x.toml:16: `view.v.each`: 3 arrays in each other; at most 2
    x.toml:18: `view.v.columns.line.name`: a column `line` is there by itself
    x.toml:19: `view.v.columns.a.type`: unknown value `txt`; did you mean `text`? Allowed here: text, numeric, timestamptz, date, boolean, integer, jsonb
    x.toml:20: `view.v.columns.a#3`: there is a `a` already
    x.toml:20: `view.v.columns.a#3.level`: 9 is out of bounds: 0 to 3
    x.toml:20: `view.v.columns.a#3.path`: `x[*]` is no path of keys: arrays cannot be entered here
    x.toml:21: `view.v.columns.m.money`: needs `type = "numeric"`
    "#);
}

#[test]
fn freshness_tables_are_checked() {
    let text = r#"ttl = "t"
[ttl]
t = [{ ttl = "5m" }, { when = "closed", ttl = "soon" }]
u = [{ ttl = "none" }]
"#;
    insta::assert_snapshot!(with(text), @r#"
    x.toml:14: `ttl.t.1.when`: is missing: only the last row may hold always
    x.toml:14: `ttl.t.2.ttl`: `soon` is no duration: write a whole number and one of ms, s, m, h, d, as in `30s`
    x.toml:14: `ttl.t.2.when`: must not stand in the last row: it is for all that no other row covers
    x.toml:15: `ttl.u`: is named by no resource and no payload
    "#);
}

#[test]
fn pairs_that_exclude_each_other_are_refused() {
    let limits = LEAST.replace(
        "calls_per_minute = 60",
        "calls_per_minute = 60\ncalls = 5\nshare = 1.5",
    );
    insta::assert_snapshot!(problems(&limits), @r#"
    x.toml:7: `limits.calls_per_minute`: stands beside `calls` and `per`: give one or the other
    x.toml:9: `limits.share`: 1.5 is no share: more than 0, at most 1
    "#);
    insta::assert_snapshot!(with("of_at = \"x\"\nwhen = { a = 1 }\npaging = { kind = \"cursor\", param = \"c\" }"), @r#"
    x.toml:12: `resource.sale.of_at`: needs `of`: it reads the parent's record
    x.toml:13: `resource.sale.when`: needs `of`: it reads the parent's record
    x.toml:14: `resource.sale.paging.next_at`: is missing
    "#);
}

#[test]
fn children_are_found_and_stand_after_their_parents() {
    let text = LEAST.replace(
        "[[resource]]",
        "[[resource]]\nname = \"detail\"\nof = \"sale\"\nget = \"sale/{id}\"\nkey = \"id\"\nwhen = { kind = \"x\" }\n[[resource]]",
    );
    let connector = Connector::parse("x.toml", &text).unwrap();
    let names: Vec<_> = connector
        .resources
        .iter()
        .map(|resource| resource.name.as_str())
        .collect();
    assert_eq!(names, ["sale", "detail"]);
    let detail: Vec<_> = connector.children("sale").collect();
    let parent = |body: &str| crate::RawRecord {
        id: Some("7".to_owned()),
        body: bytes::Bytes::from(body.to_owned()),
        upstream_at: None,
        problem: None,
    };
    assert_eq!(
        detail[0]
            .detail_id(&parent(r#"{"id":7,"kind":"x"}"#))
            .as_deref(),
        Some("7")
    );
    assert_eq!(detail[0].detail_id(&parent(r#"{"id":7,"kind":"y"}"#)), None);
    assert_eq!(detail[0].detail_id(&parent(r#"{"id":7}"#)), None);
}

#[test]
fn a_service_desk_with_basic_auth_payloads_and_rules_is_read() {
    let text = r#"
name = "connectwise"
base_url = "https://api-na.example/v4_6_release/apis/3.0"
[auth]
kind = "basic"
username = "{company}+{public_key}"
password = "{private_key}"
headers = { clientId = "{client_id}" }
[limits]
calls_per_minute = 900
concurrency = 6
timeout = "30s"
share = 0.5
[paging]
kind = "link"
size_param = "pageSize"
size = 1000
size_max = 1000
headers = { pagination-type = "forward-only" }
[errors]
refused = [401]
missing = { statuses = [404], unless = ["The endpoint does not exist"] }
body = { code = "code", message = "message" }
[[resource]]
name = "opportunity"
list = "/sales/opportunities"
get = "/sales/opportunities/{id}"
key = "id"
modified_at = "_info.lastUpdated"
changes = { every = "60s", condition = "lastUpdated>[{since}]", overlap = "5m" }
full = { every = "24h" }
reconcile = { every = "24h", params = { fields = "id" } }
ttl = "primary"
signals = { closed = "closedFlag", updated = "_info.lastUpdated" }
[[payload]]
name = "opportunity_notes"
family = "opp:notes:{id}"
of = "opportunity"
get = "/sales/opportunities/{id}/notes"
ttl = "sub_resource"
warm = true
[[payload]]
name = "opportunity_products"
family = "opp:products:{id}"
of = "opportunity"
parts = [
  { name = "forecast", get = "/sales/opportunities/{id}/forecast" },
  { name = "products", list = "/procurement/products?conditions=opportunity/id={id}" },
]
ttl = "sub_resource"
[ttl]
primary = [{ when = "closed", ttl = "5m" }, { ttl = "30s" }]
sub_resource = [
  { when = "closed && now - updated > duration('720h')", ttl = "none" },
  { ttl = "5m" },
]
"#;
    let connector = Connector::parse("cw.toml", text).unwrap();
    assert_eq!(
        connector.secret_names(),
        ["client_id", "company", "private_key", "public_key"]
    );
    assert_eq!(
        (connector.limits.calls_usable(), connector.limits.reserve),
        (450, 22)
    );
    let parts: Vec<_> = connector.payloads[1]
        .parts
        .iter()
        .map(|part| part.name.as_str())
        .collect();
    assert_eq!(parts, ["forecast", "products"]);
    assert_eq!(connector.ttl["sub_resource"][0].ttl, None);
    let opportunity = connector.resource("opportunity").unwrap();
    assert_eq!(
        opportunity.reconcile.as_ref().unwrap().params,
        [("fields".to_owned(), "id".to_owned())]
    );
}

#[test]
fn every_key_of_the_vocabulary_stands_in_the_reference_page() {
    let page = include_str!("../../../../docs/connectors.md");
    let source = [
        include_str!("../connector.rs"),
        include_str!("auth.rs"),
        include_str!("limits.rs"),
        include_str!("errors.rs"),
        include_str!("paging.rs"),
        include_str!("payload.rs"),
        include_str!("ttl.rs"),
        include_str!("write.rs"),
        include_str!("resource.rs"),
        include_str!("endpoint.rs"),
        include_str!("feed.rs"),
        include_str!("view.rs"),
    ]
    .concat();
    let asks = regex::Regex::new(
        r#"\b(?:text|need_text|need_name|flag|integer|share|duration|need_duration|path|need_path|choice|texts|integers|pairs|table|tables|named_lists|template|need|count|size|place|read_statuses|read_conditions)\(\s*(?:&\w+,\s*)?"([a-z_0-9]+)""#,
    )
    .unwrap();
    let mut keys: Vec<&str> = asks
        .captures_iter(&source)
        .map(|found| found.get(1).unwrap().as_str())
        .collect();
    keys.sort_unstable();
    keys.dedup();
    assert!(
        keys.len() > 70,
        "the pattern no longer finds the keys: {keys:?}"
    );
    let unsaid: Vec<_> = keys
        .iter()
        .filter(|key| !page.contains(&format!("`{key}`")))
        .collect();
    assert!(
        unsaid.is_empty(),
        "docs/connectors.md does not explain {unsaid:?}"
    );
}

#[test]
fn what_makes_up_and_writes_a_payload_is_checked() {
    let text = r#"[[resource.lookups]]
name = "closed"
of = "stat"
by = "status.id"
at = "closedFlag"
[[payload]]
name = "sale_stock"
family = "sale:stock:{company}:{bin}"
of = "sale"
ids = { company = "company.id", site = "site.id" }
parts = [
  { name = "item", record = true, get = "items/{company}" },
  { name = "bins", list = "bins/{id}" },
  { name = "total", sum = "item.onHand" },
  { name = "nothing" },
]
writes = [
  { name = "create", call = "POST notes/{item}" },
  { name = "update", call = "notes/{company}" },
  { name = "delete", call = "DELETE notes/{item}", order_at = "n" },
]
"#;
    insta::assert_snapshot!(with(text), @r"
    x.toml:14: `resource.sale.lookups.closed.of`: there is no resource `stat`
    x.toml:19: `payload.sale_stock.family`: {bin} is neither {id} nor in `ids`
    x.toml:21: `payload.sale_stock.ids`: `site` has no place in `family`
    x.toml:22: `payload.sale_stock.parts`: there is no listed part `item` to sum
    x.toml:22: `payload.sale_stock.parts`: {id} has no place in `family`: two payloads would share one key
    x.toml:23: `payload.sale_stock.parts.item.name`: has several sources: give one of them
    x.toml:26: `payload.sale_stock.parts.nothing.get`: is missing: give `get`, `list`, `record`, `row` or `sum`
    x.toml:29: `payload.sale_stock.writes.create.call`: must not say {item} to create
    x.toml:30: `payload.sale_stock.writes.update.call`: must begin with POST, PUT, PATCH or DELETE, as in `POST notes`
    x.toml:30: `payload.sale_stock.writes.update.call`: must say {item} to update
    x.toml:31: `payload.sale_stock.writes.delete.order_at`: belongs to `resequence`, and to it alone
    ");
}

#[test]
fn b12_to_b20_the_families_of_connectwise_are_the_eight_that_are_required() {
    let text = include_str!("../../../../connectors/connectwise.toml");
    let connector = Connector::parse("connectwise.toml", text).unwrap();
    let rows = connector.resources.iter().filter_map(|r| {
        Some((
            r.family.as_ref()?.as_str(),
            r.ttl.as_deref(),
            r.name.as_str(),
            false,
        ))
    });
    let payloads = connector
        .payloads
        .iter()
        .map(|p| (p.family.as_str(), p.ttl.as_deref(), p.short_name(), p.warm));
    let families: Vec<String> = rows
        .chain(payloads)
        .map(|(family, ttl, name, warm)| {
            format!(
                "{family} by {}: {name}{}",
                ttl.unwrap(),
                if warm { ", warmed" } else { "" }
            )
        })
        .collect();
    insta::assert_snapshot!(families.join("\n"), @r"
    opp:cw-data:{id} by primary: opportunity
    opp:activities:{id} by primary: activities, warmed
    opp:notes:{id} by sub_resource: notes, warmed
    opp:contacts:{id} by sub_resource: contacts, warmed
    opp:products:{id} by products: products, warmed
    opp:company-cw:{company} by primary: company, warmed
    opp:site:{company}:{site} by site: site
    catalog:item:cw:{id} by catalog: stock
    ");
}

/// Each kind of payload has one place that says how it is fetched, and the deal itself has its own.
#[test]
fn b141_each_payload_has_one_loader_and_one_family() {
    let text = include_str!("../../../../connectors/connectwise.toml");
    let connector = Connector::parse("connectwise.toml", text).unwrap();
    let deal = connector.resource("opportunity").unwrap();
    assert_eq!(deal.family.as_ref().unwrap().as_str(), "opp:cw-data:{id}");
    assert_eq!(
        deal.get.as_ref().unwrap().path.as_str(),
        "sales/opportunities/{id}"
    );
    let loaders: Vec<String> = connector
        .payloads
        .iter()
        .filter(|payload| payload.of == "opportunity")
        .map(|payload| {
            let parts = payload.parts.iter().map(|part| match &part.source {
                PartSource::Get(endpoint) => format!("GET {}", endpoint.path.as_str()),
                PartSource::List { endpoint, .. } => format!("LIST {}", endpoint.path.as_str()),
                other => format!("{other:?}"),
            });
            let parts: Vec<String> = parts.collect();
            format!("{}: {}", payload.short_name(), parts.join(", "))
        })
        .collect();
    insta::assert_snapshot!(loaders.join("\n"), @r"
    activities: LIST sales/activities
    notes: LIST sales/opportunities/{id}/notes
    contacts: LIST sales/opportunities/{id}/contacts
    products: GET sales/opportunities/{id}/forecast, LIST procurement/products
    company: GET company/companies/{company}, LIST company/contacts
    site: GET company/companies/{company}/sites/{site}
    ");
    let mut families: Vec<&str> = connector
        .payloads
        .iter()
        .map(|p| p.family.as_str())
        .collect();
    families.push("opp:cw-data:{id}");
    let all = families.len();
    families.sort_unstable();
    families.dedup();
    assert_eq!(families.len(), all, "two loaders for one family");
}

mod noise {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_file_makes_it_panic(cut in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let text = include_str!("../../../../connectors/cin7-core.toml");
            let mut bytes = text.as_bytes().to_vec();
            let at = cut.index(bytes.len());
            bytes[at] = byte;
            let _ = Connector::parse("x.toml", &String::from_utf8_lossy(&bytes));
            let _ = Connector::parse("x.toml", &String::from_utf8_lossy(&bytes[..at]));
        }
    }
}

const SWEPT: &str = r#"
name = "desk"
base_url = "https://api.example.com"
[auth]
kind = "bearer"
token = "{t}"
[limits]
calls_per_minute = 60
[[resource]]
name = "deal"
list = "deals"
key = "id"
[[payload]]
name = "deal_notes"
family = "deal:notes:{id}"
of = "deal"
list = "deals/{id}/notes"
warm = true
"#;

#[test]
fn sweeps_and_watches_say_what_is_looked_after() {
    let text = format!(
        "{SWEPT}[[sweep]]\nname = \"deals\"\nof = \"deal\"\nevery = \"20m\"\n\
         only_when = {{ deal_notes = \"!closed\" }}\n\
         [[watch]]\nname = \"moves\"\nof = \"deal\"\nevery = \"60s\"\nlines_at = \"lines\"\nitem = \"item.id\"\n\
         totals = [\"on_hand\", \"moved\"]\npayload = \"deal_notes\"\n"
    );
    let connector = Connector::parse("desk.toml", &text).unwrap();
    let sweep = &connector.sweeps[0];
    assert_eq!(
        (sweep.every.as_secs(), sweep.at_start, sweep.all),
        (1200, true, false)
    );
    let watch = &connector.watches[0];
    assert_eq!((watch.per_cycle_max, watch.cooldown.as_secs()), (50, 600));
    assert_eq!(watch.totals.len(), 2);
}

#[test]
fn b86_wrong_sweeps_and_watches_are_told_with_their_line() {
    let text = format!(
        "{SWEPT}[[sweep]]\nname = \"deal\"\nof = \"dael\"\nevery = \"0s\"\npayloads = [\"deal_note\"]\n\
         [[watch]]\nname = \"moves\"\nof = \"deal\"\nevery = \"-5s\"\nitem = \"id\"\ntotals = []\n\
         payload = \"deal_notes\"\nper_cycle_max = 0\ncooldown = \"soon\"\n"
    );
    let told = Connector::parse("desk.toml", &text)
        .unwrap_err()
        .to_string();
    for part in [
        "`sweep.deal.name`: a resource is called `deal` already",
        "`sweep.deal.of`: there is no resource `dael`; did you mean `deal`?",
        "`sweep.deal.every`: must be more than 0",
        "`sweep.deal.payloads`: there is no such payload `deal_note`",
        "`watch.moves.every`",
        "`watch.moves.totals`: is missing",
        "`watch.moves.per_cycle_max`: 0 is out of bounds: 1 to 10000",
        "`watch.moves.cooldown`",
    ] {
        assert!(told.contains(part), "{part} is not in:\n{told}");
    }
}
