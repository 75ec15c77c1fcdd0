//! What a delivery looks like on the wire: a body of the shape, and headers of the kind, that the Standard Webhooks
//! specification wants (<https://www.standardwebhooks.com>), so that its libraries verify it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use ring::hmac;
use serde::Serialize;
use serde_json::Value;
use store::webhooks::{Errand, Parcel, SigningKey};

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    timestamp: Timestamp,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    webhook: &'a str,
    changes: &'a [Value],
    next: &'a str,
}

/// The body of a delivery that tells `changes`; the same at each attempt.
pub(super) fn body(errand: &Errand, parcel: &Parcel, changes: &[Value]) -> Vec<u8> {
    let body = Body {
        kind: "changes",
        timestamp: parcel.made_at,
        data: Data {
            webhook: &errand.name,
            changes,
            next: &parcel.last_cursor,
        },
    };
    // Texts, numbers and values that came out of JSON.
    serde_json::to_vec(&body).unwrap_or_default()
}

/// The headers of an attempt at `now`.
pub(super) fn headers(keys: &[SigningKey], id: &str, now: Timestamp, body: &[u8]) -> HeaderMap {
    let at = now.as_second();
    let signatures: Vec<String> = keys
        .iter()
        .map(|key| sign(key.expose(), id, at, body))
        .collect();
    let said = [
        (ID, id.to_owned()),
        (TIMESTAMP, at.to_string()),
        (SIGNATURE, signatures.join(" ")),
    ];
    // All three are letters, digits and what base64 has besides.
    said.into_iter()
        .filter_map(|(name, text)| Some((name, HeaderValue::from_str(&text).ok()?)))
        .collect()
}

/// `v1,` and the base64 of the HMAC-SHA256 of `id.at.body`, `at` in seconds since 1970.
fn sign(key: &[u8], id: &str, at: i64, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let mut context = hmac::Context::with_key(&key);
    context.update(format!("{id}.{at}.").as_bytes());
    context.update(body);
    format!("v1,{}", STANDARD.encode(context.sign()))
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    use super::sign;

    /// The example that the authors of the specification publish with their libraries.
    #[test]
    fn a_signature_is_that_of_the_specification() {
        let key = STANDARD
            .decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
            .unwrap_or_default();
        let signature = sign(
            &key,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
