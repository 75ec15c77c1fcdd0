//! The to-do list of per-record fetches: deduplicated, prioritised, due-dated, shared by all workers.

use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde::Serialize;
use sqlx::{AssertSqlSafe, Row};

use crate::{
    ResourceName, Store,
    error::{For, Result},
};

/// After this many failures in a row a fetch waits an hour between attempts.
pub const ATTEMPTS_FAST_MAX: i32 = 8;

/// A fetch taken from the queue. It is ours until the lease given at taking runs out.
#[derive(Debug, Clone)]
pub struct QueuedFetch {
    /// The record's resource.
    pub resource: ResourceName,
    /// The record's instance.
    pub instance: String,
    /// The record's id.
    pub id: String,
    /// Class of the call, 0 (a person waits) to 5 (backfill).
    pub class: i16,
    /// Hash of the parent's row that asked for it.
    pub signature: Option<Vec<u8>>,
    /// Tells whether somebody asked again meanwhile.
    pub generation: i64,
    /// Failures so far.
    pub attempts: i32,
}

/// How the records of one resource follow from those of another.
#[derive(Debug, Clone, Copy)]
pub struct ParentLink<'a> {
    /// The resource whose rows call for fetches.
    pub parent: &'a ResourceName,
    /// The resource that is fetched.
    pub child: &'a ResourceName,
    /// Where the parent holds the child's id; `None`: they share one.
    pub id_at: Option<&'a [String]>,
    /// What the parent must contain.
    pub when: Option<&'a serde_json::Value>,
    /// What the parent must not contain, each.
    pub unless: &'a [serde_json::Value],
}

/// How the details of one resource stand to their parents.
#[derive(Debug, Clone)]
pub struct DetailState {
    /// Called for, not there, not queued.
    pub missing: Vec<String>,
    /// There, but fetched for another version of the parent's row, and not queued.
    pub outdated: Vec<String>,
    /// There, but without a live parent of the same id.
    pub orphans: Vec<String>,
    /// Waiting to be fetched.
    pub queued: i64,
}

/// How much of one resource waits.
#[derive(Debug, Clone, Serialize)]
pub struct QueueDepth {
    /// The resource.
    pub resource: String,
    /// The instance.
    pub instance: String,
    /// Fetches waiting or under way.
    pub waiting: i64,
    /// Of these, how many failed at least once.
    pub failing: i64,
    /// When the oldest was asked for.
    pub oldest_at: Option<Timestamp>,
}

impl Store {
    /// Takes up to `limit` due fetches of `instance` up to class `class_max`, the most urgent first, newest first within a class.
    ///
    /// They come back to the queue by themselves once `lease` has run out.
    pub async fn take_fetches(
        &self,
        instance: &str,
        class_max: i16,
        limit: i64,
        lease: Duration,
    ) -> Result<Vec<QueuedFetch>> {
        let rows = sqlx::query(
            "UPDATE millpond.fetch_queue q SET leased_until = now() + $3 * interval '1 millisecond' \
             FROM (SELECT resource, instance, id FROM millpond.fetch_queue \
                   WHERE instance = $1 AND class <= $4 AND due_at <= now() AND (leased_until IS NULL OR leased_until < now()) \
                   ORDER BY class, order_at DESC NULLS LAST, id LIMIT $2 FOR UPDATE SKIP LOCKED) t \
             WHERE q.resource = t.resource AND q.instance = t.instance AND q.id = t.id \
             RETURNING q.resource, q.id, q.class, q.signature, q.generation, q.attempts, q.order_at",
        )
        .bind(instance)
        .bind(limit)
        .bind(lease.as_millis() as f64)
        .bind(class_max)
        .fetch_all(self.pool())
        .await
        .to("take fetches from the queue")?;
        let mut fetches = Vec::with_capacity(rows.len());
        for row in rows {
            let resource: String = row.get(0);
            let Ok(resource) = resource.parse() else {
                continue;
            };
            let order_at = row
                .get::<Option<jiff_sqlx::Timestamp>, _>(6)
                .map(|at| at.to_jiff());
            let fetch = QueuedFetch {
                resource,
                instance: instance.to_owned(),
                id: row.get(1),
                class: row.get(2),
                signature: row.get(3),
                generation: row.get(4),
                attempts: row.get(5),
            };
            fetches.push((
                fetch.class,
                std::cmp::Reverse(order_at),
                fetch.id.clone(),
                fetch,
            ));
        }
        fetches.sort_by(|a, b| (a.0, a.1, &a.2).cmp(&(b.0, b.1, &b.2)));
        Ok(fetches.into_iter().map(|(.., fetch)| fetch).collect())
    }

