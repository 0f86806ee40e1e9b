//! Merging graphs by searching across them, instead of building anew.
//!
//! Each row keeps the neighbours it has in its own graph and is searched for in the other graphs,
//! from where its neighbours were found; what is near is pruned to its new list (the family of
//! Ponomarenko's IGTM, 2025, and FGIM, SIGMOD 2026). All searches read the graphs as they were, so
//! that the threads only read and the result is the same for any number of them.
//!
//! [`Frozen`] brings the graphs to the new row numbers, [`Tour`] decides in which order rows are
//! searched for, `cross` searches, and `round` turns what was found into lists.

mod cross;
mod frozen;
mod gate;
mod round;
mod tour;

use std::ops::ControlFlow;

use super::build::{BuildError, GraphBuf, GraphOptions, LayerBuild, build_upper};
use super::order::Order;
use super::{GRAPH_ROWS_MAX, NO_LINK};
use crate::codes::Measure;
use crate::kernels::KernelChoice;
use crate::{Damaged, Quantizer, Rows, Workers};
use frozen::Frozen;
pub use gate::{Shortfall, shortfall};
use round::Round;
use tour::Tour;

/// In [`MergeInput::new_rows`]: the row was left out.
pub const NO_ROW: u32 = u32::MAX;

/// Graphs merged at once: every row is searched for in every other graph, so more are merged in
/// several rounds, the smallest first.
const GROUPS_MAX: usize = 4;

/// A graph that a merge may take links from.
#[derive(Clone, Copy)]
pub struct MergeInput<'a> {
    /// Its base layer, whatever its degree.
    pub links: &'a dyn Rows<u32>,
    /// For each of its rows the row of the merged graph, or [`NO_ROW`] where it was left out. No
    /// two rows, of this input or another, become the same one.
    pub new_rows: &'a [u32],
}

/// A merged graph and what it was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// The graph.
    pub graph: GraphBuf,
    /// Numbers of the inputs whose links were used, ascending.
    pub used: Vec<usize>,
    /// Inputs that were not used because a link in them could not be read or led nowhere.
    pub damaged: usize,
    /// Rows that were in no input used, and were linked among themselves first.
    pub linked_anew: u32,
}

/// Why a merge ended without a graph.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// As a build would have.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Most rows are in no graph that can be used, so that building anew is faster.
    #[error(
        "{reusable} of {rows} rows are in a graph that can be used, {damaged} graphs are damaged"
    )]
    TooLittle {
        /// Rows in usable graphs.
        reusable: u32,
        /// All rows.
        rows: u32,
        /// Inputs that are damaged.
        damaged: usize,
    },
    /// The caller's map from old to new rows is no such map.
    #[error("input {input}: {problem}")]
    RowMap {
        /// Number of the input.
        input: usize,
        /// What is wrong.
        problem: String,
    },
}

impl From<Damaged> for MergeError {
    fn from(damaged: Damaged) -> Self {
        MergeError::Build(damaged.into())
    }
}

/// Makes the graph over all rows of `codes` from graphs over parts of them; the same for any
/// number of threads.
///
/// Rows in no input, or in one that cannot be used (damaged, too small, or with more than 30 % of
/// its rows left out), are linked among themselves first and then merged like another input; if
/// they are more than half of all rows, the answer is [`MergeError::TooLittle`]. Distances
/// are those of `codes`, so it does not matter how the inputs were coded.
///
/// `progress` and the promises about the graph are as in [`build`](super::build). Beside the links
/// it needs the memory of as many links again, and up to 80 bytes a row.
pub fn merge<C: Rows<u8>>(
    inputs: &[MergeInput<'_>],
    codes: &C,
    quantizer: &Quantizer,
    options: &GraphOptions,
    workers: &dyn Workers,
    progress: &mut dyn FnMut(u32) -> ControlFlow<()>,
) -> Result<Merged, MergeError> {
    options.check()?;
    let rows = codes.rows();
    if rows > GRAPH_ROWS_MAX {
        return Err(BuildError::TooManyRows(rows).into());
    }
    let choice = KernelChoice::detected();
    let measure = Measure::of(quantizer.metric());
    let degree = 2 * options.m;
    let base = LayerBuild {
        choice,
        codes,
        measure,
        degree,
        ef: options.ef_construction,
        workers,
        above: None,
    };

    let mut frozen = Frozen::new(&base, inputs)?;
    let linked_anew = frozen.link_the_rest(&base, options.seed, progress)?;
    let Frozen { mut links, mut groups, used, damaged } = frozen;

    let order = Order::new(options.seed, rows);
    let upper = build_upper(choice, codes, measure, options, &order, workers, progress)?;
    drop(order);
    // Rounds before the last are small, and nobody is to see progress go back.
    let mut most = 0;
    let mut progress = |done: u32| {
        most = most.max(done);
        progress(most)
    };
    while groups.len() > 1 {
        groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
        // So many of the smallest that the next round can be a full one.
        let count = groups.len().min(GROUPS_MAX).min(match groups.len() {
            0..=GROUPS_MAX => GROUPS_MAX,
            more => more - GROUPS_MAX + 1,
        });
        let some = groups.split_off(groups.len() - count);
        let tour = Tour::new(&links, degree, &some);
        groups.push(Round::new(&base, &some, &tour).run(&mut links, &mut progress)?);
    }
    base.finish(upper.entry, &mut links)?;
    if progress(rows).is_break() {
        return Err(BuildError::Cancelled.into());
    }
    Ok(Merged { graph: GraphBuf { degree, links, upper }, used, damaged, linked_anew })
}

/// An empty list for every row.
fn empty_links(rows: u32, degree: usize) -> Vec<u32> {
    vec![NO_LINK; rows as usize * degree]
}
