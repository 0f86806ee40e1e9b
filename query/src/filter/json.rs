//! A filter as JSON, for programs that would rather not write text.
//!
//! ```text
//! {"and": [...]}   {"or": [...]}   {"not": {...}}
//! {"field": F, "op": "=" | "!=" | "<" | "<=" | ">" | ">=" | "contains", "value": scalar}
//! {"field": F, "op": "in", "value": [scalars]}      {"field": F, "op": "between", "value": [low, high]}
//! {"field": F, "op": "startswith" | "like", "value": "text"}
//! {"field": F, "op": "exists" | "is_null"}
//! ```
//! `F` is names joined by dots, or a list of names where one has a dot in it. A float that is not
//! finite, which neither text nor metadata can hold, is `{"float": "inf" | "-inf" | "NaN"}`, a date
//! `{"date": "2024-05-01T10:00:00Z"}`.

use serde_json::{Map, Value as Json, json};
use vecstore_segments::FieldPath;

use super::parse::FILTER_DEPTH_MAX;
use super::rules::{check_between, check_comparison, check_pattern, literal};
use super::{Comparison, Filter, FilterJsonError, Value};

/// Nested filters that are read: as many as the deepest text makes, in which every level of
/// parentheses holds an `OR` of `AND`s.
const LEVELS_MAX: usize = 2 * FILTER_DEPTH_MAX + 4;

impl Filter {
    /// The filter as JSON; [`Filter::from_json`] gives it back.
    #[must_use]
    pub fn to_json(&self) -> Json {
        // Moved into place: `json!` would copy what is nested, at every level.
        let object = |key: &str, value| Json::Object(Map::from_iter([(key.to_owned(), value)]));
        let list = |parts: &[Filter]| Json::Array(parts.iter().map(Filter::to_json).collect());
        match self {
            Filter::And(parts) => object("and", list(parts)),
            Filter::Or(parts) => object("or", list(parts)),
            Filter::Not(part) => object("not", part.to_json()),
            Filter::Compare(path, comparison, value) => {
                test(path, comparison.symbol(), Some(value_json(value)))
            }
            Filter::In(path, values) => {
                test(path, "in", Some(values.iter().map(value_json).collect()))
            }
            Filter::Between(path, low, high) => {
                test(path, "between", Some(json!([value_json(low), value_json(high)])))
            }
            Filter::Contains(path, value) => test(path, "contains", Some(value_json(value))),
            Filter::StartsWith(path, prefix) => test(path, "startswith", Some(json!(prefix))),
            Filter::Like(path, pattern) => test(path, "like", Some(json!(pattern))),
            Filter::Exists(path) => test(path, "exists", None),
            Filter::IsNull(path) => test(path, "is_null", None),
        }
    }

    /// Reads what [`Filter::to_json`] writes, with the checks that text gets; unknown keys are
    /// refused.
    pub fn from_json(json: &Json) -> Result<Filter, FilterJsonError> {
        read(json, &Place { above: None, step: Step::Root, level: 0 })
    }
}

fn test(path: &FieldPath, op: &str, value: Option<Json>) -> Json {
    let names = path.names();
    let dotted = !names.is_empty() && names.iter().all(|name| !name.contains('.'));
    let field = if dotted { json!(names.join(".")) } else { json!(names) };
    let mut object = Map::new();
    object.insert("field".to_string(), field);
    object.insert("op".to_string(), json!(op));
    if let Some(value) = value {
        object.insert("value".to_string(), value);
    }
    Json::Object(object)
}

fn value_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => json!(value),
        Value::Int(value) => json!(value),
        Value::Float(value) if value.is_finite() => json!(value),
        Value::Float(value) => json!({"float": value.to_string()}),
        Value::Str(value) => json!(value),
        Value::Date(value) => json!({"date": value.to_string()}),
    }
}

/// Where in the JSON a value is; becomes a pointer only if something is wrong there.
#[derive(Clone, Copy)]
struct Place<'a> {
    above: Option<&'a Place<'a>>,
    step: Step,
    level: usize,
}

#[derive(Clone, Copy)]
enum Step {
    Root,
    Key(&'static str),
    At(usize),
}

impl<'a> Place<'a> {
    fn key(&'a self, key: &'static str) -> Place<'a> {
        Place { above: Some(self), step: Step::Key(key), level: self.level }
    }

    fn at(&'a self, at: usize) -> Place<'a> {
        Place { above: Some(self), step: Step::At(at), level: self.level }
    }

    fn deeper(self) -> Place<'a> {
        Place { level: self.level + 1, ..self }
    }

    fn pointer(&self) -> String {
        let above = self.above.map(Place::pointer).unwrap_or_default();
        match self.step {
            Step::Root => above,
            Step::Key(key) => format!("{above}/{key}"),
            Step::At(at) => format!("{above}/{at}"),
        }
    }

    fn wrong<T>(&self, problem: impl Into<String>) -> Result<T, FilterJsonError> {
        Err(FilterJsonError { pointer: self.pointer(), problem: problem.into() })
    }

    /// A rule's answer, with its place.
    fn check<T>(&self, outcome: Result<T, String>) -> Result<T, FilterJsonError> {
        outcome.or_else(|problem| self.wrong(problem))
    }
}

