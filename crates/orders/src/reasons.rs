//! Why a unit is not given: the first obstacle whose removal would give it.

use crate::outcome::Given;
use crate::outcome::line_id;
use crate::plan::{Code, Op, Reason};
use crate::world::World;

/// Names the obstacle of `qty` units of `line` of `order`.
pub(crate) fn explain(
    world: &World<'_>,
    _given: &[Given],
    _op: Op,
    order: usize,
    line: usize,
    qty: i64,
) -> Reason {
    Reason {
        code: Code::NoStock,
        order: Some(world.orders[order].id.to_owned()),
        line: Some(line_id(world, order, line).to_owned()),
        node: None,
        qty: Some(qty),
        text: String::new(),
    }
}
