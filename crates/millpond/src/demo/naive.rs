//! An integration that does without a mirror: polite, but it asks the API every time.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Context as _;
use simulators::cin7::{Account, Cin7};
use upstream::{
    Class, Client, Connector, Fetched, GateConnection, MemoryGate, PageAsk, RawRecord, Secret,
    connector::Resource,
};

use super::{CALLS_PER_MINUTE, minute};

/// A client on a key of its own.
pub(super) struct Integration {
    client: Client,
    connector: Arc<Connector>,
    /// Its key, by which the service counts its calls.
    pub(super) key: String,
}

impl Integration {
    /// Points one at `sim`; `limited` says whether the service has its limit.
    pub(super) fn new(sim: &Cin7, account: &Account, limited: bool) -> anyhow::Result<Self> {
        let connector = crate::connectors::load_connector("cin7", std::path::Path::new("."))?;
        let key = account
            .keys
            .last()
            .context("the account has no key")?
            .clone();
        let mut limits = connector.limits.clone();
        limits.calls = CALLS_PER_MINUTE;
        limits.per = if limited {
            minute()
        } else {
            std::time::Duration::from_millis(1)
        };
        limits.reserve = 0;
        let gate = MemoryGate::new(vec![GateConnection {
            name: "own".to_owned(),
            limits,
        }]);
        let mut settings = upstream::Settings::new(Arc::clone(&connector), "naive");
        settings.base_url = Some(sim.base_url());
        settings.allow_private_hosts = true;
        let client = Client::new(settings, Arc::new(gate), None)?;
        client.set_connections(&[upstream::Connection {
            name: "own".to_owned(),
            secrets: BTreeMap::from([
                (
                    "account_id".to_owned(),
                    Secret::new(account.account_id.clone()),
                ),
                ("application_key".to_owned(), Secret::new(key.clone())),
            ]),
        }])?;
        Ok(Self {
            client,
            connector,
            key,
        })
    }

    /// Calls of its key that the service counted.
    pub(super) fn calls(&self, sim: &Cin7) -> usize {
        let calls = sim.wiretap().calls();
        calls.iter().filter(|call| call.key == self.key).count()
    }

    /// Every row of the list of orders.
    pub(super) async fn list_orders(&self) -> anyhow::Result<Vec<RawRecord>> {
        let resource = self.resource("sale_header")?;
        let mut rows = Vec::new();
        let mut ask = PageAsk::default();
        loop {
            let page = self
                .client
                .list_page(&resource, ask.clone(), Class::Read)
                .await?;
            rows.extend(page.records);
            match page.next {
                Some(next) => ask.position = next,
                None => return Ok(rows),
            }
        }
    }

    /// One order.
    pub(super) async fn load_order(&self, id: &str) -> anyhow::Result<serde_json::Value> {
        let resource = self.resource("sale")?;
        match self.client.get_record(&resource, id, Class::Read).await? {
            Fetched::Found(record, _) => Ok(serde_json::from_slice(&record.body)?),
            Fetched::Missing(_) => anyhow::bail!("the service has no order {id}"),
        }
    }

    fn resource(&self, name: &str) -> anyhow::Result<Arc<Resource>> {
        let found = self.connector.resource(name);
        found
            .cloned()
            .with_context(|| format!("the connector has no {name}"))
    }
}
