//! The best service of one order while the orders ahead keep theirs, by asking whether a day is possible.

use super::{Grant, holds, last_day};
use crate::engine::program::Expr;
use crate::input::{Complete, Term};
use crate::model::{Ask, LIMITS, Model, Shape, Use};
use crate::split::assign;
use crate::stock::Stock;
use crate::world::World;

/// Serves `order` from `stock` alone and takes its units.
pub(super) fn grant(world: &World<'_>, stock: &mut Stock, order: usize) -> Grant {
    let mut question = Question {
        world,
        stock,
        others: &[],
        proven: true,
    };
    let mut grant = question.best(order);
    let proven = question.proven;
    let mut asks: Vec<Ask> = grant.asks.clone();
    asks.extend(grant.held.clone());
    let (uses, settled) = settle(world, stock, asks);
    grant.unproven = !(proven && settled);
    // All uses together: one after the other, the first could take what only the second can do without.
    if let Some(given) = assign(world, stock.clone(), uses.clone()) {
        for (used, takes) in given {
            stock.give(&used, &takes);
            grant.uses.push((used, takes));
        }
        return grant;
    }
    for used in uses {
        let takes = stock
            .take(world, &used, false)
            .or_else(|| stock.take(world, &used, true));
        match takes {
            Some(takes) => grant.uses.push((used, takes)),
            None => grant.unproven = true,
        }
    }
    grant
}

/// Chooses places, assemblies and days of units for fixed asks: fewest assembled, earliest, fewest units,
/// fewest of them beside own hard claims, least moved.
pub(super) fn settle(world: &World<'_>, stock: &Stock, asks: Vec<Ask>) -> (Vec<Use>, bool) {
    if asks.is_empty() {
        return (Vec::new(), true);
    }
    let shape = Shape {
        policies: false,
        efficiency: false,
        by_date: true,
    };
    let mut model = Model::new(world, stock, asks, shape);
    model.add_churn();
    let found = model.search.feasible(LIMITS);
    let Some(mut x) = found.x else {
        return (Vec::new(), false);
    };
    let goals: [Expr; 5] = [
        model.term(Term::Assembled),
        model.lateness(),
        model.units_taken(),
        model.hard_units(),
        model.term(Term::Churn),
    ];
    for goal in goals {
        model.improve(goal, &mut x);
    }
    model.break_ties(&mut x);
    let uses = model.uses(&x);
    if assign(world, stock.clone(), uses.clone()).is_none() {
        return (uses, false);
    }
    (uses, model.proven)
}

/// What one order can get from `stock` while `others` get exactly what they ask.
pub(super) struct Question<'a> {
    pub world: &'a World<'a>,
    pub stock: &'a Stock,
    pub others: &'a [Ask],
    pub proven: bool,
}

