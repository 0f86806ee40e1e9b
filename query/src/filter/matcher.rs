//! The plain reading of many records: what it takes to prepare is done once.

use std::collections::HashSet;

use vecstore_index::Scalar;
use vecstore_segments::{FieldPath, Metadata};

use super::like::Pattern;
use super::matches::{any, any_text};
use super::{Filter, Value};
use crate::values::Key;

/// A filter prepared for [`Filter::matches`] of many records: a pattern is taken apart once, and a
/// record is looked for in a long `IN` list without going through it.
#[derive(Debug)]
pub struct Matcher<'f>(Part<'f>);

#[derive(Debug)]
enum Part<'f> {
    And(Vec<Part<'f>>),
    Or(Vec<Part<'f>>),
    Not(Box<Part<'f>>),
    In { path: &'f FieldPath, keys: HashSet<Key>, dates: Vec<Scalar<'f>> },
    Like(&'f FieldPath, Pattern),
    Other(&'f Filter),
}

impl<'f> Matcher<'f> {
    /// Prepares a filter.
    #[must_use]
    pub fn new(filter: &'f Filter) -> Self {
        Matcher(Part::new(filter))
    }

    /// What [`Filter::matches`] says.
    #[must_use]
    pub fn matches(&self, metadata: &Metadata) -> bool {
        self.0.matches(metadata)
    }
}

impl<'f> Part<'f> {
    fn new(filter: &'f Filter) -> Self {
        let parts = |parts: &'f [Filter]| parts.iter().map(Part::new).collect();
        match filter {
            Filter::And(all) => Part::And(parts(all)),
            Filter::Or(some) => Part::Or(parts(some)),
            Filter::Not(part) => Part::Not(Box::new(Part::new(part))),
            Filter::Like(path, pattern) => Part::Like(path, Pattern::new(pattern)),
            Filter::In(path, values) => {
                // A date equals text, in whatever time zone that is written.
                let (dates, others): (Vec<&Value>, Vec<&Value>) =
                    values.iter().partition(|value| matches!(value, Value::Date(_)));
                let equals_itself = |value: &Value| value.scalar().same(value.scalar());
                let others = others.into_iter().filter(|value| equals_itself(value));
                Part::In {
                    path,
                    keys: others.filter_map(|value| Key::new(value.scalar())).collect(),
                    dates: dates.into_iter().map(Value::scalar).collect(),
                }
            }
            other => Part::Other(other),
        }
    }

    fn matches(&self, metadata: &Metadata) -> bool {
        match self {
            Part::And(parts) => parts.iter().all(|part| part.matches(metadata)),
            Part::Or(parts) => parts.iter().any(|part| part.matches(metadata)),
            Part::Not(part) => !part.matches(metadata),
            Part::In { path, keys, dates } => any(path, metadata, |found| {
                Key::new(found).is_some_and(|key| keys.contains(&key))
                    || dates.iter().any(|date| found.same(*date))
            }),
            Part::Like(path, pattern) => any_text(path, metadata, |text| pattern.matches(text)),
            Part::Other(filter) => filter.matches(metadata),
        }
    }
}
