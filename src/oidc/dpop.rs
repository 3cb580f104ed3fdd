//! Tokens bound to a key of ours: OAuth 2.0 Demonstrating Proof of Possession (DPoP), RFC 9449.
//!
//! Each login has a key of its own, which stays with its tokens: whoever gets hold of a token alone can do nothing
//! with it. Here are the key, the proof that goes with a request, and the nonce that a provider may want in it.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use aws_lc_rs::agreement::{self, ECDH_P256};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsBigEndian as _, EcPrivateKeyBin};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use openidconnect::{HttpRequest, HttpResponse};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::TokenBinding;
use super::error::OidcError;
use super::message::Call;
use super::transport::Transport;
use crate::foundation::clock::Timestamp;
use crate::foundation::random;
use crate::foundation::secret::Secret;

/// The one algorithm of our proofs.
pub(super) const ALGORITHM: &str = "ES256";

const DPOP: HeaderName = HeaderName::from_static("dpop");
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// RFC 9449 sections 8 and 9: what a server says that wants a nonce in the proof.
const WANTS_NONCE: &str = "use_dpop_nonce";

/// A nonce longer than this is none.
const LONGEST_NONCE: usize = 1024;

/// The key that one login's tokens are bound to.
pub(super) struct ProofKey {
    pair: EcdsaKeyPair,
    x: String,
    y: String,
}

impl fmt::Debug for ProofKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[key]")
    }
}

impl ProofKey {
    /// A new key, as it is kept: its 32 bytes, base64url.
    pub(super) fn generate() -> Result<Secret, OidcError> {
        let scalar = || -> Result<EcPrivateKeyBin<'static>, Unspecified> {
            agreement::PrivateKey::generate(&ECDH_P256)?.as_be_bytes()
        };
        Ok(Secret::new(URL_SAFE_NO_PAD.encode(scalar().map_err(|_| OidcError::ProofKey)?.as_ref())))
    }

    /// A new key for one login, where tokens are bound.
    pub(super) fn wanted(binding: TokenBinding) -> Result<Option<Secret>, OidcError> {
        match binding {
            TokenBinding::Bearer => Ok(None),
            TokenBinding::Key => Self::generate().map(Some),
        }
    }

    /// The key that was kept.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn open(kept: &Secret) -> Result<Self, OidcError> {
        Self::of(kept).ok_or(OidcError::ProofKey)
    }

    fn of(kept: &Secret) -> Option<Self> {
        let scalar = Zeroizing::new(URL_SAFE_NO_PAD.decode(kept.expose()).ok()?);
        let public = agreement::PrivateKey::from_private_key(&ECDH_P256, &scalar).ok()?;
        let public = public.compute_public_key().ok()?;
        // An uncompressed point: 4, then both coordinates (SEC 1 section 2.3.3).
        let (x, y) = public.as_ref().get(1..)?.split_at_checked(32)?;
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        let pair = EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            &scalar,
            public.as_ref(),
        );
        Some(Self { pair: pair.ok()?, x, y })
    }

    /// What tokens are bound to that go with this key, or with none.
    pub(super) const fn binding(key: Option<&Self>) -> TokenBinding {
        if key.is_some() { TokenBinding::Key } else { TokenBinding::Bearer }
    }

    /// RFC 7638: the name of the key, which `dpop_jkt` tells the provider beforehand (RFC 9449 section 10).
    pub(super) fn thumbprint(&self) -> String {
        let (x, y) = (&self.x, &self.y);
        hash(&format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#))
    }

    /// RFC 9449 section 4.2: the proof for one request, good for no other.
    fn proof(&self, request: &HttpRequest, with: &With<'_>, now: u64) -> Result<HeaderValue, OidcError> {
        let header = json!({
            "typ": "dpop+jwt",
            "alg": ALGORITHM,
            "jwk": {"kty": "EC", "crv": "P-256", "x": self.x, "y": self.y},
        });
        let address = target(request.uri());
        let mut claims = vec![
            // SECURITY: nobody can use a proof a second time (RFC 9449 section 11.1).
            ("jti", json!(random::token())),
            ("htm", json!(request.method().as_str())),
            ("htu", json!(address)),
            ("iat", json!(now)),
        ];
        claims.extend(with.nonce.map(|nonce| ("nonce", json!(nonce))));
        claims.extend(with.access_token.map(|token| ("ath", json!(hash(token.expose())))));
        let claims = claims.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&Value::Object(claims)));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes());
        let signature = signature.map_err(|_| OidcError::ProofKey)?;
        let proof = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()));
        HeaderValue::try_from(proof).map_err(|_| OidcError::ProofKey)
    }
}

