//! One table of behaviours; every face behaves so.
//!
//! `table.json` has the table, as the tests of the Python package read it too. A row asks an
//! operation `of` a collection or snapshot, `with` a body of the HTTP interface, and says what the
//! answer `is`, or which kind of error it `fails` with and which `field` that names. Rows build on
//! those before them. `wire.json` goes on with orders, groups, quotas and schemas, which the Python
//! package is tested for by itself.

use serde_json::Value;
use vecstore::Database;

use super::faces::{Embedded, Face, Failure, Grpc, Http};
use super::process::Server;

fn check(face: &dyn Face) {
    check_table(face, include_str!("table.json"), 70);
    check_table(face, include_str!("wire.json"), 26);
}

/// The ids of all pages of a scroll, each page asked for with the cursor of the one before.
fn pages(face: &dyn Face, of: &str, with: &Value) -> Result<Value, Failure> {
    let (mut with, mut pages) = (with.clone(), Vec::new());
    loop {
        let page = face.ask("scroll", of, &with)?;
        let records = page["records"].as_array().unwrap();
        pages.push(records.iter().map(|record| record["id"].clone()).collect());
        if page["cursor"].is_null() {
            return Ok(Value::Array(pages));
        }
        with["resume"] = page["cursor"].clone();
    }
}

fn check_table(face: &dyn Face, table: &str, rows_min: usize) {
    let table: Value = serde_json::from_str(table).unwrap();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    // All rows are looked at, so that one that is wrong does not hide others.
    let (mut checked, mut wrong) = (0, Vec::new());
    for row in table.as_array().unwrap().iter().flat_map(|part| part["rows"].as_array().unwrap()) {
        let what = format!("{}: {row}", face.name());
        let (operation, of) = (row["ask"].as_str().unwrap(), row["of"].as_str().unwrap());
        let expected = match text(&row["fails"]) {
            None => Ok(row.get("is").expect("a row says what the answer is").clone()),
            Some(kind) => Err((kind, text(&row["field"]))),
        };
        let answer = match operation {
            "pages" => pages(face, of, &row["with"]),
            _ => face.ask(operation, of, &row["with"]),
        };
        if answer != expected {
            wrong.push(format!("{what}\n    gave {answer:?}"));
        }
        checked += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > rows_min, "{checked} rows");
}

#[test]
fn the_library_behaves_as_the_table_says() {
    let dir = tempfile::tempdir().unwrap();
    check(&Embedded(Database::open(dir.path().join("db")).unwrap()));
}

#[test]
fn http_behaves_as_the_table_says() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("db"));
    check(&Http(server.http));
}

#[test]
fn grpc_behaves_as_the_table_says() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("db"));
    check(&Grpc::connect(server.grpc));
}
