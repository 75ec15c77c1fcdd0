//! Calls that somebody makes on purpose: writes, and reads that must come from upstream. What is read goes into the
//! mirror on its way.

use bytes::Bytes;
use store::records::{FetchMark, PageWrite};
use upstream::{Answer, Call, CallError, Class, Fetched, PageAsk, RawRecord};

use crate::{
    Mirror,
    account::{Account, Kind},
    error::{MirrorError, Result},
};
use store::ResourceName;

/// Pages of a filtered listing at the most.
const PAGES_MAX: usize = 20;

impl Mirror {
    /// Makes one call to an instance, within its budget. Writes are made again only when they certainly did not
    /// arrive; the mirror learns of them when the touched records are read.
    ///
    /// # Errors
    ///
    /// [`MirrorError::Unknown`] for an instance that is none; otherwise [`MirrorError::Upstream`].
    pub async fn call(&self, instance: &str, call: Call) -> Result<Answer> {
        let account = self.account(instance)?;
        let answered = account.client.call(call).await;
        answered.map_err(|source| failed(account, source))
    }

    /// One record from upstream, whatever the mirror has; the mirror has it too afterwards. `None`: upstream has it
    /// no more, and it is gone from the mirror too.
    ///
    /// # Errors
    ///
    /// [`MirrorError::Unknown`] for names that mean nothing; [`MirrorError::Upstream`] without an answer.
    pub async fn fetch(
        &self,
        resource: &ResourceName,
        instance: &str,
        id: &str,
        class: Class,
    ) -> Result<Option<Bytes>> {
        let (account, kind) = self.account_and_kind(resource, instance)?;
        let fetched = account.client.get_record(&kind.resource, id, class).await;
        match fetched.map_err(|source| failed(account, source))? {
            Fetched::Found(record, meta) => {
                let body = record.body.clone();
                let mark = record.id.clone().map(|id| FetchMark {
                    id,
                    asked_at: meta.asked_at,
                    fetched_at: meta.answered_at,
                    signature: None,
                    generation: None,
                });
                write(account, kind, vec![record], mark, meta.asked_at).await?;
                Ok(Some(body))
            }
            Fetched::Missing(meta) => {
                let id = if kind.resource.key_lower {
                    id.to_lowercase()
                } else {
                    id.to_owned()
                };
                account
                    .store
                    .tombstone(&kind.name, instance, &[id], meta.asked_at, None, &[])
                    .await?;
                Ok(None)
            }
        }
    }

    /// The rows of a listing that pass upstream's own filter, by id; the mirror has them too afterwards. Rows that
    /// upstream no longer shows stay as they are: only whole listings delete.
    ///
    /// # Errors
    ///
    /// [`MirrorError::Unknown`] for names that mean nothing; [`MirrorError::Upstream`] without an answer, or with
    /// more than 20 pages.
    pub async fn fetch_rows(
        &self,
        resource: &ResourceName,
        instance: &str,
        filter: &[(&str, &str)],
        class: Class,
    ) -> Result<Vec<(String, Bytes)>> {
        let (account, kind) = self.account_and_kind(resource, instance)?;
        let extra = filter
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut ask = PageAsk {
            extra: extra.collect(),
            ..PageAsk::default()
        };
        let mut rows = Vec::new();
        for _ in 0..PAGES_MAX {
            let page = account
                .client
                .list_page(&kind.resource, ask.clone(), class)
                .await;
            let page = page.map_err(|source| failed(account, source))?;
            let known = page
                .records
                .iter()
                .filter(|record| record.problem.is_none());
            rows.extend(known.filter_map(|record| Some((record.id.clone()?, record.body.clone()))));
            write(account, kind, page.records, None, page.meta.asked_at).await?;
            match page.next {
                Some(next) => ask.position = next,
                None => return Ok(rows),
            }
        }
        let reason = format!("more than {PAGES_MAX} pages pass the filter");
        let source = CallError::Unusable {
            call: kind.name.to_string(),
            reason,
        };
        Err(failed(account, source))
    }

    fn account_and_kind(
        &self,
        resource: &ResourceName,
        instance: &str,
    ) -> Result<(&Account, &Kind)> {
        let account = self.account(instance)?;
        match account.kind(resource) {
            Some(kind) => Ok((account, kind)),
            None => Err(self.unknown_resource(resource)),
        }
    }
}

fn failed(account: &Account, source: CallError) -> MirrorError {
    MirrorError::Upstream {
        instance: account.settings.name.clone(),
        source,
    }
}

async fn write(
    account: &Account,
    kind: &Kind,
    records: Vec<RawRecord>,
    mark: Option<FetchMark>,
    asked_at: jiff::Timestamp,
) -> Result<()> {
    let instance = account.settings.name.as_str();
    let (records, refused) = kind.incoming(records, asked_at);
    for refused in &refused {
        account
            .store
            .quarantine(&kind.name, instance, refused, None)
            .await?;
    }
    let children = kind.child_specs(Class::Event);
    let page = PageWrite {
        resource: &kind.name,
        instance,
        run: None,
        records,
        likely_new: false,
        children: &children,
        fetches: mark.into_iter().collect(),
        progress: None,
    };
    account.store.write_page(page).await?;
    Ok(())
}
