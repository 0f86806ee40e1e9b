//! One round of a merge: a few groups become one.

use std::ops::ControlFlow;

use super::super::build::{BuildError, LayerBuild};
use super::super::list::ListsBuf;
use super::super::reverse::Edge;
use super::super::scratch::Scratches;
use super::super::{NO_LINK, linked};
use super::cross::{Cross, KEPT, Near, Reach};
use super::tour::Tour;
use crate::workers::collect;
use crate::{FlatRows, Rows};

/// Stretches that are searched for at once; what they find is where the next ones begin. A fixed
/// number, so that the result does not depend on the number of threads.
const WAVE: usize = 32;
/// Rows of a group that a search can begin from.
const STARTS: usize = 128;
/// Candidates that a row's searches keep altogether, as a part of `ef_construction`: with 128 that
/// is 12 in the only other graph, and 6 in each of three (at least; as many as that find enough).
const EF_PART: usize = 5;
/// A group that is so many times smaller is not searched by the rows of a larger one: the links
/// back of its own rows do that.
const SMALLER: usize = 8;

/// A round about to run.
pub(super) struct Round<'a, 'b, C> {
    base: &'a LayerBuild<'b, C>,
    groups: &'a [Vec<u32>],
    tour: &'a Tour,
    place_of: Vec<u32>,
    starts: Vec<Vec<u32>>,
}

impl<'a, 'b, C: Rows<u8>> Round<'a, 'b, C> {
    pub(super) fn new(base: &'a LayerBuild<'b, C>, groups: &'a [Vec<u32>], tour: &'a Tour) -> Self {
        let mut place_of = vec![NO_LINK; base.codes.rows() as usize];
        for (&row, place) in tour.rows.iter().zip(0..) {
            place_of[row as usize] = place;
        }
        let starts = groups
            .iter()
            .map(|group| group.iter().step_by(group.len().div_ceil(STARTS)).copied().collect())
            .collect();
        Round { base, groups, tour, place_of, starts }
    }

    /// Replaces the lists of the groups' rows by those of the merged graph; gives its rows.
    pub(super) fn run(
        self,
        links: &mut [u32],
        progress: &mut dyn FnMut(u32) -> ControlFlow<()>,
    ) -> Result<Vec<u32>, BuildError> {
        let degree = self.base.degree;
        let lists = self.lists(links, progress)?;
        let mut pruned = vec![0; self.base.codes.rows() as usize];
        for ((_, places), lists) in self.tour.stretches.iter().zip(lists) {
            let rows = &self.tour.rows[places.clone()];
            for (&row, list) in rows.iter().zip(lists.iter()) {
                links[self.base.range(row)].copy_from_slice(list.links);
                pruned[row as usize] = list.pruned;
            }
        }
        let mut edges = Vec::with_capacity(self.tour.rows.len() * degree / 2);
        for &row in &self.tour.rows {
            let targets = linked(&links[self.base.range(row)]);
            edges.extend(targets.iter().map(|&target| Edge::new(target, row)));
        }
        edges.sort_unstable();
        // No links are to come, so a list may stay full.
        self.base.link_back(&edges, degree, links, &mut pruned)?;
        let mut all = self.groups.concat();
        all.sort_unstable();
        Ok(all)
    }

    /// How the rows of each group search each other one.
    fn reach(&self) -> Vec<Vec<Reach>> {
        let ef = (self.base.ef / EF_PART / self.groups.len()).max(6);
        let len = |group: &Vec<u32>| group.len();
        let from = |from: &Vec<u32>| {
            let to = |to: &Vec<u32>| {
                let ef = if len(to) * SMALLER < len(from) {
                    0
                } else if len(from) * SMALLER < len(to) {
                    4 * ef
                } else {
                    ef
                };
                Reach { ef }
            };
            self.groups.iter().map(to).collect()
        };
        self.groups.iter().map(from).collect()
    }

    /// The new lists of every stretch.
    fn lists(
        &self,
        links: &[u32],
        progress: &mut dyn FnMut(u32) -> ControlFlow<()>,
    ) -> Result<Vec<ListsBuf>, BuildError> {
        let frozen = FlatRows::new("links", links, self.base.degree);
        let groups = self.groups.len();
        let reach = self.reach();
        let scratches = Scratches::default();
        let mut near: Vec<Near> = vec![[NO_LINK; KEPT]; self.tour.rows.len() * groups];
        let mut lists = Vec::with_capacity(self.tour.stretches.len());
        for wave in self.tour.stretches.chunks(WAVE) {
            let found = collect(self.base.workers, wave.len(), |task| {
                let (group, places) = &wave[task];
                scratches.with(|scratch| {
                    self.base.choice.run(Cross {
                        base: self.base,
                        links: &frozen,
                        tour: self.tour,
                        group: *group,
                        places: places.clone(),
                        place_of: &self.place_of,
                        near: &near,
                        reach: &reach[*group],
                        starts: &self.starts,
                        scratch,
                    })
                })
            });
            for ((_, places), found) in wave.iter().zip(found) {
                let found = found?;
                near[places.start * groups..places.end * groups].copy_from_slice(&found.near);
                lists.push(found.lists);
            }
            let done = wave.last().map_or(0, |(_, places)| places.end);
            if progress(done as u32).is_break() {
                return Err(BuildError::Cancelled);
            }
        }
        Ok(lists)
    }
}
