//! Durations, counted: exact percentiles up to about a minute, within 0.8 % beyond.

/// Durations below this many milliseconds are counted one by one; longer ones in steps of at most 1/128 of their length.
pub const EXACT_BELOW_MS: u64 = 1 << 16;

/// Counters of a page: neighbouring durations are counted together in memory, so that an endpoint needs few pages.
const PAGE: usize = 128;
const EXACT_PAGES: usize = EXACT_BELOW_MS as usize / PAGE;

/// Steps of the counters that serve when there is no memory for more pages: four an octave.
const COARSE: usize = 256;

/// How many pages may still be made; shared by all counters of a worker.
#[derive(Debug, Clone)]
pub(crate) struct Pages(pub(crate) usize);

impl Default for Pages {
    /// 16 MiB.
    fn default() -> Self {
        Self(1 << 14)
    }
}

/// How often each duration occurred.
#[derive(Debug, Clone, Default)]
pub(crate) struct Durations {
    pages: Vec<Option<Box<[u64; PAGE]>>>,
    /// Counts for which there was no page.
    coarse: Option<Box<[u64; COARSE]>>,
    pub(crate) count: u64,
    pub(crate) total_ms: u64,
    pub(crate) min_ms: u64,
    pub(crate) max_ms: u64,
}

impl Durations {
    pub(crate) fn add(&mut self, ms: u64, left: &mut Pages) {
        self.min_ms = if self.count == 0 {
            ms
        } else {
            self.min_ms.min(ms)
        };
        self.max_ms = self.max_ms.max(ms);
        self.count += 1;
        self.total_ms = self.total_ms.saturating_add(ms);
        let (page, slot) = place(ms);
        if self.pages.len() <= page {
            self.pages.resize(page + 1, None);
        }
        match &mut self.pages[page] {
            Some(page) => page[slot] += 1,
            None if left.0 > 0 => {
                left.0 -= 1;
                let mut counts = Box::new([0; PAGE]);
                counts[slot] = 1;
                self.pages[page] = Some(counts);
            }
            None => self.coarse.get_or_insert_with(|| Box::new([0; COARSE]))[coarse_place(ms)] += 1,
        }
    }

    /// Whether memory did not suffice to tell all durations apart: percentiles are then up to a fifth too low.
    pub(crate) fn is_coarse(&self) -> bool {
        self.coarse.is_some()
    }

    pub(crate) fn merge(&mut self, other: Self) {
        if other.count == 0 {
            return;
        }
        self.min_ms = if self.count == 0 {
            other.min_ms
        } else {
            self.min_ms.min(other.min_ms)
        };
        self.max_ms = self.max_ms.max(other.max_ms);
        self.count += other.count;
        self.total_ms = self.total_ms.saturating_add(other.total_ms);
        if self.pages.len() < other.pages.len() {
            self.pages.resize(other.pages.len(), None);
        }
        for (mine, theirs) in self.pages.iter_mut().zip(other.pages) {
            match (mine, theirs) {
                (_, None) => {}
                (Some(mine), Some(theirs)) => {
                    for (mine, theirs) in mine.iter_mut().zip(theirs.iter()) {
                        *mine += theirs;
                    }
                }
                (mine, theirs) => *mine = theirs,
            }
        }
        if let Some(theirs) = other.coarse {
            let mine = self.coarse.get_or_insert_with(|| Box::new([0; COARSE]));
            for (mine, theirs) in mine.iter_mut().zip(theirs.iter()) {
                *mine += theirs;
            }
        }
    }

    pub(crate) fn mean_ms(&self) -> f64 {
        if self.count == 0 {
            0.0
        } else {
            self.total_ms as f64 / self.count as f64
        }
    }

    /// The nearest-rank percentile: the smallest duration that at least `percent` % of all do not exceed. Beyond
    /// [`EXACT_BELOW_MS`] the lower end of its step, never more than the longest.
    pub(crate) fn percentile(&self, percent: u64) -> u64 {
        let rank = (self.count * percent).div_ceil(100).max(1);
        let mut before = 0;
        let mut all: Vec<(u64, u64)> = self.each().collect();
        if self.is_coarse() {
            all.sort_unstable();
        }
        for (ms, count) in all {
            before += count;
            if before >= rank {
                return ms.max(self.min_ms);
            }
        }
        self.max_ms
    }

