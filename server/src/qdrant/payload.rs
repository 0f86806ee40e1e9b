//! `with_payload` and `with_vector`: what is returned of each point.

use serde_json::{Map, Value, json};
use vecstore::Metric;

use super::fields::{Fields, unsupported};
use crate::ids::JsonId;
use crate::records::ShownRecord;
use crate::service::{Problem, Result};

/// What is returned of each point besides its id.
#[derive(Debug)]
pub(super) struct Wanted {
    payload: Payload,
    pub(super) vector: bool,
}

#[derive(Debug)]
enum Payload {
    None,
    All,
    Only(Vec<Vec<String>>),
    Without(Vec<Vec<String>>),
}

impl Wanted {
    /// Takes both fields.
    pub(super) fn take(fields: &mut Fields, payload_default: bool) -> Result<Self> {
        let place = fields.place("with_payload");
        let payload = match fields.take("with_payload") {
            None if payload_default => Payload::All,
            None | Some(Value::Bool(false)) => Payload::None,
            Some(Value::Bool(true)) => Payload::All,
            Some(list @ Value::Array(_)) => Payload::Only(paths(list, &place)?),
            Some(selector) => {
                let mut selector = Fields::new(selector, &place)?;
                let (only, without) = (selector.take("include"), selector.take("exclude"));
                selector.finish()?;
                match (only, without) {
                    (Some(list), None) => Payload::Only(paths(list, &place)?),
                    (None, Some(list)) => Payload::Without(paths(list, &place)?),
                    _ => {
                        return Err(Problem::invalid(
                            &place,
                            format!("{place}: give `include` or `exclude`"),
                        ));
                    }
                }
            }
        };
        let place = fields.place("with_vector");
        let vector = match fields.take("with_vector") {
            None | Some(Value::Bool(false)) => false,
            Some(Value::Bool(true)) => true,
            Some(Value::Array(names)) if names == [json!("")] => true,
            Some(_) => return Err(unsupported(&place)),
        };
        Ok(Wanted { payload, vector })
    }

    /// What has to be read for it.
    pub(super) fn include(&self) -> Vec<String> {
        let payload = (!matches!(self.payload, Payload::None)).then(|| "metadata".to_owned());
        payload.into_iter().chain(self.vector.then(|| "vector".to_owned())).collect()
    }

    /// The point as Qdrant shows it. A vector under cosine is returned with length 1.
    pub(super) fn show(&self, record: ShownRecord, metric: Metric) -> Value {
        let mut shown = json!({ "id": JsonId(&record.id) });
        if let Some((score, distance)) = record.nearness {
            shown["version"] = json!(0);
            shown["score"] = json!(if metric == Metric::Euclidean { distance } else { score });
        }
        shown["payload"] = match (&self.payload, record.metadata) {
            (Payload::None, _) | (_, None) => Value::Null,
            (Payload::All, Some(map)) => Value::Object(map),
            (Payload::Only(paths), Some(map)) => {
                let mut kept = Map::new();
                paths.iter().for_each(|path| keep(&map, path, &mut kept));
                Value::Object(kept)
            }
            (Payload::Without(paths), Some(mut map)) => {
                paths.iter().for_each(|path| remove(&mut map, path));
                Value::Object(map)
            }
        };
        if let Some(mut vector) = record.vector.filter(|_| self.vector) {
            if metric == Metric::Cosine {
                let norm = vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
                vector.iter_mut().for_each(|x| *x = (f64::from(*x) / norm) as f32);
            }
            shown["vector"] = json!(vector);
        }
        shown
    }
}

pub(super) fn paths(list: Value, place: &str) -> Result<Vec<Vec<String>>> {
    let wrong = || Problem::invalid(place, format!("{place}: expected names, without brackets"));
    let Value::Array(items) = list else { return Err(wrong()) };
    items
        .iter()
        .map(|item| match item.as_str() {
            Some(text) if !text.is_empty() && !text.contains(['[', '"']) => {
                Ok(text.split('.').map(str::to_owned).collect())
            }
            _ => Err(wrong()),
        })
        .collect()
}

/// Copies what is at a path, with the objects around it.
fn keep(map: &Map<String, Value>, path: &[String], kept: &mut Map<String, Value>) {
    let Some((name, rest)) = path.split_first() else { return };
    match map.get(name) {
        Some(value) if rest.is_empty() => {
            kept.insert(name.clone(), value.clone());
        }
        Some(Value::Object(inner)) => {
            let mut below = match kept.remove(name) {
                Some(Value::Object(below)) => below,
                _ => Map::new(),
            };
            keep(inner, rest, &mut below);
            if !below.is_empty() {
                kept.insert(name.clone(), Value::Object(below));
            }
        }
        _ => {}
    }
}

pub(super) fn remove(map: &mut Map<String, Value>, path: &[String]) {
    let Some((name, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        map.remove(name);
    } else if let Some(Value::Object(inner)) = map.get_mut(name) {
        remove(inner, rest);
    }
}
