//! Batches of records: read from Python part by part, each part one commit of the engine.

use pyo3::prelude::*;
use serde_json::{Map, Value};
use vecstore::{Record, RecordId, limits};

use crate::failure::{Failure, Result};
use crate::metadata::Source;
use crate::vector::Vectors;
use crate::watch::{Apart, Watch};

/// A part ends before it is larger than this, by an estimate that is never too low.
const PART_BYTES: usize = limits::BATCH_BYTES_MAX / 2;

/// A part of fewer records is not worth a thread, in which it would not keep Ctrl-C waiting.
const ALONE: usize = 256;

/// Writes all records.
///
/// A batch within the limits is one part. Of a larger one, the parts before the one that fails
/// stay, and the exception says how many records those are.
pub(crate) fn upsert(
    py: Python<'_>,
    collection: &vecstore::Collection,
    ids: Vec<RecordId>,
    vectors: &Vectors<'_>,
    metadata: &mut Source<'_>,
    watch: &mut Watch,
) -> Result<u64> {
    let all = ids.len();
    if vectors.rows() != all {
        return Err(Failure::invalid(format!(
            "there are {all} ids and {} vectors",
            vectors.rows()
        ))
        .about("vectors"));
    }
    let mut committed = 0;
    let written = upsert_parts(py, collection, ids, vectors, metadata, watch, &mut committed);
    match written {
        Err(failure) if committed > 0 => Err(tell(py, failure, committed, all)?),
        written => written,
    }
}

fn upsert_parts(
    py: Python<'_>,
    collection: &vecstore::Collection,
    ids: Vec<RecordId>,
    vectors: &Vectors<'_>,
    metadata: &mut Source<'_>,
    watch: &mut Watch,
    committed: &mut usize,
) -> Result<u64> {
    let all = ids.len();
    let mut ids = ids.into_iter().enumerate().peekable();
    loop {
        let part = read_part(&mut ids, all, vectors, metadata)?;
        let records = part.len();
        let seq = if records < ALONE {
            py.detach(|| collection.batch_upsert(part))?
        } else {
            let collection = collection.clone();
            Apart::start(move || collection.batch_upsert(part))?.wait(py)??
        };
        *committed += records;
        if ids.peek().is_none() {
            return Ok(seq);
        }
        watch.look(py, "records", *committed as u64, all as u64)?;
    }
}

fn read_part(
    ids: &mut std::iter::Peekable<impl Iterator<Item = (usize, RecordId)>>,
    all: usize,
    vectors: &Vectors<'_>,
    metadata: &mut Source<'_>,
) -> Result<Vec<Record>> {
    let mut part = Vec::new();
    let mut bytes = 0;
    while part.len() < limits::BATCH_RECORDS_MAX && bytes < PART_BYTES {
        let Some((row, id)) = ids.next() else { break };
        let vector = vectors.row(row)?;
        let Some(metadata) = metadata.next(&id).map_err(|e| e.about("metadata"))? else {
            let few = format!("there are {all} ids and {row} metadata");
            return Err(Failure::invalid(few).about("metadata"));
        };
        bytes += vector.len() * size_of::<f32>() + 64 + json_bytes_max(&metadata);
        part.push(Record { id, vector, metadata });
    }
    if ids.peek().is_none() && !metadata.is_at_end()? {
        let many = format!("there are {all} ids and more metadata");
        return Err(Failure::invalid(many).about("metadata"));
    }
    Ok(part)
}

/// The failure, with a note and `committed` on its exception.
fn tell(py: Python<'_>, failure: Failure, committed: usize, all: usize) -> Result<Failure> {
    let error = PyErr::from(failure);
    let value = error.value(py);
    value.setattr("committed", committed)?;
    value.call_method1("add_note", (format!("{committed} of {all} records are committed"),))?;
    Ok(Failure::Python(error))
}

/// At least the bytes that a value takes as JSON.
fn json_bytes_max(value: &Value) -> usize {
    const NUMBER: usize = 24;
    let text = |text: &str| {
        let escaped = text.bytes().filter(|&b| b < 0x20 || b == b'"' || b == b'\\').count();
        text.len() + 5 * escaped + 2
    };
    match value {
        Value::Null | Value::Bool(_) => 5,
        Value::Number(_) => NUMBER,
        Value::String(string) => text(string),
        Value::Array(items) => 2 + items.iter().map(|item| json_bytes_max(item) + 1).sum::<usize>(),
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| text(name) + json_bytes_max(value) + 2;
            2 + Map::iter(fields).map(field).sum::<usize>()
        }
    }
}
