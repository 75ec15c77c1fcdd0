//! What upstreams tell of by themselves: a webhook only puts a fetch on the queue.

use std::{borrow::Cow, collections::BTreeMap};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, RawQuery, State},
    routing::post,
};
use base64::Engine as _;
use http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use serde_json::{Value, json};
use store::ResourceName;
use upstream::{Class, Secret};

use super::{App, error::ApiError};
use crate::{config::Loaded, secrets::Secrets};

/// Shorter secrets are guessed.
const SECRET_CHARS_MIN: usize = 16;

/// The secret of each instance that listens to webhooks.
///
/// # Errors
///
/// Which one cannot be had or is too short.
pub fn hook_secrets(
    loaded: &Loaded,
    secrets: &Secrets,
) -> Result<BTreeMap<String, Secret>, String> {
    let mut found = BTreeMap::new();
    for instance in &loaded.config.instances {
        let Some(reference) = &instance.hook_secret else {
            continue;
        };
        let secret = secrets.resolve(reference)?;
        if secret.expose().len() < SECRET_CHARS_MIN {
            return Err(format!(
                "`hook_secret` of {} is shorter than {SECRET_CHARS_MIN} letters: anybody could guess it",
                instance.name
            ));
        }
        found.insert(instance.name.clone(), secret);
    }
    Ok(found)
}

/// The routes of this file. They ask for no key: the secret is the instance's own.
pub(super) fn routes() -> Router<App> {
    Router::new().route("/v1/hooks/{instance}", post(hear))
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct HeardView {
    /// The resource that is told of; none: nothing that is mirrored here.
    resource: Option<ResourceName>,
    /// Records that are to be fetched.
    queued: usize,
}

/// `POST /v1/hooks/{instance}`: queues what the body tells of, in front of everything but readers.
pub async fn hear(
    State(app): State<App>,
    Path(instance): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Json<HeardView>), ApiError> {
    let shown = shown(&headers, query.as_deref()).unwrap_or_default();
    match app.access().admits_hook(&instance, shown.as_bytes()) {
        Some(true) => {}
        Some(false) => {
            return Err(ApiError::unauthorized().hint(
                "show the instance's `hook_secret`: as a bearer token, as the password of basic authentication, \
                 or as `?secret=`",
            ));
        }
        None => {
            let message = format!("nobody listens to webhooks of `{instance}`");
            return Err(ApiError::not_found(message)
                .hint("`hook_secret` of an [[instance]] switches them on"));
        }
    }
    let body: Value = serde_json::from_slice(&body).map_err(|error| {
        ApiError::bad_request("bad_body", format!("a webhook is JSON: {error}"))
    })?;
    let told = app
        .mirror()
        .connector(&instance)
        .and_then(|connector| Some((connector.told_by(&body)?, connector.name.clone())));
    let mut heard = HeardView {
        resource: None,
        queued: 0,
    };
    if let Some(((resource, ids), connector)) = told
        && let Ok(name) = ResourceName::new(&connector, &resource.name)
        && app
            .mirror()
            .resource(&name)
            .is_some_and(|known| known.instances.contains(&instance))
    {
        let class = i16::from(Class::Event.rank());
        app.store()
            .queue_fetch(&name, &instance, &ids, class)
            .await?;
        let told = json!({ "resource": name, "ids": ids });
        app.store()
            .tell("webhook:heard", Some(&instance), &told)
            .await?;
        heard = HeardView {
            resource: Some(name),
            queued: ids.len(),
        };
    }
    Ok((StatusCode::ACCEPTED, Json(heard)))
}

/// The secret that a request shows. Services differ in where they can put one.
fn shown<'a>(headers: &HeaderMap, query: Option<&'a str>) -> Option<Cow<'a, str>> {
    let authorization = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '));
    match authorization {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
            Some(Cow::Owned(token.trim().to_owned()))
        }
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("basic") => {
            let plain = base64::engine::general_purpose::STANDARD
                .decode(token.trim())
                .ok()?;
            let plain = String::from_utf8(plain).ok()?;
            let (_, password) = plain.split_once(':')?;
            Some(Cow::Owned(password.to_owned()))
        }
        _ => form_urlencoded::parse(query?.as_bytes())
            .find(|(name, _)| name == "secret")
            .map(|(_, secret)| secret),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::shown;

    #[test]
    fn a_secret_is_shown_in_one_of_three_places() {
        let with = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
            headers
        };
        let none = HeaderMap::new();
        for (headers, query, found) in [
            (with("Bearer abc"), None, Some("abc")),
            (with("basic dXNlcjphOmI="), None, Some("a:b")),
            (none.clone(), Some("secret=a%20b&recordId=7"), Some("a b")),
            (none.clone(), Some("recordId=7"), None),
            (with("Basic !!"), Some("secret=x"), None),
            (with("Digest x"), Some("secret=x"), Some("x")),
            (none, None, None),
        ] {
            assert_eq!(shown(&headers, query).as_deref(), found, "{query:?}");
        }
    }
}
