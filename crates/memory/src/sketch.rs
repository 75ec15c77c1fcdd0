//! A few bits of a vector by which a database finds the nearest ones before it compares numbers.
//!
//! The bits are the signs of a random rotation (Charikar, "Similarity estimation techniques from rounding
//! algorithms", 2002): two vectors differ in a share of them that is their angle over 180°. The rotation flips signs by a
//! fixed hash and applies the Walsh-Hadamard transform (Ailon and Chazelle, 2006), twice, so that it mixes sparse
//! vectors well and costs no table.

/// How many bits a sketch has.
pub const SKETCH_BITS: usize = 1024;
/// The most numbers of a vector that is sketched; the others do not count.
const DIMENSIONS_MAX: usize = 1 << 16;

/// The sketch of a vector as PostgreSQL writes bit strings: [`SKETCH_BITS`] letters `0` and `1`.
pub fn sketch_of(vector: &[f32]) -> String {
    let vector = &vector[..vector.len().min(DIMENSIONS_MAX)];
    let size = vector.len().next_power_of_two().max(SKETCH_BITS);
    let mut turned = vec![0.0_f32; size];
    turned[..vector.len()].copy_from_slice(vector);
    for round in 0..2 {
        for (n, x) in turned.iter_mut().enumerate() {
            if flips(n as u64 + ((round + 1) << 32)) {
                *x = -*x;
            }
        }
        transform(&mut turned);
        let scale = 1.0 / (size as f32).sqrt();
        turned.iter_mut().for_each(|x| *x *= scale);
    }
    let bits = turned[..SKETCH_BITS].iter();
    bits.map(|x| if *x > 0.0 { '1' } else { '0' }).collect()
}

fn flips(n: u64) -> bool {
    xxhash_rust::xxh3::xxh3_64(&n.to_le_bytes()) & 1 == 1
}

/// The Walsh-Hadamard transform in place. The length is a power of two.
fn transform(values: &mut [f32]) {
    let mut half = 1;
    while half < values.len() {
        for block in values.chunks_mut(half * 2) {
            let (left, right) = block.split_at_mut(half);
            for (a, b) in left.iter_mut().zip(right) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
    }
}

#[cfg(test)]
mod tests;
