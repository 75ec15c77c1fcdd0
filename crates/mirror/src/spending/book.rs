//! What one process knows of an instance's records: a desk, and the names behind its numbers. Pure: time and what the
//! budget has left are arguments.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use freshness::{
    Allowance, Decision, Desk, Explanation, Learned, Policy, RecordState, Seen, SharedState, Slot,
};
use jiff::{SignedDuration, Timestamp};
use store::{
    ResourceName,
    learned::{LEARNED_MAX, LearnedRow},
};

/// Most records and payloads of one instance; when it is reached those read longest ago make room.
pub(super) const RECORDS_MAX: usize = LEARNED_MAX as usize;

/// What nobody has read for so long is forgotten, and no longer kept younger than promised before somebody reads it.
pub(super) const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// The life by the TTL tables is worked out anew after this: it depends on the time.
const TIER_TRUST: SignedDuration = SignedDuration::from_secs(20);

/// A fetch that seems to lie further ahead was stamped by a clock that has jumped.
const AHEAD_MAX: SignedDuration = SignedDuration::from_secs(60);

/// A record or payload that may be fetched.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    /// Its table.
    pub resource: ResourceName,
    /// Its row's id.
    pub id: String,
    /// The record whose payload it is; its own id if it is a record.
    pub record: String,
}

/// A row as somebody saw it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sight {
    pub version: i64,
    /// When it was fetched or written.
    pub own_at: Timestamp,
    /// When upstream was last known to say this: then, or by a feed that would have told.
    pub as_of: Timestamp,
    /// Upstream's stamp of the last change.
    pub stamp: Option<Timestamp>,
}

/// What is known of a record.
pub(super) struct Known {
    pub explanation: Explanation,
    /// What was decided for the last reader, and when.
    pub last: Option<(String, Timestamp)>,
    pub tier: Option<Duration>,
}

struct Entry {
    slot: Slot,
    target: Target,
    version: i64,
    /// When upstream was last known to say what the row says.
    fetched_at: Timestamp,
    /// When the row was fetched itself.
    own_at: Timestamp,
    /// Since when this process hears what feeds tell of it.
    known_since: Timestamp,
    /// When a feed told last that it changed.
    told_at: Option<Timestamp>,
    tier: Option<Duration>,
    tier_at: Option<Timestamp>,
    read_at: Timestamp,
    /// Reads that were not saved yet.
    reads: u32,
    is_unsaved: bool,
    decided: Option<(Decision, Timestamp)>,
    /// What another process decided, if nobody here did since.
    said: Option<(String, Timestamp)>,
}

/// See the module's comment.
pub(super) struct Book {
    desk: Desk,
    max_age: Duration,
    places: HashMap<ResourceName, HashMap<String, u32>>,
    entries: Vec<Option<Entry>>,
    unsaved: Vec<u32>,
    /// When something of each resource was read last.
    read_at: BTreeMap<ResourceName, Timestamp>,
}

impl Book {
    pub fn new(policy: Policy, max_age: Duration, now: Timestamp) -> Self {
        Self {
            desk: Desk::new(policy, now),
            max_age,
            places: HashMap::new(),
            entries: Vec::new(),
            unsaved: Vec::new(),
            read_at: BTreeMap::new(),
        }
    }

    /// Goes on with what was learned over all records together.
    pub fn resume(&mut self, state: &SharedState, now: Timestamp) {
        if self.desk.is_empty() {
            self.desk = Desk::resume(self.desk.policy(), now, state);
        }
    }

    pub fn shared(&self, now: Timestamp) -> SharedState {
        self.desk.save_shared(now)
    }

    pub fn len(&self) -> usize {
        self.desk.len()
    }

    /// When something of a resource was read last.
    pub fn last_read(&self, resource: &ResourceName) -> Option<Timestamp> {
        self.read_at.get(resource).copied()
    }

    fn place(&self, resource: &ResourceName, id: &str) -> Option<usize> {
        let place = self.places.get(resource)?.get(id)?;
        Some(*place as usize)
    }

    fn entry(&mut self, resource: &ResourceName, id: &str) -> Option<&mut Entry> {
        let place = self.place(resource, id)?;
        self.entries[place].as_mut()
    }

