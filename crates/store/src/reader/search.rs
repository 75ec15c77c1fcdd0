//! Searches behind the SQL door: they see what their scope lets be seen, and the database itself sees to it.

use std::{future::Future, time::Duration};

use sqlx::PgConnection;

use super::{QueryError, Reader, Scope, SearchError};
use crate::{
    ResourceName,
    error::Result as StoreResult,
    read::{FacetAsk, Facets, Search, SearchPage, facets_on, search_on},
};

/// A question that is asked again once the role has been granted what it needs.
trait Look: Sync {
    type Found;

    fn on(&self, tx: &mut PgConnection) -> impl Future<Output = StoreResult<Self::Found>> + Send;
}

struct PageOf<'a> {
    search: &'a Search,
    feed: &'a ResourceName,
}

impl Look for PageOf<'_> {
    type Found = SearchPage;

    async fn on(&self, tx: &mut PgConnection) -> StoreResult<SearchPage> {
        search_on(tx, self.search, self.feed).await
    }
}

struct FacetsOf<'a> {
    search: &'a Search,
    ask: &'a FacetAsk,
}

impl Look for FacetsOf<'_> {
    type Found = Facets;

    async fn on(&self, tx: &mut PgConnection) -> StoreResult<Facets> {
        facets_on(tx, self.search, self.ask).await
    }
}

impl Reader {
    /// Finds records as [`Store::search`](crate::Store::search) does, of what `scope` lets be seen.
    ///
    /// # Errors
    ///
    /// [`SearchError::Search`] as that search; [`SearchError::Door`] when the door is full or locked.
    pub async fn search_as(
        &self,
        scope: Scope<'_>,
        search: &Search,
        feed: &ResourceName,
    ) -> Result<SearchPage, SearchError> {
        self.look(scope, search.timeout, PageOf { search, feed })
            .await
    }

    /// Counts values as [`Store::facets`](crate::Store::facets) does, of what `scope` lets be seen.
    ///
    /// # Errors
    ///
    /// As [`Self::search_as`].
    pub async fn facets_as(
        &self,
        scope: Scope<'_>,
        search: &Search,
        ask: &FacetAsk,
    ) -> Result<Facets, SearchError> {
        self.look(scope, search.timeout, FacetsOf { search, ask })
            .await
    }

    async fn look<L: Look>(
        &self,
        scope: Scope<'_>,
        limit: Duration,
        look: L,
    ) -> Result<L::Found, SearchError> {
        let mut granted = false;
        loop {
            let sessions = self.sessions(scope)?;
            let _place = sessions.take_place(limit).await?;
            let mut session = self.begin(scope, limit).await?;
            match look.on(session.connection()).await {
                Err(error) if error.is_not_granted() && !granted => {
                    granted = true;
                    sessions.grant_again().await.map_err(QueryError::from)?;
                }
                other => {
                    session.give_back().await;
                    return other.map_err(SearchError::Search);
                }
            }
        }
    }
}
