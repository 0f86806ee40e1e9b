//! Ids, values, vectors and times, as messages and as JSON.

use std::collections::HashMap;

use serde_json::{Map, Number, Value, json};

use super::proto::{self, point_id, value, vector, vector_output, vectors_output};
use crate::service::{Problem, Result};

/// Null where there is none, which is refused where it is read.
pub(super) fn id(id: Option<proto::PointId>) -> Value {
    match id.and_then(|id| id.point_id_options) {
        None => Value::Null,
        Some(point_id::PointIdOptions::Num(number)) => json!(number),
        Some(point_id::PointIdOptions::Uuid(text)) => json!(text),
    }
}

pub(super) fn ids(all: Vec<proto::PointId>) -> Value {
    all.into_iter().map(|one| id(Some(one))).collect()
}

pub(super) fn id_message(id: &Value) -> Option<proto::PointId> {
    let options = match id {
        Value::Number(number) => point_id::PointIdOptions::Num(number.as_u64()?),
        Value::String(text) => point_id::PointIdOptions::Uuid(text.clone()),
        _ => return None,
    };
    Some(proto::PointId { point_id_options: Some(options) })
}

/// A number that JSON can hold.
pub(super) fn number(number: f64, place: &str) -> Result<Value> {
    let wrong = || Problem::invalid(place, format!("{place}: {number} is not a finite number"));
    Number::from_f64(number).map(Value::Number).ok_or_else(wrong)
}

pub(super) fn vector(components: Vec<f32>, place: &str) -> Result<Value> {
    components.into_iter().map(|x| number(x.into(), place)).collect()
}

/// A vector of a point: the one without a name, or some with names.
pub(super) fn vectors(vectors: Option<proto::Vectors>, place: &str) -> Result<Value> {
    use proto::vectors::VectorsOptions;
    match vectors.and_then(|vectors| vectors.vectors_options) {
        None => Ok(Value::Null),
        Some(VectorsOptions::Vector(one)) => components(one, place),
        Some(VectorsOptions::Vectors(named)) => {
            let named = named.vectors.into_iter();
            let named = named.map(|(name, one)| Ok((name, components(one, place)?)));
            Ok(Value::Object(named.collect::<Result<_>>()?))
        }
    }
}

fn components(of: proto::Vector, place: &str) -> Result<Value> {
    match of.vector {
        Some(vector::Vector::Dense(dense)) => vector(dense.data, place),
        // Others are refused before.
        _ => vector(of.data, place),
    }
}

pub(super) fn vectors_message(vector: Value) -> Option<proto::VectorsOutput> {
    let Value::Array(components) = vector else { return None };
    let data = components.iter().filter_map(Value::as_f64).map(|x| x as f32).collect();
    let dense = vector_output::Vector::Dense(proto::DenseVector { data });
    let one = proto::VectorOutput { vector: Some(dense) };
    let options = vectors_output::VectorsOptions::Vector(one);
    Some(proto::VectorsOutput { vectors_options: Some(options) })
}

/// A payload.
pub(super) fn object(fields: HashMap<String, proto::Value>, place: &str) -> Result<Value> {
    let fields = fields.into_iter();
    let fields = fields.map(|(name, value)| Ok((name, one_value(value, place)?)));
    Ok(Value::Object(fields.collect::<Result<Map<_, _>>>()?))
}

/// How deep they may be within each other is bounded where messages are read.
fn one_value(of: proto::Value, place: &str) -> Result<Value> {
    Ok(match of.kind {
        None | Some(value::Kind::NullValue(_)) => Value::Null,
        Some(value::Kind::DoubleValue(float)) => number(float, place)?,
        Some(value::Kind::IntegerValue(integer)) => json!(integer),
        Some(value::Kind::StringValue(text)) => Value::String(text),
        Some(value::Kind::BoolValue(truth)) => Value::Bool(truth),
        Some(value::Kind::StructValue(inner)) => object(inner.fields, place)?,
        Some(value::Kind::ListValue(list)) => {
            let values = list.values.into_iter().map(|value| one_value(value, place));
            Value::Array(values.collect::<Result<_>>()?)
        }
    })
}

