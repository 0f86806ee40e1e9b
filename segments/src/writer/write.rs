//! The passes of a writer, in order.

use std::ops::ControlFlow;
use std::path::Path;

use vecstore_index::{Codes, FieldLimits, GraphOptions, Metric, Precision, Quantizer, Workers};

use super::columns::{write_ids, write_seqs};
use super::file::FileWriter;
use super::indexes::write_indexes;
use super::metadata::write_metadata;
use super::plan::{check_limits, plan_namespaces};
use super::progress::{Progress, Reporter, Stage};
use super::sketches::write_sketches;
use super::source::RowSource;
use super::temporary::TemporaryFile;
use super::vectors::{IndexPlan, train_quantizer, write_vectors};
use crate::format::{Header, Kind, encode_namespaces};
use crate::reader::verify_file;
use crate::{IndexOption, Segment, SegmentError, Vfs};

/// Passes of [`Stage::Rows`]: vectors, ids, metadata.
pub(super) const ROW_PASSES: u64 = 3;

/// What a segment is to contain besides its rows.
#[derive(Clone, Debug)]
pub struct WriteOptions {
    /// Components of a vector.
    pub dim: usize,
    /// Metric.
    pub metric: Metric,
    /// What vectors are stored in; a source gives what such a vector can hold.
    pub precision: Precision,
    /// Which codes are kept. Without them graphs are walked on full vectors, scans read those, and the cheaper
    /// index is a graph, as clusters consist of codes.
    pub codes: Codes,
    /// Graph parameters.
    pub graph: GraphOptions,
    /// Of which kind indexes are to be.
    pub index: IndexOption,
    /// A namespace with fewer rows gets no index and is scanned.
    pub index_rows_min: u32,
    /// A segment with fewer rows gets no sketches: they are for scans of many rows.
    pub sketch_rows_min: u32,
    /// Limits of the field indices.
    pub fields: FieldLimits,
    /// Keys of the metadata paths that are not indexed, with all beneath them.
    pub unindexed: Vec<String>,
    /// Bytes of the volume to leave free: the segment is given up before fewer are left.
    pub keep_free: u64,
}

/// A segment that was written and verified.
#[derive(Clone, Debug)]
pub struct Written {
    /// Length of the file.
    pub bytes: u64,
    /// Rows.
    pub rows: u32,
}

