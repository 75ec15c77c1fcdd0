//! How the cache fares, per family, for Prometheus. Told from the cache's own counters, not counted a second time.

use std::fmt::Write as _;

use ::cache::{Cache, FamilyStats};

type Column = (&'static str, &'static str, fn(&FamilyStats) -> u64);

type Reason = (&'static str, fn(&FamilyStats) -> u64);

/// What is counted of each family.
const COUNTED: [Column; 10] = [
    ("cache_hits_total", "reads answered out of a store", |s| {
        s.hits
    }),
    (
        "cache_misses_total",
        "reads that a store was asked and had no fresh value for",
        |s| s.misses,
    ),
    (
        "cache_bypasses_total",
        "reads that went past the cache: it is off, away, or the key is too long",
        |s| s.bypassed,
    ),
    ("cache_loads_total", "loader runs", |s| s.loads),
    (
        "cache_loads_failed_total",
        "loader runs that failed, panicked or took too long",
        |s| s.loads_failed,
    ),
    (
        "cache_waits_total",
        "reads that waited for a load that another had begun",
        |s| s.waited,
    ),
    (
        "cache_stale_served_total",
        "answers out of an expired value because loading failed",
        |s| s.stale_served,
    ),
    (
        "cache_invalidations_total",
        "keys forgotten because of a write",
        |s| s.invalidated,
    ),
    (
        "cache_undecodable_total",
        "stored bytes that were no value; deleted",
        |s| s.undecodable,
    ),
    (
        "cache_stored_bytes_total",
        "bytes of values kept, each fill counted",
        |s| s.stored_bytes,
    ),
];

/// Why a value was not kept.
const REJECTS: [Reason; 7] = [
    ("size", |s| s.rejected_size),
    ("key", |s| s.rejected_key),
    ("none", |s| s.rejected_never),
    ("expired", |s| s.rejected_expired),
    ("codec", |s| s.rejected_codec),
    ("invalidated", |s| s.rejected_invalidated),
    ("store", |s| s.rejected_store),
];

/// The lines that say how `cache` fares now.
pub(super) fn render(cache: &Cache) -> String {
    let mut page = Page::default();
    let families = cache.families();
    // Names of families have neither quotes nor backslashes.
    let rows = || families.iter().map(|(info, stats)| (&info.name, stats));
    for (name, help, value) in COUNTED {
        page.head(name, help, "counter");
        for (family, stats) in rows() {
            page.line(&format!("{name}{{family=\"{family}\"}}"), value(stats));
        }
    }
    let name = "cache_load_seconds_total";
    page.head(name, "time spent in loaders", "counter");
    for (family, stats) in rows() {
        let seconds = stats.load_us as f64 / 1e6;
        page.line(&format!("{name}{{family=\"{family}\"}}"), seconds);
    }
    let name = "cache_rejects_total";
    page.head(name, "values not kept, by reason", "counter");
    for (family, stats) in rows() {
        for (reason, value) in REJECTS {
            let labels = format!("{name}{{family=\"{family}\",reason=\"{reason}\"}}");
            page.line(&labels, value(stats));
        }
    }
    let name = "cache_hit_ratio";
    page.head(name, "hits among the reads that a store was asked", "gauge");
    for (family, stats) in rows() {
        if let Some(ratio) = stats.hit_ratio() {
            page.line(&format!("{name}{{family=\"{family}\"}}"), ratio);
        }
    }
    let health = cache.health();
    page.one(
        (
            "cache_memory_bytes",
            "weight of the values in this process",
            "gauge",
        ),
        health.memory_bytes,
    );
    page.one(
        ("cache_memory_entries", "values in this process", "gauge"),
        health.memory_entries as u64,
    );
    if let Some(shared) = health.shared {
        for (row, value) in [
            (
                (
                    "cache_shared_up",
                    "1 while the shared store is read from, 0 while it is bypassed",
                    "gauge",
                ),
                u64::from(shared.up),
            ),
            (
                (
                    "cache_shared_lost_total",
                    "times the shared store was lost",
                    "counter",
                ),
                shared.lost,
            ),
            (
                (
                    "cache_probes_total",
                    "probes sent while it was away",
                    "counter",
                ),
                shared.probes,
            ),
            (
                (
                    "cache_invalidations_pending",
                    "invalidations that wait for the shared store",
                    "gauge",
                ),
                shared.pending as u64,
            ),
            (
                (
                    "cache_invalidations_replayed_total",
                    "invalidations applied again, or heard of from others",
                    "counter",
                ),
                shared.replayed,
            ),
        ] {
            page.one(row, value);
        }
    }
    page.0
}

/// A page in Prometheus' text format.
#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, help: &str, kind: &str) {
        // Writing into a String cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, series: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "{series} {value}");
    }

    fn one(&mut self, (name, help, kind): (&str, &str, &str), value: u64) {
        self.head(name, help, kind);
        self.line(name, value);
    }
}
