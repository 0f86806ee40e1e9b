//! Leaves: which of the centroids is a vector nearest to?
//!
//! | metric | vectors | a vector's leaf | leaves of a query, nearest first |
//! |---|---|---|---|
//! | cosine | at unit length | largest `⟨x, c⟩`, `c` at unit length | `⟨q, c⟩` |
//! | Euclidean | as given | smallest `‖x − c‖` | `‖q − c‖` |
//! | dot | as given | smallest `‖x − c‖` | `⟨q, c⟩` |
//!
//! For the inner product rows are placed by distance, so that long rows, which are the answers,
//! come together and apart from short ones of the same direction; `⟨q, c⟩` is the mean product of
//! a leaf's rows. All of these are "the largest `⟨x, c⟩ − bias`", with a bias of 0 or `‖c‖² / 2`.

use crate::Metric;
use crate::codes::unit_scale;
use crate::kernels::Kernel;

/// Vectors that are compared with a centroid while it is at hand; so many bytes of them.
const TILE_BYTES: usize = 16 << 10;

/// Centroids, and half of their squared lengths.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Leaves {
    pub(super) dim: usize,
    pub(super) centroids: Vec<f32>,
    halves: Vec<f32>,
}

/// Makes `vector` what leaves and codes want: for cosine of unit length.
pub(super) fn prepare(metric: Metric, vector: &mut [f32]) {
    match metric {
        Metric::Cosine => {
            let scale = unit_scale(vector);
            vector.iter_mut().for_each(|x| *x = (f64::from(*x) * scale) as f32);
        }
        Metric::Dot | Metric::Euclidean => {}
    }
}

impl Leaves {
    pub(super) fn heap_bytes(&self) -> usize {
        4 * (self.centroids.capacity() + self.halves.capacity())
    }

    pub(super) fn new(dim: usize, centroids: Vec<f32>) -> Self {
        let half = |centroid: &[f32]| {
            let squared: f64 = centroid.iter().map(|&x| f64::from(x).powi(2)).sum();
            (squared / 2.0) as f32
        };
        let halves = centroids.chunks_exact(dim).map(half).collect();
        Leaves { dim, centroids, halves }
    }

    pub(super) fn len(&self) -> usize {
        self.halves.len()
    }

    pub(super) fn centroid(&self, leaf: usize) -> &[f32] {
        &self.centroids[leaf * self.dim..][..self.dim]
    }

    /// The leaf of each prepared vector (back to back) and how near it is: `⟨x, c⟩ − bias`.
    #[inline(always)]
    pub(super) fn assign<K: Kernel>(
        &self,
        kernel: K,
        metric: Metric,
        vectors: &[f32],
        found: &mut Vec<(u32, f32)>,
    ) {
        let dim = self.dim;
        let tile_rows = (TILE_BYTES / (4 * dim)).next_multiple_of(4).max(4);
        let start = found.len();
        found.resize(start + vectors.len() / dim, (0, f32::NEG_INFINITY));
        let tiles = vectors.chunks(tile_rows * dim).zip(found[start..].chunks_mut(tile_rows));
        for (vectors, found) in tiles {
            for (leaf, (centroid, half)) in
                (0u32..).zip(self.centroids.chunks_exact(dim).zip(&self.halves))
            {
                let bias = if metric == Metric::Cosine { 0.0 } else { *half };
                let offer = |best: &mut (u32, f32), dot: f32| {
                    if dot - bias > best.1 {
                        *best = (leaf, dot - bias);
                    }
                };
                let fours = vectors.chunks_exact(4 * dim);
                let rest = fours.remainder().chunks_exact(dim);
                let (found_fours, found_rest) = found.as_chunks_mut::<4>();
                for (four, best) in fours.zip(found_fours) {
                    let (ab, cd) = four.split_at(2 * dim);
                    let ((a, b), (c, d)) = (ab.split_at(dim), cd.split_at(dim));
                    let dots = kernel.dot_of_4([a, b, c, d], centroid);
                    best.iter_mut().zip(dots).for_each(|(best, dot)| offer(best, dot));
                }
                for (vector, best) in rest.zip(found_rest) {
                    offer(best, kernel.dot(vector, centroid));
                }
            }
        }
    }

    /// How near each leaf is to a prepared query, larger is nearer, in order of the leaves.
    #[inline(always)]
    pub(super) fn rank<K: Kernel>(
        &self,
        kernel: K,
        metric: Metric,
        query: &[f32],
        mut each: impl FnMut(u32, f32),
    ) {
        let dim = self.dim;
        let bias = |leaf: u32| match metric {
            Metric::Cosine | Metric::Dot => 0.0,
            Metric::Euclidean => self.halves[leaf as usize],
        };
        let fours = self.centroids.chunks_exact(4 * dim);
        let rest = fours.remainder().chunks_exact(dim);
        let mut leaf = 0;
        for four in fours {
            let (ab, cd) = four.split_at(2 * dim);
            let ((a, b), (c, d)) = (ab.split_at(dim), cd.split_at(dim));
            for dot in kernel.dot_of_4([a, b, c, d], query) {
                each(leaf, dot - bias(leaf));
                leaf += 1;
            }
        }
        for centroid in rest {
            each(leaf, kernel.dot(centroid, query) - bias(leaf));
            leaf += 1;
        }
    }
}
