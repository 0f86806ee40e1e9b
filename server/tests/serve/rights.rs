//! Keys and tokens with rights of their own: one table, asked over every protocol.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use ring::{digest, hmac};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use tonic::Code;

use super::faces::Grpc;
use super::http::ask_with;
use super::process::{Server, command};
use super::{proto, qdrant};

const ADMIN: &str = "a-key-that-allows-everything";
const SECRET: &[u8] = b"a secret of at least thirty-two bytes";

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn token(head: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(head), part(claims));
    let signature = sign(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn hs256(claims: &Value) -> String {
    token(&json!({"alg": "HS256", "typ": "JWT"}), claims, |signed| hmac_of(SECRET, signed))
}

fn hmac_of(secret: &[u8], signed: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed).as_ref().to_vec()
}

fn get(to: SocketAddr, key: &str, path: &str) -> u16 {
    ask_with(to, "GET", path, &[("api-key", key)], &Value::Null).status
}

/// Two collections, `a` and `b`, each with one record.
fn fill(to: SocketAddr) {
    for name in ["a", "b"] {
        let path = format!("/v1/collections/{name}");
        let key = [("api-key", ADMIN)];
        ask_with(to, "PUT", &path, &key, &json!({"dim": 2})).success();
        let records = json!({"records": [{"id": 1, "vector": [1, 2]}]});
        ask_with(to, "POST", &format!("{path}/records"), &key, &records).success();
    }
}

/// The code over Qdrant's gRPC, for an operation that it has.
fn by_qdrants_grpc(grpc: &Grpc, key: &str, operation: &str, name: &str) -> Option<Code> {
    fn call<M: prost::Message + 'static>(grpc: &Grpc, key: &str, path: &str, message: M) -> Code {
        let mut request = tonic::Request::new(message);
        request.metadata_mut().insert("api-key", key.parse().unwrap());
        grpc.wait(async {
            let mut client = tonic::client::Grpc::new(grpc.channel.clone());
            client.ready().await.unwrap();
            let codec = tonic_prost::ProstCodec::<M, ()>::default();
            let path = format!("/qdrant.Points/{path}").parse().unwrap();
            client.unary(request, path, codec).await.map_or_else(|s| s.code(), |_| Code::Ok)
        })
    }
    let dense = || qdrant::DenseVector { data: vec![1.0, 2.0] };
    let near = || {
        let variant = Some(qdrant::vector_input::Variant::Dense(dense()));
        let input = qdrant::VectorInput { variant };
        Some(qdrant::Query { variant: Some(qdrant::query::Variant::Nearest(input)) })
    };
    let id = |number| {
        let options = qdrant::point_id::PointIdOptions::Num(number);
        qdrant::PointId { point_id_options: Some(options) }
    };
    let collection_name = name.to_owned();
    Some(match operation {
        "query" => {
            let message =
                qdrant::QueryPoints { collection_name, query: near(), ..Default::default() };
            call(grpc, key, "Query", message)
        }
        "upsert" => {
            let vector = Some(qdrant::vector::Vector::Dense(dense()));
            let vector = qdrant::Vector { vector, ..Default::default() };
            let options = qdrant::vectors::VectorsOptions::Vector(vector);
            let vectors = Some(qdrant::Vectors { vectors_options: Some(options) });
            let point = qdrant::PointStruct { id: Some(id(2)), vectors, ..Default::default() };
            let points = vec![point];
            let message = qdrant::UpsertPoints { collection_name, points, ..Default::default() };
            call(grpc, key, "Upsert", message)
        }
        "query_groups" => {
            let group_by = "g".to_owned();
            let message = qdrant::QueryPointGroups {
                collection_name,
                query: near(),
                group_by,
                ..Default::default()
            };
            call(grpc, key, "QueryGroups", message)
        }
        "facet" => {
            let field = "g".to_owned();
            let message = qdrant::FacetCounts { collection_name, key: field, ..Default::default() };
            call(grpc, key, "Facet", message)
        }
        "update" => {
            let ids = qdrant::PointsIdsList { ids: vec![id(1)] };
            let options = qdrant::points_selector::PointsSelectorOneOf::Points(ids);
            let selector = qdrant::PointsSelector { points_selector_one_of: Some(options) };
            let message = qdrant::SetPayloadPoints {
                collection_name,
                points_selector: Some(selector),
                ..Default::default()
            };
            call(grpc, key, "SetPayload", message)
        }
        _ => return None,
    })
}

