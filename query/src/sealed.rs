//! A sealed segment as the executor sees it.

use std::sync::{Arc, OnceLock};

use vecstore_index::roaring::RoaringBitmap;
use vecstore_index::{
    Accept, Beam, Budget, Candidate, Damaged, FieldIndex, FormatError, Found, GaveUp, Graph,
    Limits, Metric, Reach, RowSet, Scratch, Vectors, WithCoarse, search, search_full,
};
use vecstore_segments::{FieldPath, NamespaceRows, Segment, SegmentError, VectorRows};

use crate::filter::compile_beyond;
use crate::nearest::Nearest;
use crate::numbering::{Blocks, Gaps, complement, renumber, without};
use crate::{
    ClusterStats, Compiled, FieldOrder, Filter, Matcher, Matching, OrderKey, PreparedQuery,
    RowValues, SegmentView, Stop, Unreadable, ValueCounts, ViewKind, ViewStats,
};

/// The rows of one namespace in a sealed segment, without the deleted ones.
#[derive(Debug)]
pub struct SealedView<'a> {
    segment: &'a Segment,
    namespace: &'a NamespaceRows,
    /// In the numbering of the segment.
    deleted: &'a RoaringBitmap,
    vectors: VectorRows<'a>,
    /// Live rows of the namespace.
    live: u32,
    /// The live rows as a search of an index wants them; made when one needs it.
    live_set: OnceLock<RowSet>,
}

impl<'a> SealedView<'a> {
    /// `deleted` numbers rows of the whole segment.
    #[must_use]
    pub fn new(
        segment: &'a Segment,
        namespace: &'a NamespaceRows,
        deleted: &'a Arc<RoaringBitmap>,
    ) -> Self {
        let rows = &namespace.rows;
        let dead = deleted.range_cardinality(rows.clone());
        let live = rows.len() as u64 - dead;
        SealedView {
            segment,
            namespace,
            deleted,
            vectors: segment.vectors(rows.clone()),
            live: u32::try_from(live).unwrap_or(u32::MAX),
            live_set: OnceLock::new(),
        }
    }

    /// Counts the values that `rows` have at a path: from the field index, and by reading the rows
    /// whose values it does not list.
    pub fn count_values(
        &self,
        path: &FieldPath,
        rows: &RoaringBitmap,
        counts: &mut ValueCounts,
    ) -> Result<(), SegmentError> {
        let first = self.namespace.rows.start;
        let mut rows: RoaringBitmap = match first {
            0 => rows.clone(),
            // Rows of a segment are below u32::MAX, so none is lost.
            _ => rows.iter().filter_map(|row| row.checked_add(first)).collect(),
        };
        match self.segment.fields() {
            Ok(fields) => {
                // Taken over only if the whole index could be read.
                if let Ok((indexed, unlisted)) = indexed_values(&fields, &path.key(), &rows) {
                    counts.merge(indexed);
                    rows &= unlisted;
                }
            }
            Err(SegmentError::Corrupt { .. }) => {}
            Err(error) => return Err(error),
        }
        self.segment.visit_metadata(&mut rows.iter(), &mut |_, metadata| {
            counts.add_record(path, metadata);
        })
    }

    /// The values that `rows` have at a path, as (row, number of the value), by row: from the field
    /// index, and by reading the rows whose values it does not list.
    pub fn row_values(
        &self,
        path: &FieldPath,
        rows: &RoaringBitmap,
        values: &mut RowValues,
    ) -> Result<Vec<(u32, u32)>, SegmentError> {
        let first = self.namespace.rows.start;
        let mut unread: RoaringBitmap =
            rows.iter().filter_map(|row| row.checked_add(first)).collect();
        let mut found = Vec::with_capacity(unread.len() as usize);
        match self.segment.fields() {
            Ok(fields) => {
                // Without its index every row is read.
                if let Ok(indexed) = indexed_row_values(&fields, &path.key(), &unread, values) {
                    (found, unread) = indexed;
                }
            }
            Err(SegmentError::Corrupt { .. }) => {}
            Err(error) => return Err(error),
        }
        self.segment.visit_metadata(&mut unread.iter(), &mut |row, metadata| {
            found.extend(values.of_record(path, metadata).into_iter().map(|value| (row, value)));
        })?;
        found.iter_mut().for_each(|(row, _)| *row -= first);
        found.sort_unstable();
        Ok(found)
    }

