//! From an allocation to what leaves today: fill and pick.

use crate::allocate;
use crate::outcome::{Decision, Given};
use crate::plan::Op;
use crate::world::World;

/// Everything is allocated anew; what can leave today ships, orders in sequence, while locations have room.
pub(crate) fn fill(world: &World<'_>) -> Decision {
    let mut decision = allocate::allocate(world, Op::Fill);
    for given in &mut decision.given {
        given.ships &= given.used.date == world.now;
    }
    make_room(world, &mut decision.given);
    decision
}

/// What leaves today; claims on the rest stand.
pub(crate) fn pick(world: &World<'_>) -> Decision {
    let mut decision = fill(world);
    decision.op = Op::Pick;
    decision.promises.clear();
    decision.service = crate::unfilled(world, &decision.given);
    decision
}

/// An order whose shipments do not fit into what its locations may still ship today waits as a whole.
fn make_room(world: &World<'_>, given: &mut [Given]) {
    let mut room: Vec<Option<i64>> = world.places.iter().map(|place| place.capacity).collect();
    given.sort_by_key(|given| (given.used.order, given.used.date, given.used.loc));
    for mine in given.chunk_by_mut(|a, b| a.used.order == b.used.order) {
        let units = |given: &Given| given.used.lines.iter().sum::<i64>();
        let fits = mine
            .iter()
            .filter(|given| given.ships)
            .all(|given| room[given.used.loc].is_none_or(|room| units(given) <= room));
        for given in mine.iter_mut().filter(|given| given.ships) {
            match &mut room[given.used.loc] {
                Some(room) if fits => *room -= units(given),
                _ => given.ships &= fits,
            }
        }
    }
}
