//! What a search needs besides the blocks: leaves, ranges, and where each leaf's blocks begin.

use super::block::{BlockShape, LANES, NO_ROW};
use super::leaves::Leaves;
use super::nibbles::Ranges;
use crate::{DIM_MAX, FormatError, Metric};

const FORMAT_VERSION: u32 = 1;
const WHAT: &str = "clusters";

/// Rows in leaves. Holds what is read by every search (centroids: about `√rows · dim` floats); the
/// blocks of codes lie wherever the caller has them.
#[derive(Clone, Debug, PartialEq)]
pub struct Clusters {
    pub(super) metric: Metric,
    pub(super) rows: u32,
    pub(super) ranges: Ranges,
    pub(super) leaves: Leaves,
    /// Rows of each leaf.
    pub(super) leaf_rows: Vec<u32>,
    /// The first block of each leaf, and the number of all blocks.
    pub(super) starts: Vec<u32>,
}

impl Clusters {
    /// `leaf_rows` has a number for every leaf; all together they are the rows.
    pub(super) fn new(
        metric: Metric,
        ranges: Ranges,
        leaves: Leaves,
        leaf_rows: Vec<u32>,
    ) -> Option<Self> {
        let mut starts = vec![0u32];
        let (mut rows, mut blocks) = (0u32, 0u32);
        for &count in &leaf_rows {
            rows = rows.checked_add(count)?;
            blocks = blocks.checked_add(count.div_ceil(LANES as u32))?;
            starts.push(blocks);
        }
        Some(Clusters { metric, rows, ranges, leaves, leaf_rows, starts })
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let words = self.leaf_rows.capacity() + self.starts.capacity();
        4 * (words + self.ranges.low.capacity() + self.ranges.step.capacity())
            + self.leaves.heap_bytes()
    }

    /// The metric.
    #[must_use]
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// Components of a vector.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.leaves.dim
    }

    /// Rows.
    #[must_use]
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// Number of leaves.
    #[must_use]
    pub fn leaves(&self) -> u32 {
        self.leaves.len() as u32
    }

    /// Number of blocks; each has [`block_len`](Self::block_len) bytes.
    #[must_use]
    pub fn blocks(&self) -> u32 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Bytes of a block of 16 rows: half a byte a component, 4 or (Euclidean) 8 bytes more a row.
    #[must_use]
    pub fn block_len(&self) -> usize {
        self.shape().len()
    }

    /// The rows that a block names, for those who check all of them; `None` if it has another length
    /// than a block.
    pub fn block_rows(&self, block: &[u8]) -> Option<impl Iterator<Item = u32>> {
        let block = self.shape().split(block).filter(|_| block.len() == self.block_len())?;
        let rows: [u32; LANES] = std::array::from_fn(|lane| block.row(lane));
        Some(rows.into_iter().filter(|&row| row != NO_ROW))
    }

    pub(super) fn shape(&self) -> BlockShape {
        BlockShape::new(self.metric, self.dim())
    }

    /// The bytes kept in a segment: version, metric, dimension, leaves; the rows of each leaf; `low`
    /// and `step` of each component; the centroids. Four bytes each, little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let metric: u32 = match self.metric {
            Metric::Cosine => 0,
            Metric::Dot => 1,
            Metric::Euclidean => 2,
        };
        let mut bytes = Vec::new();
        for word in [FORMAT_VERSION, metric, self.dim() as u32, self.leaves()] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(self.leaf_rows.iter().flat_map(|rows| rows.to_le_bytes()));
        for floats in [&self.ranges.low, &self.ranges.step, &self.leaves.centroids] {
            bytes.extend(floats.iter().flat_map(|float| float.to_le_bytes()));
        }
        bytes
    }

    /// Reads what `to_bytes` wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormatError> {
        let error = |problem: String| FormatError::new(WHAT, problem);
        let (words, rest) = bytes.as_chunks::<4>();
        let Some((head, words)) = words.split_first_chunk::<4>() else {
            return Err(error(format!("{} bytes are too few", bytes.len())));
        };
        let [version, metric, dim, leaves] = head.map(u32::from_le_bytes);
        if version != FORMAT_VERSION {
            return Err(error(format!("version {version}, this program reads {FORMAT_VERSION}")));
        }
        let metric = match metric {
            0 => Metric::Cosine,
            1 => Metric::Dot,
            2 => Metric::Euclidean,
            other => return Err(error(format!("unknown metric {other}"))),
        };
        let (dim, leaves) = (dim as usize, leaves as usize);
        if dim == 0 || dim > DIM_MAX || leaves == 0 {
            return Err(error(format!("{leaves} leaves of {dim} components")));
        }
        let expected = leaves as u64 + (2 * dim) as u64 + leaves as u64 * dim as u64;
        if words.len() as u64 != expected || !rest.is_empty() {
            let problem = format!("{} bytes for {leaves} leaves of {dim}", bytes.len());
            return Err(error(problem));
        }
        let (leaf_rows, words) = words.split_at(leaves);
        let leaf_rows = leaf_rows.iter().map(|&word| u32::from_le_bytes(word)).collect();
        let floats: Vec<f32> = words.iter().map(|&word| f32::from_le_bytes(word)).collect();
        let (low, floats) = floats.split_at(dim);
        let (step, centroids) = floats.split_at(dim);
        let finite = |floats: &[f32]| floats.iter().all(|float| float.is_finite());
        if !finite(low) || !finite(step) || !finite(centroids) || step.iter().any(|&s| s <= 0.0) {
            return Err(error("a range or a centroid is out of bounds".to_owned()));
        }
        let ranges = Ranges { low: low.to_vec(), step: step.to_vec() };
        let leaves = Leaves::new(dim, centroids.to_vec());
        Clusters::new(metric, ranges, leaves, leaf_rows)
            .ok_or_else(|| error("more rows than can be counted".to_owned()))
    }
}
