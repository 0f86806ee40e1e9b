//! The graphs section by section: linked one by one, and written.

use std::ops::ControlFlow;

use vecstore_index::{FlatRows, GraphOptions, Quantizer, Workers};

use super::file::FileWriter;
use super::linked::{Linked, Linking};
use super::progress::{Reporter, Stage};
use super::vectors::{EncodedVectors, GraphPlan};
use crate::format::{GraphEntry, Kind, encode_graphs};
use crate::{RowSource, SegmentError};

/// Makes and writes every planned graph, one at a time.
#[allow(clippy::too_many_arguments, reason = "what a graph is made of, and how")]
pub(super) fn write_graphs(
    out: &mut FileWriter<'_>,
    source: &dyn RowSource,
    plans: Vec<GraphPlan>,
    encoded: &EncodedVectors,
    quantizer: &Quantizer,
    options: &GraphOptions,
    workers: &dyn Workers,
    reporter: &mut Reporter<'_>,
) -> Result<(), SegmentError> {
    let path = out.path();
    let total: u64 = plans.iter().map(|plan| plan.rows.len() as u64).sum();
    let mut done = 0;
    let mut entries = Vec::with_capacity(plans.len());
    let mut upper = Vec::new();
    let mut calibrations = Vec::new();
    // Only the vectors near a probe are read, so they are mapped and not held in memory.
    let file = out.file();
    let map = || file.map().map_err(|e| SegmentError::io("map", path, e));
    let mapped = if plans.is_empty() { None } else { Some(map()?) };
    let vectors = mapped
        .as_deref()
        .and_then(|file| {
            let start = encoded.vectors.offset as usize;
            file.get(start..start + encoded.vectors.len as usize)
        })
        .map_or(&[][..], bytemuck::cast_slice::<u8, f32>);

    let mut section = out.begin(Kind::Links)?;
    for plan in plans {
        let rows = plan.rows.start as usize..plan.rows.end as usize;
        let row_count = rows.len() as u32;
        let code_len = quantizer.code_len();
        let codes = FlatRows::new(
            Kind::Codes.name(),
            &encoded.codes[rows.start * code_len..rows.end * code_len],
            code_len,
        );
        let dim = quantizer.dim();
        let linking = Linking {
            path,
            codes,
            vectors: FlatRows::new(
                Kind::Vectors.name(),
                &vectors[rows.start * dim..rows.end * dim],
                dim,
            ),
            quantizer,
            options,
            workers,
        };
        let first_row = plan.rows.start;
        let lent = source.graphs(plan.rows.clone());
        let probes = plan.into_probes();
        let Linked { graph: buf, calibration, origin } =
            linking.run(lent, &probes, &mut |linked| {
                reporter.report(Stage::Graph, done + u64::from(linked), total)
            })?;

        section.align(64)?;
        let links_start = section.len();
        section.write(bytemuck::cast_slice(&buf.links))?;
        let append = |all: &mut Vec<u8>, bytes: Vec<u8>| {
            let start = all.len() as u64;
            all.extend_from_slice(&bytes);
            start..all.len() as u64
        };
        entries.push(GraphEntry {
            first_row,
            rows: row_count,
            degree: buf.degree as u32,
            origin,
            links: links_start..section.len(),
            upper: append(&mut upper, buf.upper.to_bytes()),
            calibration: append(&mut calibrations, calibration.to_bytes()),
        });
        done += u64::from(row_count);
        if let ControlFlow::Break(()) = reporter.report(Stage::Graph, done, total) {
            return Err(SegmentError::Cancelled);
        }
    }
    section.finish()?;
    out.section(Kind::UpperLayers, &upper)?;
    out.section(Kind::Calibrations, &calibrations)?;
    out.section(Kind::Graphs, &encode_graphs(&entries))?;
    Ok(())
}
