//! A small client that knows nothing but HTTP and JSON, and a simulator to point it at.

use serde_json::Value;
use simulators::cin7::{Account, Cin7, Options};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// How often a condition is looked at.
pub const POLL: Duration = Duration::from_millis(5);

pub struct Sim {
    pub cin7: Cin7,
    pub http: reqwest::Client,
    pub account: Account,
}

pub struct Answer {
    pub status: u16,
    pub kind: String,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.text))
    }

    /// The text of the first fault in an error array.
    pub fn fault(&self) -> String {
        assert_ne!(self.status, 200, "{}", self.text);
        self.json()[0]["Exception"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

pub async fn sim() -> Sim {
    sim_with(Options::for_testing()).await
}

pub async fn sim_with(options: Options) -> Sim {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cin7 = Cin7::start(options, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .await
        .unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let account = cin7.options().accounts[0].clone();
    Sim {
        cin7,
        http,
        account,
    }
}

impl Sim {
    pub fn id(&self) -> &str {
        &self.account.account_id
    }

    pub async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.try_call(method, path, body).await.unwrap()
    }

    pub async fn try_call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, reqwest::Error> {
        let url = format!("{}/{path}", self.cin7.base_url());
        let mut request = self.http.request(method.parse().unwrap(), url);
        request = request.header("api-auth-accountid", &self.account.account_id);
        request = request.header("api-auth-applicationkey", &self.account.keys[0]);
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let response = request.send().await?;
        let kind = response
            .headers()
            .get("content-type")
            .map_or("", |v| v.to_str().unwrap())
            .to_owned();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer {
            status,
            kind,
            headers,
            text: response.text().await?,
        })
    }

    /// `GET` that must succeed.
    pub async fn get(&self, path: &str) -> Value {
        let answer = self.call("GET", path, None).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.json()
    }

    /// A write that must succeed.
    pub async fn put(&self, method: &str, path: &str, body: Value) -> Value {
        let answer = self.call(method, path, Some(&body)).await;
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text);
        answer.json()
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        self.put("POST", path, body).await
    }

    /// The fault of a write that must be refused.
    pub async fn refused(&self, method: &str, path: &str, body: Value) -> String {
        self.call(method, path, Some(&body)).await.fault()
    }

    /// All rows of a list, page by page.
    pub async fn all(&self, path: &str, key: &str) -> Vec<Value> {
        let mut rows = vec![];
        let join = if path.contains('?') { '&' } else { '?' };
        for page in 1..1000 {
            let answer = self
                .get(&format!("{path}{join}Page={page}&Limit=100"))
                .await;
            let got = answer[key]
                .as_array()
                .unwrap_or_else(|| panic!("{path} has no {key}: {answer}"));
            rows.extend(got.iter().cloned());
            if got.len() < 100 {
                return rows;
            }
        }
        panic!("{path} never ends");
    }
}

/// The text of a member.
pub fn text(value: &Value, key: &str) -> String {
    value[key]
        .as_str()
        .unwrap_or_else(|| panic!("{key} is no text in {value}"))
        .to_owned()
}

/// An exact decimal out of a member.
pub fn decimal(value: &Value) -> rust_decimal::Decimal {
    value
        .to_string()
        .trim_matches('"')
        .parse()
        .unwrap_or_else(|_| panic!("{value} is no number"))
}
