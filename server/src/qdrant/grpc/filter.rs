//! Filters.

use serde_json::{Map, Value, json};

use super::proto::{self, condition, r#match};
use super::values::{ids, number, time};
use crate::service::Result;

pub(super) fn filter(filter: Option<proto::Filter>) -> Result<Value> {
    filter.map_or(Ok(Value::Null), clauses)
}

/// How deep they may be within each other is bounded where messages are read.
fn clauses(filter: proto::Filter) -> Result<Value> {
    let proto::Filter { should, must, must_not, min_should: _ } = filter;
    let all = |conditions: Vec<proto::Condition>| {
        conditions.into_iter().map(condition).collect::<Result<Value>>()
    };
    Ok(json!({"must": all(must)?, "should": all(should)?, "must_not": all(must_not)?}))
}

fn condition(condition: proto::Condition) -> Result<Value> {
    use condition::ConditionOneOf as Of;
    Ok(match condition.condition_one_of {
        Some(Of::Field(on)) => field(on)?,
        Some(Of::Filter(filter)) => clauses(filter)?,
        Some(Of::HasId(has)) => json!({"has_id": ids(has.has_id)}),
        Some(Of::IsEmpty(on)) => json!({"is_empty": {"key": on.key}}),
        Some(Of::IsNull(on)) => json!({"is_null": {"key": on.key}}),
        // Others are refused before.
        Some(Of::Nested(_) | Of::HasVector(_) | Of::Slice(_)) | None => json!({}),
    })
}

fn field(on: proto::FieldCondition) -> Result<Value> {
    let mut shown = json!({"key": on.key, "is_empty": on.is_empty, "is_null": on.is_null});
    if let Some(wanted) = on.r#match {
        shown["match"] = matched(wanted);
    }
    if let Some(proto::Range { lt, gt, gte, lte }) = on.range {
        let ends = [("lt", lt), ("gt", gt), ("gte", gte), ("lte", lte)];
        let ends = ends.into_iter().filter_map(|(name, end)| Some((name, end?)));
        let ends = ends.map(|(name, end)| Ok((name.to_owned(), number(end, name)?)));
        shown["range"] = Value::Object(ends.collect::<Result<Map<_, _>>>()?);
    }
    if let Some(proto::DatetimeRange { lt, gt, gte, lte }) = on.datetime_range {
        let ends = [("lt", lt), ("gt", gt), ("gte", gte), ("lte", lte)];
        let ends = ends.into_iter().map(|(name, end)| Ok((name.to_owned(), time(end, name)?)));
        let ends = Value::Object(ends.collect::<Result<Map<_, _>>>()?);
        // One condition has one range; a second one is refused.
        let name = if shown["range"].is_null() { "range" } else { "datetime_range" };
        shown[name] = ends;
    }
    Ok(shown)
}

fn matched(wanted: proto::Match) -> Value {
    use r#match::MatchValue as Of;
    match wanted.match_value {
        Some(Of::Keyword(text)) => json!({ "value": text }),
        Some(Of::Integer(integer)) => json!({ "value": integer }),
        Some(Of::Boolean(truth)) => json!({ "value": truth }),
        Some(Of::Keywords(any)) => json!({ "any": any.strings }),
        Some(Of::Integers(any)) => json!({ "any": any.integers }),
        Some(Of::Prefix(prefix)) => json!({ "prefix": prefix }),
        Some(Of::Substring(part)) => json!({ "substring": part }),
        // Others are refused before.
        _ => json!({}),
    }
}
