//! The first 64 bytes: what the file is and how large its rows are.

use vecstore_index::{Codes, Metric, Precision};

use super::Flaw;
use super::numbers::{u16_at, u32_at, u64_at};

pub(crate) const HEADER_BYTES: usize = 64;
const MAGIC: [u8; 8] = *b"\x89VSEG\r\n\x1a";
const MAJOR: u16 = 6;
const MINOR: u16 = 0;
/// Vectors are of half precision.
const HALF_VECTORS: u32 = 1;
/// There are no codes, nor what is made of them.
const NO_CODES: u32 = 2;
/// Incompatible features that this build knows.
const INCOMPATIBLE_KNOWN: u32 = HALF_VECTORS | NO_CODES;
const SECTION: &str = "header";

/// Most rows of a segment; leaves room for sentinels in signed and unsigned 32 bits.
pub(crate) const ROWS_MAX: u32 = i32::MAX as u32 - 1;
/// Most components of a vector.
pub(crate) const DIM_MAX: usize = 65_536;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) segment: u64,
    pub(crate) rows: u32,
    /// Components of a vector, `1..=DIM_MAX`.
    pub(crate) dim: u32,
    /// Bytes of a vector's code; 0 where there are no codes.
    pub(crate) code_bytes: u32,
    pub(crate) metric: Metric,
    /// Of the stored vectors.
    pub(crate) precision: Precision,
}

impl Header {
    /// Bytes of a stored vector.
    pub(crate) fn vector_bytes(&self) -> u64 {
        u64::from(self.dim) * self.precision.bytes() as u64
    }

    pub(crate) fn codes(&self) -> Codes {
        if self.code_bytes == 0 { Codes::None } else { Codes::Int8 }
    }

    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let metric: u32 = match self.metric {
            Metric::Cosine => 0,
            Metric::Dot => 1,
            Metric::Euclidean => 2,
        };
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&MAJOR.to_le_bytes());
        bytes[10..12].copy_from_slice(&MINOR.to_le_bytes());
        let halves = match self.precision {
            Precision::F32 => 0,
            Precision::F16 => HALF_VECTORS,
        };
        let incompatible = halves
            | match self.codes() {
                Codes::Int8 => 0,
                Codes::None => NO_CODES,
            };
        bytes[12..16].copy_from_slice(&incompatible.to_le_bytes());
        // 16..20 compatible features: none.
        bytes[20..24].copy_from_slice(&self.dim.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.segment.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.rows.to_le_bytes());
        bytes[36..40].copy_from_slice(&metric.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.code_bytes.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Header, Flaw> {
        let damaged = |detail: &str| Flaw::damaged(SECTION, detail);
        let bytes: &[u8; HEADER_BYTES] =
            bytes.first_chunk().ok_or_else(|| damaged("the file is too short"))?;
        if bytes[..8] != MAGIC {
            return Err(damaged("this is not a segment file"));
        }
        let short = || damaged("the file is too short");
        if u32_at(bytes, 60) != Some(crc32fast::hash(&bytes[..60])) {
            return Err(damaged("the checksum does not match"));
        }
        // These fields stay where they are in every version, so that any build can refuse any
        // newer file in so many words.
        let major = u16_at(bytes, 8).ok_or_else(short)?;
        if major != MAJOR {
            return Err(Flaw::Unsupported(format!(
                "the segment has format {major}, this build reads format {MAJOR}"
            )));
        }
        let incompatible = u32_at(bytes, 12).ok_or_else(short)?;
        let unknown = incompatible & !INCOMPATIBLE_KNOWN;
        if unknown != 0 {
            return Err(Flaw::Unsupported(format!(
                "the segment needs features {unknown:#x}, which this build does not know"
            )));
        }
        let metric = match u32_at(bytes, 36).ok_or_else(short)? {
            0 => Metric::Cosine,
            1 => Metric::Dot,
            2 => Metric::Euclidean,
            n => return Err(damaged(&format!("{n} is not a metric"))),
        };
        let header = Header {
            segment: u64_at(bytes, 24).ok_or_else(short)?,
            rows: u32_at(bytes, 32).ok_or_else(short)?,
            dim: u32_at(bytes, 20).ok_or_else(short)?,
            code_bytes: u32_at(bytes, 40).ok_or_else(short)?,
            metric,
            precision: match incompatible & HALF_VECTORS {
                0 => Precision::F32,
                _ => Precision::F16,
            },
        };
        if header.dim == 0 || header.dim as usize > DIM_MAX {
            return Err(damaged(&format!("{} is not a dimension", header.dim)));
        }
        if header.rows > ROWS_MAX {
            return Err(damaged(&format!("{} is not a number of rows", header.rows)));
        }
        let has_codes = incompatible & NO_CODES == 0;
        if has_codes != (header.code_bytes > 0) || header.code_bytes as usize > 8 * DIM_MAX {
            return Err(damaged(&format!("{} is not a code length", header.code_bytes)));
        }
        Ok(header)
    }
}
