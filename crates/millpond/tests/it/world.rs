//! A mirror with a few records in a database of its own, and the real server in front of it.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use millpond::{
    config::{Loaded, parse},
    environment::Environment,
    http::{self, App, guard::ApiKeys},
    instances::open_hot_mirror,
};
use mirror::hot::Hot;
use serde_json::{Value, json};
use store::{
    ResourceName, Store,
    instances::{CallLimit, ConnectionSpec},
    records::{Incoming, PageWrite},
    testing::TestDatabase,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use upstream::Secret;

use crate::redis::Redis;

/// Two instances of one connector, whose upstream does not answer.
pub const CONFIG: &str = r#"
[sql]
timeout = "2s"
rows_max = 100

[server]
request_timeout = "5s"
grace = "2s"

[[instance]]
name = "pond-uk"
connector = "cin7"
base_url = "http://127.0.0.1:9"
private_hosts = true
currency = "GBP"

[[instance]]
name = "pond-eu"
connector = "cin7"
base_url = "http://127.0.0.1:9"
private_hosts = true
currency = "EUR"
"#;

/// Where servers keep their hot values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    Off,
    Memory,
    Redis,
    TwoTier,
}

impl Kind {
    /// What MILLPOND_TEST_CACHE says, or the default of the program.
    pub fn of_this_run() -> Self {
        match std::env::var("MILLPOND_TEST_CACHE").as_deref() {
            Err(_) | Ok("memory") => Self::Memory,
            Ok("off") => Self::Off,
            Ok("redis") => Self::Redis,
            Ok("two-tier") => Self::TwoTier,
            Ok(other) => panic!("MILLPOND_TEST_CACHE={other}: off, memory, redis or two-tier"),
        }
    }
}

/// A cache of a kind, as configuration names it, and the Redis that it needs.
pub struct CacheOf {
    redis: Option<Redis>,
    line: String,
}

impl CacheOf {
    pub fn new(kind: Kind) -> Self {
        Self::with(kind, "")
    }

    /// With more settings, each after a comma.
    pub fn with(kind: Kind, more: &str) -> Self {
        let is_shared = matches!(kind, Kind::Redis | Kind::TwoTier);
        let redis = is_shared.then(Redis::start);
        let line = match (kind, &redis) {
            (Kind::Off, _) => format!("cache = {{ store = \"off\"{more} }}\n"),
            (_, Some(redis)) => format!(
                "cache = {{ store = \"{}\", two_tier = {}, probe_every = \"1s\"{more} }}\n",
                redis.url(),
                kind == Kind::TwoTier
            ),
            _ => format!("cache = {{ store = \"memory\"{more} }}\n"),
        };
        Self { redis, line }
    }

    /// One whose Redis, kept elsewhere, is reached under another URL.
    pub fn at(url: &str, kind: Kind) -> Self {
        Self::at_probed_every(url, kind, "1s")
    }

    pub fn at_probed_every(url: &str, kind: Kind, every: &str) -> Self {
        let two_tier = kind == Kind::TwoTier;
        Self::said(&format!(
            "cache = {{ store = \"{url}\", two_tier = {two_tier}, probe_every = \"{every}\" }}\n"
        ))
    }

    /// One that this line of configuration says.
    pub fn said(line: &str) -> Self {
        let line = line.to_owned();
        Self { redis: None, line }
    }

    /// The line of configuration; it stands before all tables.
    pub fn line(&self) -> &str {
        &self.line
    }
}

pub struct World {
    database: Option<Arc<TestDatabase>>,
    cache: Option<Arc<CacheOf>>,
    config: String,
    hot: Hot,
    pub app: App,
    pub store: Store,
    pub address: SocketAddr,
    pub stop: CancellationToken,
    pub served: JoinHandle<anyhow::Result<()>>,
}