    /// How many last at least `from` and less than `to` milliseconds; both below [`EXACT_BELOW_MS`], or open.
    pub(crate) fn between(&self, from: u64, to: Option<u64>) -> u64 {
        self.each()
            .filter(|(ms, _)| *ms >= from && to.is_none_or(|to| *ms < to))
            .map(|(_, count)| count)
            .sum()
    }

    /// Each duration that occurred with its count: in order, then those that are only known coarsely, in order.
    fn each(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let pages = self.pages.iter().enumerate();
        let pages = pages.filter_map(|(number, page)| Some((number, page.as_ref()?)));
        let fine = pages.flat_map(|(number, page)| {
            let slots = page.iter().enumerate().filter(|(_, count)| **count > 0);
            slots.map(move |(slot, count)| (lower_end(number, slot), *count))
        });
        let coarse = self
            .coarse
            .iter()
            .flat_map(|counts| counts.iter().enumerate());
        let coarse = coarse.filter(|(_, count)| **count > 0);
        fine.chain(coarse.map(|(slot, count)| (coarse_end(slot), *count)))
    }
}

/// Page and slot of a duration: one slot a millisecond first, then one page an octave.
fn place(ms: u64) -> (usize, usize) {
    if ms < EXACT_BELOW_MS {
        return (ms as usize / PAGE, ms as usize % PAGE);
    }
    let octave = ms.ilog2() - EXACT_BELOW_MS.ilog2();
    let step = ms.ilog2() - PAGE.ilog2();
    (EXACT_PAGES + octave as usize, (ms >> step) as usize % PAGE)
}

fn lower_end(page: usize, slot: usize) -> u64 {
    if page < EXACT_PAGES {
        return (page * PAGE + slot) as u64;
    }
    let octave = (page - EXACT_PAGES) as u32 + EXACT_BELOW_MS.ilog2();
    ((PAGE + slot) as u64) << (octave - PAGE.ilog2())
}

/// The coarse counter of a duration.
fn coarse_place(ms: u64) -> usize {
    if ms < 4 {
        return ms as usize;
    }
    let octave = ms.ilog2();
    (octave as usize) * 4 + (ms >> (octave - 2)) as usize % 4
}

/// The shortest duration that a coarse counter counts.
fn coarse_end(slot: usize) -> u64 {
    match slot {
        0..8 => slot as u64 % 4,
        _ => (4 + slot as u64 % 4) << (slot / 4 - 2),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn percentiles_are_those_of_the_sorted_list(mut list in prop::collection::vec(0u64..65_536, 1..300)) {
            let mut durations = Durations::default();
            let mut half = Durations::default();
            let mut pages = Pages::default();
            for (n, ms) in list.iter().enumerate() {
                if n % 2 == 0 { &mut durations } else { &mut half }.add(*ms, &mut pages);
            }
            durations.merge(half);
            list.sort_unstable();
            for percent in [1, 50, 90, 95, 99, 100] {
                let rank = (list.len() * percent).div_ceil(100).max(1);
                prop_assert_eq!(durations.percentile(percent as u64), list[rank - 1]);
            }
            prop_assert_eq!(durations.min_ms, list[0]);
            prop_assert_eq!(durations.max_ms, list[list.len() - 1]);
            prop_assert_eq!(durations.between(0, None), list.len() as u64);
        }

        #[test]
        fn without_memory_for_pages_percentiles_are_at_most_a_fifth_too_low(
            mut list in prop::collection::vec(0u64..200_000, 1..300), pages in 0usize..20,
        ) {
            let (mut durations, mut pages) = (Durations::default(), Pages(pages));
            for ms in &list {
                durations.add(*ms, &mut pages);
            }
            list.sort_unstable();
            for percent in [1, 50, 99] {
                let exact = list[(list.len() * percent).div_ceil(100).max(1) - 1];
                let said = durations.percentile(percent as u64);
                prop_assert!(said <= exact.max(list[0]) && said >= exact - exact / 5, "{} {}", said, exact);
            }
            prop_assert_eq!(durations.between(0, None), list.len() as u64);
        }

        #[test]
        fn a_long_duration_is_at_most_one_128th_too_short(ms in EXACT_BELOW_MS..u64::MAX) {
            let (page, slot) = place(ms);
            let lower = lower_end(page, slot);
            prop_assert!(lower <= ms && ms - lower <= ms / 128);
        }
    }
}
