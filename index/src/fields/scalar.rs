//! One metadata value, and how values compare.

use std::cmp::Ordering;

use super::Timestamp;
use super::number::Number;

/// One metadata value that a field index can hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar<'a> {
    /// Explicit null.
    Null,
    /// Boolean.
    Bool(bool),
    /// Integer, exact.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    Str(&'a str),
    /// A point in time. JSON has none: it is what a filter compares text with that is a date.
    Date(Timestamp),
}

impl Scalar<'_> {
    /// Whether both are the same value. Integers and floats compare as numbers, exactly; text
    /// that is a date compares with a date as points in time; other values of different types are
    /// never the same, and NaN is not even the same as itself.
    #[must_use]
    pub fn same(self, other: Scalar<'_>) -> bool {
        match (self, other) {
            (Scalar::Null, Scalar::Null) => true,
            (Scalar::Bool(a), Scalar::Bool(b)) => a == b,
            _ => self.compare(other) == Some(Ordering::Equal),
        }
    }

    /// The order of two numbers (exact, also between an integer and a float), of two strings (by
    /// bytes) or of a date and a date or text that is one (in time); `None` for anything else and
    /// for NaN.
    #[must_use]
    pub fn compare(self, other: Scalar<'_>) -> Option<Ordering> {
        match (self, other) {
            (Scalar::Str(a), Scalar::Str(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
            (Scalar::Date(_), _) | (_, Scalar::Date(_)) => Some(self.date()?.cmp(&other.date()?)),
            _ => Some(Number::of(self)?.cmp(&Number::of(other)?)),
        }
    }

    /// The same value in its one form: a number that an `i64` can hold is an integer.
    #[must_use]
    pub fn canonical(self) -> Self {
        match Number::of(self) {
            Some(Number::Int(value)) => Scalar::Int(value),
            Some(Number::Float(value)) => Scalar::Float(value),
            None => self,
        }
    }

    fn date(self) -> Option<Timestamp> {
        match self {
            Scalar::Date(date) => Some(date),
            Scalar::Str(text) => Timestamp::parse(text),
            _ => None,
        }
    }
}
