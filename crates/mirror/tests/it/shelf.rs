//! An upstream that says exactly what a test wants it to say, also what no sane one would.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::{Path, RawQuery, State},
    http::{Response, StatusCode, header},
    routing::get,
};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use mirror::{ConnectionSettings, InstanceSettings, ResourceFilter};
use store::instances::CallLimit;
use upstream::Connector;

type Hook = Box<dyn FnMut(u64, &mut Vec<(String, String)>) + Send>;

/// What the shelf holds and how it answers.
#[derive(Default)]
pub struct Content {
    /// Id and JSON of each row, in the order of the listing.
    pub rows: Vec<(String, String)>,
    /// Rows that are answered when asked for alone, but not listed.
    pub hidden: Vec<(String, String)>,
    /// What the listing says the number of its rows is, if not the truth.
    pub total: Option<u64>,
    /// Called before each page is answered, with its number.
    pub before_page: Option<Hook>,
    /// Statuses of the next listing calls, instead of an answer.
    pub statuses: Vec<u16>,
    /// Whether single rows are answered with 400.
    pub broken: bool,
    /// The clock of the shelf is so far from ours.
    pub clock: SignedDuration,
    /// Pages asked for: number and query.
    pub pages: Vec<(u64, String)>,
    /// Single rows asked for.
    pub gets: Vec<String>,
}

/// A running shelf.
#[derive(Clone)]
pub struct Shelf {
    content: Arc<Mutex<Content>>,
    url: String,
}

/// Two resources: `thing`, with changes and details, and `part`, its details.
pub fn connector(page_size: u32, order: &str, more: &str) -> Arc<Connector> {
    let text = format!(
        r#"
name = "shelf"
base_url = "https://shelf.example"
[auth]
kind = "bearer"
token = "{{token}}"
[limits]
calls_per_minute = 6000
concurrency = 4
timeout = "5s"
[paging]
kind = "page"
param = "page"
size_param = "size"
size = {page_size}
size_max = 1000
total_at = "total"
[errors]
missing = {{ statuses = [404] }}
[[resource]]
name = "thing"
title = "Thing"
list = "things"
records_at = "rows"
get = "things/{{id}}"
key = "id"
modified_at = "stamp"
order = "{order}"
changes = {{ every = "1h", param = "since", overlap = "1m", format = "iso_millis" }}
full = {{ every = "24h" }}
reconcile = {{ every = "24h", prune_after = 2, shrink_max = 0.5 }}
{more}
"#
    );
    Arc::new(Connector::parse("shelf.toml", &text).unwrap_or_else(|problems| panic!("{problems}")))
}

impl Shelf {
    pub async fn start(rows: Vec<(String, String)>) -> Self {
        let content = Arc::new(Mutex::new(Content {
            rows,
            ..Content::default()
        }));
        let app = Router::new()
            .route("/things", get(list))
            .route("/things/{id}", get(one))
            .with_state(Arc::clone(&content));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { content, url }
    }

    pub fn with<T>(&self, look: impl FnOnce(&mut Content) -> T) -> T {
        look(&mut self.content.lock().unwrap())
    }

    pub fn instance(&self, connector: Arc<Connector>) -> InstanceSettings {
        InstanceSettings {
            name: "shelf".to_owned(),
            connector,
            base_url: Some(self.url.clone()),
            currency: None,
            reporting: None,
            connections: vec![ConnectionSettings {
                name: "one".to_owned(),
                secrets: BTreeMap::from([("token".to_owned(), "say:hello".to_owned())]),
                limit: None,
                share: None,
            }],
            resources: ResourceFilter::All,
            schedules: Vec::new(),
            quiet: None,
            private_hosts: true,
            timeout: None,
            limit: Some(CallLimit {
                calls: 60,
                window: std::time::Duration::from_millis(5),
            }),
            concurrency: Some(4),
            chores: Default::default(),
            freshness: Default::default(),
        }
    }
}

fn parameter(query: &str, name: &str) -> Option<String> {
    query.split('&').find_map(|pair| {
        Some(
            pair.split_once('=')
                .filter(|(k, _)| *k == name)?
                .1
                .to_owned(),
        )
    })
}

fn answer(content: &Content, status: u16, body: String) -> Response<Body> {
    let now = Timestamp::now() + content.clock;
    let date = now
        .to_zoned(TimeZone::UTC)
        .strftime("%a, %d %b %Y %H:%M:%S GMT")
        .to_string();
    Response::builder()
        .status(StatusCode::from_u16(status).unwrap())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::DATE, date)
        .body(Body::from(body))
        .unwrap()
}

fn stamp_of(body: &str) -> Option<Timestamp> {
    let at = body.find("\"stamp\":\"")? + 9;
    body[at..].split('"').next()?.parse().ok()
}

async fn list(
    State(content): State<Arc<Mutex<Content>>>,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    let mut content = content.lock().unwrap();
    let query = query.unwrap_or_default();
    let number = |name| parameter(&query, name).and_then(|n| n.parse::<u64>().ok());
    let (page, size) = (number("page").unwrap_or(1), number("size").unwrap_or(1000));
    content.pages.push((page, query.clone()));
    if !content.statuses.is_empty() {
        let status = content.statuses.remove(0);
        if status != 200 {
            return answer(&content, status, "{\"message\":\"not now\"}".to_owned());
        }
    }
    if let Some(mut hook) = content.before_page.take() {
        hook(page, &mut content.rows);
        content.before_page = Some(hook);
    }
    let since =
        parameter(&query, "since").map(|s| s.replace("%3A", ":").parse::<Timestamp>().unwrap());
    let matching: Vec<&str> = content
        .rows
        .iter()
        .map(|(_, body)| body.as_str())
        .filter(|body| since.is_none_or(|since| stamp_of(body).is_some_and(|at| at >= since)))
        .collect();
    let total = content.total.unwrap_or(matching.len() as u64);
    let first = usize::try_from((page - 1) * size)
        .unwrap()
        .min(matching.len());
    let last = first
        .saturating_add(usize::try_from(size).unwrap())
        .min(matching.len());
    let body = format!(
        "{{\"total\":{total},\"rows\":[{}]}}",
        matching[first..last].join(",")
    );
    answer(&content, 200, body)
}

async fn one(State(content): State<Arc<Mutex<Content>>>, Path(id): Path<String>) -> Response<Body> {
    let mut content = content.lock().unwrap();
    content.gets.push(id.clone());
    if content.broken {
        return answer(&content, 400, "{\"message\":\"not today\"}".to_owned());
    }
    let found = content
        .rows
        .iter()
        .chain(&content.hidden)
        .find(|(known, _)| *known == id)
        .map(|(_, body)| body.clone());
    match found {
        Some(body) => answer(&content, 200, body),
        None => answer(&content, 404, "{\"message\":\"no such thing\"}".to_owned()),
    }
}

/// A row with a stamp.
pub fn row(id: &str, stamp: Timestamp, value: &str) -> (String, String) {
    (
        id.to_owned(),
        format!("{{\"id\":\"{id}\",\"stamp\":\"{stamp}\",\"value\":{value}}}"),
    )
}
