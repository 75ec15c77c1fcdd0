//! Units: given once, covered once, hard claims untouched, soft claims moved forward only, rotation kept.

use std::collections::{BTreeMap, HashMap};

use super::Judge;
use crate::input::{Allocation, Complete, HoldNoDate, Rotation, Strength};
use crate::plan::Op;

impl<'a> Judge<'a> {
    /// I1 and I2 for nodes.
    pub(super) fn conservation(&mut self) {
        let mut claimed: BTreeMap<&str, i128> = BTreeMap::new();
        let mut by_order: HashMap<(&str, &str), i128> = HashMap::new();
        for claim in &self.plan.claims {
            *claimed.entry(&claim.node).or_default() += i128::from(claim.qty);
            *by_order.entry((&claim.order, &claim.node)).or_default() += i128::from(claim.qty);
        }
        let mut wrong = Vec::new();
        for (node, qty) in claimed {
            let free = self.nodes[node].free;
            if qty > free {
                wrong.push(format!("{qty} of `{node}` are claimed, {free} are there"));
            }
        }
        for shipment in &self.plan.shipments {
            for take in &shipment.takes {
                let left = by_order.entry((&shipment.order, &take.node)).or_default();
                *left -= i128::from(take.qty);
                if *left < 0 {
                    let name = format!("{} takes more of `{}`", shipment.order, take.node);
                    wrong.push(format!("{name} than it claims"));
                }
            }
        }
        wrong.into_iter().for_each(|text| self.say("I1", text));
    }

    /// I1 for lines: nothing is covered twice, and what is not covered is short.
    pub(super) fn lines(&mut self) {
        let mut shipped: HashMap<(&str, &str), i128> = HashMap::new();
        for shipment in &self.plan.shipments {
            for line in &shipment.lines {
                *shipped.entry((&shipment.order, &line.line)).or_default() += i128::from(line.qty);
            }
        }
        let mut short: HashMap<(&str, &str), i128> = HashMap::new();
        let mut wrong = Vec::new();
        for line in &self.plan.short {
            *short.entry((&line.order, &line.line)).or_default() += i128::from(line.qty);
            let reason = self.plan.reasons.iter().any(|reason| {
                reason.code == line.reason
                    && reason.order.as_deref() == Some(&line.order)
                    && reason.line.as_deref() == Some(&line.line)
            });
            if line.qty <= 0 || !reason {
                wrong.push((
                    "I15",
                    format!("{} of {}/{}", line.qty, line.order, line.line),
                ));
            }
        }
        for order in &self.input.orders {
            for line in &order.lines {
                let key = (order.id.as_str(), line.id.as_str());
                let shipped = shipped.get(&key).copied().unwrap_or(0);
                let short = short.get(&key).copied().unwrap_or(0);
                let same = order.lines.iter().filter(|other| other.id == line.id);
                let open: i128 = same.map(|other| i128::from(other.qty.max(0))).sum();
                if shipped + short > open.max(0) {
                    let text = format!("{shipped} shipped, {short} short of {open}");
                    wrong.push(("I1", format!("{}/{}: {text}", order.id, line.id)));
                }
                if self.boms.contains_key(line.sku.as_str()) {
                    continue;
                }
                let sum = self.claims_of(&order.id, &line.id, &line.sku);
                let alone = order
                    .lines
                    .iter()
                    .filter(|other| other.sku == line.sku)
                    .count()
                    == 1;
                let all = alone && sum.min(open) + short != open.max(0);
                if all
                    && order
                        .lines
                        .iter()
                        .all(|l| !self.boms.contains_key(l.sku.as_str()))
                {
                    let text = format!("{sum} claimed, {short} short of {open}");
                    wrong.push(("I1", format!("{}/{}: {text}", order.id, line.id)));
                }
            }
        }
        wrong.into_iter().for_each(|(id, text)| self.say(id, text));
    }

