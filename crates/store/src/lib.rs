//! All SQL: migrations, records, changes, jobs, budget, and the private PostgreSQL.
//!
//! [`Store`] is the handle; its methods are grouped by module, each named after what it keeps.

pub mod access;
pub mod budget;
pub mod changes;
mod error;
pub mod events;
pub mod gone;
pub mod hot_reads;
pub mod instances;
pub mod jobs;
pub mod keys;
pub mod learned;
pub mod memory;
mod names;
mod newest;
pub mod orders;
mod outdated;
pub mod private;
pub mod quarantine;
pub mod queue;
pub mod rates;
pub mod read;
pub mod reader;
pub mod recall;
pub mod records;
pub mod resources;
pub mod runs;
pub mod saved_queries;
pub mod snapshots;
pub mod sources;
pub mod tenants;
#[cfg(feature = "testing")]
pub mod testing;
pub mod usage;
pub mod watched;
pub mod watermark;
pub mod webhooks;

use std::time::Duration;

pub use error::{Result, StoreError};
pub use names::{BadName, ResourceName};
use sqlx::{
    Connection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::error::For;

/// Connections that one process opens to PostgreSQL at the most, unless it asks otherwise.
pub const CONNECTIONS_MAX: u32 = 16;

/// A connection that rested longer is asked whether it is still there before it is used.
const PROBE_AFTER: Duration = Duration::from_secs(1);

/// The mirror's database. Cheap to clone; all clones share one pool.
#[derive(Debug, Clone)]
pub struct Store {
    pool: PgPool,
}

impl Store {
    /// Connects to `url` and migrates the database there.
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`] when it does not answer within 10 s; [`StoreError::Refused`] when the
    /// URL is no PostgreSQL URL, or a migration fails.
    pub async fn open(url: &str, connections_max: u32) -> Result<Self> {
        let options: PgConnectOptions = url.parse().to("read the database URL")?;
        let pool = pool_options(connections_max)
            .acquire_timeout(Duration::from_secs(10))
            .connect_with(options.application_name("millpond").options([
                // A plan made while a table was small would scan it for ever.
                ("plan_cache_mode", "force_custom_plan"),
                // A user named `millpond` would otherwise find our tables first, and migrate them again.
                ("search_path", "public"),
                ("client_min_messages", "error"),
                ("idle_in_transaction_session_timeout", "60000"),
            ]))
            .await
            .to("open it")?;
        migrate(&pool)
            .await
            .map_err(|error| StoreError::from_sqlx("migrate it", error.into()))?;
        Ok(Self { pool })
    }

    /// Wraps a pool whose database is migrated.
    pub fn from_pool(pool: PgPool) -> Self {
        Self { pool }
    }

    /// The pool, for this crate's own modules and for tests.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Whether the database answers.
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`] when it does not.
    pub async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT 1")
            .execute(&self.pool)
            .await
            .to("see whether it answers")?;
        Ok(())
    }

    /// A text that tells this database from every other, also from one of the same name on another server. A
    /// physical copy of a whole server has the same one; a restored dump has another.
    pub async fn identity(&self) -> Result<String> {
        sqlx::query_scalar(
            "SELECT system_identifier || '-' || oid FROM pg_control_system(), pg_database \
             WHERE datname = current_database()",
        )
        .fetch_one(&self.pool)
        .await
        .to("tell it from others")
    }
}

/// A pool whose connections rest without a transaction: a future that is dropped while its transaction begins leaves
/// it open on the server, with its locks. Nobody gets a connection before it is rolled back.
pub(crate) fn pool_options(connections_max: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections_max)
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > PROBE_AFTER {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .after_release(|connection, _| {
            Box::pin(async move {
                sqlx::query("ROLLBACK").execute(connection).await?;
                Ok(true)
            })
        })
}

/// Brings the database at `pool` to this build's schema.
///
/// Safe to call from several processes at once: PostgreSQL's advisory lock serialises them.
///
/// # Errors
///
/// The database refused a migration, or was migrated by a newer build.
pub async fn migrate(pool: &PgPool) -> std::result::Result<(), sqlx::migrate::MigrateError> {
    sqlx::migrate!("./migrations").run(pool).await
}
