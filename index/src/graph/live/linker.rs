//! The one writer of a live graph.
//!
//! A row is linked as HNSW does it (Malkov & Yashunin 2018, Alg. 1): searched for, its candidates
//! pruned, and linked back. Lists that overflow are pruned with some slack, as in `build`. What is
//! more: each row has a parent, whose link to it is never pruned. No row is the parent of so many
//! that its list has no room for better links.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::super::budget::Cost;
use super::super::build::{SLACK_PART, build_upper};
use super::super::calibrate::{Efforts, Probe, calibrate_with};
use super::super::order::Order;
use super::super::prune::{Candidate, prune};
use super::super::scratch::Scratch;
use super::super::search::ALL;
use super::super::walk::Walk;
use super::super::{Beam, BuildError, GraphOptions, NO_LINK};
use super::block::{BLOCK_ROWS, Blocks};
use super::stage::Stage;
use super::{LiveCodes, LiveGraph, ROOT, descent};
use crate::codes::{Measure, Whole};
use crate::hash::hash;
use crate::kernels::{Kernel, KernelChoice, WithKernel};
use crate::{AppendOnly, Damaged, Metric, OneThread, Rows, Vectors};

/// Rows at which a graph is measured for the first time, and can be searched from then on.
const FIRST_STAGE: u32 = 1_024;
/// Stored vectors that it is measured with.
const PROBES: u32 = 128;
/// Values of `ef` that are measured: half as many as for a graph that is kept.
const EF_LADDER: [u32; 6] = [16, 32, 64, 128, 256, 512];

/// Links rows into a [`LiveGraph`]; there is one linker of a graph.
#[derive(Debug)]
pub struct Linker {
    graph: Arc<LiveGraph>,
    options: GraphOptions,
    /// For each linked row the one whose link to it stays; the root is its own.
    parents: Vec<u32>,
    scratch: Scratch,
}

impl Linker {
    /// Rows that are coded, or linked, at a time.
    pub const BLOCK_ROWS: u32 = BLOCK_ROWS as u32;

    /// Begins a graph. Codes are fitted to `sample`, vectors back to back as the user gave them.
    pub fn new(
        metric: Metric,
        dim: usize,
        options: &GraphOptions,
        sample: &[f32],
    ) -> Result<Self, BuildError> {
        options.check()?;
        let graph = LiveGraph {
            codes: LiveCodes::with_links(metric, dim, sample, 2 * options.m),
            linked: Default::default(),
            stages: AppendOnly::default(),
        };
        Ok(Linker {
            graph: Arc::new(graph),
            options: *options,
            parents: Vec::new(),
            scratch: Scratch::default(),
        })
    }

    /// The graph.
    #[must_use]
    pub fn graph(&self) -> &Arc<LiveGraph> {
        &self.graph
    }

