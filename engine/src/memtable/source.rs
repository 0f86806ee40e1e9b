//! A memtable as the rows of a new segment.

use std::ops::Range;
use std::sync::Arc;

use vecstore_index::roaring::RoaringBitmap;
use vecstore_index::{Damaged, FlatRows, NO_ROW, Rows};
use vecstore_segments::{LentGraph, RecordId, RowSource, SegmentError};

use super::{HotNamespace, HotRow, Memtable};
use crate::version::{MemtablePart, Version};

/// Recall that a graph must have been measured to reach to be lent: one that was grown from rows
/// in an unlucky order is better built anew.
const LENT_RECALL_MIN: f32 = 0.98;

/// Rows of a memtable in the order of a segment.
#[derive(Debug)]
pub(crate) struct MemtableSource {
    table: Arc<Memtable>,
    /// Namespaces by name, each with the range of its rows in `rows`.
    namespaces: Vec<(u32, Range<u32>)>,
    /// Row within its namespace.
    rows: Vec<u32>,
}

impl MemtableSource {
    /// The records of `part` as of `version`, by namespace.
    pub(crate) fn new(version: &Version, part: &MemtablePart) -> Self {
        let table = Arc::clone(&part.table);
        let mut by_name: Vec<(u32, &HotNamespace)> = (0..).zip(table.namespaces()).collect();
        by_name.sort_by(|a, b| a.1.name().cmp(b.1.name()));
        let (mut namespaces, mut rows) = (Vec::new(), Vec::new());
        for (number, namespace) in by_name {
            let start = rows.len() as u32;
            rows.extend(namespace.visible_rows(version.seq).map(|(row, _)| row));
            if rows.len() as u32 > start {
                namespaces.push((number, start..rows.len() as u32));
            }
        }
        MemtableSource { namespaces, rows, table: Arc::clone(&part.table) }
    }

    /// The namespace of a row.
    fn place(&self, row: u32) -> (&HotNamespace, &Range<u32>) {
        let at = self.namespaces.partition_point(|(_, rows)| rows.end <= row);
        let (number, rows) = &self.namespaces[at];
        (self.table.numbered(*number).expect("a namespace stays"), rows)
    }

    fn hot(&self, row: u32) -> &HotRow {
        self.place(row).0.row(self.rows[row as usize])
    }

    /// Rows that were replaced or removed since the source was made.
    pub(crate) fn deleted_since(&self) -> RoaringBitmap {
        (0..self.rows()).filter(|&row| !self.hot(row).alive()).collect()
    }
}

impl RowSource for MemtableSource {
    fn rows(&self) -> u32 {
        self.rows.len() as u32
    }

    fn namespace(&self, row: u32) -> Result<&str, SegmentError> {
        Ok(self.place(row).0.name())
    }

    fn id(&self, row: u32) -> Result<RecordId, SegmentError> {
        Ok(self.hot(row).id.clone())
    }

    fn seq(&self, row: u32) -> u64 {
        self.hot(row).seq
    }

    fn vector(&self, row: u32, vector: &mut [f32]) -> Result<(), SegmentError> {
        vector.copy_from_slice(&self.hot(row).vector);
        Ok(())
    }

    fn metadata(&self, row: u32, json: &mut Vec<u8>) -> Result<(), SegmentError> {
        json.extend_from_slice(&self.hot(row).json);
        Ok(())
    }

    /// The graph that was grown in memory, as far as it has come.
    fn graphs(&self, rows: Range<u32>) -> Vec<Result<LentGraph<'_>, SegmentError>> {
        let (namespace, placed) = self.place(rows.start);
        debug_assert_eq!(*placed, rows, "a graph is asked for by namespace");
        let Some((calibration, links, degree)) = namespace.graph.lend() else {
            return Vec::new();
        };
        if calibration.best_recall() < LENT_RECALL_MIN {
            return Vec::new();
        }
        let links = LentLinks { links, degree };
        let mut new_rows = vec![NO_ROW; links.flat().rows() as usize];
        let live = &self.rows[placed.start as usize..placed.end as usize];
        for (new_row, &row) in (0..).zip(live) {
            if let Some(slot) = new_rows.get_mut(row as usize) {
                *slot = new_row;
            }
        }
        vec![Ok(LentGraph { links: Box::new(links), new_rows, calibration })]
    }
}

/// A copy of links, since those in memory may still change.
struct LentLinks {
    links: Vec<u32>,
    degree: usize,
}

impl LentLinks {
    fn flat(&self) -> FlatRows<'_, u32> {
        FlatRows::new("links", &self.links, self.degree)
    }
}

impl Rows<u32> for LentLinks {
    fn rows(&self) -> u32 {
        self.flat().rows()
    }

    fn row(&self, row: u32) -> Result<&[u32], Damaged> {
        let start = row as usize * self.degree;
        self.links.get(start..start + self.degree).ok_or(Damaged { array: "links", row })
    }
}
