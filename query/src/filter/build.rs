//! Filters written in Rust.

use std::ops::Not;

use vecstore_index::Timestamp;
use vecstore_segments::FieldPath;

use super::{Comparison, Filter, Value};

/// Starts a condition on a field.
///
/// A `&str` is split at its dots; for a name that has a dot in it give a [`FieldPath`].
///
/// ```
/// use vecstore_query::field;
/// let filter = field("pos").eq("v").and(field("gloss.len").le(5)).or(!field("tags").exists());
/// assert_eq!(filter.to_string(), "pos = 'v' AND gloss.len <= 5 OR NOT EXISTS tags");
/// ```
#[must_use]
pub fn field(path: impl Into<FieldPath>) -> Field {
    Field(path.into())
}

/// A field that awaits its condition; made by [`field`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field(FieldPath);

/// What can be ordered: numbers, strings and dates.
pub trait Orderable: Into<Value> {}

impl Orderable for i64 {}
impl Orderable for i32 {}
impl Orderable for u32 {}
impl Orderable for f64 {}
impl Orderable for f32 {}
impl Orderable for &str {}
impl Orderable for String {}
impl Orderable for Timestamp {}

impl Field {
    fn compare(self, comparison: Comparison, value: impl Into<Value>) -> Filter {
        Filter::Compare(self.0, comparison, value.into())
    }

    /// `= value`
    #[must_use]
    pub fn eq(self, value: impl Into<Value>) -> Filter {
        self.compare(Comparison::Equal, value)
    }

    /// `!= value`, which also holds where the field is missing
    #[must_use]
    pub fn ne(self, value: impl Into<Value>) -> Filter {
        self.compare(Comparison::NotEqual, value)
    }

    /// `< value`
    #[must_use]
    pub fn lt(self, value: impl Orderable) -> Filter {
        self.compare(Comparison::Less, value)
    }

    /// `<= value`
    #[must_use]
    pub fn le(self, value: impl Orderable) -> Filter {
        self.compare(Comparison::LessOrEqual, value)
    }

    /// `> value`
    #[must_use]
    pub fn gt(self, value: impl Orderable) -> Filter {
        self.compare(Comparison::Greater, value)
    }

    /// `>= value`
    #[must_use]
    pub fn ge(self, value: impl Orderable) -> Filter {
        self.compare(Comparison::GreaterOrEqual, value)
    }

    /// `BETWEEN low AND high`
    #[must_use]
    pub fn between<T: Orderable>(self, low: T, high: T) -> Filter {
        Filter::Between(self.0, low.into(), high.into())
    }

    /// `IN [values]`
    #[must_use]
    pub fn is_in<T: Into<Value>>(self, values: impl IntoIterator<Item = T>) -> Filter {
        Filter::In(self.0, values.into_iter().map(Into::into).collect())
    }

    /// `CONTAINS value`
    #[must_use]
    pub fn contains(self, value: impl Into<Value>) -> Filter {
        Filter::Contains(self.0, value.into())
    }

    /// `STARTSWITH prefix`
    #[must_use]
    pub fn starts_with(self, prefix: impl Into<String>) -> Filter {
        Filter::StartsWith(self.0, prefix.into())
    }

    /// `LIKE pattern`
    #[must_use]
    pub fn like(self, pattern: impl Into<String>) -> Filter {
        Filter::Like(self.0, pattern.into())
    }

    /// `EXISTS`
    #[must_use]
    pub fn exists(self) -> Filter {
        Filter::Exists(self.0)
    }

    /// `IS NULL`
    #[must_use]
    pub fn is_null(self) -> Filter {
        Filter::IsNull(self.0)
    }
}

impl Filter {
    /// Both hold. A chain of `and` is one flat `AND`.
    #[must_use]
    pub fn and(self, other: Filter) -> Filter {
        match self {
            Filter::And(mut parts) if !parts.is_empty() => {
                parts.push(other);
                Filter::And(parts)
            }
            first => Filter::And(vec![first, other]),
        }
    }

    /// One of the two holds. A chain of `or` is one flat `OR`.
    #[must_use]
    pub fn or(self, other: Filter) -> Filter {
        match self {
            Filter::Or(mut parts) if !parts.is_empty() => {
                parts.push(other);
                Filter::Or(parts)
            }
            first => Filter::Or(vec![first, other]),
        }
    }
}

impl Not for Filter {
    type Output = Filter;

    /// Does not hold.
    fn not(self) -> Filter {
        Filter::Not(Box::new(self))
    }
}
