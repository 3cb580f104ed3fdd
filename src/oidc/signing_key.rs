//! The client's own private key: read from PEM, its public half as a JWK, its name, its signatures.
//!
//! RFC 7517, RFC 7518 sections 3 and 6, RFC 8037 section 2, RFC 7638. What is signed is the matter of
//! `own_jwt`; the provider's keys are that of `jwks`.

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use thiserror::Error;

use super::Algorithm;
use super::algorithm::KeyKind;

/// A private key of ours that signs client assertions and request objects.
pub struct SigningKey {
    pair: Pair,
    id: String,
    jwk: Value,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ec(KeyKind, EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// Why a text is no key to sign with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SigningKeyError {
    /// There is no PEM in it.
    #[error("it is not PEM")]
    NotPem,
    /// A password would be needed.
    #[error("it is encrypted with a password")]
    Encrypted,
    /// It is something else in PEM.
    #[error("it is {0}, not a private key")]
    Other(&'static str),
    /// The PEM or what it holds is damaged.
    #[error("it is damaged")]
    Broken,
    /// Another kind of key, another curve, or too short.
    #[error("it is of a kind or a size that can't be used")]
    Unusable,
}

impl SigningKey {
    /// What [`SigningKey::from_pem`] takes, in words.
    pub const EXPECTED: &'static str =
        "a private key in PEM: RSA of 2048 to 8192 bits, EC on P-256 or P-384, or Ed25519";

    /// Reads the first private key of a PEM text: PKCS #8, PKCS #1 or SEC 1.
    ///
    /// # Errors
    /// When there is none, or none that we can sign with.
    pub fn from_pem(pem: &str) -> Result<Self, SigningKeyError> {
        let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| what_else(pem))?;
        let pair = match &der {
            PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()).ok().map(Pair::Rsa),
            PrivateKeyDer::Sec1(key) => ec(key.secret_sec1_der()),
            PrivateKeyDer::Pkcs8(key) => {
                let key = key.secret_pkcs8_der();
                let rsa = || RsaKeyPair::from_pkcs8(key).ok().map(Pair::Rsa);
                let ed25519 = || Ed25519KeyPair::from_pkcs8_maybe_unchecked(key).ok().map(Pair::Ed25519);
                rsa().or_else(|| ec(key)).or_else(ed25519)
            }
            _ => None,
        };
        Self::of(pair.ok_or(SigningKeyError::Unusable)?)
    }

