//! What the tests of the planner and the executor share: made-up vectors, filters, and a view
//! that does everything the slow way.

#![allow(dead_code, unreachable_pub, reason = "every test file uses another part")]

pub mod sealed;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::json;
use vecstore_index::roaring::RoaringBitmap;
use vecstore_index::{
    Accept, Beam, Calibration, Candidate, Curve, EffortPoint, Found, GaveUp, Limits, Metric, Reach,
    Scratch,
};
use vecstore_query::{
    Answer, ClusterStats, Comparison, Costs, Effort, Filter, Matching, PreparedQuery, Request,
    SegmentView, Stop, Unreadable, Value, ViewKind, ViewStats, run,
};
use vecstore_segments::{FieldPath, Metadata, SegmentError};

/// SplitMix64: the same numbers in every run.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// Uniform in 0..1.
    pub fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// Nearly normal, mean 0, variance 1.
    pub fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.unit()).sum::<f32>() - 6.0
    }
}

/// Vectors in `clusters` heaps.
pub fn clustered(rng: &mut Rng, rows: usize, dim: usize, clusters: usize) -> Vec<Vec<f32>> {
    let centres: Vec<Vec<f32>> =
        (0..clusters).map(|_| (0..dim).map(|_| 2.0 * rng.normal()).collect()).collect();
    (0..rows)
        .map(|_| {
            let centre = &centres[rng.below(clusters)];
            centre.iter().map(|c| c + rng.normal()).collect()
        })
        .collect()
}

/// A vector near another one.
pub fn near(rng: &mut Rng, vector: &[f32], noise: f32) -> Vec<f32> {
    vector.iter().map(|x| x + noise * rng.normal()).collect()
}

/// The distance as the metric's definition says it, in f64.
pub fn distance(metric: Metric, a: &[f32], b: &[f32]) -> f32 {
    let sum = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f(f64::from(a), f64::from(b))).sum()
    };
    let distance = match metric {
        Metric::Dot => -sum(&|a, b| a * b),
        Metric::Euclidean => sum(&|a, b| (a - b) * (a - b)).sqrt(),
        Metric::Cosine => {
            1.0 - sum(&|a, b| a * b) / (sum(&|a, _| a * a).sqrt() * sum(&|_, b| b * b).sqrt())
        }
    };
    distance as f32
}

/// `field < bound`.
pub fn less(field: &str, bound: i64) -> Filter {
    Filter::Compare(path(field), Comparison::Less, Value::Int(bound))
}

/// `field >= bound`.
pub fn at_least(field: &str, bound: i64) -> Filter {
    Filter::Compare(path(field), Comparison::GreaterOrEqual, Value::Int(bound))
}

pub fn path(field: &str) -> FieldPath {
    FieldPath::new(vec![field.to_owned()])
}

pub fn metadata(value: serde_json::Value) -> Metadata {
    value.as_object().expect("an object").clone()
}

pub fn request<'a>(vector: &'a [f32], k: usize, effort: Effort) -> Request<'a> {
    Request { vector, k, filter: None, effort, score_threshold: None }
}

pub fn search(view: &dyn SegmentView, request: &Request<'_>) -> Answer {
    run(request, &[view], &Costs::default()).expect("an answer")
}

/// `(view, row)` of the hits.
pub fn places(answer: &Answer) -> Vec<(usize, u32)> {
    answer.hits.iter().map(|hit| (hit.view, hit.row)).collect()
}

/// Costs under which looking at rows one after the other is so dear that a graph is always walked
/// to its end. For vectors of `dim` components.
pub fn dear_scans(dim: usize) -> Costs {
    Costs {
        dim,
        code_in_order_ns: 1e6,
        code_random_ns: 1e6,
        coarse_random_ns: 1e6,
        code_near_ns: 1e6,
        exact_in_order_ns: 1e7,
        exact_random_ns: 1e7,
        exact_near_ns: 1e7,
        graph_step_ns: 1.0,
        ..Costs::default()
    }
}

/// A believable measurement.
pub fn calibration() -> Calibration {
    let point = |effort, recall, distances| EffortPoint { effort, recall, distances };
    let by_ef = Curve {
        points: vec![
            point(16, 0.80, 300.0),
            point(32, 0.90, 500.0),
            point(64, 0.96, 900.0),
            point(128, 0.98, 1_600.0),
            point(256, 0.995, 3_000.0),
        ],
    };
    Calibration { by_ef, by_gamma: Curve::default() }
}

