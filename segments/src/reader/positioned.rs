//! Sections read with positioned reads instead of the mapping: for passes over whole segments,
//! which should neither push other data out of the process's memory nor die of a failing disk.

use std::ops::Range;

use crate::format::{BlockEntry, CHECK_BLOCK, DecodedBlock, Flaw, Section, entry_of_row};
use crate::{Segment, SegmentError};

/// Blocks read at once when a section is read in order.
const BLOCKS_AHEAD: usize = 8;

/// Reads ranges of one section, checked; fastest when they ascend.
#[derive(Debug)]
pub(crate) struct SectionReader {
    section: Section,
    /// The checked bytes from block `first_block` on.
    window: Vec<u8>,
    first_block: usize,
}

impl SectionReader {
    pub(crate) fn new(section: Section) -> Self {
        SectionReader { section, window: Vec::new(), first_block: 0 }
    }

    /// The bytes of a range.
    pub(crate) fn read(
        &mut self,
        segment: &Segment,
        range: Range<u64>,
    ) -> Result<&[u8], SegmentError> {
        if range.start > range.end || range.end > self.section.len {
            let detail = format!("bytes {range:?} lie outside the section");
            return Err(SegmentError::corrupt(segment.path(), self.section.name(), detail));
        }
        let (start, end) = (range.start as usize, range.end as usize);
        let window = self.first_block * CHECK_BLOCK;
        if start < window || end > window + self.window.len() {
            self.load(segment, start, end)?;
        }
        let window = self.first_block * CHECK_BLOCK;
        Ok(&self.window[start - window..end - window])
    }

    /// Loads the blocks of `start..end`, and some more if the last window ended here.
    fn load(&mut self, segment: &Segment, start: usize, end: usize) -> Result<(), SegmentError> {
        let old_end = self.first_block + self.window.len().div_ceil(CHECK_BLOCK);
        let first = start / CHECK_BLOCK;
        let needed_end = end.div_ceil(CHECK_BLOCK);
        let in_order = first + 1 == old_end || first == old_end;
        let wanted_end = if in_order { needed_end.max(first + BLOCKS_AHEAD) } else { needed_end };
        let bytes_end = (wanted_end * CHECK_BLOCK).min(self.section.len as usize);

        // Should the read fail, the window must not claim bytes it does not have.
        let mut window = std::mem::take(&mut self.window);
        self.first_block = first;
        window.resize(bytes_end.saturating_sub(first * CHECK_BLOCK), 0);
        segment
            .file()
            .read_at(self.section.offset + (first * CHECK_BLOCK) as u64, &mut window)
            .map_err(|e| SegmentError::io("read", segment.path(), e))?;
        for (i, bytes) in window.chunks(CHECK_BLOCK).enumerate() {
            let block = first + i;
            let expected = segment.block_crcs().get(self.section.first_block as usize + block);
            if expected == Some(&crc32fast::hash(bytes)) {
                continue;
            }
            if block < needed_end {
                let detail = format!("block {block} does not match its checksum");
                return Err(SegmentError::corrupt(segment.path(), self.section.name(), detail));
            }
            // Only read ahead; whoever needs it will be told.
            window.truncate(i * CHECK_BLOCK);
            break;
        }
        self.window = window;
        Ok(())
    }
}

/// Reads metadata texts, a block at a time; fastest when rows ascend.
#[derive(Debug)]
pub(crate) struct BlockReader {
    entries: Vec<BlockEntry>,
    section: SectionReader,
    decoded: DecodedBlock,
}

impl BlockReader {
    pub(crate) fn new(entries: Vec<BlockEntry>, section: Section) -> Self {
        BlockReader {
            entries,
            section: SectionReader::new(section),
            decoded: DecodedBlock::default(),
        }
    }

    /// The block that holds a row.
    pub(crate) fn block(
        &mut self,
        segment: &Segment,
        row: u32,
    ) -> Result<&DecodedBlock, SegmentError> {
        if self.decoded.text(row).is_none() {
            let missing = || Flaw::damaged("metadata-index", format!("row {row} has no block"));
            let number =
                entry_of_row(&self.entries, row).ok_or_else(|| missing().of(segment.path()))?;
            let (entry, next) = (self.entries[number], self.entries[number + 1]);
            let bytes = self.section.read(segment, entry.offset..next.offset)?;
            self.decoded = DecodedBlock::decode(bytes, entry.first_row, next.first_row)
                .map_err(|flaw| flaw.of(segment.path()))?;
        }
        Ok(&self.decoded)
    }
}
