//! The filter language as a table: what is read, and what is refused, where and why.

#![allow(clippy::unwrap_used)]

use serde_json::json;
use vecstore_query::{FILTER_BYTES_MAX, FILTER_DEPTH_MAX, Filter, FilterErrorKind, Params, field};

fn params() -> Params {
    let params = json!({
        "v": "v", "n": 5, "x": 2.5, "t": true, "none": null, "list": ["a", 1, null], "empty": [],
        "object": {}, "nested": [[1]], "big": 9_223_372_036_854_775_808_u64, "bad": "50\\x",
    });
    params.as_object().unwrap().clone().into_iter().collect()
}

/// The parameters that a text names: giving more would be an error of its own.
fn params_of(text: &str) -> Params {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let name = |after: &str| after.split(|c| !is_name(c)).next().unwrap_or("").to_string();
    let names: Vec<String> = text.split('$').skip(1).map(name).collect();
    params().into_iter().filter(|(name, _)| names.contains(name)).collect()
}

/// Parses `text`. It is expected to be `Ok` with this canonical text, or an error at this byte with
/// this in its message.
fn check(text: &str, expected: Result<&str, (usize, &str)>) {
    match (Filter::parse(text, &params_of(text)), expected) {
        (Ok(filter), Ok(canonical)) => {
            assert_eq!(filter.to_string(), canonical, "from {text}");
            let again = Filter::parse(canonical, &Params::new());
            assert_eq!(again.as_ref(), Ok(&filter), "from {canonical}");
        }
        (Err(error), Err((position, problem))) => {
            assert!(error.problem.contains(problem), "{text}\n{error}\nexpected: {problem}");
            assert_eq!(error.position, position, "{text}\n{error}");
        }
        (outcome, expected) => panic!("{text}\n{outcome:?}\nexpected {expected:?}"),
    }
}

