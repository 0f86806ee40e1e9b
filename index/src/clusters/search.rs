//! Searching clusters: the nearest leaves, read from end to end.

use super::Clusters;
use super::block::{LANES, NO_ROW};
use super::leaves::prepare;
use super::nibbles::NibbleQuery;
use crate::graph::{Accept, Found, GaveUp};
use crate::kernels::{Kernel, KernelChoice, WithKernel};
use crate::{Candidate, Damaged, Rows, Scratch};

/// Candidates are gathered to so many times as are wanted before all but the best are dropped.
const GATHERED: usize = 4;

/// How many leaves a search reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Leaves to read, the nearest first.
    pub probes: usize,
    /// Accepted rows that they should have. Where they have fewer, what is accepted lies elsewhere:
    /// scattered over leaves whose order says little. The search then says that it would have to
    /// go on beyond its budget.
    pub accepted_min: usize,
}

impl Reach {
    /// The nearest `probes` leaves, whatever is found there.
    #[must_use]
    pub fn leaves(probes: usize) -> Self {
        Reach { probes, accepted_min: 0 }
    }
}

/// Memory that a search uses again.
#[derive(Debug, Default)]
pub(crate) struct LeafScratch {
    query: NibbleQuery,
    prepared: Vec<f32>,
    leaves: Vec<u64>,
    candidates: Vec<u64>,
}

impl Clusters {
    /// The `keep` nearest accepted rows by code distance in the leaves nearest to the query, nearest
    /// first, ties by row; all there are if they are fewer.
    ///
    /// Distances counted are those to the centroids and those to all rows of the leaves read, hops
    /// are leaves read. A block that is damaged, or that names a row beyond the last, is
    /// [`Damaged`].
    pub fn search<B: Rows<u8>>(
        &self,
        blocks: &B,
        query: &[f32],
        reach: Reach,
        keep: usize,
        accept: Accept<'_>,
        scratch: &mut Scratch,
    ) -> Result<Found, Damaged> {
        let mut found = Found::default();
        if reach.probes == 0 {
            return Ok(found);
        }
        let Reach { probes, accepted_min } = reach;
        let wanted = Wanted { probes: &[probes], accepted_min, keep, accept };
        self.search_at(blocks, query, wanted, scratch, |at| found = at)?;
        Ok(found)
    }

    /// [`search`](Self::search) with each of some numbers of leaves, ascending, on one way through
    /// the leaves. `each` is given what the search with that number finds.
    pub(super) fn search_at<B: Rows<u8>>(
        &self,
        blocks: &B,
        query: &[f32],
        wanted: Wanted<'_>,
        scratch: &mut Scratch,
        mut each: impl FnMut(Found),
    ) -> Result<(), Damaged> {
        let nothing_accepted = matches!(wanted.accept, Accept::Only(set) if set.is_empty());
        if self.rows == 0 || wanted.keep == 0 || nothing_accepted {
            wanted.probes.iter().for_each(|_| each(Found::default()));
            return Ok(());
        }
        let scratch = &mut scratch.leaves;
        scratch.prepared.clear();
        scratch.prepared.resize(self.dim(), 0.0);
        scratch.prepared.iter_mut().zip(query).for_each(|(prepared, &x)| *prepared = x);
        prepare(self.metric, &mut scratch.prepared);
        self.ranges.query(self.metric, &scratch.prepared, &mut scratch.query);
        let each = |query: &NibbleQuery, candidates: &[u64], cost: Cost| {
            let candidate = |&entry: &u64| Candidate {
                distance: query.distance(self.metric, score_of((entry >> 32) as u32)),
                row: entry as u32,
            };
            each(Found {
                candidates: candidates.iter().map(candidate).collect(),
                distances: cost.distances,
                hops: cost.leaves,
                gave_up: cost.gave_up,
            });
        };
        let search = Search { clusters: self, blocks, wanted, scratch, each };
        KernelChoice::detected().run(search)
    }
}

/// What is looked for in leaves; see [`Clusters::search`].
pub(super) struct Wanted<'a> {
    /// Numbers of leaves, ascending.
    pub(super) probes: &'a [usize],
    pub(super) accepted_min: usize,
    pub(super) keep: usize,
    pub(super) accept: Accept<'a>,
}

struct Search<'a, B, E> {
    clusters: &'a Clusters,
    blocks: &'a B,
    wanted: Wanted<'a>,
    scratch: &'a mut LeafScratch,
    each: E,
}

#[derive(Clone, Copy)]
struct Cost {
    leaves: usize,
    distances: usize,
    gave_up: Option<GaveUp>,
}

