//! The routes of the cache.

use super::super::{
    Declared, KEYS_OWN,
    Needs::{Operator, User},
    reads, writes,
};

/// The routes of the cache.
pub const DECLARED: &[Declared] = &[
    reads(
        "GET",
        "/v1/cache/families",
        Operator,
        "The cache's families and how they fare",
    )
    .answer("CacheFamilies"),
    reads(
        "GET",
        "/v1/cache/doctor",
        Operator,
        "What is wrong with the caching",
    )
    .answer("CacheFindings"),
    reads(
        "GET",
        "/v1/cache/keys/{key}",
        Operator,
        "Where a hot value is, how old, and until when",
    )
    .answer("CacheKeys"),
    writes(
        "DELETE",
        "/v1/cache/keys/{key}",
        Operator,
        &[KEYS_OWN],
        "Forget a hot value",
    )
    .answer("CacheForgotten"),
    reads(
        "GET",
        "/v1/cache/records/{resource}/{instance}/{id}",
        User,
        "What is kept hot for a record, and for how much longer",
    )
    .answer("HotValues"),
];
