//! The pass over the vectors: they are copied to the file, encoded, and shown to the probes.

use std::ops::Range;

use parking_lot::Mutex;
use vecstore_index::half::f16;
use vecstore_index::half::vec::HalfFloatVecExt;
use vecstore_index::{Metric, Precision, Probe, Quantizer, Stored, Workers};

use super::file::FileWriter;
use super::plan::spread;
use super::progress::Reporter;
use crate::format::{Kind, NamespaceEntry, Section};
use crate::{RowSource, SegmentError};

/// Vectors that the quantizer is fitted to.
const SAMPLE_ROWS: u32 = 10_000;
/// … and the bytes they may take.
const SAMPLE_BYTES: usize = 64 << 20;
/// Queries that an index is measured with.
const PROBES: u32 = 256;
/// Bytes of vectors handled at once.
const CHUNK_BYTES: usize = 1 << 20;

/// Fits a quantizer to rows that are spread evenly.
pub(super) fn train_quantizer(
    source: &dyn RowSource,
    metric: Metric,
    dim: usize,
) -> Result<Quantizer, SegmentError> {
    let rows = SAMPLE_ROWS.min((SAMPLE_BYTES / (4 * dim)) as u32);
    let mut sample = Vec::new();
    for row in spread(source.rows(), rows) {
        let start = sample.len();
        sample.resize(start + dim, 0.0);
        source.vector(row, &mut sample[start..])?;
    }
    Ok(Quantizer::train(metric, dim, &sample))
}

/// An index to be built, and the queries it will be measured with.
pub(super) struct IndexPlan {
    /// Its rows in the segment.
    pub(super) rows: Range<u32>,
    probes: Vec<Mutex<Probe>>,
}

impl IndexPlan {
    pub(super) fn of_namespaces(
        namespaces: &[NamespaceEntry],
        source: &dyn RowSource,
        metric: Metric,
        dim: usize,
    ) -> Result<Vec<IndexPlan>, SegmentError> {
        let mut vector = vec![0.0; dim];
        let with_index = namespaces.iter().filter(|n| n.index.is_some());
        with_index
            .map(|n| {
                let probes = spread(n.rows, PROBES).map(|row| {
                    source.vector(n.first_row + row, &mut vector)?;
                    Ok(Mutex::new(Probe::new(metric, row, &vector)))
                });
                Ok(IndexPlan {
                    probes: probes.collect::<Result<_, SegmentError>>()?,
                    rows: n.first_row..n.first_row + n.rows,
                })
            })
            .collect()
    }

    pub(super) fn into_probes(self) -> Vec<Probe> {
        self.probes.into_iter().map(Mutex::into_inner).collect()
    }
}

/// The codes of all rows, back to back, and where the vectors lie.
pub(super) struct EncodedVectors {
    pub(super) codes: Vec<u8>,
    pub(super) vectors: Section,
}

/// Reads every vector once, in order.
pub(super) fn write_vectors(
    out: &mut FileWriter<'_>,
    source: &dyn RowSource,
    precision: Precision,
    quantizer: &Quantizer,
    indexes: &[IndexPlan],
    workers: &dyn Workers,
    reporter: &mut Reporter<'_>,
) -> Result<EncodedVectors, SegmentError> {
    let dim = quantizer.dim();
    let rows = source.rows();
    let chunk_rows = (CHUNK_BYTES / (4 * dim)).max(1);
    let mut codes = vec![0; rows as usize * quantizer.code_len()];
    let mut code_chunks = codes.chunks_mut(chunk_rows * quantizer.code_len());
    let mut chunk = Vec::with_capacity(chunk_rows * dim);
    let path = out.path().to_owned();
    let mut section = out.begin(Kind::Vectors)?;
    for first in (0..rows).step_by(chunk_rows) {
        let end = rows.min(first.saturating_add(chunk_rows as u32));
        chunk.resize((end - first) as usize * dim, 0.0);
        for (row, vector) in (first..end).zip(chunk.chunks_exact_mut(dim)) {
            reporter.rows(row, rows, 0, super::write::ROW_PASSES)?;
            source.vector(row, vector)?;
        }
        match precision {
            Precision::F32 => section.write(bytemuck::cast_slice(&chunk))?,
            Precision::F16 => {
                let halves = halves_of(&chunk).map_err(|at| {
                    let row = first as usize + at / dim;
                    let detail = format!(
                        "row {row}: component {} is {}, which is none of half precision",
                        at % dim,
                        chunk[at]
                    );
                    SegmentError::corrupt(&path, Kind::Vectors.name(), detail)
                })?;
                section.write(bytemuck::cast_slice(&halves))?;
            }
        }
        encode(&chunk, code_chunks.next().unwrap_or_default(), quantizer, workers);
        observe(&chunk, first..end, dim, indexes, workers);
    }
    Ok(EncodedVectors { vectors: section.finish()?, codes })
}

/// Components of half precision, or where the first one is that is none.
fn halves_of(chunk: &[f32]) -> Result<Vec<f16>, usize> {
    let halves = Vec::from_f32_slice(chunk);
    let mut components = chunk.iter().zip(Stored::F16(&halves).to_vec());
    match components.position(|(given, kept)| *given != kept || !kept.is_finite()) {
        None => Ok(halves),
        Some(at) => Err(at),
    }
}

/// Encodes a chunk, a part of it on each thread.
fn encode(chunk: &[f32], codes: &mut [u8], quantizer: &Quantizer, workers: &dyn Workers) {
    let (dim, code_len) = (quantizer.dim(), quantizer.code_len());
    let part_rows = (chunk.len() / dim).div_ceil(workers.threads()).max(1);
    let parts: Vec<_> = chunk
        .chunks(part_rows * dim)
        .zip(codes.chunks_mut(part_rows * code_len))
        .map(Mutex::new)
        .collect();
    workers.run(parts.len(), &|part| {
        let mut part = parts[part].lock();
        let (vectors, codes) = &mut *part;
        for (vector, code) in vectors.chunks_exact(dim).zip(codes.chunks_exact_mut(code_len)) {
            quantizer.encode(vector, code);
        }
    });
}

/// Shows a chunk to the probes of the indexes that have rows in it.
fn observe(
    chunk: &[f32],
    rows: Range<u32>,
    dim: usize,
    indexes: &[IndexPlan],
    workers: &dyn Workers,
) {
    let first = indexes.partition_point(|index| index.rows.end <= rows.start);
    for index in indexes[first..].iter().take_while(|index| index.rows.start < rows.end) {
        let shared = index.rows.start.max(rows.start)..index.rows.end.min(rows.end);
        let start = (shared.start - rows.start) as usize * dim;
        let vectors = &chunk[start..start + shared.len() * dim];
        workers.run(index.probes.len(), &|probe| {
            index.probes[probe].lock().observe(shared.start - index.rows.start, vectors);
        });
    }
}
