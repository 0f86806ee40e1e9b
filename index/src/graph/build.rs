//! Building a graph in batches (ParlayANN: Manohar et al., PPoPP 2024).
//!
//! Rows are linked in batches that double until they reach a fiftieth of all rows. Every row of a
//! batch is searched for in the graph as it was before the batch, so the threads only read; then
//! the lists found are written, and the links back, grouped by target, are added. As distances are
//! exact integers and ties go by row, the graph is the same for any number of threads and on any
//! processor.

use std::ops::ControlFlow;

use super::budget::Cost;
use super::connect::connect;
use super::layers::Layer;
use super::list::{List, ListsBuf, pruned_len};
use super::order::Order;
use super::prune::{Candidate, prune};
use super::reverse::{Edge, add_sources};
use super::scratch::Scratches;
use super::walk::Walk;
use super::{Beam, GRAPH_ROWS_MAX, NO_LINK, UpperLayers, linked};
use crate::codes::{Measure, Whole};
use crate::kernels::{Kernel, KernelChoice, WithKernel};
use crate::workers::collect;
use crate::{Damaged, FlatRows, Quantizer, Rows, Workers};

/// A batch is at most one in so many rows,
const BATCH_FRACTION: usize = 50;
/// but never held below this many: small graphs gain nothing from smaller batches.
const BATCH_LEN_MIN: usize = 1_000;
/// A list that overflows while there are links to come is pruned to this part less than it can
/// hold, so that the next few are appended and not pruned again: that pruning is the larger part
/// of a build.
pub(super) const SLACK_PART: usize = 5;
/// Rows that one task links.
const TASK_ROWS: usize = 32;
/// Rows whose links one task sorts.
const TASK_LISTS: usize = 1_024;

/// How a graph is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GraphOptions {
    /// Half the number of links a row has on the base layer (HNSW's M), 2 to 256. Default 16.
    pub m: usize,
    /// Candidates kept while a row is linked, 1 to 65,536. Default 128.
    pub ef_construction: usize,
    /// Seed of the insertion order and of the layers.
    pub seed: u64,
}

impl Default for GraphOptions {
    fn default() -> Self {
        GraphOptions { m: 16, ef_construction: 128, seed: 0 }
    }
}

impl GraphOptions {
    pub(super) fn check(&self) -> Result<(), BuildError> {
        let within = |name, value, min, max| {
            if (min..=max).contains(&value) {
                Ok(())
            } else {
                Err(BuildError::Option { name, value, min, max })
            }
        };
        within("m", self.m, 2, 256)?;
        within("ef_construction", self.ef_construction, 1, 65_536)
    }
}

/// Why a build ended without a graph.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// A row could not be read.
    #[error(transparent)]
    Damaged(#[from] Damaged),
    /// The progress callback asked to stop.
    #[error("the build was cancelled")]
    Cancelled,
    /// An option is out of its bounds.
    #[error("graph option `{name}` is {value}, it must be from {min} to {max}")]
    Option {
        /// Field of [`GraphOptions`].
        name: &'static str,
        /// As given.
        value: usize,
        /// Least value allowed.
        min: usize,
        /// Largest value allowed.
        max: usize,
    },
    /// More rows than [`GRAPH_ROWS_MAX`].
    #[error("{0} rows, a graph may have {GRAPH_ROWS_MAX}")]
    TooManyRows(u32),
}

/// A graph that was just built: the base layer's links and the upper layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphBuf {
    /// Links a row, `2 * m`.
    pub degree: usize,
    /// `rows * degree` links; a row's links come first, nearest first, the rest is `u32::MAX`.
    pub links: Vec<u32>,
    /// The layers above the base.
    pub upper: UpperLayers,
}

/// Builds the graph over all rows of `codes`, the same for any number of threads.
///
/// `progress(linked)` is called after every batch with the number of rows linked so far. Every row
/// can be reached from the entry. Beside the links themselves (`rows * 2 * m * 4` bytes) it needs
/// some 9 bytes a row.
pub fn build<C: Rows<u8>>(
    codes: &C,
    quantizer: &Quantizer,
    options: &GraphOptions,
    workers: &dyn Workers,
    progress: &mut dyn FnMut(u32) -> ControlFlow<()>,
) -> Result<GraphBuf, BuildError> {
    build_with(KernelChoice::detected(), codes, quantizer, options, workers, progress)
}

