//! Signing keys of the misbehaving provider, and the tokens it makes with them.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair};
use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Map, Value, json};

/// One key pair with its identifier.
pub struct SigningKey {
    /// `kid`
    pub id: String,
    /// `alg`
    pub algorithm: &'static str,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    /// A new key for this algorithm (RFC 7518 section 3.1).
    pub fn new(id: &str, algorithm: &'static str) -> Self {
        let pair = match algorithm {
            "ES256" => {
                Pair::Ecdsa(EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
            }
            "ES384" => {
                Pair::Ecdsa(EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap())
            }
            "EdDSA" => Pair::Ed25519(Ed25519KeyPair::generate().unwrap()),
            _ => Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()),
        };
        Self { id: id.into(), algorithm, pair }
    }

    /// The public half as a key of a key set (RFC 7517).
    pub fn jwk(&self) -> Value {
        let mut jwk = match &self.pair {
            Pair::Rsa(pair) => {
                let public = pair.public_key();
                json!({"kty": "RSA",
                    "n": BASE64.encode(public.modulus().big_endian_without_leading_zero()),
                    "e": BASE64.encode(public.exponent().big_endian_without_leading_zero())})
            }
            Pair::Ecdsa(pair) => {
                // An uncompressed point: 4, then both coordinates.
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let curve = if self.algorithm == "ES384" { "P-384" } else { "P-256" };
                json!({"kty": "EC", "crv": curve, "x": BASE64.encode(x), "y": BASE64.encode(y)})
            }
            Pair::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": BASE64.encode(pair.public_key().as_ref())})
            }
        };
        jwk["kid"] = json!(self.id);
        jwk["use"] = json!("sig");
        jwk["alg"] = json!(self.algorithm);
        jwk
    }

    /// The public half as DER, which a confused client would take for a shared secret.
    pub fn public_der(&self) -> Vec<u8> {
        match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Pair::Ecdsa(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let encoding: &'static dyn signature::RsaEncoding = match self.algorithm {
            "RS256" => &signature::RSA_PKCS1_SHA256,
            "RS384" => &signature::RSA_PKCS1_SHA384,
            "RS512" => &signature::RSA_PKCS1_SHA512,
            "PS256" => &signature::RSA_PSS_SHA256,
            "PS384" => &signature::RSA_PSS_SHA384,
            _ => &signature::RSA_PSS_SHA512,
        };
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut made = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, message, &mut made).unwrap();
                made
            }
            Pair::Ecdsa(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// A signed token with this header and payload.
    pub fn token(&self, header: &Map<String, Value>, claims: &Value) -> String {
        let message = message(header, claims);
        let made = BASE64.encode(self.sign(message.as_bytes()));
        format!("{message}.{made}")
    }
}

/// A token with an empty signature.
pub fn unsigned(header: &Map<String, Value>, claims: &Value) -> String {
    format!("{}.", message(header, claims))
}

/// A token whose signature is a keyed hash (HS256).
pub fn hashed(key: &[u8], header: &Map<String, Value>, claims: &Value) -> String {
    let message = message(header, claims);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message.as_bytes());
    format!("{message}.{}", BASE64.encode(tag))
}

fn message(header: &Map<String, Value>, claims: &Value) -> String {
    let header = Value::Object(header.clone()).to_string();
    format!("{}.{}", BASE64.encode(header), BASE64.encode(claims.to_string()))
}

/// The left half of a SHA-256 hash, as `at_hash` has it.
pub fn half_hash(text: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    BASE64.encode(&digest.as_ref()[..16])
}

/// The whole SHA-256 hash, as `code_challenge` has it.
pub fn hash(text: &str) -> String {
    BASE64.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes()))
}

/// Something nobody guesses.
pub fn random() -> String {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).unwrap();
    BASE64.encode(bytes)
}
