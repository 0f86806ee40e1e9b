//! Codes and graph of a namespace in a memtable.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use vecstore_index::{
    BuildError, Calibration, CodesReader, Damaged, Linker, LiveCodes, LiveGraph, LiveReader,
    Stored, Vectors,
};

use super::asks::Wanted;
use super::namespace::HotNamespace;
use crate::options::CollectionOptions;

/// Rows below which nothing is coded: full vectors of so few lie in the caches next to the core.
const CODE_ROWS_MIN: u32 = 512;
/// Rows below which nothing is linked. A scan of 1,000 codes takes as long as a walk through 10,000 rows,
/// and a segment with fewer gets no graph either.
const LINK_ROWS_MIN: u32 = 2_048;
/// Rows that codes are fitted to.
const SAMPLE_ROWS: u32 = 4_096;

/// Codes to scan, and the growing graph with codes of its own, if they were asked for.
#[derive(Debug, Default)]
pub(super) struct HotGraph {
    /// Codes of too few rows to link. The graph does not take them over: it has its codes fitted to more
    /// rows, and making them anew takes a hundredth of the time that linking does.
    codes: OnceLock<LiveCodes>,
    graph: OnceLock<Arc<LiveGraph>>,
    /// The one who links; only the background takes it.
    linker: Mutex<Option<Linker>>,
    /// Rows that a query has looked at.
    wanted: Wanted,
    /// Coding or linking failed, and would again: rows are scanned.
    failed: AtomicBool,
}

impl HotGraph {
    /// The graph, as far as it has grown.
    pub(super) fn get(&self) -> Option<&LiveGraph> {
        self.graph.get().map(|graph| &**graph)
    }

    /// What there is to search: the graph once it was measured, and the codes of the most rows, which are
    /// those of the graph then.
    pub(super) fn readers(&self) -> (Option<CodesReader<'_>>, Option<LiveReader<'_>>) {
        let linked = self.get().and_then(LiveGraph::reader);
        // Taken later: no fewer rows than are linked.
        let of_graph = self.get().map(|graph| graph.codes().reader());
        let most = match (of_graph, self.codes.get()) {
            (Some(of_graph), Some(early)) if linked.is_none() && of_graph.rows() < early.rows() => {
                Some(early.reader())
            }
            (Some(of_graph), _) => Some(of_graph),
            (None, early) => early.map(LiveCodes::reader),
        };
        (most, linked)
    }

    /// What the graph was last measured to do, its links back to back, and how many a row has.
    pub(super) fn lend(&self) -> Option<(&Calibration, Vec<u32>, usize)> {
        let graph = self.get()?;
        let measured = graph.reader()?.measured();
        Some((measured, graph.links(), graph.degree()))
    }

    /// Notes that a query looks at the rows before `end`; true if there is something to be coded or
    /// linked.
    pub(super) fn want(&self, end: u32) -> bool {
        end >= CODE_ROWS_MIN
            && self.wanted.raise(end / Linker::BLOCK_ROWS * Linker::BLOCK_ROWS)
            && self.is_behind()
    }

    /// Whether rows were asked for that are not linked, or not coded where they are too few to link.
    pub(super) fn is_behind(&self) -> bool {
        let wanted = self.wanted.rows();
        let done = match wanted < LINK_ROWS_MIN {
            true => self.codes.get().map_or(0, LiveCodes::rows),
            false => self.get().map_or(0, LiveGraph::linked),
        };
        done < wanted && !self.failed.load(Ordering::Relaxed)
    }

    /// Codes the next block of rows, or links one if all that were asked for are coded; gives the
    /// bytes that it has grown by.
    pub(super) fn advance(&self, rows: &HotNamespace, options: &CollectionOptions) -> usize {
        let bytes = || {
            self.codes.get().map_or(0, LiveCodes::heap_bytes)
                + self.linker.lock().as_ref().map_or(0, Linker::heap_bytes)
        };
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
        // Held by who codes and links, so that it is one at a time.
        let mut linker = self.linker.lock();
        let wanted = self.wanted.rows();
        if wanted < LINK_ROWS_MIN {
            return self.code_block(rows, options, wanted);
        }
        let linker = match &mut *linker {
            Some(linker) => linker,
            none => {
                let sample = sample(rows, wanted);
                let (metric, dim) = (options.metric(), options.dim());
                none.insert(Linker::new(metric, dim, &options.graph_options(), &sample)?)
            }
        };
        let coded = linker.graph().codes().rows();
        if coded < wanted {
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

    /// Codes the next block of rows that are too few to link.
    fn code_block(
        &self,
        rows: &HotNamespace,
        options: &CollectionOptions,
        wanted: u32,
    ) -> Result<(), BuildError> {
        let encode = |codes: &LiveCodes| {
            let coded = codes.rows();
            codes.encode(&vectors(rows, coded..coded + LiveCodes::BLOCK_ROWS))
        };
        match self.codes.get() {
            Some(codes) if codes.rows() < wanted => encode(codes),
            Some(_) => Ok(()),
            None => {
                let first = LiveCodes::new(options.metric(), options.dim(), &sample(rows, wanted));
                encode(&first)?;
                self.codes.get_or_init(|| first);
                Ok(())
            }
        }
    }
}

/// What codes are fitted to: of the rows that there are when the first ones are coded.
fn sample(rows: &HotNamespace, wanted: u32) -> Vec<f32> {
    let step = wanted.div_ceil(SAMPLE_ROWS).max(1) as usize;
    vectors(rows, (0..wanted).step_by(step))
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
