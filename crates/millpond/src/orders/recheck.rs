//! Whether a shipment may still be written, and how much of it: decided from what upstream says now, purely.

use std::collections::{BTreeMap, HashMap};

use orders::{Day, input::Complete, plan::Code};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{
    amount::Scales,
    cin7::{Availability, Sale},
    documents::{DocKit, DocLine, DocTake, ShipmentDoc},
    read::NodeFacts,
};

/// What is written of a shipment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Effective {
    /// Units by line; those that shrank to nothing are left out.
    pub lines: Vec<DocLine>,
    /// Units by lot.
    pub takes: Vec<DocTake>,
    /// Kits to assemble, inner ones first; a kit of which none is needed has 0 units.
    pub kits: Vec<DocKit>,
    /// Whether it is less than was planned.
    pub shrunk: bool,
}

/// Why a shipment is not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dropped {
    /// The reason's code.
    pub code: Code,
    /// The reason in words.
    pub text: String,
}

/// What upstream says now.
pub(crate) struct Fresh<'a> {
    /// The sale; `None`: there is none any more.
    pub sale: Option<&'a Sale>,
    /// Availability at the shipment's location, by row id.
    pub rows: &'a [(String, Availability)],
    /// Whether the location takes part in business.
    pub is_open: bool,
    /// Today.
    pub now: Day,
}

/// Decides over one shipment before anything of it is written.
pub(crate) fn judge(
    doc: &ShipmentDoc,
    fresh: &Fresh<'_>,
    scales: &Scales,
) -> Result<Effective, Dropped> {
    let drop = |code, text: String| Err(Dropped { code, text });
    if !fresh.is_open {
        return drop(Code::ShipFrom, format!("{} is closed", doc.loc));
    }
    let sale = pickable(doc, fresh.sale)?;
    let wanted = open_lines(doc, sale, scales)?;
    let shelf = Shelf::new(doc, sale, fresh, scales);
    let lines = fit(doc, &wanted, &shelf);
    let units: i64 = lines.iter().sum();
    let planned: i64 = doc.lines.iter().map(|line| line.qty).sum();
    if units == 0 {
        let sku = doc
            .lines
            .first()
            .map(|line| line.sku.as_str())
            .unwrap_or_default();
        return drop(
            Code::Stale,
            format!(
                "nothing of it is there any more at {}, {sku} first",
                doc.loc
            ),
        );
    }
    if doc.complete == Complete::Order && units < planned {
        return drop(
            Code::CompleteOrder,
            format!("{units} of {planned} units are there, and it ships complete or not at all"),
        );
    }
    if i128::from(units + doc.other_units) * 100
        < i128::from(doc.min_fill_pct) * i128::from(doc.open_units)
    {
        return drop(
            Code::MinFill,
            format!(
                "{units} units are less than {} % of {}",
                doc.min_fill_pct, doc.open_units
            ),
        );
    }
    let Some(need) = shelf.net(doc, &lines) else {
        return drop(
            Code::Stale,
            "the stock moved while it was counted".to_owned(),
        );
    };
    let kept = doc.lines.iter().zip(&lines).filter(|(_, qty)| **qty > 0);
    Ok(Effective {
        lines: kept
            .map(|(line, qty)| DocLine {
                qty: *qty,
                ..line.clone()
            })
            .collect(),
        takes: shelf.choose(doc, &need.takes),
        kits: doc
            .kits
            .iter()
            .map(|kit| DocKit {
                qty: need.made.get(&kit.sku).copied().unwrap_or(0),
                ..kit.clone()
            })
            .collect(),
        shrunk: units < planned,
    })
}

/// Whether a shipment of which something is assembled already may still be picked.
pub(crate) fn judge_again(
    doc: &ShipmentDoc,
    effective: &Effective,
    fresh: &Fresh<'_>,
    scales: &Scales,
) -> Result<(), Dropped> {
    let sale = pickable(doc, fresh.sale)?;
    let wanted = open_lines(doc, sale, scales)?;
    for line in &effective.lines {
        let open = doc
            .lines
            .iter()
            .position(|known| known.line == line.line)
            .map_or(0, |at| wanted[at]);
        if open < line.qty {
            let text = format!(
                "{} of line {} are open, {} were planned",
                open, line.line, line.qty
            );
            return Err(Dropped {
                code: Code::Stale,
                text,
            });
        }
    }
    Ok(())
}