    fn claims_of(&self, order: &str, line: &str, sku: &str) -> i128 {
        let mine = self.plan.claims.iter().filter(|claim| {
            claim.order == order
                && match &claim.line {
                    Some(id) => id == line,
                    None => true,
                }
                && self.nodes[claim.node.as_str()].sku == sku
        });
        mine.map(|claim| i128::from(claim.qty)).sum()
    }

    /// I3: hard claims stand, but for units that are gone, latest made first.
    pub(super) fn hard_claims(&mut self) {
        let hard = |claims: &'a [Allocation]| -> Vec<&'a Allocation> {
            claims
                .iter()
                .filter(|claim| claim.strength == Strength::Hard)
                .collect()
        };
        let mut before = hard(&self.input.allocations);
        before.sort_by_key(|claim| (claim.made, &claim.id));
        let mut left: HashMap<&str, i128> = self
            .nodes
            .iter()
            .map(|(id, node)| (*id, node.free))
            .collect();
        let after: HashMap<&str, i64> = hard(&self.plan.claims)
            .iter()
            .map(|claim| (claim.id.as_str(), claim.qty))
            .collect();
        let broken: HashMap<&str, i64> = self
            .plan
            .broken
            .iter()
            .map(|broken| (broken.id.as_str(), broken.qty))
            .collect();
        let mut wrong = Vec::new();
        let count = before.len();
        for claim in before {
            let there = left.entry(claim.node.as_str()).or_default();
            let kept = i128::from(claim.qty).min(*there);
            *there -= kept;
            let now = i128::from(after.get(claim.id.as_str()).copied().unwrap_or(0));
            let lost = i128::from(broken.get(claim.id.as_str()).copied().unwrap_or(0));
            if now != kept || lost != i128::from(claim.qty) - kept {
                wrong.push(format!(
                    "`{}` must keep {kept}, keeps {now}, lost {lost}",
                    claim.id
                ));
            }
        }
        if after.len() > count {
            wrong.push("a run makes no hard claims".to_owned());
        }
        wrong.into_iter().for_each(|text| self.say("I3", text));
    }

    /// I4: a soft unit that an order needs goes to nobody behind it.
    pub(super) fn soft_moves(&mut self) {
        let place: HashMap<&str, usize> = self
            .plan
            .sequence
            .iter()
            .enumerate()
            .map(|(i, id)| (id.as_str(), i))
            .collect();
        let mut held: BTreeMap<(&str, &str), i128> = BTreeMap::new();
        for claim in self
            .input
            .allocations
            .iter()
            .filter(|c| c.strength == Strength::Soft)
        {
            if claim.expires.is_none_or(|day| day > self.input.now) {
                *held.entry((&claim.node, &claim.order)).or_default() += i128::from(claim.qty);
            }
        }
        let mut now: BTreeMap<(&str, &str), i128> = BTreeMap::new();
        for claim in self
            .plan
            .claims
            .iter()
            .filter(|c| c.strength == Strength::Soft)
        {
            *now.entry((&claim.node, &claim.order)).or_default() += i128::from(claim.qty);
        }
        let mut wrong = Vec::new();
        for (&(node, owner), &before) in &held {
            let kept = now.get(&(node, owner)).copied().unwrap_or(0);
            let Some(&owner_place) = place.get(owner) else {
                continue;
            };
            if kept >= before || !self.loses(owner, node) {
                continue;
            }
            for (&(_, other), &has) in now.range((node, "")..).take_while(|x| x.0.0 == node) {
                let had = held.get(&(node, other)).copied().unwrap_or(0);
                if other != owner && has > had && place.get(other) > Some(&owner_place) {
                    wrong.push(format!(
                        "`{node}` left {owner} for {other}, which is behind"
                    ));
                }
            }
        }
        wrong.into_iter().for_each(|text| self.say("I4", text));
    }

