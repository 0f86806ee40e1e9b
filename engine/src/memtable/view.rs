//! The memtable as the planner and executor see it.

use vecstore_index::roaring::RoaringBitmap;
use vecstore_index::{
    Accept, Beam, Budget, Candidate, CodesReader, Found, GaveUp, Limits, LiveReader, Metric,
    Scratch,
};
use vecstore_query::{
    FieldOrder, Filter, Matcher, Matching, OrderKey, PreparedQuery, RowValues, SegmentView, Stop,
    ValueCounts, ViewKind, ViewStats, compile,
};
use vecstore_segments::{FieldPath, SegmentError};

use super::{Asks, HotNamespace, HotRow};
use crate::Result as EngineResult;
use crate::options::CollectionOptions;
use crate::version::MemtablePart;

/// Records of one namespace in one memtable, as of a commit.
///
/// The first rows may be linked and are found through the graph; those behind them may have codes,
/// which are scanned; the tail behind those is scanned on full vectors. A filter asks the field
/// indices that are there and reads the metadata of the other rows. What is missing is asked for, for
/// the queries to come.
#[derive(Debug)]
pub(crate) struct HotView<'a> {
    options: &'a CollectionOptions,
    asks: &'a Asks,
    part: &'a MemtablePart,
    number: u32,
    rows: &'a HotNamespace,
    seq: u64,
    /// Rows as of `seq`, dead ones included.
    len: u32,
    live: u32,
    /// With those of all linked rows.
    coded: Option<CodesReader<'a>>,
    linked: Option<LiveReader<'a>>,
}

impl<'a> HotView<'a> {
    /// The records of a namespace as of commit `seq`; `None` if there are none.
    pub(crate) fn new(
        part: &'a MemtablePart,
        namespace: &str,
        seq: u64,
        options: &'a CollectionOptions,
        asks: &'a Asks,
    ) -> Option<Self> {
        let (number, rows) = part.table.namespace(namespace)?;
        let live = rows.live(seq);
        let (coded, linked) = rows.graph.readers();
        let len = rows.rows(seq);
        (live > 0).then_some(HotView {
            options,
            asks,
            part,
            number,
            rows,
            seq,
            len,
            live,
            coded,
            linked,
        })
    }

