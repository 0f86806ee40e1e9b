//! The bytes of a field index. Everything is little-endian and byte-aligned; a "bitmap" is a
//! roaring bitmap in its portable serialisation, and the empty bitmap has no bytes at all.
//!
//! ```text
//! index      head (48) | directory entries | path names | dropped rows: bitmap | field blocks
//! head       magic "vsfields" | version u32 | fields u32 | string_bytes_max u64
//!            | names_len u64 | dropped_len u64 | total_len u64
//! directory  per field, ascending by path: name_end u64 | block_end u64
//!            (ends count from the start of the names and of the blocks)
//! block      head (104) | present | null | true | false | any string | long string | elements
//!            | elements and plain: bitmaps | string entries | string bytes | postings | numbers
//!            | dates
//! block head flags u32 | strings u32 | lengths u64 of: present, null, true, false, any string,
//!            long string, elements, elements and plain, string bytes, postings, numbers, dates
//! string     per distinct string, ascending by bytes: text_end u32 | rows u32 | posting_end u64
//! posting    rows <= 32: that many u32, ascending; else a bitmap
//! numbers,   nothing if there are none; else head (24) | bucket entries | merged ends u64
//! dates      | merged: bitmaps | buckets
//! their head buckets u32 | zero u32 | distinct u64 | merged_len u64
//! bucket     per bucket, ascending: min bits u64 | max bits u64 | min kind u8 | max kind u8
//!            | zero u16 | pairs u32 | bitmap_len u64 | end u64
//! bucket     bitmap of its rows, then `pairs` times: bits u64; kind u8; u16 index into the
//! body       bitmap's rows; three arrays, ascending by number. No pairs: min = max.
//! merged     level by level, as long as the level below has more than 16: for every 16 of it (the
//!            last: for what is left) the bitmap of their rows. The first level is above the
//!            buckets. Each has its end, counted from the start of the merged bitmaps.
//! number     kind 0: bits are an i64; kind 1: bits are an f64 that is no i64 and not NaN
//! ```
//!
//! A date is the integer of its microseconds since 1970.
//!
//! The version is 2, or 3 if any field has flag 2.
//!
//! "long string" has the rows with a string over `string_bytes_max`, which no dictionary holds.
//! Flag 1: too many distinct strings; there is no dictionary, and "any string" has the rows with
//! one (it is only written here). Flag 2: the field is not indexed; "present" has the rows that have it
//! and stands for every path beneath it too, none of which is in the directory, and all else is empty.
//! "elements" has the rows with a value that is an array's element, "elements and plain" those of them that also have one
//! that is not (by way of an array of objects). "dropped rows" have a path that was one field too many.

use super::number::Number;
use crate::FormatError;

pub(super) const MAGIC: &[u8; 8] = b"vsfields";
/// Where every field is indexed.
pub(super) const VERSION: u32 = 2;
/// Where some are not.
pub(super) const VERSION_UNINDEXED: u32 = 3;
pub(super) const HEAD_LEN: usize = 48;
pub(super) const DIRECTORY_ENTRY_LEN: usize = 16;
pub(super) const BLOCK_HEAD_LEN: usize = 104;
pub(super) const STRING_ENTRY_LEN: usize = 16;
pub(super) const BUCKET_ENTRY_LEN: usize = 40;
pub(super) const NUMBERS_HEAD_LEN: usize = 24;
pub(super) const PAIR_LEN: usize = 8 + 1 + 2;

/// Flag of a field with too many distinct strings.
pub(super) const FLAG_STRINGS_OVER: u32 = 1;

/// Flag of a field that is not indexed.
pub(super) const FLAG_UNINDEXED: u32 = 2;

/// Rows up to which a posting is a plain list: there a bitmap's headers cost more than they save.
pub(super) const LIST_ROWS_MAX: usize = 32;

/// Buckets, or merged bitmaps of a level, that one merged bitmap of the next level stands for.
pub(super) const MERGED: usize = 16;

/// The number of merged bitmaps of each level above so many buckets, lowest level first.
pub(super) fn merged_levels(buckets: usize) -> impl Iterator<Item = usize> {
    let above = |below: &usize| (*below > MERGED).then(|| below.div_ceil(MERGED));
    std::iter::successors(above(&buckets), above)
}

/// The error of this format.
pub(super) fn damaged(problem: impl Into<String>) -> FormatError {
    FormatError::new("field index", problem)
}

/// `bytes[start..start + len]`, or an error that names `what`.
pub(super) fn slice<'a>(
    bytes: &'a [u8],
    start: u64,
    len: u64,
    what: &str,
) -> Result<&'a [u8], FormatError> {
    let inside = || {
        let start = usize::try_from(start).ok()?;
        let end = start.checked_add(usize::try_from(len).ok()?)?;
        bytes.get(start..end)
    };
    inside().ok_or_else(|| {
        damaged(format!("{what}: {len} bytes at {start} are outside of {}", bytes.len()))
    })
}

/// The keys of the paths above a path, shortest first.
pub(super) fn above(path: &str) -> impl Iterator<Item = &str> {
    let mut escaped = false;
    path.bytes().enumerate().filter_map(move |(at, byte)| {
        let between_names = byte == b'.' && !escaped;
        escaped = byte == b'\\' && !escaped;
        between_names.then(|| &path[..at])
    })
}

/// Reads fixed-width integers off the front of a slice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let (first, rest) =
            self.0.split_first_chunk::<N>().ok_or_else(|| damaged("ends too early"))?;
        self.0 = rest;
        Ok(*first)
    }
    pub(super) fn u8(&mut self) -> Result<u8, FormatError> {
        Ok(self.take::<1>()?[0])
    }
    pub(super) fn u16(&mut self) -> Result<u16, FormatError> {
        self.take().map(u16::from_le_bytes)
    }
    pub(super) fn u32(&mut self) -> Result<u32, FormatError> {
        self.take().map(u32::from_le_bytes)
    }
    pub(super) fn u64(&mut self) -> Result<u64, FormatError> {
        self.take().map(u64::from_le_bytes)
    }
}

/// `bits` and `kind` of a number.
pub(super) fn split_number(number: Number) -> (u64, u8) {
    match number {
        Number::Int(value) => (value.cast_unsigned(), 0),
        Number::Float(value) => (value.to_bits(), 1),
    }
}

/// The number of `bits` and `kind`; an error if it is not in canonical form, because the order of
/// the buckets relies on it.
pub(super) fn join_number(bits: u64, kind: u8) -> Result<Number, FormatError> {
    match kind {
        0 => Ok(Number::Int(bits.cast_signed())),
        1 => match Number::of_float(f64::from_bits(bits)) {
            Some(number @ Number::Float(_)) => Ok(number),
            _ => Err(damaged("a float that should be an integer, or NaN")),
        },
        _ => Err(damaged(format!("number of unknown kind {kind}"))),
    }
}

/// Cuts bytes into consecutive parts.
pub(super) struct Parts<'a> {
    bytes: &'a [u8],
    at: u64,
}

impl<'a> Parts<'a> {
    /// Cuts `bytes` from `at` on.
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Parts { bytes, at: at as u64 }
    }

    pub(super) fn next(&mut self, len: u64, what: &str) -> Result<&'a [u8], FormatError> {
        let part = slice(self.bytes, self.at, len, what)?;
        self.at += len;
        Ok(part)
    }

    /// What is left.
    pub(super) fn rest(self) -> &'a [u8] {
        usize::try_from(self.at).ok().and_then(|at| self.bytes.get(at..)).unwrap_or_default()
    }
}