/// The status over HTTP, over Qdrant's HTTP and the code over gRPC for an operation.
fn outcomes(
    server: &Server,
    grpc: &Grpc,
    key: &str,
    operation: &str,
    name: &str,
) -> (u16, Option<u16>, Option<Code>) {
    let record = json!({"records": [{"id": 2, "vector": [1, 2]}]});
    let (ours, qdrants): ((_, String, _), Option<(_, String, _)>) = match operation {
        "query" => (
            ("POST", format!("/v1/collections/{name}/query"), json!({"vector": [1, 2]})),
            Some((
                "POST",
                format!("/collections/{name}/points/query"),
                json!({"query": [1, 2], "limit": 1}),
            )),
        ),
        "upsert" => (
            ("POST", format!("/v1/collections/{name}/records"), record),
            Some((
                "PUT",
                format!("/collections/{name}/points"),
                json!({"points": [{"id": 2, "vector": [1, 2]}]}),
            )),
        ),
        "query_groups" => (
            (
                "POST",
                format!("/v1/collections/{name}/query/groups"),
                json!({"vector": [1, 2], "group_by": "g"}),
            ),
            Some((
                "POST",
                format!("/collections/{name}/points/query/groups"),
                json!({"query": [1, 2], "group_by": "g"}),
            )),
        ),
        "facet" => (
            ("POST", format!("/v1/collections/{name}/facet"), json!({"field": "g"})),
            Some(("POST", format!("/collections/{name}/facet"), json!({"key": "g"}))),
        ),
        "update" => (
            (
                "POST",
                format!("/v1/collections/{name}/records/update"),
                json!({"ids": [1], "patch": {"g": "x"}}),
            ),
            Some((
                "POST",
                format!("/collections/{name}/points/payload"),
                json!({"points": [1], "payload": {"g": "x"}}),
            )),
        ),
        "remove_namespace" => {
            (("DELETE", format!("/v1/collections/{name}/namespaces/n"), Value::Null), None)
        }
        "quota" => (("GET", format!("/v1/collections/{name}/quota"), Value::Null), None),
        "set_quota" => {
            (("PUT", format!("/v1/collections/{name}/quota"), json!({"quota": {}})), None)
        }
        "create" => (
            ("PUT", format!("/v1/collections/{name}"), json!({"dim": 2, "if_not_exists": true})),
            None,
        ),
        "snapshots" => (("GET", "/v1/snapshots".to_owned(), Value::Null), None),
        "metrics" => (("GET", "/metrics".to_owned(), Value::Null), None),
        "stats" => (("GET", "/v1/stats".to_owned(), Value::Null), None),
        "verify" => (("POST", "/v1/verify".to_owned(), Value::Null), None),
        other => panic!("{other}"),
    };
    let send = |(method, path, body): (&str, String, Value)| {
        ask_with(server.http, method, &path, &[("api-key", key)], &body).status
    };
    let mut client = grpc.client.clone();
    fn with<T>(key: &str, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        request.metadata_mut().insert("api-key", key.parse().unwrap());
        request
    }
    fn code<T>(result: Result<T, tonic::Status>) -> Option<Code> {
        Some(result.map_or_else(|status| status.code(), |_| Code::Ok))
    }
    let collection = name.to_owned();
    let by_grpc = grpc.wait(async {
        match operation {
            "query" => {
                let vector = Some(proto::Vector { values: vec![1.0, 2.0], ..Default::default() });
                let query = proto::QueryRequest { collection, vector, ..Default::default() };
                code(client.query(with(key, query)).await)
            }
            "upsert" => {
                let upsert = proto::UpsertRequest { collection, ..Default::default() };
                code(client.upsert(with(key, upsert)).await)
            }
            "query_groups" => {
                let vector = Some(proto::Vector { values: vec![1.0, 2.0], ..Default::default() });
                let group_by = "g".to_owned();
                let query = proto::QueryGroupsRequest {
                    collection,
                    vector,
                    group_by,
                    ..Default::default()
                };
                code(client.query_groups(with(key, query)).await)
            }
            "quota" => {
                let quota = proto::GetQuotaRequest { collection, ..Default::default() };
                code(client.get_quota(with(key, quota)).await)
            }
            "set_quota" => {
                let quota = Some(proto::Quota::default());
                let quota = proto::SetQuotaRequest { collection, quota, ..Default::default() };
                code(client.set_quota(with(key, quota)).await)
            }
            "snapshots" => {
                code(client.list_snapshots(with(key, proto::ListSnapshotsRequest {})).await)
            }
            _ => None,
        }
    });
    (send(ours), qdrants.map(send), by_grpc)
}

