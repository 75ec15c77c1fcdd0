//! The most that evenly spaced background calls can reach when every rate is known (Cho, Garcia-Molina, TODS 2003).

use crate::run::CALLS_PER_MINUTE;
use crate::workload::World;

/// Share of reads that meet a fresh copy under the best plan without readers that wait.
pub fn fresh_at_read(world: &World) -> f64 {
    let calls = f64::from(CALLS_PER_MINUTE) / 60.0;
    let (mut low, mut high) = (-30.0_f64, 30.0_f64);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if plan(world, middle.exp()).0 > calls {
            low = middle;
        } else {
            high = middle;
        }
    }
    plan(world, high.exp()).1
}

/// Calls per second, and the share of fresh reads, when a call has to save `price` stale reads.
fn plan(world: &World, price: f64) -> (f64, f64) {
    let (mut calls, mut fresh, mut reads) = (0.0, 0.0, 0.0);
    for (change, read) in world.change_rates.iter().zip(&world.read_rates) {
        reads += read;
        let wanted = price * change / read;
        if wanted >= 1.0 {
            continue;
        }
        // 1 - e^-x (1 + x) = wanted
        let (mut low, mut high) = (1e-9_f64, 60.0_f64);
        for _ in 0..50 {
            let x = f64::midpoint(low, high);
            if 1.0 - (-x).exp() * (1.0 + x) < wanted {
                low = x;
            } else {
                high = x;
            }
        }
        calls += change / high;
        fresh += read * -(-high).exp_m1() / high;
    }
    (calls, fresh / reads)
}
