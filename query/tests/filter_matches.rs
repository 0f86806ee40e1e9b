//! What filters mean: the plain reading as a table, and the fast one held to it.

#![allow(clippy::unwrap_used)]

mod records;

use proptest::prelude::*;
use records::{build_index, filter, path, record, valid_filter};
use serde_json::{Value as Json, json};
use vecstore_index::roaring::RoaringBitmap;
use vecstore_index::{FieldIndex, FieldLimits};
use vecstore_query::{Compiled, Filter, Matcher, Params, Stop, compile};
use vecstore_segments::{FieldPath, Metadata};

/// Whether `text` holds for `metadata`, by the plain reading and through an index, with and without
/// room for what it would need.
fn check(metadata: &Json, text: &str, expected: bool) {
    let metadata = metadata.as_object().unwrap().clone();
    let filter = Filter::parse(text, &Params::new()).unwrap();
    assert_eq!(filter.matches(&metadata), expected, "{text}");
    let tight = FieldLimits { fields_max: 1, strings_max: 1, string_bytes_max: 1 };
    let unindexed: Vec<FieldPath> =
        metadata.keys().map(|name| FieldPath::new(vec![name.clone()])).collect();
    for (limits, unindexed) in
        [(FieldLimits::default(), &[][..]), (tight, &[]), (FieldLimits::default(), &unindexed)]
    {
        let records = [metadata.clone()];
        let rows = rows_that_match(&filter, &records, limits, unindexed);
        assert_eq!(rows.contains(0), expected, "{text}, compiled");
    }
}

fn compiled(
    filter: &Filter,
    records: &[Metadata],
    limits: FieldLimits,
    unindexed: &[FieldPath],
) -> Compiled {
    let bytes = build_index(records, limits, unindexed);
    let universe: RoaringBitmap = (0..records.len() as u32).collect();
    compile(filter, &FieldIndex::open(&bytes).unwrap(), &universe, &Stop::never()).unwrap()
}

fn rows_that_match(
    filter: &Filter,
    records: &[Metadata],
    limits: FieldLimits,
    unindexed: &[FieldPath],
) -> RoaringBitmap {
    let Compiled { mut rows, unsure } = compiled(filter, records, limits, unindexed);
    assert!(rows.is_disjoint(&unsure));
    rows.extend(unsure.iter().filter(|row| filter.matches(&records[*row as usize])));
    rows
}

