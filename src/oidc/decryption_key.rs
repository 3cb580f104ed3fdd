//! Keys of ours that a provider encrypts to: read from PEM, their public half as a JWK (RFC 7517, RFC 7638).
//!
//! RSA for RSA-OAEP-256 and EC on P-256 for ECDH-ES (RFC 7518 sections 4.3 and 4.6). What is done with them is in
//! `jwe`.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::agreement::{self, ECDH_P256};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{OaepPrivateDecryptingKey, PrivateDecryptingKey};
use aws_lc_rs::signature::{KeyPair as _, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Map, Value};
use thiserror::Error;

/// A private key that a provider encrypts to; its public half is for the provider to know.
#[derive(Clone)]
pub struct DecryptionKey(Arc<Inner>);

struct Inner {
    id: String,
    public: Value,
    private: Private,
}

/// The private half, ready to decrypt with.
pub(super) enum Private {
    Rsa(OaepPrivateDecryptingKey),
    P256(agreement::PrivateKey),
}

impl fmt::Debug for DecryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DecryptionKey").field(&self.0.id).finish()
    }
}

/// Why a key can't decrypt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecryptionKeyError {
    /// Not a private key in PEM.
    #[error("is no private key in PEM")]
    NotPem,
    /// Neither RSA of 2048 to 8192 bits nor EC on P-256.
    #[error("is neither an RSA key of 2048 to 8192 bits nor an EC key on P-256")]
    Kind,
}

impl DecryptionKey {
    /// Reads a key in PEM: PKCS #8, PKCS #1 or SEC 1, without a password.
    ///
    /// # Errors
    /// When it is no such key, or one of another kind than we decrypt with.
    pub fn from_pem(pem: &[u8]) -> Result<Self, DecryptionKeyError> {
        let der = PrivateKeyDer::from_pem_slice(pem).map_err(|_| DecryptionKeyError::NotPem)?;
        let der = der.secret_der();
        let inner = Inner::rsa(der).or_else(|| Inner::p256(der)).ok_or(DecryptionKeyError::Kind)?;
        Ok(Self(Arc::new(inner)))
    }

    /// The public half, as the provider's entry for this client wants it (RFC 7517).
    pub fn public_jwk(&self) -> Value {
        self.0.public.clone()
    }

    pub(super) fn id(&self) -> &str {
        &self.0.id
    }

    pub(super) fn alg(&self) -> Alg {
        self.0.private.alg()
    }

    pub(super) fn private(&self) -> &Private {
        &self.0.private
    }
}

impl Inner {
    fn rsa(der: &[u8]) -> Option<Self> {
        let pair = RsaKeyPair::from_pkcs8(der).or_else(|_| RsaKeyPair::from_der(der)).ok()?;
        let pkcs8: Pkcs8V1Der<'_> = pair.as_der().ok()?;
        let private = PrivateDecryptingKey::from_pkcs8(pkcs8.as_ref()).ok()?;
        let public = pair.public_key();
        let n = URL_SAFE_NO_PAD.encode(public.modulus().big_endian_without_leading_zero());
        let e = URL_SAFE_NO_PAD.encode(public.exponent().big_endian_without_leading_zero());
        let private = Private::Rsa(OaepPrivateDecryptingKey::new(private).ok()?);
        Some(Self::new(object([("e", &e), ("kty", "RSA"), ("n", &n)]), private))
    }

    fn p256(der: &[u8]) -> Option<Self> {
        let private = agreement::PrivateKey::from_private_key_der(&ECDH_P256, der).ok()?;
        let public = private.compute_public_key().ok()?;
        let (x, y) = public.as_ref().get(1..)?.split_at_checked(32)?;
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        let members = object([("crv", "P-256"), ("kty", "EC"), ("x", &x), ("y", &y)]);
        Some(Self::new(members, Private::P256(private)))
    }

    fn new(members: Map<String, Value>, private: Private) -> Self {
        let id = thumbprint(&members);
        let mut public = members;
        public.extend(object([("kid", &id), ("use", "enc"), ("alg", private.alg().name())]));
        Self { id, public: Value::Object(public), private }
    }
}

/// RFC 7638 section 3.1: the identifier is the hash of the members that make the key, in order of their names;
/// a JSON map is written here in the order in which it was made.
fn thumbprint(members: &Map<String, Value>) -> String {
    let written = Value::Object(members.clone()).to_string();
    URL_SAFE_NO_PAD.encode(digest(&SHA256, written.as_bytes()))
}

fn object<const N: usize>(members: [(&str, &str); N]) -> Map<String, Value> {
    members.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
}

impl Private {
    const fn alg(&self) -> Alg {
        match self {
            Self::Rsa(_) => Alg::RsaOaep256,
            Self::P256(_) => Alg::EcdhEs,
        }
    }
}

/// How the content encryption key comes (RFC 7518 section 4.1).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Alg {
    RsaOaep256,
    EcdhEs,
}

impl Alg {
    /// The algorithm of that name.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        [Self::RsaOaep256, Self::EcdhEs].into_iter().find(|alg| alg.name() == name)
    }

    /// The name as it stands in `alg`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::RsaOaep256 => "RSA-OAEP-256",
            Self::EcdhEs => "ECDH-ES",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oidc::fixture::Sealer;

    #[test]
    fn keys_of_each_kind_and_spelling_are_read_and_others_refused() {
        for alg in ["RSA-OAEP-256", "ECDH-ES"] {
            let sealer = Sealer::get(alg);
            let key = DecryptionKey::from_pem(sealer.pem.as_bytes()).unwrap();
            assert_eq!((key.alg().name(), key.public_jwk()["alg"].as_str()), (alg, Some(alg)));
            assert_eq!(key.public_jwk()["use"], "enc");
            assert_eq!(key.public_jwk()["kid"], key.id());
            assert_eq!(key.id().len(), 43);
            assert!(!format!("{key:?}").contains("BEGIN"));
            assert!(!key.public_jwk().as_object().unwrap().contains_key("d"), "the private half stays here");
        }
        let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap().serialize_pem();
        let ed25519 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_pem();
        for (pem, expected) in [
            ("", DecryptionKeyError::NotPem),
            ("secret", DecryptionKeyError::NotPem),
            ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", DecryptionKeyError::Kind),
            (&p384, DecryptionKeyError::Kind),
            (&ed25519, DecryptionKeyError::Kind),
        ] {
            assert_eq!(DecryptionKey::from_pem(pem.as_bytes()).unwrap_err(), expected, "{pem}");
        }
    }

    #[test]
    fn a_keys_identifier_is_its_thumbprint() {
        // RFC 7638 section 3.1 has this key and this thumbprint.
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        assert_eq!(
            thumbprint(&object([("e", "AQAB"), ("kty", "RSA"), ("n", n)])),
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        );
    }
}