/// What a server answered.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
    /// The first cookie that it sets, as it is to be sent back.
    pub cookie: Option<String>,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl World {
    pub async fn new() -> Self {
        Self::with_keys(&[]).await
    }

    pub async fn with_keys(keys: &[&str]) -> Self {
        Self::of(Kind::of_this_run(), CONFIG, keys).await
    }

    /// A server over a cache of a kind, with a configuration and keys of its own.
    pub async fn of(kind: Kind, config: &str, keys: &[&str]) -> Self {
        Self::over_cache(CacheOf::new(kind), config, keys).await
    }

    pub async fn over_cache(cache: CacheOf, config: &str, keys: &[&str]) -> Self {
        let database = Arc::new(TestDatabase::fresh().await);
        Self::on(database, Arc::new(cache), config, keys).await
    }

    /// Another server on the same database, over a cache of its own.
    pub async fn beside(&self, kind: Kind, keys: &[&str]) -> Self {
        let cache = Arc::new(CacheOf::new(kind));
        Self::on(self.database(), cache, &self.config, keys).await
    }

    /// Another server on the same database, over this cache.
    pub async fn with_cache(&self, cache: CacheOf, keys: &[&str]) -> Self {
        Self::on(self.database(), Arc::new(cache), &self.config, keys).await
    }

    /// A server on another database that shares the Redis.
    pub async fn stranger(&self) -> Self {
        let database = Arc::new(TestDatabase::fresh().await);
        Self::on(database, self.kept(), &self.config, &[]).await
    }

    /// Another server on the same database; it shares the Redis, if there is one.
    pub async fn twin(&self, keys: &[&str]) -> Self {
        Self::on(self.database(), self.kept(), &self.config, keys).await
    }

    fn database(&self) -> Arc<TestDatabase> {
        let database = self.database.as_ref();
        Arc::clone(database.expect("this world's database is another's"))
    }

    /// Where programs find the database.
    pub fn database_url(&self) -> String {
        self.database().url().to_owned()
    }

    fn kept(&self) -> Arc<CacheOf> {
        let cache = self.cache.as_ref();
        Arc::clone(cache.expect("this world's cache is another's"))
    }

    async fn on(
        database: Arc<TestDatabase>,
        cache: Arc<CacheOf>,
        config: &str,
        keys: &[&str],
    ) -> Self {
        let store = Store::from_pool(database.pool());
        let environment = Environment::default();
        let text = format!("{}{config}", cache.line());
        let loaded: Loaded = parse("world", &text, Path::new("."), &environment).unwrap();
        let mut world = Self::over(store, &loaded, &environment, keys).await;
        world.database = Some(database);
        world.cache = Some(cache);
        world.config = config.to_owned();
        world
    }

    /// A server over what is there already.
    pub async fn over(
        store: Store,
        loaded: &Loaded,
        environment: &Environment,
        keys: &[&str],
    ) -> Self {
        let (mirror, own) = open_hot_mirror(loaded, environment, store.clone())
            .await
            .unwrap();
        let hot = mirror.hot().clone();
        let stop = CancellationToken::new();
        let secrets = millpond::secrets::Secrets::new(environment.clone(), &loaded.base);
        let hooks = http::hooks::hook_secrets(loaded, &secrets).unwrap();
        let keys = ApiKeys::new(keys.iter().map(|key| Secret::new(*key)).collect());
        let keys = keys.with_hooks(hooks);
        let app = App::open(mirror, own, loaded, keys, stop.clone())
            .await
            .unwrap();
        let listener = http::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = tokio::spawn(http::serve(app.clone(), listener, Duration::from_secs(2)));
        let world = Self {
            database: None,
            cache: None,
            config: String::new(),
            hot,
            app,
            store,
            address,
            stop,
            served,
        };
        // The first look forgets all.
        world.hear().await;
        world
    }

    /// To take it down, where nobody else uses it.
    pub fn redis_mut(&mut self) -> &mut Redis {
        let cache = self.cache.as_mut().and_then(Arc::get_mut);
        let redis = cache.and_then(|cache| cache.redis.as_mut());
        redis.expect("this world has no redis of its own")
    }

    pub fn redis(&self) -> &Redis {
        let cache = self.cache.as_ref();
        let redis = cache.and_then(|cache| cache.redis.as_ref());
        redis.expect("this world has no redis")
    }

    /// The server's cache.
    pub fn cache(&self) -> &cache::Cache {
        self.hot.cache()
    }

    /// Lets the server hear now of what was written, as it does a few times a second.
    pub async fn hear(&self) {
        // A database that a test closed has nothing to say.
        let _ = self.hot.cache().catch_up().await;
    }

    /// Gives an instance a connection, `main`, of 60 calls a minute.
    pub async fn connect(&self, instance: &str) {
        let spec = ConnectionSpec {
            instance: instance.to_owned(),
            name: "main".to_owned(),
            secrets: [("application_key".to_owned(), "env:CIN7_KEY".to_owned())].into(),
            limit: Some(CallLimit {
                calls: 60,
                window: Duration::from_secs(60),
            }),
            share: 1.0,
            by_command: false,
        };
        self.store.save_connection(&spec).await.unwrap();
    }

    /// Writes records as a run does, and lets this server hear of it at once.
    pub async fn write(&self, resource: &str, instance: &str, records: &[(&str, &str)]) {
        self.write_quietly(resource, instance, records).await;
        self.hear().await;
    }

    /// Writes records as a run in another process does.
    pub async fn write_quietly(&self, resource: &str, instance: &str, records: &[(&str, &str)]) {
        let resource: ResourceName = resource.parse().unwrap();
        let now = Timestamp::now();
        let incoming = records.iter().map(|(id, body)| Incoming {
            id: (*id).to_owned(),
            body: Bytes::copy_from_slice(body.as_bytes()),
            hash: hash_of(body),
            asked_at: now,
            upstream_at: Some(now),
            wants: Vec::new(),
        });
        let page = PageWrite {
            resource: &resource,
            instance,
            run: None,
            records: incoming.collect(),
            likely_new: false,
            children: &[],
            fetches: Vec::new(),
            progress: None,
        };
        self.store.write_page(page).await.unwrap();
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(
            "POST",
            path,
            &[("content-type", "application/json")],
            Some(body.to_string()),
        )
        .await
    }

    pub async fn sql(&self, sql: &str) -> Reply {
        self.post("/v1/query/sql", &json!({ "sql": sql })).await
    }

    /// What is answered at another address.
    pub async fn ask_at(&self, address: SocketAddr, path: &str) -> Reply {
        send_to(address, "GET", path, &[], None).await
    }

    /// One request on a connection of its own.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> Reply {
        send_to(self.address, method, path, headers, body).await
    }
}

/// One request on a connection of its own.
pub async fn send_to(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<String>,
) -> Reply {
    let body = body.unwrap_or_default();
    let mut request = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "host") {
        request.push_str("host: localhost\r\n");
    }
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Reply {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_lowercase(),
        body: body.to_owned(),
        cookie: head
            .lines()
            .find_map(|line| line.strip_prefix("set-cookie: ")?.split(';').next())
            .map(str::to_owned),
    }
}

/// Any function that tells these bodies apart will do.
fn hash_of(body: &str) -> [u8; 16] {
    let mut hash = 0xcbf2_9ce4_8422_2325_u128;
    for byte in body.bytes() {
        hash = (hash ^ u128::from(byte)).wrapping_mul(0x0100_0000_01b3_0000_0001_000d);
    }
    hash.to_be_bytes()
}
