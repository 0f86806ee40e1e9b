//! The precision that vectors are stored in, and stored vectors of any.

use std::fmt;
use std::str::FromStr;

use half::f16;
use half::slice::HalfFloatSliceExt;

use crate::{Damaged, FlatRows, Rows};

/// How many bits the components of stored vectors have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// IEEE 754 single precision, 4 bytes: components as they are given.
    #[default]
    F32,
    /// IEEE 754 half precision, 2 bytes: 11 significant bits, up to ±65,504. Components are rounded to
    /// the nearest one, ties to even.
    F16,
}

impl Precision {
    /// Every precision, in the order in which they are documented.
    pub const ALL: [Precision; 2] = [Precision::F32, Precision::F16];

    /// The name used in every face and on disk.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::F16 => "f16",
        }
    }

    /// Bytes of a component.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Precision::F32 => size_of::<f32>(),
            Precision::F16 => size_of::<f16>(),
        }
    }

    /// The largest component.
    #[must_use]
    pub fn max(self) -> f32 {
        match self {
            Precision::F32 => f32::MAX,
            Precision::F16 => f16::MAX.to_f32(),
        }
    }

    /// Rounds components to what is stored of them; what is beyond [`max`](Self::max) becomes infinite.
    pub fn round(self, vector: &mut [f32]) {
        match self {
            Precision::F32 => {}
            Precision::F16 => {
                let mut halves = [f16::ZERO; 64];
                for part in vector.chunks_mut(halves.len()) {
                    let halves = &mut halves[..part.len()];
                    halves.convert_from_f32_slice(part);
                    halves.convert_to_f32_slice(part);
                }
            }
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A precision's name that is none of the known names and aliases.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown precision `{0}`: use f32 or f16")]
pub struct UnknownPrecision(pub String);

impl FromStr for Precision {
    type Err = UnknownPrecision;

    /// Reads a precision's name in any letter case; `float32` and `float16` are aliases.
    fn from_str(name: &str) -> Result<Self, UnknownPrecision> {
        match name.to_ascii_lowercase().as_str() {
            "f32" | "float32" => Ok(Precision::F32),
            "f16" | "float16" => Ok(Precision::F16),
            _ => Err(UnknownPrecision(name.to_owned())),
        }
    }
}

/// A vector where it is stored, or several back to back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stored<'a> {
    /// Of single precision.
    F32(&'a [f32]),
    /// Of half precision.
    F16(&'a [f16]),
}

impl Stored<'_> {
    /// Writes as many components to `vector` as both have.
    pub fn read_into(self, vector: &mut [f32]) {
        match self {
            Stored::F32(stored) => {
                vector.iter_mut().zip(stored).for_each(|(x, &stored)| *x = stored);
            }
            Stored::F16(stored) => {
                let len = vector.len().min(stored.len());
                stored[..len].convert_to_f32_slice(&mut vector[..len]);
            }
        }
    }

    /// Appends its components to `all`.
    pub fn append_to(self, all: &mut Vec<f32>) {
        match self {
            Stored::F32(stored) => all.extend_from_slice(stored),
            Stored::F16(stored) => {
                let start = all.len();
                all.resize(start + stored.len(), 0.0);
                stored.convert_to_f32_slice(&mut all[start..]);
            }
        }
    }

    /// Its components.
    #[must_use]
    pub fn to_vec(self) -> Vec<f32> {
        let mut components = Vec::new();
        self.append_to(&mut components);
        components
    }
}

impl<'a> From<&'a [f32]> for Stored<'a> {
    fn from(vector: &'a [f32]) -> Self {
        Stored::F32(vector)
    }
}

impl<'a> From<&'a Vec<f32>> for Stored<'a> {
    fn from(vector: &'a Vec<f32>) -> Self {
        Stored::F32(vector)
    }
}

/// Vectors as they are stored; like [`Rows`], in one precision or another.
pub trait Vectors: Sync {
    /// Number of vectors.
    fn rows(&self) -> u32;
    /// One vector.
    fn vector(&self, row: u32) -> Result<Stored<'_>, Damaged>;
    /// Asks the processor to load a vector that will be read soon; a hint without effect on results.
    fn prefetch(&self, _row: u32) {}
}

/// [`Vectors`] that lie back to back in a plain slice, all of one dimension.
#[derive(Clone, Copy, Debug)]
pub enum FlatVectors<'a> {
    /// Of single precision.
    F32(FlatRows<'a, f32>),
    /// Of half precision.
    F16(FlatRows<'a, f16>),
}

impl<'a> FlatVectors<'a> {
    /// Vectors of `dim` components; a last partial one does not count.
    #[must_use]
    pub fn new(vectors: impl Into<Stored<'a>>, dim: usize) -> Self {
        match vectors.into() {
            Stored::F32(vectors) => FlatVectors::F32(FlatRows::new("vectors", vectors, dim)),
            Stored::F16(vectors) => FlatVectors::F16(FlatRows::new("vectors", vectors, dim)),
        }
    }
}

impl Vectors for FlatVectors<'_> {
    fn rows(&self) -> u32 {
        match self {
            FlatVectors::F32(vectors) => vectors.rows(),
            FlatVectors::F16(vectors) => vectors.rows(),
        }
    }

    #[inline(always)]
    fn vector(&self, row: u32) -> Result<Stored<'_>, Damaged> {
        match self {
            FlatVectors::F32(vectors) => vectors.row(row).map(Stored::F32),
            FlatVectors::F16(vectors) => vectors.row(row).map(Stored::F16),
        }
    }

    #[inline(always)]
    fn prefetch(&self, row: u32) {
        match self {
            FlatVectors::F32(vectors) => vectors.prefetch(row),
            FlatVectors::F16(vectors) => vectors.prefetch(row),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for precision in Precision::ALL {
            assert_eq!(precision.name().parse(), Ok(precision));
        }
        assert_eq!("Float16".parse(), Ok(Precision::F16));
        let error = "f8".parse::<Precision>().map_err(|error| error.to_string());
        assert_eq!(error, Err("unknown precision `f8`: use f32 or f16".to_owned()));
    }

    #[test]
    fn rounding_gives_the_nearest_half_and_ties_go_to_the_even_one() {
        let ulp = 2f32.powi(-10);
        let mut vector = [1.0 + 0.4 * ulp, 1.0 + 0.5 * ulp, 1.0 + 1.5 * ulp, -65_519.0, 65_520.0];
        Precision::F16.round(&mut vector);
        assert_eq!(vector, [1.0, 1.0, 1.0 + 2.0 * ulp, -65_504.0, f32::INFINITY]);
        assert_eq!(Precision::F16.max(), 65_504.0);
        let given = [0.1, f32::MAX];
        let mut kept = given;
        Precision::F32.round(&mut kept);
        assert_eq!(kept, given);
    }
}
