//! Times the engines on generated instances and prints `result NAME VALUE UNIT` lines.
//!
//! `cargo run --release -p orders --example orders_bench [SEED [joint|kinds]]`; `joint` times the waves alone, `kinds` waves
//! of other kinds.

use std::time::Instant;

use orders::input::*;
use orders::{Day, Op, Plan};

/// A small generator of its own: the same seed gives the same instance everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> i64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((x ^ (x >> 31)) % n) as i64
    }
}

fn main() {
    let seed = std::env::args()
        .nth(1)
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(1);
    println!("seed {seed}");
    if std::env::args().nth(2).as_deref() == Some("kinds") {
        return kinds(seed);
    }
    let single = wave(seed, 1, 200, 10, 400, 30);
    let (_, ms) = timed(Op::Split, &single, "1 order, 200 lines, 10 locations");
    let mut gaps: Vec<f64> = Vec::new();
    let mut seconds: f64 = 0.0;
    for (name, plenty) in [("ample", 14), ("tight", 7)] {
        let joint = wave(seed, 40, 5, 10, 60, plenty);
        let (plan, ms) = timed(
            Op::Split,
            &joint,
            &format!("40 orders, 5 lines, 10 locations, {name}"),
        );
        seconds = seconds.max(ms / 1000.0);
        gaps.push(gap(&plan));
        let (cost, base) = (plan.efficiency[&Term::Cost], plan.baseline[&Term::Cost]);
        println!("  cost {cost}, one after another {base}");
    }
    let print_joint = || {
        println!(
            "result joint_40x5x10_gap_pct {:.2} %",
            gaps.iter().fold(0.0f64, |a, b| a.max(*b))
        );
        println!("result joint_40x5x10_s {seconds:.2} s");
    };
    if std::env::args().nth(2).as_deref() == Some("joint") {
        return print_joint();
    }
    let many = backlog(seed, 10_000, 50_000);
    let (_, all_ms) = timed(
        Op::Allocate,
        &many,
        "10,000 orders, 50,000 stock rows, allocate",
    );
    let mut lending = many.clone();
    lending.config.lend = true;
    let (_, lend_ms) = timed(Op::Allocate, &lending, "the same with lending");
    let (_, split_ms) = timed(Op::Split, &many, "the same backlog, split today");
    let kits = kitted(seed, 1_000, 10_000);
    let (_, kit_ms) = timed(
        Op::Allocate,
        &kits,
        "1,000 orders with nested kits, 10,000 rows",
    );
    println!("result split_200x10_ms {ms:.1} ms");
    print_joint();
    println!("result plan_10000_orders_s {:.2} s", all_ms / 1000.0);
    println!(
        "result plan_10000_orders_lending_s {:.2} s",
        lend_ms / 1000.0
    );
    println!("result split_10000_orders_s {:.2} s", split_ms / 1000.0);
    println!("result plan_1000_kit_orders_s {:.2} s", kit_ms / 1000.0);
}

/// Waves that are hard or easy in other ways.
fn kinds(seed: u64) {
    let mut shipments = wave(seed, 40, 5, 10, 60, 14);
    shipments.costs = Costs::default();
    let mut single = wave(seed, 40, 5, 10, 60, 14);
    let mut seen = std::collections::HashSet::new();
    single.lots.retain(|lot| seen.insert(lot.sku.clone()));
    let mut dozens = wave(seed, 40, 5, 10, 60, 14);
    dozens.lots.iter_mut().for_each(|lot| lot.qty *= 12);
    let lines = dozens.orders.iter_mut().flat_map(|order| &mut order.lines);
    lines.for_each(|line| line.qty *= 12);
    let mut reserved = wave(seed, 40, 5, 10, 60, 14);
    reserved.reserves = reserved.lots.iter().step_by(3).map(reserve).collect();
    let kinds = [
        (
            "40 orders, 5 lines, scarce stock",
            wave(seed, 40, 5, 10, 60, 5),
        ),
        ("100 orders, 2 lines", wave(seed, 100, 2, 10, 60, 14)),
        (
            "100 orders, 2 lines, many SKUs",
            wave(seed, 100, 2, 10, 200, 14),
        ),
        (
            "40 orders, 5 lines, many SKUs",
            wave(seed, 40, 5, 10, 200, 14),
        ),
        (
            "100 orders, 5 lines, 150 SKUs",
            wave(seed, 100, 5, 10, 150, 7),
        ),
        ("one location a SKU", single),
        ("no costs, fewest shipments", shipments),
        ("by the dozen", dozens),
        ("reserves", reserved),
    ];
    for (name, input) in kinds {
        let (plan, _) = timed(Op::Split, &input, name);
        let (mine, base) = (&plan.efficiency, &plan.baseline);
        println!(
            "  cost {}, one after another {}; shipments {}, {}",
            mine[&Term::Cost],
            base[&Term::Cost],
            mine[&Term::Shipments],
            base[&Term::Shipments]
        );
    }
}

fn reserve(lot: &Lot) -> Reserve {
    Reserve {
        sku: lot.sku.clone(),
        loc: lot.loc.clone(),
        qty: 2,
    }
}

