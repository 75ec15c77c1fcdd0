//! A handler cannot write a key by hand.
use cache::{Body, Cache, Key};

async fn handler(cache: &Cache, key: &Key<Body>) {
    cache.set(key, Body::new("{}")).await;
}

fn main() {}
