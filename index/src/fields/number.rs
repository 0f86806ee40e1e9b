//! The one total order of integers and floats.

use std::cmp::Ordering;

use super::Scalar;

/// 2⁶³, the first float above `i64::MAX`; its negative is `i64::MIN` exactly.
const TWO_63: f64 = 9_223_372_036_854_775_808.0;

/// A number in canonical form: everything that an `i64` can hold is `Int` (so `1.0` and `-0.0` are
/// `Int` too), and `Float` has only fractions, numbers beyond `i64`, and infinities, never NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    /// The number that `scalar` is; `None` for NaN and for what is not a number.
    pub(super) fn of(scalar: Scalar<'_>) -> Option<Number> {
        match scalar {
            Scalar::Int(value) => Some(Number::Int(value)),
            Scalar::Float(value) => Number::of_float(value),
            _ => None,
        }
    }

    pub(super) fn of_float(value: f64) -> Option<Number> {
        if value.is_nan() {
            None
        } else if value.trunc() == value && (-TWO_63..TWO_63).contains(&value) {
            Some(Number::Int(value as i64))
        } else {
            Some(Number::Float(value))
        }
    }
}

impl Eq for Number {}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (*self, *other) {
            (Number::Int(a), Number::Int(b)) => a.cmp(&b),
            // Neither is NaN nor a zero, so `total_cmp` is the numeric order.
            (Number::Float(a), Number::Float(b)) => a.total_cmp(&b),
            (Number::Int(a), Number::Float(b)) => compare_int_float(a, b),
            (Number::Float(a), Number::Int(b)) => compare_int_float(b, a).reverse(),
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Compares without rounding: the integer is never turned into a float (which loses digits beyond
/// 2⁵³), only the float's whole part into an integer, which is exact within the range of `i64`.
fn compare_int_float(int: i64, float: f64) -> Ordering {
    if float >= TWO_63 {
        Ordering::Less
    } else if float < -TWO_63 {
        Ordering::Greater
    } else {
        let whole = float.trunc();
        int.cmp(&(whole as i64)).then_with(|| whole.total_cmp(&float))
    }
}
