//! Tenants own instances; projects show a part of them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, postgres::PgRow, types::Json};

use crate::{
    Store, StoreError,
    access::{Told, tell},
    error::{For, Result, written},
};

/// A tenant, with the quota window it is in now. What it has used stands elsewhere: this may be remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its id, `acme`.
    pub id: String,
    /// Its name for people.
    pub title: String,
    /// What it pays for.
    pub plan: String,
    /// How long its quota window is: `hour`, `day` or `month`, in UTC.
    pub cycle: String,
    /// The most of each meter in one window. A meter that is not named has no limit.
    pub limits: BTreeMap<String, i64>,
    /// When the window began.
    pub window_start: Timestamp,
    /// When the next one begins.
    pub window_end: Timestamp,
    /// The instances it owns.
    pub instances: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A project of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// Its tenant.
    pub tenant: String,
    /// Its id within the tenant.
    pub id: String,
    /// Its name for people.
    pub title: String,
    /// The tenant's instances that it sees; absent: all.
    pub instances: Option<Vec<String>>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What a dashboard shows of a project: counted by a query, and nothing is decided by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectCounts {
    /// Live records of the instances it sees.
    pub records: i64,
    /// Keys confined to it that are not revoked.
    pub keys: i64,
    /// Notes that were added to it.
    pub memories: i64,
    /// When they were counted.
    pub as_of: Timestamp,
}

/// What is to change of a tenant; `None` stays.
#[derive(Debug, Clone, Default)]
pub struct TenantChange {
    /// Its name for people.
    pub title: Option<String>,
    /// What it pays for.
    pub plan: Option<String>,
    /// How long its quota window is.
    pub cycle: Option<String>,
    /// All its limits.
    pub limits: Option<BTreeMap<String, i64>>,
}

/// What is to change of a project; `None` stays.
#[derive(Debug, Clone, Default)]
pub struct ProjectChange {
    /// Its name for people.
    pub title: Option<String>,
    /// The instances it sees; `Some(None)`: all of the tenant's.
    pub instances: Option<Option<Vec<String>>>,
}

const TENANT: &str = "SELECT t.id, t.title, t.plan, t.cycle, t.limits, \
    date_trunc(t.cycle, now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC', \
    (date_trunc(t.cycle, now() AT TIME ZONE 'UTC') + ('1 ' || t.cycle)::interval) AT TIME ZONE 'UTC', \
    ARRAY(SELECT i.instance FROM millpond.tenant_instance i WHERE i.tenant = t.id ORDER BY 1), t.created_at \
    FROM millpond.tenant t";

const PROJECT: &str =
    "SELECT p.tenant, p.id, p.title, p.instances, p.created_at FROM millpond.project p";

fn tenant(row: &PgRow) -> Tenant {
    Tenant {
        id: row.get(0),
        title: row.get(1),
        plan: row.get(2),
        cycle: row.get(3),
        limits: row.get::<Json<BTreeMap<String, i64>>, _>(4).0,
        window_start: row.get::<jiff_sqlx::Timestamp, _>(5).to_jiff(),
        window_end: row.get::<jiff_sqlx::Timestamp, _>(6).to_jiff(),
        instances: row.get(7),
        created_at: row.get::<jiff_sqlx::Timestamp, _>(8).to_jiff(),
    }
}

fn project(row: &PgRow) -> Project {
    Project {
        tenant: row.get(0),
        id: row.get(1),
        title: row.get(2),
        instances: row.get(3),
        created_at: row.get::<jiff_sqlx::Timestamp, _>(4).to_jiff(),
    }
}

fn unknown(what: &'static str, name: &str) -> StoreError {
    StoreError::Unknown {
        what,
        name: name.chars().take(80).collect(),
    }
}