pub(super) fn object_message(payload: Value) -> HashMap<String, proto::Value> {
    let Value::Object(fields) = payload else { return HashMap::new() };
    fields.into_iter().map(|(name, value)| (name, value_message(value))).collect()
}

fn value_message(of: Value) -> proto::Value {
    let kind = match of {
        Value::Null => value::Kind::NullValue(0),
        Value::Bool(truth) => value::Kind::BoolValue(truth),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => value::Kind::IntegerValue(integer),
            // A message has no unsigned integers; one above 2⁶³ is the nearest float.
            (None, float) => value::Kind::DoubleValue(float.unwrap_or(f64::NAN)),
        },
        Value::String(text) => value::Kind::StringValue(text),
        Value::Array(values) => {
            let values = values.into_iter().map(value_message).collect();
            value::Kind::ListValue(proto::ListValue { values })
        }
        object @ Value::Object(_) => {
            value::Kind::StructValue(proto::Struct { fields: object_message(object) })
        }
    };
    proto::Value { kind: Some(kind) }
}

/// A point in time as RFC 3339 has it.
pub(super) fn time(time: Option<proto::Timestamp>, place: &str) -> Result<Value> {
    let Some(proto::Timestamp { seconds, nanos }) = time else { return Ok(Value::Null) };
    // From the year 1 to 9999, as the message is specified.
    if !(-62_135_596_800..=253_402_300_799).contains(&seconds)
        || !(0..1_000_000_000).contains(&nanos)
    {
        let message = format!("{place}: {seconds} s and {nanos} ns are not a point in time");
        return Err(Problem::invalid(place, message));
    }
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let fraction = match nanos {
        0 => String::new(),
        nanos => format!(".{nanos:09}"),
    };
    Ok(json!(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")))
}

/// Year, month and day of a number of days since 1970, in a calendar whose years begin in March, so
/// that the day of a leap year comes last.
fn date(days: i64) -> (i64, i64, i64) {
    // Days since the first of March of the year 0.
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_text() {
        let at = |seconds, nanos| {
            let time = time(Some(proto::Timestamp { seconds, nanos }), "gt");
            time.ok().and_then(|time| time.as_str().map(str::to_owned))
        };
        for (seconds, nanos, text) in [
            (0, 0, "1970-01-01T00:00:00Z"),
            (-1, 500_000_000, "1969-12-31T23:59:59.500000000Z"),
            (951_782_399, 0, "2000-02-28T23:59:59Z"),
            (951_782_400, 0, "2000-02-29T00:00:00Z"),
            (951_868_800, 0, "2000-03-01T00:00:00Z"),
            (4_107_542_400, 0, "2100-03-01T00:00:00Z"),
            (1_714_557_600, 1, "2024-05-01T10:00:00.000000001Z"),
            (-62_135_596_800, 0, "0001-01-01T00:00:00Z"),
            (253_402_300_799, 0, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(at(seconds, nanos).as_deref(), Some(text));
        }
        for (seconds, nanos) in
            [(i64::MAX, 0), (i64::MIN, 0), (253_402_300_800, 0), (0, -1), (0, 1_000_000_000)]
        {
            assert_eq!(at(seconds, nanos), None);
        }
    }

    #[test]
    fn values_come_back_as_they_were() {
        let payload = json!({"a": null, "b": [1, -2.5, "x", true, {"c": []}], "d": i64::MIN});
        let message = object_message(payload.clone());
        assert_eq!(object(message, "payload").unwrap(), payload);
        let infinite = proto::Value { kind: Some(value::Kind::DoubleValue(f64::INFINITY)) };
        let error = object([("a".to_owned(), infinite)].into(), "payload").unwrap_err();
        assert_eq!(error.field.as_deref(), Some("payload"));
    }
}
