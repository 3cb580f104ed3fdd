//! The signed identity statement: a short-lived JWT (RFC 7519) for apps that check a signature instead of
//! trusting a network.
//!
//! Signing keys are derived from the ring that seals cookies, one for each month: gateways that share a ring
//! sign with the same key, nothing has to be kept, and the next month's public key is published a month ahead.
//! What a statement says is the mapping's matter.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer as _, EcPrivateKeyRfc5915Der};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use aws_lc_rs::{agreement, digest, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::foundation::clock::Timestamp;
use crate::foundation::random;
use crate::foundation::sealing::KeyRing;

/// How long a statement is good: a statement is made anew each minute, and an app's clock may be a minute off.
pub const LIFETIME: Duration = Duration::from_secs(120);

/// How long a key signs.
const PERIOD: u64 = 30 * 24 * 3600;

/// What a derived key is for.
const LABEL: &str = "vestibule identity statement v1";

/// The keys that sign statements.
pub struct StatementKeys {
    ring: Arc<KeyRing>,
    known: Mutex<Option<Arc<Known>>>,
}

/// The keys of one period.
struct Known {
    period: u64,
    signer: Signer,
    /// The public keys, as JSON Web Key Set.
    published: String,
}

/// The key that signs now.
struct Signer {
    /// The JWT's header, encoded.
    header: String,
    pair: EcdsaKeyPair,
}

/// A key that can't be made, or a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a statement can't be signed")]
pub struct Unsigned;

impl StatementKeys {
    /// Keys that follow from `ring`.
    pub const fn new(ring: Arc<KeyRing>) -> Self {
        Self { ring, known: Mutex::new(None) }
    }

    /// Signs `claims` (RFC 7515 section 3.1) with ES256. `iat`, `nbf`, `exp` and `jti` are added.
    ///
    /// # Errors
    /// Never, but that the system's cryptography may refuse.
    pub fn sign(&self, mut claims: Map<String, Value>, now: Timestamp) -> Result<String, Unsigned> {
        let known = self.known(now)?;
        claims.insert("iat".to_owned(), now.as_secs().into());
        claims.insert("nbf".to_owned(), now.as_secs().into());
        claims.insert("exp".to_owned(), now.plus(LIFETIME).as_secs().into());
        claims.insert("jti".to_owned(), random::reference().into());
        let mut token = format!("{}.{}", known.signer.header, encoded(&Value::Object(claims).to_string()));
        let signature = known.signer.pair.sign(&rand::SystemRandom::new(), token.as_bytes());
        let signature = signature.map_err(|_| Unsigned)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut token);
        Ok(token)
    }

    /// The public keys as a JSON Web Key Set (RFC 7517 section 5): those of the last, this and the next month.
    ///
    /// # Errors
    /// As [`StatementKeys::sign`].
    pub fn published(&self, now: Timestamp) -> Result<String, Unsigned> {
        self.known(now).map(|known| known.published.clone())
    }

    fn known(&self, now: Timestamp) -> Result<Arc<Known>, Unsigned> {
        let period = now.as_secs() / PERIOD;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_ref().filter(|known| known.period == period) {
            return Ok(Arc::clone(known));
        }
        let made = Arc::new(Known::of(&self.ring, period)?);
        *known = Some(Arc::clone(&made));
        Ok(made)
    }
}

impl std::fmt::Debug for StatementKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[keys]")
    }
}

impl Known {
    fn of(ring: &KeyRing, period: u64) -> Result<Self, Unsigned> {
        let mut keys = Vec::new();
        let mut signer = None;
        for period in [period, period.saturating_sub(1), period + 1] {
            for seed in ring.derive(&format!("{LABEL} {period}")) {
                let (pair, key) = derived(&seed)?;
                // The first key of the ring signs, in this period.
                if let (None, Some(kid)) = (&signer, key.get("kid")) {
                    let header = json!({ "alg": "ES256", "typ": "JWT", "kid": kid });
                    signer = Some(Signer { header: encoded(&header.to_string()), pair });
                }
                keys.push(Value::Object(key));
            }
        }
        let published = json!({ "keys": keys }).to_string();
        Ok(Self { period, signer: signer.ok_or(Unsigned)?, published })
    }
}

