//! Vectors in `.npy` files, with metadata and ids in JSON lines of the same order.

use std::collections::VecDeque;
use std::path::PathBuf;

use serde_json::{Map, Value};
use vecstore::{Record, RecordId};

use super::source::{id_from_json, json_problem};
use super::{LineFile, LineFiles, NpyReader};
use crate::failure::{Failure, Result};

/// Where vectors come from.
#[derive(Clone, Debug)]
pub(crate) enum ArrayFile<'a> {
    Path(PathBuf),
    /// A file in memory, and its name.
    Bytes(&'static str, &'a [u8]),
}

impl<'a> ArrayFile<'a> {
    fn name(&self) -> String {
        match self {
            ArrayFile::Path(path) => path.display().to_string(),
            ArrayFile::Bytes(name, _) => (*name).to_owned(),
        }
    }

    fn open(&self) -> Result<NpyReader<'a>> {
        match self {
            ArrayFile::Path(path) => NpyReader::open(path),
            ArrayFile::Bytes(name, bytes) => NpyReader::from_bytes(name, bytes),
        }
    }
}

/// The rows of the arrays, each with its line of the records if there are any.
pub(crate) struct Arrays<'a> {
    waiting: VecDeque<ArrayFile<'a>>,
    current: Option<NpyReader<'a>>,
    records: Option<LineFiles<'a>>,
    id_field: Option<String>,
    dim: usize,
    rows: u64,
    row: u64,
}

impl<'a> Arrays<'a> {
    /// Looks at all files before the first row is read: the arrays must have rows of the same
    /// length, and `records`, if there are any, as many lines as there are rows.
    ///
    /// The id of a record is in the field `id_field` of its line, or else the number of its row
    /// from 0.
    pub(crate) fn new(
        arrays: Vec<ArrayFile<'a>>,
        records: Vec<LineFile<'a>>,
        id_field: Option<String>,
    ) -> Result<Self> {
        let (mut rows, mut dim) = (0, None);
        for array in &arrays {
            let reader = array.open()?;
            let first = *dim.get_or_insert(reader.dim());
            if reader.dim() != first {
                return Err(Failure::invalid(format!(
                    "{}: rows of {} numbers, the file before it has rows of {first}",
                    reader.name(),
                    reader.dim()
                )));
            }
            rows += reader.rows();
        }
        let dim = dim.ok_or_else(|| Failure::usage("no file is given"))?;
        let records = if records.is_empty() {
            None
        } else {
            let lines = LineFiles::new(records.clone())?.skip(u64::MAX)?;
            if lines != rows {
                return Err(Failure::invalid(format!(
                    "the arrays have {rows} rows, but the records have {lines} lines"
                )));
            }
            Some(LineFiles::new(records)?)
        };
        Ok(Arrays { waiting: arrays.into(), current: None, records, id_field, dim, rows, row: 0 })
    }

    /// Components of a vector.
    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    /// Rows of all files.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// The file that is read, for messages.
    pub(crate) fn place(&self) -> String {
        match (&self.current, self.waiting.front()) {
            (Some(reader), _) => reader.name().to_owned(),
            (None, Some(array)) => array.name(),
            (None, None) => "the arrays".to_owned(),
        }
    }

    /// Passes over the first `n` rows; fewer, if there are no more. Returns how many it were.
    pub(crate) fn skip(&mut self, n: u64) -> Result<u64> {
        let mut left = n;
        while left > 0
            && let Some(reader) = self.reader()?
        {
            let skipped = reader.rows_left().min(left);
            reader.skip(skipped)?;
            left -= skipped;
        }
        let skipped = n - left;
        self.row += skipped;
        if let Some(records) = &mut self.records {
            records.skip(skipped)?;
        }
        Ok(skipped)
    }

    /// The next record, and the bytes it takes.
    pub(crate) fn next_record(&mut self) -> Result<Option<(Record, usize)>> {
        let mut vector = vec![0.0; self.dim];
        let Some(reader) = self.reader()? else { return Ok(None) };
        if reader.dim() != vector.len() {
            return Err(Failure::invalid(format!("{}: the file was changed", reader.name())));
        }
        reader.read_row(&mut vector)?;
        let row = self.row;
        self.row += 1;
        let Some(lines) = &mut self.records else {
            let bytes = vector.len() * 4;
            return Ok(Some((Record::new(row, vector), bytes)));
        };
        let Some(line) = lines.next_line()? else {
            return Err(Failure::invalid(format!("the records end before row {row}")));
        };
        let bytes = vector.len() * 4 + line.len();
        match read_line(line, self.id_field.as_deref(), row) {
            Ok((id, metadata)) => {
                let record = Record::new(id, vector).metadata(Value::Object(metadata));
                Ok(Some((record, bytes)))
            }
            Err(problem) => Err(Failure::invalid(problem).at(lines.place())),
        }
    }

    /// The file with the next row; `None` at the end.
    fn reader(&mut self) -> Result<Option<&mut NpyReader<'a>>> {
        while self.current.as_ref().is_none_or(|reader| reader.rows_left() == 0) {
            match self.waiting.pop_front() {
                Some(array) => self.current = Some(array.open()?),
                None => return Ok(None),
            }
        }
        Ok(self.current.as_mut())
    }
}

/// The id and the metadata of a line: all its fields but the one with the id.
fn read_line(
    line: &[u8],
    id_field: Option<&str>,
    row: u64,
) -> std::result::Result<(RecordId, Map<String, Value>), String> {
    let mut metadata: Map<String, Value> = serde_json::from_slice(line)
        .map_err(|e| format!("expected a JSON object: {}", json_problem(&e)))?;
    let id = match id_field {
        None => RecordId::U64(row),
        Some(field) => {
            let value = metadata
                .remove(field)
                .ok_or_else(|| format!("there is no field `{field}`, which --id names"))?;
            id_from_json(value).map_err(|problem| format!("field `{field}`: {problem}"))?
        }
    };
    Ok((id, metadata))
}
