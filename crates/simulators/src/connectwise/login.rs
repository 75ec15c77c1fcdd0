//! Who calls, and the few addresses that stand outside of the interface.

use super::callbacks;
use super::handle::{header, version};
use super::kinds::kind;
use super::reply::{Refusal, Reply};
use super::server::Service;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Method};
use serde_json::{Value, json};
use std::sync::Arc;

/// What a call shows to get in.
pub(super) struct Login {
    pub company: String,
    pub public: String,
    private: String,
}

/// Reads `Basic {company}+{public}:{private}`.
pub(super) fn credentials(headers: &HeaderMap) -> Option<Login> {
    let (scheme, encoded) = header(headers, "authorization").split_once(' ')?;
    let decoded = STANDARD.decode(encoded.trim()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (user, private) = text.split_once(':')?;
    let (company, public) = user.split_once('+')?;
    scheme.eq_ignore_ascii_case("basic").then(|| Login {
        company: company.to_owned(),
        public: public.to_owned(),
        private: private.to_owned(),
    })
}

/// The member as which the call is made.
///
/// # Errors
///
/// Wrong keys, or no `clientId`, which may stand in the header or in the query.
pub(super) fn login(
    service: &Service,
    headers: &HeaderMap,
    pairs: &[(String, String)],
) -> Result<Arc<str>, Refusal> {
    let (options, company) = (&service.options, &service.options.company);
    let shown =
        credentials(headers).filter(|login| login.company.eq_ignore_ascii_case(&company.id));
    let key = shown.and_then(|login| {
        let mut known = company.keys.iter();
        known.find(|key| key.public == login.public && key.private == login.private)
    });
    let Some(key) = key else {
        return Err(match options.bad_credentials_404 {
            true => Refusal::no_endpoint(),
            false => Refusal::unauthorized("User Not Authenticated"),
        });
    };
    let query = pairs
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("clientId"));
    let client_id = match header(headers, "clientid") {
        "" => query.map_or("", |(_, value)| value.as_str()),
        sent => sent,
    };
    let known = match &company.client_id {
        Some(expected) => client_id.eq_ignore_ascii_case(expected),
        None => !client_id.is_empty(),
    };
    if !known && !options.client_id_optional {
        return Err(Refusal::unauthorized("A valid clientId is required"));
    }
    Ok(key.member.as_str().into())
}

/// `companyinfo`, the signing keys of callbacks, and the refusal of everything else.
pub(super) fn outside(
    service: &Service,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    pairs: &[(String, String)],
) -> Reply {
    let lower = path.to_ascii_lowercase();
    let parts: Vec<&str> = lower.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        ["login", "companyinfo", company] if method == Method::GET => {
            let answer = company_info(service, company);
            Reply::json(200, answer.to_string().into_bytes())
        }
        [_, "system", "callbackkey", "index.rails"] if method == Method::GET => {
            let wanted = service.options.callback_key_needs_credentials;
            if wanted && login(service, headers, pairs).is_err() {
                return Refusal::unauthorized("User Not Authenticated").reply();
            }
            let id = pairs
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case("id"));
            match id.and_then(|(_, id)| signing_key(service, id)) {
                Some(key) => Reply::json(200, json!({"signing_key": key}).to_string().into_bytes()),
                None => Refusal::no_endpoint().reply(),
            }
        }
        _ => Refusal::no_endpoint().reply(),
    }
}

fn signing_key(service: &Service, guid: &str) -> Option<String> {
    let world = service.read();
    let mut entries = world.table(kind("callback")).rows.values();
    let known = entries
        .any(|entry| entry.members.get("connectWiseID").and_then(Value::as_str) == Some(guid));
    known.then(|| callbacks::signing_key(service.options.seed, guid))
}

/// What `companyinfo` says; `null` of a company that is not here.
fn company_info(service: &Service, company: &str) -> Value {
    let known = &service.options.company;
    if !known.id.eq_ignore_ascii_case(company) {
        return Value::Null;
    }
    let codebase = service.codebase();
    json!({
        "CompanyName": known.name,
        "Codebase": format!("{codebase}/"),
        "VersionCode": format!("v{}", version(&codebase)),
        "VersionNumber": "v4.6.98842",
        "CompanyID": known.id,
        // A text, as the guide shows it; old versions answer a boolean.
        "IsCloud": "True",
        "SiteUrl": service.options.link_host.clone().unwrap_or_else(|| site_of(&service.read().base)),
    })
}

fn site_of(base: &str) -> String {
    let rest = base.split_once("://").map_or(base, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default().to_owned()
}
