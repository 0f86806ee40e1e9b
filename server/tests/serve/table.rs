//! One table of behaviours; every face behaves so.
//!
//! `table.json` has the table, as the tests of the Python package read it too. A row asks an
//! operation `of` a collection or snapshot, `with` a body of the HTTP interface, and says what the
//! answer `is`, or which kind of error it `fails` with and which `field` that names. Rows build on
//! those before them.

use serde_json::Value;
use vecstore::Database;

use super::faces::{Embedded, Face, Grpc, Http};
use super::process::Server;

fn check(face: &dyn Face) {
    let table: Value = serde_json::from_str(include_str!("table.json")).unwrap();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let mut checked = 0;
    for row in table.as_array().unwrap().iter().flat_map(|part| part["rows"].as_array().unwrap()) {
        let what = format!("{}: {row}", face.name());
        let (operation, of) = (row["ask"].as_str().unwrap(), row["of"].as_str().unwrap());
        let expected = match text(&row["fails"]) {
            None => Ok(row.get("is").expect("a row says what the answer is").clone()),
            Some(kind) => Err((kind, text(&row["field"]))),
        };
        assert_eq!(face.ask(operation, of, &row["with"]), expected, "{what}");
        checked += 1;
    }
    assert!(checked > 70, "{checked} rows");
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
