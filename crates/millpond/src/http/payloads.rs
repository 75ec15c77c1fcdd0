//! What stands beside a record: read with it, written through Millpond, fetched anew.

use std::collections::BTreeMap;

use axum::{
    Json, Router,
    extract::{Path, RawQuery, State, rejection::JsonRejection},
    response::Response,
    routing::{get, patch, post},
};
use http::StatusCode;
use mirror::{Detail, PayloadAnswer, PayloadWrite, ReadAnswer, ReadAsk, Refreshed, Written};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::ResourceName;

use super::{
    App,
    caller::{Caller, see_instance},
    conditional::{Known, Told},
    error::ApiError,
    query::Params,
    records::name,
};
use crate::config::Period;

/// The most payloads of one answer.
const INCLUDE_MAX: usize = 20;

/// The routes of this file.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route(
            "/v1/records/{resource}/{instance}/{id}/refresh",
            post(refresh),
        )
        .route(
            "/v1/records/{resource}/{instance}/{id}/payloads/{payload}",
            get(show_payload).post(create).put(resequence),
        )
        .route(
            "/v1/records/{resource}/{instance}/{id}/payloads/{payload}/{item}",
            patch(update).delete(delete),
        )
}

/// A record with the payloads that were asked for.
#[derive(Debug, Serialize)]
pub struct DetailView {
    #[serde(flatten)]
    record: ReadAnswer,
    /// By the name under which they were asked for; null: the record has none of that kind.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    payloads: BTreeMap<String, Option<PayloadAnswer>>,
}

impl DetailView {
    /// A record and its payloads.
    pub(super) fn of(Detail { record, payloads }: Detail) -> Self {
        Self { record, payloads }
    }

    /// What it says, for its tag.
    pub(super) fn told(&self) -> Told {
        let mut told = Told::default();
        told.snapshot(self.record.snapshot);
        told.answer(&self.record);
        for (name, payload) in &self.payloads {
            told.text(name);
            told.maybe(payload.as_ref().map(|payload| payload.key.as_str()));
            if let Some(payload) = payload {
                told.answer(&payload.answer);
            }
        }
        told
    }

    /// A record alone.
    pub(super) fn alone(record: ReadAnswer) -> Self {
        Self {
            record,
            payloads: BTreeMap::new(),
        }
    }
}

/// The names in `include=notes,contacts`, each once.
pub(super) fn included(params: &Params) -> Result<Vec<String>, ApiError> {
    let mut names: Vec<String> = Vec::new();
    for list in params.all("include") {
        for name in list.split(',').map(str::trim) {
            if !name.is_empty() && !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
    }
    if names.len() > INCLUDE_MAX {
        let message = format!("`include` names more than {INCLUDE_MAX} payloads");
        return Err(ApiError::bad_request("bad_parameter", message));
    }
    Ok(names)
}

type RecordPath = (String, String, String);
type PayloadPath = (String, String, String, String);
type ItemPath = (String, String, String, String, String);

/// `GET …/payloads/{payload}`: one payload of a record, as fresh as its rules or the caller want it.
pub async fn show_payload(
    State(app): State<App>,
    caller: Caller,
    Path((resource, instance, id, payload)): Path<PayloadPath>,
    known: Known,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let params = Params::read(query.as_deref(), &["max_age", "fresh"])?;
    let ask = ReadAsk {
        max_age: params.parsed::<Period>("max_age")?.map(|age| age.0),
        fresh: params.flag("fresh")?,
    };
    let resource = name(&resource)?;
    see_instance(&caller, &instance)?;
    let include = [payload];
    let detail = app
        .mirror()
        .read_detail(&resource, &instance, &id, &include, ask)
        .await?;
    let found = detail.and_then(|detail| detail.payloads.into_values().next().flatten());
    let payload = found.ok_or_else(|| absent(&resource, &instance, &id, &include[0]))?;
    let mut told = Told::default();
    told.snapshot(payload.answer.snapshot);
    told.answer(&payload.answer);
    Ok(told.reply(&known, &payload))
}

/// `POST …/payloads/{payload}`: a new element, as upstream takes it.
pub async fn create(
    State(app): State<App>,
    caller: Caller,
    Path((resource, instance, id, payload)): Path<PayloadPath>,
    body: Result<Json<Value>, JsonRejection>,
) -> Result<(StatusCode, Json<Written>), ApiError> {
    let Json(body) = body?;
    let write = PayloadWrite::Create(body);
    let to = (resource, instance, id, payload);
    Ok((
        StatusCode::CREATED,
        written(&app, &caller, to, write).await?,
    ))
}

/// The order of a payload's elements.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Their ids, the first first.
    order: Vec<Value>,
}

