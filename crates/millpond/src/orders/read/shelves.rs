//! What lies where, what is on its way, and what upstream itself holds for orders.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use orders::{
    Day,
    input::{Allocation, Inbound, Location, Lot, Strength},
};
use rust_decimal::Decimal;
use store::Store;

use super::{NodeFacts, SaleFacts, UPSTREAM, is_usable, kits::Products, parse, resource};
use crate::orders::{
    OrdersError,
    amount::{Amount, Scales},
    ask::PlanAsk,
    cin7,
    cin7::Sale,
};

/// Stock and expected stock of the SKUs that a plan is about.
pub(super) struct Shelves {
    pub locations: Vec<Location>,
    pub nodes: HashMap<String, NodeFacts>,
    pub inbound: Vec<Inbound>,
    pub rows: BTreeMap<String, usize>,
    pub wanted: BTreeSet<String>,
    /// SKU and location to nodes in the order in which they are emptied.
    at: BTreeMap<(String, String), Vec<Shelf>>,
}

struct Shelf {
    node: String,
    on_hand: i64,
    allocated: i64,
}

/// What upstream holds for orders of the plan.
#[derive(Default)]
pub(super) struct Holds {
    pub claims: Vec<Allocation>,
    by_node: HashMap<String, i64>,
    by_line: HashMap<(String, String), i64>,
    /// Where the claim of an order, line and node stands in `claims`.
    places: HashMap<(String, String, String), usize>,
}

/// Reads locations, availability and purchases.
pub(super) async fn read(
    store: &Store,
    instance: &str,
    ask: &PlanAsk,
    wanted: &BTreeSet<String>,
    scales: &mut Scales,
    now: Day,
) -> Result<Shelves, OrdersError> {
    let bodies = store
        .live_bodies(&resource("location")?, instance, None, "")
        .await?;
    let places: Vec<cin7::Location> = bodies.iter().filter_map(|body| parse(&body.body)).collect();
    let mut shelves = Shelves {
        locations: locations(&places, ask),
        nodes: HashMap::new(),
        inbound: Vec::new(),
        rows: BTreeMap::new(),
        wanted: wanted.clone(),
        at: BTreeMap::new(),
    };
    let open: BTreeSet<String> = shelves.locations.iter().map(|l| l.id.clone()).collect();
    let bodies = store
        .live_bodies(&resource("availability")?, instance, None, "")
        .await?;
    let mut found = Vec::new();
    for body in &bodies {
        let Some(row) = parse::<cin7::Availability>(&body.body) else {
            continue;
        };
        *shelves.rows.entry(row.location.clone()).or_default() += 1;
        if wanted.contains(&row.sku) && open.contains(&row.location) {
            // What is finer than any step is no whole unit of anything, and cut off when it is counted.
            let _ = scales.admit(&row.sku, row.on_hand.0);
            let _ = scales.admit(&row.sku, row.allocated.0);
            found.push((body.id.clone(), row));
        }
    }
    let purchases = purchases(store, instance).await?;
    for purchase in &purchases {
        for line in &purchase.order.lines {
            if wanted.contains(&line.sku) {
                let _ = scales.admit(&line.sku, line.quantity.0);
            }
        }
    }
    found.sort_by(|(a_id, a), (b_id, b)| {
        let rank = |row: &cin7::Availability| (row.expiry.0.is_none(), row.expiry.0);
        (rank(a), &a.bin, &a.batch, a_id).cmp(&(rank(b), &b.bin, &b.batch, b_id))
    });
    for (node, row) in found {
        shelves.put(node, row, scales);
    }
    shelves.inbound = inbound(&purchases, wanted, &open, scales, now);
    Ok(shelves)
}

/// Open warehouses: those that the ask names first, the others by name.
fn locations(places: &[cin7::Location], ask: &PlanAsk) -> Vec<Location> {
    let names: BTreeSet<&str> = places
        .iter()
        .filter(|place| is_usable(place))
        .map(|place| place.name.as_str())
        .collect();
    let named = ask
        .locations
        .iter()
        .filter(|l| names.contains(l.id.as_str()))
        .cloned();
    let mut locations: Vec<Location> = named.collect();
    let next = locations.iter().map(|l| l.rank + 1).max().unwrap_or(0);
    let rest: Vec<&str> = names
        .into_iter()
        .filter(|name| locations.iter().all(|l| l.id != *name))
        .collect();
    let others = rest.iter().zip(next..).map(|(name, rank)| Location {
        id: (*name).to_owned(),
        rank,
        capacity: None,
    });
    locations.extend(others);
    locations
}

