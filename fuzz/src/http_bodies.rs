//! Requests to the server's HTTP interface, its own and Qdrant's.

use serde_json::{Value, json};
use vecstore_server::probe::{Answer, Probe};

/// A server with one collection, in which a few records have what the seeds of the corpus ask for.
#[must_use]
pub fn server() -> Probe {
    let server = Probe::new();
    let records: Vec<_> = (1..6)
        .map(|n| json!({"id": n, "vector": [n, 1], "metadata": {"n": n, "a": {"b": n % 2}}}))
        .collect();
    for (method, path, body) in [
        ("PUT", "/v1/collections/docs", json!({"dim": 2, "metric": "dot"})),
        ("POST", "/v1/collections/docs/records", json!({ "records": records })),
    ] {
        let answer = ask(&server, method, path, body.to_string().as_bytes());
        assert!(answer.is_some_and(|answer| answer.status < 300), "{method} {path}");
    }
    server
}

fn ask(server: &Probe, method: &str, path: &str, body: &[u8]) -> Option<Answer> {
    let lines = path.ends_with("/import");
    server.ask(method, path, if lines { "application/x-ndjson" } else { "application/json" }, body)
}

/// The server answers any request: a first line with method and path, and behind it the body.
/// - No answer is the server's own failure (500), and nothing panics.
/// - A refusal says in words what is wrong, in the form of its interface.
/// - What says that it is JSON is JSON.
///
/// Bytes without such a first line are skipped. Returns the status.
pub fn http_bodies(server: &Probe, bytes: &[u8]) -> Option<u16> {
    let end = bytes.iter().position(|&byte| byte == b'\n')?;
    let (method, path) = std::str::from_utf8(&bytes[..end]).ok()?.split_once(' ')?;
    let body = &bytes[end + 1..];
    let answer = ask(server, method, path, body)?;
    let told = || {
        format!(
            "{method} {path}\n{}\n{} {}",
            String::from_utf8_lossy(body),
            answer.status,
            String::from_utf8_lossy(&answer.body)
        )
    };
    assert!(answer.status != 500, "{}", told());
    let json = || -> Value {
        serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{}", told()))
    };
    match answer.media_type.as_str() {
        "application/json" if answer.status < 300 => drop(json()),
        _ if answer.status < 400 => {}
        // The answer to a `HEAD` has no body.
        _ if method == "HEAD" => {}
        _ => {
            let json = json();
            let said = json["detail"].as_str().or_else(|| json["status"]["error"].as_str());
            assert!(said.is_some_and(|said| !said.is_empty()), "{}", told());
        }
    }
    Some(answer.status)
}
