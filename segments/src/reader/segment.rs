//! A sealed segment: what it is, its rows, and how damage is named.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use vecstore_index::{
    Calibration, ClusterCalibration, Clusters, Codes, Damaged, Levels, Metric, Precision,
    Quantizer, Sketches, Stored, UpperLayers,
};

use super::checks::{BadBlock, BlockChecks, MappedSection};
use super::derived::IndexHead;
use super::ids::RebuiltLookup;
use super::open::{OpenFile, Pages, open_file};
use super::rows::{
    BlockRows, Checked, CheckedRows, CoarseRows, CodeRows, LinkRows, SketchRows, VectorRows,
};
use crate::format::{BlockEntry, CHECK_BLOCK, Contents, Flaw, Header, IndexEntry, Kind, Section};
use crate::{GraphOrigin, Region, SegmentError, Vfs, VfsFile};

/// A sealed segment.
///
/// Damage never stops a segment from being opened unless it is in the head (header, contents
/// table, checksum table, namespaces). Elsewhere it shows when the damaged bytes are read: as
/// [`SegmentError::Corrupt`] from an accessor, as [`Damaged`] from a row of an array.
#[derive(Debug)]
pub struct Segment {
    pub(super) path: PathBuf,
    file: Box<dyn VfsFile>,
    region: Region,
    pub(super) header: Header,
    contents: Contents,
    checks: BlockChecks,
    namespaces: Vec<NamespaceRows>,
    pub(super) block_entries: OnceLock<Result<Vec<BlockEntry>, Flaw>>,
    pub(super) quantizer: OnceLock<Result<Option<Quantizer>, Flaw>>,
    pub(super) sketches: OnceLock<Result<Option<Sketches>, Flaw>>,
    pub(super) index_entries: OnceLock<Result<Vec<IndexEntry>, Flaw>>,
    pub(super) index_heads: Vec<OnceLock<Result<IndexHead, Flaw>>>,
    pub(super) fields: OnceLock<Result<(), Flaw>>,
    pub(super) rebuilt_lookup: OnceLock<RebuiltLookup>,
    /// What a scrub found wrong with the head, which was right when the file was opened.
    pub(super) head_flaw: OnceLock<String>,
}

/// The rows of one namespace in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceRows {
    /// Its name.
    pub name: String,
    /// Its rows, contiguous.
    pub rows: Range<u32>,
    /// Whether it has an index of its own, a graph or clusters.
    pub indexed: bool,
    /// Number of that index in the segment.
    pub(super) index_number: Option<u32>,
}

/// The graph of one namespace; its rows are numbered from the namespace's first row.
#[derive(Debug)]
pub struct SegmentGraph<'a> {
    /// Base layer.
    pub links: LinkRows<'a>,
    /// Coarse codes and what their components stand for, if there are codes, long enough to have them.
    pub coarse: Option<(CoarseRows<'a>, Levels)>,
    /// Layers above it.
    pub upper: &'a UpperLayers,
    /// What it was measured to do.
    pub calibration: &'a Calibration,
    /// How it was made.
    pub origin: GraphOrigin,
}

/// The clusters of one namespace; their rows are numbered from the namespace's first row.
#[derive(Debug)]
pub struct SegmentClusters<'a> {
    /// Codes, in blocks of 16 rows.
    pub blocks: BlockRows<'a>,
    /// Leaves and ranges.
    pub clusters: &'a Clusters,
    /// What they were measured to do.
    pub calibration: &'a ClusterCalibration,
}

/// The sketches of a range of rows.
#[derive(Debug)]
pub struct SegmentSketches<'a> {
    /// One a row.
    pub rows: SketchRows<'a>,
    /// How they were made.
    pub sketches: &'a Sketches,
}

impl Segment {
    /// Opens and maps `path`, and checks header, contents table and footer (not the data).
    pub fn open(vfs: &dyn Vfs, path: &Path) -> Result<Segment, SegmentError> {
        Self::open_in(vfs, path, Pages::Usual)
    }

