//! The example of README.md does what it says.

use serde_json::Value;

use super::http::ask;
use super::process::Server;

#[test]
fn the_example_of_the_readme_runs() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let page = std::fs::read_to_string(page).unwrap();
    let section = page.split("\n## Server\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let mut answers = Vec::new();
    for command in section.split("\n    curl ").skip(1) {
        let (head, rest) = command.split_once(" --json '").unwrap();
        let (body, rest) = rest.split_once('\'').unwrap();
        let (method, address) = match head.strip_prefix("-X ") {
            Some(head) => head.split_once(' ').unwrap(),
            None => ("POST", head),
        };
        let path = address.strip_prefix("localhost:6333").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        let answer = ask(server.http, method, path, &body).success();
        if let Some(shown) = rest.trim_start().strip_prefix("# ") {
            let shown: Value = serde_json::from_str(shown.lines().next().unwrap()).unwrap();
            assert_eq!(answer, shown);
            answers.push(answer);
        }
    }
    assert_eq!(answers.len(), 1, "one answer is shown");
}
