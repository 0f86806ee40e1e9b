//! Starting, draining, ending, being killed.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use vecstore::{Database, Include, RecordId};

use super::http::{ask, head, read, send};
use super::process::{PATIENCE, Server, command};

fn create(server: &Server) {
    let body = json!({"dim": 4, "metric": "dot"});
    ask(server.http, "PUT", "/v1/collections/docs", &body).success();
}

#[test]
fn sigterm_answers_what_is_in_flight_and_closes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let mut server = Server::start(&path);
    create(&server);
    let body = json!({"records": [{"id": 7, "vector": [1, 2, 3, 4]}]}).to_string();
    let mut stream = TcpStream::connect(server.http).unwrap();
    let headers = [("content-type", "application/json")];
    let head = head(server.http, "POST", "/v1/collections/docs/records", &headers, body.len());
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&body.as_bytes()[..10]).unwrap();
    // An idle connection does not hold the end up.
    let _idle = TcpStream::connect(server.http).unwrap();
    // The server has the head when it answers somebody who came later.
    ask(server.http, "GET", "/livez", &Value::Null);
    server.signal("-TERM");
    server.logged("draining: no new connections, answering what is in flight");
    std::thread::sleep(Duration::from_millis(50));
    stream.write_all(&body.as_bytes()[10..]).unwrap();
    let answer = read(&mut stream).unwrap();
    assert_eq!(answer.success()["records"], 1);
    assert!(server.wait().success());
    assert!(TcpStream::connect(server.http).is_err(), "nobody listens");

    let db = Database::open(&path).unwrap();
    let docs = db.collection("docs").unwrap();
    assert!(docs.get(7).unwrap().is_some());
    let stats = docs.stats().unwrap();
    assert_eq!((stats.memtable_records, stats.segments.len()), (0, 1), "memory was sealed");
}

#[test]
fn a_supervisor_is_told_how_far_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let supervisor = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    supervisor.set_read_timeout(Some(PATIENCE)).unwrap();
    let told = || {
        let mut bytes = [0; 64];
        let length = supervisor.recv(&mut bytes).expect("a state");
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    let mut command = command(&dir.path().join("db"), &[]);
    command.env("NOTIFY_SOCKET", &path);
    let mut server = Server::spawn(command);
    assert_eq!(told(), "READY=1");
    assert_eq!(ask(server.http, "GET", "/readyz", &Value::Null).status, 200);
    server.signal("-TERM");
    assert_eq!(told(), "STOPPING=1");
    assert!(server.wait().success());
}

#[test]
fn a_request_that_does_not_end_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start_with(&dir.path().join("db"), &["--drain-ms-max", "300"]);
    create(&server);
    let mut stream = TcpStream::connect(server.http).unwrap();
    let headers = [("content-type", "application/json")];
    let head = head(server.http, "POST", "/v1/collections/docs/records", &headers, 100);
    stream.write_all(head.as_bytes()).unwrap();
    ask(server.http, "GET", "/livez", &Value::Null);
    server.signal("-INT");
    assert!(server.wait().success());
    assert!(read(&mut stream).is_err());
}

#[test]
fn what_is_said_too_slowly_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let flags = ["--idle-timeout-ms", "200", "--request-timeout-ms", "300"];
    let server = Server::start_with(&dir.path().join("db"), &flags);
    create(&server);
    // Nothing at all, and half of what tells which protocol it is.
    for sent in [&b""[..], b"PRI * HT"] {
        let mut stream = TcpStream::connect(server.http).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(sent).unwrap();
        let started = std::time::Instant::now();
        assert!(read(&mut stream).is_err());
        assert!(started.elapsed() < Duration::from_secs(5), "{sent:?} is waited for");
    }
    // Half a head.
    let mut stream = TcpStream::connect(server.http).unwrap();
    stream.write_all(b"GET /livez HTTP/1.1\r\nhos").unwrap();
    assert!(read(&mut stream).map_or(true, |answer| answer.status == 408));
    // Half a body.
    let mut stream = TcpStream::connect(server.http).unwrap();
    let headers = [("content-type", "application/json")];
    let head = head(server.http, "POST", "/v1/collections/docs/records", &headers, 100);
    stream.write_all(head.as_bytes()).unwrap();
    let answer = read(&mut stream).unwrap();
    assert_eq!((answer.status, answer.json()["code"].as_str()), (504, Some("deadline_exceeded")));
}

#[test]
fn kill_9_under_load_loses_nothing_acknowledged() {
    const WRITERS: u64 = 8;
    let rounds: u64 = std::env::var("VECSTORE_SERVE_KILL_ROUNDS").map_or(3, |n| n.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let acknowledged: Mutex<BTreeSet<u64>> = Mutex::default();
    let next = AtomicU64::new(0);
    for round in 0..rounds {
        let server = Server::start_with(&path, &["--memtable-bytes-max", "65536"]);
        if round == 0 {
            create(&server);
        }
        std::thread::scope(|scope| {
            for _ in 0..WRITERS {
                scope.spawn(|| {
                    loop {
                        let first = next.fetch_add(10, Ordering::Relaxed);
                        let record = |id: u64| json!({"id": id, "vector": [1.0, id as f32, 2.0, 3.0], "metadata": {"id": id}});
                        let records: Vec<Value> = (first..first + 10).map(record).collect();
                        let body = json!({ "records": records }).to_string();
                        let headers = [("content-type", "application/json")];
                        let path = "/v1/collections/docs/records";
                        match send(server.http, "POST", path, &headers, body.as_bytes()) {
                            Ok(answer) if answer.status == 200 => {
                                acknowledged.lock().unwrap().extend(first..first + 10);
                            }
                            Ok(answer) => panic!("{} {}", answer.status, answer.text()),
                            Err(_) => return,
                        }
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(150 + 100 * (round % 5)));
            server.signal("-KILL");
        });
        drop(server);
        let db = Database::open(&path).unwrap();
        let docs = db.collection("docs").unwrap();
        let acknowledged = acknowledged.lock().unwrap();
        let ids: Vec<RecordId> = acknowledged.iter().map(|&id| id.into()).collect();
        for (id, record) in acknowledged.iter().zip(docs.get_many(&ids, &Include::ALL).unwrap()) {
            let record = record.unwrap_or_else(|| panic!("record {id} is lost"));
            assert_eq!(record.vector, [1.0, *id as f32, 2.0, 3.0]);
            assert_eq!(record.metadata["id"], *id);
        }
        // All or nothing: no batch is there in part.
        assert_eq!(docs.count(None).unwrap() % 10, 0);
    }
    let count = acknowledged.lock().unwrap().len();
    assert!(count > 0);
    println!("{rounds} kills, {count} records acknowledged, none lost");
}
