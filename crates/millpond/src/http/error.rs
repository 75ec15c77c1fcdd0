//! What a caller is told when there is no answer: `application/problem+json` with a code, a message and a hint.

use std::time::Duration;

use axum::{
    extract::rejection::JsonRejection,
    response::{IntoResponse, Response},
};
use cache::LoadError;
use http::{HeaderValue, StatusCode, header};
use mirror::MirrorError;
use serde::Serialize;
use store::{StoreError, reader::QueryError};
use upstream::CallError;

use crate::{
    access::{
        AccessError,
        quota::{self, Over},
    },
    cli::chain_of,
};

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", .0.message)]
pub struct ApiError(Box<Told>);

#[derive(Debug, Clone)]
struct Told {
    status: StatusCode,
    code: &'static str,
    message: String,
    hint: Option<String>,
    position: Option<usize>,
    retry_after: Option<Duration>,
    /// What only the log is told.
    cause: Option<String>,
}

#[derive(Serialize)]
struct Problem<'a> {
    status: u16,
    code: &'a str,
    /// The standard's name for the short text.
    title: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<usize>,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Told {
            status,
            code,
            message: message.into(),
            hint: None,
            position: None,
            retry_after: None,
            cause: None,
        }))
    }

    /// The request says something wrong.
    pub fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// What was asked for is not there.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// What was asked for was there, and is not kept.
    pub fn gone(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "gone", message)
    }

    /// The caller has not shown a key that counts.
    pub fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "no valid API key was presented",
        )
        .hint("send `Authorization: Bearer KEY` or `X-Api-Key: KEY`")
    }

    /// Whether a key that counts would help.
    pub fn is_unauthorized(&self) -> bool {
        self.0.status == StatusCode::UNAUTHORIZED
    }

    /// The caller may not do that, whatever key it shows.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// It cannot be done because of how things are.
    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    /// The request took too long.
    pub fn timed_out(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, "timed_out", message)
    }

    /// It may work later.
    pub fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
        let mut error = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message);
        error.0.retry_after = Some(Duration::from_secs(1));
        error
    }

    /// The method is not one of this route.
    pub fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "this route has no such method",
        )
        .hint("docs/http.md lists the routes")
    }

    /// What the framework refused by itself.
    pub(super) fn refused_with(status: StatusCode, message: String) -> Self {
        Self::new(status, "bad_request", message)
    }

    /// It is well said, and cannot be done with.
    pub fn unprocessable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    /// Our own fault.
    pub fn internal(cause: impl Into<String>) -> Self {
        let mut error = Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the request failed for a reason that is ours; the log has it under the request's id",
        );
        error.0.cause = Some(cause.into());
        error
    }

    /// Adds what the caller can do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Self(told) = self;
        if let Some(cause) = &told.cause {
            tracing::error!(error = cause, "a request failed");
        }
        let problem = Problem {
            status: told.status.as_u16(),
            code: told.code,
            title: told.status.canonical_reason().unwrap_or_default(),
            message: &told.message,
            hint: told.hint.as_deref(),
            position: told.position,
        };
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let kind = HeaderValue::from_static("application/problem+json");
        let mut response = (told.status, [(header::CONTENT_TYPE, kind)], body).into_response();
        if let Some(wait) = told.retry_after {
            let secs = HeaderValue::from(wait.as_secs_f64().ceil().max(1.0) as u64);
            response.headers_mut().insert(header::RETRY_AFTER, secs);
        }
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::from(&error)
    }
}

impl From<&StoreError> for ApiError {
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::Unknown { .. } => Self::not_found(error.to_string()),
            StoreError::Exists { .. } => Self::conflict("exists", error.to_string()),
            StoreError::Full { .. } => Self::conflict("full", error.to_string()),
            StoreError::Invalid { .. } => Self::bad_request("bad_value", error.to_string()),
            _ if error.is_bad_value() => Self::bad_request("bad_value", chain_of(error)),
            StoreError::Away { .. } => {
                let mut told =
                    Self::unavailable("database_away", "the database does not answer now");
                told.0.cause = Some(chain_of(error));
                told
            }
            _ => Self::internal(chain_of(error)),
        }
    }
}

impl From<Over> for ApiError {
    fn from(over: Over) -> Self {
        let (code, message, until) = match over {
            Over::Quota { until } => (
                "over_quota",
                format!("the tenant has used its quota; the next window begins at {until}"),
                until,
            ),
            Over::Rate { until } => (
                "too_many_calls",
                format!("the key has made its calls of this minute; the next begins at {until}"),
                until,
            ),
        };
        let mut told = Self::new(StatusCode::TOO_MANY_REQUESTS, code, message);
        told.0.retry_after = Some(quota::wait(until, jiff::Timestamp::now()));
        told
    }
}

