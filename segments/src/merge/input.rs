//! One input of a merge, read in order with positioned reads.

use std::sync::Arc;

use parking_lot::Mutex;
use vecstore_index::Precision;
use vecstore_index::half::f16;

use crate::format::Kind;
use crate::reader::{BlockReader, SectionReader};
use crate::{RecordId, Segment, SegmentError};

/// A segment with a window of each of its truth sections.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) segment: Arc<Segment>,
    // One lock each, so that passes over different sections do not wait for each other.
    ids: Mutex<IdReader>,
    vectors: Mutex<SectionReader>,
    metadata: Mutex<BlockReader>,
}

#[derive(Debug)]
struct IdReader {
    offsets: SectionReader,
    ids: SectionReader,
}

impl Input {
    pub(super) fn new(segment: Arc<Segment>) -> Result<Self, SegmentError> {
        let reader = |kind| SectionReader::new(segment.section(kind));
        let index_len = segment.section(Kind::MetadataIndex).len;
        let mut index = reader(Kind::MetadataIndex);
        let entries = segment
            .decode_block_entries(index.read(&segment, 0..index_len)?)
            .map_err(|flaw| flaw.of(segment.path()))?;
        Ok(Input {
            ids: Mutex::new(IdReader { offsets: reader(Kind::IdOffsets), ids: reader(Kind::Ids) }),
            vectors: Mutex::new(reader(Kind::Vectors)),
            metadata: Mutex::new(BlockReader::new(entries, segment.section(Kind::Metadata))),
            segment,
        })
    }

    /// A row's commit sequence number, through the caller's reader.
    pub(super) fn seq(&self, seqs: &mut SectionReader, row: u32) -> Result<u64, SegmentError> {
        let at = 8 * u64::from(row);
        let bytes = seqs.read(&self.segment, at..at + 8)?;
        Ok(bytes.first_chunk().map_or(0, |seq| u64::from_le_bytes(*seq)))
    }

    pub(super) fn seqs(&self) -> SectionReader {
        SectionReader::new(self.segment.section(Kind::Seqs))
    }

    pub(super) fn id(&self, row: u32) -> Result<RecordId, SegmentError> {
        let mut reader = self.ids.lock();
        let IdReader { offsets, ids } = &mut *reader;
        let at = 8 * u64::from(row);
        let pair = offsets.read(&self.segment, at..at + 16)?.as_chunks::<8>().0;
        let [start, end] = [pair[0], pair[1]].map(u64::from_le_bytes);
        RecordId::decode(ids.read(&self.segment, start..end)?)
            .ok_or_else(|| self.corrupt(Kind::Ids, format!("row {row} has no id")))
    }

    pub(super) fn vector(&self, row: u32, vector: &mut [f32]) -> Result<(), SegmentError> {
        let precision = self.segment.precision();
        let len = (self.segment.dim() * precision.bytes()) as u64;
        let start = u64::from(row) * len;
        let mut vectors = self.vectors.lock();
        let stored = vectors.read(&self.segment, start..start + len)?;
        match precision {
            Precision::F32 => {
                for (component, bytes) in vector.iter_mut().zip(stored.as_chunks().0) {
                    *component = f32::from_le_bytes(*bytes);
                }
            }
            Precision::F16 => {
                for (component, bytes) in vector.iter_mut().zip(stored.as_chunks().0) {
                    *component = f16::from_le_bytes(*bytes).to_f32();
                }
            }
        }
        Ok(())
    }

    pub(super) fn metadata(&self, row: u32, json: &mut Vec<u8>) -> Result<(), SegmentError> {
        let mut metadata = self.metadata.lock();
        let text = metadata.block(&self.segment, row)?.text(row).ok_or_else(|| {
            self.corrupt(Kind::Metadata, format!("row {row} is not in its block"))
        })?;
        json.clear();
        json.extend_from_slice(text);
        Ok(())
    }

    fn corrupt(&self, kind: Kind, detail: String) -> SegmentError {
        SegmentError::corrupt(self.segment.path(), kind.name(), detail)
    }
}