/// Writes the segment `id` of `source` to `dir/<id as 12 digits>.seg`.
///
/// The bytes go to a temporary name (`tmp-<id>`) first, are made durable, read back and checked,
/// renamed, and the folder is made durable; on any error (and on `Break` from `progress`) nothing
/// is left. An existing segment is never replaced. The same rows and options give the same bytes,
/// whatever the number of threads.
///
/// Where the cheaper kind of index is asked for, both are built and measured, unless the source has
/// indexes whose kind was [measured](crate::IndexChoice) before; the costs of their steps are
/// options, so that no clock decides.
///
/// A namespace for which the source lends graphs gets one that is merged from them. If its recall
/// falls short of what they were measured to do it is built anew; [`GraphOrigin`](crate::GraphOrigin) says so.
///
/// Graphs are made of codes whether they are kept or not.
///
/// Memory: the codes of all rows (a byte a component, rounded up to 64) and the links of the
/// largest graph (`8 * m` bytes a row, twice if it is merged), or 24 bytes a row and the field indices, whichever is
/// more; clusters and coarse codes take half a byte a component; besides that up to 64 MiB. Vectors and metadata go through in small pieces.
///
/// A source that contradicts the promises of [`RowSource`] (namespaces out of order, an id twice,
/// metadata that is no JSON object) is [`SegmentError::Corrupt`]; a dimension or a number of rows
/// beyond the format is [`SegmentError::Unsupported`].
#[allow(clippy::too_many_arguments)]
pub fn write_segment(
    vfs: &dyn Vfs,
    dir: &Path,
    id: u64,
    source: &dyn RowSource,
    options: &WriteOptions,
    workers: &dyn Workers,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Written, SegmentError> {
    let mut reporter = Reporter(progress);
    let temporary = dir.join(format!("tmp-{id}"));
    check_limits(source, options, &temporary)?;
    let target = TemporaryFile::create(vfs, temporary)?;
    let bytes = write_file(&target, id, source, options, workers, &mut reporter)?;
    // A failed sync is not tried again: what it lost is gone, and the file is given up.
    target.file.sync().map_err(|e| SegmentError::io("sync", &target.path, e))?;
    verify(vfs, &target.path, source.rows(), bytes, &mut reporter)?;
    target.file.seal().map_err(|e| SegmentError::io("seal", &target.path, e))?;
    target.keep(dir, &Segment::file_name(id))?;
    Ok(Written { bytes, rows: source.rows() })
}

/// Writes all sections; gives the length of the file.
fn write_file(
    target: &TemporaryFile<'_>,
    id: u64,
    source: &dyn RowSource,
    options: &WriteOptions,
    workers: &dyn Workers,
    reporter: &mut Reporter<'_>,
) -> Result<u64, SegmentError> {
    let WriteOptions { dim, metric, precision, codes, .. } = *options;
    let namespaces = plan_namespaces(source, options, &target.path)?;
    let quantizer = train_quantizer(source, metric, dim)?;
    let header = Header {
        segment: id,
        rows: source.rows(),
        dim: dim as u32,
        code_bytes: match codes {
            Codes::Int8 => quantizer.code_len() as u32,
            Codes::None => 0,
        },
        metric,
        precision,
    };
    let out = &mut FileWriter::new(target, header, options.keep_free)?;
    let indexes = IndexPlan::of_namespaces(&namespaces, source, metric, dim)?;
    let encoded = write_vectors(out, source, precision, &quantizer, &indexes, workers, reporter)?;
    write_codes(out, &encoded.codes, &quantizer, options, workers)?;
    write_ids(out, source, &namespaces, reporter)?;
    write_seqs(out, source)?;
    write_metadata(out, source, options, reporter)?;
    out.section(Kind::Namespaces, &encode_namespaces(&namespaces))?;
    let quantizer_bytes = match codes {
        Codes::Int8 => quantizer.to_bytes(),
        Codes::None => Vec::new(),
    };
    out.section(Kind::Quantizer, &quantizer_bytes)?;
    write_indexes(out, source, indexes, &encoded, &quantizer, options, workers, reporter)?;
    out.finish()
}

/// Writes codes and sketches, or sections without content where codes are not kept.
fn write_codes(
    out: &mut FileWriter<'_>,
    codes: &[u8],
    quantizer: &Quantizer,
    options: &WriteOptions,
    workers: &dyn Workers,
) -> Result<(), SegmentError> {
    match options.codes {
        Codes::Int8 => {
            out.section(Kind::Codes, codes)?;
            write_sketches(out, codes, quantizer, options, workers)
        }
        Codes::None => {
            for kind in [Kind::Codes, Kind::Sketches, Kind::SketchRows] {
                out.section(kind, &[])?;
            }
            Ok(())
        }
    }
}

/// Opens the file anew and reads all of it.
fn verify(
    vfs: &dyn Vfs,
    path: &Path,
    rows: u32,
    bytes: u64,
    reporter: &mut Reporter<'_>,
) -> Result<(), SegmentError> {
    let rows = u64::from(rows);
    let segment = Segment::open(vfs, path)?;
    let report = verify_file(&segment, &mut |read| {
        let done = (u128::from(rows) * u128::from(read.min(bytes)) / u128::from(bytes)) as u64;
        reporter.report(Stage::Verify, done, rows)
    })?;
    match report.problems.first() {
        None => Ok(()),
        Some(first) => {
            let detail = format!(
                "what was written cannot be read back ({} problems): {first}",
                report.problems.len()
            );
            Err(SegmentError::corrupt(path, "file", detail))
        }
    }
}
