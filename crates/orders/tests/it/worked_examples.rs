//! The worked examples of the specification, W1 to W20. W14 is about writing and has no part here.

use orders::Op;
use orders::input::*;
use orders::plan::Code;

use crate::build::*;

fn complete(input: &mut Input) {
    for order in &mut input.orders {
        order.complete = Complete::Order;
    }
}

#[test]
fn w1_two_shipments_where_the_largest_cover_needs_three() {
    let mut world = input(&["L1", "L2", "L3"]);
    world.config.efficiency = vec![Term::Shipments, Term::Cost];
    world.stock("L1", "A 1, B 1, C 1, D 1");
    world.stock("L2", "A 1, C 1, E 1");
    world.stock("L3", "B 1, D 1, F 1");
    world.order("1", "A 1, B 1, C 1, D 1, E 1, F 1");
    let plan = plan(Op::Split, &world);
    assert_eq!(shipped(&plan), ["1 L2 1x1 3x1 5x1", "1 L3 2x1 4x1 6x1"]);
    assert!(plan.exact);
}

#[test]
fn w2_the_objective_decides() {
    let mut world = input(&["L1", "L2", "L3"]);
    world.stock("L1", "A 10");
    world.stock("L2", "A 6, B 4");
    world.stock("L3", "A 10, B 4");
    world.cost("*", "L1", 1200, 20);
    world.cost("*", "L2", 900, 30);
    world.cost("*", "L3", 2600, 10);
    world.order("1", "A 10, B 4");
    world.config.efficiency = vec![Term::Cost, Term::Shipments];
    let cheap = plan(Op::Split, &world);
    assert_eq!(shipped(&cheap), ["1 L1 1x10", "1 L2 2x4"]);
    assert_eq!(cheap.efficiency[&Term::Cost], 2420);
    world.config.efficiency = vec![Term::Shipments, Term::Cost];
    assert_eq!(plan(Op::Split, &world).efficiency[&Term::Cost], 2740);
    world.config.efficiency = vec![Term::Cost, Term::Shipments];
    world.orders[0].max_shipments = Some(1);
    let one = plan(Op::Split, &world);
    assert_eq!(shipped(&one), ["1 L3 1x10 2x4"]);
    assert_eq!(one.efficiency[&Term::Cost], 2740);
}

#[test]
fn w3_line_order_decides_between_kits_that_share_a_component() {
    let mut world = input(&["L1"]);
    world.bom("K1", "A 1, B 1");
    world.bom("K2", "A 1, C 2");
    world.stock("L1", "A 5, B 10, C 10");
    world.order("1", "K1 4, K2 3");
    let plan = plan(Op::Split, &world);
    assert_eq!(shipped(&plan), ["1 L1 1x4 2x1"]);
    assert_eq!(plan.efficiency[&Term::Assembled], 5);
    assert_eq!(short(&plan, "1"), [("2".to_owned(), 2, Code::Component)]);
}

fn w4() -> Input {
    let mut world = input(&["L1"]);
    world.bom("K", "SUB 2, C 1");
    world.bom("SUB", "A 1, B 3");
    world.stock("L1", "K 1, SUB 1, A 5, B 9, C 4");
    world.order("1", "K 4");
    world
}

#[test]
fn w4_nested_kits_ship_in_part_or_by_policy_not_at_all() {
    let mut world = w4();
    let part = plan(Op::Split, &world);
    assert_eq!(shipped(&part), ["1 L1 1x3"]);
    assert_eq!(part.efficiency[&Term::Assembled], 5);
    let taken = takes(&part, "1");
    assert_eq!((taken["L1-A"], taken["L1-B"], taken["L1-C"]), (3, 9, 2));
    let made: Vec<(&str, i64)> = part.shipments[0]
        .assemble
        .iter()
        .map(|x| (x.sku.as_str(), x.qty))
        .collect();
    assert_eq!(made, [("SUB", 3), ("K", 2)]);
    world.orders[0].complete = Complete::Line;
    assert_eq!(shipped(&plan(Op::Split, &world)), [""; 0]);
    world.orders[0].complete = Complete::None;
    world.orders[0].min_fill_pct = 80;
    assert_eq!(shipped(&plan(Op::Split, &world)), [""; 0]);
}

#[test]
fn w5_a_kit_is_never_built_from_two_places() {
    let mut world = input(&["L1", "L2"]);
    world.bom("K", "A 1, B 1");
    world.stock("L1", "A 4, B 1");
    world.stock("L2", "A 1, B 4");
    world.order("1", "K 3");
    let plan = plan(Op::Split, &world);
    assert_eq!(shipped(&plan), ["1 L1 1x1", "1 L2 1x1"]);
    assert_eq!(
        short(&plan, "1"),
        [("1".to_owned(), 1, Code::ComponentOtherPlace)]
    );
}

