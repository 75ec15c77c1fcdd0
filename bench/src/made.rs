//! Records that a benchmark makes up, written as a listing writes them.

use anyhow::Result;
use bytes::Bytes;
use jiff::Timestamp;
use store::{
    ResourceName, Store,
    records::{Incoming, PageWrite},
};

/// A record that upstream changed at this time.
pub fn incoming(id: String, body: impl Into<Bytes>, upstream_at: Timestamp) -> Incoming {
    let body = body.into();
    Incoming {
        id,
        hash: xxhash_rust::xxh3::xxh3_128(&body).to_be_bytes(),
        body,
        asked_at: Timestamp::now(),
        upstream_at: Some(upstream_at),
        wants: Vec::new(),
    }
}

/// Writes a page of them, of the instance `uk`.
pub async fn write(store: &Store, resource: &ResourceName, records: Vec<Incoming>) -> Result<()> {
    let page = PageWrite {
        resource,
        instance: "uk",
        run: None,
        records,
        likely_new: true,
        children: &[],
        fetches: Vec::new(),
        progress: None,
    };
    store.write_page(page).await?;
    Ok(())
}
