//! The ordered number index of one field: (number, row) pairs, sorted and cut into buckets.
//!
//! A bucket has about 1,024 rows and keeps equal numbers together; a number with many rows has a
//! bucket to itself. Every bucket has a bitmap, and so has every run of 16 buckets, of 256, and so
//! on: a range is the union of the largest runs that lie wholly inside, plus a look at the pairs of
//! the two buckets at its edges. A field with a million different floats has a thousand small
//! bitmaps and some seventy large ones, one with ten ratings has ten.

use std::cmp::Ordering;
use std::ops::{Bound, Range};

use roaring::RoaringBitmap;

use super::Scalar;
use super::layout::{
    BUCKET_ENTRY_LEN, MERGED, NUMBERS_HEAD_LEN, PAIR_LEN, Parts, Reader, damaged, join_number,
    merged_levels, slice, split_number,
};
use super::number::Number;
use super::serialized::{read_bitmap, visit_containers, write_bitmap};
use super::union::Union;
use crate::FormatError;

/// Pairs after which a bucket is closed. Also keeps row indices within `u16`.
const BUCKET_PAIRS: usize = 1024;

/// Pairs from which a number gets a bucket of its own.
const OWN_BUCKET_PAIRS: usize = 256;

/// One number of a row, in 12 bytes; integers and floats are in lists of their own.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed(4))]
struct Entry {
    bits: u64,
    row: u32,
}

/// Collects the numbers of a field.
#[derive(Debug, Default)]
pub(super) struct NumbersBuilder {
    ints: Vec<Entry>,
    floats: Vec<Entry>,
}

impl NumbersBuilder {
    pub(super) fn add(&mut self, row: u32, value: Scalar<'_>) {
        match Number::of(value) {
            Some(Number::Int(value)) => self.ints.push(Entry { bits: value.cast_unsigned(), row }),
            Some(Number::Float(value)) => self.floats.push(Entry { bits: value.to_bits(), row }),
            None => {}
        }
    }

    /// The bytes of the index; none if there are no numbers.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let int = |entry: &Entry| Number::Int(entry.bits.cast_signed());
        let float = |entry: &Entry| Number::Float(f64::from_bits(entry.bits));
        self.ints.sort_unstable_by_key(|entry| (int(entry), entry.row));
        self.floats.sort_unstable_by_key(|entry| (float(entry), entry.row));

        let mut buckets = BucketWriter::default();
        let (mut ints, mut floats) = (self.ints.iter().peekable(), self.floats.iter().peekable());
        loop {
            let float_is_next = match (ints.peek(), floats.peek()) {
                (None, None) => break,
                (a, b) => a.is_none_or(|a| b.is_some_and(|b| float(b) < int(a))),
            };
            let (number, row) = if float_is_next {
                floats.next().map(|entry| (float(entry), entry.row))
            } else {
                ints.next().map(|entry| (int(entry), entry.row))
            }
            .expect("one of the two has a next pair");
            buckets.push(number, row);
        }
        buckets.finish()
    }
}

/// Cuts ascending pairs into buckets: `bucket` has whole numbers, `group` the current number.
#[derive(Debug, Default)]
struct BucketWriter {
    bucket: Vec<(Number, u32)>,
    group: Vec<(Number, u32)>,
    buckets: u32,
    distinct: u64,
    entries: Vec<u8>,
    bodies: Vec<u8>,
    /// Runs of buckets, lowest level first.
    levels: Vec<Level>,
}

/// The merged bitmaps of one level.
#[derive(Debug, Default)]
struct Level {
    /// Rows of the run that is not complete yet, and how many parts it has.
    rows: RoaringBitmap,
    parts: usize,
    ends: Vec<u64>,
    bytes: Vec<u8>,
}

impl Level {
    /// Ends the run and returns its rows.
    fn end_run(&mut self) -> RoaringBitmap {
        let rows = std::mem::take(&mut self.rows);
        self.parts = 0;
        write_bitmap(&mut self.bytes, rows.clone());
        self.ends.push(self.bytes.len() as u64);
        rows
    }
}

