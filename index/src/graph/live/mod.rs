//! A graph that grows while it is searched: one thread links rows, any number of readers walk.
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
mod linker;
mod stage;
mod walk;

use std::sync::atomic::{AtomicU32, Ordering};

use block::{Block, Blocks};
pub use linker::Linker;
use stage::Stage;
use walk::LiveWalk;

use super::search::Found;
use super::walk::{Budget, Cost};
use super::{Beam, Calibration, Scratch, UpperLayers};
use crate::kernels::{Kernel, KernelChoice, WithKernel};
use crate::{AppendOnly, Candidate, CodeQuery, Damaged, Quantizer, Rows};

/// A growing graph over 8-bit codes, as its readers see it; [`Linker`] makes it grow.
#[derive(Debug)]
pub struct LiveGraph {
    quantizer: Quantizer,
    degree: usize,
    blocks: AppendOnly<Block>,
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
    /// Rows that are linked.
    #[must_use]
    pub fn linked(&self) -> u32 {
        // Pairs with the store in `Linker`: the rows' codes and links are there.
        self.linked.load(Ordering::Acquire)
    }

    /// Links a row.
    #[must_use]
    pub fn degree(&self) -> usize {
        self.degree
    }

    /// How rows are coded.
    #[must_use]
    pub fn quantizer(&self) -> &Quantizer {
        &self.quantizer
    }

    /// The graph as it is now, or `None` before it was measured for the first time.
    #[must_use]
    pub fn reader(&self) -> Option<LiveReader<'_>> {
        // The newest stage is of no more rows than are linked.
        let stage = self.stages.get(self.stages.len().checked_sub(1)?)?;
        let blocks = Blocks::new(&self.blocks, self.linked(), self.degree);
        Some(LiveReader { graph: self, blocks, stage })
    }

    /// The lists of the linked rows back to back, each of [`degree`](Self::degree) links padded
    /// with `u32::MAX`; links to rows that were not linked when this began are left out.
    #[must_use]
    pub fn links(&self) -> Vec<u32> {
        let blocks = Blocks::new(&self.blocks, self.linked(), self.degree);
        let mut all = Vec::with_capacity(blocks.rows() as usize * self.degree);
        let mut list = Vec::with_capacity(self.degree);
        for row in 0..blocks.rows() {
            blocks.load_links(row, &mut list);
            list.resize(self.degree, super::NO_LINK);
            all.extend_from_slice(&list);
        }
        all
    }
}

impl<'a> LiveReader<'a> {
    /// Rows of this reader: those of the graph below this number.
    #[must_use]
    pub fn rows(&self) -> u32 {
        self.blocks.rows()
    }

    /// How rows are coded.
    #[must_use]
    pub fn quantizer(&self) -> &'a Quantizer {
        &self.graph.quantizer
    }

    /// The codes of the rows.
    #[must_use]
    pub fn codes(&self) -> &(impl Rows<u8> + use<'a>) {
        &self.blocks
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

    /// Best-first search over codes for what `beam` keeps of the rows that `accept` accepts, or of
    /// all.
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
        let upper = self.stage.upper();
        let search = Search { blocks: &self.blocks, upper, query, hidden: None };
        search.run(beam, accept, budget.into(), scratch)
    }
}

/// A search in some of a graph's rows.
struct Search<'a> {
    blocks: &'a Blocks<'a>,
    upper: &'a UpperLayers,
    query: &'a CodeQuery,
    /// A row that is passed over as if it were not linked, unless it is the root.
    hidden: Option<u32>,
}

impl Search<'_> {
    fn run(
        &self,
        beam: Beam,
        accept: Option<&dyn Fn(u32) -> bool>,
        budget: Budget<'_>,
        scratch: &mut Scratch,
    ) -> Result<Found, Damaged> {
        if self.blocks.rows() == 0 || beam.ef == 0 {
            return Ok(Found::default());
        }
        let work = SearchWork { search: self, beam, accept, budget, scratch };
        let cost = KernelChoice::detected().run(work)?;
        let candidate = |(key, row)| Candidate { distance: self.query.key_to_distance(key), row };
        Ok(Found {
            candidates: scratch.pool.iter().map(candidate).collect(),
            distances: cost.distances,
            hops: cost.hops,
            over_budget: cost.over_budget,
        })
    }
}

struct SearchWork<'a, 'b> {
    search: &'a Search<'a>,
    beam: Beam,
    accept: Option<&'a dyn Fn(u32) -> bool>,
    budget: Budget<'b>,
    scratch: &'a mut Scratch,
}

impl<'b> WithKernel for SearchWork<'_, 'b> {
    type Output = Result<Cost<'b>, Damaged>;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> Self::Output {
        let SearchWork { search, beam, accept, budget, scratch } = self;
        let walk = LiveWalk {
            blocks: search.blocks,
            measure: search.query.measure(),
            query: search.query.code(),
        };
        let mut cost = Cost::within(budget);
        scratch.pool.start(beam);
        let down =
            search.upper.descend(kernel, walk.blocks, walk.measure, walk.query, &mut cost)?;
        let Some(down) = down.filter(|_| !cost.over_budget) else {
            return Ok(cost);
        };
        // The root too, because it is from there that every row can be reached.
        let seeds = [down, ROOT];
        let hidden = search.hidden.filter(|&row| row != ROOT);
        match accept {
            None => walk.nearest(kernel, &seeds, hidden, beam, &mut cost, scratch)?,
            Some(accept) => {
                walk.nearest_accepted(kernel, &seeds, beam, accept, &mut cost, scratch)?;
            }
        }
        Ok(cost)
    }
}

/// The root of the tree that leads to every row.
const ROOT: u32 = 0;
