//! Making every row reachable from the entry.
//!
//! Pruning drops links back, so a row may end up without a link to it (most of all where many
//! vectors are equal). Such rows are linked in here, each from the nearest reached row that has
//! room, without cutting off any other.

use super::budget::Cost;
use super::scratch::Scratch;
use super::walk::Walk;
use super::{Beam, NO_LINK, linked};
use crate::codes::{Measure, Whole};
use crate::hash::hash;
use crate::kernels::{Kernel, KernelChoice, WithKernel};
use crate::{Damaged, FlatRows, Rows};

/// Links every row in that cannot be reached from `entry`; lists are and stay nearest first.
pub(super) fn connect<C: Rows<u8>>(
    choice: KernelChoice,
    codes: &C,
    measure: Measure,
    degree: usize,
    entry: u32,
    ef: usize,
    links: &mut [u32],
) -> Result<(), Damaged> {
    let rows = links.len() / degree;
    if rows == 0 {
        return Ok(());
    }
    let mut parents = vec![NO_LINK; rows];
    parents[entry as usize] = entry;
    let mut reach = Reach { codes, measure, degree, entry, ef, links, parents, open: vec![entry] };
    reach.spread();
    choice.run(reach)
}

/// A tree over the links that were followed to reach the rows: as long as those stay, every row
/// reached stays reached.
struct Reach<'a, C> {
    codes: &'a C,
    measure: Measure,
    degree: usize,
    entry: u32,
    ef: usize,
    links: &'a mut [u32],
    /// The row from which a row was reached first; `NO_LINK` if it was not, the entry is its own.
    parents: Vec<u32>,
    /// Reached rows whose links are to be followed.
    open: Vec<u32>,
}

impl<C: Rows<u8>> WithKernel for Reach<'_, C> {
    type Output = Result<(), Damaged>;

    #[inline(always)]
    fn run<K: Kernel>(mut self, kernel: K) -> Self::Output {
        let mut scratch = Scratch::default();
        for row in 0..self.parents.len() as u32 {
            if !self.is_reached(row) {
                let parent = self.parent_for(kernel, row, &mut scratch)?;
                self.attach(kernel, row, parent)?;
                self.spread();
            }
        }
        Ok(())
    }
}

impl<C: Rows<u8>> Reach<'_, C> {
    fn is_reached(&self, row: u32) -> bool {
        self.parents[row as usize] != NO_LINK
    }

    fn links_of(&self, row: u32) -> &[u32] {
        let start = row as usize * self.degree;
        linked(&self.links[start..start + self.degree])
    }

    /// Links of the tree.
    fn children_of(&self, row: u32) -> impl Iterator<Item = u32> {
        let is_child = move |&link: &u32| self.parents[link as usize] == row && link != row;
        self.links_of(row).iter().copied().filter(is_child)
    }

    fn has_space(&self, row: u32) -> bool {
        self.links_of(row).len() < self.degree
    }

    /// Whether a link can be added, if need be in the place of one that is not of the tree.
    fn has_room(&self, row: u32) -> bool {
        self.children_of(row).count() < self.degree
    }

    /// Reaches what can be reached from the open rows.
    fn spread(&mut self) {
        while let Some(row) = self.open.pop() {
            let start = row as usize * self.degree;
            for &link in linked(&self.links[start..start + self.degree]) {
                let parent = &mut self.parents[link as usize];
                if *parent == NO_LINK {
                    *parent = row;
                    self.open.push(link);
                }
            }
        }
    }

    /// The reached row that is to link to `row`.
    #[inline(always)]
    fn parent_for<K: Kernel>(
        &self,
        kernel: K,
        row: u32,
        scratch: &mut Scratch,
    ) -> Result<u32, Damaged> {
        // The rows it is linked to are its nearest; mostly some of them are reached.
        let mut near: Vec<u32> =
            self.links_of(row).iter().copied().filter(|&link| self.is_reached(link)).collect();
        if near.is_empty() {
            let walk = Walk {
                near: Whole {
                    codes: self.codes,
                    measure: self.measure,
                    query: self.codes.row(row)?,
                },
                links: &FlatRows::new("links", self.links, self.degree),
                rows: self.parents.len() as u32,
                hidden: None,
            };
            walk.nearest(
                kernel,
                &[self.entry],
                Beam::fixed(self.ef),
                &mut Cost::unbounded(),
                scratch,
            )?;
            near.extend(scratch.pool.iter().map(|(_, row)| row));
        }
        if let Some(&parent) = near.iter().find(|&&parent| self.has_space(parent)) {
            return Ok(parent);
        }
        if let Some(&parent) = near.iter().find(|&&parent| self.has_room(parent)) {
            return Ok(parent);
        }
        // All links of all of them are needed. Down the tree from the nearest there is a row with
        // room, a leaf at the latest; ties (equal vectors) are spread evenly.
        let mut parent = near.first().copied().unwrap_or(self.entry);
        while !self.has_room(parent) {
            let code = self.codes.row(row)?;
            let mut nearest = None;
            for child in self.children_of(parent) {
                let key = self.measure.key(kernel, code, self.codes.row(child)?);
                let rank = (key, hash(u64::from(row), child), child);
                if nearest.is_none_or(|nearest| rank < nearest) {
                    nearest = Some(rank);
                }
            }
            match nearest {
                Some((_, _, child)) => parent = child,
                None => break,
            }
        }
        Ok(parent)
    }

    /// Links `parent`, which has room, to `row`.
    #[inline(always)]
    fn attach<K: Kernel>(&mut self, kernel: K, row: u32, parent: u32) -> Result<(), Damaged> {
        let mut list = self.links_of(parent).to_vec();
        if list.len() == self.degree {
            // The farthest link that reaches nobody first.
            let of_tree = |&link: &u32| self.parents[link as usize] == parent && link != parent;
            if let Some(position) = list.iter().rposition(|link| !of_tree(link)) {
                list.remove(position);
            }
        }
        let code = self.codes.row(parent)?;
        let rank = (self.measure.key(kernel, code, self.codes.row(row)?), row);
        let mut position = list.len();
        for (i, &link) in list.iter().enumerate() {
            if (self.measure.key(kernel, code, self.codes.row(link)?), link) > rank {
                position = i;
                break;
            }
        }
        list.insert(position, row);
        let start = parent as usize * self.degree;
        self.links[start..start + list.len()].copy_from_slice(&list);
        self.parents[row as usize] = parent;
        self.open.push(row);
        Ok(())
    }
}
