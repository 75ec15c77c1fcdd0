//! All SQL: migrations, records, changes, jobs, budget, and the private PostgreSQL.

pub mod private;
pub mod reader;
#[cfg(feature = "testing")]
pub mod testing;

/// Brings the database at `pool` to this build's schema.
///
/// Safe to call from several processes at once: PostgreSQL's advisory lock serialises them.
///
/// # Errors
///
/// The database refused a migration, or was migrated by a newer build.
pub async fn migrate(pool: &sqlx::PgPool) -> Result<(), sqlx::migrate::MigrateError> {
    sqlx::migrate!("./migrations").run(pool).await
}
