//! The field index against a plain list of (row, path, value).

#![allow(clippy::unwrap_used)]

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::Bound;

use proptest::prelude::*;
use vecstore_index::roaring::RoaringBitmap;
use vecstore_index::{
    Elements, FieldIndex, FieldIndexBuilder, FieldLimits, Posting, Scalar, Timestamp,
};

/// An owned [`Scalar`].
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(String),
    Date(Timestamp),
}

impl Value {
    fn scalar(&self) -> Scalar<'_> {
        match self {
            Value::Null => Scalar::Null,
            Value::Bool(value) => Scalar::Bool(*value),
            Value::Int(value) => Scalar::Int(*value),
            Value::Float(value) => Scalar::Float(*value),
            Value::Str(value) => Scalar::Str(value),
            Value::Date(value) => Scalar::Date(*value),
        }
    }
}

fn owned(value: Scalar<'_>) -> Value {
    match value {
        Scalar::Null => Value::Null,
        Scalar::Bool(value) => Value::Bool(value),
        Scalar::Int(value) => Value::Int(value),
        Scalar::Float(value) => Value::Float(value),
        Scalar::Str(value) => Value::Str(value.to_string()),
        Scalar::Date(value) => Value::Date(value),
    }
}

/// Values in ascending row order; `None` is a path without a scalar.
type Facts = Vec<(u32, &'static str, Option<Value>)>;

fn build(facts: &Facts, limits: FieldLimits) -> Vec<u8> {
    let mut builder = FieldIndexBuilder::new(limits);
    for (row, path, value) in facts {
        match value {
            Some(value) => builder.add(*row, path, value.scalar()),
            None => builder.present(*row, path),
        }
    }
    builder.finish()
}

/// The slow twin: looks at every fact.
fn rows_where(
    facts: &Facts,
    path: &str,
    holds: impl Fn(Option<Scalar<'_>>) -> bool,
) -> RoaringBitmap {
    let facts = facts.iter().filter(|fact| fact.1 == path);
    facts.filter(|fact| holds(fact.2.as_ref().map(Value::scalar))).map(|fact| fact.0).collect()
}

fn string_where(facts: &Facts, path: &str, holds: impl Fn(&str) -> bool) -> RoaringBitmap {
    rows_where(facts, path, |value| matches!(value, Some(Scalar::Str(text)) if holds(text)))
}

fn exact(rows: impl IntoIterator<Item = u32>) -> Posting {
    Posting::Exact(rows.into_iter().collect())
}

fn within(rows: impl IntoIterator<Item = u32>) -> Posting {
    Posting::Within(rows.into_iter().collect())
}

#[test]
fn numbers_compare_exactly() {
    use Ordering::{Equal, Greater, Less};
    let two53 = 9_007_199_254_740_992_i64;
    let check = |a: Scalar<'_>, b: Scalar<'_>, order: Ordering| {
        assert_eq!(a.compare(b), Some(order), "{a:?} {b:?}");
        assert_eq!(b.compare(a), Some(order.reverse()), "{b:?} {a:?}");
        assert_eq!(a.same(b), order == Equal);
    };
    let (int, float) = (Scalar::Int, Scalar::Float);
    check(int(two53), float(two53 as f64), Equal);
    check(int(two53 + 1), float(two53 as f64), Greater);
    check(int(two53 - 1), float(two53 as f64), Less);
    check(int(-two53 - 1), float(-two53 as f64), Less);
    check(int(two53 + 1), int(two53), Greater);
    check(int(i64::MAX), float(i64::MAX as f64), Less);
    check(int(i64::MIN), float(i64::MIN as f64), Equal);
    check(int(i64::MIN), float(-9_223_372_036_854_777_856.0), Greater);
    check(int(i64::MAX), float(9_223_372_036_854_774_784.0), Greater);
    check(int(i64::MAX), float(f64::INFINITY), Less);
    check(int(i64::MIN), float(f64::NEG_INFINITY), Greater);
    check(float(f64::MAX), float(f64::INFINITY), Less);
    check(int(0), float(-0.0), Equal);
    check(float(0.0), float(-0.0), Equal);
    check(int(0), float(f64::MIN_POSITIVE), Less);
    check(int(0), float(-5e-324), Greater);
    check(int(3), float(2.5), Greater);
    check(int(2), float(2.5), Less);
    check(int(-3), float(-2.5), Less);
    check(int(-2), float(-2.5), Greater);
    check(float(0.1), float(0.2), Less);
    check(Scalar::Str("Z"), Scalar::Str("a"), Less);
    check(Scalar::Str("ä"), Scalar::Str("z"), Greater);
    for (a, b) in [
        (int(1), Scalar::Str("1")),
        (int(1), Scalar::Bool(true)),
        (Scalar::Null, int(0)),
        (float(f64::NAN), float(f64::NAN)),
    ] {
        assert_eq!(a.compare(b), None);
        assert!(!a.same(b));
    }
    assert!(Scalar::Null.same(Scalar::Null));
    assert!(Scalar::Bool(true).same(Scalar::Bool(true)));
    assert!(!Scalar::Bool(true).same(Scalar::Bool(false)));
}

fn small_index() -> (Facts, FieldLimits) {
    let facts = vec![
        (0, "pos", Some(Value::Str("v".into()))),
        (0, "n", Some(Value::Int(3))),
        (1, "pos", Some(Value::Str("n".into()))),
        (1, "n", Some(Value::Float(3.5))),
        (1, "n", Some(Value::Int(7))),
        (2, "pos", Some(Value::Null)),
        (2, "flag", Some(Value::Bool(true))),
        (3, "flag", Some(Value::Bool(false))),
        (3, "pos", None),
        (4, "n", Some(Value::Float(3.0))),
        (5, "text", Some(Value::Str("longer than eight".into()))),
        (6, "text", Some(Value::Str("short".into()))),
        (7, "late", Some(Value::Int(1))),
    ];
    let limits = FieldLimits { fields_max: 4, strings_max: 3, string_bytes_max: 8 };
    (facts, limits)
}

#[test]
fn a_small_index_answers() {
    let (facts, limits) = small_index();
    let bytes = build(&facts, limits);
    let index = FieldIndex::open(&bytes).unwrap();

    assert_eq!(index.exists("pos").unwrap(), exact([0, 1, 2, 3]));
    assert_eq!(index.equal("pos", Scalar::Str("v")).unwrap(), exact([0]));
    assert_eq!(index.equal("pos", Scalar::Str("")).unwrap(), exact([]));
    assert_eq!(index.equal("pos", Scalar::Null).unwrap(), exact([2]));
    assert_eq!(index.equal("flag", Scalar::Bool(true)).unwrap(), exact([2]));
    assert_eq!(index.equal("flag", Scalar::Bool(false)).unwrap(), exact([3]));
    assert_eq!(index.equal("n", Scalar::Int(3)).unwrap(), exact([0, 4]));
    assert_eq!(index.equal("n", Scalar::Float(3.5)).unwrap(), exact([1]));
    assert_eq!(index.equal("n", Scalar::Float(f64::NAN)).unwrap(), exact([]));
    let range = |low, high| index.number_range("n", low, high).unwrap();
    assert_eq!(range(Bound::Excluded(Scalar::Int(3)), Bound::Unbounded), exact([1]));
    assert_eq!(range(Bound::Unbounded, Bound::Included(Scalar::Float(3.25))), exact([0, 4]));
    assert_eq!(range(Bound::Unbounded, Bound::Unbounded), exact([0, 1, 4]));
    let (seven, three) = (Bound::Included(Scalar::Int(7)), Bound::Included(Scalar::Int(3)));
    assert_eq!(range(seven, three), exact([]));
    assert_eq!(range(Bound::Included(Scalar::Str("3")), Bound::Unbounded), exact([]));

    // A string over the limit leaves equality with a short one exact.
    assert_eq!(index.equal("text", Scalar::Str("short")).unwrap(), exact([6]));
    assert_eq!(index.equal("text", Scalar::Str("longer than eight")).unwrap(), within([5]));
    assert_eq!(index.equal("pos", Scalar::Str("longer than eight")).unwrap(), exact([]));
    assert_eq!(index.string_prefix("text", "s").unwrap(), within([5, 6]));
    assert_eq!(index.string_prefix("pos", "v").unwrap(), exact([0]));

    // A fifth field was one too many; it may be any path that is asked for and not known.
    assert_eq!(index.exists("late").unwrap(), within([7]));
    assert_eq!(index.equal("unheard", Scalar::Int(1)).unwrap(), within([7]));

    let fields = index.fields().unwrap();
    let told: Vec<_> = fields.iter().map(|f| (f.path.as_str(), f.strings, f.numbers)).collect();
    assert_eq!(
        told,
        [("flag", Some(0), 0), ("n", Some(0), 3), ("pos", Some(2), 0), ("text", None, 0)]
    );
    assert!(fields.iter().all(|field| field.bytes > 0));
}

#[test]
fn an_empty_index_answers() {
    let bytes = build(&Vec::new(), FieldLimits::default());
    let index = FieldIndex::open(&bytes).unwrap();
    assert_eq!(index.exists("a").unwrap(), exact([]));
    assert_eq!(index.fields().unwrap(), []);
}

#[test]
fn postings_of_every_size_keep_their_rows() {
    let counts = [1, 2, 31, 32, 33, 34, 1_000];
    // Each string has every third row from its own start, some of them twice.
    let rows = |at: usize| (0..counts[at] as u32).map(move |n| at as u32 + 3 * n);
    let mut facts: Facts = Vec::new();
    for at in 0..counts.len() {
        for row in rows(at) {
            facts.push((row, "a", Some(Value::Str(format!("string {at}")))));
            if row % 2 == 0 {
                facts.push((row, "a", Some(Value::Str(format!("string {at}")))));
            }
        }
    }
    facts.sort_by_key(|fact| fact.0);
    let bytes = build(&facts, FieldLimits::default());
    let index = FieldIndex::open(&bytes).unwrap();
    for at in 0..counts.len() {
        let text = format!("string {at}");
        assert_eq!(index.equal("a", Scalar::Str(&text)).unwrap(), exact(rows(at)), "{text}");
    }
}

#[test]
fn too_many_strings_leave_the_rows_that_have_one() {
    let value = |row: u32| if row == 4 { Value::Int(4) } else { Value::Str(row.to_string()) };
    let facts: Facts = (0..10).map(|row| (row, "a", Some(value(row)))).collect();
    let bytes = build(&facts, FieldLimits { strings_max: 8, ..FieldLimits::default() });
    let index = FieldIndex::open(&bytes).unwrap();
    let all = within([0, 1, 2, 3, 5, 6, 7, 8, 9]);
    assert_eq!(index.equal("a", Scalar::Str("1")).unwrap(), all);
    assert_eq!(index.string_prefix("a", "1").unwrap(), all);
    assert_eq!(index.string_range("a", Bound::Unbounded, Bound::Unbounded).unwrap(), all);
    assert_eq!(index.string_matching("a", &mut |_| false).unwrap(), all);
    assert_eq!(index.equal("a", Scalar::Int(4)).unwrap(), exact([4]));
    assert_eq!(index.fields().unwrap()[0].strings, None);
}

#[test]
fn many_different_numbers_do_not_make_many_bitmaps() {
    let rows = 100_000_u32;
    let mut builder = FieldIndexBuilder::new(FieldLimits::default());
    for row in 0..rows {
        builder.add(row, "id", Scalar::Int(i64::from(row.wrapping_mul(2_654_435_761) >> 4)));
        builder.add(row, "price", Scalar::Float(f64::from(row) * 0.37));
        builder.add(row, "stars", Scalar::Int(i64::from(row % 5)));
    }
    let bytes = builder.finish();
    let fields = FieldIndex::open(&bytes).unwrap().fields().unwrap();
    for field in fields {
        let per_row = field.bytes as f64 / f64::from(rows);
        let allowed = if field.path == "stars" { 2.5 } else { 18.0 };
        assert!(per_row < allowed, "{}: {per_row} bytes a row", field.path);
    }
}

#[test]
fn elements_are_told_from_plain_values() {
    let mut builder = FieldIndexBuilder::new(FieldLimits { fields_max: 1, ..Default::default() });
    builder.add_element(0, "a", Scalar::Int(1));
    builder.add(1, "a", Scalar::Int(1));
    builder.add(2, "a", Scalar::Int(1));
    builder.add_element(2, "a", Scalar::Int(2));
    builder.present(3, "a");
    builder.add_element(4, "one too many", Scalar::Null);
    let bytes = builder.finish();
    let index = FieldIndex::open(&bytes).unwrap();
    let elements = |rows: u32, unsure: u32| Elements {
        rows: [rows].into_iter().collect(),
        unsure: [unsure].into_iter().collect(),
    };
    assert_eq!(index.elements("a").unwrap(), elements(0, 2));
    let unknown = Elements { unsure: [4].into_iter().collect(), ..Default::default() };
    assert_eq!(index.elements("b").unwrap(), unknown);
}

/// More buckets than one level of merged bitmaps holds, so that ranges use two.
#[test]
fn wide_ranges_use_runs_of_buckets() {
    let rows = 300_000_u32;
    // A permutation of 0..rows, so that a bucket's rows lie all over.
    let number = |row: u32| i64::from(row) * 7_919 % i64::from(rows);
    let mut builder = FieldIndexBuilder::new(FieldLimits::default());
    for row in 0..rows {
        builder.add(row, "a", Scalar::Int(number(row)));
    }
    let bytes = builder.finish();
    let index = FieldIndex::open(&bytes).unwrap();
    for (low, high) in [
        (0, 300_000),
        (-5, 299_998),
        (1, 400_000),
        (1_024, 16_384),
        (16_384, 32_767),
        (16_383, 262_144),
        (262_144, 299_999),
        (262_143, 262_145),
        (150_000, 149_999),
    ] {
        let (from, to) = (Bound::Included(Scalar::Int(low)), Bound::Excluded(Scalar::Int(high)));
        let expected = (0..rows).filter(|row| (low..high).contains(&number(*row)));
        assert_eq!(index.number_range("a", from, to).unwrap(), exact(expected), "{low}..{high}");
    }
}

/// Asks everything; the answers do not matter, only that there are some.
fn ask_everything(bytes: &[u8]) {
    let Ok(index) = FieldIndex::open(bytes) else { return };
    for path in ["flag", "late", "n", "pos", "text", ""] {
        let values = [
            Scalar::Null,
            Scalar::Bool(true),
            Scalar::Bool(false),
            Scalar::Int(3),
            Scalar::Float(3.5),
            Scalar::Str("v"),
            Scalar::Str("longer than eight"),
        ];
        for value in values {
            let _ = index.equal(path, value);
        }
        let _ = index.exists(path);
        let _ = index.number_range(path, Bound::Excluded(Scalar::Int(3)), Bound::Unbounded);
        let _ = index.number_range(path, Bound::Unbounded, Bound::Unbounded);
        let _ = index.string_range(path, Bound::Excluded("a"), Bound::Included("v"));
        let _ = index.string_prefix(path, "s");
        let _ = index.string_matching(path, &mut |text| text.contains('o'));
    }
    for path in ["flag", "n", "made", "text", ""] {
        let day = Timestamp::parse("2024-05-01").unwrap();
        let _ = index.equal(path, Scalar::Date(day));
        let _ = index.date_range(path, Bound::Excluded(day), Bound::Unbounded);
        let _ = index.elements(path);
        let _ = index.visit_values(path, &mut |_, _| {});
        let _ = index.unlisted(path);
    }
    let _ = index.fields();
}

#[test]
fn damaged_bytes_are_an_error_or_an_answer() {
    let (mut facts, limits) = small_index();
    // A posting long enough to be a bitmap.
    facts.extend((8..60).map(|row| (row, "pos", Some(Value::Str("v".into())))));
    let day = |row: u32| Value::Str(format!("2024-05-{:02}", row % 28 + 1));
    facts.extend((60..80).map(|row| (row, "made", Some(day(row)))));
    let bytes = build(&facts, FieldLimits { fields_max: 5, ..limits });
    ask_everything(&bytes);
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            ask_everything(&damaged);
        }
    }
    for len in 0..bytes.len() {
        assert!(FieldIndex::open(&bytes[..len]).is_err(), "opens with {len} bytes");
    }
}

