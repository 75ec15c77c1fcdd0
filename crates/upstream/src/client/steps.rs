//! What an attempt leads to: done, again, elsewhere, or an error.

use std::time::Duration;

use http::header;
use reqwest::Url;

use super::attempt::Failure;
use super::exchange::{Exchange, Misread, Response, Step, Weighed};
use super::fault::Fault;
use super::held::Held;
use super::login::Login;
use super::verdict::{Verdict, judge};
use crate::call::{Answer, CallError, Cause, Meta};
use crate::gate::Outcome;
use crate::retry_after::RETRY_AFTER_MAX;

/// The most redirects followed for one call.
const REDIRECTS_MAX: u32 = 3;

/// The most times one call is throttled before it gives up, however short the waits were.
const THROTTLED_MAX: u32 = 50;

impl Exchange<'_> {
    /// Decides what an answer leads to.
    pub(super) async fn weigh<T>(
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

    pub(super) async fn failed(
        &mut self,
        held: &mut Held,
        failure: Failure,
    ) -> Result<Step, CallError> {
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
    pub(super) async fn after_transient(
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

    pub(super) async fn after_throttled(
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

    pub(super) async fn refused(&mut self, held: &mut Held, status: u16) {
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

    pub(super) fn all_refused(&self) -> CallError {
        let connections = self.avoid.join(", ");
        CallError::Refused {
            call: self.label.clone(),
            status: self.refused_status,
            connections,
        }
    }

    pub(super) fn rejected(&self, status: u16, code: Option<String>, message: String) -> CallError {
        CallError::Rejected {
            call: self.label.clone(),
            status,
            code,
            message,
        }
    }

    pub(super) fn meta(&self, held: &Held, response: &Response) -> Meta {
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

/// `wait`, up to a fifth shorter or longer.
fn jittered(wait: Duration) -> Duration {
    use std::hash::{BuildHasher, Hasher};
    // The hasher's keys are random: no need for a generator of our own.
    let random = std::hash::RandomState::new().build_hasher().finish();
    let thousandths = 800 + random % 401;
    wait.mul_f64(thousandths as f64 / 1_000.0)
}
