//! Numbers that look random and are the same everywhere.

/// A number from a seed and another number (SplitMix64's finaliser).
pub(crate) fn hash(seed: u64, number: u32) -> u64 {
    let mut x = seed ^ u64::from(number).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x = (x ^ x >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ x >> 31
}
