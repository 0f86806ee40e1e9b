//! The shape of a block of 4-bit codes, as the kernels read it.

pub(super) use crate::clusters::{LANES, LINE_BYTES, LINE_COMPONENTS};

/// Four weights of a line as the word that is repeated over a register: those of the low nibbles
/// (`half` 0) or of the high ones (1).
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn word(weights: &[i8; LINE_COMPONENTS], half: usize) -> i32 {
    let four: [i8; 4] =
        [weights[4 * half], weights[4 * half + 1], weights[4 * half + 2], weights[4 * half + 3]];
    i32::from_le_bytes(four.map(|weight| weight as u8))
}