    /// Learns from a row, if it tells of a fetch that was not heard of yet: a version as before was unchanged until then.
    /// Answers whether it did.
    pub fn see(&mut self, target: &Target, sight: Sight, now: Timestamp) -> bool {
        let Some(place) = self.place(&target.resource, &target.id) else {
            self.make_room();
            let slot = self.desk.add(sight.as_of, sight.stamp, self.max_age);
            self.put(Entry {
                slot,
                target: target.clone(),
                version: sight.version,
                fetched_at: sight.as_of,
                own_at: sight.own_at,
                known_since: now,
                told_at: None,
                tier: None,
                tier_at: None,
                read_at: now,
                reads: 0,
                is_unsaved: false,
                decided: None,
                said: None,
            });
            self.mark(&target.resource, &target.id);
            return true;
        };
        let Some(entry) = &mut self.entries[place] else {
            return false;
        };
        if entry.fetched_at > now + AHEAD_MAX && sight.as_of <= now + AHEAD_MAX {
            // The clock jumped ahead and is back: what it stamped would be fresh for ever.
            let mut learned = self.desk.save(entry.slot).learned();
            learned.fetched_at = sight.as_of;
            learned.read_at = learned.read_at.min(now);
            if let Ok(state) = RecordState::of(&learned) {
                self.desk.remove(entry.slot);
                let slot = self.desk.restore(&state, self.max_age);
                let moved = self.entries[place].take();
                self.places
                    .entry(target.resource.clone())
                    .or_default()
                    .remove(&target.id);
                if let Some(entry) = moved {
                    self.put(Entry {
                        slot,
                        fetched_at: sight.as_of,
                        read_at: now,
                        ..entry
                    });
                }
            }
            return true;
        }
        if sight.as_of <= entry.fetched_at || sight.version < entry.version {
            return false;
        }
        let seen = match sight.stamp {
            _ if sight.version == entry.version => Seen::Unchanged,
            Some(stamp) => Seen::ChangedAt(stamp),
            None => Seen::Changed,
        };
        (entry.fetched_at, entry.version) = (sight.as_of, sight.version);
        entry.own_at = entry.own_at.max(sight.own_at);
        entry.target.record.clone_from(&target.record);
        let slot = entry.slot;
        self.desk.fetched(slot, sight.as_of, seen);
        self.mark(&target.resource, &target.id);
        true
    }

    pub fn wants_tier(&self, resource: &ResourceName, id: &str, now: Timestamp) -> bool {
        let place = self.place(resource, id);
        let entry = place.and_then(|place| self.entries[place].as_ref());
        entry
            .and_then(|entry| entry.tier_at)
            .is_none_or(|at| now.duration_since(at) > TIER_TRUST)
    }

    /// Notes how long a value may live by the TTL tables.
    pub fn set_tier(&mut self, target: &Target, tier: Option<Duration>, now: Timestamp) {
        if let Some(entry) = self.entry(&target.resource, &target.id) {
            (entry.tier, entry.tier_at) = (tier, Some(now));
            let slot = entry.slot;
            self.desk.set_lifetime(slot, tier);
        }
    }

    /// Notes a read about which nothing is decided.
    pub fn note_read(&mut self, target: &Target, now: Timestamp) {
        if let Some(slot) = self.count_read(target, now) {
            self.desk.note_read(slot, now);
        }
    }

    /// Decides what a reader gets who does not say how fresh. An answer other than `Serve` is a promise to call.
    pub fn decide(&mut self, target: &Target, now: Timestamp, allowance: &Allowance) -> Decision {
        let Some(slot) = self.count_read(target, now) else {
            return Decision::Serve;
        };
        let decision = self.desk.read(slot, now, allowance, true);
        if let Some(entry) = self.entry(&target.resource, &target.id) {
            entry.decided = Some((decision, now));
        }
        decision
    }

    fn count_read(&mut self, target: &Target, now: Timestamp) -> Option<Slot> {
        let entry = self.entry(&target.resource, &target.id)?;
        entry.reads = entry.reads.saturating_add(1);
        entry.read_at = now;
        let slot = entry.slot;
        match self.read_at.get_mut(&target.resource) {
            Some(at) => *at = now,
            None => drop(self.read_at.insert(target.resource.clone(), now)),
        }
        self.mark(&target.resource, &target.id);
        Some(slot)
    }

    /// What deserves a call that nobody else wants, and as of when its copy is. An answer is a promise to call.
    pub fn next(&mut self, now: Timestamp, allowance: &Allowance) -> Option<(Target, Timestamp)> {
        let slot = self.desk.next(now, allowance)?;
        match &self.entries[slot.number() as usize] {
            Some(entry) => Some((entry.target.clone(), entry.fetched_at)),
            None => {
                self.desk.remove(slot);
                None
            }
        }
    }

    /// The call that was promised brought nothing new, or failed.
    pub fn not_fetched(&mut self, target: &Target) {
        if let Some(entry) = self.entry(&target.resource, &target.id) {
            let slot = entry.slot;
            self.desk.failed(slot);
        }
    }

