//! Whole records as JSON lines: `{"id": 7, "vector": [0.1, …], "metadata": {…}}`.

use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, Visitor};
use serde_json::{Map, Value};
use vecstore::Record;

use super::LineFiles;
use super::source::{id_from_json, json_problem};
use crate::failure::{Failure, Result};

/// The records of some lines.
pub(crate) struct RecordLines<'a> {
    lines: LineFiles<'a>,
    id_field: String,
    /// A record that was read to learn the dimension.
    ahead: Option<(Record, usize)>,
}

impl<'a> RecordLines<'a> {
    /// Records whose id is in the field `id_field`.
    pub(crate) fn new(lines: LineFiles<'a>, id_field: String) -> Self {
        RecordLines { lines, id_field, ahead: None }
    }

    /// How much was read, from 0 to 1, if that is known.
    pub(crate) fn fraction(&self) -> Option<f64> {
        self.lines.fraction()
    }

    /// Where the record that was read last is, for messages.
    pub(crate) fn place(&self) -> String {
        self.lines.place()
    }

    /// Components of the next vector; `None` at the end.
    pub(crate) fn dim(&mut self) -> Result<Option<usize>> {
        if self.ahead.is_none() {
            self.ahead = self.read()?;
        }
        Ok(self.ahead.as_ref().map(|(record, _)| record.vector.len()))
    }

    /// Passes over `n` records; fewer, if there are no more. Returns how many it were.
    pub(crate) fn skip(&mut self, n: u64) -> Result<u64> {
        let ahead = u64::from(n > 0 && self.ahead.take().is_some());
        Ok(ahead + self.lines.skip(n - ahead)?)
    }

    /// The next record, and the bytes it takes. Its vector must have `dim` components.
    pub(crate) fn next_record(&mut self, dim: usize) -> Result<Option<(Record, usize)>> {
        let next = match self.ahead.take() {
            Some(ahead) => Some(ahead),
            None => self.read()?,
        };
        if let Some((record, _)) = &next
            && record.vector.len() != dim
        {
            return Err(Failure::invalid(format!(
                "{}: vector has {} components, expected {dim}",
                self.lines.place(),
                record.vector.len()
            )));
        }
        Ok(next)
    }

    fn read(&mut self) -> Result<Option<(Record, usize)>> {
        let Some(line) = self.lines.next_line()? else { return Ok(None) };
        match read_line(line, &self.id_field) {
            Ok(record) => {
                let bytes = record.vector.len() * 4 + line.len();
                Ok(Some((record, bytes)))
            }
            Err(problem) => Err(Failure::invalid(problem).at(self.lines.place())),
        }
    }
}

fn read_line(line: &[u8], id_field: &str) -> std::result::Result<Record, String> {
    let mut json = serde_json::Deserializer::from_slice(line);
    let fields = Fields { id_field }.deserialize(&mut json).and_then(|f| json.end().map(|()| f));
    let fields = fields.map_err(|e| json_problem(&e))?;
    let id = fields.id.ok_or_else(|| format!("there is no field `{id_field}`"))?;
    let id = id_from_json(id).map_err(|problem| format!("field `{id_field}`: {problem}"))?;
    let vector = fields.vector.ok_or("there is no field `vector`")?;
    Ok(Record::new(id, vector).metadata(Value::Object(fields.metadata)))
}

/// What a line has, before it is known whether that is enough.
#[derive(Default)]
struct Line {
    id: Option<Value>,
    vector: Option<Vec<f32>>,
    metadata: Map<String, Value>,
}

/// Reads a [`Line`] without building a JSON tree of the vector, which would take eight times the
/// memory and most of the time.
struct Fields<'a> {
    id_field: &'a str,
}