fn timed(op: Op, input: &Input, name: &str) -> (Plan, f64) {
    let start = Instant::now();
    let plan = match orders::plan(op, input) {
        Ok(plan) => plan,
        Err(errors) => {
            eprintln!("{name}: {errors}");
            std::process::exit(1);
        }
    };
    let ms = start.elapsed().as_secs_f64() * 1000.0;
    // Checking 10,000 orders pair by pair is not what is timed here.
    let found = if input.orders.len() <= 1_000 {
        orders::check(input, &plan)
    } else {
        Vec::new()
    };
    println!(
        "{name}: {ms:.1} ms, {}, {} short",
        plan.engine,
        plan.short.len()
    );
    if let Some(first) = found.first() {
        eprintln!("{name}: {} {}", first.invariant, first.text);
        std::process::exit(1);
    }
    (plan, ms)
}

/// The stated distance from the bound, in per cent.
fn gap(plan: &Plan) -> f64 {
    if plan.exact {
        return 0.0;
    }
    let words = plan
        .engine
        .split("within ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    words
        .and_then(|number| number.parse().ok())
        .unwrap_or(100.0)
}

fn empty(locs: i64) -> Input {
    let now = Day::new(2026, 3, 2).unwrap_or(Day::from_number(0));
    Input {
        schema: Input::SCHEMA.to_owned(),
        now,
        config: Config::default(),
        locations: (0..locs)
            .map(|l| Location {
                id: format!("L{l:02}"),
                rank: l,
                capacity: None,
            })
            .collect(),
        boms: Vec::new(),
        lots: Vec::new(),
        inbound: Vec::new(),
        orders: Vec::new(),
        allocations: Vec::new(),
        costs: Costs::default(),
        reserves: Vec::new(),
        items: Vec::new(),
    }
}

fn wave(seed: u64, orders: i64, lines: i64, locs: i64, skus: i64, plenty: u64) -> Input {
    let mut dice = Dice(seed);
    let mut input = empty(locs);
    for sku in 0..skus {
        for loc in 0..locs {
            if dice.below(2) == 0 {
                lot(&mut input, sku, loc, 1 + dice.below(plenty), 0);
            }
        }
    }
    for o in 0..orders {
        order(&mut input, &mut dice, o, lines, skus, 8);
        for loc in 0..locs {
            input.costs.shipment.push(ShipmentCost {
                order: format!("SO-{o:05}"),
                loc: format!("L{loc:02}"),
                fixed: 400 + dice.below(800),
                per_unit: 10 + dice.below(60),
                distance: dice.below(1000),
            });
        }
    }
    input
}

fn backlog(seed: u64, orders: i64, rows: i64) -> Input {
    let mut dice = Dice(seed);
    let mut input = empty(10);
    let skus = rows / 20;
    for row in 0..rows {
        let qty = dice.below(6);
        lot(
            &mut input,
            row % skus,
            (row / skus) % 10,
            qty,
            row / skus / 10,
        );
    }
    for sku in 0..skus {
        for n in 0..2 {
            let eta = Day::from_number(input.now.number() + 7 * (1 + dice.below(8)) as i32);
            input.inbound.push(Inbound {
                id: format!("PO-{sku:05}-{n}"),
                sku: format!("SKU-{sku:05}"),
                loc: format!("L{:02}", dice.below(10)),
                qty: 5 + dice.below(20),
                eta,
                confirmed: true,
                expiry: None,
            });
        }
    }
    for o in 0..orders {
        order(&mut input, &mut dice, o, 5, skus, 12);
        let complete = [Complete::None, Complete::Line, Complete::Order][dice.below(3) as usize];
        if let Some(last) = input.orders.last_mut() {
            last.complete = complete;
        }
    }
    input
}

/// A backlog in which every third SKU is a kit of two others, the first of them often a kit itself.
fn kitted(seed: u64, orders: i64, rows: i64) -> Input {
    let mut input = backlog(seed, orders, rows);
    let skus = rows / 20;
    for sku in (2..skus).step_by(3) {
        let part = |n: i64, qty: i64| BomLine {
            sku: format!("SKU-{n:05}"),
            qty,
        };
        let inner = if sku % 2 == 0 && sku > 3 {
            sku - 3
        } else {
            sku - 2
        };
        let lines = vec![part(inner, 1), part(sku - 1, 2)];
        let parent = format!("SKU-{sku:05}");
        input.boms.push(Bom {
            parent,
            yields: 1,
            auto: true,
            lines,
        });
    }
    input
}

fn lot(input: &mut Input, sku: i64, loc: i64, qty: i64, n: i64) {
    input.lots.push(Lot {
        id: format!("LOT-{sku:05}-{loc:02}-{n}"),
        sku: format!("SKU-{sku:05}"),
        loc: format!("L{loc:02}"),
        qty,
        external: 0,
        batch: None,
        expiry: None,
        received: None,
    });
}

fn order(input: &mut Input, dice: &mut Dice, o: i64, lines: i64, skus: i64, most: u64) {
    let mut chosen: Vec<i64> = Vec::new();
    while (chosen.len() as i64) < lines {
        let sku = dice.below(skus as u64);
        if !chosen.contains(&sku) {
            chosen.push(sku);
        }
    }
    let lines = chosen.iter().enumerate().map(|(i, sku)| Line {
        id: (i + 1).to_string(),
        sku: format!("SKU-{sku:05}"),
        qty: 1 + dice.below(most),
        weight: 1,
    });
    let lines = lines.collect();
    input.orders.push(Order {
        id: format!("SO-{o:05}"),
        entered: Day::from_number(input.now.number() - dice.below(30) as i32),
        eligible: None,
        class: dice.below(10),
        ship_by: None,
        not_before: None,
        complete: Complete::None,
        max_shipments: None,
        shipments_made: 0,
        min_fill_pct: 0,
        min_shelf_days: 0,
        ship_from: None,
        lines,
    });
}