impl<B: Rows<u8>, E: FnMut(&NibbleQuery, &[u64], Cost)> WithKernel for Search<'_, B, E> {
    type Output = Result<(), Damaged>;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> Self::Output {
        let Search { clusters, blocks, wanted, scratch, mut each } = self;
        let Wanted { probes, accepted_min, keep, accept } = wanted;
        let LeafScratch { query, prepared, leaves, candidates } = scratch;
        leaves.clear();
        clusters.leaves.rank(kernel, clusters.metric, prepared, |leaf, near| {
            leaves.push(pack(near, leaf));
        });
        let mut cost = Cost { leaves: 0, distances: leaves.len(), gave_up: None };
        let most = probes.last().map_or(0, |&most| most.min(leaves.len()));
        if most < leaves.len() {
            leaves.select_nth_unstable(most);
            leaves.truncate(most);
        }
        // The nearest first: their rows make the bound that most of the others fail.
        leaves.sort_unstable();

        candidates.clear();
        let gathered = keep.saturating_mul(GATHERED);
        let shape = clusters.shape();
        let mut bound = f32::NEG_INFINITY;
        // Counted where rows are left out.
        let mut accepted = match accept {
            Accept::All => usize::MAX,
            Accept::Only(_) => 0,
        };
        for &until in probes {
            while let Some(&leaf) = leaves[..until.min(leaves.len())].get(cost.leaves) {
                cost.leaves += 1;
                let leaf = leaf as u32 as usize;
                if let Some(&next) = leaves.get(cost.leaves) {
                    blocks.prefetch(clusters.starts[next as u32 as usize]);
                }
                cost.distances += clusters.leaf_rows[leaf] as usize;
                for number in clusters.starts[leaf]..clusters.starts[leaf + 1] {
                    let damaged = || Damaged { array: "cluster-blocks", row: number };
                    let block = shape.split(blocks.row(number)?).ok_or_else(damaged)?;
                    let mut lanes = u16::MAX;
                    if let Accept::Only(set) = accept {
                        lanes = (0..LANES).fold(0, |lanes, lane| {
                            lanes | u16::from(set.contains(block.row(lane))) << lane
                        });
                        accepted += lanes.count_ones() as usize;
                        if lanes == 0 {
                            continue;
                        }
                    }
                    let sums = kernel.nibble_dots(block.codes, &query.weights);
                    let corrections = block.corrections();
                    let mut scores = [0.0; LANES];
                    for lane in 0..LANES {
                        scores[lane] = sums[lane] as f32 * query.unit - corrections[lane];
                    }
                    let mut near = lanes & kernel.lanes_at_least(&scores, bound);
                    while near != 0 {
                        let lane = near.trailing_zeros() as usize % LANES;
                        near &= near - 1;
                        let row = block.row(lane);
                        if row == NO_ROW {
                            continue;
                        }
                        if row >= clusters.rows {
                            return Err(damaged());
                        }
                        candidates.push(pack(scores[lane], row));
                    }
                    if candidates.len() >= gathered {
                        bound = shrink(candidates, keep);
                    }
                }
            }
            if candidates.len() > keep {
                bound = shrink(candidates, keep);
            }
            candidates.sort_unstable();
            cost.gave_up = (accepted < accepted_min).then_some(GaveUp::FewNear);
            each(query, candidates, cost);
        }
        Ok(())
    }
}

/// Drops all but the `keep` best, of which there are more; gives the score of the last one.
#[cold]
#[inline(never)]
fn shrink(candidates: &mut Vec<u64>, keep: usize) -> f32 {
    let (_, &mut last, _) = candidates.select_nth_unstable(keep - 1);
    candidates.truncate(keep);
    score_of((last >> 32) as u32)
}

/// Score and number as one integer: the largest score first, ties by number.
#[inline(always)]
fn pack(score: f32, number: u32) -> u64 {
    let bits = score.to_bits();
    // Ascending like the floats; and then the other way around.
    let ascending = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    u64::from(!ascending) << 32 | u64::from(number)
}

/// The score of the upper half of what [`pack`] gave.
#[inline(always)]
fn score_of(key: u32) -> f32 {
    let ascending = !key;
    f32::from_bits(if ascending >> 31 == 1 { ascending & !(1 << 31) } else { !ascending })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_scores_sort_the_largest_first() {
        let scores = [f32::INFINITY, 7.5, 1e-40, 0.0, -0.0, -1e-40, -3.0, f32::NEG_INFINITY];
        let packed = scores.map(|score| pack(score, 3));
        assert!(packed.is_sorted());
        assert_eq!(packed.map(|p| score_of((p >> 32) as u32).to_bits()), scores.map(f32::to_bits));
        assert!(pack(1.0, 3) < pack(1.0, 4));
    }
}
