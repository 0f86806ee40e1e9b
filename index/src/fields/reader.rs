//! Answers questions from the bytes of a field index.

use std::cmp::Ordering;
use std::ops::Bound;

use roaring::RoaringBitmap;

use super::layout::{
    BLOCK_HEAD_LEN, DIRECTORY_ENTRY_LEN, FLAG_STRINGS_OVER, FLAG_UNINDEXED, HEAD_LEN, MAGIC, Parts,
    Reader, STRING_ENTRY_LEN, VERSION, VERSION_UNINDEXED, above, damaged, slice,
};
use super::number::Number;
use super::numbers::Numbers;
use super::serialized::read_bitmap;
use super::strings::Strings;
use super::union::Union;
use super::{Scalar, Timestamp};
use crate::FormatError;

/// The answer of a field index.
#[derive(Clone, Debug, PartialEq)]
pub enum Posting {
    /// Exactly these rows.
    Exact(RoaringBitmap),
    /// The rows are among these, and each must be looked at: the field is not indexed, has values
    /// over a limit, or may be one that was a field too many.
    Within(RoaringBitmap),
}

impl Posting {
    fn none() -> Posting {
        Posting::Exact(RoaringBitmap::new())
    }
}

/// Rows with one of several values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AnyOf {
    /// Rows that certainly have one.
    pub rows: RoaringBitmap,
    /// Rows that may have one, for the reasons of [`Posting::Within`]; none of them is in `rows`.
    pub unsure: RoaringBitmap,
}

/// Where a path ends at an array.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Elements {
    /// Rows whose values are elements of an array at the end of the path.
    pub rows: RoaringBitmap,
    /// Rows that may have both elements and plain values; none of them is in `rows`.
    pub unsure: RoaringBitmap,
}

/// Size of one field's index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldSummary {
    /// Path key: names joined by dots.
    pub path: String,
    /// Whether it is indexed; if not, `strings` is `None` and the other numbers are 0, whatever it has.
    pub indexed: bool,
    /// Bytes in the segment.
    pub bytes: u64,
    /// Distinct strings, or `None` where the field is over a limit or not indexed.
    pub strings: Option<u64>,
    /// Distinct numbers.
    pub numbers: u64,
    /// Distinct points in time among the strings.
    pub dates: u64,
}

/// A field index over the bytes of a segment. Nothing is read before it is asked for.
///
/// Every answer costs a binary search over the paths and the reading of the bitmaps it needs. A
/// path that is not in the index has no rows, unless a path above it is not indexed (the answer is
/// [`Posting::Within`] the rows that have that one), or the segment had more paths than
/// [`FieldLimits::fields_max`](crate::FieldLimits::fields_max): then the answer is
/// [`Posting::Within`] the rows that have any of the paths left out.
#[derive(Clone, Copy, Debug)]
pub struct FieldIndex<'a> {
    string_bytes_max: u64,
    /// Whether there may be fields that are not indexed.
    some_unindexed: bool,
    directory: &'a [u8],
    names: &'a [u8],
    dropped: &'a [u8],
    blocks: &'a [u8],
}

/// One field's parts, in place.
#[derive(Clone, Copy, Debug)]
struct Block<'a> {
    unindexed: bool,
    over: bool,
    distinct_strings: u32,
    present: &'a [u8],
    null: &'a [u8],
    yes: &'a [u8],
    no: &'a [u8],
    any_string: &'a [u8],
    long_string: &'a [u8],
    elements: &'a [u8],
    elements_and_plain: &'a [u8],
    strings: Strings<'a>,
    numbers: Numbers<'a>,
    dates: Numbers<'a>,
}

/// Where the rows of a path are told.
#[expect(clippy::large_enum_variant, reason = "taken apart where it is made")]
enum Place<'a> {
    /// In a block of its own.
    Listed(Block<'a>),
    /// Nowhere but in the metadata of these rows: those of a path above it that is not indexed, or
    /// those with a path that was one too many.
    Among(RoaringBitmap),
}

