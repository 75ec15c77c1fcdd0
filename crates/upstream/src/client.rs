//! The client: the only way out to an upstream.

mod address;
mod attempt;
mod exchange;
mod fault;
mod held;
mod listing;
mod login;
mod payload;
mod query;
mod settings;
mod steps;
mod token;
mod turn;
mod verdict;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

pub use payload::{FetchedPart, PART_BYTES_MAX};
pub use settings::{Connection, Settings, SettingsError};

use self::address::PublicResolver;
pub(crate) use self::address::{Address, parse_target};
use self::exchange::{Misread, Response};
pub(crate) use self::fault::{Fault, name_fault};
use self::login::Login;
use crate::call::{Answer, Call, CallError};
use crate::call_log::CallLog;
use crate::connector::Connector;
use crate::cut::Cutter;
use crate::gate::Gate;
use crate::json::{NotJson, Scanner, Wants, string_of};

/// Calls one instance. Cheap to clone; clones share connections, permits and log.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
    /// Instead of the settings' bound.
    wait_max: Option<Duration>,
}

struct Inner {
    settings: Settings,
    address: Address,
    http: reqwest::Client,
    gate: Arc<dyn Gate>,
    log: Option<CallLog>,
    logins: RwLock<Arc<BTreeMap<String, Arc<Login>>>>,
    cutters: HashMap<String, Cutter>,
}

/// More attempts than these help nobody.
const ATTEMPTS_MAX: u32 = 20;

/// How long a connection is kept open for the next call.
const POOL_IDLE: Duration = Duration::from_secs(20);

impl Client {
    /// A client without connections yet.
    ///
    /// # Errors
    ///
    /// The base URL is none, or private without leave; a number makes no sense; a certificate cannot be read.
    pub fn new(
        settings: Settings,
        gate: Arc<dyn Gate>,
        log: Option<CallLog>,
    ) -> Result<Client, SettingsError> {
        check_numbers(&settings)?;
        let text = settings
            .base_url
            .as_deref()
            .unwrap_or(&settings.connector.base_url);
        let address = Address::parse(text, settings.allow_private_hosts).map_err(|reason| {
            SettingsError::BaseUrl {
                instance: settings.instance.clone(),
                url: without_user(text),
                reason,
            }
        })?;
        let http = build_http(
            &settings.instance,
            settings.allow_private_hosts,
            &settings.root_certificates,
        )
        .map_err(|source| SettingsError::Build {
            instance: settings.instance.clone(),
            source,
        })?;
        let connector = &settings.connector;
        let cutters = connector.resources.iter().map(|resource| {
            (
                resource.name.clone(),
                Cutter::new(resource, &connector.errors, settings.record_max),
            )
        });
        let cutters = cutters.collect();
        let inner = Inner {
            settings,
            address,
            http,
            gate,
            log,
            logins: RwLock::default(),
            cutters,
        };
        Ok(Client {
            inner: Arc::new(inner),
            wait_max: None,
        })
    }

    /// Replaces the connections. Calls in flight end over the one they began with.
    ///
    /// # Errors
    ///
    /// A connection lacks a secret or has one that no header can carry, or two have the same name. Nothing is
    /// replaced then.
    pub fn set_connections(&self, connections: &[Connection]) -> Result<(), SettingsError> {
        let inner = &self.inner;
        let logins = login::prepare(
            &inner.settings.instance,
            &inner.settings.connector.auth,
            connections,
        )?;
        *inner.logins.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(logins);
        Ok(())
    }

    /// The same client, whose calls wait for permits at most so long. For a person who waits for the answer.
    pub fn waiting_at_most(&self, wait_max: Duration) -> Client {
        Client {
            inner: self.inner.clone(),
            wait_max: Some(wait_max),
        }
    }

    /// The instance it calls.
    pub fn instance(&self) -> &str {
        &self.inner.settings.instance
    }

    /// What the API looks like.
    pub fn connector(&self) -> &Arc<Connector> {
        &self.inner.settings.connector
    }

