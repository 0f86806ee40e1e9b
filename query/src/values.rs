//! How many records have each value of a field.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use vecstore_index::Scalar;
use vecstore_segments::{FieldPath, Metadata, scalar};

use crate::Value;

/// How many records have each value of a field. A record with several values, in an array, counts
/// for each of them once; integers and floats that are the same number are one value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ValueCounts {
    counts: HashMap<Key, u64>,
}

/// A value in its one form, to look it up by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Null,
    Bool(bool),
    Int(i64),
    /// Bits of what is no `i64`.
    Float(u64),
    Str(Box<str>),
}

impl Key {
    /// `None` for what metadata has no value of.
    pub(crate) fn new(value: Scalar<'_>) -> Option<Key> {
        match value.canonical() {
            Scalar::Null => Some(Key::Null),
            Scalar::Bool(value) => Some(Key::Bool(value)),
            Scalar::Int(value) => Some(Key::Int(value)),
            Scalar::Float(value) => Some(Key::Float(value.to_bits())),
            Scalar::Str(value) => Some(Key::Str(value.into())),
            Scalar::Date(_) => None,
        }
    }

    fn value(self) -> Value {
        match self {
            Key::Null => Value::Null,
            Key::Bool(value) => Value::Bool(value),
            Key::Int(value) => Value::Int(value),
            Key::Float(bits) => Value::Float(f64::from_bits(bits)),
            Key::Str(value) => Value::Str(value.into()),
        }
    }
}

impl ValueCounts {
    /// Counts `records` more records that have a value.
    pub fn add(&mut self, value: Scalar<'_>, records: u64) {
        if records > 0
            && let Some(key) = Key::new(value)
        {
            *self.counts.entry(key).or_default() += records;
        }
    }

    /// Counts the values of one record.
    pub fn add_record(&mut self, path: &FieldPath, metadata: &Metadata) {
        let mut keys = HashSet::new();
        path.visit(metadata, &mut |value| keys.extend(scalar(value).and_then(Key::new)));
        for key in keys {
            *self.counts.entry(key).or_default() += 1;
        }
    }

    /// Takes in other counts.
    pub fn merge(&mut self, other: ValueCounts) {
        for (key, records) in other.counts {
            *self.counts.entry(key).or_default() += records;
        }
    }

    /// Every value and its number of records, most first; equal numbers by value: null, booleans,
    /// numbers, strings, each ascending.
    #[must_use]
    pub fn into_sorted(self) -> Vec<(Value, u64)> {
        let mut all: Vec<_> =
            self.counts.into_iter().map(|(key, records)| (key.value(), records)).collect();
        all.sort_unstable_by(|(a, more), (b, less)| less.cmp(more).then_with(|| order(a, b)));
        all
    }
}

/// Which values rows have, each value known by a number.
#[derive(Clone, Debug, Default)]
pub struct RowValues {
    numbers: HashMap<Key, u32>,
    values: Vec<Value>,
}

impl RowValues {
    /// The value of a number.
    ///
    /// # Panics
    /// If this did not give out the number.
    #[must_use]
    pub fn value(&self, number: u32) -> Value {
        self.values[number as usize].clone()
    }

    /// The number of a value, `None` for what metadata has no value of.
    pub fn number(&mut self, value: Scalar<'_>) -> Option<u32> {
        Key::new(value).map(|key| self.number_of(key))
    }

    /// Sorts numbers by their values, in the order of [`ValueCounts::into_sorted`].
    ///
    /// # Panics
    /// If this did not give out a number.
    pub fn sort(&self, numbers: &mut [u32]) {
        let value = |number: u32| &self.values[number as usize];
        numbers.sort_by(|&a, &b| order(value(a), value(b)));
    }

    /// The numbers of a record's values, each once, by value.
    pub fn of_record(&mut self, path: &FieldPath, metadata: &Metadata) -> Vec<u32> {
        let mut numbers = Vec::new();
        path.visit(metadata, &mut |value| {
            if let Some(key) = scalar(value).and_then(Key::new) {
                let number = self.number_of(key);
                if !numbers.contains(&number) {
                    numbers.push(number);
                }
            }
        });
        self.sort(&mut numbers);
        numbers
    }

    fn number_of(&mut self, key: Key) -> u32 {
        let next = self.values.len() as u32;
        *self.numbers.entry(key).or_insert_with_key(|key| {
            self.values.push(key.clone().value());
            next
        })
    }
}

fn order(a: &Value, b: &Value) -> Ordering {
    let sort = |value: &Value| match value {
        Value::Null => 0,
        Value::Bool(false) => 1,
        Value::Bool(true) => 2,
        Value::Int(_) | Value::Float(_) => 3,
        Value::Str(_) | Value::Date(_) => 4,
    };
    sort(a).cmp(&sort(b)).then_with(|| a.scalar().compare(b.scalar()).unwrap_or(Ordering::Equal))
}
