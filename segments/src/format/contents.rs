//! The contents table: which section lies where.

use super::numbers::{u32_at, u64_at};
use super::{Flaw, Header, Kind};

const ENTRY_BYTES: usize = 32;
/// More sections than any version will have; a bound on what a damaged length can ask for.
const SECTIONS_MAX: usize = 4096;
const SECTION: &str = "contents";

/// Bytes of a section that share one checksum.
pub(crate) const CHECK_BLOCK: usize = 64 << 10;

const FLAG_DERIVED: u32 = 1;
const FLAG_OPTIONAL: u32 = 2;

/// One section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    /// `None` for an optional section that this build does not know.
    pub(crate) kind: Option<Kind>,
    pub(crate) offset: u64,
    pub(crate) len: u64,
    pub(crate) crc: u32,
    /// Number of this section's first block in the checksum table.
    pub(crate) first_block: u32,
}

impl Section {
    pub(crate) fn blocks(&self) -> usize {
        // Decoding made sure that the file fits into memory addresses.
        (self.len as usize).div_ceil(CHECK_BLOCK)
    }

    pub(crate) fn name(&self) -> &'static str {
        self.kind.map_or("unknown", Kind::name)
    }
}

/// Writes the table of `sections`, all of known kinds.
pub(crate) fn encode_contents(sections: &[(Kind, Section)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(sections.len() * ENTRY_BYTES);
    for (kind, section) in sections {
        let flags = if kind.is_derived() { FLAG_DERIVED } else { 0 };
        bytes.extend_from_slice(&(*kind as u32).to_le_bytes());
        bytes.extend_from_slice(&flags.to_le_bytes());
        bytes.extend_from_slice(&section.offset.to_le_bytes());
        bytes.extend_from_slice(&section.len.to_le_bytes());
        bytes.extend_from_slice(&section.crc.to_le_bytes());
        bytes.extend_from_slice(&section.first_block.to_le_bytes());
    }
    bytes
}

/// The sections of a file, in file order; they lie within it and do not overlap.
#[derive(Clone, Debug)]
pub(crate) struct Contents {
    sections: Vec<Section>,
    /// Where the section of each kind stands in `sections`; a search asks for several a row.
    places: [Option<u16>; Kind::NUMBERS],
}

impl Contents {
    /// Reads and checks the table that lies at `contents_offset` of the file with `header`.
    pub(crate) fn decode(
        bytes: &[u8],
        contents_offset: u64,
        header: &Header,
    ) -> Result<Contents, Flaw> {
        let damaged = |detail: String| Flaw::damaged(SECTION, detail);
        if !bytes.len().is_multiple_of(ENTRY_BYTES) || bytes.len() > SECTIONS_MAX * ENTRY_BYTES {
            return Err(damaged(format!("{} bytes are not a contents table", bytes.len())));
        }
        let mut sections: Vec<Section> = Vec::new();
        let mut end = super::HEADER_BYTES as u64;
        let mut blocks = 0u64;
        for entry in bytes.chunks_exact(ENTRY_BYTES) {
            let short = || damaged("an entry is cut off".to_owned());
            let number = u32_at(entry, 0).ok_or_else(short)?;
            let flags = u32_at(entry, 4).ok_or_else(short)?;
            let kind = Kind::from_number(number);
            if kind.is_none() && flags & FLAG_OPTIONAL == 0 {
                return Err(Flaw::Unsupported(format!(
                    "the segment has a section of kind {number}, which this build does not know"
                )));
            }
            let section = Section {
                kind,
                offset: u64_at(entry, 8).ok_or_else(short)?,
                len: u64_at(entry, 16).ok_or_else(short)?,
                crc: u32_at(entry, 24).ok_or_else(short)?,
                first_block: u32_at(entry, 28).ok_or_else(short)?,
            };
            let name = section.name();
            let section_end = section.offset.checked_add(section.len);
            if section.offset < end || section_end.is_none_or(|e| e > contents_offset) {
                return Err(damaged(format!("section {name} does not lie where it can")));
            }
            if !section.offset.is_multiple_of(kind.map_or(64, Kind::alignment)) {
                return Err(damaged(format!("section {name} is not aligned")));
            }
            if kind.is_some() && sections.iter().any(|s| s.kind == kind) {
                return Err(damaged(format!("there are two sections {name}")));
            }
            if u64::from(section.first_block) != blocks {
                return Err(damaged(format!("the checksums of section {name} are misplaced")));
            }
            if kind != Some(Kind::Checksums) {
                blocks += section.len.div_ceil(CHECK_BLOCK as u64);
            }
            end = section.offset + section.len;
            sections.push(section);
        }
        let mut places = [None; Kind::NUMBERS];
        for (place, section) in (0u16..).zip(&sections) {
            if let Some(kind) = section.kind {
                places[kind as usize] = Some(place);
            }
        }
        let contents = Contents { sections, places };
        contents.check_lengths(header, blocks)?;
        Ok(contents)
    }

    /// Every truth section is there, and every array is as long as its rows say.
    fn check_lengths(&self, header: &Header, blocks: u64) -> Result<(), Flaw> {
        let rows = u64::from(header.rows);
        for kind in Kind::ALL {
            let Some(section) = self.get(kind) else {
                if kind.is_derived() {
                    continue;
                }
                return Err(Flaw::damaged(SECTION, format!("section {} is missing", kind.name())));
            };
            let expected = match kind {
                Kind::IdOffsets => 8 * (rows + 1),
                Kind::Seqs | Kind::IdHashes => 8 * rows,
                Kind::IdRows => 4 * rows,
                Kind::Vectors => rows * header.vector_bytes(),
                Kind::Codes => rows * u64::from(header.code_bytes),
                Kind::Checksums => 4 * blocks,
                _ => continue,
            };
            if section.len != expected {
                return Err(Flaw::damaged(
                    SECTION,
                    format!(
                        "section {} has {} bytes, {rows} rows need {expected}",
                        kind.name(),
                        section.len
                    ),
                ));
            }
        }
        Ok(())
    }

    #[inline]
    pub(crate) fn get(&self, kind: Kind) -> Option<&Section> {
        self.sections.get(usize::from(self.places[kind as usize]?))
    }

    pub(crate) fn sections(&self) -> &[Section] {
        &self.sections
    }
}
