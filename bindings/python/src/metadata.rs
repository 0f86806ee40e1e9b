//! Metadata of a batch: a list of dicts, a dict of columns, a table of pandas, or anything that
//! speaks Arrow.

use std::ptr::NonNull;

use arrow_array::cast::AsArray;
use arrow_array::ffi_stream::{FFI_ArrowArrayStream, RecordBatchStreamReader};
use arrow_array::types::{
    Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict, PyIterator, PyString};
use serde_json::{Map, Number, Value};

use crate::failure::{Failure, Result};
use crate::value::{self, Place};

/// Where the metadata of the next record comes from.
pub(crate) enum Source<'py> {
    /// There is none.
    Nothing,
    /// A dict or None for each record.
    Dicts(Bound<'py, PyIterator>),
    /// A sequence for each field.
    Columns(Vec<(String, Bound<'py, PyIterator>)>),
    /// Rows of a table.
    Table { reader: RecordBatchStreamReader, batch: Option<RecordBatch>, row: usize },
}

impl<'py> Source<'py> {
    pub(crate) fn new(metadata: Option<&Bound<'py, PyAny>>) -> Result<Self> {
        let Some(metadata) = metadata.filter(|metadata| !metadata.is_none()) else {
            return Ok(Source::Nothing);
        };
        if let Ok(columns) = metadata.cast::<PyDict>() {
            return Self::columns(columns);
        }
        if let Some(stream) = metadata.getattr_opt("__arrow_c_stream__")? {
            match stream.call0() {
                Ok(capsule) => return table(&capsule),
                // pandas says it speaks Arrow, and needs pyarrow for it.
                Err(error)
                    if error.is_instance_of::<PyImportError>(metadata.py())
                        && metadata.hasattr("to_dict")? => {}
                Err(error) => return Err(error.into()),
            }
        }
        if metadata.hasattr("to_dict")? && metadata.hasattr("columns")? {
            return Ok(Source::Dicts(frame(metadata)?.try_iter()?));
        }
        let expected = "a list of dicts, a dict of columns or a table";
        Ok(Source::Dicts(value::members(metadata, "metadata", expected)?))
    }

    fn columns(columns: &Bound<'py, PyDict>) -> Result<Self> {
        let mut read = Vec::with_capacity(columns.len());
        for (name, column) in columns.iter() {
            let Ok(name) = name.cast::<PyString>() else {
                return Err(Failure::wrong_type(format!(
                    "metadata: column {} is not named by a str",
                    name.repr()?
                )));
            };
            let name = name.to_str().map_err(|e| Failure::invalid(format!("metadata: {e}")))?;
            if column.is_instance_of::<PyString>() || !column.hasattr("__iter__")? {
                return Err(Failure::wrong_type(format!(
                    "metadata: column `{name}` is {}, expected a sequence with a value for each \
                     id; for one record use upsert",
                    column.get_type().qualname()?
                )));
            }
            // An array of numpy gives Python's own numbers at once.
            let column = match column.getattr_opt("tolist")? {
                Some(to_list) => to_list.call0()?,
                None => column,
            };
            read.push((name.to_owned(), column.try_iter()?));
        }
        Ok(Source::Columns(read))
    }

    /// The metadata of the record with this id; `None` if there is no more.
    pub(crate) fn next(&mut self, id: &vecstore::RecordId) -> Result<Option<Value>> {
        let place = format_args!("record `{id}`: metadata");
        let place = Place::Root(&place);
        match self {
            Source::Nothing => Ok(Some(Value::Object(Map::new()))),
            Source::Dicts(dicts) => match dicts.next().transpose()? {
                None => Ok(None),
                Some(dict) => {
                    let dict = Some(&dict).filter(|dict| !dict.is_none());
                    Ok(Some(Value::Object(value::read_object(dict, place)?)))
                }
            },
            Source::Columns(columns) => {
                let mut fields = Map::new();
                for (name, column) in columns {
                    let Some(value) = column.next().transpose()? else { return Ok(None) };
                    fields.insert(name.clone(), value::read(&value, Place::Field(&place, name))?);
                }
                Ok(Some(Value::Object(fields)))
            }
            Source::Table { reader, batch, row } => loop {
                match batch {
                    Some(rows) if *row < rows.num_rows() => {
                        *row += 1;
                        return Ok(Some(Value::Object(table_row(rows, *row - 1, place)?)));
                    }
                    _ => {}
                }
                match reader.next().transpose() {
                    Ok(None) => return Ok(None),
                    Ok(next) => (*batch, *row) = (next, 0),
                    Err(e) => return Err(Failure::invalid(format!("metadata: {e}"))),
                }
            },
        }
    }

    /// Whether everything was read.
    pub(crate) fn is_at_end(&mut self) -> Result<bool> {
        Ok(match self {
            Source::Nothing => true,
            Source::Dicts(dicts) => dicts.next().transpose()?.is_none(),
            Source::Columns(columns) => {
                for (_, column) in columns {
                    if column.next().transpose()?.is_some() {
                        return Ok(false);
                    }
                }
                true
            }
            Source::Table { .. } => self.next(&vecstore::RecordId::U64(0))?.is_none(),
        })
    }
}

/// A frame of pandas as a list of dicts; its missing values become None.
fn frame<'py>(frame: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = frame.py();
    let present = frame.call_method0("notna")?;
    let objects = frame.call_method1("astype", ("object",))?;
    objects.call_method1("where", (present, py.None()))?.call_method1("to_dict", ("records",))
}

fn table<'py>(capsule: &Bound<'py, PyAny>) -> Result<Source<'py>> {
    let capsule = capsule.cast::<PyCapsule>().map_err(PyErr::from)?;
    let stream: NonNull<FFI_ArrowArrayStream> =
        capsule.pointer_checked(Some(c"arrow_array_stream"))?.cast();
    // SAFETY: a capsule of this name holds an ArrowArrayStream, by the Arrow PyCapsule interface.
    // It is moved out, which marks the one in the capsule as released, so that it is released once.
    let reader = unsafe { RecordBatchStreamReader::from_raw(stream.as_ptr()) };
    let reader = reader.map_err(|e| Failure::invalid(format!("metadata: {e}")))?;
    Ok(Source::Table { reader, batch: None, row: 0 })
}

