//! Measuring what clusters do, with stored vectors as queries.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::search::Wanted;
use super::{ClusterCalibration, Clusters};
use crate::graph::{Accept, Probe, Scratches};
use crate::workers::collect;
use crate::{Curve, Damaged, EffortPoint, Rows, Scratch, Vectors, Workers};

/// Numbers of leaves that are measured, as far as there are so many; and all of them.
const PROBES_LADDER: [usize; 18] =
    [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512];
/// Numbers of candidates to compare again on full vectors, of which the smallest is taken that
/// loses next to nothing.
const RERANKED_LADDER: [u32; 8] = [20, 30, 40, 60, 80, 120, 160, 240];
/// What "next to nothing" is: misses beyond those of the largest number, as a part of them …
const LOST_PART: f64 = 0.05;
/// … and besides.
const LOST: f64 = 2e-4;
/// Probes that one task measures.
const TASK_PROBES: usize = 8;

/// Measures recall (of the 10 nearest, reranked on full vectors) and cost for a ladder of numbers of
/// leaves. Each probe must have observed all rows; its own row counts for nothing.
///
/// Without probes, or with fewer than two rows, nothing is measured.
pub fn calibrate_clusters<B: Rows<u8>, V: Vectors>(
    clusters: &Clusters,
    blocks: &B,
    vectors: &V,
    probes: &[Probe],
    workers: &dyn Workers,
) -> Result<ClusterCalibration, Damaged> {
    let probes: Vec<&Probe> = probes.iter().filter(|probe| !probe.nearest.is_empty()).collect();
    if probes.is_empty() || clusters.rows() < 2 {
        return Ok(ClusterCalibration::default());
    }
    let leaves = clusters.leaves();
    let mut ladder: Vec<usize> =
        PROBES_LADDER.into_iter().filter(|&n| n < leaves as usize).collect();
    ladder.push(leaves as usize);

    let tasks: Vec<&[&Probe]> = probes.chunks(TASK_PROBES).collect();
    let scratches = Scratches::default();
    let measured = collect(workers, tasks.len(), |task| {
        scratches.with(|scratch| {
            let mut sums = vec![Sum::default(); ladder.len()];
            for probe in tasks[task] {
                let measure = Measurement { clusters, blocks, vectors, probe };
                measure.add_to(&ladder, &mut sums, scratch)?;
            }
            Ok(sums)
        })
    });
    let mut totals = vec![Sum::default(); ladder.len()];
    for sums in measured {
        for (total, sum) in totals.iter_mut().zip(sums?) {
            total.distances += sum.distances;
            total.recall.iter_mut().zip(sum.recall).for_each(|(total, recall)| *total += recall);
        }
    }

    let count = probes.len() as f64;
    let (mut points, mut reranked) = (Vec::new(), Vec::new());
    for (&probes, total) in ladder.iter().zip(&totals) {
        let misses = total.recall.map(|recall| 1.0 - recall / count);
        let least = misses[misses.len() - 1];
        let enough = misses.iter().position(|&misses| misses <= least * (1.0 + LOST_PART) + LOST);
        let depth = enough.unwrap_or(misses.len() - 1);
        points.push(EffortPoint {
            effort: probes as u32,
            recall: (1.0 - misses[depth]) as f32,
            distances: (total.distances / count) as f32,
        });
        reranked.push(RERANKED_LADDER[depth]);
    }
    Ok(ClusterCalibration { by_probes: Curve { points }, reranked })
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    /// For each number of candidates compared again.
    recall: [f64; RERANKED_LADDER.len()],
    distances: f64,
}

/// One probe and what it is measured on.
struct Measurement<'a, B, V> {
    clusters: &'a Clusters,
    blocks: &'a B,
    vectors: &'a V,
    probe: &'a Probe,
}

impl<B: Rows<u8>, V: Vectors> Measurement<'_, B, V> {
    fn add_to(
        &self,
        ladder: &[usize],
        sums: &mut [Sum],
        scratch: &mut Scratch,
    ) -> Result<(), Damaged> {
        let Some(farthest) = self.probe.nearest.last() else {
            return Ok(());
        };
        let most = RERANKED_LADDER[RERANKED_LADDER.len() - 1] as usize;
        let wanted = self.probe.nearest.len();
        let mut found = Vec::with_capacity(ladder.len());
        let vector = self.probe.exact.vector();
        let all = Wanted { probes: ladder, accepted_min: 0, keep: most + 1, accept: Accept::All };
        self.clusters.search_at(self.blocks, vector, all, scratch, |at| found.push(at))?;
        // Most candidates of one number of leaves are those of the next too.
        let mut known: HashMap<u32, bool> = HashMap::new();
        for (found, sum) in found.iter().zip(sums) {
            sum.distances += found.distances as f64;
            let others = found.candidates.iter().filter(|found| found.row != self.probe.row);
            let mut right = 0;
            let mut depths = RERANKED_LADDER.iter().zip(&mut sum.recall).peekable();
            for (seen, candidate) in others.take(most).enumerate() {
                while let Some((_, recall)) = depths.next_if(|(depth, _)| **depth as usize == seen)
                {
                    *recall += right.min(wanted) as f64 / wanted as f64;
                }
                let is_right = match known.entry(candidate.row) {
                    Entry::Occupied(known) => *known.get(),
                    Entry::Vacant(unknown) => {
                        let vector = self.vectors.vector(candidate.row)?;
                        let distance = self.probe.exact.distance(vector);
                        *unknown.insert(distance <= farthest.distance)
                    }
                };
                right += usize::from(is_right);
            }
            depths.for_each(|(_, recall)| *recall += right.min(wanted) as f64 / wanted as f64);
        }
        Ok(())
    }
}
