//! Every given row compared with the query.

use super::best::Best;
use super::{Candidate, CodeQuery};
use crate::kernels::{Kernel, KernelChoice, WithKernel};
use crate::{Damaged, Rows};

/// Rows whose codes are asked for before the first of them is compared.
const AHEAD: usize = 16;

impl CodeQuery {
    /// The `keep` nearest of the given rows (ascending row order is fastest), nearest first, ties
    /// by row.
    pub fn scan<C: Rows<u8>>(
        &self,
        codes: &C,
        rows: impl Iterator<Item = u32>,
        keep: usize,
    ) -> Result<Vec<Candidate>, Damaged> {
        let best = KernelChoice::detected().run(Scan { query: self, codes, rows, keep })?;
        Ok(best.into_sorted().into_iter().map(|value| self.candidate(value)).collect())
    }

    /// The candidate of a key and a row, as [`offer_each`](Self::offer_each) puts them together.
    pub(crate) fn candidate(&self, value: u64) -> Candidate {
        Candidate { distance: self.key_to_distance((value >> 32) as u32), row: value as u32 }
    }

    /// Compares each row's code, and offers its key with the row below it.
    #[inline(always)]
    pub(crate) fn offer_each<K: Kernel, C: Rows<u8>>(
        &self,
        kernel: K,
        codes: &C,
        mut rows: impl Iterator<Item = u32>,
        best: &mut Best,
    ) -> Result<(), Damaged> {
        let (code, measure) = (self.code(), self.measure());
        // Two blocks take turns: one is being fetched while the other is compared.
        let mut blocks = [[0u32; AHEAD]; 2];
        let mut lens = [0, 0];
        let mut current = 0;
        lens[current] = fetch(codes, &mut rows, &mut blocks[current]);
        while lens[current] > 0 {
            let next = 1 - current;
            lens[next] = fetch(codes, &mut rows, &mut blocks[next]);
            for &row in &blocks[current][..lens[current]] {
                let key = measure.key(kernel, code, codes.row(row)?);
                best.offer(u64::from(key) << 32 | u64::from(row));
            }
            current = next;
        }
        Ok(())
    }
}

struct Scan<'a, C, I> {
    query: &'a CodeQuery,
    codes: &'a C,
    rows: I,
    keep: usize,
}

impl<C: Rows<u8>, I: Iterator<Item = u32>> WithKernel for Scan<'_, C, I> {
    type Output = Result<Best, Damaged>;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> Result<Best, Damaged> {
        let mut best = Best::new(self.keep);
        if self.keep > 0 {
            self.query.offer_each(kernel, self.codes, self.rows, &mut best)?;
        }
        Ok(best)
    }
}

/// Takes rows until the block is full, asks the processor for them, and gives their number.
#[inline(always)]
pub(crate) fn fetch<C: Rows<u8>, const LEN: usize>(
    rows_of: &C,
    rows: &mut impl Iterator<Item = u32>,
    block: &mut [u32; LEN],
) -> usize {
    let mut len = 0;
    for (slot, row) in block.iter_mut().zip(rows) {
        *slot = row;
        rows_of.prefetch(row);
        len += 1;
    }
    len
}
