//! Sixteen rows of a leaf, interleaved so that one cache line has eight components of all of them.
//!
//! | part | bytes | |
//! |---|---|---|
//! | codes | 64 for every 8 components | byte `4 r + c` of a line: component `c` of row `r` in the low four bits, component `c + 4` in the high ones |
//! | rows | 64 | `u32` row numbers, `ffffffff` where there is none |
//! | corrections | 64, only for Euclidean | `f32`, half the squared length of what the code stands for |

use crate::Metric;

/// Rows of a block.
pub(crate) const LANES: usize = 16;
/// Bytes of a line.
pub(crate) const LINE_BYTES: usize = 64;
/// Components of a line.
pub(crate) const LINE_COMPONENTS: usize = 8;
/// In the place of a row that is not there.
pub(super) const NO_ROW: u32 = u32::MAX;

/// How a block of a collection is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockShape {
    /// Lines of codes.
    pub(super) lines: usize,
    /// Whether rows have a correction.
    pub(super) corrected: bool,
}

/// The parts of a block.
pub(super) struct Block<'a> {
    pub(super) codes: &'a [u8],
    rows: &'a [[u8; 4]; LANES],
    corrections: Option<&'a [[u8; 4]; LANES]>,
}

impl BlockShape {
    pub(super) fn new(metric: Metric, dim: usize) -> Self {
        let corrected = metric == Metric::Euclidean;
        BlockShape { lines: dim.div_ceil(LINE_COMPONENTS), corrected }
    }

    /// Bytes of a block.
    pub(super) fn len(self) -> usize {
        (self.lines + 1 + usize::from(self.corrected)) * LINE_BYTES
    }

    /// The parts of a block; `None` if it has another length.
    #[inline(always)]
    pub(super) fn split(self, block: &[u8]) -> Option<Block<'_>> {
        let (codes, rest) = block.split_at_checked(self.lines * LINE_BYTES)?;
        let (words, _) = rest.as_chunks::<4>();
        let (rows, words) = words.split_first_chunk::<LANES>()?;
        let corrections = if self.corrected { Some(words.first_chunk()?) } else { None };
        Some(Block { codes, rows, corrections })
    }

    /// Writes component `component` of the row in `lane`; the block was zero there.
    #[inline(always)]
    pub(super) fn put_code(self, block: &mut [u8], lane: usize, component: usize, code: u8) {
        let (line, place) = (component / LINE_COMPONENTS, component % LINE_COMPONENTS);
        let byte = line * LINE_BYTES + 4 * lane + place % 4;
        block[byte] |= if place < 4 { code } else { code << 4 };
    }

    /// Writes the number of the row in `lane`.
    pub(super) fn put_row(self, block: &mut [u8], lane: usize, row: u32) {
        self.put_word(block, self.lines, lane, row.to_le_bytes());
    }

    /// Writes the correction of the row in `lane`, where rows have one.
    pub(super) fn put_correction(self, block: &mut [u8], lane: usize, correction: f32) {
        if self.corrected {
            self.put_word(block, self.lines + 1, lane, correction.to_le_bytes());
        }
    }

    fn put_word(self, block: &mut [u8], line: usize, lane: usize, word: [u8; 4]) {
        let start = line * LINE_BYTES + 4 * lane;
        block[start..start + 4].copy_from_slice(&word);
    }
}

impl Block<'_> {
    #[inline(always)]
    pub(super) fn row(&self, lane: usize) -> u32 {
        u32::from_le_bytes(self.rows[lane])
    }

    #[inline(always)]
    pub(super) fn corrections(&self) -> [f32; LANES] {
        self.corrections.map_or([0.0; LANES], |words| words.map(f32::from_le_bytes))
    }
}
