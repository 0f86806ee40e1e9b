//! Counting the values of a field.

use serde_json::Value;
use vecstore_query::{self as query, Params, ValueCounts};
use vecstore_segments::FieldPath;

use crate::collection::Collection;
use crate::query::parse_filter;
use crate::{Error, Result};

/// A facet in the making; see [`Collection::facet`].
#[derive(Clone, Debug)]
#[must_use = "a facet does nothing until `run`"]
pub struct Facet<'a> {
    collection: &'a Collection,
    field: &'a str,
    filter: Option<&'a str>,
    params: Params,
    limit: usize,
}

/// The values of a field.
#[derive(Clone, Debug, PartialEq)]
pub struct FacetCounts {
    /// Those that most records have, most first; with equal counts null comes first, then booleans,
    /// numbers, strings, each ascending.
    pub values: Vec<FacetCount>,
    /// Number of different values, also of those that are not shown.
    pub distinct: u64,
}

/// One value of a field.
#[derive(Clone, Debug, PartialEq)]
pub struct FacetCount {
    /// The value: null, a boolean, a number or a string.
    pub value: Value,
    /// Records that have it. A record whose field is an array counts for each element once.
    pub count: u64,
}

impl<'a> Facet<'a> {
    pub(crate) fn new(collection: &'a Collection, field: &'a str) -> Self {
        Facet { collection, field, filter: None, params: Params::new(), limit: 10 }
    }

    /// Only records whose metadata satisfies this.
    pub fn filter(mut self, filter: &'a str) -> Self {
        self.filter = Some(filter);
        self
    }

    /// The value of `$name` in the filter.
    pub fn bind(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.params.insert(name.to_owned(), value.into());
        self
    }

    /// Values shown. Default 10, at least 1.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Counts.
    pub fn run(self) -> Result<FacetCounts> {
        let shard = self.collection.checked()?;
        if self.limit == 0 {
            return Err(Error::invalid(format!(
                "collection `{}`, facet: limit is 0, use 1 or more",
                shard.name
            ))
            .about("limit"));
        }
        let filter = parse_filter(self.filter, &self.params, &shard.options)?;
        let path = FieldPath::from(self.field);
        let version = shard.version();
        let mut counts = ValueCounts::default();
        for view in self.collection.views(&version) {
            let rows = view.rows(filter.as_ref())?;
            view.count_values(&path, &rows, &mut counts)?;
        }
        let all = counts.into_sorted();
        Ok(FacetCounts {
            distinct: all.len() as u64,
            values: all
                .into_iter()
                .take(self.limit)
                .map(|(value, count)| FacetCount { value: json(value), count })
                .collect(),
        })
    }
}

/// As JSON; a date as its text.
pub(crate) fn json(value: query::Value) -> Value {
    match value {
        query::Value::Null => Value::Null,
        query::Value::Bool(value) => value.into(),
        query::Value::Int(value) => value.into(),
        query::Value::Float(value) => value.into(),
        query::Value::Str(value) => value.into(),
        query::Value::Date(value) => value.to_string().into(),
    }
}
