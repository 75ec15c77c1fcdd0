//! How many different keys went by: a HyperLogLog of 1,024 registers, within about 3 %.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

const REGISTERS: usize = 1024;
const INDEX_BITS: u32 = 10;

/// Counts different 64-bit hashes in one kilobyte, from any number of threads.
#[derive(Debug)]
pub(crate) struct Distinct {
    registers: Box<[AtomicU8]>,
}

impl Default for Distinct {
    fn default() -> Self {
        Self {
            registers: (0..REGISTERS).map(|_| AtomicU8::new(0)).collect(),
        }
    }
}

impl Distinct {
    /// Notes one hash; noting it again changes nothing.
    pub fn add(&self, hash: u64) {
        let register = (hash >> (64 - INDEX_BITS)) as usize;
        // The marker bit bounds the rank when all remaining bits are zero.
        let rest = (hash << INDEX_BITS) | (1 << (INDEX_BITS - 1));
        let rank = rest.leading_zeros() as u8 + 1;
        self.registers[register].fetch_max(rank, Relaxed);
    }

    /// How many different hashes were noted.
    pub fn estimate(&self) -> u64 {
        let mut sum = 0.0;
        let mut empty = 0;
        for register in &self.registers {
            let rank = register.load(Relaxed);
            sum += 2f64.powi(-i32::from(rank));
            empty += usize::from(rank == 0);
        }
        let m = REGISTERS as f64;
        let raw = 0.7213 / (1.0 + 1.079 / m) * m * m / sum;
        let estimate = if raw <= 2.5 * m && empty > 0 {
            m * (m / empty as f64).ln()
        } else {
            raw
        };
        estimate.round() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_within_a_tenth_and_ignores_repeats() {
        for size in [0u64, 1, 10, 500, 5_000, 200_000] {
            let distinct = Distinct::default();
            for round in 0..3 {
                for n in 0..size {
                    let _ = round;
                    distinct.add(xxhash_rust::xxh3::xxh3_64(&n.to_le_bytes()));
                }
            }
            let off = distinct.estimate().abs_diff(size) as f64;
            assert!(off <= size as f64 * 0.1, "{size}: {}", distinct.estimate());
        }
    }
}
