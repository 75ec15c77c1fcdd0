use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::Queue;

#[test]
fn any_mix_of_moves_leaves_the_earliest_first() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut queue = Queue::default();
    let mut oracle: BTreeSet<(u32, u32)> = BTreeSet::new();
    for _ in 0..20_000 {
        let slot = random.random_range(0..60);
        oracle.retain(|(_, other)| *other != slot);
        if random.random_bool(0.3) {
            queue.remove(slot);
        } else {
            let due = random.random_range(0..50);
            queue.set(slot, due);
            oracle.insert((due, slot));
        }
        assert_eq!(queue.first(), oracle.first().copied());
    }
}
