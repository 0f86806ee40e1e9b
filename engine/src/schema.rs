//! What a collection says of the fields of its records' metadata.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use vecstore_index::{FieldIndexBuilder, FieldLimits};
use vecstore_query::Filter;
use vecstore_segments::FieldPath;

use crate::{Error, Result};

/// Fields that can be spoken of, as not indexed and as dates.
const FIELDS_NAMED_MAX: usize = 1_000;
/// Bytes of a field's names with their dots.
const FIELD_BYTES_MAX: usize = 1_024;

/// Which fields are indexed, up to which limits, and which hold dates. Fields are names joined by
/// dots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Schema {
    /// Not indexed, with all beneath them.
    pub(crate) unindexed: BTreeSet<String>,
    pub(crate) dates: BTreeSet<String>,
    pub(crate) fields_max: usize,
    pub(crate) strings_max: usize,
    pub(crate) string_bytes_max: usize,
}

impl Default for Schema {
    fn default() -> Self {
        let FieldLimits { fields_max, strings_max, string_bytes_max } = FieldLimits::default();
        Schema {
            unindexed: BTreeSet::new(),
            dates: BTreeSet::new(),
            fields_max,
            strings_max,
            string_bytes_max,
        }
    }
}

impl Schema {
    pub(crate) fn validate(&self) -> Result<()> {
        let limits = [
            ("fields_max", self.fields_max, 1, 65_536),
            ("strings_max", self.strings_max, 0, 1 << 20),
            // So many strings of that length have less than the 4 GiB that a dictionary counts.
            ("string_bytes_max", self.string_bytes_max, 1, 4_000),
        ];
        for (name, value, low, high) in limits {
            if !(low..=high).contains(&value) {
                return Err(Error::invalid(format!(
                    "{name}: {value} is not within {low} to {high}"
                ))
                .about(name));
            }
        }
        for fields in [&self.unindexed, &self.dates] {
            if fields.len() > FIELDS_NAMED_MAX {
                return Err(wrong(format!(
                    "{} are named, {FIELDS_NAMED_MAX} are allowed",
                    fields.len()
                )));
            }
            fields.iter().try_for_each(|field| check_name(field))?;
        }
        for field in self.unindexed.iter().chain(&self.dates) {
            if let Some(date) = above(field).find(|above| self.dates.contains(*above)) {
                return Err(wrong(format!("`{date}` is a date, so there can be no `{field}`")));
            }
        }
        for field in &self.unindexed {
            if let Some(above) = above(field).find(|above| self.unindexed.contains(*above)) {
                return Err(wrong(format!(
                    "`{above}` is not indexed, which covers `{field}`; leave that out"
                )));
            }
        }
        Ok(())
    }

    pub(crate) fn limits(&self) -> FieldLimits {
        FieldLimits {
            fields_max: self.fields_max,
            strings_max: self.strings_max,
            string_bytes_max: self.string_bytes_max,
        }
    }

    /// The fields that are not indexed, as a field index calls them.
    pub(crate) fn unindexed_keys(&self) -> impl Iterator<Item = String> {
        self.unindexed.iter().map(|field| FieldPath::from(field.as_str()).key())
    }

    pub(crate) fn field_index(&self) -> FieldIndexBuilder {
        let keys: Vec<String> = self.unindexed_keys().collect();
        FieldIndexBuilder::new(self.limits()).without(keys.iter().map(String::as_str))
    }

    /// The filter with the strings as dates that are compared with a date.
    pub(crate) fn typed(&self, filter: Filter) -> Result<Filter> {
        if self.dates.is_empty() {
            return Ok(filter);
        }
        // A name with a dot in it cannot be spoken of.
        let is_date = |path: &FieldPath| {
            path.names().iter().all(|name| !name.contains('.'))
                && self.dates.contains(&path.names().join("."))
        };
        Ok(filter.with_dates(&is_date)?)
    }
}

fn check_name(field: &str) -> Result<()> {
    if field.len() > FIELD_BYTES_MAX {
        return Err(wrong(format!(
            "a name of {} bytes, {FIELD_BYTES_MAX} are allowed",
            field.len()
        )));
    }
    if field.split('.').any(str::is_empty) {
        return Err(wrong(format!("`{field}` is not names joined by dots")));
    }
    Ok(())
}

/// The fields above a field, outermost first.
fn above(field: &str) -> impl Iterator<Item = &str> {
    field.match_indices('.').map(|(dot, _)| &field[..dot])
}

fn wrong(problem: String) -> Error {
    Error::invalid(format!("fields: {problem}")).about("fields")
}
