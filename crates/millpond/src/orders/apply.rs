//! Writing a plan upstream, step by step: each write is a row before it is a call, and is looked for before it is
//! ever made again.

mod cross;
mod shelf;
mod shipment;
mod steps;
mod undo;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use mirror::Mirror;
use orders::{Day, plan::Code};
use store::orders::{ClaimEnd, Intent, PlanLease};

use self::shelf::FreshStock;
use super::{
    OrdersError,
    bodies::Places,
    cin7,
    documents::{Documents, ShipmentDoc},
    read::{parse, resource},
    upstream::Door,
};

/// How patient an apply is.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Nobody else applies the plan for so long after the last sign of life. Longer than a call may take in all.
    pub lease: Duration,
    /// What was read from upstream counts as fresh for so long.
    pub recheck_ttl: Duration,
    /// Between two looks for a write that may still be on its way.
    pub doubt_pause: Duration,
    /// Looks that must find nothing before a write counts as lost.
    pub doubt_looks: u32,
    /// A write is sent so often at the most, looks in between.
    pub attempts_max: i32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(180),
            recheck_ttl: Duration::from_secs(45),
            doubt_pause: Duration::from_secs(5),
            doubt_looks: 3,
            attempts_max: 4,
        }
    }
}

/// How a shipment ended.
pub(crate) enum Ended {
    Done,
    /// Nothing of it is committed upstream, and its units are free again.
    Dropped(Code, String),
    /// Something is committed that nobody can take back by rule.
    NeedsPerson(String),
}

/// One apply of one plan.
pub(crate) struct Run<'a> {
    pub mirror: &'a Mirror,
    pub pace: Pace,
    pub lease: PlanLease,
    pub documents: Documents,
    pub made_at: String,
    pub places: Places,
    stock: FreshStock,
    open: BTreeMap<String, bool>,
}

impl<'a> Run<'a> {
    pub(crate) async fn new(
        mirror: &'a Mirror,
        pace: Pace,
        lease: PlanLease,
        documents: Documents,
        made_at: Timestamp,
    ) -> Result<Self, OrdersError> {
        let places = places(mirror, &lease.instance).await?;
        let stock = FreshStock::new(pace.recheck_ttl, documents.rows.clone());
        Ok(Self {
            mirror,
            pace,
            lease,
            documents,
            made_at: made_at.to_string(),
            places,
            stock,
            open: BTreeMap::new(),
        })
    }