    /// Bytes on the heap, about, the graph's among them.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.graph.heap_bytes() + self.parents.capacity() * size_of::<u32>()
    }

    /// Codes the next [`BLOCK_ROWS`](Self::BLOCK_ROWS) rows, whose vectors are in `block` back to
    /// back as the user gave them. They can be scanned from then on, and linked.
    ///
    /// # Panics
    ///
    /// If `block` does not hold so many vectors.
    pub fn encode(&mut self, block: &[f32]) -> Result<(), BuildError> {
        self.graph.codes.encode(block)
    }

    /// Links the next [`BLOCK_ROWS`](Self::BLOCK_ROWS) rows that are coded. Each one can be found as
    /// soon as it is linked. Without such rows nothing happens.
    pub fn link(&mut self) -> Result<(), BuildError> {
        let graph = Arc::clone(&self.graph);
        let first = self.parents.len() as u32;
        let end = graph.codes.rows().min(first + BLOCK_ROWS as u32);
        let blocks = graph.codes.first(end);
        for row in first..end {
            KernelChoice::detected().run(LinkRow { linker: self, blocks: &blocks, row })?;
            // What was stored before is there for whoever sees this number.
            graph.linked.store(row + 1, std::sync::atomic::Ordering::Release);
        }
        Ok(())
    }

    /// Whether the graph has grown so much that it should be measured again.
    #[must_use]
    pub fn is_measuring_due(&self) -> bool {
        let stages = &self.graph.stages;
        let newest = stages.len().checked_sub(1).and_then(|newest| stages.get(newest));
        self.parents.len() as u32 >= newest.map_or(FIRST_STAGE, Stage::next)
    }

    /// Makes the layers above and measures what the graph does, against exact distances to
    /// `vectors`, which has the linked rows at least. Readers have it from then on.
    pub fn measure<V: Vectors>(&mut self, vectors: &V) -> Result<(), BuildError> {
        let graph = &*self.graph;
        let rows = self.parents.len() as u32;
        let blocks = graph.codes.first(rows);
        let metric = graph.codes.quantizer().metric();
        let order = Order::new(self.options.seed, rows);
        let upper = build_upper(
            KernelChoice::detected(),
            &blocks,
            Measure::of(metric),
            &self.options,
            &order,
            &OneThread,
            &mut |_| ControlFlow::Continue(()),
        )?;
        let probes = probes(metric, rows, vectors)?;
        let calibration = calibrate_with(
            rows,
            Efforts { by_ef: &EF_LADDER, by_gamma: metric != Metric::Dot },
            vectors,
            &probes,
            &OneThread,
            |probe, beam, scratch| {
                let query = graph.codes.quantizer().query(probe.exact.vector());
                let from = descent(&blocks, &upper, &query, Some(probe.row));
                from.search(query.scale(), beam, ALL, usize::MAX.into(), scratch)
            },
        )?;
        graph.stages.push(Stage::new(rows, upper, calibration));
        Ok(())
    }

    /// Rows that `row` is the parent of.
    fn children<'a>(&'a self, list: &'a [u32], row: u32) -> impl Iterator<Item = u32> + 'a {
        let is_child =
            move |&link: &u32| link != row && self.parents.get(link as usize) == Some(&row);
        list.iter().copied().filter(is_child)
    }
}

/// Stored vectors, evenly spread over the rows, with their nearest.
fn probes<V: Vectors>(metric: Metric, rows: u32, vectors: &V) -> Result<Vec<Probe>, Damaged> {
    let count = u64::from(PROBES.min(rows));
    let spread = (0..count).map(|i| ((2 * i + 1) * u64::from(rows) / (2 * count)) as u32);
    let mut probes = spread
        .map(|row| Ok(Probe::new(metric, row, &vectors.vector(row)?.to_vec())))
        .collect::<Result<Vec<_>, Damaged>>()?;
    // Block by block, so that each is read from memory once and not once a probe.
    let mut block = Vec::new();
    for first in (0..rows).step_by(BLOCK_ROWS) {
        block.clear();
        for row in first..rows.min(first + BLOCK_ROWS as u32) {
            vectors.vector(row)?.append_to(&mut block);
        }
        probes.iter_mut().for_each(|probe| probe.observe(first, &block));
    }
    Ok(probes)
}

/// Links a row whose code is in its block.
struct LinkRow<'a> {
    linker: &'a mut Linker,
    blocks: &'a Blocks<'a>,
    row: u32,
}

impl WithKernel for LinkRow<'_> {
    type Output = Result<(), Damaged>;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> Self::Output {
        let LinkRow { linker, blocks, row } = self;
        if row == ROOT {
            linker.parents.push(ROOT);
            return Ok(());
        }
        let candidates = linker.candidates(kernel, blocks, row)?;
        let measure = Measure::of(linker.graph.codes.quantizer().metric());
        let mut kept = Vec::new();
        prune(kernel, blocks, measure, &candidates, blocks.degree(), &mut kept)?;
        blocks.store_links(row, &kept);
        let parent = linker.parent_for(kernel, blocks, row, &kept, &candidates)?;
        linker.parents.push(parent);
        linker.link_back(kernel, blocks, parent, row)?;
        for &target in kept.iter().filter(|&&target| target != parent) {
            linker.link_back(kernel, blocks, target, row)?;
        }
        Ok(())
    }
}

