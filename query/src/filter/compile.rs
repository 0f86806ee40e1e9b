//! The fast reading: a filter as row bitmaps of a field index.
//!
//! An index cannot always answer exactly: a field may have strings over a limit, and `CONTAINS`
//! asks for array elements, which the index does not tell from plain values. So every part of a
//! filter is bounded from both sides, by the rows that certainly satisfy it and the rows that
//! possibly do. `NOT` swaps the two (a superset of the rows of `p` says nothing about which rows
//! satisfy `NOT p`, a subset does), and only the rows between the bounds are ever looked at.

use std::ops::Bound;

use vecstore_index::roaring::RoaringBitmap;
use vecstore_index::{FieldIndex, FormatError, Posting, Scalar};

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

/// An element that equals the value, or a plain string that has it as a part. The index does not
/// know which values are elements.
fn contains(
    key: &str,
    value: &Value,
    index: &FieldIndex<'_>,
    scope: &RoaringBitmap,
) -> Result<Bounds, FormatError> {
    let equal = in_scope(index.equal(key, value.scalar())?, scope);
    let Value::Str(part) = value else {
        // A plain value contains nothing, not even its equal.
        let (Bounds::Exact(possible) | Bounds::Between { possible, .. }) = equal;
        return Ok(Bounds::between(RoaringBitmap::new(), possible));
    };
    // A string that equals the part contains it, whether it is an element or not.
    let has_part = index.string_matching(key, &mut |text| text.contains(part.as_str()))?;
    let possible = in_scope(has_part, scope).possible() | equal.possible();
    Ok(Bounds::between(equal.certain().clone(), possible))
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

/// A range of numbers or of strings, whichever the ends are; a mixture holds nothing.
fn range(
    index: &FieldIndex<'_>,
    key: &str,
    low: Bound<Scalar<'_>>,
    high: Bound<Scalar<'_>>,
) -> Result<Posting, FormatError> {
    fn text(bound: Bound<Scalar<'_>>) -> Option<Bound<&str>> {
        match bound {
            Bound::Unbounded => Some(Bound::Unbounded),
            Bound::Included(Scalar::Str(text)) => Some(Bound::Included(text)),
            Bound::Excluded(Scalar::Str(text)) => Some(Bound::Excluded(text)),
            _ => None,
        }
    }
    match (text(low), text(high)) {
        (Some(low), Some(high)) => index.string_range(key, low, high),
        _ => index.number_range(key, low, high),
    }
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