/// What is broken in a [`NaiveView`].
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// `scan` meets a damaged code.
    pub codes: bool,
    /// `search` meets a damaged link.
    pub links: bool,
    /// Reading fails for another reason than damage.
    pub io: bool,
    /// Rows whose vector can't be read.
    pub vectors: BTreeSet<u32>,
    /// Rows whose metadata can't be read.
    pub metadata: BTreeSet<u32>,
    /// Distances a graph search would take; over budget if it has less.
    pub graph_distances: usize,
    /// How far off codes are, for rows that they say something wrong of.
    pub codes_off: BTreeMap<u32, f32>,
    /// Rows that a graph search does not find.
    pub graph_misses: BTreeSet<u32>,
}

/// Vectors and metadata in plain lists; every answer comes from looking at all of them.
#[derive(Clone, Debug)]
pub struct NaiveView {
    pub metric: Metric,
    pub vectors: Vec<Vec<f32>>,
    pub metadata: Vec<Metadata>,
    pub deleted: BTreeSet<u32>,
    pub kind: ViewKind,
    pub codes: bool,
    pub graph: Option<Calibration>,
    pub clusters: Option<ClusterStats>,
    pub faults: Faults,
    /// What walks were told of rows found before.
    pub found_within: Arc<Mutex<Vec<f32>>>,
}

impl NaiveView {
    pub fn new(metric: Metric, vectors: Vec<Vec<f32>>) -> Self {
        let metadata = (0..vectors.len()).map(|row| metadata(json!({ "n": row }))).collect();
        NaiveView {
            metric,
            vectors,
            metadata,
            deleted: BTreeSet::new(),
            kind: ViewKind::Sealed { id: 7 },
            codes: true,
            graph: Some(calibration()),
            clusters: None,
            faults: Faults::default(),
            found_within: Arc::default(),
        }
    }

    pub fn live_rows(&self) -> impl Iterator<Item = u32> {
        (0..self.vectors.len() as u32).filter(|row| !self.deleted.contains(row))
    }

    /// The exact answer.
    pub fn truth(&self, query: &[f32], filter: Option<&Filter>, k: usize) -> Vec<u32> {
        let matches = |row: u32| filter.is_none_or(|f| f.matches(&self.metadata[row as usize]));
        let rows = self.live_rows().filter(|&row| matches(row));
        self.nearest(query, rows, k, false).into_iter().map(|c| c.row).collect()
    }

    fn nearest(
        &self,
        query: &[f32],
        rows: impl Iterator<Item = u32>,
        keep: usize,
        coarse: bool,
    ) -> Vec<Candidate> {
        let mut found: Vec<Candidate> = rows
            .map(|row| {
                let exact = distance(self.metric, query, &self.vectors[row as usize]);
                // Codes see distances through a coarse grid.
                let off = self.faults.codes_off.get(&row).unwrap_or(&0.0);
                let distance = if coarse { (exact * 64.0).round() / 64.0 + off } else { exact };
                Candidate { distance, row }
            })
            .collect();
        found.sort_by(|a, b| a.distance.total_cmp(&b.distance).then(a.row.cmp(&b.row)));
        found.truncate(keep);
        found
    }

    fn rows(&self, rows: Option<&RoaringBitmap>) -> Vec<u32> {
        rows.map_or_else(|| self.live_rows().collect(), |rows| rows.iter().collect())
    }

    fn io(&self) -> Result<(), SegmentError> {
        if self.faults.io {
            let error = std::io::Error::other("the disk is gone");
            return Err(SegmentError::io("read", Path::new("7.seg"), error));
        }
        Ok(())
    }
}

pub fn corrupt(section: &'static str, detail: impl Into<String>) -> SegmentError {
    SegmentError::corrupt(Path::new("7.seg"), section, detail)
}

impl SegmentView for NaiveView {
    fn stats(&self) -> ViewStats {
        ViewStats {
            kind: self.kind,
            rows: self.vectors.len() as u32,
            live: self.live_rows().count() as u32,
            dim: self.vectors.first().map_or(1, Vec::len),
            codes: self.codes,
            sketches: None,
            graph: self.graph.clone(),
            coarse: false,
            unlinked: 0,
            tail: 0,
            clusters: self.clusters.clone(),
            degraded: Vec::new(),
        }
    }

