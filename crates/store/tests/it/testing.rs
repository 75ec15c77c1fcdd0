//! A database of its own for every test.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::time::Instant;

use sqlx::Row;
use store::testing::TestDatabase;

#[tokio::test]
async fn every_test_gets_a_migrated_database_that_nobody_else_sees() {
    let (one, other) = (TestDatabase::fresh().await, TestDatabase::fresh().await);
    assert_ne!(one.name(), other.name());
    sqlx::query("CREATE TABLE only_here (n int)")
        .execute(&one.pool())
        .await
        .unwrap();
    let tables = "SELECT count(*) FROM pg_tables WHERE tablename = 'only_here'";
    let count = sqlx::query(tables)
        .fetch_one(&other.pool())
        .await
        .unwrap()
        .get::<i64, _>(0);
    assert_eq!(count, 0);
    let migrated = sqlx::query("SELECT count(*) FROM millpond.record")
        .fetch_one(&other.pool())
        .await;
    assert!(migrated.is_ok(), "{migrated:?}");
}

#[tokio::test]
async fn a_database_is_gone_when_its_test_is_over() {
    let keeper = TestDatabase::empty().await;
    let name = TestDatabase::fresh().await.name().to_owned();
    let exists: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(&name)
            .fetch_one(&keeper.pool())
            .await
            .unwrap();
    assert!(!exists, "{name} is still there");
}

#[tokio::test]
async fn databases_are_made_quickly_once_the_server_runs() {
    let _warm = TestDatabase::fresh().await;
    let started = Instant::now();
    let mut databases = Vec::new();
    for _ in 0..5 {
        databases.push(TestDatabase::fresh().await);
    }
    let each = started.elapsed() / 5;
    println!("{each:?} for each database");
    // Ten times what it takes here: this only notices a lost template.
    assert!(each.as_millis() < 500, "{each:?} for each database");
}
