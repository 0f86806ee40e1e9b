//! Measuring what a graph does, with stored vectors as queries.

use super::scratch::{Scratch, Scratches};
use super::search::{Accept, Found, Graph, search_full_hiding, search_hiding};
use super::{Beam, Calibration, Gamma};
use crate::workers::collect;
use crate::{
    Candidate, Curve, Damaged, EffortPoint, ExactQuery, Metric, Quantizer, Rows, Vectors,
    WalkCodes, Workers,
};

/// Values of `ef` that are measured, as far as the graph has so many rows.
const EF_LADDER: [u32; 10] = [10, 12, 16, 24, 32, 64, 128, 192, 256, 512];
/// Recall at which a larger `ef` is not measured any more: beyond what may be asked of codes.
const ENOUGH: f32 = 0.9995;
/// Values of [`Gamma`] that are measured, in thousandths, until one costs as much as the largest
/// `ef`.
const GAMMA_LADDER: [u32; 11] = [20, 35, 50, 65, 80, 100, 120, 150, 200, 250, 300];
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

/// Measures recall (of the 10 nearest, reranked on full vectors) and cost of a graph for ladders of
/// `ef` and of [`Gamma`]. Each probe must have observed all rows.
///
/// Recall goes by distance: any row as near as the true tenth is a right answer, so that equal
/// vectors count alike. Without probes, or with fewer than two rows, nothing is measured.
pub fn calibrate<C: WalkCodes, L: Rows<u32>, V: Vectors>(
    graph: &Graph<'_, L>,
    codes: &C,
    quantizer: &Quantizer,
    vectors: &V,
    probes: &[Probe],
    workers: &dyn Workers,
) -> Result<Calibration, Damaged> {
    let search = |probe: &Probe, beam: Beam, scratch: &mut Scratch| {
        let query = quantizer.query(probe.exact.vector());
        let (hidden, unbounded) = (Some(probe.row), usize::MAX.into());
        search_hiding(hidden, graph, codes, &query, beam, Accept::All, unbounded, scratch)
    };
    let efforts = Efforts { by_ef: &EF_LADDER, by_gamma: quantizer.metric() != Metric::Dot };
    calibrate_with(codes.whole().rows(), efforts, vectors, probes, workers, search)
}

/// [`calibrate`] of a graph that is searched on full vectors ([`search_full`](super::search_full)).
pub fn calibrate_full<L: Rows<u32>, V: Vectors>(
    graph: &Graph<'_, L>,
    metric: Metric,
    vectors: &V,
    probes: &[Probe],
    workers: &dyn Workers,
) -> Result<Calibration, Damaged> {
    let search = |probe: &Probe, beam: Beam, scratch: &mut Scratch| {
        let (hidden, unbounded) = (Some(probe.row), usize::MAX.into());
        let query = &probe.exact;
        search_full_hiding(hidden, graph, vectors, query, beam, Accept::All, unbounded, scratch)
    };
    let efforts = Efforts { by_ef: &EF_LADDER, by_gamma: metric != Metric::Dot };
    calibrate_with(vectors.rows(), efforts, vectors, probes, workers, search)
}

/// What is measured.
pub(super) struct Efforts<'a> {
    /// Values of `ef`, as far as there are so many rows, or one that finds every row.
    pub(super) by_ef: &'a [u32],
    /// Whether a beam that goes by distances means anything.
    pub(super) by_gamma: bool,
}

