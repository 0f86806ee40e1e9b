//! The indexes section by section: made one by one, of the kind that is asked for or cheaper, and
//! written.

use std::ops::{ControlFlow, Range};
use std::path::Path;

use vecstore_index::{
    CoarseBuf, Codes, FlatRows, FlatVectors, Precision, Probe, Quantizer, Stored, Workers,
};

use super::clustered::{Clustered, Clustering};
use super::file::{FileWriter, SectionWriter};
use super::linked::{Linked, Linking};
use super::progress::{Reporter, Stage};
use super::vectors::{EncodedVectors, IndexPlan};
use super::write::WriteOptions;
use crate::format::{
    ClusterParts, CoarseParts, GraphParts, IndexEntry, IndexParts, Kind, encode_indexes,
};
use crate::{
    IndexChoice, IndexKind, IndexOption, LentChoice, MeasuredCosts, RowSource, SegmentError,
    StepCosts,
};

/// Makes and writes every planned index, one at a time.
#[allow(clippy::too_many_arguments, reason = "what an index is made of, and how")]
pub(super) fn write_indexes(
    out: &mut FileWriter<'_>,
    source: &dyn RowSource,
    plans: Vec<IndexPlan>,
    encoded: &EncodedVectors,
    quantizer: &Quantizer,
    options: &WriteOptions,
    workers: &dyn Workers,
    reporter: &mut Reporter<'_>,
) -> Result<(), SegmentError> {
    let path = out.path();
    let total: u64 = plans.iter().map(|plan| plan.rows.len() as u64).sum();
    let mut done = 0;
    // Only the vectors near a probe are read by a graph, and clusters read them once more in
    // order, so they are mapped and not held in memory.
    let mapped = match plans.is_empty() {
        true => None,
        false => {
            let file = out.file_up_to(encoded.vectors.offset + encoded.vectors.len)?;
            Some(file.map().map_err(|e| SegmentError::io("map", path, e))?)
        }
    };
    let vectors = mapped
        .as_deref()
        .and_then(|file| {
            let start = encoded.vectors.offset as usize;
            file.get(start..start + encoded.vectors.len as usize)
        })
        .unwrap_or_default();
    let making =
        Making { path, source, codes: &encoded.codes, vectors, quantizer, options, workers };

    let mut parts = Parts::default();
    let mut links = out.begin(Kind::Links)?;
    for plan in plans {
        let rows = plan.rows.clone();
        let probes = plan.into_probes();
        let (index, choice) = making.run(rows.clone(), &probes, &mut |made| {
            reporter.report(Stage::Graph, done + u64::from(made), total)
        })?;
        parts.add(rows.clone(), index, choice, &mut links)?;
        done += rows.len() as u64;
        if let ControlFlow::Break(()) = reporter.report(Stage::Graph, done, total) {
            return Err(SegmentError::Cancelled);
        }
    }
    links.finish()?;
    out.section(Kind::CoarseCodes, &parts.coarse)?;
    out.section(Kind::UpperLayers, &parts.upper)?;
    out.section(Kind::Calibrations, &parts.calibrations)?;
    out.section(Kind::Clusters, &parts.heads)?;
    out.section(Kind::ClusterBlocks, &parts.blocks)?;
    out.section(Kind::Indexes, &encode_indexes(&parts.entries))?;
    Ok(())
}

/// An index that was made.
enum Index {
    Graph(Linked),
    Clusters(Clustered),
}

/// What indexes are made of.
struct Making<'a> {
    path: &'a Path,
    source: &'a dyn RowSource,
    /// Codes of all rows, and their vectors as they are stored.
    codes: &'a [u8],
    vectors: &'a [u8],
    quantizer: &'a Quantizer,
    options: &'a WriteOptions,
    workers: &'a dyn Workers,
}

