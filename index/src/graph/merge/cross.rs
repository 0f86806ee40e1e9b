//! Searching for the rows of one graph in the others.

use std::ops::Range;

use super::super::budget::Cost;
use super::super::build::LayerBuild;
use super::super::list::{ListsBuf, pruned_len};
use super::super::prune::{CANDIDATES_MAX, Candidate, prune};
use super::super::scratch::Scratch;
use super::super::walk::Walk;
use super::super::{Beam, NO_LINK, linked};
use super::GROUPS_MAX;
use super::tour::Tour;
use crate::codes::Whole;
use crate::kernels::{Kernel, WithKernel};
use crate::{Damaged, FlatRows, Rows};

/// Found rows that are kept to begin the search for a neighbour from.
pub(super) const KEPT: usize = 4;
/// The nearest rows of a group that were found for a row, padded with `NO_LINK`.
pub(super) type Near = [u32; KEPT];

/// Neighbours whose findings a search begins from.
const NEIGHBOURS: usize = 4;
/// A search that has no neighbour to begin from keeps so many candidates.
const EF_WIDE: usize = 64;

/// How the rows of one group are searched for in another.
#[derive(Clone, Copy)]
pub(super) struct Reach {
    /// Candidates kept; 0 where no search is made, as the other group's links back are enough.
    pub(super) ef: usize,
}

/// A stretch of the tour to be searched for.
pub(super) struct Cross<'a, 'b, C> {
    pub(super) base: &'a LayerBuild<'b, C>,
    pub(super) links: &'a FlatRows<'a, u32>,
    pub(super) tour: &'a Tour,
    pub(super) group: usize,
    pub(super) places: Range<usize>,
    /// Place of each row in the tour.
    pub(super) place_of: &'a [u32],
    /// What was found in earlier waves, `groups` entries a place; empty where nothing was.
    pub(super) near: &'a [Near],
    /// How to search each group.
    pub(super) reach: &'a [Reach],
    /// Rows of each group, evenly spread, from which a search begins that has nothing better.
    pub(super) starts: &'a [Vec<u32>],
    pub(super) scratch: &'a mut Scratch,
}

/// What was found for a stretch.
pub(super) struct Crossed {
    /// The new lists of its rows.
    pub(super) lists: ListsBuf,
    /// As [`Cross::near`], for its places.
    pub(super) near: Vec<Near>,
}

impl<C: Rows<u8>> WithKernel for Cross<'_, '_, C> {
    type Output = Result<Crossed, Damaged>;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> Self::Output {
        let LayerBuild { codes, measure, degree, .. } = *self.base;
        let groups = self.reach.len();
        let start = self.places.start;
        let mut found = Crossed {
            lists: ListsBuf::new(degree, self.places.len()),
            near: Vec::with_capacity(self.places.len() * groups),
        };
        let (mut candidates, mut kept) = (Vec::new(), Vec::new());
        let (mut before, mut seeds) = (Vec::new(), Vec::new());
        for place in self.places.clone() {
            let row = self.tour.rows[place];
            let code = codes.row(row)?;
            let own = linked(self.links.row(row)?);
            for &link in own {
                codes.prefetch(link);
            }
            candidates.clear();
            // Own links were kept by one pruning. The few that were added to them later stay, unless a
            // row of another group is in their way.
            for &link in own {
                let key = measure.key(kernel, code, codes.row(link)?);
                candidates.push(Candidate { key, row: link, is_pruned: true });
            }

            // Neighbours that were searched for before, nearest first, as far as they are known.
            before.clear();
            let parent = self.tour.parents[place];
            let near_of = |other: u32| {
                let other = other as usize;
                let (near, place) = if (start..place).contains(&other) {
                    (&found.near[..], other - start)
                } else {
                    (self.near, other)
                };
                let near = near.get(place * groups..(place + 1) * groups)?;
                let mut found = [[NO_LINK; KEPT]; GROUPS_MAX];
                found[..groups].copy_from_slice(near);
                near.iter().any(|near| near[0] != NO_LINK).then_some(found)
            };
            let known = own.iter().map(|&link| self.place_of[link as usize]);
            let parent = (parent != NO_LINK).then_some(parent);
            before.extend(known.chain(parent).filter_map(near_of).take(NEIGHBOURS));

            let mut near_here = [[NO_LINK; KEPT]; GROUPS_MAX];
            for (other, reach) in self.reach.iter().enumerate() {
                if other == self.group || reach.ef == 0 {
                    continue;
                }
                seeds.clear();
                for near in &before {
                    seeds.extend(near[other].iter().filter(|&&row| row != NO_LINK));
                }
                let mut ef = reach.ef;
                if seeds.is_empty() {
                    ef = ef.max(EF_WIDE);
                    seeds.extend(&self.starts[other]);
                }
                let near = Whole { codes, measure, query: code };
                let walk = Walk { near, links: self.links, rows: codes.rows(), hidden: None };
                walk.nearest(
                    kernel,
                    &seeds,
                    Beam::fixed(ef),
                    &mut Cost::unbounded(),
                    self.scratch,
                )?;
                candidates.extend(self.scratch.pool.iter().map(Candidate::new));
                let nearest = self.scratch.pool.iter().map(|(_, row)| row);
                near_here[other].iter_mut().zip(nearest).for_each(|(near, row)| *near = row);
            }
            found.near.extend_from_slice(&near_here[..groups]);

            if candidates.len() > own.len() {
                candidates.sort_unstable();
                candidates.truncate(CANDIDATES_MAX);
                kept.clear();
                prune(kernel, codes, measure, &candidates, degree, &mut kept)?;
                found.lists.push(&kept, pruned_len(&kept));
            } else {
                found.lists.push(own, 0);
            }
        }
        Ok(found)
    }
}