#[test]
fn the_meaning_of_conditions() {
    let record = json!({
        "pos": "v", "n": 3, "f": 3.0, "big": 9_007_199_254_740_993_i64, "half": 2.5, "yes": true,
        "none": null, "empty": [], "object": {}, "text": "It's größe",
        "tags": ["a", "concat", null, 7, [8, true]],
        "nested": {"x": 1, "y": {"z": "deep"}},
        "items": [{"price": 5, "name": "pen"}, {"price": 50, "name": "ink", "tags": ["wet"]}],
        "a.b": 1, "": "nameless",
        "made": "2024-05-01T12:00:00+02:00", "days": ["2024-05-01", "2024-06-01", "no day"],
    });
    let holds = |text: &str| check(&record, text, true);
    let fails = |text: &str| check(&record, text, false);

    holds("pos = 'v'");
    fails("pos = 'V'");
    fails("pos != 'v'");
    holds("pos != 'n'");
    // Types are not coerced; integers and floats are both numbers.
    fails("n = '3'");
    holds("n = 3.0");
    holds("f = 3");
    fails("yes = 1");
    fails("yes = 'true'");
    holds("half > 2");
    holds("half < 3");
    fails("n < 'a'");
    fails("n >= 'a'");
    // Beyond 2^53 a float could not tell these apart.
    fails("big = 9007199254740992");
    holds("big > 9007199254740992.0");
    holds("big = 9007199254740993");
    // A missing field: comparisons are false, NOT makes them true.
    fails("gone = 1");
    holds("gone != 1");
    holds("NOT gone = 1");
    holds("NOT gone < 1");
    fails("gone IS NULL");
    holds("gone IS NOT NULL");
    holds("gone NOT IN [1]");
    fails("EXISTS gone");
    // Null is a value.
    holds("none = null");
    holds("none IS NULL");
    holds("none != 1");
    fails("none < 1");
    holds("EXISTS none");
    holds("none IN [1, null]");
    fails("pos = null");
    // Empty arrays and objects exist and equal nothing.
    holds("EXISTS empty");
    fails("empty = null");
    holds("empty != null");
    holds("EXISTS object");
    holds("EXISTS nested");
    fails("nested = 1");
    // Arrays are transparent.
    holds("tags = 'a'");
    holds("tags = 7");
    holds("tags = 8");
    holds("tags = true");
    holds("tags IS NULL");
    fails("tags = 9");
    fails("tags != 'a'");
    holds("tags > 7");
    holds("items.price < 10");
    holds("items.price > 10");
    holds("items.price < 10 AND items.price > 10");
    fails("items.price BETWEEN 6 AND 49");
    holds("items.price BETWEEN 5 AND 6");
    holds("nested.x = 1");
    holds("nested.y.z = 'deep'");
    fails("nested.y.z.w = 'deep'");
    fails("a.b = 1");
    holds("\"a.b\" = 1");
    holds("\"\" = 'nameless'");
    // IN and BETWEEN.
    holds("n IN [1, 2, 3]");
    fails("n IN []");
    holds("n NOT IN []");
    holds("n BETWEEN 3 AND 3");
    holds("n BETWEEN 2.5 AND 3.5");
    fails("n BETWEEN 4 AND 2");
    holds("pos BETWEEN 'u' AND 'w'");
    fails("pos BETWEEN 'V' AND 'Z'");
    // CONTAINS: an element that equals, or a part of a plain string.
    holds("tags CONTAINS 'a'");
    fails("tags CONTAINS 'cat'");
    holds("tags CONTAINS 'concat'");
    holds("tags CONTAINS 7.0");
    holds("tags CONTAINS 8");
    holds("tags CONTAINS null");
    fails("n CONTAINS 3");
    holds("text CONTAINS 'größe'");
    holds("text CONTAINS ''");
    fails("empty CONTAINS ''");
    fails("pos CONTAINS null");
    holds("items.name CONTAINS 'pe'");
    fails("items.tags CONTAINS 'we'");
    holds("items.tags CONTAINS 'wet'");
    // Dates: moments, whatever the time zone, and only where the literal is one.
    holds("made = DATE '2024-05-01T10:00:00Z'");
    fails("made = '2024-05-01T10:00:00Z'");
    holds("made != DATE '2024-05-01T12:00:00Z'");
    holds("made < DATE '2024-05-01T10:00:00.000001Z'");
    fails("made < DATE '2024-05-01T10:00:00.0000009Z'");
    holds("made BETWEEN date '2024-05-01' AND date '2024-05-02'");
    holds("made IN [DATE '2024-05-01T05:00:00-05:00', 7]");
    holds("days > DATE '2024-05-15'");
    fails("days > DATE '2024-06-01'");
    holds("days CONTAINS DATE '2024-05-31T20:00:00-04:00'");
    fails("made CONTAINS DATE '2024-05-01T10:00:00Z'");
    fails("pos < DATE '2024-05-01'");
    fails("n < DATE '2024-05-01'");
    holds("text != DATE '2024-05-01'");
    // Strings.
    holds("text STARTSWITH 'It''s'");
    fails("text STARTSWITH 'it'");
    holds("tags STARTSWITH 'con'");
    holds("text LIKE 'It%'");
    holds("text LIKE '%gr__e'");
    fails("text LIKE '%gr_e'");
    holds("text LIKE '%'");
    fails("text LIKE 'It'");
    holds("pos LIKE 'v'");
    holds("pos LIKE '_'");
    fails("pos LIKE '__'");
    fails("n LIKE '%'");
    holds("text < 'Iz'");
    // Logic.
    holds("pos = 'v' AND (n = 9 OR n = 3)");
    fails("NOT (pos = 'v' OR n = 9)");
    holds("NOT NOT pos = 'v'");
}

/// The obvious recursion, exponential as it may be.
fn like(pattern: &[char], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('%', rest)) => (0..=text.len()).any(|skip| like(rest, &text[skip..])),
        Some(('_', rest)) => !text.is_empty() && like(rest, &text[1..]),
        Some((c, rest)) => text.first() == Some(c) && like(rest, &text[1..]),
    }
}

#[test]
fn like_takes_no_exponential_time() {
    let metadata = json!({"a": "a".repeat(5_000)}).as_object().unwrap().clone();
    let pattern = format!("{}b", "%a".repeat(500));
    let filter = vecstore_query::field("a").like(pattern);
    assert!(!filter.matches(&metadata));
}