    /// Puts a fetch on the queue, or makes the one that waits more urgent.
    pub async fn queue_fetch(
        &self,
        resource: &ResourceName,
        instance: &str,
        ids: &[String],
        class: i16,
    ) -> Result<u64> {
        let done = sqlx::query(
            "INSERT INTO millpond.fetch_queue AS q (resource, instance, id, class, due_at) \
             SELECT $1, $2, id, $3, now() FROM unnest($4::text[]) id \
             ON CONFLICT (resource, instance, id) DO UPDATE SET class = least(q.class, excluded.class), \
               due_at = least(q.due_at, now()), generation = q.generation + 1",
        )
        .bind(resource.as_str())
        .bind(instance)
        .bind(class)
        .bind(ids)
        .execute(self.pool())
        .await
        .to("queue fetches")?;
        Ok(done.rows_affected())
    }

    /// Queues every live record of a parent whose own fetch is missing or answered another version of it,
    /// so that a lost queue row heals. Answers how many.
    pub async fn queue_unfetched(
        &self,
        link: &ParentLink<'_>,
        instance: &str,
        class: i16,
    ) -> Result<u64> {
        let statement = format!(
            "INSERT INTO millpond.fetch_queue (resource, instance, id, class, due_at, order_at, signature) \
             SELECT DISTINCT ON (p.child) '{child}', $1, p.child, $2, now(), p.upstream_at, p.hash \
             FROM (SELECT coalesce(CASE WHEN $3::text[] IS NULL THEN id ELSE body #>> $3 END, '') AS child, * \
                   FROM {table} WHERE resource = '{parent}' AND instance = $1 AND deleted_at IS NULL) p \
             LEFT JOIN millpond.record_fetch f ON f.resource = '{child}' AND f.instance = $1 AND f.id = p.child \
             WHERE f.signature IS DISTINCT FROM p.hash AND p.child <> '' \
               AND ($4::jsonb IS NULL OR p.body @> $4) AND NOT (p.body @> ANY ($5::jsonb[])) \
             ORDER BY p.child, p.upstream_at DESC NULLS LAST \
             ON CONFLICT (resource, instance, id) DO NOTHING",
            table = link.parent.sql(),
            parent = link.parent,
            child = link.child,
        );
        let done = sqlx::query(AssertSqlSafe(statement))
            .bind(instance)
            .bind(class)
            .bind(link.id_at)
            .bind(link.when)
            .bind(link.unless)
            .execute(self.pool())
            .await
            .to("queue what was never fetched")?;
        Ok(done.rows_affected())
    }

    /// Queues live records of `resource` whose last fetch is older than `age`, oldest first, `limit` at the most.
    pub async fn queue_older_than(
        &self,
        resource: &ResourceName,
        instance: &str,
        age: Duration,
        class: i16,
        limit: i64,
    ) -> Result<u64> {
        let done = sqlx::query(
            "INSERT INTO millpond.fetch_queue (resource, instance, id, class, due_at, signature) \
             SELECT f.resource, f.instance, f.id, $4, now(), f.signature FROM millpond.record_fetch f \
             JOIN millpond.record r ON r.resource = f.resource AND r.instance = f.instance AND r.id = f.id \
             WHERE f.resource = $1 AND f.instance = $2 AND f.fetched_at < now() - $3 * interval '1 millisecond' \
               AND r.resource = $1 AND r.deleted_at IS NULL \
             ORDER BY f.fetched_at LIMIT $5 \
             ON CONFLICT (resource, instance, id) DO NOTHING",
        )
        .bind(resource.as_str())
        .bind(instance)
        .bind(age.as_millis() as f64)
        .bind(class)
        .bind(limit)
        .execute(self.pool())
        .await
        .to("queue old records")?;
        Ok(done.rows_affected())
    }