    fn door(&self) -> Door<'_> {
        Door {
            mirror: self.mirror,
            instance: &self.lease.instance,
        }
    }

    /// Goes through every shipment that is not settled. Answers the plan's new state, and why.
    ///
    /// Dropping the future leaves every write as a row that says how far it came.
    pub(crate) async fn run(&mut self) -> Result<(&'static str, Option<String>), OrdersError> {
        let store = self.mirror.store().clone();
        let plan = self.lease.plan;
        let settled: BTreeMap<i32, String> = store
            .shipments(plan)
            .await?
            .into_iter()
            .filter(|row| row.state != "open")
            .map(|row| (row.shipment, row.state))
            .collect();
        let docs = self.documents.shipments.clone();
        let mut stopped: BTreeSet<String> = BTreeSet::new();
        for (at, doc) in docs.iter().enumerate() {
            if let Some(state) = settled.get(&doc.number) {
                if state != "done" {
                    stopped.insert(doc.order.clone());
                }
                continue;
            }
            let ended = if stopped.contains(&doc.order) {
                // What an earlier shipment of the order met is met again, or was met for all of them.
                Ended::Dropped(
                    Code::Stale,
                    "an earlier shipment of the order was not written".to_owned(),
                )
            } else {
                let whole = self.whole_order(&docs, at).await?;
                match whole {
                    Some(dropped) => Ended::Dropped(dropped.code, dropped.text),
                    None => self.shipment(doc).await?,
                }
            };
            if !matches!(ended, Ended::Done) {
                stopped.insert(doc.order.clone());
            }
            self.settle(doc, ended).await?;
        }
        let rows = store.shipments(plan).await?;
        let count = |state: &str| rows.iter().filter(|row| row.state == state).count();
        let (people, dropped) = (count("needs_person"), count("dropped"));
        Ok(match (people, dropped) {
            (0, 0) => ("done", None),
            (0, _) => (
                "partial",
                Some(format!(
                    "{dropped} of {} shipments were not written",
                    rows.len()
                )),
            ),
            (_, _) => (
                "needs_person",
                Some(format!("{people} shipments need a person")),
            ),
        })
    }

    /// Writes down how a shipment ended, and what becomes of its claims.
    async fn settle(&mut self, doc: &ShipmentDoc, ended: Ended) -> Result<(), OrdersError> {
        let store = self.mirror.store();
        let nodes: Vec<String> = doc.takes.iter().map(|take| take.node.clone()).collect();
        let by = format!("plan {}", self.lease.plan);
        let (instance, plan) = (self.lease.instance.as_str(), self.lease.plan);
        let (state, code, text, end) = match &ended {
            Ended::Done => ("done", None, None, Some("consumed")),
            Ended::Dropped(code, text) => (
                "dropped",
                Some(*code),
                Some(text.as_str()),
                Some("released: the shipment was not written"),
            ),
            // The units of a shipment in doubt stay out of everybody's reach.
            Ended::NeedsPerson(text) => ("needs_person", None, Some(text.as_str()), None),
        };
        if let Some(why) = end {
            store
                .end_claims_of(
                    instance,
                    plan,
                    &doc.order,
                    &nodes,
                    ClaimEnd { by: &by, why },
                )
                .await?;
        }
        let code = code.and_then(|code| serde_json::to_value(code).ok());
        let code = code.as_ref().and_then(|code| code.as_str());
        if !store
            .set_shipment(&self.lease, doc.number, state, code, text)
            .await?
        {
            return Err(OrdersError::LeaseLost { plan });
        }
        match &ended {
            Ended::Done => tracing::info!(
                plan.id = plan,
                order.id = doc.order,
                "wrote shipment {} of {}",
                doc.number,
                doc.order
            ),
            Ended::Dropped(_, text) => tracing::warn!(
                plan.id = plan,
                order.id = doc.order,
                "did not write shipment {}: {text}",
                doc.number
            ),
            Ended::NeedsPerson(text) => tracing::error!(
                plan.id = plan,
                order.id = doc.order,
                "shipment {} needs a person: {text}",
                doc.number
            ),
        }
        Ok(())
    }

    /// The intents of a shipment, by step.
    async fn intents(&self, number: i32) -> Result<BTreeMap<i32, Intent>, OrdersError> {
        let all = self.mirror.store().intents(self.lease.plan).await?;
        Ok(all
            .into_iter()
            .filter(|intent| intent.shipment == number)
            .map(|intent| (intent.step, intent))
            .collect())
    }

    async fn is_open(&mut self, location: &str) -> Result<bool, OrdersError> {
        if let Some(known) = self.open.get(location) {
            return Ok(*known);
        }
        let id = self
            .places
            .get(&(location.to_owned(), String::new()))
            .cloned();
        let is_open = match id {
            Some(id) => self.door().is_open(&id).await?,
            // Two warehouses of one name: the name alone must do.
            None => true,
        };
        self.open.insert(location.to_owned(), is_open);
        Ok(is_open)
    }
}

/// Today, by the machine's clock, in UTC.
pub(crate) fn today() -> Day {
    let date = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    Day::new(date.year(), date.month(), date.day()).unwrap_or(Day::from_number(0))
}

/// Ids of warehouses and bins whose names tell them apart.
async fn places(mirror: &Mirror, instance: &str) -> Result<Places, OrdersError> {
    let bodies = mirror
        .store()
        .live_bodies(&resource("location")?, instance, None, "")
        .await?;
    let all: Vec<cin7::Location> = bodies.iter().filter_map(|body| parse(&body.body)).collect();
    let warehouses: BTreeMap<String, &str> = all
        .iter()
        .filter(|place| place.parent.is_empty())
        .map(|place| (place.id.to_lowercase(), place.name.as_str()))
        .collect();
    let mut found: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for place in all.iter().filter(|place| !place.deprecated) {
        let name = match warehouses.get(&place.parent.to_lowercase()) {
            Some(warehouse) => {
                // A bin's own row may carry its warehouse in its name.
                let bare = place
                    .name
                    .strip_prefix(&format!("{warehouse}: "))
                    .unwrap_or(&place.name);
                ((*warehouse).to_owned(), bare.to_owned())
            }
            None => (place.name.clone(), String::new()),
        };
        found.entry(name).or_default().push(place.id.clone());
    }
    let alone = |(name, mut ids): (_, Vec<String>)| {
        (ids.len() == 1).then(|| ids.pop().map(|id| (name, id)))?
    };
    Ok(found.into_iter().filter_map(alone).collect())
}
