//! One connection's sliding window.

use std::time::Duration;

use super::super::{Class, Outcome, Permit};
use crate::connector::Limits;

/// The slots of one connection.
pub(super) struct Window {
    limits: Limits,
    slots: Vec<Slot>,
    parked_until: Duration,
    aside_until: Duration,
    paced_at: Option<Duration>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Slot {
    FreeAt(Duration),
    Taken { token: i64, at: Duration },
}

/// How long a refused connection is set aside before it is tried once more.
const ASIDE_FOR: Duration = Duration::from_secs(600);

/// How long a permit may be out. Afterwards its slot counts as used just then.
const PERMIT_MAX: Duration = Duration::from_secs(900);

impl Window {
    pub(super) fn new(limits: Limits) -> Window {
        let slots = vec![Slot::FreeAt(Duration::ZERO); limits.calls_usable() as usize];
        Window {
            limits,
            slots,
            parked_until: Duration::ZERO,
            aside_until: Duration::ZERO,
            paced_at: None,
        }
    }

    /// The same window under other limits; the slots that are busy longest stay, so that a smaller limit holds
    /// at once.
    pub(super) fn with_limits(mut self, limits: Limits, now: Duration) -> Window {
        let longer = limits.per.saturating_sub(self.limits.per);
        for slot in &mut self.slots {
            if let Slot::FreeAt(at) = slot
                && *at > Duration::ZERO
            {
                *at = at.saturating_add(longer);
            }
        }
        let per = limits.per;
        self.slots
            .sort_by_key(|slot| std::cmp::Reverse(slot.free_at(per)));
        self.slots
            .resize(limits.calls_usable() as usize, Slot::FreeAt(Duration::ZERO));
        let parked_until = self.parked_until.max(now);
        Window {
            limits,
            slots: self.slots,
            parked_until,
            aside_until: Duration::ZERO,
            paced_at: self.paced_at,
        }
    }

    pub(super) fn is_aside(&self, now: Duration) -> bool {
        self.aside_until > now
    }

    /// The share of slots that are free for `class` now; `None` when it may not call now.
    pub(super) fn freedom(&self, class: Class, now: Duration) -> Option<f64> {
        if self.is_aside(now) || self.next_chance(class, now) > now {
            return None;
        }
        let free = self
            .slots
            .iter()
            .filter(|slot| slot.free_at(self.limits.per) <= now)
            .count();
        Some(free as f64 / self.slots.len() as f64)
    }

    /// The earliest moment at which `class` could call.
    pub(super) fn next_chance(&self, class: Class, now: Duration) -> Duration {
        let per = self.limits.per;
        let held_back = if class.may_use_reserve() {
            0
        } else {
            self.limits.reserve as usize
        };
        let mut free_at: Vec<Duration> = self.slots.iter().map(|slot| slot.free_at(per)).collect();
        free_at.sort_unstable();
        let slot_at = free_at.get(held_back).copied().unwrap_or(Duration::MAX);
        let in_flight = self
            .slots
            .iter()
            .filter(|slot| matches!(slot, Slot::Taken { .. }))
            .count();
        // When a call in flight ends is unknown; its giving back wakes the waiters.
        let flight_at = if in_flight < self.limits.concurrency as usize {
            now
        } else {
            now + NUDGE
        };
        let pace_at = match self.paced_at {
            Some(at) if is_paced(class) => at + per / self.limits.calls_usable(),
            _ => Duration::ZERO,
        };
        slot_at.max(flight_at).max(pace_at).max(self.parked_until)
    }

    /// Takes the slot that has been free longest. Only after [`Window::freedom`] said yes.
    pub(super) fn take(&mut self, class: Class, token: i64, now: Duration) -> i64 {
        let per = self.limits.per;
        let slots = self.slots.iter().enumerate();
        let slot = slots
            .min_by_key(|(_, slot)| slot.free_at(per))
            .map_or(0, |(slot, _)| slot);
        self.slots[slot] = Slot::Taken { token, at: now };
        if is_paced(class) {
            self.paced_at = Some(now);
        }
        i64::try_from(slot).unwrap_or_default()
    }

    pub(super) fn finish(&mut self, permit: &Permit, outcome: Outcome, now: Duration) {
        let holds =
            |slot: &Slot| matches!(slot, Slot::Taken { token, .. } if *token == permit.token);
        let Some(slot) = self.slots.iter_mut().find(|slot| holds(slot)) else {
            return;
        };
        *slot = match outcome {
            Outcome::Unused => Slot::FreeAt(now),
            _ => Slot::FreeAt(now + self.limits.per),
        };
        match outcome {
            Outcome::Throttled { retry_after } => {
                self.parked_until = self.parked_until.max(now + retry_after)
            }
            Outcome::Refused { .. } => self.aside_until = now + ASIDE_FOR,
            Outcome::Used | Outcome::Unused => {}
        }
    }
}

impl Slot {
    fn free_at(self, per: Duration) -> Duration {
        match self {
            Slot::FreeAt(at) => at,
            Slot::Taken { at, .. } => at + PERMIT_MAX + per,
        }
    }
}

/// A moment after now, for what cannot be foreseen.
const NUDGE: Duration = Duration::from_millis(50);

/// Classes whose calls are spread over the window instead of being made at once.
fn is_paced(class: Class) -> bool {
    class >= Class::Sweep
}