impl Store {
    /// Makes a tenant. What `change` leaves out has its default.
    ///
    /// # Errors
    ///
    /// [`StoreError::Exists`]; [`StoreError::Invalid`] when a value is none.
    pub async fn create_tenant(&self, id: &str, change: &TenantChange) -> Result<Tenant> {
        let done = sqlx::query(
            "INSERT INTO millpond.tenant (id, title, plan, cycle, limits) \
             VALUES ($1, coalesce($2, $1), coalesce($3, 'standard'), coalesce($4, 'month'), coalesce($5, '{}'))",
        )
        .bind(id)
        .bind(&change.title)
        .bind(&change.plan)
        .bind(&change.cycle)
        .bind(change.limits.as_ref().map(Json))
        .execute(self.pool())
        .await;
        written(done, "tenant", id)?;
        self.load_tenant(id).await
    }

    /// All tenants by id, after `after`.
    pub async fn tenants(&self, after: Option<&str>, limit: i64) -> Result<Vec<Tenant>> {
        let rows = sqlx::query(AssertSqlSafe(format!(
            "{TENANT} WHERE $1::text IS NULL OR t.id > $1 ORDER BY t.id LIMIT $2"
        )))
        .bind(after)
        .bind(limit)
        .fetch_all(self.pool())
        .await
        .to("list tenants")?;
        Ok(rows.iter().map(tenant).collect())
    }

    /// One tenant; `None` when there is none of that id.
    pub async fn find_tenant(&self, id: &str) -> Result<Option<Tenant>> {
        let row = sqlx::query(AssertSqlSafe(format!("{TENANT} WHERE t.id = $1")))
            .bind(id)
            .fetch_optional(self.pool())
            .await
            .to("read a tenant")?;
        Ok(row.as_ref().map(tenant))
    }

    /// One tenant.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] when there is none of that id.
    pub async fn load_tenant(&self, id: &str) -> Result<Tenant> {
        self.find_tenant(id)
            .await?
            .ok_or_else(|| unknown("tenant", id))
    }

    /// Changes a tenant.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`]; [`StoreError::Invalid`] when a value is none.
    pub async fn change_tenant(&self, id: &str, change: &TenantChange) -> Result<(Tenant, Told)> {
        let mut connection = self.pool().acquire().await.to("change a tenant")?;
        let mut tx = connection.begin().await.to("change a tenant")?;
        let done = sqlx::query(
            "UPDATE millpond.tenant SET title = coalesce($2, title), plan = coalesce($3, plan), \
               cycle = coalesce($4, cycle), limits = coalesce($5, limits) WHERE id = $1",
        )
        .bind(id)
        .bind(&change.title)
        .bind(&change.plan)
        .bind(&change.cycle)
        .bind(change.limits.as_ref().map(Json))
        .execute(&mut *tx)
        .await;
        if written(done, "tenant", id)?.rows_affected() == 0 {
            return Err(unknown("tenant", id));
        }
        let told = tell(&mut tx, "tenant", None, &[id.to_owned()]).await?;
        tx.commit().await.to("change a tenant")?;
        Ok((self.load_tenant(id).await?, told))
    }

    /// Deletes a tenant with its projects, keys and usage. Its instances stay, without an owner.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] when there is none of that id.
    pub async fn delete_tenant(&self, id: &str) -> Result<Told> {
        let mut connection = self.pool().acquire().await.to("delete a tenant")?;
        let mut tx = connection.begin().await.to("delete a tenant")?;
        let told = forget_keys(&mut tx, id, None).await?;
        let projects: Vec<String> =
            sqlx::query_scalar("SELECT id FROM millpond.project WHERE tenant = $1")
                .bind(id)
                .fetch_all(&mut *tx)
                .await
                .to("delete a tenant")?;
        let told = told.and(tell(&mut tx, "project", Some(id), &projects).await?);
        let done = sqlx::query("DELETE FROM millpond.tenant WHERE id = $1")
            .bind(id)
            .execute(&mut *tx)
            .await
            .to("delete a tenant")?;
        if done.rows_affected() == 0 {
            return Err(unknown("tenant", id));
        }
        let told = told.and(tell(&mut tx, "tenant", None, &[id.to_owned()]).await?);
        tx.commit().await.to("delete a tenant")?;
        Ok(told)
    }

