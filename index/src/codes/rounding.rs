//! Which level each component of a code is rounded to.

use super::Levels;
use super::coarse_query::zero_of_products;
use crate::Quantizer;

/// How much longer, in thousandths, codes may be made before they are rounded: from the least to the most.
const LONGER: (i32, i32) = (-20, 60);
const LONGER_STEP: usize = 4;

/// Rounds codes to levels.
///
/// For squared differences each component gets the level nearest to it. An inner product is taken with rows
/// that are near, so what rounding takes off a row in its own direction counts more than the rest of its
/// error (Guo et al. 2020, arXiv:1908.10396, §3), and rounding to what is nearest takes more off one row than off
/// another. So a code is made a little longer first, as much as leaves nothing of that: its inner
/// product with itself is kept.
#[derive(Debug)]
pub(super) struct Rounding {
    /// Ascending by how much longer a code is made.
    tables: Vec<Table>,
}

/// What each value of a code is rounded to.
#[derive(Debug)]
struct Table {
    level: [u8; 256],
    /// What that takes off the inner product of the code with itself.
    lost: [i32; 256],
}

impl Rounding {
    pub(super) fn new(quantizer: &Quantizer, levels: &Levels) -> Self {
        let table = |zero, longer: i32| Table::new(levels, zero, 1.0 + f64::from(longer) / 1e3);
        let longer = (LONGER.0..=LONGER.1).step_by(LONGER_STEP);
        let tables = match zero_of_products(quantizer.metric(), quantizer.zero()) {
            Some(zero) => longer.map(|longer| table(zero, longer)).collect(),
            None => vec![table(0.0, 0)],
        };
        Rounding { tables }
    }

    /// The number of the level of each component.
    pub(super) fn round(&self, code: &[u8], levels: &mut Vec<u8>) {
        levels.clear();
        // The longer a code is made the less it loses: the longest that loses something, and of the next one
        // as much as takes that back.
        let next = self.tables.partition_point(|table| table.lost(code) >= 0);
        let Some(table) = self.tables.get(next.saturating_sub(1)) else { return };
        let next = self.tables.get(next);
        let mut lost = table.lost(code);
        levels.extend(code.iter().map(|&value| {
            let value = usize::from(value);
            match next {
                Some(next) if lost > 0 => {
                    lost -= i64::from(table.lost[value] - next.lost[value]);
                    next.level[value]
                }
                _ => table.level[value],
            }
        }));
    }
}

impl Table {
    /// `zero` is the value of a code that stands for 0.
    fn new(levels: &Levels, zero: f64, longer: f64) -> Self {
        let middle = zero.round() as i32;
        let (mut level, mut lost) = ([0; 256], [0; 256]);
        for (value, (level, lost)) in (0u8..=255).zip(level.iter_mut().zip(&mut lost)) {
            let to = zero + (f64::from(value) - zero) * longer;
            let (number, near) = levels.nearest(to);
            *level = number;
            *lost = (i32::from(value) - middle) * (i32::from(value) - i32::from(near));
        }
        Table { level, lost }
    }

    fn lost(&self, code: &[u8]) -> i64 {
        code.iter().map(|&value| i64::from(self.lost[usize::from(value)])).sum()
    }
}