impl BucketWriter {
    fn push(&mut self, number: Number, row: u32) {
        match self.group.last() {
            Some(&last) if last == (number, row) => return,
            Some(&(last, _)) if last != number => self.end_group(),
            _ => {}
        }
        self.group.push((number, row));
    }

    fn end_group(&mut self) {
        self.distinct += 1;
        let own = self.group.len() >= OWN_BUCKET_PAIRS;
        if own || self.bucket.len() + self.group.len() > BUCKET_PAIRS {
            self.end_bucket();
        }
        self.bucket.append(&mut self.group);
        if own {
            self.end_bucket();
        }
    }

    fn end_bucket(&mut self) {
        let (Some(&(min, _)), Some(&(max, _))) = (self.bucket.first(), self.bucket.last()) else {
            return;
        };
        let out = &mut self.bodies;
        let rows: Vec<u32> = {
            let mut rows: Vec<u32> = self.bucket.iter().map(|pair| pair.1).collect();
            rows.sort_unstable();
            rows.dedup();
            rows
        };
        let bitmap: RoaringBitmap = rows.iter().copied().collect();
        let bitmap_len = write_bitmap(out, bitmap.clone());
        let pairs = if min == max { &[] } else { self.bucket.as_slice() };
        debug_assert!(pairs.len() <= BUCKET_PAIRS);
        for (number, _) in pairs {
            out.extend_from_slice(&split_number(*number).0.to_le_bytes());
        }
        for (number, _) in pairs {
            out.push(split_number(*number).1);
        }
        for (_, row) in pairs {
            let index = rows.partition_point(|other| other < row) as u16;
            out.extend_from_slice(&index.to_le_bytes());
        }

        let ((min_bits, min_kind), (max_bits, max_kind)) = (split_number(min), split_number(max));
        let entries = &mut self.entries;
        entries.extend_from_slice(&min_bits.to_le_bytes());
        entries.extend_from_slice(&max_bits.to_le_bytes());
        entries.extend_from_slice(&[min_kind, max_kind, 0, 0]);
        entries.extend_from_slice(&(pairs.len() as u32).to_le_bytes());
        entries.extend_from_slice(&bitmap_len.to_le_bytes());
        entries.extend_from_slice(&(out.len() as u64).to_le_bytes());
        self.buckets += 1;
        self.bucket.clear();
        self.add_part(0, bitmap);
    }

    /// Adds a bucket, or a run of the level below, to the runs of a level.
    fn add_part(&mut self, level: usize, rows: RoaringBitmap) {
        if self.levels.len() == level {
            self.levels.push(Level::default());
        }
        let run = &mut self.levels[level];
        run.rows |= rows;
        run.parts += 1;
        if run.parts == MERGED {
            let rows = run.end_run();
            self.add_part(level + 1, rows);
        }
    }

    fn finish(mut self) -> Vec<u8> {
        if !self.group.is_empty() {
            self.end_group();
        }
        self.end_bucket();
        if self.buckets == 0 {
            return Vec::new();
        }
        let (mut ends, mut merged) = (Vec::new(), Vec::new());
        for (level, runs) in merged_levels(self.buckets as usize).enumerate() {
            if self.levels[level].parts > 0 {
                let rows = self.levels[level].end_run();
                self.add_part(level + 1, rows);
            }
            let level = &self.levels[level];
            debug_assert_eq!(level.ends.len(), runs);
            let start = merged.len() as u64;
            ends.extend(level.ends.iter().flat_map(|end| (start + end).to_le_bytes()));
            merged.extend_from_slice(&level.bytes);
        }
        let mut out = Vec::with_capacity(
            NUMBERS_HEAD_LEN + self.entries.len() + ends.len() + merged.len() + self.bodies.len(),
        );
        out.extend_from_slice(&self.buckets.to_le_bytes());
        out.extend_from_slice(&0u32.to_le_bytes());
        out.extend_from_slice(&self.distinct.to_le_bytes());
        out.extend_from_slice(&(merged.len() as u64).to_le_bytes());
        for part in [&self.entries, &ends, &merged, &self.bodies] {
            out.extend_from_slice(part);
        }
        out
    }
}

