//! Building clusters: leaves are trained on a sample, then every row is placed and coded.

use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

use super::Clusters;
use super::block::{LANES, NO_ROW};
use super::leaves::{Leaves, prepare};
use super::nibbles::Ranges;
use super::train::{assign_all, train};
use crate::workers::collect;
use crate::{BuildError, DIM_MAX, Damaged, Metric, Vectors, Workers};

/// Vectors of the sample for each leaf …
const SAMPLE_ROWS_PER_LEAF: usize = 64;
/// … and the bytes that all of them may take, as long as there are a few for each leaf.
const SAMPLE_BYTES: usize = 64 << 20;
const SAMPLE_ROWS_PER_LEAF_MIN: usize = 8;
/// Rows placed between two calls of the progress callback.
const CHUNK_ROWS: u32 = 1 << 14;
/// Rows that one task reads.
const TASK_ROWS: u32 = 256;
/// Blocks that one task codes.
const TASK_BLOCKS: usize = 16;

/// How clusters are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterOptions {
    /// Number of leaves; `None` for the square root of the number of rows, at which ranking the
    /// leaves and reading a few of them cost about the same.
    pub leaves: Option<u32>,
    /// Rounds of k-means. Default 8.
    pub rounds: u32,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        ClusterOptions { leaves: None, rounds: 8 }
    }
}

/// Clusters that were built.
#[derive(Clone, Debug, PartialEq)]
pub struct ClustersBuf {
    /// Leaves and ranges.
    pub clusters: Clusters,
    /// The blocks, back to back.
    pub blocks: Vec<u8>,
}

/// Builds clusters over `vectors` as given by the user, `dim` components each, at least one row.
///
/// The same clusters for any number of threads (centroids depend on the instruction set, as float
/// sums do). `progress` is told how many rows are done and may stop the build.
pub fn build_clusters<V: Vectors>(
    vectors: &V,
    metric: Metric,
    dim: usize,
    options: &ClusterOptions,
    workers: &dyn Workers,
    progress: &mut dyn FnMut(u32) -> ControlFlow<()>,
) -> Result<ClustersBuf, BuildError> {
    let out_of_bounds = |name, value, min, max| Err(BuildError::Option { name, value, min, max });
    if dim == 0 || dim > DIM_MAX {
        return out_of_bounds("dim", dim, 1, DIM_MAX);
    }
    let rows = vectors.rows();
    let leaves = options.leaves.unwrap_or_else(|| f64::from(rows).sqrt().round() as u32);
    if rows == 0 || leaves == 0 || leaves > rows {
        return out_of_bounds("leaves", leaves as usize, 1, rows as usize);
    }
    let building = Building { vectors, metric, dim, workers };
    let sample_rows = (leaves as usize * SAMPLE_ROWS_PER_LEAF)
        .min(SAMPLE_BYTES / (4 * dim))
        .max(leaves as usize * SAMPLE_ROWS_PER_LEAF_MIN)
        .min(rows as usize);
    let spread = |i: usize| (i as u64 * u64::from(rows) / sample_rows as u64) as u32;
    let sample = building.prepared(sample_rows, spread)?;
    let ranges = Ranges::fit(dim, &sample);
    let rounds = options.rounds as usize;
    let trained =
        train(metric, dim, &sample, leaves as usize, rounds, workers, &mut || progress(0))
            .ok_or(BuildError::Cancelled)?;
    drop(sample);

    let mut placed = Vec::with_capacity(rows as usize);
    for first in (0..rows).step_by(CHUNK_ROWS as usize) {
        let chunk = CHUNK_ROWS.min(rows - first);
        let prepared = building.prepared(chunk as usize, |i| first + i as u32)?;
        let found = assign_all(&trained, metric, &prepared, workers);
        placed.extend(found.into_iter().map(|(leaf, _)| leaf));
        // Placing is the larger half of what is left.
        if progress((first + chunk) / 4 * 3).is_break() {
            return Err(BuildError::Cancelled);
        }
    }
    building.code(ranges, trained, &placed)
}

/// The rows that are built over.
struct Building<'a, V> {
    vectors: &'a V,
    metric: Metric,
    dim: usize,
    workers: &'a dyn Workers,
}

impl<V: Vectors> Building<'_, V> {
    /// `count` prepared vectors, back to back; `row` says which.
    fn prepared(
        &self,
        count: usize,
        row: impl Fn(usize) -> u32 + Sync,
    ) -> Result<Vec<f32>, Damaged> {
        let mut prepared = vec![0.0; count * self.dim];
        let parts: Vec<Mutex<&mut [f32]>> =
            prepared.chunks_mut(TASK_ROWS as usize * self.dim).map(Mutex::new).collect();
        let read = collect(self.workers, parts.len(), |task| {
            let mut part = parts[task].lock().unwrap_or_else(PoisonError::into_inner);
            let first = task * TASK_ROWS as usize;
            for (i, out) in part.chunks_exact_mut(self.dim).enumerate() {
                self.vectors.vector(row(first + i))?.read_into(out);
                prepare(self.metric, out);
            }
            Ok(())
        });
        read.into_iter().collect::<Result<(), Damaged>>()?;
        drop(parts);
        Ok(prepared)
    }

    /// Codes every row into the leaf it was placed in; within a leaf rows ascend.
    fn code(
        &self,
        ranges: Ranges,
        leaves: Leaves,
        placed: &[u32],
    ) -> Result<ClustersBuf, BuildError> {
        let mut leaf_rows = vec![0u32; leaves.len()];
        placed.iter().for_each(|&leaf| leaf_rows[leaf as usize] += 1);
        let clusters = Clusters::new(self.metric, ranges, leaves, leaf_rows)
            .ok_or(BuildError::TooManyRows(u32::MAX))?;
        let shape = clusters.shape();
        // The row in every lane of every block.
        let mut lanes = vec![NO_ROW; clusters.blocks() as usize * LANES];
        let mut next: Vec<usize> =
            clusters.starts.iter().map(|&start| start as usize * LANES).collect();
        for (row, &leaf) in (0..).zip(placed) {
            let at = &mut next[leaf as usize];
            lanes[*at] = row;
            *at += 1;
        }
        let mut blocks = vec![0u8; clusters.blocks() as usize * shape.len()];
        let parts: Vec<_> = blocks
            .chunks_mut(TASK_BLOCKS * shape.len())
            .zip(lanes.chunks(TASK_BLOCKS * LANES))
            .map(Mutex::new)
            .collect();
        let coded = collect(self.workers, parts.len(), |task| {
            let mut part = parts[task].lock().unwrap_or_else(PoisonError::into_inner);
            let (blocks, lanes) = &mut *part;
            let mut vector = vec![0.0; self.dim];
            for (block, rows) in blocks.chunks_exact_mut(shape.len()).zip(lanes.chunks_exact(LANES))
            {
                for (lane, &row) in rows.iter().enumerate() {
                    shape.put_row(block, lane, row);
                    if row != NO_ROW {
                        self.vectors.vector(row)?.read_into(&mut vector);
                        prepare(self.metric, &mut vector);
                        clusters.ranges.encode(shape, &vector, block, lane);
                    }
                }
            }
            Ok(())
        });
        coded.into_iter().collect::<Result<(), Damaged>>()?;
        drop(parts);
        Ok(ClustersBuf { clusters, blocks })
    }
}
