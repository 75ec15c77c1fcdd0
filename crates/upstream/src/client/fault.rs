//! What went wrong below HTTP, under the names that people know.

use std::error::Error;
use std::io;

use crate::call::Cause;
use crate::client::address::OnlyPrivate;

/// What went wrong below HTTP.
#[derive(Debug)]
pub(crate) enum Fault {
    /// May pass. `unsent`: the request certainly did not arrive.
    Transient { cause: Cause, unsent: bool },
    /// The certificate was not accepted.
    Certificate(String),
    /// The address may not be called.
    Private(String),
    /// The request could not be built.
    Unbuildable(String),
}

/// How the HTTP library says that an answer ended too early. It has no type for that.
const ENDED_EARLY: [&str; 3] = [
    "connection closed before message completed",
    "end of file before message length reached",
    "unexpected EOF during chunk",
];

const ETIMEDOUT: i32 = 110;
const ECONNREFUSED: i32 = 111;
const EHOSTUNREACH: i32 = 113;
const ENETUNREACH: i32 = 101;
const ECONNRESET: i32 = 104;
const EPIPE: i32 = 32;

/// Names what `error` is. `timeout_ms` is what the attempt was allowed.
pub(crate) fn name_fault(error: &reqwest::Error, timeout_ms: u128) -> Fault {
    let mut is_incomplete = false;
    let mut code = None;
    let mut deepest = String::new();
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(current) = next {
        if let Some(private) = current.downcast_ref::<OnlyPrivate>() {
            return Fault::Private(private.to_string());
        }
        let tls = current.downcast_ref::<rustls::Error>();
        if let Some(reason) = tls.and_then(refused_certificate) {
            return Fault::Certificate(reason);
        }
        let io = current.downcast_ref::<io::Error>();
        code = code.or_else(|| io.and_then(name_io));
        deepest = current.to_string();
        is_incomplete |= ENDED_EARLY.iter().any(|words| deepest.contains(words));
        // An I/O error keeps what it wraps in `get_ref`; its `source` is that error's source.
        let wrapped = io
            .and_then(io::Error::get_ref)
            .map(|inner| inner as &(dyn Error + 'static));
        next = wrapped.or_else(|| current.source());
    }
    if error.is_builder() {
        return Fault::Unbuildable(deepest);
    }
    let unsent = error.is_connect();
    let cause = match code {
        Some((code, words)) => Cause {
            code: code.to_owned(),
            message: words.to_owned(),
        },
        None if error.is_timeout() => Cause {
            code: "ECONNABORTED".to_owned(),
            message: format!("timeout of {timeout_ms} ms exceeded"),
        },
        None if is_incomplete => Cause {
            code: "ECONNRESET".to_owned(),
            message: "connection closed in the middle of the answer".to_owned(),
        },
        None => Cause {
            code: "ERR_NETWORK".to_owned(),
            message: deepest,
        },
    };
    Fault::Transient { cause, unsent }
}

fn name_io(io: &io::Error) -> Option<(&'static str, &'static str)> {
    let reset = ("ECONNRESET", "connection reset");
    let unreachable = ("ENETUNREACH", "network unreachable");
    match io.raw_os_error() {
        Some(ETIMEDOUT) => Some(("ETIMEDOUT", "connection timed out")),
        Some(ECONNREFUSED) => Some(("ECONNREFUSED", "connection refused")),
        Some(ENETUNREACH | EHOSTUNREACH) => Some(unreachable),
        Some(ECONNRESET | EPIPE) => Some(reset),
        Some(_) => None,
        None => match io.kind() {
            io::ErrorKind::ConnectionRefused => Some(("ECONNREFUSED", "connection refused")),
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionAborted => Some(reset),
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => Some(unreachable),
            _ => None,
        },
    }
}

fn refused_certificate(error: &rustls::Error) -> Option<String> {
    match error {
        rustls::Error::InvalidCertificate(reason) => Some(reason.to_string()),
        rustls::Error::NoCertificatesPresented => Some("none was shown".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
