//! Whether the answer to a query is still wanted, asked while it runs.

use std::cell::Cell;
use std::fmt;

use vecstore_segments::SegmentError;

/// Who can say that an answer is no longer wanted. What was said once holds from then on, so that part
/// of an answer is never taken for the whole.
pub struct Stop<'a> {
    ask: &'a dyn Fn() -> bool,
    said: Cell<bool>,
}

impl fmt::Debug for Stop<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stop").field("said", &self.said).finish_non_exhaustive()
    }
}

impl<'a> Stop<'a> {
    /// Rows between two questions: to ask takes as long as a few of them, mostly a look at the clock.
    pub const ROWS: usize = 1_024;

    /// Asks `ask`.
    pub fn new(ask: &'a dyn Fn() -> bool) -> Self {
        Stop { ask, said: Cell::new(false) }
    }

    /// For an answer that is wanted whatever happens.
    #[must_use]
    pub fn never() -> Self {
        Stop::new(&|| false)
    }

    /// Whether the answer is no longer wanted.
    pub fn asked(&self) -> bool {
        if !self.said.get() {
            self.said.set((self.ask)());
        }
        self.said.get()
    }

    /// [`SegmentError::Cancelled`] if the answer is no longer wanted.
    pub fn go_on(&self) -> Result<(), SegmentError> {
        if self.asked() { Err(SegmentError::Cancelled) } else { Ok(()) }
    }

    /// Asks if this is one in [`ROWS`](Self::ROWS).
    pub(crate) fn go_on_at(&self, row: usize) -> Result<(), SegmentError> {
        if row % Self::ROWS == Self::ROWS - 1 { self.go_on() } else { Ok(()) }
    }

    /// The same rows, but no more of them once the answer is not wanted. Whoever goes through them
    /// has to [ask](Self::go_on) whether these were all.
    pub fn rows<I: Iterator<Item = u32>>(
        &'a self,
        rows: I,
    ) -> impl Iterator<Item = u32> + use<'a, I> {
        Rows { rows, left: Self::ROWS, stop: self }
    }
}

struct Rows<'a, I> {
    rows: I,
    /// Rows until the next question.
    left: usize,
    stop: &'a Stop<'a>,
}

impl<I: Iterator<Item = u32>> Iterator for Rows<'_, I> {
    type Item = u32;

    #[inline(always)]
    fn next(&mut self) -> Option<u32> {
        if self.left == 0 {
            if self.stop.asked() {
                return None;
            }
            self.left = Stop::ROWS;
        }
        self.left -= 1;
        self.rows.next()
    }
}
