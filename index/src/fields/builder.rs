//! Collects values row by row and writes the bytes of a field index.

use std::collections::{HashMap, HashSet};

use roaring::RoaringBitmap;

use super::layout::{FLAG_STRINGS_OVER, FLAG_UNINDEXED, MAGIC, VERSION, VERSION_UNINDEXED, above};
use super::numbers::NumbersBuilder;
use super::serialized::write_bitmap;
use super::strings::StringsBuilder;
use super::{Scalar, Timestamp};

/// Limits beyond which a field keeps only its presence, null and type bitmaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldLimits {
    /// Distinct fields (paths) of a segment. Default 1,000.
    pub fields_max: usize,
    /// Distinct strings of one field. Default 65,536.
    pub strings_max: usize,
    /// Bytes of one indexed string. Default 128.
    pub string_bytes_max: usize,
}

impl Default for FieldLimits {
    fn default() -> Self {
        FieldLimits { fields_max: 1_000, strings_max: 65_536, string_bytes_max: 128 }
    }
}

/// Collects values row by row and writes the index bytes.
///
/// The first `fields_max` paths are indexed. Of later ones only the rows are kept, together, so
/// that a question about an unknown path can say which rows might have it.
#[derive(Debug)]
pub struct FieldIndexBuilder {
    limits: FieldLimits,
    unindexed: HashSet<String>,
    fields: HashMap<String, Field>,
    dropped: RoaringBitmap,
}

#[derive(Debug, Default)]
struct Field {
    /// Only `present` is kept.
    unindexed: bool,
    present: RoaringBitmap,
    null: RoaringBitmap,
    yes: RoaringBitmap,
    no: RoaringBitmap,
    /// Rows with a value that is an array's element, and with one that is not.
    elements: RoaringBitmap,
    plain: RoaringBitmap,
    strings: StringsBuilder,
    numbers: NumbersBuilder,
    dates: NumbersBuilder,
}

impl FieldIndexBuilder {
    /// An empty builder.
    #[must_use]
    pub fn new(limits: FieldLimits) -> Self {
        FieldIndexBuilder {
            limits,
            unindexed: HashSet::new(),
            fields: HashMap::new(),
            dropped: RoaringBitmap::new(),
        }
    }