    /// It is gone upstream.
    pub fn gone(&mut self, resource: &ResourceName, id: &str) {
        let place = self.places.get_mut(resource).and_then(|ids| ids.remove(id));
        if let Some(entry) = place.and_then(|place| self.entries[place as usize].take()) {
            self.desk.remove(entry.slot);
        }
    }

    /// When upstream was last known to say what a payload's row says that was fetched at `own_at`, if the feeds that tell
    /// all of it are in up to `feeds`: only of one that was fetched since they are heard here, and of which they have
    /// told nothing since.
    pub fn confirmed(&mut self, target: &Target, own_at: Timestamp, feeds: Timestamp) -> Timestamp {
        let entry = self.entry(&target.resource, &target.id);
        let holds = entry.is_some_and(|entry| {
            own_at >= entry.known_since && entry.told_at.is_none_or(|at| own_at > at)
        });
        if holds { own_at.max(feeds) } else { own_at }
    }

    /// A feed tells that it changed at `at`. One that was fetched since, or that nobody knows, is not moved.
    pub fn told(&mut self, resource: &ResourceName, id: &str, at: Timestamp) {
        if let Some(entry) = self.entry(resource, id)
            && at > entry.own_at
        {
            entry.told_at = Some(at);
            let slot = entry.slot;
            self.desk.told_changed(slot);
        }
    }

    /// Up to `limit` of what changed since the last save, ready to be saved. What is answered counts as saved.
    pub fn unsaved(&mut self, limit: usize) -> Vec<LearnedRow> {
        let from = self.unsaved.len().saturating_sub(limit);
        let places = self.unsaved.split_off(from);
        let mut rows = Vec::with_capacity(places.len());
        for place in places {
            let Some(Some(entry)) = self.entries.get_mut(place as usize) else {
                continue;
            };
            if !std::mem::take(&mut entry.is_unsaved) {
                continue;
            }
            let learned = self.desk.save(entry.slot).learned();
            let decided = entry
                .decided
                .map(|(decision, at)| (super::said(decision), at));
            rows.push(LearnedRow {
                resource: entry.target.resource.clone(),
                id: entry.target.id.clone(),
                record: entry.target.record.clone(),
                version: entry.version,
                fetched_at: entry.fetched_at,
                events: learned.events,
                exposure: learned.exposure,
                age: learned.age,
                reads: std::mem::take(&mut entry.reads) as f32,
                read_at: entry.read_at,
                ttl: entry.tier,
                decision: decided.map(|(said, _)| said.to_owned()),
                decided_at: decided.map(|(_, at)| at),
                saved_at: entry.read_at,
            });
        }
        rows
    }

    /// What could not be saved is saved with the next.
    pub fn not_saved(&mut self, rows: &[LearnedRow]) {
        for row in rows {
            if let Some(entry) = self.entry(&row.resource, &row.id) {
                entry.reads = entry.reads.saturating_add(row.reads as u32);
                self.mark(&row.resource, &row.id);
            }
        }
    }

    /// Takes over what another process saved: its fetch is learned from like one of our own.
    pub fn adopt(&mut self, row: &LearnedRow, now: Timestamp) {
        if let Some(at) = self.read_at.get_mut(&row.resource) {
            *at = row.read_at.max(*at);
        } else {
            self.read_at.insert(row.resource.clone(), row.read_at);
        }
        let target = Target {
            resource: row.resource.clone(),
            id: row.id.clone(),
            record: row.record.clone(),
        };
        if self.place(&row.resource, &row.id).is_none() {
            self.restore(target, row, now);
        } else {
            let age = SignedDuration::from_secs_f32(row.age.max(0.0));
            let changed_at = row.fetched_at.saturating_sub(age);
            let sight = Sight {
                version: row.version,
                own_at: row.fetched_at,
                as_of: row.fetched_at,
                stamp: changed_at.ok(),
            };
            self.see(&target, sight, now);
        }
        let Some(entry) = self.entry(&row.resource, &row.id) else {
            return;
        };
        entry.read_at = entry.read_at.max(row.read_at);
        if let (Some(decision), Some(at)) = (&row.decision, row.decided_at) {
            entry.said = Some((decision.clone(), at));
        }
        let (slot, own) = (entry.slot, entry.reads as f32);
        let (tier, read_at) = (row.ttl, entry.read_at);
        entry.tier = tier;
        self.desk.set_lifetime(slot, tier);
        self.desk.adopt_reads(slot, row.reads + own, read_at);
    }