    pub(crate) fn hot(&self, row: u32) -> &'a HotRow {
        self.rows.row(row)
    }

    /// Counts the values that `rows` have at a path.
    pub(crate) fn count_values(
        &self,
        path: &FieldPath,
        rows: &RoaringBitmap,
        counts: &mut ValueCounts,
    ) -> EngineResult<()> {
        for row in rows {
            counts.add_record(path, &self.hot(row).metadata()?);
        }
        Ok(())
    }

    /// The values that `rows` have at a path, as (row, number of the value), by row.
    pub(crate) fn row_values(
        &self,
        path: &FieldPath,
        rows: &RoaringBitmap,
        values: &mut RowValues,
    ) -> EngineResult<Vec<(u32, u32)>> {
        let mut found = Vec::new();
        for row in rows {
            let numbers = values.of_record(path, &self.hot(row).metadata()?);
            found.extend(numbers.into_iter().map(|number| (row, number)));
        }
        Ok(found)
    }

    /// Which memtable, and which of its namespaces, this is a view of.
    pub(crate) fn shows(&self) -> (&'a MemtablePart, u32) {
        (self.part, self.number)
    }

    /// The keys of `rows`, in their order: from the field indices that are there, and by reading the
    /// other rows.
    pub(crate) fn order_keys(
        &self,
        order: &FieldOrder,
        rows: &RoaringBitmap,
    ) -> EngineResult<Vec<OrderKey>> {
        if self.rows.fields.want(self.len) {
            self.ask();
        }
        let mut keys = vec![OrderKey::default(); rows.len() as usize];
        let mut unread = rows.clone();
        // Ranks count from 1.
        let place = |row: u32| rows.rank(row) as usize - 1;
        for run in self.rows.fields.of_runs(self.len) {
            let mut listed: RoaringBitmap = rows.range(run.rows.clone()).collect();
            let indexed = run.index.and_then(|(fields, not_in_it)| {
                listed -= not_in_it;
                order.index_keys(&fields, &listed, &mut keys, &place)
            });
            // Without its index the run is read.
            if let Ok(unlisted) = indexed {
                unread -= listed;
                unread |= unlisted;
            }
        }
        for row in &unread {
            keys[place(row)] = order.key(&self.hot(row).metadata()?);
        }
        Ok(keys)
    }

    /// Has the background make what this view would be faster with.
    fn ask(&self) {
        self.asks.ask(&self.part.table, self.number, self.options);
    }

    /// Rows before this one are linked.
    fn linked_rows(&self) -> u32 {
        // There may be more of them than rows.
        self.linked.as_ref().map_or(0, LiveReader::rows).min(self.len)
    }

    /// Rows before this one have codes.
    fn coded_rows(&self) -> u32 {
        self.coded.as_ref().map_or(0, CodesReader::rows).min(self.len)
    }

    /// The live ones of some rows.
    fn live_rows(&self, rows: std::ops::Range<u32>) -> impl Iterator<Item = u32> + Clone {
        let all_live = self.live == self.len;
        rows.filter(move |&row| all_live || self.hot(row).visible(self.seq))
    }

    /// The `keep` nearest of some rows by exact distance, and how many rows there were.
    fn nearest(
        &self,
        query: &PreparedQuery<'_>,
        rows: impl Iterator<Item = u32> + Clone,
        keep: usize,
    ) -> (Vec<Candidate>, usize) {
        /// Rows between asking for a vector and using it.
        const AHEAD: usize = 4;
        let mut ahead = rows.clone();
        ahead.by_ref().take(AHEAD).for_each(|row| self.prefetch(row));
        let mut candidates: Vec<Candidate> = Vec::new();
        for row in query.stop.rows(rows) {
            if let Some(next) = ahead.next() {
                self.prefetch(next);
            }
            let distance = query.exact.distance(&self.hot(row).vector[..]);
            candidates.push(Candidate { distance, row });
        }
        let distances = candidates.len();
        keep_nearest(&mut candidates, keep);
        (candidates, distances)
    }
}

/// Leaves the `keep` nearest, nearest first, ties by row.
fn keep_nearest(candidates: &mut Vec<Candidate>, keep: usize) {
    let nearer =
        |a: &Candidate, b: &Candidate| a.distance.total_cmp(&b.distance).then(a.row.cmp(&b.row));
    if keep < candidates.len() {
        candidates.select_nth_unstable_by(keep, nearer);
        candidates.truncate(keep);
    }
    candidates.sort_unstable_by(nearer);
}