/// The number index in place.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbers<'a> {
    pub(super) distinct: u64,
    entries: &'a [u8],
    /// Ends of the merged bitmaps, all levels.
    ends: &'a [u8],
    merged: &'a [u8],
    bodies: &'a [u8],
}

/// One bucket: its ends, and where its bytes are.
#[derive(Clone, Copy, Debug)]
struct Bucket<'a> {
    min: Number,
    max: Number,
    bitmap: &'a [u8],
    /// Numbers, kinds and row indices; empty where `min` is `max`.
    pairs: &'a [u8],
}

impl<'a> Numbers<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, FormatError> {
        if bytes.is_empty() {
            return Ok(Numbers::default());
        }
        let mut head = Reader(slice(bytes, 0, NUMBERS_HEAD_LEN as u64, "numbers head")?);
        let (buckets, _zero, distinct) = (head.u32()?, head.u32()?, head.u64()?);
        let merged_len = head.u64()?;
        let merged: usize = merged_levels(buckets as usize).sum();
        let mut parts = Parts::new(bytes, NUMBERS_HEAD_LEN);
        Ok(Numbers {
            distinct,
            entries: parts.next(u64::from(buckets) * BUCKET_ENTRY_LEN as u64, "bucket entries")?,
            ends: parts.next(merged as u64 * 8, "merged ends")?,
            merged: parts.next(merged_len, "merged bitmaps")?,
            bodies: parts.rest(),
        })
    }

    fn len(&self) -> usize {
        self.entries.len() / BUCKET_ENTRY_LEN
    }

    fn entry(&self, at: usize) -> Result<Reader<'a>, FormatError> {
        let start = (at * BUCKET_ENTRY_LEN) as u64;
        slice(self.entries, start, BUCKET_ENTRY_LEN as u64, "bucket entry").map(Reader)
    }

    /// Smallest and largest number of a bucket.
    fn ends(&self, at: usize) -> Result<(Number, Number), FormatError> {
        let mut entry = self.entry(at)?;
        let (min_bits, max_bits) = (entry.u64()?, entry.u64()?);
        let (min_kind, max_kind) = (entry.u8()?, entry.u8()?);
        Ok((join_number(min_bits, min_kind)?, join_number(max_bits, max_kind)?))
    }

    fn bucket(&self, at: usize) -> Result<Bucket<'a>, FormatError> {
        let end_of = |entry: Reader<'_>| Reader(&entry.0[BUCKET_ENTRY_LEN - 8..]).u64();
        let start = if at == 0 { 0 } else { end_of(self.entry(at - 1)?)? };
        let entry = self.entry(at)?;
        let (min, max) = self.ends(at)?;
        let mut sizes = Reader(&entry.0[20..]);
        let (pairs, bitmap_len, end) = (sizes.u32()?, sizes.u64()?, sizes.u64()?);
        let len = end.checked_sub(start).ok_or_else(|| damaged("buckets: ends descend"))?;
        let body = slice(self.bodies, start, len, "bucket")?;
        let bitmap = slice(body, 0, bitmap_len, "bucket bitmap")?;
        let pairs_bytes = &body[bitmap.len()..];
        if pairs_bytes.len() as u64 != u64::from(pairs) * PAIR_LEN as u64 {
            return Err(damaged("bucket: its length is not that of its pairs"));
        }
        Ok(Bucket { min, max, bitmap, pairs: pairs_bytes })
    }

    /// First bucket for which `below(min, max)` does not hold.
    fn partition(&self, below: impl Fn(Number, Number) -> bool) -> Result<usize, FormatError> {
        let (mut left, mut right) = (0, self.len());
        while left < right {
            let middle = left + (right - left) / 2;
            let (min, max) = self.ends(middle)?;
            if below(min, max) {
                left = middle + 1;
            } else {
                right = middle;
            }
        }
        Ok(left)
    }

    /// Rows with a number within the bounds.
    pub(super) fn range(
        &self,
        low: Bound<Number>,
        high: Bound<Number>,
    ) -> Result<RoaringBitmap, FormatError> {
        let start = self.partition(|_, max| !above(low, max))?;
        let end = self.partition(|min, _| below(high, min))?;
        // Of the buckets that are not empty of the range only the first and the last may lie
        // partly outside.
        let whole_end = match end.checked_sub(1) {
            Some(last) if !below(high, self.ends(last)?.1) => last,
            _ => end,
        };
        // Most often a range is one bitmap, as that of a number with a bucket of its own.
        let (mut whole, mut union) = (None, Union::default());
        let mut at = start;
        while at < end {
            let bucket = self.bucket(at)?;
            if above(low, bucket.min) && below(high, bucket.max) {
                let run;
                (run, at) = self.run(at, whole_end)?;
                if let Some(before) = whole.replace(run) {
                    union.add_serialized(before, "bitmap of buckets")?;
                }
            } else {
                let from = bucket.partition(|number| !above(low, number))?;
                let to = bucket.partition(|number| below(high, number))?;
                bucket.add_rows(from..to, &bucket.all_rows()?, &mut union)?;
                at += 1;
            }
        }
        match whole {
            Some(only) if union.is_empty() => read_bitmap(only, "bitmap of buckets"),
            last => {
                union.add_serialized(last.unwrap_or_default(), "bitmap of buckets")?;
                Ok(union.finish())
            }
        }
    }

    /// Adds the rows with one of `numbers`, which ascend, so that no bucket is read twice.
    pub(super) fn add_equal(
        &self,
        numbers: &[Number],
        union: &mut Union,
    ) -> Result<(), FormatError> {
        let mut read: Option<(usize, Vec<u32>)> = None;
        for &number in numbers {
            let at = self.partition(|_, max| max < number)?;
            if at == self.len() {
                break;
            }
            let bucket = self.bucket(at)?;
            if number < bucket.min {
                continue;
            }
            if bucket.pairs.is_empty() {
                union.add_serialized(bucket.bitmap, "bucket bitmap")?;
                continue;
            }
            let rows = match read.take() {
                Some((before, rows)) if before == at => rows,
                _ => bucket.all_rows()?,
            };
            let from = bucket.partition(|other| other < number)?;
            let to = bucket.partition(|other| other <= number)?;
            bucket.add_rows(from..to, &rows, union)?;
            read = Some((at, rows));
        }
        Ok(())
    }

    /// The bitmap of bucket `at` and as many after it, before `end`, as there is one for; and the
    /// bucket after them.
    fn run(&self, at: usize, end: usize) -> Result<(&'a [u8], usize), FormatError> {
        // A run of 16^level buckets begins at a multiple of that; the last one of a level may have
        // fewer.
        let (mut run, mut buckets, mut first) = (None, 1usize, 0usize);
        for runs in merged_levels(self.len()) {
            let longer = buckets.saturating_mul(MERGED);
            let next = at.saturating_add(longer).min(self.len());
            if !at.is_multiple_of(longer) || next > end {
                break;
            }
            run = Some((first + at / longer, next));
            (buckets, first) = (longer, first + runs);
        }
        let Some((run, next)) = run else { return Ok((self.bucket(at)?.bitmap, at + 1)) };
        let end_of = |run: usize| Reader(slice(self.ends, run as u64 * 8, 8, "end")?).u64();
        let start = if run == 0 { 0 } else { end_of(run - 1)? };
        let len = end_of(run)?
            .checked_sub(start)
            .ok_or_else(|| damaged("merged bitmaps: ends descend"))?;
        Ok((slice(self.merged, start, len, "merged bitmap")?, next))
    }

    /// Calls `found` with every number, ascending, and its rows.
    pub(super) fn visit(
        &self,
        found: &mut dyn FnMut(Number, &RoaringBitmap),
    ) -> Result<(), FormatError> {
        for at in 0..self.len() {
            let bucket = self.bucket(at)?;
            if bucket.pairs.is_empty() {
                found(bucket.min, &read_bitmap(bucket.bitmap, "bucket bitmap")?);
                continue;
            }
            let rows = bucket.all_rows()?;
            let pairs: Vec<(Number, u32)> = (0..bucket.len())
                .map(|at| Ok((bucket.number(at)?, bucket.row(at, &rows)?)))
                .collect::<Result<_, FormatError>>()?;
            for same in pairs.chunk_by(|a, b| a.0 == b.0) {
                found(same[0].0, &same.iter().map(|pair| pair.1).collect());
            }
        }
        Ok(())
    }
}

