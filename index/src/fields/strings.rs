//! The string dictionary of one field: every distinct string, sorted by bytes, with its rows.

use std::collections::HashMap;
use std::ops::Bound;

use roaring::RoaringBitmap;

use super::FieldLimits;
use super::layout::{LIST_ROWS_MAX, Reader, STRING_ENTRY_LEN, damaged, slice};
use super::serialized::{read_bitmap, write_bitmap};
use super::union::Union;
use crate::FormatError;

/// Rows of one string while they are collected: most strings have few.
#[derive(Debug)]
enum RowSet {
    List(Vec<u32>),
    Bitmap(RoaringBitmap),
}

impl RowSet {
    fn insert(&mut self, row: u32) {
        match self {
            RowSet::Bitmap(rows) => drop(rows.insert(row)),
            RowSet::List(rows) if rows.contains(&row) => {}
            RowSet::List(rows) if rows.len() < LIST_ROWS_MAX => rows.push(row),
            RowSet::List(rows) => {
                let mut bitmap: RoaringBitmap = rows.iter().copied().collect();
                bitmap.insert(row);
                *self = RowSet::Bitmap(bitmap);
            }
        }
    }
}

/// Collects the strings of a field.
#[derive(Debug, Default)]
pub(super) struct StringsBuilder {
    /// Distinct strings, until there are too many.
    rows: HashMap<Box<str>, RowSet>,
    over: bool,
    any: RoaringBitmap,
    long: RoaringBitmap,
    text_len: u64,
}

/// What [`StringsBuilder`] makes; the names follow the layout.
#[derive(Debug)]
pub(super) struct StringsBytes {
    pub(super) over: bool,
    pub(super) count: u32,
    pub(super) any: RoaringBitmap,
    pub(super) long: RoaringBitmap,
    pub(super) entries: Vec<u8>,
    pub(super) text: Vec<u8>,
    pub(super) postings: Vec<u8>,
}

impl StringsBuilder {
    pub(super) fn add(&mut self, row: u32, text: &str, limits: &FieldLimits) {
        self.any.insert(row);
        if text.len() > limits.string_bytes_max {
            self.long.insert(row);
        } else if let Some(rows) = self.rows.get_mut(text) {
            rows.insert(row);
        } else if !self.over {
            self.text_len += text.len() as u64;
            // An entry counts text bytes in 32 bits; only unusual limits get there.
            self.over =
                self.rows.len() >= limits.strings_max || u32::try_from(self.text_len).is_err();
            if self.over {
                self.rows = HashMap::new();
            } else {
                self.rows.insert(text.into(), RowSet::List(vec![row]));
            }
        }
    }

    pub(super) fn finish(self) -> StringsBytes {
        let mut strings: Vec<(Box<str>, RowSet)> = self.rows.into_iter().collect();
        strings.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let mut bytes = StringsBytes {
            over: self.over,
            count: strings.len() as u32,
            any: if self.over { self.any } else { RoaringBitmap::new() },
            long: self.long,
            entries: Vec::with_capacity(strings.len() * STRING_ENTRY_LEN),
            text: Vec::with_capacity(self.text_len as usize),
            postings: Vec::new(),
        };
        for (text, rows) in strings {
            bytes.text.extend_from_slice(text.as_bytes());
            let count = match rows {
                RowSet::List(mut rows) => {
                    rows.sort_unstable();
                    rows.iter()
                        .for_each(|row| bytes.postings.extend_from_slice(&row.to_le_bytes()));
                    rows.len() as u32
                }
                RowSet::Bitmap(rows) => {
                    let count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
                    write_bitmap(&mut bytes.postings, rows);
                    count
                }
            };
            bytes.entries.extend_from_slice(&(bytes.text.len() as u32).to_le_bytes());
            bytes.entries.extend_from_slice(&count.to_le_bytes());
            bytes.entries.extend_from_slice(&(bytes.postings.len() as u64).to_le_bytes());
        }
        bytes
    }
}

/// The dictionary in place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Strings<'a> {
    pub(super) entries: &'a [u8],
    pub(super) text: &'a [u8],
    pub(super) postings: &'a [u8],
}

/// Where one string's entry says its bytes end.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    text_end: u32,
    rows: u32,
    posting_end: u64,
}

