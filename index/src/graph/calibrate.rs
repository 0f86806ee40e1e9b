//! Measuring what a graph does, with stored vectors as queries.

use super::scratch::{Scratch, Scratches};
use super::search::{Accept, Graph, search_hiding};
use super::{Calibration, EfPoint};
use crate::workers::collect;
use crate::{Candidate, Damaged, ExactQuery, Metric, Quantizer, Rows, Workers};

/// Values of `ef` that are measured, as far as the graph has so many rows.
const EF_LADDER: [u32; 11] = [16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512];
/// Nearest rows that recall is measured on.
const K: usize = 10;
/// Candidates that are compared again on full vectors: `max(2k, k + 10)`.
const RERANKED: usize = 20;
/// Probes that one task measures.
const TASK_PROBES: usize = 8;

/// A query of a calibration: a stored vector, its row (never counted as an answer), and its exact
/// nearest rows, collected while the vectors stream by.
#[derive(Debug)]
pub struct Probe {
    pub(crate) exact: ExactQuery,
    pub(crate) row: u32,
    /// The `K` nearest rows seen so far, nearest first, ties by row.
    pub(crate) nearest: Vec<Candidate>,
    distances: Vec<f32>,
}

impl Probe {
    /// A probe with the vector of `row`.
    #[must_use]
    pub fn new(metric: Metric, row: u32, vector: &[f32]) -> Self {
        let exact = ExactQuery::new(metric, vector);
        Probe { exact, row, nearest: Vec::with_capacity(K + 1), distances: Vec::new() }
    }

    /// Shows the probe the vectors of rows `first_row …`, back to back in `block`.
    ///
    /// Blocks come in ascending order of rows.
    pub fn observe(&mut self, first_row: u32, block: &[f32]) {
        self.distances.clear();
        self.exact.distances(block, &mut self.distances);
        for (row, &distance) in (first_row..).zip(&self.distances) {
            let is_near = self.nearest.len() < K
                || self.nearest.last().is_some_and(|last| distance < last.distance);
            if is_near && row != self.row {
                let position = self.nearest.partition_point(|other| other.distance <= distance);
                self.nearest.insert(position, Candidate { distance, row });
                self.nearest.truncate(K);
            }
        }
    }
}

/// Measures recall (of the 10 nearest, reranked on full vectors) and cost of a graph for a ladder
/// of `ef`. Each probe must have observed all rows.
///
/// Recall goes by distance: any row as near as the true tenth is a right answer, so that equal
/// vectors count alike. Without probes, or with fewer than two rows, nothing is measured.
pub fn calibrate<C: Rows<u8>, L: Rows<u32>, V: Rows<f32>>(
    graph: &Graph<'_, L>,
    codes: &C,
    quantizer: &Quantizer,
    vectors: &V,
    probes: &[Probe],
    workers: &dyn Workers,
) -> Result<Calibration, Damaged> {
    let rows = codes.rows();
    let probes: Vec<&Probe> = probes.iter().filter(|probe| !probe.nearest.is_empty()).collect();
    if probes.is_empty() || rows < 2 {
        return Ok(Calibration::default());
    }
    let mut ladder: Vec<u32> = EF_LADDER.into_iter().filter(|&ef| ef <= rows).collect();
    if ladder.is_empty() {
        ladder.push(rows);
    }

    let tasks: Vec<&[&Probe]> = probes.chunks(TASK_PROBES).collect();
    let scratches = Scratches::default();
    let measured = collect(workers, tasks.len(), |task| {
        scratches.with(|scratch| {
            let mut sums = vec![Sum::default(); ladder.len()];
            for probe in tasks[task] {
                let measure = Measurement { graph, codes, quantizer, vectors, probe };
                measure.add_to(&ladder, &mut sums, scratch)?;
            }
            Ok(sums)
        })
    });

    let mut totals = vec![Sum::default(); ladder.len()];
    for sums in measured {
        for (total, sum) in totals.iter_mut().zip(sums?) {
            total.recall += sum.recall;
            total.distances += sum.distances;
        }
    }
    let count = probes.len() as f64;
    let point = |(&ef, sum): (&u32, &Sum)| EfPoint {
        ef,
        recall: (sum.recall / count) as f32,
        distances: (sum.distances / count) as f32,
    };
    Ok(Calibration { points: ladder.iter().zip(&totals).map(point).collect() })
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    recall: f64,
    distances: f64,
}

/// One probe and what it is measured on.
struct Measurement<'a, C, L, V> {
    graph: &'a Graph<'a, L>,
    codes: &'a C,
    quantizer: &'a Quantizer,
    vectors: &'a V,
    probe: &'a Probe,
}

impl<C: Rows<u8>, L: Rows<u32>, V: Rows<f32>> Measurement<'_, C, L, V> {
    fn add_to(
        &self,
        ladder: &[u32],
        sums: &mut [Sum],
        scratch: &mut Scratch,
    ) -> Result<(), Damaged> {
        let query = self.quantizer.query(self.probe.exact.vector());
        let Some(farthest) = self.probe.nearest.last() else {
            return Ok(());
        };
        for (&ef, sum) in ladder.iter().zip(sums) {
            let found = search_hiding(
                Some(self.probe.row),
                self.graph,
                self.codes,
                &query,
                ef as usize,
                Accept::All,
                usize::MAX,
                scratch,
            )?;
            let others = found.candidates.iter().filter(|found| found.row != self.probe.row);
            let mut right = 0;
            for candidate in others.take(RERANKED) {
                let vector = self.vectors.row(candidate.row)?;
                right += usize::from(self.probe.exact.distance(vector) <= farthest.distance);
            }
            // Of rows that are all as near as the tenth, ten are returned.
            let wanted = self.probe.nearest.len();
            sum.recall += right.min(wanted) as f64 / wanted as f64;
            sum.distances += found.distances as f64;
        }
        Ok(())
    }
}
