//! Certificates that are replaced while the server runs, and certificates of clients.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio_rustls::rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName,
};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

use super::http::head;
use super::process::{Server, command};

/// A certificate and its key.
struct Identity {
    cert: CertificateDer<'static>,
    key: Vec<u8>,
}

struct Authority {
    cert: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let cert = params.self_signed(&key).unwrap().der().clone();
        Authority { cert, issuer: Issuer::new(params, key) }
    }

    fn sign(&self, until_year: i32) -> Identity {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(until_year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Identity { cert, key: key.serialize_der() }
    }
}

fn pem(kind: &str, der: &[u8]) -> String {
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", STANDARD.encode(der))
}

/// The files that a server is given.
struct Files {
    cert: PathBuf,
    key: PathBuf,
}

impl Files {
    fn write(&self, identity: &Identity) {
        std::fs::write(&self.cert, pem("CERTIFICATE", &identity.cert)).unwrap();
        std::fs::write(&self.key, pem("PRIVATE KEY", &identity.key)).unwrap();
    }

    fn start(&self, dir: &Path, more: &[&str]) -> Server {
        let (cert, key) = (self.cert.to_str().unwrap(), self.key.to_str().unwrap());
        let own: &[&str] = &["--tls-cert", cert, "--tls-key", key];
        Server::start_with(&dir.join("db"), &[own, more].concat())
    }
}

fn files(dir: &Path) -> Files {
    Files { cert: dir.join("cert.pem"), key: dir.join("key.pem") }
}

/// The certificate that a server shows, if it talks to this client.
fn talk(
    to: SocketAddr,
    alpn: &[u8],
    root: &Authority,
    client: Option<&Identity>,
) -> std::io::Result<Vec<u8>> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut roots = RootCertStore::empty();
    roots.add(root.cert.clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match client {
        None => builder.with_no_client_auth(),
        Some(client) => {
            let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(client.key.clone()));
            builder.with_client_auth_cert(vec![client.cert.clone()], key).unwrap()
        }
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(to).await?;
        let mut stream = connector.connect(ServerName::from(to.ip()), stream).await?;
        let request = match alpn {
            b"h2" => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(),
            _ => head(to, "GET", "/livez", &[], 0).into_bytes(),
        };
        stream.write_all(&request).await?;
        // Whether a server takes a certificate shows with the first bytes it answers.
        let mut bytes = [0; 12];
        stream.read_exact(&mut bytes).await?;
        let answered = match alpn {
            b"h2" => bytes[3] == 4,
            _ => bytes.starts_with(b"HTTP/1.1 200"),
        };
        assert!(answered, "{bytes:?}");
        Ok(stream.get_ref().1.peer_certificates().unwrap()[0].to_vec())
    })
}

#[test]
fn a_renewed_certificate_is_taken_without_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let files = files(dir.path());
    let authority = Authority::new("servers");
    let [first, second, third] = [(); 3].map(|()| authority.sign(2100));
    files.write(&first);
    let server = files.start(dir.path(), &[]);
    let shown = || talk(server.http, b"http/1.1", &authority, None).unwrap();
    assert_eq!(shown(), first.cert.to_vec());

    files.write(&second);
    server.signal("-HUP");
    server.logged("the TLS files were read again; new connections use them");
    assert_eq!(shown(), second.cert.to_vec());
    assert_eq!(talk(server.grpc, b"h2", &authority, None).unwrap(), second.cert.to_vec());

    // What can't be used leaves the old one: no PEM, and a key of another certificate.
    std::fs::write(&files.cert, "no certificate").unwrap();
    server.signal("-HUP");
    let refused = "the TLS files are not used; the old ones stay in force";
    let line = server.logged(refused);
    assert!(line["error"].as_str().unwrap().contains("cert.pem"), "{line}");
    std::fs::write(&files.cert, pem("CERTIFICATE", &third.cert)).unwrap();
    server.signal("-HUP");
    server.logged(refused);
    assert_eq!(shown(), second.cert.to_vec());

    // Nobody has to tell.
    files.write(&third);
    server.logged("the TLS files were read again; new connections use them");
    assert_eq!(shown(), third.cert.to_vec());
}

#[test]
fn only_clients_with_a_certificate_connect_if_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let files = files(dir.path());
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    files.write(&servers.sign(2100));
    let ca = dir.path().join("clients.pem");
    std::fs::write(&ca, pem("CERTIFICATE", &clients.cert)).unwrap();
    // No key is needed then to listen where others can reach.
    let flags = ["--tls-client-ca", ca.to_str().unwrap(), "--http", "0.0.0.0:0"];
    let server = files.start(dir.path(), &flags);
    let http: SocketAddr = ([127, 0, 0, 1], server.http.port()).into();

    let good = clients.sign(2100);
    let wrong_authority = Authority::new("clients").sign(2100);
    let expired = clients.sign(2001);
    for (to, alpn) in [(http, &b"http/1.1"[..]), (server.grpc, &b"h2"[..])] {
        let talks = |client: Option<&Identity>| talk(to, alpn, &servers, client).is_ok();
        assert!(talks(Some(&good)));
        assert!(!talks(None), "no certificate");
        assert!(!talks(Some(&wrong_authority)), "signed by another of the same name");
        assert!(!talks(Some(&expired)), "expired");
    }

    // The authorities are read again too.
    let others = Authority::new("others");
    std::fs::write(&ca, pem("CERTIFICATE", &others.cert)).unwrap();
    server.signal("-HUP");
    server.logged("the TLS files were read again; new connections use them");
    assert!(talk(http, b"http/1.1", &servers, Some(&good)).is_err());
    assert!(talk(http, b"http/1.1", &servers, Some(&others.sign(2100))).is_ok());
}

#[test]
fn what_makes_no_sense_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let files = files(dir.path());
    let authority = Authority::new("servers");
    files.write(&authority.sign(2100));
    let empty = dir.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let (cert, key) = (files.cert.to_str().unwrap(), files.key.to_str().unwrap());
    let empty = empty.to_str().unwrap();
    for (flags, why) in [
        (vec!["--tls-client-ca", empty], "`tls_client_ca` needs `tls_cert`"),
        (vec!["--tls-cert", cert, "--tls-key", key, "--tls-client-ca", empty], "no certificate in"),
        (vec!["--tls-cert", empty, "--tls-key", key], "empty.pem: there is no certificate in it"),
        (vec!["--tls-cert", cert, "--tls-key", empty], "empty.pem: not PEM"),
    ] {
        let output = command(&dir.path().join("db"), &flags).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(why), "{message}");
    }
    let other = authority.sign(2100);
    std::fs::write(&files.key, pem("PRIVATE KEY", &other.key)).unwrap();
    let flags = ["--tls-cert", cert, "--tls-key", key];
    let output = command(&dir.path().join("db"), &flags).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains(&format!("{cert} with {key}")), "{message}");
    assert!(!dir.path().join("db").exists(), "nothing was begun");
}