/// [`build`] on a chosen instruction set; public, but hidden, for tests.
#[doc(hidden)]
pub fn build_with<C: Rows<u8>>(
    choice: KernelChoice,
    codes: &C,
    quantizer: &Quantizer,
    options: &GraphOptions,
    workers: &dyn Workers,
    progress: &mut dyn FnMut(u32) -> ControlFlow<()>,
) -> Result<GraphBuf, BuildError> {
    options.check()?;
    let rows = codes.rows();
    if rows > GRAPH_ROWS_MAX {
        return Err(BuildError::TooManyRows(rows));
    }
    let measure = Measure::of(quantizer.metric());
    let ef = options.ef_construction;
    let order = Order::new(options.seed, rows);
    let upper = build_upper(choice, codes, measure, options, &order, workers, progress)?;
    let degree = 2 * options.m;
    let base = LayerBuild { choice, codes, measure, degree, ef, workers, above: Some(&upper) };
    let mut links = base.run(order.rows(), progress)?;
    drop(order);
    base.finish(upper.entry, &mut links)?;
    Ok(GraphBuf { degree, links, upper })
}

/// Builds the layers above the base.
pub(super) fn build_upper<C: Rows<u8>>(
    choice: KernelChoice,
    codes: &C,
    measure: Measure,
    options: &GraphOptions,
    order: &Order,
    workers: &dyn Workers,
    progress: &mut dyn FnMut(u32) -> ControlFlow<()>,
) -> Result<UpperLayers, BuildError> {
    let mut upper = UpperLayers {
        entry: order.rows().first().copied().unwrap_or(0),
        degree: options.m,
        layers: Vec::new(),
    };
    for layer_rows in order.layers() {
        let mut nodes = layer_rows.to_vec();
        nodes.sort_unstable();
        // Where the rows are among the nodes, in linking order.
        let order: Vec<u32> =
            layer_rows.iter().map(|row| nodes.partition_point(|node| node < row) as u32).collect();
        let layer = LayerBuild {
            choice,
            codes: &LayerCodes { codes, nodes: &nodes },
            measure,
            degree: options.m,
            ef: options.ef_construction,
            workers,
            above: None,
        };
        let links = layer.run(&order, &mut |_| progress(0))?;
        upper.layers.push(Layer { nodes, links });
    }
    Ok(upper)
}

/// The codes of a layer's nodes.
#[derive(Debug)]
pub(super) struct LayerCodes<'a, C> {
    pub(super) codes: &'a C,
    pub(super) nodes: &'a [u32],
}

impl<C: Rows<u8>> Rows<u8> for LayerCodes<'_, C> {
    fn rows(&self) -> u32 {
        self.nodes.len() as u32
    }

    #[inline(always)]
    fn row(&self, row: u32) -> Result<&[u8], Damaged> {
        match self.nodes.get(row as usize) {
            Some(&row) => self.codes.row(row),
            None => Err(Damaged { array: "codes", row }),
        }
    }

    #[inline(always)]
    fn prefetch(&self, row: u32) {
        if let Some(&row) = self.nodes.get(row as usize) {
            self.codes.prefetch(row);
        }
    }
}

/// One layer being built.
pub(super) struct LayerBuild<'a, C> {
    pub(super) choice: KernelChoice,
    pub(super) codes: &'a C,
    pub(super) measure: Measure,
    pub(super) degree: usize,
    pub(super) ef: usize,
    pub(super) workers: &'a dyn Workers,
    /// The layers above, whose nodes have the same numbers as the rows here.
    pub(super) above: Option<&'a UpperLayers>,
}