impl Bucket<'_> {
    /// Number of pairs.
    fn len(&self) -> usize {
        self.pairs.len() / PAIR_LEN
    }

    /// The rows that the pairs name by their places.
    fn all_rows(&self) -> Result<Vec<u32>, FormatError> {
        let mut rows = Vec::new();
        visit_containers(self.bitmap, "bucket bitmap", &mut |key, container| {
            container.append_to(key, &mut rows);
        })?;
        Ok(rows)
    }

    fn number(&self, at: usize) -> Result<Number, FormatError> {
        let (bits, kind) = (8 * at, 8 * self.len() + at);
        join_number(self.field(bits, 8)?.u64()?, self.field(kind, 1)?.u8()?)
    }

    /// The row of a pair; `rows` are all of the bucket.
    fn row(&self, at: usize, rows: &[u32]) -> Result<u32, FormatError> {
        let place = usize::from(self.field(9 * self.len() + 2 * at, 2)?.u16()?);
        rows.get(place).copied().ok_or_else(names_no_row)
    }

    fn field(&self, start: usize, len: u64) -> Result<Reader<'_>, FormatError> {
        slice(self.pairs, start as u64, len, "pair").map(Reader)
    }

    /// First pair whose number `below` does not hold for.
    fn partition(&self, below: impl Fn(Number) -> bool) -> Result<usize, FormatError> {
        let (mut left, mut right) = (0, self.len());
        while left < right {
            let middle = left + (right - left) / 2;
            if below(self.number(middle)?) {
                left = middle + 1;
            } else {
                right = middle;
            }
        }
        Ok(left)
    }

    /// Adds the rows of some pairs; `rows` are all of the bucket.
    fn add_rows(
        &self,
        pairs: Range<usize>,
        rows: &[u32],
        union: &mut Union,
    ) -> Result<(), FormatError> {
        let start = 9 * self.len() + 2 * pairs.start;
        let places = self.field(start, 2 * pairs.len() as u64)?.0.as_chunks().0;
        let row = |place: &[u8; 2]| rows.get(usize::from(u16::from_le_bytes(*place))).copied();
        let found: Option<Vec<u32>> = places.iter().map(row).collect();
        union.add(&found.ok_or_else(names_no_row)?);
        Ok(())
    }
}

fn names_no_row() -> FormatError {
    damaged("bucket: a pair names no row")
}

/// Whether `number` satisfies the lower bound.
fn above(low: Bound<Number>, number: Number) -> bool {
    match low {
        Bound::Unbounded => true,
        Bound::Included(low) => number.cmp(&low) != Ordering::Less,
        Bound::Excluded(low) => number.cmp(&low) == Ordering::Greater,
    }
}

/// Whether `number` satisfies the upper bound.
fn below(high: Bound<Number>, number: Number) -> bool {
    match high {
        Bound::Unbounded => true,
        Bound::Included(high) => number.cmp(&high) != Ordering::Greater,
        Bound::Excluded(high) => number.cmp(&high) == Ordering::Less,
    }
}
