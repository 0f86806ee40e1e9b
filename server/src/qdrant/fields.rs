//! The fields of a JSON object, taken one by one; what is left is not supported.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use vecstore::{ErrorKind, RecordId};

use crate::service::model::Id;
use crate::service::{Kind, Problem, Result};

/// An object and where it is. A field that is null counts as absent.
#[derive(Debug)]
pub(super) struct Fields {
    map: Map<String, Value>,
    place: String,
}

impl Fields {
    pub(super) fn none() -> Self {
        Fields { map: Map::new(), place: String::new() }
    }

    pub(super) fn new(value: Value, place: &str) -> Result<Self> {
        match value {
            Value::Object(mut map) => {
                map.retain(|_, value| !value.is_null());
                Ok(Fields { map, place: place.to_owned() })
            }
            _ => Err(Problem::invalid(place, format!("{place}: expected an object"))),
        }
    }

    /// The name of a field with its place.
    pub(super) fn place(&self, name: &str) -> String {
        if self.place.is_empty() { name.to_owned() } else { format!("{}.{name}", self.place) }
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.map.remove(name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    pub(super) fn read<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let place = self.place(name);
        match serde_json::from_value(value) {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(Problem::invalid(&place, format!("{place}: {error}"))),
        }
    }

    pub(super) fn require<T: DeserializeOwned>(&mut self, name: &str) -> Result<T> {
        let place = self.place(name);
        self.read(name)?.ok_or_else(|| Problem::invalid(&place, format!("{place} is missing")))
    }

    /// An object in a field.
    pub(super) fn object(&mut self, name: &str) -> Result<Option<Fields>> {
        let place = self.place(name);
        self.take(name).map(|value| Fields::new(value, &place)).transpose()
    }

    /// Leaves a hint alone that no answer depends on.
    pub(super) fn ignore(&mut self, hints: &[&str]) {
        for hint in hints {
            self.map.remove(*hint);
        }
    }

    /// Refuses what was not taken.
    pub(super) fn finish(self) -> Result<()> {
        match self.map.keys().next() {
            None => Ok(()),
            Some(name) => Err(unsupported(&self.place(name))),
        }
    }
}

pub(super) fn unsupported(place: &str) -> Problem {
    Problem {
        field: Some(place.to_owned()),
        ..Problem::new(
            Kind::Engine(ErrorKind::InvalidArgument),
            format!("`{place}` is not supported by VecStore's Qdrant interface"),
        )
    }
}

/// A point id: an unsigned integer, or a UUID with or without hyphens.
pub(super) fn point_id(value: &Value, place: &str) -> Result<Id> {
    let wrong = || {
        let message = format!(
            "{place}: {value} is not a valid point ID, which is an unsigned integer or a UUID"
        );
        Problem::invalid(place, message)
    };
    match value {
        Value::Number(number) => number.as_u64().map(|n| Id(n.into())).ok_or_else(wrong),
        Value::String(text) => {
            let hyphenated = match text.len() {
                32 if text.is_ascii() => [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)]
                    .map(|(from, to)| &text[from..to])
                    .join("-"),
                _ => text.clone(),
            };
            match hyphenated.parse() {
                Ok(id @ RecordId::Uuid(_)) => Ok(Id(id)),
                _ => Err(wrong()),
            }
        }
        _ => Err(wrong()),
    }
}

pub(super) fn point_ids(values: Vec<Value>, place: &str) -> Result<Vec<Id>> {
    let one = |(at, value): (usize, &Value)| point_id(value, &format!("{place}[{at}]"));
    values.iter().enumerate().map(one).collect()
}

/// The id right before this one, to begin *at* it; `None` before the first.
pub(super) fn before(id: &RecordId) -> Option<RecordId> {
    match id {
        RecordId::U64(number) => number.checked_sub(1).map(RecordId::U64),
        RecordId::Uuid(uuid) => match uuid.as_u128().checked_sub(1) {
            // Integers end where UUIDs begin.
            None => Some(RecordId::U64(u64::MAX)),
            Some(number) => {
                let digits = format!("{number:032x}");
                point_id(&Value::String(digits), "offset").ok().map(|id| id.0)
            }
        },
        RecordId::Str(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ids_are_read_and_have_predecessors() {
        let uuid = "67e55044-10b1-426f-9247-bb680e5fe0c8";
        let read = |value: Value| point_id(&value, "id").map(|id| id.0);
        assert_eq!(read(json!(7)).unwrap(), RecordId::U64(7));
        assert_eq!(read(json!(uuid)).unwrap(), uuid.parse().unwrap());
        assert_eq!(read(json!(uuid.replace('-', ""))).unwrap(), uuid.parse().unwrap());
        for wrong in [json!(-1), json!(1.5), json!("a"), json!("é".repeat(16)), json!([1])] {
            assert!(read(wrong).is_err());
        }
        assert_eq!(before(&RecordId::U64(1)), Some(RecordId::U64(0)));
        assert_eq!(before(&RecordId::U64(0)), None);
        let earlier = "67e55044-10b1-426f-9247-bb680e5fe0c7".parse().unwrap();
        assert_eq!(before(&uuid.parse().unwrap()), Some(earlier));
        let nil = "00000000-0000-0000-0000-000000000000".parse().unwrap();
        assert_eq!(before(&nil), Some(RecordId::U64(u64::MAX)));
    }

    #[test]
    fn what_is_left_is_refused_by_its_place() {
        let mut fields = Fields::new(json!({"a": 1, "b": null, "c": {"d": 2}}), "x").unwrap();
        assert_eq!(fields.read::<u64>("a").unwrap(), Some(1));
        let inner = fields.object("c").unwrap().unwrap();
        assert_eq!(inner.finish().unwrap_err().field.as_deref(), Some("x.c.d"));
        fields.finish().unwrap();
    }
}