    /// Makes `tenant` the owner of an instance, whoever owned it before; `None`: nobody.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] for a tenant or instance that is not there.
    pub async fn own_instance(&self, instance: &str, tenant: Option<&str>) -> Result<Told> {
        let mut connection = self.pool().acquire().await.to("own an instance")?;
        let mut tx = connection.begin().await.to("own an instance")?;
        let there: Option<i32> =
            sqlx::query_scalar("SELECT 1 FROM millpond.instance WHERE name = $1")
                .bind(instance)
                .fetch_optional(&mut *tx)
                .await
                .to("own an instance")?;
        there.ok_or_else(|| unknown("instance", instance))?;
        let before: Option<String> = sqlx::query_scalar(
            "DELETE FROM millpond.tenant_instance WHERE instance = $1 RETURNING tenant",
        )
        .bind(instance)
        .fetch_optional(&mut *tx)
        .await
        .to("own an instance")?;
        if let Some(tenant) = tenant {
            let done = sqlx::query(
                "INSERT INTO millpond.tenant_instance (instance, tenant) \
                 SELECT $1, id FROM millpond.tenant WHERE id = $2",
            )
            .bind(instance)
            .bind(tenant)
            .execute(&mut *tx)
            .await
            .to("own an instance")?;
            if done.rows_affected() == 0 {
                return Err(unknown("tenant", tenant));
            }
        }
        let mut touched: Vec<String> = before.into_iter().collect();
        touched.extend(tenant.map(str::to_owned));
        let told = tell(&mut tx, "tenant", None, &touched).await?;
        tx.commit().await.to("own an instance")?;
        Ok(told)
    }

    /// Makes a project; `instances` are those of the tenant's that it sees, `None`: all.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] for a tenant or instance that is not there; [`StoreError::Exists`];
    /// [`StoreError::Invalid`].
    pub async fn create_project(
        &self,
        tenant: &str,
        id: &str,
        title: Option<&str>,
        instances: Option<&[String]>,
    ) -> Result<(Project, Told)> {
        self.check_owned(tenant, instances.unwrap_or_default())
            .await?;
        let mut connection = self.pool().acquire().await.to("make a project")?;
        let mut tx = connection.begin().await.to("make a project")?;
        let done = sqlx::query(
            "INSERT INTO millpond.project (tenant, id, title, instances) VALUES ($1, $2, coalesce($3, $2), $4)",
        )
        .bind(tenant)
        .bind(id)
        .bind(title)
        .bind(instances)
        .execute(&mut *tx)
        .await;
        written(done, "project", id)?;
        // Somebody may have asked for it before it was there.
        let told = tell(&mut tx, "project", Some(tenant), &[id.to_owned()]).await?;
        tx.commit().await.to("make a project")?;
        Ok((self.load_project(tenant, id).await?, told))
    }

