//! How often changes feeds are asked: those whose records somebody reads as often as their share of the budget allows.

use std::time::Duration;

use freshness::{Allowance, look_every};
use jiff::{SignedDuration, Timestamp};

use crate::account::{Account, Kind};

/// A feed of which nothing was read for so long keeps the interval of its connector.
const READ_WITHIN: SignedDuration = SignedDuration::from_secs(600);

impl Account {
    /// How often the feed of `kind` is asked now; `every` is what connector, configuration or a person say, and never
    /// exceeded.
    pub(crate) async fn feed_every(&self, kind: &Kind, every: Duration) -> Duration {
        if !self.spending.is_priced() {
            return every;
        }
        let now = Timestamp::now();
        let feeds = self.read_feeds(now);
        if feeds == 0 || !self.is_read(kind, now) {
            return every;
        }
        let Ok(left) = self.spending.left.calls(self).await else {
            return every;
        };
        let settings = &self.spending.settings;
        let bounds = (settings.feed_every_min, every);
        let allowance = Allowance {
            limit: left.limit.unwrap_or(u32::MAX),
            window: left.window,
            free: left.free,
        };
        look_every(bounds, feeds, settings.feed_share, left.people, &allowance)
    }

    /// How many feeds tell of something that is read.
    pub(super) fn read_feeds(&self, now: Timestamp) -> usize {
        let read = self.fed_kinds().filter(|kind| self.is_read(kind, now));
        read.count()
    }

    /// Whether somebody has read records of `kind` lately, or payloads of which its feed tells.
    fn is_read(&self, kind: &Kind, now: Timestamp) -> bool {
        let book = self.spending.book();
        let told = self.payloads.iter().filter(|payload| {
            let mut tellers = payload.payload.told_by.iter();
            tellers.any(|told| told.of == kind.resource.name)
        });
        let mut names = told
            .map(|payload| &payload.name)
            .chain(std::iter::once(&kind.name));
        names.any(|name| {
            book.last_read(name)
                .is_some_and(|at| now.duration_since(at) < READ_WITHIN)
        })
    }
}
