//! Writing records: page by page, only what differs, with its history and its changes.

mod copy;
mod jsonb;
mod statements;
mod write;

use bytes::Bytes;
use jiff::Timestamp;

use crate::ResourceName;
pub(crate) use statements::REPLACED;
pub use write::PageOutcome;

/// A record's id may have this many bytes at the most; longer ones go to quarantine.
pub const ID_BYTES_MAX: usize = 1000;

/// A record as upstream sent it.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// Its id within resource and instance.
    pub id: String,
    /// Its JSON, as received.
    pub body: Bytes,
    /// A 128-bit hash of `body`.
    pub hash: [u8; 16],
    /// When the call began that brought it: an older answer never overwrites a newer one.
    pub asked_at: Timestamp,
    /// Upstream's stamp of the last change.
    pub upstream_at: Option<Timestamp>,
    /// What a change of this record calls for.
    pub wants: Vec<Want>,
}

/// A fetch that a change of a record calls for.
#[derive(Debug, Clone)]
pub struct Want {
    /// The place in the page's `children`.
    pub child: usize,
    /// The id to fetch, if it is not the record's own.
    pub id: Option<String>,
}

/// A resource whose records are fetched one by one, when the record of the same id changes.
#[derive(Debug, Clone)]
pub struct Child {
    /// The resource to fetch.
    pub resource: ResourceName,
    /// The class of the call (see `millpond.fetch_queue`).
    pub class: i16,
}

/// That a record was fetched on its own, and what that settles.
#[derive(Debug, Clone)]
pub struct FetchMark {
    /// The record's id.
    pub id: String,
    /// When the call began.
    pub asked_at: Timestamp,
    /// When the answer was in.
    pub fetched_at: Timestamp,
    /// Hash of the parent's row that this fetch answered.
    pub signature: Option<Vec<u8>>,
    /// Generation of the queue row that this fetch settles.
    pub generation: Option<i64>,
}

/// The lease under which a job writes. A write under a lost lease is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The job's instance.
    pub instance: String,
    /// The job's resource.
    pub resource: ResourceName,
    /// The job's kind.
    pub kind: String,
    /// Grows by one with every new holder.
    pub token: i64,
}

/// One page of records, written in one transaction.
#[derive(Debug)]
pub struct PageWrite<'a> {
    /// The resource of all records.
    pub resource: &'a ResourceName,
    /// Their instance.
    pub instance: &'a str,
    /// The run on whose behalf.
    pub run: Option<i64>,
    /// The records; of two with one id the last counts.
    pub records: Vec<Incoming>,
    /// Whether all records are likely to be new: a first listing. They are then copied in without a look at what is
    /// there; if some are there after all, the page is written with a look.
    pub likely_new: bool,
    /// Resources to be fetched for changed records.
    pub children: &'a [Child],
    /// Set when the records were fetched one by one.
    pub fetches: Vec<FetchMark>,
    /// The place to go on from, stored under the lease in the same transaction.
    pub progress: Option<(&'a Lease, serde_json::Value)>,
}

/// A record that could not be stored, and why.
#[derive(Debug, Clone)]
pub struct Refused {
    /// Its id, empty when it had none.
    pub id: String,
    /// Why, in words.
    pub reason: String,
    /// As received.
    pub body: Bytes,
}
