//! Who of an instance's records gets the calls: a desk of [`freshness`] that hears of every read and every fetch in this
//! process, shares what it learned with other processes through PostgreSQL, and decides by the instance's policy.
//!
//! Under `tiers` it only learns, for forecasts and explanations: the TTL tables decide. Under `priced` it says at each
//! read whether the copy is served, refreshed behind the reader's back, or refreshed first, and what is fetched with
//! calls that nobody else wants ([`behind`]). Nobody is answered with a copy older than the instance's `max_age`: the
//! loader of every hot value asks upstream first then, whatever a call costs.

mod attend;
mod behind;
mod book;
mod explain;
mod feeds;
mod forecast;
mod left;
mod read;
mod told;

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use freshness::{Decision, Policy};
use jiff::Timestamp;
use store::{ResourceName, read::RecordRow};

use crate::{account::Account, reading::ReadAsk, settings::FreshnessSettings};

pub(crate) use self::{attend::attend, behind::spend, book::Target};
use self::{book::Book, left::Left};
pub use self::{
    explain::{Explained, LastDecision},
    forecast::{ForecastRow, Forecasted},
};

/// The desk of one instance in this process.
pub(crate) struct Spending {
    pub settings: FreshnessSettings,
    /// This process, unlike any other's.
    by: String,
    book: Mutex<Book>,
    left: Left,
    /// Up to when each resource's feed is in and has been heard of here.
    confirmed: Mutex<HashMap<ResourceName, Timestamp>>,
    /// Whether somebody in this process has begun to attend to it.
    is_taken: AtomicBool,
    /// Whether somebody in this process saves and shares what is learned: commands that read once do not.
    is_attended: AtomicBool,
}

impl Spending {
    pub fn new(settings: FreshnessSettings, now: Timestamp) -> Self {
        Self {
            settings,
            by: format!("{:016x}", rand::random::<u64>()),
            book: Mutex::new(Book::new(settings.policy, settings.max_age, now)),
            left: Left::default(),
            confirmed: Mutex::default(),
            is_taken: AtomicBool::new(false),
            is_attended: AtomicBool::new(false),
        }
    }

    /// Whether reads are decided about by their price.
    pub fn is_priced(&self) -> bool {
        self.settings.policy == Policy::Priced
    }

    /// Whether what is read here is learned from.
    pub fn is_attended(&self) -> bool {
        self.is_attended.load(Ordering::Relaxed)
    }

    /// How long a hot value lives that the TTL tables give this life: under `priced` as long as the promise.
    pub fn life(&self, tier: Option<Duration>) -> Option<Duration> {
        if self.is_priced() {
            tier.map(|_| self.settings.max_age)
        } else {
            tier
        }
    }

    /// How old something may be served that the TTL tables give this life; `None`: of any age.
    pub fn age_max(&self, tier: Option<Duration>) -> Option<Duration> {
        if self.is_priced() {
            Some(self.settings.max_age)
        } else {
            tier
        }
    }

    /// How long a reader waits for a load before it takes the copy there is, however old; `None`: as long as it takes,
    /// because it says how fresh, or because of the promise of `priced`.
    pub fn patience(&self, ask: ReadAsk) -> Option<Duration> {
        let takes_any = ask.max_age.is_none() && !ask.fresh && !self.is_priced();
        takes_any.then_some(self.settings.patience)
    }

    /// Whether the life by the TTL tables of a record or payload should be worked out anew.
    pub fn wants_tier(&self, resource: &ResourceName, id: &str, now: Timestamp) -> bool {
        self.is_attended() && self.book().wants_tier(resource, id, now)
    }

    /// When upstream was last known to say what a row says: its own fetch, or the feeds that would have told.
    fn confirmed(&self, row: &RecordRow, target: &Target, account: &Account) -> Timestamp {
        let feeds = {
            let confirmed = self.confirmed.lock();
            let confirmed = confirmed.unwrap_or_else(PoisonError::into_inner);
            confirmed.get(&target.resource).copied()
        };
        let Some(feeds) = feeds else {
            return row.as_of;
        };
        if account.kind(&target.resource).is_some() {
            // A change of the record itself has replaced the row.
            return row.as_of.max(feeds);
        }
        self.book().confirmed(target, row.as_of, feeds)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A decision as people read it.
fn said(decision: Decision) -> &'static str {
    match decision {
        Decision::Serve => "served",
        Decision::ServeThenRefresh => "served, and fetched behind the reader's back",
        Decision::RefreshFirst => "fetched before the reader was answered",
    }
}