impl<'a> FieldIndex<'a> {
    /// Checks the head of `bytes`.
    pub fn open(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let head = slice(bytes, 0, HEAD_LEN as u64, "head")?;
        let (magic, rest) = head.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(damaged("these bytes are no field index"));
        }
        let mut head = Reader(rest);
        let (version, count) = (head.u32()?, head.u32()?);
        if !matches!(version, VERSION | VERSION_UNINDEXED) {
            return Err(damaged(format!(
                "version {version}, this program reads {VERSION} and {VERSION_UNINDEXED}"
            )));
        }
        let (string_bytes_max, names_len, dropped_len, total_len) =
            (head.u64()?, head.u64()?, head.u64()?, head.u64()?);
        if total_len != bytes.len() as u64 {
            return Err(damaged(format!("{} bytes, expected {total_len}", bytes.len())));
        }
        let directory_len = u64::from(count) * DIRECTORY_ENTRY_LEN as u64;
        let mut parts = Parts::new(bytes, HEAD_LEN);
        Ok(FieldIndex {
            string_bytes_max,
            some_unindexed: version == VERSION_UNINDEXED,
            directory: parts.next(directory_len, "directory")?,
            names: parts.next(names_len, "path names")?,
            dropped: parts.next(dropped_len, "dropped rows")?,
            blocks: parts.rest(),
        })
    }

    /// Rows where `path` exists, with any value, null included. Empty for an unknown path.
    pub fn exists(&self, path: &str) -> Result<Posting, FormatError> {
        match self.place(path)? {
            // Also of a field that is not indexed.
            Place::Listed(block) => exact(block.present, "present"),
            Place::Among(rows) if rows.is_empty() => Ok(Posting::none()),
            Place::Among(rows) => Ok(Posting::Within(rows)),
        }
    }

    /// Rows where `path` has a value equal to `value` (integers and floats compare as numbers,
    /// exactly, a date equals text that is the same point in time; other types never equal each
    /// other).
    pub fn equal(&self, path: &str, value: Scalar<'_>) -> Result<Posting, FormatError> {
        self.in_block(path, |block| match value {
            Scalar::Null => exact(block.null, "null"),
            Scalar::Bool(true) => exact(block.yes, "true"),
            Scalar::Bool(false) => exact(block.no, "false"),
            Scalar::Int(_) | Scalar::Float(_) => match Number::of(value) {
                Some(number) => block
                    .numbers
                    .range(Bound::Included(number), Bound::Included(number))
                    .map(Posting::Exact),
                None => Ok(Posting::none()),
            },
            Scalar::Date(date) => {
                let date = Bound::Included(Number::Int(date.micros()));
                block.dates.range(date, date).map(Posting::Exact)
            }
            Scalar::Str(text) if text.len() as u64 > self.string_bytes_max => {
                let long = read_bitmap(block.long_string, "long string")?;
                Ok(if long.is_empty() { Posting::none() } else { Posting::Within(long) })
            }
            // A long string is never equal to a short one, so it does not make this inexact.
            Scalar::Str(text) if !block.over => block.strings.equal(text).map(Posting::Exact),
            Scalar::Str(_) => read_bitmap(block.any_string, "any string").map(Posting::Within),
        })
    }

    /// Rows where `path` has a value equal to one of `values`, each as [`equal`](Self::equal) has it.
    /// Takes time in proportion to the values and their rows.
    pub fn equal_any<'v>(
        &self,
        path: &str,
        values: impl Iterator<Item = Scalar<'v>>,
    ) -> Result<AnyOf, FormatError> {
        let mut values = values.peekable();
        if values.peek().is_none() {
            return Ok(AnyOf::default());
        }
        let among = |unsure| Ok(AnyOf { rows: RoaringBitmap::new(), unsure });
        let block = match self.place(path)? {
            Place::Listed(block) if block.unindexed => {
                return among(read_bitmap(block.present, "present")?);
            }
            Place::Listed(block) => block,
            Place::Among(rows) => return among(rows),
        };
        let mut union = Union::default();
        let (mut numbers, mut dates) = (Vec::new(), Vec::new());
        let (mut some_long, mut some_unlisted) = (false, false);
        for value in values {
            match value {
                Scalar::Null => union.add_serialized(block.null, "null")?,
                Scalar::Bool(true) => union.add_serialized(block.yes, "true")?,
                Scalar::Bool(false) => union.add_serialized(block.no, "false")?,
                Scalar::Int(_) | Scalar::Float(_) => numbers.extend(Number::of(value)),
                Scalar::Date(date) => dates.push(Number::Int(date.micros())),
                Scalar::Str(text) if text.len() as u64 > self.string_bytes_max => some_long = true,
                Scalar::Str(_) if block.over => some_unlisted = true,
                Scalar::Str(text) => block.strings.add_equal(text, &mut union)?,
            }
        }
        numbers.sort_unstable();
        block.numbers.add_equal(&numbers, &mut union)?;
        dates.sort_unstable();
        block.dates.add_equal(&dates, &mut union)?;

        let rows = union.finish();
        let mut unsure = RoaringBitmap::new();
        if some_long {
            unsure |= read_bitmap(block.long_string, "long string")?;
        }
        if some_unlisted {
            unsure |= read_bitmap(block.any_string, "any string")?;
        }
        unsure -= &rows;
        Ok(AnyOf { rows, unsure })
    }

    /// Rows where `path` has a number within the bounds (each `Int` or `Float`; a bound that is
    /// not a number holds for none).
    pub fn number_range(
        &self,
        path: &str,
        low: Bound<Scalar<'_>>,
        high: Bound<Scalar<'_>>,
    ) -> Result<Posting, FormatError> {
        self.in_block(path, |block| match (number_bound(low), number_bound(high)) {
            (Some(low), Some(high)) => block.numbers.range(low, high).map(Posting::Exact),
            _ => Ok(Posting::none()),
        })
    }

    /// Rows where `path` has text that is a date within the bounds.
    pub fn date_range(
        &self,
        path: &str,
        low: Bound<Timestamp>,
        high: Bound<Timestamp>,
    ) -> Result<Posting, FormatError> {
        let number = |date: Timestamp| Number::Int(date.micros());
        self.in_block(path, |block| {
            block.dates.range(low.map(number), high.map(number)).map(Posting::Exact)
        })
    }

    /// Rows where `path` ends at an array.
    pub fn elements(&self, path: &str) -> Result<Elements, FormatError> {
        match self.place(path)? {
            Place::Listed(block) if block.unindexed => {
                let unsure = read_bitmap(block.present, "present")?;
                Ok(Elements { rows: RoaringBitmap::new(), unsure })
            }
            Place::Listed(block) => {
                let unsure = read_bitmap(block.elements_and_plain, "elements and plain")?;
                Ok(Elements { rows: read_bitmap(block.elements, "elements")? - &unsure, unsure })
            }
            Place::Among(unsure) => Ok(Elements { rows: RoaringBitmap::new(), unsure }),
        }
    }

    /// Calls `found` with every value of `path` and the rows that have it: null, false, true,
    /// numbers, strings; the latter two ascending. Of the rows of [`unlisted`](Self::unlisted) these
    /// may not be all.
    pub fn visit_values(
        &self,
        path: &str,
        found: &mut dyn FnMut(Scalar<'_>, &RoaringBitmap),
    ) -> Result<(), FormatError> {
        let Some(at) = self.find(path)? else { return Ok(()) };
        let block = self.block(at)?;
        let sets = [
            (Scalar::Null, block.null, "null"),
            (Scalar::Bool(false), block.no, "false"),
            (Scalar::Bool(true), block.yes, "true"),
        ];
        for (value, rows, what) in sets {
            let rows = read_bitmap(rows, what)?;
            if !rows.is_empty() {
                found(value, &rows);
            }
        }
        block.numbers.visit(&mut |number, rows| {
            let value = match number {
                Number::Int(value) => Scalar::Int(value),
                Number::Float(value) => Scalar::Float(value),
            };
            found(value, rows);
        })?;
        block.strings.visit(&mut |text, rows| found(Scalar::Str(text), rows))
    }

    /// Rows that may have values at `path` which [`visit_values`](Self::visit_values) does not
    /// show, because the field is not indexed or because of a limit.
    pub fn unlisted(&self, path: &str) -> Result<RoaringBitmap, FormatError> {
        match self.place(path)? {
            Place::Among(rows) => Ok(rows),
            Place::Listed(block) if block.unindexed => read_bitmap(block.present, "present"),
            Place::Listed(block) if block.over => read_bitmap(block.any_string, "any string"),
            Place::Listed(block) => read_bitmap(block.long_string, "long string"),
        }
    }

    /// Rows where `path` has a string within the bounds, by bytes.
    pub fn string_range(
        &self,
        path: &str,
        low: Bound<&str>,
        high: Bound<&str>,
    ) -> Result<Posting, FormatError> {
        self.in_block(path, |block| block.some_strings(|strings| strings.range(low, high)))
    }

    /// Rows where `path` has a string that starts with `prefix`.
    pub fn string_prefix(&self, path: &str, prefix: &str) -> Result<Posting, FormatError> {
        self.in_block(path, |block| block.some_strings(|strings| strings.prefix(prefix)))
    }

    /// Rows where `path` has a string for which `accept` holds; looks at each distinct string.
    pub fn string_matching(
        &self,
        path: &str,
        accept: &mut dyn FnMut(&str) -> bool,
    ) -> Result<Posting, FormatError> {
        self.in_block(path, |block| block.some_strings(|strings| strings.matching(accept)))
    }

    /// Every path in the index with its number of distinct values and bytes, ascending by path.
    pub fn fields(&self) -> Result<Vec<FieldSummary>, FormatError> {
        (0..self.len())
            .map(|at| {
                let block = self.block(at)?;
                let complete = !block.unindexed && !block.over && block.long_string.is_empty();
                Ok(FieldSummary {
                    path: self.name(at)?.to_string(),
                    indexed: !block.unindexed,
                    bytes: self.block_bytes(at)?.len() as u64,
                    strings: complete.then_some(u64::from(block.distinct_strings)),
                    numbers: block.numbers.distinct,
                    dates: block.dates.distinct,
                })
            })
            .collect()
    }

    fn in_block(
        &self,
        path: &str,
        answer: impl FnOnce(Block<'a>) -> Result<Posting, FormatError>,
    ) -> Result<Posting, FormatError> {
        match self.place(path)? {
            Place::Listed(block) if block.unindexed => {
                read_bitmap(block.present, "present").map(Posting::Within)
            }
            Place::Listed(block) => answer(block),
            Place::Among(rows) if rows.is_empty() => Ok(Posting::none()),
            Place::Among(rows) => Ok(Posting::Within(rows)),
        }
    }

    /// Where to look for what is known of a path.
    fn place(&self, path: &str) -> Result<Place<'a>, FormatError> {
        if let Some(at) = self.find(path)? {
            return self.block(at).map(Place::Listed);
        }
        if self.some_unindexed {
            for path in above(path) {
                if let Some(at) = self.find(path)? {
                    let block = self.block(at)?;
                    if block.unindexed {
                        return read_bitmap(block.present, "present").map(Place::Among);
                    }
                }
            }
        }
        read_bitmap(self.dropped, "dropped rows").map(Place::Among)
    }

    fn len(&self) -> usize {
        self.directory.len() / DIRECTORY_ENTRY_LEN
    }

    /// Place of `path` in the directory.
    fn find(&self, path: &str) -> Result<Option<usize>, FormatError> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.name(middle)?.cmp(path) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Ok(Some(middle)),
                Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }

    /// Ends of a field's name and block; those of the field before are its starts.
    fn ends(&self, at: usize) -> Result<(u64, u64), FormatError> {
        let start = (at * DIRECTORY_ENTRY_LEN) as u64;
        let mut entry =
            Reader(slice(self.directory, start, DIRECTORY_ENTRY_LEN as u64, "directory entry")?);
        Ok((entry.u64()?, entry.u64()?))
    }

    fn starts(&self, at: usize) -> Result<(u64, u64), FormatError> {
        if at == 0 { Ok((0, 0)) } else { self.ends(at - 1) }
    }

    fn name(&self, at: usize) -> Result<&'a str, FormatError> {
        let (start, end) = (self.starts(at)?.0, self.ends(at)?.0);
        let len = end.checked_sub(start).ok_or_else(|| damaged("path names: ends descend"))?;
        std::str::from_utf8(slice(self.names, start, len, "path name")?)
            .map_err(|_| damaged("a path name that is not UTF-8"))
    }

    fn block_bytes(&self, at: usize) -> Result<&'a [u8], FormatError> {
        let (start, end) = (self.starts(at)?.1, self.ends(at)?.1);
        let len = end.checked_sub(start).ok_or_else(|| damaged("field blocks: ends descend"))?;
        slice(self.blocks, start, len, "field block")
    }

    fn block(&self, at: usize) -> Result<Block<'a>, FormatError> {
        let bytes = self.block_bytes(at)?;
        let mut head = Reader(slice(bytes, 0, BLOCK_HEAD_LEN as u64, "field head")?);
        let (flags, strings) = (head.u32()?, head.u32()?);
        let known = FLAG_STRINGS_OVER | if self.some_unindexed { FLAG_UNINDEXED } else { 0 };
        if flags & !known != 0 {
            return Err(damaged(format!("unknown field flags {flags:#x}")));
        }
        let mut lengths = [0; 12];
        for length in &mut lengths {
            *length = head.u64()?;
        }
        let [
            present,
            null,
            yes,
            no,
            any_string,
            long_string,
            elements,
            elements_and_plain,
            text,
            postings,
            numbers,
            dates,
        ] = lengths;

        let mut parts = Parts::new(bytes, BLOCK_HEAD_LEN);
        Ok(Block {
            unindexed: flags & FLAG_UNINDEXED != 0,
            over: flags & FLAG_STRINGS_OVER != 0,
            distinct_strings: strings,
            present: parts.next(present, "present")?,
            null: parts.next(null, "null")?,
            yes: parts.next(yes, "true")?,
            no: parts.next(no, "false")?,
            any_string: parts.next(any_string, "any string")?,
            long_string: parts.next(long_string, "long string")?,
            elements: parts.next(elements, "elements")?,
            elements_and_plain: parts.next(elements_and_plain, "elements and plain")?,
            strings: Strings {
                entries: parts
                    .next(u64::from(strings) * STRING_ENTRY_LEN as u64, "string entries")?,
                text: parts.next(text, "string bytes")?,
                postings: parts.next(postings, "postings")?,
            },
            numbers: Numbers::open(parts.next(numbers, "numbers")?)?,
            dates: Numbers::open(parts.next(dates, "dates")?)?,
        })
    }
}

impl<'a> Block<'a> {
    /// Rows with some of the strings; what is not in the dictionary might be one of them.
    fn some_strings(
        &self,
        rows: impl FnOnce(&Strings<'a>) -> Result<RoaringBitmap, FormatError>,
    ) -> Result<Posting, FormatError> {
        if self.over {
            return read_bitmap(self.any_string, "any string").map(Posting::Within);
        }
        let rows = rows(&self.strings)?;
        if self.long_string.is_empty() {
            return Ok(Posting::Exact(rows));
        }
        Ok(Posting::Within(rows | read_bitmap(self.long_string, "long string")?))
    }
}

fn exact(bytes: &[u8], what: &str) -> Result<Posting, FormatError> {
    read_bitmap(bytes, what).map(Posting::Exact)
}

/// The bound on canonical numbers; `None` if it is NaN or no number.
fn number_bound(bound: Bound<Scalar<'_>>) -> Option<Bound<Number>> {
    Some(match bound {
        Bound::Unbounded => Bound::Unbounded,
        Bound::Included(value) => Bound::Included(Number::of(value)?),
        Bound::Excluded(value) => Bound::Excluded(Number::of(value)?),
    })
}
