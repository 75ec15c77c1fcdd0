//! Stock adjustments and stocktakes: a line names the level that shall be, not the difference.

use super::order::product;
use super::{Fields, Verb, Write, Written};
use crate::cin7::reply::{Answer, Refusal};
use crate::cin7::world::World;
use crate::cin7::world::rules::number;
use crate::cin7::world::stock::{CardKey, Cause};
use crate::cin7::world::stockdoc::{Adjustment, AdjustmentLine, CountStatus};
use rust_decimal::Decimal;
use serde_json::json;
use uuid::Uuid;

pub(super) fn write(world: &mut World, write: &Write<'_>) -> Written {
    let stocktake = write.path == "stocktake";
    match write.verb {
        Verb::Post => create(world, write, stocktake),
        Verb::Put => change(world, write, stocktake),
        Verb::Delete => {
            let at = find(world, write.query.required_id("ID")?, stocktake)?;
            let void = write.query.flag("Void");
            take_back(world, at)?;
            world.adjustments[at].status = if void {
                CountStatus::Voided
            } else {
                CountStatus::Draft
            };
            Ok(document(world, at))
        }
    }
}

fn find(world: &World, id: Uuid, stocktake: bool) -> Answer<usize> {
    let found = world
        .adjustments
        .iter()
        .position(|a| a.id == id && a.stocktake == stocktake);
    found.ok_or_else(|| {
        Refusal::bad(if stocktake {
            "Stocktake task not found"
        } else {
            "Stock adjustment task not found"
        })
    })
}

fn document(world: &World, at: usize) -> Vec<u8> {
    world.adjustment_document(&world.adjustments[at]).bytes()
}

fn status(body: Fields<'_>, stocktake: bool) -> Answer<CountStatus> {
    match body.required("Status")?.to_ascii_uppercase().as_str() {
        // A stocktake is in progress from its first moment.
        "DRAFT" | "IN PROGRESS" if stocktake => Ok(CountStatus::InProgress),
        "DRAFT" => Ok(CountStatus::Draft),
        "COMPLETED" => Ok(CountStatus::Completed),
        other => Err(Refusal::bad(format!("'Status' cannot be '{other}'."))),
    }
}

fn lines(
    world: &mut World,
    body: Fields<'_>,
    location: Option<u16>,
) -> Answer<Option<Vec<AdjustmentLine>>> {
    let groups = [
        "Lines",
        "ExistingStockLines",
        "NewStockLines",
        "NonZeroStockOnHandProducts",
        "ZeroStockOnHandProducts",
    ];
    if !groups.iter().any(|key| body.raw(key).is_some()) {
        return Ok(None);
    }
    let mut all = vec![];
    for key in groups {
        for row in body.rows(key)? {
            all.push(line(world, row, location)?);
        }
    }
    Ok(Some(all))
}

fn line(world: &mut World, row: Fields<'_>, location: Option<u16>) -> Answer<AdjustmentLine> {
    let product = product(world, row)?;
    let sent = row.decimal("Quantity")?.or(row.decimal("Adjustment")?);
    let target = sent
        .ok_or_else(|| Refusal::missing("Quantity"))?
        .round_dp(4);
    if target < Decimal::ZERO {
        return Err(Refusal::bad("'Quantity' must not be negative."));
    }
    let (id, name) = (row.id("LocationID")?, row.text("Location"));
    let place = match (id, &name, location) {
        (None, None, Some(location)) => location,
        (None, None, None) => return Err(Refusal::missing("Location")),
        _ => world.find_place(id, name.as_deref()).ok_or_else(|| {
            let shown = name.unwrap_or_else(|| id.unwrap_or_default().to_string());
            Refusal::unknown_name(format!(
                "Location {shown} was not found in Locations reference book"
            ))
        })?,
    };
    let p = world.product(product);
    if p.service {
        return Err(Refusal::bad(format!(
            "Product (SKU: {}) is a service",
            p.sku
        )));
    }
    let (cost, needs_batch, needs_expiry) = (p.cost, p.needs_batch(), p.needs_expiry());
    let (name, expiry) = (row.text("BatchSN"), row.date("ExpiryDate")?);
    if needs_batch && name.is_none() {
        return Err(Refusal::missing("BatchSN"));
    }
    if needs_expiry && expiry.is_none() {
        return Err(Refusal::missing("ExpiryDate"));
    }
    let batch = name.map_or(0, |name| world.stock.batch(&name, expiry));
    let key = world.card_key(product, place, batch);
    let (on_hand, available) = levels(world, key);
    Ok(AdjustmentLine {
        product,
        place,
        batch,
        target,
        on_hand,
        available,
        cost: row.decimal("UnitCost")?.unwrap_or(cost),
        new: on_hand.is_zero(),
        received: row.date("ReceivedDate")?,
        comments: row.text("Comments").unwrap_or_default(),
        applied: Decimal::ZERO,
    })
}