/// The key pair of a seed, and its public half as JWK with its thumbprint (RFC 7638) as `kid`.
fn derived(seed: &[u8; 32]) -> Result<(EcdsaKeyPair, Map<String, Value>), Unsigned> {
    // One seed in 2^32 is larger than the curve's order; its hash will do.
    let seeds = [Zeroizing::new(*seed), Zeroizing::new(sha256(seed))];
    let scalar = seeds.iter().find_map(|seed| {
        agreement::PrivateKey::from_private_key(&agreement::ECDH_P256, seed.as_slice()).ok()
    });
    let scalar = scalar.ok_or(Unsigned)?;
    let der: EcPrivateKeyRfc5915Der<'_> = scalar.as_der().map_err(|_| Unsigned)?;
    let pair = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_ref());
    let pair = pair.map_err(|_| Unsigned)?;
    let point = pair.public_key().as_ref().get(1..).ok_or(Unsigned)?;
    let (x, y) = point.split_at_checked(32).ok_or(Unsigned)?;
    let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
    let thumbprint = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    let kid = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, thumbprint.as_bytes()));
    let key = json!({
        "kty": "EC", "crv": "P-256", "x": x, "y": y, "alg": "ES256", "use": "sig", "kid": kid,
    });
    match key {
        Value::Object(key) => Ok((pair, key)),
        _ => Err(Unsigned),
    }
}

fn sha256(bytes: &[u8; 32]) -> [u8; 32] {
    let mut hash = [0; 32];
    for (to, from) in hash.iter_mut().zip(digest::digest(&digest::SHA256, bytes).as_ref()) {
        *to = *from;
    }
    hash
}

fn encoded(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use jsonwebtoken::jwk::JwkSet;
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};

    use super::*;
    use crate::foundation::sealing::RootKey;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn keys(first: &RootKey, others: &[RootKey]) -> StatementKeys {
        StatementKeys::new(Arc::new(KeyRing::new(first, others)))
    }

    fn claims() -> Map<String, Value> {
        let claims = json!({ "iss": "https://lms.example", "aud": "lms", "sub": "42", "name": "Иванов" });
        claims.as_object().unwrap().clone()
    }

    /// The claims, if a key of the set `published` signed them.
    fn verified(token: &str, published: &str) -> Option<Value> {
        let set: JwkSet = serde_json::from_str(published).unwrap();
        let key = set.find(&decode_header(token).unwrap().kid.unwrap())?;
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_audience(&["lms"]);
        validation.set_issuer(&["https://lms.example"]);
        validation.validate_exp = false;
        Some(decode(token, &DecodingKey::from_jwk(key).unwrap(), &validation).unwrap().claims)
    }

    #[test]
    fn a_statement_is_verified_by_a_strangers_library_with_the_published_keys() {
        let keys = keys(&RootKey::generate(), &[]);
        let (one, two) = (keys.sign(claims(), NOW).unwrap(), keys.sign(claims(), NOW).unwrap());
        let told = verified(&one, &keys.published(NOW).unwrap()).unwrap();
        assert_eq!((&told["sub"], &told["name"]), (&json!("42"), &json!("Иванов")));
        let at = NOW.as_secs();
        assert_eq!((&told["iat"], &told["nbf"], &told["exp"]), (&json!(at), &json!(at), &json!(at + 120)));
        assert_ne!(told["jti"], verified(&two, &keys.published(NOW).unwrap()).unwrap()["jti"]);
    }

    #[test]
    fn gateways_with_the_same_keys_sign_alike_and_a_restart_changes_nothing() {
        let (root, other) = (RootKey::generate(), RootKey::generate());
        let published = keys(&root, &[]).published(NOW).unwrap();
        assert_eq!(keys(&root, &[]).published(NOW).unwrap(), published);
        assert!(
            verified(&keys(&root, std::slice::from_ref(&other)).sign(claims(), NOW).unwrap(), &published)
                .is_some()
        );
        assert!(verified(&keys(&other, &[]).sign(claims(), NOW).unwrap(), &published).is_none());
    }

    #[test]
    fn the_next_key_is_known_before_it_signs_and_the_last_one_for_a_while() {
        let keys = keys(&RootKey::generate(), &[]);
        let month = Duration::from_secs(PERIOD);
        let (early, late) = (keys.published(NOW).unwrap(), NOW.plus(month));
        let token = keys.sign(claims(), late).unwrap();
        assert!(verified(&token, &early).is_some(), "an app that fetched the keys a month ago knows it");
        assert!(verified(&keys.sign(claims(), NOW).unwrap(), &keys.published(late).unwrap()).is_some());
        assert!(verified(&token, &keys.published(late.plus(month).plus(month)).unwrap()).is_none());
    }

    #[test]
    fn a_ring_of_two_publishes_both_so_that_a_replaced_key_harms_nobody() {
        let (old, new) = (RootKey::generate(), RootKey::generate());
        let token = keys(&old, &[]).sign(claims(), NOW).unwrap();
        let published = keys(&new, &[old]).published(NOW).unwrap();
        assert!(verified(&token, &published).is_some());
        let set: Value = serde_json::from_str(&published).unwrap();
        let kids: HashSet<&str> =
            set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap()).collect();
        assert_eq!(kids.len(), 6);
        assert!(!published.contains("\"d\""), "nothing private is published");
    }
}