impl SegmentView for HotView<'_> {
    fn stats(&self) -> ViewStats {
        if self.rows.graph.want(self.len) {
            self.ask();
        }
        ViewStats {
            kind: ViewKind::Memtable,
            rows: self.len,
            live: self.live,
            dim: self.options.dim(),
            codes: self.coded.is_some(),
            sketches: None,
            graph: self.linked.as_ref().map(LiveReader::calibration),
            clusters: None,
            coarse: false,
            unlinked: self.coded_rows() - self.linked_rows(),
            tail: self.len - self.coded_rows(),
            degraded: Vec::new(),
        }
    }

    fn metric(&self) -> Metric {
        self.options.metric()
    }

    fn live(&self) -> RoaringBitmap {
        let mut live = RoaringBitmap::new();
        live.insert_range(0..self.len);
        live -= self.rows.dead_rows(self.seq).collect::<RoaringBitmap>();
        live
    }

    fn matching(&self, filter: &Filter, stop: &Stop<'_>) -> Result<Matching, SegmentError> {
        if self.rows.fields.want(self.len) {
            self.ask();
        }
        let mut found = Matching::default();
        // Rows to be read, once what the indices tell is taken from them.
        let mut unsure = self.live();
        for run in self.rows.fields.of_runs(self.len) {
            let mut scope: RoaringBitmap = unsure.range(run.rows.clone()).collect();
            let compiled = run.index.and_then(|(fields, unread)| {
                scope -= unread;
                compile(filter, &fields, &scope, stop)
            });
            match compiled {
                Ok(compiled) => {
                    unsure -= scope;
                    found.rows |= compiled.rows;
                    unsure |= compiled.unsure;
                }
                // Without its index the run is read.
                Err(damage) => found.degraded.push(damage.to_string()),
            }
        }
        found.rows_read = unsure.len();
        if unsure.is_empty() {
            return Ok(found);
        }
        let matcher = Matcher::new(filter);
        for row in stop.rows(unsure.iter()) {
            match self.hot(row).metadata() {
                Ok(metadata) if matcher.matches(&metadata) => drop(found.rows.insert(row)),
                Ok(_) => {}
                Err(error) => {
                    found.unreadable.rows.insert(row);
                    found.unreadable.first_error.get_or_insert_with(|| error.to_string());
                }
            }
        }
        Ok(found)
    }

    fn scan(
        &self,
        query: &PreparedQuery<'_>,
        rows: Option<&RoaringBitmap>,
        keep: usize,
    ) -> Result<Found, SegmentError> {
        let Some(reader) = &self.coded else {
            return self.scan_exact(query, rows, keep);
        };
        let codes = reader.quantizer().query(query.vector);
        let coded = 0..self.coded_rows();
        let tail = coded.end..self.len;
        let scanned = match rows {
            Some(rows) => codes.scan(&reader.codes(), query.stop.rows(rows.range(coded)), keep),
            None => codes.scan(&reader.codes(), query.stop.rows(self.live_rows(coded)), keep),
        };
        let mut candidates = scanned.map_err(|damaged| in_memory(&damaged))?;
        let (near, _) = match rows {
            Some(rows) => self.nearest(query, rows.range(tail), keep),
            None => self.nearest(query, self.live_rows(tail), keep),
        };
        candidates.extend(near);
        keep_nearest(&mut candidates, keep);
        let distances = rows.map_or(u64::from(self.live), RoaringBitmap::len) as usize;
        Ok(Found { candidates, distances, ..Found::default() })
    }

    fn search(
        &self,
        query: &PreparedQuery<'_>,
        beam: Beam,
        accept: Accept<'_>,
        limits: Limits,
        scratch: &mut Scratch,
    ) -> Result<Found, SegmentError> {
        let (Some(linked), Some(coded)) = (&self.linked, &self.coded) else {
            // Only asked for where `stats` shows a graph. A search that gave up at once.
            return Ok(Found { gave_up: Some(GaveUp::OverBudget), ..Found::default() });
        };
        let codes = linked.quantizer().query(query.vector);
        // The graph may have grown beyond this version's rows, and walks through all of its own.
        let all_live = self.live == self.len && linked.rows() <= self.len;
        let is_live = |row| row < self.len && self.hot(row).visible(self.seq);
        let is_accepted = |row| match accept {
            Accept::All => all_live || is_live(row),
            Accept::Only(set) => set.contains(row),
        };
        let needs_test = !(all_live && matches!(accept, Accept::All));
        let test = needs_test.then_some(&is_accepted as &dyn Fn(u32) -> bool);
        let stopped = || query.stop.asked();
        let budget = Budget::asking(limits, &stopped);
        let mut found = linked
            .search(&codes, beam, test, budget, scratch)
            .map_err(|damaged| in_memory(&damaged))?;
        if found.gave_up.is_none() {
            // Of the others only the nearest can be among the answers; how many that is the beam says.
            let keep = beam.ef.max(found.candidates.len());
            let accepted = |rows| self.live_rows(rows).filter(|&row| is_accepted(row));
            let mut scanned = 0;
            let unlinked = accepted(self.linked_rows()..self.coded_rows());
            let unlinked = query.stop.rows(unlinked).inspect(|_| scanned += 1);
            let near = codes.scan(&coded.codes(), unlinked, keep);
            found.candidates.extend(near.map_err(|damaged| in_memory(&damaged))?);
            let (near, distances) =
                self.nearest(query, accepted(self.coded_rows()..self.len), keep);
            found.candidates.extend(near);
            found.distances += scanned + distances;
            keep_nearest(&mut found.candidates, keep);
        }
        Ok(found)
    }

    fn prefetch(&self, row: u32) {
        vecstore_index::prefetch(&self.hot(row).vector);
    }

    fn distance(&self, query: &PreparedQuery<'_>, row: u32) -> Result<f32, SegmentError> {
        Ok(query.exact.distance(&self.hot(row).vector[..]))
    }

    fn scan_exact(
        &self,
        query: &PreparedQuery<'_>,
        rows: Option<&RoaringBitmap>,
        keep: usize,
    ) -> Result<Found, SegmentError> {
        let (candidates, distances) = match rows {
            Some(rows) => self.nearest(query, rows.iter(), keep),
            None => self.nearest(query, self.live_rows(0..self.len), keep),
        };
        Ok(Found { candidates, distances, ..Found::default() })
    }
}

