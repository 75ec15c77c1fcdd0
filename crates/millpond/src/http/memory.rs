//! Notes beside the records, and recall over both.

use std::time::Instant;

use axum::{
    Json, Router,
    extract::{Path, State, rejection::JsonRejection},
    routing::{get, post},
};
use futures::future::BoxFuture;
use http::StatusCode;
use memory::{EmbedError, Weights};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::memory::{Link, Memory as Row, Shelf};

use super::{
    App,
    caller::{Caller, see_instance},
    error::ApiError,
    records::name,
};
use crate::{
    access::quota::Over,
    cli::chain_of,
    memory::{AddAsk, ChangeAsk, MemoryError, RecallAnswer, RecallAsk},
};

/// The most letters of a note and of a question.
const TEXT_CHARS_MAX: usize = 16_000;
/// The most letters of a name: of a user, a session, a tag.
const NAME_CHARS_MAX: usize = 200;
/// The most labels of a note.
const TAGS_MAX: usize = 50;
/// The most bytes of a note's metadata.
const METADATA_BYTES_MAX: usize = 16 * 1024;
/// Hits when the caller does not say.
const LIMIT: i64 = 10;
/// The most hits.
const LIMIT_MAX: i64 = 100;

/// The routes of this file.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/memory/add", post(add_memory))
        .route("/v1/memory/query", post(query_memory))
        .route(
            "/v1/memory/{id}",
            get(show_memory).patch(change_memory).delete(delete_memory),
        )
}

/// How hot a note is; a label, whatever it is kept on.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Needed often.
    #[default]
    Hot,
    /// Needed now and then.
    Warm,
    /// Needed hardly ever.
    Cold,
}

impl Tier {
    fn as_str(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::Warm => "warm",
            Self::Cold => "cold",
        }
    }
}

/// A record that a note is about.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// Such as cin7.sale
    resource: String,
    /// Such as cin7-au
    instance: String,
    /// Its id upstream
    #[schemars(length(min = 1, max = 200))]
    id: String,
}

/// A note to be kept.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMemory {
    /// What it says
    #[schemars(length(min = 1, max = 16000))]
    text: String,
    /// The end user whose it is; everybody's who sees the project when absent
    #[schemars(length(max = 200))]
    user: Option<String>,
    /// The tenant's project that it is of; the key's own when that is confined to one
    project: Option<String>,
    /// Labels
    #[serde(default)]
    #[schemars(length(max = 50), inner(length(min = 1, max = 200)))]
    tags: Vec<String>,
    /// hot when absent
    tier: Option<Tier>,
    /// The conversation that it is of
    #[schemars(length(max = 200))]
    session_id: Option<String>,
    /// Whatever else there is to say, at most 16 KiB
    #[serde(default)]
    metadata: Map<String, Value>,
    /// The record that it is about
    about: Option<About>,
}

/// `POST /v1/memory/add`: keeps a note.
pub async fn add_memory(
    State(app): State<App>,
    caller: Caller,
    new: Result<Json<NewMemory>, JsonRejection>,
) -> Result<(StatusCode, Json<Row>), ApiError> {
    let Json(new) = new?;
    let row = add(&app, &caller, new).await?;
    Ok((StatusCode::CREATED, Json(row)))
}

/// Boxed: each handler would else prove again that all that is in it is `Send`.
fn add<'a>(
    app: &'a App,
    caller: &'a Caller,
    new: NewMemory,
) -> BoxFuture<'a, Result<Row, ApiError>> {
    Box::pin(async move {
        check_text("text", &new.text)?;
        check_names(&new.tags)?;
        check_metadata(Some(&new.metadata))?;
        let about = match new.about {
            Some(about) => {
                let resource = name(&about.resource)?;
                app.feed(&resource)?;
                see_instance(caller, &about.instance)?;
                check_name("about.id", &about.id)?;
                Some(Link {
                    resource: about.resource,
                    instance: about.instance,
                    id: about.id,
                })
            }
            None => None,
        };
        let ask = AddAsk {
            shelf: shelf(app, caller, new.project).await?,
            user: name_of("user", new.user)?.unwrap_or_default(),
            text: new.text,
            tags: new.tags,
            tier: new.tier.unwrap_or_default().as_str().to_owned(),
            session: name_of("session_id", new.session_id)?,
            metadata: Value::Object(new.metadata),
            about,
        };
        Ok(app.memory().add(ask, caller.tenant()).await?)
    })
}

/// `GET /v1/memory/{id}`: one note.
pub async fn show_memory(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Row>, ApiError> {
    let row = app.memory().find(&own_shelf(&caller), &id).await?;
    row.map(Json).ok_or_else(|| none(&id))
}

/// What is to change of a note.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoryValues {
    /// What it says
    #[schemars(length(min = 1, max = 16000))]
    text: Option<String>,
    /// All its labels
    #[schemars(length(max = 50), inner(length(min = 1, max = 200)))]
    tags: Option<Vec<String>>,
    /// How hot it is
    tier: Option<Tier>,
    /// All of it
    metadata: Option<Map<String, Value>>,
}

