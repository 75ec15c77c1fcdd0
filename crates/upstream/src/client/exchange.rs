//! One call from the first permit to the last attempt.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use reqwest::Url;

use super::Client;
use super::attempt::Request;
use super::held::Held;
use super::login::Login;
use super::token::TokenTrouble;
use crate::call::{Answer, Call, CallError, Cause};
use crate::gate::{Ask, GateError, Outcome};

/// An HTTP answer.
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) asked_at: Timestamp,
    pub(super) answered_at: Timestamp,
}

/// Why a good answer could not be read.
pub(super) enum Misread {
    /// Torn or no JSON: may pass.
    Torn(String),
    /// The body says no.
    ErrorInside { code: String, message: String },
    /// Not what this endpoint gives.
    Unusable(String),
}

/// One call under way.
pub(super) struct Exchange<'a> {
    pub(super) client: &'a Client,
    pub(super) call: &'a Call,
    pub(super) label: String,
    pub(super) attempt: u32,
    pub(super) attempts: u32,
    pub(super) backoff: Duration,
    pub(super) timeout: Duration,
    pub(super) wait_max: Duration,
    pub(super) waited: Duration,
    /// Waited since the last attempt, for its line in the log.
    pub(super) wait_now: Duration,
    pub(super) causes: Vec<Cause>,
    pub(super) last_status: Option<u16>,
    pub(super) avoid: Vec<String>,
    pub(super) refused_status: u16,
    pub(super) throttled: u32,
    pub(super) retry_after: Duration,
    pub(super) redirects: u32,
    pub(super) token_renewed: bool,
}

/// What to do after an attempt.
pub(super) enum Step {
    Again,
    Redirected(Url),
}

impl Client {
    /// Makes `call` and reads its answer with `read`, which may say that the body is torn: then it is asked again.
    pub(super) async fn exchange<T>(
        &self,
        call: &Call,
        read: &(dyn Fn(&Response) -> Result<T, Misread> + Send + Sync),
    ) -> Result<(Answer, T), CallError> {
        let settings = &self.inner.settings;
        let label = call
            .label
            .clone()
            .unwrap_or_else(|| format!("{} {}", call.method, call.path));
        let mut url = self
            .inner
            .address
            .join(&call.path, &call.query)
            .map_err(|reason| CallError::Impossible {
                call: label.clone(),
                reason,
            })?;
        let mut exchange = Exchange {
            client: self,
            call,
            label,
            attempt: 1,
            attempts: call
                .attempts
                .unwrap_or(settings.attempts)
                .clamp(1, super::ATTEMPTS_MAX),
            backoff: call.backoff_first.unwrap_or(settings.backoff_first),
            timeout: call
                .timeout
                .or(settings.timeout)
                .unwrap_or(settings.connector.limits.timeout),
            wait_max: call.wait_max.or(self.wait_max).unwrap_or(settings.wait_max),
            waited: Duration::ZERO,
            wait_now: Duration::ZERO,
            causes: Vec::new(),
            last_status: None,
            avoid: Vec::new(),
            refused_status: 0,
            throttled: 0,
            retry_after: Duration::ZERO,
            redirects: 0,
            token_renewed: false,
        };
        loop {
            let mut held = exchange.take().await?;
            let Some(login) = self.login(held.connection()) else {
                let connection = held.connection().to_owned();
                held.done(Outcome::Unused).await;
                let reason = format!(
                    "the budget named connection `{connection}`, whose secrets are not here"
                );
                return Err(CallError::Impossible {
                    call: exchange.label,
                    reason,
                });
            };
            let bearer = match exchange.bearer(&login).await {
                Ok(bearer) => bearer,
                Err(TokenTrouble::Refused(status)) => {
                    exchange.refused(&mut held, status).await;
                    continue;
                }
                Err(TokenTrouble::Transient(cause)) => {
                    held.done(Outcome::Unused).await;
                    exchange.after_transient(cause, None, true).await?;
                    continue;
                }
                Err(TokenTrouble::Final(error)) => {
                    held.done(Outcome::Unused).await;
                    return Err(error);
                }
            };
            held.sent = true;
            let sent = exchange.request(&login, &url, bearer)?.send().await;
            let step = match sent {
                Ok(response) => match exchange
                    .weigh(&mut held, &login, &url, response, read)
                    .await?
                {
                    Weighed::Done(answer, value) => return Ok((answer, value)),
                    Weighed::Step(step) => step,
                },
                Err(failure) => exchange.failed(&mut held, failure).await?,
            };
            if let Step::Redirected(to) = step {
                url = to;
            }
        }
    }
}

