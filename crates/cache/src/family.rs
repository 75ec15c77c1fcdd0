//! Families: what may be cached, by whom it is loaded, how long it lives, whose it is and how big it may be.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use crate::key::{Key, KeyParts, PhysicalKey};
use crate::life::Ttl;
use crate::scope::Scope;
use crate::stats::Counters;
use crate::value::Cacheable;

/// Most bytes of a stored value. A larger one is served and not kept.
pub const VALUE_BYTES_MAX: usize = 262_144;
/// How long a loader may run unless its family says otherwise.
pub const LOAD_MAX: Duration = Duration::from_secs(120);

/// Which share of memory a family's values live in. Neither can push the other out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SizeClass {
    /// Small and needed by every request: principals, tenants, projects. A quarter of memory.
    Small,
    /// Everything else: payloads, vectors, answers. Three quarters of memory.
    Bulk,
}

/// A family to be registered. Name, loader, TTL, scope, key and value type, and size class are not
/// optional: a value that lacks one of them cannot be cached.
#[derive(Debug)]
pub struct FamilySpec<S, K: ?Sized, V> {
    pub(crate) info: FamilyInfo,
    pub(crate) ttl: Ttl<V>,
    types: PhantomData<fn(S, &K)>,
}

/// What is known about a registered family, without its types.
#[derive(Debug, Clone)]
pub struct FamilyInfo {
    /// The logical name's template: `opp:notes:{id}`.
    pub name: String,
    /// The loader's name.
    pub loader: String,
    /// The TTL rule's name.
    pub ttl: String,
    /// Whose the values are: `everyone`, `instance`, `tenant`, `user`, `model`.
    pub scope: &'static str,
    /// The share of memory the values live in.
    pub size_class: SizeClass,
    /// The value's shape version.
    pub shape: u32,
    /// How many parts the key has.
    pub key_parts: usize,
    /// How long "there is no such thing" is kept; `None` keeps it not at all.
    pub absent_for: Option<Duration>,
    /// How long past its life an entry may stand in for a failed load.
    pub stale_for: Duration,
    /// The fraction of its life after which a read entry is refreshed ahead; 1.0 never.
    pub refresh_at: f64,
    /// The largest fraction by which a life is shortened at random.
    pub jitter: f64,
    /// Whether a process may keep its own copy in front of the shared store.
    pub near: bool,
    /// How long one load may take.
    pub load_max: Duration,
}

impl<S: Scope, K: KeyParts + ?Sized, V: Cacheable> FamilySpec<S, K, V> {
    /// Describes a family. `name` is the logical name with its parts in braces (`opp:notes:{id}`);
    /// `loader` names what reads a missing value from the primary database.
    pub fn new(name: &str, loader: &str, ttl: Ttl<V>, size_class: SizeClass) -> Self {
        let info = FamilyInfo {
            name: name.to_owned(),
            loader: loader.to_owned(),
            ttl: ttl.name.clone(),
            scope: S::NAME,
            size_class,
            shape: V::SHAPE,
            key_parts: K::COUNT,
            absent_for: None,
            stale_for: Duration::ZERO,
            refresh_at: 0.8,
            jitter: 0.1,
            near: true,
            load_max: LOAD_MAX,
        };
        Self {
            info,
            ttl,
            types: PhantomData,
        }
    }

    /// Keeps "there is no such thing" for `life`.
    pub fn absent_for(mut self, life: Duration) -> Self {
        self.info.absent_for = Some(life);
        self
    }

    /// Lets an expired entry stand in for a failed load, marked, for `period` past its life.
    pub fn stale_for(mut self, period: Duration) -> Self {
        self.info.stale_for = period;
        self
    }

    /// Refreshes an entry that is read after this fraction of its life; 1.0 turns it off.
    pub fn refresh_at(mut self, fraction: f64) -> Self {
        self.info.refresh_at = fraction;
        self
    }

    /// Shortens lives at random by up to this fraction, so that they do not end together.
    pub fn jitter(mut self, fraction: f64) -> Self {
        self.info.jitter = fraction;
        self
    }

    /// Never keeps a copy in a process in front of the shared store: an invalidation then holds for
    /// every process at once. For principals and whatever else revokes access.
    pub fn shared_only(mut self) -> Self {
        self.info.near = false;
        self
    }

    /// Bounds one load.
    pub fn load_max(mut self, bound: Duration) -> Self {
        self.info.load_max = bound;
        self
    }
}

/// A registered family: the handle by which its values are read.
pub struct Family<S, K: ?Sized, V> {
    pub(crate) rules: Arc<Rules<V>>,
    pub(crate) segments: Arc<[Segment]>,
    pub(crate) types: PhantomData<fn(S, &K)>,
}

impl<S, K: ?Sized, V> Family<S, K, V> {
    /// What the family was registered as.
    pub fn info(&self) -> &FamilyInfo {
        &self.rules.info
    }
}

impl<S, K: ?Sized, V> Clone for Family<S, K, V> {
    fn clone(&self) -> Self {
        Self {
            rules: self.rules.clone(),
            segments: self.segments.clone(),
            types: PhantomData,
        }
    }
}

