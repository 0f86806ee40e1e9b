//! The rows of one part of a namespace in the order of a scroll.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use vecstore_query::OrderKey;
use vecstore_segments::RecordId;

use super::order::{Cursor, Order};
use crate::Result;

/// Rows in order, and the keys that they share. 4 bytes a row and about 32 a key.
#[derive(Debug, Default)]
pub(crate) struct SortedRows {
    rows: Vec<u32>,
    /// Each key, with the place in `rows` of its first row.
    keys: Vec<(OrderKey, u32)>,
}

impl SortedRows {
    /// Sorts rows by key and id.
    pub(super) fn new(mut rows: Vec<(OrderKey, RecordId, u32)>, order: &Order) -> Self {
        rows.sort_unstable_by(|a, b| order.compare((&a.0, &a.1), (&b.0, &b.1)));
        let mut sorted = SortedRows { rows: Vec::with_capacity(rows.len()), keys: Vec::new() };
        for (key, _, row) in rows {
            let is_new =
                (sorted.keys.last()).is_none_or(|(last, _)| order.compare_keys(last, &key).is_ne());
            if is_new {
                sorted.keys.push((key, sorted.rows.len() as u32));
            }
            sorted.rows.push(row);
        }
        sorted
    }

    /// The place of the first row behind a cursor.
    pub(super) fn place_after(
        &self,
        cursor: &Cursor,
        mut id: impl FnMut(u32) -> Result<RecordId>,
    ) -> Result<usize> {
        let order = &cursor.order;
        let at = self.keys.partition_point(|(key, _)| order.compare_keys(key, &cursor.key).is_lt());
        let Some((key, start)) = self.keys.get(at) else { return Ok(self.rows.len()) };
        let start = *start as usize;
        if order.compare_keys(key, &cursor.key).is_ne() {
            return Ok(start);
        }
        let end = self.keys.get(at + 1).map_or(self.rows.len(), |(_, next)| *next as usize);
        let (mut low, mut high) = (start, end);
        while low < high {
            let middle = low + (high - low) / 2;
            if id(self.rows[middle])? <= cursor.id { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }

    fn heap_bytes(&self) -> usize {
        let keys = self.keys.iter().map(|(key, _)| key.heap_bytes()).sum::<usize>();
        self.rows.capacity() * 4 + self.keys.capacity() * size_of::<(OrderKey, u32)>() + keys
    }

    pub(super) fn row(&self, place: usize) -> Option<u32> {
        self.rows.get(place).copied()
    }

    /// The key of the row at a place.
    pub(super) fn key(&self, place: usize) -> OrderKey {
        let after = self.keys.partition_point(|(_, start)| *start as usize <= place);
        after.checked_sub(1).map_or_else(OrderKey::default, |at| self.keys[at].0.clone())
    }
}

/// The orders of a segment that were asked for last. A segment never changes, so neither do they,
/// and a page of a scroll need not look at more rows than it returns.
#[derive(Debug, Default)]
pub(crate) struct KeptOrders(Mutex<VecDeque<Kept>>);

#[derive(Debug)]
struct Kept {
    first_row: u32,
    order: Order,
    rows: Arc<SortedRows>,
}

impl KeptOrders {
    /// Orders kept of one segment.
    const KEPT: usize = 8;

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.0.lock().iter().map(|kept| size_of::<Kept>() + kept.rows.heap_bytes()).sum()
    }

    /// The order of the namespace that begins at `first_row`, made if it is not kept. Two scrolls
    /// that begin at the same time may both make it.
    pub(super) fn get(
        &self,
        first_row: u32,
        order: &Order,
        make: impl FnOnce() -> Result<SortedRows>,
    ) -> Result<Arc<SortedRows>> {
        let find = |kept: &mut VecDeque<Kept>| {
            let is_it = |kept: &Kept| kept.first_row == first_row && kept.order == *order;
            let found = kept.iter().position(is_it).and_then(|at| kept.remove(at))?;
            let rows = Arc::clone(&found.rows);
            kept.push_back(found);
            Some(rows)
        };
        if let Some(rows) = find(&mut self.0.lock()) {
            return Ok(rows);
        }
        let rows = Arc::new(make()?);
        let mut kept = self.0.lock();
        if find(&mut kept).is_none() {
            kept.push_back(Kept { first_row, order: order.clone(), rows: Arc::clone(&rows) });
            if kept.len() > Self::KEPT {
                kept.pop_front();
            }
        }
        Ok(rows)
    }
}