fn sha256_hex(text: &str) -> String {
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn rights_hold_over_every_protocol() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (reader, writer) = ("the-key-of-the-reader", "the-key-of-the-writer");
    let config = format!(
        "api_key = \"{ADMIN}\"\n\n[[keys]]\nname = \"reader\"\nkey = \"{reader}\"\n\
         rights = \"read-only\"\ncollections = [\"a\"]\n\n[[keys]]\nname = \"writer\"\n\
         key_sha256 = \"{}\"\nrights = \"read-write\"\ncollections = [\"a\"]\n",
        sha256_hex(writer)
    );
    let config = file("vecstore.toml", config.as_bytes());
    let secret = file("secret", SECRET);
    let flags = ["--config", config.as_str(), "--jwt-secret-file", secret.as_str()];
    let server = Server::start_with(&dir.path().join("db"), &flags);
    let grpc = Grpc::connect(server.grpc);
    fill(server.http);

    let read_all = hs256(&json!({"access": "r", "exp": now() + 600}));
    let all = hs256(&json!({"access": "m"}));
    let read_a = hs256(&json!({"access": [{"collection": "a", "access": "r"}], "sub": "x"}));
    let write_a = hs256(&json!({"access": [
        {"collection": "a", "access": "rw"}, {"collection": "b", "access": "r"},
    ]}));
    let nothing = hs256(&json!({"access": []}));
    // What each may do: reading a, writing a, reading b, writing b, reading everything, writing
    // everything.
    for (who, key, allowed) in [
        ("admin", ADMIN, [1, 1, 1, 1, 1, 1]),
        ("read all", &read_all, [1, 0, 1, 0, 1, 0]),
        ("all", &all, [1, 1, 1, 1, 1, 1]),
        ("key, read a", reader, [1, 0, 0, 0, 0, 0]),
        ("key, write a", writer, [1, 1, 0, 0, 0, 0]),
        ("token, read a", &read_a, [1, 0, 0, 0, 0, 0]),
        ("token, write a, read b", &write_a, [1, 1, 1, 0, 0, 0]),
        ("nothing", &nothing, [0, 0, 0, 0, 0, 0]),
    ] {
        for (operation, name, column) in [
            ("query", "a", 0),
            ("upsert", "a", 1),
            ("query", "b", 2),
            ("upsert", "b", 3),
            ("query_groups", "a", 0),
            ("query_groups", "b", 2),
            ("facet", "a", 0),
            ("facet", "b", 2),
            ("update", "a", 1),
            ("update", "b", 3),
            ("remove_namespace", "a", 1),
            ("remove_namespace", "b", 3),
            ("quota", "a", 0),
            ("quota", "b", 2),
            ("set_quota", "a", 5),
            ("set_quota", "b", 5),
            ("snapshots", "", 4),
            ("metrics", "", 4),
            ("stats", "", 4),
            ("create", "a", 5),
            ("create", "b", 5),
        ] {
            let (ours, qdrants, by_grpc) = outcomes(&server, &grpc, key, operation, name);
            let place = format!("{who}: {operation} {name}");
            let yes = allowed[column] == 1;
            assert_eq!(ours, if yes { 200 } else { 403 }, "{place}");
            if let Some(status) = qdrants {
                assert_eq!(status, if yes { 200 } else { 403 }, "{place}, as Qdrant");
            }
            let by_qdrants = by_qdrants_grpc(&grpc, key, operation, name);
            assert_eq!(by_qdrants.is_some(), qdrants.is_some(), "{place}");
            for code in by_grpc.into_iter().chain(by_qdrants) {
                let wanted = if yes { Code::Ok } else { Code::PermissionDenied };
                assert_eq!(code, wanted, "{place}, gRPC");
            }
        }
    }
    // A list has what may be used; a collection that may not be used is as one that is not there.
    let names = |key: &str| {
        let all =
            ask_with(server.http, "GET", "/v1/collections", &[("api-key", key)], &Value::Null)
                .success();
        let names = all["collections"].as_array().unwrap().iter();
        names.map(|c| c["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&read_all), ["a", "b"]);
    assert_eq!(names(reader), ["a"]);
    assert_eq!(get(server.http, reader, "/v1/collections/b"), 403);
    assert_eq!(get(server.http, reader, "/v1/collections/none"), 403);
    // Tasks on what may not be used are not seen and can't be stopped.
    let optimize = |key: &str, name: &str| {
        let path = format!("/v1/collections/{name}/optimize");
        ask_with(server.http, "POST", &path, &[("api-key", key)], &Value::Null)
    };
    assert_eq!(optimize(writer, "b").status, 403);
    let id = optimize(ADMIN, "b").json()["id"].clone();
    assert_eq!(get(server.http, reader, &format!("/v1/tasks/{id}")), 404);
    assert_eq!(get(server.http, &write_a, &format!("/v1/tasks/{id}")), 200);
    let stop = |key: &str| {
        let path = format!("/v1/tasks/{id}");
        ask_with(server.http, "DELETE", &path, &[("api-key", key)], &Value::Null).status
    };
    assert_eq!(stop(writer), 404);
    assert_eq!(stop(&write_a), 403);
    assert_eq!(stop(ADMIN), 200);

    // The keys are read again when the server is told to; what is wrong changes nothing.
    std::fs::write(&config, "[[keys]]\nname = \"reader\"\nrights = \"read-only\"\n").unwrap();
    server.signal("-HUP");
    server.logged("the keys are not used; the old ones stay in force");
    assert_eq!(get(server.http, reader, "/v1/collections/a"), 200);
    let other =
        "[[keys]]\nname = \"new\"\nkey = \"the-key-of-the-new-one\"\nrights = \"read-only\"";
    std::fs::write(&config, other).unwrap();
    server.signal("-HUP");
    server.logged("the keys were read again");
    assert_eq!(get(server.http, reader, "/v1/collections/a"), 401);
    assert_eq!(get(server.http, "the-key-of-the-new-one", "/v1/collections/b"), 200);
}

#[test]
fn tokens_that_are_not_right_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    std::fs::write(&secret, SECRET).unwrap();
    let flags = [
        "--jwt-secret-file",
        secret.to_str().unwrap(),
        "--jwt-audience",
        "this",
        "--http",
        "127.0.0.1:0",
    ];
    let server = Server::start_with(&dir.path().join("db"), &flags);
    let ask = |token: &str| {
        let headers = [("authorization", &*format!("Bearer {token}"))];
        let answer = ask_with(server.http, "GET", "/v1/collections", &headers, &Value::Null);
        let body = answer.json();
        (answer.status, body["detail"].as_str().unwrap_or_default().to_owned())
    };
    let good = json!({"access": "r", "aud": "this", "exp": now() + 60, "nbf": now() - 60});
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        hs256(&claims)
    };
    assert_eq!(ask(&hs256(&good)).0, 200);
    assert_eq!(ask(&with("aud", json!(["that", "this"]))).0, 200);
    assert_eq!(ask(&with("exp", json!(1e300))).0, 200);

    let none = token(&json!({"alg": "none"}), &good, |_| Vec::new());
    let sign = |signed: &[u8]| hmac_of(SECRET, signed);
    let by_other = |secret: &'static [u8]| {
        token(&json!({"alg": "HS256"}), &good, move |signed| hmac_of(secret, signed))
    };
    let mut tampered: Vec<String> = hs256(&good).split('.').map(str::to_owned).collect();
    tampered[1] = URL_SAFE_NO_PAD.encode(json!({"access": "rw", "aud": "this"}).to_string());
    let short = hs256(&good);
    for (token, why) in [
        (none, "signed with `none`"),
        (token(&json!({"alg": "RS256"}), &good, sign), "signed with `RS256`"),
        (token(&json!({"alg": "hs256"}), &good, sign), "signed with `hs256`"),
        (token(&json!({"alg": "HS256", "crit": ["b64"]}), &good, sign), "`crit`"),
        (by_other(b"another secret, as long as the other one"), "signature that is not valid"),
        (by_other(b""), "signature that is not valid"),
        (tampered.join("."), "signature that is not valid"),
        (short[..short.len() - 3].to_owned(), "signature that is not valid"),
        ("a.b.c".to_owned(), "not a JSON Web Token"),
        ("..".to_owned(), "not a JSON Web Token"),
        (with("exp", json!(now() - 3600)), "has expired"),
        (with("exp", json!("soon")), "claims that can't be read"),
        (with("exp", json!(-1)), "`exp` that is not a time"),
        (with("nbf", json!(now() + 3600)), "not valid yet"),
        (with("aud", json!("that")), "not meant for this server"),
        (with("aud", Value::Null), "not meant for this server"),
        (with("access", json!("w")), "not `r` or `rw`"),
        (with("access", Value::Null), "no claim `access`"),
        (
            with("access", json!([{"collection": "a", "access": "r", "payload": {}}])),
            "can't be read",
        ),
        (with("value_exists", json!({"collection": "c"})), "`value_exists`"),
    ] {
        let (status, detail) = ask(&token);
        assert_eq!(status, 401, "{why}: {detail}");
        assert!(detail.contains(why), "{why}: {detail}");
    }
}

