//! In which order rows are searched for: neighbours soon after each other, so that what was found
//! for one is where the search for the next begins, and both read the same memory.

use std::ops::Range;

use super::super::{NO_LINK, linked};

/// Rows of a stretch.
const STRETCH_ROWS: usize = 512;

/// Rows in order, in stretches that are independent of each other.
pub(super) struct Tour {
    /// Every row of the groups once, group after group.
    pub(super) rows: Vec<u32>,
    /// For each of `rows` the place in `rows` of the one it was reached from, in the same stretch
    /// and before it; `NO_LINK` where a stretch begins anew.
    pub(super) parents: Vec<u32>,
    /// Number of the group and the places in `rows` of each stretch.
    pub(super) stretches: Vec<(usize, Range<usize>)>,
}

impl Tour {
    /// Breadth first from the first row that is left, until a stretch is full.
    pub(super) fn new(links: &[u32], degree: usize, groups: &[Vec<u32>]) -> Self {
        let total: usize = groups.iter().map(Vec::len).sum();
        let mut tour = Tour {
            rows: Vec::with_capacity(total),
            parents: Vec::with_capacity(total),
            stretches: Vec::new(),
        };
        let mut seen = vec![false; links.len() / degree];
        for (group, members) in groups.iter().enumerate() {
            let mut left = members.iter().copied();
            let mut start = tour.rows.len();
            let mut open = start;
            let end = start + members.len();
            while tour.rows.len() < end {
                if tour.rows.len() - start >= STRETCH_ROWS {
                    tour.stretches.push((group, start..tour.rows.len()));
                    start = tour.rows.len();
                    open = start;
                }
                if open < tour.rows.len() {
                    let row = tour.rows[open] as usize;
                    for &link in linked(&links[row * degree..(row + 1) * degree]) {
                        if tour.rows.len() - start >= STRETCH_ROWS {
                            break;
                        }
                        if !std::mem::replace(&mut seen[link as usize], true) {
                            tour.rows.push(link);
                            tour.parents.push(open as u32);
                        }
                    }
                    open += 1;
                } else if let Some(row) = left.find(|&row| !seen[row as usize]) {
                    seen[row as usize] = true;
                    tour.rows.push(row);
                    tour.parents.push(NO_LINK);
                } else {
                    break;
                }
            }
            if start < tour.rows.len() {
                tour.stretches.push((group, start..tour.rows.len()));
            }
        }
        tour
    }
}
