//! Keys, addresses, encryption.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

use super::faces::Grpc;
use super::http::{ask, ask_with, head, read};
use super::process::{Server, command};
use super::proto;

const ALL: &str = "a-key-that-allows-everything";
const READ: &str = "a-key-that-allows-reading";

#[test]
fn keys_allow_what_they_say() {
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys");
    std::fs::write(&keys, format!("# two keys\nread-write {ALL}\n\nread-only {READ}\n")).unwrap();
    let server = Server::start_with(
        &dir.path().join("db"),
        &["--api-key-file", keys.to_str().unwrap(), "--http", "0.0.0.0:0"],
    );
    let http = ([127, 0, 0, 1], server.http.port()).into();
    let bearer = |key: &str| format!("Bearer {key}");
    let status = |method: &str, path: &str, headers: &[(&str, &str)], body: Value| {
        ask_with(http, method, path, headers, &body).status
    };
    let create = || json!({"dim": 2});
    let docs = "/v1/collections/docs";
    assert_eq!(status("PUT", docs, &[], create()), 401);
    assert_eq!(status("PUT", docs, &[("api-key", "a-key-that-is-not-known")], create()), 401);
    assert_eq!(status("PUT", docs, &[("api-key", &ALL[1..])], create()), 401);
    assert_eq!(status("PUT", docs, &[("api-key", READ)], create()), 403);
    assert_eq!(status("PUT", docs, &[("authorization", &bearer(ALL))], create()), 200);
    assert_eq!(status("GET", docs, &[("authorization", &bearer(READ))], Value::Null), 200);
    assert_eq!(status("GET", docs, &[], Value::Null), 401);
    assert_eq!(status("GET", "/metrics", &[], Value::Null), 401);
    assert_eq!(status("GET", "/metrics", &[("api-key", READ)], Value::Null), 200);
    for open in ["/livez", "/readyz", "/openapi.json"] {
        assert_eq!(status("GET", open, &[], Value::Null), 200, "{open}");
    }
    let refused = ask(http, "GET", docs, &Value::Null);
    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));

    let grpc = Grpc::connect(server.grpc);
    let ask = |key: Option<&str>, write: bool| {
        let mut client = grpc.client.clone();
        grpc.wait(async {
            if write {
                let mut request =
                    tonic::Request::new(proto::DropCollectionRequest { name: "none".to_owned() });
                if let Some(key) = key {
                    request.metadata_mut().insert("api-key", key.parse().unwrap());
                }
                return client.drop_collection(request).await.map(drop).unwrap_err().code();
            }
            let mut request = tonic::Request::new(proto::ListCollectionsRequest {});
            if let Some(key) = key {
                let value = format!("Bearer {key}").parse().unwrap();
                request.metadata_mut().insert("authorization", value);
            }
            client.list_collections(request).await.map_or_else(|s| s.code(), |_| tonic::Code::Ok)
        })
    };
    use tonic::Code;
    assert_eq!(ask(None, false), Code::Unauthenticated);
    assert_eq!(ask(Some("another"), false), Code::Unauthenticated);
    assert_eq!(ask(Some(READ), false), Code::Ok);
    assert_eq!(ask(Some(READ), true), Code::PermissionDenied);
    assert_eq!(ask(Some(ALL), true), Code::NotFound);
}

#[test]
fn the_network_is_not_listened_to_without_a_key() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |flags: &[&str]| {
        let output = command(&dir.path().join("db"), flags).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    for flags in [["--http", "0.0.0.0:0"], ["--grpc", "[::]:0"]] {
        let message = refused(&flags);
        assert!(message.contains("which others can reach, and no key is set"), "{message}");
    }
    assert!(refused(&["--api-key", "short"]).contains("shorter than"));
    assert!(refused(&["--tls-cert", "x.pem"]).contains("belong together"));
    assert!(!dir.path().join("db").exists(), "nothing was created");
    let flags = ["--http", "0.0.0.0:0", "--allow-unauthenticated"];
    let server = Server::start_with(&dir.path().join("db"), &flags);
    let http = ([127, 0, 0, 1], server.http.port()).into();
    assert_eq!(ask(http, "GET", "/v1/collections", &Value::Null).status, 200);
}

#[test]
fn pages_of_other_origins_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("db"));
    let from = |origin: &str| {
        ask_with(server.http, "GET", "/v1/collections", &[("origin", origin)], &Value::Null).status
    };
    assert_eq!(from("http://evil.example"), 403);
    assert_eq!(from("null"), 403);
    assert_eq!(from(&format!("http://{}", server.http)), 200);

    // A page whose own name leads here is of the same origin, and says so only when it writes.
    let named = |host: &str| {
        let mut stream = std::net::TcpStream::connect(server.http).unwrap();
        let head =
            format!("GET /v1/collections HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
        read(&mut stream).unwrap().status
    };
    assert_eq!(named(&format!("evil.example:{}", server.http.port())), 403);
    assert_eq!(named(&format!("localhost:{}", server.http.port())), 200);
    assert_eq!(named("[::1]"), 200);
}