/// Rows of one string in place.
enum Posting<'a> {
    /// Row numbers, little-endian.
    List(&'a [[u8; 4]]),
    /// A serialised bitmap.
    Bitmap(&'a [u8]),
}

impl<'a> Strings<'a> {
    fn len(&self) -> usize {
        self.entries.len() / STRING_ENTRY_LEN
    }

    /// The entry before string `at`, whose ends are its starts.
    fn before(&self, at: usize) -> Result<Entry, FormatError> {
        if at == 0 { Ok(Entry::default()) } else { self.entry(at - 1) }
    }

    fn entry(&self, at: usize) -> Result<Entry, FormatError> {
        let start = (at * STRING_ENTRY_LEN) as u64;
        let mut fields =
            Reader(slice(self.entries, start, STRING_ENTRY_LEN as u64, "string entry")?);
        Ok(Entry { text_end: fields.u32()?, rows: fields.u32()?, posting_end: fields.u64()? })
    }

    fn bytes(&self, at: usize) -> Result<&'a [u8], FormatError> {
        let (start, end) = (self.before(at)?.text_end, self.entry(at)?.text_end);
        let len = end.checked_sub(start).ok_or_else(|| damaged("strings: ends descend"))?;
        slice(self.text, u64::from(start), u64::from(len), "string")
    }

    /// The rows of string `at`, as they are stored.
    fn posting(&self, at: usize) -> Result<Posting<'a>, FormatError> {
        let (start, entry) = (self.before(at)?.posting_end, self.entry(at)?);
        let len = entry
            .posting_end
            .checked_sub(start)
            .ok_or_else(|| damaged("postings: ends descend"))?;
        let bytes = slice(self.postings, start, len, "posting")?;
        if entry.rows as usize > LIST_ROWS_MAX {
            return Ok(Posting::Bitmap(bytes));
        }
        match bytes.as_chunks() {
            (rows, []) if rows.len() == entry.rows as usize => Ok(Posting::List(rows)),
            _ => Err(damaged("posting: its length is not that of its rows")),
        }
    }

    /// The rows of one string.
    fn rows(&self, at: usize) -> Result<RoaringBitmap, FormatError> {
        match self.posting(at)? {
            Posting::List(rows) => Ok(rows.iter().copied().map(u32::from_le_bytes).collect()),
            Posting::Bitmap(bytes) => read_bitmap(bytes, "posting"),
        }
    }

    /// The rows of all these strings.
    fn union(
        &self,
        mut at: impl ExactSizeIterator<Item = usize>,
    ) -> Result<RoaringBitmap, FormatError> {
        if at.len() == 1
            && let Some(only) = at.next()
        {
            return self.rows(only);
        }
        let mut union = Union::default();
        at.try_for_each(|at| self.add_rows(at, &mut union))?;
        Ok(union.finish())
    }

    /// Adds the rows of one string.
    fn add_rows(&self, at: usize, union: &mut Union) -> Result<(), FormatError> {
        match self.posting(at)? {
            Posting::List(stored) => {
                let mut rows = [0; LIST_ROWS_MAX];
                for (row, stored) in rows.iter_mut().zip(stored) {
                    *row = u32::from_le_bytes(*stored);
                }
                union.add(&rows[..stored.len()]);
                Ok(())
            }
            Posting::Bitmap(bytes) => union.add_serialized(bytes, "posting"),
        }
    }

    /// First string for which `below` does not hold; `below` holds for a run of first strings.
    fn partition(&self, below: impl Fn(&[u8]) -> bool) -> Result<usize, FormatError> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if below(self.bytes(middle)?) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// Place of exactly this string.
    fn find(&self, text: &str) -> Result<Option<usize>, FormatError> {
        let at = self.partition(|other| other < text.as_bytes())?;
        Ok((at < self.len() && self.bytes(at)? == text.as_bytes()).then_some(at))
    }

    /// Rows with exactly this string.
    pub(super) fn equal(&self, text: &str) -> Result<RoaringBitmap, FormatError> {
        self.find(text)?.map_or(Ok(RoaringBitmap::new()), |at| self.rows(at))
    }

    /// Adds the rows with exactly this string.
    pub(super) fn add_equal(&self, text: &str, union: &mut Union) -> Result<(), FormatError> {
        self.find(text)?.map_or(Ok(()), |at| self.add_rows(at, union))
    }

    /// Rows with a string within the bounds.
    pub(super) fn range(
        &self,
        low: Bound<&str>,
        high: Bound<&str>,
    ) -> Result<RoaringBitmap, FormatError> {
        let start = match low {
            Bound::Unbounded => 0,
            Bound::Included(low) => self.partition(|text| text < low.as_bytes())?,
            Bound::Excluded(low) => self.partition(|text| text <= low.as_bytes())?,
        };
        let end = match high {
            Bound::Unbounded => self.len(),
            Bound::Included(high) => self.partition(|text| text <= high.as_bytes())?,
            Bound::Excluded(high) => self.partition(|text| text < high.as_bytes())?,
        };
        self.union(start..end.max(start))
    }

    /// Rows with a string that starts with `prefix`.
    pub(super) fn prefix(&self, prefix: &str) -> Result<RoaringBitmap, FormatError> {
        let prefix = prefix.as_bytes();
        let start = self.partition(|text| text < prefix)?;
        let end = self.partition(|text| text < prefix || text.starts_with(prefix))?;
        self.union(start..end.max(start))
    }

    /// Calls `found` with every string, ascending, and its rows.
    pub(super) fn visit(
        &self,
        found: &mut dyn FnMut(&str, &RoaringBitmap),
    ) -> Result<(), FormatError> {
        (0..self.len()).try_for_each(|at| {
            found(self.text(at)?, &self.rows(at)?);
            Ok(())
        })
    }

    fn text(&self, at: usize) -> Result<&'a str, FormatError> {
        std::str::from_utf8(self.bytes(at)?).map_err(|_| damaged("a string that is not UTF-8"))
    }

    /// Rows with a string that `accept` accepts.
    pub(super) fn matching(
        &self,
        accept: &mut dyn FnMut(&str) -> bool,
    ) -> Result<RoaringBitmap, FormatError> {
        let mut accepted = Vec::new();
        for at in 0..self.len() {
            if accept(self.text(at)?) {
                accepted.push(at);
            }
        }
        self.union(accepted.into_iter())
    }
}
