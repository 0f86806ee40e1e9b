//! Every given row compared with the query.

use super::best::Best;
use super::{Candidate, CodeQuery, Keys};
use crate::ahead::Ahead;
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
        Candidate {
            distance: self.scale().key_to_distance((value >> 32) as u32),
            row: value as u32,
        }
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
        // Two blocks take turns: one is being fetched while the other is compared.
        let (mut current, mut next) = (Ahead::EMPTY, Ahead::EMPTY);
        current.fetch(codes, &mut rows)?;
        while !current.is_empty() {
            next.fetch(codes, &mut rows)?;
            self.offer(kernel, &mut current, best);
            current.fetch(codes, &mut rows)?;
            self.offer(kernel, &mut next, best);
        }
        Ok(())
    }

    #[inline(always)]
    fn offer<K: Kernel>(&self, kernel: K, block: &mut Ahead<'_, AHEAD>, best: &mut Best) {
        let len = block.rows().len();
        let mut keys = [0; AHEAD];
        let fours = block.data().as_chunks::<4>().0;
        for (fours, keys) in fours.iter().zip(keys.as_chunks_mut::<4>().0).take(len.div_ceil(4)) {
            *keys = self.measure().keys_of_4(kernel, *fours, self.code());
        }
        for (&row, &key) in block.rows().iter().zip(&keys) {
            best.offer(u64::from(key) << 32 | u64::from(row));
        }
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