#[test]
fn of_an_unindexed_field_only_its_rows_are_kept() {
    let text = |text: &str| Some(Value::Str(text.into()));
    let facts = vec![
        (0, "a", text("x")),
        (1, "a", None),
        (1, "a.b", Some(Value::Int(1))),
        (2, "a\\.b", Some(Value::Int(2))),
        (3, "b", text("x")),
        (4, "ab", text("x")),
        (5, "b.a", Some(Value::Null)),
    ];
    let limits = FieldLimits { fields_max: 3, ..FieldLimits::default() };
    let build = |limits| {
        let mut builder = FieldIndexBuilder::new(limits).without(["a", "b.a", "gone"]);
        for (row, path, value) in &facts {
            match value {
                Some(value) => builder.add(*row, path, value.scalar()),
                None => builder.present(*row, path),
            }
        }
        builder.finish()
    };
    let bytes = build(FieldLimits::default());
    let index = FieldIndex::open(&bytes).unwrap();
    assert_eq!(index.exists("a").unwrap(), exact([0, 1]));
    assert_eq!(index.equal("a", Scalar::Str("x")).unwrap(), within([0, 1]));
    assert_eq!(index.exists("a.b").unwrap(), within([0, 1]));
    assert_eq!(index.equal("a.b.c", Scalar::Null).unwrap(), within([0, 1]));
    assert_eq!(index.number_range("b.a", Bound::Unbounded, Bound::Unbounded).unwrap(), within([5]));
    assert_eq!(index.unlisted("a").unwrap(), [0, 1].into_iter().collect());
    assert_eq!(index.elements("a.b").unwrap().unsure, [0, 1].into_iter().collect());
    assert_eq!(index.elements("a").unwrap().unsure, [0, 1].into_iter().collect());
    index.visit_values("a", &mut |_, _| panic!("a value of it is indexed")).unwrap();
    assert_eq!(index.equal("a\\.b", Scalar::Int(2)).unwrap(), exact([2]));
    assert_eq!(index.exists("gone").unwrap(), exact([]));
    assert_eq!(index.equal("ab", Scalar::Str("x")).unwrap(), exact([4]));
    let listed = index.fields().unwrap();
    let listed: Vec<_> = listed.iter().map(|f| (f.path.as_str(), f.indexed, f.strings)).collect();
    assert_eq!(
        listed,
        [
            ("a", false, None),
            ("a\\.b", true, Some(0)),
            ("ab", true, Some(1)),
            ("b", true, Some(1)),
            ("b.a", false, None)
        ]
    );

    // A field too many and not indexed.
    let bytes = build(limits);
    let index = FieldIndex::open(&bytes).unwrap();
    assert_eq!(index.exists("b.a").unwrap(), within([4, 5]));
    assert_eq!(index.exists("b.a.x").unwrap(), within([4, 5]));

    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            ask_everything(&damaged);
        }
    }
}

