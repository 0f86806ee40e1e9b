//! How far a walk looks before it ends.

use std::fmt;

/// How much farther than the rows wanted a walk looks, as a part of their distance.
///
/// 0.1: a tenth farther. Kept in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gamma(u32);

impl Gamma {
    /// So many thousandths.
    #[must_use]
    pub const fn new(thousandths: u32) -> Self {
        Gamma(thousandths)
    }

    /// In thousandths.
    #[must_use]
    pub const fn thousandths(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Gamma {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", f64::from(self.0) / 1e3)
    }
}

/// Which rows a walk keeps and expands, and so when it ends: when there is none left to expand.
///
/// Kept are the `ef` nearest, and of the others those that are at most `gamma` farther than the
/// `nearest`-th. With a `gamma` of 0 that is the beam of HNSW (Malkov & Yashunin 2018, Alg. 2); with
/// more it is the distance-adaptive beam of Al-Jazzazi et al. 2025 (arXiv:2505.15636), which looks
/// at few rows where the nearest stand out, and at many where they do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beam {
    /// Rows kept, however far they are.
    pub ef: usize,
    /// How much farther others may be.
    pub gamma: Gamma,
    /// Which row's distance that is measured by: the first is 1.
    pub nearest: usize,
    /// Rows kept at most.
    pub ef_max: usize,
}

impl Beam {
    /// Rows that an adaptive beam keeps at most for the 10 nearest: where nothing stands out all rows
    /// are within reach.
    const ADAPTIVE_EF_MAX: usize = 1_024;
    /// Rows that it keeps at least beside those that are looked for.
    const ADAPTIVE_SPARE: usize = 6;

    /// The `ef` nearest.
    #[must_use]
    pub const fn fixed(ef: usize) -> Self {
        Beam { ef, gamma: Gamma(0), nearest: ef, ef_max: ef }
    }

    /// What is needed for the `k` nearest: rows up to `gamma` farther than the `k`-th.
    #[must_use]
    pub fn adaptive(k: usize, gamma: Gamma) -> Self {
        let nearest = k.max(1);
        let ef = nearest.saturating_add(Self::ADAPTIVE_SPARE);
        Beam { ef, gamma, nearest, ef_max: nearest.saturating_mul(4).max(Self::ADAPTIVE_EF_MAX) }
    }

    /// The same without keeping more than so many rows only because they are within reach.
    #[must_use]
    pub fn at_most(self, rows: usize) -> Self {
        Beam { ef_max: self.ef_max.min(rows).max(self.ef), ..self }
    }

    /// The same for no more than so many rows.
    #[must_use]
    pub fn within(self, rows: usize) -> Self {
        Beam { ef: self.ef.min(rows), ef_max: self.ef_max.min(rows), ..self }
    }

    /// Whether it keeps the `ef` nearest and nothing else.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        self.gamma.0 == 0
    }
}

impl fmt::Display for Beam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_fixed() {
            write!(f, "ef={}", self.ef)
        } else {
            write!(f, "gamma={}", self.gamma)
        }
    }
}
