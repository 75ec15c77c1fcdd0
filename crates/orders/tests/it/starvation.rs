//! P10: whoever comes later, an order is served by the bound of section 10.

use orders::input::*;
use orders::{Day, Op};

use crate::build::*;

/// What an adversary orders each day.
struct Adversary {
    class: i64,
    qty: i64,
    count: usize,
    back_dated: bool,
}

/// Days until the victim, an order of class 5 for two days' supply, has shipped.
fn days_waited(adversary: &Adversary, order_by: OrderBy, lend: bool) -> i32 {
    let mut world = input(&["L1"]);
    world.config.order_by = order_by;
    world.config.lend = lend;
    let start = world.now;
    world.order("victim", "A 10").complete = Complete::Order;
    world.orders[0].entered = start;
    for day in 0..120 {
        world.now = Day::from_number(start.number() + day);
        world.stock("L1", "A 5");
        let lot = world.lots.last_mut().unwrap();
        lot.id = format!("day{day:03}");
        lot.received = Some(world.now);
        for n in 0..adversary.count {
            let id = format!("z{day:03}-{n}");
            let (entered, back) = (world.now, adversary.back_dated.then_some(start));
            let order = world.order(&id, &format!("A {}", adversary.qty));
            order.entered = entered;
            order.class = adversary.class;
            order.ship_by = back;
        }
        let plan = plan(Op::Pick, &world);
        for shipment in &plan.shipments {
            for take in &shipment.takes {
                world
                    .lots
                    .iter_mut()
                    .find(|lot| lot.id == take.node)
                    .unwrap()
                    .qty -= take.qty;
            }
            let order = world
                .orders
                .iter_mut()
                .find(|o| o.id == shipment.order)
                .unwrap();
            order.lines[0].qty -= shipment.lines[0].qty;
        }
        world.orders.retain(|order| order.lines[0].qty > 0);
        world.lots.retain(|lot| lot.qty > 0);
        world.allocations = plan.claims.clone();
        let open: Vec<String> = world.orders.iter().map(|order| order.id.clone()).collect();
        // What shipped is consumed: its claims end.
        world
            .allocations
            .retain(|claim| open.contains(&claim.order));
        world
            .allocations
            .retain(|claim| world.lots.iter().any(|lot| lot.id == claim.node));
        if !open.iter().any(|id| id == "victim") {
            return day;
        }
    }
    i32::MAX
}

#[test]
fn an_endless_stream_of_class_0_delays_an_order_no_longer_than_its_bound() {
    let adversary = Adversary {
        class: 0,
        qty: 5,
        count: 1,
        back_dated: false,
    };
    // H is day 35; the second day's supply after it completes the order.
    assert_eq!(days_waited(&adversary, OrderBy::Entered, false), 36);
}

#[test]
fn newer_orders_of_the_same_class_never_delay_an_order() {
    for count in [1, 5] {
        let adversary = Adversary {
            class: 5,
            qty: 5 / count as i64,
            count,
            back_dated: false,
        };
        for lend in [false, true] {
            assert_eq!(days_waited(&adversary, OrderBy::Entered, lend), 1);
        }
    }
}

#[test]
fn a_back_dated_ship_by_does_not_jump_the_queue() {
    let adversary = Adversary {
        class: 5,
        qty: 5,
        count: 1,
        back_dated: true,
    };
    // Due 30 days after entry, the victim is passed by orders that are due at once, but none of those after H.
    let waited = days_waited(&adversary, OrderBy::Due, false);
    assert!((1..=36).contains(&waited), "{waited}");
}