#[test]
fn a_stranger_is_told_apart() {
    let bytes = build(&Vec::new(), FieldLimits::default());
    let problem = |at: usize, byte: u8| {
        let mut other = bytes.clone();
        other[at] = byte;
        FieldIndex::open(&other).unwrap_err().to_string()
    };
    assert_eq!(problem(0, b'x'), "field index: these bytes are no field index");
    assert_eq!(problem(8, 9), "field index: version 9, this program reads 2 and 3");
    assert_eq!(problem(40, 9), "field index: 48 bytes, expected 9");
}

fn number() -> impl Strategy<Value = Value> {
    let two53 = 9_007_199_254_740_992_i64;
    prop_oneof![
        4 => (-5..5i64).prop_map(Value::Int),
        4 => (-10..10i64).prop_map(|n| Value::Float(n as f64 / 2.0)),
        1 => (two53 - 2..two53 + 3).prop_map(Value::Int),
        1 => (two53 - 2..two53 + 3).prop_map(|n| Value::Float(n as f64)),
        1 => prop::sample::select(vec![i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX])
            .prop_map(Value::Int),
        1 => prop::sample::select(vec![
            -0.0, 5e-324, -5e-324, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, 9.3e18, -9.3e18,
            9_223_372_036_854_775_808.0, -9_223_372_036_854_775_808.0,
        ])
        .prop_map(Value::Float),
        2 => any::<i64>().prop_map(Value::Int),
        2 => any::<f64>().prop_filter("NaN", |n| !n.is_nan()).prop_map(Value::Float),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![6 => "[abä]{0,4}", 1 => "[ab]{7,12}", 3 => date_text()]
}

/// A few days, so that they meet, in several time zones; some are no dates.
fn date_text() -> impl Strategy<Value = String> {
    (27..33u32, 0..3u32, "(|T12:00:00(Z|\\+02:00|-03:30)|T00:00:00(\\.000001|\\.5)Z|T1)")
        .prop_map(|(day, month, rest)| format!("2024-{month:02}-{day}{rest}"))
}

fn date() -> impl Strategy<Value = Timestamp> {
    date_text().prop_filter_map("no date", |text| Timestamp::parse(&text))
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::Bool),
        3 => number(),
        3 => text().prop_map(Value::Str),
    ]
}

