//! The demo's stage: two simulated companies, their service desk, a database, and the mirror of all.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use mirror::{
    ConnectionSettings, InstanceSettings, Mirror, ResourceFilter, ScheduleOverride, SecretSource,
};
use simulators::{
    cin7::{Account, Cin7, Latency, Limit, Options},
    connectwise::ConnectWise,
};
use store::{
    Store,
    instances::CallLimit,
    private::Settings,
    reader::{Limits, Reader},
};
use upstream::Secret;

use super::{CALLS_PER_MINUTE, desk, minute};
use crate::{
    config::{CacheConfig, CacheStore, SecretRef},
    connectors::load_connector,
    database::Database,
    environment::Environment,
    hot::{self, OwnFamilies},
    secrets::Secrets,
};

/// The companies: instance, account, and the key that only the mirror uses.
const COMPANIES: [(&str, &str, &str); 2] = [("pond-uk", "GBP", "GBP"), ("pond-eu", "EUR", "GBP")];

/// What the demo is made of.
#[derive(Debug, Clone)]
pub struct StageOptions {
    /// The newest this many orders per company.
    pub sales: usize,
    /// Where the private database is kept; absent: in a directory that goes when the demo ends.
    pub data_dir: Option<PathBuf>,
}

/// Everything that plays a part. Dropping it ends simulator and database.
pub struct Stage {
    /// The service with its limit.
    pub sim: Cin7,
    /// The service desk.
    pub desk: ConnectWise,
    /// The mirror of the companies and the desk.
    pub mirror: Mirror,
    /// The families in its cache besides its own.
    pub own: OwnFamilies,
    /// Its database.
    pub database: Database,
    /// The door for SQL.
    pub reader: Reader,
    _scratch: Option<tempfile::TempDir>,
}

impl Stage {
    /// Starts the service and the database, and opens an empty mirror.
    ///
    /// # Errors
    ///
    /// No database can be had, or no port.
    pub async fn set(options: &StageOptions, environment: &Environment) -> anyhow::Result<Self> {
        let sim = Cin7::start(
            Options {
                accounts: companies(options.sales),
                limit: Some(Limit {
                    calls: CALLS_PER_MINUTE,
                    per: minute(),
                    sliding: true,
                }),
                ..Options::default()
            },
            local(),
        )
        .await
        .context("the simulator does not start")?;
        let (database, scratch) = open_database(options, environment).await?;
        let desk = desk::open().await?;
        let (mirror, own) = open_mirror(&sim, &desk, database.store.clone(), environment).await?;
        let reader = Reader::open(database.store.pool(), 4).await?;
        Ok(Self {
            sim,
            desk,
            mirror,
            own,
            database,
            reader,
            _scratch: scratch,
        })
    }

    /// Runs a query that answers one row of texts and numbers.
    ///
    /// # Errors
    ///
    /// The query fails, or finds nothing.
    pub async fn row(&self, sql: &str) -> anyhow::Result<Vec<serde_json::Value>> {
        let answer = self.reader.query(sql, &[], &Limits::default()).await?;
        let row = answer.rows.first().context("the mirror is empty")?;
        Ok(serde_json::from_str(row.get())?)
    }

    /// Calls that the companies' service has counted so far.
    pub fn calls(&self) -> usize {
        self.sim.wiretap().len()
    }

    /// The account of an instance.
    pub fn account(&self, instance: &str) -> &Account {
        account_of(&self.sim, instance)
    }

    /// Ends everything in order.
    pub async fn strike(self) {
        self.database.close().await;
        self.desk.stop().await;
        self.sim.stop().await;
    }
}

/// A second service as slow as the real one, without a limit, holding a few orders.
///
/// # Errors
///
/// It does not start.
pub(super) async fn slow_service() -> anyhow::Result<Cin7> {
    let options = Options {
        accounts: companies(40),
        limit: None,
        latency: Latency::observed(),
        ..Options::default()
    };
    Cin7::start(options, local())
        .await
        .context("the slow simulator does not start")
}

pub(super) fn account_of<'a>(sim: &'a Cin7, instance: &str) -> &'a Account {
    let currency = COMPANIES
        .iter()
        .find(|(name, ..)| *name == instance)
        .map_or("GBP", |(_, currency, _)| currency);
    let accounts = &sim.options().accounts;
    accounts
        .iter()
        .find(|account| account.currency == currency)
        .unwrap_or(&accounts[0])
}

