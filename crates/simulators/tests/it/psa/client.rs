//! A small client that knows nothing but HTTP and JSON, and a simulator to point it at.

use serde_json::Value;
use simulators::connectwise::{ConnectWise, Options};
use std::net::{Ipv4Addr, SocketAddr};

pub struct Sim {
    pub psa: ConnectWise,
    pub http: reqwest::Client,
}

pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.text))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

pub async fn psa() -> Sim {
    psa_with(Options::for_testing()).await
}

pub async fn psa_with(options: Options) -> Sim {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let psa = ConnectWise::start(options, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .await
        .unwrap();
    let mut http = reqwest::Client::builder().no_proxy();
    if let Some(pem) = psa.certificate_pem() {
        http = http.tls_certs_only([reqwest::Certificate::from_pem(pem.as_bytes()).unwrap()]);
    }
    let http = http.build().unwrap();
    Sim { psa, http }
}

impl Sim {
    /// A request with the right credentials.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let company = &self.psa.options().company;
        let key = &company.keys[0];
        let url = format!("{}/{path}", self.psa.base_url());
        self.http
            .request(method.parse().unwrap(), url)
            .basic_auth(format!("{}+{}", company.id, key.public), Some(&key.private))
            .header("clientId", "a3a1d1f0-0000-4000-8000-000000000001")
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await.unwrap(),
        }
    }

    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        self.send(request).await
    }

    /// `GET` that must succeed; parameters are encoded as a client does.
    pub async fn get(&self, path: &str, params: &[(&str, &str)]) -> Value {
        let answer = self.ask(path, params).await;
        assert_eq!(answer.status, 200, "{path} {params:?}: {}", answer.text);
        answer.json()
    }

    /// `GET` with parameters.
    pub async fn ask(&self, path: &str, params: &[(&str, &str)]) -> Answer {
        let pairs: Vec<String> = params
            .iter()
            .map(|(name, value)| format!("{name}={}", encoded(value)))
            .collect();
        let join = if pairs.is_empty() { "" } else { "?" };
        self.call("GET", &format!("{path}{join}{}", pairs.join("&")), None)
            .await
    }

    /// A write that must succeed with this status.
    pub async fn put(&self, method: &str, path: &str, body: Value, status: u16) -> Value {
        let answer = self.call(method, path, Some(body)).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        answer.json()
    }

    /// The ids that a listing answers on one page of up to 1,000.
    pub async fn ids(&self, path: &str, params: &[(&str, &str)]) -> Vec<i64> {
        let mut all = params.to_vec();
        all.extend([("pageSize", "1000"), ("fields", "id")]);
        ids(&self.get(path, &all).await)
    }

    /// The ids of all opportunities for which `keep` says yes, by the truth.
    pub fn deals(&self, keep: impl Fn(&Value) -> bool) -> Vec<i64> {
        let all = self.psa.truth().documents("sales/opportunities");
        let kept = all.into_iter().filter(|(_, deal)| keep(deal));
        kept.map(|(id, _)| id).collect()
    }
}

pub fn ids(rows: &Value) -> Vec<i64> {
    let rows = rows.as_array().unwrap_or_else(|| panic!("no list: {rows}"));
    rows.iter().map(|row| row["id"].as_i64().unwrap()).collect()
}

pub fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