/// What cannot be: a row in memory that is not there.
fn in_memory(damaged: &vecstore_index::Damaged) -> SegmentError {
    SegmentError::corrupt("memtable".as_ref(), damaged.array, damaged.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use vecstore_index::{ExactQuery, LiveGraph, RowSet};

    use super::*;
    use crate::memory::Gauge;
    use crate::memtable::Memtable;
    use crate::record::CheckedRecord;

    const DIM: usize = 8;
    const ROWS: u32 = 4_200;

    /// Row `i` comes with commit `i + 1`; every fifth one is removed by commit `i + 1001`, if there
    /// is one.
    fn table(options: &CollectionOptions) -> Memtable {
        let table = Memtable::new(1, options, &Arc::new(Gauge::new(None)));
        let namespace: Arc<str> = "".into();
        let mut number = 1u32;
        for row in 0..ROWS {
            let vector = (0..DIM).map(|_| {
                number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (number >> 8) as f32 / 1e7
            });
            let vector = vector.collect();
            let id = u64::from(row).into();
            let record = CheckedRecord { id, vector, json: (*b"{}").into() };
            table.append(&namespace, record, u64::from(row) + 1);
            if row >= 1_000 && row.is_multiple_of(5) {
                assert!(table.delete("", &u64::from(row - 1_000).into(), u64::from(row) + 1));
            }
        }
        table
    }

    /// Codes all whole blocks of the first `wanted` rows and links as many as are given, or a few more;
    /// gives the bytes that were made.
    fn advance(table: &Memtable, options: &CollectionOptions, wanted: u32, linked: u32) -> usize {
        let (_, rows) = table.namespace("").expect("it has rows");
        assert!(rows.graph.want(wanted));
        let mut bytes = 0;
        while rows.graph.is_behind() && rows.graph.get().map_or(0, LiveGraph::linked) < linked {
            bytes += rows.graph.advance(rows, options);
        }
        bytes
    }

    #[test]
    fn a_graph_shows_each_commit_its_own_rows() {
        let options = CollectionOptions::new(DIM, Metric::Euclidean);
        // Whole blocks, and only those that a first measurement takes.
        for linked in [4_096, 1_024] {
            let table = table(&options);
            advance(&table, &options, ROWS, linked);
            shows_each_commit_its_own_rows(table, 4_096, linked);
        }
    }

    #[test]
    fn rows_too_few_to_link_have_codes() {
        let options = CollectionOptions::new(DIM, Metric::Euclidean);
        let few = table(&options);
        let (_, rows) = few.namespace("").expect("it has rows");
        assert!(!rows.graph.want(511), "so few are looked at");
        let bytes = advance(&few, &options, 700, 1);
        assert!((5 * 128 * 64..6 * 128 * 64).contains(&bytes), "five blocks of codes, not {bytes}");
        shows_each_commit_its_own_rows(few, 640, 0);

        let more = table(&options);
        advance(&more, &options, 700, 1);
        advance(&more, &options, 2_047, 1);
        let (_, rows) = more.namespace("").expect("it has rows");
        assert!(!rows.graph.is_behind());
        shows_each_commit_its_own_rows(more, 1_920, 0);

        // Then the graph's codes take over.
        let linked = table(&options);
        advance(&linked, &options, 2_047, 1);
        advance(&linked, &options, ROWS, 1_024);
        shows_each_commit_its_own_rows(linked, 4_096, 1_024);
    }

    /// What a view of the table says with all whole blocks of `coded` rows coded, and `linked` of them
    /// linked.
    fn shows_each_commit_its_own_rows(table: Memtable, coded: u32, linked: u32) {
        let options = CollectionOptions::new(DIM, Metric::Euclidean);
        let part = MemtablePart { table: Arc::new(table), rows: ROWS };
        let (asks, _asked) = Asks::new();
        let vector = [3.0; DIM];
        let exact = ExactQuery::new(Metric::Euclidean, &vector);
        let stop = Stop::never();
        let query = PreparedQuery { vector: &vector, exact, stop: &stop };
        for seq in [1u64, 999, 1_500, 3_000, 4_100, 4_199, 4_200, 9_999] {
            let view = HotView::new(&part, "", seq, &options, &asks).expect("it has rows");
            let removed =
                |row: u64| row.is_multiple_of(5) && row + 1_001 <= seq.min(u64::from(ROWS));
            let is_live = |row: u64| row < seq && !removed(row);
            let live: RoaringBitmap = (0..ROWS).filter(|&row| is_live(u64::from(row))).collect();
            assert_eq!(view.live(), live, "as of {seq}");
            assert_eq!(view.stats().live as u64, live.len(), "as of {seq}");
            let (rows, stats) = ((seq as u32).min(ROWS), view.stats());
            assert_eq!(stats.tail, rows.saturating_sub(coded), "as of {seq}");
            assert_eq!(stats.unlinked, rows.min(coded).saturating_sub(linked), "as of {seq}");
            assert_eq!(stats.graph.is_some(), linked > 0, "as of {seq}");

            let even: RoaringBitmap = live.iter().filter(|row| row % 2 == 0).collect();
            let set = RowSet::from_bitmap(&even, 0..ROWS);
            let (all, mut scratch) = (ROWS as usize, Scratch::default());
            let mut search = |accept| {
                view.search(&query, Beam::fixed(all), accept, usize::MAX.into(), &mut scratch)
                    .expect("in memory")
            };
            let rows = |found: Found| -> RoaringBitmap {
                let rows: Vec<u32> = found.candidates.iter().map(|c| c.row).collect();
                let bitmap: RoaringBitmap = rows.iter().copied().collect();
                assert_eq!(bitmap.len(), rows.len() as u64, "a row was found twice");
                bitmap
            };
            if linked > 0 {
                assert_eq!(rows(search(Accept::All)), live, "walk as of {seq}");
                assert_eq!(rows(search(Accept::Only(&set))), even, "filtered walk as of {seq}");
            } else {
                assert!(search(Accept::All).gave_up.is_some(), "as of {seq}");
            }
            let scan = |rows| view.scan(&query, rows, all).expect("in memory");
            assert_eq!(rows(scan(None)), live, "scan as of {seq}");
            assert_eq!(rows(scan(Some(&even))), even, "filtered scan as of {seq}");
            let exact = view.scan_exact(&query, None, all).expect("in memory");
            assert_eq!(rows(exact), live, "exact scan as of {seq}");
        }
    }
}