#[test]
fn texts_that_are_filters() {
    let same = |text: &str| check(text, Ok(text));
    let reads = |text: &str, canonical: &str| check(text, Ok(canonical));

    // Comparisons.
    same("pos = 'v'");
    same("pos != 'v'");
    same("n < 5");
    same("n <= 5");
    same("n > 5");
    same("n >= 5");
    reads("pos == 'v'", "pos = 'v'");
    reads("pos <> 'v'", "pos != 'v'");
    reads("pos='v'", "pos = 'v'");
    reads("  n\t>=\n5  ", "n >= 5");

    // Literals.
    same("a = null");
    same("a = true");
    reads("a = FALSE", "a = false");
    reads("a = NULL", "a = null");
    same("a = 0");
    same("a = -1");
    reads("a = -0", "a = 0");
    reads("a = 007", "a = 7");
    reads("a=-5", "a = -5");
    same("a = 9223372036854775807");
    same("a = -9223372036854775808");
    same("a = 1.5");
    same("a = -0.0");
    same("a = 1.0");
    reads("a = 1.50", "a = 1.5");
    reads("a = 1e3", "a = 1000.0");
    reads("a = 1E+3", "a = 1000.0");
    reads("a = 2.5e-3", "a = 0.0025");
    same("a = 1e300");
    same("a = 9007199254740993");
    same("a = ''");
    same("a = 'it''s'");
    same("a = ''''");
    same("a = 'say \"x\"'");
    same("a = 'größe 漢字'");
    same("a = 'two\nlines'");
    same("a = '\\'");

    // Paths and names.
    same("a.b.c = 1");
    reads("a . b = 1", "a.b = 1");
    same("\"a.b\" = 1");
    same("\"gloss-len\".\"x y\" = 1");
    same("\"say \"\"x\"\"\" = 1");
    same("\"\" = 1");
    reads("\"plain\" = 1", "plain = 1");
    same("größe = 1");
    same("_x1 = 1");
    same("\"in\" = 1");
    reads("a.in = 1", "a.\"in\" = 1");
    same("notes = 1");
    same("\"2nd\" = 1");

    // Words.
    same("pos IN ['v', 'n']");
    reads("pos in ('v','n')", "pos IN ['v', 'n']");
    same("pos IN []");
    reads("pos IN ()", "pos IN []");
    same("pos IN [1, 2.5, true, null, 'x']");
    same("pos NOT IN ['v']");
    reads("NOT pos IN ['v']", "pos NOT IN ['v']");
    same("n BETWEEN 1 AND 5");
    same("n BETWEEN -1 AND 2.5");
    same("n BETWEEN 'a' AND 'b'");
    same("n NOT BETWEEN 1 AND 5");
    same("tags CONTAINS 'a'");
    same("tags CONTAINS 5");
    same("tags CONTAINS null");
    same("tags NOT CONTAINS 'a'");
    same("a STARTSWITH 'x'");
    reads("a startsWith 'x'", "a STARTSWITH 'x'");
    same("a NOT STARTSWITH 'x'");
    same("a LIKE 'x%_\\%\\_\\\\'");
    same("a NOT LIKE '%'");
    same("EXISTS a");
    same("EXISTS a.b");
    reads("a EXISTS", "EXISTS a");
    reads("exists(a)", "EXISTS a");
    same("NOT EXISTS a");
    same("a IS NULL");
    same("a IS NOT NULL");
    reads("a is not null", "a IS NOT NULL");
    reads("NOT a IS NULL", "a IS NOT NULL");

    // Logic.
    same("a = 1 AND b = 2");
    same("a = 1 AND b = 2 AND c = 3");
    same("a = 1 OR b = 2 OR c = 3");
    same("a = 1 OR b = 2 AND c = 3");
    same("(a = 1 OR b = 2) AND c = 3");
    same("a = 1 AND (b = 2 AND c = 3)");
    same("a = 1 OR (b = 2 OR c = 3)");
    reads("(a = 1 AND b = 2) OR c = 3", "a = 1 AND b = 2 OR c = 3");
    reads("a = 1 and not b = 2 or c = 3", "a = 1 AND NOT b = 2 OR c = 3");
    same("NOT (a = 1 OR b = 2)");
    same("NOT NOT a = 1");
    same("NOT a NOT IN [1]");
    reads("((((a = 1))))", "a = 1");
    same("n BETWEEN 1 AND 5 AND a = 1");

    // Parameters.
    reads("pos = $v", "pos = 'v'");
    reads("n < $n AND n > $x", "n < 5 AND n > 2.5");
    reads("a = $t OR a = $none", "a = true OR a = null");
    reads("a IN $list", "a IN ['a', 1, null]");
    reads("a NOT IN $empty", "a NOT IN []");
    reads("a IN [$v, 1, $v]", "a IN ['v', 1, 'v']");
    reads("n BETWEEN $x AND $n", "n BETWEEN 2.5 AND 5");
    reads("a LIKE $v", "a LIKE 'v'");
    reads("a STARTSWITH $v", "a STARTSWITH 'v'");
    reads("a CONTAINS $n", "a CONTAINS 5");
}

