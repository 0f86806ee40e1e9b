//! The head of a file: what must be right before anything else is looked at.

use std::path::Path;

use crate::format::{
    Contents, FOOTER_BYTES, Flaw, Footer, HEADER_BYTES, Header, Kind, NamespaceEntry,
    decode_namespaces,
};
use crate::{Region, SegmentError, Vfs, VfsFile};

/// How the system is asked to keep a file in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pages {
    /// As it does by itself.
    #[default]
    Usual,
    /// In large pages, of 2 MiB on most machines: random reads of what is in memory take less time, and
    /// so do the first ones of a file that fits into memory. One that does not fit would be read over
    /// and over for a few bytes of each page. A hint, which Linux follows where the file system can.
    Large,
}

/// An open file whose header, footer, contents table, checksum table and namespaces are right.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) file: Box<dyn VfsFile>,
    pub(super) region: Region,
    pub(super) header: Header,
    pub(super) contents: Contents,
    pub(super) namespaces: Vec<NamespaceEntry>,
    /// A checksum for every 64 KiB block of every section.
    pub(super) block_crcs: Box<[u32]>,
}

pub(super) fn open_file(
    vfs: &dyn Vfs,
    path: &Path,
    pages: Pages,
) -> Result<OpenFile, SegmentError> {
    let file = vfs.open(path).map_err(|e| SegmentError::io("open", path, e))?;
    let len = file.len().map_err(|e| SegmentError::io("stat", path, e))?;
    if len < (HEADER_BYTES + FOOTER_BYTES) as u64 {
        let detail = format!("{len} bytes are too few for a segment");
        return Err(SegmentError::corrupt(path, "header", detail));
    }
    let region = file.map().map_err(|e| SegmentError::io("map", path, e))?;
    // Before the first read: what is in small pages already stays there.
    if pages == Pages::Large {
        region.prefer_large_pages();
    }
    // Also where a file has more bytes than this machine can address.
    if region.len() as u64 != len {
        let detail = format!("{} of {len} bytes could be mapped", region.len());
        return Err(SegmentError::corrupt(path, "header", detail));
    }
    let head = check_head(&region).map_err(|flaw| flaw.of(path))?;
    let (header, contents, namespaces, block_crcs) = head;
    Ok(OpenFile { file, region, header, contents, namespaces, block_crcs })
}

type Head = (Header, Contents, Vec<NamespaceEntry>, Box<[u32]>);

fn check_head(file: &[u8]) -> Result<Head, Flaw> {
    let header = Header::decode(file)?;
    let footer_at = file.len().saturating_sub(FOOTER_BYTES);
    let footer = Footer::decode(&file[footer_at..], header.segment, file.len() as u64)?;
    // The footer was checked to lie right after the table.
    let table = &file[footer.contents_offset as usize..footer_at];
    if crc32fast::hash(table) != footer.contents_crc {
        return Err(Flaw::damaged("contents", "the checksum does not match"));
    }
    let contents = Contents::decode(table, footer.contents_offset, &header)?;
    let block_crcs = small_section(&contents, Kind::Checksums, file)?
        .as_chunks::<4>()
        .0
        .iter()
        .map(|crc| u32::from_le_bytes(*crc))
        .collect();
    let namespaces =
        decode_namespaces(small_section(&contents, Kind::Namespaces, file)?, header.rows)?;
    Ok((header, contents, namespaces, block_crcs))
}

/// A section that is read whole when the file is opened.
fn small_section<'a>(contents: &Contents, kind: Kind, file: &'a [u8]) -> Result<&'a [u8], Flaw> {
    let missing = || Flaw::damaged("contents", format!("section {} is missing", kind.name()));
    let section = contents.get(kind).ok_or_else(missing)?;
    let start = section.offset as usize;
    let bytes = file.get(start..start + section.len as usize).ok_or_else(missing)?;
    if crc32fast::hash(bytes) != section.crc {
        return Err(Flaw::damaged(kind.name(), "the checksum does not match"));
    }
    Ok(bytes)
}