fn levels(world: &World, key: CardKey) -> (Decimal, Decimal) {
    world
        .stock
        .cards
        .get(&key)
        .map_or((Decimal::ZERO, Decimal::ZERO), |c| {
            (c.on_hand, c.on_hand - c.allocated)
        })
}

fn create(world: &mut World, write: &Write<'_>, stocktake: bool) -> Written {
    let body = write.body;
    let status = status(body, stocktake)?;
    let account = body.required("Account")?;
    let date = body
        .date("EffectiveDate")?
        .ok_or_else(|| Refusal::missing("EffectiveDate"))?;
    let location = world.find_place(body.id("LocationID")?, body.text("Location").as_deref());
    if stocktake && location.is_none() {
        return Err(Refusal::missing("Location"));
    }
    let mut rows = lines(world, body, location)?.unwrap_or_default();
    if let (true, true, Some(location)) = (stocktake, rows.is_empty(), location) {
        rows = everything_at(world, location);
    }
    if status == CountStatus::Completed && rows.is_empty() {
        return Err(Refusal::bad("Should be at least one line."));
    }
    let (id, now) = (world.new_id(), world.now());
    world.numbers.stocktake += 1;
    world.adjustments.push(Adjustment {
        id,
        number: format!("ST-{:05}", world.numbers.stocktake),
        stocktake,
        status: if stocktake {
            CountStatus::InProgress
        } else {
            CountStatus::Draft
        },
        date,
        account,
        reference: body.text("Reference").unwrap_or_default(),
        comment: body.text("Comment").unwrap_or_default(),
        location: location.unwrap_or(0),
        on_hand_target: stocktake || body.bool("UpdateOnHand").unwrap_or(false),
        lines: rows,
        transactions: vec![],
        created: now,
        modified: now,
    });
    let at = world.adjustments.len() - 1;
    if status == CountStatus::Completed {
        apply(world, at);
    }
    Ok(document(world, at))
}

/// The sheet of a stocktake: every card of the warehouse, at its present level.
fn everything_at(world: &World, location: u16) -> Vec<AdjustmentLine> {
    let bin = world.place(location).parent.is_some();
    let here = world.stock.cards.iter().filter(|(key, _)| {
        if bin {
            key.place == location
        } else {
            key.at == location
        }
    });
    here.map(|(key, card)| AdjustmentLine {
        product: key.product,
        place: key.place,
        batch: key.batch,
        target: card.on_hand,
        on_hand: card.on_hand,
        available: card.on_hand - card.allocated,
        cost: card.cost,
        new: card.on_hand.is_zero(),
        received: None,
        comments: String::new(),
        applied: Decimal::ZERO,
    })
    .collect()
}

fn change(world: &mut World, write: &Write<'_>, stocktake: bool) -> Written {
    let body = write.body;
    let at = find(world, body.required_id("TaskID")?, stocktake)?;
    let old = world.adjustments[at].status;
    if matches!(old, CountStatus::Completed | CountStatus::Voided) {
        return Err(Refusal::bad(format!(
            "Document cannot be changed in status {}",
            old.text()
        )));
    }
    let status = status(body, stocktake)?;
    let location = Some(world.adjustments[at].location).filter(|_| stocktake);
    let rows = lines(world, body, location)?;
    let date = body.date("EffectiveDate")?;
    let now = world.now();
    let doc = &mut world.adjustments[at];
    if let Some(rows) = rows {
        doc.lines = rows;
    }
    doc.date = date.unwrap_or(doc.date);
    doc.account = body.text("Account").unwrap_or_else(|| doc.account.clone());
    doc.reference = body
        .text("Reference")
        .unwrap_or_else(|| doc.reference.clone());
    doc.comment = body.text("Comment").unwrap_or_else(|| doc.comment.clone());
    doc.on_hand_target = body.bool("UpdateOnHand").unwrap_or(doc.on_hand_target);
    doc.modified = now;
    if status == CountStatus::Completed {
        if world.adjustments[at].lines.is_empty() {
            return Err(Refusal::bad("Should be at least one line."));
        }
        apply(world, at);
    }
    Ok(document(world, at))
}

