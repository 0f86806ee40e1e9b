//! Reading a whole segment back: every checksum, then every structure.

use std::io;
use std::ops::{ControlFlow, Range};

use vecstore_index::Clusters;

use super::metadata::parse_metadata;
use super::positioned::{BlockReader, SectionReader};
use super::segment::Segment;
use crate::format::{
    BLOOM_BLOCK_BYTES, BlockEntry, CHECK_BLOCK, FOOTER_BYTES, Footer, HEADER_BYTES, Header,
    IndexParts, Kind, Section, bloom_block, bloom_contains, key_hash, namespace_seed,
};
use crate::vfs::is_medium_error;
use crate::{RecordId, SegmentError, Vfs};

/// More problems than this are counted, not listed.
const PROBLEMS_MAX: usize = 1000;
/// What has to be there for indexes to be looked at.
const INDEX_KINDS: [Kind; 7] = [
    Kind::Indexes,
    Kind::Links,
    Kind::UpperLayers,
    Kind::Calibrations,
    Kind::Clusters,
    Kind::ClusterBlocks,
    Kind::CoarseCodes,
];
/// Bytes read at once.
const READ_BYTES: usize = 16 * CHECK_BLOCK;

/// What `verify` found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Bytes read and checked.
    pub bytes: u64,
    /// One line for each damaged place: section, block, rows.
    pub problems: Vec<String>,
}

impl Segment {
    /// Reads the whole file with positioned reads and checks every checksum and every structure.
    ///
    /// The file is opened again by its path, so the answer is about what the next open will meet; that
    /// it would not open is a problem like others.
    pub fn verify(&self, vfs: &dyn Vfs) -> Result<VerifyReport, SegmentError> {
        let unopened = |problem: String| VerifyReport { bytes: 0, problems: vec![problem] };
        match Segment::open(vfs, &self.path) {
            Ok(fresh) => verify_file(&fresh, &mut |_| ControlFlow::Continue(())),
            Err(SegmentError::Corrupt { section, detail, .. }) => {
                Ok(unopened(format!("{section}: {detail}")))
            }
            Err(SegmentError::Unsupported { detail, .. }) => Ok(unopened(detail)),
            Err(SegmentError::Io { source, .. }) if is_gone(&source) => {
                Ok(unopened(format!("cannot be opened: {source}")))
            }
            Err(other) => Err(other),
        }
    }
}

/// Whether it is the file's fault: it is missing, or cut off, or the disk has lost it.
fn is_gone(error: &io::Error) -> bool {
    is_medium_error(error)
        || matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof)
}

/// Verifies `segment`, which nobody has read from yet. `progress(bytes)` is called now and then
/// with the number of bytes read; on `Break` the answer is [`SegmentError::Cancelled`].
pub(crate) fn verify_file(
    segment: &Segment,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<VerifyReport, SegmentError> {
    let mut verification =
        Verification { segment, progress, report: VerifyReport::default(), unlisted: 0 };
    verification.checksums()?;
    // Structures are looked at where the bytes are what was written; damage is known already.
    if verification.report.problems.is_empty() {
        verification.ids()?;
        verification.metadata()?;
        verification.derived()?;
    }
    let Verification { mut report, unlisted, .. } = verification;
    if unlisted > 0 {
        report.problems.push(format!("and {unlisted} more"));
    }
    Ok(report)
}

struct Verification<'a> {
    segment: &'a Segment,
    progress: &'a mut dyn FnMut(u64) -> ControlFlow<()>,
    report: VerifyReport,
    unlisted: u64,
}

