//! Sections one after the other, with their checksums.

use std::path::Path;

use crate::format::{
    CHECK_BLOCK, FOOTER_BYTES, Footer, HEADER_BYTES, Header, Kind, Section, encode_contents,
};
use crate::{SegmentError, VfsFile};

/// Bytes gathered before they are written.
const WRITE_BYTES: usize = 16 * CHECK_BLOCK;

pub(super) struct FileWriter<'a> {
    file: &'a dyn VfsFile,
    path: &'a Path,
    header: Header,
    at: u64,
    sections: Vec<(Kind, Section)>,
    block_crcs: Vec<u32>,
    buffer: Vec<u8>,
}

impl<'a> FileWriter<'a> {
    /// Begins the file with its header.
    pub(super) fn new(
        file: &'a dyn VfsFile,
        path: &'a Path,
        header: Header,
    ) -> Result<Self, SegmentError> {
        let mut writer = FileWriter {
            file,
            path,
            header,
            at: 0,
            sections: Vec::new(),
            block_crcs: Vec::new(),
            buffer: Vec::with_capacity(WRITE_BYTES),
        };
        writer.append(&header.encode())?;
        Ok(writer)
    }

    pub(super) fn file(&self) -> &'a dyn VfsFile {
        self.file
    }

    pub(super) fn path(&self) -> &'a Path {
        self.path
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), SegmentError> {
        self.file.write_at(self.at, bytes).map_err(|e| SegmentError::io("write", self.path, e))?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn align(&mut self, alignment: u64) -> Result<(), SegmentError> {
        let padding = self.at.next_multiple_of(alignment) - self.at;
        self.append(&vec![0; padding as usize])
    }

    /// Begins a section; one at a time.
    pub(super) fn begin(&mut self, kind: Kind) -> Result<SectionWriter<'_, 'a>, SegmentError> {
        self.align(kind.alignment())?;
        let offset = self.at;
        let first_block = self.block_crcs.len() as u32;
        Ok(SectionWriter { file: self, kind, offset, first_block, crc: crc32fast::Hasher::new() })
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
            offset: self.at,
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
            contents_offset: self.at,
            contents_len: contents.len() as u64,
            contents_crc: crc32fast::hash(&contents),
            file_len: self.at + (contents.len() + FOOTER_BYTES) as u64,
        };
        self.append(&contents)?;
        self.append(&footer.encode())?;
        debug_assert!(footer.file_len == self.at && self.at >= HEADER_BYTES as u64);
        Ok(self.at)
    }
}

/// One section that is being written.
pub(super) struct SectionWriter<'w, 'a> {
    file: &'w mut FileWriter<'a>,
    kind: Kind,
    offset: u64,
    first_block: u32,
    crc: crc32fast::Hasher,
}

impl SectionWriter<'_, '_> {
    /// Bytes of the section so far.
    pub(super) fn len(&self) -> u64 {
        self.file.at - self.offset + self.file.buffer.len() as u64
    }

    pub(super) fn write(&mut self, mut bytes: &[u8]) -> Result<(), SegmentError> {
        while !bytes.is_empty() {
            let room = WRITE_BYTES - self.file.buffer.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.file.buffer.extend_from_slice(now);
            bytes = later;
            if self.file.buffer.len() == WRITE_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Fills up with zeros to a multiple of `alignment` within the section.
    pub(super) fn align(&mut self, alignment: u64) -> Result<(), SegmentError> {
        let padding = self.len().next_multiple_of(alignment) - self.len();
        self.write(&vec![0; padding as usize])
    }

    /// Writes the buffer: whole blocks, but for the section's last one.
    fn flush(&mut self) -> Result<(), SegmentError> {
        let mut buffer = std::mem::take(&mut self.file.buffer);
        self.crc.update(&buffer);
        self.file.block_crcs.extend(buffer.chunks(CHECK_BLOCK).map(crc32fast::hash));
        let written = self.file.append(&buffer);
        buffer.clear();
        self.file.buffer = buffer;
        written
    }

    pub(super) fn finish(mut self) -> Result<Section, SegmentError> {
        self.flush()?;
        let section = Section {
            kind: Some(self.kind),
            offset: self.offset,
            len: self.file.at - self.offset,
            crc: self.crc.finalize(),
            first_block: self.first_block,
        };
        self.file.sections.push((self.kind, section));
        Ok(section)
    }
}
