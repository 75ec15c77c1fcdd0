//! Pages of a listing, and single records.

use super::Client;
use super::exchange::{Misread, Response};
use super::query::{fill_path, fill_query, list_query};
use super::turn::turn_page;
use crate::call::{Call, CallError};
use crate::connector::{Endpoint, Resource};
use crate::cut::{Cut, CutError, Cutter};
use crate::gate::Class;
use crate::page::{Fetched, Page, PageAsk, RawRecord};
use crate::record_key::normal_id;

impl Client {
    /// Fetches one page of a resource's listing. A torn page is asked for again and never cut.
    ///
    /// # Errors
    ///
    /// Besides what every call can meet: [`CallError::Unusable`] when the resource has no listing, the answer has no
    /// list of records, a page repeats the one before, or the listing has more pages than the settings allow.
    pub async fn list_page(
        &self,
        resource: &Resource,
        ask: PageAsk,
        class: Class,
    ) -> Result<Page, CallError> {
        let label = resource.list.as_ref().map_or("", |list| list.path.as_str());
        self.list_page_as(resource, ask, class, label).await
    }

    /// [`Client::list_page`] under the path that the log shows, ids folded.
    pub(super) async fn list_page_as(
        &self,
        resource: &Resource,
        ask: PageAsk,
        class: Class,
        label: &str,
    ) -> Result<Page, CallError> {
        let Some(list) = &resource.list else {
            return Err(unusable(resource, "it has no listing"));
        };
        let number = ask.position.number();
        if number > self.inner.settings.pages_max {
            return Err(unusable(
                resource,
                &format!("more than {} pages", self.inner.settings.pages_max),
            ));
        }
        let size = ask
            .page_size
            .unwrap_or(resource.paging.size)
            .clamp(1, resource.paging.size_max);
        let mut call = Call::get(fill_path(resource, list, "")?, class);
        call.query = list_query(resource, list, &ask, size)?;
        call.headers = resource.paging.headers.clone();
        call.resource = Some(resource.name.clone());
        call.label = Some(format!("GET {label}"));
        let cutter = self.cutter(resource);
        let read = move |response: &Response| -> Result<Cut, Misread> {
            let cut = cutter.cut_page(&response.body).map_err(misread)?;
            match cut {
                Cut {
                    error: Some((code, message)),
                    ..
                } => Err(Misread::ErrorInside { code, message }),
                cut if cut.has_records => Ok(cut),
                _ => Err(Misread::Unusable(no_records(resource))),
            }
        };
        let (answer, cut) = self.exchange(&call, &read).await?;
        turn_page(resource, ask.position, size, answer, cut)
    }

    /// Fetches one record by its id.
    ///
    /// # Errors
    ///
    /// Besides what every call can meet: [`CallError::Unusable`] when the resource cannot be fetched one by one or
    /// the answer is no record. A record under another id comes back with a problem.
    pub async fn get_record(
        &self,
        resource: &Resource,
        id: &str,
        class: Class,
    ) -> Result<Fetched, CallError> {
        let Some(get) = &resource.get else {
            return Err(unusable(resource, "it cannot be fetched one by one"));
        };
        let mut call = Call::get(fill_path(resource, get, id)?, class);
        call.query = resource.params.clone();
        fill_query(&mut call.query, get, id);
        call.resource = Some(resource.name.clone());
        call.label = Some(get_label(get));
        let cutter = self.cutter(resource);
        let read = move |response: &Response| -> Result<Cut, Misread> {
            if response.body.is_empty() {
                return Err(Misread::Torn("an empty answer".to_owned()));
            }
            match cutter.cut_single(&response.body).map_err(misread)? {
                Cut {
                    error: Some((code, message)),
                    ..
                } => Err(Misread::ErrorInside { code, message }),
                // What is no record at all must never pass for "there is none".
                cut if cut.has_records => Ok(cut),
                _ => Err(Misread::Unusable("no record".to_owned())),
            }
        };
        let (answer, cut) = match self.exchange(&call, &read).await {
            Ok(found) => found,
            Err(CallError::Missing { meta, .. }) => return Ok(Fetched::Missing(*meta)),
            Err(error) => return Err(error),
        };
        let wanted = normal_id(id, resource.key_lower);
        Ok(match pick(cut.records, &wanted) {
            Some(record) => Fetched::Found(record, answer.meta),
            None => Fetched::Missing(answer.meta),
        })
    }

    fn cutter(&self, resource: &Resource) -> Cutter {
        let inner = &self.inner;
        let known = inner.cutters.get(&resource.name).cloned();
        known.unwrap_or_else(|| {
            Cutter::new(
                resource,
                &inner.settings.connector.errors,
                inner.settings.record_max,
            )
        })
    }
}

fn get_label(endpoint: &Endpoint) -> String {
    format!("GET {}", endpoint.path.as_str())
}

/// The record with the wanted id; one alone under another id comes back with a problem.
fn pick(mut records: Vec<RawRecord>, wanted: &str) -> Option<RawRecord> {
    let is_wanted = |record: &RawRecord| record.id.as_deref() == Some(wanted);
    if let Some(position) = records.iter().position(is_wanted) {
        return Some(records.swap_remove(position));
    }
    let mut record = records.pop().filter(|_| records.is_empty())?;
    if let Some(id) = &record.id {
        record.problem = Some(format!("asked for id `{wanted}`, got `{id}`"));
    }
    Some(record)
}

fn misread(error: CutError) -> Misread {
    match error {
        CutError::NotJson(error) => Misread::Torn(error.to_string()),
        CutError::TooManyRecords => Misread::Unusable(error.to_string()),
    }
}

fn no_records(resource: &Resource) -> String {
    match &resource.records_at {
        Some(path) => format!("no list of records at `{path}`"),
        None => "no list of records".to_owned(),
    }
}

pub(super) fn unusable(resource: &Resource, reason: &str) -> CallError {
    CallError::Unusable {
        call: resource.name.clone(),
        reason: reason.to_owned(),
    }
}
