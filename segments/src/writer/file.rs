//! Sections one after the other, with their checksums.

use std::path::Path;

use super::temporary::TemporaryFile;
use crate::format::{
    CHECK_BLOCK, FOOTER_BYTES, Footer, HEADER_BYTES, Header, Kind, Section, encode_contents,
};
use crate::{SegmentError, VfsFile};

/// Bytes of a write, and what its place in the file is a multiple of: a large page. Linux keeps what
/// is written so in a large page, and maps it with one: a query in a new segment of 100 MB takes
/// 3 to 5 % less time (ext4, Linux 6.18).
const WRITE_BYTES: usize = 2 << 20;

pub(super) struct FileWriter<'a> {
    target: &'a TemporaryFile<'a>,
    /// Bytes of the volume that are left free.
    keep_free: u64,
    header: Header,
    sections: Vec<(Kind, Section)>,
    block_crcs: Vec<u32>,
    /// Bytes that are in the file.
    written: u64,
    /// Those after them.
    buffer: Vec<u8>,
}

impl<'a> FileWriter<'a> {
    /// Begins the file with its header.
    pub(super) fn new(
        target: &'a TemporaryFile<'a>,
        header: Header,
        keep_free: u64,
    ) -> Result<Self, SegmentError> {
        let mut writer = FileWriter {
            target,
            keep_free,
            header,
            sections: Vec::new(),
            block_crcs: Vec::new(),
            written: 0,
            buffer: Vec::with_capacity(WRITE_BYTES),
        };
        writer.append(&header.encode())?;
        Ok(writer)
    }

    /// The file, with what lies before `end` in it.
    pub(super) fn file_up_to(&mut self, end: u64) -> Result<&'a dyn VfsFile, SegmentError> {
        if self.written < end {
            self.write_buffer()?;
        }
        Ok(&*self.target.file)
    }

    pub(super) fn path(&self) -> &'a Path {
        &self.target.path
    }

    /// Bytes so far.
    fn len(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    fn append(&mut self, mut bytes: &[u8]) -> Result<(), SegmentError> {
        while !bytes.is_empty() {
            let room = WRITE_BYTES - self.len() as usize % WRITE_BYTES;
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
            if now.len() == room {
                self.write_buffer()?;
            }
        }
        Ok(())
    }

    fn write_buffer(&mut self) -> Result<(), SegmentError> {
        self.target.write_at(self.written, &self.buffer, self.keep_free)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn align(&mut self, alignment: u64) -> Result<(), SegmentError> {
        let padding = self.len().next_multiple_of(alignment) - self.len();
        self.append(&vec![0; padding as usize])
    }

    /// Begins a section; one at a time.
    pub(super) fn begin(&mut self, kind: Kind) -> Result<SectionWriter<'_, 'a>, SegmentError> {
        self.align(kind.alignment())?;
        let offset = self.len();
        let first_block = self.block_crcs.len() as u32;
        let (crc, block) = (crc32fast::Hasher::new(), Vec::with_capacity(CHECK_BLOCK));
        Ok(SectionWriter { file: self, kind, offset, first_block, crc, block })
    }

    /// A section of bytes that are at hand.
    pub(super) fn section(&mut self, kind: Kind, bytes: &[u8]) -> Result<Section, SegmentError> {
        let mut section = self.begin(kind)?;
        section.write(bytes)?;
        section.finish()
    }

    /// Writes checksums, contents table and footer; gives the file's length.
    pub(super) fn finish(&mut self) -> Result<u64, SegmentError> {
        let table = std::mem::take(&mut self.block_crcs);
        let bytes: &[u8] = bytemuck::cast_slice(&table);
        self.align(Kind::Checksums.alignment())?;
        let checksums = Section {
            kind: Some(Kind::Checksums),
            offset: self.len(),
            len: bytes.len() as u64,
            crc: crc32fast::hash(bytes),
            first_block: table.len() as u32,
        };
        self.append(bytes)?;
        self.sections.push((Kind::Checksums, checksums));
        self.align(64)?;
        let contents = encode_contents(&self.sections);
        let footer = Footer {
            segment: self.header.segment,
            contents_offset: self.len(),
            contents_len: contents.len() as u64,
            contents_crc: crc32fast::hash(&contents),
            file_len: self.len() + (contents.len() + FOOTER_BYTES) as u64,
        };
        self.append(&contents)?;
        self.append(&footer.encode())?;
        self.write_buffer()?;
        debug_assert!(footer.file_len == self.written && self.written >= HEADER_BYTES as u64);
        Ok(self.written)
    }
}

/// One section that is being written.
pub(super) struct SectionWriter<'w, 'a> {
    file: &'w mut FileWriter<'a>,
    kind: Kind,
    offset: u64,
    first_block: u32,
    crc: crc32fast::Hasher,
    /// The block that is not whole yet.
    block: Vec<u8>,
}

impl SectionWriter<'_, '_> {
    /// Bytes of the section so far.
    pub(super) fn len(&self) -> u64 {
        self.file.len() - self.offset + self.block.len() as u64
    }

    pub(super) fn write(&mut self, mut bytes: &[u8]) -> Result<(), SegmentError> {
        while !bytes.is_empty() {
            let room = CHECK_BLOCK - self.block.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.block.extend_from_slice(now);
            bytes = later;
            if now.len() == room {
                self.end_block()?;
            }
        }
        Ok(())
    }

    /// Fills up with zeros to a multiple of `alignment` within the section.
    pub(super) fn align(&mut self, alignment: u64) -> Result<(), SegmentError> {
        let padding = self.len().next_multiple_of(alignment) - self.len();
        self.write(&vec![0; padding as usize])
    }

    /// A block is whole, but for the section's last one.
    fn end_block(&mut self) -> Result<(), SegmentError> {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&self.block);
        self.crc.combine(&crc);
        self.file.block_crcs.push(crc.finalize());
        self.file.append(&self.block)?;
        self.block.clear();
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Section, SegmentError> {
        if !self.block.is_empty() {
            self.end_block()?;
        }
        let section = Section {
            kind: Some(self.kind),
            offset: self.offset,
            len: self.file.len() - self.offset,
            crc: self.crc.finalize(),
            first_block: self.first_block,
        };
        self.file.sections.push((self.kind, section));
        Ok(section)
    }
}
