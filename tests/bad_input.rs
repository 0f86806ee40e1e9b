//! Wrong input changes nothing and says what is wrong.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::time::Duration;

use serde_json::{Value, json};
use vecstore::{
    Collection, Database, Durability, Error, ErrorKind, Include, Metric, Options, Record, limits,
};
use vecstore_tests::in_memory;

fn check<T: std::fmt::Debug>(result: Result<T, Error>, kind: ErrorKind, message: &str) {
    let error = result.expect_err(message);
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(message), "`{message}` is not in `{error}`");
}

fn invalid<T: std::fmt::Debug>(result: Result<T, Error>, message: &str) {
    check(result, ErrorKind::InvalidArgument, message);
}

#[test]
fn records_that_are_not_valid() {
    let (_db, docs) = in_memory(3, Metric::Cosine);
    let good = || Record::new("good", [1.0, 0.0, 0.0]);
    docs.upsert(good().metadata(json!({"n": 1}))).unwrap();
    let deep = (0..40).fold(json!(1), |inner, _| json!([inner]));
    let rows: Vec<(Record, &str)> = vec![
        (Record::new("x", [1.0, 2.0]), "record `x`: vector has 2 components, expected 3"),
        (Record::new("x", []), "vector has 0 components, expected 3"),
        (Record::new("x", [1.0, f32::NAN, 0.0]), "component 1 of the vector is NaN"),
        (Record::new("x", [f32::INFINITY, 0.0, 0.0]), "component 0 of the vector is inf"),
        (Record::new("x", [0.0, 0.0, 0.0]), "the vector is zero, which has no direction"),
        (Record::new("x", [3e38, 3e38, 3e38]), "the vector is too long"),
        (Record::new("", [1.0, 0.0, 0.0]), "record id is empty"),
        (Record::new("x".repeat(513), [1.0, 0.0, 0.0]), "record id has 513 bytes, at most 512"),
        (good().metadata(json!([1])), "metadata is an array, expected a JSON object"),
        (
            good().metadata(json!({"n": u64::MAX})),
            "metadata field `n`: 18446744073709551615 is beyond",
        ),
        (good().metadata(json!({ "d": deep })), "metadata field `d`: nested deeper than 32 levels"),
        (good().metadata(json!({"t": "x".repeat(1 << 20)})), "metadata has 1048584 bytes, at most"),
    ];
    for (record, message) in rows {
        invalid(docs.upsert(record.clone()), message);
        // One bad record spoils the batch, wherever it stands, and the message says where.
        let batch =
            vec![Record::new("new", [1.0, 0.0, 0.0]), record, Record::new(2, [0.0, 1.0, 0.0])];
        invalid(docs.batch_upsert(batch.clone()), message);
        invalid(docs.batch_upsert(batch), "batch position 1");
        assert_eq!(docs.count(None).unwrap(), 1);
        assert_eq!(docs.get("good").unwrap().unwrap().metadata["n"], 1);
    }
    let many = vec![good(); limits::BATCH_RECORDS_MAX + 1];
    invalid(docs.batch_upsert(many), "the batch has 16385 records, at most 16384 are allowed");
    assert_eq!(docs.batch_upsert(Vec::new()).unwrap(), docs.upsert(good()).unwrap() - 1);
}

#[test]
fn queries_that_are_not_valid() {
    let (_db, docs) = in_memory(2, Metric::Euclidean);
    docs.upsert(Record::new(1, [0.0, 0.0])).unwrap();
    let ok = [1.0, 1.0];
    invalid(docs.query(&[1.0]).run(), "query: vector has 1 components, expected 2");
    invalid(docs.query(&[]).run(), "query: vector has 0 components, expected 2");
    invalid(docs.query(&[f32::NAN, 0.0]).run(), "component 0 of the vector is NaN");
    invalid(docs.query(&ok).k(0).run(), "k is 0, use 1 to");
    invalid(docs.query(&ok).k(limits::K_MAX + 1).run(), "k is 16385, use 1 to 16384");
    invalid(docs.query(&ok).ef(0).run(), "ef is 0, use 1 to");
    invalid(docs.query(&ok).recall(1.5).run(), "recall is 1.5, use a number above 0");
    invalid(docs.query(&ok).recall(f32::NAN).run(), "recall is NaN");
    invalid(docs.query(&ok).ef(50).exact().run(), "only one of ef, recall and exact");
    invalid(docs.query(&ok).score_threshold(f32::NAN).run(), "score_threshold is not a number");
    invalid(docs.query(&ok).bind("x", 1).run(), "parameter `x` is bound, but there is no filter");
    invalid(docs.select("n = $x").count(), "parameter `$x` has no value");
    invalid(docs.select("n = 1").bind("x", 1).remove(), "parameter `$x` is given, but");
    invalid(docs.scroll().limit(0).run(), "limit is 0");
    invalid(docs.namespace("a\nb"), "namespace `a\\nb` is not allowed");
}

