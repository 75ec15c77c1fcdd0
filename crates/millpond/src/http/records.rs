//! Records: one by id, its history, lists, and searches.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ::cache::LoadError;
use axum::{
    Json,
    extract::{Path, RawQuery, State, rejection::JsonRejection},
    response::Response,
};
use futures::future::BoxFuture;
use mirror::{ReadAsk, hot::HotPage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{
    ResourceName, StoreError,
    read::{Criterion, RecordRow, RecordVersion, Search, SearchPage},
    reader::{Scope, SearchError},
    snapshots::Which,
};

use super::{
    App,
    caller::{Caller, see_instance},
    conditional::{Known, Told},
    error::ApiError,
    payloads::{DetailView, included},
    pinned::{self, SnapshotName},
    query::Params,
};
use crate::{cli::chain_of, config::Period};

/// Records on a page when the caller does not say.
const PAGE: i64 = 100;
/// The most records of a page.
const PAGE_MAX: i64 = 1000;
/// The most criteria of a search.
const CRITERIA_MAX: usize = 50;

/// `GET /v1/records/{resource}/{instance}/{id}`: one record, as fresh as asked, with the payloads that are asked for.
pub async fn show_record(
    State(app): State<App>,
    caller: Caller,
    Path((resource, instance, id)): Path<(String, String, String)>,
    known: Known,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let params = Params::read(
        query.as_deref(),
        &["max_age", "fresh", "include", "no_calls", "snapshot"],
    )?;
    let pinned = pinned::asked(&params, &["max_age", "fresh", "include"])?;
    let resource = name(&resource)?;
    let ask = ReadAsk {
        max_age: params.parsed::<Period>("max_age")?.map(|age| age.0),
        fresh: params.flag("fresh")?,
    };
    let include = included(&params)?;
    see_instance(&caller, &instance)?;
    if let Some(which) = pinned {
        let read = Box::pin(pinned::read(&app, &resource, &instance, &id, which));
        let view = DetailView::alone(read.await?);
        return Ok(view.told().reply(&known, &view));
    }
    let mirror = app.mirror();
    let no_calls = params.flag("no_calls")?;
    if no_calls && (ask.fresh || ask.max_age.is_some() || !include.is_empty()) {
        let message =
            "`no_calls` cannot go with `max_age`, `fresh` or `include`: those may cost calls";
        return Err(ApiError::bad_request("bad_parameter", message));
    }
    let answer = if no_calls {
        let record = Box::pin(mirror.peek(&resource, &instance, &id)).await?;
        record.map(DetailView::alone)
    } else if include.is_empty() {
        let record = mirror.read_hot(&resource, &instance, &id, ask).await?;
        record.map(DetailView::alone)
    } else {
        let detail = Box::pin(mirror.read_detail(&resource, &instance, &id, &include, ask));
        detail.await?.map(DetailView::of)
    };
    let view = answer.ok_or_else(|| {
        ApiError::not_found(format!("{resource} of {instance} has no record `{id}`"))
    })?;
    Ok(view.told().reply(&known, &view))
}

/// Former versions of a record, newest first.
#[derive(Debug, Serialize)]
pub struct HistoryView {
    versions: Vec<RecordVersion>,
}

/// `GET /v1/records/{resource}/{instance}/{id}/history`: its former versions.
pub async fn show_history(
    State(app): State<App>,
    caller: Caller,
    Path((resource, instance, id)): Path<(String, String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Json<HistoryView>, ApiError> {
    let params = Params::read(query.as_deref(), &["limit"])?;
    let limit = params.limit("limit", PAGE, PAGE_MAX)?;
    let resource = name(&resource)?;
    app.feed(&resource)?;
    see_instance(&caller, &instance)?;
    let versions = app
        .store()
        .history(&resource, &instance, &id, limit)
        .await?;
    Ok(Json(HistoryView { versions }))
}

/// A page of records.
#[derive(Debug, Serialize)]
pub struct PageView {
    records: Vec<FoundRecord>,
    /// Where the next page begins: `after`. Absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// The snapshot that was asked for, or the newest when this was read.
    snapshot: i64,
    /// Absent at a snapshot: such answers are the same for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<f64>,
}

impl PageView {
    fn told(&self) -> Told {
        let mut told = Told::default();
        told.snapshot(Some(self.snapshot));
        told.maybe(self.next.as_deref());
        for found in &self.records {
            told.record(&found.record);
        }
        told
    }
}

#[derive(Debug, Serialize)]
struct FoundRecord {
    #[serde(flatten)]
    record: Arc<RecordRow>,
    source: &'static str,
    age_secs: f64,
}

/// `GET /v1/records/{resource}`: records, newest first, page by page.
pub async fn list_records(
    State(app): State<App>,
    caller: Caller,
    Path(resource): Path<String>,
    known: Known,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let params = Params::read(query.as_deref(), &LIST_PARAMS)?;
    let pinned = pinned::asked(&params, &[])?;
    let search = Search {
        instances: params.all("instance"),
        deleted: params.flag("deleted")?,
        limit: params.limit("limit", PAGE, PAGE_MAX)?,
        after: params.one("after")?,
        timeout: app.sql_timeout(),
        ..Search::all(name(&resource)?)
    };
    let page = find(&app, &caller, search, pinned).await?;
    Ok(page.told().reply(&known, &page))
}

const LIST_PARAMS: [&str; 5] = ["instance", "limit", "after", "deleted", "snapshot"];

const SEARCH_PARAMS: [&str; 9] = [
    "resource",
    "where",
    "contains",
    "json_path",
    "instance",
    "limit",
    "after",
    "deleted",
    "snapshot",
];

/// `GET /v1/search`: records that meet all criteria.
pub async fn search(
    State(app): State<App>,
    caller: Caller,
    known: Known,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let params = Params::read(query.as_deref(), &SEARCH_PARAMS)?;
    let question = Question {
        limit: Some(params.limit("limit", PAGE, PAGE_MAX)?),
        after: params.one("after")?,
        ..Question::of(&params)?
    };
    let pinned = pinned::asked(&params, &[])?;
    let search = question.into_search(app.sql_timeout())?;
    let page = find(&app, &caller, search, pinned).await?;
    Ok(page.told().reply(&known, &page))
}

/// The body of a search.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    resource: String,
    #[serde(rename = "where", default)]
    criteria: Vec<String>,
    contains: Option<Value>,
    json_path: Option<String>,
    #[serde(default)]
    instances: Vec<String>,
    limit: Option<i64>,
    after: Option<String>,
    #[serde(default)]
    deleted: bool,
    /// Look at the records as they were at this snapshot: its number, or `newest`.
    snapshot: Option<SnapshotName>,
}

/// `POST /v1/search`: the same, for criteria too long for a URL.
pub async fn search_by_body(
    State(app): State<App>,
    caller: Caller,
    question: Result<Json<Question>, JsonRejection>,
) -> Result<Json<PageView>, ApiError> {
    let Json(question) = question?;
    let pinned = question.snapshot.as_ref().map(SnapshotName::which);
    let pinned = pinned.transpose()?;
    let search = question.into_search(app.sql_timeout())?;
    let page = find(&app, &caller, search, pinned).await?;
    Ok(Json(page))
}

impl Question {
    /// What to look for, whichever page.
    pub(super) fn of(params: &Params) -> Result<Self, ApiError> {
        Ok(Self {
            resource: params.one("resource")?.ok_or_else(|| {
                ApiError::bad_request("bad_parameter", "`resource` is missing")
                    .hint("for example resource=cin7.sale")
            })?,
            criteria: params.all("where"),
            contains: params.parsed("contains")?,
            json_path: params.one("json_path")?,
            instances: params.all("instance"),
            limit: None,
            after: None,
            deleted: params.flag("deleted")?,
            snapshot: None,
        })
    }

    pub(super) fn into_search(self, timeout: Duration) -> Result<Search, ApiError> {
        if self.criteria.len() > CRITERIA_MAX {
            let message = format!("there are more than {CRITERIA_MAX} criteria");
            return Err(ApiError::bad_request("bad_criterion", message));
        }
        let criteria = self.criteria.iter().map(|text| {
            text.parse::<Criterion>()
                .map_err(|error| ApiError::bad_request("bad_criterion", error.to_string()))
        });
        let limit = self.limit.unwrap_or(PAGE);
        if !(1..=PAGE_MAX).contains(&limit) {
            let message = format!("`limit` must be from 1 to {PAGE_MAX}");
            return Err(ApiError::bad_request("bad_parameter", message));
        }
        Ok(Search {
            instances: self.instances,
            criteria: criteria.collect::<Result<_, _>>()?,
            contains: self.contains,
            json_path: self.json_path,
            deleted: self.deleted,
            limit,
            after: self.after,
            timeout,
            ..Search::all(name(&self.resource)?)
        })
    }
}

/// Boxed: each handler would else prove again that all that is in it is `Send`.
fn find<'a>(
    app: &'a App,
    caller: &'a Caller,
    search: Search,
    pinned: Option<Which>,
) -> BoxFuture<'a, Result<PageView, ApiError>> {
    Box::pin(find_page(app, caller, search, pinned))
}

