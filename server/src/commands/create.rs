//! `vecstore create`: a new collection, and the database if there is none.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use vecstore::{Codes, CollectionOptions, Database, IndexOption, Metric, Precision};

use super::schema::SchemaArgs;
use crate::failure::Result;
use crate::output::Output;

/// Create a collection; the database too, if DIR has none
///
/// JSON: {"collection", "dim", "metric", "precision", "codes", "created"}
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Folder of the database
    dir: PathBuf,
    /// Name of the collection: letters, digits, `.`, `_` and `-`
    collection: String,
    /// Components of a vector
    #[arg(long, value_name = "N")]
    dim: usize,
    /// What nearness means: cosine, dot or euclidean
    #[arg(long, default_value = "cosine", value_parser = parse_metric)]
    metric: Metric,
    /// Graph links a record, 4 to 128; more make a better and larger graph [default: 16]
    #[arg(long, value_name = "N")]
    m: Option<usize>,
    /// Candidates kept while a record is linked, 16 to 2048; more build a better graph more slowly
    /// [default: 128]
    #[arg(long, value_name = "N")]
    ef_construction: Option<usize>,
    #[command(flatten)]
    schema: SchemaArgs,
    /// What finds the nearest records: graph, clusters, or auto for the one that costs less for the
    /// records there are
    #[arg(long, default_value = "auto", value_parser = parse_index)]
    index: IndexOption,
    /// What vectors are stored in: f32, or f16 for half the space and components rounded to 11
    /// significant bits
    #[arg(long, default_value = "f32", value_parser = parse_precision)]
    precision: Precision,
    /// Which codes segments keep, for searches to read in the place of vectors: int8, or none for less
    /// space and slower queries
    #[arg(long, default_value = "int8", value_parser = parse_codes)]
    codes: Codes,
}

#[derive(Serialize)]
struct Created<'a> {
    collection: &'a str,
    dim: usize,
    metric: &'a str,
    precision: &'a str,
    codes: &'a str,
    created: bool,
}

/// Reads the name of a metric.
pub(super) fn parse_metric(text: &str) -> std::result::Result<Metric, String> {
    text.parse::<Metric>().map_err(|e| e.to_string())
}

/// Reads the name of an index.
pub(super) fn parse_index(text: &str) -> std::result::Result<IndexOption, String> {
    text.parse::<IndexOption>().map_err(|e| e.to_string())
}

/// Reads the name of a precision.
pub(super) fn parse_precision(text: &str) -> std::result::Result<Precision, String> {
    text.parse::<Precision>().map_err(|e| e.to_string())
}

/// Reads the name of codes.
pub(super) fn parse_codes(text: &str) -> std::result::Result<Codes, String> {
    text.parse::<Codes>().map_err(|e| e.to_string())
}

/// Refuses what [`Database::create_collection`] would refuse, before there is a folder for it.
pub(super) fn check(name: &str, options: &CollectionOptions) -> Result {
    Database::in_memory()?.create_collection(name, options.clone())?;
    Ok(())
}

impl Create {
    pub(super) fn run(self, out: &mut Output) -> Result {
        let options = CollectionOptions::new(self.dim, self.metric);
        let mut options = options.index(self.index).precision(self.precision).codes(self.codes);
        if let Some(m) = self.m {
            options = options.m(m);
        }
        if let Some(ef_construction) = self.ef_construction {
            options = options.ef_construction(ef_construction);
        }
        let options = self.schema.apply(options);
        check(&self.collection, &options)?;
        let db = Database::open(&self.dir)?;
        db.create_collection(&self.collection, options)?;
        db.close()?;
        let (metric, precision) = (self.metric.name(), self.precision.name());
        let codes = self.codes.name();
        if out.is_json() {
            let (collection, dim) = (&self.collection, self.dim);
            let created = true;
            return out.json(&Created { collection, dim, metric, precision, codes, created });
        }
        writeln!(
            out,
            "created collection `{}` in {}: {} components of {precision}, {metric}, codes {codes}",
            self.collection,
            self.dir.display(),
            self.dim
        )
    }
}