fn pickable<'a>(doc: &ShipmentDoc, sale: Option<&'a Sale>) -> Result<&'a Sale, Dropped> {
    let gone = |text: String| Dropped {
        code: Code::State,
        text,
    };
    let sale = sale.ok_or_else(|| gone("the sale is gone".to_owned()))?;
    let draft = sale.order.status == "DRAFT"
        && doc.steps.first() == Some(&super::documents::Step::Authorise);
    if sale.is_pickable() || (draft && sale.status != "VOIDED") {
        return Ok(sale);
    }
    Err(gone(format!(
        "its order is {}, the sale {}",
        sale.order.status, sale.status
    )))
}

/// Units that each line of the shipment may still get.
fn open_lines(doc: &ShipmentDoc, sale: &Sale, scales: &Scales) -> Result<Vec<i64>, Dropped> {
    let open = sale.open();
    let mut wanted = Vec::with_capacity(doc.lines.len());
    for line in &doc.lines {
        let at = line
            .line
            .parse::<usize>()
            .ok()
            .and_then(|place| place.checked_sub(1));
        let now = at.and_then(|at| sale.order.lines.get(at).zip(open.get(at)));
        let Some((now, open)) = now.filter(|(now, _)| now.sku == line.sku && !now.drop_ship) else {
            let text = format!(
                "line {} was {}, and the order has been edited",
                line.line, line.sku
            );
            return Err(Dropped {
                code: Code::Stale,
                text,
            });
        };
        let open = scales.steps(&now.sku, *open).unwrap_or(0);
        wanted.push(open.min(line.qty));
    }
    Ok(wanted)
}

/// What a shipment needs of its location.
struct Need {
    takes: BTreeMap<String, i64>,
    made: BTreeMap<String, i64>,
}

/// Stock of a location that a shipment may use: never more of a SKU than was planned, so that nobody else's units
/// are used up.
struct Shelf {
    /// SKU to units.
    usable: HashMap<String, i64>,
    /// SKU to cards with units, in the order in which they are emptied.
    cards: HashMap<String, Vec<(String, NodeFacts, i64)>>,
}

impl Shelf {
    fn new(doc: &ShipmentDoc, sale: &Sale, fresh: &Fresh<'_>, scales: &Scales) -> Self {
        let mut planned: HashMap<String, i64> = HashMap::new();
        for take in &doc.takes {
            *planned.entry(take.facts.sku.clone()).or_default() += take.qty;
        }
        let mut shelf = Self {
            usable: HashMap::new(),
            cards: HashMap::new(),
        };
        for (sku, planned) in planned {
            let mut free = Decimal::ZERO;
            let mut cards = Vec::new();
            for (id, row) in fresh
                .rows
                .iter()
                .filter(|(_, row)| row.sku == sku && row.location == doc.loc)
            {
                free += row.on_hand.0 - row.allocated.0;
                let life = row
                    .expiry
                    .0
                    .map(|day| i64::from(day.number()) - i64::from(fresh.now.number()));
                let units = scales.steps(&sku, row.on_hand.0).unwrap_or(0);
                if units > 0 && life.is_none_or(|life| life > 0 && life >= doc.min_shelf_days) {
                    let facts = NodeFacts {
                        product: row.product.clone(),
                        sku: sku.clone(),
                        loc: row.location.clone(),
                        bin: row.bin.clone(),
                        batch: row.batch.clone(),
                        expiry: row.expiry.0,
                    };
                    cards.push((id.clone(), facts, units));
                }
            }
            if doc.loc == doc.home && sale.order.status == "AUTHORISED" {
                free += held(sale, &sku);
            }
            let there: i64 = cards.iter().map(|(.., units)| units).sum();
            let free = scales.steps(&sku, free).unwrap_or(0);
            shelf
                .usable
                .insert(sku.clone(), planned.min(free).min(there).max(0));
            let order = |id: &str| {
                doc.takes
                    .iter()
                    .position(|take| take.node == id)
                    .unwrap_or(usize::MAX)
            };
            cards.sort_by(|(a_id, a, _), (b_id, b, _)| {
                let key = |id: &str, facts: &NodeFacts| {
                    (
                        order(id),
                        facts.expiry.is_none(),
                        facts.expiry,
                        facts.bin.clone(),
                    )
                };
                key(a_id, a).cmp(&key(b_id, b))
            });
            shelf.cards.insert(sku, cards);
        }
        shelf
    }

