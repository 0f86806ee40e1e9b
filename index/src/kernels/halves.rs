//! Components of half precision, widened part by part for the kernels of single precision.

use half::f16;

use super::Kernel;

/// Components that are widened together.
pub(super) const HALVES: usize = 16;
/// Components of a whole round of the sums of every instruction set.
const ROUND: usize = 4 * HALVES;

/// 2¹¹², the difference of what the exponents of the two precisions are counted from.
const SCALE: f32 = f32::from_bits((127 + 112) << 23);

/// The components of a block, all of them finite.
///
/// Exponent and significand are put where those of single precision lie; the product, which is exact,
/// sets the exponent right, also of what has none of its own. The processor's instruction for it is not
/// there everywhere, and what this takes is vectorised.
#[inline(always)]
pub(super) fn widen(halves: &[f16; HALVES]) -> [f32; HALVES] {
    let mut wide = [0.0; HALVES];
    for (wide, half) in wide.iter_mut().zip(halves) {
        let bits = u32::from(half.to_bits());
        let size = f32::from_bits((bits & 0x7fff) << 13) * SCALE;
        *wide = f32::from_bits(size.to_bits() | (bits & 0x8000) << 16);
    }
    wide
}

/// Calls `each` with parts of `a` and of `b` widened, up to the shorter one's length: whole rounds, then
/// what is left, in two parts, so that sums go on from part to part as they would in one.
#[inline(always)]
pub(super) fn in_parts<K: Kernel>(
    kernel: K,
    a: &[f32],
    b: &[f16],
    mut each: impl FnMut(&[f32], &[f32]),
) {
    let len = a.len().min(b.len());
    let (a, b) = (&a[..len], &b[..len]);
    let (a_rounds, a_rest) = a.as_chunks::<ROUND>();
    let (b_rounds, b_rest) = b.as_chunks::<ROUND>();
    let mut wide = [[0.0; HALVES]; ROUND / HALVES];
    for (a, b) in a_rounds.iter().zip(b_rounds) {
        for (wide, halves) in wide.iter_mut().zip(b.as_chunks().0) {
            *wide = kernel.widen(halves);
        }
        each(a, wide.as_flattened());
    }
    let (blocks, tail) = b_rest.as_chunks();
    for (wide, halves) in wide.iter_mut().zip(blocks) {
        *wide = kernel.widen(halves);
    }
    let (a_blocks, a_tail) = a_rest.split_at(blocks.len() * HALVES);
    each(a_blocks, &wide.as_flattened()[..a_blocks.len()]);
    if !tail.is_empty() {
        // Together with components before it: a block that were filled up would be read back from memory
        // before it is all there.
        match b.last_chunk() {
            Some(last) => each(a_tail, &kernel.widen(last)[HALVES - tail.len()..]),
            None => each(a_tail, &kernel.widen(&padded(tail))[..tail.len()]),
        }
    }
}

/// A part of a block, and zeros.
#[inline(always)]
fn padded(part: &[f16]) -> [f16; HALVES] {
    let mut block = [f16::ZERO; HALVES];
    for (half, &component) in block.iter_mut().zip(part) {
        *half = component;
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finite_half_is_widened_exactly() {
        let all: Vec<f16> =
            (0..=u16::MAX).map(f16::from_bits).filter(|half| half.is_finite()).collect();
        for block in all.chunks(HALVES) {
            let wide = widen(&padded(block));
            for (half, wide) in block.iter().zip(wide) {
                assert_eq!(half.to_f32().to_bits(), wide.to_bits(), "{half:?}");
            }
        }
    }
}
