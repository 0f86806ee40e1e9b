//! Encryption, if a certificate is set, and who may connect, if a certificate of clients is wanted.
//!
//! The files are read again on SIGHUP and every few seconds, so a renewed certificate needs no
//! restart. Connections that are open keep what they began with.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::pem::{Error as PemError, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::failure::{Failure, Result};
use crate::settings::Settings;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// What new connections are encrypted with.
pub(super) type Acceptor = watch::Receiver<TlsAcceptor>;

/// The files, and what was made of them.
pub(super) struct Tls {
    cert: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
    /// What was tried last, used or refused; none if the files could not be read.
    tried: Option<Contents>,
    acceptor: watch::Sender<TlsAcceptor>,
}

/// The bytes of the files. They are a few KiB, and comparing them misses no change, as times can.
#[derive(PartialEq, Eq)]
struct Contents {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl Tls {
    /// None without a certificate.
    pub(super) fn load(settings: &Settings) -> Result<Option<Self>> {
        let (Some(cert), Some(key)) = (&settings.tls_cert.0, &settings.tls_key.0) else {
            return Ok(None);
        };
        let (cert, key, client_ca) = (cert.clone(), key.clone(), settings.tls_client_ca.0.clone());
        let tried = read(&cert, &key, client_ca.as_deref())?;
        let acceptor = tried.acceptor(&cert, &key, client_ca.as_deref())?;
        let tried = Some(tried);
        Ok(Some(Tls { cert, key, client_ca, tried, acceptor: watch::Sender::new(acceptor) }))
    }

    pub(super) fn acceptor(&self) -> Acceptor {
        self.acceptor.subscribe()
    }

    /// Looks at the files until the server ends: when `asked`, and every [`LOOK`].
    pub(super) async fn watch(mut self, mut asked: watch::Receiver<()>) {
        loop {
            let asked = tokio::select! {
                changed = asked.changed() => match changed {
                    Ok(()) => true,
                    Err(_) => return,
                },
                () = tokio::time::sleep(LOOK) => false,
            };
            self.look(asked);
        }
    }

    /// Takes what is new. What can't be used leaves everything as it was and is told once, or each
    /// time somebody asks: files that are being replaced do not fit together for a moment.
    fn look(&mut self, asked: bool) {
        let client_ca = self.client_ca.as_deref();
        let now = match read(&self.cert, &self.key, client_ca) {
            Ok(now) if self.tried.as_ref() == Some(&now) && !asked => return,
            Err(_) if self.tried.is_none() && !asked => return,
            now => now,
        };
        if now.is_err() {
            self.tried = None;
        }
        let made = now.and_then(|now| {
            let acceptor = now.acceptor(&self.cert, &self.key, client_ca);
            self.tried = Some(now);
            acceptor
        });
        match made {
            Ok(acceptor) => {
                self.acceptor.send_replace(acceptor);
                tracing::info!("the TLS files were read again; new connections use them");
            }
            Err(error) => {
                tracing::error!(%error, "the TLS files are not used; the old ones stay in force");
            }
        }
    }
}

fn read(cert: &Path, key: &Path, client_ca: Option<&Path>) -> Result<Contents> {
    let bytes = |path: &Path| std::fs::read(path).map_err(|e| Failure::io(path.display(), &e));
    Ok(Contents {
        cert: bytes(cert)?,
        key: bytes(key)?,
        client_ca: client_ca.map(bytes).transpose()?,
    })
}

impl Contents {
    fn acceptor(&self, cert: &Path, key: &Path, client_ca: Option<&Path>) -> Result<TlsAcceptor> {
        let chain = certificates(&self.cert, cert)?;
        let private = PrivateKeyDer::from_pem_slice(&self.key).map_err(|e| unreadable(key, e))?;
        let unusable =
            |e| Failure::usage(format!("{} with {}: {e}", cert.display(), key.display()));
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?;
        let builder = match (&self.client_ca, client_ca) {
            (Some(bytes), Some(path)) => {
                builder.with_client_cert_verifier(verifier(bytes, path, provider)?)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, private).map_err(unusable)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// Lets in who has a certificate signed by one of those in `bytes`, and nobody else.
fn verifier(
    bytes: &[u8],
    path: &Path,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn tokio_rustls::rustls::server::danger::ClientCertVerifier>> {
    let unusable = |e: &dyn std::fmt::Display| Failure::usage(format!("{}: {e}", path.display()));
    let mut roots = RootCertStore::empty();
    for root in certificates(bytes, path)? {
        roots.add(root).map_err(|e| unusable(&e))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|e| unusable(&e))
}

fn certificates(bytes: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_slice_iter(bytes)
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|e| unreadable(path, e))?;
    if all.is_empty() {
        return Err(Failure::usage(format!("{}: there is no certificate in it", path.display())));
    }
    Ok(all)
}

fn unreadable(path: &Path, error: PemError) -> Failure {
    Failure::usage(format!("{}: not PEM: {error}", path.display()))
}
