//! Whom we trust when we open a TLS connection: the system's roots, and those that a setting adds.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls_pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::Verifier;
use thiserror::Error;

/// The trust could not be set up.
#[derive(Debug, Error)]
#[error("the TLS trust roots can't be used: {0}")]
pub struct TrustError(#[from] rustls::Error);

/// The one cryptographic provider of the process.
pub fn crypto_provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// A TLS client that trusts the system's roots and, besides, `extra_roots`.
///
/// # Errors
/// When the system's roots cannot be loaded, or an extra root is no certificate.
pub fn client_config(extra_roots: Vec<CertificateDer<'static>>) -> Result<ClientConfig, TrustError> {
    let provider = crypto_provider();
    let verifier = Verifier::new_with_extra_roots(extra_roots, Arc::clone(&provider))?;
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

/// The name that a server must prove: a DNS name or an IP address (IPv6 with or without brackets).
pub fn server_name(host: &str) -> Option<ServerName<'static>> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    ServerName::try_from(bare.to_owned()).ok()
}