/// A public key as a file has it.
fn pem(dir: &std::path::Path, before: &[u8], key: &[u8]) -> String {
    let path = dir.join("public.pem");
    let body = STANDARD.encode([before, key].concat());
    let text = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn tokens_signed_with_a_private_key_are_verified_with_the_public_one() {
    let dir = tempfile::tempdir().unwrap();
    let random = SystemRandom::new();
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
    let ed25519 = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    let p256 = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap();
    let tls = |file: &str| format!("{}/tests/tls/{file}", env!("CARGO_MANIFEST_DIR"));
    let rsa = PrivatePkcs8KeyDer::from_pem_file(tls("token-rsa.pem")).unwrap();
    let rsa = RsaKeyPair::from_pkcs8(rsa.secret_pkcs8_der()).unwrap();
    type Sign<'a> = Box<dyn Fn(&[u8]) -> Vec<u8> + 'a>;
    let by_rsa = |signed: &[u8]| {
        let mut signature = vec![0; rsa.public().modulus_len()];
        rsa.sign(&RSA_PKCS1_SHA256, &random, signed, &mut signature).unwrap();
        signature
    };
    let ed_before = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
    let p256_before = [
        0x30, 0x59, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48,
        0xce, 0x3d, 3, 1, 7, 3, 0x42, 0,
    ];
    let kinds: [(&str, String, Sign<'_>); 3] = [
        ("RS256", tls("token-rsa-public.pem"), Box::new(by_rsa)),
        (
            "EdDSA",
            pem(dir.path(), &ed_before, ed25519.public_key().as_ref()),
            Box::new(|signed| ed25519.sign(signed).as_ref().to_vec()),
        ),
        (
            "ES256",
            String::new(),
            Box::new(|signed| p256.sign(&random, signed).unwrap().as_ref().to_vec()),
        ),
    ];
    for (name, file, sign) in kinds {
        let file = match name {
            "ES256" => pem(dir.path(), &p256_before, p256.public_key().as_ref()),
            _ => file,
        };
        let flags = ["--jwt-public-key-file", file.as_str(), "--grpc", "127.0.0.1:0"];
        let server = Server::start_with(&dir.path().join(name), &flags);
        let claims = json!({"access": "r"});
        let good = token(&json!({"alg": name}), &claims, &sign);
        assert_eq!(get(server.http, &good, "/v1/collections"), 200, "{name}");
        let other = token(&json!({"alg": name}), &json!({"access": "rw"}), &sign);
        let (head, _) = good.rsplit_once('.').unwrap();
        let (_, signature) = other.rsplit_once('.').unwrap();
        assert_eq!(get(server.http, &format!("{head}.{signature}"), "/v1/collections"), 401);
        // The public key is known to all, so nothing may be signed with it as if it were a secret.
        let public = std::fs::read(&file).unwrap();
        let confused = token(&json!({"alg": "HS256"}), &claims, |s| hmac_of(&public, s));
        assert_eq!(get(server.http, &confused, "/v1/collections"), 401, "{name}");
    }
}

#[test]
fn the_packaged_settings_hold() {
    let dir = tempfile::tempdir().unwrap();
    let packaged =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/vecstore.toml"))
            .unwrap();
    let (settings, keys) = packaged.split_at(packaged.find("# [[keys]]").unwrap());
    // As somebody does who sets the two keys.
    let keys = keys.replace("# ", "").replace('#', "");
    let [admin, search] = ["the-key-of-the-admin", "the-key-of-the-search"];
    let keys = keys.replacen('\u{2026}', &sha256_hex(admin), 1);
    let keys = keys.replacen('\u{2026}', &sha256_hex(search), 1);
    let config = dir.path().join("vecstore.toml");
    std::fs::write(&config, format!("{settings}{keys}")).unwrap();
    let flags = ["--config", config.to_str().unwrap()];
    let server = Server::start_with(&dir.path().join("db"), &flags);
    let create = json!({"dim": 2});
    let put = |key: &str, path: &str| {
        ask_with(server.http, "PUT", path, &[("api-key", key)], &create).status
    };
    assert_eq!(put(search, "/v1/collections/docs"), 403);
    assert_eq!(put(admin, "/v1/collections/docs"), 200);
    assert_eq!(get(server.http, search, "/v1/collections/docs"), 200);
    assert_eq!(get(server.http, "the-key-of-nobody", "/v1/collections/docs"), 401);
}

#[test]
fn keys_that_make_no_sense_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |config: &str| {
        let path = dir.path().join("vecstore.toml");
        std::fs::write(&path, config).unwrap();
        let flags = ["--config", path.to_str().unwrap()];
        let output = command(&dir.path().join("db"), &flags).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{config}");
        String::from_utf8(output.stderr).unwrap()
    };
    let entry = |rest: &str| format!("[[keys]]\nname = \"k\"\nrights = \"read-only\"\n{rest}");
    for (config, why) in [
        (entry(""), "give either `key` or `key_sha256`"),
        (
            entry("key = \"long-enough-to-be-one\"\nkey_sha256 = \"00\""),
            "give either `key` or `key_sha256`",
        ),
        (
            entry("key = \"long-enough-to-be-one\"\n").repeat(2),
            "[[keys]] `k`: there are two keys of this name",
        ),
        (entry("key_sha256 = \"00\""), "`key_sha256` is not 64 hexadecimal digits"),
        (entry("key = \"short\""), "[[keys]] `k`: the key is shorter than 16"),
        (entry("key = \"long-enough-to-be-one\"\ncollections = []"), "`collections` is empty"),
        (entry("colections = [\"a\"]"), "unknown field `colections`"),
        ("[[keys]]\nname = \"k\"\nrights = \"all\"".to_owned(), "unknown variant `all`"),
        ("keys = 1".to_owned(), "write each key under `[[keys]]`"),
        ("[[keys]]\nname = \"a b\"\nkey = \"x\"\nrights = \"read-only\"".to_owned(), "not `a b`"),
        (
            format!("[[keys]]\nname = \"{}\"\nkey = \"x\"\nrights = \"read-only\"", "a".repeat(65)),
            "a name has 1 to 64",
        ),
    ] {
        let message = refused(&config);
        assert!(message.contains(why), "{config}: {message}");
    }
    // The line that is wrong is not shown: it may have a key in it.
    let message = refused("threads = 1\napi_key = \"a-key-without-an-end\n");
    assert!(message.contains("line 2") && !message.contains("without-an-end"), "{message}");
}
