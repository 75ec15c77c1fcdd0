//! A fresh, migrated database for every test.
//!
//! All tests of one user on one machine share a private cluster that is not durable and stays for a while after
//! the last of them, so that only the first test pays for its start. Each database is a copy of a template that
//! was migrated once per set of migrations. `TEST_DATABASE_URL` names another server to use instead; its user
//! must be allowed to create databases.

use std::fmt::Write as _;
use std::fs::File;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, Executor};
use tokio::sync::OnceCell;

use crate::private::{PrivateCluster, PrivateError, Settings};

/// What the names of all test databases begin with, followed by the second they were made in.
const PREFIX: &str = "millpond_test_";
const TEMPLATE_PREFIX: &str = "millpond_template_";
/// How old a database that a killed test left must be before another test drops it.
const LEFTOVER_AGE: Duration = Duration::from_secs(3600);
/// How many leftovers one process drops.
const SWEPT_MAX: i64 = 20;
/// How long the shared server stays without any test.
const LINGER: Duration = Duration::from_secs(60);
const POOL_CONNECTIONS_MAX: u32 = 10;
/// Serialises making the template and sweeping; any number that nobody else uses.
const ADVISORY_LOCK: i64 = 0x6d69_6c6c_706f_6e64;

/// The server that this process's test databases are on.
static SERVER: OnceCell<Server> = OnceCell::const_new();

struct Server {
    /// To the maintenance database.
    url: String,
    options: PgConnectOptions,
    template: String,
    /// Keeps the server there until this process ends.
    _cluster: Option<PrivateCluster>,
}

/// A database of its own for one test, with all migrations in. Dropped with this value, unless the test panics:
/// then it stays for an hour, to be looked at.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    url: String,
    maintenance: PgConnectOptions,
    pool: PgPool,
}

impl TestDatabase {
    /// Makes the database.
    ///
    /// # Panics
    ///
    /// There is no server to make it on, or a migration fails; the message has the whole chain of causes.
    pub async fn fresh() -> Self {
        match Self::make(true).await {
            Ok(database) => database,
            Err(error) => panic!("could not make a test database: {}", chain(&*error)),
        }
    }

    /// As [`fresh`](Self::fresh), without any migration: an empty database.
    ///
    /// # Panics
    ///
    /// There is no server to make it on.
    pub async fn empty() -> Self {
        match Self::make(false).await {
            Ok(database) => database,
            Err(error) => panic!("could not make a test database: {}", chain(&*error)),
        }
    }

    /// How to connect to the database, for programs under test.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The database's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A pool of at most ten connections that lives as long as this value.
    pub fn pool(&self) -> PgPool {
        self.pool.clone()
    }

    /// The store on that pool.
    pub fn store(&self) -> crate::Store {
        crate::Store::from_pool(self.pool())
    }

    async fn make(migrated: bool) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let server = SERVER.get_or_try_init(find_server).await?;
        let mut connection = PgConnection::connect_with(&server.options).await?;
        let name = format!("{PREFIX}{}_{:08x}", now_secs(), rand::random::<u32>());
        let template = if migrated {
            &server.template
        } else {
            "template0"
        };
        connection
            .execute(AssertSqlSafe(format!(
                "CREATE DATABASE {name} TEMPLATE {template}"
            )))
            .await?;
        connection.close().await?;
        let options = server.options.clone().database(&name);
        let pool = crate::pool_options(POOL_CONNECTIONS_MAX).connect_lazy_with(options);
        let url = with_database(&server.url, &name);
        Ok(Self {
            name,
            url,
            maintenance: server.options.clone(),
            pool,
        })
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "the test's database stays for an hour: psql '{}'",
                self.url()
            );
            return;
        }
        let (name, maintenance) = (self.name.clone(), self.maintenance.clone());
        // The test's runtime may be of one thread, which we are on: a runtime of our own does not wait for it.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .ok()?;
            runtime.block_on(drop_database(&maintenance, &name)).ok()
        });
        // Best effort: a later test sweeps what stays.
        let _ = dropping.join();
    }
}

async fn find_server() -> Result<Server, Box<dyn std::error::Error + Send + Sync>> {
    let (url, cluster) = match std::env::var("TEST_DATABASE_URL") {
        Ok(url) => (url, None),
        Err(_) => {
            let cluster = start_cluster().await?;
            (cluster.url_of("postgres"), Some(cluster))
        }
    };
    let options = PgConnectOptions::from_str(&url)?;
    let template = template_name();
    let mut connection = PgConnection::connect_with(&options).await?;
    ensure_template(&mut connection, &options, &template).await?;
    sweep(&mut connection, &options).await?;
    connection.close().await?;
    Ok(Server {
        url,
        options,
        template,
        _cluster: cluster,
    })
}

/// Starts or joins the shared cluster. It is not durable: what a crash of the machine, or another major version of
/// PostgreSQL, made of it is thrown away.
async fn start_cluster() -> Result<PrivateCluster, PrivateError> {
    let settings = settings();
    let broken = match PrivateCluster::start(settings.clone()).await {
        Err(error @ (PrivateError::Start { .. } | PrivateError::OtherMajor { .. })) => error,
        other => return other,
    };
    eprintln!("making the tests' PostgreSQL anew: {broken}");
    // Of the test processes that found it broken, one repairs it while the others wait; then it works for them.
    let lock = File::create(settings.data_dir.with_extension("lock")).ok();
    let locked = tokio::task::spawn_blocking(move || lock.filter(|lock| lock.lock().is_ok())).await;
    if let Ok(cluster) = PrivateCluster::start(settings.clone()).await {
        return Ok(cluster);
    }
    let _ = std::fs::remove_dir_all(settings.data_dir.join("pgdata"));
    let cluster = PrivateCluster::start(settings).await;
    drop(locked);
    cluster
}

