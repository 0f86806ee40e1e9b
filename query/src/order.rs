//! The order of records by a field of their metadata.

use std::cmp::Ordering;
use std::sync::Arc;

use vecstore_index::roaring::RoaringBitmap;
use vecstore_index::{FieldIndex, FormatError, Scalar};
use vecstore_segments::{FieldPath, Metadata, scalar};

use crate::Value;

/// An order of records by a field.
///
/// Ascending: booleans, numbers, strings, each ascending (false before true; integers and floats as
/// numbers, exactly; strings by bytes); descending is the opposite. Records without the field, or
/// with null or only objects there, come last in both. Of several values, in an array, the one that
/// comes first counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldOrder {
    /// The field.
    pub path: FieldPath,
    /// Whether the largest value comes first.
    pub descending: bool,
}

/// The value by which a record is placed; `None` for those that come last.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OrderKey(Option<Key>);

/// Numbers are in their canonical form.
#[derive(Clone, Debug, PartialEq)]
enum Key {
    Bool(bool),
    Int(i64),
    Float(f64),
    /// Shared by the records that have it.
    Str(Arc<str>),
}

impl Key {
    fn new(value: Scalar<'_>) -> Option<Key> {
        match value.canonical() {
            Scalar::Bool(value) => Some(Key::Bool(value)),
            Scalar::Int(value) => Some(Key::Int(value)),
            Scalar::Float(value) if !value.is_nan() => Some(Key::Float(value)),
            Scalar::Str(value) => Some(Key::Str(value.into())),
            Scalar::Float(_) | Scalar::Null | Scalar::Date(_) => None,
        }
    }

    fn scalar(&self) -> Scalar<'_> {
        match self {
            Key::Bool(value) => Scalar::Bool(*value),
            Key::Int(value) => Scalar::Int(*value),
            Key::Float(value) => Scalar::Float(*value),
            Key::Str(value) => Scalar::Str(value),
        }
    }

    fn compare(&self, other: &Key) -> Ordering {
        let sort = |key: &Key| match key {
            Key::Bool(false) => 0,
            Key::Bool(true) => 1,
            Key::Int(_) | Key::Float(_) => 2,
            Key::Str(_) => 3,
        };
        let values = || self.scalar().compare(other.scalar()).unwrap_or(Ordering::Equal);
        sort(self).cmp(&sort(other)).then_with(values)
    }
}

impl OrderKey {
    /// Bytes on the heap, as if nobody shared them.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Some(Key::Str(text)) => 2 * size_of::<usize>() + text.len(),
            _ => 0,
        }
    }

    /// The key of a record whose only value is this.
    #[must_use]
    pub fn new(value: &Value) -> Self {
        OrderKey(Key::new(value.scalar()))
    }

    /// The value; null for records that come last.
    #[must_use]
    pub fn value(&self) -> Value {
        match &self.0 {
            None => Value::Null,
            Some(Key::Bool(value)) => Value::Bool(*value),
            Some(Key::Int(value)) => Value::Int(*value),
            Some(Key::Float(value)) => Value::Float(*value),
            Some(Key::Str(value)) => Value::Str(value.as_ref().to_owned()),
        }
    }
}

impl FieldOrder {
    /// Which of two keys comes first.
    #[must_use]
    pub fn compare(&self, a: &OrderKey, b: &OrderKey) -> Ordering {
        match (&a.0, &b.0) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(a), Some(b)) if self.descending => b.compare(a),
            (Some(a), Some(b)) => a.compare(b),
        }
    }

    /// The key of a record: the plain reading that [`index_keys`](Self::index_keys) agrees with.
    #[must_use]
    pub fn key(&self, metadata: &Metadata) -> OrderKey {
        let mut first = OrderKey::default();
        self.path.visit(metadata, &mut |value| {
            if let Some(value) = scalar(value) {
                self.improve(&mut first, &OrderKey(Key::new(value)));
            }
        });
        first
    }

    /// Puts the keys of `rows` that a field index knows into `keys`, which `place` finds for a row.
    /// Returns the rows whose metadata must be read instead.
    pub fn index_keys(
        &self,
        fields: &FieldIndex<'_>,
        rows: &RoaringBitmap,
        keys: &mut [OrderKey],
        place: &dyn Fn(u32) -> usize,
    ) -> Result<RoaringBitmap, FormatError> {
        let path = self.path.key();
        let unlisted = fields.unlisted(&path)? & rows;
        let listed = rows - &unlisted;
        fields.visit_values(&path, &mut |value, found| {
            let key = OrderKey(Key::new(value));
            for row in found & &listed {
                if let Some(first) = keys.get_mut(place(row)) {
                    self.improve(first, &key);
                }
            }
        })?;
        Ok(unlisted)
    }

    fn improve(&self, first: &mut OrderKey, other: &OrderKey) {
        if self.compare(other, first) == Ordering::Less {
            first.clone_from(other);
        }
    }
}