    /// Nets requirements level by level, kits before their parts; `None` when something is missing.
    fn net(&self, doc: &ShipmentDoc, lines: &[i64]) -> Option<Need> {
        let mut need: BTreeMap<&str, i64> = BTreeMap::new();
        for (line, qty) in doc.lines.iter().zip(lines) {
            *need.entry(&line.sku).or_default() += qty;
        }
        let mut found = Need {
            takes: BTreeMap::new(),
            made: BTreeMap::new(),
        };
        // Inner kits stand first: from the last one backwards every kit comes before its parts.
        for kit in doc.kits.iter().rev() {
            let wanted = need.remove(kit.sku.as_str()).unwrap_or(0);
            let finished = wanted.min(self.usable.get(&kit.sku).copied().unwrap_or(0));
            if finished > 0 {
                found.takes.insert(kit.sku.clone(), finished);
            }
            let runs = (wanted - finished)
                .checked_add(kit.yields - 1)?
                .div_euclid(kit.yields.max(1));
            if runs > 0 {
                found
                    .made
                    .insert(kit.sku.clone(), runs.checked_mul(kit.yields)?);
                for part in &kit.parts {
                    let more = runs.checked_mul(part.qty)?;
                    let sum = need.entry(&part.sku).or_default();
                    *sum = sum.checked_add(more)?;
                }
            }
        }
        for (sku, qty) in need {
            if qty > self.usable.get(sku).copied().unwrap_or(0) {
                return None;
            }
            if qty > 0 {
                found.takes.insert(sku.to_owned(), qty);
            }
        }
        Some(found)
    }

    /// Cards for the units of each SKU: those that were planned first.
    fn choose(&self, doc: &ShipmentDoc, takes: &BTreeMap<String, i64>) -> Vec<DocTake> {
        let mut chosen: Vec<DocTake> = Vec::new();
        for (sku, qty) in takes {
            let cards = self.cards.get(sku).map_or(&[][..], Vec::as_slice);
            let mut left = *qty;
            let mut taken: BTreeMap<usize, i64> = BTreeMap::new();
            // As planned, as far as that is there; then whatever lies beside it.
            for exact in [true, false] {
                for (at, (id, _, units)) in cards.iter().enumerate() {
                    let mine = taken.get(&at).copied().unwrap_or(0);
                    let planned: i64 = doc
                        .takes
                        .iter()
                        .filter(|t| t.node == *id)
                        .map(|t| t.qty)
                        .sum();
                    let cap = if exact { planned.min(*units) } else { *units };
                    let more = left.min(cap - mine).max(0);
                    if more > 0 {
                        *taken.entry(at).or_default() += more;
                        left -= more;
                    }
                }
            }
            chosen.extend(taken.into_iter().map(|(at, qty)| DocTake {
                node: cards[at].0.clone(),
                facts: cards[at].1.clone(),
                qty,
            }));
        }
        chosen
    }
}

/// Units that upstream itself holds for the sale.
fn held(sale: &Sale, sku: &str) -> Decimal {
    let open = sale.open().into_iter();
    let lines = sale
        .order
        .lines
        .iter()
        .zip(open)
        .filter(|(line, _)| line.sku == sku && !line.drop_ship);
    lines
        .map(|(line, open)| (open - line.backorder.0).max(Decimal::ZERO))
        .sum()
}

/// As much of each line as is there, earlier lines first; a line that ships whole or not at all gets all or nothing.
fn fit(doc: &ShipmentDoc, wanted: &[i64], shelf: &Shelf) -> Vec<i64> {
    let whole = |at: usize, qty: i64| qty == doc.lines[at].qty;
    let all: Vec<i64> = wanted.to_vec();
    let is_whole = (0..all.len()).all(|at| whole(at, all[at]));
    if (doc.complete == Complete::None || is_whole) && shelf.net(doc, &all).is_some() {
        return all;
    }
    let mut lines = vec![0; wanted.len()];
    for at in 0..wanted.len() {
        let fits = |qty: i64, lines: &[i64]| {
            let mut trial = lines.to_vec();
            trial[at] = qty;
            shelf.net(doc, &trial).is_some()
        };
        if fits(wanted[at], &lines) && (doc.complete == Complete::None || whole(at, wanted[at])) {
            lines[at] = wanted[at];
        } else if doc.complete == Complete::None {
            // More never fits where less does not: the largest that fits is found by halving.
            let (mut low, mut high) = (0, wanted[at]);
            while low < high {
                let middle = low + (high - low + 1) / 2;
                if fits(middle, &lines) {
                    low = middle;
                } else {
                    high = middle - 1;
                }
            }
            lines[at] = low;
        }
    }
    lines
}

#[cfg(test)]
mod tests;
