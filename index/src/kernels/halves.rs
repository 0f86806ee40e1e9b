//! Components of half precision, widened block by block for the kernels of single precision.

use half::f16;

/// Components that are widened together: whole rounds of the sums of every instruction set.
pub(super) const HALVES: usize = 64;

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

/// A part of a block, and zeros.
#[inline(always)]
pub(super) fn padded(part: &[f16]) -> [f16; HALVES] {
    let mut block = [f16::ZERO; HALVES];
    for (half, &component) in block.iter_mut().zip(part) {
        *half = component;
    }
    block
}

/// The whole blocks of a slice, and the rest.
type Blocks<'a, T> = (&'a [[T; HALVES]], &'a [T]);

/// The blocks of both slices up to the shorter one's length.
#[inline(always)]
pub(super) fn blocks<'a>(a: &'a [f32], b: &'a [f16]) -> (Blocks<'a, f32>, Blocks<'a, f16>) {
    let len = a.len().min(b.len());
    (a[..len].as_chunks(), b[..len].as_chunks())
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
