//! The role that SQL queries run under: it logs in by itself, so that no query can turn back into the owner.

use std::fmt;

use rand::distr::{Alphanumeric, SampleString};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool};
use sqlx::{AssertSqlSafe, Connection, Executor};

use super::{error::RoleError, scope};

/// Tables of the schema `millpond` that queries may read. Everything else there stays the owner's.
const READABLE: [&str; 12] = [
    "change",
    "instance",
    "job",
    "missing",
    "quarantine",
    "rate",
    "record",
    "record_fetch",
    "record_version",
    "run",
    "snapshot",
    "watermark",
];
/// What binds the role even if a query should find a way to another statement. The last ones need rights
/// or systems that not everybody has.
const SETTINGS: [(&str, &str, bool); 8] = [
    ("default_transaction_read_only", "on", true),
    ("work_mem", "32MB", true),
    ("statement_timeout", "10min", true),
    ("lock_timeout", "5s", true),
    ("idle_in_transaction_session_timeout", "1min", true),
    ("timezone", "UTC", true),
    // A client that goes away takes its query with it.
    ("client_connection_check_interval", "500ms", false),
    ("temp_file_limit", "1GB", false),
];
/// Serialises making and granting, which PostgreSQL does not like to do twice at once.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('millpond.reader', 0))";
const PASSWORD_CHARS: usize = 40;
/// PostgreSQL cuts longer names.
const NAME_BYTES_MAX: usize = 63;

/// The role, ready to log in.
pub struct ReaderRole {
    /// Its name.
    pub name: String,
    password: String,
}

impl ReaderRole {
    /// How the role connects: as the owner does, under its own name.
    pub fn connect_options(&self, owner: &PgConnectOptions) -> PgConnectOptions {
        owner.clone().username(&self.name).password(&self.password)
    }
}

impl fmt::Debug for ReaderRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReaderRole")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Who reads through a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    /// Operators: all rows.
    Operators,
    /// Tenants: the rows that a signed claim names.
    Tenants,
}

impl Audience {
    fn role(self) -> &'static str {
        match self {
            Self::Operators => "millpond_reader",
            Self::Tenants => "millpond_tenant",
        }
    }

    fn secret(self) -> &'static str {
        match self {
            Self::Operators => "reader_password",
            Self::Tenants => "tenant_password",
        }
    }
}

/// The name of the role that reads `database`: roles belong to the whole server, so each database has its own.
pub fn role_of(database: &str) -> String {
    name_of(Audience::Operators, database)
}

/// The name of the role that tenants' statements run under.
pub fn tenant_role_of(database: &str) -> String {
    name_of(Audience::Tenants, database)
}

fn name_of(audience: Audience, database: &str) -> String {
    let name = match database {
        "millpond" => return audience.role().to_owned(),
        _ => format!("{}_{database}", audience.role()),
    };
    if name.len() <= NAME_BYTES_MAX {
        return name;
    }
    let hash = xxhash_rust::xxh3::xxh3_64(name.as_bytes());
    let mut end = NAME_BYTES_MAX - 17;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}_{hash:016x}", &name[..end])
}

/// Makes the role unless it is there, and lets it read what there is to read. Safe to repeat, and to be called by
/// several processes at once. A dropped future leaves the role as it was.
///
/// # Errors
///
/// [`RoleError::MayNotCreate`] with the statements an administrator has to run; [`RoleError::Sql`] otherwise.
pub async fn ensure_reader_role(owner: &PgPool) -> Result<ReaderRole, RoleError> {
    ensure(owner, Audience::Operators).await
}

/// As [`ensure_reader_role`], for the role that tenants' statements run under.
///
/// # Errors
///
/// The same.
pub async fn ensure_tenant_role(owner: &PgPool) -> Result<ReaderRole, RoleError> {
    ensure(owner, Audience::Tenants).await
}

async fn ensure(owner: &PgPool, audience: Audience) -> Result<ReaderRole, RoleError> {
    let sql = |action| move |source| RoleError::Sql { action, source };
    let mut connection = owner.acquire().await.map_err(sql("reach the database"))?;
    let mut tx = connection.begin().await.map_err(sql("begin"))?;
    sqlx::query(LOCK)
        .execute(&mut *tx)
        .await
        .map_err(sql("lock the role"))?;
    let (database, user): (String, String) =
        sqlx::query_as("SELECT current_database()::text, current_user::text")
            .fetch_one(&mut *tx)
            .await
            .map_err(sql("ask who we are"))?;
    let name = name_of(audience, &database);
    let fresh = Alphanumeric.sample_string(&mut rand::rng(), PASSWORD_CHARS);
    let password: String = sqlx::query_scalar(
        "INSERT INTO millpond.secret (name, value) VALUES ($2, $1)
         ON CONFLICT (name) DO UPDATE SET value = secret.value RETURNING value",
    )
    .bind(fresh)
    .bind(audience.secret())
    .fetch_one(&mut *tx)
    .await
    .map_err(sql("keep the role's password"))?;

    let exists: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)")
            .bind(&name)
            .fetch_one(&mut *tx)
            .await
            .map_err(sql("look for the role"))?;
    let role = ReaderRole { name, password };
    // A role that is there and lets us in is right, whoever made it.
    let usable = exists
        && PgConnection::connect_with(&role.connect_options(&owner.connect_options()))
            .await
            .is_ok();
    if !usable {
        let rights = rights(&mut tx).await.map_err(sql("ask what we may"))?;
        let made = match rights {
            Rights::Neither => Err(None),
            _ => make(&mut tx, &role, exists, rights).await.map_err(Some),
        };
        match made {
            Ok(()) => {}
            Err(Some(error)) if crate::error::sqlstate(&error).as_deref() != Some("42501") => {
                return Err(RoleError::Sql {
                    action: "make the role",
                    source: error,
                });
            }
            Err(_) => {
                // The password stays: the administrator's statements use it.
                tx.rollback().await.map_err(sql("roll back"))?;
                keep_password(owner, audience, &role).await?;
                let statements = statements(audience, &role.name);
                return Err(RoleError::MayNotCreate {
                    owner: user,
                    statements,
                    role: role.name,
                });
            }
        }
    }
    match audience {
        Audience::Operators => grant(&mut tx, &role.name).await,
        Audience::Tenants => {
            let granted = scope::grant(&mut tx, &role.name).await;
            match granted {
                Ok(()) => scope::allow_indexes(&mut tx).await.map(drop),
                Err(error) => Err(error),
            }
        }
    }
    .map_err(sql("let the role read"))?;
    tx.commit().await.map_err(sql("commit the role"))?;
    Ok(role)
}