#[test]
fn texts_that_are_not() {
    let wrong = |text: &str, position: usize, problem: &str| check(text, Err((position, problem)));

    // Operators that were meant differently.
    wrong("gloss_len =< 5", 10, "found `=<`, expected an operator");
    wrong("gloss_len =< 5", 10, "did you mean `<=`?");
    wrong("n => 5", 2, "did you mean `>=`?");
    wrong("n =! 5", 2, "did you mean `!=`?");
    wrong("n < = 5", 4, "did you mean `<=`?");
    wrong("n ! = 5", 2, "did you mean `!=`?");
    wrong("n === 5", 2, "did you mean `=`?");
    wrong("a ~ 'x'", 2, "did you mean `LIKE`?");
    wrong("a LIEK 'x'", 2, "did you mean `LIKE`?");
    wrong("a ILIKE 'x'", 2, "did you mean `LIKE`?");
    wrong("a STARTS WITH 'x'", 2, "did you mean `STARTSWITH`?");
    wrong("a STARTSWITH WITH 'x'", 13, "STARTSWITH is one word");
    wrong("a STARTWITH 'x'", 2, "did you mean `STARTSWITH`?");
    wrong("a CONTIANS 'x'", 2, "did you mean `CONTAINS`?");
    wrong("a HAS 'x'", 2, "did you mean `CONTAINS`?");
    wrong("a BETWEN 1 AND 2", 2, "did you mean `BETWEEN`?");
    wrong("a EQ 1", 2, "did you mean `=`?");
    wrong("a NOT EXISTS", 6, "write NOT EXISTS a");
    wrong("a NOT LKE 'x'", 6, "did you mean `LIKE`?");
    wrong("a NOT = 1", 6, "expected IN, BETWEEN, CONTAINS, STARTSWITH or LIKE after NOT");
    wrong("!a = 1", 0, "did you mean `NOT`?");
    wrong("a = 1 && b = 2", 6, "did you mean `AND`?");
    wrong("a = 1 || b = 2", 6, "did you mean `OR`?");
    wrong("a = 1 ADN b = 2", 6, "did you mean `AND`?");
    wrong("a wibble 1", 2, "found `wibble`, expected an operator (=, !=");

    // Quotes.
    wrong(
        "pos = v",
        6,
        "found `v`, expected a value after `=`; a string is written in single quotes: 'v'",
    );
    wrong("pos = \"v\"", 6, "double quotes are for fields, use single quotes: 'v'");
    wrong("pos IN [\"v\"]", 8, "use single quotes: 'v'");
    wrong("'pos' = 'v'", 0, "a field is written without quotes or in double quotes: \"pos\"");
    wrong("pos = 'v", 6, "the string that starts here has no closing `'`");
    wrong("\"pos = 'v'", 0, "the name that starts here has no closing `\"`");
    wrong("pos = ‘v’", 6, "strings are written in 'single quotes'");
    wrong("a = 'it's'", 8, "found `s`, expected AND, OR or the end");

    // Numbers.
    wrong(
        "a = 9223372036854775808",
        4,
        "9223372036854775808 is out of the range of a 64-bit integer",
    );
    wrong("a = -9223372036854775809", 4, "is out of the range of a 64-bit integer");
    wrong("a = 1e999", 4, "out of the range of a 64-bit float");
    wrong("a = 1.", 4, "`1.` is not a number");
    wrong("a = .5", 4, "a number needs a digit before its point");
    wrong("a = 1.2.3", 4, "`1.2.3` is not a number");
    wrong("a = 1_000", 4, "`1_000` is not a number");
    wrong("a = 0x10", 4, "`0x10` is not a number");
    wrong("a = 1e", 4, "`1e` is not a number");
    wrong("a = +1", 4, "no `+` before it");
    wrong("a = - 1", 4, "`-` does not belong");
    wrong("a = 1 + 1", 6, "there is no arithmetic");

    // Where something ends too early, or goes on.
    wrong("", 0, "found the end, expected a field, NOT, EXISTS or `(`");
    wrong("   ", 3, "found the end");
    wrong("a", 1, "found the end, expected an operator");
    wrong("a =", 3, "found the end, expected a value after `=`");
    wrong("a = 1 AND", 9, "found the end, expected a field");
    wrong("a = 1 b = 2", 6, "found `b`, expected AND, OR or the end");
    wrong("a = 1 AND OR b = 2", 10, "found `OR`, expected a field");
    wrong("(a = 1", 6, "found the end, expected AND, OR or `)` for the `(` at 0");
    wrong("a = 1)", 5, "found `)` without a `(` before it");
    wrong("()", 1, "there is nothing between the parentheses");
    wrong("a = 1;", 5, "`;` does not belong");
    wrong("a IS", 4, "found the end, expected NULL or NOT NULL");
    wrong("a IS 5", 5, "found `5`, expected NULL or NOT NULL; a value is compared with `=`");
    wrong("a IS NOT 5", 9, "expected NULL");
    wrong("a. = 1", 3, "found `=`, expected a name after the `.`");
    wrong("a.0 = 1", 1, "a number needs a digit");
    wrong("a. 0 = 1", 3, "arrays need no index");
    wrong("gloss-len = 1", 5, "a name with `-` in it is written in double quotes");
    wrong("5 < a", 0, "the field comes first");
    wrong("like = 1", 0, "a field of that name is written \"like\"");
    wrong("true", 0, "a field of that name is written \"true\"");
    wrong("EXISTS 'a'", 7, "expected a field");
    wrong("exists(a", 8, "found the end, expected `)`");

    // Lists.
    wrong("a IN 'v'", 5, "expected a list after IN");
    wrong("a IN [1", 7, "expected `,` or `]`");
    wrong("a IN [1 2]", 8, "expected `,` or `]`");
    wrong("a IN [1)", 7, "expected `,` or `]`");
    wrong("a IN [1,]", 8, "found `]`, expected a value after `,`");
    wrong("a IN [[1]]", 6, "found `[`");
    wrong("a = [1]", 4, "lists are for IN");

    // Dates.
    wrong("a < DATE '2024-13-01'", 9, "`2024-13-01` is not a date of RFC 3339, such as 2024-05-01");
    wrong(
        "a = date 5",
        9,
        "found `5`, expected a date in single quotes after DATE; such as DATE '",
    );
    wrong("a = date", 8, "found the end, expected a date");
    wrong("a BETWEEN DATE '2024-05-01' AND '2024-05-02'", 32, "not a date and a string");
    wrong("a LIKE DATE '2024-05-01'", 12, "LIKE takes a string in single quotes, not a date");

    // Literals that an operator does not take.
    wrong("a < true", 4, "`<` orders numbers, strings and dates, it does not take a boolean");
    wrong("a >= null", 5, "it does not take null");
    wrong(
        "a BETWEEN 1 AND 'b'",
        16,
        "two numbers, two strings or two dates, not a number and a string",
    );
    wrong("a BETWEEN true AND false", 19, "BETWEEN takes two numbers, two strings or two dates");
    wrong("a BETWEEN 1, 2", 11, "expected AND and the upper end");
    wrong("a STARTSWITH 5", 13, "STARTSWITH takes a string in single quotes, not a number");
    wrong("a LIKE null", 7, "LIKE takes a string in single quotes, not null");
    wrong("a LIKE 'c:\\x'", 7, "a backslash itself is written `\\\\`");
    wrong("a LIKE 'x\\'", 7, "in a LIKE pattern");

    // Parameters.
    wrong("a = $nope", 4, "parameter `$nope` has no value");
    wrong("a = $", 4, "`$` stands before the name of a parameter");
    wrong("a = $list", 4, "parameter `$list`: a list can only be what IN looks in");
    wrong("a IN [$list]", 6, "a list can only be what IN looks in");
    wrong("a IN $v", 5, "parameter `$v`: IN takes a list");
    wrong("a IN $nested", 5, "parameter `$nested`: element 0: a list");
    wrong("a = $object", 4, "an object is not a value");
    wrong("a = $big", 4, "9223372036854775808 is out of the range");
    wrong("a < $t", 4, "it does not take a boolean");
    wrong("a LIKE $bad", 7, "in a LIKE pattern");
    wrong("$v = 'v'", 0, "the field comes first");
}

