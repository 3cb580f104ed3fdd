//! Keys that a provider encrypts to, and tokens that the misbehaving provider encrypts (RFC 7516).

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, ECDH_P256, UnparsedPublicKey};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::kdf::{SskdfDigestAlgorithmId, get_sskdf_digest_algorithm, sskdf_digest};
use aws_lc_rs::rand;
use aws_lc_rs::rsa::{KeySize, OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PrivateDecryptingKey};
use aws_lc_rs::signature::{KeyPair as _, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as BASE64};
use serde_json::{Value, json};

/// The gateway's key of one kind.
pub struct EncryptionKey {
    /// The private half, PEM.
    pub pem: String,
    /// The public half, as a provider wants it (RFC 7517).
    pub jwk: Value,
    to: To,
}

enum To {
    Rsa(OaepPublicEncryptingKey),
    P256(Vec<u8>),
}

impl EncryptionKey {
    /// A new key for `RSA-OAEP-256` or `ECDH-ES`.
    pub fn new(alg: &str) -> Self {
        if alg == "ECDH-ES" { Self::p256() } else { Self::rsa() }
    }

    fn rsa() -> Self {
        let private = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = private.as_der().unwrap();
        let pair = RsaKeyPair::from_pkcs8(der.as_ref()).unwrap();
        let public = pair.public_key();
        let jwk = json!({
            "kty": "RSA", "use": "enc", "alg": "RSA-OAEP-256", "kid": "the gateway's",
            "n": BASE64.encode(public.modulus().big_endian_without_leading_zero()),
            "e": BASE64.encode(public.exponent().big_endian_without_leading_zero()),
        });
        let to = To::Rsa(OaepPublicEncryptingKey::new(private.public_key()).unwrap());
        Self { pem: pem(der.as_ref()), jwk, to }
    }

    fn p256() -> Self {
        let private = agreement::PrivateKey::generate(&ECDH_P256).unwrap();
        let der: Pkcs8V1Der<'_> = private.as_der().unwrap();
        let point = private.compute_public_key().unwrap().as_ref().to_vec();
        let (x, y) = point[1..].split_at(32);
        let jwk = json!({
            "kty": "EC", "crv": "P-256", "use": "enc", "alg": "ECDH-ES", "kid": "the gateway's",
            "x": BASE64.encode(x), "y": BASE64.encode(y),
        });
        Self { pem: pem(der.as_ref()), jwk, to: To::P256(point) }
    }

    /// `inside`, encrypted to this key, with these members of the header over the usual ones.
    pub fn seal(&self, inside: &str, members: &Value) -> String {
        let mut header = json!({"alg": self.jwk["alg"], "enc": "A256GCM", "cty": "JWT"});
        header.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let mut key = [0; 32];
        let mut encrypted_key = Vec::new();
        match &self.to {
            To::Rsa(to) => {
                rand::fill(&mut key).unwrap();
                encrypted_key.resize(to.ciphertext_size(), 0);
                to.encrypt(&OAEP_SHA256_MGF1SHA256, &key, &mut encrypted_key, None).unwrap();
            }
            To::P256(to) => {
                let once = agreement::PrivateKey::generate(&ECDH_P256).unwrap();
                let point = once.compute_public_key().unwrap();
                let (x, y) = point.as_ref()[1..].split_at(32);
                header["epk"] =
                    json!({"kty": "EC", "crv": "P-256", "x": BASE64.encode(x), "y": BASE64.encode(y)});
                // RFC 7518 section 4.6.2: the length and the name of `enc`, no `apu`, no `apv`, 256 bits.
                let info = [&[0, 0, 0, 7], &b"A256GCM"[..], &[0; 8], &[0, 0, 1, 0]].concat();
                let hash = get_sskdf_digest_algorithm(SskdfDigestAlgorithmId::Sha256).unwrap();
                agreement::agree(&once, UnparsedPublicKey::new(&ECDH_P256, to), (), |shared| {
                    sskdf_digest(hash, shared, &info, &mut key).map_err(|_| ())
                })
                .unwrap();
            }
        }
        let mut iv = [0; 12];
        rand::fill(&mut iv).unwrap();
        let protected = BASE64.encode(header.to_string());
        let mut content = inside.as_bytes().to_vec();
        let sealing = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).unwrap());
        let aad = Aad::from(protected.as_bytes());
        let nonce = Nonce::assume_unique_for_key(iv);
        let tag = sealing.seal_in_place_separate_tag(nonce, aad, &mut content).unwrap();
        let rest = [&encrypted_key[..], &iv, &content, tag.as_ref()].map(|part| BASE64.encode(part));
        format!("{protected}.{}", rest.join("."))
    }
}

fn pem(der: &[u8]) -> String {
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der))
}
