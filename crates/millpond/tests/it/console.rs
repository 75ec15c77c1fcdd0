//! The console in a real browser, with scripts and without, and by hand.

use std::path::{Path, PathBuf};

use serde_json::json;
use tokio::process::Command;

use crate::world::{Kind, Reply, World};

/// `scripts/setup test` puts it there: a Python that drives Chromium, with axe.
const PYTHON: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../target/browser/bin/python"
);
const WALK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/console/walk.py");
const CHROMIUM: &str = "/usr/bin/chromium";
const KEY: &str = "a-key-of-the-configuration";

async fn stocked(keys: &[&str]) -> World {
    let config = crate::world::CONFIG.replace("\"5s\"", "\"60s\"");
    let config = format!("{config}\n[call_log]\ndir = {:?}\n", call_log());
    let world = World::of(Kind::of_this_run(), &config, keys).await;
    let evil = r#"<script>alert(1)</script><img src=x onerror=alert(2)>"#;
    let first = r#"{"SaleOrderNumber": "SO-1", "Status": "OPEN", "Customer": "Ann <b>",
        "Lines": [{"SKU": "BOLT", "Quantity": 3}]}"#;
    let second = first.replace("OPEN", "DONE");
    let other = r#"{"SaleOrderNumber": "SO-2", "Status": "OPEN", "Customer": "Bob",
        "Lines": [{"SKU": "BOLT", "Quantity": 1}]}"#;
    let hostile = format!(
        r#"{{"SaleOrderNumber": {0}, {0}: {0}, "Note": "\u202eright to left\u202c", "Deep": {1}1{2}}}"#,
        serde_json::to_string(evil).unwrap(),
        "[".repeat(60),
        "]".repeat(60)
    );
    world.write("cin7.sale", "pond-uk", &[("1", first)]).await;
    world.write("cin7.sale", "pond-uk", &[("1", &second)]).await;
    let rest = [("2", other), ("evil", hostile.as_str())];
    world.write("cin7.sale", "pond-uk", &rest).await;
    let more: Vec<(String, String)> = (0..12)
        .map(|n| {
            let status = if n % 3 == 0 { "OPEN" } else { "DONE" };
            let body =
                json!({ "SaleOrderNumber": format!("SE-{n}"), "Status": status, "Total": n });
            (format!("e{n}"), body.to_string())
        })
        .collect();
    let more: Vec<(&str, &str)> = more.iter().map(|(id, body)| (&**id, &**body)).collect();
    world.write("cin7.sale", "pond-eu", &more).await;
    world.connect("pond-uk").await;
    world
}

/// A folder with one log: an hour of calls, of which some fail, with markup where there may be any.
fn call_log() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("console-calls");
    std::fs::create_dir_all(&folder).unwrap();
    let began: jiff::Timestamp = "2026-03-02T14:00:00Z".parse().unwrap();
    let line = |n: i64| {
        let at = began + jiff::SignedDuration::from_secs(n * 9);
        let failed = n % 25 == 3;
        json!({
            "timestamp": at, "method": "GET", "url": format!("/sale?ID={n}&Note=<b>"),
            "baseURL": "https://inventory.example/ExternalApi/v2", "status": if failed { 503 } else { 200 },
            "durationMs": 80 + (n * 37) % 900, "error": if failed { Some("upstream <i>says</i> no") } else { None },
            "timeout": 30_000, "instance": "pond-uk", "connection": "main", "resource": "sale", "attempt": 1,
            "waitMs": 0, "bytes": 2_000, "label": "GET sale",
        })
        .to_string()
    };
    let text: Vec<String> = (0..400).map(line).collect();
    // Tests of other processes write the same: each a file of its own, put there at once.
    let mine = tempfile::NamedTempFile::new_in(&folder).unwrap();
    std::fs::write(mine.path(), text.join("\n")).unwrap();
    mine.persist(folder.join("2026-03-02T15-00-00.000Z.jsonl"))
        .unwrap();
    folder
}

async fn walk(world: &World, key: &str, more: &[&str]) {
    // `make screenshots` says where they go.
    let kept = std::env::var_os("MILLPOND_SCREENSHOTS").map(PathBuf::from);
    let folder = tempfile::tempdir().unwrap();
    let folder = kept.as_deref().unwrap_or(folder.path());
    let output = Command::new(PYTHON)
        .args([WALK, &format!("http://{}", world.address), key])
        .arg(folder)
        .args(more)
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complained}");
}