#[test]
fn an_unused_parameter_is_an_error() {
    let error = Filter::parse("a = 1", &params_of("$v")).unwrap_err();
    assert_eq!(error.kind, FilterErrorKind::Parameter);
    assert_eq!(
        error.to_string(),
        "filter, position 5: parameter `$v` is given, but the text does not use it"
    );
}

#[test]
fn depth_is_limited() {
    let parse = |text: &str| Filter::parse(text, &Params::new());
    for (open, close) in [("(", ")"), ("NOT ", ""), ("NOT(", ")"), ("(a = 1 OR b = 1 AND ", ")")] {
        let nested = |count: usize| format!("{}a = 1{}", open.repeat(count), close.repeat(count));
        let levels = if open == "NOT(" { FILTER_DEPTH_MAX / 2 } else { FILTER_DEPTH_MAX };
        let filter = parse(&nested(levels)).unwrap();
        // What is just allowed can also be printed, written as JSON and read again.
        assert_eq!(parse(&filter.to_string()).as_ref(), Ok(&filter));
        assert_eq!(Filter::from_json(&filter.to_json()).as_ref(), Ok(&filter));

        let error = parse(&nested(levels + 1)).unwrap_err();
        assert_eq!(error.kind, FilterErrorKind::TooDeep);
        let count = if open.len() > 10 { 3_000 } else { 10_000 };
        assert_eq!(parse(&nested(count)).unwrap_err(), error);
    }
}

