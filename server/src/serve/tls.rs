//! Encryption, if a certificate is set.

use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::pem::{Error as PemError, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, crypto::ring};

use crate::failure::{Failure, Result};
use crate::settings::Settings;

/// What turns connections into encrypted ones; none without a certificate.
pub(super) fn acceptor(settings: &Settings) -> Result<Option<TlsAcceptor>> {
    let (Some(cert), Some(key)) = (&settings.tls_cert.0, &settings.tls_key.0) else {
        return Ok(None);
    };
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
        .map_err(|e| unreadable(cert, e))?;
    if chain.is_empty() {
        return Err(Failure::usage(format!("{}: there is no certificate in it", cert.display())));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|e| unreadable(key, e))?;
    let unusable = |e| Failure::usage(format!("{} with {}: {e}", cert.display(), key.display()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

fn unreadable(path: &Path, error: PemError) -> Failure {
    match error {
        PemError::Io(error) => Failure::io(path.display(), &error),
        error => Failure::usage(format!("{}: not PEM: {error}", path.display())),
    }
}
