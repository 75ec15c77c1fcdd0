//! The pages of a listing as a stream, several asked for at once where they have numbers.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use futures::{Stream, StreamExt, stream};
use jiff::Timestamp;
use tokio::sync::mpsc;
use upstream::{
    CallError, Class, Client, Page, PageAsk, Position, Resource, connector::PagingKind,
};

/// Pages of one listing at the most: a listing that never ends is a fault.
const PAGES_MAX: u64 = 1_000_000;

/// A way through a listing.
pub(crate) struct Walk {
    pub client: Client,
    pub resource: Arc<Resource>,
    pub since: Option<Timestamp>,
    pub extra: Vec<(String, String)>,
    pub class: Class,
    /// Pages asked for at once at the most.
    pub ahead: usize,
    /// From the last page to the first.
    pub descending: bool,
    pub from: Position,
    pub remaining: Arc<Remaining>,
}

/// The numbers of pages that are still to be written: a listing that is cut off goes on from there.
#[derive(Debug, Default)]
pub(crate) struct Remaining {
    numbers: Mutex<BTreeSet<u64>>,
    /// When the listing began by our clock and by upstream's, also if it was cut off since.
    pub began: OnceLock<(Timestamp, Timestamp)>,
}

impl Remaining {
    fn plan(&self, numbers: impl IntoIterator<Item = u64>) {
        self.numbers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(numbers);
    }

    pub fn written(&self, number: u64) {
        self.numbers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&number);
    }

    /// The page to go on from once `number` is written as well.
    pub fn after(&self, number: u64, descending: bool) -> Option<u64> {
        let remaining = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut others = remaining.iter().copied().filter(|other| *other != number);
        if descending {
            others.next_back()
        } else {
            others.next()
        }
    }
}

impl Walk {
    /// Whether pages can be asked for by number, in any order.
    pub fn is_numbered(resource: &Resource) -> bool {
        matches!(
            resource.paging.kind,
            PagingKind::Page { .. } | PagingKind::Offset { .. }
        )
    }

    /// All pages from `from` on. The stream ends after the first error. Dropped, it asks for no more pages.
    pub fn pages(self) -> impl Stream<Item = Result<Page, CallError>> {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            let walk = Arc::new(self);
            if let Err(error) = walk.send_all(&sender).await {
                drop(sender.send(Err(error)).await);
            }
        });
        stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|page| (page, receiver))
        })
    }

    async fn send_all(
        self: &Arc<Self>,
        out: &mpsc::Sender<Result<Page, CallError>>,
    ) -> Result<(), CallError> {
        if !Self::is_numbered(&self.resource) {
            return self.send_linked(self.from.clone(), out).await;
        }
        let size = self.resource.paging.size.max(1);
        let begin = if self.descending {
            1
        } else {
            self.from.number()
        };
        let first = self.fetch(Position::page(begin, size)).await?;
        let Some(total) = first.total else {
            let next = first.next.clone();
            if out.send(Ok(first)).await.is_ok()
                && let Some(next) = next
            {
                self.send_linked(next, out).await?;
            }
            return Ok(());
        };
        let mut pages = pages_of(total, size);
        let mut order: Vec<u64> = (begin + 1..=pages).collect();
        if self.descending {
            order.reverse();
            if self.from != Position::First {
                // A resumed walk has read from the end down to here.
                order.retain(|number| *number <= self.from.number());
            }
        }
        // The first page is still to be written as well: a later one may be written before it.
        self.remaining
            .plan(std::iter::once(begin).chain(order.iter().copied()));
        if out.send(Ok(first)).await.is_err() {
            return Ok(());
        }
        loop {
            let mut fetches = stream::iter(order.clone())
                .map(|number| self.fetch(Position::page(number, size)))
                .buffered(self.ahead.max(1));
            let mut total_now = total;
            while let Some(page) = fetches.next().await {
                let page = page?;
                total_now = total_now.max(page.total.unwrap_or(0));
                if out.send(Ok(page)).await.is_err() {
                    return Ok(());
                }
            }
            // Records were added while we read: there may be more pages now.
            let grown = pages_of(total_now, size);
            if self.descending || grown <= pages || grown > PAGES_MAX {
                return Ok(());
            }
            order = (pages + 1..=grown).collect();
            self.remaining.plan(order.iter().copied());
            pages = grown;
        }
    }

    /// One page after the other, each naming the next.
    async fn send_linked(
        self: &Arc<Self>,
        mut position: Position,
        out: &mpsc::Sender<Result<Page, CallError>>,
    ) -> Result<(), CallError> {
        for _ in 0..PAGES_MAX {
            let page = self.fetch(position).await?;
            let next = page.next.clone();
            if out.send(Ok(page)).await.is_err() {
                return Ok(());
            }
            match next {
                Some(next) => position = next,
                None => return Ok(()),
            }
        }
        Err(CallError::Unusable {
            call: self.resource.name.clone(),
            reason: format!("the listing did not end after {PAGES_MAX} pages"),
        })
    }

    /// A page, read in a task of its own: cutting one must not wait for the writing of another.
    async fn fetch(self: &Arc<Self>, position: Position) -> Result<Page, CallError> {
        let walk = Arc::clone(self);
        let ask = PageAsk {
            position,
            since: self.since,
            until: None,
            page_size: None,
            extra: self.extra.clone(),
        };
        let page =
            tokio::spawn(
                async move { walk.client.list_page(&walk.resource, ask, walk.class).await },
            );
        match page.await {
            Ok(page) => page,
            Err(_) => Err(CallError::Unusable {
                call: self.resource.name.clone(),
                reason: "reading it failed inside Millpond".to_owned(),
            }),
        }
    }
}

fn pages_of(total: u64, size: u32) -> u64 {
    total.div_ceil(u64::from(size))
}
