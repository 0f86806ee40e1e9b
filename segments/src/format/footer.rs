//! The last 64 bytes: where the contents table is and how long the file is.

use super::Flaw;
use super::numbers::{u32_at, u64_at};

pub(crate) const FOOTER_BYTES: usize = 64;
const MAGIC: [u8; 8] = *b"VSEGEND\n";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) segment: u64,
    pub(crate) contents_offset: u64,
    pub(crate) contents_len: u64,
    pub(crate) contents_crc: u32,
    pub(crate) file_len: u64,
}

impl Footer {
    pub(crate) fn encode(&self) -> [u8; FOOTER_BYTES] {
        let mut bytes = [0; FOOTER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&self.segment.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.contents_offset.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.contents_len.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.file_len.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.contents_crc.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the footer of the segment `segment` from the last bytes of a file of `file_len`
    /// bytes.
    pub(crate) fn decode(bytes: &[u8], segment: u64, file_len: u64) -> Result<Footer, Flaw> {
        let damaged = |detail: String| Flaw::damaged("footer", detail);
        let short = || damaged("the file is too short".to_owned());
        let bytes: &[u8; FOOTER_BYTES] = bytes.first_chunk().ok_or_else(short)?;
        if bytes[..8] != MAGIC {
            return Err(damaged("the file does not end as a segment does; it was cut off".into()));
        }
        if u32_at(bytes, 60) != Some(crc32fast::hash(&bytes[..60])) {
            return Err(damaged("the checksum does not match".into()));
        }
        let footer = Footer {
            segment: u64_at(bytes, 8).ok_or_else(short)?,
            contents_offset: u64_at(bytes, 16).ok_or_else(short)?,
            contents_len: u64_at(bytes, 24).ok_or_else(short)?,
            file_len: u64_at(bytes, 32).ok_or_else(short)?,
            contents_crc: u32_at(bytes, 40).ok_or_else(short)?,
        };
        if footer.file_len != file_len {
            return Err(damaged(format!(
                "the file has {file_len} bytes, {} were written",
                footer.file_len
            )));
        }
        if footer.segment != segment {
            return Err(damaged(format!(
                "the header is of segment {segment}, the footer of segment {}",
                footer.segment
            )));
        }
        let contents_end = footer.contents_offset.checked_add(footer.contents_len);
        if contents_end != file_len.checked_sub(FOOTER_BYTES as u64) {
            return Err(damaged("the contents table does not end where the footer begins".into()));
        }
        Ok(footer)
    }
}