/// Brings every line to its level.
fn apply(world: &mut World, at: usize) {
    let doc = world.adjustments[at].clone();
    let kind = if doc.stocktake {
        "Stocktake"
    } else {
        "Adjustment"
    };
    let cause = Cause {
        task: doc.id,
        kind,
        number: &doc.number,
        date: doc.date,
    };
    let mut transactions = vec![];
    let mut lines = doc.lines.clone();
    for (nth, line) in lines.iter_mut().enumerate() {
        let key = world.card_key(line.product, line.place, line.batch);
        (line.on_hand, line.available) = levels(world, key);
        line.new = line.on_hand.is_zero();
        let from = if doc.on_hand_target || line.new {
            line.on_hand
        } else {
            line.available
        };
        line.applied = line.target - from;
        if line.applied.is_zero() {
            continue;
        }
        world.stock.shift(key, line.applied, line.cost, &cause);
        if line.applied > Decimal::ZERO {
            world.serve_backorders(line.product, key.at);
        }
        transactions.push(json!({
            "ID": crate::cin7::world::id_of(&format!("{}/{nth}", doc.id)),
            "Debit": if line.applied > Decimal::ZERO { "630" } else { doc.account.as_str() },
            "Credit": if line.applied > Decimal::ZERO { doc.account.as_str() } else { "630" },
            "Amount": number((line.applied.abs() * line.cost).round_dp(2)),
            "EffectiveDate": format!("{}T00:00:00", doc.date),
        }));
    }
    let doc = &mut world.adjustments[at];
    (doc.lines, doc.transactions, doc.status) = (lines, transactions, CountStatus::Completed);
}

/// Reverses what completing it changed.
fn take_back(world: &mut World, at: usize) -> Answer<()> {
    let doc = world.adjustments[at].clone();
    if doc.status == CountStatus::Voided {
        return Err(Refusal::bad("Document is voided"));
    }
    let kind = if doc.stocktake {
        "Stocktake"
    } else {
        "Adjustment"
    };
    let cause = Cause {
        task: doc.id,
        kind,
        number: &doc.number,
        date: doc.date,
    };
    // What the account began with was not applied by a document, so it is not taken back either.
    let applied = || {
        doc.lines
            .iter()
            .filter(|_| doc.status == CountStatus::Completed && !doc.transactions.is_empty())
    };
    for line in applied() {
        let (on_hand, _) = levels(world, world.card_key(line.product, line.place, line.batch));
        if on_hand < line.applied {
            let sku = &world.product(line.product).sku;
            return Err(Refusal::bad(format!(
                "Quantity on hand of product (SKU: {sku}) is {on_hand:.10}, cannot void"
            )));
        }
    }
    for line in applied() {
        let key = world.card_key(line.product, line.place, line.batch);
        world.stock.shift(key, -line.applied, line.cost, &cause);
    }
    let now = world.now();
    let doc = &mut world.adjustments[at];
    doc.lines
        .iter_mut()
        .for_each(|line| line.applied = Decimal::ZERO);
    doc.transactions.clear();
    doc.modified = now;
    Ok(())
}

impl World {
    /// Books one unplanned difference, as a person who counted a shelf would.
    pub(crate) fn book_difference(&mut self, key: CardKey, difference: Decimal) {
        let (id, now, today) = (self.new_id(), self.now(), self.today());
        self.numbers.stocktake += 1;
        let (on_hand, available) = levels(self, key);
        let cost = self
            .stock
            .cards
            .get(&key)
            .map_or(Decimal::ZERO, |card| card.cost);
        self.adjustments.push(Adjustment {
            id,
            number: format!("ST-{:05}", self.numbers.stocktake),
            stocktake: false,
            status: CountStatus::Draft,
            date: today,
            account: "429".into(),
            reference: "Shelf count".into(),
            comment: String::new(),
            location: key.at,
            on_hand_target: true,
            lines: vec![AdjustmentLine {
                product: key.product,
                place: key.place,
                batch: key.batch,
                target: (on_hand + difference).max(Decimal::ZERO),
                on_hand,
                available,
                cost,
                new: on_hand.is_zero(),
                received: None,
                comments: String::new(),
                applied: Decimal::ZERO,
            }],
            transactions: vec![],
            created: now,
            modified: now,
        });
        apply(self, self.adjustments.len() - 1);
    }
}
