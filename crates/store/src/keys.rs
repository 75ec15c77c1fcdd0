//! API keys: shown once, kept as a keyed hash, and who they stand for.

use std::{fmt, str::FromStr};

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use rand::distr::{Alphanumeric, SampleString};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use sqlx::{Connection, Row, postgres::PgRow};

use crate::{
    Store, StoreError,
    access::{Told, tell},
    error::{For, Result, written},
};

/// What every credential begins with, so that scanners for leaked secrets know it.
pub const CREDENTIAL_PREFIX: &str = "mp_";
/// Longest credential that is looked at.
pub const CREDENTIAL_BYTES_MAX: usize = 200;
/// Most keys of one tenant that are not revoked.
pub const KEYS_MAX: i64 = 1000;
const ID_CHARS: usize = 10;
/// 62^43 is a little over 2^256.
const SECRET_CHARS: usize = 43;
const PEPPER: &str = "key_pepper";
/// What sessions of the console are sealed with.
const CONSOLE: &str = "console_session";

/// What a principal may do. Each may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads records, and runs saved queries.
    User,
    /// Writes SQL, saves queries, sees runs.
    Developer,
    /// Manages the tenant's projects and keys.
    Admin,
}

impl Role {
    /// The word in SQL and HTTP.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Developer => "developer",
            Self::Admin => "admin",
        }
    }
}

/// A text that is no role.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no role: expected user, developer or admin")]
pub struct BadRole(String);

impl FromStr for Role {
    type Err = BadRole;

    fn from_str(text: &str) -> std::result::Result<Self, BadRole> {
        match text {
            "user" => Ok(Self::User),
            "developer" => Ok(Self::Developer),
            "admin" => Ok(Self::Admin),
            _ => Err(BadRole(text.chars().take(50).collect())),
        }
    }
}

/// Whom a credential stands for: exactly what decides what may be done with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// The key's id; `None`: not one of the database's keys.
    pub key: Option<String>,
    /// Its tenant; `None`: an operator, who sees all.
    pub tenant: Option<String>,
    /// The one project it is confined to.
    pub project: Option<String>,
    /// What it may do.
    pub role: Role,
    /// Calls it may make in a minute.
    pub calls_per_minute: Option<i32>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

impl Principal {
    /// Somebody who runs this Millpond, known by other means than a key in the database.
    pub fn operator() -> Self {
        Self {
            key: None,
            tenant: None,
            project: None,
            role: Role::Admin,
            calls_per_minute: None,
            expires_at: None,
        }
    }

    /// Whether it sees all tenants.
    pub fn is_operator(&self) -> bool {
        self.tenant.is_none()
    }
}

/// A key as lists show it. The credential is not among it.
#[derive(Debug, Clone, Serialize)]
pub struct ApiKey {
    /// Part of the credential, to recognise it by.
    pub id: String,
    /// Its tenant; absent: an operator's.
    pub tenant: Option<String>,
    /// The one project it is confined to.
    pub project: Option<String>,
    /// What it may do.
    pub role: Role,
    /// What it is for.
    pub title: String,
    /// Calls it may make in a minute.
    pub calls_per_minute: Option<i32>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its credential was last replaced.
    pub rotated_at: Option<Timestamp>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// Since when it is refused.
    pub revoked_at: Option<Timestamp>,
}

/// A key to be made.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Its tenant; `None`: an operator's.
    pub tenant: Option<String>,
    /// The one project it is confined to.
    pub project: Option<String>,
    /// What it may do.
    pub role: Role,
    /// What it is for.
    pub title: String,
    /// Calls it may make in a minute.
    pub calls_per_minute: Option<i32>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// A credential, right after it was made. It cannot be had again.
#[derive(Clone, Serialize)]
pub struct Credential(String);

impl Credential {
    /// The text to present as `Authorization: Bearer …`.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(…)")
    }
}