/// Narrows a search to what the caller sees; every instance it names must be among that.
pub(super) fn see(app: &App, caller: &Caller, search: &mut Search) -> Result<(), ApiError> {
    search.visible = caller.scope().map(<[String]>::to_vec);
    let mut known = app.mirror().instances();
    known.retain(|name| caller.sees(name));
    match search.instances.iter().find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(unknown) => Err(ApiError::not_found(format!(
            "there is no instance `{unknown}`; there is: {}",
            known.join(", ")
        ))),
    }
}

async fn find_page(
    app: &App,
    caller: &Caller,
    mut search: Search,
    pinned: Option<Which>,
) -> Result<PageView, ApiError> {
    see(app, caller, &mut search)?;
    let feed = app.feed(&search.resource)?;
    if let Some(which) = pinned {
        return Box::pin(find_at(app, caller, search, &feed, which)).await;
    }
    let began = Instant::now();
    // An operator is of no tenant.
    let tenant = caller.principal().tenant.as_deref().unwrap_or_default();
    let scope = caller.scope().map(<[String]>::to_vec);
    let loader = || {
        let (app, search) = (app.clone(), search.clone());
        let (scope, feed) = (scope.clone(), feed.clone());
        move || -> BoxFuture<'static, Result<HotPage, ApiError>> {
            Box::pin(async move { compute(&app, scope.as_deref(), &search, &feed).await })
        }
    };
    let hot = app.mirror().hot();
    let answer = match hot.search(tenant, &search, loader()).await {
        // What it failed of, such as a path that is none, is for this caller to know: only our own failure says it.
        Err(LoadError::FailedElsewhere { .. }) => {
            Box::pin(hot.search(tenant, &search, loader())).await
        }
        answer => answer,
    };
    let answer = answer?;
    let found = answer
        .page()
        .ok_or_else(|| ApiError::internal("a search answered nothing"))?;
    let now = jiff::Timestamp::now();
    let records = found.page.records.iter().map(|record| FoundRecord {
        source: answer.source(),
        age_secs: crate::output::age(record.as_of, now).as_secs_f64(),
        record: Arc::clone(record),
    });
    Ok(PageView {
        records: records.collect(),
        next: found.page.next.clone(),
        snapshot: found.snapshot,
        duration_ms: Some((began.elapsed().as_secs_f64() * 1e6).round() / 1e3),
    })
}

