//! The pass over the metadata: it is stored in compressed blocks and indexed.

use vecstore_index::FieldIndexBuilder;

use super::file::{FileWriter, SectionWriter};
use super::progress::Reporter;
use crate::format::{BlockBuilder, BlockEntry, Kind};
use crate::{Metadata, RowSource, SegmentError, WriteOptions, index_metadata};

/// Writes metadata blocks, their index, and the field indices, which are built in memory.
pub(super) fn write_metadata(
    out: &mut FileWriter<'_>,
    source: &dyn RowSource,
    options: &WriteOptions,
    reporter: &mut Reporter<'_>,
) -> Result<(), SegmentError> {
    let rows = source.rows();
    let path = out.path();
    let bad = |row: u32, what: String| {
        SegmentError::corrupt(path, Kind::Metadata.name(), format!("row {row}: {what}"))
    };
    let mut fields = FieldIndexBuilder::new(options.fields)
        .without(options.unindexed.iter().map(String::as_str));
    let mut json = Vec::new();
    let mut blocks = Blocks {
        section: out.begin(Kind::Metadata)?,
        builder: BlockBuilder::default(),
        entries: Vec::new(),
        first_row: 0,
    };
    for row in 0..rows {
        reporter.rows(row, rows, 2, super::write::ROW_PASSES)?;
        json.clear();
        source.metadata(row, &mut json)?;
        let metadata: Metadata = serde_json::from_slice(&json)
            .map_err(|e| bad(row, format!("the metadata is not a JSON object: {e}")))?;
        index_metadata(&mut fields, row, &metadata);
        if !blocks.push(&json)? {
            return Err(bad(row, format!("the metadata is too large: {} bytes", json.len())));
        }
    }
    let entries = blocks.finish(rows)?;
    out.section(Kind::MetadataIndex, bytemuck::cast_slice(&entries))?;
    out.section(Kind::Fields, &fields.finish())?;
    Ok(())
}

/// The metadata section that is being written.
struct Blocks<'w, 'a> {
    section: SectionWriter<'w, 'a>,
    builder: BlockBuilder,
    entries: Vec<BlockEntry>,
    /// First row of the block that is being filled.
    first_row: u32,
}

impl Blocks<'_, '_> {
    /// Adds the next row; false if it is too large for any block.
    fn push(&mut self, json: &[u8]) -> Result<bool, SegmentError> {
        if !self.builder.push(json) {
            self.close()?;
            if !self.builder.push(json) {
                return Ok(false);
            }
        }
        if self.builder.is_full() {
            self.close()?;
        }
        Ok(true)
    }

    fn entry(&self, first_row: u32) -> BlockEntry {
        BlockEntry { offset: self.section.len(), first_row, zero: 0 }
    }

    fn close(&mut self) -> Result<(), SegmentError> {
        let rows = self.builder.rows();
        if rows > 0 {
            self.entries.push(self.entry(self.first_row));
            let block = self.builder.take(self.first_row);
            self.section.write(&block)?;
            self.first_row += rows;
        }
        Ok(())
    }

    /// The entries of all blocks, and the one that marks the end.
    fn finish(mut self, rows: u32) -> Result<Vec<BlockEntry>, SegmentError> {
        self.close()?;
        self.entries.push(self.entry(rows));
        self.section.finish()?;
        Ok(self.entries)
    }
}