    /// Gives a fetch back after a failure, due again after `wait`.
    pub async fn fail_fetch(&self, fetch: &QueuedFetch, wait: Duration, error: &str) -> Result<()> {
        sqlx::query(
            "UPDATE millpond.fetch_queue SET attempts = attempts + 1, leased_until = NULL, last_error = $4, \
               due_at = now() + $5 * interval '1 millisecond' \
             WHERE resource = $1 AND instance = $2 AND id = $3",
        )
        .bind(fetch.resource.as_str())
        .bind(&fetch.instance)
        .bind(&fetch.id)
        .bind(error.replace('\0', " ").chars().take(500).collect::<String>())
        .bind(wait.as_millis() as f64)
        .execute(self.pool())
        .await
        .to("give a fetch back")?;
        Ok(())
    }

    /// Renews the leases of fetches of `instance`, each named by resource and id, for `lease` from now. What was settled,
    /// failed or handed back meanwhile stays so.
    pub async fn renew_fetches(
        &self,
        instance: &str,
        fetches: &[(ResourceName, String)],
        lease: Duration,
    ) -> Result<()> {
        let (resources, ids): (Vec<&str>, Vec<&str>) = fetches
            .iter()
            .map(|(resource, id)| (resource.as_str(), id.as_str()))
            .unzip();
        sqlx::query(
            "UPDATE millpond.fetch_queue q SET leased_until = now() + $4 * interval '1 millisecond' \
             FROM unnest($2::text[], $3::text[]) AS f (resource, id) \
             WHERE q.resource = f.resource AND q.instance = $1 AND q.id = f.id AND q.leased_until IS NOT NULL",
        )
        .bind(instance)
        .bind(resources)
        .bind(ids)
        .bind(lease.as_millis() as f64)
        .execute(self.pool())
        .await
        .to("renew the leases of fetches")?;
        Ok(())
    }

    /// Hands fetches back untouched: the worker stops.
    pub async fn hand_back_fetches(&self, fetches: &[QueuedFetch]) -> Result<()> {
        for fetch in fetches {
            sqlx::query(
                "UPDATE millpond.fetch_queue SET leased_until = NULL \
                 WHERE resource = $1 AND instance = $2 AND id = $3 AND generation = $4",
            )
            .bind(fetch.resource.as_str())
            .bind(&fetch.instance)
            .bind(&fetch.id)
            .bind(fetch.generation)
            .execute(self.pool())
            .await
            .to("hand fetches back")?;
        }
        Ok(())
    }

    /// How much waits, per resource and instance.
    pub async fn queue_depths(&self) -> Result<Vec<QueueDepth>> {
        let rows = sqlx::query(
            "SELECT resource, instance, count(*), count(*) FILTER (WHERE attempts > 0), min(enqueued_at) \
             FROM millpond.fetch_queue GROUP BY 1, 2 ORDER BY 1, 2",
        )
        .fetch_all(self.pool())
        .await
        .to("measure the queue")?;
        Ok(rows
            .iter()
            .map(|row| QueueDepth {
                resource: row.get(0),
                instance: row.get(1),
                waiting: row.get(2),
                failing: row.get(3),
                oldest_at: row
                    .get::<Option<jiff_sqlx::Timestamp>, _>(4)
                    .map(|at| at.to_jiff()),
            })
            .collect())
    }

    /// Fetches of one instance that are waiting or under way.
    pub async fn queue_length(&self, instance: &str) -> Result<i64> {
        sqlx::query_scalar("SELECT count(*) FROM millpond.fetch_queue WHERE instance = $1")
            .bind(instance)
            .fetch_one(self.pool())
            .await
            .to("measure the queue")
    }

    /// Fetches of one instance that wait and have failed less than `failures_max` times.
    pub async fn queue_hopeful(&self, instance: &str, failures_max: i32) -> Result<i64> {
        sqlx::query_scalar(
            "SELECT count(*) FROM millpond.fetch_queue WHERE instance = $1 AND attempts < $2",
        )
        .bind(instance)
        .bind(failures_max)
        .fetch_one(self.pool())
        .await
        .to("measure the queue")
    }

