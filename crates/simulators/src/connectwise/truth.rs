//! What a complete and correct mirror would hold now: the oracle of tests.

use super::list::Twist;
use super::query::Query;
use super::render::Model;
use super::reply::{Answer, Refusal};
use super::routes;
use super::serve::{Call, read};
use super::server::Service;
use super::world::World;
use http::Method;
use serde_json::Value;
use std::sync::Arc;

/// The records of the company.
#[derive(Clone, Debug)]
pub struct Truth(Arc<Service>);

impl Truth {
    pub(crate) fn new(service: Arc<Service>) -> Truth {
        Truth(service)
    }

    /// What `GET` of a path below `apis/3.0` would answer, all pages of a listing in one; `None` if there is no such
    /// record. `sales/opportunities/7/forecast`, `procurement/catalog/3/quantityOnHand`.
    ///
    /// # Panics
    ///
    /// When there is no such path: a mistake in the test.
    pub fn get(&self, path: &str) -> Option<Value> {
        match get(&self.0.read(), path, &[]) {
            Ok(document) => Some(document),
            Err(refusal) if refusal.code == "NotFound" => None,
            Err(refusal) => panic!("the simulator has no `{path}`: {}", refusal.message),
        }
    }

    /// Every record of a collection with its id, ascending: `sales/opportunities`, `sales/opportunities/7/notes`.
    ///
    /// # Panics
    ///
    /// When there is no such collection.
    pub fn documents(&self, path: &str) -> Vec<(i64, Value)> {
        self.documents_with(path, &[])
    }

    /// As [`Truth::documents`], asked with parameters such as `("conditions", "closedFlag = false")`.
    ///
    /// # Panics
    ///
    /// When there is no such collection or the condition is wrong.
    pub fn documents_with(&self, path: &str, params: &[(&str, &str)]) -> Vec<(i64, Value)> {
        let rows = match get(&self.0.read(), path, params) {
            Ok(Value::Array(rows)) => rows,
            Ok(_) => panic!("`{path}` is no collection"),
            Err(refusal) => panic!("the simulator has no `{path}`: {}", refusal.message),
        };
        rows.into_iter()
            .map(|row| (row["id"].as_i64().unwrap_or(0), row))
            .collect()
    }

    /// One record of a collection.
    ///
    /// # Panics
    ///
    /// When there is no such collection.
    pub fn document(&self, path: &str, id: i64) -> Option<Value> {
        self.get(&format!("{}/{id}", path.trim_end_matches('/')))
    }

    /// The ids of a collection, ascending.
    ///
    /// # Panics
    ///
    /// When there is no such collection.
    pub fn ids(&self, path: &str) -> Vec<i64> {
        self.documents_with(path, &[("fields", "id")])
            .into_iter()
            .map(|(id, _)| id)
            .collect()
    }

    /// Units of a catalog item on hand, in all bins.
    pub fn on_hand(&self, catalog_item: i64) -> i64 {
        self.0.read().on_hand(catalog_item, None)
    }
}

/// All pages of what a path answers.
pub(crate) fn get(world: &World, path: &str, params: &[(&str, &str)]) -> Answer<Value> {
    let place = routes::find(path.trim_matches('/')).ok_or_else(Refusal::no_endpoint)?;
    let ask = |page: usize| {
        let own = params
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let paging = [
            ("page".to_owned(), page.to_string()),
            ("pageSize".into(), super::query::PAGE_SIZE_MAX.to_string()),
        ];
        let call = Call {
            method: &Method::GET,
            path: path.trim_matches('/'),
            query: Query::new(own.chain(paging).collect(), false),
            body: &[],
            model: Model { new: true },
            actor: "Truth".into(),
        };
        let done = read(world, place, &call, Twist::default())?;
        let document = serde_json::from_slice::<Value>(&done.reply.body);
        Ok((document.unwrap_or_default(), done.rows))
    };
    let (mut all, mut rows) = ask(1)?;
    let mut page = 1;
    while rows == super::query::PAGE_SIZE_MAX {
        page += 1;
        let (more, found) = ask(page)?;
        rows = found;
        if let (Value::Array(all), Value::Array(more)) = (&mut all, more) {
            all.extend(more);
        }
    }
    Ok(all)
}