#[test]
fn breadth_is_not_depth() {
    for part in ["(a = 1)", "NOT a = 1", "NOT (a = 1 OR a = 2)"] {
        let text = vec![part; 500].join(" AND ");
        let filter = Filter::parse(&text, &Params::new()).unwrap();
        assert!(matches!(filter, Filter::And(parts) if parts.len() == 500), "{part}");
    }
}

#[test]
fn length_is_limited() {
    let text = |length: usize| format!("a = '{}'", "ä".repeat(length / 2 - 3));
    assert_eq!(text(FILTER_BYTES_MAX).len(), FILTER_BYTES_MAX);
    assert!(Filter::parse(&text(FILTER_BYTES_MAX), &Params::new()).is_ok());
    let error = Filter::parse(&text(FILTER_BYTES_MAX + 2), &Params::new()).unwrap_err();
    assert_eq!((error.kind, error.position), (FilterErrorKind::TooLong, FILTER_BYTES_MAX - 1));
    assert!(error.problem.contains("65538 bytes, at most 65536"), "{error}");
}

#[test]
fn a_filter_of_no_parts_prints_as_one_of_the_same_meaning() {
    let metadata = serde_json::Map::new();
    assert_eq!(Filter::And(vec![field("a").exists()]).to_string(), "EXISTS a");
    for (filter, holds) in [(Filter::And(vec![]), true), (Filter::Or(vec![]), false)] {
        assert_eq!(filter.matches(&metadata), holds);
        let parts = vec![filter.clone(), field("a").exists()];
        for filter in [filter.clone(), !filter, Filter::And(parts.clone()), Filter::Or(parts)] {
            let again = Filter::parse(&filter.to_string(), &Params::new()).unwrap();
            assert_eq!(again.matches(&metadata), filter.matches(&metadata), "{filter}");
        }
    }
}

#[test]
fn the_builder_makes_what_the_text_says() {
    let check = |filter: Filter, text: &str| {
        assert_eq!(Filter::parse(text, &Params::new()).unwrap(), filter);
    };
    check(field("pos").eq("v").and(field("a.b").ne(1)), "pos = 'v' AND a.b != 1");
    check(
        field("n").lt(1).or(field("n").le(2)).or(field("n").gt(3.5)).or(field("n").ge("x")),
        "n < 1 OR n <= 2 OR n > 3.5 OR n >= 'x'",
    );
    check(
        field("n").between(1, 5).and(!field("t").contains("x")),
        "n BETWEEN 1 AND 5 AND t NOT CONTAINS 'x'",
    );
    check(field("n").is_in([1, 2]), "n IN [1, 2]");
    check(
        field("a").starts_with("x").and(field("a").like("%y")),
        "a STARTSWITH 'x' AND a LIKE '%y'",
    );
    check(!field("a").exists(), "NOT EXISTS a");
    check(!field("a").is_null().or(field("b").eq(true)), "NOT (a IS NULL OR b = true)");
    check(
        field("a").eq(1).or(field("b").eq(2)).and(field("c").eq(3)),
        "(a = 1 OR b = 2) AND c = 3",
    );
    let dotted = vecstore_segments::FieldPath::new(vec!["a.b".to_string()]);
    check(field(dotted).eq(1), "\"a.b\" = 1");
}

