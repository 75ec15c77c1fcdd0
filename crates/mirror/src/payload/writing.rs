//! Writing payloads: upstream first, then what the mirror and the cache have of them is forgotten, also when nobody
//! knows whether the write arrived.

use bytes::Bytes;
use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};
use store::{ResourceName, read::RecordRow};
use upstream::{
    Answer, CallError, Class, FieldPath, PayloadKey,
    connector::{Write, WriteVerb},
};

use super::{PayloadKind, reading::Wish};
use crate::{
    Mirror,
    account::Account,
    error::{MirrorError, Result},
    listing::chain,
    reading::ReadAsk,
};

/// A write is under way for so long at the most. Should the process die in it, answers that were asked for until then
/// are not believed.
const WRITE_MAX: SignedDuration = SignedDuration::from_secs(120);

/// Elements that can be put in order at once.
const ORDER_MAX: usize = 1000;

/// Payloads of a record that are fetched at once.
const AT_ONCE_MAX: usize = 6;

/// What is to be written.
#[derive(Debug, Clone)]
pub enum PayloadWrite {
    /// A new element.
    Create(Value),
    /// Changes of one: an object of fields, or a JSON patch where the API takes one.
    Update(String, Value),
    /// One to be removed.
    Delete(String),
    /// All elements' ids in their order; those not named come after.
    Resequence(Vec<String>),
}

/// What upstream said to a write.
#[derive(Debug, Serialize)]
pub struct Written {
    /// Its HTTP status; of several calls that of the last.
    pub status: u16,
    /// The element as it is now, where upstream says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub element: Option<Box<RawValue>>,
    /// The hot values that are forgotten.
    pub invalidated: Vec<String>,
}

/// What became of one payload that was fetched anew.
#[derive(Debug, Serialize)]
pub struct Refreshed {
    /// The key of its hot value.
    pub key: String,
    /// When upstream was last known to say what it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Timestamp>,
    /// Why it was not fetched; it is not served from the cache then either.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl PayloadWrite {
    fn verb(&self) -> WriteVerb {
        match self {
            Self::Create(_) => WriteVerb::Create,
            Self::Update(..) => WriteVerb::Update,
            Self::Delete(_) => WriteVerb::Delete,
            Self::Resequence(_) => WriteVerb::Resequence,
        }
    }

    fn items(&self) -> &[String] {
        match self {
            Self::Create(_) => &[],
            Self::Update(item, _) | Self::Delete(item) => std::slice::from_ref(item),
            Self::Resequence(order) => order,
        }
    }
}

