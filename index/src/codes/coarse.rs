//! Coarse codes: four bits a component, made of the code of eight. A walk that compares them reads half
//! the memory; what it keeps is compared again on whole codes.

use super::Levels;
use super::rounding::Rounding;
use crate::workers::collect;
use crate::{Damaged, Quantizer, Rows, Workers};

/// Components that lie together in a coarse code, low nibbles first: byte `i` of a piece has component
/// `i` in its low four bits and component `i + PIECE_BYTES` in the high ones.
pub(crate) const PIECE: usize = 64;
/// Bytes of so many.
pub(crate) const PIECE_BYTES: usize = PIECE / 2;
/// Bytes of a coarse code that are looked up together. A query's weights lie as they are met: those of a
/// block's low nibbles, then those of its high ones. The last block may be a piece.
pub(crate) const COARSE_BLOCK: usize = 2 * PIECE_BYTES;
/// Codes up to this length are one line of memory: nothing is saved by reading half of one.
const LINE: usize = 64;
/// Rows that one task makes coarse.
const TASK_ROWS: u32 = 4096;

/// Coarse codes of all rows, back to back, and what they stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoarseBuf {
    /// The values of components.
    pub levels: Levels,
    /// [`coarse_len`](CoarseBuf::coarse_len) bytes a row.
    pub codes: Vec<u8>,
}

impl CoarseBuf {
    /// Bytes of a coarse code, half of those of a code; `None` where a code is so short that there are
    /// none.
    #[must_use]
    pub fn coarse_len(code_len: usize) -> Option<usize> {
        (code_len > LINE).then_some(code_len / 2)
    }
}

/// Makes the coarse codes of all rows; `None` where codes are so short that they would save nothing.
///
/// The same codes give the same bytes, whatever the number of threads and the processor.
pub fn build_coarse<C: Rows<u8>>(
    quantizer: &Quantizer,
    codes: &C,
    workers: &dyn Workers,
) -> Result<Option<CoarseBuf>, Damaged> {
    let Some(width) = CoarseBuf::coarse_len(quantizer.code_len()) else { return Ok(None) };
    let dim = quantizer.dim();
    let levels = Levels::fit(codes, dim)?;
    let rounding = Rounding::new(quantizer, &levels);
    let tasks = codes.rows().div_ceil(TASK_ROWS);
    let parts = collect(workers, tasks as usize, |task| {
        let first = task as u32 * TASK_ROWS;
        let rows = first..codes.rows().min(first.saturating_add(TASK_ROWS));
        let mut part = vec![0; rows.len() * width];
        let mut rounded = Vec::with_capacity(dim);
        for (row, coarse) in rows.zip(part.chunks_exact_mut(width)) {
            rounding.round(&codes.row(row)?[..dim], &mut rounded);
            pack(&rounded, coarse);
        }
        Ok(part)
    });
    let mut all = Vec::with_capacity(codes.rows() as usize * width);
    for part in parts {
        all.extend(part?);
    }
    Ok(Some(CoarseBuf { levels, codes: all }))
}

/// Puts the numbers of the components' levels into `coarse`; what has no component has level 0.
fn pack(rounded: &[u8], coarse: &mut [u8]) {
    coarse.fill(0);
    for (piece, coarse) in rounded.chunks(PIECE).zip(coarse.chunks_exact_mut(PIECE_BYTES)) {
        let (low, high) = piece.split_at(piece.len().min(PIECE_BYTES));
        for (coarse, &level) in coarse.iter_mut().zip(low) {
            *coarse = level;
        }
        for (coarse, &level) in coarse.iter_mut().zip(high) {
            *coarse |= level << 4;
        }
    }
}

/// Codes with coarse ones beside them, if there are any.
#[derive(Clone, Copy, Debug)]
pub struct WithCoarse<'a, C, H> {
    /// Whole codes.
    pub whole: &'a C,
    /// Coarse ones of the same rows, and what their components stand for.
    pub coarse: Option<(&'a H, Levels)>,
}

/// What a graph is walked on: whole codes, or [coarse](WithCoarse) ones too.
pub trait WalkCodes: Sync {
    /// Whole codes.
    type Whole: Rows<u8>;
    /// Coarse codes.
    type Coarse: Rows<u8>;
    /// Whole codes.
    fn whole(&self) -> &Self::Whole;
    /// Coarse codes and what they stand for, if there are any.
    fn coarse(&self) -> Option<(&Self::Coarse, Levels)>;
}

impl<C: Rows<u8>> WalkCodes for C {
    type Whole = C;
    type Coarse = C;

    fn whole(&self) -> &C {
        self
    }

    fn coarse(&self) -> Option<(&C, Levels)> {
        None
    }
}

impl<C: Rows<u8>, H: Rows<u8>> WalkCodes for WithCoarse<'_, C, H> {
    type Whole = C;
    type Coarse = H;

    fn whole(&self) -> &C {
        self.whole
    }

    fn coarse(&self) -> Option<(&H, Levels)> {
        self.coarse
    }
}
