//! The graph of a namespace in a memtable.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use vecstore_index::{BuildError, Calibration, Damaged, Linker, LiveGraph, Stored, Vectors};

use super::asks::Wanted;
use super::namespace::HotNamespace;
use crate::options::CollectionOptions;

/// Rows below which nothing is linked. A scan of 1,000 takes as long as a walk through 10,000 (37
/// and 39 µs with 384 components), and a segment with fewer gets no graph either.
const LINK_ROWS_MIN: u32 = 2_048;
/// Rows that codes are fitted to.
const SAMPLE_ROWS: u32 = 4_096;

/// The growing graph, if it was asked for.
#[derive(Debug, Default)]
pub(super) struct HotGraph {
    graph: OnceLock<Arc<LiveGraph>>,
    /// The one who links; only the background takes it.
    linker: Mutex<Option<Linker>>,
    /// Rows that a query has looked at.
    wanted: Wanted,
    /// Linking failed, and would again: rows are scanned.
    failed: AtomicBool,
}

impl HotGraph {
    /// The graph, as far as it has grown.
    pub(super) fn get(&self) -> Option<&LiveGraph> {
        self.graph.get().map(|graph| &**graph)
    }

    /// What the graph was last measured to do, its links back to back, and how many a row has.
    pub(super) fn lend(&self) -> Option<(&Calibration, Vec<u32>, usize)> {
        let graph = self.get()?;
        let measured = graph.reader()?.measured();
        Some((measured, graph.links(), graph.degree()))
    }

    /// Notes that a query looks at the rows before `end`; true if there is something to be linked.
    pub(super) fn want(&self, end: u32) -> bool {
        end >= LINK_ROWS_MIN
            && self.wanted.raise(end / Linker::BLOCK_ROWS * Linker::BLOCK_ROWS)
            && self.is_behind()
    }

    /// Whether rows were asked for that are not linked.
    pub(super) fn is_behind(&self) -> bool {
        self.linked() < self.wanted.rows() && !self.failed.load(Ordering::Relaxed)
    }

    fn linked(&self) -> u32 {
        self.get().map_or(0, LiveGraph::linked)
    }

    /// Codes the next block of rows, or links one if all that were asked for are coded; gives the
    /// bytes that it has grown by.
    pub(super) fn advance(&self, rows: &HotNamespace, options: &CollectionOptions) -> usize {
        let bytes = || self.linker.lock().as_ref().map_or(0, Linker::heap_bytes);
        let before = bytes();
        if let Err(error) = self.advance_block(rows, options) {
            // Options are checked when a collection is created and rows in memory can be read:
            // what is left is more rows than a graph may have.
            debug_assert!(matches!(error, BuildError::TooManyRows(_)), "{error}");
            self.failed.store(true, Ordering::Relaxed);
        }
        bytes() - before
    }

    fn advance_block(
        &self,
        rows: &HotNamespace,
        options: &CollectionOptions,
    ) -> Result<(), BuildError> {
        let mut linker = self.linker.lock();
        let linker = match &mut *linker {
            Some(linker) => linker,
            none => {
                // Codes are fitted to what there is when the first rows are coded.
                let step = self.wanted.rows().div_ceil(SAMPLE_ROWS).max(1) as usize;
                let sample = vectors(rows, (0..self.wanted.rows()).step_by(step));
                let (metric, dim) = (options.metric(), options.dim());
                none.insert(Linker::new(metric, dim, &options.graph_options(), &sample)?)
            }
        };
        let coded = linker.graph().coded();
        if coded < self.wanted.rows() {
            linker.encode(&vectors(rows, coded..coded + Linker::BLOCK_ROWS))?;
        } else {
            linker.link()?;
            if linker.is_measuring_due() {
                linker.measure(&HotVectors(rows))?;
            }
        }
        // Seen once something is in it.
        self.graph.get_or_init(|| Arc::clone(linker.graph()));
        Ok(())
    }
}

/// The vectors of some rows, back to back.
fn vectors(rows: &HotNamespace, which: impl Iterator<Item = u32>) -> Vec<f32> {
    let mut all = Vec::new();
    which.for_each(|row| all.extend_from_slice(&rows.row(row).vector));
    all
}

/// The vectors of a namespace.
struct HotVectors<'a>(&'a HotNamespace);

impl Vectors for HotVectors<'_> {
    fn rows(&self) -> u32 {
        self.0.rows(u64::MAX)
    }

    fn vector(&self, row: u32) -> Result<Stored<'_>, Damaged> {
        match self.0.get(row) {
            Some(hot) => Ok(Stored::F32(&hot.vector)),
            None => Err(Damaged { array: "vectors", row }),
        }
    }
}
