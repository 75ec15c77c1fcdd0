//! Open orders: which take part, under which rules, and which are left out.

use std::collections::{BTreeMap, BTreeSet};

use orders::{
    Day,
    input::{Complete, Line, Order},
    plan::Code,
};
use rust_decimal::Decimal;
use store::Store;

use super::{LeftOut, LineFacts, SaleFacts, kits::Products, parse, resource};
use crate::orders::{
    OrdersError,
    amount::Scales,
    ask::{PlanAsk, Rules},
    cin7::Sale,
    documents::Documents,
};

/// What a sale's listing row says of one that may still want something. Rows are small; details are read only for these.
const OPEN: &str = "$ ? ((@.OrderStatus == \"AUTHORISED\" || @.OrderStatus == \"DRAFT\") && @.Status != \"VOIDED\" \
    && @.Status != \"COMPLETED\" && @.CombinedPickingStatus != \"PICKED\" && @.CombinedPickingStatus != \"VOIDED\")";

/// Orders of plans that are approved or under way, with their plan.
pub(super) async fn under_way(
    store: &Store,
    instance: &str,
) -> Result<BTreeMap<String, i64>, OrdersError> {
    let mut busy = BTreeMap::new();
    for state in ["approved", "applying", "needs_person"] {
        for plan in store
            .plans(Some(instance), Some(state), None, PLANS_MAX)
            .await?
        {
            let parts = store.load_plan_parts(plan.id).await?;
            let documents: Documents = parse(&parts.documents).unwrap_or_default();
            let settled: BTreeSet<i32> = store
                .shipments(plan.id)
                .await?
                .into_iter()
                .filter(|row| matches!(row.state.as_str(), "done" | "dropped"))
                .map(|row| row.shipment)
                .collect();
            for shipment in documents.shipments {
                if !settled.contains(&shipment.number) {
                    busy.insert(shipment.order, plan.id);
                }
            }
        }
    }
    Ok(busy)
}

/// Plans under way that are looked at.
const PLANS_MAX: i64 = 1000;

/// Every mirrored sale that may still want something.
pub(super) async fn open_sales(store: &Store, instance: &str) -> Result<Vec<Sale>, OrdersError> {
    let (sale, header) = (resource("sale")?, resource("sale_header")?);
    let bodies = store
        .live_bodies(&sale, instance, Some(&header), OPEN)
        .await?;
    Ok(bodies.iter().filter_map(|body| parse(&body.body)).collect())
}

/// Orders that take part, before their quantities are counted.
#[derive(Default)]
pub(super) struct Wave {
    orders: Vec<Wanted>,
    names: BTreeSet<String>,
}

struct Wanted {
    name: String,
    sale: Sale,
    rules: Rules,
    /// Place, open units.
    lines: Vec<(usize, Decimal)>,
    services: Vec<String>,
}

/// The orders of a plan.
pub(super) struct Planned {
    pub orders: Vec<Order>,
    pub sales: BTreeMap<String, SaleFacts>,
    pub left_out: Vec<LeftOut>,
}

impl Wave {
    /// Takes a sale in, or says why not. Sales that want nothing are passed over in silence.
    pub fn admit(
        &mut self,
        sale: &Sale,
        ask: &PlanAsk,
        busy: &BTreeMap<String, i64>,
        products: &Products,
        scales: &mut Scales,
        left_out: &mut Vec<LeftOut>,
    ) {
        let name = sale.name().to_owned();
        if !self.is_asked_for(sale, &name, ask) {
            return;
        }
        let mut out = |code, text: String| {
            left_out.push(LeftOut {
                order: name.clone(),
                code,
                text,
            });
        };
        let draft = sale.order.status == "DRAFT";
        let takes_part = sale.is_pickable() || (draft && ask.drafts && sale.status != "VOIDED");
        if !takes_part {
            if !draft || !ask.orders.is_empty() {
                out(
                    Code::State,
                    format!(
                        "its order is {}, the sale {}",
                        sale.order.status, sale.status
                    ),
                );
            }
            return;
        }
        if let Some(plan) = busy.get(&name) {
            out(Code::State, format!("plan {plan} is writing it"));
            return;
        }
        let rules = ask.rules_of(&sale.customer, &name);
        if rules.on_hold == Some(true) {
            out(Code::OnHold, "it is on hold".to_owned());
            return;
        }
        let (mut lines, mut services) = (Vec::new(), Vec::new());
        for (place, open) in sale.open().into_iter().enumerate() {
            let line = &sale.order.lines[place];
            if products.is_service(&line.product, &line.sku) {
                services.push((place + 1).to_string());
            }
            if line.drop_ship || products.is_service(&line.product, &line.sku) || open.is_zero() {
                continue;
            }
            let admitted = scales
                .admit(&line.sku, open)
                .and_then(|()| scales.steps(&line.sku, open));
            match admitted {
                Ok(steps) if steps > 0 && !line.sku.is_empty() => lines.push((place, open)),
                Ok(_) => {
                    return out(
                        Code::BadOrder,
                        format!("line {} wants {open} of `{}`", place + 1, line.sku),
                    );
                }
                Err(error) => {
                    return out(
                        Code::BadOrder,
                        format!("line {} of {}: {error}", place + 1, line.sku),
                    );
                }
            }
        }
        if lines.is_empty() {
            return;
        }
        if !self.names.insert(name.clone()) {
            return out(
                Code::BadOrder,
                "another sale has the same number".to_owned(),
            );
        }
        self.orders.push(Wanted {
            name,
            sale: sale.clone(),
            rules,
            lines,
            services,
        });
    }