#[test]
fn only_what_the_index_cannot_tell_is_unsure() {
    let record = |json: Json| json.as_object().unwrap().clone();
    let records = [
        record(json!({"a": "short", "tags": ["x", "xy"]})),
        record(json!({"a": "much longer than the limit", "tags": "xyz"})),
        record(json!({"a": 5, "tags": ["z"]})),
        record(json!({"b": 1})),
        record(json!({"items": [{"t": ["x", 7]}, {"t": "yz"}]})),
    ];
    let limits = FieldLimits { string_bytes_max: 8, ..FieldLimits::default() };
    let check = |text: &str, rows: &[u32], unsure: &[u32]| {
        let filter = Filter::parse(text, &Params::new()).unwrap();
        let found = compiled(&filter, &records, limits, &[]);
        let expected = Compiled {
            rows: rows.iter().copied().collect(),
            unsure: unsure.iter().copied().collect(),
        };
        assert_eq!(found, expected, "{text}");
    };
    check("a = 'short'", &[0], &[]);
    check("a != 'short'", &[1, 2, 3, 4], &[]);
    check("a LIKE '%o%'", &[], &[0, 1]);
    check("NOT a LIKE '%o%'", &[2, 3, 4], &[0, 1]);
    check("a LIKE '%o%' AND a = 'short'", &[], &[0]);
    check("a LIKE '%o%' OR a = 'short'", &[0], &[1]);
    check("a LIKE '%o%' AND b = 1", &[], &[]);
    check("NOT a LIKE '%o%' OR b = 1", &[2, 3, 4], &[0, 1]);
    check("NOT (a LIKE '%o%' AND b = 1)", &[0, 1, 2, 3, 4], &[]);
    check("tags CONTAINS 'x'", &[0, 1], &[]);
    check("tags CONTAINS 'xy'", &[0, 1], &[]);
    check("tags CONTAINS 'z'", &[1, 2], &[]);
    check("tags NOT CONTAINS 'x'", &[2, 3, 4], &[]);
    check("a CONTAINS 'limit'", &[], &[1]);
    // One path to elements and to plain values alike.
    check("items.t CONTAINS 'x'", &[4], &[]);
    check("items.t CONTAINS 'y'", &[], &[4]);
    check("items.t CONTAINS 7", &[], &[4]);
    check("EXISTS a", &[0, 1, 2], &[]);
}

#[test]
fn of_an_unindexed_field_only_its_rows_are_known() {
    let record = |json: Json| json.as_object().unwrap().clone();
    let records = [
        record(json!({"a": {"b": 1}, "c": "x"})),
        record(json!({"a": [{"b": 2}, 7], "c": "y"})),
        record(json!({"ab": 1, "a.b": 1, "c": "x"})),
        record(json!({"d": {"e": [1, 2], "f": 3}})),
        record(json!({"d": {"f": 3}})),
    ];
    let unindexed = [FieldPath::from("a"), FieldPath::from("d.e")];
    let check = |text: &str, rows: &[u32], unsure: &[u32]| {
        let filter = Filter::parse(text, &Params::new()).unwrap();
        let found = compiled(&filter, &records, FieldLimits::default(), &unindexed);
        let expected = Compiled {
            rows: rows.iter().copied().collect(),
            unsure: unsure.iter().copied().collect(),
        };
        assert_eq!(found, expected, "{text}");
    };
    check("EXISTS a", &[0, 1], &[]);
    check("a = 7", &[], &[0, 1]);
    check("a IS NULL", &[], &[0, 1]);
    check("a.b = 1", &[], &[0, 1]);
    check("EXISTS a.b.c", &[], &[0, 1]);
    check("a.b != 1", &[2, 3, 4], &[0, 1]);
    check("a CONTAINS 7", &[], &[0, 1]);
    check("a.b > 1 AND c = 'x'", &[], &[0]);
    check("a.b > 1 OR c = 'x'", &[0, 2], &[1]);
    check("ab = 1", &[2], &[]);
    check("\"a.b\" = 1", &[2], &[]);
    check("d.e = 2", &[], &[3]);
    check("d.f = 3", &[3, 4], &[]);
    check("EXISTS d", &[3, 4], &[]);
}