#[test]
fn w6_the_earliest_admissible_units_leave_first() {
    let mut world = input(&["L1"]);
    for (id, qty, expiry) in [
        ("Z", 100, march(1)),
        ("X", 6, march(12)),
        ("Y", 6, day("2026-04-16")),
    ] {
        world.stock("L1", &format!("A {qty}"));
        let lot = world.lots.last_mut().unwrap();
        lot.id = id.to_owned();
        lot.expiry = Some(expiry);
    }
    world.order("1", "A 8");
    world.order("2", "A 4").min_shelf_days = 30;
    for op in [Op::Split, Op::Allocate] {
        let plan = plan(op, &world);
        assert_eq!(
            takes(&plan, "1"),
            [("X".to_owned(), 6), ("Y".to_owned(), 2)].into()
        );
        assert_eq!(takes(&plan, "2"), [("Y".to_owned(), 4)].into());
    }
}

fn w7(second: i64) -> Input {
    let mut world = input(&["L1"]);
    world.stock("L1", "A 40");
    world.inbound("A", 30, march(9));
    world.inbound("A", second, march(16));
    world.inbound("A", 30, march(23));
    world.order("BIG", "A 100");
    for id in ["S1", "S2", "S3"] {
        world.order(id, "A 10");
    }
    complete(&mut world);
    world
}

fn dates(input: &Input) -> Vec<String> {
    let plan = plan(Op::Allocate, input);
    assert!(plan.exact);
    let ids = input.orders.iter().map(|order| order.id.clone());
    ids.map(|id| date(&plan, &id).map_or("none".to_owned(), |day| day.to_string()[8..].to_owned()))
        .collect()
}

#[test]
fn w7_a_large_order_is_not_starved() {
    assert_eq!(dates(&w7(30)), ["16", "23", "23", "23"]);
}

#[test]
fn w8_lending_uses_idle_stock_and_has_a_price() {
    let mut world = w7(50);
    assert_eq!(dates(&world), ["16", "16", "16", "23"]);
    world.config.lend = true;
    assert_eq!(dates(&world), ["16", "02", "02", "23"]);
    // A lender that trusts inbound only two weeks after its date lends nothing here.
    world.config.slip_days = 14;
    assert_eq!(dates(&world), ["16", "16", "16", "23"]);
    world.config.slip_days = 0;
    // The 50 slip to 30 March. Once without, once with the 20 units lent.
    world.inbound[1].eta = march(30);
    world.config.lend = false;
    assert_eq!(dates(&world)[0], "23");
    world.lots[0].qty = 20;
    world.orders.retain(|order| order.id == "BIG");
    assert_eq!(dates(&world), ["30"]);
}

#[test]
fn w9_inbound_covers_a_claim_where_lending_is_on() {
    let mut world = input(&["L1"]);
    world.stock("L1", "A 10");
    world.inbound("A", 10, march(7));
    world.order("1", "A 10").not_before = Some(march(12));
    world.order("2", "A 10");
    complete(&mut world);
    assert_eq!(dates(&world), ["12", "07"]);
    world.config.lend = true;
    assert_eq!(dates(&world), ["12", "02"]);
}

#[test]
fn w10_the_latest_hard_claim_breaks_first() {
    let mut world = input(&["L1"]);
    world.now = march(4);
    world.stock("L1", "A 7");
    world.order("1", "A 4");
    world.order("2", "A 6");
    world.hold("h2", "2", "L1-A", 6, Strength::Hard, march(2));
    world.hold("h1", "1", "L1-A", 4, Strength::Hard, march(3));
    let plan = plan(Op::Allocate, &world);
    assert_eq!((claimed(&plan, "2"), claimed(&plan, "1")), (6, 1));
    assert_eq!((plan.broken[0].id.as_str(), plan.broken[0].qty), ("h1", 3));
    assert_eq!(short(&plan, "1")[0].1, 3);
}

#[test]
fn w11_soft_moves_and_hard_does_not() {
    let mut world = input(&["L1"]);
    world.stock("L1", "A 8");
    world.order("1", "A 8");
    world.order("2", "A 5").class = 1;
    world.orders[1].entered = march(2);
    world.hold("c", "1", "L1-A", 8, Strength::Soft, march(1));
    let soft = plan(Op::Allocate, &world);
    assert_eq!((claimed(&soft, "2"), claimed(&soft, "1")), (5, 3));
    assert_eq!(soft.efficiency[&Term::Churn], 5);
    world.allocations[0].strength = Strength::Hard;
    let hard = plan(Op::Allocate, &world);
    assert_eq!((claimed(&hard, "2"), claimed(&hard, "1")), (0, 8));
    assert_eq!(short(&hard, "2"), [("1".to_owned(), 5, Code::HardOfOther)]);
}