    /// Makes one call: takes permits, retries what may pass, and hands up everything else.
    ///
    /// Dropping the future gives the permit back; the call may have arrived by then.
    ///
    /// # Errors
    ///
    /// See [`CallError`]: one variant per decision that a caller can take.
    pub async fn call(&self, call: Call) -> Result<Answer, CallError> {
        let rules = &self.inner.settings.connector.errors;
        let read = |response: &Response| -> Result<Vec<String>, Misread> {
            if response.body.is_empty() {
                return Ok(Vec::new());
            }
            check_json(&response.body)?;
            if rules.in_200
                && let Some((Some(code), message)) = verdict::read_error(rules, &response.body)
            {
                return Err(Misread::ErrorInside { code, message });
            }
            let is_write = !call.method.is_safe();
            Ok(if is_write {
                partial_errors(rules, &response.body)
            } else {
                Vec::new()
            })
        };
        let (mut answer, partial) = self.exchange(&call, &read).await?;
        answer.partial = partial;
        Ok(answer)
    }

    fn login(&self, name: &str) -> Option<Arc<Login>> {
        self.inner
            .logins
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }
}

fn check_numbers(settings: &Settings) -> Result<(), SettingsError> {
    let wrong = |name, allowed| {
        Err(SettingsError::Number {
            instance: settings.instance.clone(),
            name,
            allowed,
        })
    };
    if settings.attempts == 0 || settings.attempts > ATTEMPTS_MAX {
        return wrong("attempts", "1 to 20");
    }
    if settings.timeout == Some(Duration::ZERO) {
        return wrong("timeout", "more than 0");
    }
    if settings.body_max == 0 || settings.record_max == 0 || settings.pages_max == 0 {
        return wrong("body_max, record_max, pages_max", "more than 0");
    }
    Ok(())
}

/// Trusts the system's authorities. A machine that has none, such as a slim container, gets Mozilla's.
pub(crate) fn build_http(
    name: &str,
    allow_private_hosts: bool,
    root_certificates: &[Vec<u8>],
) -> reqwest::Result<reqwest::Client> {
    // Fails when one is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let certificates: reqwest::Result<Vec<_>> = root_certificates
        .iter()
        .map(|pem| reqwest::Certificate::from_pem(pem))
        .collect();
    let mut certificates = certificates?;
    let mut builder = http_builder(allow_private_hosts);
    if !certificates.is_empty() {
        builder = builder.tls_certs_merge(certificates.clone());
    }
    builder.build().or_else(|error| {
        tracing::warn!(%error, api.name = name, "the system's certificates cannot be used; Mozilla's are");
        for root in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
            certificates.push(reqwest::Certificate::from_der(root)?);
        }
        http_builder(allow_private_hosts).tls_certs_only(certificates).build()
    })
}

fn http_builder(allow_private_hosts: bool) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("millpond/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        // Only the configuration decides where calls go, not the environment.
        .no_proxy()
        .referer(false)
        // Sooner than servers and gateways usually do it: a call into a closing connection costs an attempt.
        .pool_idle_timeout(POOL_IDLE);
    if allow_private_hosts {
        builder
    } else {
        builder.dns_resolver(PublicResolver)
    }
}

pub(crate) fn without_user(url: &str) -> String {
    match (url.find("://"), url.find('@')) {
        (Some(scheme), Some(at)) if at > scheme => {
            format!("{}***{}", &url[..scheme + 3], &url[at..])
        }
        _ => url.to_owned(),
    }
}

fn check_json(body: &[u8]) -> Result<(), Misread> {
    if std::str::from_utf8(body).is_err() {
        return Err(Misread::Torn("an answer that is no UTF-8".to_owned()));
    }
    let mut scanner = Scanner::new(body);
    let checked = scanner.value().and_then(|_| scanner.end());
    checked.map_err(|error: NotJson| Misread::Torn(error.to_string()))
}

/// The stages of a write that failed although its status was good.
fn partial_errors(rules: &crate::connector::ErrorRules, body: &[u8]) -> Vec<String> {
    let Some(path) = &rules.partial_at else {
        return Vec::new();
    };
    let mut wants = Wants::default();
    wants.add(path.keys(), 0);
    let mut found = [None];
    let is_walked = wants.find(&mut Scanner::new(body), &mut found).is_ok();
    let Some(list) = found[0]
        .clone()
        .filter(|_| is_walked)
        .and_then(|range| body.get(range))
    else {
        return Vec::new();
    };
    let mut errors = Vec::new();
    // The grammar was checked before; what is no array has no errors in it.
    let _: Result<(), NotJson> = Scanner::new(list).array(|scanner| {
        let range = scanner.value()?;
        let one = &list[range];
        let text = string_of(one).or_else(|| {
            verdict::read_error(rules, one).map(|(code, message)| match code {
                Some(code) => format!("{code} {message}"),
                None => message,
            })
        });
        errors.push(text.unwrap_or_else(|| "an error without words".to_owned()));
        Ok(())
    });
    errors
}
