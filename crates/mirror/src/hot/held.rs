//! What is kept hot for a record, and for how much longer.

use cache::Presence;
use serde::Serialize;
use store::ResourceName;

use crate::{Mirror, error::Result, reading};

/// A value that is kept hot for a record, or would be if somebody asked.
#[derive(Debug, Serialize)]
pub struct HotValue {
    /// `record`, or the payload by the name under which it is asked for.
    pub value: String,
    /// The table that holds its row.
    pub resource: ResourceName,
    /// The row's id there.
    pub id: String,
    /// The key, as tools name it.
    pub key: String,
    /// `held`, `missing`, or `unknown` when the store is away or off.
    pub state: &'static str,
    /// Seconds since it was loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_secs: Option<f64>,
    /// Seconds that it has left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in_secs: Option<f64>,
}

impl Mirror {
    /// The hot values of a record: its own and those of its payloads. Makes no call and loads nothing.
    ///
    /// `None`: the mirror has no such record.
    ///
    /// # Errors
    ///
    /// [`MirrorError::Unknown`](crate::MirrorError::Unknown) for names that mean nothing; the database's own.
    pub async fn hot_values(
        &self,
        resource: &ResourceName,
        instance: &str,
        id: &str,
    ) -> Result<Option<Vec<HotValue>>> {
        let (account, kind) = self.find_kind(resource, instance)?;
        let id = kind.id(id);
        let Some(found) = reading::peek(account, kind, &id).await? else {
            return Ok(None);
        };
        let record = found.record;
        let own = ("record".to_owned(), resource.clone(), record.id.clone());
        let payloads = account.payloads_of(resource).filter_map(|kind| {
            let row = kind.key(&record)?.row_id();
            Some((kind.payload.short_name().to_owned(), kind.name.clone(), row))
        });
        let mut values = Vec::new();
        for (value, resource, id) in std::iter::once(own).chain(payloads) {
            let Some(key) = self.hot().key(&resource, instance, &id) else {
                continue;
            };
            let presence = self.hot().cache().presence(key.name()).await;
            let (state, held) = match presence {
                Presence::Held {
                    age, expires_in, ..
                } => ("held", Some((age.as_secs_f64(), expires_in.as_secs_f64()))),
                Presence::Missing => ("missing", None),
                Presence::Unknown => ("unknown", None),
            };
            values.push(HotValue {
                key: format!("i={instance}:{}", key.logical()),
                value,
                resource,
                id,
                state,
                age_secs: held.map(|(age, _)| age),
                expires_in_secs: held.map(|(_, left)| left),
            });
        }
        Ok(Some(values))
    }
}
