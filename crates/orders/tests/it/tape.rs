//! Random small worlds, read off a tape of bytes: a shorter or smaller tape is a simpler world.

use orders::Day;
use orders::input::*;

use crate::build::{Build, input, march};

pub struct Tape<'a>(pub &'a [u8], usize);

impl<'a> Tape<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes, 0)
    }

    /// A number below `n`; 0 when the tape has run out.
    pub fn below(&mut self, n: i64) -> i64 {
        let byte = self.0.get(self.1).copied().unwrap_or(0);
        self.1 += 1;
        i64::from(byte) % n
    }

    /// True once in `n`.
    pub fn once_in(&mut self, n: i64) -> bool {
        self.below(n) == n - 1
    }
}

/// How large worlds get.
#[derive(Clone, Copy)]
pub struct Size {
    pub orders: i64,
    pub lines: i64,
    pub locs: i64,
    pub qty: i64,
    pub inbound: i64,
    pub claims: i64,
    /// At most one lot for a SKU and location.
    pub one_lot: bool,
}

const SKUS: [&str; 6] = ["A", "B", "C", "K", "M", "P"];

pub fn world(tape: &mut Tape<'_>, size: Size) -> Input {
    let locs = 1 + tape.below(size.locs);
    let names = ["L1", "L2", "L3", "L4"];
    let mut world = input(&names[..locs as usize]);
    let kits = tape.below(3);
    if kits > 0 {
        world.bom(
            "K",
            if tape.once_in(2) {
                "A 1, B 1"
            } else {
                "A 2, B 1"
            },
        );
    }
    if kits > 1 {
        world.bom(
            "M",
            if tape.once_in(2) {
                "K 1, A 1"
            } else {
                "K 1, C 2"
            },
        );
        world.bom("P", "M 1, B 1");
        if tape.once_in(4) {
            world.boms[0].yields = 2;
        }
    }
    let skus = if kits > 1 { 6 } else { 3 + kits };
    for loc in &mut world.locations {
        loc.rank = tape.below(2);
        if tape.once_in(8) {
            loc.capacity = Some(tape.below(6));
        }
    }
    stock(&mut world, tape, size, skus);
    for i in 0..tape.below(size.inbound + 1) {
        let sku = SKUS[tape.below(skus) as usize];
        world.inbound.push(Inbound {
            id: format!("in{i}"),
            sku: sku.to_owned(),
            loc: names[tape.below(locs) as usize].to_owned(),
            qty: 1 + tape.below(size.qty),
            eta: march(3 + tape.below(3) as i8 * 4),
            confirmed: !tape.once_in(8),
            expiry: tape.once_in(6).then(|| march(10)),
        });
    }
    for i in 0..1 + tape.below(size.orders) {
        order(&mut world, tape, size, skus, i);
    }
    config(&mut world, tape);
    costs(&mut world, tape, locs);
    for i in 0..tape.below(size.claims + 1) {
        claim(&mut world, tape, i);
    }
    world
}

fn stock(world: &mut Input, tape: &mut Tape<'_>, size: Size, skus: i64) {
    for loc in world.locations.clone() {
        for sku in &SKUS[..skus as usize] {
            let lots = if size.one_lot {
                1
            } else {
                1 + i64::from(tape.once_in(4))
            };
            for n in 0..lots {
                let qty = tape.below(size.qty + 2);
                if qty == 0 {
                    continue;
                }
                world.lots.push(Lot {
                    id: format!("{}-{sku}-{n}", loc.id),
                    sku: (*sku).to_owned(),
                    loc: loc.id.clone(),
                    qty,
                    external: i64::from(tape.once_in(6)),
                    batch: None,
                    expiry: tape
                        .once_in(5)
                        .then(|| march([1, 4, 9, 20][tape.below(4) as usize])),
                    received: None,
                });
            }
        }
    }
}

fn order(world: &mut Input, tape: &mut Tape<'_>, size: Size, skus: i64, i: i64) {
    let text: Vec<String> = (0..1 + tape.below(size.lines))
        .map(|_| {
            format!(
                "{} {}",
                SKUS[tape.below(skus) as usize],
                1 + tape.below(size.qty)
            )
        })
        .collect();
    let entered = Day::from_number(world.now.number() - tape.below(3) as i32);
    let locations: Vec<String> = world.locations.iter().map(|loc| loc.id.clone()).collect();
    let order = world.order(&format!("o{i}"), &text.join(", "));
    order.entered = entered;
    order.class = 5 - tape.below(2);
    order.complete = [
        Complete::None,
        Complete::None,
        Complete::Line,
        Complete::Order,
    ][tape.below(4) as usize];
    if tape.once_in(4) {
        order.max_shipments = Some(1 + tape.below(2));
    }
    if tape.once_in(6) {
        order.min_fill_pct = 50;
    }
    if tape.once_in(6) {
        order.min_shelf_days = 5;
    }
    if tape.once_in(6) {
        order.ship_from = Some(locations[..1].to_vec());
    }
    if tape.once_in(8) {
        order.not_before = Some(march(2 + tape.below(2) as i8 * 4));
    }
    for line in &mut order.lines {
        if tape.once_in(6) {
            line.weight = 1 + tape.below(3);
        }
    }
}

fn config(world: &mut Input, tape: &mut Tape<'_>) {
    let mut terms = Term::ALL.to_vec();
    // A random permutation, then a random length.
    for i in (1..terms.len()).rev() {
        terms.swap(i, tape.below(i as i64 + 1) as usize);
    }
    terms.truncate(1 + tape.below(7) as usize);
    world.config.efficiency = terms;
    if tape.once_in(3) {
        world.config.scope = Scope::Joint;
    }
    if tape.once_in(2) {
        world.config.lend = true;
    }
    if tape.once_in(3) {
        world.config.hold_no_date = HoldNoDate::Release;
    }
    if tape.once_in(3) {
        world.config.order_by = OrderBy::Due;
    }
}

fn costs(world: &mut Input, tape: &mut Tape<'_>, locs: i64) {
    for loc in 0..locs as usize {
        let id = world.locations[loc].id.clone();
        world.cost("*", &id, tape.below(6) * 10, tape.below(4));
        world.costs.shipment.last_mut().unwrap().distance = tape.below(5);
    }
    if tape.once_in(3) {
        let id = world.locations[0].id.clone();
        world.cost("o0", &id, tape.below(6) * 10, tape.below(4));
    }
    world.costs.assembly.insert("K".to_owned(), tape.below(3));
    if tape.once_in(2) {
        let (sku, loc) = ("A".to_owned(), world.locations[0].id.clone());
        world.reserves.push(Reserve {
            sku,
            loc,
            qty: 1 + tape.below(4),
        });
    }
}

fn claim(world: &mut Input, tape: &mut Tape<'_>, i: i64) {
    if world.lots.is_empty() {
        return;
    }
    let order = &world.orders[tape.below(world.orders.len() as i64) as usize];
    let skus: Vec<&str> = order.lines.iter().map(|line| line.sku.as_str()).collect();
    let lots: Vec<&Lot> = world
        .lots
        .iter()
        .filter(|lot| skus.contains(&lot.sku.as_str()))
        .filter(|lot| !world.allocations.iter().any(|a| a.node == lot.id))
        .collect();
    if lots.is_empty() {
        return;
    }
    let lot = lots[tape.below(lots.len() as i64) as usize].id.clone();
    let order = order.id.clone();
    let strength = if tape.once_in(2) {
        Strength::Hard
    } else {
        Strength::Soft
    };
    let qty = 1 + tape.below(3);
    world.hold(&format!("c{i}"), &order, &lot, qty, strength, march(1));
}