/// Turns credentials into the hashes that are kept: HMAC-SHA256 under a key that only the owner of the database reads.
#[derive(Clone)]
pub struct KeyHasher(Hmac<Sha256>);

impl fmt::Debug for KeyHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHasher(…)")
    }
}

impl KeyHasher {
    fn new(pepper: &str) -> Self {
        // HMAC takes keys of any length.
        let mac = Hmac::new_from_slice(pepper.as_bytes())
            .unwrap_or_else(|_| Hmac::new(&Default::default()));
        Self(mac)
    }

    /// The hash of a credential, in hex.
    pub fn hash(&self, credential: &[u8]) -> String {
        let mut mac = self.0.clone();
        mac.update(credential);
        hex::encode(mac.finalize().into_bytes())
    }
}

const COLUMNS: &str = "id, tenant, project, role, title, calls_per_minute, created_at, rotated_at, expires_at, revoked_at";

fn role(text: &str) -> Role {
    // The column's check knows these three.
    text.parse().unwrap_or(Role::User)
}

fn time(at: Option<jiff_sqlx::Timestamp>) -> Option<Timestamp> {
    at.map(|at| at.to_jiff())
}

fn api_key(row: &PgRow) -> ApiKey {
    ApiKey {
        id: row.get(0),
        tenant: row.get(1),
        project: row.get(2),
        role: role(row.get(3)),
        title: row.get(4),
        calls_per_minute: row.get(5),
        created_at: row.get::<jiff_sqlx::Timestamp, _>(6).to_jiff(),
        rotated_at: time(row.get(7)),
        expires_at: time(row.get(8)),
        revoked_at: time(row.get(9)),
    }
}

fn unknown(id: &str) -> StoreError {
    StoreError::Unknown {
        what: "key",
        name: id.chars().take(50).collect(),
    }
}

impl Store {
    /// What hashes credentials, once there is a key: `None` before the first was made.
    pub async fn key_hasher(&self) -> Result<Option<KeyHasher>> {
        let pepper: Option<String> =
            sqlx::query_scalar("SELECT value FROM millpond.secret WHERE name = $1")
                .bind(PEPPER)
                .fetch_optional(self.pool())
                .await
                .to("read what keys are hashed with")?;
        Ok(pepper.as_deref().map(KeyHasher::new))
    }

