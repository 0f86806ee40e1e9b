//! Codes of rows that come one block after the other.

use super::block::{BLOCK_ROWS, Block, Blocks, Codes, LINE_BYTES};
use crate::{AppendOnly, BuildError, GRAPH_ROWS_MAX, Metric, Quantizer, Rows};

/// 8-bit codes that can be scanned while more are added. One thread at a time may add some.
#[derive(Debug)]
pub struct LiveCodes {
    quantizer: Quantizer,
    blocks: AppendOnly<Block>,
    /// Link slots that a row has beside its code.
    degree: usize,
}

/// A reader's hold on the codes that were there when it was taken.
#[derive(Clone, Debug)]
pub struct CodesReader<'a> {
    quantizer: &'a Quantizer,
    blocks: Vec<&'a Block>,
}

impl LiveCodes {
    /// Rows that are coded at a time.
    pub const BLOCK_ROWS: u32 = BLOCK_ROWS as u32;

    /// Begins without a row. Codes are fitted to `sample`, vectors back to back as the user gave them.
    #[must_use]
    pub fn new(metric: Metric, dim: usize, sample: &[f32]) -> Self {
        Self::with_links(metric, dim, sample, 0)
    }

    /// The same, with empty lists of so many links.
    pub(super) fn with_links(metric: Metric, dim: usize, sample: &[f32], degree: usize) -> Self {
        let quantizer = Quantizer::train(metric, dim, sample);
        LiveCodes { quantizer, blocks: AppendOnly::default(), degree }
    }

    /// Codes the next [`BLOCK_ROWS`](Self::BLOCK_ROWS) rows, whose vectors are in `block` back to
    /// back as the user gave them.
    ///
    /// # Panics
    ///
    /// If `block` does not hold so many vectors.
    pub fn encode(&self, block: &[f32]) -> Result<(), BuildError> {
        let dim = self.quantizer.dim();
        assert_eq!(block.len(), BLOCK_ROWS * dim, "a block has {BLOCK_ROWS} vectors");
        let rows = self.rows() as usize + BLOCK_ROWS;
        if rows > GRAPH_ROWS_MAX as usize {
            return Err(BuildError::TooManyRows(rows as u32));
        }
        self.blocks.push(Block::encode(&self.quantizer, block, self.degree));
        Ok(())
    }

    /// Rows that have codes.
    #[must_use]
    pub fn rows(&self) -> u32 {
        (self.blocks.len() * BLOCK_ROWS) as u32
    }

    /// How rows are coded.
    #[must_use]
    pub fn quantizer(&self) -> &Quantizer {
        &self.quantizer
    }

    /// Bytes on the heap, about.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let row = self.quantizer.code_len() + self.degree * size_of::<u32>();
        self.blocks.heap_bytes() + self.blocks.len() * (BLOCK_ROWS * row + LINE_BYTES)
    }

    /// The codes as they are now.
    #[must_use]
    pub fn reader(&self) -> CodesReader<'_> {
        let blocks = self.blocks.iter_to(usize::MAX).collect();
        CodesReader { quantizer: &self.quantizer, blocks }
    }

    pub(super) fn degree(&self) -> usize {
        self.degree
    }

    /// The first `rows` rows, which must be there, with their links.
    pub(super) fn first(&self, rows: u32) -> Blocks<'_> {
        Blocks::new(&self.blocks, rows, self.degree)
    }
}

impl<'a> CodesReader<'a> {
    /// Rows that have codes: those below this number.
    #[must_use]
    pub fn rows(&self) -> u32 {
        self.codes().rows()
    }

    /// How rows are coded.
    #[must_use]
    pub fn quantizer(&self) -> &'a Quantizer {
        self.quantizer
    }

    /// The codes.
    #[must_use]
    pub fn codes(&self) -> impl Rows<u8> {
        Codes::new(&self.blocks)
    }
}
