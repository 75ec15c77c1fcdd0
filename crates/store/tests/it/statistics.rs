//! What the planner knows of tables that grow.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use sqlx::PgPool;
use store::{ResourceName, testing::TestDatabase};

use crate::POLL;

async fn plan(pool: &PgPool) -> String {
    let mut tx = pool.begin().await.unwrap();
    sqlx::raw_sql("SET LOCAL enable_seqscan = off")
        .execute(&mut *tx)
        .await
        .unwrap();
    let lines: Vec<String> = sqlx::query_scalar(
        r#"EXPLAIN SELECT id FROM cin7.sale
           WHERE resource = 'cin7.sale' AND instance = 'own' AND body @> '{"N": 7}'"#,
    )
    .fetch_all(&mut *tx)
    .await
    .unwrap();
    lines.join("\n")
}

#[tokio::test]
async fn a_table_that_has_grown_is_analysed_once_and_searched_by_its_bodies() {
    let database = TestDatabase::fresh().await;
    let (store, pool) = (database.store(), database.pool());
    let sale: ResourceName = "cin7.sale".parse().unwrap();
    store.ensure_resource(&sale).await.unwrap();
    store.build_indexes(&sale, &[]).await.unwrap();
    assert_eq!(store.analyze_grown().await.unwrap(), 0, "an empty table");
    // Statistics count at the end of a session at the latest.
    let mut writer = pool.acquire().await.unwrap().detach();
    sqlx::raw_sql(
        "ALTER TABLE cin7.sale SET (autovacuum_enabled = off);
         INSERT INTO millpond.instance (name, connector) VALUES ('own', 'cin7');
         INSERT INTO millpond.record (resource, instance, id, body, hash, version, asked_at, changed_at)
         SELECT 'cin7.sale', 'own', n::text, jsonb_build_object('N', n), '', 1, now(), now()
           FROM generate_series(1, 3000) n",
    )
    .execute(&mut writer)
    .await
    .unwrap();
    sqlx::Connection::close(writer).await.unwrap();
    let mut analysed = 0;
    while analysed == 0 {
        analysed = store.analyze_grown().await.unwrap();
        tokio::time::sleep(POLL).await;
    }
    assert_eq!(analysed, 1);
    let known: f32 =
        sqlx::query_scalar("SELECT reltuples FROM pg_class WHERE oid = 'cin7.sale'::regclass")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(known, 3000.0);
    let plan = plan(&pool).await;
    assert!(plan.contains("sale_body"), "{plan}");
}
