//! The order in which orders are served, and the day after which one cannot be passed.

use crate::day::Day;
use crate::input::{Config, Order, OrderBy};

/// Sort key of an order: smaller is served first.
pub(crate) type Key<'a> = (i64, i64, i64, &'a str);

/// The place of `order` on day `now`.
pub(crate) fn key<'a>(order: &'a Order, config: &Config, now: Day) -> Key<'a> {
    let class = class_now(order, config, now);
    let entered = i64::from(order.entered.number());
    let first = match config.order_by {
        OrderBy::Entered => entered,
        OrderBy::Due => due(order, config),
    };
    (class, first, entered, order.id.as_str())
}

/// The class of `order` on day `now`: one step more urgent for each `age_step_days` it has waited.
pub fn class_now(order: &Order, config: &Config, now: Day) -> i64 {
    let eligible = order.eligible.unwrap_or(order.entered);
    let waited = i64::from(now.number() - eligible.number()).max(0);
    (order.class - waited / config.age_step_days.max(1)).max(0)
}

/// The day after which no order entered later can get ahead of `order` (section 10).
pub fn cannot_be_passed_after(order: &Order, config: &Config) -> Day {
    let eligible = order.eligible.unwrap_or(order.entered);
    let aged = i64::from(eligible.number()) + order.class * config.age_step_days;
    let day = match config.order_by {
        OrderBy::Entered => aged,
        OrderBy::Due => aged.max(due(order, config)),
    };
    Day::from_number(i32::try_from(day).unwrap_or(i32::MAX))
}

fn due(order: &Order, config: &Config) -> i64 {
    let entered = i64::from(order.entered.number());
    let wanted = match order.ship_by {
        Some(day) => i64::from(day.number()),
        None => entered + config.default_lead_days,
    };
    // A back-dated ship-by must not jump the queue.
    wanted.max(entered)
}
