//! Quantizer, indexes and field indices: decoded when they are first asked for.

use std::fmt;
use std::ops::Range;

use vecstore_index::{
    Calibration, ClusterCalibration, Clusters, CoarseBuf, Codes, FieldIndex, FormatError,
    Quantizer, Sketches, UpperLayers,
};

use super::rows::{BlockRows, CheckedRows, CoarseRows, LinkRows, SketchRows};
use super::segment::{NamespaceRows, Segment, SegmentClusters, SegmentGraph, SegmentSketches};
use crate::format::{
    ClusterParts, Flaw, GraphParts, IndexEntry, IndexParts, IndexSections, Kind, decode_indexes,
};
use crate::{GraphOrigin, IndexChoice, IndexKind, LentChoice, SegmentError};

/// The small parts of an index, decoded.
#[derive(Debug)]
pub(super) enum IndexHead {
    Graph { upper: UpperLayers, calibration: Calibration },
    Clusters { clusters: Clusters, calibration: ClusterCalibration },
}

/// What a namespace's index is and how it came about, for people.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IndexAbout {
    /// How the graph was made, if it is one.
    pub graph: Option<GraphOrigin>,
    /// Why it is of its kind.
    pub choice: IndexChoice,
}

impl IndexAbout {
    /// Graph or clusters.
    #[must_use]
    pub fn kind(&self) -> IndexKind {
        if self.graph.is_some() { IndexKind::Graph } else { IndexKind::Clusters }
    }
}

impl fmt::Display for IndexAbout {
    /// `graph, merged from 2; 35.2 µs a query, clusters 48.0 µs`; costs only where both kinds were
    /// measured.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind().name())?;
        if let Some(origin) = self.graph {
            write!(f, ", {origin}")?;
        }
        self.choice.write(self.kind(), f)
    }
}

impl Segment {
    /// Quantizer of the codes, `None` if the segment has no codes; an error if it is damaged.
    pub fn quantizer(&self) -> Result<Option<&Quantizer>, SegmentError> {
        match self.decoded_quantizer() {
            Ok(quantizer) => Ok(quantizer.as_ref()),
            Err(flaw) => Err(flaw.clone().of(&self.path)),
        }
    }

    fn decoded_quantizer(&self) -> Result<&Option<Quantizer>, &Flaw> {
        self.quantizer.get_or_init(|| self.decode_quantizer()).as_ref()
    }

    fn decode_quantizer(&self) -> Result<Option<Quantizer>, Flaw> {
        if self.codes_kept() == Codes::None {
            return Ok(None);
        }
        let bytes = self.derived_all(Kind::Quantizer)?;
        let quantizer =
            Quantizer::from_bytes(bytes).map_err(|e| format_flaw(Kind::Quantizer, e))?;
        let fits = quantizer.dim() == self.dim()
            && quantizer.metric() == self.metric()
            && quantizer.code_len() == self.header.code_bytes as usize;
        if !fits {
            return Err(Flaw::damaged(Kind::Quantizer.name(), "it is of other vectors"));
        }
        Ok(Some(quantizer))
    }