#[test]
fn filters_that_are_not_valid() {
    let (_db, docs) = in_memory(2, Metric::Euclidean);
    docs.upsert(Record::new(1, [0.0, 0.0]).metadata(json!({"a": 1}))).unwrap();
    for filter in ["a = 1 b = 2", "a = 1)", "a =< 1", "a", "", "a = $x", "a LIEK 'x'", "a = 1e"] {
        for result in [
            docs.query(&[0.0, 0.0]).filter(filter).run().map(drop),
            docs.count(Some(filter)).map(drop),
            docs.remove_where(filter).map(drop),
            docs.scroll().filter(filter).run().map(drop),
        ] {
            invalid(result, "position");
        }
        assert_eq!(docs.count(None).unwrap(), 1, "{filter}");
    }
}

#[test]
fn names_and_settings_that_are_not_valid() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path().join("db")).unwrap();
    let options = || Collection::options(2, Metric::Dot);
    for name in ["", ".", "..", "a/b", "../x", "a\\b", "a\0b", ".hidden", "ä", &"x".repeat(129)] {
        invalid(db.create_collection(name, options()), "collection name");
        invalid(db.create_snapshot(name), "snapshot name");
        invalid(db.restore_snapshot(name), "snapshot name");
        invalid(db.remove_snapshot(name), "snapshot name");
    }
    invalid(db.create_collection("x", Collection::options(0, Metric::Dot)), "dim: 0");
    invalid(db.create_collection("x", Collection::options(16_385, Metric::Dot)), "dim: 16385");
    invalid(db.create_collection("x", options().m(1)), "m: 1 is not within 4 to 128");
    invalid(db.create_collection("x", options().ef_construction(1)), "ef_construction: 1");
    check(db.restore_snapshot("none"), ErrorKind::NotFound, "there is no snapshot `none`");
    check(db.remove_snapshot("none"), ErrorKind::NotFound, "the database has none");
    assert_eq!(db.collections().unwrap(), Vec::<String>::new());
    let outside: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(outside.len(), 1, "something was written outside the database");
    let zero = Options { threads: 0, ..Options::default() };
    invalid(Database::open_with(dir.path().join("db2"), zero), "threads: 0");
}

#[test]
fn the_argument_that_is_wrong_is_named() {
    let (db, docs) = in_memory(2, Metric::Cosine);
    let near = [1.0, 0.0];
    let check = |result: Result<(), Error>, field: Option<&str>| {
        assert_eq!(result.unwrap_err().field(), field);
    };
    let dir = tempfile::tempdir().unwrap();
    let default = Options::default();
    for (options, field) in [
        (Options { threads: 0, ..default.clone() }, "threads"),
        (Options { memtable_bytes_max: 1, ..default.clone() }, "memtable_bytes_max"),
        (Options { memory_limit: Some(1 << 20), ..default.clone() }, "memory_limit"),
        (Options { durability: Durability::Periodic(Duration::ZERO), ..default }, "durability"),
    ] {
        check(Database::open_with(dir.path().join("db"), options).map(drop), Some(field));
    }
    let create = |options| db.create_collection("new", options).map(drop);
    check(create(Collection::options(0, Metric::Dot)), Some("dim"));
    check(create(Collection::options(2, Metric::Dot).m(3)), Some("m"));
    check(db.create_collection("a b", Collection::options(2, Metric::Dot)).map(drop), Some("name"));
    check(docs.namespace("\n").map(drop), Some("namespace"));
    check(docs.upsert(Record::new("", near)).map(drop), Some("id"));
    check(docs.upsert(Record::new(1, [1.0])).map(drop), Some("vector"));
    check(docs.upsert(Record::new(1, near).metadata(json!([]))).map(drop), Some("metadata"));
    check(docs.query(&near).k(0).run().map(drop), Some("k"));
    check(docs.query(&near).ef(0).run().map(drop), Some("ef"));
    check(docs.query(&near).recall(2.0).run().map(drop), Some("recall"));
    check(docs.query(&near).filter("a =").run().map(drop), Some("filter"));
    check(docs.query(&near).bind("a", 1).run().map(drop), Some("params"));
    check(docs.query(&[0.0, 0.0]).run().map(drop), Some("vector"));
    check(docs.scroll().limit(0).run().map(drop), Some("limit"));
    check(db.drop_collection("none"), None);
}

