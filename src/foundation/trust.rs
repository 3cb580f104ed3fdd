//! Whom we trust when we open a TLS connection: the system's roots, and those that a setting adds.

use std::sync::{Arc, OnceLock};

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{ClientConfig, RootCertStore};
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

/// A TLS client that trusts the system's roots and, besides, `extra_roots`. The system's are loaded with the
/// first call, and once for all who add none.
///
/// # Errors
/// When the system's roots cannot be loaded, or an extra root is no certificate.
pub fn client_config(extra_roots: Vec<CertificateDer<'static>>) -> Result<ClientConfig, TrustError> {
    static SYSTEM: OnceLock<Arc<Verifier>> = OnceLock::new();
    let load = |roots| Verifier::new_with_extra_roots(roots, crypto_provider()).map(Arc::new);
    let verifier = match SYSTEM.get() {
        Some(system) if extra_roots.is_empty() => Arc::clone(system),
        None if extra_roots.is_empty() => {
            let system = load(extra_roots)?;
            Arc::clone(SYSTEM.get_or_init(|| system))
        }
        _ => load(extra_roots)?,
    };
    let builder =
        ClientConfig::builder_with_provider(crypto_provider()).with_safe_default_protocol_versions()?;
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// A TLS client that trusts nobody, for connections that have no TLS: nothing is loaded for it.
///
/// # Errors
/// Never with the protocol versions that rustls has.
pub fn nobody() -> Result<ClientConfig, TrustError> {
    let builder =
        ClientConfig::builder_with_provider(crypto_provider()).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

/// The name that a server must prove: a DNS name or an IP address (IPv6 with or without brackets).
pub fn server_name(host: &str) -> Option<ServerName<'static>> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    ServerName::try_from(bare.to_owned()).ok()
}
