//! Orders as an integer program: what ships from where and when, what is assembled, what it takes.

mod points;
mod supply;
mod terms;

use std::collections::HashMap;

use crate::engine::program::{Expr, Program, tidy, value};
use crate::engine::search::{Limits, Search};
use crate::input::Complete;
use crate::stock::Stock;
use crate::world::World;

/// How much one objective may be searched before the best found is taken unproven.
pub(crate) const LIMITS: Limits = Limits {
    nodes: 20_000,
    work: 600_000_000,
};

/// What an order asks for on one day: each line between two bounds, over all locations.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub order: usize,
    pub date: i32,
    pub lines: Vec<(i64, i64)>,
    /// Units that are only held: no shipment is counted for them.
    pub held: bool,
}

/// What a model has besides stock and kits.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Shape {
    /// The customer rules of a release: complete, least fill, capacity.
    pub policies: bool,
    /// Variables for shipments, balance and churn.
    pub efficiency: bool,
    /// Takes told apart by the day of their units.
    pub by_date: bool,
}

/// What one order gets from one location on one day, without saying which nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Use {
    pub order: usize,
    pub loc: usize,
    pub date: i32,
    /// Units by line.
    pub lines: Vec<i64>,
    /// Units taken, by SKU.
    pub takes: Vec<(usize, i64)>,
    /// Runs of bills, by SKU.
    pub runs: Vec<(usize, i64)>,
    /// As in [`Ask::held`].
    pub held: bool,
}

pub(super) struct SkuVars {
    pub sku: usize,
    pub runs: Option<usize>,
    pub take: Expr,
    /// (node, variable): units of the order's own hard claims.
    pub private: Vec<(usize, usize)>,
}

pub(super) struct Slot {
    pub ask: usize,
    pub order: usize,
    pub loc: usize,
    pub date: i32,
    pub x: Vec<Option<usize>>,
    pub open: Option<usize>,
    pub skus: Vec<SkuVars>,
}

pub(crate) struct Model<'w> {
    pub world: &'w World<'w>,
    pub search: Search,
    pub(super) slots: Vec<Slot>,
    asks: Vec<Ask>,
    /// Row of each line of each ask.
    line_rows: Vec<Vec<usize>>,
    /// Units of nodes by the day they are there: (days from today, variable).
    pub(super) dated: Vec<(i64, usize)>,
    pub(super) balance: Vec<usize>,
    pub(super) churn: Vec<usize>,
    /// Whether `churn` is more than a lower estimate.
    pub proven: bool,
}

impl<'w> Model<'w> {
    /// Builds the program of `asks` over what `stock` still holds.
    pub fn new(world: &'w World<'w>, stock: &Stock, asks: Vec<Ask>, shape: Shape) -> Self {
        let free = stock.free.as_slice();
        let mut program = Program::default();
        let mut slots = Vec::new();
        for (index, ask) in asks.iter().enumerate() {
            for loc in 0..world.places.len() {
                if let Some(slot) = slot(world, free, &mut program, index, ask, loc) {
                    slots.push(slot);
                }
            }
        }
        let mut line_rows = Vec::new();
        for (index, ask) in asks.iter().enumerate() {
            let mut rows = Vec::new();
            for (line, &(lo, hi)) in ask.lines.iter().enumerate() {
                let terms = line_terms(&slots, index, line);
                rows.push(program.row(terms, Some(lo), Some(hi)));
            }
            line_rows.push(rows);
        }
        let mut model = Self {
            world,
            search: Search::new(Program::default()),
            slots,
            asks,
            line_rows,
            dated: Vec::new(),
            balance: Vec::new(),
            churn: Vec::new(),
            proven: true,
        };
        model.open_slots(&mut program, shape);
        model.private(&mut program);
        model.supply(&mut program, free, shape.by_date);
        if shape.policies {
            model.policies(&mut program, stock);
        }
        if shape.efficiency {
            model.reserves(&mut program, &stock.taken);
            model.moved(&mut program, false);
        }
        model.search = Search::new(program);
        model
    }