fn has_browser() -> bool {
    let has = Path::new(PYTHON).exists() && Path::new(CHROMIUM).exists();
    if !has {
        eprintln!("skipped: `scripts/setup test` installs Chromium and what drives it");
    }
    has
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_finds_a_record_asks_plans_and_revokes_in_a_browser() {
    if has_browser() {
        walk(&stocked(&[KEY]).await, KEY, &[]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_works_without_scripts() {
    if has_browser() {
        walk(&stocked(&[KEY]).await, KEY, &["--no-scripts"]).await;
    }
}

async fn page(world: &World, path: &str, cookie: &str) -> Reply {
    world.send("GET", path, &[("cookie", cookie)], None).await
}

async fn form(world: &World, path: &str, headers: &[(&str, &str)], fields: &str) -> Reply {
    let mut all = vec![("content-type", "application/x-www-form-urlencoded")];
    all.extend_from_slice(headers);
    world
        .send("POST", path, &all, Some(fields.to_owned()))
        .await
}

/// The cookie of whoever logs in with a key.
async fn log_in(world: &World, key: &str) -> String {
    let reply = form(world, "/console/login", &[], &format!("key={key}")).await;
    assert_eq!(reply.status, 303, "{}", reply.body);
    assert!(reply.head.contains("httponly") && reply.head.contains("samesite=strict"));
    // The head was put into small letters; the cookie itself must not be.
    reply.cookie.expect("a cookie")
}

#[tokio::test]
async fn nobody_enters_without_an_admins_key() {
    let world = stocked(&[KEY]).await;
    let reply = world.get("/console/sql?sql=SELECT%201").await;
    assert_eq!(reply.status, 303);
    assert!(
        reply
            .head
            .contains("location: /console/login?to=%2fconsole%2fsql"),
        "{}",
        reply.head
    );
    for path in [
        "/console",
        "/console/records",
        "/console/keys",
        "/console/orders/1",
    ] {
        assert_eq!(world.get(path).await.status, 303, "{path}");
    }
    let reply = form(&world, "/console/login", &[], "key=mp_nothing").await;
    assert_eq!(reply.status, 401);
    assert_eq!(
        page(&world, "/console", "millpond_session=AAAA")
            .await
            .status,
        303
    );
}

#[tokio::test]
async fn a_form_needs_the_token_of_its_session_and_our_own_page() {
    let world = stocked(&[KEY]).await;
    let cookie = log_in(&world, KEY).await;
    let shown = page(&world, "/console/sql", &cookie).await;
    assert_eq!(shown.status, 200);
    assert!(
        shown
            .head
            .contains("content-security-policy: default-src 'none'"),
        "{}",
        shown.head
    );
    let (_, token) = shown.body.split_once("name=\"token\" value=\"").unwrap();
    let (token, _) = token.split_once('"').unwrap();
    let asked = format!("token={token}&sql=SELECT+41%2B1");
    let own = form(&world, "/console/sql", &[("cookie", &cookie)], &asked).await;
    assert!(
        own.status == 200 && own.body.contains("<bdi>42</bdi>"),
        "{}",
        own.body
    );

    let wrong = form(
        &world,
        "/console/sql",
        &[("cookie", &cookie)],
        "token=x&sql=SELECT+1",
    )
    .await;
    assert_eq!(wrong.status, 403);
    for foreign in [
        ("sec-fetch-site", "cross-site"),
        ("origin", "https://evil.example"),
    ] {
        let reply = form(
            &world,
            "/console/sql",
            &[("cookie", &cookie), foreign],
            &asked,
        )
        .await;
        assert_eq!(reply.status, 403, "{foreign:?}");
    }
    let late = form(&world, "/console/keys", &[], &asked).await;
    assert!(
        late.status == 401 && late.body.contains("Nothing was changed"),
        "{}",
        late.body
    );
}

#[tokio::test]
async fn what_records_say_stays_text_and_large_ones_open_in_part() {
    let world = stocked(&[KEY]).await;
    let cookie = log_in(&world, KEY).await;
    for path in [
        "/console/records?resource=cin7.sale",
        "/console/records/cin7.sale/pond-uk/evil",
        "/console/records?resource=cin7.sale&where=<script>alert(1)</script>",
        "/console/records/cin7.sale/pond-uk/%3Cscript%3Ealert(1)%3C%2Fscript%3E",
    ] {
        let path = path.replace('<', "%3C").replace('>', "%3E");
        let shown = page(&world, &path, &cookie).await.body;
        assert!(
            !shown.contains("<script>alert") && !shown.contains("<img"),
            "{path}: {shown}"
        );
    }
    let raw = page(
        &world,
        "/console/records/cin7.sale/pond-uk/evil/raw",
        &cookie,
    )
    .await;
    assert!(raw.head.contains("content-type: text/plain") && raw.head.contains("nosniff"));

    let lines: Vec<String> = (0..10_000)
        .map(|n| format!(r#"{{"SKU": "S{n}", "Text": "{}"}}"#, "x".repeat(480)))
        .collect();
    let large = format!(r#"{{"Lines": [{}]}}"#, lines.join(","));
    assert!(large.len() > 5_000_000);
    world
        .write("cin7.sale", "pond-eu", &[("large", &large)])
        .await;
    let shown = page(&world, "/console/records/cin7.sale/pond-eu/large", &cookie).await;
    assert_eq!(shown.status, 200);
    assert!(shown.body.len() < 1_000_000, "{}", shown.body.len());
    assert!(shown.body.contains("9800 more"));
    let path = "/console/records/cin7.sale/pond-eu/large?part=%2FLines&from=9990";
    let shown = page(&world, path, &cookie).await;
    assert!(shown.body.contains("S9999") && !shown.body.contains("S9989"));

    let csv = page(
        &world,
        "/console/records.csv?resource=cin7.sale&instance=pond-uk",
        &cookie,
    )
    .await;
    assert!(
        csv.body.starts_with("resource,instance,id,"),
        "{}",
        csv.body
    );
    assert_eq!(csv.body.lines().count(), 4, "{}", csv.body);
}

#[tokio::test]
async fn a_search_is_narrowed_down_by_its_values_and_taken_away_whole() {
    let world = stocked(&[KEY]).await;
    let cookie = log_in(&world, KEY).await;
    let of = "resource=cin7.sale&instance=pond-eu";
    let shown = page(&world, &format!("/console/records?{of}"), &cookie)
        .await
        .body;
    assert!(shown.contains("Narrow down"), "{shown}");
    let link = |shown: &str, value: &str| {
        let at = shown
            .find(&format!("<bdi>{value}</bdi>"))
            .expect("the value");
        let link = shown[..at].rsplit("href=\"").next().unwrap();
        link.split('"')
            .next()
            .unwrap()
            .replace("&amp;", "&")
            .replace("&#x2f;", "/")
    };
    let open = link(&shown, "OPEN");
    let narrowed = page(&world, &open, &cookie).await.body;
    assert!(narrowed.contains("4 records on this page"), "{narrowed}");
    assert!(narrowed.contains("aria-current=\"true\""), "{narrowed}");
    let wide = page(&world, &link(&narrowed, "OPEN"), &cookie).await.body;
    assert!(wide.contains("12 records on this page"), "{wide}");

    let taken = page(&world, &format!("/console/records.json?{of}"), &cookie).await;
    // It comes as one chunk of an answer whose length is not known before.
    let array = |body: &str| body[body.find('[').unwrap()..=body.rfind(']').unwrap()].to_owned();
    let taken: Vec<serde_json::Value> = serde_json::from_str(&array(&taken.body)).unwrap();
    assert_eq!(taken.len(), 12);
    assert!(taken.iter().all(|record| record["body"]["Total"].is_u64()));
    let nothing = format!("/console/records.json?{of}&where=Status%3Dnone");
    let nothing = page(&world, &nothing, &cookie).await.body;
    assert_eq!(array(&nothing), "[]");
    let refused = page(&world, "/console/records.json?resource=cin7.none", &cookie).await;
    assert_eq!(refused.status, 404, "{}", refused.body);
}

#[tokio::test]
async fn a_revoked_key_ends_its_sessions_at_once_and_lesser_roles_stay_out() {
    let world = stocked(&[KEY]).await;
    let bearer = format!("Bearer {KEY}");
    let made = async |body: &str| {
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        let reply = world
            .send("POST", "/v1/keys", &headers, Some(body.to_owned()))
            .await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        reply.json()
    };
    let admin = made(r#"{"title": "one more", "role": "admin"}"#).await;
    let cookie = log_in(&world, admin["credential"].as_str().unwrap()).await;
    assert_eq!(page(&world, "/console", &cookie).await.status, 200);
    let path = format!("/v1/keys/{}", admin["id"].as_str().unwrap());
    let revoked = world
        .send("DELETE", &path, &[("authorization", &bearer)], None)
        .await;
    assert_eq!(revoked.status, 200, "{}", revoked.body);
    assert_eq!(page(&world, "/console", &cookie).await.status, 303);

    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    let tenant = r#"{"id": "acme", "title": "Acme"}"#.to_owned();
    let reply = world
        .send("POST", "/v1/tenants", &headers, Some(tenant))
        .await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    let user = made(r#"{"title": "reader", "role": "developer", "tenant": "acme"}"#).await;
    let fields = format!("key={}", user["credential"].as_str().unwrap());
    let refused = form(&world, "/console/login", &[], &fields).await;
    assert!(
        refused.status == 401 && refused.body.contains("role is admin"),
        "{}",
        refused.body
    );
}
