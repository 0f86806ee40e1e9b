//! One metadata value, and how values compare.

use std::cmp::Ordering;

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
}

impl Scalar<'_> {
    /// Whether both are the same value. Integers and floats compare as numbers, exactly; values of
    /// different types are never the same, and NaN is not even the same as itself.
    #[must_use]
    pub fn same(self, other: Scalar<'_>) -> bool {
        match (self, other) {
            (Scalar::Null, Scalar::Null) => true,
            (Scalar::Bool(a), Scalar::Bool(b)) => a == b,
            _ => self.compare(other) == Some(Ordering::Equal),
        }
    }

    /// The order of two numbers (exact, also between an integer and a float) or of two strings (by
    /// bytes); `None` for anything else and for NaN.
    #[must_use]
    pub fn compare(self, other: Scalar<'_>) -> Option<Ordering> {
        if let (Scalar::Str(a), Scalar::Str(b)) = (self, other) {
            return Some(a.as_bytes().cmp(b.as_bytes()));
        }
        Some(Number::of(self)?.cmp(&Number::of(other)?))
    }
}
