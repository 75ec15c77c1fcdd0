//! OAuth 2 client credentials: tokens are fetched once, kept, and fetched again before they end.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use reqwest::Url;

use super::attempt::{Failure, Request};
use super::exchange::Exchange;
use super::fault::Fault;
use super::login::{Grant, Login, Token, TokenAnswer};
use crate::call::{CallError, Cause};

/// Why there is no token.
pub(super) enum TokenTrouble {
    /// The credentials are refused.
    Refused(u16),
    /// May pass.
    Transient(Cause),
    /// Asking again cannot help.
    Final(CallError),
}

impl Exchange<'_> {
    /// The `Authorization` header, where the connector uses tokens that are given out.
    pub(super) async fn bearer(
        &mut self,
        login: &Login,
    ) -> Result<Option<HeaderValue>, TokenTrouble> {
        let Some(grant) = &login.grant else {
            return Ok(None);
        };
        // Held while fetching, so that however many calls wait, one token is fetched.
        let mut kept = grant.token.lock().await;
        let now = self.client.inner.settings.clock.elapsed();
        let token = match kept.as_ref().filter(|token| token.good_until > now) {
            Some(token) => token.clone(),
            None => {
                let token = self.fetch_token(login, grant).await?;
                *kept = Some(token.clone());
                token
            }
        };
        let mut value = HeaderValue::from_str(&format!("Bearer {}", token.text.expose()))
            .map_err(|_| self.impossible("the token has characters that no header can carry"))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// After a refusal: forgets the token, once per call. Says whether there was one to forget.
    pub(super) async fn drop_token(&mut self, login: &Login) -> bool {
        let Some(grant) = &login.grant else {
            return false;
        };
        if std::mem::replace(&mut self.token_renewed, true) {
            return false;
        }
        grant.token.lock().await.take();
        true
    }

    async fn fetch_token(&mut self, login: &Login, grant: &Grant) -> Result<Token, TokenTrouble> {
        let inner = &self.client.inner;
        let url = self.token_url(&grant.token_url)?;
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        let mut form = url.clone();
        form.query_pairs_mut().clear().extend_pairs(&grant.form);
        let body = form.query().unwrap_or_default().to_owned();
        let request = Request {
            http: &inner.http,
            log: inner.log.as_ref(),
            clock: inner.settings.clock.as_ref(),
            login,
            method: &http::Method::POST,
            url: &url,
            shown_url: inner.address.relative(&url),
            base_url: inner.address.as_str(),
            headers,
            body: Some(body.into()),
            timeout: self.timeout,
            body_max: TOKEN_BODY_MAX,
            instance: &inner.settings.instance,
            resource: None,
            label: "POST oauth2 token",
            class: self.call.class.name(),
            attempt: self.attempt,
            wait_ms: 0,
        };
        let response = match request.send().await {
            Ok(response) => response,
            Err(Failure::Fault(Fault::Transient { cause, .. })) => {
                return Err(TokenTrouble::Transient(cause));
            }
            Err(Failure::Fault(Fault::Certificate(reason))) => {
                let host = url.host_str().unwrap_or_default().to_owned();
                return Err(TokenTrouble::Final(CallError::Certificate { host, reason }));
            }
            Err(Failure::Fault(Fault::Private(reason) | Fault::Unbuildable(reason))) => {
                return Err(self.impossible(&reason));
            }
            Err(Failure::TooLarge) => {
                return Err(self.impossible("the answer of the token endpoint is too large"));
            }
        };
        let status = response.status;
        if status == StatusCode::BAD_REQUEST
            || status == StatusCode::UNAUTHORIZED
            || status == StatusCode::FORBIDDEN
        {
            return Err(TokenTrouble::Refused(status.as_u16()));
        }
        let code = format!("HTTP_{}", status.as_u16());
        if !status.is_success() {
            let message = format!("the token endpoint answered {status}");
            return Err(TokenTrouble::Transient(Cause { code, message }));
        }
        match serde_json::from_slice::<TokenAnswer>(&response.body) {
            Ok(answer) => Ok(Token::new(answer, inner.settings.clock.elapsed())),
            // The source may quote the token: it is not shown.
            Err(_) => Err(TokenTrouble::Transient(Cause {
                code: "NOT_JSON".to_owned(),
                message: "the token endpoint sent no token".to_owned(),
            })),
        }
    }

    /// The token endpoint: absolute, or below the base URL. It obeys the same rules as every other address.
    fn token_url(&self, text: &str) -> Result<Url, TokenTrouble> {
        let inner = &self.client.inner;
        if !text.contains("://") {
            return inner
                .address
                .join(text, &[])
                .map_err(|reason| self.impossible(&reason));
        }
        super::address::Address::parse(text, inner.settings.allow_private_hosts)
            .map_err(|reason| self.impossible(&reason))?;
        Url::parse(text).map_err(|error| self.impossible(&error.to_string()))
    }

    fn impossible(&self, reason: &str) -> TokenTrouble {
        TokenTrouble::Final(CallError::Impossible {
            call: self.label.clone(),
            reason: reason.to_owned(),
        })
    }
}

/// No token is longer.
const TOKEN_BODY_MAX: u64 = 1 << 20;