/// [`calibrate`] of whatever searches for the nearest of a probe as if its row were not there.
pub(super) fn calibrate_with<V: Vectors>(
    rows: u32,
    efforts: Efforts<'_>,
    vectors: &V,
    probes: &[Probe],
    workers: &dyn Workers,
    search: impl Fn(&Probe, Beam, &mut Scratch) -> Result<Found, Damaged> + Sync,
) -> Result<Calibration, Damaged> {
    let probes: Vec<&Probe> = probes.iter().filter(|probe| !probe.nearest.is_empty()).collect();
    if probes.is_empty() || rows < 2 {
        return Ok(Calibration::default());
    }
    let measure = |efforts: &[u32], beam: &dyn Fn(u32) -> Beam| {
        let beams: Vec<Beam> = efforts.iter().map(|&effort| beam(effort)).collect();
        let sums = measure(&beams, vectors, &probes, workers, &search)?;
        let count = probes.len() as f64;
        let point = |(&effort, sum): (&u32, &Sum)| EffortPoint {
            effort,
            recall: (sum.recall / count) as f32,
            distances: (sum.distances / count) as f32,
        };
        Ok::<_, Damaged>(efforts.iter().zip(&sums).map(point).collect::<Vec<_>>())
    };

    let Efforts { by_ef: ladder, by_gamma: is_adaptive } = efforts;
    let mut efs: Vec<u32> = ladder.iter().copied().filter(|&ef| ef < rows).collect();
    // One that finds every row, unless the ladder ends before.
    if efs.len() < ladder.len() {
        efs.push(rows);
    }
    let mut by_ef = Curve::default();
    for ef in efs {
        by_ef.points.extend(measure(&[ef], &|ef| Beam::fixed(ef as usize))?);
        // What more would find nobody asks for, and the largest take most of the time.
        if by_ef.points.last().is_some_and(|point| point.recall >= ENOUGH) {
            break;
        }
    }
    let mut by_gamma = Curve::default();
    if is_adaptive {
        let most = by_ef.points.last().map_or(0.0, |point| point.distances);
        for gamma in GAMMA_LADDER {
            let beam = |gamma| Beam::adaptive(K, Gamma::new(gamma));
            by_gamma.points.extend(measure(&[gamma], &beam)?);
            if by_gamma.points.last().is_some_and(|point| point.distances >= most) {
                break;
            }
        }
    }
    Ok(Calibration { by_ef, by_gamma })
}

/// What all probes together find and cost, for each beam.
fn measure<V: Vectors>(
    beams: &[Beam],
    vectors: &V,
    probes: &[&Probe],
    workers: &dyn Workers,
    search: &(impl Fn(&Probe, Beam, &mut Scratch) -> Result<Found, Damaged> + Sync),
) -> Result<Vec<Sum>, Damaged> {
    let tasks: Vec<&[&Probe]> = probes.chunks(TASK_PROBES).collect();
    let scratches = Scratches::default();
    let measured = collect(workers, tasks.len(), |task| {
        scratches.with(|scratch| {
            let mut sums = vec![Sum::default(); beams.len()];
            for probe in tasks[task] {
                let measure = Measurement { search, vectors, probe };
                measure.add_to(beams, &mut sums, scratch)?;
            }
            Ok(sums)
        })
    });
    let mut totals = vec![Sum::default(); beams.len()];
    for sums in measured {
        for (total, sum) in totals.iter_mut().zip(sums?) {
            total.recall += sum.recall;
            total.distances += sum.distances;
        }
    }
    Ok(totals)
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    recall: f64,
    distances: f64,
}

/// One probe and what it is measured on.
struct Measurement<'a, S, V> {
    search: &'a S,
    vectors: &'a V,
    probe: &'a Probe,
}

impl<S, V> Measurement<'_, S, V>
where
    S: Fn(&Probe, Beam, &mut Scratch) -> Result<Found, Damaged>,
    V: Vectors,
{
    fn add_to(
        &self,
        beams: &[Beam],
        sums: &mut [Sum],
        scratch: &mut Scratch,
    ) -> Result<(), Damaged> {
        let Some(farthest) = self.probe.nearest.last() else {
            return Ok(());
        };
        for (&beam, sum) in beams.iter().zip(sums) {
            let found = (self.search)(self.probe, beam, scratch)?;
            let others = found.candidates.iter().filter(|found| found.row != self.probe.row);
            let mut right = 0;
            for candidate in others.take(RERANKED) {
                let vector = self.vectors.vector(candidate.row)?;
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
