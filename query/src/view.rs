//! What the planner and the executor see of one part of a collection: the rows of one namespace in
//! one sealed segment, or in the memtable.

use vecstore_index::roaring::RoaringBitmap;
use vecstore_index::{
    Accept, Beam, Calibration, ClusterCalibration, ExactQuery, ExpectedLooks, Found, Limits,
    Metric, Reach, Scratch,
};
use vecstore_segments::SegmentError;

use crate::{Filter, Stop};

/// Which part of a collection a view shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewKind {
    /// Rows in memory that are not in a segment yet.
    Memtable,
    /// A sealed segment.
    Sealed {
        /// Its id.
        id: u64,
    },
}

/// What a plan is made from.
#[derive(Clone, Debug)]
pub struct ViewStats {
    /// Memtable or segment.
    pub kind: ViewKind,
    /// Rows of the namespace, dead ones included.
    pub rows: u32,
    /// Live rows.
    pub live: u32,
    /// Components of a vector.
    pub dim: usize,
    /// Whether rows have codes to scan (otherwise a scan is on full vectors).
    pub codes: bool,
    /// What scans of sketches look at, if rows have sketches beside their codes.
    pub sketches: Option<ExpectedLooks>,
    /// The measured graph, if there is one that can be searched.
    pub graph: Option<Calibration>,
    /// Whether that graph is walked on coarse codes.
    pub coarse: bool,
    /// Rows before the tail that have codes but no links yet: a walk scans them.
    pub unlinked: u32,
    /// Last rows that have neither links nor codes yet: every strategy looks at each of them.
    pub tail: u32,
    /// The measured clusters, if there are some that can be searched.
    pub clusters: Option<ClusterStats>,
    /// Derived sections that are damaged and therefore not used.
    pub degraded: Vec<String>,
}

/// Clusters as a plan sees them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterStats {
    /// Number of leaves.
    pub leaves: u32,
    /// What they were measured to do.
    pub calibration: ClusterCalibration,
}

/// The rows that a filter selects.
#[derive(Clone, Debug, Default)]
pub struct Matching {
    /// Live rows of the view that match, exactly.
    pub rows: RoaringBitmap,
    /// Rows whose metadata had to be read to know.
    pub rows_read: u64,
    /// Field indices that are damaged and were not used; the metadata was read instead.
    pub degraded: Vec<String>,
    /// Live rows whose metadata had to be read and could not be; they are not in `rows`.
    pub unreadable: Unreadable,
}

/// Rows of a view that are left out of an answer because their own bytes are damaged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unreadable {
    /// Which rows.
    pub rows: RoaringBitmap,
    /// What was said about the first of them.
    pub first_error: Option<String>,
}

impl Unreadable {
    /// Notes that `row` could not be read.
    pub fn note(&mut self, row: u32, error: &SegmentError) {
        self.rows.insert(row);
        self.first_error.get_or_insert_with(|| error.to_string());
    }

    /// Takes in the rows of another set.
    pub fn merge(&mut self, other: Unreadable) {
        self.rows |= other.rows;
        self.first_error = self.first_error.take().or(other.first_error);
    }
}

/// A query vector, prepared once.
#[derive(Clone, Debug)]
pub struct PreparedQuery<'a> {
    /// As given.
    pub vector: &'a [f32],
    /// For full vectors.
    pub exact: ExactQuery,
    /// Asked while views are searched.
    pub stop: &'a Stop<'a>,
}

/// The rows of one namespace in one part of a collection, at one moment.
///
/// Rows are numbered from 0 within the view. Every method answers for live rows only.
/// Implemented by [`SealedView`](crate::SealedView) here and by the memtable in the engine.
///
/// Damage is told as [`SegmentError::Corrupt`]: from `search`, `search_clusters` and
/// `scan_sketches`, and from `scan` where there are codes, it means that a derived structure is
/// damaged, and the full vectors are scanned instead (in place of sketches the codes);
/// from `scan_exact` it means that some row's vector is, and the rows are then asked for one by
/// one with `distance`. Any other error ends the query.
///
/// Long work asks the query's [`Stop`] now and then; once that says yes, a method returns at once with
/// any part of its answer, and whoever called it asks too before believing it.
pub trait SegmentView: Sync {
    /// Numbers for the planner.
    fn stats(&self) -> ViewStats;
    /// Metric of the collection.
    fn metric(&self) -> Metric;
    /// The live rows.
    fn live(&self) -> RoaringBitmap;
    /// The live rows that match. Damage is told in the answer, as far as rows can be read at all.
    fn matching(&self, filter: &Filter, stop: &Stop<'_>) -> Result<Matching, SegmentError>;
    /// The `keep` nearest of `rows` (`None`: of all live rows) by code distance, or by exact
    /// distance where there are no codes.
    fn scan(
        &self,
        query: &PreparedQuery<'_>,
        rows: Option<&RoaringBitmap>,
        keep: usize,
    ) -> Result<Found, SegmentError>;
    /// What [`scan`](Self::scan) gives, by way of sketches; only called if [`ViewStats::sketches`] is
    /// there.
    fn scan_sketches(
        &self,
        query: &PreparedQuery<'_>,
        rows: Option<&RoaringBitmap>,
        keep: usize,
    ) -> Result<Found, SegmentError> {
        self.scan(query, rows, keep)
    }
    /// Searches the graph; only called if [`ViewStats::graph`] is there. `Accept::All` leaves out
    /// dead rows all the same.
    fn search(
        &self,
        query: &PreparedQuery<'_>,
        beam: Beam,
        accept: Accept<'_>,
        limits: Limits,
        scratch: &mut Scratch,
    ) -> Result<Found, SegmentError>;
    /// Searches the nearest leaves for the `keep` nearest rows by code distance; only called
    /// if [`ViewStats::clusters`] is there. `Accept::All` leaves out dead rows all the same.
    fn search_clusters(
        &self,
        _query: &PreparedQuery<'_>,
        _reach: Reach,
        _keep: usize,
        _accept: Accept<'_>,
        _scratch: &mut Scratch,
    ) -> Result<Found, SegmentError> {
        // A view without clusters finds nothing in them, and what falls back then is the scan.
        Ok(Found::default())
    }
    /// Asks the processor to load the row's vector, whose distance will be asked for soon, and where
    /// its id lies; a hint without effect on results.
    fn prefetch(&self, _row: u32) {}
    /// Exact distance to a row.
    fn distance(&self, query: &PreparedQuery<'_>, row: u32) -> Result<f32, SegmentError>;
    /// The `keep` nearest of `rows` (`None`: of all live rows) by exact distance.
    fn scan_exact(
        &self,
        query: &PreparedQuery<'_>,
        rows: Option<&RoaringBitmap>,
        keep: usize,
    ) -> Result<Found, SegmentError>;
}