impl Question<'_> {
    pub fn best(&mut self, order: usize) -> Grant {
        let complete = self.world.orders[order].complete;
        let mut grant = match complete {
            Complete::Order => self.whole_order(order),
            Complete::Line => self.whole_lines(order),
            Complete::None => self.anything(order),
        };
        grant.asks.sort_by_key(|ask| ask.date);
        grant
    }

    /// Days on which the order's chances can change.
    fn days(&self, order: usize) -> Vec<i32> {
        let info = &self.world.orders[order];
        let mut days = vec![info.start];
        for &sku in &info.closure {
            let nodes = self.world.sku_nodes[sku].iter();
            let dates = nodes.map(|&node| self.world.nodes[node].date);
            days.extend(dates.filter(|&day| day > info.start));
        }
        days.sort_unstable();
        days.dedup();
        days
    }

    fn model(&self, mine: Vec<Ask>) -> Model<'_> {
        let mut asks = mine;
        asks.extend(self.others.iter().cloned());
        Model::new(self.world, self.stock, asks, Shape::default())
    }

    fn possible(&mut self, mine: Vec<Ask>) -> bool {
        let (possible, proven) = {
            let mut model = self.model(mine);
            let found = model.search.feasible(LIMITS);
            (found.x.is_some(), found.proven)
        };
        self.proven &= possible || proven;
        possible
    }

    fn whole_order(&mut self, order: usize) -> Grant {
        let lines: Vec<(i64, i64)> = self.world.orders[order]
            .lines
            .iter()
            .map(|line| (line.qty, line.qty))
            .collect();
        for date in self.days(order) {
            let ask = Ask {
                order,
                date,
                lines: lines.clone(),
                held: false,
            };
            if self.possible(vec![ask.clone()]) {
                return Grant {
                    asks: vec![ask],
                    ..Grant::default()
                };
            }
        }
        let mut grant = Grant::default();
        if holds(self.world) {
            let open = lines.iter().map(|line| line.1).collect();
            self.hold(order, open, &mut grant);
        }
        grant
    }

    fn whole_lines(&mut self, order: usize) -> Grant {
        let wanted: Vec<i64> = self.world.orders[order]
            .lines
            .iter()
            .map(|line| line.qty)
            .collect();
        let mut grant = Grant::default();
        let mut undated = vec![0; wanted.len()];
        for (line, &qty) in wanted.iter().enumerate() {
            let mut found = false;
            for date in self.days(order) {
                let mut asks = grant.asks.clone();
                match asks.iter_mut().find(|ask| ask.date == date) {
                    Some(ask) => ask.lines[line] = (qty, qty),
                    None => {
                        let mut lines = vec![(0, 0); wanted.len()];
                        lines[line] = (qty, qty);
                        asks.push(Ask {
                            order,
                            date,
                            lines,
                            held: false,
                        });
                    }
                }
                if self.possible(asks.clone()) {
                    grant.asks = asks;
                    found = true;
                    break;
                }
            }
            if !found {
                undated[line] = qty;
            }
        }
        if holds(self.world) && undated.iter().any(|&qty| qty > 0) {
            self.hold(order, undated, &mut grant);
        }
        grant
    }

    fn anything(&mut self, order: usize) -> Grant {
        let mut left: Vec<i64> = self.world.orders[order]
            .lines
            .iter()
            .map(|line| line.qty)
            .collect();
        let mut grant = Grant::default();
        for date in self.days(order) {
            if left.iter().all(|&qty| qty == 0) {
                break;
            }
            let given = self.fill(order, date, false, &left, &grant.asks);
            if given.iter().any(|&qty| qty > 0) {
                for (left, given) in left.iter_mut().zip(&given) {
                    *left -= given;
                }
                let lines = given.into_iter().map(|qty| (qty, qty)).collect();
                grant.asks.push(Ask {
                    order,
                    date,
                    lines,
                    held: false,
                });
            }
        }
        grant
    }

    fn hold(&mut self, order: usize, open: Vec<i64>, grant: &mut Grant) {
        let date = last_day(self.world);
        let given = self.fill(order, date, true, &open, &grant.asks);
        if given.iter().any(|&qty| qty > 0) {
            let lines = given.into_iter().map(|qty| (qty, qty)).collect();
            grant.held = Some(Ask {
                order,
                date,
                lines,
                held: true,
            });
        }
    }

    /// Most units on `date` beside the order's own `fixed` asks, then most of line 1, and so on.
    fn fill(
        &mut self,
        order: usize,
        date: i32,
        held: bool,
        open: &[i64],
        fixed: &[Ask],
    ) -> Vec<i64> {
        let lines = open.iter().map(|&qty| (0, qty)).collect();
        let mut mine = vec![Ask {
            order,
            date,
            lines,
            held,
        }];
        mine.extend(fixed.iter().cloned());
        let mut model = self.model(mine);
        let found = model.search.feasible(LIMITS);
        let Some(mut x) = found.x else {
            self.proven = false;
            return vec![0; open.len()];
        };
        let all: Expr = (0..open.len())
            .flat_map(|line| model.line(0, line))
            .map(|(var, _)| (var, -1))
            .collect();
        model.improve(all, &mut x);
        let full = (0..open.len()).all(|line| model.shipped(0, line, &x) == open[line]);
        for (line, &qty) in open.iter().enumerate() {
            if !full && model.shipped(0, line, &x) < qty {
                let more: Expr = model
                    .line(0, line)
                    .into_iter()
                    .map(|(v, _)| (v, -1))
                    .collect();
                model.maximise(more, &mut x);
            }
            let best = model.shipped(0, line, &x);
            model.set_line(0, line, best, best);
        }
        let given = (0..open.len())
            .map(|line| model.shipped(0, line, &x))
            .collect();
        let proven = model.proven;
        self.proven &= proven;
        given
    }
}
