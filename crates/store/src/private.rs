//! A PostgreSQL server of our own, for those who have not set one up.
//!
//! [`PrivateCluster::start`] finds the installed server programs, makes a cluster in a data directory, starts its
//! server, and holds on to it. The server ends when the last process that holds on is gone, also when that
//! was killed: see the keeper. What a crash leaves behind is recovered or reused by the next start.

mod account;
mod binaries;
mod conf;
mod error;
mod init;
mod keeper;
mod launch;
mod layout;
mod postmaster;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::str::FromStr;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, Executor};

use self::account::Account;
pub use self::error::PrivateError;
use self::keeper::Share;
use self::layout::Layout;
use self::postmaster::Postmaster;

/// The cluster's owner, a superuser of this cluster alone.
const OWNER: &str = "millpond";
/// The database made in a new cluster.
const DATABASE: &str = "millpond";
/// How often a condition outside this process is looked at.
const POLL: Duration = Duration::from_millis(20);
/// How long [`PrivateCluster::stop`] waits for the server to end.
const STOP_WAIT_MAX: Duration = Duration::from_secs(90);
/// How long other users must be seen before they are believed.
const USERS_SEEN_FOR: Duration = Duration::from_millis(300);

/// How to run a private cluster. [`Settings::new`] has what nearly everybody wants.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the cluster's files are. Made if missing; its parents must let the server's user in.
    pub data_dir: PathBuf,
    /// The port on 127.0.0.1. `None`: a free one, the same again at the next start unless it is taken by then.
    /// Not looked at when a server is already running on the data directory.
    pub port: Option<u16>,
    /// The user to run the server as when we are root. `None`: `postgres`, or a `millpond` that is made.
    pub run_as: Option<String>,
    /// Where to look for the server's programs before the usual places: the value of `PATH`.
    pub search_path: Option<OsString>,
    /// Whether what is committed survives a crash of the machine. Off only for tests.
    pub durable: bool,
    /// How long the server stays when nobody uses it any more, in whole seconds.
    pub linger: Duration,
    /// How long a start may take in all, recovery after a crash included.
    pub start_wait_max: Duration,
}

impl Settings {
    /// A durable cluster in `data_dir` that ends with its users.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            port: None,
            run_as: None,
            search_path: None,
            durable: true,
            linger: Duration::ZERO,
            start_wait_max: Duration::from_secs(300),
        }
    }
}

/// A share in a running private server.
///
/// The server runs while any process holds such a share, however many started it at the same time on the same
/// data directory. Dropping the last share, or the death of its process, stops the server soon after (fast
/// shutdown: open transactions are rolled back); [`stop`](Self::stop) also waits for it.
#[derive(Debug)]
pub struct PrivateCluster {
    layout: Layout,
    account: Account,
    server: Postmaster,
    linger: Duration,
    keeper: Option<Child>,
    share: Option<Share>,
}

/// What [`PrivateCluster::stop`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// The server has ended.
    Ended,
    /// The server runs on, for others who use it or for its linger time.
    LeftRunning,
}

impl PrivateCluster {
    /// Starts the server of `settings.data_dir`, or joins the users of the one that runs there.
    ///
    /// A server that died under its users is brought back, for them too and on its old port if that is free.
    /// A dropped future leaves nothing running: the start goes on in its thread, then gives its share back.
    ///
    /// # Errors
    ///
    /// See [`PrivateError`]: each variant says what to do. Starting again after any of them is safe.
    pub async fn start(settings: Settings) -> Result<Self, PrivateError> {
        let started = Instant::now();
        let data_dir = settings.data_dir.clone();
        let cluster = tokio::task::spawn_blocking(move || launch::start_or_join(&settings))
            .await
            .map_err(|error| {
                PrivateError::io("start a server in", data_dir)(std::io::Error::other(error))
            })??;
        cluster.ensure_database().await?;
        tracing::info!(
            port = cluster.port(),
            joined = cluster.keeper.is_none(),
            duration_ms = started.elapsed().as_millis() as u64,
            "private PostgreSQL runs in {}",
            cluster.layout.root.display(),
        );
        Ok(cluster)
    }

    /// How to connect from this machine and user: over the socket, with no password in it.
    pub fn url(&self) -> String {
        self.url_of(DATABASE)
    }