/// `PATCH /v1/memory/{id}`: changes what the body names.
pub async fn change_memory(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    values: Result<Json<MemoryValues>, JsonRejection>,
) -> Result<Json<Row>, ApiError> {
    let Json(values) = values?;
    if let Some(text) = &values.text {
        check_text("text", text)?;
    }
    check_names(values.tags.as_deref().unwrap_or_default())?;
    check_metadata(values.metadata.as_ref())?;
    let ask = ChangeAsk {
        text: values.text,
        tags: values.tags,
        tier: values.tier.map(|tier| tier.as_str().to_owned()),
        metadata: values.metadata.map(Value::Object),
    };
    let shelf = own_shelf(&caller);
    let changed: BoxFuture<'_, _> =
        Box::pin(app.memory().change(&shelf, &id, ask, caller.tenant()));
    changed.await?.map(Json).ok_or_else(|| none(&id))
}

/// `DELETE /v1/memory/{id}`: forgets a note.
pub async fn delete_memory(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    match app.memory().delete(&own_shelf(&caller), &id).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(none(&id)),
    }
}

/// How much words and vectors count, each 0 to 1 and not both 0.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AskedWeights {
    /// Of what has the question's words
    #[schemars(range(min = 0, max = 1))]
    words: f64,
    /// Of what is near the question's vector
    #[schemars(range(min = 0, max = 1))]
    vectors: f64,
}

/// What is to be recalled.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoryQuery {
    /// What is looked for, in any words
    #[schemars(length(min = 1, max = 16000))]
    query: String,
    /// Notes of this end user too; without, only those of everybody
    #[schemars(length(max = 200))]
    user: Option<String>,
    /// Only notes of this project; the key's own when that is confined to one
    project: Option<String>,
    /// The most hits: 10 when absent
    #[schemars(range(min = 1, max = 100))]
    limit: Option<i64>,
    /// Only notes of this tier
    tier: Option<Tier>,
    /// Only notes with all of these
    #[serde(default)]
    #[schemars(length(max = 50), inner(length(min = 1, max = 200)))]
    tags: Vec<String>,
    /// Only notes whose metadata contain this
    metadata: Option<Map<String, Value>>,
    /// Only notes of this conversation; such an answer is neither kept nor taken from what is kept
    #[schemars(length(max = 200))]
    session_id: Option<String>,
    /// Whether notes are looked at: true when absent
    memories: Option<bool>,
    /// Only records of these resources, none when empty; of all that can be recalled when absent. What only notes have,
    /// such as tags, leaves records out
    records: Option<Vec<String>>,
    /// How much words and vectors count: half each when absent
    weights: Option<AskedWeights>,
}

/// What was recalled.
#[derive(Debug, Serialize)]
pub struct RecallView {
    #[serde(flatten)]
    answer: RecallAnswer,
    duration_ms: f64,
}

/// `POST /v1/memory/query`: the notes and records that answer a question best.
pub async fn query_memory(
    State(app): State<App>,
    caller: Caller,
    query: Result<Json<MemoryQuery>, JsonRejection>,
) -> Result<Json<RecallView>, ApiError> {
    let Json(query) = query?;
    let began = Instant::now();
    let answer = ask(&app, &caller, query).await?;
    Ok(Json(RecallView {
        answer,
        duration_ms: (began.elapsed().as_secs_f64() * 1e6).round() / 1e3,
    }))
}

/// Boxed: each handler would else prove again that all that is in it is `Send`.
fn ask<'a>(
    app: &'a App,
    caller: &'a Caller,
    query: MemoryQuery,
) -> BoxFuture<'a, Result<RecallAnswer, ApiError>> {
    Box::pin(async move {
        check_text("query", &query.query)?;
        check_names(&query.tags)?;
        check_metadata(query.metadata.as_ref())?;
        let limit = query.limit.unwrap_or(LIMIT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(bad(format!("`limit` must be from 1 to {LIMIT_MAX}")));
        }
        let weights = query.weights.map_or(Ok(Weights::default()), |asked| {
            let weights = Weights {
                words: asked.words,
                vectors: asked.vectors,
            };
            weights.checked().map_err(|error| bad(error.to_string()))
        })?;
        let ask = RecallAsk {
            shelf: shelf(app, caller, query.project).await?,
            user: name_of("user", query.user)?.unwrap_or_default(),
            text: query.query,
            limit,
            tier: query.tier.map(|tier| tier.as_str().to_owned()),
            tags: query.tags,
            metadata: query.metadata.map(Value::Object),
            session: name_of("session_id", query.session_id)?,
            notes: query.memories.unwrap_or(true),
            resources: query.records,
            instances: caller.scope().map(<[String]>::to_vec),
            weights,
        };
        Ok(app.memory().recall(&ask).await?)
    })
}

