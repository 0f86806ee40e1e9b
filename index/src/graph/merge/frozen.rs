//! The input graphs in the row numbers of the merged graph, without the rows that were left out.

use std::ops::{ControlFlow, Range};

use super::super::build::{BuildError, LayerBuild, LayerCodes};
use super::super::order::Order;
use super::super::prune::{Candidate, prune};
use super::super::{NO_LINK, linked};
use super::{MergeError, MergeInput, NO_ROW, empty_links};
use crate::kernels::{Kernel, WithKernel};
use crate::workers::collect;
use crate::{Damaged, Rows};

/// An input with a larger part of its rows left out is not used: what its lists have lost is not
/// made up for by the ways around.
const DEAD_PERCENT_MAX: usize = 30;
/// Nor is one with so few rows that they are linked anew in no time.
const LIVE_ROWS_MIN: usize = 256;
/// Rows that one task brings over.
const TASK_ROWS: usize = 4_096;

/// Disjoint graphs in one array of links. They are searched as they are; nobody writes to them
/// while a round of the merge goes on.
pub(super) struct Frozen {
    /// A list of `degree` for every row; no link leads from one group to another.
    pub(super) links: Vec<u32>,
    /// The rows of each graph, ascending.
    pub(super) groups: Vec<Vec<u32>>,
    /// Numbers of the inputs that the groups are of.
    pub(super) used: Vec<usize>,
    /// Inputs that could not be used because they are damaged.
    pub(super) damaged: usize,
}