fn facts(count: usize) -> impl Strategy<Value = Facts> {
    let path = prop::sample::select(vec!["a", "b", "c"]);
    let fact = (0u32..3, path, prop::option::weighted(0.95, value()));
    prop::collection::vec(fact, 0..count).prop_map(|facts| {
        let mut row = 0;
        let step = |(gap, path, value)| {
            // A gap now and then, also across a roaring container.
            row += if gap == 2 { 40_000 } else { gap };
            (row, path, value)
        };
        facts.into_iter().map(step).collect()
    })
}

fn bound<T: Clone + std::fmt::Debug + 'static>(
    value: impl Strategy<Value = T> + Clone + 'static,
) -> impl Strategy<Value = Bound<T>> {
    prop_oneof![
        1 => Just(Bound::Unbounded),
        2 => value.clone().prop_map(Bound::Included),
        2 => value.prop_map(Bound::Excluded),
    ]
}

fn by_reference<'a, T, U>(bound: &'a Bound<T>, view: impl Fn(&'a T) -> U) -> Bound<U> {
    match bound {
        Bound::Unbounded => Bound::Unbounded,
        Bound::Included(value) => Bound::Included(view(value)),
        Bound::Excluded(value) => Bound::Excluded(view(value)),
    }
}

fn is_within(value: Scalar<'_>, low: Bound<Scalar<'_>>, high: Bound<Scalar<'_>>) -> bool {
    let above = match low {
        Bound::Unbounded => true,
        Bound::Included(low) => value.compare(low).is_some_and(Ordering::is_ge),
        Bound::Excluded(low) => value.compare(low).is_some_and(Ordering::is_gt),
    };
    above
        && match high {
            Bound::Unbounded => true,
            Bound::Included(high) => value.compare(high).is_some_and(Ordering::is_le),
            Bound::Excluded(high) => value.compare(high).is_some_and(Ordering::is_lt),
        }
}