impl<C: Rows<u8>> LayerBuild<'_, C> {
    /// Links the rows in the given order, which has every row once.
    pub(super) fn run(
        &self,
        order: &[u32],
        progress: &mut dyn FnMut(u32) -> ControlFlow<()>,
    ) -> Result<Vec<u32>, BuildError> {
        let mut links = vec![NO_LINK; order.len() * self.degree];
        let mut pruned = vec![0; order.len()];
        let batch_len_max = (order.len() / BATCH_FRACTION).max(BATCH_LEN_MIN);
        let scratches = Scratches::default();
        let mut edges = Vec::new();
        // The first row is the graph.
        let mut done = order.len().min(1);
        while done < order.len() {
            let batch_len = done.min(batch_len_max).min(order.len() - done);
            let batch = &order[done..done + batch_len];
            self.link(batch, order[0], done, &mut links, &scratches)?;

            edges.clear();
            for &row in batch {
                let targets = linked(&links[self.range(row)]);
                pruned[row as usize] = pruned_len(targets);
                edges.extend(targets.iter().map(|&target| Edge::new(target, row)));
            }
            edges.sort_unstable();
            let kept_max = self.degree - self.degree / SLACK_PART;
            self.link_back(&edges, kept_max, &mut links, &mut pruned)?;

            done += batch_len;
            if progress(done as u32).is_break() {
                return Err(BuildError::Cancelled);
            }
        }
        Ok(links)
    }

    pub(super) fn range(&self, row: u32) -> std::ops::Range<usize> {
        let start = row as usize * self.degree;
        start..start + self.degree
    }

    /// Finds and writes the lists of a batch.
    fn link(
        &self,
        batch: &[u32],
        first: u32,
        done: usize,
        links: &mut [u32],
        scratches: &Scratches,
    ) -> Result<(), Damaged> {
        let tasks: Vec<&[u32]> = batch.chunks(TASK_ROWS).collect();
        let frozen = FlatRows::new("links", links, self.degree);
        // Where a layer above is not complete here, its nodes are no way in.
        let above = self
            .above
            .filter(|above| above.layers.first().is_some_and(|layer| layer.nodes.len() <= done));
        let lists = collect(self.workers, tasks.len(), |task| {
            scratches.with(|scratch| {
                self.choice.run(LinkRows {
                    build: self,
                    links: &frozen,
                    above,
                    first,
                    rows: tasks[task],
                    scratch,
                })
            })
        });
        for (rows, lists) in tasks.iter().zip(lists) {
            for (&row, list) in rows.iter().zip(lists?.chunks_exact(self.degree)) {
                links[self.range(row)].copy_from_slice(list);
            }
        }
        Ok(())
    }

    /// Adds the edges, sorted by target, to the lists of their targets; one that overflows is
    /// pruned to `kept_max`. `pruned` has [`List::pruned`] of every row.
    pub(super) fn link_back(
        &self,
        edges: &[Edge],
        kept_max: usize,
        links: &mut [u32],
        pruned: &mut [u8],
    ) -> Result<(), Damaged> {
        let targets: Vec<&[Edge]> = edges.chunk_by(|a, b| a.target() == b.target()).collect();
        let tasks: Vec<&[&[Edge]]> = targets.chunks(TASK_ROWS).collect();
        let lists = collect(self.workers, tasks.len(), |task| {
            let targets = tasks[task];
            self.choice.run(LinkBack { build: self, links, pruned, kept_max, targets })
        });
        for (targets, lists) in tasks.iter().zip(lists) {
            for (edges, list) in targets.iter().zip(lists?.iter()) {
                let target = edges[0].target();
                links[self.range(target)].copy_from_slice(list.links);
                pruned[target as usize] = list.pruned;
            }
        }
        Ok(())
    }

    /// Puts every list in order, nearest first, and makes every row reachable from `entry`.
    pub(super) fn finish(&self, entry: u32, links: &mut [u32]) -> Result<(), Damaged> {
        self.sort_lists(links)?;
        let LayerBuild { choice, codes, measure, degree, ef, .. } = *self;
        connect(choice, codes, measure, degree, entry, ef, links)
    }

    /// Brings every list into order, nearest first.
    fn sort_lists(&self, links: &mut [u32]) -> Result<(), Damaged> {
        let task_len = TASK_LISTS * self.degree;
        // A group of tasks at a time, so that their output stays small.
        let tasks_at_once = 16 * self.workers.threads();
        let mut first_row = 0;
        for group in links.chunks_mut(task_len * tasks_at_once) {
            let tasks: Vec<&[u32]> = group.chunks(task_len).collect();
            let sorted = collect(self.workers, tasks.len(), |task| {
                self.choice.run(SortLists {
                    build: self,
                    first_row: first_row + (task * TASK_LISTS) as u32,
                    lists: tasks[task],
                })
            });
            for (lists, sorted) in group.chunks_mut(task_len).zip(sorted) {
                lists.copy_from_slice(&sorted?);
            }
            first_row += (group.len() / self.degree) as u32;
        }
        Ok(())
    }
}