#[test]
fn strings_are_dates_where_the_field_is() {
    let is_date = |path: &FieldPath| *path == FieldPath::from("made.on");
    let typed = |text: &str| {
        let filter = Filter::parse(text, &Params::new()).unwrap();
        filter.with_dates(&is_date).map(|filter| filter.to_string()).map_err(|e| e.to_string())
    };
    let same = |text: &str| {
        let filter = Filter::parse(text, &Params::new()).unwrap();
        assert_eq!(filter.clone().with_dates(&is_date), Ok(filter), "{text}");
    };
    for operator in ["=", "!=", "<", "<=", ">", ">="] {
        assert_eq!(
            typed(&format!("made.on {operator} '2024-05-01'")).unwrap(),
            format!("made.on {operator} DATE '2024-05-01T00:00:00Z'")
        );
    }
    assert_eq!(
        typed("NOT (x = '2024-05-01' AND (made.on IN ['2024-05-01', 7, null] OR x = 1))").unwrap(),
        "NOT (x = '2024-05-01' AND (made.on IN [DATE '2024-05-01T00:00:00Z', 7, null] OR x = 1))"
    );
    assert_eq!(
        typed("made.on BETWEEN '2024-05-01' AND '2024-05-01T12:00:00+02:00'").unwrap(),
        "made.on BETWEEN DATE '2024-05-01T00:00:00Z' AND DATE '2024-05-01T10:00:00Z'"
    );
    same("made.on STARTSWITH '2024' OR made.on LIKE '2024%' OR made.on CONTAINS '2024'");
    same("made.on > 5 OR made.on IS NULL OR made.on = DATE '2024-05-01'");
    same("made = '2024-05-01' OR made.on.x = '2024-05-01' OR \"made.on\" = 'x'");
    assert_eq!(
        typed("made.on < 'May'").unwrap_err(),
        "filter, field made.on: `May` is not a date of RFC 3339, such as 2024-05-01 or \
         2024-05-01T10:00:00+02:00"
    );
    assert!(typed("x = 1 OR NOT made.on IN ['2024-05-01', 'x']").is_err());
    assert!(typed("made.on BETWEEN '2024-05-01' AND 'x'").is_err());
}

fn config() -> ProptestConfig {
    // `PROPTEST_CASES` raises it; the default of 256 is too few for clashes of types and limits.
    ProptestConfig {
        cases: ProptestConfig::default().cases.max(5_000),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn compiled_is_plain(
        filter in filter(),
        records in prop::collection::vec(record(), 1..12),
        fields_max in prop::sample::select(vec![3usize, 8, 100]),
        strings_max in prop::sample::select(vec![2usize, 6, 100]),
        string_bytes_max in prop::sample::select(vec![2usize, 6, 100]),
        unindexed in prop::collection::vec(path(), 0..3),
        missing in any::<u16>(),
    ) {
        let limits = FieldLimits { fields_max, strings_max, string_bytes_max };
        let bytes = build_index(&records, limits, &unindexed);
        let index = FieldIndex::open(&bytes).unwrap();
        let universe: RoaringBitmap =
            (0..records.len() as u32).filter(|row| missing >> row & 1 == 0 || *row == 0).collect();

        let matcher = Matcher::new(&filter);
        for record in &records {
            prop_assert_eq!(matcher.matches(record), filter.matches(record), "{}", filter);
        }
        let Compiled { mut rows, unsure } = compile(&filter, &index, &universe, &Stop::never()).unwrap();
        prop_assert!(rows.is_disjoint(&unsure));
        rows.extend(unsure.iter().filter(|row| filter.matches(&records[*row as usize])));

        let expected: RoaringBitmap =
            universe.iter().filter(|row| filter.matches(&records[*row as usize])).collect();
        prop_assert_eq!(&rows, &expected, "{}", filter);

        // A filter and its opposite part the rows between them.
        let opposite = !filter;
        let Compiled { rows: mut others, unsure } = compile(&opposite, &index, &universe, &Stop::never()).unwrap();
        others.extend(unsure.iter().filter(|row| opposite.matches(&records[*row as usize])));
        prop_assert_eq!(others, universe - rows, "{}", opposite);
    }

    #[test]
    fn text_and_json_keep_a_filter(filter in valid_filter()) {
        let text = filter.to_string();
        let parsed = Filter::parse(&text, &Params::new());
        prop_assert_eq!(parsed.as_ref(), Ok(&filter), "{}", text);
        let json = filter.to_json();
        let read = Filter::from_json(&json);
        prop_assert_eq!(read.as_ref(), Ok(&filter), "{}", json);
        // Also through JSON text, where 1.0 must stay a float.
        let json = serde_json::from_str(&json.to_string()).unwrap();
        prop_assert_eq!(Filter::from_json(&json), Ok(filter), "{}", json);
    }

    #[test]
    fn like_is_the_obvious_recursion(pattern in "[ab%_ä]{0,8}", text in "[abä]{0,8}") {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        let metadata = json!({"a": text}).as_object().unwrap().clone();
        let found = vecstore_query::field("a").like(pattern.as_str()).matches(&metadata);
        prop_assert_eq!(found, like(&chars(&pattern), &chars(&text)));
    }
}
