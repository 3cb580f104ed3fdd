//! The provider's key set (RFC 7517, RFC 7518 section 6, RFC 8037), parsed once and kept ready to verify with.
//!
//! What we can't use (other key types and curves, keys for encryption, weak or broken ones) is passed over:
//! one odd key must not take the others away. `jku`, `x5u`, `x5c` and `jwk` of a token are never a source.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use openidconnect::{HttpRequest, HttpResponse};
use serde_json::Value;
use url::Url;

use super::Algorithm;
use super::algorithm::KeyKind;
use super::error::{MemberProblem, OidcError};
use super::message::{self, Call};

/// More keys than any provider has; it bounds the work that a token without `kid` makes.
const MOST_KEYS: usize = 64;

/// The keys of a provider that can verify a signature.
#[derive(Debug)]
pub(super) struct Keys(Vec<Key>);

#[derive(Debug)]
struct Key {
    id: Option<String>,
    algorithm: Option<Algorithm>,
    kind: KeyKind,
    decoding: DecodingKey,
}

pub(super) fn request(jwks: &Url) -> Result<HttpRequest, OidcError> {
    message::get(Call::Keys, jwks)
}

/// RFC 7517 section 5: members and keys that are not understood are ignored.
///
/// # Errors
/// When there is no list, or no key in it that we can use: better to keep those we had.
pub(super) fn response(response: &HttpResponse) -> Result<Keys, OidcError> {
    let set = message::json(Call::Keys, response)?;
    let member = |problem| OidcError::Member { call: Call::Keys, member: "keys", problem };
    let keys = set.get("keys").ok_or(member(MemberProblem::Missing))?;
    let keys = keys.as_array().ok_or(member(MemberProblem::NotA("a list")))?;
    let usable: Vec<Key> = keys.iter().filter_map(Key::read).take(MOST_KEYS).collect();
    if usable.is_empty() {
        return Err(OidcError::NoUsableKey { keys: keys.len() });
    }
    Ok(Keys(usable))
}

impl Keys {
    /// The keys that a token of this `alg` and `kid` may be signed with. Without `kid` all that fit the
    /// algorithm; a key without an identifier may be any. Two keys of one identifier are both tried.
    pub(super) fn eligible(&self, alg: Algorithm, kid: Option<&str>) -> impl Iterator<Item = &DecodingKey> {
        self.0
            .iter()
            // SECURITY: the key decides what it may be used for, not the token (algorithm confusion).
            .filter(move |key| key.kind == alg.key_kind() && key.algorithm.is_none_or(|own| own == alg))
            .filter(move |key| kid.is_none_or(|kid| key.id.as_deref().is_none_or(|id| id == kid)))
            .map(|key| &key.decoding)
    }
}

impl Key {
    fn read(jwk: &Value) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        // RFC 7517 sections 4.2 and 4.3: `use` and `key_ops`, where given, allow verifying.
        if text("use").is_some_and(|usage| usage != "sig") {
            return None;
        }
        if let Some(operations) = jwk.get("key_ops").and_then(Value::as_array)
            && !operations.iter().any(|operation| operation == "verify")
        {
            return None;
        }
        let (kind, decoding) = match (text("kty")?, text("crv")) {
            ("RSA", _) => (KeyKind::Rsa, rsa(text("n")?, text("e")?)?),
            ("EC", Some("P-256")) => (KeyKind::P256, ec(text("x")?, text("y")?, 32)?),
            ("EC", Some("P-384")) => (KeyKind::P384, ec(text("x")?, text("y")?, 48)?),
            ("OKP", Some("Ed25519")) => (KeyKind::Ed25519, ed25519(text("x")?)?),
            _ => return None,
        };
        // RFC 7517 section 4.4: a key with `alg` is for that one; one for another purpose is passed over.
        let algorithm = match text("alg") {
            Some(name) => Some(Algorithm::from_name(name).filter(|algorithm| algorithm.key_kind() == kind)?),
            None => None,
        };
        Some(Self { id: text("kid").map(str::to_owned), algorithm, kind, decoding })
    }
}

fn rsa(n: &str, e: &str) -> Option<DecodingKey> {
    let (n, e) = (base64url(n)?, base64url(e)?);
    let (n, e) = (without_zeros(&n), without_zeros(&e));
    // SECURITY: RFC 7518 section 3.3: 2048 bits at least; the library refuses shorter ones later and less clearly.
    let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
    let fits = (2048..=8192).contains(&bits) && !e.is_empty();
    fits.then(|| DecodingKey::from_rsa_raw_components(n, e))
}

