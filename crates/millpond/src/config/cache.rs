//! `[cache]`: the hot cache in front of the mirror.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::{Period, SecretRef};

/// `[cache]`: the hot cache in front of the mirror. `cache = "memory"` in one line says the same as `store` here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CacheConfig {
    /// Where hot values are kept: `memory` (in each process), `off`, or a Redis or Valkey that processes share:
    /// `redis://…`, `rediss://…`, `env:NAME` or `file:PATH` where that URL is found. Absent: the Redis of the
    /// environment variable REDIS_URL, without one `memory`.
    #[schemars(with = "Option<String>")]
    pub store: Option<CacheStore>,
    /// Whether each process keeps copies of its own in front of the shared store. Not with a cluster.
    pub two_tier: bool,
    /// Whether the URL names a Redis Cluster, by one of its nodes or several with commas between them.
    pub cluster: bool,
    /// Memory for the values of this process, in MiB.
    pub memory_mib: usize,
    /// How often a shared store that is away is tried again.
    #[schemars(with = "String")]
    pub probe_every: Period,
    /// How long a record stays hot where its connector has no rule. A write to it ends its life sooner.
    #[schemars(with = "String")]
    pub record_ttl: Period,
    /// How long it stays known that there is no such record.
    #[schemars(with = "String")]
    pub absent_ttl: Period,
    /// How long a page of search results stays hot. A write to its resource ends its life sooner.
    #[schemars(with = "String")]
    pub search_ttl: Period,
}

impl Default for CacheConfig {
    fn default() -> Self {
        let hot = mirror::hot::HotSettings::default();
        Self {
            store: None,
            two_tier: false,
            cluster: false,
            memory_mib: 64,
            probe_every: Period(cache::PROBE_EVERY),
            record_ttl: Period(hot.record_ttl),
            absent_ttl: Period(hot.absent_ttl),
            search_ttl: Period(hot.search_ttl),
        }
    }
}

/// Where hot values are kept.
#[derive(Clone, PartialEq)]
pub enum CacheStore {
    /// Nowhere.
    Off,
    /// In each process.
    Memory,
    /// In the Redis of this URL, or these with commas between them. May hold a password: never shown.
    Url(String),
    /// In the Redis whose URL is found there.
    At(SecretRef),
}

impl FromStr for CacheStore {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "off" => return Ok(Self::Off),
            "memory" => return Ok(Self::Memory),
            _ => {}
        }
        let schemes = ["redis://", "rediss://", "redis+unix://", "unix://"];
        if schemes.iter().any(|scheme| text.starts_with(scheme)) {
            return Ok(Self::Url(text.to_owned()));
        }
        text.parse().map(Self::At).map_err(|_| {
            "expected off, memory, redis://…, rediss://…, env:NAME or file:PATH (what stands there is not shown)"
        })
    }
}

/// Without what stands between `//` and `@`.
impl fmt::Display for CacheStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Memory => f.write_str("memory"),
            Self::At(reference) => reference.fmt(f),
            Self::Url(urls) => {
                for (n, url) in urls.split(',').enumerate() {
                    let (scheme, rest) = url.split_once("//").unwrap_or(("", url));
                    let shown = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
                    let shown = shown.split('?').next().unwrap_or_default();
                    let comma = if n > 0 { "," } else { "" };
                    write!(f, "{comma}{scheme}//{shown}")?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Debug for CacheStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for CacheStore {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CacheStore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)
            .map_err(|_| de::Error::custom("expected a text (what stands there is not shown)"))?;
        text.parse().map_err(de::Error::custom)
    }
}

/// Reads `cache = "memory"`, or the table.
pub(super) fn line_or_table<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<CacheConfig, D::Error> {
    struct LineOrTable;

    impl<'de> Visitor<'de> for LineOrTable {
        type Value = CacheConfig;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a store in one line, or the table [cache]")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<CacheConfig, E> {
            let store = Some(text.parse().map_err(E::custom)?);
            Ok(CacheConfig {
                store,
                ..CacheConfig::default()
            })
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<CacheConfig, A::Error> {
            CacheConfig::deserialize(MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_any(LineOrTable)
}
