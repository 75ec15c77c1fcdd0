//! What every test needs: a database, a simulator, and a mirror between them.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use mirror::{
    ConnectionSettings, InstanceSettings, Listener, Mirror, ResourceFilter, SecretSource, SyncAsk,
    SyncReport,
};
use serde_json::Value;
use simulators::cin7::{Account, Cin7, Options};
use store::{ResourceName, Store, instances::CallLimit, testing::TestDatabase};
use tokio_util::sync::CancellationToken;
use upstream::{Connector, Secret};

/// Secrets that say themselves, `say:SECRET`.
pub struct SayingSecrets;

impl SecretSource for SayingSecrets {
    fn resolve(&self, reference: &str) -> Result<Secret, String> {
        reference
            .strip_prefix("say:")
            .map(Secret::new)
            .ok_or_else(|| "not a secret of this test".to_owned())
    }
}

pub fn connector() -> Arc<Connector> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../connectors/cin7-core.toml"
    );
    let text = std::fs::read_to_string(path).unwrap();
    Arc::new(
        Connector::parse("cin7-core.toml", &text).unwrap_or_else(|problems| panic!("{problems}")),
    )
}

/// An instance of `account` with one connection per key, and a limit that does not matter.
pub fn instance(name: &str, sim: &Cin7, account: &Account) -> InstanceSettings {
    let connections = account
        .keys
        .iter()
        .enumerate()
        .map(|(n, key)| ConnectionSettings {
            name: format!("key-{n}"),
            secrets: BTreeMap::from([
                (
                    "account_id".to_owned(),
                    format!("say:{}", account.account_id),
                ),
                ("application_key".to_owned(), format!("say:{key}")),
            ]),
            limit: None,
            share: None,
        });
    InstanceSettings {
        name: name.to_owned(),
        connector: connector(),
        base_url: Some(sim.base_url()),
        currency: Some(account.currency.clone()),
        reporting: Some("GBP".to_owned()),
        connections: connections.collect(),
        resources: ResourceFilter::All,
        schedules: Vec::new(),
        quiet: None,
        private_hosts: true,
        timeout: None,
        limit: Some(CallLimit {
            calls: 60,
            window: Duration::from_millis(5),
        }),
        concurrency: Some(8),
        chores: Default::default(),
        freshness: Default::default(),
    }
}