/// The answer is right if it is exact and equal, or says that it is not and has all rows.
fn assert_answers(answer: Posting, expected: &RoaringBitmap, may_be_inexact: bool) {
    match answer {
        Posting::Exact(rows) => assert_eq!(&rows, expected),
        Posting::Within(rows) => {
            assert!(may_be_inexact, "an answer that could be exact");
            assert!(expected.is_subset(&rows), "{expected:?} is not within {rows:?}");
        }
    }
}

proptest! {
    #[test]
    fn answers_are_those_of_the_list(
        facts in facts(300),
        probe in prop_oneof![5 => value(), 1 => date().prop_map(Value::Date)],
        (since, until) in (bound(date().boxed()), bound(date().boxed())),
        (low, high) in (bound(number().boxed()), bound(number().boxed())),
        (from, to) in (bound("[abä]{0,3}"), bound("[abä]{0,3}")),
        fields_max in 1..5usize,
        strings_max in prop::sample::select(vec![3usize, 1_000]),
        string_bytes_max in prop::sample::select(vec![6usize, 128]),
    ) {
        let bytes = build(&facts, FieldLimits { fields_max, strings_max, string_bytes_max });
        let index = FieldIndex::open(&bytes).unwrap();
        let known = fields_max >= 3;
        let complete = known && strings_max > 3 && string_bytes_max > 6;
        let (low, high) = (by_reference(&low, Value::scalar), by_reference(&high, Value::scalar));
        let (from, to) = (by_reference(&from, String::as_str), by_reference(&to, String::as_str));
        for path in ["a", "b", "c", "d"] {
            let all = rows_where(&facts, path, |_| true);
            assert_answers(index.exists(path).unwrap(), &all, !known);

            let equal = rows_where(&facts, path, |v| v.is_some_and(|v| v.same(probe.scalar())));
            let enough = if matches!(probe, Value::Str(_)) { complete } else { known };
            assert_answers(index.equal(path, probe.scalar()).unwrap(), &equal, !enough);

            let numbers = rows_where(&facts, path, |value| {
                value.is_some_and(|value| {
                    matches!(value, Scalar::Int(_) | Scalar::Float(_)) && is_within(value, low, high)
                })
            });
            assert_answers(index.number_range(path, low, high).unwrap(), &numbers, !known);

            let dates = string_where(&facts, path, |text| {
                let (since, until) = (since.map(Scalar::Date), until.map(Scalar::Date));
                Timestamp::parse(text).is_some() && is_within(Scalar::Str(text), since, until)
            });
            assert_answers(index.date_range(path, since, until).unwrap(), &dates, !known);

            // Every value of the rows that need not be read, and nothing else.
            let mut seen: Facts = Vec::new();
            let to_read = index.unlisted(path).unwrap();
            index
                .visit_values(path, &mut |value, rows| {
                    seen.extend(rows.iter().map(|row| (row, path, Some(owned(value)))));
                })
                .unwrap();
            assert!(to_read.is_empty() || !complete);
            let key = |fact: &(u32, &'static str, Option<Value>)| {
                let value = match fact.2.as_ref() {
                    // One number has one form.
                    Some(Value::Int(n)) => format!("{:?}", *n as f64),
                    Some(Value::Float(n)) => format!("{:?}", n + 0.0),
                    value => format!("{value:?}"),
                };
                (!to_read.contains(fact.0) && fact.1 == path && fact.2.is_some())
                    .then_some((fact.0, value))
            };
            let expected: BTreeSet<_> = facts.iter().filter_map(key).collect();
            prop_assert_eq!(seen.iter().filter_map(key).collect::<BTreeSet<_>>(), expected);

            let strings = string_where(&facts, path, |text| {
                is_within(Scalar::Str(text), from.map(Scalar::Str), to.map(Scalar::Str))
            });
            assert_answers(index.string_range(path, from, to).unwrap(), &strings, !complete);

            let starts = string_where(&facts, path, |text| text.starts_with("ab"));
            assert_answers(index.string_prefix(path, "ab").unwrap(), &starts, !complete);

            let has = string_where(&facts, path, |text| text.contains('ä'));
            let answer = index.string_matching(path, &mut |text| text.contains('ä')).unwrap();
            assert_answers(answer, &has, !complete);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Enough pairs for several buckets: numbers with one row, with hundreds, and both.
    #[test]
    fn ranges_cross_buckets(
        spread in prop::sample::select(vec![3i64, 40, 1_000, 1_000_000]),
        seeds in prop::collection::vec(any::<u32>(), 4_000),
        cuts in prop::collection::vec((any::<u32>(), any::<u32>()), 8),
    ) {
        let number = |seed: u32| {
            let whole = i64::from(seed) % spread;
            if seed.is_multiple_of(3) { Value::Float(whole as f64 + 0.5) } else { Value::Int(whole) }
        };
        let facts: Facts = seeds
            .iter()
            .enumerate()
            .map(|(at, seed)| (at as u32 * 3 / 4, "a", Some(number(*seed))))
            .collect();
        let bytes = build(&facts, FieldLimits::default());
        let index = FieldIndex::open(&bytes).unwrap();
        for (low, high) in cuts {
            let (low, high) = (number(low), number(high));
            for (low, high) in [
                (Bound::Included(low.scalar()), Bound::Included(high.scalar())),
                (Bound::Excluded(low.scalar()), Bound::Excluded(high.scalar())),
                (Bound::Included(low.scalar()), Bound::Included(low.scalar())),
                (Bound::Unbounded, Bound::Excluded(high.scalar())),
            ] {
                let expected =
                    rows_where(&facts, "a", |value| value.is_some_and(|v| is_within(v, low, high)));
                let answer = index.number_range("a", low, high).unwrap();
                prop_assert_eq!(answer, Posting::Exact(expected));
            }
        }
    }
}