impl<S, K: ?Sized, V> fmt::Debug for Family<S, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Family")
            .field(&self.rules.info.name)
            .finish()
    }
}

impl<S: Scope, K: KeyParts + ?Sized, V: Cacheable> Family<S, K, V> {
    /// The name of a key in every build: its owner and its logical name, `i=au:opp:notes:42`. What an
    /// [`Outbox`](crate::Outbox) hands in.
    pub fn unversioned(&self, owner: S::Owner<'_>, parts: &K) -> String {
        let key = self.key("", &owner, parts);
        key.name.text[1..].to_owned()
    }

    pub(crate) fn key(&self, schema: &str, owner: &S::Owner<'_>, parts: &K) -> Key<V> {
        let mut text = String::with_capacity(96);
        text.push_str(schema);
        text.push(':');
        S::write(owner, &mut text);
        let logical_at = text.len() + 1;
        let mut segments = self.segments.iter();
        parts.each(&mut |part| {
            for segment in segments.by_ref() {
                text.push(':');
                match segment {
                    Segment::Literal(literal) => text.push_str(literal),
                    Segment::Part => return part.write(&mut text),
                }
            }
        });
        for segment in segments {
            if let Segment::Literal(literal) = segment {
                text.push(':');
                text.push_str(literal);
            }
        }
        let name = PhysicalKey::new(text, schema.len(), logical_at, self.rules.index);
        Key {
            rules: self.rules.clone(),
            name,
        }
    }
}

/// What every read of a family needs.
pub(crate) struct Rules<V> {
    pub index: usize,
    pub info: Arc<FamilyInfo>,
    pub ttl: Ttl<V>,
    pub counters: Arc<Counters>,
}

/// One piece of a template between colons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Segment {
    Literal(String),
    Part,
}

/// Why a family cannot be registered.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum FamilyError {
    /// The template is not made of names and `{parts}` between colons.
    #[error("the family name `{name}` must be names and {{parts}} between colons")]
    Template {
        /// The name as given.
        name: String,
    },
    /// The template has another number of parts than the key type.
    #[error("the family name `{name}` has {in_name} parts, its key type {in_key}")]
    Parts {
        /// The name as given.
        name: String,
        /// Parts in the template.
        in_name: usize,
        /// Parts of the key type.
        in_key: usize,
    },
    /// Another family could produce the same logical names.
    #[error("the families `{name}` and `{other}` could name the same key")]
    Overlap {
        /// The name as given.
        name: String,
        /// The family registered before.
        other: String,
    },
    /// A setting is out of its range.
    #[error("`{setting}` of the family `{name}` must be {must}")]
    Setting {
        /// The name as given.
        name: String,
        /// Which setting.
        setting: &'static str,
        /// Its range.
        must: &'static str,
    },
}

/// Cuts a template into its segments.
pub(crate) fn segments(info: &FamilyInfo) -> Result<Vec<Segment>, FamilyError> {
    let is_name = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'))
    };
    let mut segments = Vec::new();
    for piece in info.name.split(':') {
        if is_name(piece) {
            segments.push(Segment::Literal(piece.to_owned()));
        } else if piece
            .strip_prefix('{')
            .and_then(|p| p.strip_suffix('}'))
            .is_some_and(is_name)
        {
            segments.push(Segment::Part);
        } else {
            return Err(FamilyError::Template {
                name: info.name.clone(),
            });
        }
    }
    let in_name = segments.iter().filter(|s| **s == Segment::Part).count();
    if in_name != info.key_parts {
        let name = info.name.clone();
        return Err(FamilyError::Parts {
            name,
            in_name,
            in_key: info.key_parts,
        });
    }
    Ok(segments)
}

/// Checks the ranges of a family's settings.
pub(crate) fn check(info: &FamilyInfo) -> Result<(), FamilyError> {
    let wrong = |setting, must| {
        Err(FamilyError::Setting {
            name: info.name.clone(),
            setting,
            must,
        })
    };
    if !(0.0..1.0).contains(&info.jitter) {
        return wrong("jitter", "at least 0 and below 1");
    }
    if !(info.refresh_at > 0.0 && info.refresh_at.is_finite()) {
        return wrong("refresh_at", "above 0");
    }
    if info.load_max.is_zero() {
        return wrong("load_max", "above 0");
    }
    if info.loader.is_empty() {
        return wrong("loader", "a name");
    }
    Ok(())
}

/// Whether some key of one template could equal some key of the other.
pub(crate) fn overlap(a: &[Segment], b: &[Segment]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| match (a, b) {
            (Segment::Literal(a), Segment::Literal(b)) => a == b,
            _ => true,
        })
}

/// Whether the logical name `text` belongs to the template.
pub(crate) fn matches(segments: &[Segment], text: &str) -> bool {
    let pieces: Vec<&str> = text.split(':').collect();
    pieces.len() == segments.len()
        && segments
            .iter()
            .zip(&pieces)
            .all(|(segment, piece)| match segment {
                Segment::Literal(literal) => literal == piece,
                Segment::Part => crate::key::unescape(piece).is_some() && !piece.is_empty(),
            })
}