impl Linker {
    /// The rows near a row, nearest first.
    #[inline(always)]
    fn candidates<K: Kernel>(
        &mut self,
        kernel: K,
        blocks: &Blocks<'_>,
        row: u32,
    ) -> Result<Vec<Candidate>, Damaged> {
        let Linker { graph, options, scratch, .. } = self;
        let measure = Measure::of(graph.codes.quantizer().metric());
        let near = Whole { codes: blocks, measure, query: blocks.row(row)? };
        let walk = Walk { near, links: blocks, rows: blocks.rows(), hidden: None };
        let mut cost = Cost::unbounded();
        let newest = graph.stages.len().checked_sub(1).and_then(|at| graph.stages.get(at));
        let down = match newest {
            Some(stage) => stage.upper().descend(kernel, &walk.near, &mut cost)?,
            None => None,
        };
        let seeds = [down.unwrap_or(ROOT), ROOT];
        let beam = Beam::fixed(options.ef_construction);
        walk.nearest(kernel, &seeds, beam, &mut cost, scratch)?;
        Ok(scratch.pool.iter().map(Candidate::new).collect())
    }

    /// The row whose link to `row` is to stay: the nearest of its own links that has room, else of
    /// all candidates, else a row down the tree from the nearest, whose leaves all have room.
    #[inline(always)]
    fn parent_for<K: Kernel>(
        &self,
        kernel: K,
        blocks: &Blocks<'_>,
        row: u32,
        kept: &[u32],
        candidates: &[Candidate],
    ) -> Result<u32, Damaged> {
        let mut list = Vec::with_capacity(blocks.degree());
        let children_max = (blocks.degree() / 2).max(1);
        let mut has_room = |other: u32| {
            blocks.load_links(other, &mut list);
            self.children(&list, other).count() < children_max
        };
        let near = kept.iter().copied().chain(candidates.iter().map(|other| other.row));
        for other in near.clone() {
            if has_room(other) {
                return Ok(other);
            }
        }
        let mut parent = near.into_iter().next().unwrap_or(ROOT);
        let measure = Measure::of(self.graph.codes.quantizer().metric());
        let code = blocks.row(row)?;
        loop {
            let mut list = Vec::with_capacity(blocks.degree());
            blocks.load_links(parent, &mut list);
            let mut nearest = None;
            let mut children = 0;
            for child in self.children(&list, parent) {
                children += 1;
                // Ties, of equal vectors, go all over the tree, so that it stays low.
                let key = measure.key(kernel, code, blocks.row(child)?);
                let rank = (key, hash(u64::from(row), child), child);
                if nearest.is_none_or(|nearest| rank < nearest) {
                    nearest = Some(rank);
                }
            }
            match nearest {
                Some((_, _, child)) if children >= children_max => parent = child,
                _ => return Ok(parent),
            }
        }
    }

    /// Adds a link to `row` to the list of `target`; one that is full is pruned, but for the links
    /// to children.
    #[inline(always)]
    fn link_back<K: Kernel>(
        &self,
        kernel: K,
        blocks: &Blocks<'_>,
        target: u32,
        row: u32,
    ) -> Result<(), Damaged> {
        if blocks.append_link(target, row) {
            return Ok(());
        }
        let degree = blocks.degree();
        let measure = Measure::of(self.graph.codes.quantizer().metric());
        let code = blocks.row(target)?;
        let mut list = Vec::with_capacity(degree + 1);
        blocks.load_links(target, &mut list);
        // Loaded from the back; stored in the order that `store_links` asks for.
        list.reverse();
        list.push(row);
        let mut candidates = Vec::with_capacity(list.len());
        for &link in &list {
            let key = measure.key(kernel, code, blocks.row(link)?);
            candidates.push(Candidate::new((key, link)));
        }
        candidates.sort_unstable();
        let mut kept = Vec::with_capacity(degree);
        prune(kernel, blocks, measure, &candidates, degree - degree / SLACK_PART, &mut kept)?;
        let mut stays: Vec<u32> = self.children(&list, target).collect();
        // The nearest of those that were kept, as far as there is room.
        for link in kept {
            if stays.len() < degree && !stays.contains(&link) {
                stays.push(link);
            }
        }
        list.retain(|link| stays.contains(link));
        debug_assert!(list.iter().all(|&link| link != NO_LINK));
        blocks.store_links(target, &list);
        Ok(())
    }
}
