//! One call to an upstream: what is asked, what came back, and why nothing did.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use crate::gate::{Class, GateError};

/// What is asked.
#[derive(Clone, Debug)]
pub struct Call {
    /// The HTTP method.
    pub method: http::Method,
    /// The path below the base URL; a leading slash does not matter.
    pub path: String,
    /// The query, not encoded.
    pub query: Vec<(String, String)>,
    /// Headers beside those of the connector.
    pub headers: Vec<(String, String)>,
    /// A JSON body.
    pub body: Option<Bytes>,
    /// The resource it is about, for the log.
    pub resource: Option<String>,
    /// What it is called in the log; absent: method and route template.
    pub label: Option<String>,
    /// What it is for.
    pub class: Class,
    /// Attempts in all, the first included; absent: as the client is set.
    pub attempts: Option<u32>,
    /// The wait before the second attempt, doubled before each further one; absent: as the client is set.
    pub backoff_first: Option<Duration>,
    /// The most time for one attempt; absent: as the client is set.
    pub timeout: Option<Duration>,
    /// The most time to wait for permits in all, throttling included; absent: as the client is set.
    pub wait_max: Option<Duration>,
    /// Whether making it twice is the same as making it once. Reads always are.
    pub idempotent: bool,
}

impl Call {
    /// A read of `path`.
    pub fn get(path: impl Into<String>, class: Class) -> Call {
        Call::new(http::Method::GET, path, class)
    }

    /// A call without query and body.
    pub fn new(method: http::Method, path: impl Into<String>, class: Class) -> Call {
        Call {
            idempotent: method.is_safe(),
            method,
            path: path.into(),
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
            resource: None,
            label: None,
            class,
            attempts: None,
            backoff_first: None,
            timeout: None,
            wait_max: None,
        }
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status, 200 to 299.
    pub status: u16,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The body, inflated.
    pub body: Bytes,
    /// When and how.
    pub meta: Meta,
    /// Stages of a write that failed although the status was good; empty for reads.
    pub partial: Vec<String>,
}

/// When and how an answer was obtained.
#[derive(Clone, Debug)]
pub struct Meta {
    /// When the request that was answered began.
    pub asked_at: Timestamp,
    /// When its answer was in.
    pub answered_at: Timestamp,
    /// Upstream's own clock, where it says.
    pub server_date: Option<Timestamp>,
    /// The connection it went over.
    pub connection: String,
    /// Which attempt it was, from 1.
    pub attempt: u32,
    /// How long the call waited for permits, throttling and backoff in all.
    pub waited: Duration,
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// `ECONNABORTED`, `ECONNRESET`, `ETIMEDOUT`, `ECONNREFUSED`, `ENETUNREACH`, `ERR_NETWORK`, `HTTP_<status>`,
    /// `NOT_JSON`, `TORN_JSON`.
    pub code: String,
    /// What happened, for people. Never a body, never a secret.
    pub message: String,
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.code, self.message)
    }
}

/// Why a call gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There was no permit; nothing was sent, or only calls that were throttled. Ask again later.
    #[error("`{call}` got no permit")]
    NoPermit {
        /// The call's label.
        call: String,
        /// Why.
        #[source]
        source: GateError,
    },
    /// Upstream kept saying "too many calls" for as long as the call was ready to wait.
    #[error("`{call}` was throttled for {waited:?}")]
    Throttled {
        /// The call's label.
        call: String,
        /// How long it waited in all.
        waited: Duration,
        /// When upstream says to come back.
        retry_after: Duration,
    },
    /// Upstream refused the credentials of every connection that was tried.
    #[error("upstream refused the credentials for `{call}` with status {status} ({connections})")]
    Refused {
        /// The call's label.
        call: String,
        /// The last status.
        status: u16,
        /// The connections that were refused.
        connections: String,
    },
    /// Every attempt failed for a reason that may pass. Ask again later.
    #[error("`{call}` failed {} times: {}", causes.len(), list(causes))]
    GaveUp {
        /// The call's label.
        call: String,
        /// One per attempt, in order. Never empty.
        causes: Vec<Cause>,
        /// The status of the last attempt, where there was an answer.
        status: Option<u16>,
    },
    /// Upstream says that there is no such thing.
    #[error("`{call}`: upstream has no such thing (status {status})")]
    Missing {
        /// The call's label.
        call: String,
        /// The HTTP status.
        status: u16,
        /// When and how it said so.
        meta: Box<Meta>,
    },
    /// Upstream understood and said no. Asking again cannot help.
    #[error("upstream rejected `{call}` with status {status}: {message}")]
    Rejected {
        /// The call's label.
        call: String,
        /// The HTTP status; 200 for an error inside a good answer.
        status: u16,
        /// The code in the body, where there is one.
        code: Option<String>,
        /// The message in the body, shortened.
        message: String,
    },
    /// The answer is not what this endpoint gives: not the right shape, a page that repeats, too many records.
    #[error("`{call}` was answered unusably: {reason}")]
    Unusable {
        /// The call's label.
        call: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The body is larger than this client takes.
    #[error("the answer to `{call}` is larger than {limit} bytes")]
    TooLarge {
        /// The call's label.
        call: String,
        /// The most bytes taken.
        limit: u64,
    },
    /// Upstream's certificate was not accepted. Never retried.
    #[error("the certificate of `{host}` was not accepted: {reason}")]
    Certificate {
        /// The host called.
        host: String,
        /// Why.
        reason: String,
    },
    /// A write may or may not have arrived. Look before writing again.
    #[error("nobody knows whether `{call}` arrived: {cause}")]
    OutcomeUnknown {
        /// The call's label.
        call: String,
        /// What happened.
        cause: Cause,
    },
    /// The call could not be built or may not be made: a bad path, a missing secret, a private address.
    #[error("`{call}` cannot be made: {reason}")]
    Impossible {
        /// The call's label.
        call: String,
        /// Why.
        reason: String,
    },
}

impl CallError {
    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            CallError::NoPermit { source, .. } => matches!(
                source,
                GateError::WouldWait { .. } | GateError::Broken { .. }
            ),
            CallError::Throttled { .. } | CallError::GaveUp { .. } => true,
            _ => false,
        }
    }

    /// When to ask again; `None` when nobody knows or asking again cannot help.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            CallError::NoPermit {
                source: GateError::WouldWait { next_in, .. },
                ..
            } => Some(*next_in),
            CallError::Throttled { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }
}

fn list(causes: &[Cause]) -> String {
    let causes: Vec<String> = causes.iter().map(Cause::to_string).collect();
    causes.join("; ")
}
