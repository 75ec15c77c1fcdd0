//! Right answers by counting every possibility. Slow, simple, and written without looking at the engines.

use std::collections::{BTreeMap, HashMap, HashSet};

use orders::Day;
use orders::input::*;

/// More possibilities than this are not counted.
const OPTIONS_MAX: usize = 2_500;
const STATES_MAX: usize = 4_000;

/// One way of serving one order.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Way {
    /// Units off each node, then off each location's room.
    uses: Vec<i64>,
    service: Vec<i64>,
    terms: Vec<i64>,
}

struct Node<'a> {
    id: &'a str,
    sku: &'a str,
    loc: usize,
    date: Day,
    expiry: Option<Day>,
    free: i64,
}

pub struct Oracle<'a> {
    input: &'a Input,
    nodes: Vec<Node<'a>>,
    dates: Vec<Day>,
    split: bool,
}

#[derive(Clone, Copy, PartialEq)]
struct Slot {
    loc: usize,
    date: Day,
    held: bool,
}

/// Services by order in `sequence`, then the efficiency terms.
pub type Best = (Vec<Vec<i64>>, Vec<i64>);

impl<'a> Oracle<'a> {
    pub fn new(input: &'a Input, split: bool) -> Self {
        let place = |id: &str| input.locations.iter().position(|loc| loc.id == id).unwrap();
        let mut nodes: Vec<Node<'a>> = input
            .lots
            .iter()
            .map(|lot| Node {
                id: &lot.id,
                sku: &lot.sku,
                loc: place(&lot.loc),
                date: input.now,
                expiry: lot.expiry,
                free: (lot.qty - lot.external).max(0),
            })
            .collect();
        if !split {
            nodes.extend(input.inbound.iter().filter(|i| i.confirmed).map(|i| Node {
                id: &i.id,
                sku: &i.sku,
                loc: place(&i.loc),
                date: i.eta,
                expiry: i.expiry,
                free: i.qty,
            }));
        }
        let mut dates = vec![input.now];
        if !split {
            dates.extend(nodes.iter().map(|node| node.date));
            dates.extend(input.orders.iter().filter_map(|order| order.not_before));
            dates.sort();
            dates.dedup();
        }
        Self {
            input,
            nodes,
            dates,
            split,
        }
    }

    /// The lexicographic optimum; `None` when there is too much to count.
    pub fn best(&self, sequence: &[String]) -> Option<Best> {
        let rooms = self.input.locations.iter().map(|loc| match loc.capacity {
            Some(room) if self.split => room,
            _ => i64::MAX / 2,
        });
        let start: Vec<i64> = self
            .nodes
            .iter()
            .map(|node| node.free)
            .chain(rooms)
            .collect();
        let mut states: HashMap<Vec<i64>, Best> = HashMap::new();
        let terms = self.input.config.efficiency.len();
        states.insert(start.clone(), (Vec::new(), vec![0; terms]));
        let joint = self.split && self.input.config.scope == Scope::Joint;
        for id in sequence {
            let order = self
                .input
                .orders
                .iter()
                .find(|order| order.id == *id)
                .unwrap();
            let ways = self.ways(order)?;
            let mut next: HashMap<Vec<i64>, Best> = HashMap::new();
            for (state, (services, sums)) in &states {
                for way in &ways {
                    if state.iter().zip(&way.uses).any(|(has, uses)| has < uses) {
                        continue;
                    }
                    let left: Vec<i64> = state
                        .iter()
                        .zip(&way.uses)
                        .map(|(has, uses)| has - uses)
                        .collect();
                    let mut services = services.clone();
                    if joint {
                        let sum = services.first().map_or(0, |s: &Vec<i64>| s[0]);
                        services = vec![vec![sum + way.service[0]]];
                    } else {
                        services.push(way.service.clone());
                    }
                    let sums = sums.iter().zip(&way.terms).map(|(a, b)| a + b).collect();
                    let best = (services, sums);
                    match next.get_mut(&left) {
                        Some(old) if *old <= best => {}
                        Some(old) => *old = best,
                        None => {
                            next.insert(left, best);
                        }
                    }
                }
            }
            if next.len() > STATES_MAX {
                return None;
            }
            states = next;
        }
        let balance = self
            .input
            .config
            .efficiency
            .iter()
            .position(|t| *t == Term::Balance);
        let ends = states.into_iter().map(|(state, (services, mut sums))| {
            if let Some(at) = balance {
                sums[at] = self.balance(&state);
            }
            (services, sums)
        });
        ends.min()
    }

