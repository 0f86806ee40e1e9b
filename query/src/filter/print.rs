//! A filter as text.

use std::fmt;

use super::{Comparison, Filter, Value};

impl fmt::Display for Value {
    /// As a filter writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Int(value) => write!(f, "{value}"),
            // `Debug` always has a point or an exponent, so it is read as a float again.
            Value::Float(value) => write!(f, "{value:?}"),
            Value::Str(value) => write_text(f, value),
            Value::Date(value) => write!(f, "DATE '{value}'"),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.symbol())
    }
}

impl fmt::Display for Filter {
    /// The canonical text. Parsing it gives the same filter if every `And` and `Or` has two parts
    /// or more, as the parser and the builder make them; one with fewer gives a filter of the same
    /// meaning.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Filter::And(parts) => write_parts(f, parts, " AND ", "NOT IN"),
            Filter::Or(parts) => write_parts(f, parts, " OR ", "IN"),
            Filter::Not(part) => match &**part {
                Filter::IsNull(path) => write!(f, "{path} IS NOT NULL"),
                Filter::In(..)
                | Filter::Between(..)
                | Filter::Contains(..)
                | Filter::StartsWith(..)
                | Filter::Like(..) => write_test(f, part, " NOT"),
                Filter::And(parts) | Filter::Or(parts) if !parts.is_empty() => {
                    write!(f, "NOT ({part})")
                }
                part => write!(f, "NOT {part}"),
            },
            part => write_test(f, part, ""),
        }
    }
}

/// A condition on one field, with `not` before its word where it has one.
fn write_test(f: &mut fmt::Formatter<'_>, test: &Filter, not: &str) -> fmt::Result {
    match test {
        Filter::Compare(path, comparison, value) => write!(f, "{path} {comparison} {value}"),
        Filter::In(path, values) => {
            write!(f, "{path}{not} IN ")?;
            write_list(f, values)
        }
        Filter::Between(path, low, high) => write!(f, "{path}{not} BETWEEN {low} AND {high}"),
        Filter::Contains(path, value) => write!(f, "{path}{not} CONTAINS {value}"),
        Filter::StartsWith(path, prefix) => {
            write!(f, "{path}{not} STARTSWITH ")?;
            write_text(f, prefix)
        }
        Filter::Like(path, pattern) => {
            write!(f, "{path}{not} LIKE ")?;
            write_text(f, pattern)
        }
        Filter::Exists(path) => write!(f, "EXISTS {path}"),
        Filter::IsNull(path) => write!(f, "{path} IS NULL"),
        Filter::And(_) | Filter::Or(_) | Filter::Not(_) => write!(f, "{test}"),
    }
}

/// Parts between which `word` stands. No parts have no text of their own: `in_nothing` makes a
/// condition that always holds, or never does.
fn write_parts(
    f: &mut fmt::Formatter<'_>,
    parts: &[Filter],
    word: &str,
    in_nothing: &str,
) -> fmt::Result {
    if parts.is_empty() {
        return write!(f, "\"\" {in_nothing} []");
    }
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            f.write_str(word)?;
        }
        // An `AND` within an `OR` needs no parentheses. It gets none: what is printed must not be
        // nested deeper than the text that it came from, or the depth limit would refuse it.
        match part {
            Filter::And(inner) if !inner.is_empty() && word != " OR " => write!(f, "({part})")?,
            Filter::Or(inner) if !inner.is_empty() => write!(f, "({part})")?,
            part => write!(f, "{part}")?,
        }
    }
    Ok(())
}

fn write_list(f: &mut fmt::Formatter<'_>, values: &[Value]) -> fmt::Result {
    f.write_str("[")?;
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            f.write_str(", ")?;
        }
        write!(f, "{value}")?;
    }
    f.write_str("]")
}

fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    write!(f, "'{}'", text.replace('\'', "''"))
}