impl Verification<'_> {
    fn problem(&mut self, line: String) {
        if self.report.problems.len() < PROBLEMS_MAX {
            self.report.problems.push(line);
        } else {
            self.unlisted += 1;
        }
    }

    /// Notes damage and goes on; fails on anything else.
    fn note(&mut self, result: Result<(), SegmentError>) -> Result<(), SegmentError> {
        match result {
            Err(SegmentError::Corrupt { section, detail, .. }) => {
                self.problem(format!("{section}: {detail}"));
                Ok(())
            }
            other => other,
        }
    }

    fn read(&mut self, at: u64, bytes: &mut [u8]) -> Result<(), SegmentError> {
        self.segment
            .file()
            .read_at(at, bytes)
            .map_err(|e| SegmentError::io("read", self.segment.path(), e))?;
        self.report.bytes += bytes.len() as u64;
        match (self.progress)(self.report.bytes) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(SegmentError::Cancelled),
        }
    }

    /// Every byte of the file, in order.
    fn checksums(&mut self) -> Result<(), SegmentError> {
        let segment = self.segment;
        let footer_at = segment.bytes() - FOOTER_BYTES as u64;
        let mut header = [0; HEADER_BYTES];
        self.read(0, &mut header)?;
        if Header::decode(&header).as_ref() != Ok(&segment.header) {
            self.problem("header: it is not the one that was opened".to_owned());
        }
        let mut end = HEADER_BYTES as u64;
        for section in segment.contents().sections() {
            self.padding(end..section.offset)?;
            self.section(section)?;
            end = section.offset + section.len;
        }
        let mut footer = [0; FOOTER_BYTES];
        self.read(footer_at, &mut footer)?;
        match Footer::decode(&footer, segment.id(), segment.bytes()) {
            Ok(footer) => {
                self.padding(end..footer.contents_offset)?;
                let mut contents = vec![0; footer.contents_len as usize];
                self.read(footer.contents_offset, &mut contents)?;
                if crc32fast::hash(&contents) != footer.contents_crc {
                    self.problem("contents: the checksum does not match".to_owned());
                }
            }
            Err(flaw) => self.note(Err(flaw.of(segment.path())))?,
        }
        Ok(())
    }

    fn padding(&mut self, range: Range<u64>) -> Result<(), SegmentError> {
        // An optional section that this build does not know is no padding; what is left between
        // sections is less than the largest alignment.
        let mut bytes = vec![0; (range.end - range.start) as usize];
        self.read(range.start, &mut bytes)?;
        if bytes.iter().any(|byte| *byte != 0) {
            self.problem(format!("padding: bytes {range:?} of the file are not zero"));
        }
        Ok(())
    }

    fn section(&mut self, section: &Section) -> Result<(), SegmentError> {
        let mut buffer = vec![0; READ_BYTES.min(section.len as usize)];
        let mut whole = crc32fast::Hasher::new();
        let mut at = 0;
        let mut good = true;
        while at < section.len as usize {
            let len = buffer.len().min(section.len as usize - at);
            self.read(section.offset + at as u64, &mut buffer[..len])?;
            whole.update(&buffer[..len]);
            for (i, bytes) in buffer[..len].chunks(CHECK_BLOCK).enumerate() {
                let block = at / CHECK_BLOCK + i;
                let number = section.first_block as usize + block;
                // The checksum table itself has one checksum, over all of it.
                if section.kind != Some(Kind::Checksums)
                    && self.segment.block_crcs().get(number) != Some(&crc32fast::hash(bytes))
                {
                    good = false;
                    let rows = match self.rows_of_block(section, block) {
                        Some(rows) => format!(" (rows {rows:?})"),
                        None => String::new(),
                    };
                    let name = section.name();
                    self.problem(format!(
                        "{name}: block {block}{rows} does not match its checksum"
                    ));
                }
            }
            at += len;
        }
        if good && whole.finalize() != section.crc {
            let name = section.name();
            self.problem(format!("{name}: the checksum of the section does not match"));
        }
        Ok(())
    }

    /// The rows that have bytes in a block of a section, where that can be told.
    fn rows_of_block(&self, section: &Section, block: usize) -> Option<Range<u32>> {
        let segment = self.segment;
        let bytes = (block * CHECK_BLOCK) as u64
            ..((block + 1) * CHECK_BLOCK).min(section.len as usize) as u64;
        // Of rows whose starts ascend, those with `start < bytes.end` and `end > bytes.start`.
        let of_starts = |starts: &[u64]| {
            let first = starts.partition_point(|s| *s <= bytes.start).saturating_sub(1);
            let end = starts.partition_point(|s| *s < bytes.end);
            first..end.min(starts.len().saturating_sub(1))
        };
        let width = match section.kind? {
            Kind::Vectors => segment.header.vector_bytes(),
            Kind::Codes => u64::from(segment.header.code_bytes),
            Kind::Seqs | Kind::IdOffsets => 8,
            Kind::Ids => {
                let len = segment.section(Kind::IdOffsets).len;
                let mut reader = SectionReader::new(segment.section(Kind::IdOffsets));
                let offsets = reader.read(segment, 0..len).ok()?.as_chunks::<8>().0;
                let starts: Vec<u64> = offsets.iter().map(|o| u64::from_le_bytes(*o)).collect();
                let rows = of_starts(&starts);
                return Some(rows.start as u32..rows.end as u32);
            }
            Kind::Metadata => {
                let entries = self.block_entries().ok()?;
                let starts: Vec<u64> = entries.iter().map(|e| e.offset).collect();
                let blocks = of_starts(&starts);
                return Some(
                    entries.get(blocks.start)?.first_row..entries.get(blocks.end)?.first_row,
                );
            }
            _ => return None,
        };
        let end = bytes.end.div_ceil(width).min(u64::from(segment.rows()));
        Some((bytes.start / width) as u32..end as u32)
    }

    fn block_entries(&self) -> Result<Vec<BlockEntry>, SegmentError> {
        let segment = self.segment;
        let mut reader = SectionReader::new(segment.section(Kind::MetadataIndex));
        let bytes = reader.read(segment, 0..segment.section(Kind::MetadataIndex).len)?;
        segment.decode_block_entries(bytes).map_err(|flaw| flaw.of(segment.path()))
    }

    /// Every id can be read, is unique, and is found by the lookup.
    fn ids(&mut self) -> Result<(), SegmentError> {
        let segment = self.segment;
        let mut ids = SectionReader::new(segment.section(Kind::Ids));
        let mut offsets = SectionReader::new(segment.section(Kind::IdOffsets));
        let mut keys: Vec<(u64, u32)> = Vec::with_capacity(segment.rows() as usize);
        let mut last_end = 0;
        for namespace in segment.namespaces() {
            let seed = namespace_seed(&namespace.name);
            for row in namespace.rows.clone() {
                let at = 8 * u64::from(row);
                let pair = offsets.read(segment, at..at + 16)?.as_chunks::<8>().0;
                let [start, end] = [pair[0], pair[1]].map(u64::from_le_bytes);
                if start != last_end || end < start {
                    self.problem(format!("id-offsets: row {row} is out of order"));
                    return Ok(());
                }
                last_end = end;
                let id = ids.read(segment, start..end)?;
                keys.push((key_hash(seed, id), row));
                if RecordId::decode(id).is_none() {
                    self.problem(format!("ids: row {row} has no id"));
                }
            }
        }
        keys.sort_unstable();
        self.lookup(&keys)
    }

    /// The stored lookup has exactly these keys.
    fn lookup(&mut self, keys: &[(u64, u32)]) -> Result<(), SegmentError> {
        let segment = self.segment;
        let lookup = [Kind::IdBloom, Kind::IdHashes, Kind::IdRows];
        if lookup.iter().any(|kind| segment.contents().get(*kind).is_none()) {
            return Ok(());
        }
        let [mut bloom, mut hashes, mut rows] =
            lookup.map(|kind| SectionReader::new(segment.section(kind)));
        let blocks = segment.section(Kind::IdBloom).len as usize / BLOOM_BLOCK_BYTES;
        for (i, (hash, row)) in keys.iter().enumerate() {
            let i = i as u64;
            let stored_hash = hashes.read(segment, 8 * i..8 * i + 8)?;
            let stored_row = rows.read(segment, 4 * i..4 * i + 4)?;
            if stored_hash != hash.to_le_bytes() || stored_row != row.to_le_bytes() {
                self.problem(format!("id-hashes: row {row} is not where its hash belongs"));
                break;
            }
            // Hashes ascend, and so do their blocks.
            let at = (bloom_block(*hash, blocks) * BLOOM_BLOCK_BYTES) as u64;
            let block = bloom.read(segment, at..at + BLOOM_BLOCK_BYTES as u64)?;
            if !block.first_chunk().is_some_and(|block| bloom_contains(block, *hash)) {
                self.problem(format!("id-bloom: row {row} is not in the filter"));
                break;
            }
        }
        Ok(())
    }

    /// Every row has a JSON object.
    fn metadata(&mut self) -> Result<(), SegmentError> {
        let segment = self.segment;
        let entries = match self.block_entries() {
            Ok(entries) => entries,
            Err(error) => return self.note(Err(error)),
        };
        let mut reader = BlockReader::new(entries, segment.section(Kind::Metadata));
        for row in 0..segment.rows() {
            let parsed = reader.block(segment, row).and_then(|block| {
                parse_metadata(block, row).map(drop).map_err(|flaw| flaw.of(segment.path()))
            });
            self.note(parsed)?;
        }
        Ok(())
    }

    /// What can be decoded decodes, and links lead to rows.
    fn derived(&mut self) -> Result<(), SegmentError> {
        let segment = self.segment;
        // A missing section is no damage of this file; `degraded` names it.
        let has = |kind| segment.contents().get(kind).is_some();
        if has(Kind::Quantizer) {
            self.note(segment.quantizer().map(drop))?;
        }
        if has(Kind::Quantizer) && has(Kind::Sketches) && has(Kind::SketchRows) {
            self.note(segment.sketches(0..segment.rows()).map(drop))?;
        }
        if has(Kind::Fields) {
            let fields = segment.fields().and_then(|index| {
                index.fields().map(drop).map_err(|e| {
                    SegmentError::corrupt(segment.path(), Kind::Fields.name(), e.to_string())
                })
            });
            self.note(fields)?;
        }
        if INDEX_KINDS.into_iter().all(has) {
            for namespace in segment.namespaces() {
                match (segment.graph(namespace), segment.clusters(namespace)) {
                    (Ok(Some(_)), _) => self.links(&namespace.name)?,
                    (_, Ok(Some(found))) => self.blocks(&namespace.name, found.clusters)?,
                    (Ok(None), Ok(None)) => {}
                    (Err(error), _) | (_, Err(error)) => self.note(Err(error))?,
                }
            }
        }
        Ok(())
    }

    /// A row's links come first and lead to rows of the graph, the rest is `u32::MAX`.
    fn links(&mut self, namespace: &str) -> Result<(), SegmentError> {
        let segment = self.segment;
        let Some(entry) = segment.index_entry(namespace) else { return Ok(()) };
        let IndexParts::Graph(graph) = &entry.parts else { return Ok(()) };
        let mut reader = SectionReader::new(segment.section(Kind::Links));
        let row_bytes = 4 * u64::from(graph.degree);
        for row in 0..entry.rows {
            let start = graph.links.start + u64::from(row) * row_bytes;
            let links = reader.read(segment, start..start + row_bytes)?.as_chunks::<4>().0;
            let mut links = links.iter().map(|link| u32::from_le_bytes(*link));
            let good = links.by_ref().take_while(|link| *link != u32::MAX).all(|l| l < entry.rows)
                && links.all(|link| link == u32::MAX);
            if !good {
                self.problem(format!("links: row {} has a wild link", entry.first_row + row));
            }
        }
        Ok(())
    }

    /// Every row is in one lane of one block.
    fn blocks(&mut self, namespace: &str, clusters: &Clusters) -> Result<(), SegmentError> {
        let segment = self.segment;
        let Some(entry) = segment.index_entry(namespace) else { return Ok(()) };
        let IndexParts::Clusters(parts) = &entry.parts else { return Ok(()) };
        let mut reader = SectionReader::new(segment.section(Kind::ClusterBlocks));
        let mut seen = vec![false; entry.rows as usize];
        for block in 0..parts.blocks {
            let start = parts.data.start + u64::from(block) * u64::from(parts.block_bytes);
            let bytes = reader.read(segment, start..start + u64::from(parts.block_bytes))?;
            let mut rows = clusters.block_rows(bytes).into_iter().flatten();
            let good = rows.all(|row| {
                seen.get_mut(row as usize).is_some_and(|seen| !std::mem::replace(seen, true))
            });
            if !good {
                self.problem(format!("cluster-blocks: block {block} has a wild or repeated row"));
            }
        }
        if let Some(row) = seen.iter().position(|seen| !seen) {
            let row = entry.first_row + row as u32;
            self.problem(format!("cluster-blocks: row {row} is in no block"));
        }
        Ok(())
    }
}