    /// As [`url`](Self::url), for another database of the cluster.
    pub fn url_of(&self, database: &str) -> String {
        let host = percent_encode(&self.server.socket_dir.to_string_lossy());
        format!(
            "postgres:///{}?host={host}&port={}&user={OWNER}",
            percent_encode(database),
            self.server.port
        )
    }

    /// How to connect over TCP, for programs of other users. Holds the owner's password: keep it out of logs.
    ///
    /// # Errors
    ///
    /// The password file in the data directory cannot be read.
    pub fn tcp_url(&self) -> Result<String, PrivateError> {
        let path = self.layout.password();
        let password = std::fs::read_to_string(&path).map_err(PrivateError::io("read", path))?;
        Ok(format!(
            "postgres://{OWNER}:{}@127.0.0.1:{}/{DATABASE}",
            password.trim(),
            self.server.port
        ))
    }

    /// The directory of the server's socket. Only the server's user (and root) may enter it.
    pub fn socket_dir(&self) -> &Path {
        &self.server.socket_dir
    }

    /// The server's port on 127.0.0.1, also the number in the socket's name.
    pub fn port(&self) -> u16 {
        self.server.port
    }

    /// The user of the operating system that the server runs as.
    pub fn run_as(&self) -> &str {
        &self.account.name
    }

    /// The process id of the server.
    pub fn server_pid(&self) -> i32 {
        self.server.pid
    }

    /// Where the server writes its log.
    pub fn log(&self) -> PathBuf {
        self.layout.log()
    }

    /// What to type to look inside.
    pub fn psql_command(&self) -> String {
        format!("psql '{}'", self.url().replace('\'', "%27"))
    }

    /// Gives the share back and waits until the server has ended, unless others use it or it is to linger.
    ///
    /// A dropped future gives the share back all the same.
    ///
    /// # Errors
    ///
    /// [`PrivateError::StillRunning`] when the server does not end in 90 s.
    pub async fn stop(mut self) -> Result<Stopped, PrivateError> {
        drop(self.share.take());
        if !self.linger.is_zero() {
            return Ok(Stopped::LeftRunning);
        }
        let pgdata = self.layout.pgdata();
        let deadline = Instant::now() + STOP_WAIT_MAX;
        let mut used_since = None;
        while self.server.is_running(&pgdata) {
            if keeper::has_users(&self.layout, &self.account)? {
                // A process that another thread of ours is starting holds copies of our files for a moment.
                let since = *used_since.get_or_insert_with(Instant::now);
                if since.elapsed() > USERS_SEEN_FOR {
                    return Ok(Stopped::LeftRunning);
                }
            } else {
                used_since = None;
            }
            if Instant::now() > deadline {
                return Err(PrivateError::StillRunning {
                    dir: self.layout.root.clone(),
                    waited: STOP_WAIT_MAX,
                });
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(Stopped::Ended)
    }

    async fn ensure_database(&self) -> Result<(), PrivateError> {
        let sql = |action| move |source| PrivateError::Sql { action, source };
        let mut connection = self
            .connect("postgres")
            .await
            .map_err(sql("accept a connection"))?;
        let exists: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
                .bind(DATABASE)
                .fetch_one(&mut connection)
                .await
                .map_err(sql("list its databases"))?;
        if !exists {
            let made = connection.execute("CREATE DATABASE millpond").await;
            // Two first starts at once: the other one made it.
            let raced = made
                .as_ref()
                .err()
                .and_then(|error| error.as_database_error())
                .is_some_and(|error| matches!(error.code().as_deref(), Some("42P04" | "23505")));
            if !raced {
                made.map_err(sql("create its database"))?;
            }
        }
        connection.close().await.map_err(sql("end a connection"))
    }

    async fn connect(&self, database: &str) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect_with(&PgConnectOptions::from_str(&self.url_of(database))?).await
    }
}

impl Drop for PrivateCluster {
    fn drop(&mut self) {
        drop(self.share.take());
        if let Some(mut keeper) = self.keeper.take() {
            // Only to take its exit status: it ends by itself, and outlives us if we end first.
            std::thread::spawn(move || keeper.wait());
        }
    }
}

/// Keeps letters, digits and what needs no escape in a path or a name.
fn percent_encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}
