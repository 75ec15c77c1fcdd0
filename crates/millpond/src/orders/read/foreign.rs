//! What orders of another instance lack: demand that is served behind an instance's own orders.

use std::collections::{BTreeMap, BTreeSet};

use mirror::Mirror;
use orders::{
    Day, Op,
    input::{Complete, Line, Order},
    plan::{Code, Plan},
};
use rust_decimal::Decimal;

use super::{LeftOut, LineFacts, SaleFacts, Snapshot, parse, resource, snapshot};
use crate::orders::{
    OrdersError, amount::Scales, ask::PlanAsk, cin7::Product, documents::CrossDoc,
};

/// The least urgent class: own orders go first.
const CLASS: i64 = 9;

/// An order of the other instance, and what no supply of its own will bring.
struct Lacking {
    order: String,
    location: String,
    lines: BTreeMap<String, Decimal>,
}

/// Everything that is wanted from elsewhere.
#[derive(Default)]
pub(super) struct Foreign {
    lacking: Vec<Lacking>,
    products: BTreeMap<String, Product>,
}

/// What an order of another instance is called in plans of this one.
fn name_of(instance: &str, order: &str) -> String {
    format!("{instance}/{order}")
}

impl Foreign {
    /// Plans the other instance from its own mirror and stock, and takes what stays without a promise.
    pub async fn read(
        mirror: &Mirror,
        ask: &PlanAsk,
        busy: &BTreeMap<String, i64>,
        scales: &mut Scales,
        left_out: &mut Vec<LeftOut>,
    ) -> Result<Self, OrdersError> {
        let Some(serves) = &ask.serves else {
            return Ok(Self::default());
        };
        // All of its orders: what one of them waits for is not there for another.
        let theirs = PlanAsk {
            op: Op::Allocate,
            ..PlanAsk::of(&serves.instance)
        };
        let seen = Box::pin(snapshot(mirror, &theirs)).await?;
        let input = seen.input.clone();
        let plan = tokio::task::spawn_blocking(move || orders::plan(Op::Allocate, &input));
        let plan = plan
            .await
            .map_err(|error| OrdersError::Name(format!("the decision failed: {error}")))?
            .map_err(OrdersError::Input)?;
        let mut found = Self {
            lacking: lacking(&seen, &plan, &serves.orders),
            products: BTreeMap::new(),
        };
        let known = products(mirror, &ask.instance, &found).await?;
        for one in &mut found.lacking {
            let name = name_of(&serves.instance, &one.order);
            if let Some(plan) = busy.get(&name) {
                let text = format!("plan {plan} is writing it");
                left_out.push(LeftOut {
                    order: name,
                    code: Code::State,
                    text,
                });
                one.lines.clear();
                continue;
            }
            one.lines.retain(|sku, qty| {
                let why = match known.contains_key(sku) {
                    false => format!("{sku} is no product of {}", ask.instance),
                    true => match scales.admit(sku, *qty) {
                        Ok(()) => return true,
                        Err(error) => format!("{sku}: {error}"),
                    },
                };
                let order = name.clone();
                left_out.push(LeftOut {
                    order,
                    code: Code::NoStock,
                    text: why,
                });
                false
            });
        }
        found.lacking.retain(|one| !one.lines.is_empty());
        found.products = known;
        Ok(found)
    }

    /// What is wanted.
    pub fn skus(&self) -> impl Iterator<Item = &str> {
        self.lacking
            .iter()
            .flat_map(|one| one.lines.keys().map(String::as_str))
    }

