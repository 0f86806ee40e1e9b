//! Which sixteen values of a code the components of coarse codes stand for.

use crate::{Damaged, Rows};

/// Values that a component of a coarse code can stand for.
pub(crate) const LEVELS: usize = 16;
/// Components looked at when levels are fitted; of more rows every n-th is taken.
const FITTED_COMPONENTS_MAX: usize = 1 << 20;

/// The sixteen values of a code, ascending, that the components of coarse codes stand for.
///
/// Of all choices of sixteen they have the least squared error on the codes that they were fitted to
/// (Lloyd 1982 and Max 1960 say which condition that is; there are only 256 values, so it is found
/// exactly, by dynamic programming as in Wang & Song 2011). The codes of embeddings are bell-shaped: the
/// error is half of that of the upper four bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Levels([u8; LEVELS]);

impl Levels {
    /// Fits the levels to codes of `dim` components.
    pub(super) fn fit<C: Rows<u8>>(codes: &C, dim: usize) -> Result<Self, Damaged> {
        let mut counts = [0u32; 256];
        let fitted = (FITTED_COMPONENTS_MAX / dim.max(1)).max(1);
        let stride = (codes.rows() as usize).div_ceil(fitted).max(1);
        for row in (0..codes.rows()).step_by(stride) {
            let code = codes.row(row)?;
            for &value in &code[..dim.min(code.len())] {
                counts[usize::from(value)] += 1;
            }
        }
        Ok(Levels(least_error(&counts)))
    }

    /// What the bytes of a segment say.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Levels(bytes)
    }

    /// The bytes kept in a segment: one a level.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    pub(crate) fn values(&self) -> &[u8; LEVELS] {
        &self.0
    }

    /// The number of the level nearest to a value, and the level; of two as near the lower one.
    pub(super) fn nearest(&self, value: f64) -> (u8, u8) {
        let away = |level: u8| (f64::from(level) - value).abs();
        let nearer =
            |best: (u8, u8), next: (u8, u8)| if away(next.1) < away(best.1) { next } else { best };
        (0..).zip(self.0).reduce(nearer).unwrap_or_default()
    }
}

/// The sixteen values with the least squared error on so many of each value.
fn least_error(counts: &[u32; 256]) -> [u8; LEVELS] {
    // Of the values below each: how many there are, their sum, and the sum of their squares.
    let mut sums = [(0u64, 0u64, 0u64); 257];
    for (value, &count) in counts.iter().enumerate() {
        let (before, sum, squares) = sums[value];
        let (count, x) = (u64::from(count), value as u64);
        sums[value + 1] = (before + count, sum + count * x, squares + count * x * x);
    }
    // The best level for the values from one to below another, and its error.
    let run = |from: usize, to: usize| {
        let count = sums[to].0 - sums[from].0;
        let sum = sums[to].1 - sums[from].1;
        let squares = sums[to].2 - sums[from].2;
        // Of none, a level where the next begins: levels ascend.
        let level = (2 * sum + count).checked_div(2 * count).unwrap_or(from.min(255) as u64);
        (level as u8, squares + level * level * count - 2 * level * sum)
    };
    // `least[to]`: the error of all values below `to` with as many levels as there were rounds.
    let mut least: Vec<u64> = (0..=256).map(|to| run(0, to).1).collect();
    let mut begins = [[0; 257]; LEVELS];
    for begins in &mut begins[1..] {
        let before = least.clone();
        for to in 0..=256 {
            // With one more level it is no more: that may be a level of no values.
            begins[to] = to;
            for (from, before) in before[..to].iter().enumerate() {
                let with = before + run(from, to).1;
                if with < least[to] {
                    (least[to], begins[to]) = (with, from);
                }
            }
        }
    }
    let mut levels = [0; LEVELS];
    let mut to = 256;
    for (level, begins) in levels.iter_mut().zip(&begins).rev() {
        let from = begins[to];
        *level = run(from, to).0;
        to = from;
    }
    levels
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(counts: &[u32; 256], levels: &Levels) -> u64 {
        let squared = |value: u8| {
            let (_, level) = levels.nearest(f64::from(value));
            u64::from(counts[usize::from(value)]) * u64::from(level.abs_diff(value)).pow(2)
        };
        (0..=255).map(squared).sum()
    }

    proptest! {
        // Each tries four thousand other levels.
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn no_level_that_moves_makes_the_error_less(
            filled in prop::collection::vec((0usize..256, 1u32..1_000), 0..300),
        ) {
            let mut counts = [0u32; 256];
            for (value, count) in filled {
                counts[value] += count;
            }
            let levels = Levels(least_error(&counts));
            prop_assert!(levels.0.is_sorted());
            let found = error(&counts, &levels);
            let distinct = counts.iter().filter(|&&count| count > 0).count();
            prop_assert!(distinct > LEVELS || found == 0);
            for number in 0..LEVELS {
                for moved in 0..=255 {
                    let mut other = levels;
                    other.0[number] = moved;
                    prop_assert!(error(&counts, &other) >= found);
                }
            }
        }

        #[test]
        fn no_even_levels_are_better(mean in 60f64..200.0, width in 5f64..60.0) {
            let mut counts = [0; 256];
            for (value, count) in (0u32..).zip(&mut counts) {
                let off = (f64::from(value) - mean) / width;
                *count = (1e5 * (-0.5 * off * off).exp()) as u32;
            }
            let found = error(&counts, &Levels(least_error(&counts)));
            for reach in 1..40 {
                let mut even = [0; LEVELS];
                for (number, level) in (0u32..).zip(&mut even) {
                    let off = (f64::from(number) - 7.5) / 7.5 * f64::from(reach) / 10.0;
                    *level = (mean + off * width).clamp(0.0, 255.0) as u8;
                }
                prop_assert!(found <= error(&counts, &Levels(even)));
            }
        }
    }
}