    /// Variables that say whether a slot ships, where somebody counts shipments.
    fn open_slots(&mut self, program: &mut Program, shape: Shape) {
        let mut count: HashMap<usize, i64> = HashMap::new();
        for slot in self.slots.iter().filter(|slot| !self.asks[slot.ask].held) {
            *count.entry(slot.order).or_default() += 1;
        }
        let mut open_of: HashMap<usize, Expr> = HashMap::new();
        for slot in &mut self.slots {
            let left = self.world.orders[slot.order].shipments_left;
            let held = self.asks[slot.ask].held;
            let limited = !held && left.is_some_and(|left| left < count[&slot.order]);
            if !(shape.efficiency || limited) {
                continue;
            }
            let open = program.var(0, 1, 3);
            for &x in slot.x.iter().flatten() {
                let most = program.hi[x];
                program.row(vec![(x, 1), (open, -most)], None, Some(0));
            }
            slot.open = Some(open);
            if limited {
                open_of.entry(slot.order).or_default().push((open, 1));
            }
        }
        let mut orders: Vec<usize> = open_of.keys().copied().collect();
        orders.sort_unstable();
        for order in orders {
            let left = self.world.orders[order].shipments_left.unwrap_or(0);
            program.row(open_of[&order].clone(), None, Some(left));
        }
    }

    fn policies(&mut self, program: &mut Program, stock: &Stock) {
        for (index, ask) in self.asks.iter().enumerate() {
            let order = &self.world.orders[ask.order];
            let lines: Vec<Expr> = (0..ask.lines.len())
                .map(|line| line_terms(&self.slots, index, line))
                .collect();
            let mut all_or_nothing = |lines: &[(usize, i64)]| {
                let switch = program.var(0, 1, 4);
                for &(line, qty) in lines {
                    let mut terms = line_terms(&self.slots, index, line);
                    terms.push((switch, -qty));
                    program.row(terms, Some(0), Some(0));
                }
            };
            let quantities: Vec<(usize, i64)> = order
                .lines
                .iter()
                .map(|line| line.qty)
                .enumerate()
                .collect();
            match order.complete {
                Complete::Order => all_or_nothing(&quantities),
                Complete::Line => quantities.iter().for_each(|line| all_or_nothing(&[*line])),
                Complete::None => {}
            }
            if order.units_min > 1 {
                let ships = program.var(0, 1, 4);
                for terms in &lines {
                    for &(x, _) in terms {
                        let most = program.hi[x];
                        program.row(vec![(x, 1), (ships, -most)], None, Some(0));
                    }
                }
                let mut terms: Expr = lines.concat();
                terms.push((ships, -order.units_min));
                program.row(terms, Some(0), None);
            }
        }
        for (loc, &room) in stock.room.iter().enumerate() {
            if let Some(room) = room {
                let at = self.slots.iter().filter(|slot| slot.loc == loc);
                let terms: Expr = at
                    .flat_map(|slot| slot.x.iter().flatten().map(|&x| (x, 1)))
                    .collect();
                if program.range(&terms).1 > room {
                    program.row(terms, None, Some(room));
                }
            }
        }
    }

    /// Narrows what an ask may get of a line.
    pub fn set_line(&mut self, ask: usize, line: usize, lo: i64, hi: i64) {
        self.search.set_row(self.line_rows[ask][line], lo, hi);
    }

    /// The units of `line` of `ask`, over all locations.
    pub fn line(&self, ask: usize, line: usize) -> Expr {
        line_terms(&self.slots, ask, line)
    }

    /// The order of `ask`.
    pub fn order(&self, ask: usize) -> usize {
        self.asks[ask].order
    }

    /// Units of `line` of `ask` at point `x`.
    pub fn shipped(&self, ask: usize, line: usize, x: &[i64]) -> i64 {
        value(&self.line(ask, line), x) as i64
    }

    /// Adds what [`Term::Churn`] counts; the simplex starts again.
    ///
    /// [`Term::Churn`]: crate::input::Term::Churn
    pub fn add_churn(&mut self) {
        let mut program = std::mem::take(&mut self.search.program);
        self.moved(&mut program, true);
        self.search = Search::new(program);
    }