    /// Like [`open`](Self::open), with the pages that are read in.
    pub fn open_in(vfs: &dyn Vfs, path: &Path, pages: Pages) -> Result<Segment, SegmentError> {
        let OpenFile { file, region, header, contents, namespaces, block_crcs } =
            open_file(vfs, path, pages)?;
        let indexes = namespaces.iter().filter(|n| n.index.is_some()).count();
        Ok(Segment {
            path: path.to_owned(),
            file,
            region,
            header,
            contents,
            checks: BlockChecks::new(block_crcs),
            namespaces: namespaces
                .into_iter()
                .map(|n| NamespaceRows {
                    name: n.name,
                    rows: n.first_row..n.first_row + n.rows,
                    indexed: n.index.is_some(),
                    index_number: n.index,
                })
                .collect(),
            block_entries: OnceLock::new(),
            quantizer: OnceLock::new(),
            sketches: OnceLock::new(),
            index_entries: OnceLock::new(),
            index_heads: (0..indexes).map(|_| OnceLock::new()).collect(),
            fields: OnceLock::new(),
            rebuilt_lookup: OnceLock::new(),
            head_flaw: OnceLock::new(),
        })
    }

    /// The file's name of segment `id` in its folder: at least 12 digits and `.seg`.
    #[must_use]
    pub fn file_name(id: u64) -> String {
        format!("{id:012}.seg")
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &PathBuf {
        &self.path
    }

    /// The id it was written with.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.header.segment
    }

    /// Rows, dead ones included.
    #[must_use]
    pub fn rows(&self) -> u32 {
        self.header.rows
    }

