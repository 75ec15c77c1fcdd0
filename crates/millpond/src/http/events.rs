//! What happened, as it happens.

use std::{convert::Infallible, time::Duration};

use axum::{
    Json,
    extract::{RawQuery, State},
    response::{
        IntoResponse, Response,
        sse::{Event as Sent, KeepAlive, Sse},
    },
};
use http::{HeaderMap, header};
use serde::Serialize;
use store::events::{Event, EventFilter, Listening};

use super::{App, caller::Caller, error::ApiError, guard::Standing, query::Params};
use crate::config::Period;

/// The most events of a page.
const PAGE_MAX: i64 = 1000;
/// A notification may get lost: look again after this in any case.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// The longest a caller may wait for an event.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Events, oldest first.
#[derive(Debug, Serialize)]
pub struct EventsView {
    events: Vec<Event>,
    /// Give it back as `after` to go on from here, also when there were none.
    next: i64,
}

/// `GET /v1/events`: the latest events, or those after a number. With `Accept: text/event-stream`, as server-sent
/// events that go on.
pub async fn list_events(
    State(app): State<App>,
    caller: Caller,
    standing: Standing,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let allowed = ["after", "limit", "wait", "name", "instance"];
    let params = Params::read(query.as_deref(), &allowed)?;
    let limit = params.limit("limit", 100, PAGE_MAX)?;
    let filter = EventFilter {
        name: params.one("name")?,
        instance: params.one("instance")?,
    };
    let after = params.parsed::<i64>("after")?;
    let wait = params
        .parsed::<Period>("wait")?
        .map_or(Duration::ZERO, |wait| wait.0);
    let wants_stream = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kinds| kinds.contains("text/event-stream"));
    if wants_stream {
        let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
        let last = match last {
            Some(id) => Some(id.parse().map_err(|_| {
                ApiError::bad_request("bad_parameter", "`Last-Event-ID` is the number of an event")
            })?),
            None => after,
        };
        let listening = app.ear().listen();
        let from = match last {
            Some(number) => number,
            None => app.store().newest_event().await?,
        };
        return Ok(stream(
            app,
            (caller, standing),
            (listening, from),
            filter,
            limit,
        ));
    }
    let Some(after) = after else {
        let newest = app.store().newest_event().await?;
        let events = app.store().latest_events(&filter, limit).await?;
        let next = events
            .last()
            .map_or(newest, |event| event.number.max(newest));
        return Ok(Json(EventsView { events, next }).into_response());
    };
    // The answer must be out before the request's own time is over.
    let wait_max = WAIT_MAX.min(app.request_timeout() * 3 / 4);
    let until = tokio::time::Instant::now() + wait.min(wait_max);
    let mut listening = (!wait.is_zero()).then(|| app.ear().listen());
    loop {
        let (events, next) = app.store().events_after(after, &filter, limit).await?;
        let left = until.saturating_duration_since(tokio::time::Instant::now());
        match &mut listening {
            Some(listening)
                if events.is_empty() && !left.is_zero() && !app.stop().is_cancelled() =>
            {
                listening.wait(left.min(LOOK_AGAIN)).await;
            }
            _ => return Ok(Json(EventsView { events, next }).into_response()),
        }
    }
}

/// Every event after a number, until the caller's key is revoked, or the caller or the server goes away.
fn stream(
    app: App,
    who: (Caller, Standing),
    (listening, from): (Listening, i64),
    filter: EventFilter,
    limit: i64,
) -> Response {
    let begin = (app, who, listening, from, filter);
    let pages = futures::stream::unfold(
        begin,
        move |(app, who, mut listening, from, filter)| async move {
            loop {
                if app.stop().is_cancelled() {
                    return None;
                }
                let page = app.store().events_after(from, &filter, limit).await;
                let caller = who.1.look_again(&who.0).await?;
                caller.principal().is_operator().then_some(())?;
                match page {
                    Ok((events, next)) if !events.is_empty() => {
                        return Some((events, (app, who, listening, next, filter)));
                    }
                    Ok(_) => tokio::select! {
                        () = app.stop().cancelled() => return None,
                        () = listening.wait(LOOK_AGAIN) => {}
                    },
                    Err(error) => {
                        tracing::warn!(%error, "a listener to events is hung up on");
                        return None;
                    }
                }
            }
        },
    );
    let events = futures::StreamExt::flat_map(pages, |events| {
        let sent = events.into_iter().map(|event| {
            let data = serde_json::to_string(&event).unwrap_or_default();
            Ok::<_, Infallible>(Sent::default().id(event.number.to_string()).data(data))
        });
        futures::stream::iter(sent.collect::<Vec<_>>())
    });
    Sse::new(events)
        .keep_alive(KeepAlive::default())
        .into_response()
}
