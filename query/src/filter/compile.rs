//! The fast reading: a filter as row bitmaps of a field index.
//!
//! An index cannot always answer exactly: a field may have strings over a limit, or a row may reach
//! both array elements and plain values by one path, between which `CONTAINS` tells. So every part
//! of a filter is bounded from both sides, by the rows that certainly satisfy it and the rows that
//! possibly do. `NOT` swaps the two (a superset of the rows of `p` says nothing about which rows
//! satisfy `NOT p`, a subset does), and only the rows between the bounds are ever looked at.

use std::ops::Bound;

use vecstore_index::roaring::RoaringBitmap;
use vecstore_index::{FieldIndex, FormatError, Posting, Scalar, Timestamp};

use super::like::{Pattern, Shape};
use super::{Comparison, Filter, Value};

/// The rows that satisfy a filter, as far as an index knows.
#[derive(Clone, Debug, PartialEq)]
pub struct Compiled {
    /// Rows that satisfy it.
    pub rows: RoaringBitmap,
    /// Rows that may satisfy it: [`Filter::matches`] must be asked for each. None of them is in
    /// `rows`, and a row in neither does not satisfy it.
    pub unsure: RoaringBitmap,
}

/// Finds the rows of `universe` that satisfy `filter`, by the index of their segment.
///
/// The index must have been made from [`visit_scalars`](vecstore_segments::visit_scalars) of the
/// rows' metadata.
pub fn compile(
    filter: &Filter,
    index: &FieldIndex<'_>,
    universe: &RoaringBitmap,
) -> Result<Compiled, FormatError> {
    Ok(match bounds(filter, index, universe)? {
        Bounds::Exact(rows) => Compiled { rows, unsure: RoaringBitmap::new() },
        Bounds::Between { certain, possible } => {
            let unsure = possible - &certain;
            Compiled { rows: certain, unsure }
        }
    })
}

/// The rows of a scope that satisfy a part of the filter, from below and from above.
enum Bounds {
    Exact(RoaringBitmap),
    /// `certain` is a subset of `possible`.
    Between {
        certain: RoaringBitmap,
        possible: RoaringBitmap,
    },
}

impl Bounds {
    fn certain(&self) -> &RoaringBitmap {
        match self {
            Bounds::Exact(rows) | Bounds::Between { certain: rows, .. } => rows,
        }
    }

    fn possible(&self) -> &RoaringBitmap {
        match self {
            Bounds::Exact(rows) | Bounds::Between { possible: rows, .. } => rows,
        }
    }

    fn between(certain: RoaringBitmap, possible: RoaringBitmap) -> Bounds {
        if certain.len() == possible.len() {
            Bounds::Exact(certain)
        } else {
            Bounds::Between { certain, possible }
        }
    }
}

/// Bounds on the rows of `scope` that satisfy `filter`.
fn bounds(
    filter: &Filter,
    index: &FieldIndex<'_>,
    scope: &RoaringBitmap,
) -> Result<Bounds, FormatError> {
    if scope.is_empty() {
        return Ok(Bounds::Exact(RoaringBitmap::new()));
    }
    match filter {
        Filter::And(parts) => all(parts, index, scope),
        Filter::Or(parts) => any(parts, index, scope),
        Filter::Not(part) => none(part, index, scope),
        Filter::Compare(path, Comparison::NotEqual, value) => {
            let equal = Filter::Compare(path.clone(), Comparison::Equal, value.clone());
            none(&equal, index, scope)
        }
        Filter::Contains(path, value) => contains(&path.key(), value, index, scope),
        Filter::In(path, values) => {
            let key = path.key();
            let mut rows = Bounds::Exact(RoaringBitmap::new());
            for value in values {
                rows = either(rows, in_scope(index.equal(&key, value.scalar())?, scope));
            }
            Ok(rows)
        }
        test => Ok(in_scope(posting(test, index)?, scope)),
    }
}

/// Each part only has to tell among the rows that the parts before it left possible.
fn all(
    parts: &[Filter],
    index: &FieldIndex<'_>,
    scope: &RoaringBitmap,
) -> Result<Bounds, FormatError> {
    let (mut certain, mut possible) = (scope.clone(), scope.clone());
    for part in cheapest_first(parts) {
        let found = bounds(part, index, &possible)?;
        certain &= found.certain();
        possible &= found.possible();
    }
    Ok(Bounds::between(certain, possible))
}

/// Each part only has to tell about the rows that the parts before it left uncertain.
fn any(
    parts: &[Filter],
    index: &FieldIndex<'_>,
    scope: &RoaringBitmap,
) -> Result<Bounds, FormatError> {
    let (mut certain, mut possible) = (RoaringBitmap::new(), RoaringBitmap::new());
    for part in cheapest_first(parts) {
        let found = bounds(part, index, &(scope - &certain))?;
        certain |= found.certain();
        possible |= found.possible();
    }
    Ok(Bounds::between(certain, possible))
}

fn none(
    part: &Filter,
    index: &FieldIndex<'_>,
    scope: &RoaringBitmap,
) -> Result<Bounds, FormatError> {
    Ok(match bounds(part, index, scope)? {
        Bounds::Exact(rows) => Bounds::Exact(scope - rows),
        Bounds::Between { certain, possible } => {
            Bounds::Between { certain: scope - possible, possible: scope - certain }
        }
    })
}

fn either(a: Bounds, b: Bounds) -> Bounds {
    match (a, b) {
        (Bounds::Exact(a), Bounds::Exact(b)) => Bounds::Exact(a | b),
        (a, b) => Bounds::between(a.certain() | b.certain(), a.possible() | b.possible()),
    }
}