    fn balance(&self, state: &[i64]) -> i64 {
        let eaten = self.input.reserves.iter().map(|reserve| {
            let nodes = self.nodes.iter().zip(state).filter(|(node, _)| {
                node.sku == reserve.sku && self.input.locations[node.loc].id == reserve.loc
            });
            (reserve.qty - nodes.map(|(_, left)| left).sum::<i64>()).max(0)
        });
        eaten.sum()
    }

    fn ways(&self, order: &Order) -> Option<Vec<Way>> {
        let mut slots = Vec::new();
        let last = *self.dates.last().unwrap();
        for loc in 0..self.input.locations.len() {
            let id = &self.input.locations[loc].id;
            if order
                .ship_from
                .as_ref()
                .is_some_and(|list| !list.contains(id))
            {
                continue;
            }
            for &date in &self.dates {
                if order.not_before.is_none_or(|day| day <= date) {
                    slots.push(Slot {
                        loc,
                        date,
                        held: false,
                    });
                }
            }
            let strict = self.input.config.hold_no_date == HoldNoDate::Strict;
            if !self.split
                && order.complete != Complete::None
                && strict
                && order.not_before.is_none_or(|day| day <= last)
            {
                slots.push(Slot {
                    loc,
                    date: last,
                    held: true,
                });
            }
        }
        let mut found = HashSet::new();
        let mut units = vec![vec![0; slots.len()]; order.lines.len()];
        let mut budget = 30_000u32;
        self.lines(order, &slots, 0, 0, &mut units, &mut found, &mut budget)?;
        Some(found.into_iter().collect())
    }

    /// Every division of lines over slots.
    #[allow(clippy::too_many_arguments)]
    fn lines(
        &self,
        order: &Order,
        slots: &[Slot],
        line: usize,
        slot: usize,
        units: &mut Vec<Vec<i64>>,
        found: &mut HashSet<Way>,
        budget: &mut u32,
    ) -> Option<()> {
        if line == order.lines.len() {
            if let Some(service) = self.service(order, slots, units) {
                self.nodes(order, slots, units, service, found, budget)?;
            }
            return Some(());
        }
        if slot == slots.len() {
            return self.lines(order, slots, line + 1, 0, units, found, budget);
        }
        let given: i64 = units[line][..slot].iter().sum();
        for qty in 0..=order.lines[line].qty - given {
            *budget = budget.checked_sub(1)?;
            units[line][slot] = qty;
            self.lines(order, slots, line, slot + 1, units, found, budget)?;
        }
        units[line][slot] = 0;
        Some(())
    }