/// One cluster per user: another user's would not let us in.
fn settings() -> Settings {
    let uid = rustix::process::geteuid().as_raw();
    Settings {
        durable: false,
        linger: LINGER,
        search_path: std::env::var_os("PATH"),
        ..Settings::new(PathBuf::from(format!("/var/tmp/millpond-tests-{uid}")))
    }
}

/// Names the template after the migrations in it, so that two checkouts can test at the same time.
fn template_name() -> String {
    let migrator = sqlx::migrate!("./migrations");
    let mut name = TEMPLATE_PREFIX.to_owned();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in migrator
        .iter()
        .flat_map(|migration| migration.checksum.iter())
    {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let _ = write!(name, "{hash:016x}");
    name
}

async fn ensure_template(
    connection: &mut PgConnection,
    options: &PgConnectOptions,
    template: &str,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    if database_exists(connection, template).await? {
        return Ok(());
    }
    sqlx::query("SELECT pg_advisory_lock($1)")
        .bind(ADVISORY_LOCK)
        .execute(&mut *connection)
        .await?;
    let made = make_template(connection, options, template).await;
    sqlx::query("SELECT pg_advisory_unlock($1)")
        .bind(ADVISORY_LOCK)
        .execute(&mut *connection)
        .await?;
    made
}

async fn make_template(
    connection: &mut PgConnection,
    options: &PgConnectOptions,
    template: &str,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    if database_exists(connection, template).await? {
        return Ok(());
    }
    // It gets its name only when it is whole; until then it looks like a test's, and is swept like one.
    let unfinished = format!(
        "{PREFIX}{}_template_{:08x}",
        now_secs(),
        rand::random::<u32>()
    );
    connection
        .execute(AssertSqlSafe(format!(
            "CREATE DATABASE {unfinished} TEMPLATE template0"
        )))
        .await?;
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .connect_with(options.clone().database(&unfinished))
        .await?;
    crate::migrate(&pool).await?;
    pool.close().await;
    connection
        .execute(AssertSqlSafe(format!(
            "ALTER DATABASE {unfinished} RENAME TO {template}"
        )))
        .await?;
    Ok(())
}

async fn database_exists(connection: &mut PgConnection, name: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(name)
        .fetch_one(connection)
        .await
}

/// Drops some databases that killed tests left. Whoever is at it already does it for us.
async fn sweep(
    connection: &mut PgConnection,
    options: &PgConnectOptions,
) -> Result<(), sqlx::Error> {
    let leftovers: Vec<String> = sqlx::query_scalar(
        "SELECT datname FROM pg_database
          WHERE datname ~ ('^' || $1 || '[0-9]+_') AND split_part(datname, '_', 3)::bigint < $2
            AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datname = pg_database.datname)
          ORDER BY datname LIMIT $3",
    )
    .bind(PREFIX)
    .bind((now_secs() - LEFTOVER_AGE.as_secs()) as i64)
    .bind(SWEPT_MAX)
    .fetch_all(&mut *connection)
    .await?;
    if leftovers.is_empty() {
        return Ok(());
    }
    let ours: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
        .bind(ADVISORY_LOCK)
        .fetch_one(&mut *connection)
        .await?;
    if !ours {
        return Ok(());
    }
    for name in leftovers {
        // Another machine's tests may have dropped it in the meantime, or hold it.
        let _ = drop_database(options, &name).await;
    }
    sqlx::query("SELECT pg_advisory_unlock($1)")
        .bind(ADVISORY_LOCK)
        .execute(connection)
        .await?;
    Ok(())
}

async fn drop_database(maintenance: &PgConnectOptions, name: &str) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect_with(maintenance).await?;
    connection
        .execute(AssertSqlSafe(format!(
            "DROP DATABASE IF EXISTS {name} WITH (FORCE)"
        )))
        .await?;
    for role in [
        crate::reader::role_of(name),
        crate::reader::tenant_role_of(name),
    ] {
        connection
            .execute(AssertSqlSafe(format!("DROP ROLE IF EXISTS {role}")))
            .await?;
    }
    connection.close().await
}

/// The same URL for another database: `scheme://authority/database?parameters`.
fn with_database(url: &str, database: &str) -> String {
    let (address, parameters) = url
        .split_once('?')
        .map_or((url, None), |(address, rest)| (address, Some(rest)));
    let authority_start = address.find("://").map_or(0, |at| at + 3);
    let authority_end = address[authority_start..]
        .find('/')
        .map_or(address.len(), |at| authority_start + at);
    let parameters = parameters
        .map(|parameters| format!("?{parameters}"))
        .unwrap_or_default();
    format!("{}/{database}{parameters}", &address[..authority_end])
}

fn now_secs() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let _ = write!(text, ": {error}");
        source = error.source();
    }
    text
}