/// `PUT …/payloads/{payload}`: puts its elements in order.
pub async fn resequence(
    State(app): State<App>,
    caller: Caller,
    Path((resource, instance, id, payload)): Path<PayloadPath>,
    body: Result<Json<Order>, JsonRejection>,
) -> Result<Json<Written>, ApiError> {
    let Json(Order { order }) = body?;
    let order = order.into_iter().map(|id| match id {
        Value::String(id) => Ok(id),
        Value::Number(id) => Ok(id.to_string()),
        other => {
            let message = format!("`{other}` is no id");
            Err(ApiError::bad_request("bad_body", message))
        }
    });
    let write = PayloadWrite::Resequence(order.collect::<Result<_, _>>()?);
    written(&app, &caller, (resource, instance, id, payload), write).await
}

/// `PATCH …/payloads/{payload}/{item}`: changes fields of one element.
pub async fn update(
    State(app): State<App>,
    caller: Caller,
    Path((resource, instance, id, payload, item)): Path<ItemPath>,
    body: Result<Json<Value>, JsonRejection>,
) -> Result<Json<Written>, ApiError> {
    let Json(body) = body?;
    let write = PayloadWrite::Update(item, body);
    written(&app, &caller, (resource, instance, id, payload), write).await
}

/// `DELETE …/payloads/{payload}/{item}`: removes one element.
pub async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path((resource, instance, id, payload, item)): Path<ItemPath>,
) -> Result<Json<Written>, ApiError> {
    let write = PayloadWrite::Delete(item);
    written(&app, &caller, (resource, instance, id, payload), write).await
}

async fn written(
    app: &App,
    caller: &Caller,
    (resource, instance, id, payload): PayloadPath,
    write: PayloadWrite,
) -> Result<Json<Written>, ApiError> {
    let resource = name(&resource)?;
    see_instance(caller, &instance)?;
    let table = app.mirror().payload_of(&resource, &instance, &payload)?;
    let done = app
        .mirror()
        .write_payload(&table, &instance, &id, write)
        .await?;
    done.map(Json)
        .ok_or_else(|| absent(&resource, &instance, &id, &payload))
}

/// What was fetched anew.
#[derive(Debug, Serialize)]
pub struct RefreshView {
    /// Whether all of it came.
    complete: bool,
    payloads: Vec<Refreshed>,
}

/// `POST …/refresh`: the record and all its payloads, fetched anew.
pub async fn refresh(
    State(app): State<App>,
    caller: Caller,
    Path((resource, instance, id)): Path<RecordPath>,
) -> Result<Json<RefreshView>, ApiError> {
    let resource = name(&resource)?;
    see_instance(&caller, &instance)?;
    let payloads = app
        .mirror()
        .refresh_detail(&resource, &instance, &id)
        .await?;
    let payloads = payloads.ok_or_else(|| {
        ApiError::not_found(format!("{resource} of {instance} has no record `{id}`"))
    })?;
    Ok(Json(RefreshView {
        complete: payloads.iter().all(|payload| payload.error.is_none()),
        payloads,
    }))
}

fn absent(resource: &ResourceName, instance: &str, id: &str, payload: &str) -> ApiError {
    ApiError::not_found(format!(
        "{resource} `{id}` of {instance} is not there, or has no such thing in its {payload}"
    ))
}
