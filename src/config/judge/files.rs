//! What the configuration names and does not hold: secrets in the environment, certificates, keys, logos.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::Judge;
use crate::config::place::KeyPath;
use crate::config::problem::Finding;
use crate::config::raw::{RawSecret, Tls};
use crate::config::source::shown;
use crate::foundation::secret::Secret;
use crate::foundation::trust::crypto_provider;
use crate::server::CertificateFiles;

/// Certificates and secrets are smaller than this.
const LARGEST_FILE: u64 = 1024 * 1024;
/// A logo goes along with each page.
const LARGEST_LOGO: u64 = 64 * 1024;

impl Judge<'_> {
    /// A path of the configuration, from the directory of its file.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        self.base.join(text)
    }

    /// The secret that is written or named.
    pub(super) fn secret(&mut self, at: &KeyPath, raw: &RawSecret) -> Option<Secret> {
        let (path, secret) = match raw {
            RawSecret::Literal(text) => (at.clone(), Secret::new(text.as_str())),
            RawSecret::Environment { env } => {
                let path = at.key("env");
                let Some(text) = self.environment.get(env) else {
                    let finding = Finding::invalid("names a variable that is not set").found(shown(env));
                    let mend = "set the variable where Vestibule is started, or use { file = \"path\" }";
                    return self.refuse(&path, finding.mend(mend));
                };
                if text.contains('\u{fffd}') {
                    return self.refuse(
                        &path,
                        Finding::invalid("names a variable that is not UTF-8").found(shown(env)),
                    );
                }
                (path, Secret::new(text.as_str()))
            }
            RawSecret::File { file } => {
                let path = at.key("file");
                let bytes = self.file(&path, file)?;
                let Ok(text) = std::str::from_utf8(&bytes) else {
                    return self.refuse(
                        &path,
                        Finding::invalid("names a file that is not UTF-8").found(shown(file)),
                    );
                };
                let text = text.strip_suffix('\n').unwrap_or(text);
                (path, Secret::new(text.strip_suffix('\r').unwrap_or(text)))
            }
        };
        if secret.is_empty() {
            return self.refuse(&path, Finding::invalid("is empty").expected("a secret"));
        }
        Some(secret)
    }

    /// The certificates of a PEM file, fit to be trusted.
    pub(super) fn trusted_certificates(
        &mut self,
        at: &KeyPath,
        file: Option<&str>,
    ) -> Option<Vec<CertificateDer<'static>>> {
        let Some(file) = file else { return Some(Vec::new()) };
        let certificates = self.certificates(at, file)?;
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            if let Err(error) = roots.add(certificate.clone()) {
                let why = format!("holds a certificate that can't be trusted: {error}");
                return self.refuse(at, Finding::invalid(why).found(shown(file)));
            }
        }
        Some(certificates)
    }

    /// A certificate with its key, both read and found to belong together.
    pub(super) fn certificate_files(&mut self, at: &KeyPath, tls: &Tls) -> Option<CertificateFiles> {
        let mend = "write tls = { cert = \"gateway.pem\", key = \"gateway.key\" }";
        self.certified_key(at, tls, mend)?;
        Some(CertificateFiles { cert: self.path(tls.cert.as_deref()?), key: self.path(tls.key.as_deref()?) })
    }

    /// What the two files hold, when they belong together. `mend` is how the table is written.
    pub(super) fn certified_key(&mut self, at: &KeyPath, tls: &Tls, mend: &str) -> Option<CertifiedKey> {
        let cert = self.required(&at.key("cert"), tls.cert.as_deref(), "a PEM file", mend);
        let key = self.required(&at.key("key"), tls.key.as_deref(), "a PEM file", mend);
        let chain = cert.and_then(|cert| self.certificates(&at.key("cert"), cert));
        let private = key.and_then(|key| self.private_key(&at.key("key"), key));
        match CertifiedKey::from_der(chain?, private?, &crypto_provider()) {
            Ok(both) => Some(both),
            Err(error) => {
                let finding = Finding::invalid(format!("does not fit the certificate: {error}"));
                self.refuse(&at.key("key"), finding.mend("name the key that the certificate was made for"))
            }
        }
    }

    /// A logo as a `data:` address.
    pub(super) fn logo(&mut self, at: &KeyPath, file: &str) -> Option<String> {
        let bytes = self.file_up_to(at, file, LARGEST_LOGO)?;
        let is_svg = std::str::from_utf8(&bytes)
            .is_ok_and(|text| text.trim_start().starts_with('<') && text.contains("<svg"));
        let kind = match bytes.as_slice() {
            [0x89, b'P', b'N', b'G', ..] => "image/png",
            [0xff, 0xd8, 0xff, ..] => "image/jpeg",
            _ if is_svg => "image/svg+xml",
            _ => {
                let finding = Finding::invalid("names a file that is no picture").found(shown(file));
                return self.refuse(at, finding.expected("an SVG, PNG or JPEG file"));
            }
        };
        Some(format!("data:{kind};base64,{}", STANDARD.encode(bytes)))
    }

    fn certificates(&mut self, at: &KeyPath, file: &str) -> Option<Vec<CertificateDer<'static>>> {
        let bytes = self.file(at, file)?;
        match CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>() {
            Ok(certificates) if !certificates.is_empty() => Some(certificates),
            _ => {
                let finding = Finding::invalid("names a file without a certificate").found(shown(file));
                self.refuse(at, finding.expected("PEM: -----BEGIN CERTIFICATE-----"))
            }
        }
    }

    fn private_key(&mut self, at: &KeyPath, file: &str) -> Option<PrivateKeyDer<'static>> {
        let bytes = self.file(at, file)?;
        PrivateKeyDer::from_pem_slice(&bytes).ok().or_else(|| {
            let is_encrypted = bytes.windows(9).any(|word| word == b"ENCRYPTED");
            let why = if is_encrypted {
                "names a key that is encrypted with a password"
            } else {
                "names a file without a private key"
            };
            let finding = Finding::invalid(why).found(shown(file));
            self.refuse(at, finding.expected("PEM: -----BEGIN PRIVATE KEY-----, without a password"))
        })
    }

    /// All of a file that is named.
    pub(super) fn file(&mut self, at: &KeyPath, file: &str) -> Option<Vec<u8>> {
        self.file_up_to(at, file, LARGEST_FILE)
    }

    fn file_up_to(&mut self, at: &KeyPath, file: &str, largest: u64) -> Option<Vec<u8>> {
        let path = self.path(file);
        match read(&path, largest) {
            Ok(bytes) if bytes.len() as u64 <= largest => Some(bytes),
            Ok(_) => {
                let why = format!("names a file larger than {} KiB", largest / 1024);
                self.refuse(at, Finding::invalid(why).found(shown(file)))
            }
            Err(error) => {
                let finding = Finding::invalid(format!("names a file that can't be read: {error}"));
                self.refuse(
                    at,
                    finding
                        .found(path.display().to_string())
                        .mend("relative paths begin at the configuration file"),
                )
            }
        }
    }
}

fn read(path: &Path, largest: u64) -> std::io::Result<Vec<u8>> {
    // A pipe that nobody writes to would wait for ever.
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(largest + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