    fn of(pair: Pair) -> Result<Self, SigningKeyError> {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        // RFC 7638 section 3: the members that make the key, by name, without spaces.
        let (canonical, mut jwk) = match &pair {
            Pair::Rsa(pair) => {
                let public = pair.public_key();
                let n = text(public.modulus().big_endian_without_leading_zero());
                let e = text(public.exponent().big_endian_without_leading_zero());
                (format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#), json!({"kty": "RSA", "n": n, "e": e}))
            }
            Pair::Ec(kind, pair) => {
                // SEC 1 section 2.3.3: a 4, then both coordinates in full length.
                let point = pair.public_key().as_ref().get(1..).ok_or(SigningKeyError::Broken)?;
                let (x, y) = point.split_at(point.len() / 2);
                let (x, y) = (text(x), text(y));
                let crv = if *kind == KeyKind::P256 { "P-256" } else { "P-384" };
                let canonical = format!(r#"{{"crv":"{crv}","kty":"EC","x":"{x}","y":"{y}"}}"#);
                (canonical, json!({"kty": "EC", "crv": crv, "x": x, "y": y}))
            }
            Pair::Ed25519(pair) => {
                let x = text(pair.public_key().as_ref());
                let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
                (canonical, json!({"kty": "OKP", "crv": "Ed25519", "x": x}))
            }
        };
        let id = text(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
        if let Some(members) = jwk.as_object_mut() {
            // No `alg`: which one is used is the provider's choice among those that the key can make.
            members.insert("use".into(), "sig".into());
            members.insert("kid".into(), id.as_str().into());
        }
        Ok(Self { pair, id, jwk })
    }

    /// Its name, `kid`: the thumbprint of RFC 7638.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The public half, as the provider has to know it (RFC 7517 section 4).
    pub const fn public_jwk(&self) -> &Value {
        &self.jwk
    }

    /// The algorithms that it can sign with, the best first.
    pub const fn algorithms(&self) -> &'static [Algorithm] {
        match &self.pair {
            Pair::Rsa(_) => &[
                Algorithm::Ps256,
                Algorithm::Rs256,
                Algorithm::Ps384,
                Algorithm::Ps512,
                Algorithm::Rs384,
                Algorithm::Rs512,
            ],
            Pair::Ec(KeyKind::P256, _) => &[Algorithm::Es256],
            Pair::Ec(..) => &[Algorithm::Es384],
            Pair::Ed25519(_) => &[Algorithm::EdDsa],
        }
    }

    /// The algorithm for a provider that says nothing: the one of its kind that every provider should know
    /// (OpenID Connect Discovery 1.0 section 3: RS256).
    pub(super) const fn usual(&self) -> Algorithm {
        match &self.pair {
            Pair::Rsa(_) => Algorithm::Rs256,
            Pair::Ec(KeyKind::P256, _) => Algorithm::Es256,
            Pair::Ec(..) => Algorithm::Es384,
            Pair::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    /// The signature of `message` (RFC 7518 section 3); `None` when the key can't make one of this algorithm.
    pub(super) fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Option<Vec<u8>> {
        if !self.algorithms().contains(&algorithm) {
            return None;
        }
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut made = vec![0; pair.public_modulus_len()];
                pair.sign(encoding(algorithm)?, &SystemRandom::new(), message, &mut made).ok()?;
                Some(made)
            }
            Pair::Ec(_, pair) => Some(pair.sign(&SystemRandom::new(), message).ok()?.as_ref().to_vec()),
            Pair::Ed25519(pair) => Some(pair.try_sign(message).ok()?.as_ref().to_vec()),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.id)
    }
}

fn ec(der: &[u8]) -> Option<Pair> {
    [
        (KeyKind::P256, &signature::ECDSA_P256_SHA256_FIXED_SIGNING),
        (KeyKind::P384, &signature::ECDSA_P384_SHA384_FIXED_SIGNING),
    ]
    .into_iter()
    .find_map(|(kind, curve)| Some(Pair::Ec(kind, EcdsaKeyPair::from_private_key_der(curve, der).ok()?)))
}

fn encoding(algorithm: Algorithm) -> Option<&'static dyn signature::RsaEncoding> {
    Some(match algorithm {
        Algorithm::Rs256 => &signature::RSA_PKCS1_SHA256,
        Algorithm::Rs384 => &signature::RSA_PKCS1_SHA384,
        Algorithm::Rs512 => &signature::RSA_PKCS1_SHA512,
        Algorithm::Ps256 => &signature::RSA_PSS_SHA256,
        Algorithm::Ps384 => &signature::RSA_PSS_SHA384,
        Algorithm::Ps512 => &signature::RSA_PSS_SHA512,
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => return None,
    })
}

/// What a text is in which no private key was found (RFC 7468).
fn what_else(pem: &str) -> SigningKeyError {
    let holds = |label: &str| pem.contains(&format!("-----BEGIN {label}"));
    if holds("ENCRYPTED PRIVATE KEY") || pem.contains("Proc-Type: 4,ENCRYPTED") {
        SigningKeyError::Encrypted
    } else if holds("PUBLIC KEY") || holds("RSA PUBLIC KEY") {
        SigningKeyError::Other("a public key")
    } else if holds("CERTIFICATE REQUEST") {
        SigningKeyError::Other("a certificate request")
    } else if holds("CERTIFICATE") {
        SigningKeyError::Other("a certificate")
    } else if holds("OPENSSH PRIVATE KEY") {
        SigningKeyError::Other("an OpenSSH key")
    } else if holds("") {
        SigningKeyError::Broken
    } else {
        SigningKeyError::NotPem
    }
}

#[cfg(test)]
mod tests;
