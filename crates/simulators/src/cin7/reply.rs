//! Answers: documents, error arrays, and the pages of the web site that an API client was never meant to see.

use super::json::{J, obj};
use axum::body::Body;
use http::{Response, StatusCode, header};

/// What goes back to the client.
#[derive(Debug)]
pub(crate) struct Reply {
    pub status: u16,
    pub content_type: &'static str,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

const JSON: &str = "application/json; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

impl Reply {
    pub(crate) fn json(status: u16, body: Vec<u8>) -> Reply {
        Reply {
            status,
            content_type: JSON,
            headers: vec![],
            body,
        }
    }

    pub(crate) fn text(status: u16, body: &str) -> Reply {
        Reply {
            status,
            content_type: TEXT,
            headers: vec![],
            body: body.into(),
        }
    }

    pub(crate) fn html(status: u16, title: &str) -> Reply {
        let body = format!(
            "<!DOCTYPE html>\r\n<html>\r\n<head><title>{title}</title></head>\r\n<body><h1>{title}</h1></body>\r\n</html>\r\n"
        );
        Reply {
            status,
            content_type: HTML,
            headers: vec![],
            body: body.into(),
        }
    }

    /// The web site's answer to a path that the API does not have.
    pub(crate) fn page_not_found(strict: bool) -> Reply {
        Reply::html(if strict { 404 } else { 200 }, "Page not found")
    }

    pub(crate) fn bad_credentials() -> Reply {
        Reply::text(403, "Incorrect credentials!")
    }

    pub(crate) fn over_limit(limit: crate::limiter::Limit, legacy_503: bool) -> Reply {
        let (calls, secs) = (limit.calls, limit.per.as_secs().max(1));
        let text = format!("You have reached {calls} calls per {secs} seconds API limit.");
        let mut reply = Reply::text(if legacy_503 { 503 } else { 429 }, &text);
        if !legacy_503 {
            reply.headers = vec![
                ("x-ratelimit-limit", calls.to_string()),
                ("x-ratelimit-remaining", "0".into()),
                ("x-ratelimit-reset", secs.to_string()),
                ("retry-after", format!("{secs} Seconds")),
            ];
        }
        reply
    }

    pub(crate) fn into_response(self, date: &str) -> Response<Body> {
        let mut response = Response::builder()
            .status(StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
            .header(header::CONTENT_TYPE, self.content_type)
            .header(header::DATE, date);
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        response.body(Body::from(self.body)).unwrap_or_default()
    }
}

/// Why a call is not carried out; the world is unchanged by then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub status: u16,
    /// Code and text of each fault. The service stops at the first few.
    pub faults: Vec<(i64, String)>,
}

pub(crate) type Answer<T> = std::result::Result<T, Refusal>;

impl Refusal {
    /// 400 with one fault.
    pub(crate) fn bad(text: impl Into<String>) -> Refusal {
        Refusal {
            status: 400,
            faults: vec![(400, text.into())],
        }
    }

    /// A name that no reference book knows: 400 that carries 404 inside.
    pub(crate) fn unknown_name(text: impl Into<String>) -> Refusal {
        Refusal {
            status: 400,
            faults: vec![(404, text.into())],
        }
    }

    pub(crate) fn missing(attribute: &str) -> Refusal {
        Refusal::bad(format!("Required attribute '{attribute}' not provided."))
    }

    pub(crate) fn wrong_verb(method: &str) -> Refusal {
        let text = format!("The requested resource does not support http method '{method}'.");
        Refusal {
            status: 405,
            faults: vec![(405, text)],
        }
    }

    pub(crate) fn reply(&self) -> Reply {
        let faults = self
            .faults
            .iter()
            .map(|(code, text)| obj! { "ErrorCode": *code, "Exception": text.as_str() });
        Reply::json(self.status, J::Arr(faults.collect()).bytes())
    }
}