async fn purchases(store: &Store, instance: &str) -> Result<Vec<cin7::Purchase>, OrdersError> {
    let path = "$ ? (@.Order.Status == \"AUTHORISED\" && @.Status != \"VOIDED\" && @.Status != \"COMPLETED\" \
        && @.CombinedReceivingStatus != \"FULLY RECEIVED\")";
    let bodies = store
        .live_bodies(&resource("purchase")?, instance, None, path)
        .await?;
    Ok(bodies.iter().filter_map(|body| parse(&body.body)).collect())
}

/// What purchases still have to bring. Without a day it is expected by, it is shown and never promised.
fn inbound(
    purchases: &[cin7::Purchase],
    wanted: &BTreeSet<String>,
    open: &BTreeSet<String>,
    scales: &Scales,
    now: Day,
) -> Vec<Inbound> {
    let mut inbound = Vec::new();
    for purchase in purchases.iter().filter(|p| open.contains(&p.location)) {
        let mut due: BTreeMap<&str, Decimal> = BTreeMap::new();
        for line in &purchase.order.lines {
            *due.entry(&line.sku).or_default() += line.quantity.0;
        }
        // Received goods show in one of the two, or in both.
        let sums = |receipts: &[cin7::Receipt]| {
            let mut sums: BTreeMap<String, Decimal> = BTreeMap::new();
            let done = receipts.iter().filter(|r| r.status == "AUTHORISED");
            for line in done.flat_map(|receipt| &receipt.lines) {
                *sums.entry(line.sku.clone()).or_default() += line.quantity.0;
            }
            sums
        };
        let (received, put_away) = (sums(&purchase.received), sums(&purchase.put_away));
        for (sku, ordered) in due {
            let came =
                |sums: &BTreeMap<String, Decimal>| sums.get(sku).copied().unwrap_or_default();
            let left = ordered - came(&received).max(came(&put_away));
            let Ok(qty) = scales.steps(sku, left) else {
                continue;
            };
            if qty > 0 && qty <= orders::QTY_MAX && wanted.contains(sku) {
                inbound.push(Inbound {
                    id: format!(
                        "{}/{sku}",
                        if purchase.number.is_empty() {
                            &purchase.id
                        } else {
                            &purchase.number
                        }
                    ),
                    sku: sku.to_owned(),
                    loc: purchase.location.clone(),
                    qty,
                    eta: purchase.required.0.unwrap_or(now).max(now),
                    confirmed: purchase.required.0.is_some(),
                    expiry: None,
                });
            }
        }
    }
    let mut seen = BTreeSet::new();
    inbound.retain(|line| seen.insert(line.id.clone()));
    inbound
}

impl Shelves {
    fn put(&mut self, node: String, row: cin7::Availability, scales: &Scales) {
        let steps = |amount: Amount| scales.steps(&row.sku, amount.0).unwrap_or(0);
        // A quantity beyond all bounds is not believed; a deficit is kept, and reported by the decision.
        let on_hand = steps(row.on_hand).clamp(-orders::QTY_MAX, orders::QTY_MAX);
        let allocated = steps(row.allocated).clamp(0, orders::QTY_MAX);
        let shelf = Shelf {
            node: node.clone(),
            on_hand,
            allocated,
        };
        self.at
            .entry((row.sku.clone(), row.location.clone()))
            .or_default()
            .push(shelf);
        let facts = NodeFacts {
            product: row.product,
            sku: row.sku,
            loc: row.location,
            bin: row.bin,
            batch: row.batch,
            expiry: row.expiry.0,
        };
        self.nodes.insert(node, facts);
    }

