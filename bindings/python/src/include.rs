//! `include`: what is returned of each record besides its id.

use pyo3::prelude::*;
use pyo3::types::PyString;
use serde_json::Value;
use vecstore::{Include, Metadata};

use crate::failure::{Failure, Result};

/// What is returned of each record besides its id.
#[derive(Clone)]
pub(crate) struct Included {
    /// What the engine reads.
    pub(crate) read: Include,
    /// The fields of the metadata that are wanted, as paths; `None` for all.
    fields: Option<Vec<Vec<String>>>,
}

impl Included {
    pub(crate) const NOTHING: Included = Included { read: Include::NOTHING, fields: None };
    pub(crate) const ALL: Included = Included { read: Include::ALL, fields: None };

    /// Reads a list of `"metadata"`, `"metadata.title"` and `"vector"`; without one it is
    /// `["metadata"]`.
    pub(crate) fn new(include: Option<&Bound<'_, PyAny>>) -> Result<Self> {
        let Some(list) = include else {
            return Ok(Included { read: Include::default(), fields: None });
        };
        let wrong = |what: &Bound<'_, PyAny>| {
            Failure::invalid(format!(
                "include: {} is not a list of \"metadata\", \"metadata.FIELD\" and \"vector\"",
                what.repr().map_or_else(|_| "it".to_owned(), |text| text.to_string())
            ))
            .about("include")
        };
        if list.is_instance_of::<PyString>() {
            return Err(wrong(list));
        }
        let mut included = Included::NOTHING;
        let mut fields = Vec::new();
        let mut all = false;
        for item in list.try_iter().map_err(|_| wrong(list))? {
            match item?.cast::<PyString>().map_err(|_| wrong(list))?.to_str()? {
                "metadata" => all = true,
                "vector" => included.read.vector = true,
                item => match item.strip_prefix("metadata.") {
                    Some(path) if path.split('.').all(|name| !name.is_empty()) => {
                        fields.push(path.split('.').map(str::to_owned).collect());
                    }
                    _ => return Err(wrong(list)),
                },
            }
        }
        included.read.metadata = all || !fields.is_empty();
        included.fields = Some(fields).filter(|_| !all);
        Ok(included)
    }

    /// Keeps what is wanted of a record's metadata.
    pub(crate) fn project(&self, metadata: &mut Metadata) {
        if let Some(fields) = &self.fields {
            let mut kept = Metadata::new();
            for path in fields {
                copy(metadata, path, &mut kept);
            }
            *metadata = kept;
        }
    }
}

/// Copies what a path reaches, with the objects on the way.
fn copy(from: &Metadata, path: &[String], to: &mut Metadata) {
    match path {
        [] => {}
        [name] => {
            if let Some(value) = from.get(name) {
                to.insert(name.clone(), value.clone());
            }
        }
        [name, rest @ ..] => {
            if let Some(Value::Object(inner)) = from.get(name) {
                let inside =
                    to.entry(name.clone()).or_insert_with(|| Value::Object(Metadata::new()));
                // Something else is there only if all of it was wanted.
                if let Value::Object(inside) = inside {
                    copy(inner, rest, inside);
                }
            }
        }
    }
}