    /// The key of every row of the namespace, dead ones included, so that the order can be kept as
    /// long as the segment.
    pub fn order_keys(&self, order: &FieldOrder) -> Result<Vec<OrderKey>, SegmentError> {
        /// To read so many records is cheaper than to look at every value that the segment has.
        const FEW_ROWS: u32 = 1_000;
        let rows = self.namespace.rows.clone();
        let place = |row: u32| (row - rows.start) as usize;
        let mut keys = vec![OrderKey::default(); rows.len()];
        let mut unread: RoaringBitmap = rows.clone().collect();
        if self.rows() > FEW_ROWS {
            match self.segment.fields() {
                Ok(fields) => match order.index_keys(&fields, &unread, &mut keys, &place) {
                    Ok(unlisted) => unread = unlisted,
                    // Every row is read instead, which leaves nothing of what was found.
                    Err(_) => keys.fill(OrderKey::default()),
                },
                Err(SegmentError::Corrupt { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        self.segment.visit_metadata(&mut unread.iter(), &mut |row, metadata| {
            keys[place(row)] = order.key(metadata);
        })?;
        Ok(keys)
    }

    fn rows(&self) -> u32 {
        self.namespace.rows.end.saturating_sub(self.namespace.rows.start)
    }

    /// Whether to read the metadata of all rows (some 2 µs each) costs less than to ask the field
    /// index, whose bitmaps are of the whole segment: a range over half of 1,100,000 rows takes 1.2 ms.
    fn is_tiny(&self) -> bool {
        const SEGMENT_ROWS_FOR_EACH: u32 = 5_000;
        self.rows() < self.segment.rows() / SEGMENT_ROWS_FOR_EACH
    }

    /// Runs of live rows.
    fn live_runs(&self) -> Gaps<'_> {
        Gaps::new(self.deleted, &self.namespace.rows)
    }

    /// What may be collected, without the dead rows.
    fn alive<'s>(&'s self, accept: Accept<'s>) -> Accept<'s> {
        match accept {
            Accept::All if self.live < self.rows() => Accept::Only(
                self.live_set.get_or_init(|| RowSet::from_bitmap(&self.live(), 0..self.rows())),
            ),
            accept => accept,
        }
    }

    /// Reads the metadata of `rows` (of the segment) and keeps those that match in `found`. Rows
    /// that can't be read are noted and skipped.
    fn read_metadata(
        &self,
        filter: &Filter,
        rows: &RoaringBitmap,
        stop: &Stop<'_>,
        found: &mut RoaringBitmap,
        unreadable: &mut Unreadable,
    ) -> Result<(), SegmentError> {
        let matcher = Matcher::new(filter);
        let mut rest = rows.iter();
        loop {
            // The row after the last one that was shown: where a damaged block begins.
            let mut next = rest.clone();
            let outcome =
                self.segment.visit_metadata(&mut stop.rows(&mut rest), &mut |row, metadata| {
                    next.advance_to(row);
                    next.next();
                    if matcher.matches(metadata) {
                        found.insert(row);
                    }
                });
            let error = match outcome {
                Ok(()) => return Ok(()),
                Err(error @ SegmentError::Corrupt { .. }) => error,
                Err(error) => return Err(error),
            };
            match next.next() {
                Some(row) => unreadable.note(row - self.namespace.rows.start, &error),
                // Every row was shown: what is damaged is none of them.
                None => return Err(error),
            }
            rest = next;
        }
    }
}

/// The values that `rows` have at a path, but for the rows that must be read, which come second.
fn indexed_values(
    fields: &FieldIndex<'_>,
    key: &str,
    rows: &RoaringBitmap,
) -> Result<(ValueCounts, RoaringBitmap), FormatError> {
    let unlisted = fields.unlisted(key)?;
    let listed = rows - &unlisted;
    let mut counts = ValueCounts::default();
    fields.visit_values(key, &mut |value, found| {
        counts.add(value, found.intersection_len(&listed));
    })?;
    Ok((counts, unlisted))
}

/// The values that `rows` have at a path, but for the rows that must be read, which come second.
fn indexed_row_values(
    fields: &FieldIndex<'_>,
    key: &str,
    rows: &RoaringBitmap,
    values: &mut RowValues,
) -> Result<(Vec<(u32, u32)>, RoaringBitmap), FormatError> {
    let unlisted = fields.unlisted(key)? & rows;
    let listed = rows - &unlisted;
    let mut found = Vec::with_capacity(listed.len() as usize);
    fields.visit_values(key, &mut |value, rows| {
        let rows = rows & &listed;
        if !rows.is_empty()
            && let Some(number) = values.number(value)
        {
            found.extend(rows.iter().map(|row| (row, number)));
        }
    })?;
    Ok((found, unlisted))
}

impl SegmentView for SealedView<'_> {
    fn stats(&self) -> ViewStats {
        let mut degraded = Vec::new();
        // Without a quantizer where there should be one, nothing can be made of codes.
        let (codes, readable) = match self.segment.quantizer() {
            Ok(quantizer) => (quantizer.is_some(), true),
            Err(error) => {
                degraded.push(error.to_string());
                (false, false)
            }
        };
        let sketches = match self.segment.sketches(0..0) {
            // They lead to codes.
            Ok(found) => found.filter(|_| codes).map(|found| found.sketches.expected),
            Err(error) => {
                // Of the quantizer's damage that is a consequence.
                if readable {
                    degraded.push(error.to_string());
                }
                None
            }
        };
        // A graph is walked on codes, if there are to be any: it was measured so.
        let graph = match self.segment.graph(self.namespace) {
            Ok(graph) => graph.filter(|_| readable),
            Err(error) => {
                degraded.push(error.to_string());
                None
            }
        };
        let clusters = match self.segment.clusters(self.namespace) {
            Ok(found) => found.map(|found| ClusterStats {
                leaves: found.clusters.leaves(),
                calibration: found.calibration.clone(),
            }),
            // The index that the graph was looked for in: told already.
            Err(_) => None,
        };
        ViewStats {
            kind: ViewKind::Sealed { id: self.segment.id() },
            rows: self.rows(),
            live: self.live,
            dim: self.segment.dim(),
            codes,
            sketches,
            coarse: graph.as_ref().is_some_and(|graph| graph.coarse.is_some()),
            graph: graph.map(|graph| graph.calibration.clone()),
            unlinked: 0,
            tail: 0,
            clusters,
            degraded,
        }
    }

    fn metric(&self) -> Metric {
        self.segment.metric()
    }

    fn live(&self) -> RoaringBitmap {
        complement(self.deleted, &self.namespace.rows)
    }

    fn matching(&self, filter: &Filter, stop: &Stop<'_>) -> Result<Matching, SegmentError> {
        let live = without(&self.namespace.rows, self.deleted);
        let (mut rows, unsure, degraded) = if self.is_tiny() {
            (RoaringBitmap::new(), live, Vec::new())
        } else {
            let compiled = match self.segment.fields() {
                Ok(fields) => {
                    compile_beyond(filter, &fields, &live, stop).map_err(|error| error.to_string())
                }
                Err(error @ SegmentError::Corrupt { .. }) => Err(error.to_string()),
                Err(error) => return Err(error),
            };
            match compiled {
                Ok(Compiled { rows, unsure }) => {
                    // Of other namespaces' rows `renumber` leaves none.
                    let unsure = if unsure.is_empty() { unsure } else { unsure & live };
                    (rows - self.deleted, unsure, Vec::new())
                }
                // Without its index the filter is evaluated on every row.
                Err(damage) => (RoaringBitmap::new(), live, vec![damage]),
            }
        };
        let mut unreadable = Unreadable::default();
        if !unsure.is_empty() {
            self.read_metadata(filter, &unsure, stop, &mut rows, &mut unreadable)?;
        }
        Ok(Matching {
            rows: renumber(rows, &self.namespace.rows),
            rows_read: unsure.len(),
            degraded,
            unreadable,
        })
    }

    fn scan(
        &self,
        query: &PreparedQuery<'_>,
        rows: Option<&RoaringBitmap>,
        keep: usize,
    ) -> Result<Found, SegmentError> {
        let Some(quantizer) = self.segment.quantizer()? else {
            return self.scan_exact(query, rows, keep);
        };
        let code_query = quantizer.query(query.vector);
        let codes = self.segment.codes(self.namespace.rows.clone());
        let candidates = match rows {
            Some(rows) => code_query.scan(&codes, query.stop.rows(Blocks::new(rows)), keep),
            None => code_query.scan(&codes, query.stop.rows(self.live_runs().flatten()), keep),
        };
        let candidates = candidates.map_err(|damaged| self.segment.damaged(&damaged))?;
        let distances = rows.map_or(u64::from(self.live), RoaringBitmap::len) as usize;
        Ok(Found { candidates, distances, ..Found::default() })
    }

    fn scan_sketches(
        &self,
        query: &PreparedQuery<'_>,
        rows: Option<&RoaringBitmap>,
        keep: usize,
    ) -> Result<Found, SegmentError> {
        let range = self.namespace.rows.clone();
        let (Some(quantizer), Some(found)) =
            (self.segment.quantizer()?, self.segment.sketches(range.clone())?)
        else {
            // Only asked for where `stats` shows sketches.
            return self.scan(query, rows, keep);
        };
        let code_query = quantizer.query(query.vector);
        let (sketches, codes) = (found.sketches, self.segment.codes(range));
        let scanned = match rows {
            Some(rows) => {
                let rows = query.stop.rows(Blocks::new(rows));
                sketches.scan(&code_query, &found.rows, &codes, rows, keep)
            }
            None => {
                let rows = query.stop.rows(self.live_runs().flatten());
                sketches.scan(&code_query, &found.rows, &codes, rows, keep)
            }
        };
        scanned.map_err(|damaged| self.segment.damaged(&damaged))
    }

    fn search(
        &self,
        query: &PreparedQuery<'_>,
        beam: Beam,
        accept: Accept<'_>,
        limits: Limits,
        scratch: &mut Scratch,
    ) -> Result<Found, SegmentError> {
        let Some(graph) = self.segment.graph(self.namespace)? else {
            // Only asked for where `stats` shows a graph. A search that gave up at once.
            return Ok(Found { gave_up: Some(GaveUp::OverBudget), ..Found::default() });
        };
        let accept = self.alive(accept);
        let links = Graph { links: &graph.links, upper: graph.upper };
        let stopped = || query.stop.asked();
        let budget = Budget::asking(limits, &stopped);
        let found = match self.segment.quantizer()? {
            Some(quantizer) => {
                let codes = self.segment.codes(self.namespace.rows.clone());
                let coarse = graph.coarse.as_ref().map(|(rows, levels)| (rows, *levels));
                let codes = WithCoarse { whole: &codes, coarse };
                let code_query = quantizer.query(query.vector);
                search(&links, &codes, &code_query, beam, accept, budget, scratch)
            }
            None => search_full(&links, &self.vectors, &query.exact, beam, accept, budget, scratch),
        };
        found.map_err(|damaged| self.segment.damaged(&damaged))
    }

    fn search_clusters(
        &self,
        query: &PreparedQuery<'_>,
        reach: Reach,
        keep: usize,
        accept: Accept<'_>,
        scratch: &mut Scratch,
    ) -> Result<Found, SegmentError> {
        let Some(found) = self.segment.clusters(self.namespace)? else {
            return Ok(Found::default());
        };
        let accept = self.alive(accept);
        found
            .clusters
            .search(&found.blocks, query.vector, reach, keep, accept, scratch)
            .map_err(|damaged| self.segment.damaged(&damaged))
    }

    fn prefetch(&self, row: u32) {
        self.vectors.prefetch(row);
        self.segment.prefetch_id(self.namespace.rows.start.saturating_add(row));
    }

    fn distance(&self, query: &PreparedQuery<'_>, row: u32) -> Result<f32, SegmentError> {
        match self.vectors.vector(row) {
            Ok(vector) => Ok(query.exact.distance(vector)),
            Err(damaged) => Err(self.segment.damaged(&damaged)),
        }
    }

    fn scan_exact(
        &self,
        query: &PreparedQuery<'_>,
        rows: Option<&RoaringBitmap>,
        keep: usize,
    ) -> Result<Found, SegmentError> {
        let vectors = &self.vectors;
        let found = match rows {
            Some(rows) => scan_vectors(vectors, query, Blocks::new(rows), keep),
            None => scan_vectors(vectors, query, self.live_runs().flatten(), keep),
        };
        found.map_err(|damaged| self.segment.damaged(&damaged))
    }
}

/// The `keep` nearest of ascending `rows`, which are walked a second time ahead of the first for
/// the processor to load what comes next.
fn scan_vectors(
    vectors: &VectorRows<'_>,
    query: &PreparedQuery<'_>,
    rows: impl Iterator<Item = u32> + Clone,
    keep: usize,
) -> Result<Found, Damaged> {
    /// Rows between asking for a vector and using it.
    const AHEAD: usize = 4;
    let mut ahead = rows.clone();
    ahead.by_ref().take(AHEAD).for_each(|row| vectors.prefetch(row));
    let mut nearest = Nearest::new(keep);
    let mut distances = 0;
    for row in query.stop.rows(rows) {
        if let Some(next) = ahead.next() {
            vectors.prefetch(next);
        }
        let distance = query.exact.distance(vectors.vector(row)?);
        nearest.push(Candidate { distance, row });
        distances += 1;
    }
    Ok(Found { candidates: nearest.into_sorted(), distances, ..Found::default() })
}