#[test]
fn requests_that_are_odd_are_refused() {
    use std::io::Write;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("db"));
    let create = json!({"dim": 2});
    ask(server.http, "PUT", "/v1/collections/docs", &create).success();
    let raw = |text: &str| {
        let mut stream = std::net::TcpStream::connect(server.http).unwrap();
        stream.set_read_timeout(Some(super::process::PATIENCE)).unwrap();
        // A server that refuses a head need not read it to its end.
        let _ = stream.write_all(text.as_bytes());
        read(&mut stream).map_or(0, |answer| answer.status)
    };
    let get = |more: &str| {
        raw(&format!(
            "GET /livez HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{more}\r\n",
            server.http
        ))
    };
    assert_eq!(get(""), 200);
    // Many headers, and a long one: 431, or cut off while they are still sent.
    assert!(matches!(get(&"a: b\r\n".repeat(1_000)), 431 | 0));
    assert!(matches!(get(&format!("a: {}\r\n", "b".repeat(1 << 20))), 431 | 0));
    // Two ways to say where a body ends: what is read as the next request differs by reader.
    let both =
        "content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /livez HTTP/1.1\r\n";
    let mut stream = std::net::TcpStream::connect(server.http).unwrap();
    let text =
        format!("POST /v1/collections/docs/count HTTP/1.1\r\nhost: {}\r\n{both}\r\n", server.http);
    stream.write_all(text.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answers = String::new();
    let _ = std::io::Read::read_to_string(&mut stream, &mut answers);
    assert!(!answers.contains("live"), "{answers}");
    assert_eq!(get("content-length: 1\r\ncontent-length: 2\r\n"), 400);
    assert_eq!(get("a b: c\r\n"), 400);
    // JSON that is deep, and compressed: neither costs more than it has bytes.
    let post = |path: &str, more: &[(&str, &str)], body: &str| {
        let headers = [&[("content-type", "application/json")][..], more].concat();
        let path = format!("/v1/collections/docs/{path}");
        super::http::send(server.http, "POST", &path, &headers, body.as_bytes()).unwrap().status
    };
    let deep = "[".repeat(1 << 20);
    let record =
        format!("{{\"records\": [{{\"id\": 1, \"vector\": [1, 2], \"metadata\": {{\"a\": {deep}");
    assert_eq!(post("records", &[], &record), 400);
    let filter = format!("{{\"filter\": \"{}a = 1\"}}", "(".repeat(100_000));
    assert_eq!(post("count", &[], &filter), 400);
    assert_eq!(post("count", &[("content-encoding", "gzip")], "{}"), 415);
    // Paths are names, not files.
    for path in
        ["/v1/collections/..%2f..%2fetc", "/ui/..%2f..%2fCargo.toml", "/ui/../../etc/passwd"]
    {
        let status = ask(server.http, "GET", path, &Value::Null).status;
        assert!(matches!(status, 400 | 404), "{path}: {status}");
    }
}

#[test]
fn both_protocols_are_encrypted() {
    let tls = |file: &str| format!("{}/tests/tls/{file}", env!("CARGO_MANIFEST_DIR"));
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = (tls("cert.pem"), tls("key.pem"));
    let flags = ["--tls-cert", cert.as_str(), "--tls-key", key.as_str()];
    let server = Server::start_with(&dir.path().join("db"), &flags);

    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&cert).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut talk = |to: std::net::SocketAddr, alpn: &[u8], sent: &[u8]| {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        config.alpn_protocols = vec![alpn.to_vec()];
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config.clone()));
        runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(to).await.unwrap();
            let name = ServerName::from(to.ip());
            let mut stream = connector.connect(name, stream).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(alpn));
            stream.write_all(sent).await.unwrap();
            let mut bytes = vec![0; 4096];
            let mut all = Vec::new();
            loop {
                match stream.read(&mut bytes).await {
                    Ok(0) | Err(_) => break,
                    Ok(n) => all.extend_from_slice(&bytes[..n]),
                }
                // The first frame of HTTP/2 is enough.
                if alpn == b"h2" {
                    break;
                }
            }
            all
        })
    };
    let request = head(server.http, "GET", "/v1/collections", &[], 0);
    let answer = talk(server.http, b"http/1.1", request.as_bytes());
    assert_eq!(read(&mut answer.as_slice()).unwrap().success(), json!({"collections": []}));
    // The preface of a client and empty settings; a server answers with its settings (type 4).
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    assert_eq!(talk(server.grpc, b"h2", preface)[3], 4);
    // Without encryption there is no answer.
    assert!(super::http::send(server.http, "GET", "/livez", &[], b"").is_err());
}
