//! The obstacle in words.

use super::{Chunk, Explainer};
use crate::day::Day;
use crate::plan::Code;

/// Most names that one explanation lists.
const NAMES_MAX: usize = 5;

impl Explainer<'_> {
    pub(super) fn chunk_text(
        &self,
        code: Code,
        order: usize,
        sku: usize,
        qty: i64,
        chunks: &[Chunk],
    ) -> String {
        let name = self.world.skus[sku];
        let at = |chunk: &Chunk| {
            let node = &self.world.nodes[chunk.node];
            format!("`{}` at {}", node.id, self.world.places[node.loc].id)
        };
        match code {
            Code::Ahead => format!("{qty} of {name} held for {}", self.names(chunks)),
            Code::HardOfOther => format!("{qty} of {name} held hard for {}", self.names(chunks)),
            Code::Expired | Code::ShelfLife => {
                let list: Vec<String> = chunks
                    .iter()
                    .take(NAMES_MAX)
                    .map(|chunk| {
                        let day = Day::from_number(self.world.nodes[chunk.node].expiry);
                        format!("{} expires on {day}", at(chunk))
                    })
                    .collect();
                list.join(", ")
            }
            Code::ShipFrom => {
                let list: Vec<String> = chunks.iter().take(NAMES_MAX).map(at).collect();
                let id = self.world.orders[order].id;
                format!(
                    "{} holds {name}, and {id} may not ship from there",
                    list.join(", ")
                )
            }
            _ => self.rule_text(code, order, qty, name),
        }
    }

    pub(super) fn rule_text(&self, code: Code, order: usize, qty: i64, name: &str) -> String {
        let info = &self.world.orders[order];
        match code {
            Code::MinFill => format!(
                "{} ships at least {} units at once or nothing",
                info.id, info.units_min
            ),
            Code::CompleteLine => format!("{qty} of {name} are there, and the line ships in full"),
            Code::CompleteOrder => {
                format!("{qty} of {name} are there, and the order ships in full")
            }
            Code::MaxShipments => {
                let left = info.shipments_left.unwrap_or(0);
                format!(
                    "{} may have {left} more shipments, and these units need another",
                    info.id
                )
            }
            Code::Capacity => format!("the location of {qty} of {name} ships no more today"),
            Code::NotBefore => {
                format!("{} ships from {} on", info.id, Day::from_number(info.start))
            }
            _ => format!("{qty} of {name}"),
        }
    }

    /// What to say when no units are left anywhere.
    pub(super) fn nothing_there(&self, sku: usize, qty: i64) -> (Code, String) {
        let name = self.world.skus[sku];
        if self.later() && self.unconfirmed[sku] {
            let text = format!("{qty} more of {name}: nothing confirmed arrives in the horizon");
            return (Code::NoSupplyInHorizon, text);
        }
        (Code::NoStock, format!("there are no {qty} more of {name}"))
    }

    fn names(&self, chunks: &[Chunk]) -> String {
        let mut names: Vec<&str> = Vec::new();
        for chunk in chunks {
            let name = match chunk.holder.flatten() {
                Some(order) => self.world.orders[order].id,
                None => "an order outside the run",
            };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let more = names.len().saturating_sub(NAMES_MAX);
        names.truncate(NAMES_MAX);
        let list = names.join(", ");
        if more > 0 {
            format!("{list} and {more} more")
        } else {
            list
        }
    }
}
