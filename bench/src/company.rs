//! One simulated company and its mirror, in a database of their own.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::Result;
use mirror::{ConnectionSettings, InstanceSettings, Mirror, ResourceFilter, SecretSource};
use simulators::cin7::{Account, Cin7};
use store::{Store, instances::CallLimit, private::PrivateCluster};
use upstream::{Connector, Secret};

struct Keys(Account);

impl SecretSource for Keys {
    fn resolve(&self, place: &str) -> Result<Secret, String> {
        match place {
            "account" => Ok(Secret::new(&self.0.account_id)),
            _ => Ok(Secret::new(&self.0.keys[0])),
        }
    }
}

/// A mirror of these resources of the account, as the instance `uk`; calls are next to free.
pub async fn open(
    cluster: &PrivateCluster,
    upstream: &Cin7,
    account: &Account,
    resources: &[&str],
) -> Result<Mirror> {
    let connector = Connector::parse(
        "cin7-core.toml",
        include_str!("../../connectors/cin7-core.toml"),
    )
    .map_err(|problems| anyhow::anyhow!("{problems}"))?;
    let secret = |key: &str, place: &str| (key.to_owned(), place.to_owned());
    let settings = InstanceSettings {
        name: "uk".to_owned(),
        connector: Arc::new(connector),
        base_url: Some(upstream.base_url()),
        currency: None,
        reporting: None,
        connections: vec![ConnectionSettings {
            name: "main".to_owned(),
            secrets: BTreeMap::from([
                secret("account_id", "account"),
                secret("application_key", "key"),
            ]),
            limit: None,
            share: None,
        }],
        resources: ResourceFilter::Only(resources.iter().map(|&name| name.to_owned()).collect()),
        schedules: Vec::new(),
        quiet: None,
        private_hosts: true,
        timeout: None,
        limit: Some(CallLimit {
            calls: 600,
            window: Duration::from_millis(50),
        }),
        concurrency: Some(8),
        chores: Default::default(),
        freshness: Default::default(),
    };
    let store = Store::open(&cluster.url_of("postgres"), 10).await?;
    Ok(Mirror::open(store, vec![settings], Arc::new(Keys(account.clone())), None).await?)
}
