//! Answers and refusals, in the service's own shapes.

use axum::body::Body;
use http::{Response, StatusCode, header};
use serde_json::{Value, json};
use std::time::Duration;

/// What goes back to the client.
#[derive(Debug)]
pub(crate) struct Reply {
    pub status: u16,
    pub content_type: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

pub(crate) const JSON: &str = "application/json; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

impl Reply {
    pub(crate) fn json(status: u16, body: Vec<u8>) -> Reply {
        Reply {
            status,
            content_type: JSON.into(),
            headers: vec![],
            body,
        }
    }

    pub(crate) fn html(status: u16, title: &str) -> Reply {
        let body = format!(
            "<!DOCTYPE html>\n<html>\n<head><title>{title}</title></head>\n<body><h1>{title}</h1></body>\n</html>\n"
        );
        Reply {
            status,
            content_type: HTML.into(),
            headers: vec![],
            body: body.into(),
        }
    }

    /// Throttled: the one error whose body says `error` where others say `code`.
    pub(crate) fn throttled(retry_after: Duration, html: bool) -> Reply {
        let secs = retry_after.as_secs();
        let mut reply = if html {
            Reply::html(429, "You are being rate limited")
        } else {
            let message = format!("Too many requests. Please try again in {secs} seconds.");
            let body = json!({"error": "ConnectWiseAPI", "message": message});
            Reply::json(429, body.to_string().into_bytes())
        };
        reply.headers.push(("retry-after", secs.to_string()));
        reply
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        let mut response = Response::builder()
            .status(StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
            .header(header::CACHE_CONTROL, "no-cache")
            .header(header::PRAGMA, "no-cache");
        if !self.body.is_empty() {
            response = response.header(header::CONTENT_TYPE, self.content_type);
        }
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        response.body(Body::from(self.body)).unwrap_or_default()
    }
}

/// Why a call is not carried out; the records are unchanged by then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub status: u16,
    pub code: &'static str,
    pub message: String,
    pub errors: Vec<Fault>,
}

/// One thing that is wrong with a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub code: &'static str,
    pub message: String,
    pub resource: String,
    pub field: String,
}

pub(crate) type Answer<T> = std::result::Result<T, Refusal>;

impl Refusal {
    fn new(status: u16, code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal {
            status,
            code,
            message: message.into(),
            errors: vec![],
        }
    }

    pub(crate) fn no_endpoint() -> Refusal {
        Refusal::new(404, "ConnectWiseApi", "The endpoint does not exist.")
    }

    pub(crate) fn not_found(type_name: &str, id: impl std::fmt::Display) -> Refusal {
        Refusal::new(404, "NotFound", format!("{type_name} {id} not found"))
    }

    pub(crate) fn unauthorized(message: &str) -> Refusal {
        Refusal::new(401, "Unauthorized", message)
    }

    pub(crate) fn wrong_method(method: &str) -> Refusal {
        let message = format!("The requested resource does not support http method '{method}'.");
        Refusal::new(405, "MethodNotAllowed", message)
    }

    /// A query that cannot be understood.
    pub(crate) fn bad_query(message: impl Into<String>) -> Refusal {
        Refusal::new(400, "InvalidQuery", message)
    }

    pub(crate) fn in_use(type_name: &str, id: i64) -> Refusal {
        let message = format!("{type_name} {id} is in use and cannot be deleted");
        Refusal::new(409, "ObjectInUse", message)
    }

    pub(crate) fn uri_too_long() -> Refusal {
        Refusal::new(414, "ConnectWiseApi", "Request URI Too Long")
    }

    /// A body that is wrong as a whole.
    pub(crate) fn bad_body(resource: &str, message: impl Into<String>) -> Refusal {
        let fault = Fault {
            code: "InvalidObject",
            message: message.into(),
            resource: resource.into(),
            field: String::new(),
        };
        Refusal::invalid(resource, vec![fault])
    }

    /// A body with faults.
    pub(crate) fn invalid(resource: &str, errors: Vec<Fault>) -> Refusal {
        Refusal {
            errors,
            ..Refusal::new(
                400,
                "InvalidObject",
                format!("{resource} object is invalid"),
            )
        }
    }

    pub(crate) fn reply(&self) -> Reply {
        let mut body = json!({"code": self.code, "message": self.message});
        // Refused credentials come with `null`, a missing endpoint without the member.
        if self.code == "Unauthorized" || self.code == "Security" {
            body["errors"] = Value::Null;
        } else if !self.errors.is_empty() {
            let errors = self.errors.iter().map(|fault| {
                let mut error = json!({"code": fault.code, "message": fault.message, "resource": fault.resource});
                if !fault.field.is_empty() {
                    error["field"] = fault.field.as_str().into();
                }
                error
            });
            body["errors"] = errors.collect();
        }
        let kind = Reply::json(self.status, body.to_string().into_bytes());
        Reply {
            status: self.status,
            ..kind
        }
    }
}
