//! The judge finds what is wrong: each test damages a good plan in one place.

use orders::input::*;
use orders::plan::LineQty;
use orders::{Op, Plan};

use crate::build::*;

fn good() -> (Input, Plan) {
    let mut world = input(&["L1", "L2"]);
    world.bom("K", "A 1, B 1");
    world.stock("L1", "K 1, A 5, B 9");
    world.stock("L2", "C 4");
    world.locations[1].capacity = Some(3);
    world.order("1", "K 3, C 3").complete = Complete::Order;
    world.order("2", "A 2").min_shelf_days = 3;
    world.order("3", "B 4");
    world.hold("h", "3", "L1-B", 2, Strength::Hard, march(1));
    let plan = plan(Op::Split, &world);
    assert_eq!(
        shipped(&plan),
        ["1 L1 1x3", "1 L2 2x3", "2 L1 1x2", "3 L1 1x4"]
    );
    (world, plan)
}

fn broken(damage: impl FnOnce(&mut Input, &mut Plan)) -> Vec<&'static str> {
    let (mut input, mut plan) = good();
    damage(&mut input, &mut plan);
    let mut found: Vec<&str> = orders::check(&input, &plan)
        .iter()
        .map(|violation| violation.invariant)
        .collect();
    found.dedup();
    found
}

#[test]
fn units_given_twice_break_conservation() {
    assert!(broken(|input, _| input.lots[1].qty = 3).contains(&"I1"));
    assert!(broken(|_, plan| plan.shipments[2].takes[0].qty += 1).contains(&"I1"));
    assert!(broken(|_, plan| plan.shipments[3].lines[0].qty += 1).contains(&"I1"));
}

#[test]
fn a_hard_claim_that_shrank_without_need_is_seen() {
    let shrink = |_: &mut Input, plan: &mut Plan| {
        let hard = |claim: &&mut Allocation| claim.strength == Strength::Hard;
        plan.claims.iter_mut().find(hard).unwrap().qty -= 1;
    };
    assert!(broken(shrink).contains(&"I3"));
}

#[test]
fn half_a_kit_is_seen() {
    assert!(broken(|_, plan| plan.shipments[0].assemble[0].qty = 1).contains(&"I6"));
    assert!(broken(|_, plan| plan.shipments[0].assemble.clear()).contains(&"I6"));
}

#[test]
fn every_rule_of_the_customer_and_the_location_is_seen() {
    assert!(broken(|input, _| input.locations[1].capacity = Some(2)).contains(&"I7"));
    assert!(broken(|input, _| input.orders[0].max_shipments = Some(1)).contains(&"I7"));
    assert!(
        broken(|input, _| input.orders[1].ship_from = Some(vec!["L2".to_owned()])).contains(&"I7")
    );
    assert!(broken(|input, _| input.orders[1].not_before = Some(march(9))).contains(&"I7"));
    assert!(broken(|_, plan| drop(plan.shipments.remove(1))).contains(&"I7"));
}

#[test]
fn units_with_too_little_life_are_seen() {
    assert!(broken(|input, _| input.lots[1].expiry = Some(march(4))).contains(&"I8"));
}

#[test]
fn a_false_value_is_seen() {
    let lie = |_: &mut Input, plan: &mut Plan| {
        plan.efficiency.insert(Term::Shipments, 1);
    };
    assert_eq!(broken(lie), ["I9"]);
}

#[test]
fn records_that_do_not_exist_are_seen() {
    let invent = |_: &mut Input, plan: &mut Plan| {
        plan.shipments[0].lines.push(LineQty {
            line: "9".to_owned(),
            qty: 1,
        });
    };
    assert_eq!(broken(invent), ["form"]);
    assert_eq!(
        broken(|_, plan| plan.shipments[0].loc = "L9".to_owned()),
        ["form"]
    );
}
