//! Connections of the reading role: a bounded number, kept between queries, and each as new for the next.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool};
use sqlx::{AssertSqlSafe, Connection, Executor};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::error::{QueryError, RoleError};
use super::role::{Audience, ReaderRole, ensure_reader_role, ensure_tenant_role};
use super::scope::Signer;

pub(super) struct Sessions {
    owner: PgPool,
    audience: Audience,
    options: PgConnectOptions,
    places: Arc<Semaphore>,
    concurrent_max: usize,
    idle: Mutex<Vec<PgConnection>>,
}

/// A connection inside a read-only transaction. Dropped without [`give_back`](Session::give_back), it hangs up, and
/// the server stops what runs on it.
pub(super) struct Session<'a> {
    sessions: &'a Sessions,
    connection: PgConnection,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions")
            .field("concurrent_max", &self.concurrent_max)
            .finish_non_exhaustive()
    }
}

impl Sessions {
    pub fn new(
        owner: PgPool,
        audience: Audience,
        role: &ReaderRole,
        places: Arc<Semaphore>,
        concurrent_max: usize,
    ) -> Self {
        // What a query prepares is discarded after it, so nothing may be remembered here.
        let options = role
            .connect_options(&owner.connect_options())
            .statement_cache_capacity(0)
            .application_name("millpond sql");
        let idle = Mutex::default();
        Self {
            owner,
            audience,
            options,
            places,
            concurrent_max,
            idle,
        }
    }

    /// Waits for one of the places; it is free again when the permit is dropped.
    pub async fn take_place(&self, wait_max: Duration) -> Result<SemaphorePermit<'_>, QueryError> {
        match tokio::time::timeout(wait_max, self.places.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(QueryError::Busy {
                concurrent_max: self.concurrent_max,
                waited: wait_max,
            }),
        }
    }

    /// Begins a read-only transaction that ends, with whatever it runs, after `limit`.
    pub async fn begin(&self, limit: Duration) -> Result<Session<'_>, QueryError> {
        let begin = format!(
            "BEGIN TRANSACTION READ ONLY; SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = {}",
            limit.as_millis().clamp(1, i32::MAX as u128),
            limit.as_millis().clamp(1, 5_000),
        );
        let away = |source| QueryError::Away { source };
        let kept = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        if let Some(mut connection) = kept
            && connection
                .execute(AssertSqlSafe(begin.clone()))
                .await
                .is_ok()
        {
            return Ok(Session {
                sessions: self,
                connection,
            });
        }
        // None was kept, or the server was restarted in the meantime.
        let mut connection = PgConnection::connect_with(&self.options)
            .await
            .map_err(away)?;
        connection
            .execute(AssertSqlSafe(begin))
            .await
            .map_err(away)?;
        Ok(Session {
            sessions: self,
            connection,
        })
    }

    /// Grants what there is to read by now.
    pub async fn grant_again(&self) -> Result<(), RoleError> {
        match self.audience {
            Audience::Operators => ensure_reader_role(&self.owner).await,
            Audience::Tenants => ensure_tenant_role(&self.owner).await,
        }
        .map(drop)
    }
}

impl Session<'_> {
    /// Lets this transaction see what is of `instances`, and nothing else.
    pub async fn see(&mut self, signer: &Signer, instances: &[String]) -> Result<(), QueryError> {
        let away = |source| QueryError::Away { source };
        let began: i64 = sqlx::query_scalar("SELECT (extract(epoch FROM now()) * 1000000)::bigint")
            .fetch_one(&mut self.connection)
            .await
            .map_err(away)?;
        sqlx::query("SELECT set_config('millpond.scope', $1, true)")
            .bind(signer.token(began, instances))
            .execute(&mut self.connection)
            .await
            .map_err(away)?;
        Ok(())
    }

    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// Undoes whatever the query may have done to the session, and keeps the connection.
    pub async fn give_back(mut self) {
        let clean = self.connection.execute("ROLLBACK").await.is_ok()
            && self.connection.execute("DISCARD ALL").await.is_ok();
        if clean {
            self.sessions
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(self.connection);
        }
    }
}
