//! The memtable as the planner and executor see it.

use std::sync::Arc;

use vecstore_index::roaring::RoaringBitmap;
use vecstore_index::{Accept, Candidate, Found, Metric, Scratch};
use vecstore_query::{
    FieldOrder, Filter, Matching, OrderKey, PreparedQuery, RowValues, SegmentView, ValueCounts,
    ViewKind, ViewStats, compile,
};
use vecstore_segments::{FieldPath, SegmentError};

use crate::Result as EngineResult;
use crate::hot_fields::{RUN_ROWS, run_rows};
use crate::memtable::HotRow;
use crate::options::CollectionOptions;
use crate::version::{MemtablePart, Version};

/// Records of one namespace in one memtable, as of a version. There are no codes and no graph:
/// every search is an exact scan. A filter asks the field indices of
/// whole runs of rows and reads the metadata of the rows after them.
#[derive(Debug)]
pub(crate) struct HotView<'a> {
    options: &'a CollectionOptions,
    part: &'a MemtablePart,
    live: RoaringBitmap,
}

impl<'a> HotView<'a> {
    pub(crate) fn new(
        version: &'a Version,
        part: &'a MemtablePart,
        namespace: &str,
        options: &'a CollectionOptions,
    ) -> Self {
        let rows = part.table.rows_of(namespace, part.rows);
        let live =
            rows.into_iter().filter(|row| part.table.row(*row).visible(version.seq)).collect();
        HotView { options, part, live }
    }

    pub(crate) fn hot(&self, row: u32) -> &'a HotRow {
        self.part.table.row(row)
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

    /// Whether this is a view of `part`.
    pub(crate) fn shows(&self, part: &MemtablePart) -> bool {
        Arc::ptr_eq(&self.part.table, &part.table)
    }

    /// The keys of `rows`, in their order: from the field indices of whole runs, and by reading the
    /// other rows.
    pub(crate) fn order_keys(
        &self,
        order: &FieldOrder,
        rows: &RoaringBitmap,
    ) -> EngineResult<Vec<OrderKey>> {
        let mut keys = vec![OrderKey::default(); rows.len() as usize];
        let whole_runs = self.part.rows / RUN_ROWS;
        let mut unread: RoaringBitmap = rows.range(whole_runs * RUN_ROWS..).collect();
        // Ranks count from 1.
        let place = |row: u32| rows.rank(row) as usize - 1;
        for run in 0..whole_runs {
            let wanted: RoaringBitmap = rows.range(run_rows(run)).collect();
            if wanted.is_empty() {
                continue;
            }
            let indexed =
                self.part.table.fields(run, self.options).and_then(|(fields, not_in_it)| {
                    let listed = &wanted - not_in_it;
                    let unlisted = order.index_keys(&fields, &listed, &mut keys, &place)?;
                    Ok((&wanted & not_in_it) | unlisted)
                });
            match indexed {
                Ok(unlisted) => unread |= unlisted,
                Err(_) => unread |= wanted,
            }
        }
        for row in &unread {
            keys[place(row)] = order.key(&self.hot(row).metadata()?);
        }
        Ok(keys)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.live.is_empty()
    }
}

impl SegmentView for HotView<'_> {
    fn stats(&self) -> ViewStats {
        ViewStats {
            kind: ViewKind::Memtable,
            rows: self.part.rows,
            live: self.live.len() as u32,
            dim: self.options.dim(),
            codes: false,
            graph: None,
            clusters: None,
            degraded: Vec::new(),
        }
    }

    fn metric(&self) -> Metric {
        self.options.metric()
    }

    fn live(&self) -> RoaringBitmap {
        self.live.clone()
    }

    fn matching(&self, filter: &Filter) -> Result<Matching, SegmentError> {
        let mut found = Matching::default();
        let mut unsure = RoaringBitmap::new();
        let whole_runs = self.part.rows / RUN_ROWS;
        for run in 0..whole_runs {
            let mut scope: RoaringBitmap = self.live.range(run_rows(run)).collect();
            if scope.is_empty() {
                continue;
            }
            let compiled =
                self.part.table.fields(run, self.options).and_then(|(fields, unread)| {
                    unsure |= &scope & unread;
                    scope -= unread;
                    compile(filter, &fields, &scope)
                });
            match compiled {
                Ok(compiled) => {
                    found.rows |= compiled.rows;
                    unsure |= compiled.unsure;
                }
                // Without its index the run is read.
                Err(damage) => {
                    found.degraded.push(damage.to_string());
                    unsure |= scope;
                }
            }
        }
        unsure.extend(self.live.range(whole_runs * RUN_ROWS..));
        found.rows_read = unsure.len();
        for row in &unsure {
            match self.hot(row).metadata() {
                Ok(metadata) if filter.matches(&metadata) => drop(found.rows.insert(row)),
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
        self.scan_exact(query, rows, keep)
    }

    fn search(
        &self,
        query: &PreparedQuery<'_>,
        ef: usize,
        _accept: Accept<'_>,
        _distances_max: usize,
        _scratch: &mut Scratch,
    ) -> Result<Found, SegmentError> {
        self.scan_exact(query, None, ef)
    }

    fn distance(&self, query: &PreparedQuery<'_>, row: u32) -> Result<f32, SegmentError> {
        Ok(query.exact.distance(&self.hot(row).vector))
    }

    fn scan_exact(
        &self,
        query: &PreparedQuery<'_>,
        rows: Option<&RoaringBitmap>,
        keep: usize,
    ) -> Result<Found, SegmentError> {
        let rows = rows.unwrap_or(&self.live);
        let mut candidates: Vec<Candidate> = rows
            .iter()
            .map(|row| Candidate { distance: query.exact.distance(&self.hot(row).vector), row })
            .collect();
        let distances = candidates.len();
        let nearer = |a: &Candidate, b: &Candidate| {
            a.distance.total_cmp(&b.distance).then(a.row.cmp(&b.row))
        };
        if keep < candidates.len() {
            candidates.select_nth_unstable_by(keep, nearer);
            candidates.truncate(keep);
        }
        candidates.sort_unstable_by(nearer);
        Ok(Found { candidates, distances, ..Found::default() })
    }
}
