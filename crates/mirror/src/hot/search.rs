//! Search answers through the cache: the same question about the same state of the records is computed once.

use std::{collections::BTreeSet, error::Error};

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

/// Everything that decides the answer, in one order whatever the order of the question.
#[derive(Serialize)]
struct Asked<'a> {
    resource: &'a str,
    generation: &'a str,
    instances: BTreeSet<&'a str>,
    visible: Option<BTreeSet<&'a str>>,
    criteria: BTreeSet<String>,
    contains: &'a Option<serde_json::Value>,
    json_path: &'a Option<String>,
    deleted: bool,
    limit: i64,
    after: &'a Option<String>,
    snapshot: Option<i64>,
}

/// A hash over what is asked of which state of the records.
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
    let criteria: BTreeSet<String> = criteria
        .iter()
        .map(|criterion| format!("{criterion:?}"))
        .collect();
    let asked = Asked {
        resource: resource.as_str(),
        generation,
        instances: sorted(instances),
        visible: visible.as_deref().map(sorted),
        criteria,
        contains,
        json_path,
        deleted: *deleted,
        limit: *limit,
        after,
        snapshot: at.as_ref().map(|at| at.number),
    };
    let text = serde_json::to_vec(&asked).unwrap_or_default();
    hex::encode(Sha256::digest(text))
}

fn sorted(texts: &[String]) -> BTreeSet<&str> {
    texts.iter().map(String::as_str).collect()
}

#[cfg(test)]
mod tests;