    /// The service of a division, if the order's rules allow it.
    fn service(&self, order: &Order, slots: &[Slot], units: &[Vec<i64>]) -> Option<Vec<i64>> {
        let ships = |slot: usize| !slots[slot].held && units.iter().any(|line| line[slot] > 0);
        let shipments = (0..slots.len()).filter(|&slot| ships(slot)).count() as i64;
        if order
            .max_shipments
            .is_some_and(|most| shipments > most - order.shipments_made)
        {
            return None;
        }
        let full = |line: usize| {
            let sum: i64 = units[line].iter().sum();
            sum == order.lines[line].qty
        };
        let lines = 0..order.lines.len();
        if self.split {
            let sum = |line: usize| units[line].iter().sum::<i64>();
            let total: i64 = lines.clone().map(sum).sum();
            let open: i64 = order.lines.iter().map(|line| line.qty).sum();
            let fair = match order.complete {
                Complete::None => true,
                Complete::Line => lines.clone().all(|line| full(line) || sum(line) == 0),
                Complete::Order => lines.clone().all(full) || total == 0,
            };
            if !fair || (total > 0 && total * 100 < open * order.min_fill_pct) {
                return None;
            }
            let short: Vec<i64> = lines
                .map(|line| (order.lines[line].qty - sum(line)) * order.lines[line].weight)
                .collect();
            let mut service = vec![short.iter().sum()];
            service.extend(short);
            return Some(service);
        }
        // The single day on which a line ships in full, if it does.
        let day_of = |line: usize| -> Option<usize> {
            let days: Vec<usize> = (0..slots.len())
                .filter(|&slot| units[line][slot] > 0 && !slots[slot].held)
                .map(|slot| {
                    self.dates
                        .iter()
                        .position(|d| *d == slots[slot].date)
                        .unwrap()
                })
                .collect();
            let one = days.windows(2).all(|pair| pair[0] == pair[1]);
            (one && !days.is_empty()).then(|| days[0])
        };
        let held = |line: usize| (0..slots.len()).any(|s| slots[s].held && units[line][s] > 0);
        let sold = |line: usize| (0..slots.len()).any(|s| !slots[s].held && units[line][s] > 0);
        let missing = |line: usize| order.lines[line].qty - units[line].iter().sum::<i64>();
        match order.complete {
            Complete::Order => {
                if lines.clone().any(sold) {
                    let days: Vec<Option<usize>> = lines.clone().map(day_of).collect();
                    let together = days.windows(2).all(|pair| pair[0] == pair[1]);
                    let whole = lines.clone().all(|line| full(line) && !held(line));
                    let day = days[0]?;
                    return (together && whole).then(|| vec![day as i64]);
                }
                let mut service = vec![i64::MAX, lines.clone().map(missing).sum()];
                service.extend(lines.map(missing));
                Some(service)
            }
            Complete::Line => {
                let mut service = Vec::new();
                for line in lines.clone() {
                    if sold(line) {
                        let whole = full(line) && !held(line);
                        service.push(day_of(line).filter(|_| whole)? as i64);
                    } else {
                        service.push(i64::MAX);
                    }
                }
                let undated: Vec<i64> = lines
                    .map(|line| if sold(line) { 0 } else { missing(line) })
                    .collect();
                service.push(undated.iter().sum());
                service.extend(undated);
                Some(service)
            }
            Complete::None => {
                let mut service = Vec::new();
                for &date in &self.dates {
                    let open = |line: usize| {
                        let by = (0..slots.len()).filter(|&slot| slots[slot].date <= date);
                        order.lines[line].qty - by.map(|slot| units[line][slot]).sum::<i64>()
                    };
                    service.push(lines.clone().map(open).sum());
                    service.extend(lines.clone().map(open));
                }
                Some(service)
            }
        }
    }

    /// Every choice of finished units, runs and nodes for a division.
    fn nodes(
        &self,
        order: &Order,
        slots: &[Slot],
        units: &[Vec<i64>],
        service: Vec<i64>,
        found: &mut HashSet<Way>,
        budget: &mut u32,
    ) -> Option<()> {
        let mut partial = vec![(vec![0i64; self.nodes.len()], 0i64, 0i64)];
        for (s, slot) in slots.iter().enumerate() {
            let mut need: BTreeMap<&str, i64> = BTreeMap::new();
            for (line, units) in order.lines.iter().zip(units) {
                *need.entry(&line.sku).or_default() += units[s];
            }
            let mut next = HashSet::new();
            for (taken, made, money) in &partial {
                let mut here = Vec::new();
                let start = (taken.clone(), *made, *money);
                self.explode(order, *slot, need.clone(), start, &mut here, budget)?;
                next.extend(here);
            }
            partial = next.into_iter().collect();
            if partial.len() > OPTIONS_MAX {
                return None;
            }
        }
        for (taken, made, money) in partial {
            let mut uses = taken.clone();
            for loc in 0..self.input.locations.len() {
                let here = (0..slots.len()).filter(|&s| slots[s].loc == loc);
                uses.push(
                    here.map(|s| units.iter().map(|line| line[s]).sum::<i64>())
                        .sum(),
                );
            }
            let terms = self.terms(order, slots, units, &taken, made, money);
            found.insert(Way {
                uses,
                service: service.clone(),
                terms,
            });
        }
        (found.len() <= OPTIONS_MAX).then_some(())
    }