/// Finds the lists of some rows, back to back.
struct LinkRows<'a, 'b, C> {
    build: &'a LayerBuild<'b, C>,
    links: &'a FlatRows<'a, u32>,
    above: Option<&'a UpperLayers>,
    first: u32,
    rows: &'a [u32],
    scratch: &'a mut super::Scratch,
}

impl<C: Rows<u8>> WithKernel for LinkRows<'_, '_, C> {
    type Output = Result<Vec<u32>, Damaged>;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> Self::Output {
        let LayerBuild { codes, measure, degree, ef, .. } = *self.build;
        let mut lists = Vec::with_capacity(self.rows.len() * degree);
        let (mut candidates, mut kept) = (Vec::new(), Vec::new());
        for &row in self.rows {
            let code = codes.row(row)?;
            let near = Whole { codes, measure, query: code };
            let mut cost = Cost::unbounded();
            let down = match self.above {
                Some(above) => above.descend(kernel, &near, &mut cost)?,
                None => None,
            };
            let seeds = [self.first, down.unwrap_or(self.first)];
            let walk = Walk { near, links: self.links, rows: codes.rows(), hidden: None };
            walk.nearest(kernel, &seeds, Beam::fixed(ef), &mut cost, self.scratch)?;
            candidates.clear();
            candidates.extend(self.scratch.pool.iter().map(Candidate::new));
            kept.clear();
            prune(kernel, codes, measure, &candidates, degree, &mut kept)?;
            kept.resize(degree, NO_LINK);
            lists.extend_from_slice(&kept);
        }
        Ok(lists)
    }
}

/// Adds sources to the lists of some targets.
struct LinkBack<'a, 'b, C> {
    build: &'a LayerBuild<'b, C>,
    links: &'a [u32],
    pruned: &'a [u8],
    kept_max: usize,
    targets: &'a [&'a [Edge]],
}

impl<C: Rows<u8>> WithKernel for LinkBack<'_, '_, C> {
    type Output = Result<ListsBuf, Damaged>;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> Self::Output {
        let LayerBuild { codes, measure, degree, .. } = *self.build;
        let mut lists = ListsBuf::new(degree, self.targets.len());
        let mut list = Vec::new();
        for edges in self.targets {
            let target = edges[0].target();
            let links = &self.links[self.build.range(target)];
            let old = List { links, pruned: self.pruned[target as usize] };
            let kept_max = self.kept_max;
            let pruned = add_sources(kernel, codes, measure, old, edges, kept_max, &mut list)?;
            lists.push(&list, pruned);
        }
        Ok(lists)
    }
}

/// Sorts the lists of consecutive rows.
struct SortLists<'a, 'b, C> {
    build: &'a LayerBuild<'b, C>,
    first_row: u32,
    lists: &'a [u32],
}

impl<C: Rows<u8>> WithKernel for SortLists<'_, '_, C> {
    type Output = Result<Vec<u32>, Damaged>;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> Self::Output {
        let LayerBuild { codes, measure, degree, .. } = *self.build;
        let mut sorted = Vec::with_capacity(self.lists.len());
        let mut list = Vec::with_capacity(degree);
        for (row, links) in (self.first_row..).zip(self.lists.chunks_exact(degree)) {
            let code = codes.row(row)?;
            let links = linked(links);
            for &link in links {
                codes.prefetch(link);
            }
            list.clear();
            for &link in links {
                list.push((measure.key(kernel, code, codes.row(link)?), link));
            }
            list.sort_unstable();
            sorted.extend(list.iter().map(|&(_, link)| link));
            sorted.extend(std::iter::repeat_n(NO_LINK, degree - links.len()));
        }
        Ok(sorted)
    }
}