    /// Components of a vector.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.header.dim as usize
    }

    /// Metric.
    #[must_use]
    pub fn metric(&self) -> Metric {
        self.header.metric
    }

    /// Of the stored vectors.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.header.precision
    }

    /// Which codes are kept of them.
    #[must_use]
    pub fn codes_kept(&self) -> Codes {
        self.header.codes()
    }

    /// Length of the file.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.region.len() as u64
    }

    /// Bytes of every section, by name, in file order.
    #[must_use]
    pub fn section_bytes(&self) -> Vec<(&'static str, u64)> {
        self.contents.sections().iter().map(|s| (s.name(), s.len)).collect()
    }

    /// Every namespace, ascending by name.
    #[must_use]
    pub fn namespaces(&self) -> &[NamespaceRows] {
        &self.namespaces
    }

    /// One namespace.
    #[must_use]
    pub fn namespace(&self, name: &str) -> Option<&NamespaceRows> {
        if name.is_empty() {
            // It comes first. Comparing empty texts can be slow: they have no address, and a
            // vectorised comparison that reads nothing from there takes a fault all the same.
            return self.namespaces.first().filter(|first| first.name.is_empty());
        }
        let found = self.namespaces.binary_search_by(|n| n.name.as_str().cmp(name));
        found.ok().map(|number| &self.namespaces[number])
    }

    /// Commit sequence number of a row.
    pub fn seq(&self, row: u32) -> Result<u64, SegmentError> {
        self.row_exists(Kind::Seqs, row)?;
        let start = 8 * row as usize;
        let bytes = self.truth(Kind::Seqs, start..start + 8, row)?;
        Ok(bytes.first_chunk().map_or(0, |seq| u64::from_le_bytes(*seq)))
    }

    /// Vector of a row.
    pub fn vector(&self, row: u32) -> Result<Stored<'_>, SegmentError> {
        self.vectors(0..self.rows()).stored(row).map_err(|damaged| self.damaged(&damaged))
    }

    /// Full vectors of a range of rows.
    #[must_use]
    pub fn vectors(&self, rows: Range<u32>) -> VectorRows<'_> {
        VectorRows(match self.header.precision {
            Precision::F32 => Checked::F32(self.vector_rows(rows)),
            Precision::F16 => Checked::F16(self.vector_rows(rows)),
        })
    }

    fn vector_rows<T: bytemuck::Pod>(&self, rows: Range<u32>) -> CheckedRows<'_, T> {
        let first_byte = (self.header.vector_bytes() as usize).saturating_mul(rows.start as usize);
        CheckedRows::new(
            self.mapped(Kind::Vectors),
            Kind::Vectors.name(),
            first_byte,
            self.dim(),
            rows,
        )
    }

    /// Codes of a range of rows; each is empty if none [are kept](Self::codes_kept).
    #[must_use]
    pub fn codes(&self, rows: Range<u32>) -> CodeRows<'_> {
        let width = self.header.code_bytes as usize;
        let first_byte = width.saturating_mul(rows.start as usize);
        let codes =
            CheckedRows::new(self.mapped(Kind::Codes), Kind::Codes.name(), first_byte, width, rows);
        CodeRows(codes.for_many())
    }

    /// Turns a damaged row into the error that names file, section and row.
    #[must_use]
    pub fn damaged(&self, damaged: &Damaged) -> SegmentError {
        let row = damaged.row;
        let width = match damaged.array {
            "vectors" => self.header.vector_bytes() as usize,
            "codes" => self.header.code_bytes as usize,
            "sketch-rows" => self.sketch_len(),
            // Graphs differ in their number of links, and each has its own coarse codes.
            _ => 0,
        };
        let detail = if damaged.array == Kind::ClusterBlocks.name() {
            format!("block {row} of a leaf cannot be read, or names a row that is not there")
        } else if row >= self.rows() {
            format!("there is no row {row}, the segment has {}", self.rows())
        } else if width == 0 {
            format!("row {row} cannot be read")
        } else {
            let rows = self.rows_of_bytes(width * row as usize..width * (row as usize + 1), width);
            format!("row {row} cannot be read: a checksum of rows {rows:?} does not match")
        };
        SegmentError::corrupt(&self.path, damaged.array, detail)
    }

    /// The rows that share 64 KiB blocks with the given bytes of an array.
    fn rows_of_bytes(&self, bytes: Range<usize>, row_bytes: usize) -> Range<u32> {
        let start = bytes.start / CHECK_BLOCK * CHECK_BLOCK / row_bytes;
        let end = bytes.end.next_multiple_of(CHECK_BLOCK).div_ceil(row_bytes);
        start as u32..(end as u32).min(self.rows())
    }

    /// What is known to be wrong with the derived sections so far, one line each. Reads nothing;
    /// damage shows up once it is met.
    #[must_use]
    pub fn degraded(&self) -> Vec<String> {
        let mut lines = self.bad_sections(Kind::is_derived);
        for kind in Kind::ALL {
            if kind.is_derived() && self.contents.get(kind).is_none() {
                lines.push(format!("section {} is missing", kind.name()));
            }
        }
        let heads = self.index_heads.iter().map(|head| flaw_of(head));
        let flaws = [
            flaw_of(&self.quantizer),
            flaw_of(&self.sketches),
            flaw_of(&self.index_entries),
            flaw_of(&self.fields),
        ];
        for flaw in flaws.into_iter().chain(heads).flatten() {
            if let Flaw::Damaged { section, detail } = flaw
                && !lines.iter().any(|line| line.starts_with(&format!("section {section} ")))
            {
                lines.push(format!("section {section} is damaged: {detail}"));
            }
        }
        if let Some(lookup) = self.rebuilt_lookup.get() {
            lines.push(format!("ids are looked up in {}", lookup.describe()));
        }
        lines
    }

    /// What is known to be wrong with the truth and the head so far, one line each. Reads nothing.
    #[must_use]
    pub fn damage(&self) -> Vec<String> {
        let head = self.head_flaw.get().map(|flaw| format!("the head is damaged: {flaw}"));
        head.into_iter().chain(self.bad_sections(|kind| !kind.is_derived())).collect()
    }

    /// Whether blocks of records are known to be damaged, so that no other file can be made of this
    /// one. Head and namespaces are in memory.
    #[must_use]
    pub fn has_lost_rows(&self) -> bool {
        !self.bad_sections(|kind| !kind.is_derived() && kind != Kind::Namespaces).is_empty()
    }

    /// A line for each of these sections that has blocks which are known to be damaged.
    fn bad_sections(&self, wanted: impl Fn(Kind) -> bool) -> Vec<String> {
        let mut lines = Vec::new();
        for section in self.contents.sections() {
            let Some(kind) = section.kind.filter(|kind| wanted(*kind)) else { continue };
            if kind == Kind::Checksums {
                // Its blocks have no checksums of their own; it is part of the head.
                continue;
            }
            let bad: Vec<usize> = self.mapped(kind).bad_blocks().collect();
            if !bad.is_empty() {
                lines.push(format!(
                    "section {} is damaged: {} of {} blocks do not match their checksums, the \
                     first is block {}",
                    kind.name(),
                    bad.len(),
                    section.blocks(),
                    bad[0],
                ));
            }
        }
        lines
    }

    pub(super) fn checks(&self) -> &BlockChecks {
        &self.checks
    }

    pub(crate) fn contents(&self) -> &Contents {
        &self.contents
    }

    pub(crate) fn file(&self) -> &dyn VfsFile {
        &*self.file
    }

    pub(crate) fn block_crcs(&self) -> &[u32] {
        self.checks.expected()
    }

    pub(crate) fn section(&self, kind: Kind) -> Section {
        // A missing derived section is an empty one to those who read it: nothing lies within.
        self.contents.get(kind).copied().unwrap_or(Section {
            kind: Some(kind),
            offset: 0,
            len: 0,
            crc: 0,
            first_block: 0,
        })
    }

    pub(super) fn mapped(&self, kind: Kind) -> MappedSection<'_> {
        MappedSection::new(&self.section(kind), &self.region, &self.checks)
    }

    /// A derived section, if the segment has it.
    pub(super) fn present(&self, kind: Kind) -> Result<MappedSection<'_>, Flaw> {
        let missing = || Flaw::damaged(kind.name(), "the section is missing");
        let section = self.contents.get(kind).ok_or_else(missing)?;
        Ok(MappedSection::new(section, &self.region, &self.checks))
    }

    /// A range of a derived section, checked.
    pub(super) fn derived(&self, kind: Kind, range: Range<u64>) -> Result<&[u8], Flaw> {
        self.present(kind)?
            .get(range.start as usize..range.end as usize)
            .map_err(|bad| block_flaw(kind, bad))
    }

    /// All of a derived section, checked.
    pub(super) fn derived_all(&self, kind: Kind) -> Result<&[u8], Flaw> {
        self.derived(kind, 0..self.section(kind).len)
    }

    /// A range of a truth section that `row` needs.
    pub(super) fn truth(
        &self,
        kind: Kind,
        range: Range<usize>,
        row: u32,
    ) -> Result<&[u8], SegmentError> {
        self.mapped(kind).get(range).map_err(|BadBlock(block)| {
            let detail =
                format!("row {row} cannot be read: block {block} does not match its checksum");
            SegmentError::corrupt(&self.path, kind.name(), detail)
        })
    }

    pub(super) fn row_exists(&self, kind: Kind, row: u32) -> Result<(), SegmentError> {
        if row < self.rows() {
            return Ok(());
        }
        Err(self.damaged(&Damaged { array: kind.name(), row }))
    }
}

pub(super) fn block_flaw(kind: Kind, BadBlock(block): BadBlock) -> Flaw {
    Flaw::damaged(kind.name(), format!("block {block} does not match its checksum"))
}

fn flaw_of<T>(kept: &OnceLock<Result<T, Flaw>>) -> Option<&Flaw> {
    kept.get().and_then(|result| result.as_ref().err())
}

#[cfg(test)]
mod tests {
    #[test]
    fn is_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<super::Segment>();
        shared::<crate::MergeSource>();
    }
}
