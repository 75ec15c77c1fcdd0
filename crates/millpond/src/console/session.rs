//! Who has logged in: the credential, sealed into a cookie that only this Millpond can open, so that a key that is
//! revoked ends its sessions everywhere at once and no process keeps any.

use std::collections::HashMap;

use axum::{
    body::Bytes,
    extract::{Query, State},
    response::{IntoResponse, Redirect, Response},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use http::{HeaderMap, HeaderValue, header};
use jiff::Timestamp;
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest, hmac,
};
use serde::Deserialize;
use subtle::ConstantTimeEq as _;

use super::Console;
use crate::http::{KnownBy, known_by};

/// The cookie.
const COOKIE: &str = "millpond_session";
/// Seconds that a session lasts.
const LIFE_SECS: i64 = 12 * 3600;
/// The longest cookie that is looked at.
const COOKIE_CHARS_MAX: usize = 2048;
const CONTEXT: &[u8] = b"millpond console session 1";

/// Seals and opens sessions.
pub(super) struct Seal {
    key: LessSafeKey,
    tokens: hmac::Key,
}

impl Seal {
    /// With a secret that all processes of one Millpond share.
    pub fn new(secret: &str) -> Self {
        let digest = digest::digest(&digest::SHA256, secret.as_bytes());
        // A digest of 32 bytes is a key of 32 bytes.
        #[expect(
            clippy::expect_used,
            reason = "the lengths are constants of the library"
        )]
        let key = UnboundKey::new(&CHACHA20_POLY1305, digest.as_ref()).expect("32 bytes");
        Self {
            key: LessSafeKey::new(key),
            tokens: hmac::Key::new(hmac::HMAC_SHA256, format!("forms {secret}").as_bytes()),
        }
    }

    fn seal(&self, credential: &str, until: i64) -> String {
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut sealed = until.to_be_bytes().to_vec();
        sealed.extend_from_slice(credential.as_bytes());
        let done = self.key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(CONTEXT),
            &mut sealed,
        );
        if done.is_err() {
            // Only for values of gigabytes.
            sealed.clear();
        }
        let mut bytes = nonce.to_vec();
        bytes.extend_from_slice(&sealed);
        BASE64.encode(bytes)
    }

    fn open(&self, cookie: &str, now: i64) -> Option<String> {
        let bytes = BASE64.decode(cookie).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let opened = self
            .key
            .open_in_place(nonce, Aad::from(CONTEXT), &mut sealed)
            .ok()?;
        let (until, credential) = opened.split_first_chunk::<8>()?;
        if i64::from_be_bytes(*until) <= now {
            return None;
        }
        String::from_utf8(credential.to_vec()).ok()
    }

    fn token(&self, cookie: &str) -> String {
        BASE64.encode(hmac::sign(&self.tokens, cookie.as_bytes()))
    }
}

/// A browser that may ask.
#[derive(Clone)]
pub(super) struct Session {
    cookie: String,
    credential: String,
    token: String,
}

impl Session {
    /// The one that a request brings, if it still counts.
    pub fn of(seal: &Seal, headers: &HeaderMap) -> Option<Self> {
        let cookies = headers.get_all(header::COOKIE).iter();
        let mut named = cookies
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, value)| *name == COOKIE && value.len() <= COOKIE_CHARS_MAX);
        let (_, cookie) = named.next()?;
        let credential = seal.open(cookie, Timestamp::now().as_second())?;
        Some(Self {
            token: seal.token(cookie),
            cookie: cookie.to_owned(),
            credential,
        })
    }

    /// A new one for a credential.
    pub fn new(seal: &Seal, credential: &str) -> Self {
        let cookie = seal.seal(credential, Timestamp::now().as_second() + LIFE_SECS);
        Self {
            token: seal.token(&cookie),
            cookie,
            credential: credential.to_owned(),
        }
    }

    /// A new one where no key is asked for.
    pub fn anonymous(seal: &Seal) -> Self {
        Self::new(seal, "")
    }

    /// The key that it stands for; empty: none was asked for.
    pub fn credential(&self) -> &str {
        &self.credential
    }

    /// What every form of it carries.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Whether a form is one of its own. Takes as long for a wrong token as for a right one.
    pub fn admits(&self, token: &str) -> bool {
        self.token.as_bytes().ct_eq(token.as_bytes()).into()
    }

    /// The header that gives it to the browser.
    pub fn cookie(&self, headers: &HeaderMap) -> HeaderValue {
        set_cookie(&self.cookie, LIFE_SECS, headers)
    }
}

fn set_cookie(value: &str, life_secs: i64, headers: &HeaderMap) -> HeaderValue {
    let is_https = headers
        .get("x-forwarded-proto")
        .is_some_and(|scheme| scheme.as_bytes().eq_ignore_ascii_case(b"https"));
    let secure = if is_https { "; Secure" } else { "" };
    let cookie = format!(
        "{COOKIE}={value}; Path=/console; HttpOnly; SameSite=Strict; Max-Age={life_secs}{secure}"
    );
    HeaderValue::from_str(&cookie).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[derive(Deserialize)]
pub(super) struct Wanted {
    to: Option<String>,
}

/// A page of ours and nobody else's.
fn inside(to: Option<&str>) -> &str {
    to.filter(|to| {
        to.starts_with("/console") && !to.contains(['\\', '\r', '\n']) && !to.contains("//")
    })
    .unwrap_or("/console")
}

/// `GET /console/login`.
pub(super) async fn form(State(console): State<Console>, Query(wanted): Query<Wanted>) -> Response {
    console.pages().login(inside(wanted.to.as_deref()), "")
}

/// `POST /console/login`.
pub(super) async fn log_in(
    State(console): State<Console>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fields: HashMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
    let field = |name: &str| fields.get(name).map(String::as_str);
    let to = inside(field("to"));
    if !super::is_same_origin(&headers) {
        return console
            .pages()
            .login(to, "The form came from another site.");
    }
    let key = field("key").unwrap_or_default().trim();
    let seal = match console.seal().await {
        Ok(seal) => seal,
        Err(failed) => return failed,
    };
    match known_by(
        &console.inner.app,
        Some(key).filter(|key| !key.is_empty()),
        &headers,
    )
    .await
    {
        KnownBy::Caller(caller) if caller.is_admin() => {
            let session = Session::new(&seal, key);
            let cookie = [(header::SET_COOKIE, session.cookie(&headers))];
            (cookie, Redirect::to(to)).into_response()
        }
        KnownBy::Caller(_) => console.pages().login(
            to,
            "The console needs a key whose role is admin; this one's is less.",
        ),
        KnownBy::Nobody => console.pages().login(
            to,
            "No such key counts here. `millpond keys create` makes one.",
        ),
        KnownBy::Refused(message) => console.pages().login(to, &message),
    }
}

/// `POST /console/logout`.
pub(super) async fn log_out(headers: HeaderMap) -> Response {
    let cookie = [(header::SET_COOKIE, set_cookie("", 0, &headers))];
    (cookie, Redirect::to("/console/login")).into_response()
}

#[cfg(test)]
mod tests;