impl Making<'_> {
    fn run(
        &self,
        rows: Range<u32>,
        probes: &[Probe],
        progress: &mut dyn FnMut(u32) -> ControlFlow<()>,
    ) -> Result<(Index, IndexChoice), SegmentError> {
        let option = match self.options.codes {
            Codes::Int8 => self.options.index,
            // Clusters consist of codes.
            Codes::None => IndexOption::Always(IndexKind::Graph),
        };
        match decide(option, &self.source.choices(rows.clone()), rows.len() as u32) {
            Decision::Is(IndexKind::Graph, choice) => {
                Ok((Index::Graph(self.link(rows, probes, progress)?), choice))
            }
            Decision::Is(IndexKind::Clusters, choice) => {
                Ok((Index::Clusters(self.cluster(rows, probes, progress)?), choice))
            }
            Decision::Measure(costs) => self.cheaper(&costs, rows, probes, progress),
        }
    }

    /// Makes both and keeps the one that costs less.
    fn cheaper(
        &self,
        costs: &StepCosts,
        rows: Range<u32>,
        probes: &[Probe],
        progress: &mut dyn FnMut(u32) -> ControlFlow<()>,
    ) -> Result<(Index, IndexChoice), SegmentError> {
        let row_count = rows.len() as u32;
        // Clusters take little of the time, and progress does not go back.
        let clustered = self.cluster(rows.clone(), probes, &mut |_| progress(0))?;
        let linked = self.link(rows, probes, progress)?;
        let leaves = clustered.buf.clusters.leaves();
        let clusters_us = costs.clusters_us(&clustered.calibration, leaves, row_count);
        let graph_us = costs.graph_us(&linked.calibration, row_count);
        let (index, us, other_us) = match MeasuredCosts::kind_kept(graph_us, clusters_us) {
            IndexKind::Clusters => (Index::Clusters(clustered), clusters_us, graph_us),
            IndexKind::Graph => (Index::Graph(linked), graph_us, clusters_us),
        };
        let measured = MeasuredCosts { us, other_us, rows: row_count };
        Ok((index, IndexChoice::Measured(measured)))
    }

    fn link(
        &self,
        rows: Range<u32>,
        probes: &[Probe],
        progress: &mut dyn FnMut(u32) -> ControlFlow<()>,
    ) -> Result<Linked, SegmentError> {
        let code_len = self.quantizer.code_len();
        let codes = &self.codes[rows.start as usize * code_len..rows.end as usize * code_len];
        let linking = Linking {
            path: self.path,
            codes: FlatRows::new(Kind::Codes.name(), codes, code_len),
            kept: self.options.codes,
            vectors: self.vectors(&rows),
            quantizer: self.quantizer,
            options: &self.options.graph,
            workers: self.workers,
        };
        linking.run(self.source.graphs(rows), probes, progress)
    }

    fn cluster(
        &self,
        rows: Range<u32>,
        probes: &[Probe],
        progress: &mut dyn FnMut(u32) -> ControlFlow<()>,
    ) -> Result<Clustered, SegmentError> {
        let clustering = Clustering {
            path: self.path,
            vectors: self.vectors(&rows),
            metric: self.options.metric,
            dim: self.options.dim,
            workers: self.workers,
        };
        clustering.run(probes, progress)
    }

    fn vectors(&self, rows: &Range<u32>) -> FlatVectors<'_> {
        let WriteOptions { dim, precision, .. } = *self.options;
        let row_bytes = dim * precision.bytes();
        let bytes = &self.vectors[rows.start as usize * row_bytes..rows.end as usize * row_bytes];
        FlatVectors::new(stored(precision, bytes), dim)
    }
}

/// Vectors as they are stored, back to back.
fn stored(precision: Precision, bytes: &[u8]) -> Stored<'_> {
    match precision {
        Precision::F32 => Stored::F32(bytemuck::cast_slice(bytes)),
        Precision::F16 => Stored::F16(bytemuck::cast_slice(bytes)),
    }
}

/// What to make of a namespace's rows.
#[derive(Debug, PartialEq)]
enum Decision {
    Is(IndexKind, IndexChoice),
    Measure(StepCosts),
}

