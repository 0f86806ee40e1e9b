//! The parts of a namespace, and what is read from them.

use vecstore_index::roaring::RoaringBitmap;
use vecstore_query::{Filter, RowValues, SealedView, SegmentView, Stop, ValueCounts};
use vecstore_segments::{FieldPath, Metadata, NamespaceRows, RecordId};

use crate::memtable::{Asks, HotRow, HotView};
use crate::options::CollectionOptions;
use crate::record::{Include, StoredRecord};
use crate::version::{Found, SegmentPart, Version};
use crate::{Error, ErrorKind, Result};

/// One part of a namespace.
#[derive(Debug)]
pub(crate) enum View<'a> {
    Hot(HotView<'a>),
    Sealed { view: SealedView<'a>, part: &'a SegmentPart, namespace: &'a NamespaceRows },
}

/// Every part of a namespace that has rows.
pub(crate) fn views<'a>(
    version: &'a Version,
    namespace: &str,
    options: &'a CollectionOptions,
    asks: &'a Asks,
) -> Vec<View<'a>> {
    let hot = version
        .memtables
        .iter()
        .filter_map(|part| HotView::new(part, namespace, version.seq, options, asks))
        .map(View::Hot);
    let sealed = version.segments.iter().filter_map(|part| {
        let segment = &part.file.segment;
        let rows = segment.namespace(namespace)?;
        let view = SealedView::new(segment, rows, &part.deleted);
        Some(View::Sealed { view, part, namespace: rows })
    });
    hot.chain(sealed).collect()
}

impl<'a> View<'a> {
    pub(crate) fn as_view(&self) -> &dyn SegmentView {
        match self {
            View::Hot(view) => view,
            View::Sealed { view, .. } => view,
        }
    }

    /// The record in a row of the view.
    pub(crate) fn found(&self, row: u32) -> Found<'a> {
        match self {
            View::Hot(view) => Found::Hot(view.hot(row)),
            View::Sealed { part, namespace, .. } => Found::Sealed(part, namespace.rows.start + row),
        }
    }

    /// Live rows of the view that match.
    pub(crate) fn rows(&self, filter: Option<&Filter>) -> Result<RoaringBitmap> {
        match filter {
            None => Ok(self.as_view().live()),
            Some(filter) => {
                let matching = self.as_view().matching(filter, &Stop::never())?;
                match matching.unreadable.first_error {
                    None => Ok(matching.rows),
                    Some(error) => Err(Error::new(ErrorKind::Corrupt, error)),
                }
            }
        }
    }
}

impl View<'_> {
    /// The values that `rows` have at a path, as (row, number of the value), by row.
    pub(crate) fn row_values(
        &self,
        path: &FieldPath,
        rows: &RoaringBitmap,
        values: &mut RowValues,
    ) -> Result<Vec<(u32, u32)>> {
        match self {
            View::Hot(view) => view.row_values(path, rows, values),
            View::Sealed { view, .. } => Ok(view.row_values(path, rows, values)?),
        }
    }

    /// Counts the values that `rows` have at a path.
    pub(crate) fn count_values(
        &self,
        path: &FieldPath,
        rows: &RoaringBitmap,
        counts: &mut ValueCounts,
    ) -> Result<()> {
        match self {
            View::Hot(view) => view.count_values(path, rows, counts),
            View::Sealed { view, .. } => Ok(view.count_values(path, rows, counts)?),
        }
    }
}

/// Reads records, each block of metadata once; in the order given.
pub(crate) fn records(found: &[Found<'_>], include: &Include) -> Result<Vec<StoredRecord>> {
    let without = Include { metadata: false, ..*include };
    let mut records: Vec<StoredRecord> =
        found.iter().map(|found| found.record(&without)).collect::<Result<_>>()?;
    if !include.metadata {
        return Ok(records);
    }
    let mut sealed: Vec<(&SegmentPart, u32, usize)> = Vec::new();
    for (at, found) in found.iter().enumerate() {
        match found {
            Found::Hot(hot) => records[at].metadata = hot.metadata()?,
            Found::Sealed(part, row) => sealed.push((part, *row, at)),
        }
    }
    sealed.sort_unstable_by_key(|(part, row, at)| (part.id(), *row, *at));
    for of_one in sealed.chunk_by(|a, b| a.0.id() == b.0.id()) {
        let segment = &of_one[0].0.file.segment;
        let mut places = of_one.iter().map(|(_, _, at)| *at);
        segment.visit_metadata(
            &mut of_one.iter().map(|(_, row, _)| *row),
            &mut |_, metadata| {
                if let Some(at) = places.next() {
                    records[at].metadata.clone_from(metadata);
                }
            },
        )?;
    }
    Ok(records)
}

impl Found<'_> {
    pub(crate) fn id(&self) -> Result<RecordId> {
        match self {
            Found::Hot(hot) => Ok(hot.id.clone()),
            Found::Sealed(part, row) => Ok(part.file.segment.record_id(*row)?),
        }
    }

    pub(crate) fn seq(&self) -> Result<u64> {
        match self {
            Found::Hot(hot) => Ok(hot.seq),
            Found::Sealed(part, row) => Ok(part.file.segment.seq(*row)?),
        }
    }

    /// Asks the processor for what [`id`](Self::id) reads, once it was found; a hint.
    pub(crate) fn prefetch_id(&self) {
        if let Found::Sealed(part, row) = self {
            part.file.segment.prefetch_id_bytes(*row);
        }
    }

    /// Its metadata; empty if it was not asked for.
    pub(crate) fn metadata(&self, include: &Include) -> Result<Metadata> {
        match self {
            _ if !include.metadata => Ok(Metadata::new()),
            Found::Hot(hot) => HotRow::metadata(hot),
            Found::Sealed(part, row) => Ok(part.file.segment.metadata(*row)?),
        }
    }

    /// Its vector; empty if it was not asked for.
    pub(crate) fn vector(&self, include: &Include) -> Result<Vec<f32>> {
        match self {
            _ if !include.vector => Ok(Vec::new()),
            Found::Hot(hot) => Ok(hot.vector.to_vec()),
            Found::Sealed(part, row) => Ok(part.file.segment.vector(*row)?.to_vec()),
        }
    }

    /// Reads the record.
    pub(crate) fn record(&self, include: &Include) -> Result<StoredRecord> {
        Ok(StoredRecord {
            id: self.id()?,
            seq: self.seq()?,
            metadata: self.metadata(include)?,
            vector: self.vector(include)?,
        })
    }
}
