//! Quantizer, graphs and field indices: decoded when they are first asked for.

use vecstore_index::{Calibration, FieldIndex, FormatError, Quantizer, UpperLayers};

use super::rows::{CheckedRows, LinkRows};
use super::segment::{NamespaceRows, Segment, SegmentGraph};
use crate::format::{Flaw, GraphEntry, GraphSections, Kind, decode_graphs};
use crate::{GraphOrigin, SegmentError};

/// The small parts of a graph, decoded.
#[derive(Debug)]
pub(super) struct GraphHead {
    upper: UpperLayers,
    calibration: Calibration,
}

impl Segment {
    /// Quantizer of the codes, or why there is none (a damaged derived section).
    pub fn quantizer(&self) -> Result<&Quantizer, SegmentError> {
        self.quantizer
            .get_or_init(|| self.decode_quantizer())
            .as_ref()
            .map_err(|flaw| flaw.clone().of(&self.path))
    }

    fn decode_quantizer(&self) -> Result<Quantizer, Flaw> {
        let bytes = self.derived_all(Kind::Quantizer)?;
        let quantizer =
            Quantizer::from_bytes(bytes).map_err(|e| format_flaw(Kind::Quantizer, e))?;
        let fits = quantizer.dim() == self.dim()
            && quantizer.metric() == self.metric()
            && quantizer.code_len() == self.header.code_bytes as usize;
        if !fits {
            return Err(Flaw::damaged(Kind::Quantizer.name(), "it is of other vectors"));
        }
        Ok(quantizer)
    }

    /// Graph of a namespace, `None` if it has none; an error if its upper layers are damaged.
    pub fn graph(
        &self,
        namespace: &NamespaceRows,
    ) -> Result<Option<SegmentGraph<'_>>, SegmentError> {
        let Some(graph) = namespace.graph_number else { return Ok(None) };
        self.graph_of(graph as usize, namespace).map_err(|flaw| flaw.of(&self.path))
    }

    /// `None` also if the namespace is one of another segment, with more graphs.
    fn graph_of(
        &self,
        graph: usize,
        rows: &NamespaceRows,
    ) -> Result<Option<SegmentGraph<'_>>, Flaw> {
        let (Some(entry), Some(head)) =
            (self.graph_table()?.get(graph), self.graph_heads.get(graph))
        else {
            return Ok(None);
        };
        let head =
            head.get_or_init(|| self.decode_graph_head(entry)).as_ref().map_err(Flaw::clone)?;
        let links = CheckedRows::new(
            self.mapped(Kind::Links),
            Kind::Links.name(),
            entry.links.start as usize,
            entry.degree as usize,
            rows.rows.clone(),
        );
        Ok(Some(SegmentGraph {
            links: LinkRows(links.for_many()),
            upper: &head.upper,
            calibration: &head.calibration,
            origin: entry.origin,
        }))
    }

    fn graph_table(&self) -> Result<&[GraphEntry], Flaw> {
        let table = self.graph_entries.get_or_init(|| self.decode_graph_entries());
        table.as_deref().map_err(Flaw::clone)
    }

    /// How each graph was made, with the name of its namespace. Reads the table of the graphs.
    pub fn graph_origins(&self) -> Result<Vec<(&str, GraphOrigin)>, SegmentError> {
        let table = self.graph_table().map_err(|flaw| flaw.of(&self.path))?;
        let with_graph = self.namespaces().iter().filter(|n| n.graph);
        Ok(with_graph.zip(table).map(|(n, graph)| (n.name.as_str(), graph.origin)).collect())
    }

    /// The table's entry of a namespace's graph, if it has one that can be read.
    pub(super) fn graph_entry(&self, namespace: &str) -> Option<&GraphEntry> {
        let number = self.namespace(namespace)?.graph_number?;
        self.graph_entries.get()?.as_ref().ok()?.get(number as usize)
    }

    /// As many graphs as the namespaces say, each over its namespace's rows.
    fn decode_graph_entries(&self) -> Result<Vec<GraphEntry>, Flaw> {
        let len = GraphSections {
            links: self.section(Kind::Links).len,
            upper: self.section(Kind::UpperLayers).len,
            calibrations: self.section(Kind::Calibrations).len,
        };
        let entries = decode_graphs(self.derived_all(Kind::Graphs)?, len)?;
        let with_graph = self.namespaces().iter().filter(|n| n.graph);
        let same = with_graph
            .map(|n| (n.rows.start, n.rows.len() as u32))
            .eq(entries.iter().map(|g| (g.first_row, g.rows)));
        if !same {
            return Err(Flaw::damaged(
                Kind::Graphs.name(),
                "the graphs are not those of the namespaces",
            ));
        }
        Ok(entries)
    }

    fn decode_graph_head(&self, entry: &GraphEntry) -> Result<GraphHead, Flaw> {
        let upper = self.derived(Kind::UpperLayers, entry.upper.clone())?;
        let calibration = self.derived(Kind::Calibrations, entry.calibration.clone())?;
        Ok(GraphHead {
            upper: UpperLayers::from_bytes(upper, entry.rows)
                .map_err(|e| format_flaw(Kind::UpperLayers, e))?,
            calibration: Calibration::from_bytes(calibration)
                .map_err(|e| format_flaw(Kind::Calibrations, e))?,
        })
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

pub(super) fn format_flaw(kind: Kind, error: FormatError) -> Flaw {
    Flaw::damaged(kind.name(), error.to_string())
}
