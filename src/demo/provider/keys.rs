//! The provider's signing key (ES256, RFC 7518 section 3.4), its public half, and what is signed with it.
//!
//! The key is made at start and gone with the process: a provider that is started again is met by its
//! clients like one that has changed its keys. The hashes of Core 3.1.3.6 and RFC 7636 stand here too.

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Value, json};

/// Longer ID tokens than this are not ours.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// A key pair made at start.
pub(super) struct SigningKey {
    private: EncodingKey,
    public: DecodingKey,
    id: String,
    jwks: Value,
}

/// No key could be made.
#[derive(Debug)]
pub(in crate::demo) struct KeyError;

impl SigningKey {
    /// Makes a key.
    pub(super) fn generate() -> Result<Self, KeyError> {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .map_err(|_| KeyError)?;
        let private = EncodingKey::from_ec_der(pkcs8.as_ref());
        let mut jwk = Jwk::from_encoding_key(&private, Algorithm::ES256).map_err(|_| KeyError)?;
        // RFC 7638: the same key always has the same name.
        let id = jwk.thumbprint(ThumbprintHash::SHA256).map_err(|_| KeyError)?;
        jwk.common.key_id = Some(id.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        let public = DecodingKey::from_jwk(&jwk).map_err(|_| KeyError)?;
        Ok(Self { private, public, id, jwks: json!({ "keys": [jwk] }) })
    }

    /// The public key as a key set (RFC 7517 section 5).
    pub(super) const fn jwks(&self) -> &Value {
        &self.jwks
    }

    /// A signed token with these claims.
    pub(super) fn sign(&self, claims: &Value) -> Result<String, KeyError> {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.id.clone());
        jsonwebtoken::encode(&header, claims, &self.private).map_err(|_| KeyError)
    }

    /// The claims of an ID token that we once signed for this audience, though it may have expired
    /// (RP-Initiated Logout 1.0 section 4).
    pub(super) fn read_hint(&self, token: &str, issuer: &str, audience: &str) -> Option<Value> {
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let mut validation = Validation::new(Algorithm::ES256);
        validation.validate_exp = false;
        validation.set_required_spec_claims(&["iss", "aud", "sub"]);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        jsonwebtoken::decode::<Value>(token, &self.public, &validation).ok().map(|token| token.claims)
    }
}

/// `at_hash` of an access token (Core 3.1.3.6): the left half of its SHA-256.
pub(super) fn at_hash(access_token: &str) -> String {
    let hash = digest::digest(&digest::SHA256, access_token.as_bytes());
    URL_SAFE_NO_PAD.encode(hash.as_ref().get(..16).unwrap_or_default())
}

/// The challenge that belongs to a PKCE verifier (RFC 7636 section 4.2, S256).
pub(super) fn s256(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_rfc_7636_appendix_b() {
        let challenge = s256("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn a_hint_is_read_when_it_is_ours_and_for_this_audience() {
        let key = SigningKey::generate().unwrap();
        let token = key.sign(&json!({ "iss": "i", "aud": "a", "sub": "s", "exp": 1 })).unwrap();
        assert_eq!(key.read_hint(&token, "i", "a").unwrap()["sub"], "s");
        assert!(key.read_hint(&token, "i", "other").is_none());
        assert!(key.read_hint(&token, "other", "a").is_none());
        assert!(SigningKey::generate().unwrap().read_hint(&token, "i", "a").is_none());
        assert!(key.read_hint("a.b.c", "i", "a").is_none());
    }
}
