//! A filter of Qdrant as an expression of VecStore.

use serde_json::{Value, json};
use vecstore::Filter;

use super::fields::{Fields, unsupported};
use crate::service::{Problem, Result};

/// Filters within each other that are read.
const DEPTH_MAX: usize = 32;

/// The expression of the same meaning; `None` for a filter without conditions.
pub(super) fn expression(filter: Option<Fields>) -> Result<Option<String>> {
    let Some(filter) = filter else { return Ok(None) };
    let place = filter.place("");
    let place = place.trim_end_matches('.').to_owned();
    let Some(tree) = clauses(filter, 0)? else { return Ok(None) };
    let filter = Filter::from_json(&tree)
        .map_err(|error| Problem::invalid(&place, format!("{place}: {error}")))?;
    Ok(Some(filter.to_string()))
}

/// `{must, should, must_not}` as the tree that [`Filter::from_json`] reads.
fn clauses(mut filter: Fields, depth: usize) -> Result<Option<Value>> {
    let mut all = list(&mut filter, "must", depth)?;
    let should = list(&mut filter, "should", depth)?;
    if !should.is_empty() {
        all.push(json!({ "or": should }));
    }
    for refused in list(&mut filter, "must_not", depth)? {
        all.push(json!({ "not": refused }));
    }
    filter.finish()?;
    Ok((!all.is_empty()).then(|| json!({ "and": all })))
}

/// The conditions of a clause: a list or a single one.
fn list(filter: &mut Fields, name: &str, depth: usize) -> Result<Vec<Value>> {
    let place = filter.place(name);
    if depth >= DEPTH_MAX {
        let message = format!("{place}: nested deeper than {DEPTH_MAX} levels");
        return Err(Problem::invalid(place, message));
    }
    let given = match filter.take(name) {
        None => Vec::new(),
        Some(Value::Array(conditions)) => conditions,
        Some(one) => vec![one],
    };
    let conditions = given.into_iter().enumerate().map(|(at, given)| {
        let fields = Fields::new(given, &format!("{place}[{at}]"))?;
        condition(fields, depth)
    });
    conditions.collect()
}

fn condition(mut fields: Fields, depth: usize) -> Result<Value> {
    if ["must", "should", "must_not", "min_should"].iter().any(|name| fields.has(name)) {
        // A filter without conditions holds for everything.
        return Ok(clauses(fields, depth + 1)?.unwrap_or_else(|| json!({"and": []})));
    }
    if !fields.has("key") {
        if let Some(mut null) = fields.object("is_null")? {
            let field = path(&mut null)?;
            null.finish()?;
            fields.finish()?;
            return Ok(json!({"field": field, "op": "is_null"}));
        }
        fields.finish()?;
        return Err(Problem::invalid("filter", "a condition is empty"));
    }
    let field = path(&mut fields)?;
    let read = if let Some(found) = fields.object("match")? {
        matching(&field, found)?
    } else if let Some(found) = fields.object("range")? {
        range(&field, found)?
    } else if let Some(null) = fields.read::<bool>("is_null")? {
        let is_null = json!({"field": field, "op": "is_null"});
        if null { is_null } else { json!({ "not": is_null }) }
    } else {
        let place = fields.place("key");
        fields.finish()?;
        return Err(Problem::invalid(&place, format!("{place}: the condition says nothing")));
    };
    fields.finish()?;
    Ok(read)
}

/// The path in field `name` as VecStore has it, names joined by dots.
pub(super) fn plain_field(fields: &mut Fields, name: &str) -> Result<String> {
    let place = fields.place(name);
    let names = names(fields, name)?;
    if names.iter().any(|name| name.contains('.')) {
        return Err(unsupported(&place));
    }
    Ok(names.join("."))
}

/// The expression of what has a place in the order of a field: numbers and dates, from `start_from`
/// on.
pub(super) fn ordered_from(field: &str, descending: bool, order: &mut Fields) -> Result<String> {
    let place = order.place("start_from");
    let names: Vec<&str> = field.split('.').collect();
    let test = |op: &str, value: Value| json!({"field": names, "op": op, "value": value});
    let op = if descending { "<=" } else { ">=" };
    let tree = match bound(order, "start_from")? {
        Some(from) => test(op, from),
        None => {
            let number = if descending { f64::MAX } else { f64::MIN };
            let date = if descending { "9999-12-31T23:59:59Z" } else { "0001-01-01T00:00:00Z" };
            json!({"or": [test(op, json!(number)), test(op, json!({ "date": date }))]})
        }
    };
    let filter = Filter::from_json(&tree)
        .map_err(|error| Problem::invalid(&place, format!("{place}: {error}")))?;
    Ok(filter.to_string())
}

