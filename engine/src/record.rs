//! Records: what goes in, and what comes out.

use std::fmt::Display;

use serde_json::Value;
use vecstore_index::squared_norm;
use vecstore_segments::{Metadata, RecordId};

use crate::memory::allocated;
use crate::options::{CollectionOptions, limits};
use crate::{Error, Metric, Precision, Result};

/// An id, a vector and metadata.
///
/// ```
/// use serde_json::json;
/// use vecstore::Record;
///
/// let record = Record::new("a1", [0.1, 0.2, 0.3]).metadata(json!({"pos": "n", "gloss_len": 75}));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Unique in its namespace.
    pub id: RecordId,
    /// As many components as the collection's dimension.
    pub vector: Vec<f32>,
    /// A JSON object; integers are exact within `i64`.
    pub metadata: Value,
}

impl Record {
    /// A record without metadata.
    pub fn new(id: impl Into<RecordId>, vector: impl Into<Vec<f32>>) -> Self {
        Record { id: id.into(), vector: vector.into(), metadata: Value::Object(Metadata::new()) }
    }

    /// Sets the metadata: a JSON object.
    #[must_use]
    pub fn metadata(mut self, metadata: Value) -> Self {
        self.metadata = metadata;
        self
    }
}

/// A record that was read back.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRecord {
    /// Its id.
    pub id: RecordId,
    /// As it was given, rounded to the collection's precision; empty if it was not asked for.
    pub vector: Vec<f32>,
    /// As it was given; empty if it was not asked for.
    pub metadata: Metadata,
    /// The commit that wrote it.
    pub seq: u64,
}

/// What a query, a get or a scroll returns of each record besides its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Include {
    /// Metadata. Default: true.
    pub metadata: bool,
    /// The vector. Default: false.
    pub vector: bool,
}

impl Default for Include {
    fn default() -> Self {
        Include { metadata: true, vector: false }
    }
}

impl Include {
    /// Only ids (and scores).
    pub const NOTHING: Include = Include { metadata: false, vector: false };
    /// Everything.
    pub const ALL: Include = Include { metadata: true, vector: true };
}

/// A record found by a query.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// Its id.
    pub id: RecordId,
    /// Higher is better: cosine similarity, inner product, or minus the Euclidean distance.
    pub score: f32,
    /// Smaller is nearer; see [`Metric`].
    pub distance: f32,
    /// Its metadata; empty if it was not asked for.
    pub metadata: Metadata,
    /// Its vector; empty if it was not asked for.
    pub vector: Vec<f32>,
}

/// A record that was checked and is ready to be logged.
#[derive(Debug)]
pub(crate) struct CheckedRecord {
    pub(crate) id: RecordId,
    pub(crate) vector: Box<[f32]>,
    pub(crate) json: Box<[u8]>,
}

impl CheckedRecord {
    /// Checks everything a record can be wrong in; `what` begins the error message.
    pub(crate) fn check(record: Record, options: &CollectionOptions, what: &str) -> Result<Self> {
        let Record { id, mut vector, metadata } = record;
        id.validate().map_err(|e| Error::invalid(format!("{what}: {e}")).about("id"))?;
        round_vector(&mut vector, options, format_args!("{what}, record `{id}`"))?;
        let Value::Object(metadata) = metadata else {
            return Err(Error::invalid(format!(
                "{what}, record `{id}`: metadata is {}, expected a JSON object",
                kind_of(&metadata)
            ))
            .about("metadata"));
        };
        for (name, value) in &metadata {
            check_value(value, 1).map_err(|problem| {
                Error::invalid(format!("{what}, record `{id}`, metadata field `{name}`: {problem}"))
                    .about("metadata")
            })?;
        }
        let json = serde_json::to_vec(&metadata)
            .map_err(|e| Error::invalid(format!("{what}, record `{id}`: metadata: {e}")))?;
        if json.len() > limits::METADATA_BYTES_MAX {
            return Err(Error::invalid(format!(
                "{what}, record `{id}`: metadata has {} bytes, at most {} are allowed",
                json.len(),
                limits::METADATA_BYTES_MAX
            ))
            .about("metadata"));
        }
        Ok(CheckedRecord { id, vector: vector.into(), json: json.into() })
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        let id = match &self.id {
            RecordId::Str(id) => allocated(id.len()),
            RecordId::U64(_) | RecordId::Uuid(_) => 0,
        };
        allocated(size_of_val(&*self.vector)) + allocated(self.json.len()) + id
    }