    fn metric(&self) -> Metric {
        self.metric
    }

    fn live(&self) -> RoaringBitmap {
        self.live_rows().collect()
    }

    fn matching(&self, filter: &Filter, _stop: &Stop<'_>) -> Result<Matching, SegmentError> {
        let mut matching = Matching::default();
        for row in self.live_rows() {
            matching.rows_read += 1;
            if self.faults.metadata.contains(&row) {
                matching.unreadable.note(row, &corrupt("metadata", format!("row {row}")));
            } else if filter.matches(&self.metadata[row as usize]) {
                matching.rows.insert(row);
            }
        }
        Ok(matching)
    }

    fn scan(
        &self,
        query: &PreparedQuery<'_>,
        rows: Option<&RoaringBitmap>,
        keep: usize,
    ) -> Result<Found, SegmentError> {
        assert!(self.codes, "a view without codes is not scanned on codes");
        if self.faults.codes {
            return Err(corrupt("codes", "block 3"));
        }
        self.io()?;
        let rows = self.rows(rows);
        let distances = rows.len();
        let candidates = self.nearest(query.vector, rows.into_iter(), keep, true);
        Ok(Found { candidates, distances, ..Found::default() })
    }

    fn search(
        &self,
        query: &PreparedQuery<'_>,
        beam: Beam,
        accept: Accept<'_>,
        limits: Limits,
        _scratch: &mut Scratch,
    ) -> Result<Found, SegmentError> {
        assert!(self.graph.is_some(), "a view without a graph is not searched");
        self.found_within.lock().expect("no panic").push(limits.found_within);
        if self.faults.links {
            return Err(corrupt("links", "block 5"));
        }
        let accepted = |row: &u32| match accept {
            Accept::All => true,
            Accept::Only(set) => set.contains(*row),
        };
        let rows =
            self.live_rows().filter(|row| accepted(row) && !self.faults.graph_misses.contains(row));
        Ok(Found {
            candidates: self.nearest(query.vector, rows, beam.ef, true),
            distances: self.faults.graph_distances.min(limits.distances_max),
            hops: 0,
            gave_up: (self.faults.graph_distances > limits.distances_max)
                .then_some(GaveUp::OverBudget),
        })
    }

    fn search_clusters(
        &self,
        query: &PreparedQuery<'_>,
        reach: Reach,
        keep: usize,
        accept: Accept<'_>,
        _scratch: &mut Scratch,
    ) -> Result<Found, SegmentError> {
        assert!(
            self.clusters.is_some() && reach.probes > 0,
            "a view without clusters is not searched"
        );
        if self.faults.links {
            return Err(corrupt("cluster-blocks", "block 5"));
        }
        let accepted = |row: &u32| match accept {
            Accept::All => true,
            Accept::Only(set) => set.contains(*row),
        };
        let rows =
            self.live_rows().filter(|row| accepted(row) && !self.faults.graph_misses.contains(row));
        let candidates = self.nearest(query.vector, rows, keep, true);
        Ok(Found { candidates, distances: self.faults.graph_distances, ..Found::default() })
    }

    fn distance(&self, query: &PreparedQuery<'_>, row: u32) -> Result<f32, SegmentError> {
        if self.faults.vectors.contains(&row) {
            return Err(corrupt("vectors", format!("row {row}")));
        }
        self.io()?;
        Ok(distance(self.metric, query.vector, &self.vectors[row as usize]))
    }

    fn scan_exact(
        &self,
        query: &PreparedQuery<'_>,
        rows: Option<&RoaringBitmap>,
        keep: usize,
    ) -> Result<Found, SegmentError> {
        self.io()?;
        let rows = self.rows(rows);
        if let Some(row) = rows.iter().find(|row| self.faults.vectors.contains(row)) {
            return Err(corrupt("vectors", format!("row {row}")));
        }
        let distances = rows.len();
        let candidates = self.nearest(query.vector, rows.into_iter(), keep, false);
        Ok(Found { candidates, distances, ..Found::default() })
    }
}

/// An `Unreadable` of the given rows.
pub fn unreadable(rows: impl IntoIterator<Item = u32>, first_error: &str) -> Unreadable {
    Unreadable { rows: rows.into_iter().collect(), first_error: Some(first_error.to_owned()) }
}
