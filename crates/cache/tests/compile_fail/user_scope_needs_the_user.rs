//! End-user data cannot be named without the user.
use cache::{Body, Cache, Family, Key, PerUser, Tenant};

fn key(cache: &Cache, family: &Family<PerUser, str, Body>) -> Key<Body> {
    cache.key(family, Tenant("acme"), "query")
}

fn main() {}