impl From<LoadError> for ApiError {
    fn from(error: LoadError) -> Self {
        Self::from(&error)
    }
}

impl From<&LoadError> for ApiError {
    fn from(error: &LoadError) -> Self {
        match error {
            LoadError::Failed { source, .. } => match source.downcast_ref::<Self>() {
                Some(told) => told.clone(),
                None => match source.downcast_ref::<StoreError>() {
                    Some(error) => error.into(),
                    None => Self::internal(chain_of(error)),
                },
            },
            LoadError::FailedElsewhere { .. } => Self::unavailable(
                "load_failed",
                "another process was asked for the same and failed; its log says why",
            ),
            LoadError::TimedOut { after, .. } => {
                Self::timed_out(format!("there was no answer within {after:?}"))
            }
            LoadError::Panicked { .. } | LoadError::Stopped { .. } => {
                Self::internal(chain_of(error))
            }
        }
    }
}

impl From<AccessError> for ApiError {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::Store(error) => error.into(),
            AccessError::Load(error) => error.into(),
        }
    }
}

impl From<MirrorError> for ApiError {
    fn from(error: MirrorError) -> Self {
        match error.cause() {
            MirrorError::Store(error) => error.into(),
            MirrorError::Unknown { .. } => Self::not_found(error.cause().to_string()),
            MirrorError::Upstream { instance, source } => upstream(instance, source),
            MirrorError::BadWrite { .. } => Self::bad_request("bad_body", error.to_string()),
            MirrorError::NotRefreshed { .. } => Self::new(
                StatusCode::BAD_GATEWAY,
                "upstream_failed",
                error.to_string(),
            ),
            MirrorError::Load(error) => error.into(),
            other => Self::internal(chain_of(other)),
        }
    }
}

fn upstream(instance: &str, source: &CallError) -> ApiError {
    let why = chain_of(source);
    if matches!(source, CallError::NoPermit { .. }) {
        let message = format!("{instance} has no call left for this now: {why}");
        return ApiError::unavailable("no_call_left", message);
    }
    match source {
        CallError::Rejected { message, .. } => {
            let message = format!("{instance} said no: {message}");
            return ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "rejected", message);
        }
        CallError::OutcomeUnknown { .. } => {
            let message = format!("{instance} may or may not have done it: {why}");
            return ApiError::new(StatusCode::GATEWAY_TIMEOUT, "outcome_unknown", message)
                .hint("read it before writing again: the next read asks upstream");
        }
        CallError::Missing { .. } => {
            return ApiError::not_found(format!("{instance} has no such thing: {why}"));
        }
        _ => {}
    }
    ApiError::new(
        StatusCode::BAD_GATEWAY,
        "upstream_failed",
        format!("the mirror does not have it, and {instance} did not answer: {why}"),
    )
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::NotAllowed { .. } => {
                Self::bad_request("sql_not_allowed", error.to_string())
            }
            QueryError::Refused {
                message,
                code,
                position,
                detail,
                hint,
            } => {
                let message = match detail {
                    Some(detail) => format!("{message} ({detail}; SQLSTATE {code})"),
                    None => format!("{message} (SQLSTATE {code})"),
                };
                let mut told = Self::bad_request("sql_refused", message);
                told.0.position = position;
                told.0.hint = hint;
                told
            }
            QueryError::TooCostly { .. } => {
                Self::unprocessable("sql_too_costly", error.to_string()).hint(
                    "look at its plan with EXPLAIN; `sql.cost_max` in millpond.toml sets the bound",
                )
            }
            QueryError::TimedOut { .. } => Self::timed_out(error.to_string())
                .hint("narrow the query, or raise `sql.timeout` in millpond.toml"),
            QueryError::Busy { .. } => Self::unavailable("sql_busy", error.to_string()),
            QueryError::Away { .. } => {
                Self::unavailable("database_away", "the database does not answer now")
            }
            other => {
                let why = chain_of(&other);
                Self::unavailable("sql_not_ready", why)
            }
        }
    }
}

impl From<JsonRejection> for ApiError {
    fn from(error: JsonRejection) -> Self {
        let status = error.status();
        let code = match status {
            StatusCode::PAYLOAD_TOO_LARGE => "body_too_large",
            _ => "bad_body",
        };
        Self::new(status, code, error.body_text())
    }
}
