//! Rows that are on their way from memory.

use crate::{Damaged, Rows, prefetch};

/// Rows that the processor was asked for, to be read a little later.
pub(crate) struct Ahead<'a, const LEN: usize> {
    rows: [u32; LEN],
    data: [&'a [u8]; LEN],
    len: usize,
}

impl<'a, const LEN: usize> Ahead<'a, LEN> {
    pub(crate) const EMPTY: Self = Ahead { rows: [0; LEN], data: [&[]; LEN], len: 0 };

    /// Takes rows until there are `LEN`, in place of those that it had.
    #[inline(always)]
    pub(crate) fn fetch<R: Rows<u8>>(
        &mut self,
        rows_of: &'a R,
        rows: &mut impl Iterator<Item = u32>,
    ) -> Result<(), Damaged> {
        let mut len = 0;
        while len < LEN {
            let Some(row) = rows.next() else { break };
            let data = rows_of.row(row)?;
            prefetch(data);
            self.rows[len] = row;
            self.data[len] = data;
            len += 1;
        }
        self.len = len;
        Ok(())
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The rows that are there.
    #[inline(always)]
    pub(crate) fn rows(&self) -> &[u32] {
        &self.rows[..self.len]
    }

    /// The bytes of all `LEN` rows; the first stands for those that are missing.
    #[inline(always)]
    pub(crate) fn data(&mut self) -> &[&'a [u8]; LEN] {
        if self.len < LEN {
            let first = self.data[0];
            self.data[self.len..].fill(first);
        }
        &self.data
    }
}