    /// Meets `need` in one slot, the outermost kit first.
    fn explode(
        &self,
        order: &Order,
        slot: Slot,
        need: BTreeMap<&str, i64>,
        so_far: (Vec<i64>, i64, i64),
        out: &mut Vec<(Vec<i64>, i64, i64)>,
        budget: &mut u32,
    ) -> Option<()> {
        *budget = budget.checked_sub(1)?;
        // A SKU that no other needed SKU could still ask for.
        let open: Vec<&str> = need
            .iter()
            .filter(|(_, qty)| **qty > 0)
            .map(|(sku, _)| *sku)
            .collect();
        let Some(&sku) = open
            .iter()
            .find(|sku| !open.iter().any(|o| o != *sku && self.uses(o, sku)))
        else {
            out.push(so_far);
            return Some(());
        };
        let qty = need[sku];
        let bom = self.input.boms.iter().find(|bom| bom.parent == sku);
        let least = if bom.is_some() { 0 } else { qty };
        for finished in least..=qty {
            for taken in self.takes(order, slot, sku, finished, &so_far.0) {
                let mut need = need.clone();
                need.remove(sku);
                let (mut made, mut money) = (so_far.1, so_far.2);
                if let (Some(bom), true) = (bom, finished < qty) {
                    let runs = (qty - finished + bom.yields - 1) / bom.yields;
                    for line in &bom.lines {
                        *need.entry(&line.sku).or_default() += runs * line.qty;
                    }
                    made += runs * bom.yields;
                    let each = self.input.costs.assembly.get(sku).copied().unwrap_or(0);
                    money += runs * bom.yields * each;
                }
                self.explode(order, slot, need, (taken, made, money), out, budget)?;
            }
        }
        Some(())
    }

    fn uses(&self, parent: &str, sku: &str) -> bool {
        let bom = self.input.boms.iter().find(|bom| bom.parent == parent);
        bom.is_some_and(|bom| {
            bom.lines
                .iter()
                .any(|line| line.sku == sku || self.uses(&line.sku, sku))
        })
    }

    /// Every way of taking `qty` finished units.
    fn takes(
        &self,
        order: &Order,
        slot: Slot,
        sku: &str,
        qty: i64,
        taken: &[i64],
    ) -> Vec<Vec<i64>> {
        let mut ways = vec![(taken.to_vec(), qty)];
        for (i, node) in self.nodes.iter().enumerate() {
            let life = node
                .expiry
                .map(|day| i64::from(day.number() - slot.date.number()));
            let fits = node.sku == sku
                && node.loc == slot.loc
                && node.date <= slot.date
                && life.is_none_or(|days| days >= order.min_shelf_days);
            if !fits {
                continue;
            }
            let mut next = Vec::new();
            for (taken, left) in ways {
                for part in 0..=left.min(node.free - taken[i]) {
                    let mut taken = taken.clone();
                    taken[i] += part;
                    next.push((taken, left - part));
                }
            }
            ways = next;
        }
        ways.into_iter()
            .filter(|(_, left)| *left == 0)
            .map(|(taken, _)| taken)
            .collect()
    }

    fn terms(
        &self,
        order: &Order,
        slots: &[Slot],
        units: &[Vec<i64>],
        taken: &[i64],
        made: i64,
        money: i64,
    ) -> Vec<i64> {
        let mut sums: BTreeMap<Term, i64> = BTreeMap::new();
        *sums.entry(Term::Assembled).or_default() += made;
        *sums.entry(Term::Cost).or_default() += money;
        for (s, slot) in slots.iter().enumerate() {
            let count: i64 = units.iter().map(|line| line[s]).sum();
            if count == 0 {
                continue;
            }
            let loc = &self.input.locations[slot.loc];
            *sums.entry(Term::Shipments).or_default() += 1;
            *sums.entry(Term::Rank).or_default() += count * loc.rank;
            let costs = &self.input.costs.shipment;
            let of = |id: &str| costs.iter().find(|c| c.order == id && c.loc == loc.id);
            if let Some(cost) = of(&order.id).or_else(|| of("*")) {
                *sums.entry(Term::Cost).or_default() += cost.fixed + cost.per_unit * count;
                *sums.entry(Term::Distance).or_default() += cost.distance;
            }
        }
        for claim in self
            .input
            .allocations
            .iter()
            .filter(|claim| claim.order == order.id)
        {
            let node = self.nodes.iter().position(|node| node.id == claim.node);
            let now = node.map_or(0, |node| taken[node]);
            *sums.entry(Term::Churn).or_default() += (claim.qty - now).max(0);
        }
        let terms = &self.input.config.efficiency;
        terms
            .iter()
            .map(|term| sums.get(term).copied().unwrap_or(0))
            .collect()
    }
}
