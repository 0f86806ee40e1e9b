//! Records as JSON and as rows of a table.

use console::measure_text_width;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Map, Value};
use vecstore::{Hit, RecordId, StoredRecord};

use crate::ids::JsonId;
use crate::include::{Fields, Shown};
use crate::table::{Align, Table, printable};

/// A record as it is shown.
#[derive(Debug)]
pub(crate) struct ShownRecord {
    pub(crate) id: RecordId,
    /// Score and distance.
    pub(crate) nearness: Option<(f32, f32)>,
    pub(crate) metadata: Option<Map<String, Value>>,
    pub(crate) vector: Option<Vec<f32>>,
}

impl JsonSchema for ShownRecord {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FoundRecord".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        JsonRecord::json_schema(generator)
    }
}

/// `{"id", "score", "distance", "metadata", "vector"}`, what is not shown is left out.
#[derive(Serialize, JsonSchema)]
struct JsonRecord<'a> {
    #[schemars(with = "crate::service::model::Id")]
    id: JsonId<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    distance: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vector: Option<&'a [f32]>,
}

impl Serialize for ShownRecord {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        JsonRecord {
            id: JsonId(&self.id),
            score: self.nearness.map(|(score, _)| score),
            distance: self.nearness.map(|(_, distance)| distance),
            metadata: self.metadata.as_ref(),
            vector: self.vector.as_deref(),
        }
        .serialize(serializer)
    }
}

impl ShownRecord {
    /// What `shown` says of a stored record.
    pub(crate) fn stored(record: StoredRecord, shown: &Shown) -> Self {
        Self::new(record.id, None, record.metadata, record.vector, shown)
    }

    /// What `shown` says of a hit.
    pub(crate) fn hit(hit: Hit, shown: &Shown) -> Self {
        Self::new(hit.id, Some((hit.score, hit.distance)), hit.metadata, hit.vector, shown)
    }

    fn new(
        id: RecordId,
        nearness: Option<(f32, f32)>,
        metadata: Map<String, Value>,
        vector: Vec<f32>,
        shown: &Shown,
    ) -> Self {
        ShownRecord {
            id,
            nearness,
            metadata: (shown.metadata != Fields::None).then(|| shown.metadata.select(metadata)),
            vector: shown.vector.then_some(vector),
        }
    }
}

/// The records as a table: id, score, then one column for each metadata field, the vector last.
///
/// Fields that were named keep their order. Otherwise short ones come first, so that the long
/// text is last, where it can be cut to the width there is.
pub(crate) fn table(records: &[ShownRecord], shown: &Shown) -> Table {
    let mut fields: Vec<(String, usize, Align)> = Vec::new();
    for (name, value) in records.iter().filter_map(|r| r.metadata.as_ref()).flatten() {
        let at = fields.iter().position(|(n, _, _)| n == name).unwrap_or_else(|| {
            fields.push((name.clone(), name.chars().count(), Align::Right));
            fields.len() - 1
        });
        let (_, width, align) = &mut fields[at];
        *width = (*width).max(cell(value).chars().count());
        if !value.is_number() && !value.is_null() {
            *align = Align::Left;
        }
    }
    match &shown.metadata {
        Fields::Named(names) => {
            fields.sort_by_key(|(name, _, _)| names.iter().position(|n| n == name));
        }
        _ => fields.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0))),
    }

    let with_score = records.iter().any(|r| r.nearness.is_some());
    let id_align = if records.iter().all(|r| matches!(r.id, RecordId::U64(_))) {
        Align::Right
    } else {
        Align::Left
    };
    let mut columns = vec![("id", id_align)];
    if with_score {
        columns.push(("score", Align::Right));
    }
    let required = columns.len();
    columns.extend(fields.iter().map(|(name, _, align)| (name.as_str(), *align)));
    if shown.vector {
        columns.push(("vector", Align::Left));
    }
    let mut table = Table::new(&columns, required);
    for record in records {
        let mut cells = vec![record.id.to_string()];
        if with_score {
            cells
                .push(record.nearness.map_or_else(String::new, |(score, _)| format!("{score:.4}")));
        }
        let value = |name: &str| record.metadata.as_ref()?.get(name).map(cell);
        cells.extend(fields.iter().map(|(name, _, _)| value(name).unwrap_or_default()));
        if let Some(vector) = &record.vector {
            cells.push(vector_cell(vector));
        }
        table.row(cells);
    }
    table
}

/// One record in full, a line a field.
pub(crate) fn lines(record: &ShownRecord) -> Vec<String> {
    let mut fields = vec![("id", record.id.to_string())];
    for (name, value) in record.metadata.iter().flatten() {
        fields.push((name.as_str(), cell(value)));
    }
    if let Some(vector) = &record.vector {
        fields.push(("vector", vector_cell(vector)));
    }
    let width = fields.iter().map(|(name, _)| measure_text_width(name)).max().unwrap_or(0);
    let line = |(name, value): (&str, String)| {
        let blanks = width - measure_text_width(name);
        format!("{}{:blanks$}  {}", printable(name), "", printable(&value))
    };
    fields.into_iter().map(line).collect()
}

/// A value as a person reads it: text without quotes, a list as `a, b`.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// The first components; a person wants no more, and `--json` has them all.
fn vector_cell(vector: &[f32]) -> String {
    const COMPONENTS_SHOWN: usize = 4;
    let shown: Vec<String> =
        vector.iter().take(COMPONENTS_SHOWN).map(|x| format!("{x:.4}")).collect();
    let more = if vector.len() > COMPONENTS_SHOWN { ", …" } else { "" };
    format!("[{}{more}] ({})", shown.join(", "), vector.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::include;
    use serde_json::json;

    fn record(id: u64, metadata: Value, shown: &Shown) -> ShownRecord {
        let Value::Object(metadata) = metadata else { unreachable!() };
        let hit = Hit {
            id: id.into(),
            score: 0.5,
            distance: 0.5,
            metadata,
            vector: vec![0.1, 0.25, 1.0, 2.0, 3.0],
        };
        ShownRecord::hit(hit, shown)
    }

    #[test]
    fn short_fields_come_first_and_named_ones_in_their_order() {
        let metadata = json!({"text": "a longer text", "n": 75, "tags": ["a", "b"]});
        let lines = |text: &str| {
            let shown = include::parse(text).unwrap();
            table(&[record(7, metadata.clone(), &shown)], &shown).render(100).lines
        };
        assert_eq!(
            lines("metadata"),
            ["id   score   n  tags  text", " 7  0.5000  75  a, b  a longer text"]
        );
        assert_eq!(lines("metadata.text,metadata.n")[0], "id   score  text            n");
        assert_eq!(lines("none"), ["id   score", " 7  0.5000"]);
        assert_eq!(lines("vector")[1], " 7  0.5000  [0.1000, 0.2500, 1.0000, 2.0000, …] (5)");
    }

    #[test]
    fn json_keeps_single_precision_and_leaves_out_what_is_not_shown() {
        let json = |text: &str| {
            let shown = include::parse(text).unwrap();
            serde_json::to_string(&record(7, json!({"n": 1}), &shown)).unwrap()
        };
        assert_eq!(json("none"), r#"{"id":7,"score":0.5,"distance":0.5}"#);
        assert_eq!(
            json("metadata,vector"),
            r#"{"id":7,"score":0.5,"distance":0.5,"metadata":{"n":1},"vector":[0.1,0.25,1.0,2.0,3.0]}"#
        );
    }
}