/// RFC 7518 section 6.2.1.2: coordinates have the curve's full length; shorter ones lost their zeros.
fn ec(x: &str, y: &str, length: usize) -> Option<DecodingKey> {
    const UNCOMPRESSED: u8 = 4;
    let mut point = vec![UNCOMPRESSED];
    for coordinate in [x, y] {
        let coordinate = base64url(coordinate)?;
        point.resize(point.len() + length.checked_sub(coordinate.len())?, 0);
        point.extend_from_slice(&coordinate);
    }
    Some(DecodingKey::from_ec_der(&point))
}

fn ed25519(x: &str) -> Option<DecodingKey> {
    base64url(x).filter(|x| x.len() == 32).map(|x| DecodingKey::from_ed_der(&x))
}

fn base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
}

fn without_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::oidc::fixture::{Signer, answer};

    fn set(keys: Vec<Value>) -> Result<Keys, OidcError> {
        response(&answer(200, json!({ "keys": keys }).to_string()))
    }

    #[test]
    fn odd_keys_are_passed_over_and_good_ones_kept() {
        let rsa = || Signer::get(Algorithm::Rs256).jwk("a");
        let with = |name: &str, value: Value| {
            let mut jwk = rsa();
            jwk[name] = value;
            jwk
        };
        let cases = [
            ("without alg and use", rsa(), true),
            ("use sig", with("use", json!("sig")), true),
            ("use enc", with("use", json!("enc")), false),
            ("key_ops verify", with("key_ops", json!(["verify"])), true),
            ("key_ops wrapKey", with("key_ops", json!(["wrapKey"])), false),
            ("for encryption", with("alg", json!("RSA-OAEP")), false),
            ("for another kind of key", with("alg", json!("ES256")), false),
            ("for a secret", with("alg", json!("HS256")), false),
            ("a numeric kid", with("kid", json!(7)), true),
            ("no modulus", with("n", json!(null)), false),
            ("1024 bits", with("n", json!(URL_SAFE_NO_PAD.encode([0xff; 128]))), false),
            ("a secret", json!({"kty": "oct", "k": "c2VjcmV0"}), false),
            ("an unknown curve", json!({"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}), false),
            (
                "too long a coordinate",
                json!({"kty": "EC", "crv": "P-256", "x": "A".repeat(86), "y": "AA"}),
                false,
            ),
            ("an unknown type", json!({"kty": "AKP", "alg": "ML-DSA-44"}), false),
            ("no object", json!("key"), false),
        ];
        for (name, jwk, usable) in cases {
            assert_eq!(set(vec![jwk.clone()]).is_ok(), usable, "{name} alone");
            let keys = set(vec![jwk, Signer::get(Algorithm::Es256).jwk("b")]).unwrap();
            assert_eq!(keys.0.len(), 1 + usize::from(usable), "{name} beside another");
        }
    }

    #[test]
    fn keys_are_chosen_by_algorithm_and_identifier() {
        let mut bound = Signer::get(Algorithm::Rs256).jwk("bound");
        bound["alg"] = json!("RS512");
        let mut nameless = Signer::get(Algorithm::Rs256).jwk("x");
        nameless.as_object_mut().unwrap().remove("kid");
        let twice = Signer::get(Algorithm::Es256).jwk("twice");
        let keys = set(vec![bound, nameless, twice.clone(), twice]).unwrap();
        for (alg, kid, expected) in [
            (Algorithm::Rs256, None, 1),
            (Algorithm::Rs512, None, 2),
            (Algorithm::Rs512, Some("bound"), 2),
            (Algorithm::Rs512, Some("other"), 1),
            (Algorithm::Rs256, Some("bound"), 1),
            (Algorithm::Es256, Some("twice"), 2),
            (Algorithm::Es256, Some("other"), 0),
            (Algorithm::Es384, None, 0),
            (Algorithm::EdDsa, None, 0),
        ] {
            assert_eq!(keys.eligible(alg, kid).count(), expected, "{alg:?} {kid:?}");
        }
    }

    #[test]
    fn a_set_without_a_usable_key_is_an_error() {
        for body in [r#"{}"#, r#"{"keys":{}}"#, r#"{"keys":[]}"#, r#"{"keys":[{"kty":"oct","k":"AA"}]}"#] {
            assert!(response(&answer(200, body)).is_err(), "{body}");
        }
    }
}