/// What the caller sees of notes.
fn own_shelf(caller: &Caller) -> Shelf {
    let principal = caller.principal();
    Shelf {
        tenant: principal.tenant.clone(),
        project: principal.project.clone(),
    }
}

/// The same, of one project if one is named.
async fn shelf(app: &App, caller: &Caller, project: Option<String>) -> Result<Shelf, ApiError> {
    let own = own_shelf(caller);
    let Some(project) = project else {
        return Ok(own);
    };
    let missing = |project: &str| {
        let shown: String = project.chars().take(80).collect();
        ApiError::not_found(format!("there is no project `{shown}`"))
    };
    let Some(tenant) = &own.tenant else {
        return Err(missing(&project).hint("operators have no projects: ask with a tenant's key"));
    };
    if !caller.sees_project(tenant, &project) {
        return Err(missing(&project));
    }
    if own.project.is_none() {
        let found = app.store().find_project(tenant, &project).await?;
        found.ok_or_else(|| missing(&project))?;
    }
    Ok(Shelf {
        project: Some(project),
        ..own
    })
}

fn none(id: &str) -> ApiError {
    let shown: String = id.chars().take(80).collect();
    ApiError::not_found(format!("there is no memory `{shown}`"))
}

fn bad(message: impl Into<String>) -> ApiError {
    ApiError::bad_request("bad_value", message)
}

fn check_text(what: &str, text: &str) -> Result<(), ApiError> {
    if text.trim().is_empty() || text.chars().count() > TEXT_CHARS_MAX {
        return Err(bad(format!(
            "`{what}` must have 1 to {TEXT_CHARS_MAX} letters, not only spaces"
        )));
    }
    check_nul(what, text)
}

/// PostgreSQL cannot hold it.
fn check_nul(what: &str, text: &str) -> Result<(), ApiError> {
    match text.contains('\0') {
        true => Err(bad(format!("`{what}` must not have NUL characters"))),
        false => Ok(()),
    }
}

fn check_name(what: &str, text: &str) -> Result<(), ApiError> {
    if text.is_empty() || text.chars().count() > NAME_CHARS_MAX {
        return Err(bad(format!(
            "`{what}` must have 1 to {NAME_CHARS_MAX} letters"
        )));
    }
    check_nul(what, text)
}

/// An empty name is none.
fn name_of(what: &str, text: Option<String>) -> Result<Option<String>, ApiError> {
    let text = text.filter(|text| !text.is_empty());
    if let Some(text) = &text {
        check_name(what, text)?;
    }
    Ok(text)
}

fn check_names(tags: &[String]) -> Result<(), ApiError> {
    if tags.len() > TAGS_MAX {
        return Err(bad(format!("there are more than {TAGS_MAX} `tags`")));
    }
    tags.iter().try_for_each(|tag| check_name("tags", tag))
}

fn check_metadata(metadata: Option<&Map<String, Value>>) -> Result<(), ApiError> {
    let Some(metadata) = metadata else {
        return Ok(());
    };
    let text = serde_json::to_string(metadata).unwrap_or_default();
    if text.len() > METADATA_BYTES_MAX {
        return Err(bad(format!(
            "`metadata` has more than {METADATA_BYTES_MAX} bytes"
        )));
    }
    match text.contains("\\u0000") {
        true => Err(bad("`metadata` must not have NUL characters")),
        false => Ok(()),
    }
}

impl From<MemoryError> for ApiError {
    fn from(error: MemoryError) -> Self {
        Self::from(&error)
    }
}

impl From<&MemoryError> for ApiError {
    fn from(error: &MemoryError) -> Self {
        match error {
            MemoryError::Store(error) if chain_of(error).contains("statement timeout") => {
                Self::timed_out("the database looked for too long")
                    .hint("ask for fewer: a project, a tier, a tag")
            }
            MemoryError::Store(error) => error.into(),
            MemoryError::Embed(error) => refused(error),
            MemoryError::Load(error) => match error {
                ::cache::LoadError::Failed { source, .. } => {
                    match source.downcast_ref::<MemoryError>() {
                        Some(told) => told.into(),
                        None => error.into(),
                    }
                }
                _ => error.into(),
            },
            MemoryError::OverQuota { until } => Over::Quota { until: *until }.into(),
            MemoryError::NotIndexed { .. } => Self::bad_request("not_indexed", error.to_string())
                .hint("`memory.index` in the configuration says which records can be recalled"),
        }
    }
}

fn refused(error: &EmbedError) -> ApiError {
    let message = error.to_string();
    match error {
        EmbedError::Refused { .. } => ApiError::unprocessable("text_refused", message)
            .hint("shorten the text: its embedder does not take it"),
        EmbedError::Away { .. } => ApiError::unavailable("embedder_away", message)
            .hint("ask again later, or by words: weights {\"words\": 1, \"vectors\": 0}"),
        EmbedError::Wrong { .. } => ApiError::unavailable("embedder_wrong", message)
            .hint("the operators must look at [memory] in the configuration"),
    }
}
