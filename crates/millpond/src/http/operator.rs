//! What operators ask of the server itself: its settings, its calls, and the connections it calls over.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::PathBuf,
};

use ::calls::{Options, Report, ReportError};
use axum::{
    Json, Router,
    extract::{Path, State, rejection::JsonRejection},
    routing::{get, patch},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::instances::ConnectionRow;

use super::{App, error::ApiError};
use crate::{
    call_logs,
    config::{Effective, Loaded},
};

/// The most bytes at the end of a call log that a request reads; `millpond calls report` reads all.
const LOG_BYTES_MAX: u64 = 256 << 20;

/// What operators may know of how this server was started.
#[derive(Debug)]
pub(super) struct House {
    settings: Vec<Effective>,
    call_logs: PathBuf,
    limits: Vec<(String, u32)>,
}

impl House {
    pub(super) fn of(loaded: &Loaded) -> Self {
        Self {
            settings: loaded.effective(),
            call_logs: call_logs::folder(loaded),
            limits: call_logs::limits(Some(loaded)),
        }
    }
}

/// The routes of this file.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/settings", get(list_settings))
        .route("/v1/calls/report", get(report_calls))
        .route(
            "/v1/instances/{instance}/connections/{connection}",
            patch(change_connection),
        )
}

/// Every setting that holds.
#[derive(Debug, Serialize)]
pub struct SettingsView {
    settings: Vec<Effective>,
}

/// `GET /v1/settings`: every setting of this process, and where its value comes from. Secrets are references.
pub async fn list_settings(State(app): State<App>) -> Json<SettingsView> {
    let settings = app.house().settings.clone();
    Json(SettingsView { settings })
}

/// A report and the log it is on.
#[derive(Debug, Serialize)]
pub struct CallsView {
    log: String,
    /// Whether only the end of the log was read.
    cut: bool,
    #[serde(flatten)]
    report: Report,
}

/// `GET /v1/calls/report`: what the newest call log of this server's folder tells.
pub async fn report_calls(State(app): State<App>) -> Result<Json<CallsView>, ApiError> {
    let read = tokio::task::spawn_blocking(move || read_newest(app.house()));
    read.await
        .map_err(|_| ApiError::unavailable("cut_off", "the report was cut off"))?
        .map(Json)
}

fn read_newest(house: &House) -> Result<CallsView, ApiError> {
    let none = |error: &anyhow::Error| {
        ApiError::not_found(crate::cli::chain_of(error.as_ref()))
            .hint("the log is this server's own: each process writes its calls to its own folder")
    };
    let file = call_logs::newest(&house.call_logs).map_err(|error| none(&error))?;
    let log = file.display().to_string();
    let (end, cut) = end_of(&file)
        .map_err(|error| none(&anyhow::Error::new(error).context(format!("cannot read {log}"))))?;
    let options = Options {
        limits: house.limits.clone(),
        ..Options::default()
    };
    match ::calls::analyze(end, &options) {
        Ok(report) => Ok(CallsView { log, cut, report }),
        Err(error @ (ReportError::Empty | ReportError::NoCalls(_))) => Err(none(
            &anyhow::Error::new(error).context(format!("there is nothing to report on in {log}")),
        )),
        Err(error) => Err(ApiError::unavailable(
            "call_log_unreadable",
            crate::cli::chain_of(&error),
        )),
    }
}

/// The last lines of a log, and whether there were more. A first line that is cut is skipped as no call.
fn end_of(file: &std::path::Path) -> io::Result<(impl io::Read + Send + use<>, bool)> {
    let mut log = File::open(file)?;
    let bytes = log.metadata()?.len();
    let cut = bytes > LOG_BYTES_MAX;
    if cut {
        log.seek(SeekFrom::Start(bytes - LOG_BYTES_MAX))?;
    }
    Ok((log.take(LOG_BYTES_MAX), cut))
}

/// What is to change of a connection.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectionChange {
    /// Whether it is used. Enabling also ends a set-aside and a pause.
    enabled: Option<bool>,
    /// The share of its limit that is ours, above 0 up to 1. What configuration says holds again after a restart.
    #[schemars(range(min = 0.01, max = 1.0))]
    share: Option<f32>,
}

/// `PATCH /v1/instances/{instance}/connections/{connection}`: use it or not, and how much of its limit. Holds at once,
/// in every process.
pub async fn change_connection(
    State(app): State<App>,
    Path((instance, connection)): Path<(String, String)>,
    change: Result<Json<ConnectionChange>, JsonRejection>,
) -> Result<Json<ConnectionRow>, ApiError> {
    let Json(change) = change?;
    let store = app.store();
    if let Some(share) = change.share {
        if !(0.01..=1.0).contains(&share) {
            return Err(ApiError::bad_request(
                "bad_value",
                format!("a share of {share} is none of a limit"),
            )
            .hint("a share is at least 0.01 and at most 1"));
        }
        store
            .share_connection(&instance, &connection, share)
            .await?;
    }
    if let Some(enabled) = change.enabled {
        store
            .enable_connection(&instance, &connection, enabled)
            .await?;
    }
    let rows = store.connections(Some(&instance)).await?;
    rows.into_iter()
        .find(|row| row.name == connection)
        .map(Json)
        .ok_or_else(|| {
            let message = format!("{instance} has no connection `{connection}`");
            ApiError::not_found(message).hint("GET /v1/instances names them")
        })
}
