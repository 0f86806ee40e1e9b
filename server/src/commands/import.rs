//! `vecstore import`: records from files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use vecstore::{
    Codes, Collection, CollectionOptions, Database, ErrorKind, IndexOption, Metric, Options,
    Precision, limits,
};

use super::create::{check, parse_codes, parse_index, parse_metric, parse_precision};
use super::ingest::{Ingested, close, ingest};
use super::schema::SchemaArgs;
use crate::collection::Target;
use crate::failure::{Failure, Result};
use crate::input::{ArrayFile, Arrays, LineFile, LineFiles, RecordLines, Source};
use crate::output::Output;
use crate::units;

/// How long a batch waits for segments to be built before the import gives up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(3600);

/// Import records from files; a record whose id exists is replaced
///
/// FILE is either .npy (rows of float16, float32 or float64) with the metadata in --records, or
/// .jsonl, plain or gzip, with lines {"id": 7, "vector": [0.1, …], "metadata": {…}}, or - for such
/// lines on standard input. Several files are read as one, in the order given.
///
/// Ids that are JSON numbers become integers; strings stay strings, except UUIDs. An import that
/// was interrupted can be run again, or goes on with --skip.
///
/// JSON: {"collection", "namespace", "records", "skipped", "seconds", "records_per_second",
/// "flush_seconds", "count"}; count is how many records the namespace has now
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vecstore import data docs base.npy --records records.jsonl.gz --id id --metric cosine\n  vecstore import data docs export.jsonl.gz"
)]
pub(crate) struct Import {
    #[command(flatten)]
    target: Target,
    /// Files: .npy, .jsonl, .jsonl.gz, or - for lines on standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Metadata for .npy: one JSON object a row, in the same order; can be repeated
    #[arg(long, value_name = "FILE")]
    records: Vec<PathBuf>,
    /// Field with the id [default: for .jsonl `id`, for .npy none: the id is the row number]
    #[arg(long, value_name = "FIELD")]
    id: Option<String>,
    /// Create the collection if it is missing, with vectors of this many components [default: as
    /// in the file]
    #[arg(long, value_name = "N")]
    dim: Option<usize>,
    /// Create the collection if it is missing, with this metric [default: cosine]
    #[arg(long, value_parser = parse_metric)]
    metric: Option<Metric>,
    #[command(flatten)]
    schema: SchemaArgs,
    /// Create the collection if it is missing, with this index: auto, graph or clusters [default:
    /// auto]
    #[arg(long, value_parser = parse_index)]
    index: Option<IndexOption>,
    /// Create the collection if it is missing, with vectors stored in this precision: f32 or f16
    /// [default: f32]
    #[arg(long, value_parser = parse_precision)]
    precision: Option<Precision>,
    /// Create the collection if it is missing, with these codes in its segments: int8 or none [default:
    /// int8]
    #[arg(long, value_parser = parse_codes)]
    codes: Option<Codes>,
    /// Records a commit
    #[arg(long, value_name = "N", default_value_t = 1000)]
    batch: usize,
    /// Pass over the first N records
    #[arg(long, value_name = "N", default_value_t = 0)]
    skip: u64,
}

#[derive(Serialize)]
struct Imported<'a> {
    collection: &'a str,
    namespace: &'a str,
    records: u64,
    skipped: u64,
    seconds: f64,
    records_per_second: f64,
    flush_seconds: f64,
    count: u64,
}

impl Import {
    pub(super) fn run(self, out: &mut Output) -> Result {
        if !(1..=limits::BATCH_RECORDS_MAX).contains(&self.batch) {
            let max = limits::BATCH_RECORDS_MAX;
            return Err(Failure::usage(format!("--batch is {}, use 1 to {max}", self.batch)));
        }
        // What can be wrong with the files at first sight comes before a database is made.
        let mut source = self.source()?;
        let skipped = source.skip(self.skip)?;
        if skipped < self.skip {
            return Err(Failure::usage(format!(
                "--skip is {}, the input has {skipped} records",
                self.skip
            )));
        }
        let dim = source.dim()?;
        if let (Some(dim), Some(expected)) = (dim, self.dim) {
            check_dim(&source, dim, expected)?;
        }
        let (db, collection) = self.open(dim)?;
        if let Some(dim) = dim {
            check_dim(&source, dim, collection.settings().dim())?;
        }

        let mut committed = 0;
        let result =
            ingest(&collection, &mut source, skipped, self.batch, out.is_json(), &mut committed);
        let ingested =
            result.map_err(|failure| failure.with_note(progress_note(committed, skipped)))?;
        let count = collection.count(None)?;
        close(db, collection)?;
        self.report(&ingested, skipped, count, out)
    }