/// What an answer leads to.
pub(super) enum Weighed<T> {
    Done(Answer, T),
    Step(Step),
}

impl Exchange<'_> {
    async fn take(&mut self) -> Result<Held, CallError> {
        let settings = &self.client.inner.settings;
        let ask = Ask {
            instance: settings.instance.clone(),
            class: self.call.class,
            wait_max: self.wait_max.saturating_sub(self.waited),
            avoid: self.avoid.clone(),
        };
        match self.client.inner.gate.take(&ask).await {
            Ok(permit) => {
                self.waited += permit.waited;
                self.wait_now += permit.waited;
                let again = self.avoid.contains(&permit.connection);
                let mut held = Held::new(self.client.inner.gate.clone(), permit);
                if again {
                    held.done(Outcome::Unused).await;
                    return Err(self.all_refused());
                }
                Ok(held)
            }
            Err(GateError::AllSetAside { .. } | GateError::NoConnection { .. })
                if !self.avoid.is_empty() =>
            {
                Err(self.all_refused())
            }
            Err(GateError::WouldWait { next_in, .. }) if self.throttled > 0 => {
                Err(CallError::Throttled {
                    call: std::mem::take(&mut self.label),
                    waited: self.waited,
                    retry_after: next_in.max(self.retry_after),
                })
            }
            Err(source) => Err(CallError::NoPermit {
                call: std::mem::take(&mut self.label),
                source,
            }),
        }
    }

    fn request<'r>(
        &'r mut self,
        login: &'r Login,
        url: &'r Url,
        bearer: Option<HeaderValue>,
    ) -> Result<Request<'r>, CallError> {
        let inner = &self.client.inner;
        let mut headers = login.headers.clone();
        headers
            .entry(header::ACCEPT)
            .or_insert(HeaderValue::from_static("application/json"));
        if self.call.body.is_some() {
            headers
                .entry(header::CONTENT_TYPE)
                .or_insert(HeaderValue::from_static("application/json"));
        }
        for (name, value) in &self.call.headers {
            let pair = HeaderName::from_bytes(name.as_bytes())
                .ok()
                .zip(HeaderValue::from_str(value).ok());
            let Some((name, value)) = pair else {
                let reason = format!("`{name}` cannot be sent as a header");
                return Err(CallError::Impossible {
                    call: self.label.clone(),
                    reason,
                });
            };
            headers.insert(name, value);
        }
        if let Some(bearer) = bearer {
            headers.insert(header::AUTHORIZATION, bearer);
        }
        let wait_ms =
            u64::try_from(std::mem::take(&mut self.wait_now).as_millis()).unwrap_or(u64::MAX);
        Ok(Request {
            http: &inner.http,
            log: inner.log.as_ref(),
            clock: inner.settings.clock.as_ref(),
            login,
            method: &self.call.method,
            url,
            shown_url: inner.address.relative(url),
            base_url: inner.address.as_str(),
            headers,
            body: self.call.body.clone(),
            timeout: self.timeout,
            body_max: inner.settings.body_max,
            instance: &inner.settings.instance,
            resource: self.call.resource.as_deref(),
            label: &self.label,
            class: self.call.class.name(),
            attempt: self.attempt,
            wait_ms,
        })
    }
}
