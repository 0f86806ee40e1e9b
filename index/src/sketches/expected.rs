//! What a scan of sketches is expected to look at.

use super::scan::PROMISING;

/// Part of the rows that the second number is about.
pub(super) const FEW: u32 = 16;
/// Candidates kept by the scans that were measured.
pub(super) const KEPT: usize = 26;

/// How many codes a scan compares that keeps the 26 nearest: of all rows, and of a sixteenth.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ExpectedLooks {
    /// Rows that this was measured over; 0 where nothing was.
    pub rows: u32,
    /// Codes compared of all rows, in the mean.
    pub of_all: f32,
    /// Codes compared of every sixteenth row.
    pub of_few: f32,
}

impl ExpectedLooks {
    pub(super) fn is_valid(&self) -> bool {
        let valid = |looks: f32| looks.is_finite() && looks >= 0.0;
        valid(self.of_all) && valid(self.of_few)
    }

    /// Codes that a scan of so many `rows` compares to keep `keep`: a power of the number of rows,
    /// through the two numbers that were measured, and in proportion to what is kept.
    #[must_use]
    pub fn of(&self, rows: u64, keep: usize) -> f64 {
        let rows = rows as f64;
        let kept = KEPT as f64;
        let least = kept * PROMISING as f64;
        let (all, few) = (f64::from(self.of_all).max(least), f64::from(self.of_few).max(least));
        let exponent = (all / few).ln() / f64::from(FEW).ln();
        let looks = all * (rows / f64::from(self.rows.max(1))).powf(exponent.clamp(0.0, 1.0));
        (looks.max(least) * (keep as f64 / kept).max(1.0)).min(rows)
    }
}