impl Mirror {
    /// Writes to a payload of the record `parent` through the connector's own calls. The next read of the payload, by
    /// whomever, is answered by upstream.
    ///
    /// `None`: there is no such record, or no such element of it. Once the write has begun it is finished, also when
    /// the future is dropped.
    ///
    /// # Errors
    ///
    /// [`MirrorError::Unknown`] for names that mean nothing and for payloads that cannot be written so;
    /// [`MirrorError::BadWrite`] for a body that makes no sense; [`MirrorError::Upstream`] when upstream said no, or
    /// [`CallError::OutcomeUnknown`] when nobody knows.
    pub async fn write_payload(
        &self,
        payload: &ResourceName,
        instance: &str,
        parent: &str,
        write: PayloadWrite,
    ) -> Result<Option<Written>> {
        let mirror = self.clone();
        let (payload, instance) = (payload.clone(), instance.to_owned());
        let parent = parent.to_owned();
        let work = tokio::spawn(async move {
            mirror
                .write_through(&payload, &instance, &parent, write)
                .await
        });
        match work.await {
            Ok(written) => written,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }

    async fn write_through(
        &self,
        payload: &ResourceName,
        instance: &str,
        parent: &str,
        write: PayloadWrite,
    ) -> Result<Option<Written>> {
        let (account, kind) = self.payload_kind(payload, instance)?;
        let way = kind.way(write.verb())?;
        let parent_name = &kind.parent.name;
        let ask = ReadAsk::default();
        let Some(row) = self.read(parent_name, instance, parent, ask).await? else {
            return Ok(None);
        };
        let Some(key) = kind
            .key(&row.record)
            .filter(|_| row.record.deleted_at.is_none())
        else {
            return Ok(None);
        };
        let bodies = bodies(way, parent, &write)?;
        let is_below_parent = key
            .places()
            .all(|place| way.endpoint.places().any(|known| known == place));
        if !is_below_parent && !self.has_all(account, kind, &row.record, &write).await? {
            return Ok(None);
        }

        let until = Timestamp::now()
            .saturating_add(WRITE_MAX)
            .unwrap_or(Timestamp::MAX);
        let rows = [(kind.name.clone(), key.row_id())];
        account.store.mark_outdated(instance, &rows, until).await?;
        self.forget_hot(instance, &rows).await;
        let outcome = send(account, kind, way, &key, bodies).await;
        // From here on every answer that was asked for is younger than the write, whatever came of it.
        account
            .store
            .mark_outdated(instance, &rows, Timestamp::now())
            .await?;
        self.forget_hot(instance, &rows).await;
        let answer = outcome.map_err(|source| MirrorError::Upstream {
            instance: instance.to_owned(),
            source,
        })?;
        let element = String::from_utf8(answer.body.to_vec()).ok();
        Ok(Some(Written {
            status: answer.status,
            element: element.and_then(|text| RawValue::from_string(text).ok()),
            invalidated: vec![key.logical(&kind.payload.family)],
        }))
    }

    /// Whether every element that a write names belongs to this payload. Its own path does not say.
    async fn has_all(
        &self,
        account: &Account,
        kind: &PayloadKind,
        parent: &RecordRow,
        write: &PayloadWrite,
    ) -> Result<bool> {
        if write.items().is_empty() {
            return Ok(true);
        }
        let name = [kind.payload.short_name().to_owned()];
        for fresh in [false, true] {
            let ask = ReadAsk {
                max_age: None,
                fresh,
            };
            let instance = &account.settings.name;
            let detail = self
                .read_detail(&kind.parent.name, instance, &parent.id, &name, ask)
                .await?;
            let found = detail.and_then(|detail| detail.payloads.into_values().next().flatten());
            let ids = found.map(|payload| kind.element_ids(&payload.answer.record));
            if ids.is_some_and(|ids| write.items().iter().all(|item| ids.contains(item))) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Fetches a record and all its payloads anew. What fails is forgotten by the cache all the same.
    ///
    /// `None`: upstream has no such record. Dropping the future leaves what is not fetched yet outdated: the next read
    /// fetches it.
    ///
    /// # Errors
    ///
    /// [`MirrorError::Unknown`] for names that mean nothing; [`MirrorError::Upstream`] when the record itself did not
    /// come.
    pub async fn refresh_detail(
        &self,
        resource: &ResourceName,
        instance: &str,
        id: &str,
    ) -> Result<Option<Vec<Refreshed>>> {
        let (account, kind) = self.find_kind(resource, instance)?;
        let id = kind.id(id);
        let began = Timestamp::now();
        let known = account
            .store
            .find_record(resource, instance, &id, &kind.feed)
            .await?;
        let mut rows = vec![(resource.clone(), id.clone())];
        if let Some(known) = &known {
            let payloads = account.payloads_of(resource);
            rows.extend(payloads.filter_map(|p| Some((p.name.clone(), p.key(known)?.row_id()))));
        }
        account.store.mark_outdated(instance, &rows, began).await?;
        self.forget_hot(instance, &rows).await;

        let ask = ReadAsk {
            max_age: None,
            fresh: true,
        };
        let Some(record) = self.read_hot(resource, instance, &id, ask).await? else {
            return Ok(None);
        };
        if let Some(why) = record.stale {
            return Err(MirrorError::NotRefreshed {
                resource: resource.to_string(),
                id,
                why,
            });
        }
        let parent = &record.record;
        if parent.deleted_at.is_some() {
            return Ok(None);
        }
        let fetches: Vec<_> = account
            .payloads_of(resource)
            .filter_map(|kind| Some((kind, kind.key(parent)?)))
            .map(|(kind, key)| async move {
                let fetched = async {
                    let ttl = kind.ttl(account, parent, Timestamp::now()).await?;
                    let wish = Wish::anew(Class::Read, ttl);
                    self.fetch_kept(account, kind, parent, &key, wish).await
                }
                .await;
                Refreshed {
                    key: key.logical(&kind.payload.family),
                    as_of: fetched
                        .as_ref()
                        .ok()
                        .and_then(|f| Some(f.as_ref()?.record.as_of)),
                    error: fetched.err().map(|error| chain(&error)),
                }
            })
            .collect();
        let refreshed = stream::iter(fetches).buffer_unordered(AT_ONCE_MAX);
        Ok(Some(refreshed.collect().await))
    }
}

impl PayloadKind {
    fn way(&self, verb: WriteVerb) -> Result<&Write> {
        let ways = &self.payload.writes;
        ways.iter()
            .find(|way| way.verb == verb)
            .ok_or_else(|| MirrorError::Unknown {
                what: "way to write",
                name: format!("{} {}", verb.name(), self.name),
                known: ways
                    .iter()
                    .map(|way| way.verb.name())
                    .collect::<Vec<_>>()
                    .join(", "),
            })
    }

    /// The ids of the elements of the payload's listings.
    fn element_ids(&self, row: &RecordRow) -> Vec<String> {
        let Ok(body) = serde_json::from_str::<Value>(row.body.get()) else {
            return Vec::new();
        };
        let mut ids = Vec::new();
        for part in &self.payload.parts {
            if let upstream::connector::PartSource::List { key, .. } = &part.source {
                let list = if part.name.is_empty() {
                    &body
                } else {
                    &body[&part.name]
                };
                let elements = list.as_array().into_iter().flatten();
                ids.extend(elements.filter_map(|element| {
                    match key.keys().iter().try_fold(element, |at, key| at.get(key))? {
                        Value::String(text) => Some(text.clone()),
                        Value::Number(number) => Some(number.to_string()),
                        _ => None,
                    }
                }));
            }
        }
        ids
    }
}

/// Sends one call, or one per element. The first that fails ends it.
async fn send(
    account: &Account,
    kind: &PayloadKind,
    way: &Write,
    key: &PayloadKey,
    bodies: Vec<(Option<String>, Option<Bytes>)>,
) -> std::result::Result<Answer, CallError> {
    let mut last = None;
    for (item, body) in bodies {
        let call =
            account
                .client
                .send_write(&kind.payload, way, key, item.as_deref(), body, Class::Read);
        last = Some(call.await?);
    }
    last.ok_or_else(|| CallError::Impossible {
        call: kind.name.to_string(),
        reason: "there is nothing to send".to_owned(),
    })
}

/// What is sent: the element's id and the body of each call.
fn bodies(
    way: &Write,
    parent: &str,
    write: &PayloadWrite,
) -> Result<Vec<(Option<String>, Option<Bytes>)>> {
    let sent = |value: &Value| Some(Bytes::from(value.to_string()));
    Ok(match write {
        PayloadWrite::Create(body) => {
            let body = with_parent(way.parent_at.as_ref(), parent, body)?;
            vec![(None, sent(&body))]
        }
        PayloadWrite::Update(item, changes) => {
            vec![(Some(item.clone()), sent(&patch(way, changes)?))]
        }
        PayloadWrite::Delete(item) => vec![(Some(item.clone()), None)],
        PayloadWrite::Resequence(order) => {
            let Some(field) = &way.order_at else {
                return Err(bad("this payload's order is not kept upstream"));
            };
            let distinct: std::collections::HashSet<&String> = order.iter().collect();
            if order.is_empty() || order.len() > ORDER_MAX || distinct.len() != order.len() {
                return Err(bad(&format!(
                    "the order must name from 1 to {ORDER_MAX} elements, each once"
                )));
            }
            let places = order.iter().zip(1_u32..).map(|(item, place)| {
                let mut changes = json!({});
                set(&mut changes, field, json!(place));
                Ok((Some(item.clone()), sent(&patch(way, &changes)?)))
            });
            places.collect::<Result<_>>()?
        }
    })
}

/// An object of fields as the API takes changes.
fn patch(way: &Write, changes: &Value) -> Result<Value> {
    match changes {
        Value::Array(_) if way.json_patch => Ok(changes.clone()),
        Value::Object(fields) if fields.is_empty() => Err(bad("there is nothing to change")),
        Value::Object(fields) if way.json_patch => Ok(fields
            .iter()
            .map(|(name, value)| json!({ "op": "replace", "path": name, "value": value }))
            .collect()),
        Value::Object(_) => Ok(changes.clone()),
        _ => Err(bad("changes are an object of fields, or a JSON patch")),
    }
}

/// The body with the parent's id where it must name it.
fn with_parent(at: Option<&FieldPath>, parent: &str, body: &Value) -> Result<Value> {
    let mut body = body.clone();
    if !body.is_object() {
        return Err(bad("a new element is an object"));
    }
    let Some(at) = at else { return Ok(body) };
    let said = at.keys().iter().try_fold(&body, |at, key| at.get(key));
    match said.filter(|said| !said.is_null()) {
        None => {
            let id = parent
                .parse::<i64>()
                .map_or_else(|_| json!(parent), |id| json!(id));
            set(&mut body, at, id);
        }
        Some(said) if said.to_string().trim_matches('"') == parent => {}
        Some(said) => {
            return Err(bad(&format!(
                "`{at}` is {said}, which is not the record it is written to"
            )));
        }
    }
    Ok(body)
}

fn set(body: &mut Value, path: &FieldPath, value: Value) {
    let mut at = body;
    for key in path.keys() {
        if !at.is_object() {
            *at = json!({});
        }
        at = &mut at[key.as_str()];
    }
    *at = value;
}

fn bad(reason: &str) -> MirrorError {
    MirrorError::BadWrite {
        reason: reason.to_owned(),
    }
}