#[test]
fn folders_that_are_not_databases() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    let opened = Database::open_existing(&missing, Options::default());
    check(opened, ErrorKind::NotFound, "there is no database in");
    assert!(!missing.exists(), "a failed open created the folder");
    std::fs::write(dir.path().join("letters.txt"), "mine").unwrap();
    check(Database::open(dir.path()), ErrorKind::Conflict, "it holds `letters.txt`");
    assert_eq!(std::fs::read(dir.path().join("letters.txt")).unwrap(), b"mine");
}

/// A database with one segment of 300 records, closed; returns the segment's file.
fn database_with_a_segment(dir: &std::path::Path) -> std::path::PathBuf {
    let db = Database::open(dir).unwrap();
    let docs = db.create_collection("docs", Collection::options(8, Metric::Euclidean)).unwrap();
    let records = (0..300_u64)
        .map(|id| Record::new(id, vec![id as f32; 8]).metadata(json!({"n": id})))
        .collect();
    docs.batch_upsert(records).unwrap();
    docs.flush().unwrap();
    drop((docs, db));
    let files: Vec<_> = std::fs::read_dir(dir.join("seg")).unwrap().flatten().collect();
    assert_eq!(files.len(), 1);
    files[0].path()
}

fn overwrite(file: &std::path::Path, bytes: &[u8]) {
    let mut permissions = std::fs::metadata(file).unwrap().permissions();
    #[allow(clippy::permissions_set_readonly_false)]
    permissions.set_readonly(false);
    std::fs::set_permissions(file, permissions).unwrap();
    std::fs::write(file, bytes).unwrap();
}

#[test]
fn a_truncated_segment_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let file = database_with_a_segment(dir.path());
    let bytes = std::fs::read(&file).unwrap();
    for len in [0, 1, 63, 64, 4_096, bytes.len() / 2, bytes.len() - 1] {
        overwrite(&file, &bytes[..len]);
        let error = Database::open(dir.path()).expect_err("a truncated segment was accepted");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{len} bytes: {error}");
        assert!(error.to_string().contains("000000000001.seg"), "{error}");
    }
    overwrite(&file, &bytes);
    let db = Database::open(dir.path()).unwrap();
    assert_eq!(db.collection("docs").unwrap().count(None).unwrap(), 300);
}

#[test]
fn a_flipped_bit_in_a_segment_never_gives_a_wrong_row() {
    let dir = tempfile::tempdir().unwrap();
    let file = database_with_a_segment(dir.path());
    let bytes = std::fs::read(&file).unwrap();
    let step = (bytes.len() / 150).max(1);
    let (mut found, mut harmless) = (0, 0);
    for at in (0..bytes.len()).step_by(step) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        overwrite(&file, &flipped);
        match read_all(dir.path()) {
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {at}: {error}");
                assert!(error.to_string().contains(".seg"), "byte {at}: {error}");
                found += 1;
            }
            Ok(true) => found += 1,
            Ok(false) => harmless += 1,
        }
    }
    println!("{found} flips were reported, {harmless} had no effect on any answer");
    assert!(found > 0);
}

/// Reads every record and asks for it; true if something was reported as missing or damaged.
fn read_all(dir: &std::path::Path) -> Result<bool, Error> {
    let db = Database::open(dir)?;
    let docs = db.collection("docs")?;
    let mut reported = !db.verify()?.problems.is_empty();
    for id in 0..300_u64 {
        match docs.get(id) {
            Ok(Some(record)) => {
                assert_eq!(record.vector, vec![id as f32; 8], "record {id}");
                assert_eq!(Value::Object(record.metadata), json!({"n": id}));
            }
            Ok(None) => panic!("record {id} is gone without an error"),
            Err(error) if error.kind() == ErrorKind::Corrupt => reported = true,
            Err(error) => return Err(error),
        }
    }
    for id in [0_u64, 17, 150, 299] {
        let vector = vec![id as f32; 8];
        let result = docs.query(&vector).k(1).include(Include::NOTHING).run()?;
        if result.complete {
            assert_eq!(result[0].id, id.into());
        }
        reported |= !result.complete;
    }
    assert!(docs.count(Some("n < 100")).map_or(true, |count| count == 100));
    Ok(reported)
}
