//! A walk through a namespace in the order of a scroll: the sorted rows of each part, merged as far
//! as they are asked for.

use std::sync::Arc;

use vecstore_index::roaring::RoaringBitmap;
use vecstore_query::{Filter, OrderKey};
use vecstore_segments::RecordId;

use super::order::{Cursor, Order};
use super::sorted::SortedRows;
use crate::Result;
use crate::collection::Collection;
use crate::memtable::HotView;
use crate::record::{Include, StoredRecord};
use crate::version::{Found, MemtablePart, Version};
use crate::views::{View, records};

/// Where a walk is. It keeps the version that it walks through.
#[derive(Debug)]
pub(super) struct Walk {
    version: Arc<Version>,
    order: Order,
    parts: Vec<Part>,
}

/// One part of the namespace.
#[derive(Debug)]
struct Part {
    source: Source,
    sorted: Arc<SortedRows>,
    /// Rows of the view that are wanted.
    wanted: RoaringBitmap,
    place: usize,
    head: Option<Head>,
}

/// The next record of a part.
#[derive(Debug)]
struct Head {
    key: OrderKey,
    id: RecordId,
    row: u32,
}

/// Where the rows of a part are: which memtable and which of its namespaces, or which segment and
/// the first row there.
#[derive(Clone, Copy, Debug)]
enum Source {
    Hot(usize, u32),
    Sealed(usize, u32),
}

impl Source {
    fn found(self, version: &Version, row: u32) -> Found<'_> {
        match self {
            Source::Hot(at, namespace) => {
                let namespace = version.memtables[at].table.numbered(namespace);
                Found::Hot(namespace.expect("a namespace stays").row(row))
            }
            Source::Sealed(at, first) => Found::Sealed(&version.segments[at], first + row),
        }
    }
}

impl Walk {
    /// Begins behind `after`. With `records_max` the walk is for so many records only, and rows in
    /// memory beyond those need not be sorted.
    pub(super) fn begin(
        version: Arc<Version>,
        collection: &Collection,
        filter: Option<&Filter>,
        order: Order,
        after: Option<&Cursor>,
        records_max: Option<usize>,
    ) -> Result<Self> {
        let mut parts = Vec::new();
        for view in collection.views(&version) {
            let wanted = view.rows(filter)?;
            let (source, sorted) = match &view {
                View::Hot(hot) => {
                    let sorted = sort_hot(hot, &wanted, &order, after, records_max)?;
                    (source_of_hot(&version, hot), Arc::new(sorted))
                }
                View::Sealed { part, namespace, .. } => {
                    let at = version.segments.iter().position(|other| other.id() == part.id());
                    let first = namespace.rows.start;
                    let make = || sort_sealed(&view, &order);
                    let sorted = part.file.orders.get(first, &order, make)?;
                    (Source::Sealed(at.unwrap_or_default(), first), sorted)
                }
            };
            let place = match after {
                None => 0,
                Some(cursor) => sorted.place_after(cursor, |row| view.found(row).id())?,
            };
            parts.push(Part { source, sorted, wanted, place, head: None });
        }
        let mut walk = Walk { version, order, parts };
        for part in &mut walk.parts {
            part.advance(&walk.version)?;
        }
        Ok(walk)
    }

    /// The next `limit` records, and behind them the place where the next ones begin, if there are
    /// any.
    pub(super) fn take(
        &mut self,
        limit: usize,
        include: &Include,
    ) -> Result<(Vec<StoredRecord>, Option<Cursor>)> {
        let mut found = Vec::with_capacity(limit.min(1_024));
        let mut last = None;
        while found.len() < limit
            && let Some(first) = self.first()
        {
            let part = &mut self.parts[first];
            if let Some(head) = part.head.take() {
                found.push(part.source.found(&self.version, head.row));
                last = Some(head);
            }
            part.advance(&self.version)?;
        }
        let records = records(&found, include)?;
        let more = self.first().is_some();
        let cursor = last.filter(|_| more).map(|Head { key, id, .. }| Cursor {
            order: self.order.clone(),
            key,
            id,
        });
        Ok((records, cursor))
    }

    /// The part whose next record comes first.
    fn first(&self) -> Option<usize> {
        let heads = self.parts.iter().enumerate().filter_map(|(at, part)| {
            let head = part.head.as_ref()?;
            Some((at, (&head.key, &head.id)))
        });
        heads.min_by(|a, b| self.order.compare(a.1, b.1)).map(|(at, _)| at)
    }
}

impl Part {
    /// Finds the next row that is wanted.
    fn advance(&mut self, version: &Version) -> Result<()> {
        while let Some(row) = self.sorted.row(self.place) {
            let place = self.place;
            self.place += 1;
            if self.wanted.contains(row) {
                let id = self.source.found(version, row).id()?;
                self.head = Some(Head { key: self.sorted.key(place), id, row });
                return Ok(());
            }
        }
        self.head = None;
        Ok(())
    }
}

fn source_of_hot(version: &Version, hot: &HotView<'_>) -> Source {
    let (shown, namespace) = hot.shows();
    let is_shown = |part: &MemtablePart| Arc::ptr_eq(&part.table, &shown.table);
    Source::Hot(version.memtables.iter().position(is_shown).unwrap_or_default(), namespace)
}

/// Sorts rows in memory, only those behind `after` and no more than are needed.
fn sort_hot(
    hot: &HotView<'_>,
    wanted: &RoaringBitmap,
    order: &Order,
    after: Option<&Cursor>,
    records_max: Option<usize>,
) -> Result<SortedRows> {
    let keys = match &order.0 {
        Some(order) => hot.order_keys(order, wanted)?,
        None => vec![OrderKey::default(); wanted.len() as usize],
    };
    let mut rows: Vec<(OrderKey, &RecordId, u32)> =
        keys.into_iter().zip(wanted).map(|(key, row)| (key, &hot.hot(row).id, row)).collect();
    if let Some(cursor) = after {
        rows.retain(|(key, id, _)| order.compare((key, id), (&cursor.key, &cursor.id)).is_gt());
    }
    // One more shows that there are more.
    if let Some(needed) = records_max.map(|max| max + 1).filter(|needed| *needed < rows.len()) {
        rows.select_nth_unstable_by(needed, |a, b| order.compare((&a.0, a.1), (&b.0, b.1)));
        rows.truncate(needed);
    }
    let rows = rows.into_iter().map(|(key, id, row)| (key, id.clone(), row)).collect();
    Ok(SortedRows::new(rows, order))
}

/// Sorts all rows of a namespace in a segment, dead ones included, so that the order can be kept.
fn sort_sealed(view: &View<'_>, order: &Order) -> Result<SortedRows> {
    let View::Sealed { view: sealed, namespace, .. } = view else {
        return Ok(SortedRows::default());
    };
    let count = namespace.rows.len();
    let keys = match &order.0 {
        Some(order) => sealed.order_keys(order)?,
        None => vec![OrderKey::default(); count],
    };
    let rows = keys
        .into_iter()
        .zip(0..)
        .map(|(key, row)| Ok((key, view.found(row).id()?, row)))
        .collect::<Result<Vec<_>>>()?;
    Ok(SortedRows::new(rows, order))
}
