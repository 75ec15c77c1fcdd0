//! Snapshots: which there are, pins that keep them, and what a record changed between two.

use std::time::Duration;

use axum::{
    Json, Router,
    extract::{Path, RawQuery, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;
use store::{
    ResourceName,
    read::RecordRow,
    snapshots::{Snapshot, Which},
};

use super::{
    App,
    caller::{Caller, see_instance},
    error::ApiError,
    pinned,
    query::Params,
    records::name,
};
use crate::{config::Period, diff};

/// Snapshots on a page when the caller does not say.
const PAGE: i64 = 100;
/// The most snapshots of a page.
const PAGE_MAX: i64 = 1000;
/// How long a pin holds when the caller does not say.
const PIN: Period = Period::secs(3600);
/// The longest that a pin holds; it can be renewed.
const PIN_MAX: Duration = Duration::from_secs(7 * 86_400);
/// The most changes that a comparison tells.
const CHANGES_MAX: usize = 1000;

/// The routes of this file.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/snapshots", get(list))
        .route("/v1/snapshots/{snapshot}", get(show))
        .route("/v1/snapshots/{snapshot}/pin", post(pin).delete(release))
        .route(
            "/v1/records/{resource}/{instance}/{id}/diff",
            get(show_diff),
        )
}

/// Snapshots, newest first.
#[derive(Debug, Serialize)]
pub struct SnapshotsView {
    snapshots: Vec<Snapshot>,
    /// Where the next page begins: `before`. Absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<i64>,
}

/// `GET /v1/snapshots`: those that can be read, made by runs of what the caller sees.
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<SnapshotsView>, ApiError> {
    let params = Params::read(query.as_deref(), &["before", "limit"])?;
    let limit = params.limit("limit", PAGE, PAGE_MAX)?;
    let before = params.parsed("before")?;
    let store = app.store();
    let snapshots = store.snapshots(caller.scope(), before, limit).await?;
    let is_full = snapshots.len() as i64 == limit;
    let next = snapshots.last().filter(|_| is_full).map(|last| last.number);
    Ok(Json(SnapshotsView { snapshots, next }))
}

/// `GET /v1/snapshots/{snapshot}`: one, by its number or as `newest`.
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    Path(snapshot): Path<String>,
) -> Result<Json<Snapshot>, ApiError> {
    let found = app.store().load_snapshot(pinned::named(&snapshot)?).await?;
    Ok(Json(shown(found, &caller)))
}

/// Every caller may read every snapshot, but whose run made it is for those who see the instance.
fn shown(snapshot: Snapshot, caller: &Caller) -> Snapshot {
    match &snapshot.instance {
        Some(instance) if !caller.sees(instance) => Snapshot {
            instance: None,
            resource: None,
            run: None,
            changes: None,
            ..snapshot
        },
        _ => snapshot,
    }
}

/// `POST /v1/snapshots/{snapshot}/pin`: keeps it for a while, whatever is forgotten.
pub async fn pin(
    State(app): State<App>,
    caller: Caller,
    Path(snapshot): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<Snapshot>, ApiError> {
    let params = Params::read(query.as_deref(), &["for"])?;
    let period = params.parsed::<Period>("for")?.unwrap_or(PIN).0;
    if period.is_zero() || period > PIN_MAX {
        let message = "`for` must be more than nothing and at most 7d; a pin can be renewed";
        return Err(ApiError::bad_request("bad_parameter", message));
    }
    let which = pinned::named(&snapshot)?;
    let pinned = app.store().pin_snapshot(which, holder(&caller), period);
    Ok(Json(shown(pinned.await?, &caller)))
}

/// `DELETE /v1/snapshots/{snapshot}/pin`: takes the caller's own pin off it.
pub async fn release(
    State(app): State<App>,
    caller: Caller,
    Path(snapshot): Path<String>,
) -> Result<StatusCode, ApiError> {
    let unpinned = || ApiError::not_found(format!("you have no pin on snapshot `{snapshot}`"));
    let Which::Number(number) = pinned::named(&snapshot)? else {
        return Err(unpinned());
    };
    match app
        .store()
        .release_snapshot(number, holder(&caller))
        .await?
    {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(unpinned()),
    }
}

/// Whose pin it is: a key's, or the operators' who come without one.
fn holder(caller: &Caller) -> &str {
    caller.principal().key.as_deref().unwrap_or("operator")
}

/// What a record was on one side of a comparison.
#[derive(Debug, Default, Serialize)]
struct Side {
    /// The snapshot that was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot: Option<i64>,
    /// Its version; null: the mirror did not have the record.
    version: Option<i64>,
    changed_at: Option<jiff::Timestamp>,
    /// Whether it was gone upstream.
    deleted: bool,
    #[serde(skip)]
    body: Option<Box<RawValue>>,
}

impl Side {
    fn of(snapshot: Option<i64>, found: Option<RecordRow>) -> Self {
        let Some(record) = found else {
            return Self {
                snapshot,
                ..Self::default()
            };
        };
        let deleted = record.deleted_at.is_some();
        Self {
            snapshot,
            version: Some(record.version),
            changed_at: Some(record.changed_at),
            deleted,
            body: (!deleted).then_some(record.body),
        }
    }
}

/// One change, as RFC 6902 has it, with what stood there before.
#[derive(Debug, Serialize)]
struct ChangeView<'a> {
    op: &'static str,
    /// A JSON pointer.
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a RawValue>,
}

