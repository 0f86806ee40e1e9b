//! A graph that grows while it is searched: one thread links rows, any number of readers walk.
//!
//! Rows get their codes first, which takes a hundredth of the time that linking them does: until they
//! are linked their codes can be scanned.
//!
//! Readers take no lock and never wait. What makes that sound:
//! - codes and link slots lie in blocks that are made once and never move (`block`);
//! - a slot is an atomic integer that holds a row or nothing, so a list that is read while it is
//!   rewritten is a mixture of two lists, all of whose rows are linked (`block` has the orders of
//!   loads and stores);
//! - every row keeps one link that leads to it, from its *parent* in a tree over all rows whose
//!   root is the first one; neither pruning nor a list half rewritten ever lacks such a link
//!   (`linker`), so each linked row can be reached at each moment;
//! - the layers above and the measured recall are made anew as the graph grows, and the newest are
//!   published beside the old ones (`stage`).

mod block;
mod codes;
mod linker;
mod stage;

use std::sync::atomic::{AtomicU32, Ordering};

use block::Blocks;
pub use codes::{CodesReader, LiveCodes};
pub use linker::Linker;
use stage::Stage;

use super::budget::Budget;
use super::search::{Descent, Found};
use super::walk::Walk;
use super::{Beam, Calibration, Scratch, UpperLayers};
use crate::codes::Whole;
use crate::{AppendOnly, CodeQuery, Damaged, Quantizer, Rows};

/// A growing graph over 8-bit codes, as its readers see it; [`Linker`] makes it grow.
#[derive(Debug)]
pub struct LiveGraph {
    codes: LiveCodes,
    /// Rows that are linked and can be reached: all below this.
    linked: AtomicU32,
    stages: AppendOnly<Stage>,
}

/// A reader's hold on the graph: the rows that were linked when it was taken.
#[derive(Clone, Debug)]
pub struct LiveReader<'a> {
    graph: &'a LiveGraph,
    blocks: Blocks<'a>,
    stage: &'a Stage,
}

impl LiveGraph {
    /// Codes of rows, no fewer than are linked.
    #[must_use]
    pub fn codes(&self) -> &LiveCodes {
        &self.codes
    }

    /// Rows that are linked.
    #[must_use]
    pub fn linked(&self) -> u32 {
        // Pairs with the store in `Linker`: the rows' codes and links are there.
        self.linked.load(Ordering::Acquire)
    }

    /// Bytes on the heap, about.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let stages = self.stages.iter_to(usize::MAX).map(|stage| stage.upper().heap_bytes());
        self.codes.heap_bytes() + self.stages.heap_bytes() + stages.sum::<usize>()
    }

    /// Links a row.
    #[must_use]
    pub fn degree(&self) -> usize {
        self.codes.degree()
    }

    /// The graph as it is now, or `None` before it was measured for the first time.
    #[must_use]
    pub fn reader(&self) -> Option<LiveReader<'_>> {
        // The newest stage is of no more rows than are linked.
        let stage = self.stages.get(self.stages.len().checked_sub(1)?)?;
        let blocks = self.codes.first(self.linked());
        Some(LiveReader { graph: self, blocks, stage })
    }

    /// The lists of the linked rows back to back, each of [`degree`](Self::degree) links padded
    /// with `u32::MAX`; links to rows that were not linked when this began are left out.
    #[must_use]
    pub fn links(&self) -> Vec<u32> {
        let blocks = self.codes.first(self.linked());
        let mut all = Vec::with_capacity(blocks.rows() as usize * blocks.degree());
        let mut list = Vec::with_capacity(blocks.degree());
        for row in 0..blocks.rows() {
            blocks.load_links(row, &mut list);
            list.resize(blocks.degree(), super::NO_LINK);
            all.extend_from_slice(&list);
        }
        all
    }
}

impl<'a> LiveReader<'a> {
    /// Rows that are linked: those below this number.
    #[must_use]
    pub fn rows(&self) -> u32 {
        self.blocks.rows()
    }

    /// How rows are coded.
    #[must_use]
    pub fn quantizer(&self) -> &'a Quantizer {
        self.graph.codes.quantizer()
    }

    /// What the graph was last measured to do, and what is to be expected of it with the rows that
    /// were linked since.
    #[must_use]
    pub fn calibration(&self) -> Calibration {
        self.stage.calibration_for(self.rows())
    }

    /// What the graph was measured to do when it had fewer rows.
    #[must_use]
    pub fn measured(&self) -> &'a Calibration {
        self.stage.calibration()
    }

    /// Best-first search over codes for what `beam` keeps of the linked rows that `accept` accepts,
    /// or of all linked ones.
    ///
    /// As [`search`](super::search): all rows are walked through, accepted ones are collected, and
    /// what was found until the `budget` was spent is returned.
    pub fn search<'b>(
        &self,
        query: &CodeQuery,
        beam: Beam,
        accept: Option<&dyn Fn(u32) -> bool>,
        budget: impl Into<Budget<'b>>,
        scratch: &mut Scratch,
    ) -> Result<Found, Damaged> {
        let from = descent(&self.blocks, self.stage.upper(), query, None);
        from.search(query.scale(), beam, accept, budget.into(), scratch)
    }
}

/// A search in some of a graph's rows. `hidden` is passed over as if it were not linked, unless it is
/// the root.
fn descent<'a>(
    blocks: &'a Blocks<'a>,
    upper: &'a UpperLayers,
    query: &'a CodeQuery,
    hidden: Option<u32>,
) -> Descent<'a, Whole<'a, Blocks<'a>>, Blocks<'a>> {
    let near = Whole::new(blocks, query);
    let walk = Walk { near, links: blocks, rows: blocks.rows(), hidden };
    Descent { walk, upper, root: ROOT }
}

/// The root of the tree that leads to every row.
const ROOT: u32 = 0;
