//! What is wrong with the caching, said from counted evidence. Pure.

use std::fmt;

use crate::family::FamilyInfo;
use crate::route::RouteEvidence;
use crate::stats::FamilyStats;

/// Below this a family is looked at.
pub const HIT_RATIO_MIN: f64 = 0.7;
/// Reads before a family is judged.
pub const READS_MIN: u64 = 200;
/// Requests before a route is judged.
pub const REQUESTS_MIN: u64 = 20;

/// One thing to look at, with the numbers that say so.
#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    /// Keys come back after their entries are gone: the TTL is shorter than the time between reads.
    TtlTooShort {
        /// The family.
        family: String,
        /// Its hit ratio.
        hit_ratio: f64,
        /// Misses per different key.
        misses_per_key: f64,
    },
    /// Hardly any key is ever read twice: something that differs per request is part of the key.
    BadlyKeyed {
        /// The family.
        family: String,
        /// Its hit ratio.
        hit_ratio: f64,
        /// Different keys among the misses.
        distinct: u64,
        /// Misses.
        misses: u64,
    },
    /// Keys come back, but they were invalidated, not expired.
    InvalidatedTooOften {
        /// The family.
        family: String,
        /// Its hit ratio.
        hit_ratio: f64,
        /// Invalidations.
        invalidated: u64,
        /// Misses of keys seen before.
        repeated: u64,
    },
    /// Most loaded values are not kept at all.
    NotKept {
        /// The family.
        family: String,
        /// Why most of them are not.
        why: &'static str,
        /// Values not kept for that reason.
        rejected: u64,
        /// Loads.
        loads: u64,
    },
    /// A route that is declared cached reads nothing through the cache.
    NotWrapped {
        /// The route.
        route: String,
        /// The families it should read through.
        declared: Vec<String>,
        /// Requests looked at.
        requests: u64,
    },
    /// A route reads a family that it does not declare, so its invalidations may be missing.
    Undeclared {
        /// The route.
        route: String,
        /// The family.
        family: String,
    },
}

/// Looks at one family. `None` when it is well, or when too little is known.
pub fn examine_family(info: &FamilyInfo, stats: &FamilyStats) -> Option<Finding> {
    let asked = stats.hits + stats.misses;
    let hit_ratio = stats.hit_ratio()?;
    if asked < READS_MIN || hit_ratio >= HIT_RATIO_MIN {
        return None;
    }
    let family = info.name.clone();
    let reasons = [
        ("the values are over the size limit", stats.rejected_size),
        ("the TTL rule says none", stats.rejected_never),
        (
            "the values are too old when they arrive",
            stats.rejected_expired,
        ),
        ("the store refuses them", stats.rejected_store),
        ("the keys are too long", stats.rejected_key),
        ("the values have no stored form", stats.rejected_codec),
    ];
    if let Some((why, rejected)) = reasons.into_iter().max_by_key(|(_, rejected)| *rejected)
        && rejected * 2 > stats.loads
    {
        return Some(Finding::NotKept {
            family,
            why,
            rejected,
            loads: stats.loads,
        });
    }
    // Readers that waited for the same load missed the same key at the same time: that is no return.
    let misses = stats.misses.saturating_sub(stats.waited).max(1);
    let distinct = stats.distinct_missed.clamp(1, misses);
    let repeated = misses - distinct;
    if repeated * 5 < misses {
        return Some(Finding::BadlyKeyed {
            family,
            hit_ratio,
            distinct,
            misses,
        });
    }
    if stats.invalidated * 2 > repeated {
        let invalidated = stats.invalidated;
        return Some(Finding::InvalidatedTooOften {
            family,
            hit_ratio,
            invalidated,
            repeated,
        });
    }
    let misses_per_key = misses as f64 / distinct as f64;
    Some(Finding::TtlTooShort {
        family,
        hit_ratio,
        misses_per_key,
    })
}

/// Looks at one route that is declared cached.
pub fn examine_route(evidence: &RouteEvidence) -> Vec<Finding> {
    let mut findings = Vec::new();
    let touched = |family: &String| evidence.touched.get(family).copied().unwrap_or(0) > 0;
    if evidence.requests >= REQUESTS_MIN
        && !evidence.declared.is_empty()
        && !evidence.declared.iter().any(touched)
    {
        findings.push(Finding::NotWrapped {
            route: evidence.route.clone(),
            declared: evidence.declared.clone(),
            requests: evidence.requests,
        });
    }
    for family in evidence
        .touched
        .keys()
        .filter(|family| !evidence.declared.contains(family))
    {
        let (route, family) = (evidence.route.clone(), family.clone());
        findings.push(Finding::Undeclared { route, family });
    }
    findings
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TtlTooShort {
                family,
                hit_ratio,
                misses_per_key,
            } => write!(
                f,
                "`{family}` hits {:.0} %: its keys come back {misses_per_key:.1} times after they \
                 expired. Lengthen its TTL",
                hit_ratio * 100.0,
            ),
            Self::BadlyKeyed {
                family,
                hit_ratio,
                distinct,
                misses,
            } => write!(
                f,
                "`{family}` hits {:.0} %: {distinct} different keys in {misses} misses, hardly one \
                 is read twice. Take out of the key what differs per request",
                hit_ratio * 100.0,
            ),
            Self::InvalidatedTooOften {
                family,
                hit_ratio,
                invalidated,
                repeated,
            } => write!(
                f,
                "`{family}` hits {:.0} %: {invalidated} invalidations for {repeated} misses of known \
                 keys. Invalidate only the keys that a write touches",
                hit_ratio * 100.0,
            ),
            Self::NotKept {
                family,
                why,
                rejected,
                loads,
            } => {
                write!(
                    f,
                    "`{family}` keeps too little: {why} ({rejected} of {loads} loads)"
                )
            }
            Self::NotWrapped {
                route,
                declared,
                requests,
            } => write!(
                f,
                "`{route}` is declared cached, but {requests} requests read none of `{}`. Wrap its \
                 loader in `get_or_load`",
                declared.join("`, `"),
            ),
            Self::Undeclared { route, family } => write!(
                f,
                "`{route}` reads `{family}` without declaring it. Declare it, so that writes \
                 invalidate it",
            ),
        }
    }
}

#[cfg(test)]
mod tests;