    /// Makes a key. Its credential is in the answer and nowhere else.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] for a tenant or project that is not there; [`StoreError::Full`] when the tenant has
    /// [`KEYS_MAX`] keys.
    pub async fn create_key(&self, new: &NewKey) -> Result<(ApiKey, Credential, Told)> {
        let hasher = self.make_hasher().await?;
        let id = Alphanumeric.sample_string(&mut rand::rng(), ID_CHARS);
        let credential = credential(&id);
        let mut connection = self.pool().acquire().await.to("make a key")?;
        let mut tx = connection.begin().await.to("make a key")?;
        if let Some(tenant) = &new.tenant {
            // The row's lock makes the count exact.
            let there = sqlx::query("SELECT FROM millpond.tenant WHERE id = $1 FOR UPDATE")
                .bind(tenant)
                .fetch_optional(&mut *tx)
                .await
                .to("make a key")?;
            if there.is_none() {
                return Err(StoreError::Unknown {
                    what: "tenant",
                    name: tenant.clone(),
                });
            }
            let keys: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM millpond.api_key WHERE tenant = $1 AND revoked_at IS NULL",
            )
            .bind(tenant)
            .fetch_one(&mut *tx)
            .await
            .to("make a key")?;
            if keys >= KEYS_MAX {
                return Err(StoreError::Full {
                    what: "keys",
                    most: KEYS_MAX,
                });
            }
        }
        if let Some(project) = &new.project {
            let there = sqlx::query("SELECT FROM millpond.project WHERE tenant = $1 AND id = $2")
                .bind(&new.tenant)
                .bind(project)
                .fetch_optional(&mut *tx)
                .await
                .to("make a key")?;
            if there.is_none() {
                return Err(StoreError::Unknown {
                    what: "project",
                    name: project.clone(),
                });
            }
        }
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "INSERT INTO millpond.api_key (id, hash, tenant, project, role, title, calls_per_minute, expires_at) \
             VALUES ($1, decode($2, 'hex'), $3, $4, $5, $6, $7, $8) RETURNING {COLUMNS}"
        )))
        .bind(&id)
        .bind(hasher.hash(credential.0.as_bytes()))
        .bind(&new.tenant)
        .bind(&new.project)
        .bind(new.role.as_str())
        .bind(&new.title)
        .bind(new.calls_per_minute)
        .bind(new.expires_at.map(|at| at.to_sqlx()))
        .fetch_one(&mut *tx)
        .await;
        let row = written(row, "key", &id)?;
        // The first key of all closes what was open.
        let hash = hasher.hash(credential.0.as_bytes());
        let told = tell(&mut tx, "principal", None, &[hash]).await?;
        tx.commit().await.to("make a key")?;
        Ok((api_key(&row), credential, told))
    }

    /// Keys, newest first: of one tenant, or of all and the operators'. Revoked ones too.
    pub async fn keys(&self, tenant: Option<&str>, limit: i64) -> Result<Vec<ApiKey>> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM millpond.api_key WHERE $1::text IS NULL OR tenant = $1 \
             ORDER BY created_at DESC, id LIMIT $2"
        )))
        .bind(tenant)
        .bind(limit)
        .fetch_all(self.pool())
        .await
        .to("list keys")?;
        Ok(rows.iter().map(api_key).collect())
    }

    /// One key.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] when there is none of that id.
    pub async fn load_key(&self, id: &str) -> Result<ApiKey> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM millpond.api_key WHERE id = $1"
        )))
        .bind(id)
        .fetch_optional(self.pool())
        .await
        .to("read a key")?;
        row.as_ref().map(api_key).ok_or_else(|| unknown(id))
    }

    /// Gives a key a new credential; the old one counts no more once everybody has heard.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] when there is no such key, or it is revoked.
    pub async fn rotate_key(&self, id: &str) -> Result<(ApiKey, Credential, Told)> {
        let hasher = self.make_hasher().await?;
        let credential = credential(id);
        let mut connection = self.pool().acquire().await.to("rotate a key")?;
        let mut tx = connection.begin().await.to("rotate a key")?;
        let old: Option<String> = sqlx::query_scalar(
            "SELECT encode(hash, 'hex') FROM millpond.api_key WHERE id = $1 AND revoked_at IS NULL FOR UPDATE",
        )
        .bind(id)
        .fetch_optional(&mut *tx)
        .await
        .to("rotate a key")?;
        let old = old.ok_or_else(|| unknown(id))?;
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "UPDATE millpond.api_key SET hash = decode($2, 'hex'), rotated_at = clock_timestamp() WHERE id = $1 \
             RETURNING {COLUMNS}"
        )))
        .bind(id)
        .bind(hasher.hash(credential.0.as_bytes()))
        .fetch_one(&mut *tx)
        .await
        .to("rotate a key")?;
        let told = tell(&mut tx, "principal", None, &[old]).await?;
        tx.commit().await.to("rotate a key")?;
        Ok((api_key(&row), credential, told))
    }

    /// Changes what a key may do.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] when there is no such key, or it is revoked.
    pub async fn change_key(
        &self,
        id: &str,
        role: Option<Role>,
        title: Option<&str>,
        calls_per_minute: Option<Option<i32>>,
    ) -> Result<(ApiKey, Told)> {
        let mut connection = self.pool().acquire().await.to("change a key")?;
        let mut tx = connection.begin().await.to("change a key")?;
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "UPDATE millpond.api_key SET role = coalesce($2, role), title = coalesce($3, title), \
               calls_per_minute = CASE WHEN $4 THEN $5 ELSE calls_per_minute END \
             WHERE id = $1 AND revoked_at IS NULL RETURNING {COLUMNS}, encode(hash, 'hex')"
        )))
        .bind(id)
        .bind(role.map(Role::as_str))
        .bind(title)
        .bind(calls_per_minute.is_some())
        .bind(calls_per_minute.flatten())
        .fetch_optional(&mut *tx)
        .await;
        let row = written(row, "key", id)?.ok_or_else(|| unknown(id))?;
        let told = tell(&mut tx, "principal", None, &[row.get(10)]).await?;
        tx.commit().await.to("change a key")?;
        Ok((api_key(&row), told))
    }

    /// Ends a key for good. Doing it again is fine.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] when there is no such key.
    pub async fn revoke_key(&self, id: &str) -> Result<(ApiKey, Told)> {
        let mut connection = self.pool().acquire().await.to("revoke a key")?;
        let mut tx = connection.begin().await.to("revoke a key")?;
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "UPDATE millpond.api_key SET revoked_at = coalesce(revoked_at, clock_timestamp()) WHERE id = $1 \
             RETURNING {COLUMNS}, encode(hash, 'hex')"
        )))
        .bind(id)
        .fetch_optional(&mut *tx)
        .await
        .to("revoke a key")?
        .ok_or_else(|| unknown(id))?;
        let told = tell(&mut tx, "principal", None, &[row.get(10)]).await?;
        tx.commit().await.to("revoke a key")?;
        Ok((api_key(&row), told))
    }

    /// Whom a credential of this hash stands for; `None` when it is unknown, revoked or past its end.
    pub async fn principal(&self, hash: &str) -> Result<Option<Principal>> {
        let row = sqlx::query(
            "SELECT id, tenant, project, role, calls_per_minute, expires_at FROM millpond.api_key \
             WHERE hash = decode($1, 'hex') AND revoked_at IS NULL \
               AND (expires_at IS NULL OR expires_at > clock_timestamp())",
        )
        .bind(hash)
        .fetch_optional(self.pool())
        .await
        .to("look a key up")?;
        Ok(row.map(|row| Principal {
            key: row.get(0),
            tenant: row.get(1),
            project: row.get(2),
            role: role(row.get(3)),
            calls_per_minute: row.get(4),
            expires_at: time(row.get(5)),
        }))
    }

    /// What sessions of the console are sealed with; made when first asked for.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn console_secret(&self) -> Result<String> {
        self.own_secret(CONSOLE).await
    }

    /// A secret of Millpond's own; made when first asked for.
    pub(crate) async fn own_secret(&self, name: &str) -> Result<String> {
        let kept: Option<String> =
            sqlx::query_scalar("SELECT value FROM millpond.secret WHERE name = $1")
                .bind(name)
                .fetch_optional(self.pool())
                .await
                .to("read a secret of our own")?;
        match kept {
            Some(secret) => Ok(secret),
            None => self.keep_secret(name).await,
        }
    }

    /// A secret of this name: the one that is kept, else a new one.
    async fn keep_secret(&self, name: &str) -> Result<String> {
        let fresh = Alphanumeric.sample_string(&mut rand::rng(), SECRET_CHARS);
        sqlx::query_scalar(
            "INSERT INTO millpond.secret (name, value) VALUES ($1, $2) \
             ON CONFLICT (name) DO UPDATE SET value = secret.value RETURNING value",
        )
        .bind(name)
        .bind(fresh)
        .fetch_one(self.pool())
        .await
        .to("keep a secret")
    }

    async fn make_hasher(&self) -> Result<KeyHasher> {
        Ok(KeyHasher::new(&self.keep_secret(PEPPER).await?))
    }
}

fn credential(id: &str) -> Credential {
    let secret = Alphanumeric.sample_string(&mut rand::rng(), SECRET_CHARS);
    Credential(format!("{CREDENTIAL_PREFIX}{id}_{secret}"))
}