/// What the owner may do about roles.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rights {
    Superuser,
    CreateRole,
    Neither,
}

async fn rights(tx: &mut PgConnection) -> Result<Rights, sqlx::Error> {
    let (superuser, create): (bool, bool) =
        sqlx::query_as("SELECT rolsuper, rolcreaterole FROM pg_roles WHERE rolname = current_user")
            .fetch_one(tx)
            .await?;
    Ok(match (superuser, create) {
        (true, _) => Rights::Superuser,
        (false, true) => Rights::CreateRole,
        (false, false) => Rights::Neither,
    })
}

async fn keep_password(
    owner: &PgPool,
    audience: Audience,
    role: &ReaderRole,
) -> Result<(), RoleError> {
    sqlx::query("INSERT INTO millpond.secret (name, value) VALUES ($2, $1) ON CONFLICT DO NOTHING")
        .bind(&role.password)
        .bind(audience.secret())
        .execute(owner)
        .await
        .map_err(|source| RoleError::Sql {
            action: "keep the role's password",
            source,
        })?;
    Ok(())
}

/// What an administrator has to run when we may not.
fn statements(audience: Audience, role: &str) -> String {
    let secret = audience.secret();
    format!(
        "SELECT format('CREATE ROLE %I LOGIN NOINHERIT PASSWORD %L', '{role}', value)\n  \
         FROM millpond.secret WHERE name = '{secret}' \\gexec\n\
         ALTER ROLE \"{role}\" SET default_transaction_read_only = on;\n\
         ALTER ROLE \"{role}\" SET temp_file_limit = '1GB';"
    )
}

async fn make(
    tx: &mut PgConnection,
    role: &ReaderRole,
    exists: bool,
    rights: Rights,
) -> Result<(), sqlx::Error> {
    let (verb, name) = (if exists { "ALTER" } else { "CREATE" }, &role.name);
    // Letters and digits only: nothing to escape in the password; the name is an identifier.
    let statement = format!(
        "{verb} ROLE \"{}\" LOGIN NOINHERIT PASSWORD '{}'",
        name.replace('"', "\"\""),
        role.password
    );
    // The password must not stand in the server's log if the statement fails.
    if rights == Rights::Superuser {
        tx.execute("SET LOCAL log_min_error_statement = 'panic'")
            .await?;
    }
    tx.execute(AssertSqlSafe(statement)).await?;
    for (setting, value, required) in SETTINGS {
        let statement = format!(
            "ALTER ROLE \"{}\" SET {setting} = '{value}'",
            name.replace('"', "\"\"")
        );
        let mut attempt = tx.begin().await?;
        match attempt.execute(AssertSqlSafe(statement)).await {
            Ok(_) => attempt.commit().await?,
            Err(error) if required => return Err(error),
            Err(error) => {
                tracing::debug!(%error, "SQL queries run without the limit `{setting}`");
                attempt.rollback().await?;
            }
        }
    }
    Ok(())
}

/// Grants what is readable and not yet granted: the connectors' schemas, of which there may be more since the last
/// time, and what is open of our own. Writes nothing when nothing is missing.
async fn grant(tx: &mut PgConnection, role: &str) -> Result<(), sqlx::Error> {
    let schemas: Vec<(String, bool)> = sqlx::query_as(
        "SELECT quote_ident(n.nspname), NOT has_schema_privilege($1, n.oid, 'USAGE')
           FROM pg_namespace n
          WHERE n.nspname = 'millpond' OR n.oid IN (
                SELECT c.relnamespace FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                 WHERE i.inhparent = 'millpond.record'::regclass)",
    )
    .bind(role)
    .fetch_all(&mut *tx)
    .await?;
    let names: Vec<&str> = schemas.iter().map(|(name, _)| name.as_str()).collect();
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname)
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE quote_ident(n.nspname) = ANY ($1) AND c.relkind IN ('r', 'p', 'v', 'm')
            AND (n.nspname <> 'millpond' OR c.relname = ANY ($2))
            AND NOT has_table_privilege($3, c.oid, 'SELECT')",
    )
    .bind(&names)
    .bind(&READABLE[..])
    .bind(role)
    .fetch_all(&mut *tx)
    .await?;
    let role = format!("\"{}\"", role.replace('"', "\"\""));
    let mut statements = Vec::new();
    for (schema, missing) in &schemas {
        if *missing {
            statements.push(format!("GRANT USAGE ON SCHEMA {schema} TO {role}"));
        }
        if *missing && schema != "millpond" {
            statements.push(format!(
                "ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO {role}"
            ));
        }
    }
    if !tables.is_empty() {
        statements.push(format!("GRANT SELECT ON {} TO {role}", tables.join(", ")));
    }
    for statement in statements {
        tx.execute(AssertSqlSafe(statement)).await?;
    }
    Ok(())
}