    fn restore(&mut self, target: Target, row: &LearnedRow, now: Timestamp) {
        let learned = Learned {
            fetched_at: row.fetched_at,
            events: row.events,
            exposure: row.exposure,
            age: row.age,
            reads: row.reads,
            read_at: row.read_at,
        };
        let Ok(state) = RecordState::of(&learned) else {
            // Numbers that no desk writes: it is learned anew when it is read.
            return;
        };
        self.make_room();
        let slot = self.desk.restore(&state, self.max_age);
        self.put(Entry {
            slot,
            target,
            version: row.version,
            fetched_at: row.fetched_at,
            own_at: row.fetched_at,
            known_since: now,
            told_at: None,
            tier: row.ttl,
            tier_at: None,
            read_at: row.read_at,
            reads: 0,
            is_unsaved: false,
            decided: None,
            said: None,
        });
    }

    /// Forgets what nobody has read for [`KEPT`].
    pub fn forget(&mut self, now: Timestamp) {
        let is_old = |entry: &Entry| now.duration_since(entry.read_at) > KEPT;
        self.drop_if(is_old);
    }

    /// Makes room for one more: a tenth goes at once, so that looking for it is rare.
    fn make_room(&mut self) {
        if self.desk.len() < RECORDS_MAX {
            return;
        }
        let mut reads: Vec<Timestamp> = self.entries.iter().flatten().map(|e| e.read_at).collect();
        let tenth = reads.len() / 10;
        let (_, bound, _) = reads.select_nth_unstable(tenth);
        let bound = *bound;
        let mut left = tenth.max(1);
        self.drop_if(|entry| {
            let goes = left > 0 && entry.read_at <= bound;
            left -= usize::from(goes);
            goes
        });
    }

    fn drop_if(&mut self, mut goes: impl FnMut(&Entry) -> bool) {
        let old: Vec<(ResourceName, String)> = self
            .entries
            .iter()
            .flatten()
            .filter(|entry| goes(entry))
            .map(|entry| (entry.target.resource.clone(), entry.target.id.clone()))
            .collect();
        for (resource, id) in old {
            self.gone(&resource, &id);
        }
    }

    fn put(&mut self, entry: Entry) {
        let number = entry.slot.number();
        let place = number as usize;
        if self.entries.len() <= place {
            self.entries.resize_with(place + 1, || None);
        }
        let ids = self
            .places
            .entry(entry.target.resource.clone())
            .or_default();
        ids.insert(entry.target.id.clone(), number);
        self.entries[place] = Some(entry);
    }

    fn mark(&mut self, resource: &ResourceName, id: &str) {
        let Some(place) = self.place(resource, id) else {
            return;
        };
        if let Some(entry) = &mut self.entries[place]
            && !std::mem::replace(&mut entry.is_unsaved, true)
        {
            self.unsaved.push(place as u32);
        }
    }

    /// Why a record would or would not be refreshed for the next reader, and what was decided for the last one.
    pub fn explain(
        &self,
        resource: &ResourceName,
        id: &str,
        now: Timestamp,
        allowance: &Allowance,
    ) -> Option<Known> {
        let entry = self.entries[self.place(resource, id)?].as_ref()?;
        let own = entry
            .decided
            .map(|(decision, at)| (super::said(decision).to_owned(), at));
        let last = match (own, &entry.said) {
            (Some(own), Some(said)) if said.1 > own.1 => Some(said.clone()),
            (Some(own), _) => Some(own),
            (None, said) => said.clone(),
        };
        let explanation = self.desk.explain(entry.slot, now, allowance);
        Some(Known {
            explanation,
            last,
            tier: entry.tier,
        })
    }

    /// A copy of the desk, and by slot the place of each record's table among `names`.
    pub fn copy(&self, names: &[ResourceName]) -> (Desk, Vec<usize>) {
        let place = |entry: &Option<Entry>| {
            let resource = &entry.as_ref()?.target.resource;
            names.iter().position(|name| name == resource)
        };
        let places = self.entries.iter().map(|e| place(e).unwrap_or(names.len()));
        (self.desk.clone(), places.collect())
    }

    /// The lifetime by the TTL tables that 95 % of the reads of a resource ask for at the most; `None`: nothing of it is
    /// kept hot.
    pub fn tier_of(&self, resource: &ResourceName, now: Timestamp) -> Option<Duration> {
        let entries = self.entries.iter().flatten();
        let of = entries.filter(|entry| entry.target.resource == *resource);
        let mut tiers: Vec<(Duration, f64)> = of
            .filter_map(|entry| Some((entry.tier?, self.desk.reads_per_second(entry.slot, now))))
            .collect();
        tiers.sort_by_key(|(tier, _)| *tier);
        let all: f64 = tiers.iter().map(|(_, reads)| reads).sum();
        let mut below = 0.0;
        tiers
            .iter()
            .find(|(_, reads)| {
                below += reads;
                below >= 0.95 * all
            })
            .map(|(tier, _)| *tier)
    }
}

#[cfg(test)]
mod tests;
