//! The fast reading: a filter as row bitmaps of a field index.
//!
//! An index cannot always answer exactly: a field may have strings over a limit, or a row may reach
//! both array elements and plain values by one path, between which `CONTAINS` tells. So every part
//! of a filter is bounded from both sides, by the rows that certainly satisfy it and the rows that
//! possibly do. `NOT` swaps the two (a superset of the rows of `p` says nothing about which rows
//! satisfy `NOT p`, a subset does), and only the rows between the bounds are ever looked at.

use std::cell::OnceCell;
use std::ops::Bound;

use vecstore_index::roaring::RoaringBitmap;
use vecstore_index::{AnyOf, FieldIndex, FormatError, Posting, Scalar, Timestamp, Union};

use super::like::{Pattern, Shape};
use super::{Comparison, Filter, Value};
use crate::Stop;

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
/// rows' metadata. `stop` is asked before each test of the filter; once it says true the rest finds
/// nothing, so whoever gets these rows has to [ask](Stop::go_on) whether they are all.
pub fn compile(
    filter: &Filter,
    index: &FieldIndex<'_>,
    universe: &RoaringBitmap,
    stop: &Stop<'_>,
) -> Result<Compiled, FormatError> {
    let mut compiled = compile_beyond(filter, index, universe, stop)?;
    compiled.rows &= universe;
    compiled.unsure &= universe;
    Ok(compiled)
}

/// As [`compile`], but rows that are not in `universe` may be among those found: a caller that takes
/// them out in a cheaper way, or knows that there are none, is spared an intersection.
pub(crate) fn compile_beyond(
    filter: &Filter,
    index: &FieldIndex<'_>,
    universe: &RoaringBitmap,
    stop: &Stop<'_>,
) -> Result<Compiled, FormatError> {
    let compile = Compile { index, universe, stop, dense: OnceCell::new() };
    Ok(match compile.bounds(filter)? {
        Bounds::Exact(rows) => Compiled { rows, unsure: RoaringBitmap::new() },
        Bounds::Between { certain, possible } => {
            let unsure = possible - &certain;
            Compiled { rows: certain, unsure }
        }
    })
}

/// The rows that satisfy a part of the filter, from below and from above.
///
/// Of rows outside of the universe it says nothing: to leave them out of every part, when they are
/// left out of the whole, took longer than all else.
enum Bounds {
    Exact(RoaringBitmap),
    /// `certain` is a subset of `possible`.
    Between {
        certain: RoaringBitmap,
        possible: RoaringBitmap,
    },
}

impl Bounds {
    fn none() -> Bounds {
        Bounds::Exact(RoaringBitmap::new())
    }

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

    fn and(self, other: Bounds) -> Bounds {
        match (self, other) {
            (Bounds::Exact(a), Bounds::Exact(b)) => Bounds::Exact(a & b),
            (a, b) => Bounds::between(a.certain() & b.certain(), a.possible() & b.possible()),
        }
    }

    fn and_not(self, other: Bounds) -> Bounds {
        match (self, other) {
            (Bounds::Exact(a), Bounds::Exact(b)) => Bounds::Exact(a - b),
            (a, b) => Bounds::between(a.certain() - b.possible(), a.possible() - b.certain()),
        }
    }
}

impl From<Posting> for Bounds {
    fn from(posting: Posting) -> Bounds {
        match posting {
            Posting::Exact(rows) => Bounds::Exact(rows),
            Posting::Within(rows) => Bounds::between(RoaringBitmap::new(), rows),
        }
    }
}

struct Compile<'a> {
    index: &'a FieldIndex<'a>,
    universe: &'a RoaringBitmap,
    stop: &'a Stop<'a>,
    /// The universe without runs: to take thousands of single rows out of one run moves the rest of
    /// its list each time.
    dense: OnceCell<RoaringBitmap>,
}

