//! Memtables as the rows of a new segment.

use std::ops::Range;
use std::sync::Arc;

use vecstore_index::roaring::RoaringBitmap;
use vecstore_index::{Damaged, FlatRows, NO_ROW, Rows};
use vecstore_segments::{LentChoice, LentGraph, RecordId, RowSource, SegmentError};

use super::{HotNamespace, HotRow, Memtable};
use crate::version::{MemtablePart, SegmentPart, Version};

/// Recall that a graph must have been measured to reach to be lent: one that was grown from rows
/// in an unlucky order is better built anew.
const LENT_RECALL_MIN: f32 = 0.98;

/// Rows of memtables in the order of a segment.
#[derive(Debug)]
pub(crate) struct MemtableSource {
    /// The oldest first.
    tables: Vec<Arc<Memtable>>,
    /// By name, and of one name the oldest first.
    pieces: Vec<Piece>,
    /// Row within its namespace, piece by piece.
    rows: Vec<u32>,
    /// The segments that are there.
    segments: Vec<SegmentPart>,
}

/// What one memtable has of a namespace.
#[derive(Debug)]
struct Piece {
    table: usize,
    /// Number of the namespace in the memtable.
    number: u32,
    /// Its rows in the order of the segment; there are some.
    rows: Range<u32>,
}

impl MemtableSource {
    /// The records of `parts`, the newest first, as of `version`.
    pub(crate) fn new(version: &Version, parts: &[MemtablePart]) -> Self {
        let tables: Vec<_> = parts.iter().rev().map(|part| Arc::clone(&part.table)).collect();
        let mut by_name: Vec<(&HotNamespace, usize, u32)> = Vec::new();
        for (at, table) in tables.iter().enumerate() {
            by_name.extend(table.namespaces().zip(0..).map(|(rows, number)| (rows, at, number)));
        }
        by_name.sort_by(|a, b| a.0.name().cmp(b.0.name()));
        let (mut pieces, mut rows) = (Vec::new(), Vec::new());
        for (namespace, table, number) in by_name {
            let start = rows.len() as u32;
            rows.extend(namespace.visible_rows(version.seq).map(|(row, _)| row));
            let end = rows.len() as u32;
            if end > start {
                pieces.push(Piece { table, number, rows: start..end });
            }
        }
        MemtableSource { pieces, rows, tables, segments: version.segments.clone() }
    }

    /// Number of the piece that a row is of.
    fn piece_of(&self, row: u32) -> usize {
        self.pieces.partition_point(|piece| piece.rows.end <= row)
    }

    fn namespace_of(&self, piece: &Piece) -> &HotNamespace {
        self.tables[piece.table].numbered(piece.number).expect("a namespace stays")
    }

    fn hot(&self, row: u32) -> &HotRow {
        self.namespace_of(&self.pieces[self.piece_of(row)]).row(self.rows[row as usize])
    }

    /// Rows that were replaced or removed since the source was made.
    pub(crate) fn deleted_since(&self) -> RoaringBitmap {
        (0..self.rows()).filter(|&row| !self.hot(row).alive()).collect()
    }

    /// The graph that was grown over a piece, as far as it has come and is good; rows count from
    /// `first`.
    fn lend(&self, piece: &Piece, first: u32) -> Option<LentGraph<'_>> {
        let (calibration, links, degree) = self.namespace_of(piece).graph.lend()?;
        if calibration.best_recall() < LENT_RECALL_MIN {
            return None;
        }
        let links = LentLinks { links, degree };
        let mut new_rows = vec![NO_ROW; links.flat().rows() as usize];
        for new_row in piece.rows.clone() {
            if let Some(slot) = new_rows.get_mut(self.rows[new_row as usize] as usize) {
                *slot = new_row - first;
            }
        }
        Some(LentGraph { links: Box::new(links), new_rows, calibration })
    }
}

impl RowSource for MemtableSource {
    fn rows(&self) -> u32 {
        self.rows.len() as u32
    }

    fn namespace(&self, row: u32) -> Result<&str, SegmentError> {
        Ok(self.namespace_of(&self.pieces[self.piece_of(row)]).name())
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

    /// The graphs that were grown in memory.
    fn graphs(&self, rows: Range<u32>) -> Vec<Result<LentGraph<'_>, SegmentError>> {
        let pieces = self.pieces[self.piece_of(rows.start)..].iter();
        let of_namespace = pieces.take_while(|piece| piece.rows.end <= rows.end);
        of_namespace.filter_map(|piece| self.lend(piece, rows.start)).map(Ok).collect()
    }

    /// What segments have: most records are like those before, and to make both kinds and measure
    /// them takes longer than to make one.
    fn choices(&self, rows: Range<u32>) -> Vec<LentChoice> {
        let name = self.namespace_of(&self.pieces[self.piece_of(rows.start)]).name();
        self.segments.iter().filter_map(|part| part.file.segment.choice(name)).collect()
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
