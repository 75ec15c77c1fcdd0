//! One call from the first permit to the last attempt.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use reqwest::Url;

use super::Client;
use super::attempt::{Failure, Request};
use super::fault::Fault;
use super::held::Held;
use super::login::Login;
use super::token::TokenTrouble;
use super::verdict::{Verdict, judge};
use crate::call::{Answer, Call, CallError, Cause, Meta};
use crate::gate::{Ask, GateError, Outcome};
use crate::retry_after::RETRY_AFTER_MAX;

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

/// The most redirects followed for one call.
const REDIRECTS_MAX: u32 = 3;

/// The most times one call is throttled before it gives up, however short the waits were.
const THROTTLED_MAX: u32 = 50;

/// One call under way.
pub(super) struct Exchange<'a> {
    pub(super) client: &'a Client,
    pub(super) call: &'a Call,
    pub(super) label: String,
    pub(super) attempt: u32,
    attempts: u32,
    backoff: Duration,
    pub(super) timeout: Duration,
    wait_max: Duration,
    waited: Duration,
    /// Waited since the last attempt, for its line in the log.
    wait_now: Duration,
    causes: Vec<Cause>,
    last_status: Option<u16>,
    avoid: Vec<String>,
    refused_status: u16,
    throttled: u32,
    retry_after: Duration,
    redirects: u32,
    pub(super) token_renewed: bool,
}

