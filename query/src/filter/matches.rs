//! The plain reading: one record, no index. Everything faster is tested against it.

use std::cmp::Ordering;

use vecstore_index::Scalar;
use vecstore_segments::{FieldPath, Metadata, scalar};

use super::like::Pattern;
use super::{Comparison, Filter, Value};

impl Filter {
    /// Whether the metadata satisfies the filter: the plain reading that every index is checked
    /// against.
    #[must_use]
    pub fn matches(&self, metadata: &Metadata) -> bool {
        match self {
            Filter::And(parts) => parts.iter().all(|part| part.matches(metadata)),
            Filter::Or(parts) => parts.iter().any(|part| part.matches(metadata)),
            Filter::Not(part) => !part.matches(metadata),
            Filter::Compare(path, Comparison::NotEqual, value) => {
                !any(path, metadata, |found| found.same(value.scalar()))
            }
            Filter::Compare(path, comparison, value) => {
                any(path, metadata, |found| compares(found, *comparison, value))
            }
            Filter::In(path, values) => {
                any(path, metadata, |found| values.iter().any(|value| found.same(value.scalar())))
            }
            Filter::Between(path, low, high) => any(path, metadata, |found| {
                compares(found, Comparison::GreaterOrEqual, low)
                    && compares(found, Comparison::LessOrEqual, high)
            }),
            Filter::Contains(path, value) => contains(path, metadata, value),
            Filter::StartsWith(path, prefix) => {
                any_text(path, metadata, |text| text.starts_with(prefix))
            }
            Filter::Like(path, pattern) => {
                let pattern = Pattern::new(pattern);
                any_text(path, metadata, |text| pattern.matches(text))
            }
            Filter::Exists(path) => {
                let mut exists = false;
                path.visit(metadata, &mut |_| exists = true);
                exists
            }
            Filter::IsNull(path) => any(path, metadata, |found| found.same(Scalar::Null)),
        }
    }
}

/// Whether any scalar that the path reaches satisfies `holds`.
pub(super) fn any(
    path: &FieldPath,
    metadata: &Metadata,
    holds: impl Fn(Scalar<'_>) -> bool,
) -> bool {
    let mut any = false;
    path.visit(metadata, &mut |value| any = any || scalar(value).is_some_and(&holds));
    any
}

pub(super) fn any_text(
    path: &FieldPath,
    metadata: &Metadata,
    holds: impl Fn(&str) -> bool,
) -> bool {
    any(path, metadata, |found| matches!(found, Scalar::Str(text) if holds(text)))
}

fn compares(found: Scalar<'_>, comparison: Comparison, value: &Value) -> bool {
    let value = value.scalar();
    let order = found.compare(value);
    match comparison {
        Comparison::Equal => found.same(value),
        Comparison::NotEqual => !found.same(value),
        Comparison::Less => order == Some(Ordering::Less),
        Comparison::LessOrEqual => order.is_some_and(Ordering::is_le),
        Comparison::Greater => order == Some(Ordering::Greater),
        Comparison::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
    }
}

fn contains(path: &FieldPath, metadata: &Metadata, value: &Value) -> bool {
    let mut contains = false;
    path.visit_elements(metadata, &mut |found, is_element| {
        contains = contains
            || match (scalar(found), value) {
                (Some(found), value) if is_element => found.same(value.scalar()),
                (Some(Scalar::Str(text)), Value::Str(part)) => text.contains(part.as_str()),
                _ => false,
            };
    });
    contains
}