fn table_row(batch: &RecordBatch, row: usize, place: Place<'_>) -> Result<Map<String, Value>> {
    let mut fields = Map::new();
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        let value = cell(column, row, Place::Field(&place, field.name()))?;
        fields.insert(field.name().clone(), value);
    }
    Ok(fields)
}

/// A cell of a table; one that is null is null.
fn cell(column: &dyn Array, row: usize, place: Place<'_>) -> Result<Value> {
    if column.is_null(row) {
        return Ok(Value::Null);
    }
    let float = |number: f64| {
        Number::from_f64(number).map(Value::Number).ok_or_else(|| {
            Failure::invalid(format!("{place}: {number} is not a finite number; use a null"))
        })
    };
    let list = |members: &dyn Array| -> Result<Vec<Value>> {
        (0..members.len()).map(|at| cell(members, at, Place::Item(&place, at))).collect()
    };
    Ok(match column.data_type() {
        DataType::Null => Value::Null,
        DataType::Boolean => column.as_boolean().value(row).into(),
        DataType::Int8 => column.as_primitive::<Int8Type>().value(row).into(),
        DataType::Int16 => column.as_primitive::<Int16Type>().value(row).into(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(row).into(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).into(),
        DataType::UInt8 => column.as_primitive::<UInt8Type>().value(row).into(),
        DataType::UInt16 => column.as_primitive::<UInt16Type>().value(row).into(),
        DataType::UInt32 => column.as_primitive::<UInt32Type>().value(row).into(),
        // The engine refuses what is beyond an i64.
        DataType::UInt64 => column.as_primitive::<UInt64Type>().value(row).into(),
        DataType::Float16 => float(column.as_primitive::<Float16Type>().value(row).to_f64())?,
        DataType::Float32 => float(column.as_primitive::<Float32Type>().value(row).into())?,
        DataType::Float64 => float(column.as_primitive::<Float64Type>().value(row))?,
        DataType::Utf8 => column.as_string::<i32>().value(row).into(),
        DataType::LargeUtf8 => column.as_string::<i64>().value(row).into(),
        DataType::Utf8View => column.as_string_view().value(row).into(),
        DataType::Dictionary(..) => {
            let dictionary = column.as_any_dictionary();
            let key = dictionary.normalized_keys();
            return cell(dictionary.values(), key[row], place);
        }
        DataType::List(_) => Value::Array(list(&column.as_list::<i32>().value(row))?),
        DataType::LargeList(_) => Value::Array(list(&column.as_list::<i64>().value(row))?),
        DataType::FixedSizeList(..) => Value::Array(list(&column.as_fixed_size_list().value(row))?),
        DataType::Struct(inner) => {
            let parts = column.as_struct();
            let mut fields = Map::new();
            for (field, part) in inner.iter().zip(parts.columns()) {
                let value = cell(part, row, Place::Field(&place, field.name()))?;
                fields.insert(field.name().clone(), value);
            }
            Value::Object(fields)
        }
        other => {
            return Err(Failure::wrong_type(format!(
                "{place}: a column of {other} is not one of bool, integer, float, string, list and \
                 struct; convert it first"
            )));
        }
    })
}
