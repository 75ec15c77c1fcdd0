//! Numbers that look like chance and follow from the seed, so that the same seed makes the same records.

use uuid::Uuid;

/// A number below `below` that depends on nothing but its arguments.
pub(crate) fn roll(seed: u64, salt: &str, number: u64, below: u64) -> u64 {
    let mut x = salt.bytes().fold(seed ^ 0x9e37_79b9_7f4a_7c15, |x, b| {
        (x ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    x ^= number.wrapping_mul(0xff51_afd7_ed55_8ccd);
    // The finaliser of SplitMix64.
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ (x >> 31)) % below.max(1)
}

/// A GUID that depends on nothing but its arguments.
pub(crate) fn guid(seed: u64, salt: &str, number: u64) -> String {
    Uuid::new_v5(
        &Uuid::NAMESPACE_OID,
        format!("{seed}:{salt}:{number}").as_bytes(),
    )
    .to_string()
}
