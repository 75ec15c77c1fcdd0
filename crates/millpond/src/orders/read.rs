//! From mirrored records to what a plan decides over. No call is made.

mod foreign;
mod kits;
mod sales;
mod shelves;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use mirror::Mirror;
use orders::{
    Day,
    input::{Allocation, Input, Location, Strength},
    plan::Code,
};
use serde::{Deserialize, Serialize};
use store::{ResourceName, orders::Ledger};

use super::{OrdersError, amount::Scales, ask::PlanAsk, cin7, documents::CrossDoc};

/// An order of a plan, as far as writing needs it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SaleFacts {
    /// Its id upstream.
    pub sale: String,
    /// Whether it is a simple sale.
    pub simple: bool,
    /// Whether it is still to be authorised.
    pub draft: bool,
    /// Live fulfilments with an authorised pick.
    pub shipped: usize,
    /// Its own location.
    pub home: String,
    /// Its carrier.
    pub carrier: String,
    /// Its open lines.
    pub lines: Vec<LineFacts>,
    /// Its lines of services, by place.
    #[serde(default)]
    pub services: Vec<String>,
    /// Whose order it really is, when it is one of another instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cross: Option<CrossDoc>,
}

/// An open line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LineFacts {
    /// What the plan calls it: its place in the order, from 1.
    pub line: String,
    /// Its product's id.
    pub product: String,
    /// Its SKU.
    pub sku: String,
    /// Its product's name.
    pub name: String,
    /// Open units, in steps.
    pub open: i64,
}

/// A lot, as far as writing needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeFacts {
    /// Its product's id.
    pub product: String,
    /// Its SKU.
    pub sku: String,
    /// The warehouse.
    pub loc: String,
    /// The bin, if it lies in one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub bin: String,
    /// The batch, if it has one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub batch: String,
    /// The day on which it has no life left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry: Option<Day>,
}

/// A sale that takes no part, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Its number.
    pub order: String,
    /// The reason's code.
    pub code: Code,
    /// The reason in words.
    pub text: String,
}

/// Everything that a plan decides over, and what writing it needs to know.
pub(crate) struct Snapshot {
    pub input: Input,
    pub sales: BTreeMap<String, SaleFacts>,
    pub nodes: HashMap<String, NodeFacts>,
    pub products: HashMap<String, (String, String)>,
    pub scales: Scales,
    pub left_out: Vec<LeftOut>,
    pub ledger: Ledger,
    /// Rows of availability by location.
    pub rows: BTreeMap<String, usize>,
    /// Account of work in progress, account of finished goods.
    pub accounts: Option<(String, String)>,
}

/// The name of a Cin7 resource.
pub(crate) fn resource(table: &str) -> Result<ResourceName, OrdersError> {
    ResourceName::new("cin7", table).map_err(|error| OrdersError::Name(error.to_string()))
}

/// Parses a mirrored body; `None` when it is not what its resource should hold.
pub(crate) fn parse<T: serde::de::DeserializeOwned>(body: &str) -> Option<T> {
    serde_json::from_str(body).ok()
}

/// Claims of upstream itself: units that it holds for an order at the order's location.
pub(crate) const UPSTREAM: &str = "upstream";

