//! The parts of a namespace, and what is read from them.

use vecstore_index::roaring::RoaringBitmap;
use vecstore_query::{Filter, SealedView, SegmentView, ValueCounts};
use vecstore_segments::{FieldPath, NamespaceRows, RecordId};

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
                let matching = self.as_view().matching(filter)?;
                match matching.unreadable.first_error {
                    None => Ok(matching.rows),
                    Some(error) => Err(Error::new(ErrorKind::Corrupt, error)),
                }
            }
        }
    }
}

impl View<'_> {
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

    /// Reads the record.
    pub(crate) fn record(&self, include: &Include) -> Result<StoredRecord> {
        let metadata = || match self {
            Found::Hot(hot) => HotRow::metadata(hot),
            Found::Sealed(part, row) => Ok(part.file.segment.metadata(*row)?),
        };
        let vector = || match self {
            Found::Hot(hot) => Ok(hot.vector.to_vec()),
            Found::Sealed(part, row) => part.file.segment.vector(*row).map(<[f32]>::to_vec),
        };
        Ok(StoredRecord {
            id: self.id()?,
            seq: self.seq()?,
            metadata: if include.metadata { metadata()? } else { Default::default() },
            vector: if include.vector { vector()? } else { Vec::new() },
        })
    }
}
