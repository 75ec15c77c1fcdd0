//! Payloads: what is fetched per record of a parent, all parts or nothing, and kept as a row of the mirror.

mod compose;
mod fetch;
mod reading;
mod warming;
mod writing;

use std::sync::Arc;

pub use self::{
    reading::{Detail, PayloadAnswer},
    writing::{PayloadWrite, Refreshed, Written},
};

use jiff::Timestamp;
use store::{ResourceName, read::RecordRow};
use upstream::{Class, PayloadKey, connector::Payload};

use crate::{
    Mirror,
    account::{Account, Kind},
    error::{MirrorError, Result},
    reading::ReadAnswer,
    settings::InstanceSettings,
};

/// One kind of payload of an instance.
#[derive(Debug)]
pub(crate) struct PayloadKind {
    pub payload: Arc<Payload>,
    /// Its table: `connectwise.opportunity_notes`.
    pub name: ResourceName,
    pub parent: Arc<Kind>,
}

impl PayloadKind {
    /// The payloads of the chosen resources of a connector.
    pub fn all_of(settings: &InstanceSettings, kinds: &[Arc<Kind>]) -> Result<Vec<Arc<Self>>> {
        let connector = &settings.connector;
        let mut payloads = Vec::new();
        for payload in &connector.payloads {
            let Some(parent) = kinds.iter().find(|kind| kind.resource.name == payload.of) else {
                continue;
            };
            payloads.push(Arc::new(Self {
                payload: Arc::clone(payload),
                name: ResourceName::new(&connector.name, &payload.name)?,
                parent: Arc::clone(parent),
            }));
        }
        Ok(payloads)
    }

    /// The key of the payload of `parent`; `None` when it has none.
    pub fn key(&self, parent: &RecordRow) -> Option<PayloadKey> {
        self.payload.key(&parent.id, parent.body.get().as_bytes())
    }
}

impl Account {
    /// The payloads of one resource.
    pub fn payloads_of<'a>(
        &'a self,
        parent: &'a ResourceName,
    ) -> impl Iterator<Item = &'a Arc<PayloadKind>> {
        self.payloads
            .iter()
            .filter(move |kind| kind.parent.name == *parent)
    }

    /// Tables whose rows have the ids of `parent`'s records and vanish with them.
    pub fn dependents(&self, parent: &Kind) -> Vec<ResourceName> {
        let children = parent.children.iter().filter(|child| child.shares_ids());
        let payloads = self
            .payloads_of(&parent.name)
            .filter(|kind| kind.payload.shares_ids());
        children
            .map(|child| child.name.clone())
            .chain(payloads.map(|kind| kind.name.clone()))
            .collect()
    }
}

impl Mirror {
    /// Fetches a payload of the record `parent` anew, in calls of `class`, one after the other, and writes its row.
    ///
    /// `None`: the record has no such payload, or upstream no longer has it. Dropping the future writes nothing.
    ///
    /// # Errors
    ///
    /// [`MirrorError::Unknown`] for names that mean nothing; [`MirrorError::Upstream`] when a part did not come: the
    /// row then stays as it was.
    pub async fn fetch_payload(
        &self,
        payload: &ResourceName,
        instance: &str,
        parent: &str,
        class: Class,
    ) -> Result<Option<ReadAnswer>> {
        let (account, kind) = self.payload_kind(payload, instance)?;
        let parent = account
            .store
            .find_record(&kind.parent.name, instance, parent, &kind.parent.feed)
            .await?;
        let Some(parent) = parent.filter(|row| row.deleted_at.is_none()) else {
            return Ok(None);
        };
        let Some(key) = kind.key(&parent) else {
            return Ok(None);
        };
        let ttl = kind.ttl(account, &parent, Timestamp::now()).await?;
        let (parent, wish) = (Arc::new(parent), reading::Wish::anew(class, ttl));
        self.fetch_kept(account, kind, &parent, &key, wish).await
    }

    /// The table of the payload that readers of `resource` call `name`.
    ///
    /// # Errors
    ///
    /// [`MirrorError::Unknown`] when there is none of that name.
    pub fn payload_of(
        &self,
        resource: &ResourceName,
        instance: &str,
        name: &str,
    ) -> Result<ResourceName> {
        let (account, _) = self.find_kind(resource, instance)?;
        Ok(self.included(account, resource, name)?.name.clone())
    }

    pub(crate) fn payload_kind(
        &self,
        payload: &ResourceName,
        instance: &str,
    ) -> Result<(&Arc<Account>, &Arc<PayloadKind>)> {
        let account = self.account(instance)?;
        let found = account.payloads.iter().find(|kind| kind.name == *payload);
        let kind = found.ok_or_else(|| {
            let known = account.payloads.iter().map(|kind| kind.name.as_str());
            MirrorError::Unknown {
                what: "payload",
                name: payload.to_string(),
                known: known.collect::<Vec<_>>().join(", "),
            }
        })?;
        Ok((account, kind))
    }
}
