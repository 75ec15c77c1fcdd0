//! Why a kit cannot be built: which component is missing, and where.

use std::collections::BTreeMap;

use super::Explainer;
use crate::plan::Code;

impl Explainer<'_> {
    /// Why not one more unit of the kit `sku` can be built for `order`.
    pub(super) fn kit_obstacle(&self, order: usize, sku: usize, short: i64) -> (Code, String) {
        let info = &self.world.orders[order];
        let places: Vec<usize> = (0..self.world.places.len())
            .filter(|&loc| info.from[loc])
            .collect();
        let name = self.world.skus[sku];
        let mut nearest: Option<(i64, usize, usize)> = None;
        for &loc in &places {
            let missing = self.missing(order, sku, &[loc]);
            let Some((&component, &lack)) = missing.iter().next() else {
                let node = self.world.at(sku, loc).first().copied();
                let code = node.map_or(Code::MaxShipments, |node| self.own_rule(order, node));
                let code = if node.is_none() {
                    self.rule_at(order, loc)
                } else {
                    code
                };
                return (code, self.rule_text(code, order, short, name));
            };
            let sum: i64 = missing.values().sum();
            if nearest.is_none_or(|(least, _, _)| sum < least) {
                nearest = Some((sum, loc, component));
            }
            let _ = lack;
        }
        let pooled = self.missing(order, sku, &places);
        if pooled.is_empty() && !places.is_empty() {
            let text = format!("the components of {name} are there, but not in one place");
            return (Code::ComponentOtherPlace, text);
        }
        match nearest {
            Some((_, loc, component)) => {
                let lack = self.missing(order, sku, &[loc])[&component];
                let text = format!(
                    "component {} short by {lack} at {} for one more {name}",
                    self.world.skus[component], self.world.places[loc].id
                );
                (Code::Component, text)
            }
            None => (Code::ShipFrom, "the order may ship from nowhere".to_owned()),
        }
    }

    fn rule_at(&self, order: usize, loc: usize) -> Code {
        use crate::input::Complete;
        let info = &self.world.orders[order];
        let ships = self.shipments.get(&order).copied().unwrap_or(0);
        match info.complete {
            _ if !self.later() && self.room[loc].is_some_and(|room| room <= 0) => Code::Capacity,
            _ if info.shipments_left.is_some_and(|left| ships >= left) => Code::MaxShipments,
            _ if !self.later() && info.start > self.world.now => Code::NotBefore,
            Complete::Line => Code::CompleteLine,
            Complete::Order => Code::CompleteOrder,
            Complete::None if info.units_min > 1 && ships == 0 => Code::MinFill,
            Complete::None => Code::MaxShipments,
        }
    }

    /// What leaves are missing for one more unit of `sku`, from free units of `places` together.
    fn missing(&self, order: usize, sku: usize, places: &[usize]) -> BTreeMap<usize, i64> {
        let world = self.world;
        let info = &world.orders[order];
        let free = |sku: usize| -> i64 {
            let nodes = places
                .iter()
                .flat_map(|&loc| world.at(sku, loc))
                .filter(|&&node| {
                    let n = &world.nodes[node];
                    let date = if self.later() {
                        n.date.max(info.start)
                    } else {
                        world.now
                    };
                    world.serves(node, date, info.shelf)
                });
            nodes.map(|&node| self.left[node]).sum()
        };
        let mut need = BTreeMap::from([(sku, 1i64)]);
        let mut missing = BTreeMap::new();
        for &sku in &world.bills.closure(std::iter::once(sku)) {
            let Some(qty) = need.remove(&sku) else {
                continue;
            };
            let lack = (qty - free(sku)).max(0);
            match &world.bills.of[sku] {
                _ if lack == 0 => {}
                None => {
                    missing.insert(sku, lack);
                }
                Some(bill) => {
                    let runs = lack / bill.yields + i64::from(lack % bill.yields != 0);
                    for &(component, qty) in &bill.lines {
                        let sum: &mut i64 = need.entry(component).or_default();
                        *sum = sum.saturating_add(runs.saturating_mul(qty));
                    }
                }
            }
        }
        missing
    }
}