/// Reads the mirror of `ask.instance`.
pub(crate) async fn snapshot(mirror: &Mirror, ask: &PlanAsk) -> Result<Snapshot, OrdersError> {
    let store = mirror.store();
    let instance = ask.instance.as_str();
    let today = store.today().await?;
    let now = Day::new(today.year(), today.month(), today.day()).unwrap_or(Day::from_number(0));
    // The claims first: whatever moves while we read is found out when the plan is stored.
    let ledger = store.ledger(instance).await?;
    let busy = sales::under_way(store, instance).await?;
    let open = sales::open_sales(store, instance).await?;

    let mut scales = Scales::default();
    let mut left_out = Vec::new();
    let products = kits::Products::read(store, instance).await?;
    let mut wave = sales::Wave::default();
    for sale in &open {
        wave.admit(sale, ask, &busy, &products, &mut scales, &mut left_out);
    }
    let foreign = foreign::Foreign::read(mirror, ask, &busy, &mut scales, &mut left_out).await?;
    let wanted: BTreeSet<String> = products.closure(wave.skus().chain(foreign.skus()));
    let boms = products.bills(&wanted, &mut scales);
    let shelves = shelves::read(store, instance, ask, &wanted, &mut scales, now).await?;
    let sales::Planned {
        mut orders,
        mut sales,
        mut left_out,
    } = wave.finish(ask, &scales, left_out);
    for (order, facts) in foreign.orders(ask, &scales, now) {
        sales.insert(order.id.clone(), facts);
        orders.push(order);
    }
    let known: BTreeSet<&str> = shelves.locations.iter().map(|l| l.id.as_str()).collect();
    left_out.extend(sales::unknown_places(&orders, &known));
    let holds = shelves::holds(&open, &shelves, &products, &scales, &busy, &sales, now);
    let lots = shelves.lots(&holds);
    let mut allocations = holds.claims;
    allocations.extend(standing(&ledger, &shelves));
    let locations = shelves.locations;
    let input = Input {
        schema: Input::SCHEMA.to_owned(),
        now,
        config: ask.config.clone(),
        locations: locations.clone(),
        boms,
        lots,
        inbound: shelves.inbound,
        orders: keep_places(orders, &locations),
        allocations,
        costs: known_costs(ask, &locations),
        reserves: ask
            .reserves
            .iter()
            .filter(|r| wanted.contains(&r.sku))
            .cloned()
            .collect(),
        items: Vec::new(),
    };
    let accounts = match (&ask.wip_account, &ask.finished_account) {
        (Some(wip), Some(finished)) => Some((wip.clone(), finished.clone())),
        _ if input.boms.is_empty() => None,
        _ => kits::accounts(store, instance, ask).await?,
    };
    Ok(Snapshot {
        input,
        sales,
        nodes: shelves.nodes,
        products: products.names(&wanted),
        scales,
        left_out,
        ledger,
        rows: shelves.rows,
        accounts,
    })
}

/// Claims of the ledger that a plan must know; what upstream holds is read anew each time.
fn standing(ledger: &Ledger, shelves: &shelves::Shelves) -> Vec<Allocation> {
    let day = |date: jiff::civil::Date| {
        Day::new(date.year(), date.month(), date.day()).unwrap_or(Day::from_number(0))
    };
    let claims = ledger.claims.iter().filter(|claim| claim.by != UPSTREAM);
    claims
        .filter(|claim| shelves.wanted.contains(&claim.sku))
        .map(|claim| Allocation {
            id: claim.id.clone(),
            order: claim.order.clone(),
            line: claim.line.clone(),
            node: claim.node.clone(),
            qty: claim.qty,
            strength: if claim.strength == "hard" {
                Strength::Hard
            } else {
                Strength::Soft
            },
            made: day(claim.made),
            expires: claim.expires.map(day),
        })
        .collect()
}

/// Orders may only name locations that exist; one that names none of them ships from nowhere.
fn keep_places(
    orders: Vec<orders::input::Order>,
    locations: &[Location],
) -> Vec<orders::input::Order> {
    let known: BTreeSet<&str> = locations.iter().map(|l| l.id.as_str()).collect();
    let keep = |mut order: orders::input::Order| {
        if let Some(from) = &mut order.ship_from {
            from.retain(|place| known.contains(place.as_str()));
        }
        order
    };
    orders.into_iter().map(keep).collect()
}

fn known_costs(ask: &PlanAsk, locations: &[Location]) -> orders::input::Costs {
    let mut costs = ask.costs.clone();
    costs
        .shipment
        .retain(|cost| locations.iter().any(|l| l.id == cost.loc));
    costs
}

/// A mirrored location that a plan may use.
pub(crate) fn is_usable(location: &cin7::Location) -> bool {
    location.parent.is_empty() && !location.deprecated
}
