//! The statements of a page write, in the order in which it runs them.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff_sqlx::ToSqlx;
use sqlx::{AssertSqlSafe, PgConnection};

use super::{Incoming, Lease, PageOutcome, PageWrite, jsonb::Jsonb};

type Answer<T> = Result<T, sqlx::Error>;

/// How the mirror differs from a record of the page.
pub(super) enum Differs {
    /// It does not have the record.
    IsNew,
    /// It has another body, or the record counts as deleted.
    IsHeld,
}

/// The records that the mirror does not hold as they are, by id. The others need no answer: of a page that upstream
/// says again word for word nothing comes back.
pub(super) async fn differing(
    tx: &mut PgConnection,
    page: &PageWrite<'_>,
    records: &[Incoming],
) -> Answer<HashMap<String, Differs>> {
    if records.is_empty() {
        return Ok(HashMap::new());
    }
    let ids: Vec<&str> = records.iter().map(|r| r.id.as_str()).collect();
    let hashes: Vec<&[u8]> = records.iter().map(|r| &r.hash[..]).collect();
    let statement = format!(
        // One look-up per id, whatever the planner believes about a table that it has not yet analysed.
        "SELECT i.id, r.hash IS NULL FROM unnest($2::text[], $3::bytea[]) i (id, hash) LEFT JOIN LATERAL ( \
           SELECT hash, deleted_at FROM {} WHERE resource = '{}' AND instance = $1 AND id = i.id LIMIT 1) r ON true \
         WHERE r.hash IS NULL OR r.hash <> i.hash OR r.deleted_at IS NOT NULL",
        page.resource.sql(),
        page.resource,
    );
    let rows: Vec<(String, bool)> = sqlx::query_as(AssertSqlSafe(statement))
        .bind(page.instance)
        .bind(ids)
        .bind(hashes)
        .fetch_all(tx)
        .await?;
    let differs = |is_new| {
        if is_new {
            Differs::IsNew
        } else {
            Differs::IsHeld
        }
    };
    Ok(rows
        .into_iter()
        .map(|(id, is_new)| (id, differs(is_new)))
        .collect())
}

/// Says that a page of this resource and instance is being written, beside others or alone. Two pages that insert
/// and replace the same records can deadlock; the one that gives way then writes alone.
pub(super) async fn lock_pages(
    tx: &mut PgConnection,
    page: &PageWrite<'_>,
    shared: bool,
) -> Answer<()> {
    let lock = if shared {
        "SELECT pg_advisory_xact_lock_shared(hashtextextended('millpond.page:' || $1 || '/' || $2, 0))"
    } else {
        "SELECT pg_advisory_xact_lock(hashtextextended('millpond.page:' || $1 || '/' || $2, 0))"
    };
    sqlx::query(lock)
        .bind(page.resource.as_str())
        .bind(page.instance)
        .execute(tx)
        .await?;
    Ok(())
}

/// What replaces a version of the same number that was kept before.
pub(crate) const REPLACED: &str = "body = excluded.body, hash = excluded.hash, upstream_at = excluded.upstream_at, \
    asked_at = excluded.asked_at, changed_at = excluded.changed_at, run = excluded.run, tx = excluded.tx, \
    deleted_at = excluded.deleted_at, ended_at = excluded.ended_at, ended_tx = excluded.ended_tx";

/// Locks the rows about to be replaced and keeps what they hold. Answers their ids. A row that somebody once removed
/// by hand counts its versions anew, and overwrites those kept before.
pub(super) async fn keep_versions(
    tx: &mut PgConnection,
    page: &PageWrite<'_>,
    different: &[&Incoming],
) -> Answer<HashSet<String>> {
    if different.is_empty() {
        return Ok(HashSet::new());
    }
    let statement = format!(
        "WITH old AS ( \
           SELECT r.* FROM unnest($2::text[], $3::bytea[], $4::timestamptz[]) AS i (id, hash, asked_at) \
           CROSS JOIN LATERAL ( \
             SELECT * FROM {table} t WHERE t.resource = '{resource}' AND t.instance = $1 AND t.id = i.id \
               AND t.asked_at <= i.asked_at AND (t.hash <> i.hash OR t.deleted_at IS NOT NULL) \
             LIMIT 1 FOR UPDATE) r) \
         INSERT INTO millpond.record_version \
           (resource, instance, id, version, body, hash, upstream_at, asked_at, changed_at, run, tx, deleted_at, ended_at) \
         SELECT resource, instance, id, version, body, hash, upstream_at, asked_at, changed_at, run, tx, deleted_at, now() \
         FROM old \
         ON CONFLICT (resource, instance, id, version) DO UPDATE SET {REPLACED} \
         RETURNING id",
        table = page.resource.sql(),
        resource = page.resource,
    );
    let ids: Vec<&str> = different.iter().map(|r| r.id.as_str()).collect();
    let hashes: Vec<&[u8]> = different.iter().map(|r| &r.hash[..]).collect();
    let asked: Vec<jiff_sqlx::Timestamp> = different.iter().map(|r| r.asked_at.to_sqlx()).collect();
    let ids: Vec<String> = sqlx::query_scalar(AssertSqlSafe(statement))
        .bind(page.instance)
        .bind(ids)
        .bind(hashes)
        .bind(asked)
        .fetch_all(tx)
        .await?;
    Ok(ids.into_iter().collect())
}