    /// The orders as this instance's plan serves them, last of all.
    pub fn orders(&self, ask: &PlanAsk, scales: &Scales, now: Day) -> Vec<(Order, SaleFacts)> {
        let Some(serves) = &ask.serves else {
            return Vec::new();
        };
        let made = self.lacking.iter().map(|one| {
            let lines: Vec<LineFacts> = one
                .lines
                .iter()
                .enumerate()
                .filter_map(|(at, (sku, qty))| {
                    let open = scales
                        .steps(sku, *qty)
                        .ok()
                        .filter(|open| (1..=orders::QTY_MAX).contains(open))?;
                    let product = self.products.get(sku)?;
                    Some(LineFacts {
                        line: (at + 1).to_string(),
                        product: product.id.clone(),
                        sku: sku.clone(),
                        name: product.name.clone(),
                        open,
                    })
                })
                .collect();
            let prices = lines.iter().filter_map(|line| {
                let price = self.products.get(&line.sku)?.price.0;
                Some((line.sku.clone(), price))
            });
            let cross = CrossDoc {
                buyer: serves.instance.clone(),
                order: one.order.clone(),
                customer: serves.customer.clone(),
                supplier: serves.supplier.clone(),
                location: serves
                    .location
                    .clone()
                    .unwrap_or_else(|| one.location.clone()),
                required: Day::from_number(now.number().saturating_add(serves.days)),
                sale_tax_rule: serves.sale_tax_rule.clone(),
                purchase_tax_rule: serves.purchase_tax_rule.clone(),
                prices: prices.collect(),
            };
            order(name_of(&serves.instance, &one.order), lines, cross, now)
        });
        made.filter(|(order, _)| !order.lines.is_empty()).collect()
    }
}

fn order(name: String, lines: Vec<LineFacts>, cross: CrossDoc, now: Day) -> (Order, SaleFacts) {
    let wanted = lines.iter().map(|line| Line {
        id: line.line.clone(),
        sku: line.sku.clone(),
        qty: line.open,
        weight: 1,
    });
    let order = Order {
        id: name,
        entered: now,
        eligible: None,
        class: CLASS,
        ship_by: None,
        not_before: None,
        complete: Complete::None,
        max_shipments: None,
        shipments_made: 0,
        min_fill_pct: 0,
        min_shelf_days: 0,
        ship_from: None,
        lines: wanted.collect(),
    };
    let facts = SaleFacts {
        sale: String::new(),
        simple: false,
        draft: false,
        shipped: 0,
        home: String::new(),
        carrier: String::new(),
        lines,
        services: Vec::new(),
        cross: Some(cross),
    };
    (order, facts)
}

/// Units that no supply of the instance will bring, by order and SKU. What its own rules keep back is not lacking.
fn lacking(seen: &Snapshot, plan: &Plan, only: &BTreeSet<String>) -> Vec<Lacking> {
    let mut found: BTreeMap<&str, Lacking> = BTreeMap::new();
    let is_supply = |code: Code| {
        matches!(
            code,
            Code::NoStock
                | Code::NoSupplyInHorizon
                | Code::Ahead
                | Code::HardOfOther
                | Code::Component
        )
    };
    let is_meant = |order: &String| only.is_empty() || only.contains(order);
    let short = plan.short.iter().filter(|short| is_meant(&short.order));
    for short in short.filter(|short| is_supply(short.reason)) {
        let Some(facts) = seen.sales.get(&short.order) else {
            continue;
        };
        let Some(line) = facts.lines.iter().find(|line| line.line == short.line) else {
            continue;
        };
        let one = found.entry(&short.order).or_insert_with(|| Lacking {
            order: short.order.clone(),
            location: facts.home.clone(),
            lines: BTreeMap::new(),
        });
        *one.lines.entry(line.sku.clone()).or_default() += seen.scales.qty(&line.sku, short.qty);
    }
    let place = |name: &str| plan.sequence.iter().position(|order| order == name);
    let mut found: Vec<Lacking> = found.into_values().collect();
    found.sort_by_key(|one| place(&one.order));
    found
}

/// The products of `instance` under the wanted SKUs.
async fn products(
    mirror: &Mirror,
    instance: &str,
    foreign: &Foreign,
) -> Result<BTreeMap<String, Product>, OrdersError> {
    let wanted: BTreeSet<&str> = foreign.skus().collect();
    let mut found = BTreeMap::new();
    if wanted.is_empty() {
        return Ok(found);
    }
    let path = "$ ? (@.Type == \"Stock\")";
    let bodies = mirror
        .store()
        .live_bodies(&resource("product")?, instance, None, path)
        .await?;
    let products = bodies
        .iter()
        .filter_map(|body| parse::<Product>(&body.body));
    for product in products.filter(|product| wanted.contains(product.sku.as_str())) {
        found.insert(product.sku.clone(), product);
    }
    Ok(found)
}
