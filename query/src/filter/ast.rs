//! What a filter is.

use vecstore_index::{Scalar, Timestamp};
use vecstore_segments::FieldPath;

/// A literal in a filter.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// Integer, exact over all of `i64`.
    Int(i64),
    /// Floating point. NaN equals nothing; NaN and infinities have no text.
    Float(f64),
    /// Text.
    Str(String),
    /// A point in time; compares with text that is a date.
    Date(Timestamp),
}

impl Value {
    /// As a field index takes it.
    #[must_use]
    pub fn scalar(&self) -> Scalar<'_> {
        match self {
            Value::Null => Scalar::Null,
            Value::Bool(value) => Scalar::Bool(*value),
            Value::Int(value) => Scalar::Int(*value),
            Value::Float(value) => Scalar::Float(*value),
            Value::Str(value) => Scalar::Str(value),
            Value::Date(value) => Scalar::Date(*value),
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}
impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Int(value)
    }
}
impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Value::Int(value.into())
    }
}
impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Value::Int(value.into())
    }
}
impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Value::Float(value)
    }
}
impl From<f32> for Value {
    fn from(value: f32) -> Self {
        Value::Float(value.into())
    }
}
impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::Str(value.to_string())
    }
}
impl From<String> for Value {
    fn from(value: String) -> Self {
        Value::Str(value)
    }
}

impl From<Timestamp> for Value {
    fn from(value: Timestamp) -> Self {
        Value::Date(value)
    }
}

/// The six comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=`, the same as `NOT =`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    /// All six.
    pub(super) const ALL: [Comparison; 6] = [
        Comparison::Equal,
        Comparison::NotEqual,
        Comparison::Less,
        Comparison::LessOrEqual,
        Comparison::Greater,
        Comparison::GreaterOrEqual,
    ];

    /// As text and JSON write it.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Comparison::Equal => "=",
            Comparison::NotEqual => "!=",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        }
    }
}

/// A condition on a record's metadata.
///
/// Logic is two-valued: a missing field makes a comparison false, and `NOT` makes that true. A
/// field that is an array satisfies a comparison if any element does. Types are not coerced:
/// `n = '1'` does not hold for the number 1, and `n < 'a'` holds for no number. Integers and
/// floats compare as numbers, exactly; strings compare by bytes. A date compares with text that is
/// a date of RFC 3339 as points in time, whatever their time zones, and with nothing else.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// All hold (none: true).
    And(Vec<Filter>),
    /// At least one holds (none: false).
    Or(Vec<Filter>),
    /// Does not hold.
    Not(Box<Filter>),
    /// `path op value`. `= null` is the same as `IS NULL`. An ordering with a literal that is
    /// neither a number, a string nor a date holds for nothing; text and JSON refuse it.
    Compare(FieldPath, Comparison, Value),
    /// `path IN [values]`: equal to one of them.
    In(FieldPath, Vec<Value>),
    /// `path BETWEEN low AND high`, both ends included, and both numbers, both strings or
    /// both dates. One and the same value must be within both.
    Between(FieldPath, Value, Value),
    /// `path CONTAINS value`: the path ends at an array with an element that equals the value, or
    /// at a string (not an array's element) that has the value, a string, as a substring.
    Contains(FieldPath, Value),
    /// `path STARTSWITH 'prefix'`.
    StartsWith(FieldPath, String),
    /// `path LIKE 'pattern'`: the whole string follows the pattern; `%` any run of characters,
    /// `_` one character, and `\` makes the next character plain.
    Like(FieldPath, String),
    /// `EXISTS path` (also `path EXISTS`): the field is there, null included.
    Exists(FieldPath),
    /// `path IS NULL`: the field is there and null.
    IsNull(FieldPath),
}