fn read(json: &Json, place: &Place<'_>) -> Result<Filter, FilterJsonError> {
    const SHAPES: &str = "expected {\"and\": [...]}, {\"or\": [...]}, {\"not\": {...}} or \
                          {\"field\": ..., \"op\": ..., \"value\": ...}";
    if place.level >= LEVELS_MAX {
        return place.wrong(format!("more than {LEVELS_MAX} nested conditions"));
    }
    let Json::Object(object) = json else { return place.wrong(SHAPES) };
    let only = || if object.len() == 1 { Ok(()) } else { place.wrong(SHAPES) };
    let parts = |json: &Json, key| match json {
        Json::Array(parts) => {
            let list = place.key(key);
            let part = |(at, part)| read(part, &list.at(at).deeper());
            parts.iter().enumerate().map(part).collect::<Result<Vec<_>, _>>()
        }
        _ => place.key(key).wrong("expected a list of conditions"),
    };
    if let Some(json) = object.get("and") {
        only()?;
        parts(json, "and").map(Filter::And)
    } else if let Some(json) = object.get("or") {
        only()?;
        parts(json, "or").map(Filter::Or)
    } else if let Some(json) = object.get("not") {
        only()?;
        read(json, &place.key("not").deeper()).map(|part| Filter::Not(Box::new(part)))
    } else {
        read_test(object, place)
    }
}

fn read_test(object: &Map<String, Json>, place: &Place<'_>) -> Result<Filter, FilterJsonError> {
    if let Some(key) = object.keys().find(|key| !matches!(key.as_str(), "field" | "op" | "value")) {
        return place.wrong(format!(
            "`{key}` is not a key of a condition; those are `and`, `or`, \
                                    `not`, or `field`, `op` and `value`"
        ));
    }
    let path = read_path(object.get("field"), &place.key("field"))?;
    let op_place = place.key("op");
    let Some(Json::String(op)) = object.get("op") else {
        return op_place.wrong("expected an operator, such as \"=\"");
    };
    let value_place = place.key("value");
    let value = || match object.get("value") {
        Some(json) => Ok(json),
        None => place.wrong(format!("`{op}` needs a `value`")),
    };

    if let Some(comparison) = Comparison::ALL.into_iter().find(|c| c.symbol() == op) {
        let value = read_value(value()?, &value_place)?;
        value_place.check(check_comparison(comparison, &value))?;
        return Ok(Filter::Compare(path, comparison, value));
    }
    match op.as_str() {
        "contains" => read_value(value()?, &value_place).map(|value| Filter::Contains(path, value)),
        "in" => read_list(value()?, &value_place).map(|values| Filter::In(path, values)),
        "between" => {
            let ends: Result<[Value; 2], _> = read_list(value()?, &value_place)?.try_into();
            let Ok([low, high]) = ends else {
                return value_place.wrong("expected a list of two values, [low, high]");
            };
            value_place.check(check_between(&low, &high))?;
            Ok(Filter::Between(path, low, high))
        }
        "startswith" => {
            read_text(value()?, &value_place).map(|prefix| Filter::StartsWith(path, prefix))
        }
        "like" => {
            let pattern = read_text(value()?, &value_place)?;
            value_place.check(check_pattern(&pattern))?;
            Ok(Filter::Like(path, pattern))
        }
        "exists" | "is_null" if object.contains_key("value") => {
            value_place.wrong(format!("`{op}` takes no value"))
        }
        "exists" => Ok(Filter::Exists(path)),
        "is_null" => Ok(Filter::IsNull(path)),
        _ => op_place.wrong(format!(
            "`{op}` is not an operator; those are =, !=, <, <=, >, >=, in, between, contains, \
             startswith, like, exists and is_null"
        )),
    }
}

fn read_path(json: Option<&Json>, place: &Place<'_>) -> Result<FieldPath, FilterJsonError> {
    let name = |json: &Json| json.as_str().map(String::from);
    let path = match json {
        Some(Json::String(dotted)) => Some(FieldPath::from(dotted.as_str())),
        Some(Json::Array(names)) if !names.is_empty() => {
            names.iter().map(name).collect::<Option<Vec<_>>>().map(FieldPath::new)
        }
        _ => None,
    };
    match path {
        Some(path) => Ok(path),
        None => place.wrong("expected names joined by dots, or a list of names"),
    }
}

fn read_value(json: &Json, place: &Place<'_>) -> Result<Value, FilterJsonError> {
    if let Json::Object(object) = json
        && let (1, Some(Json::String(float))) = (object.len(), object.get("float"))
    {
        return match float.as_str() {
            "inf" => Ok(Value::Float(f64::INFINITY)),
            "-inf" => Ok(Value::Float(f64::NEG_INFINITY)),
            "NaN" => Ok(Value::Float(f64::NAN)),
            _ => place.key("float").wrong("expected \"inf\", \"-inf\" or \"NaN\""),
        };
    }
    place.check(literal(json))
}

fn read_list(json: &Json, place: &Place<'_>) -> Result<Vec<Value>, FilterJsonError> {
    match json {
        Json::Array(values) => {
            values.iter().enumerate().map(|(at, value)| read_value(value, &place.at(at))).collect()
        }
        _ => place.wrong("expected a list of values"),
    }
}

fn read_text(json: &Json, place: &Place<'_>) -> Result<String, FilterJsonError> {
    match json {
        Json::String(text) => Ok(text.clone()),
        _ => place.wrong("expected a string"),
    }
}