/// What to do after an attempt.
enum Step {
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
            wait_max: call.wait_max.unwrap_or(settings.wait_max),
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

enum Weighed<T> {
    Done(Answer, T),
    Step(Step),
}

/// `wait`, up to a fifth shorter or longer.
fn jittered(wait: Duration) -> Duration {
    use std::hash::{BuildHasher, Hasher};
    // The hasher's keys are random: no need for a generator of our own.
    let random = std::hash::RandomState::new().build_hasher().finish();
    let thousandths = 800 + random % 401;
    wait.mul_f64(thousandths as f64 / 1_000.0)
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

    /// Decides what an answer leads to.
    async fn weigh<T>(
        &mut self,
        held: &mut Held,
        login: &Login,
        url: &Url,
        response: Response,
        read: &(dyn Fn(&Response) -> Result<T, Misread> + Send + Sync),
    ) -> Result<Weighed<T>, CallError> {
        let inner = &self.client.inner;
        let rules = &inner.settings.connector.errors;
        let status = response.status.as_u16();
        let verdict = judge(
            rules,
            response.status,
            &response.headers,
            &response.body,
            response.answered_at,
        );
        match verdict {
            Verdict::Good => {}
            Verdict::Throttled(wait) => {
                return self.after_throttled(held, wait).await.map(Weighed::Step);
            }
            Verdict::Refused if self.drop_token(login).await => {
                held.done(Outcome::Used).await;
                return Ok(Weighed::Step(Step::Again));
            }
            Verdict::Refused => {
                self.refused(held, status).await;
                return Ok(Weighed::Step(Step::Again));
            }
            Verdict::Transient { code, message } => {
                held.done(Outcome::Used).await;
                self.after_transient(Cause { code, message }, Some(status), false)
                    .await?;
                return Ok(Weighed::Step(Step::Again));
            }
            Verdict::Missing => {
                held.done(Outcome::Used).await;
                let meta = Box::new(self.meta(held, &response));
                return Err(CallError::Missing {
                    call: self.label.clone(),
                    status,
                    meta,
                });
            }
            Verdict::Redirect(location) => {
                held.done(Outcome::Used).await;
                self.redirects += 1;
                let to = inner.address.redirect(url, &location);
                return match to.filter(|_| self.call.method.is_safe() && self.redirects <= REDIRECTS_MAX) {
                    Some(to) => Ok(Weighed::Step(Step::Redirected(to))),
                    None => Err(self.rejected(status, None, "it leads elsewhere; redirects are followed on the same host only, by reads, three times".to_owned())),
                };
            }
            Verdict::Rejected { code, message } => {
                held.done(Outcome::Used).await;
                return Err(self.rejected(status, code, message));
            }
        }
        held.done(Outcome::Used).await;
        match read(&response) {
            Ok(value) => {
                let meta = self.meta(held, &response);
                let Response { headers, body, .. } = response;
                Ok(Weighed::Done(
                    Answer {
                        status,
                        headers,
                        body,
                        meta,
                        partial: Vec::new(),
                    },
                    value,
                ))
            }
            Err(Misread::Torn(message)) => {
                let cause = Cause {
                    code: "TORN_JSON".to_owned(),
                    message,
                };
                self.after_transient(cause, Some(status), false).await?;
                Ok(Weighed::Step(Step::Again))
            }
            Err(Misread::ErrorInside { code, message }) => {
                if rules.missing.codes.contains(&code)
                    || rules
                        .missing
                        .texts
                        .iter()
                        .any(|text| message.to_lowercase().contains(text.as_str()))
                {
                    let meta = Box::new(self.meta(held, &response));
                    return Err(CallError::Missing {
                        call: self.label.clone(),
                        status,
                        meta,
                    });
                }
                Err(self.rejected(status, Some(code), message))
            }
            Err(Misread::Unusable(reason)) => Err(CallError::Unusable {
                call: self.label.clone(),
                reason,
            }),
        }
    }

    async fn failed(&mut self, held: &mut Held, failure: Failure) -> Result<Step, CallError> {
        held.done(Outcome::Used).await;
        let call = self.label.clone();
        match failure {
            Failure::TooLarge => Err(CallError::TooLarge {
                call,
                limit: self.client.inner.settings.body_max,
            }),
            Failure::Fault(Fault::Certificate(reason)) => Err(CallError::Certificate {
                host: self.client.inner.address.host().to_owned(),
                reason,
            }),
            Failure::Fault(Fault::Private(reason) | Fault::Unbuildable(reason)) => {
                Err(CallError::Impossible { call, reason })
            }
            Failure::Fault(Fault::Transient { cause, unsent }) => {
                self.after_transient(cause, None, unsent).await?;
                Ok(Step::Again)
            }
        }
    }

    /// Counts an attempt that may be made again, and waits before it is; an error when it may not.
    async fn after_transient(
        &mut self,
        cause: Cause,
        status: Option<u16>,
        unsent: bool,
    ) -> Result<(), CallError> {
        self.last_status = status;
        if !self.call.idempotent && !unsent {
            return Err(CallError::OutcomeUnknown {
                call: self.label.clone(),
                cause,
            });
        }
        self.causes.push(cause);
        if self.attempt >= self.attempts {
            let causes = std::mem::take(&mut self.causes);
            return Err(CallError::GaveUp {
                call: self.label.clone(),
                causes,
                status: self.last_status,
            });
        }
        let settings = &self.client.inner.settings;
        let wait = self
            .backoff
            .saturating_mul(1 << (self.attempt - 1).min(16))
            .min(RETRY_AFTER_MAX);
        let wait = if settings.jitter {
            jittered(wait)
        } else {
            wait
        };
        settings.clock.sleep(wait).await;
        self.waited += wait;
        self.wait_now += wait;
        self.attempt += 1;
        Ok(())
    }

    async fn after_throttled(
        &mut self,
        held: &mut Held,
        wait: Duration,
    ) -> Result<Step, CallError> {
        tracing::warn!(
            api.name = self.client.instance(),
            connection = held.connection(),
            wait_ms = wait.as_millis() as u64,
            "upstream throttles `{}`; the connection is parked",
            held.connection()
        );
        held.done(Outcome::Throttled { retry_after: wait }).await;
        self.throttled += 1;
        self.retry_after = wait;
        if self.throttled > THROTTLED_MAX {
            return Err(CallError::Throttled {
                call: self.label.clone(),
                waited: self.waited,
                retry_after: wait,
            });
        }
        Ok(Step::Again)
    }

    async fn refused(&mut self, held: &mut Held, status: u16) {
        tracing::error!(
            api.name = self.client.instance(),
            connection = held.connection(),
            status,
            "upstream refuses the credentials of `{}`; it is set aside",
            held.connection()
        );
        self.avoid.push(held.connection().to_owned());
        self.refused_status = status;
        held.done(Outcome::Refused { status }).await;
    }

    fn all_refused(&self) -> CallError {
        let connections = self.avoid.join(", ");
        CallError::Refused {
            call: self.label.clone(),
            status: self.refused_status,
            connections,
        }
    }

    fn rejected(&self, status: u16, code: Option<String>, message: String) -> CallError {
        CallError::Rejected {
            call: self.label.clone(),
            status,
            code,
            message,
        }
    }

    fn meta(&self, held: &Held, response: &Response) -> Meta {
        let date = response
            .headers
            .get(header::DATE)
            .and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| {
            jiff::fmt::rfc2822::DateTimeParser::new()
                .parse_timestamp(date)
                .ok()
        });
        Meta {
            asked_at: response.asked_at,
            answered_at: response.answered_at,
            server_date: date,
            connection: held.connection().to_owned(),
            attempt: self.attempt,
            waited: self.waited,
        }
    }
}
