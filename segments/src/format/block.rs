//! Metadata blocks: the JSON texts of consecutive rows, compressed together.

use bytemuck::{Pod, Zeroable};

use super::numbers::u32_at;
use super::{Flaw, Kind};

/// A block is closed when its text has this many bytes. A query reads a block for each of its hits;
/// `benches/NOTES.md` has what other sizes cost in time and space.
const BLOCK_RAW_BYTES: usize = 4 << 10;
const HEAD_BYTES: usize = 24;
const STORED: u32 = 0;
const LZ4: u32 = 1;
/// LZ4 cannot shrink anything more than this.
const LZ4_RATIO_MAX: usize = 255;

/// Where a block lies; the entry after the last one names the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct BlockEntry {
    /// Offset in the metadata section.
    pub(crate) offset: u64,
    pub(crate) first_row: u32,
    pub(crate) zero: u32,
}

/// The number of the entry whose block holds `row`; `None` if no block does.
pub(crate) fn entry_of_row(entries: &[BlockEntry], row: u32) -> Option<usize> {
    let after = entries.partition_point(|e| e.first_row <= row);
    (after < entries.len()).then(|| after.checked_sub(1))?
}

/// Collects rows into a block.
#[derive(Debug, Default)]
pub(crate) struct BlockBuilder {
    ends: Vec<u32>,
    text: Vec<u8>,
}

impl BlockBuilder {
    /// Adds the next row; false (and nothing added) if the block would be too large for the
    /// format.
    pub(crate) fn push(&mut self, json: &[u8]) -> bool {
        let end = self.text.len() + json.len();
        if end + 4 * (self.ends.len() + 2) > i32::MAX as usize {
            return false;
        }
        self.text.extend_from_slice(json);
        self.ends.push(end as u32);
        true
    }

    pub(crate) fn is_full(&self) -> bool {
        self.text.len() + 4 * self.ends.len() >= BLOCK_RAW_BYTES
    }

    pub(crate) fn rows(&self) -> u32 {
        self.ends.len() as u32
    }

    /// The block's bytes; begins an empty block.
    pub(crate) fn take(&mut self, first_row: u32) -> Vec<u8> {
        let rows = self.rows();
        let mut raw: Vec<u8> = Vec::with_capacity(4 * self.ends.len() + self.text.len());
        self.ends.drain(..).for_each(|end| raw.extend_from_slice(&end.to_le_bytes()));
        raw.append(&mut self.text);
        let compressed = lz4_flex::block::compress(&raw);
        let (codec, stored) =
            if compressed.len() < raw.len() { (LZ4, &compressed) } else { (STORED, &raw) };
        let mut block = Vec::with_capacity(HEAD_BYTES + stored.len());
        for n in [first_row, rows, raw.len() as u32, stored.len() as u32, codec, 0] {
            block.extend_from_slice(&n.to_le_bytes());
        }
        block.extend_from_slice(stored);
        let crc = block_crc(&block);
        block[20..24].copy_from_slice(&crc.to_le_bytes());
        block
    }
}

/// Over the head (without the checksum itself) and the stored bytes.
fn block_crc(block: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&block[..20]);
    hasher.update(&block[HEAD_BYTES..]);
    hasher.finalize()
}

/// The texts of a block's rows.
#[derive(Debug, Default)]
pub(crate) struct DecodedBlock {
    first_row: u32,
    rows: u32,
    raw: Vec<u8>,
}

