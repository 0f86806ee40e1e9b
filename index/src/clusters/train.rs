//! Centroids by k-means (Lloyd 1982; for cosine spherical: Dhillon & Modha 2001) on a sample.

use std::ops::ControlFlow;

use super::leaves::Leaves;
use crate::codes::unit_scale;
use crate::kernels::{Kernel, KernelChoice, WithKernel};
use crate::workers::collect;
use crate::{Metric, Workers};

/// Vectors that one task assigns.
const TASK_ROWS: usize = 256;

/// Trains leaves on prepared vectors, back to back, at least one. The same leaves for any number of
/// threads; `None` if `go_on` says so.
pub(super) fn train(
    metric: Metric,
    dim: usize,
    sample: &[f32],
    leaves: usize,
    rounds: usize,
    workers: &dyn Workers,
    go_on: &mut dyn FnMut() -> ControlFlow<()>,
) -> Option<Leaves> {
    let rows = sample.len() / dim;
    // Rows in any order may come sorted, so the first centroids are spread over all of them.
    let first = (0..leaves).flat_map(|leaf| &sample[(leaf * rows / leaves) * dim..][..dim]);
    let mut trained = Leaves::new(dim, first.copied().collect());
    for _ in 0..rounds {
        if go_on().is_break() {
            return None;
        }
        let assigned = assign_all(&trained, metric, sample, workers);
        trained = Leaves::new(dim, means(metric, &trained, sample, &assigned));
    }
    Some(trained)
}

/// The leaf of every prepared vector and how near it is, see [`Leaves::assign`].
pub(super) fn assign_all(
    leaves: &Leaves,
    metric: Metric,
    vectors: &[f32],
    workers: &dyn Workers,
) -> Vec<(u32, f32)> {
    let tasks: Vec<&[f32]> = vectors.chunks(TASK_ROWS * leaves.dim).collect();
    let found = collect(workers, tasks.len(), |task| {
        KernelChoice::detected().run(Assign { leaves, metric, vectors: tasks[task] })
    });
    found.concat()
}

struct Assign<'a> {
    leaves: &'a Leaves,
    metric: Metric,
    vectors: &'a [f32],
}

impl WithKernel for Assign<'_> {
    type Output = Vec<(u32, f32)>;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> Self::Output {
        let mut found = Vec::new();
        self.leaves.assign(kernel, self.metric, self.vectors, &mut found);
        found
    }
}

/// The mean of each leaf's vectors, for cosine at unit length. A leaf without vectors moves to the
/// vector that lies farthest from its own leaf.
fn means(metric: Metric, leaves: &Leaves, sample: &[f32], assigned: &[(u32, f32)]) -> Vec<f32> {
    let dim = leaves.dim;
    let mut sums = vec![0.0f64; leaves.len() * dim];
    let mut counts = vec![0u32; leaves.len()];
    for (vector, &(leaf, _)) in sample.chunks_exact(dim).zip(assigned) {
        counts[leaf as usize] += 1;
        let sum = &mut sums[leaf as usize * dim..][..dim];
        sum.iter_mut().zip(vector).for_each(|(sum, &x)| *sum += f64::from(x));
    }
    let empty = counts.iter().filter(|&&count| count == 0).count();
    let mut far = farthest(sample, dim, assigned, empty).into_iter();
    let mut centroids = Vec::with_capacity(sums.len());
    for (leaf, (sum, &count)) in sums.chunks_exact(dim).zip(&counts).enumerate() {
        let start = centroids.len();
        if count > 0 {
            centroids.extend(sum.iter().map(|&sum| (sum / f64::from(count)) as f32));
        } else if let Some(row) = far.next() {
            centroids.extend_from_slice(&sample[row * dim..][..dim]);
        } else {
            centroids.extend_from_slice(leaves.centroid(leaf));
        }
        if metric == Metric::Cosine {
            let centroid = &mut centroids[start..];
            let scale = unit_scale(centroid);
            centroid.iter_mut().for_each(|x| *x = (f64::from(*x) * scale) as f32);
        }
    }
    centroids
}

/// The `count` vectors that lie farthest from their centroid.
fn farthest(sample: &[f32], dim: usize, assigned: &[(u32, f32)], count: usize) -> Vec<usize> {
    if count == 0 {
        return Vec::new();
    }
    // ‖x − c‖² = ‖x‖² − 2 (⟨x, c⟩ − ‖c‖² / 2); for cosine but for a constant.
    let distance = |(vector, &(_, near)): (&[f32], &(u32, f32))| {
        let squared: f64 = vector.iter().map(|&x| f64::from(x).powi(2)).sum();
        squared - 2.0 * f64::from(near)
    };
    let mut rows: Vec<(f64, usize)> =
        sample.chunks_exact(dim).zip(assigned).map(distance).zip(0..).collect();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    rows.into_iter().take(count).map(|(_, row)| row).collect()
}