#[test]
fn json_is_checked_like_text() {
    let check = |json: serde_json::Value, expected: Result<&str, &str>| {
        let outcome = Filter::from_json(&json).map(|f| f.to_string()).map_err(|e| e.to_string());
        match (outcome, expected) {
            (Ok(text), Ok(expected)) => assert_eq!(text, expected),
            (Err(error), Err(expected)) => {
                assert!(error.contains(expected), "{error}\nexpected: {expected}");
            }
            (outcome, expected) => panic!("{json}\n{outcome:?}\nexpected {expected:?}"),
        }
    };
    check(json!({"field": "pos", "op": "=", "value": "v"}), Ok("pos = 'v'"));
    check(json!({"field": "a.b-c", "op": "<", "value": 1.0}), Ok("a.\"b-c\" < 1.0"));
    check(json!({"field": ["a.b", "c"], "op": "is_null"}), Ok("\"a.b\".c IS NULL"));
    check(json!({"field": "n", "op": "between", "value": [1, 2]}), Ok("n BETWEEN 1 AND 2"));
    check(
        json!({"and": [{"field": "n", "op": "in", "value": [1, null]}, {"not": {"field": "a", "op": "exists"}}]}),
        Ok("n IN [1, null] AND NOT EXISTS a"),
    );
    check(json!({"or": []}), Ok("\"\" IN []"));

    check(json!([]), Err("filter, at \"\": expected {\"and\": [...]}"));
    check(json!({}), Err("at \"/field\": expected names"));
    check(json!({"and": {}}), Err("at \"/and\": expected a list of conditions"));
    check(json!({"and": [], "or": []}), Err("expected {\"and\": [...]}"));
    check(json!({"and": [{"not": {"field": 5}}]}), Err("at \"/and/0/not/field\": expected names"));
    check(json!({"field": [], "op": "exists"}), Err("at \"/field\""));
    check(json!({"field": "a"}), Err("at \"/op\": expected an operator"));
    check(json!({"field": "a", "op": "=<", "value": 1}), Err("`=<` is not an operator"));
    check(json!({"field": "a", "op": "="}), Err("`=` needs a `value`"));
    check(json!({"field": "a", "op": "=", "values": 1}), Err("`values` is not a key"));
    check(json!({"field": "a", "op": "<", "value": true}), Err("at \"/value\": `<` orders"));
    check(json!({"field": "a", "op": "<", "value": {"date": "x"}}), Err("`x` is not a date"));
    check(json!({"field": "a", "op": "<", "value": {"date": 1}}), Err("`date` takes a string"));
    check(json!({"field": "a", "op": "in", "value": 1}), Err("expected a list of values"));
    check(json!({"field": "a", "op": "in", "value": [1, []]}), Err("at \"/value/1\""));
    check(json!({"field": "a", "op": "between", "value": [1]}), Err("a list of two values"));
    check(
        json!({"field": "a", "op": "between", "value": [1, "a"]}),
        Err("two numbers, two strings or two"),
    );
    check(json!({"field": "a", "op": "like", "value": 1}), Err("expected a string"));
    check(json!({"field": "a", "op": "like", "value": "\\x"}), Err("in a LIKE pattern"));
    check(json!({"field": "a", "op": "exists", "value": 1}), Err("`exists` takes no value"));
    check(json!({"field": "a", "op": "=", "value": u64::MAX}), Err("out of the range"));

    let mut deep = json!({"field": "a", "op": "exists"});
    for _ in 0..200 {
        deep = json!({"not": deep});
    }
    let error = Filter::from_json(&deep).unwrap_err();
    assert!(error.problem.contains("more than 132 nested conditions"), "{error}");
}