/// The path in `key`.
fn path(fields: &mut Fields) -> Result<Value> {
    Ok(json!(names(fields, "key")?))
}

/// `a.b[].c` as a list of names; names in double quotes may have dots.
fn names(fields: &mut Fields, name: &str) -> Result<Vec<String>> {
    let place = fields.place(name);
    let key: String = fields.require(name)?;
    let wrong = |what: &str| Problem::invalid(&place, format!("{place}: `{key}`: {what}"));
    let mut names: Vec<String> = Vec::new();
    let mut rest = key.as_str();
    loop {
        let (name, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or_else(|| wrong("a quote is not closed"))?,
            None => rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len())),
        };
        if name.is_empty() {
            return Err(wrong("a name is empty"));
        }
        names.push(name.to_owned());
        let mut after = after;
        while let Some(index) = after.strip_prefix('[') {
            let (index, further) =
                index.split_once(']').ok_or_else(|| wrong("a bracket is not closed"))?;
            if !index.is_empty() {
                return Err(wrong("a single element of an array can't be chosen"));
            }
            after = further;
        }
        match after.strip_prefix('.') {
            Some(further) => rest = further,
            None if after.is_empty() => return Ok(names),
            None => return Err(wrong("expected a dot")),
        }
    }
}

fn matching(field: &Value, mut fields: Fields) -> Result<Value> {
    let place = fields.place("");
    let scalar = |value: &Value| match value {
        Value::Bool(_) | Value::String(_) => Ok(()),
        Value::Number(number) if number.is_i64() => Ok(()),
        _ => Err(Problem::invalid(&place, format!("{place}{value} can't be matched"))),
    };
    let read = if let Some(value) = fields.take("value") {
        scalar(&value)?;
        json!({"field": field, "op": "=", "value": value})
    } else if let Some(values) = fields.read::<Vec<Value>>("any")? {
        values.iter().try_for_each(scalar)?;
        json!({"field": field, "op": "in", "value": values})
    } else if let Some(prefix) = fields.read::<String>("prefix")? {
        json!({"field": field, "op": "startswith", "value": prefix})
    } else if let Some(part) = fields.read::<String>("substring")? {
        let plain = part.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        json!({"field": field, "op": "like", "value": format!("%{plain}%")})
    } else {
        // `text`, `phrase` and their like need an index of words; `except` needs a condition on
        // each element.
        fields.finish()?;
        return Err(unsupported(place.trim_end_matches('.')));
    };
    fields.finish()?;
    Ok(read)
}

/// Numbers or dates. One and the same value must be within both ends.
fn range(field: &Value, mut fields: Fields) -> Result<Value> {
    let mut low: Option<(Value, bool)> = None;
    let mut high: Option<(Value, bool)> = None;
    for (name, inclusive) in [("gt", false), ("gte", true)] {
        if let Some(value) = bound(&mut fields, name)? {
            if low.is_some() {
                return Err(unsupported(&fields.place(name)));
            }
            low = Some((value, inclusive));
        }
    }
    for (name, inclusive) in [("lt", false), ("lte", true)] {
        if let Some(value) = bound(&mut fields, name)? {
            if high.is_some() {
                return Err(unsupported(&fields.place(name)));
            }
            high = Some((value, inclusive));
        }
    }
    let place = fields.place("range");
    fields.finish()?;
    let test = |op: &str, value: &Value| json!({"field": field, "op": op, "value": value});
    let above =
        |(value, inclusive): &(Value, bool)| test(if *inclusive { ">=" } else { ">" }, value);
    let below =
        |(value, inclusive): &(Value, bool)| test(if *inclusive { "<=" } else { "<" }, value);
    Ok(match (low, high) {
        (None, None) => {
            return Err(Problem::invalid(&place, format!("{place}: the range has no end")));
        }
        (Some(low), None) => above(&low),
        (None, Some(high)) => below(&high),
        (Some(low), Some(high)) => {
            match (closed(&low, f64::next_up), closed(&high, f64::next_down)) {
                (Some(from), Some(to)) => {
                    json!({"field": field, "op": "between", "value": [from, to]})
                }
                _ => json!({"and": [above(&low), below(&high)]}),
            }
        }
    })
}