    /// Compares what parents call for with what was fetched.
    pub async fn detail_state(&self, link: &ParentLink<'_>, instance: &str) -> Result<DetailState> {
        let ids = |what: &'static str, condition: &str| {
            let statement = format!(
                "SELECT DISTINCT p.child FROM (SELECT coalesce(CASE WHEN $2::text[] IS NULL THEN id ELSE body #>> $2 END, '') AS child, * \
                   FROM {parent} WHERE resource = '{parent_name}' AND instance = $1 AND deleted_at IS NULL) p \
                 LEFT JOIN {child} c ON c.resource = '{child_name}' AND c.instance = $1 AND c.id = p.child AND c.deleted_at IS NULL \
                 LEFT JOIN millpond.record_fetch f ON f.resource = '{child_name}' AND f.instance = $1 AND f.id = p.child \
                 LEFT JOIN millpond.fetch_queue q ON q.resource = '{child_name}' AND q.instance = $1 AND q.id = p.child \
                 WHERE p.child <> '' AND q.id IS NULL AND ($3::jsonb IS NULL OR p.body @> $3) \
                   AND NOT (p.body @> ANY ($4::jsonb[])) AND {condition} ORDER BY 1",
                parent = link.parent.sql(),
                parent_name = link.parent,
                child = link.child.sql(),
                child_name = link.child,
            );
            async move {
                sqlx::query_scalar::<_, String>(AssertSqlSafe(statement))
                    .bind(instance)
                    .bind(link.id_at)
                    .bind(link.when)
                    .bind(link.unless)
                    .fetch_all(self.pool())
                    .await
                    .to(what)
            }
        };
        let missing = ids("look for missing details", "c.id IS NULL").await?;
        let outdated = ids(
            "look for outdated details",
            "c.id IS NOT NULL AND f.signature IS DISTINCT FROM p.hash",
        )
        .await?;
        let orphans = sqlx::query_scalar(AssertSqlSafe(format!(
            "SELECT c.id FROM {child} c WHERE c.resource = '{child_name}' AND c.instance = $1 AND c.deleted_at IS NULL \
               AND NOT EXISTS (SELECT FROM {parent} p WHERE p.resource = '{parent_name}' AND p.instance = $1 \
                                 AND p.id = c.id AND p.deleted_at IS NULL) ORDER BY 1",
            parent = link.parent.sql(),
            parent_name = link.parent,
            child = link.child.sql(),
            child_name = link.child,
        )))
        .bind(instance)
        .fetch_all(self.pool())
        .await
        .to("look for orphaned details")?;
        let queued = sqlx::query_scalar(
            "SELECT count(*) FROM millpond.fetch_queue WHERE resource = $1 AND instance = $2",
        )
        .bind(link.child.as_str())
        .bind(instance)
        .fetch_one(self.pool())
        .await
        .to("measure the queue")?;
        Ok(DetailState {
            missing,
            outdated,
            orphans,
            queued,
        })
    }

    /// Marks a record as fetched and found unchanged or gone, without a body to write.
    pub async fn settle_gone(&self, fetch: &QueuedFetch, asked_at: Timestamp) -> Result<()> {
        sqlx::query(
            "WITH done AS (DELETE FROM millpond.fetch_queue WHERE resource = $1 AND instance = $2 AND id = $3 \
                           AND generation = $4) \
             INSERT INTO millpond.record_fetch AS f (resource, instance, id, asked_at, fetched_at, signature) \
             VALUES ($1, $2, $3, $5, now(), $6) \
             ON CONFLICT (resource, instance, id) DO UPDATE SET asked_at = excluded.asked_at, \
               fetched_at = excluded.fetched_at, signature = coalesce(excluded.signature, f.signature)",
        )
        .bind(fetch.resource.as_str())
        .bind(&fetch.instance)
        .bind(&fetch.id)
        .bind(fetch.generation)
        .bind(asked_at.to_sqlx())
        .bind(&fetch.signature)
        .execute(self.pool())
        .await
        .to("settle a fetch")?;
        Ok(())
    }
}