impl DecodedBlock {
    /// Decodes the block of rows `first_row..end_row`.
    pub(crate) fn decode(block: &[u8], first_row: u32, end_row: u32) -> Result<Self, Flaw> {
        let damaged = |what: &str| {
            let rows = format!("rows {first_row}..{end_row}: {what}");
            Flaw::damaged(Kind::Metadata.name(), rows)
        };
        let head = |at| u32_at(block, at).ok_or_else(|| damaged("the block is cut off"));
        if block.len() < HEAD_BYTES || head(20)? != block_crc(block) {
            return Err(damaged("the block does not match its checksum"));
        }
        let rows = head(4)?;
        if head(0)? != first_row || first_row.checked_add(rows) != Some(end_row) {
            return Err(damaged("the block is of other rows"));
        }
        let stored = &block[HEAD_BYTES..];
        let raw_len = head(8)? as usize;
        if head(12)? as usize != stored.len() {
            return Err(damaged("the block has another length"));
        }
        let raw = match head(16)? {
            STORED if raw_len == stored.len() => stored.to_vec(),
            LZ4 if raw_len / LZ4_RATIO_MAX <= stored.len() => {
                lz4_flex::block::decompress(stored, raw_len)
                    .map_err(|e| damaged(&format!("the block cannot be decompressed: {e}")))?
            }
            STORED | LZ4 => return Err(damaged("the block's lengths contradict each other")),
            codec => return Err(damaged(&format!("{codec} is not a compression"))),
        };
        let block = DecodedBlock { first_row, rows, raw };
        if block.raw.len() != raw_len || !block.ends_ascend() {
            return Err(damaged("the texts do not lie within the block"));
        }
        Ok(block)
    }

    /// After this check no text can reach out of the block.
    fn ends_ascend(&self) -> bool {
        let Some(text_len) = self.raw.len().checked_sub(4 * self.rows as usize) else {
            return false;
        };
        let mut last = 0;
        let ascends = (0..self.rows as usize).all(|i| {
            let end = u32_at(&self.raw, 4 * i).unwrap_or(0);
            let ascends = end >= last;
            last = end;
            ascends
        });
        ascends && last as usize == text_len
    }

    /// The JSON text of a row, `None` if the block does not have it.
    pub(crate) fn text(&self, row: u32) -> Option<&[u8]> {
        let i = row.checked_sub(self.first_row).filter(|i| *i < self.rows)? as usize;
        let end = u32_at(&self.raw, 4 * i)?;
        let start = if i == 0 { 0 } else { u32_at(&self.raw, 4 * (i - 1))? };
        self.raw.get(4 * self.rows as usize..)?.get(start as usize..end as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block() -> Vec<u8> {
        let mut builder = BlockBuilder::default();
        for json in ["{\"a\":1}", "{}", "{\"a\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}"] {
            assert!(builder.push(json.as_bytes()));
        }
        let block = builder.take(7);
        assert_eq!(builder.rows(), 0);
        block
    }

    #[test]
    fn has_the_texts_of_its_rows() {
        let block = DecodedBlock::decode(&block(), 7, 10).expect("a good block");
        assert_eq!(block.text(7), Some(&b"{\"a\":1}"[..]));
        assert_eq!(block.text(8), Some(&b"{}"[..]));
        assert!(block.text(9).is_some_and(|text| text.ends_with(b"1,1]}")));
        assert_eq!([6, 10, u32::MAX].map(|row| block.text(row)), [None; 3]);
    }

    #[test]
    fn a_block_in_the_place_of_another_is_refused() {
        for (first, end) in [(6, 10), (7, 11), (7, 9), (8, 11), (0, 3)] {
            assert!(DecodedBlock::decode(&block(), first, end).is_err(), "{first}..{end}");
        }
    }

    /// Whatever a block with a right checksum says, no text reaches out of it.
    #[test]
    fn contradictions_are_refused() {
        let good = block();
        for at in (0..20).chain(HEAD_BYTES..good.len()) {
            for bit in 0..8 {
                let mut bytes = good.clone();
                bytes[at] ^= 1 << bit;
                let crc = block_crc(&bytes);
                bytes[20..24].copy_from_slice(&crc.to_le_bytes());
                if let Ok(block) = DecodedBlock::decode(&bytes, 7, 10) {
                    assert!(at >= HEAD_BYTES, "byte {at}");
                    assert!((7..10).all(|row| block.text(row).is_some()));
                }
            }
        }
        assert!((0..good.len()).all(|len| DecodedBlock::decode(&good[..len], 7, 10).is_err()));
    }

    #[test]
    fn a_row_is_in_the_block_that_begins_before_it() {
        let entry = |first_row| BlockEntry { offset: 0, first_row, zero: 0 };
        let entries = [entry(0), entry(3), entry(4), entry(9)];
        let found = |row| entry_of_row(&entries, row);
        assert_eq!([0, 2, 3, 4, 8].map(found), [0, 0, 1, 2, 2].map(Some));
        assert_eq!([9, 10].map(found), [None; 2]);
        assert_eq!(entry_of_row(&[], 0), None);
    }
}