    /// The records in the files.
    fn source(&self) -> Result<Source<'static>> {
        let arrays = self.files.iter().filter(|file| has_extension(file, "npy")).count();
        let line_file = |path: &PathBuf| {
            if path == Path::new("-") { LineFile::Stdin } else { LineFile::Path(path.clone()) }
        };
        if arrays == 0 {
            if let Some(other) = self.files.iter().find(|file| !is_json_lines(file)) {
                return Err(Failure::usage(format!(
                    "{}: what kind of file is this? Its name must end in .npy, .jsonl or .jsonl.gz",
                    other.display()
                )));
            }
            if !self.records.is_empty() {
                return Err(Failure::usage(
                    "--records goes with .npy files; lines have their metadata in `metadata`",
                ));
            }
            let files = LineFiles::new(self.files.iter().map(line_file).collect())?;
            let id = self.id.clone().unwrap_or_else(|| "id".to_owned());
            if id == "vector" || id == "metadata" {
                return Err(Failure::usage(format!("--id cannot be `{id}`")));
            }
            return Ok(Source::Lines(RecordLines::new(files, id)));
        }
        if arrays < self.files.len() {
            return Err(Failure::usage("give either .npy files or files of lines, not both"));
        }
        if self.records.is_empty() && self.id.is_some() {
            return Err(Failure::usage("--id names a field of --records, which is not given"));
        }
        if self.records.iter().any(|file| file == Path::new("-")) {
            return Err(Failure::usage("--records is read twice and cannot be standard input"));
        }
        let arrays = self.files.iter().cloned().map(ArrayFile::Path).collect();
        let records = self.records.iter().map(line_file).collect();
        Ok(Source::Arrays(Arrays::new(arrays, records, self.id.clone())?))
    }

    /// Opens the collection; creates it, and the database, if that was asked for.
    fn open(&self, dim: Option<usize>) -> Result<(Database, Collection)> {
        let options = Options { busy_timeout: BUSY_TIMEOUT, ..Options::default() };
        let create = self.metric.is_some() || self.dim.is_some() || !self.schema.is_empty();
        let hint = |failure: Failure| {
            if failure.is(ErrorKind::NotFound) {
                failure.with_note("--metric (and --dim) would create it")
            } else {
                failure
            }
        };
        let name = &self.target.collection;
        let shape = |dim| {
            let metric = self.metric.unwrap_or(Metric::Cosine);
            let index = self.index.unwrap_or_default();
            let (precision, codes) =
                (self.precision.unwrap_or_default(), self.codes.unwrap_or_default());
            let options = CollectionOptions::new(dim, metric);
            self.schema.apply(options.index(index).precision(precision).codes(codes))
        };
        let shape = self.dim.or(dim).map(shape);
        if let Some(shape) = shape.as_ref().filter(|_| create) {
            check(name, shape)?;
        }
        let empty = || Failure::invalid("the input is empty: --dim must say how many components");
        let db = if create && shape.is_some() {
            Database::open_with(&self.target.dir, options)?
        } else {
            Database::open_existing(&self.target.dir, options).map_err(|e| match e.kind() {
                ErrorKind::NotFound if create => empty(),
                _ => hint(e.into()),
            })?
        };
        let collection = match db.collection(name) {
            Err(e) if e.kind() == ErrorKind::NotFound && create => {
                db.create_collection(name, shape.ok_or_else(empty)?)?
            }
            result => result.map_err(|e| hint(e.into()))?,
        };
        self.check_settings(collection.settings())?;
        let collection = collection.namespace(&self.target.namespace.name)?;
        Ok((db, collection))
    }

    /// What was said about the collection must be true of the one that is there.
    fn check_settings(&self, settings: &CollectionOptions) -> Result {
        let name = &self.target.collection;
        let conflict = |has: String, says: String| {
            Err(Failure::new(
                ErrorKind::Conflict,
                format!("collection `{name}` exists and has {has}, not {says}"),
            ))
        };
        match (self.dim, self.metric, self.index, self.precision, self.codes) {
            (Some(dim), ..) if dim != settings.dim() => {
                conflict(format!("dim {}", settings.dim()), dim.to_string())
            }
            (_, Some(metric), ..) if metric != settings.metric() => {
                conflict(format!("metric {}", settings.metric()), metric.to_string())
            }
            (_, _, Some(index), ..) if index != settings.index_option() => {
                conflict(format!("index {}", settings.index_option()), index.to_string())
            }
            (.., Some(precision), _) if precision != settings.vector_precision() => {
                let has = format!("precision {}", settings.vector_precision());
                conflict(has, precision.to_string())
            }
            (.., Some(codes)) if codes != settings.kept_codes() => {
                conflict(format!("codes {}", settings.kept_codes()), codes.to_string())
            }
            _ if !self.schema.describes(settings) => {
                conflict("other settings of its fields".to_owned(), "those given".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn report(&self, ingested: &Ingested, skipped: u64, count: u64, out: &mut Output) -> Result {
        let Ingested { records, elapsed, flush } = *ingested;
        let rate = units::rate(records, elapsed);
        if out.is_json() {
            return out.json(&Imported {
                collection: &self.target.collection,
                namespace: &self.target.namespace.name,
                records,
                skipped,
                seconds: elapsed.as_secs_f64(),
                records_per_second: rate,
                flush_seconds: flush.as_secs_f64(),
                count,
            });
        }
        writeln!(
            out,
            "imported {} in {} ({} records/s), sealed into segments in {}",
            units::counted(records, "record"),
            units::duration(elapsed),
            units::count(rate as u64),
            units::duration(flush)
        )?;
        let namespace = match self.target.namespace.name.as_str() {
            "" => String::new(),
            name => format!(", namespace `{name}`,"),
        };
        writeln!(
            out,
            "collection `{}`{namespace} now has {}, all of them searchable",
            self.target.collection,
            units::counted(count, "record")
        )
    }
}

fn check_dim(source: &Source<'_>, dim: usize, expected: usize) -> Result {
    if dim == expected {
        return Ok(());
    }
    Err(Failure::invalid(format!("vector has {dim} components, expected {expected}"))
        .at(source.place())
        .with_note("nothing was imported"))
}

/// What a failed import leaves behind, and how to go on.
fn progress_note(committed: u64, skipped: u64) -> String {
    let next = skipped + committed;
    match committed {
        0 => "nothing was imported".to_owned(),
        1 => format!("1 record was imported before that and stays; go on with --skip {next}"),
        n => format!(
            "{} records were imported before that and stay; go on with --skip {next}",
            units::count(n)
        ),
    }
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case(extension))
}

/// `x.jsonl`, `x.ndjson`, either with `.gz`, or standard input.
fn is_json_lines(path: &Path) -> bool {
    let plain = if has_extension(path, "gz") { path.with_extension("") } else { path.to_owned() };
    path == Path::new("-") || has_extension(&plain, "jsonl") || has_extension(&plain, "ndjson")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_apart_by_name() {
        for (name, expected) in [
            ("a.jsonl", true),
            ("a.b.JSONL", true),
            ("d/a.jsonl.gz", true),
            ("a.ndjson.gz", true),
            ("-", true),
            ("a.json", false),
            ("a.gz", false),
            ("jsonl", false),
            ("a.npy", false),
        ] {
            assert_eq!(is_json_lines(Path::new(name)), expected, "{name}");
        }
    }

    #[test]
    fn the_note_tells_how_to_go_on() {
        assert_eq!(progress_note(0, 500), "nothing was imported");
        assert_eq!(
            progress_note(1, 0),
            "1 record was imported before that and stays; go on with --skip 1"
        );
        assert_eq!(
            progress_note(2_000, 500),
            "2,000 records were imported before that and stay; go on with --skip 2500"
        );
    }
}
