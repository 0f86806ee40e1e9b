//! Which literals an operator takes: the rules that text and JSON share.

use serde_json::Value as Json;
use vecstore_index::Timestamp;

use super::error::shown;
use super::{Comparison, Value};

/// The literal that a JSON value is, or why it is none.
pub(super) fn literal(json: &Json) -> Result<Value, String> {
    match json {
        Json::Null => Ok(Value::Null),
        Json::Bool(value) => Ok(Value::Bool(*value)),
        Json::String(value) => Ok(Value::Str(value.clone())),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(value), _) => Ok(Value::Int(value)),
            (None, Some(value)) if !number.is_u64() && value.is_finite() => Ok(Value::Float(value)),
            _ => Err(format!("{number} is out of the range of a 64-bit integer")),
        },
        Json::Array(_) => Err("a list can only be what IN looks in".to_string()),
        Json::Object(object) if object.len() == 1 && object.contains_key("date") => {
            match object.get("date") {
                Some(Json::String(text)) => date(text).map(Value::Date),
                _ => Err("`date` takes a string".to_string()),
            }
        }
        Json::Object(_) => Err("an object is not a value to compare with".to_string()),
    }
}

/// The date that a text is, or why it is none.
pub(super) fn date(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| {
        let shown = shown(text);
        format!(
            "`{shown}` is not a date of RFC 3339, such as 2024-05-01 or 2024-05-01T10:00:00+02:00"
        )
    })
}

/// What a literal is, in words.
pub(super) fn sort(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Int(_) | Value::Float(_) => "a number",
        Value::Str(_) => "a string",
        Value::Date(_) => "a date",
    }
}

fn is_ordered(value: &Value) -> bool {
    matches!(value, Value::Int(_) | Value::Float(_) | Value::Str(_) | Value::Date(_))
}

/// Orderings need a number, a string or a date.
pub(super) fn check_comparison(comparison: Comparison, value: &Value) -> Result<(), String> {
    let equality = matches!(comparison, Comparison::Equal | Comparison::NotEqual);
    if equality || is_ordered(value) {
        Ok(())
    } else {
        let symbol = comparison.symbol();
        Err(format!(
            "`{symbol}` orders numbers, strings and dates, it does not take {}",
            sort(value)
        ))
    }
}

/// `BETWEEN` needs two numbers, two strings or two dates.
pub(super) fn check_between(low: &Value, high: &Value) -> Result<(), String> {
    if is_ordered(low) && is_ordered(high) && sort(low) == sort(high) {
        Ok(())
    } else {
        Err(format!(
            "BETWEEN takes two numbers, two strings or two dates, not {} and {}",
            sort(low),
            sort(high)
        ))
    }
}

/// In a written pattern, `\` stands before `%`, `_` or `\`; anything else is likely a mistake.
pub(super) fn check_pattern(pattern: &str) -> Result<(), String> {
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if c == '\\' && !matches!(chars.next(), Some('%' | '_' | '\\')) {
            return Err(
                "in a LIKE pattern, `\\` stands before `%`, `_` or `\\`; a backslash itself \
                        is written `\\\\`"
                    .to_string(),
            );
        }
    }
    Ok(())
}