    /// Minimises `objective` without keeping it; `x` becomes the best point.
    pub fn maximise(&mut self, objective: Expr, x: &mut Vec<i64>) {
        let found = self.search.minimise(&objective, Some(x.clone()), LIMITS);
        self.proven &= found.proven;
        if let Some(point) = found.x {
            *x = point;
        }
    }

    /// Minimises `objective` and keeps it at its best from now on. `x` is a point, and becomes the best one.
    pub fn improve(&mut self, objective: Expr, x: &mut Vec<i64>) -> i128 {
        let objective = tidy(objective);
        let now = value(&objective, x);
        let least = self.search.program.range(&objective).0;
        if objective.is_empty() {
            return 0;
        }
        let mut best = now;
        if now > i128::from(least) {
            let found = self.search.minimise(&objective, Some(x.clone()), LIMITS);
            self.proven &= found.proven;
            if let Some(point) = found.x {
                *x = point;
                best = value(&objective, x);
            }
        }
        // Values beyond 64 bits are kept by what follows from them, or not at all.
        match i64::try_from(best) {
            Ok(limit) => {
                self.search.add_row(objective, None, Some(limit));
            }
            Err(_) => self.proven = false,
        }
        best
    }
}

fn line_terms(slots: &[Slot], ask: usize, line: usize) -> Expr {
    let of_ask = slots.iter().filter(|slot| slot.ask == ask);
    of_ask
        .filter_map(|slot| slot.x[line].map(|x| (x, 1)))
        .collect()
}

/// Variables of what `ask` may get from `loc`; `None` when that is nothing.
fn slot(
    world: &World<'_>,
    free: &[i64],
    program: &mut Program,
    index: usize,
    ask: &Ask,
    loc: usize,
) -> Option<Slot> {
    let order = &world.orders[ask.order];
    if !order.from[loc] || ask.date < order.start {
        return None;
    }
    let mut reach = supply::Reach::new(world, free, ask.order, loc, ask.date);
    let most: Vec<i64> = order
        .lines
        .iter()
        .zip(&ask.lines)
        .map(|(line, &(_, hi))| {
            if hi > 0 {
                hi.min(reach.most(line.sku))
            } else {
                0
            }
        })
        .collect();
    if most.iter().all(|&qty| qty == 0) {
        return None;
    }
    let x: Vec<Option<usize>> = most
        .iter()
        .map(|&qty| (qty > 0).then(|| program.var(0, qty, 1)))
        .collect();
    let mut need: HashMap<usize, Expr> = HashMap::new();
    for (line, x) in order.lines.iter().zip(&x) {
        if let Some(x) = x {
            need.entry(line.sku).or_default().push((*x, 1));
        }
    }
    let mut skus = Vec::new();
    // Kits come before their components, so every need is complete when its SKU is reached.
    for &sku in &order.closure {
        let Some(mut take) = need.remove(&sku) else {
            continue;
        };
        let mut runs = None;
        if let Some(bill) = &world.bills.of[sku] {
            let wanted = program.range(&take).1;
            let wanted_runs = wanted / bill.yields + i64::from(wanted % bill.yields != 0);
            let runs_max = wanted_runs.min(reach.runs(sku));
            if runs_max > 0 {
                let run = program.var(0, runs_max, 2);
                take.push((run, -bill.yields));
                if bill.yields > 1 {
                    // What a run makes beyond the need; only a run can leave any.
                    let spare = program.var(0, bill.yields - 1, 1);
                    program.row(vec![(spare, 1), (run, 1 - bill.yields)], None, Some(0));
                    take.push((spare, 1));
                }
                for &(component, qty) in &bill.lines {
                    need.entry(component).or_default().push((run, qty));
                }
                runs = Some(run);
            }
            program.row(take.clone(), Some(0), None);
        }
        skus.push(SkuVars {
            sku,
            runs,
            take: tidy(take),
            private: Vec::new(),
        });
    }
    Some(Slot {
        ask: index,
        order: ask.order,
        loc,
        date: ask.date,
        x,
        open: None,
        skus,
    })
}