/// Inserts or replaces, and logs. Answers the ids written and whether each is new.
pub(super) async fn upsert(
    tx: &mut PgConnection,
    page: &PageWrite<'_>,
    records: &[&Incoming],
) -> Answer<Vec<(String, bool)>> {
    let statement = format!(
        "WITH written AS ( \
           INSERT INTO {table} AS r \
             (resource, instance, id, body, hash, version, upstream_at, asked_at, changed_at, run) \
           SELECT '{resource}', $1, i.id, i.body, i.hash, 1, i.upstream_at, i.asked_at, now(), $2 \
           FROM unnest($3::text[], $4::jsonb[], $5::bytea[], $6::timestamptz[], $7::timestamptz[]) \
             AS i (id, body, hash, upstream_at, asked_at) \
           ON CONFLICT (resource, instance, id) DO UPDATE SET \
             body = excluded.body, hash = excluded.hash, version = r.version + 1, \
             upstream_at = excluded.upstream_at, asked_at = excluded.asked_at, \
             changed_at = excluded.changed_at, run = excluded.run, tx = excluded.tx, deleted_at = NULL \
           WHERE r.asked_at <= excluded.asked_at AND (r.hash <> excluded.hash OR r.deleted_at IS NOT NULL) \
           RETURNING r.id, r.version), \
         logged AS ( \
           INSERT INTO millpond.change (op, resource, instance, id, version) \
           SELECT CASE WHEN version = 1 THEN 'i'::\"char\" ELSE 'u'::\"char\" END, '{resource}', $1, id, version \
           FROM written) \
         SELECT id, version = 1 FROM written",
        table = page.resource.sql(),
        resource = page.resource,
    );
    let ids: Vec<&str> = records.iter().map(|r| r.id.as_str()).collect();
    let bodies: Vec<Jsonb> = records.iter().map(|r| Jsonb(r.body.clone())).collect();
    let hashes: Vec<&[u8]> = records.iter().map(|r| &r.hash[..]).collect();
    let stamps: Vec<Option<jiff_sqlx::Timestamp>> = records
        .iter()
        .map(|r| r.upstream_at.map(|at| at.to_sqlx()))
        .collect();
    let asked: Vec<jiff_sqlx::Timestamp> = records.iter().map(|r| r.asked_at.to_sqlx()).collect();
    sqlx::query_as(AssertSqlSafe(statement))
        .bind(page.instance)
        .bind(page.run)
        .bind(ids)
        .bind(bodies)
        .bind(hashes)
        .bind(stamps)
        .bind(asked)
        .fetch_all(tx)
        .await
}