/// Kept is the kind that most rows have of those merged, or of those that are there, as long as what was
/// measured stands for so many rows; else both kinds are built and measured.
fn decide(option: IndexOption, lent: &[LentChoice], rows: u32) -> Decision {
    match option {
        IndexOption::Always(kind) => Decision::Is(kind, IndexChoice::Asked),
        IndexOption::Cheaper(costs) => match MeasuredCosts::taken_over(lent, rows) {
            Some((kind, measured)) => Decision::Is(kind, IndexChoice::TakenOver(measured)),
            None => Decision::Measure(costs),
        },
    }
}

/// What is gathered of all indexes while the links are written.
#[derive(Default)]
struct Parts {
    entries: Vec<IndexEntry>,
    upper: Vec<u8>,
    calibrations: Vec<u8>,
    heads: Vec<u8>,
    blocks: Vec<u8>,
    coarse: Vec<u8>,
}

impl Parts {
    fn add(
        &mut self,
        rows: Range<u32>,
        index: Index,
        choice: IndexChoice,
        links: &mut SectionWriter<'_, '_>,
    ) -> Result<(), SegmentError> {
        let (calibration, parts) = match index {
            Index::Graph(Linked { graph, coarse, calibration, origin }) => {
                links.align(64)?;
                let links_start = links.len();
                links.write(bytemuck::cast_slice(&graph.links))?;
                let parts = GraphParts {
                    degree: graph.degree as u32,
                    origin,
                    links: links_start..links.len(),
                    upper: append(&mut self.upper, &graph.upper.to_bytes()),
                    coarse: coarse.map(|CoarseBuf { levels, codes }| {
                        self.coarse.resize(self.coarse.len().next_multiple_of(64), 0);
                        CoarseParts { levels, codes: append(&mut self.coarse, &codes) }
                    }),
                };
                (calibration.to_bytes(), IndexParts::Graph(parts))
            }
            Index::Clusters(Clustered { buf, calibration }) => {
                // Blocks are whole lines of 64 bytes, so all of them are aligned.
                let parts = ClusterParts {
                    block_bytes: buf.clusters.block_len() as u32,
                    blocks: buf.clusters.blocks(),
                    data: append(&mut self.blocks, &buf.blocks),
                    head: append(&mut self.heads, &buf.clusters.to_bytes()),
                };
                (calibration.to_bytes(), IndexParts::Clusters(parts))
            }
        };
        self.entries.push(IndexEntry {
            first_row: rows.start,
            rows: rows.len() as u32,
            choice,
            calibration: append(&mut self.calibrations, &calibration),
            parts,
        });
        Ok(())
    }
}

/// Appends `bytes`; gives where they lie.
fn append(all: &mut Vec<u8>, bytes: &[u8]) -> Range<u64> {
    let start = all.len() as u64;
    all.extend_from_slice(bytes);
    start..all.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_keeps_a_kind_that_was_measured() {
        let costs = StepCosts {
            graph_step_ns: 1.0,
            leaf_ns: 1.0,
            cluster_row_ns: 1.0,
            scan_row_ns: 1.0,
            exact_ns: 1.0,
        };
        use IndexKind::{Clusters, Graph};
        let good = MeasuredCosts { us: 16.0, other_us: 32.0, rows: 1_000 };
        let lent = |kind, choice| LentChoice { rows: 900, kind, choice };
        let check = |lent: &[LentChoice], rows, expected: Option<IndexKind>| {
            let kept = match decide(IndexOption::Cheaper(costs), lent, rows) {
                Decision::Is(kind, IndexChoice::TakenOver(_)) => Some(kind),
                Decision::Measure(measured) if measured == costs => None,
                other => panic!("{other:?}"),
            };
            assert_eq!(kept, expected, "{lent:?}");
        };
        let measured = IndexChoice::Measured(good);
        check(&[], 1_000, None);
        check(&[lent(Graph, measured), lent(Graph, measured)], 1_800, Some(Graph));
        check(&[lent(Clusters, IndexChoice::TakenOver(good))], 1_000, Some(Clusters));
        check(&[lent(Graph, IndexChoice::Asked)], 900, None);
        for kind in [Graph, Clusters] {
            assert_eq!(
                decide(IndexOption::Always(kind), &[lent(kind.other(), measured)], 900),
                Decision::Is(kind, IndexChoice::Asked)
            );
        }
    }
}