    /// Sketches of a range of rows, `None` if the segment has none; an error if their head is damaged.
    pub fn sketches(&self, rows: Range<u32>) -> Result<Option<SegmentSketches<'_>>, SegmentError> {
        let decoded = self
            .sketches
            .get_or_init(|| self.decode_sketches())
            .as_ref()
            .map_err(|flaw| flaw.clone().of(&self.path))?;
        let Some(sketches) = decoded else { return Ok(None) };
        let width = sketches.sketch_len();
        let first_byte = width.saturating_mul(rows.start as usize);
        let kind = Kind::SketchRows;
        let rows = CheckedRows::new(self.mapped(kind), kind.name(), first_byte, width, rows);
        Ok(Some(SegmentSketches { rows: SketchRows(rows.for_many()), sketches }))
    }

    fn decode_sketches(&self) -> Result<Option<Sketches>, Flaw> {
        let head = self.derived_all(Kind::Sketches)?;
        let data = self.present(Kind::SketchRows)?.unchecked();
        if head.is_empty() && data.is_empty() {
            return Ok(None);
        }
        let sketches = Sketches::from_bytes(head).map_err(|e| format_flaw(Kind::Sketches, e))?;
        let quantizer = self.decoded_quantizer().map_err(Flaw::clone)?;
        if !quantizer.as_ref().is_some_and(|quantizer| sketches.fit(quantizer)) {
            return Err(Flaw::damaged(Kind::Sketches.name(), "they are of other vectors"));
        }
        if data.len() != self.rows() as usize * sketches.sketch_len() {
            let detail = format!("{} bytes are not {} sketches", data.len(), self.rows());
            return Err(Flaw::damaged(Kind::SketchRows.name(), detail));
        }
        Ok(Some(sketches))
    }

    /// Bytes of a sketch; 0 where there are none.
    pub(super) fn sketch_len(&self) -> usize {
        let sketches = self.sketches.get().and_then(|decoded| decoded.as_ref().ok()?.as_ref());
        sketches.map_or(0, Sketches::sketch_len)
    }

    /// Bytes of a coarse code; 0 where there are none.
    pub(super) fn coarse_len(&self) -> usize {
        CoarseBuf::coarse_len(self.header.code_bytes as usize).unwrap_or(0)
    }

    /// Graph of a namespace, `None` if it has none; an error if its upper layers are damaged.
    pub fn graph(
        &self,
        namespace: &NamespaceRows,
    ) -> Result<Option<SegmentGraph<'_>>, SegmentError> {
        let Some((entry, head)) = self.index(namespace)? else { return Ok(None) };
        let (IndexParts::Graph(parts), IndexHead::Graph { upper, calibration }) =
            (&entry.parts, head)
        else {
            return Ok(None);
        };
        let links = CheckedRows::new(
            self.mapped(Kind::Links),
            Kind::Links.name(),
            parts.links.start as usize,
            parts.degree as usize,
            namespace.rows.clone(),
        );
        let links = LinkRows(links.for_many());
        let coarse = parts.coarse.as_ref().map(|coarse| {
            let rows = CheckedRows::new(
                self.mapped(Kind::CoarseCodes),
                Kind::CoarseCodes.name(),
                coarse.codes.start as usize,
                self.coarse_len(),
                namespace.rows.clone(),
            );
            (CoarseRows(rows.for_many()), coarse.levels)
        });
        Ok(Some(SegmentGraph { links, coarse, upper, calibration, origin: parts.origin }))
    }

    /// Clusters of a namespace, `None` if it has none; an error if their small parts are damaged.
    pub fn clusters(
        &self,
        namespace: &NamespaceRows,
    ) -> Result<Option<SegmentClusters<'_>>, SegmentError> {
        let Some((entry, head)) = self.index(namespace)? else { return Ok(None) };
        let (IndexParts::Clusters(parts), IndexHead::Clusters { clusters, calibration }) =
            (&entry.parts, head)
        else {
            return Ok(None);
        };
        let blocks = CheckedRows::new(
            self.mapped(Kind::ClusterBlocks),
            Kind::ClusterBlocks.name(),
            parts.data.start as usize,
            parts.block_bytes as usize,
            0..parts.blocks,
        );
        Ok(Some(SegmentClusters { blocks: BlockRows(blocks.for_many()), clusters, calibration }))
    }

    /// The index of a namespace with its small parts.
    fn index(
        &self,
        namespace: &NamespaceRows,
    ) -> Result<Option<(&IndexEntry, &IndexHead)>, SegmentError> {
        let Some(number) = namespace.index_number else { return Ok(None) };
        let number = number as usize;
        let read = || {
            // Not there if the namespace is one of another segment, with more indexes.
            let (Some(entry), Some(head)) =
                (self.index_table()?.get(number), self.index_heads.get(number))
            else {
                return Ok(None);
            };
            let head = head.get_or_init(|| self.decode_head(entry));
            Ok(Some((entry, head.as_ref().map_err(Flaw::clone)?)))
        };
        read().map_err(|flaw: Flaw| flaw.of(&self.path))
    }

    fn index_table(&self) -> Result<&[IndexEntry], Flaw> {
        let table = self.index_entries.get_or_init(|| self.decode_index_entries());
        table.as_deref().map_err(Flaw::clone)
    }

    /// What the index of each namespace that has one is, with the namespace's name. Reads the
    /// table of the indexes.
    pub fn indexes(&self) -> Result<Vec<(&str, IndexAbout)>, SegmentError> {
        let table = self.index_table().map_err(|flaw| flaw.of(&self.path))?;
        let indexed = self.namespaces().iter().filter(|n| n.indexed);
        Ok(indexed.zip(table).map(|(n, entry)| (n.name.as_str(), about(entry))).collect())
    }

    /// Of which kind the index over a namespace's rows is and why, if it has one that can be read.
    pub fn choice(&self, namespace: &str) -> Option<LentChoice> {
        self.index_table().ok()?;
        let entry = self.index_entry(namespace)?;
        let about = about(entry);
        Some(LentChoice { rows: entry.rows, kind: about.kind(), choice: about.choice })
    }

    /// The table's entry of a namespace's index, if it has one that can be read.
    pub(super) fn index_entry(&self, namespace: &str) -> Option<&IndexEntry> {
        let number = self.namespace(namespace)?.index_number?;
        self.index_entries.get()?.as_ref().ok()?.get(number as usize)
    }

    /// As many indexes as the namespaces say, each over its namespace's rows.
    fn decode_index_entries(&self) -> Result<Vec<IndexEntry>, Flaw> {
        let len = |kind| self.section(kind).len;
        let len = IndexSections {
            links: len(Kind::Links),
            upper: len(Kind::UpperLayers),
            coarse: len(Kind::CoarseCodes),
            cluster_blocks: len(Kind::ClusterBlocks),
            clusters: len(Kind::Clusters),
            calibrations: len(Kind::Calibrations),
        };
        let entries = decode_indexes(self.derived_all(Kind::Indexes)?, len)?;
        let indexed = self.namespaces().iter().filter(|n| n.indexed);
        let same = indexed
            .map(|n| (n.rows.start, n.rows.len() as u32))
            .eq(entries.iter().map(|entry| (entry.first_row, entry.rows)));
        if !same {
            return Err(Flaw::damaged(
                Kind::Indexes.name(),
                "the indexes are not those of the namespaces",
            ));
        }
        Ok(entries)
    }

    fn decode_head(&self, entry: &IndexEntry) -> Result<IndexHead, Flaw> {
        let calibration = self.derived(Kind::Calibrations, entry.calibration.clone())?;
        match &entry.parts {
            IndexParts::Graph(parts) => self.decode_graph_head(entry.rows, parts, calibration),
            IndexParts::Clusters(parts) => self.decode_cluster_head(entry.rows, parts, calibration),
        }
    }

    fn decode_graph_head(
        &self,
        rows: u32,
        parts: &GraphParts,
        calibration: &[u8],
    ) -> Result<IndexHead, Flaw> {
        let upper = self.derived(Kind::UpperLayers, parts.upper.clone())?;
        let coarse = parts.coarse.as_ref().map_or(0, |parts| parts.codes.end - parts.codes.start);
        if coarse != u64::from(rows) * self.coarse_len() as u64 {
            let detail = format!("{coarse} bytes are not {rows} coarse codes");
            return Err(Flaw::damaged(Kind::CoarseCodes.name(), detail));
        }
        Ok(IndexHead::Graph {
            upper: UpperLayers::from_bytes(upper, rows)
                .map_err(|e| format_flaw(Kind::UpperLayers, e))?,
            calibration: Calibration::from_bytes(calibration)
                .map_err(|e| format_flaw(Kind::Calibrations, e))?,
        })
    }

    fn decode_cluster_head(
        &self,
        rows: u32,
        parts: &ClusterParts,
        calibration: &[u8],
    ) -> Result<IndexHead, Flaw> {
        let head = self.derived(Kind::Clusters, parts.head.clone())?;
        let clusters = Clusters::from_bytes(head).map_err(|e| format_flaw(Kind::Clusters, e))?;
        let fits = clusters.rows() == rows
            && clusters.dim() == self.dim()
            && clusters.metric() == self.metric()
            && clusters.block_len() == parts.block_bytes as usize
            && clusters.blocks() == parts.blocks;
        if !fits {
            return Err(Flaw::damaged(Kind::Clusters.name(), "they are of other vectors"));
        }
        let calibration = ClusterCalibration::from_bytes(calibration)
            .map_err(|e| format_flaw(Kind::Calibrations, e))?;
        Ok(IndexHead::Clusters { clusters, calibration })
    }

    /// Field indices over all rows of the segment. The first call reads and checks the section.
    pub fn fields(&self) -> Result<FieldIndex<'_>, SegmentError> {
        let checked = self.fields.get_or_init(|| self.open_fields().map(|_| ()));
        match checked {
            Ok(()) => self.open_fields().map_err(|flaw| flaw.of(&self.path)),
            Err(flaw) => Err(flaw.clone().of(&self.path)),
        }
    }

    fn open_fields(&self) -> Result<FieldIndex<'_>, Flaw> {
        let bytes = self.derived_all(Kind::Fields)?;
        FieldIndex::open(bytes).map_err(|e| format_flaw(Kind::Fields, e))
    }
}

fn about(entry: &IndexEntry) -> IndexAbout {
    IndexAbout {
        graph: match &entry.parts {
            IndexParts::Graph(parts) => Some(parts.origin),
            IndexParts::Clusters(_) => None,
        },
        choice: entry.choice,
    }
}

pub(super) fn format_flaw(kind: Kind, error: FormatError) -> Flaw {
    Flaw::damaged(kind.name(), error.to_string())
}