#[test]
fn w12_waiting_makes_urgent() {
    let mut world = input(&["L1"]);
    world.order("O1", "A 1").entered = day("2026-01-26");
    world.order("O2", "A 1").class = 1;
    world.order("O3", "A 1").class = 0;
    world.orders[1].entered = march(2);
    world.orders[2].entered = march(2);
    world.orders[2].ship_by = Some(march(3));
    for order_by in [OrderBy::Entered, OrderBy::Due] {
        world.config.order_by = order_by;
        assert_eq!(plan(Op::Allocate, &world).sequence, ["O1", "O3", "O2"]);
    }
    let passed = orders::cannot_be_passed_after(&world.orders[0], &world.config);
    assert_eq!(passed, march(2));
    assert_eq!(
        orders::class_now(&world.orders[0], &world.config, day("2026-02-01")),
        5
    );
}

#[test]
fn w13_nobody_waits_for_the_other_half() {
    let mut world = input(&["L1"]);
    world.stock("L1", "A 5, B 5");
    world.order("1", "A 5, B 5");
    world.order("2", "B 5, A 5");
    complete(&mut world);
    assert_eq!(shipped(&plan(Op::Split, &world)), ["1 L1 1x5 2x5"]);
    assert_eq!(dates(&world), ["02", "none"]);
}

#[test]
fn w15_what_a_fresh_count_leaves_is_still_held_for_the_next_in_line() {
    let mut world = input(&["L1"]);
    world.stock("L1", "A 7");
    world.order("1", "A 6");
    world.order("2", "A 4").complete = Complete::Line;
    let plan = plan(Op::Fill, &world);
    assert_eq!(shipped(&plan), ["1 L1 1x6"]);
    assert_eq!(claimed(&plan, "2"), 1);
}

#[test]
fn w16_the_shipment_limit_leaves_the_rest_short() {
    let mut world = input(&["L1", "L2", "L3"]);
    world.stock("L1", "A 4");
    world.stock("L2", "A 3");
    world.stock("L3", "A 3");
    world.order("1", "A 9").max_shipments = Some(2);
    let plan = plan(Op::Split, &world);
    assert_eq!(shipped(&plan), ["1 L1 1x4", "1 L2 1x3"]);
    assert_eq!(short(&plan, "1"), [("1".to_owned(), 2, Code::MaxShipments)]);
}

#[test]
fn w17_a_kit_is_promised_when_its_last_component_comes() {
    let mut world = input(&["L1"]);
    world.bom("K", "A 2, B 1");
    world.stock("L1", "A 6, B 1");
    world.inbound("B", 3, march(10));
    world.inbound("A", 4, march(20));
    world.order("1", "K 4");
    world.order("2", "A 4");
    complete(&mut world);
    for lend in [false, true] {
        world.config.lend = lend;
        let plan = plan(Op::Allocate, &world);
        assert_eq!(
            (date(&plan, "1"), date(&plan, "2")),
            (Some(march(20)), None)
        );
        assert_eq!(claimed(&plan, "2"), 2);
        assert_eq!(short(&plan, "2")[0].1, 2);
    }
    world.inbound("A", 2, march(25));
    assert_eq!(dates(&world), ["20", "25"]);
}

#[test]
fn w18_joint_cost_at_unchanged_service() {
    let mut world = input(&["L1", "L2"]);
    world.stock("L1", "A 1");
    world.stock("L2", "A 2");
    world.order("1", "A 1");
    world.order("2", "A 1");
    world.cost("1", "L1", 100, 0);
    world.cost("1", "L2", 110, 0);
    world.cost("2", "L1", 100, 0);
    world.cost("2", "L2", 500, 0);
    let plan = plan(Op::Split, &world);
    assert_eq!(plan.efficiency[&Term::Cost], 210);
    assert_eq!(plan.baseline[&Term::Cost], 600);
    assert!(plan.exact);
}

#[test]
fn w19_an_order_that_waits_for_nothing_holds_or_lets_go() {
    let mut world = input(&["L1"]);
    world.stock("L1", "A 5");
    world.order("1", "A 5, B 5");
    world.order("2", "A 5");
    complete(&mut world);
    let strict = plan(Op::Allocate, &world);
    assert_eq!((claimed(&strict, "1"), date(&strict, "2")), (5, None));
    world.config.hold_no_date = HoldNoDate::Release;
    let release = plan(Op::Allocate, &world);
    assert_eq!(
        (claimed(&release, "1"), date(&release, "2")),
        (0, Some(march(2)))
    );
}

#[test]
fn w20_a_receipt_fills_orders_in_sequence() {
    let mut world = input(&["L1"]);
    world.stock("L1", "A 12");
    world.inbound("B", 5, march(20));
    world.order("1", "A 10, B 5").complete = Complete::Order;
    world.order("2", "A 8").min_fill_pct = 25;
    let twelve = plan(Op::Fill, &world);
    assert_eq!(date(&twelve, "1"), Some(march(20)));
    assert_eq!((claimed(&twelve, "1"), claimed(&twelve, "2")), (15, 2));
    assert_eq!(shipped(&twelve), ["2 L1 1x2"]);
    world.lots[0].qty = 11;
    let eleven = plan(Op::Fill, &world);
    assert_eq!(claimed(&eleven, "2"), 1);
    assert_eq!(shipped(&eleven), [""; 0]);
}