impl Compile<'_> {
    fn bounds(&self, filter: &Filter) -> Result<Bounds, FormatError> {
        let (negated, part) = split(filter);
        let found = self.affirmative(part)?;
        Ok(if negated { self.everything().and_not(found) } else { found })
    }

    /// Bounds of what [`split`] leaves.
    fn affirmative(&self, part: &Filter) -> Result<Bounds, FormatError> {
        if self.stop.asked() {
            return Ok(Bounds::none());
        }
        match part {
            Filter::And(parts) => self.all(parts),
            Filter::Or(parts) => self.any(parts),
            Filter::Contains(path, value) => self.contains(&path.key(), value),
            Filter::In(path, values) => {
                let values = values.iter().map(Value::scalar);
                let AnyOf { rows, unsure } = self.index.equal_any(&path.key(), values)?;
                Ok(if unsure.is_empty() {
                    Bounds::Exact(rows)
                } else {
                    Bounds::between(rows.clone(), rows | unsure)
                })
            }
            test => Ok(posting(test, self.index)?.into()),
        }
    }

    fn everything(&self) -> Bounds {
        let dense = || {
            let mut rows = self.universe.clone();
            rows.remove_run_compression();
            rows
        };
        Bounds::Exact(self.dense.get_or_init(dense).clone())
    }

    fn all(&self, parts: &[Filter]) -> Result<Bounds, FormatError> {
        let mut all: Option<Bounds> = None;
        for part in cheapest_first(parts) {
            all = Some(match all {
                None => self.bounds(part)?,
                Some(all) if all.possible().is_empty() => return Ok(all),
                Some(all) => {
                    let (negated, part) = split(part);
                    let found = self.affirmative(part)?;
                    if negated { all.and_not(found) } else { all.and(found) }
                }
            });
        }
        Ok(all.unwrap_or_else(|| self.everything()))
    }

    fn any(&self, parts: &[Filter]) -> Result<Bounds, FormatError> {
        let (mut certain, mut possible) = (Union::default(), Union::default());
        let mut add = |found: &Bounds| {
            certain.add_bitmap(found.certain());
            if let Bounds::Between { possible: rows, .. } = found {
                possible.add_bitmap(rows);
            }
        };
        // What all negated parts negate: one of them holds unless that does.
        let mut denied: Option<Bounds> = None;
        for part in parts {
            let (negated, part) = split(part);
            let found = self.affirmative(part)?;
            if negated {
                denied = Some(match denied {
                    Some(denied) => denied.and(found),
                    None => found,
                });
            } else {
                add(&found);
            }
        }
        if let Some(denied) = denied {
            add(&self.everything().and_not(denied));
        }
        let certain = certain.finish();
        if possible.is_empty() {
            return Ok(Bounds::Exact(certain));
        }
        let possible = possible.finish() | &certain;
        Ok(Bounds::between(certain, possible))
    }

    /// An element that equals the value, or a plain string that has it as a part.
    fn contains(&self, key: &str, value: &Value) -> Result<Bounds, FormatError> {
        let equal: Bounds = self.index.equal(key, value.scalar())?.into();
        // A plain value contains nothing but parts of a string, not even its equal.
        let has_part = match value {
            Value::Str(part) => {
                let mut has_part = |text: &str| text.contains(part.as_str());
                self.index.string_matching(key, &mut has_part)?.into()
            }
            _ => Bounds::none(),
        };
        let elements = self.index.elements(key)?;
        if elements.rows.is_empty() && elements.unsure.is_empty() {
            return Ok(has_part);
        }
        let either = &elements.rows | &elements.unsure;
        let both = &elements.unsure;
        let mut certain = equal.certain() & &elements.rows;
        certain |= has_part.certain() - &either;
        if let Value::Str(_) = value {
            // A string that equals the part contains it, whether it is an element or not.
            certain |= equal.certain() & both;
        }
        let mut possible = equal.possible() & &elements.rows;
        possible |= has_part.possible() - &either;
        possible |= (equal.possible() | has_part.possible()) & both;
        Ok(Bounds::between(certain, possible))
    }
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
            unreachable!("`split` and `affirmative` take these apart")
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

/// Whether a part is negated in all, and what of it is then asked for: of a `!=` that is whether
/// they are equal.
fn split(filter: &Filter) -> (bool, &Filter) {
    let (mut negated, mut part) = (false, filter);
    while let Filter::Not(inner) = part {
        (negated, part) = (!negated, inner);
    }
    (negated ^ matches!(part, Filter::Compare(_, Comparison::NotEqual, _)), part)
}

/// What selects rows before what leaves some out, which then needs no look at all the others.
fn cheapest_first(parts: &[Filter]) -> Vec<&Filter> {
    let mut order: Vec<&Filter> = parts.iter().collect();
    order.sort_by_cached_key(|part| (split(part).0, cost(part)));
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
