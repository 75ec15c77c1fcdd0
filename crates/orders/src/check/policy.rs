//! I7: the customer's rules and the locations' limits hold for everything that ships.

use std::collections::BTreeMap;

use super::Judge;
use crate::input::Complete;
use crate::plan::{Op, Shipment};

impl Judge<'_> {
    pub(super) fn policies(&mut self) {
        let mut by_order: BTreeMap<&str, Vec<&Shipment>> = BTreeMap::new();
        for shipment in &self.plan.shipments {
            by_order.entry(&shipment.order).or_default().push(shipment);
        }
        let mut wrong = Vec::new();
        for (id, shipments) in by_order {
            let order = self.orders[id];
            let mut say = |text: &str| wrong.push(format!("{id}: {text}"));
            let most = order.max_shipments.map(|most| most - order.shipments_made);
            if most.is_some_and(|most| shipments.len() as i64 > most) {
                say("too many shipments");
            }
            let mut days: BTreeMap<_, Vec<&Shipment>> = BTreeMap::new();
            for shipment in &shipments {
                days.entry(shipment.date).or_default().push(shipment);
                if order.not_before.is_some_and(|day| shipment.date < day) {
                    say("ships too early");
                }
                if shipment.date < self.input.now {
                    say("ships in the past");
                }
                let from = order.ship_from.as_ref();
                if from.is_some_and(|list| !list.contains(&shipment.loc)) {
                    say("ships from a location that it excludes");
                }
                if self.plan.op != Op::Allocate && shipment.date != self.input.now {
                    say("is released before its day");
                }
            }
            let open: i128 = order.lines.iter().map(|line| i128::from(line.qty)).sum();
            for (_, shipments) in days {
                let mut places: Vec<&str> = shipments.iter().map(|s| s.loc.as_str()).collect();
                places.sort_unstable();
                if places.windows(2).any(|pair| pair[0] == pair[1]) {
                    say("has two shipments from one location on one day");
                }
                let mut units: BTreeMap<&str, i128> = BTreeMap::new();
                for line in shipments.iter().flat_map(|shipment| &shipment.lines) {
                    *units.entry(&line.line).or_default() += i128::from(line.qty);
                }
                let total: i128 = units.values().sum();
                if total * 100 < open * i128::from(order.min_fill_pct) {
                    say("ships too small a share");
                }
                let whole = |id: &str, qty: i128| {
                    order
                        .lines
                        .iter()
                        .any(|line| line.id == id && i128::from(line.qty) == qty)
                };
                let lines_whole = units.iter().all(|(id, &qty)| whole(id, qty));
                match order.complete {
                    Complete::None => {}
                    Complete::Line if lines_whole => {}
                    Complete::Order if lines_whole && units.len() == order.lines.len() => {}
                    Complete::Line => say("ships a line in part"),
                    Complete::Order => say("ships in part"),
                }
            }
        }
        if self.plan.op != Op::Allocate {
            for loc in &self.input.locations {
                let here = self
                    .plan
                    .shipments
                    .iter()
                    .filter(|shipment| shipment.loc == loc.id);
                let units: i128 = here
                    .flat_map(|s| &s.lines)
                    .map(|line| i128::from(line.qty))
                    .sum();
                if loc.capacity.is_some_and(|most| units > i128::from(most)) {
                    wrong.push(format!("{} ships {units} units", loc.id));
                }
            }
        }
        wrong.into_iter().for_each(|text| self.say("I7", text));
    }
}