/// An element that equals the value, or a plain string that has it as a part.
fn contains(
    key: &str,
    value: &Value,
    index: &FieldIndex<'_>,
    scope: &RoaringBitmap,
) -> Result<Bounds, FormatError> {
    let equal = in_scope(index.equal(key, value.scalar())?, scope);
    // A plain value contains nothing but parts of a string, not even its equal.
    let has_part = match value {
        Value::Str(part) => {
            in_scope(index.string_matching(key, &mut |text| text.contains(part.as_str()))?, scope)
        }
        _ => Bounds::Exact(RoaringBitmap::new()),
    };
    let elements = index.elements(key)?;
    let plain = scope - &elements.rows - &elements.unsure;
    let both = &elements.unsure;
    let mut certain = equal.certain() & &elements.rows;
    certain |= has_part.certain() & &plain;
    if let Value::Str(_) = value {
        // A string that equals the part contains it, whether it is an element or not.
        certain |= equal.certain() & both;
    }
    let mut possible = equal.possible() & &elements.rows;
    possible |= has_part.possible() & &plain;
    possible |= (equal.possible() | has_part.possible()) & both;
    Ok(Bounds::between(certain, possible))
}

/// What the index says to a test that it can answer in one go.
fn posting(test: &Filter, index: &FieldIndex<'_>) -> Result<Posting, FormatError> {
    match test {
        Filter::Compare(path, comparison, value) => {
            let (key, end) = (path.key(), value.scalar());
            match comparison {
                Comparison::Equal | Comparison::NotEqual => index.equal(&key, end),
                Comparison::Less => range(index, &key, Bound::Unbounded, Bound::Excluded(end)),
                Comparison::LessOrEqual => {
                    range(index, &key, Bound::Unbounded, Bound::Included(end))
                }
                Comparison::Greater => range(index, &key, Bound::Excluded(end), Bound::Unbounded),
                Comparison::GreaterOrEqual => {
                    range(index, &key, Bound::Included(end), Bound::Unbounded)
                }
            }
        }
        Filter::Between(path, low, high) => {
            let (low, high) = (Bound::Included(low.scalar()), Bound::Included(high.scalar()));
            range(index, &path.key(), low, high)
        }
        Filter::StartsWith(path, prefix) => index.string_prefix(&path.key(), prefix),
        Filter::Like(path, pattern) => {
            let (key, pattern) = (path.key(), Pattern::new(pattern));
            match pattern.shape() {
                Shape::Equal(text) => index.equal(&key, Scalar::Str(&text)),
                Shape::Prefix(prefix) => index.string_prefix(&key, &prefix),
                Shape::General => index.string_matching(&key, &mut |text| pattern.matches(text)),
            }
        }
        Filter::Exists(path) => index.exists(&path.key()),
        Filter::IsNull(path) => index.equal(&path.key(), Scalar::Null),
        Filter::And(_) | Filter::Or(_) | Filter::Not(_) | Filter::In(..) | Filter::Contains(..) => {
            unreachable!("`bounds` takes these apart")
        }
    }
}

/// A range of numbers, strings or dates, whichever the ends are; a mixture holds nothing.
fn range(
    index: &FieldIndex<'_>,
    key: &str,
    low: Bound<Scalar<'_>>,
    high: Bound<Scalar<'_>>,
) -> Result<Posting, FormatError> {
    fn text(end: Scalar<'_>) -> Option<&str> {
        match end {
            Scalar::Str(text) => Some(text),
            _ => None,
        }
    }
    fn date(end: Scalar<'_>) -> Option<Timestamp> {
        match end {
            Scalar::Date(date) => Some(date),
            _ => None,
        }
    }
    if let (Some(low), Some(high)) = (bound(low, text), bound(high, text)) {
        index.string_range(key, low, high)
    } else if let (Some(low), Some(high)) = (bound(low, date), bound(high, date)) {
        index.date_range(key, low, high)
    } else {
        index.number_range(key, low, high)
    }
}

/// The bound with its end read as `read` does, `None` if that is not what it is.
fn bound<'s, T>(
    bound: Bound<Scalar<'s>>,
    read: impl Fn(Scalar<'s>) -> Option<T>,
) -> Option<Bound<T>> {
    Some(match bound {
        Bound::Unbounded => Bound::Unbounded,
        Bound::Included(end) => Bound::Included(read(end)?),
        Bound::Excluded(end) => Bound::Excluded(read(end)?),
    })
}

fn in_scope(posting: Posting, scope: &RoaringBitmap) -> Bounds {
    match posting {
        Posting::Exact(rows) => Bounds::Exact(rows & scope),
        Posting::Within(rows) => Bounds::between(RoaringBitmap::new(), rows & scope),
    }
}

fn cheapest_first(parts: &[Filter]) -> Vec<&Filter> {
    let mut order: Vec<&Filter> = parts.iter().collect();
    order.sort_by_key(|part| cost(part));
    order
}

/// Rough relative cost of asking the index: one bitmap, several, or every distinct string.
fn cost(filter: &Filter) -> u64 {
    match filter {
        Filter::And(parts) | Filter::Or(parts) => parts.iter().map(cost).sum(),
        Filter::Not(part) => cost(part),
        Filter::Compare(_, Comparison::Equal | Comparison::NotEqual, _)
        | Filter::Exists(_)
        | Filter::IsNull(_) => 1,
        Filter::In(_, values) => values.len() as u64,
        Filter::Compare(..) | Filter::Between(..) | Filter::StartsWith(..) => 20,
        Filter::Like(..) | Filter::Contains(..) => 100,
    }
}
