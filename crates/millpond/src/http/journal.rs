//! What happened: runs, changes, and what was put in quarantine.

use std::{convert::Infallible, time::Duration};

use axum::{
    Json,
    extract::{Path, RawQuery, State},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use http::{HeaderMap, header};
use serde::Serialize;
use store::{
    changes::{Change, ChangeCursor},
    quarantine::Quarantined,
    runs::Run,
};

use super::{App, caller::Caller, error::ApiError, guard::Standing, query::Params};
use crate::config::Period;

/// The most rows of a page.
const PAGE_MAX: i64 = 1000;
/// How long to wait before looking again at a feed that was read to its end.
const PAUSE: Duration = Duration::from_millis(250);
/// The longest a caller may wait for a change.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Runs, newest first.
#[derive(Debug, Serialize)]
pub struct RunsView {
    runs: Vec<Run>,
    /// Where the next page begins: `before`. Absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<i64>,
}

/// `GET /v1/runs`: what the sync jobs did, newest first.
pub async fn list_runs(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<RunsView>, ApiError> {
    let params = Params::read(
        query.as_deref(),
        &["instance", "resource", "state", "before", "limit"],
    )?;
    let limit = params.limit("limit", 50, PAGE_MAX)?;
    let mut runs = app
        .store()
        .runs(
            params.one("instance")?.as_deref(),
            params.one("resource")?.as_deref(),
            params.one("state")?.as_deref(),
            params.parsed("before")?,
            limit,
        )
        .await?;
    let is_full = runs.len() as i64 == limit;
    let next = runs.last().filter(|_| is_full).map(|run| run.id);
    runs.retain(|run| caller.sees(&run.instance));
    Ok(Json(RunsView { runs, next }))
}

/// `GET /v1/runs/{id}`: one run.
pub async fn show_run(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Run>, ApiError> {
    let unknown = || ApiError::not_found(format!("there is no run `{id}`"));
    let run = app
        .store()
        .load_run(id.parse().map_err(|_| unknown())?)
        .await?;
    if !caller.sees(&run.instance) {
        return Err(unknown());
    }
    Ok(Json(run))
}

/// What was refused, latest first.
#[derive(Debug, Serialize)]
pub struct QuarantineView {
    records: Vec<Quarantined>,
}

/// `GET /v1/quarantine`: records that PostgreSQL cannot hold.
pub async fn list_quarantine(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<QuarantineView>, ApiError> {
    let params = Params::read(query.as_deref(), &["limit"])?;
    let mut records = app
        .store()
        .quarantined(params.limit("limit", 50, PAGE_MAX)?)
        .await?;
    records.retain(|record| caller.sees(&record.instance));
    Ok(Json(QuarantineView { records }))
}

/// Changes, oldest first.
#[derive(Debug, Serialize)]
pub struct ChangesView {
    changes: Vec<Change>,
    /// Give it back as `after` to go on from here, also when there were none.
    next: String,
}

/// `GET /v1/changes`: the feed. With `Accept: text/event-stream`, as server-sent events that go on.
pub async fn list_changes(
    State(app): State<App>,
    caller: Caller,
    standing: Standing,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let params = Params::read(query.as_deref(), &["after", "limit", "wait"])?;
    let limit = params.limit("limit", 100, PAGE_MAX)?;
    let wants_events = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kinds| kinds.contains("text/event-stream"));
    let cursor = match headers.get("last-event-id").and_then(|id| id.to_str().ok()) {
        Some(id) if wants_events => id.parse().map_err(|error: store::changes::BadCursor| {
            ApiError::bad_request("bad_parameter", error.to_string())
        })?,
        _ => params.parsed::<ChangeCursor>("after")?.unwrap_or_default(),
    };
    if wants_events {
        return Ok(events(app, (caller, standing), cursor, limit));
    }
    let wait = params
        .parsed::<Period>("wait")?
        .map_or(Duration::ZERO, |wait| wait.0);
    // The answer must be out before the request's own time is over.
    let wait_max = WAIT_MAX.min(app.request_timeout() * 3 / 4);
    let until = tokio::time::Instant::now() + wait.min(wait_max);
    let mut cursor = cursor;
    loop {
        let (mut changes, next) = app.store().changes_after(cursor, limit).await?;
        let has_more = changes.len() as i64 == limit;
        changes.retain(|change| caller.sees(&change.instance));
        cursor = next;
        let over = tokio::time::Instant::now() >= until || app.stop().is_cancelled();
        if !changes.is_empty() || over {
            let next = next.to_string();
            return Ok(Json(ChangesView { changes, next }).into_response());
        }
        if !has_more {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Every change from `cursor` on that the caller sees by then, until the caller's key is revoked, or the caller or the
/// server goes away.
fn events(app: App, who: (Caller, Standing), cursor: ChangeCursor, limit: i64) -> Response {
    let begin = (app, who, cursor);
    let pages = futures::stream::unfold(begin, move |(app, who, mut cursor)| async move {
        loop {
            if app.stop().is_cancelled() {
                return None;
            }
            match app.store().changes_after(cursor, limit).await {
                Ok((mut changes, next)) => {
                    let is_end = (changes.len() as i64) < limit;
                    // After the changes were read: what was revoked before they were sent is not sent.
                    let caller = who.1.look_again(&who.0).await?;
                    changes.retain(|change| caller.sees(&change.instance));
                    cursor = next;
                    if !changes.is_empty() {
                        return Some((changes, (app, who, cursor)));
                    }
                    if is_end {
                        tokio::time::sleep(PAUSE).await;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a reader of changes is hung up on");
                    return None;
                }
            }
        }
    });
    let events = futures::StreamExt::flat_map(pages, |changes| {
        let events = changes.into_iter().map(|change| {
            let data = serde_json::to_string(&change).unwrap_or_default();
            Ok::<_, Infallible>(
                Event::default()
                    .id(change.cursor)
                    .event("change")
                    .data(data),
            )
        });
        futures::stream::iter(events.collect::<Vec<_>>())
    });
    Sse::new(events)
        .keep_alive(KeepAlive::default())
        .into_response()
}