impl<'de> DeserializeSeed<'de> for Fields<'_> {
    type Value = Line;

    fn deserialize<D: serde::Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<Line, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = Line;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with `{}`, `vector` and `metadata`", self.id_field)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Line, A::Error> {
        let mut line = Line::default();
        let mut metadata_seen = false;
        while let Some(key) = map.next_key::<String>()? {
            let twice = if key == self.id_field {
                line.id.replace(map.next_value()?).is_some()
            } else if key == "vector" {
                line.vector.replace(map.next_value()?).is_some()
            } else if key == "metadata" {
                line.metadata = map.next_value::<Option<_>>()?.unwrap_or_default();
                std::mem::replace(&mut metadata_seen, true)
            } else {
                return Err(A::Error::custom(format!(
                    "unknown field `{key}`: use `{}`, `vector` and `metadata`, other fields belong \
                     into `metadata`",
                    self.id_field
                )));
            };
            if twice {
                return Err(A::Error::custom(format!("field `{key}` is there twice")));
            }
        }
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn lines_are_read() {
        for (line, record) in [
            (r#"{"id":7,"vector":[0.5,-1]}"#, Record::new(7, [0.5, -1.0])),
            (r#"{"vector":[1],"metadata":null,"id":"7"}"#, Record::new("7", [1.0])),
            (
                r#" {"id":0,"metadata":{"n":[1,{"a":null}]},"vector":[]} "#,
                Record::new(0, []).metadata(json!({"n": [1, {"a": null}]})),
            ),
        ] {
            assert_eq!(read_line(line.as_bytes(), "id"), Ok(record), "{line}");
        }
        assert_eq!(read_line(br#"{"key":7,"vector":[1]}"#, "key"), Ok(Record::new(7, [1.0])));
    }

    #[test]
    fn wrong_lines_say_what_is_wrong() {
        for (line, problem) in [
            (
                "[1]",
                "invalid type: sequence, expected an object with `id`, `vector` and `metadata`",
            ),
            (r#"{"id":7}"#, "there is no field `vector`"),
            (r#"{"vector":[1]}"#, "there is no field `id`"),
            (
                r#"{"id":-7,"vector":[1]}"#,
                "field `id`: -7 is not allowed: use an integer from 0 to 18446744073709551615",
            ),
            (
                r#"{"id":1.5,"vector":[1]}"#,
                "field `id`: 1.5 is not allowed: use an integer from 0 to 18446744073709551615",
            ),
            (r#"{"id":null,"vector":[1]}"#, "field `id`: null is not allowed"),
            (r#"{"id":[1],"vector":[1]}"#, "field `id`: [1] is neither an integer nor a string"),
            (r#"{"id":"","vector":[1]}"#, "field `id`: record id is empty"),
            (r#"{"id":7,"vector":[1,null]}"#, "invalid type: null, expected f32, column 24"),
            (
                r#"{"id":7,"vector":[1],"pos":"n"}"#,
                "unknown field `pos`: use `id`, `vector` and `metadata`, other fields belong into `metadata`, column 26",
            ),
            (r#"{"id":7,"vector":[1],"id":8}"#, "field `id` is there twice, column 28"),
            (r#"{"id":7,"vector":[1]"#, "EOF while parsing an object, column 20"),
            (r#"{"id":7,"vector":[1]} {}"#, "trailing characters, column 23"),
        ] {
            assert_eq!(read_line(line.as_bytes(), "id").unwrap_err(), problem, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_line_panics(line in "\\PC{0,60}") {
            let _ = read_line(line.as_bytes(), "id");
        }

        #[test]
        fn vectors_come_back_bit_for_bit(
            bits in prop::collection::vec(any::<u32>(), 0..50),
        ) {
            let finite = |&b: &u32| Some(f32::from_bits(b)).filter(|x| x.is_finite());
            let vector: Vec<f32> = bits.iter().filter_map(finite).collect();
            let line = format!("{{\"id\":1,\"vector\":{}}}", serde_json::to_string(&vector).unwrap());
            let back = read_line(line.as_bytes(), "id").unwrap().vector;
            let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&back), bits(&vector));
        }
    }
}