pub(super) async fn queue_children(
    tx: &mut PgConnection,
    page: &PageWrite<'_>,
    records: &[Incoming],
    outcome: &PageOutcome,
) -> Answer<()> {
    let changed: HashSet<&str> = outcome
        .inserted
        .iter()
        .chain(&outcome.updated)
        .map(String::as_str)
        .collect();
    for (place, child) in page.children.iter().enumerate() {
        // Two parents may name one child: the newest counts.
        let mut wanted: BTreeMap<&str, &Incoming> = BTreeMap::new();
        for record in records.iter().filter(|r| changed.contains(r.id.as_str())) {
            for want in record.wants.iter().filter(|w| w.child == place) {
                let slot = wanted
                    .entry(want.id.as_ref().unwrap_or(&record.id))
                    .or_insert(record);
                if slot.upstream_at < record.upstream_at {
                    *slot = record;
                }
            }
        }
        if wanted.is_empty() {
            continue;
        }
        let ids: Vec<&str> = wanted.keys().copied().collect();
        let stamps: Vec<Option<jiff_sqlx::Timestamp>> = wanted
            .values()
            .map(|r| r.upstream_at.map(|at| at.to_sqlx()))
            .collect();
        let signatures: Vec<&[u8]> = wanted.values().map(|r| &r.hash[..]).collect();
        sqlx::query(
            "INSERT INTO millpond.fetch_queue AS q (resource, instance, id, class, due_at, order_at, signature) \
             SELECT $1, $2, i.id, $3, now(), i.order_at, i.signature \
             FROM unnest($4::text[], $5::timestamptz[], $6::bytea[]) AS i (id, order_at, signature) \
             ON CONFLICT (resource, instance, id) DO UPDATE SET \
               class = least(q.class, excluded.class), due_at = least(q.due_at, excluded.due_at), \
               order_at = excluded.order_at, signature = excluded.signature, \
               generation = q.generation + 1, attempts = 0",
        )
        .bind(child.resource.as_str())
        .bind(page.instance)
        .bind(child.class)
        .bind(ids)
        .bind(stamps)
        .bind(signatures)
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

pub(super) async fn settle_fetches(tx: &mut PgConnection, page: &PageWrite<'_>) -> Answer<()> {
    if page.fetches.is_empty() {
        return Ok(());
    }
    let mut fetches: Vec<&super::FetchMark> = page.fetches.iter().collect();
    fetches.sort_by(|a, b| (&a.id, a.asked_at).cmp(&(&b.id, b.asked_at)));
    fetches.reverse();
    fetches.dedup_by(|earlier, later| earlier.id == later.id);
    fetches.reverse();
    let ids: Vec<&str> = fetches.iter().map(|f| f.id.as_str()).collect();
    let asked: Vec<jiff_sqlx::Timestamp> = fetches.iter().map(|f| f.asked_at.to_sqlx()).collect();
    let fetched: Vec<jiff_sqlx::Timestamp> =
        fetches.iter().map(|f| f.fetched_at.to_sqlx()).collect();
    let signatures: Vec<Option<&[u8]>> = fetches.iter().map(|f| f.signature.as_deref()).collect();
    let generations: Vec<Option<i64>> = fetches.iter().map(|f| f.generation).collect();
    sqlx::query(
        "WITH i AS (SELECT * FROM unnest($3::text[], $4::timestamptz[], $5::timestamptz[], $6::bytea[], $7::bigint[]) \
                      AS i (id, asked_at, fetched_at, signature, generation)), \
         done AS (DELETE FROM millpond.fetch_queue q USING i \
                  WHERE q.resource = $1 AND q.instance = $2 AND q.id = i.id AND q.generation = i.generation), \
         again AS (UPDATE millpond.fetch_queue q SET leased_until = NULL FROM i \
                   WHERE q.resource = $1 AND q.instance = $2 AND q.id = i.id AND q.generation > i.generation) \
         INSERT INTO millpond.record_fetch AS f (resource, instance, id, asked_at, fetched_at, signature) \
         SELECT $1, $2, i.id, i.asked_at, i.fetched_at, i.signature FROM i \
         ON CONFLICT (resource, instance, id) DO UPDATE SET \
           asked_at = excluded.asked_at, fetched_at = excluded.fetched_at, \
           signature = coalesce(excluded.signature, f.signature) \
         WHERE f.asked_at <= excluded.asked_at",
    )
    .bind(page.resource.as_str())
    .bind(page.instance)
    .bind(ids)
    .bind(asked)
    .bind(fetched)
    .bind(signatures)
    .bind(generations)
    .execute(tx)
    .await?;
    Ok(())
}

/// Stores the place to go on from. `false`: the lease is lost, and nothing is stored.
pub(super) async fn move_progress(
    tx: &mut PgConnection,
    lease: &Lease,
    progress: &serde_json::Value,
    can_be_read_again: bool,
) -> Answer<bool> {
    // Whether the commit waits for the disk is settled when it comes: one round trip less.
    let commit = if can_be_read_again {
        "AND set_config('synchronous_commit', 'off', true) = 'off'"
    } else {
        ""
    };
    let held = sqlx::query(AssertSqlSafe(format!(
        "UPDATE millpond.job SET progress = $5 \
         WHERE instance = $1 AND resource = $2 AND kind = $3 AND lease_token = $4 {commit}",
    )))
    .bind(&lease.instance)
    .bind(lease.resource.as_str())
    .bind(&lease.kind)
    .bind(lease.token)
    .bind(progress)
    .execute(tx)
    .await?;
    Ok(held.rows_affected() > 0)
}