    /// Whether `owner` is short of what `node` holds and could have used it by its own rules.
    fn loses(&self, owner: &str, node: &str) -> bool {
        let Some(order) = self.orders.get(owner) else {
            return false;
        };
        let unit = &self.nodes[node];
        let date = order.not_before.map_or(unit.date, |day| day.max(unit.date));
        let strict = self.input.config.hold_no_date == HoldNoDate::Strict;
        let own_rules = order.max_shipments.is_some()
            || order.min_fill_pct > 0
            || order.complete != Complete::None && !strict
            || order.complete != Complete::None && self.plan.op != Op::Allocate
            || self.plan.op == Op::Split
            || unit.expiry.is_some()
            || order
                .ship_from
                .as_ref()
                .is_some_and(|list| !list.iter().any(|l| l == unit.loc))
            || date.number() > self.input.now.number() + self.input.config.horizon_days as i32;
        let missing = order.lines.iter().any(|line| {
            line.sku == unit.sku
                && self
                    .plan
                    .short
                    .iter()
                    .any(|s| s.order == owner && s.line == line.id)
        });
        unit.usable && missing && !own_rules
    }

    /// I8: alive when shipped, and earlier units first.
    pub(super) fn life_and_rotation(&mut self) {
        let mut claimed: HashMap<&str, i128> = HashMap::new();
        for claim in &self.plan.claims {
            *claimed.entry(&claim.node).or_default() += i128::from(claim.qty);
        }
        let hard: Vec<(&str, &str)> = self
            .plan
            .claims
            .iter()
            .filter(|claim| claim.strength == Strength::Hard)
            .map(|claim| (claim.order.as_str(), claim.node.as_str()))
            .collect();
        let mut wrong = Vec::new();
        for shipment in &self.plan.shipments {
            let order = self.orders[shipment.order.as_str()];
            let lives = |id: &str| {
                let node = &self.nodes[id];
                let life = node.expiry.map(|day| day.number() - shipment.date.number());
                node.usable
                    && node.date <= shipment.date
                    && life.is_none_or(|days| i64::from(days) >= order.min_shelf_days.max(0))
            };
            for take in &shipment.takes {
                if !lives(&take.node) {
                    wrong.push(format!("{} may not take `{}`", shipment.order, take.node));
                }
                if hard.contains(&(&shipment.order, &take.node)) {
                    continue;
                }
                let mine = &self.nodes[take.node.as_str()];
                let key = self.rotation_key(&take.node);
                for (&id, node) in &self.nodes {
                    let passed = node.sku == mine.sku
                        && node.loc == mine.loc
                        && node.date == mine.date
                        && claimed.get(id).copied().unwrap_or(0) < node.free
                        && lives(id);
                    if passed && key.is_some() && self.rotation_key(id) < key {
                        let text = format!("{} passes `{id}` for", shipment.order);
                        wrong.push(format!("{text} `{}`", take.node));
                    }
                }
            }
        }
        wrong.into_iter().for_each(|text| self.say("I8", text));
    }

    /// Place in rotation: (expiry or received, received, id); none where any unit will do.
    fn rotation_key(&self, id: &'a str) -> Option<(i32, i32, &'a str)> {
        let node = &self.nodes[id];
        let day = |day: Option<crate::day::Day>| day.map_or(i32::MAX, |day| day.number());
        let set = self.input.items.iter().find(|item| item.sku == node.sku);
        let expires = || {
            self.input
                .lots
                .iter()
                .any(|lot| lot.sku == node.sku && lot.expiry.is_some())
        };
        match set.and_then(|item| item.rotation) {
            Some(Rotation::Any) => None,
            Some(Rotation::Fefo) => Some((day(node.expiry), day(node.received), id)),
            None if expires() => Some((day(node.expiry), day(node.received), id)),
            // By age alone, units that expire may have to be passed so that a stricter order gets its share.
            _ if self
                .nodes
                .values()
                .any(|n| n.sku == node.sku && n.expiry.is_some()) =>
            {
                None
            }
            Some(Rotation::Fifo) | None => Some((day(node.received), 0, id)),
        }
    }
}
