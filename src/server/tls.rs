//! TLS for browsers: certificates loaded and checked once, chosen by the name that the browser asks for.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::client::verify_server_name;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;

use super::CertificateFiles;
use crate::foundation::trust;

/// A certificate or its key can't be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file can't be read, or is not PEM.
    #[error("{path} can't be read: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// A file holds no certificate.
    #[error("{path} holds no certificate in PEM form")]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The key does not belong to the certificate, or can't be used.
    #[error("the key {key} does not fit the certificate {cert}: {source}")]
    Mismatch {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What the library said.
        source: rustls::Error,
    },
    /// The TLS library can't be set up.
    #[error("TLS can't be set up: {0}")]
    Setup(rustls::Error),
}

/// Loads the certificates into one configuration that all workers share, session tickets included.
///
/// # Errors
/// When a file can't be read, or a key does not fit its certificate.
pub fn load(files: &[CertificateFiles]) -> Result<Arc<ServerConfig>, TlsError> {
    let certificates = files.iter().map(certified).collect::<Result<Vec<_>, _>>()?;
    let builder = ServerConfig::builder_with_provider(trust::crypto_provider());
    let builder = builder.with_safe_default_protocol_versions().map_err(TlsError::Setup)?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(BySni(certificates)));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ticketer = Ticketer::new().map_err(TlsError::Setup)?;
    Ok(Arc::new(config))
}

/// The server's own certificate of each pair, in DER.
///
/// # Errors
/// As [`load`].
pub fn own_certificates(files: &[CertificateFiles]) -> Result<Vec<Vec<u8>>, TlsError> {
    let own = |pair| Ok(certified(pair)?.cert.first().map_or_else(Vec::new, |own| own.to_vec()));
    files.iter().map(own).collect()
}

fn certified(pair: &CertificateFiles) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain: Result<Vec<CertificateDer<'static>>, _> =
        CertificateDer::pem_file_iter(&pair.cert).and_then(Iterator::collect);
    let chain = chain.map_err(|source| TlsError::File { path: pair.cert.clone(), source })?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate { path: pair.cert.clone() });
    }
    let key = PrivateKeyDer::from_pem_file(&pair.key)
        .map_err(|source| TlsError::File { path: pair.key.clone(), source })?;
    // Checks that the key's public half is the certificate's.
    CertifiedKey::from_der(chain, key, &trust::crypto_provider())
        .map(Arc::new)
        .map_err(|source| TlsError::Mismatch { cert: pair.cert.clone(), key: pair.key.clone(), source })
}

/// The certificates in the order of the configuration.
#[derive(Debug)]
struct BySni(Vec<Arc<CertifiedKey>>);

impl BySni {
    /// The first certificate that proves `name`, by an exact or a wildcard name; without one the first of
    /// all, and the browser says what it thinks of that.
    fn find(&self, name: Option<&str>) -> Option<&Arc<CertifiedKey>> {
        let name = name.and_then(trust::server_name);
        let fits = |key: &&Arc<CertifiedKey>| {
            let parsed = key.end_entity_cert().and_then(ParsedCertificate::try_from);
            matches!((parsed, &name), (Ok(cert), Some(name)) if verify_server_name(&cert, name).is_ok())
        };
        self.0.iter().find(fits).or_else(|| self.0.first())
    }
}

impl ResolvesServerCert for BySni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.server_name()).cloned()
    }
}
