//! Changes of access, and how every process hears of them before the change is acknowledged.
//!
//! A process that remembers principals holds a lease, which it renews while it applies the news. Whoever revokes a
//! key waits until every process has heard, or until the lease of one that hangs has ended; and a
//! process whose lease has ended asks the database. So the request after a revocation is refused on every
//! process, whatever state any cache is in.

use std::time::{Duration, Instant};

use sqlx::{
    Row,
    postgres::{PgListener, PgPoolOptions},
};

use crate::{
    Store,
    error::{For, Result},
};

/// How long a process may answer from memory after it last heard the news.
pub const LEASE: Duration = Duration::from_secs(4);
/// News younger than this are applied by a process that starts: no cached value is older.
const REPLAY: Duration = Duration::from_secs(900);
/// How long news are kept.
const KEPT: Duration = Duration::from_secs(3600);
/// Most news that are read at once.
const NEWS_MAX: i64 = 1000;
/// How often somebody who waits for the others looks again.
const LOOK_EVERY: Duration = Duration::from_millis(15);
const CHANNEL: &str = "millpond_access";

/// What has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A key was revoked, rotated, or sees something else now. The hash of its credential.
    Principal(String),
    /// A tenant, its plan or its instances. Its id.
    Tenant(String),
    /// A project. Its tenant's id and its own.
    Project(String, String),
}

/// A place in the news that others must have reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[must_use = "a change of access is done when everybody has heard of it"]
pub struct Told(pub(crate) i64);

impl Told {
    /// The later of both.
    pub fn and(self, other: Self) -> Self {
        self.max(other)
    }
}

impl Store {
    /// Listens for news. Reconnects by itself; what was missed meanwhile is still in the table.
    ///
    /// # Errors
    ///
    /// The database is away.
    pub async fn listen_for_access(&self) -> Result<PgListener> {
        // A connection of its own: those of the pool are for statements.
        let options = (*self.pool().connect_options()).clone();
        let own = PgPoolOptions::new()
            .max_connections(1)
            .connect_lazy_with(options);
        let mut listener = PgListener::connect_with(&own)
            .await
            .to("listen for changes of access")?;
        listener
            .listen(CHANNEL)
            .await
            .to("listen for changes of access")?;
        Ok(listener)
    }

    /// Where a process that starts begins to read the news: far enough back for whatever a cache may still hold.
    pub async fn access_news_start(&self) -> Result<i64> {
        sqlx::query_scalar(
            "SELECT coalesce(max(seq), 0) FROM millpond.access_news \
             WHERE at < clock_timestamp() - $1 * interval '1 second'",
        )
        .bind(REPLAY.as_secs_f64())
        .fetch_one(self.pool())
        .await
        .to("read changes of access")
    }

    /// The news after `seq`, oldest first, with their place.
    pub async fn access_news_after(&self, seq: i64) -> Result<Vec<(i64, News)>> {
        let rows = sqlx::query(
            "SELECT seq, family, tenant, name FROM millpond.access_news WHERE seq > $1 ORDER BY seq LIMIT $2",
        )
        .bind(seq)
        .bind(NEWS_MAX)
        .fetch_all(self.pool())
        .await
        .to("read changes of access")?;
        Ok(rows
            .iter()
            .map(|row| {
                let (family, tenant, name): (String, Option<String>, String) =
                    (row.get(1), row.get(2), row.get(3));
                let news = match family.as_str() {
                    "principal" => News::Principal(name),
                    "tenant" => News::Tenant(name),
                    _ => News::Project(tenant.unwrap_or_default(), name),
                };
                (row.get(0), news)
            })
            .collect())
    }

    /// Says that process `node` has applied the news up to `heard`, and renews its lease. Answers until when it may
    /// answer from memory: [`LEASE`] counted from before the database was asked.
    pub async fn renew_access_lease(&self, node: &str, heard: i64) -> Result<Instant> {
        let asked = Instant::now();
        sqlx::query(
            "INSERT INTO millpond.node (id, heard, lease_until) \
             VALUES ($1, $2, clock_timestamp() + $3 * interval '1 second') \
             ON CONFLICT (id) DO UPDATE SET heard = excluded.heard, lease_until = excluded.lease_until",
        )
        .bind(node)
        .bind(heard)
        .bind(LEASE.as_secs_f64())
        .execute(self.pool())
        .await
        .to("renew the lease on access")?;
        Ok(asked + LEASE)
    }

    /// Gives a lease up: nobody waits for `node` any more. Also forgets old news and dead processes.
    pub async fn end_access_lease(&self, node: &str) -> Result<()> {
        sqlx::query(
            "DELETE FROM millpond.node WHERE id = $1 OR lease_until < clock_timestamp() - interval '1 hour'",
        )
        .bind(node)
        .execute(self.pool())
        .await
        .to("end the lease on access")?;
        self.forget_access_news().await
    }

    /// Forgets news that no cache can still need.
    pub async fn forget_access_news(&self) -> Result<()> {
        // The newest stays: places in the news must go on growing.
        sqlx::query(
            "DELETE FROM millpond.access_news WHERE at < clock_timestamp() - $1 * interval '1 second' \
             AND seq < (SELECT max(seq) FROM millpond.access_news)",
        )
        .bind(KEPT.as_secs_f64())
        .execute(self.pool())
        .await
        .to("forget old changes of access")?;
        Ok(())
    }

    /// Waits until every process has heard the news up to `told`, or may no longer answer from memory: [`LEASE`] at
    /// the most. A dropped future only waits no more; the change stands.
    ///
    /// # Errors
    ///
    /// The database went away; the processes' leases then end by themselves.
    pub async fn access_heard(&self, told: Told) -> Result<()> {
        loop {
            let waiting: bool = sqlx::query_scalar(
                "SELECT EXISTS (SELECT FROM millpond.node WHERE heard < $1 AND lease_until > clock_timestamp())",
            )
            .bind(told.0)
            .fetch_one(self.pool())
            .await
            .to("wait until every process has heard")?;
            if !waiting {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Tells every process, within the transaction that changes access.
pub(crate) async fn tell(
    tx: &mut sqlx::PgConnection,
    family: &str,
    tenant: Option<&str>,
    names: &[String],
) -> Result<Told> {
    let seq = sqlx::query_scalar("SELECT millpond.tell_access($1, $2, $3)")
        .bind(family)
        .bind(tenant)
        .bind(names)
        .fetch_one(tx)
        .await
        .to("tell of a change of access")?;
    Ok(Told(seq))
}