    fn is_asked_for(&self, sale: &Sale, name: &str, ask: &PlanAsk) -> bool {
        let entered = sale.ordered.0;
        (ask.orders.is_empty() || ask.orders.contains(name) || ask.orders.contains(&sale.id))
            && ask
                .entered_from
                .is_none_or(|from| entered.is_some_and(|day| day >= from))
            && ask
                .entered_to
                .is_none_or(|to| entered.is_some_and(|day| day <= to))
    }

    /// What the orders want.
    pub fn skus(&self) -> impl Iterator<Item = &str> {
        self.orders.iter().flat_map(|order| {
            order
                .lines
                .iter()
                .map(|(place, _)| order.sale.order.lines[*place].sku.as_str())
        })
    }

    /// Counts quantities, now that every step is known.
    pub fn finish(self, ask: &PlanAsk, scales: &Scales, mut left_out: Vec<LeftOut>) -> Planned {
        let mut planned = Planned {
            orders: Vec::new(),
            sales: BTreeMap::new(),
            left_out: Vec::new(),
        };
        for wanted in self.orders {
            let facts = match facts(&wanted, scales) {
                Ok(facts) => facts,
                Err(text) => {
                    left_out.push(LeftOut {
                        order: wanted.name,
                        code: Code::BadOrder,
                        text,
                    });
                    continue;
                }
            };
            planned.orders.push(order(&wanted, &facts, ask));
            planned.sales.insert(wanted.name, facts);
        }
        planned.left_out = left_out;
        planned
    }
}

fn facts(wanted: &Wanted, scales: &Scales) -> Result<SaleFacts, String> {
    let sale = &wanted.sale;
    let mut lines = Vec::with_capacity(wanted.lines.len());
    for (place, open) in &wanted.lines {
        let line = &sale.order.lines[*place];
        let open = scales
            .steps(&line.sku, *open)
            .map_err(|error| format!("line {}: {error}", place + 1))?;
        if open > orders::QTY_MAX {
            return Err(format!(
                "line {} wants more than {} steps",
                place + 1,
                orders::QTY_MAX
            ));
        }
        lines.push(LineFacts {
            line: (place + 1).to_string(),
            product: line.product.clone(),
            sku: line.sku.clone(),
            name: line.name.clone(),
            open,
        });
    }
    Ok(SaleFacts {
        sale: sale.id.to_lowercase(),
        simple: sale.kind == "Simple Sale",
        draft: sale.order.status == "DRAFT",
        shipped: sale.live().filter(|f| f.pick.is_authorised()).count(),
        home: sale.location.clone(),
        carrier: sale.carrier.clone(),
        lines,
        services: wanted.services.clone(),
        cross: None,
    })
}

fn order(wanted: &Wanted, facts: &SaleFacts, ask: &PlanAsk) -> Order {
    let rules = &wanted.rules;
    let shipped = i64::try_from(facts.shipped).unwrap_or(i64::MAX);
    // A second fulfilment makes a simple sale advanced.
    let bound = facts.simple && !ask.may_convert;
    let max_shipments = match (rules.max_shipments, bound) {
        (Some(max), true) => Some(max.min(1)),
        (None, true) => Some(1),
        (max, false) => max,
    };
    Order {
        id: wanted.name.clone(),
        entered: wanted.sale.ordered.0.unwrap_or(Day::from_number(0)),
        eligible: None,
        class: rules.class.unwrap_or(5),
        ship_by: wanted.sale.ship_by.0,
        not_before: rules.not_before,
        complete: rules.complete.unwrap_or(Complete::None),
        max_shipments,
        shipments_made: shipped,
        min_fill_pct: rules.min_fill_pct.unwrap_or(0),
        min_shelf_days: rules.min_shelf_days.unwrap_or(0),
        ship_from: rules.ship_from.clone(),
        lines: facts
            .lines
            .iter()
            .map(|line| Line {
                id: line.line.clone(),
                sku: line.sku.clone(),
                qty: line.open,
                weight: 1,
            })
            .collect(),
    }
}

/// Orders whose rules name only places that do not exist or are closed.
pub(super) fn unknown_places(orders: &[Order], known: &BTreeSet<&str>) -> Vec<LeftOut> {
    let lost = orders.iter().filter_map(|order| {
        let from = order.ship_from.as_ref()?;
        let unknown: Vec<&str> = from
            .iter()
            .map(String::as_str)
            .filter(|place| !known.contains(place))
            .collect();
        (!unknown.is_empty()).then(|| LeftOut {
            order: order.id.clone(),
            code: Code::ShipFrom,
            text: format!(
                "it may ship from {}, which is closed or unknown",
                unknown.join(", ")
            ),
        })
    });
    lost.collect()
}