/// A page at a snapshot, past the cache: nothing in it depends on when it is asked for.
async fn find_at(
    app: &App,
    caller: &Caller,
    mut search: Search,
    feed: &ResourceName,
    which: Which,
) -> Result<PageView, ApiError> {
    let at = app.store().at_snapshot(which).await?;
    search.at = Some(at.clone());
    let page = look(app, caller.scope(), &search, feed).await?;
    app.store().still_kept(&at).await?;
    let records = page.records.into_iter().map(|record| FoundRecord {
        source: "mirror",
        age_secs: pinned::age(&at, record.as_of),
        record,
    });
    Ok(PageView {
        records: records.collect(),
        next: page.next,
        snapshot: at.number,
        duration_ms: None,
    })
}

/// A page as it is kept hot.
async fn compute(
    app: &App,
    scope: Option<&[String]>,
    search: &Search,
    feed: &ResourceName,
) -> Result<HotPage, ApiError> {
    let snapshot = app.store().newest_snapshot().await?;
    let page = look(app, scope, search, feed).await?;
    Ok(HotPage { page, snapshot })
}

/// Asks the database: what a tenant sees is for it to say.
async fn look(
    app: &App,
    scope: Option<&[String]>,
    search: &Search,
    feed: &ResourceName,
) -> Result<SearchPage, ApiError> {
    let page = match scope {
        None => app.store().search(search, feed).await,
        Some(scope) => {
            let scope = Scope::Instances(scope);
            match app.reader()?.search_as(scope, search, feed).await {
                Err(SearchError::Door(error)) => return Err(error.into()),
                Err(SearchError::Search(error)) => Err(error),
                Ok(page) => Ok(page),
            }
        }
    };
    page.map_err(|error| refused(search, &error))
}

/// Tells a search that asks the impossible from a database that fails.
pub(super) fn refused(search: &Search, error: &StoreError) -> ApiError {
    if !matches!(error, StoreError::Refused { .. }) {
        return error.into();
    }
    let said = chain_of(error);
    if said.contains("statement timeout") {
        let message = format!(
            "the search was stopped after its limit of {:?}",
            search.timeout
        );
        return ApiError::timed_out(message)
            .hint("add a criterion with `=`: an index answers those");
    }
    if search.json_path.is_some() || !search.criteria.is_empty() {
        return ApiError::bad_request("bad_search", said)
            .hint("a JSON path looks like $.Order.Lines[*] ? (@.Quantity > 100)");
    }
    error.into()
}

pub(super) fn name(text: &str) -> Result<ResourceName, ApiError> {
    text.parse()
        .map_err(|error: store::BadName| ApiError::bad_request("bad_resource", error.to_string()))
}
