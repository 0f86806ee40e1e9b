//! Metadata of rows, a block at a time.

use super::segment::{Segment, block_flaw};
use crate::format::{BlockEntry, DecodedBlock, Flaw, Kind, entry_of_row};
use crate::{Metadata, SegmentError};

impl Segment {
    /// Metadata of a row.
    pub fn metadata(&self, row: u32) -> Result<Metadata, SegmentError> {
        let (_, block) = self.metadata_block(row)?;
        self.parse(&block, row)
    }

    /// Calls `visit` with the metadata of each of the rows (ascending), reading a block once.
    pub fn visit_metadata(
        &self,
        rows: &mut dyn Iterator<Item = u32>,
        visit: &mut dyn FnMut(u32, &Metadata),
    ) -> Result<(), SegmentError> {
        let mut current: Option<(usize, DecodedBlock)> = None;
        for row in rows {
            let block = match &current {
                Some((_, block)) if block.text(row).is_some() => block,
                _ => &current.insert(self.metadata_block(row)?).1,
            };
            visit(row, &self.parse(block, row)?);
        }
        Ok(())
    }

    fn parse(&self, block: &DecodedBlock, row: u32) -> Result<Metadata, SegmentError> {
        parse_metadata(block, row).map_err(|flaw| flaw.of(&self.path))
    }

    /// The block that holds a row, and its number.
    fn metadata_block(&self, row: u32) -> Result<(usize, DecodedBlock), SegmentError> {
        self.row_exists(Kind::Metadata, row)?;
        let of_file = |flaw: &Flaw| flaw.clone().of(&self.path);
        let entries =
            self.block_entries.get_or_init(|| self.block_entries()).as_ref().map_err(of_file)?;
        let missing =
            || Flaw::damaged(Kind::MetadataIndex.name(), format!("row {row} has no block"));
        let number = entry_of_row(entries, row).ok_or_else(|| of_file(&missing()))?;
        let (entry, next) = (&entries[number], &entries[number + 1]);
        let bytes = self.truth(Kind::Metadata, entry.offset as usize..next.offset as usize, row)?;
        let block = DecodedBlock::decode(bytes, entry.first_row, next.first_row)
            .map_err(|flaw| of_file(&flaw))?;
        Ok((number, block))
    }

    fn block_entries(&self) -> Result<Vec<BlockEntry>, Flaw> {
        let bytes = self
            .mapped(Kind::MetadataIndex)
            .all()
            .map_err(|bad| block_flaw(Kind::MetadataIndex, bad))?;
        self.decode_block_entries(bytes)
    }

    /// Entries whose offsets and rows ascend from 0 to the section's end and the last row.
    pub(crate) fn decode_block_entries(&self, bytes: &[u8]) -> Result<Vec<BlockEntry>, Flaw> {
        let damaged = |detail: &str| Flaw::damaged(Kind::MetadataIndex.name(), detail);
        if !bytes.len().is_multiple_of(size_of::<BlockEntry>()) {
            return Err(damaged("the table is cut off"));
        }
        let entries: Vec<BlockEntry> =
            bytes.chunks_exact(size_of::<BlockEntry>()).map(bytemuck::pod_read_unaligned).collect();
        let ascends =
            entries.is_sorted_by(|a, b| a.first_row < b.first_row && a.offset <= b.offset);
        let first = entries.first().map(|e| (e.first_row, e.offset));
        let last = entries.last().map(|e| (e.first_row, e.offset));
        let end = (self.rows(), self.section(Kind::Metadata).len);
        if !ascends || first != Some((0, 0)) || last != Some(end) {
            return Err(damaged("the blocks do not cover all rows"));
        }
        Ok(entries)
    }
}

/// The metadata of a row that `block` holds.
pub(super) fn parse_metadata(block: &DecodedBlock, row: u32) -> Result<Metadata, Flaw> {
    let damaged = |detail: String| Flaw::damaged(Kind::Metadata.name(), detail);
    let text = block.text(row).ok_or_else(|| damaged(format!("row {row} is not in its block")))?;
    serde_json::from_slice(text)
        .map_err(|e| damaged(format!("the metadata of row {row} is not a JSON object: {e}")))
}