impl Frozen {
    /// Brings every input over that can be used.
    pub(super) fn new<C: Rows<u8>>(
        base: &LayerBuild<'_, C>,
        inputs: &[MergeInput<'_>],
    ) -> Result<Self, MergeError> {
        let rows = base.codes.rows();
        let mut links = empty_links(rows, base.degree);
        let mut taken = vec![false; rows as usize];
        let (mut groups, mut used) = (Vec::new(), Vec::new());
        let mut damaged = 0;
        for (number, input) in inputs.iter().enumerate() {
            let live = live_rows(number, input, &mut taken)?;
            let dead = input.new_rows.len() - live.len();
            if live.len() < LIVE_ROWS_MIN || dead * 100 > input.new_rows.len() * DEAD_PERCENT_MAX {
                continue;
            }
            match bring_over(base, input, &mut links) {
                Ok(()) => {
                    groups.push(live);
                    used.push(number);
                }
                Err(Misread::Link) => {
                    damaged += 1;
                    for &row in &live {
                        links[base.range(row)].fill(NO_LINK);
                    }
                }
                Err(Misread::Code(code)) => return Err(code.into()),
            }
        }
        let reusable: usize = groups.iter().map(Vec::len).sum();
        if 2 * reusable < rows as usize || groups.is_empty() {
            return Err(MergeError::TooLittle { reusable: reusable as u32, rows, damaged });
        }
        Ok(Frozen { links, groups, used, damaged })
    }

    /// Links the rows that are in no group among themselves, as one group more; gives their number.
    pub(super) fn link_the_rest<C: Rows<u8>>(
        &mut self,
        base: &LayerBuild<'_, C>,
        seed: u64,
        progress: &mut dyn FnMut(u32) -> ControlFlow<()>,
    ) -> Result<u32, BuildError> {
        let mut grouped = vec![false; base.codes.rows() as usize];
        for &row in self.groups.iter().flatten() {
            grouped[row as usize] = true;
        }
        let rest: Vec<u32> = (0..base.codes.rows()).filter(|&row| !grouped[row as usize]).collect();
        if rest.is_empty() {
            return Ok(0);
        }
        let codes = LayerCodes { codes: base.codes, nodes: &rest };
        let LayerBuild { choice, measure, degree, ef, workers, .. } = *base;
        let layer = LayerBuild { choice, codes: &codes, measure, degree, ef, workers, above: None };
        let order = Order::new(seed, rest.len() as u32);
        let links = layer.run(order.rows(), &mut |_| progress(0))?;
        for (&row, list) in rest.iter().zip(links.chunks_exact(degree)) {
            for (link, &node) in self.links[base.range(row)].iter_mut().zip(linked(list)) {
                *link = rest[node as usize];
            }
        }
        let count = rest.len() as u32;
        self.groups.push(rest);
        Ok(count)
    }
}

/// The new rows of an input, ascending, after a look at its map.
fn live_rows(
    number: usize,
    input: &MergeInput<'_>,
    taken: &mut [bool],
) -> Result<Vec<u32>, MergeError> {
    let wrong = |problem: String| MergeError::RowMap { input: number, problem };
    if input.new_rows.len() != input.links.rows() as usize {
        let problem =
            format!("it has {} rows and a map of {}", input.links.rows(), input.new_rows.len());
        return Err(wrong(problem));
    }
    let mut live: Vec<u32> =
        input.new_rows.iter().copied().filter(|&new_row| new_row != NO_ROW).collect();
    for &row in &live {
        match taken.get_mut(row as usize) {
            Some(taken) if !*taken => *taken = true,
            Some(_) => return Err(wrong(format!("another row became row {row}, too"))),
            None => return Err(wrong(format!("there is no row {row} to become"))),
        }
    }
    live.sort_unstable();
    Ok(live)
}

/// Why an input could not be brought over.
enum Misread {
    /// A list cannot be read, or a link leads out of the graph: the input is of no use.
    Link,
    /// A code cannot be read: neither a merge nor a build is possible.
    Code(Damaged),
}

/// Writes the lists of an input's live rows.
fn bring_over<C: Rows<u8>>(
    base: &LayerBuild<'_, C>,
    input: &MergeInput<'_>,
    links: &mut [u32],
) -> Result<(), Misread> {
    let rows = input.new_rows.len();
    let tasks: Vec<Range<usize>> =
        (0..rows).step_by(TASK_ROWS).map(|at| at..rows.min(at + TASK_ROWS)).collect();
    // A group of tasks at a time, so that their output stays small.
    for group in tasks.chunks(4 * base.workers.threads()) {
        let lists = collect(base.workers, group.len(), |task| {
            base.choice.run(BringOver { base, input, rows: group[task].clone() })
        });
        for (rows, lists) in group.iter().zip(lists) {
            let live = input.new_rows[rows.clone()].iter().filter(|&&row| row != NO_ROW);
            for (&row, list) in live.zip(lists?.chunks_exact(base.degree)) {
                links[base.range(row)].copy_from_slice(list);
            }
        }
    }
    Ok(())
}

/// The lists of the live ones of some rows, in new row numbers, back to back.
struct BringOver<'a, 'b, C> {
    base: &'a LayerBuild<'b, C>,
    input: &'a MergeInput<'a>,
    rows: Range<usize>,
}

impl<C: Rows<u8>> WithKernel for BringOver<'_, '_, C> {
    type Output = Result<Vec<u32>, Misread>;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> Self::Output {
        let LayerBuild { codes, measure, degree, .. } = *self.base;
        let mut lists = Vec::with_capacity(self.rows.len() * degree);
        let mut around = Around::default();
        let (mut candidates, mut kept) = (Vec::new(), Vec::new());
        for old_row in self.rows {
            let new_row = self.input.new_rows[old_row];
            if new_row == NO_ROW {
                continue;
            }
            around.look(self.input, old_row as u32, degree)?;
            let list = &mut around.near;
            if around.bridged {
                let code = codes.row(new_row).map_err(Misread::Code)?;
                candidates.clear();
                for &row in &*list {
                    let other = codes.row(row).map_err(Misread::Code)?;
                    candidates.push(Candidate::new((measure.key(kernel, code, other), row)));
                }
                candidates.sort_unstable();
                kept.clear();
                prune(kernel, codes, measure, &candidates, degree, &mut kept)
                    .map_err(Misread::Code)?;
                std::mem::swap(list, &mut kept);
            }
            // Nearest first, so that of a longer list the nearest stay.
            list.resize(degree, NO_LINK);
            lists.extend_from_slice(list);
        }
        Ok(lists)
    }
}

/// The live rows around a row, in new row numbers.
#[derive(Default)]
struct Around {
    /// Its live neighbours in their order; then, if one of them was left out, those behind it.
    near: Vec<u32>,
    /// Whether one was left out.
    bridged: bool,
    /// Neighbours that were left out, and those of them one step on.
    dead: Vec<u32>,
    dead_behind: Vec<u32>,
}

impl Around {
    fn look(&mut self, input: &MergeInput<'_>, row: u32, degree: usize) -> Result<(), Misread> {
        self.near.clear();
        self.dead.clear();
        self.dead_behind.clear();
        split(input, row, &mut self.near, &mut self.dead)?;
        self.bridged = !self.dead.is_empty();
        for &dead in &self.dead {
            split(input, dead, &mut self.near, &mut self.dead_behind)?;
        }
        // One hop finds enough, unless whole regions are dead.
        if self.near.len() < degree / 2 {
            for &dead in &self.dead_behind {
                split(input, dead, &mut self.near, &mut Vec::new())?;
            }
        }
        if self.bridged {
            // The way back from a dead neighbour.
            let itself = input.new_rows[row as usize];
            self.near.sort_unstable();
            self.near.dedup();
            self.near.retain(|&near| near != itself);
        }
        Ok(())
    }
}

/// Appends the neighbours of a row of the input, live ones in new row numbers.
fn split(
    input: &MergeInput<'_>,
    row: u32,
    live: &mut Vec<u32>,
    dead: &mut Vec<u32>,
) -> Result<(), Misread> {
    for &link in linked(input.links.row(row).map_err(|_| Misread::Link)?) {
        match input.new_rows.get(link as usize) {
            Some(&NO_ROW) => dead.push(link),
            Some(&new_row) => live.push(new_row),
            None => return Err(Misread::Link),
        }
    }
    Ok(())
}