#[derive(Debug, Serialize)]
struct DiffView<'a> {
    resource: &'a ResourceName,
    instance: &'a str,
    id: &'a str,
    from: &'a Side,
    to: &'a Side,
    changes: Vec<ChangeView<'a>>,
    /// Whether there are more changes than these.
    more: bool,
}

/// `GET /v1/records/{resource}/{instance}/{id}/diff`: what changed between two snapshots or versions.
pub async fn show_diff(
    State(app): State<App>,
    caller: Caller,
    Path((resource, instance, id)): Path<(String, String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let allowed = ["from", "to", "from_version", "to_version"];
    let params = Params::read(query.as_deref(), &allowed)?;
    let resource = name(&resource)?;
    see_instance(&caller, &instance)?;
    let id = app.mirror().id_of(&resource, &instance, &id)?;
    let of = Of {
        app: &app,
        resource: &resource,
        instance: &instance,
        id: &id,
    };
    let from = Box::pin(of.side(&params, "from", "from_version")).await?;
    let to = Box::pin(of.side(&params, "to", "to_version")).await?;
    let from = from.ok_or_else(|| {
        ApiError::bad_request("bad_parameter", "`from` is missing")
            .hint("a snapshot's number, or from_version=1")
    })?;
    let to = match to {
        Some(to) => to,
        None => of.now().await?,
    };
    if from.version.is_none() && to.version.is_none() {
        let message = format!("{resource} of {instance} had no record `{id}` on either side");
        return Err(ApiError::not_found(message));
    }
    let (changes, more) = match (&from.body, &to.body) {
        (Some(before), Some(after)) => diff::changes(before, after, CHANGES_MAX),
        (None, None) => (Vec::new(), false),
        (before, after) => {
            let whole = diff::Change {
                path: Vec::new(),
                before: before.as_deref(),
                after: after.as_deref(),
            };
            (vec![whole], false)
        }
    };
    let view = DiffView {
        resource: &resource,
        instance: &instance,
        id: &id,
        from: &from,
        to: &to,
        changes: changes.into_iter().map(change).collect(),
        more,
    };
    Ok(Json(view).into_response())
}

fn change(change: diff::Change<'_>) -> ChangeView<'_> {
    let op = match (change.before, change.after) {
        (None, _) => "add",
        (_, None) => "remove",
        _ => "replace",
    };
    let path = change.path.iter().fold(String::new(), |path, step| {
        path + "/" + &step.replace('~', "~0").replace('/', "~1")
    });
    ChangeView {
        op,
        path,
        old: change.before,
        value: change.after,
    }
}

/// The record that is compared.
struct Of<'a> {
    app: &'a App,
    resource: &'a ResourceName,
    instance: &'a str,
    id: &'a str,
}

impl Of<'_> {
    /// What it was at the snapshot or the version that the parameters name, if they do.
    async fn side(
        &self,
        params: &Params,
        snapshot: &str,
        version: &str,
    ) -> Result<Option<Side>, ApiError> {
        let (resource, instance, id) = (self.resource, self.instance, self.id);
        let store = self.app.store();
        match (
            params.parsed::<Which>(snapshot)?,
            params.parsed::<i64>(version)?,
        ) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => {
                let message = format!("`{snapshot}` cannot go with `{version}`: name one of them");
                Err(ApiError::bad_request("bad_parameter", message))
            }
            (Some(which), None) => {
                let at = store.at_snapshot(which).await?;
                let found = store.find_record_at(resource, instance, id, &at).await?;
                store.still_kept(&at).await?;
                Ok(Some(Side::of(Some(at.number), found)))
            }
            (None, Some(number)) => {
                let found = store.find_version(resource, instance, id, number).await?;
                let found = found.ok_or_else(|| {
                    let message = format!(
                        "{resource} `{id}` of {instance} has no version {number} that is kept"
                    );
                    ApiError::not_found(message)
                })?;
                Ok(Some(Side::of(None, Some(found))))
            }
        }
    }

    /// What it is by now, at no call.
    async fn now(&self) -> Result<Side, ApiError> {
        let (resource, instance, id) = (self.resource, self.instance, self.id);
        let feed = self.app.feed(resource)?;
        let store = self.app.store();
        let found = store.find_record(resource, instance, id, &feed).await?;
        Ok(Side::of(None, found))
    }
}