    /// Bytes this record takes in memory and in the log, about.
    pub(crate) fn bytes(&self) -> usize {
        self.vector.len() * 4 + self.json.len() + 64
    }
}

/// Checks what a patch of metadata can be wrong in by itself.
pub(crate) fn check_patch(patch: &Metadata, what: &str) -> Result<()> {
    for (name, value) in patch {
        check_value(value, 1)
            .map_err(|problem| Error::invalid(format!("{what}, field `{name}`: {problem}")))?;
    }
    Ok(())
}

/// Checks dimension, finite numbers and (for cosine) a direction.
///
/// `what` begins the error message; it is only written if there is one.
pub(crate) fn check_vector(
    vector: &[f32],
    options: &CollectionOptions,
    what: impl Display,
) -> Result<()> {
    vector_problem(vector, options)
        .map_or(Ok(()), |problem| Err(Error::invalid(format!("{what}: {problem}")).about("vector")))
}

/// [`check_vector`] of one that is to be stored, and rounds it to what is stored of it.
fn round_vector(
    vector: &mut [f32],
    options: &CollectionOptions,
    what: impl Display + Copy,
) -> Result<()> {
    check_vector(vector, options, what)?;
    let precision = options.vector_precision();
    if precision == Precision::F32 {
        return Ok(());
    }
    let invalid = |problem: String| {
        Err(Error::invalid(format!("{what}: {problem} (precision {precision})")).about("vector"))
    };
    if let Some(at) = vector.iter().position(|x| x.abs() > precision.max()) {
        let (max, x) = (precision.max(), vector[at]);
        return invalid(format!("component {at} of the vector is {x}, use -{max} to {max}"));
    }
    precision.round(vector);
    match vector_problem(vector, options) {
        None => Ok(()),
        Some(problem) => invalid(format!("rounded, {problem}")),
    }
}

fn vector_problem(vector: &[f32], options: &CollectionOptions) -> Option<String> {
    if vector.len() != options.dim() {
        return Some(format!("vector has {} components, expected {}", vector.len(), options.dim()));
    }
    let norm = squared_norm(vector);
    if !norm.is_finite()
        && let Some(at) = vector.iter().position(|x| !x.is_finite())
    {
        return Some(format!(
            "component {at} of the vector is {}, every component must be finite",
            vector[at]
        ));
    }
    if options.metric() == Metric::Cosine && norm < f64::from(f32::MIN_POSITIVE) {
        return Some("the vector is zero, which has no direction (metric cosine)".to_owned());
    }
    if norm > f64::from(f32::MAX) {
        return Some(format!(
            "the vector is too long, its squared length must stay below {:e}",
            f32::MAX
        ));
    }
    None
}

fn check_value(value: &Value, depth: usize) -> std::result::Result<(), String> {
    if depth > limits::METADATA_DEPTH_MAX {
        return Err(format!("nested deeper than {} levels", limits::METADATA_DEPTH_MAX));
    }
    match value {
        Value::Number(n) if n.is_u64() && !n.is_i64() => {
            Err(format!("{n} is beyond {}, the largest integer; store it as a string", i64::MAX))
        }
        Value::Array(items) => items.iter().try_for_each(|v| check_value(v, depth + 1)),
        Value::Object(fields) => fields.values().try_for_each(|v| check_value(v, depth + 1)),
        _ => Ok(()),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Checks the name of a collection, namespace or snapshot: 1 to 128 bytes of letters, digits and
/// `. _ -`, not beginning with a dot, so that it is safe as a file name and in a URL.
pub(crate) fn check_name(what: &str, name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty()
        || name.len() > limits::NAME_BYTES_MAX
        || name.starts_with('.')
        || !name.chars().all(allowed)
    {
        return Err(Error::invalid(format!(
            "{what} name `{}` is not allowed: use 1 to {} letters, digits, `.`, `_` or `-`, not beginning with a dot",
            name.escape_default(),
            limits::NAME_BYTES_MAX
        ))
        .about("name"));
    }
    Ok(())
}

/// Checks a namespace: any text of at most 128 bytes without control characters; `""` is the
/// default.
pub(crate) fn check_namespace(name: &str) -> Result<()> {
    if name.len() > limits::NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(Error::invalid(format!(
            "namespace `{}` is not allowed: use at most {} bytes without control characters",
            name.escape_default(),
            limits::NAME_BYTES_MAX
        ))
        .about("namespace"));
    }
    Ok(())
}
