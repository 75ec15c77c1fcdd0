//! The mirror's database: one that configuration names, or a server of our own.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use store::{
    Store,
    private::{PrivateCluster, Settings},
};

use crate::{config::Loaded, environment::Environment, secrets::Secrets};

/// How long statements may still take when the database is let go of.
const CLOSE_WAIT_MAX: Duration = Duration::from_secs(5);

/// An open database. Dropping it gives a private server up, which ends when nobody else uses it.
#[derive(Debug)]
pub struct Database {
    /// The mirror in it.
    pub store: Store,
    /// The private server it is on, if it is.
    pub cluster: Option<PrivateCluster>,
}

impl Database {
    /// Opens the database of this configuration, migrated. Starts or joins the private server where none is named.
    ///
    /// # Errors
    ///
    /// The URL's secret is missing, the database does not answer or refuses, or no private server can be started.
    pub async fn open(loaded: &Loaded, environment: &Environment) -> anyhow::Result<Self> {
        let config = &loaded.config.database;
        if let Some(reference) = &config.url {
            let url = Secrets::new(environment.clone(), &loaded.base)
                .resolve(reference)
                .map_err(anyhow::Error::msg)
                .context("the URL of the database is not to be had")?;
            let store = Store::open(url.expose(), config.connections_max)
                .await
                .with_context(|| format!("cannot open the database that {reference} names"))?;
            return Ok(Self {
                store,
                cluster: None,
            });
        }
        let settings = Settings {
            port: config.port,
            search_path: environment.find("PATH").map(Into::into),
            ..Settings::new(data_dir(loaded, environment))
        };
        Self::open_private(settings, config.connections_max).await
    }

    /// Opens the database of a private server.
    ///
    /// # Errors
    ///
    /// The server cannot be started, or its database cannot be migrated.
    pub async fn open_private(settings: Settings, connections_max: u32) -> anyhow::Result<Self> {
        let cluster = PrivateCluster::start(settings)
            .await
            .context("no DATABASE_URL is set, and a PostgreSQL server of our own does not start")?;
        // Its owner is called as the schema is: without this, "$user" would come before "public".
        let url = format!("{}&options=-csearch_path%3Dpublic", cluster.url());
        let store = Store::open(&url, connections_max)
            .await
            .context("cannot open the database of our own PostgreSQL server")?;
        Ok(Self {
            store,
            cluster: Some(cluster),
        })
    }

    /// What to type to look inside; never with a password in it.
    pub fn psql_command(&self) -> String {
        match &self.cluster {
            Some(cluster) => cluster.psql_command(),
            None => "psql \"$DATABASE_URL\"".to_owned(),
        }
    }

    /// Lets go of the database; a private server that nobody else uses has ended when this returns.
    ///
    /// Statements that hang are left behind after 5 s.
    pub async fn close(self) {
        let closed = tokio::time::timeout(CLOSE_WAIT_MAX, self.store.pool().close()).await;
        if closed.is_err() {
            tracing::warn!(
                "the database still worked on statements after {CLOSE_WAIT_MAX:?}; they are given up"
            );
        }
        if let Some(cluster) = self.cluster
            && let Err(error) = cluster.stop().await
        {
            tracing::warn!(%error, "our own PostgreSQL server has not ended");
        }
    }
}

fn data_dir(loaded: &Loaded, environment: &Environment) -> PathBuf {
    match &loaded.config.database.data_dir {
        Some(dir) => loaded.base.join(dir),
        None => environment.data_home().join("postgresql"),
    }
}