/// What a proof holds besides the request itself.
#[derive(Clone, Copy, Default)]
struct With<'a> {
    nonce: Option<&'a str>,
    access_token: Option<&'a Secret>,
}

/// The nonces that a provider gave last: its authorization server's and its userinfo endpoint's (RFC 9449
/// section 9: one is not good for the other).
#[derive(Debug, Default)]
pub(super) struct Nonces {
    authorization_server: ArcSwapOption<String>,
    resource_server: ArcSwapOption<String>,
}

impl Nonces {
    /// Sends what `build` makes with a proof by `key`, and once more when the server wants a nonce in it and gives
    /// one. `access_token` is the one that goes along, if any; `now` is asked for each proof.
    ///
    /// # Errors
    /// As [`Transport::exchange`].
    pub(super) async fn exchange(
        &self,
        transport: &Transport,
        call: Call,
        key: &ProofKey,
        access_token: Option<&Secret>,
        now: impl Fn() -> Timestamp,
        build: impl Fn() -> Result<HttpRequest, OidcError>,
    ) -> Result<HttpResponse, OidcError> {
        let held = self.of(call);
        let mut nonce = held.load_full();
        let mut asked = 0;
        loop {
            let mut request = build()?;
            let with = With { nonce: nonce.as_deref().map(String::as_str), access_token };
            let proof = key.proof(&request, &with, now().as_secs())?;
            request.headers_mut().insert(DPOP, proof);
            let answer = transport.exchange(call, request).await?;
            let given = given(answer.headers()).map(Arc::new);
            // RFC 9449 section 8.2: also a success may bring the nonce of the next request.
            if given.is_some() {
                held.store(given.clone());
            }
            asked += 1;
            // SECURITY: once: a server that is never content must not keep us asking.
            if asked > 1 || given.is_none() || !wants_nonce(&answer) {
                return Ok(answer);
            }
            nonce = given;
        }
    }

    const fn of(&self, call: Call) -> &ArcSwapOption<String> {
        match call {
            Call::Userinfo => &self.resource_server,
            _ => &self.authorization_server,
        }
    }
}

/// RFC 9449 section 8: 400 with `use_dpop_nonce`; section 9: 401 with it in `WWW-Authenticate`.
fn wants_nonce(answer: &HttpResponse) -> bool {
    let challenges = answer.headers().get_all(WWW_AUTHENTICATE).iter();
    match answer.status() {
        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED => {
            let says = |value: &HeaderValue| value.to_str().is_ok_and(|value| value.contains(WANTS_NONCE));
            let body: Option<Value> = serde_json::from_slice(answer.body()).ok();
            body.is_some_and(|body| body.get("error").is_some_and(|error| error == WANTS_NONCE))
                || challenges.into_iter().any(says)
        }
        _ => false,
    }
}

/// RFC 9449 section 8.1: printable ASCII without quotes and backslashes, one.
fn given(headers: &HeaderMap) -> Option<String> {
    let mut all = headers.get_all(DPOP_NONCE).iter();
    let only = all.next().filter(|_| all.next().is_none())?.as_bytes();
    let fits = |byte: &u8| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~');
    let good = (1..=LONGEST_NONCE).contains(&only.len()) && only.iter().all(fits);
    good.then(|| String::from_utf8_lossy(only).into_owned())
}

/// RFC 9449 section 4.2, `htu`: the address without query and fragment.
fn target(uri: &Uri) -> String {
    let (scheme, authority) = (uri.scheme_str().unwrap_or_default(), uri.authority());
    format!("{scheme}://{}{}", authority.map_or("", |authority| authority.as_str()), uri.path())
}

fn hash(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()))
}

#[cfg(test)]
mod tests;
