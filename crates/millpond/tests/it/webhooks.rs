//! Webhooks: changes arrive at a real receiver, signed, in order, at least once, and nobody else's.

mod receiver;

use std::{
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use millpond::{config::WebhooksConfig, webhooks::Webhooks};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::receiver::{PATIENCE, POLL, Receiver, Reply};
use crate::world::{CONFIG, Kind, Reply as Answer, World};

const KEY: &str = "a-key-of-the-configuration";
const WEBHOOKS: &str = r#"
[webhooks]
private_hosts = true
timeout = "2s"
attempts = 3
backoff_first = "100ms"
backoff_max = "200ms"
batch_max = 3
"#;

/// A world whose operator has a key, and who delivers.
struct Post {
    world: World,
    stop: CancellationToken,
    keeper: Option<JoinHandle<()>>,
}

impl Drop for Post {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn config() -> WebhooksConfig {
    let text = format!("{CONFIG}{WEBHOOKS}");
    let environment = millpond::environment::Environment::default();
    let loaded =
        millpond::config::parse("x", &text, std::path::Path::new("."), &environment).unwrap();
    loaded.config.webhooks
}

impl Post {
    async fn new() -> Self {
        let config = format!("{CONFIG}{WEBHOOKS}");
        let world = World::of(Kind::of_this_run(), &config, &[KEY]).await;
        let mut post = Self {
            world,
            stop: CancellationToken::new(),
            keeper: None,
        };
        post.start();
        post
    }

    fn start(&mut self) {
        let webhooks = Webhooks::new(self.world.store.clone(), &config()).unwrap();
        let stop = CancellationToken::new();
        self.stop = stop.clone();
        self.keeper = Some(tokio::spawn(async move {
            webhooks.keep("post", &stop).await;
        }));
    }

    async fn end(&mut self) {
        self.stop.cancel();
        self.keeper.take().unwrap().await.unwrap();
    }

    async fn ask(&self, key: &str, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let headers = [("x-api-key", key), ("content-type", "application/json")];
        let body = body.map(Value::to_string);
        self.world.send(method, path, &headers, body).await
    }

    async fn must(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let answer = self.ask(KEY, method, path, body).await;
        assert!(answer.status < 300, "{method} {path}: {}", answer.body);
        match answer.body.is_empty() {
            true => Value::Null,
            false => answer.json(),
        }
    }

    /// Makes a webhook of these values besides; answers its secret.
    async fn webhook(&self, name: &str, url: &str, values: Value) -> String {
        let mut all = json!({ "name": name, "url": url });
        let map = all.as_object_mut().unwrap();
        map.extend(values.as_object().unwrap().clone());
        let made = self.must("POST", "/v1/webhooks", Some(&all)).await;
        made["secret"].as_str().unwrap().to_owned()
    }

    async fn write(&self, instance: &str, id: &str, total: i64) {
        let body = json!({ "Total": total }).to_string();
        self.world
            .write_quietly("cin7.sale", instance, &[(id, &body)])
            .await;
    }

    async fn show(&self, name: &str) -> Value {
        self.must("GET", &format!("/v1/webhooks/{name}"), None)
            .await
    }

    async fn deliveries(&self, name: &str) -> Vec<Value> {
        let path = format!("/v1/webhooks/{name}/deliveries?limit=1000");
        let page = self.must("GET", &path, None).await;
        page["deliveries"].as_array().unwrap().clone()
    }

    /// Waits until everything is told.
    async fn settled(&self, name: &str) -> Value {
        self.until(name, |webhook| {
            webhook["pending"] == 0 && webhook["lag_secs"] == 0.0
        })
        .await
    }

    async fn until(&self, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let webhook = self.show(name).await;
            if holds(&webhook) {
                return webhook;
            }
            assert!(began.elapsed() < PATIENCE, "{webhook}");
            tokio::time::sleep(POLL).await;
        }
    }
}

#[tokio::test]
async fn changes_arrive_once_in_their_order_and_their_signatures_hold() {
    let post = Post::new().await;
    post.write("pond-uk", "before", 1).await;
    // Webhooks begin where the feed ends, and it ends before what others on this server have not committed yet.
    let began = Instant::now();
    while post.must("GET", "/v1/changes", None).await["changes"][0]["id"] != "before" {
        assert!(began.elapsed() < PATIENCE, "the feed does not tell of it");
        tokio::time::sleep(POLL).await;
    }
    let receiver = Receiver::start(&[Reply::Status(204)]).await;
    let secret = post.webhook("erp", &receiver.url(), json!({})).await;
    assert!(secret.starts_with("whsec_"), "{secret}");
    for n in 0..20 {
        let instance = ["pond-uk", "pond-eu"][n % 2];
        post.write(instance, &format!("r{n}"), 1).await;
    }
    post.settled("erp").await;
    let seen = receiver.seen();
    let told: Vec<Value> = seen
        .iter()
        .flat_map(|seen| seen.json()["data"]["changes"].as_array().unwrap().clone())
        .collect();
    // What the feed says after the first change, and nothing else.
    let feed = post.must("GET", "/v1/changes?limit=1000", None).await;
    let feed = feed["changes"].as_array().unwrap();
    assert_eq!((feed[0]["id"].as_str(), feed.len()), (Some("before"), 21));
    assert_eq!(told, feed[1..]);
    for one in &seen {
        let body = one.json();
        assert!(one.is_signed_with(&secret) && one.skew() < 120);
        assert!(!one.is_signed_with("whsec_c29tZXRoaW5nIGVsc2U="));
        assert!((1..=3).contains(&one.records().len()), "{body}");
        assert_eq!(body["type"], "changes");
        assert_eq!(body["data"]["webhook"], "erp");
        let changes = body["data"]["changes"].as_array().unwrap();
        assert_eq!(body["data"]["next"], changes.last().unwrap()["cursor"]);
    }
    let deliveries = post.deliveries("erp").await;
    assert_eq!(deliveries.len(), seen.len());
    for delivery in &deliveries {
        assert_eq!(
            (
                &delivery["state"],
                &delivery["status"],
                &delivery["attempts"]
            ),
            (&json!("delivered"), &json!(204), &json!(1)),
            "{delivery}"
        );
    }
    let metrics = post.ask(KEY, "GET", "/metrics", None).await.body;
    for line in ["webhook_lag_seconds 0", "webhooks{state=\"enabled\"} 1"] {
        assert!(metrics.contains(line), "{metrics}");
    }
}

#[tokio::test]
async fn what_does_not_arrive_is_tried_again_given_up_and_told_again_when_asked() {
    let post = Post::new().await;
    let receiver = Receiver::start(&[Reply::Status(500)]).await;
    let secret = post.webhook("erp", &receiver.url(), json!({})).await;
    post.write("pond-uk", "lost", 1).await;
    let dead = post.until("erp", |webhook| webhook["dead"] == 1).await;
    assert_eq!(dead["enabled"], true);
    let tried = receiver.seen();
    assert_eq!(tried.len(), 3);
    assert!(tried.iter().all(|one| one.id == tried[0].id
        && one.json() == tried[0].json()
        && one.is_signed_with(&secret)));
    assert!(tried[1].at - tried[0].at >= Duration::from_millis(80));
    let delivery = &post.deliveries("erp").await[0];
    assert_eq!(delivery["state"], "dead");
    assert_eq!(delivery["error"], "it answered 500: as you like");

    // The place has moved on: the next change arrives although this one did not.
    receiver.answers(&[Reply::Status(200)]);
    post.write("pond-uk", "next", 1).await;
    let seen = receiver.wait_for(4).await;
    assert_eq!(seen[3].records(), ["next"]);
    let events = post.must("GET", "/v1/events?name=webhook:dead", None).await;
    assert_eq!(events["events"][0]["data"]["delivery"], tried[0].id);

    let ask = json!({ "delivery": tried[0].id });
    let path = "/v1/webhooks/erp/replay";
    assert_eq!(post.must("POST", path, Some(&ask)).await["deliveries"], 1);
    let seen = receiver.wait_for(5).await;
    assert_eq!(
        (&seen[4].id, seen[4].records()),
        (&tried[0].id, vec!["lost".to_owned()])
    );
    let webhook = post.settled("erp").await;
    assert_eq!(webhook["dead"], 0);
    // Nothing is dead any more; from a place or a time on everything can be had again.
    assert_eq!(post.ask(KEY, "POST", path, Some(&ask)).await.status, 404);
    for (n, again) in [
        json!({ "after": "0-0" }),
        json!({ "since": "2001-01-01T00:00:00Z" }),
    ]
    .iter()
    .enumerate()
    {
        post.must("POST", path, Some(again)).await;
        let seen = receiver.wait_for(6 + n).await;
        assert_eq!(seen[5 + n].records(), ["lost", "next"]);
        assert!(seen[..5 + n].iter().all(|old| old.id != seen[5 + n].id));
    }
    for wrong in [
        json!({}),
        json!({ "dead": true, "after": "0-0" }),
        json!({ "after": "99999999-1" }),
        json!({ "after": "soon" }),
        json!({ "since": "-005000-01-01T00:00:00Z", "dead": true }),
    ] {
        let refused = post.ask(KEY, "POST", path, Some(&wrong)).await;
        assert_eq!(refused.status, 400, "{wrong}: {}", refused.body);
    }
}

#[tokio::test]
async fn a_receiver_that_asks_for_time_is_given_it() {
    let post = Post::new().await;
    let receiver = Receiver::start(&[Reply::After(503, 3), Reply::Status(200)]).await;
    post.webhook("erp", &receiver.url(), json!({})).await;
    post.write("pond-uk", "1", 1).await;
    let seen = receiver.wait_for(2).await;
    assert!(seen[1].at - seen[0].at >= Duration::from_millis(2900));
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_told_nothing_until_somebody_enables_it() {
    let post = Post::new().await;
    let receiver = Receiver::start(&[Reply::Status(410)]).await;
    post.webhook("erp", &receiver.url(), json!({})).await;
    post.write("pond-uk", "1", 1).await;
    let stopped = post
        .until("erp", |webhook| webhook["enabled"] == false)
        .await;
    assert!(
        stopped["why"].as_str().unwrap().contains("410"),
        "{stopped}"
    );
    assert_eq!(stopped["pending"], 1);
    post.write("pond-uk", "2", 1).await;
    let events = post
        .must("GET", "/v1/events?name=webhook:stopped", None)
        .await;
    assert_eq!(events["events"].as_array().unwrap().len(), 1);
    receiver.answers(&[Reply::Status(200)]);
    let path = "/v1/webhooks/erp";
    let enabled = post
        .must("PATCH", path, Some(&json!({ "enabled": true })))
        .await;
    assert_eq!(enabled["why"], Value::Null);
    post.settled("erp").await;
    let seen = receiver.seen();
    let told: Vec<Vec<String>> = seen.iter().map(receiver::Seen::records).collect();
    assert_eq!(told, [["1"], ["1"], ["2"]], "asked once while it was gone");
    assert_eq!(seen[0].id, seen[1].id);
    // Disabled by somebody, it is told nothing either.
    post.must("PATCH", path, Some(&json!({ "enabled": false })))
        .await;
    post.write("pond-uk", "3", 1).await;
    post.must("PATCH", path, Some(&json!({ "enabled": true })))
        .await;
    let seen = receiver.wait_for(4).await;
    assert_eq!(seen[3].records(), ["3"]);
}

#[tokio::test]
async fn a_tenant_is_told_of_its_own_records_alone_also_of_what_was_its_own() {
    let mut post = Post::new().await;
    for (tenant, instance) in [("britain", "pond-uk"), ("europe", "pond-eu")] {
        let new = json!({ "id": tenant });
        post.must("POST", "/v1/tenants", Some(&new)).await;
        let path = format!("/v1/tenants/{tenant}/instances/{instance}");
        post.must("PUT", &path, None).await;
    }
    let path = "/v1/tenants/britain/projects";
    let nothing = json!({ "id": "none", "instances": [] });
    post.must("POST", path, Some(&nothing)).await;
    let (all, theirs) = (
        Receiver::start(&[Reply::Status(200)]).await,
        Receiver::start(&[Reply::Status(200)]).await,
    );
    let blind = Receiver::start(&[Reply::Status(200)]).await;
    post.webhook("all", &all.url(), json!({})).await;
    post.webhook("own", &theirs.url(), json!({ "tenant": "britain" }))
        .await;
    let of_project = json!({ "tenant": "britain", "project": "none" });
    post.webhook("blind", &blind.url(), of_project).await;
    for n in 0..10 {
        post.write("pond-eu", &format!("eu{n}"), 1).await;
        post.write("pond-uk", &format!("uk{n}"), 1).await;
    }
    post.settled("all").await;
    let told = |seen: Vec<receiver::Seen>| -> Vec<String> {
        seen.iter().flat_map(receiver::Seen::records).collect()
    };
    let ours: Vec<String> = (0..10).map(|n| format!("uk{n}")).collect();
    theirs
        .wait_until(|seen| told(seen.to_vec()).len() >= 10)
        .await;
    assert_eq!(told(theirs.seen()), ours);
    assert_eq!(told(all.seen()).len(), 20);

    // What waits for a receiver that is down is withheld once the tenant no longer owns it.
    theirs.answers(&[Reply::After(503, 15)]);
    let before = theirs.seen().len();
    post.write("pond-uk", "sold", 1).await;
    theirs.wait_for(before + 1).await;
    post.must("DELETE", "/v1/tenants/britain/instances/pond-uk", None)
        .await;
    theirs.answers(&[Reply::Status(200)]);
    let began = Instant::now();
    let path = "/v1/webhooks/own/deliveries?tenant=britain&limit=1";
    loop {
        let page = post.must("GET", path, None).await;
        if page["deliveries"][0]["state"] == "withheld" {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{page}");
        tokio::time::sleep(POLL).await;
    }
    assert_eq!(theirs.seen().len(), before + 1);
    assert!(blind.seen().is_empty());
    post.end().await;
}

#[tokio::test]
async fn only_what_was_asked_for_is_told() {
    let post = Post::new().await;
    let receiver = Receiver::start(&[Reply::Status(200)]).await;
    let values = json!({ "resources": ["cin7.sale"], "instances": ["pond-eu"], "after": "0-0" });
    post.write("pond-eu", "early", 1).await;
    post.webhook("erp", &receiver.url(), values).await;
    let world = &post.world;
    world
        .write_quietly("cin7.product", "pond-eu", &[("p", "{}")])
        .await;
    post.write("pond-uk", "uk", 1).await;
    post.write("pond-eu", "eu", 1).await;
    let seen = receiver
        .wait_until(|seen| seen.iter().flat_map(receiver::Seen::records).count() >= 2)
        .await;
    let told: Vec<String> = seen.iter().flat_map(receiver::Seen::records).collect();
    assert_eq!(told, ["early", "eu"]);
}

#[tokio::test]
async fn an_answer_without_end_holds_nothing_up_and_one_that_never_begins_is_a_failure() {
    let post = Post::new().await;
    let script = [
        Reply::Endless(200),
        Reply::Never,
        Reply::Endless(500),
        Reply::Status(200),
    ];
    let receiver = Receiver::start(&script).await;
    post.webhook("erp", &receiver.url(), json!({})).await;
    post.write("pond-uk", "1", 1).await;
    receiver.wait_for(1).await;
    post.settled("erp").await;
    post.write("pond-uk", "2", 1).await;
    let seen = receiver.wait_for(4).await;
    assert!(seen[1..].iter().all(|one| one.records() == ["2"]));
    post.settled("erp").await;
    let delivery = &post.deliveries("erp").await[0];
    assert_eq!(
        (&delivery["state"], &delivery["attempts"]),
        (&json!("delivered"), &json!(3))
    );
}

#[tokio::test]
async fn a_keeper_that_stops_finishes_its_attempt_and_the_next_goes_on_behind_it() {
    let mut post = Post::new().await;
    let receiver = Receiver::start(&[Reply::Status(200)]).await;
    post.webhook("erp", &receiver.url(), json!({})).await;
    for n in 0..30 {
        post.write("pond-uk", &format!("r{n}"), 1).await;
        if n % 7 == 3 {
            post.end().await;
            post.start();
        }
    }
    post.settled("erp").await;
    let seen = receiver.seen();
    let told: Vec<String> = seen.iter().flat_map(receiver::Seen::records).collect();
    let written: Vec<String> = (0..30).map(|n| format!("r{n}")).collect();
    assert_eq!(told, written);
}

/// A server that does not outlive the test, however that ends.
struct Doomed(Child);

impl Drop for Doomed {
    fn drop(&mut self) {
        drop(self.0.kill()); // SIGKILL
        drop(self.0.wait());
    }
}

fn command(world: &World, folder: &std::path::Path, args: &[&str]) -> Command {
    let file = folder.join("millpond.toml");
    let text = format!("cache = \"off\"\n[server]\nlisten = \"127.0.0.1:0\"\n{WEBHOOKS}");
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_millpond"));
    command
        .arg("--config")
        .arg(file)
        .args(args)
        .env_clear()
        .env("DATABASE_URL", world.database_url())
        .stderr(Stdio::null());
    command
}

#[tokio::test]
async fn a_server_that_is_killed_in_the_middle_of_a_delivery_loses_none() {
    let mut post = Post::new().await;
    post.end().await;
    let folder = tempfile::tempdir().unwrap();
    let serve = || {
        Doomed(
            command(&post.world, folder.path(), &["serve"])
                .spawn()
                .unwrap(),
        )
    };
    let receiver = Receiver::start(&[Reply::Status(200), Reply::Never]).await;
    post.webhook("erp", &receiver.url(), json!({})).await;
    for n in 0..10 {
        post.write("pond-uk", &format!("r{n}"), 1).await;
    }
    let killed = serve();
    let before = receiver.wait_for(2).await;
    drop(killed);
    receiver.answers(&[Reply::Status(200)]);
    let _next = serve();
    post.settled("erp").await;
    let seen = receiver.seen();
    // What was under way comes again under its old id, and everything else once.
    assert_eq!(before[1].id, seen[2].id);
    let mut ids: Vec<&str> = seen.iter().map(|one| one.id.as_str()).collect();
    ids.dedup();
    let mut told: Vec<String> = seen.iter().flat_map(receiver::Seen::records).collect();
    told.dedup();
    let once: Vec<String> = ids
        .iter()
        .flat_map(|id| seen.iter().find(|one| one.id == *id).unwrap().records())
        .collect();
    let written: Vec<String> = (0..10).map(|n| format!("r{n}")).collect();
    assert_eq!(once, written, "{seen:#?}");
}

#[tokio::test]
async fn a_secret_is_shown_once_and_admins_of_the_tenant_manage_its_webhooks() {
    let post = Post::new().await;
    let secret = post
        .webhook("erp", "https://example.com/hook", json!({}))
        .await;
    let bare = secret.strip_prefix("whsec_").unwrap();
    let rotated = post.must("POST", "/v1/webhooks/erp/rotate", None).await;
    assert_ne!(rotated["secret"], secret);
    for path in [
        "/v1/webhooks",
        "/v1/webhooks/erp",
        "/v1/webhooks/erp/deliveries",
    ] {
        let shown = post.must("GET", path, None).await.to_string();
        assert!(
            !shown.contains("whsec_") && !shown.contains(bare),
            "{shown}"
        );
    }
    for tenant in ["britain", "europe"] {
        let new = json!({ "id": tenant });
        post.must("POST", "/v1/tenants", Some(&new)).await;
    }
    let key = async |values: Value| {
        let made = post.must("POST", "/v1/keys", Some(&values)).await;
        made["credential"].as_str().unwrap().to_owned()
    };
    let admin = key(json!({ "tenant": "britain", "role": "admin", "title": "a" })).await;
    let developer = key(json!({ "tenant": "britain", "role": "developer", "title": "d" })).await;
    let stranger = key(json!({ "tenant": "europe", "role": "admin", "title": "s" })).await;
    let new = json!({ "name": "erp", "url": "https://example.com/b" });
    let made = post.ask(&admin, "POST", "/v1/webhooks", Some(&new)).await;
    assert_eq!(
        (made.status, &made.json()["tenant"]),
        (201, &json!("britain"))
    );
    for (key, path, expected) in [
        (&developer, "/v1/webhooks", 403),
        (&stranger, "/v1/webhooks/erp", 404),
        (&stranger, "/v1/webhooks?tenant=britain", 404),
        (&admin, "/v1/webhooks/erp", 200),
        (&admin, "/v1/webhooks/erp?tenant=europe", 404),
    ] {
        assert_eq!(
            post.ask(key, "GET", path, None).await.status,
            expected,
            "{path}"
        );
    }
    for tenant in ["europe", "nobody"] {
        let foreign = json!({ "name": "x", "url": "https://example.com", "tenant": tenant });
        let refused = post
            .ask(&admin, "POST", "/v1/webhooks", Some(&foreign))
            .await;
        assert_eq!(refused.status, 404, "{}", refused.body);
    }
    // Twice is a conflict, and so are values that cannot be.
    for (values, expected) in [
        (json!({ "name": "erp", "url": "https://example.com" }), 409),
        (json!({ "name": "ERP", "url": "https://example.com" }), 400),
        (json!({ "name": "a", "url": "ftp://example.com" }), 400),
        (
            json!({ "name": "a", "url": "https://u:p@example.com" }),
            400,
        ),
        (
            json!({ "name": "a", "url": "https://example.com/\u{0}" }),
            400,
        ),
        (
            json!({ "name": "a", "url": "https://example.com", "project": "none" }),
            404,
        ),
        (
            json!({ "name": "a", "url": "https://example.com", "resources": [] }),
            400,
        ),
        (
            json!({ "name": "a", "url": "https://example.com", "resources": ["sale"] }),
            400,
        ),
        (
            json!({ "name": "a", "url": "https://example.com", "resources": ["cin7.nothing"] }),
            404,
        ),
        (
            json!({ "name": "a", "url": "https://example.com", "instances": ["pond-uk"] }),
            404,
        ),
        (
            json!({ "name": "a", "url": "https://example.com", "after": "99999999-1" }),
            400,
        ),
    ] {
        let refused = post
            .ask(&admin, "POST", "/v1/webhooks", Some(&values))
            .await;
        assert_eq!(refused.status, expected, "{values}: {}", refused.body);
    }
    assert_eq!(
        post.ask(&stranger, "DELETE", "/v1/webhooks/erp", None)
            .await
            .status,
        404
    );
    assert_eq!(
        post.ask(&admin, "DELETE", "/v1/webhooks/erp", None)
            .await
            .status,
        204
    );
    assert_eq!(
        post.ask(&admin, "GET", "/v1/webhooks/erp", None)
            .await
            .status,
        404
    );
    assert_eq!(
        post.show("erp").await["tenant"],
        Value::Null,
        "the operators' is another"
    );
}

#[tokio::test]
async fn addresses_inside_are_refused_without_leave() {
    let world = World::of(Kind::of_this_run(), CONFIG, &[]).await;
    for url in [
        "http://example.com/",
        "https://127.0.0.1/",
        "https://localhost/x",
    ] {
        let new = json!({ "name": "inside", "url": url });
        let refused = world.post("/v1/webhooks", &new).await;
        assert_eq!(refused.status, 400, "{url}");
        let problem = refused.json();
        assert_eq!(problem["code"], "bad_url", "{problem}");
        assert!(problem["hint"].as_str().unwrap().contains("private_hosts"));
    }
}

// The command waits for rows that the keeper holds: the keeper must go on while this thread waits for the command.
#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_does_the_same() {
    let post = Post::new().await;
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| -> Output {
        let mut all = vec!["--json", "webhooks"];
        all.extend(args);
        let mut command = command(&post.world, folder.path(), &all);
        command.stderr(Stdio::piped()).output().unwrap()
    };
    let must = |args: &[&str]| -> Value {
        let output = run(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {said}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let receiver = Receiver::start(&[Reply::Status(500)]).await;
    let made = must(&["create", "erp", &receiver.url(), "--resource", "cin7.sale"]);
    let secret = made["secret"].as_str().unwrap().to_owned();
    post.write("pond-uk", "1", 1).await;
    post.until("erp", |webhook| webhook["dead"] == 1).await;
    let listed = must(&["list"]);
    assert_eq!(listed[0]["dead"], 1, "{listed}");
    assert!(!listed.to_string().contains("whsec_"));
    let dead = must(&["deliveries", "erp", "--state", "dead"]);
    assert_eq!(dead[0]["attempts"], 3, "{dead}");
    receiver.answers(&[Reply::Status(200)]);
    assert_eq!(must(&["replay", "erp", "--dead"])["deliveries"], 1);
    post.settled("erp").await;
    assert!(
        receiver
            .seen()
            .iter()
            .all(|one| one.is_signed_with(&secret))
    );
    let rotated = must(&["rotate", "erp"]);
    must(&["replay", "erp", "--since", "2001-01-01T00:00:00Z"]);
    let seen = receiver.wait_for(5).await;
    assert!(
        seen[4].is_signed_with(&secret),
        "for a day the old secret holds"
    );
    assert!(seen[4].is_signed_with(rotated["secret"].as_str().unwrap()));
    assert_eq!(must(&["change", "erp", "--disable"])["enabled"], false);
    for (args, code) in [
        (&["create", "Bad", "https://example.com"][..], 2),
        (&["create", "x", "ftp://example.com"], 2),
        (&["replay", "erp"], 2),
        (&["deliveries", "nothing"], 1),
    ] {
        assert_eq!(run(args).status.code(), Some(code), "{args:?}");
    }
    must(&["delete", "erp"]);
    assert_eq!(must(&["list"]), json!([]));
}
