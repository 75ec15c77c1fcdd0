//! The calls of a payload, and the calls that write one.

use bytes::{BufMut, Bytes, BytesMut};
use jiff::Timestamp;

use super::Client;
use super::query::fill_with;
use crate::call::{Answer, Call, CallError};
use crate::connector::{Endpoint, PartSource, Payload, Resource, Template, Write};
use crate::gate::Class;
use crate::page::PageAsk;
use crate::payload_key::PayloadKey;

/// The most bytes of one part of a payload, all its pages together.
pub const PART_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A part of a payload.
#[derive(Clone, Debug)]
pub struct FetchedPart {
    /// Its JSON: the answer, or an array of what all pages held, as upstream sent it.
    pub body: Bytes,
    /// When the first call began.
    pub asked_at: Timestamp,
    /// When the last answer was in.
    pub answered_at: Timestamp,
    /// Calls made, attempts included.
    pub calls: u32,
}

impl Client {
    /// Fetches one part of a payload; a listing is followed to its last page. Parts that take no call of their own
    /// ([`PartSource::Record`], [`PartSource::Row`], [`PartSource::Sum`]) are not for this.
    ///
    /// Dropping the future makes no further call.
    ///
    /// # Errors
    ///
    /// What every call can meet; [`CallError::Missing`] when the parent is gone, [`CallError::TooLarge`] when the pages
    /// hold more than [`PART_BYTES_MAX`], [`CallError::Impossible`] for parts without a call.
    pub async fn fetch_part(
        &self,
        payload: &Payload,
        source: &PartSource,
        key: &PayloadKey,
        class: Class,
    ) -> Result<FetchedPart, CallError> {
        match source {
            PartSource::Get(endpoint) => {
                let mut call =
                    self.filled(&payload.name, http::Method::GET, endpoint, key, None, class)?;
                call.label = Some(format!("GET {}", endpoint.path.as_str()));
                let Answer { body, meta, .. } = self.call(call).await?;
                Ok(FetchedPart {
                    body: if body.is_empty() {
                        Bytes::from_static(b"null")
                    } else {
                        body
                    },
                    asked_at: meta.asked_at,
                    answered_at: meta.answered_at,
                    calls: meta.attempt,
                })
            }
            PartSource::List {
                endpoint,
                key: id_at,
                paging,
            } => {
                let label = endpoint.path.as_str();
                let endpoint = settled(payload, endpoint, key)?;
                let listing =
                    Resource::part(&payload.name, endpoint, id_at.clone(), (**paging).clone());
                self.fetch_pages(&listing, label, class).await
            }
            PartSource::Record | PartSource::Row | PartSource::Sum { .. } => {
                Err(impossible(payload, "a part that takes no call"))
            }
        }
    }

    async fn fetch_pages(
        &self,
        listing: &Resource,
        label: &str,
        class: Class,
    ) -> Result<FetchedPart, CallError> {
        let mut body = BytesMut::with_capacity(4096);
        body.put_u8(b'[');
        let mut ask = PageAsk::default();
        let (mut asked_at, mut calls) = (None, 0);
        loop {
            let page = self.list_page_as(listing, ask, class, label).await?;
            calls += page.meta.attempt;
            asked_at.get_or_insert(page.meta.asked_at);
            for record in &page.records {
                if body.len() > 1 {
                    body.put_u8(b',');
                }
                body.extend_from_slice(&record.body);
            }
            if body.len() > PART_BYTES_MAX {
                return Err(CallError::TooLarge {
                    call: listing.name.clone(),
                    limit: PART_BYTES_MAX as u64,
                });
            }
            let Some(next) = page.next else {
                body.put_u8(b']');
                return Ok(FetchedPart {
                    body: body.freeze(),
                    asked_at: asked_at.unwrap_or(page.meta.asked_at),
                    answered_at: page.meta.answered_at,
                    calls,
                });
            };
            ask = PageAsk {
                position: next,
                ..PageAsk::default()
            };
        }
    }

    /// Sends a write of a payload. `item` is the element's id, for the writes that name one.
    ///
    /// Dropping the future may leave a write that has arrived.
    ///
    /// # Errors
    ///
    /// What every call can meet; [`CallError::OutcomeUnknown`] when a write that may not be repeated was sent and not
    /// answered. One that says the same however often it is said is repeated first.
    pub async fn send_write(
        &self,
        payload: &Payload,
        write: &Write,
        key: &PayloadKey,
        item: Option<&str>,
        body: Option<Bytes>,
        class: Class,
    ) -> Result<Answer, CallError> {
        let method = write.method.clone();
        let mut call = self.filled(&payload.name, method, &write.endpoint, key, item, class)?;
        call.label = Some(format!("{} {}", write.method, write.endpoint.path.as_str()));
        call.idempotent = write.is_repeatable();
        call.body = body;
        self.call(call).await
    }

    fn filled(
        &self,
        name: &str,
        method: http::Method,
        endpoint: &Endpoint,
        key: &PayloadKey,
        item: Option<&str>,
        class: Class,
    ) -> Result<Call, CallError> {
        let value = |place: &str| match place {
            Write::ITEM => item,
            place => key.value(place),
        };
        let path = fill_with(endpoint, value).map_err(|reason| CallError::Impossible {
            call: name.to_owned(),
            reason,
        })?;
        let mut call = Call::new(method, path, class);
        for (parameter, template) in &endpoint.query {
            let value = template.fill(value).unwrap_or_default();
            call.query.push((parameter.clone(), value));
        }
        call.resource = Some(name.to_owned());
        Ok(call)
    }
}

/// The endpoint with the key's values in its places.
fn settled(
    payload: &Payload,
    endpoint: &Endpoint,
    key: &PayloadKey,
) -> Result<Endpoint, CallError> {
    let path = fill_with(endpoint, |place| key.value(place))
        .map_err(|reason| impossible(payload, &reason))?;
    let query = endpoint.query.iter().map(|(name, template)| {
        let value = template.fill(|place| key.value(place)).unwrap_or_default();
        (name.clone(), Template::fixed(&value))
    });
    Ok(Endpoint {
        path: Template::fixed(&path),
        query: query.collect(),
    })
}

fn impossible(payload: &Payload, reason: &str) -> CallError {
    CallError::Impossible {
        call: payload.name.clone(),
        reason: reason.to_owned(),
    }
}
