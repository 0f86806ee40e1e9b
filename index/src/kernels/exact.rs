//! Exact distances of a query to stored float vectors.

use super::{Kernel, KernelChoice, WithKernel, squared_norm};
use crate::{Metric, Stored};

/// A query prepared for exact distances to stored float vectors.
///
/// Stored vectors are taken as the user gave them: for cosine their length is divided out as they
/// are read. Distances are as [`Metric`] defines them and never NaN for finite vectors: where a
/// sum leaves the range of `f32` it is repeated in `f64`. The cosine of a zero vector with
/// anything is taken as 0. A vector of another dimension is compared up to the shorter length.
#[derive(Clone, Debug)]
pub struct ExactQuery {
    metric: Metric,
    query: Vec<f32>,
}

impl ExactQuery {
    /// Prepares `query` (for cosine it is brought to unit length once).
    #[must_use]
    pub fn new(metric: Metric, query: &[f32]) -> Self {
        let query = match metric {
            Metric::Cosine => unit(query),
            Metric::Dot | Metric::Euclidean => query.to_vec(),
        };
        ExactQuery { metric, query }
    }

    /// The metric that distances are in.
    #[must_use]
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// The query; for cosine at unit length.
    #[must_use]
    pub fn vector(&self) -> &[f32] {
        &self.query
    }

    /// Distance to one vector of the same dimension, as given by the user (not normalised).
    #[must_use]
    pub fn distance<'a>(&self, vector: impl Into<Stored<'a>>) -> f32 {
        KernelChoice::detected().run(One { query: self, vector: vector.into() })
    }

    /// Distances to vectors that lie back to back in `block`, appended to `out`.
    ///
    /// A last partial vector does not count.
    pub fn distances(&self, block: &[f32], out: &mut Vec<f32>) {
        KernelChoice::detected().run(Block { query: self, block, out });
    }

    /// [`distance`](Self::distance) where the instruction set is chosen already.
    #[inline(always)]
    pub(crate) fn distance_by<K: Kernel>(&self, kernel: K, vector: Stored<'_>) -> f32 {
        let query = &self.query[..];
        match self.metric {
            Metric::Cosine => {
                let (dot, norm) = match vector {
                    Stored::F32(vector) => kernel.dot_and_norm(query, vector),
                    Stored::F16(vector) => kernel.half_dot_and_norm(query, vector),
                };
                if !norm.is_normal() || !dot.is_finite() {
                    return self.distance_wide(vector);
                }
                (1.0 - dot / norm.sqrt()).clamp(0.0, 2.0)
            }
            Metric::Dot => {
                let dot = match vector {
                    Stored::F32(vector) => kernel.dot(query, vector),
                    Stored::F16(vector) => kernel.half_dot(query, vector),
                };
                if dot.is_finite() { -dot } else { self.distance_wide(vector) }
            }
            Metric::Euclidean => {
                let squared = match vector {
                    Stored::F32(vector) => kernel.squared_l2(query, vector),
                    Stored::F16(vector) => kernel.half_squared_l2(query, vector),
                };
                if squared.is_normal() { squared.sqrt() } else { self.distance_wide(vector) }
            }
        }
    }

    /// The distance in `f64`, for sums that `f32` cannot hold.
    #[cold]
    fn distance_wide(&self, vector: Stored<'_>) -> f32 {
        let vector = vector.to_vec();
        let pairs = self.query.iter().zip(&vector).map(|(&q, &x)| (f64::from(q), f64::from(x)));
        match self.metric {
            Metric::Cosine => {
                let (dot, norm) =
                    pairs.fold((0.0, 0.0), |(dot, norm), (q, x)| (dot + q * x, norm + x * x));
                if norm > 0.0 { (1.0 - dot / norm.sqrt()).clamp(0.0, 2.0) as f32 } else { 1.0 }
            }
            Metric::Dot => -pairs.map(|(q, x)| q * x).sum::<f64>() as f32,
            Metric::Euclidean => pairs.map(|(q, x)| (q - x) * (q - x)).sum::<f64>().sqrt() as f32,
        }
    }
}

/// `vector` at unit length; a zero vector stays what it is.
fn unit(vector: &[f32]) -> Vec<f32> {
    let norm = squared_norm(vector).sqrt();
    if norm > 0.0 {
        // Not a quotient for each component: this is once a query, but dear as such.
        let scale = 1.0 / norm;
        vector.iter().map(|&x| (f64::from(x) * scale) as f32).collect()
    } else {
        vector.to_vec()
    }
}

struct One<'a> {
    query: &'a ExactQuery,
    vector: Stored<'a>,
}

impl WithKernel for One<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> f32 {
        self.query.distance_by(kernel, self.vector)
    }
}

struct Block<'a> {
    query: &'a ExactQuery,
    block: &'a [f32],
    out: &'a mut Vec<f32>,
}

impl WithKernel for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) {
        let dim = self.query.query.len();
        if dim == 0 {
            return;
        }
        self.out.reserve(self.block.len() / dim);
        for vector in self.block.chunks_exact(dim) {
            self.out.push(self.query.distance_by(kernel, Stored::F32(vector)));
        }
    }
}