    /// The projects of a tenant by id, after `after`.
    pub async fn projects(
        &self,
        tenant: &str,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Vec<Project>> {
        let rows = sqlx::query(AssertSqlSafe(format!(
            "{PROJECT} WHERE p.tenant = $1 AND ($2::text IS NULL OR p.id > $2) ORDER BY p.id LIMIT $3"
        )))
        .bind(tenant)
        .bind(after)
        .bind(limit)
        .fetch_all(self.pool())
        .await
        .to("list projects")?;
        Ok(rows.iter().map(project).collect())
    }

    /// One project; `None` when there is none of that id.
    pub async fn find_project(&self, tenant: &str, id: &str) -> Result<Option<Project>> {
        let row = sqlx::query(AssertSqlSafe(format!(
            "{PROJECT} WHERE p.tenant = $1 AND p.id = $2"
        )))
        .bind(tenant)
        .bind(id)
        .fetch_optional(self.pool())
        .await
        .to("read a project")?;
        Ok(row.as_ref().map(project))
    }

    /// One project.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] when there is none of that id.
    pub async fn load_project(&self, tenant: &str, id: &str) -> Result<Project> {
        self.find_project(tenant, id)
            .await?
            .ok_or_else(|| unknown("project", id))
    }

    /// Counts what a project sees. Reads every row of its instances' records in an index.
    pub async fn count_project(&self, tenant: &str, id: &str) -> Result<ProjectCounts> {
        let row = sqlx::query(
            "SELECT (SELECT count(*) FROM millpond.record r WHERE r.deleted_at IS NULL AND r.instance = ANY (ARRAY( \
                      SELECT i.instance FROM millpond.tenant_instance i \
                        JOIN millpond.project p ON p.tenant = i.tenant AND p.id = $2 \
                       WHERE i.tenant = $1 AND (p.instances IS NULL OR i.instance = ANY (p.instances))))), \
                    (SELECT count(*) FROM millpond.api_key k WHERE k.tenant = $1 AND k.project = $2 AND k.revoked_at IS NULL), \
                    (SELECT count(*) FROM millpond.memory m WHERE m.tenant = $1 AND m.project = $2), now()",
        )
        .bind(tenant)
        .bind(id)
        .fetch_one(self.pool())
        .await
        .to("count what a project sees")?;
        Ok(ProjectCounts {
            records: row.get(0),
            keys: row.get(1),
            memories: row.get(2),
            as_of: row.get::<jiff_sqlx::Timestamp, _>(3).to_jiff(),
        })
    }

    /// Changes a project.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] for a project or instance that is not there; [`StoreError::Invalid`].
    pub async fn change_project(
        &self,
        tenant: &str,
        id: &str,
        change: &ProjectChange,
    ) -> Result<(Project, Told)> {
        if let Some(Some(instances)) = &change.instances {
            self.check_owned(tenant, instances).await?;
        }
        let mut connection = self.pool().acquire().await.to("change a project")?;
        let mut tx = connection.begin().await.to("change a project")?;
        let done = sqlx::query(
            "UPDATE millpond.project SET title = coalesce($3, title), \
               instances = CASE WHEN $4 THEN $5 ELSE instances END WHERE tenant = $1 AND id = $2",
        )
        .bind(tenant)
        .bind(id)
        .bind(&change.title)
        .bind(change.instances.is_some())
        .bind(change.instances.clone().flatten())
        .execute(&mut *tx)
        .await;
        if written(done, "project", id)?.rows_affected() == 0 {
            return Err(unknown("project", id));
        }
        let told = tell(&mut tx, "project", Some(tenant), &[id.to_owned()]).await?;
        tx.commit().await.to("change a project")?;
        Ok((self.load_project(tenant, id).await?, told))
    }

    /// Deletes a project and the keys confined to it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] when there is none of that id.
    pub async fn delete_project(&self, tenant: &str, id: &str) -> Result<Told> {
        let mut connection = self.pool().acquire().await.to("delete a project")?;
        let mut tx = connection.begin().await.to("delete a project")?;
        let told = forget_keys(&mut tx, tenant, Some(id)).await?;
        let done = sqlx::query("DELETE FROM millpond.project WHERE tenant = $1 AND id = $2")
            .bind(tenant)
            .bind(id)
            .execute(&mut *tx)
            .await
            .to("delete a project")?;
        if done.rows_affected() == 0 {
            return Err(unknown("project", id));
        }
        let told = told.and(tell(&mut tx, "project", Some(tenant), &[id.to_owned()]).await?);
        tx.commit().await.to("delete a project")?;
        Ok(told)
    }

    async fn check_owned(&self, tenant: &str, instances: &[String]) -> Result<()> {
        let owned = self.load_tenant(tenant).await?.instances;
        match instances.iter().find(|name| !owned.contains(name)) {
            Some(foreign) => Err(unknown("instance of this tenant", foreign)),
            None => Ok(()),
        }
    }
}

/// Tells everybody of the keys that go with a tenant or one of its projects.
async fn forget_keys(tx: &mut PgConnection, tenant: &str, project: Option<&str>) -> Result<Told> {
    let hashes: Vec<String> = sqlx::query_scalar(
        "SELECT encode(hash, 'hex') FROM millpond.api_key \
         WHERE tenant = $1 AND ($2::text IS NULL OR project = $2) AND revoked_at IS NULL FOR UPDATE",
    )
    .bind(tenant)
    .bind(project)
    .fetch_all(&mut *tx)
    .await
    .to("end the keys of a tenant or project")?;
    tell(tx, "principal", None, &hashes).await
}