    /// The lots; what upstream has promised to others is `external`.
    pub fn lots(&self, holds: &Holds) -> Vec<Lot> {
        let mut lots = Vec::new();
        for ((sku, loc), shelves) in &self.at {
            let held = |node: &str| holds.by_node.get(node).copied().unwrap_or(0);
            let total: i64 = shelves.iter().map(|s| s.allocated - held(&s.node)).sum();
            let mut others = total.max(0);
            let mut external: Vec<i64> = Vec::with_capacity(shelves.len());
            for shelf in shelves {
                let mine = (shelf.allocated - held(&shelf.node)).clamp(0, others);
                external.push(mine);
                others -= mine;
            }
            // What stands nowhere by name is taken from where there is room, the last first.
            for (shelf, external) in shelves.iter().zip(&mut external).rev() {
                let room = (shelf.on_hand - held(&shelf.node) - *external).max(0);
                *external += room.min(others);
                others -= room.min(others);
            }
            for (shelf, external) in shelves.iter().zip(external) {
                let Some(facts) = self.nodes.get(&shelf.node) else {
                    continue;
                };
                lots.push(Lot {
                    id: shelf.node.clone(),
                    sku: sku.clone(),
                    loc: loc.clone(),
                    qty: shelf.on_hand,
                    external,
                    batch: (!facts.batch.is_empty()).then(|| facts.batch.clone()),
                    expiry: facts.expiry,
                    received: None,
                });
            }
        }
        lots
    }
}

/// Upstream gives the units of an authorised order to nobody else: they are hard claims of that order, at its own
/// location. That of orders outside the plan stays what it is, spoken for.
pub(super) fn holds(
    open: &[Sale],
    shelves: &Shelves,
    products: &Products,
    scales: &Scales,
    busy: &BTreeMap<String, i64>,
    planned: &BTreeMap<String, SaleFacts>,
    now: Day,
) -> Holds {
    let mut holds = Holds::default();
    let mut sales: Vec<&Sale> = open
        .iter()
        .filter(|sale| sale.is_pickable())
        .filter(|sale| planned.contains_key(sale.name()) || busy.contains_key(sale.name()))
        .collect();
    sales.sort_by_key(|sale| (sale.ordered.0, sale.name().to_owned()));
    for by_name in [true, false] {
        for sale in &sales {
            for (place, left) in sale.open().into_iter().enumerate() {
                let line = &sale.order.lines[place];
                if line.drop_ship || products.is_service(&line.product, &line.sku) {
                    continue;
                }
                let held = scales
                    .steps(&line.sku, left - line.backorder.0)
                    .unwrap_or(0);
                let place = (place + 1).to_string();
                let already: i64 = holds.of(sale.name(), &place);
                let key = (line.sku.clone(), sale.location.clone());
                let shelves = shelves.at.get(&key).map_or(&[][..], Vec::as_slice);
                let day = sale.ordered.0.unwrap_or(now).min(now);
                holds.take(sale.name(), &place, held - already, shelves, by_name, day);
            }
        }
    }
    holds.claims.sort_by(|a, b| a.id.cmp(&b.id));
    holds
}

impl Holds {
    fn of(&self, order: &str, line: &str) -> i64 {
        let key = (order.to_owned(), line.to_owned());
        self.by_line.get(&key).copied().unwrap_or(0)
    }

    /// Finds `wanted` units: first where upstream says that something is allocated, then wherever there are any.
    fn take(
        &mut self,
        order: &str,
        line: &str,
        mut wanted: i64,
        shelves: &[Shelf],
        by_name: bool,
        made: Day,
    ) {
        for shelf in shelves {
            let held = self.by_node.get(&shelf.node).copied().unwrap_or(0);
            let cap = if by_name {
                shelf.allocated.min(shelf.on_hand)
            } else {
                shelf.on_hand
            };
            let qty = wanted.min(cap - held);
            if qty <= 0 {
                continue;
            }
            wanted -= qty;
            *self.by_node.entry(shelf.node.clone()).or_default() += qty;
            *self
                .by_line
                .entry((order.to_owned(), line.to_owned()))
                .or_default() += qty;
            let key = (order.to_owned(), line.to_owned(), shelf.node.clone());
            match self.places.get(&key) {
                Some(at) => self.claims[*at].qty += qty,
                None => {
                    self.places.insert(key, self.claims.len());
                    self.claims.push(Allocation {
                        id: format!("{UPSTREAM}/{order}/{line}/{}", shelf.node),
                        order: order.to_owned(),
                        line: Some(line.to_owned()),
                        node: shelf.node.clone(),
                        qty,
                        strength: Strength::Hard,
                        made,
                        expires: None,
                    });
                }
            }
        }
    }
}
