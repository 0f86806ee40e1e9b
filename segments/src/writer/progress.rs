//! Telling the caller how far the writer is, and hearing whether to go on.

use std::ops::ControlFlow;

use crate::SegmentError;

/// What the writer is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Copying vectors and metadata.
    Rows,
    /// Linking rows into graphs.
    Graph,
    /// Reading everything back.
    Verify,
}

/// Progress of a writer.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// What is going on.
    pub stage: Stage,
    /// Rows done in this stage.
    pub done: u64,
    /// Rows to do in this stage.
    pub total: u64,
}

/// Rows between two reports.
const ROWS_PER_REPORT: u32 = 1024;

/// The caller's callback.
pub(super) struct Reporter<'a>(pub(super) &'a mut dyn FnMut(Progress) -> ControlFlow<()>);

impl Reporter<'_> {
    pub(super) fn report(&mut self, stage: Stage, done: u64, total: u64) -> ControlFlow<()> {
        (self.0)(Progress { stage, done, total })
    }

    /// Reports pass number `pass` of `passes` over the rows, now and then.
    pub(super) fn rows(
        &mut self,
        row: u32,
        rows: u32,
        pass: u64,
        passes: u64,
    ) -> Result<(), SegmentError> {
        if !row.is_multiple_of(ROWS_PER_REPORT) {
            return Ok(());
        }
        let done = (pass * u64::from(rows) + u64::from(row)) / passes;
        match self.report(Stage::Rows, done, u64::from(rows)) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(SegmentError::Cancelled),
        }
    }
}
