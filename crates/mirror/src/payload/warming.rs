//! Payloads fetched by jobs.

use std::sync::Arc;

use jiff::Timestamp;
use store::ResourceName;

use super::reading::Wish;
use crate::{
    Mirror,
    error::Result,
    warm::{Warming, came},
};

impl Mirror {
    /// Makes a payload of the record `parent` fresh: by calls if its row is older than it may be, or in any case. A record
    /// that is not there, or has no such payload, is none to be warmed.
    ///
    /// # Errors
    ///
    /// [`MirrorError::Upstream`](crate::MirrorError::Upstream) or [`MirrorError::Stale`](crate::MirrorError::Stale) when
    /// a part did not come.
    pub(crate) async fn warm_payload(
        &self,
        payload: &ResourceName,
        instance: &str,
        parent: &str,
        ask: Warming,
    ) -> Result<()> {
        let (account, kind) = self.payload_kind(payload, instance)?;
        let feed = &kind.parent.feed;
        let parent = account
            .store
            .find_record(&kind.parent.name, instance, parent, feed)
            .await?;
        let Some(parent) = parent.filter(|row| row.deleted_at.is_none()) else {
            return Ok(());
        };
        let Some(key) = kind.key(&parent) else {
            return Ok(());
        };
        let ttl = kind.ttl(account, &parent, Timestamp::now()).await?;
        let wish = Wish {
            ttl,
            age_max: ttl.unwrap_or_default(),
            force: ask.force,
            calling: ask.calling,
            patience: None,
        };
        let parent = Arc::new(parent);
        let found = self.fetch_kept(account, kind, &parent, &key, wish).await?;
        came(found.as_ref(), payload)
    }
}
