//! Search answers through the cache: the same question about the same state of the records is computed once.

use std::error::Error;

use cache::{Answer, LoadError, Loaded, Source, Tenant};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use store::read::{Search, SearchPage};

use super::Hot;

/// A page of search results as it is kept hot.
#[derive(Debug, Serialize, Deserialize)]
pub struct HotPage {
    /// The page.
    pub page: SearchPage,
    /// The newest snapshot when it was computed.
    pub snapshot: i64,
}
cache::cacheable!(HotPage, shape = 1);

/// A page of search results. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SearchAnswer(Answer<HotPage>);

impl SearchAnswer {
    /// The page.
    pub fn page(&self) -> Option<&HotPage> {
        self.0.value()
    }

    /// `mirror`, or `cache`.
    pub fn source(&self) -> &'static str {
        match self.0.source() {
            Source::Loader => "mirror",
            _ => "cache",
        }
    }
}

impl Hot {
    /// The answer to `search` on behalf of `tenant`, whose answers nobody else is given: kept, or computed by
    /// `load`.
    ///
    /// It is at most as old as the settings say, and not older than the last change of the resource's records that
    /// this process has heard of. Dropping the future does not stop a load that it began.
    ///
    /// # Errors
    ///
    /// [`LoadError::Failed`] with what `load` said.
    pub async fn search<F, L, E>(
        &self,
        tenant: &str,
        search: &Search,
        load: F,
    ) -> Result<SearchAnswer, LoadError>
    where
        F: FnOnce() -> L + Send + 'static,
        L: Future<Output = Result<HotPage, E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
    {
        let resource = search.resource.as_str();
        let generation = self.families.generations.of(resource);
        let parts = (resource.to_owned(), fingerprint(search, &generation));
        let family = &self.families.searches;
        let key = self.cache.key(family, Tenant(tenant), &parts);
        let load = move || async move {
            let began = Timestamp::now();
            let page = load().await?;
            Ok::<_, E>(Loaded::found(page, began))
        };
        Ok(SearchAnswer(self.cache.get_or_load(&key, load).await?))
    }
}

/// A hash over everything that decides the answer, in one order whatever the order of the question.
fn fingerprint(search: &Search, generation: &str) -> String {
    let Search {
        resource,
        instances,
        visible,
        criteria,
        contains,
        json_path,
        deleted,
        limit,
        after,
        timeout: _,
        at,
    } = search;
    let sorted = |mut texts: Vec<String>| {
        texts.sort();
        texts.dedup();
        texts
    };
    let question = serde_json::json!({
        "resource": resource.as_str(),
        "generation": generation,
        "instances": sorted(instances.clone()),
        "visible": visible.clone().map(sorted),
        "criteria": sorted(criteria.iter().map(|criterion| format!("{criterion:?}")).collect()),
        "contains": contains,
        "json_path": json_path,
        "deleted": deleted,
        "limit": limit,
        "after": after,
        "snapshot": at.as_ref().map(|at| at.number),
    });
    let digest = Sha256::digest(question.to_string().as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