pub async fn simulator(options: Options) -> Cin7 {
    Cin7::start(options, SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .unwrap()
}

pub async fn open(store: Store, instances: Vec<InstanceSettings>) -> Mirror {
    Mirror::open(store, instances, Arc::new(SayingSecrets), None)
        .await
        .unwrap()
}

/// A database, a simulator with one small account, and its mirror.
pub struct House {
    pub database: TestDatabase,
    pub sim: Cin7,
    pub account: Account,
    pub mirror: Mirror,
}

impl House {
    pub async fn new(sales: usize) -> Self {
        Self::with(sales, |_| {}).await
    }

    pub async fn with(sales: usize, change: impl FnOnce(&mut InstanceSettings)) -> Self {
        let database = TestDatabase::fresh().await;
        let account = Account {
            sales_max: sales,
            ..Account::gbp()
        };
        let sim = simulator(Options {
            accounts: vec![account.clone()],
            ..Options::for_testing()
        })
        .await;
        let mut settings = instance("uk", &sim, &account);
        change(&mut settings);
        let mirror = open(database.store(), vec![settings]).await;
        Self {
            database,
            sim,
            account,
            mirror,
        }
    }

    pub async fn sync(&self, resource: Option<&str>, kind: Option<&str>) -> SyncReport {
        sync(&self.mirror, resource, kind).await
    }

    /// What the mirror holds of a resource, by id.
    pub async fn held(&self, resource: &str) -> BTreeMap<String, Value> {
        held(&self.mirror, resource, "uk").await
    }

    /// What it should hold.
    pub fn truth(&self, path: &str, params: &[(&str, &str)]) -> BTreeMap<String, Value> {
        truth(&self.sim, &self.account, path, params)
    }
}

pub async fn sync(mirror: &Mirror, resource: Option<&str>, kind: Option<&str>) -> SyncReport {
    sync_of(
        mirror,
        resource.map(|r| format!("cin7.{r}")).as_deref(),
        kind,
    )
    .await
}

/// As [`sync`], of a resource with its whole name.
pub async fn sync_of(mirror: &Mirror, resource: Option<&str>, kind: Option<&str>) -> SyncReport {
    let ask = SyncAsk {
        instance: None,
        resource: resource.map(|r| r.parse().unwrap()),
        kind: kind.map(str::to_owned),
    };
    let quiet: Option<Listener> = None;
    let done = mirror.sync(ask, CancellationToken::new(), quiet);
    tokio::time::timeout(Duration::from_secs(120), done)
        .await
        .expect("the sync ends")
        .unwrap()
}

pub fn name(resource: &str) -> ResourceName {
    format!("cin7.{resource}").parse().unwrap()
}

pub async fn held(mirror: &Mirror, resource: &str, instance: &str) -> BTreeMap<String, Value> {
    let statement = format!(
        "SELECT id, body FROM cin7.{resource} WHERE instance = '{instance}' AND deleted_at IS NULL"
    );
    let rows: Vec<(String, Value)> = sqlx::query_as(sqlx::AssertSqlSafe(statement))
        .fetch_all(mirror.store().pool())
        .await
        .unwrap();
    rows.into_iter().collect()
}

pub fn truth(
    sim: &Cin7,
    account: &Account,
    path: &str,
    params: &[(&str, &str)],
) -> BTreeMap<String, Value> {
    let documents = sim.truth(&account.account_id).documents_with(path, params);
    documents
        .into_iter()
        .map(|(id, body)| (id.to_lowercase(), body))
        .collect()
}

/// Asserts equality without printing two whole accounts.
pub fn assert_same(what: &str, held: &BTreeMap<String, Value>, truth: &BTreeMap<String, Value>) {
    let missing: Vec<_> = truth
        .keys()
        .filter(|id| !held.contains_key(*id))
        .take(3)
        .collect();
    let extra: Vec<_> = held
        .keys()
        .filter(|id| !truth.contains_key(*id))
        .take(3)
        .collect();
    let different: Vec<_> = truth
        .iter()
        .filter_map(|(id, body)| Some((id, difference("", held.get(id)?, body)?)))
        .take(3)
        .collect();
    assert!(
        missing.is_empty() && extra.is_empty() && different.is_empty(),
        "{what}: {} held, {} true; missing {missing:?}, extra {extra:?}, different {different:#?}",
        held.len(),
        truth.len(),
    );
}

/// Where two values first differ.
fn difference(path: &str, held: &Value, truth: &Value) -> Option<String> {
    match (held, truth) {
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => a
            .iter()
            .find_map(|(key, value)| difference(&format!("{path}.{key}"), value, &b[key])),
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let mut pairs = a.iter().zip(b).enumerate();
            pairs.find_map(|(n, (a, b))| difference(&format!("{path}[{n}]"), a, b))
        }
        _ if held == truth => None,
        _ => Some(format!("{path}: held {held:.200}, true {truth:.200}")),
    }
}

/// How often a condition is looked at.
pub const POLL: Duration = Duration::from_millis(10);

/// Waits until `condition` holds, half a minute at the most.
pub async fn until(what: &str, condition: impl AsyncFnMut() -> bool) {
    until_within(Duration::from_secs(30), what, condition).await;
}

/// Waits until `condition` holds, so long at the most.
pub async fn until_within(
    wait_max: Duration,
    what: &str,
    mut condition: impl AsyncFnMut() -> bool,
) {
    let deadline = Instant::now() + wait_max;
    while !condition().await {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(POLL).await;
    }
}

/// A worker under way.
pub struct Working {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<mirror::Result<()>>,
}

/// Starts a worker.
pub fn work(mirror: &Mirror, owner: &str) -> Working {
    let stop = CancellationToken::new();
    let (mirror, owner, token) = (mirror.clone(), owner.to_owned(), stop.clone());
    Working {
        stop,
        task: tokio::spawn(async move { mirror.work(&owner, token, None).await }),
    }
}

impl Working {
    /// Asks it to stop, and waits until it has.
    pub async fn stop(self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(20), self.task).await;
        ended
            .expect("a worker stops when asked to")
            .unwrap()
            .unwrap();
    }
}
