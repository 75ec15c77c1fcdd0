//! Connections made ready to call: their headers, and their tokens where tokens are given out.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::Mutex;

use super::settings::{Connection, SettingsError};
use crate::connector::{Auth, AuthKind, Template};
use crate::secret::Secret;

/// A connection made ready to call.
pub(crate) struct Login {
    pub(crate) name: String,
    /// Sent with every call. Marked as sensitive.
    pub(crate) headers: HeaderMap,
    pub(crate) grant: Option<Grant>,
    /// What the log must never show.
    masked: Vec<String>,
}

/// OAuth 2 client credentials.
pub(crate) struct Grant {
    pub(crate) token_url: String,
    pub(crate) form: Vec<(&'static str, String)>,
    pub(crate) token: Mutex<Option<Token>>,
}

#[derive(Clone)]
pub(crate) struct Token {
    pub(crate) text: Secret,
    /// By the client's clock.
    pub(crate) good_until: Duration,
}

/// The answer of a token endpoint.
#[derive(serde::Deserialize)]
pub(crate) struct TokenAnswer {
    pub(crate) access_token: String,
    #[serde(default)]
    pub(crate) expires_in: Option<ExpiresIn>,
}

/// Some write the number as a text.
#[derive(serde::Deserialize)]
#[serde(untagged)]
pub(crate) enum ExpiresIn {
    Number(f64),
    Text(String),
}

/// How long a token lives whose answer does not say.
const TOKEN_LIFE: Duration = Duration::from_secs(300);

/// The longest that a token is believed to live.
const TOKEN_LIFE_MAX: Duration = Duration::from_secs(86_400);

/// Shorter texts are masked only where they stand as a whole value.
const MASK_LENGTH_MIN: usize = 6;

impl Login {
    pub(crate) fn new(
        instance: &str,
        auth: &Auth,
        connection: &Connection,
    ) -> Result<Login, SettingsError> {
        let fill = |template: &Template| {
            template
                .fill(|name| {
                    connection
                        .secrets
                        .get(name)
                        .map(|secret| secret.expose().to_owned())
                })
                .map_err(|secret| SettingsError::SecretMissing {
                    instance: instance.to_owned(),
                    connection: connection.name.clone(),
                    secret: secret.to_owned(),
                })
        };
        let unusable = |header: &str| SettingsError::SecretUnusable {
            instance: instance.to_owned(),
            connection: connection.name.clone(),
            header: header.to_owned(),
        };
        let mut headers = HeaderMap::new();
        let mut put = |name: &str, text: String| -> Result<(), SettingsError> {
            let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unusable(name))?;
            let mut value = HeaderValue::from_str(&text).map_err(|_| unusable(name))?;
            value.set_sensitive(true);
            headers.insert(key, value);
            Ok(())
        };
        for (name, template) in &auth.headers {
            put(name, fill(template)?)?;
        }
        let mut grant = None;
        match &auth.kind {
            AuthKind::Header => {}
            AuthKind::Basic { username, password } => {
                let pair = format!("{}:{}", fill(username)?, fill(password)?);
                put("authorization", format!("Basic {}", STANDARD.encode(pair)))?;
            }
            AuthKind::Bearer { token } => put("authorization", format!("Bearer {}", fill(token)?))?,
            AuthKind::OAuth2 {
                token_url,
                client_id,
                client_secret,
                scope,
                audience,
            } => {
                let mut form = vec![
                    ("grant_type", "client_credentials".to_owned()),
                    ("client_id", fill(client_id)?),
                    ("client_secret", fill(client_secret)?),
                ];
                for (name, template) in [("scope", scope), ("audience", audience)] {
                    if let Some(template) = template {
                        form.push((name, fill(template)?));
                    }
                }
                grant = Some(Grant {
                    token_url: fill(token_url)?,
                    form,
                    token: Mutex::new(None),
                });
            }
        }
        let masked = connection
            .secrets
            .values()
            .map(|secret| secret.expose().to_owned())
            .collect();
        Ok(Login {
            name: connection.name.clone(),
            headers,
            grant,
            masked,
        })
    }

    /// `url` without secrets: those of this connection, and every parameter whose name sounds like one.
    pub(crate) fn mask(&self, url: &str) -> String {
        let mut text = match url.split_once('?') {
            None => url.to_owned(),
            Some((path, query)) => {
                let pairs: Vec<String> =
                    query.split('&').map(|pair| self.mask_pair(pair)).collect();
                format!("{path}?{}", pairs.join("&"))
            }
        };
        for secret in self
            .masked
            .iter()
            .filter(|secret| secret.len() >= MASK_LENGTH_MIN)
        {
            let encoded: String = form_encode(secret);
            for form in [secret.as_str(), encoded.as_str()] {
                if text.contains(form) {
                    text = text.replace(form, "***");
                }
            }
        }
        text
    }

    fn mask_pair(&self, pair: &str) -> String {
        const SOUNDS_SECRET: [&str; 7] = [
            "key",
            "token",
            "secret",
            "password",
            "passwd",
            "signature",
            "auth",
        ];
        let Some((name, value)) = pair.split_once('=') else {
            return pair.to_owned();
        };
        let lower = name.to_ascii_lowercase();
        let is_secret = SOUNDS_SECRET.iter().any(|word| lower.contains(word))
            || self
                .masked
                .iter()
                .any(|secret| form_encode(secret) == value);
        if is_secret {
            format!("{name}=***")
        } else {
            pair.to_owned()
        }
    }
}

impl Token {
    pub(crate) fn new(answer: TokenAnswer, now: Duration) -> Token {
        let seconds = match answer.expires_in {
            Some(ExpiresIn::Number(number)) => Some(number),
            Some(ExpiresIn::Text(text)) => text.trim().parse().ok(),
            None => None,
        };
        let life = seconds
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .unwrap_or(TOKEN_LIFE);
        let life = life.min(TOKEN_LIFE_MAX);
        // Replaced a little before its end, so that no call goes out with a token about to die.
        let spare = (life / 10).min(Duration::from_secs(60));
        Token {
            text: Secret::new(answer.access_token),
            good_until: now + (life - spare),
        }
    }
}

/// Makes every connection ready, or says which one cannot be.
pub(crate) fn prepare(
    instance: &str,
    auth: &Auth,
    connections: &[Connection],
) -> Result<BTreeMap<String, std::sync::Arc<Login>>, SettingsError> {
    let mut logins = BTreeMap::new();
    for connection in connections {
        let login = std::sync::Arc::new(Login::new(instance, auth, connection)?);
        if logins.insert(connection.name.clone(), login).is_some() {
            let (instance, connection) = (instance.to_owned(), connection.name.clone());
            return Err(SettingsError::ConnectionTwice {
                instance,
                connection,
            });
        }
    }
    Ok(logins)
}

pub(crate) fn form_encode(text: &str) -> String {
    let mut url = reqwest::Url::parse("https://x/")
        .unwrap_or_else(|error| unreachable!("a fixed address: {error}"));
    url.query_pairs_mut().append_pair("", text);
    url.query()
        .and_then(|query| query.strip_prefix('='))
        .unwrap_or_default()
        .to_owned()
}