fn local() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// Both companies; each has a key for the mirror and a second one for integrations that do without it.
fn companies(sales: usize) -> Vec<Account> {
    [Account::gbp(), Account::eur()]
        .into_iter()
        .map(|mut account| {
            account.sales_max = sales;
            account.keys.push(format!("naive-{}", account.currency));
            account
        })
        .collect()
}

async fn open_database(
    options: &StageOptions,
    environment: &Environment,
) -> anyhow::Result<(Database, Option<tempfile::TempDir>)> {
    if environment.find("DATABASE_URL").is_some() {
        let loaded = crate::config::parse("", "", std::path::Path::new("."), environment)?;
        return Ok((Database::open(&loaded, environment).await?, None));
    }
    let (dir, scratch) = match &options.data_dir {
        Some(dir) => (dir.clone(), None),
        None => {
            use std::os::unix::fs::PermissionsExt as _;
            // The server may run as another user, who must be let in.
            let scratch = tempfile::Builder::new()
                .prefix("millpond-demo-")
                .permissions(std::fs::Permissions::from_mode(0o755))
                .tempdir()
                .context("cannot make a directory for the demo's database")?;
            (scratch.path().join("postgresql"), Some(scratch))
        }
    };
    let settings = Settings {
        search_path: environment.find("PATH").map(Into::into),
        ..Settings::new(dir)
    };
    let database = Database::open_private(settings, store::CONNECTIONS_MAX).await?;
    Ok((database, scratch))
}

async fn open_mirror(
    sim: &Cin7,
    desk: &ConnectWise,
    store: Store,
    environment: &Environment,
) -> anyhow::Result<(Mirror, OwnFamilies)> {
    let connector = load_connector("cin7", std::path::Path::new("."))?;
    let mut secrets = BTreeMap::new();
    let mut instances = Vec::new();
    for (instance, currency, reporting) in COMPANIES {
        let account = account_of(sim, instance);
        let reference = |what: &str| format!("env:{what}_{currency}");
        secrets.insert(reference("ACCOUNT"), account.account_id.clone());
        secrets.insert(reference("KEY"), account.keys[0].clone());
        instances.push(InstanceSettings {
            name: instance.to_owned(),
            connector: Arc::clone(&connector),
            base_url: Some(sim.base_url()),
            currency: Some(currency.to_owned()),
            reporting: Some(reporting.to_owned()),
            connections: vec![ConnectionSettings {
                name: "main".to_owned(),
                secrets: BTreeMap::from([
                    ("account_id".to_owned(), reference("ACCOUNT")),
                    ("application_key".to_owned(), reference("KEY")),
                ]),
                limit: None,
                share: None,
            }],
            resources: ResourceFilter::All,
            schedules: vec![ScheduleOverride {
                resource: "sale_header".to_owned(),
                kind: "changes".to_owned(),
                every: Duration::from_secs(1),
            }],
            quiet: None,
            private_hosts: true,
            timeout: None,
            limit: Some(CallLimit {
                calls: CALLS_PER_MINUTE,
                window: minute(),
            }),
            concurrency: Some(8),
            chores: Default::default(),
            freshness: Default::default(),
        });
    }
    instances.push(desk::settings(desk, &mut secrets)?);
    let mut cache = CacheConfig::default();
    if environment.find("REDIS_URL").is_some() {
        cache.store = Some(CacheStore::At(SecretRef::Env("REDIS_URL".to_owned())));
    }
    let found = Secrets::new(environment.clone(), std::path::Path::new("."));
    let (hot, own) = hot::open(&cache, &found, store.clone(), &instances).await?;
    let secrets = Arc::new(Keys(secrets));
    let mirror = Mirror::open_hot(store, instances, secrets, None, hot).await?;
    Ok((mirror, own))
}

/// The simulated accounts' credentials, which are no secret.
struct Keys(BTreeMap<String, String>);

impl SecretSource for Keys {
    fn resolve(&self, reference: &str) -> Result<Secret, String> {
        self.0
            .get(reference)
            .map(Secret::new)
            .ok_or_else(|| format!("the demo has no {reference}"))
    }
}
