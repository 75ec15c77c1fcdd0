//! `snapshot`: a question about the records as they were when a run had ended.

use mirror::ReadAnswer;
use schemars::JsonSchema;
use serde::Deserialize;
use store::{
    ResourceName,
    snapshots::{AtSnapshot, SnapshotError, Which},
};

use super::{App, error::ApiError, query::Params};

/// A snapshot's number, or `newest`, in a body.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SnapshotName {
    /// Its number.
    Number(i64),
    /// `newest`, or its number as a text.
    Text(String),
}

impl SnapshotName {
    /// Which one is meant.
    ///
    /// # Errors
    ///
    /// A name that is none.
    pub(super) fn which(&self) -> Result<Which, ApiError> {
        let text = match self {
            Self::Number(number) => &number.to_string(),
            Self::Text(text) => text,
        };
        named(text)
    }
}

/// Which snapshot a text means.
///
/// # Errors
///
/// A text that names none.
pub(super) fn named(text: &str) -> Result<Which, ApiError> {
    text.parse()
        .map_err(|error: store::snapshots::BadSnapshot| {
            ApiError::bad_request("bad_parameter", error.to_string())
        })
}

/// The snapshot that a question is pinned to, if it is; `excluded` may not stand beside it.
///
/// # Errors
///
/// A name that is none, or something that makes calls beside it.
pub(super) fn asked(params: &Params, excluded: &[&str]) -> Result<Option<Which>, ApiError> {
    let Some(which) = params.parsed::<Which>("snapshot")? else {
        return Ok(None);
    };
    match excluded.iter().find(|name| !params.all(name).is_empty()) {
        Some(name) => Err(ApiError::unprocessable(
            "pinned",
            format!("`snapshot` cannot go with `{name}`: what a record was is not fetched anew"),
        )),
        None => Ok(Some(which)),
    }
}

/// One record at a snapshot.
///
/// # Errors
///
/// The snapshot cannot be read, or does not have the record.
pub(super) async fn read(
    app: &App,
    resource: &ResourceName,
    instance: &str,
    id: &str,
    which: Which,
) -> Result<ReadAnswer, ApiError> {
    let id = app.mirror().id_of(resource, instance, id)?;
    let store = app.store();
    let at = store.at_snapshot(which).await?;
    let found = store.find_record_at(resource, instance, &id, &at).await?;
    store.still_kept(&at).await?;
    let record = found.ok_or_else(|| {
        ApiError::not_found(format!(
            "{resource} of {instance} had no record `{id}` at snapshot {}",
            at.number
        ))
    })?;
    Ok(ReadAnswer {
        age_secs: age(&at, record.as_of),
        snapshot: Some(at.number),
        source: "mirror",
        stale: None,
        record: record.into(),
    })
}

/// How old what was known was when the snapshot was made, in seconds: the same at each answer.
pub(super) fn age(at: &AtSnapshot, as_of: jiff::Timestamp) -> f64 {
    crate::output::age(as_of, at.taken_at).as_secs_f64()
}

impl From<SnapshotError> for ApiError {
    fn from(error: SnapshotError) -> Self {
        let message = error.to_string();
        match error {
            SnapshotError::NotYet { .. } => Self::not_found(message),
            SnapshotError::Gone { .. } => Self::gone(message)
                .hint("`retention.history` says how long they are kept; a pin keeps one longer"),
            SnapshotError::Store(error) => error.into(),
        }
    }
}
