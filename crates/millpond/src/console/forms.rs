//! What pages are asked with, and forms that change something.

use std::collections::HashMap;

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
    response::{IntoResponse, Redirect, Response},
};
use http::{Method, request::Parts};
use serde_json::Value;

use super::{Console, page::Viewer, session::Session};
use crate::{
    access::Caller,
    door::{Refusal, encoded},
};

/// Whoever has been let in, and what the page is asked with.
pub(super) struct Visit {
    pub caller: Caller,
    pub session: Session,
    query: Vec<(String, String)>,
}

impl FromRequestParts<Console> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Response> {
        let caller = parts.extensions.get::<Caller>().cloned();
        let session = parts.extensions.get::<Session>().cloned();
        let (Some(caller), Some(session)) = (caller, session) else {
            return Err(console.pages().login("/console", ""));
        };
        let query = parts.uri.query().unwrap_or_default();
        let query = form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        Ok(Self {
            caller,
            session,
            query,
        })
    }
}

impl Visit {
    pub fn viewer(&self, place: &'static str) -> Viewer<'_> {
        Viewer {
            caller: &self.caller,
            session: &self.session,
            place,
        }
    }

    /// What stands after `?` under a name, unless it is empty.
    pub fn one(&self, name: &str) -> Option<&str> {
        let found = self
            .query
            .iter()
            .find(|(key, value)| key == name && !value.trim().is_empty());
        found.map(|(_, value)| value.as_str())
    }

    /// All that stands after `?` under a name, without what is empty.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.query
            .iter()
            .filter(move |(key, value)| key == name && !value.trim().is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// These of what stands after `?`, to be handed on; `more` comes behind.
    pub fn query(&self, names: &[&str], more: &[(&str, &str)]) -> String {
        let mut text = String::new();
        let kept = self
            .query
            .iter()
            .filter(|(key, value)| names.contains(&key.as_str()) && !value.trim().is_empty())
            .map(|(key, value)| (key.as_str(), value.as_str()));
        for (key, value) in kept.chain(more.iter().copied()) {
            text.push(if text.is_empty() { '?' } else { '&' });
            text.push_str(key);
            text.push('=');
            text.push_str(&encoded(value));
        }
        text
    }

    pub async fn get(&self, console: &Console, path: &str) -> Result<Value, Refusal> {
        console
            .door()
            .ask(&self.caller, Method::GET, path, None)
            .await
    }

    pub async fn send(
        &self,
        console: &Console,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Refusal> {
        console.door().ask(&self.caller, method, path, body).await
    }
}

/// A form, once its token has been looked at.
pub(super) struct Filled(HashMap<String, String>);

impl FromRequest<Console> for Filled {
    type Rejection = Response;

    /// Reads a form of this session, and no other.
    async fn from_request(request: Request, console: &Console) -> Result<Self, Response> {
        let session = request.extensions().get::<Session>().cloned();
        let body = Bytes::from_request(request, console).await;
        let body = body.map_err(IntoResponse::into_response)?;
        let fields: HashMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
        let token = fields.get("token").map(String::as_str).unwrap_or_default();
        if session.is_some_and(|session| session.admits(token)) {
            return Ok(Self(fields));
        }
        let message = "The form is of an earlier session. Nothing was changed: load the page and do it again.";
        Err(console.pages().refused(message))
    }
}

impl Filled {
    /// A field, unless it is empty.
    pub fn one(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name)?.trim();
        (!value.is_empty()).then_some(value)
    }
}

/// Goes on to a page that says what was done.
pub(super) fn done(path: &str, what: &str) -> Response {
    let join = if path.contains('?') { '&' } else { '?' };
    Redirect::to(&format!("{path}{join}done={}", encoded(what))).into_response()
}
