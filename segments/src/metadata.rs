//! Metadata: a JSON object, and how a dotted path reads it.
//!
//! The one statement of the rule that filters and field indices share: **arrays are transparent**.
//! A path that meets an array goes on in each element, at any depth, so `tags = 'a'` holds if any
//! element is `'a'`, and `items.price < 10` holds if any item's price is.
//!
//! What a path reaches is therefore never a filled array, but its elements. An empty array and an
//! object at the end of a path are *present* without a scalar value: the field exists, and no
//! comparison with it holds.

use std::fmt;

use serde_json::{Map, Value};
use vecstore_index::{FieldIndexBuilder, Scalar};

/// The metadata of a record.
pub type Metadata = Map<String, Value>;

/// Words of the filter language, upper case. A name equal to one of them (in any letter case) is
/// written in double quotes.
pub const FILTER_WORDS: [&str; 13] = [
    "AND",
    "OR",
    "NOT",
    "IN",
    "BETWEEN",
    "CONTAINS",
    "STARTSWITH",
    "LIKE",
    "EXISTS",
    "IS",
    "NULL",
    "TRUE",
    "FALSE",
];

/// A path into nested objects, one name a step.
///
/// A path of no names reaches nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldPath(Vec<String>);

impl FieldPath {
    /// A path of the given names, outermost first.
    #[must_use]
    pub fn new(names: Vec<String>) -> Self {
        FieldPath(names)
    }

    /// The names, outermost first.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// The key of this path in a field index: names joined by `.`, with `.` and `\` inside a name
    /// escaped by `\`. Different paths have different keys.
    #[must_use]
    pub fn key(&self) -> String {
        let Some((first, rest)) = self.0.split_first() else {
            // A lone `\` escapes nothing, so no path of names has this key.
            return String::from("\\");
        };
        let mut key = String::new();
        push_name(&mut key, first);
        for name in rest {
            key.push('.');
            push_name(&mut key, name);
        }
        key
    }

    /// Calls `found` with every value the path reaches; arrays are transparent. An empty array or
    /// an object counts as reached: `found` gets that value itself.
    pub fn visit<'m>(&self, metadata: &'m Metadata, found: &mut dyn FnMut(&'m Value)) {
        self.visit_elements(metadata, &mut |value, _| found(value));
    }

    /// As [`visit`](Self::visit), and tells of each value whether it is an element: whether the
    /// path itself ends at an array (`tags` in `{"tags": ["a"]}`), not only passes through one
    /// (`items.name` in `{"items": [{"name": "a"}]}`).
    pub fn visit_elements<'m>(
        &self,
        metadata: &'m Metadata,
        found: &mut dyn FnMut(&'m Value, bool),
    ) {
        if let Some((first, rest)) = self.0.split_first()
            && let Some(value) = metadata.get(first)
        {
            descend(rest, value, false, found);
        }
    }
}

impl From<&str> for FieldPath {
    /// The names between the dots of `dotted`; a name that has a dot in it needs
    /// [`FieldPath::new`].
    fn from(dotted: &str) -> Self {
        FieldPath(dotted.split('.').map(String::from).collect())
    }
}

impl fmt::Display for FieldPath {
    /// As a filter writes it: names quoted with `"` where they are not plain identifiers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (step, name) in self.0.iter().enumerate() {
            if step > 0 {
                f.write_str(".")?;
            }
            if is_plain(name) {
                f.write_str(name)?;
            } else {
                write!(f, "\"{}\"", name.replace('"', "\"\""))?;
            }
        }
        Ok(())
    }
}

/// Whether a filter can write `name` without quotes.
fn is_plain(name: &str) -> bool {
    name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_')
        && !FILTER_WORDS.iter().any(|word| word.eq_ignore_ascii_case(name))
}

fn descend<'m>(
    names: &[String],
    value: &'m Value,
    is_element: bool,
    found: &mut dyn FnMut(&'m Value, bool),
) {
    match (value, names.split_first()) {
        (Value::Array(elements), step) if step.is_some() || !elements.is_empty() => {
            for element in elements {
                descend(names, element, step.is_none(), found);
            }
        }
        (_, None) => found(value, is_element),
        (Value::Object(object), Some((name, rest))) => {
            if let Some(value) = object.get(name) {
                descend(rest, value, false, found);
            }
        }
        (_, Some(_)) => {}
    }
}

/// The scalar that a JSON value is, `None` for arrays and objects.
///
/// A number that is an `i64` is an integer; any other is a float. An integer beyond `i64` would
/// therefore lose its last digits here, which is why the engine refuses it in metadata; reading
/// it as the nearest float is for files that were written by something else.
#[must_use]
pub fn scalar(value: &Value) -> Option<Scalar<'_>> {
    match value {
        Value::Null => Some(Scalar::Null),
        Value::Bool(value) => Some(Scalar::Bool(*value)),
        Value::Number(number) => match number.as_i64() {
            Some(value) => Some(Scalar::Int(value)),
            None => number.as_f64().map(Scalar::Float),
        },
        Value::String(value) => Some(Scalar::Str(value)),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// Adds everything in the metadata of `row` to a field index.
pub fn index_metadata(fields: &mut FieldIndexBuilder, row: u32, metadata: &Metadata) {
    visit_scalars(metadata, &mut |path, value, is_element| match value {
        Some(value) if is_element => fields.add_element(row, path, value),
        Some(value) => fields.add(row, path, value),
        None => fields.present(row, path),
    });
}

/// Calls `found(path key, Some(value), is_element)` for every scalar in the metadata, and
/// `found(path key, None, is_element)` for every path that exists without being a scalar (objects,
/// empty arrays).
///
/// Agrees with [`FieldPath::visit_elements`]: a path's calls are exactly what that finds.
pub fn visit_scalars(metadata: &Metadata, found: &mut dyn FnMut(&str, Option<Scalar<'_>>, bool)) {
    visit_object(metadata, &mut String::new(), found);
}

fn visit_object(
    object: &Metadata,
    key: &mut String,
    found: &mut dyn FnMut(&str, Option<Scalar<'_>>, bool),
) {
    for (name, value) in object {
        let length = key.len();
        push_name(key, name);
        visit_value(value, false, key, found);
        key.truncate(length);
    }
}

fn visit_value(
    value: &Value,
    is_element: bool,
    key: &mut String,
    found: &mut dyn FnMut(&str, Option<Scalar<'_>>, bool),
) {
    match value {
        Value::Array(elements) if !elements.is_empty() => {
            elements.iter().for_each(|element| visit_value(element, true, key, found));
        }
        Value::Object(object) => {
            found(key, None, is_element);
            let length = key.len();
            key.push('.');
            visit_object(object, key, found);
            key.truncate(length);
        }
        _ => found(key, scalar(value), is_element),
    }
}

/// Appends one name to a path key, escaping what would read as structure.
fn push_name(key: &mut String, name: &str) {
    for c in name.chars() {
        if matches!(c, '.' | '\\') {
            key.push('\\');
        }
        key.push(c);
    }
}