    /// Leaves these paths (keys) and all beneath them out: of each only the rows are kept that have
    /// it. Comes before the first row.
    #[must_use]
    pub fn without<'k>(mut self, paths: impl IntoIterator<Item = &'k str>) -> Self {
        self.unindexed.extend(paths.into_iter().map(str::to_owned));
        self
    }

    /// Notes that `path` exists in `row` (also for empty arrays and for objects).
    pub fn present(&mut self, row: u32, path: &str) {
        if let Some(field) = self.field(row, path) {
            field.present.insert(row);
        }
    }

    /// Adds a value (implies `present`) that is not an array's element. Rows come in ascending
    /// order; a row may add any number of values to a path, the same one repeatedly. NaN is no
    /// value. Text that is a date is found as text and as a date.
    pub fn add(&mut self, row: u32, path: &str, value: Scalar<'_>) {
        if let Some(field) = self.value(row, path, value) {
            field.plain.insert(row);
        }
    }

    /// Adds a value that is an element of an array at the end of the path; see [`add`](Self::add).
    pub fn add_element(&mut self, row: u32, path: &str, value: Scalar<'_>) {
        if let Some(field) = self.value(row, path, value) {
            field.elements.insert(row);
        }
    }

    fn value(&mut self, row: u32, path: &str, value: Scalar<'_>) -> Option<&mut Field> {
        let limits = self.limits;
        let field = self.field(row, path)?;
        field.present.insert(row);
        if field.unindexed {
            return None;
        }
        let date = |date: Timestamp| Scalar::Int(date.micros());
        match value {
            Scalar::Null => drop(field.null.insert(row)),
            Scalar::Bool(true) => drop(field.yes.insert(row)),
            Scalar::Bool(false) => drop(field.no.insert(row)),
            Scalar::Str(text) => {
                field.strings.add(row, text, &limits);
                if let Some(found) = Timestamp::parse(text) {
                    field.dates.add(row, date(found));
                }
            }
            Scalar::Int(_) | Scalar::Float(_) => field.numbers.add(row, value),
            Scalar::Date(found) => field.dates.add(row, date(found)),
        }
        Some(field)
    }

    fn field(&mut self, row: u32, path: &str) -> Option<&mut Field> {
        let unindexed = self.unindexed_at(path).map(str::len);
        let path = &path[..unindexed.unwrap_or(path.len())];
        if !self.fields.contains_key(path) {
            if self.fields.len() >= self.limits.fields_max {
                self.dropped.insert(row);
                return None;
            }
            let unindexed = unindexed.is_some();
            self.fields.insert(path.to_string(), Field { unindexed, ..Field::default() });
        }
        self.fields.get_mut(path)
    }

    /// The path, or one above it, that is not indexed.
    fn unindexed_at<'p>(&self, path: &'p str) -> Option<&'p str> {
        if self.unindexed.is_empty() {
            return None;
        }
        above(path).chain([path]).find(|path| self.unindexed.contains(*path))
    }

    /// Writes the index.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        let mut fields: Vec<(String, Field)> = self.fields.into_iter().collect();
        fields.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let count = u32::try_from(fields.len()).expect("fewer fields than rows can name");

        let unindexed = fields.iter().any(|(_, field)| field.unindexed);
        let version = if unindexed { VERSION_UNINDEXED } else { VERSION };
        let (mut directory, mut names, mut blocks) = (Vec::new(), Vec::new(), Vec::new());
        for (path, field) in fields {
            names.extend_from_slice(path.as_bytes());
            field.write(&mut blocks);
            directory.extend_from_slice(&(names.len() as u64).to_le_bytes());
            directory.extend_from_slice(&(blocks.len() as u64).to_le_bytes());
        }
        let mut dropped = Vec::new();
        write_bitmap(&mut dropped, self.dropped);

        let mut out = Vec::new();
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&version.to_le_bytes());
        out.extend_from_slice(&count.to_le_bytes());
        out.extend_from_slice(&(self.limits.string_bytes_max as u64).to_le_bytes());
        out.extend_from_slice(&(names.len() as u64).to_le_bytes());
        out.extend_from_slice(&(dropped.len() as u64).to_le_bytes());
        let total = out.len() + 8 + directory.len() + names.len() + dropped.len() + blocks.len();
        out.extend_from_slice(&(total as u64).to_le_bytes());
        out.reserve_exact(total - out.len());
        for part in [&directory, &names, &dropped, &blocks] {
            out.extend_from_slice(part);
        }
        debug_assert_eq!(out.len(), total);
        out
    }
}

impl Field {
    fn write(self, out: &mut Vec<u8>) {
        let strings = self.strings.finish();
        let (numbers, dates) = (self.numbers.finish(), self.dates.finish());

        let mut bitmaps = Vec::new();
        let both = &self.elements & &self.plain;
        let sets = [
            self.present,
            self.null,
            self.yes,
            self.no,
            strings.any,
            strings.long,
            self.elements,
            both,
        ];
        let lengths = sets.map(|rows| write_bitmap(&mut bitmaps, rows));

        let flags = if strings.over { FLAG_STRINGS_OVER } else { 0 }
            | if self.unindexed { FLAG_UNINDEXED } else { 0 };
        out.extend_from_slice(&flags.to_le_bytes());
        out.extend_from_slice(&strings.count.to_le_bytes());
        let tails = [&strings.text, &strings.postings, &numbers, &dates];
        for length in lengths.into_iter().chain(tails.map(|tail| tail.len() as u64)) {
            out.extend_from_slice(&length.to_le_bytes());
        }
        for part in [&bitmaps, &strings.entries].into_iter().chain(tails) {
            out.extend_from_slice(part);
        }
    }
}