fn bound(fields: &mut Fields, name: &str) -> Result<Option<Value>> {
    let place = fields.place(name);
    match fields.take(name) {
        None => Ok(None),
        Some(Value::Number(number)) => Ok(Some(Value::Number(number))),
        Some(Value::String(date)) => Ok(Some(json!({ "date": date }))),
        Some(_) => Err(Problem::invalid(&place, format!("{place}: expected a number or a date"))),
    }
}

/// An end that is included, if an excluded one can be written so: between a float and the next
/// there is no other float, and below 2⁵³ no integer.
fn closed((value, inclusive): &(Value, bool), next: fn(f64) -> f64) -> Option<Value> {
    if *inclusive {
        return Some(value.clone());
    }
    let number = value.as_f64().filter(|number| number.abs() < (1u64 << 53) as f64)?;
    Some(json!(next(number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(filter: Value) -> std::result::Result<String, String> {
        let filter = Fields::new(filter, "filter").unwrap();
        match expression(Some(filter)) {
            Ok(text) => Ok(text.unwrap_or_default()),
            Err(problem) => Err(problem.field.unwrap_or_default()),
        }
    }

    #[test]
    fn filters_become_expressions() {
        let key = |condition: Value| {
            let mut condition = condition;
            condition["key"] = json!("a");
            json!({ "must": [condition] })
        };
        for (filter, expected) in [
            (json!({}), ""),
            (json!({"must": [], "should": null}), ""),
            (key(json!({"match": {"value": 1}})), "a = 1"),
            (key(json!({"match": {"any": ["x'y", "z"]}})), "a IN ['x''y', 'z']"),
            (key(json!({"match": {"prefix": "p"}})), "a STARTSWITH 'p'"),
            (key(json!({"match": {"substring": "5%_\\"}})), "a LIKE '%5\\%\\_\\\\%'"),
            (key(json!({"range": {"gte": 1, "lte": 2.5}})), "a BETWEEN 1 AND 2.5"),
            (
                key(json!({"range": {"gt": 1, "lt": 2}})),
                "a BETWEEN 1.0000000000000002 AND 1.9999999999999998",
            ),
            (key(json!({"range": {"gt": 1}})), "a > 1"),
            (key(json!({"is_null": false})), "a IS NOT NULL"),
            (json!({"must": [{"is_null": {"key": "b[].c"}}]}), "b.c IS NULL"),
            (json!({"must": {"key": "\"x.y\".z[]", "match": {"value": true}}}), "\"x.y\".z = true"),
            (
                json!({"should": [{"key": "a", "match": {"value": 1}}, {"key": "b", "match": {"value": 2}}],
                       "must_not": [{"must": [{"key": "c", "match": {"value": "d"}}]}]}),
                "(a = 1 OR b = 2) AND NOT (c = 'd')",
            ),
        ] {
            assert_eq!(read(filter.clone()).as_deref(), Ok(expected), "{filter}");
        }
    }

    #[test]
    fn what_has_no_expression_is_named() {
        let must = |condition: Value| json!({ "must": [condition] });
        for (filter, field) in [
            (must(json!({"has_id": [1]})), "filter.must[0].has_id"),
            (must(json!({"key": "a", "match": {"text": "b"}})), "filter.must[0].match.text"),
            (must(json!({"key": "a", "match": {"except": [1]}})), "filter.must[0].match.except"),
            (must(json!({"key": "a", "geo_radius": {}})), "filter.must[0].geo_radius"),
            (must(json!({"key": "a", "values_count": {"gt": 1}})), "filter.must[0].values_count"),
            (must(json!({"is_empty": {"key": "a"}})), "filter.must[0].is_empty"),
            (must(json!({"nested": {"key": "a", "filter": {}}})), "filter.must[0].nested"),
            (json!({"min_should": {"conditions": [], "min_count": 1}}), "filter.min_should"),
            (must(json!({"key": "a[0].b", "match": {"value": 1}})), "filter.must[0].key"),
            (must(json!({"key": "a..b", "match": {"value": 1}})), "filter.must[0].key"),
            (must(json!({"key": "a", "range": {"gt": 1, "gte": 2}})), "filter.must[0].range.gte"),
            (must(json!({"key": "a", "range": {"gt": "soon"}})), "filter"),
            (must(json!({"key": "a"})), "filter.must[0].key"),
            (must(json!(1)), "filter.must[0]"),
        ] {
            assert_eq!(read(filter.clone()), Err(field.to_owned()), "{filter}");
        }
    }
}
