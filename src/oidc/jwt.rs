//! One verification for every JWT that a provider signs (RFC 7519, RFC 7515, RFC 8725).
//!
//! The library does the signature and nothing else: it leaves `nbf`, `iat`, `azp`, `typ` and `crit` unchecked,
//! reads the clock itself, and checks `iss` and `aud` only where they are present. What a kind of token needs
//! beyond this (nonce, events) is checked where that kind is known.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use thiserror::Error;
use zeroize::Zeroizing;

use super::jwe::{self, JweError};
use super::jwks::Keys;
use super::message::told;
use super::{Algorithm, DecryptionKey};
use crate::foundation::clock::Timestamp;

/// More than a minute is no skew but a wrong clock.
pub(super) const MOST_SKEW: Duration = Duration::from_secs(60);

/// Whether `aud` may name others besides us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OtherAudiences {
    /// It may not, but for the one that is trusted: the token is for us alone.
    Refused,
    /// It may: the token is used at several places.
    Allowed,
}

/// What a token must be to be believed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy<'a> {
    /// `iss`, byte for byte.
    pub(super) issuer: &'a str,
    /// Must be in `aud`.
    pub(super) audience: &'a str,
    /// May be in `aud` besides.
    pub(super) trusted_audience: Option<&'a str>,
    /// Whether `aud` may name anybody else.
    pub(super) other_audiences: OtherAudiences,
    /// Must be `azp` where there is one, and where `aud` names several. `None`: `azp` is not looked at.
    pub(super) authorized_party: Option<&'a str>,
    /// The signature algorithms allowed.
    pub(super) algs: &'a [Algorithm],
    /// The values of `typ` allowed, in lower case; no `typ` is allowed, too.
    pub(super) typ: &'a [&'a str],
    /// How far the provider's clock may be off.
    pub(super) leeway: Duration,
    /// The times that must be there: of `exp`, `iat`, `nbf`.
    pub(super) required: &'a [&'a str],
}

/// A token whose signature, issuer, audience and times are good.
#[derive(Debug)]
pub(super) struct Verified {
    pub(super) claims: Map<String, Value>,
    pub(super) alg: Algorithm,
}

/// Why a token is not believed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum JwtError {
    /// Not three parts of base64url, the first two JSON objects.
    #[error("the {0} can't be read")]
    Malformed(&'static str),
    /// Five parts: encrypted, to no key of ours or once more than is usual.
    #[error("it is encrypted (JWE), and nothing here decrypts it")]
    Encrypted,
    /// It can't be decrypted.
    #[error("{0}")]
    Decryption(#[from] JweError),
    /// `alg` is not allowed, or unknown.
    #[error("its algorithm {found:?} is not allowed (allowed: {allowed})")]
    Algorithm {
        /// What the token says.
        found: String,
        /// What is allowed.
        allowed: String,
    },
    /// The header demands an extension.
    #[error("its header has `crit`, an extension that we don't know")]
    Critical,
    /// A token of another kind.
    #[error("its `typ` is {0:?}: a token of another kind")]
    Type(String),
    /// No key of the provider has that identifier and fits the algorithm.
    #[error("the provider has no {alg} key{}", named(" with the identifier", .kid.as_ref()))]
    NoKey {
        /// The token's `kid`.
        kid: Option<String>,
        /// Its `alg`.
        alg: &'static str,
    },
    /// The signature is not by the provider's key.
    #[error("the signature does not fit the provider's key{}", named("", .kid.as_ref()))]
    Signature {
        /// The token's `kid`.
        kid: Option<String>,
    },
    /// Another issuer.
    #[error("its issuer is {found:?}, not {expected:?}")]
    Issuer {
        /// What the token says.
        found: String,
        /// The configured issuer.
        expected: String,
    },
    /// Not meant for us.
    #[error("its audience is {found}, without {expected:?}")]
    Audience {
        /// What the token says.
        found: String,
        /// Our client id.
        expected: String,
    },
    /// Meant for somebody else, too, whom nobody told us to trust.
    #[error("its audience also names {0:?}, which is not trusted")]
    UntrustedAudience(String),
    /// Several audiences and no `azp`.
    #[error("it has several audiences and no `azp`")]
    NoAuthorizedParty,
    /// Issued to another client.
    #[error("its `azp` is {0:?}: it was issued to another client")]
    AuthorizedParty(String),
    /// Past `exp`.
    #[error("it expired {0:?} ago")]
    Expired(Duration),
    /// Before `nbf`.
    #[error("it is not valid for another {0:?} (`nbf`)")]
    NotYetValid(Duration),
    /// `iat` in the future.
    #[error("it was issued {0:?} in the future")]
    IssuedInFuture(Duration),
    /// A claim that must be there is not.
    #[error("it has no `{0}`")]
    Missing(&'static str),
    /// A claim has a type that can't be compared.
    #[error("its `{claim}` is not {expected}")]
    NotA {
        /// The claim.
        claim: &'static str,
        /// What it has to be.
        expected: &'static str,
    },
}

/// What stands inside an encrypted token (RFC 7519 section 5.2, a nested JWT), still to be verified; nothing where
/// the token is not encrypted.
pub(super) fn inside(token: &str, keys: &[DecryptionKey]) -> Result<Option<Zeroizing<String>>, JwtError> {
    match (jwe::is_encrypted(token), keys) {
        (false, _) => Ok(None),
        (true, []) => Err(JwtError::Encrypted),
        (true, _) => Ok(Some(jwe::decrypt(token, keys)?)),
    }
}

/// Verifies `token`.
///
/// The steps are in the order of OpenID Connect Core 1.0 section 3.1.3.7; issuer and audience are compared
/// before the signature, so that nobody's token can make us fetch keys.
pub(super) fn verify(
    token: &str,
    keys: &Keys,
    policy: &Policy<'_>,
    now: Timestamp,
) -> Result<Verified, JwtError> {
    verify_with(token, keys, policy, Address::Required, now)
}

/// Verifies a `token` that need not say by whom and for whom it was made (OpenID Connect Core 1.0 section 5.3.2):
/// what it says of that has to fit.
pub(super) fn verify_unaddressed(
    token: &str,
    keys: &Keys,
    policy: &Policy<'_>,
    now: Timestamp,
) -> Result<Verified, JwtError> {
    verify_with(token, keys, policy, Address::Optional, now)
}

/// Whether `iss` and `aud` may be left out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Address {
    Required,
    Optional,
}

fn verify_with(
    token: &str,
    keys: &Keys,
    policy: &Policy<'_>,
    address: Address,
    now: Timestamp,
) -> Result<Verified, JwtError> {
    let parts = Parts::split(token)?;

    // RFC 7515 section 4.1.11: an extension that is not understood makes the token invalid. We know none.
    if parts.header.contains_key("crit") {
        return Err(JwtError::Critical);
    }
    // RFC 8725 section 3.11: explicit typing.
    // SECURITY: an access token or a logout token of the same issuer is no ID token (token confusion).
    check_type(&parts.header, policy.typ)?;

    let is_left_out =
        |claim| address == Address::Optional && parts.claims.get(claim).is_none_or(Value::is_null);
    // Core 3.1.3.7 (2): issuer
    if !is_left_out("iss") {
        check_issuer(&parts.claims, policy)?;
    }
    // Core 3.1.3.7 (3): audience; (4), (5): authorized party
    if !is_left_out("aud") {
        check_audience(&parts.claims, policy)?;
    }

    // Core 3.1.3.7 (6): the signature is always verified; TLS to the token endpoint is no substitute for it.
    // Core 3.1.3.7 (7): algorithm. (8), MAC algorithms: none is ever allowed.
    let alg = check_signature(&parts, keys, policy)?;

    // Core 3.1.3.7 (9): expiry, and RFC 7519 section 4.1.5: not before; (10): issued at
    check_times(&parts.claims, policy, now)?;
    Ok(Verified { claims: parts.claims, alg })
}

/// The claims of a token that was verified when it came and was in nobody's hands since; `None` where they can't
/// be read.
pub(super) fn claims_of_own(token: &str) -> Option<Map<String, Value>> {
    Parts::split(token).ok().map(|parts| parts.claims)
}

impl JwtError {
    /// Whether newer keys of the provider could make the token good.
    pub(super) const fn may_be_rotation(&self) -> bool {
        matches!(self, Self::NoKey { .. } | Self::Signature { .. })
    }
}

/// A NumericDate (RFC 7519 section 2): a number, fractions allowed.
pub(super) fn time(claims: &Map<String, Value>, claim: &'static str) -> Result<Option<Timestamp>, JwtError> {
    const END: f64 = 1e15;
    let value = match claims.get(claim) {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value,
    };
    let seconds = value.as_u64().or_else(|| {
        let seconds = value.as_f64().filter(|seconds| (0.0..END).contains(seconds))?;
        Some(seconds as u64)
    });
    let expected = "a number of seconds";
    seconds.map(|seconds| Some(Timestamp::from_secs(seconds))).ok_or(JwtError::NotA { claim, expected })
}

/// The claims of a token that nobody verified yet: only to find out what it has to be held against.
pub(super) fn unverified(token: &str) -> Result<Map<String, Value>, JwtError> {
    Parts::split(token).map(|parts| parts.claims)
}

struct Parts<'a> {
    header: Map<String, Value>,
    claims: Map<String, Value>,
    signed: &'a str,
    signature: &'a str,
}

impl<'a> Parts<'a> {
    fn split(token: &'a str) -> Result<Self, JwtError> {
        // RFC 7516 section 9: five parts are a JWE.
        if jwe::is_encrypted(token) {
            return Err(JwtError::Encrypted);
        }
        if token.bytes().filter(|&byte| byte == b'.').count() != 2 {
            return Err(JwtError::Malformed("token"));
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(JwtError::Malformed("token"))?;
        let (header, claims) = signed.split_once('.').ok_or(JwtError::Malformed("token"))?;
        Ok(Self { header: object(header, "header")?, claims: object(claims, "claims")?, signed, signature })
    }
}

fn object(part: &str, name: &'static str) -> Result<Map<String, Value>, JwtError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| JwtError::Malformed(name))?;
    serde_json::from_slice(&bytes).map_err(|_| JwtError::Malformed(name))
}

fn check_type(header: &Map<String, Value>, allowed: &[&str]) -> Result<(), JwtError> {
    let typ = match header.get("typ") {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::String(typ)) => typ.to_ascii_lowercase(),
        Some(_) => return Err(JwtError::NotA { claim: "typ", expected: "a string" }),
    };
    // RFC 7515 section 4.1.9: `application/` may be left out.
    let short = typ.strip_prefix("application/").unwrap_or(&typ);
    if allowed.contains(&short) { Ok(()) } else { Err(JwtError::Type(told(&typ))) }
}

fn check_issuer(claims: &Map<String, Value>, policy: &Policy<'_>) -> Result<(), JwtError> {
    let issuer = match claims.get("iss") {
        None | Some(Value::Null) => return Err(JwtError::Missing("iss")),
        Some(Value::String(issuer)) => issuer,
        Some(_) => return Err(JwtError::NotA { claim: "iss", expected: "a string" }),
    };
    if issuer != policy.issuer {
        return Err(JwtError::Issuer { found: told(issuer), expected: policy.issuer.to_owned() });
    }
    Ok(())
}

/// A key's identifier, where the token names one.
fn named(before: &str, kid: Option<&String>) -> String {
    kid.map(|kid| format!("{before} {kid:?}")).unwrap_or_default()
}

fn check_audience(claims: &Map<String, Value>, policy: &Policy<'_>) -> Result<(), JwtError> {
    let not_a = JwtError::NotA { claim: "aud", expected: "a string or a list of strings" };
    let audiences: Vec<&str> = match claims.get("aud") {
        None | Some(Value::Null) => return Err(JwtError::Missing("aud")),
        Some(Value::String(audience)) => vec![audience],
        Some(Value::Array(list)) => list.iter().map(Value::as_str).collect::<Option<_>>().ok_or(not_a)?,
        Some(_) => return Err(not_a),
    };
    if !audiences.contains(&policy.audience) {
        let found = told(&format!("{audiences:?}"));
        return Err(JwtError::Audience { found, expected: policy.audience.to_owned() });
    }
    // SECURITY: who shares a token's audience with us can send us that token.
    let trusted = |audience: &str| {
        policy.other_audiences == OtherAudiences::Allowed
            || audience == policy.audience
            || Some(audience) == policy.trusted_audience
    };
    if let Some(stranger) = audiences.iter().find(|audience| !trusted(audience)) {
        return Err(JwtError::UntrustedAudience(told(stranger)));
    }
    let Some(client) = policy.authorized_party else { return Ok(()) };
    match claims.get("azp") {
        Some(Value::String(azp)) if azp == client => Ok(()),
        Some(Value::String(azp)) => Err(JwtError::AuthorizedParty(told(azp))),
        None | Some(Value::Null) if audiences.len() > 1 => Err(JwtError::NoAuthorizedParty),
        None | Some(Value::Null) => Ok(()),
        Some(_) => Err(JwtError::NotA { claim: "azp", expected: "a string" }),
    }
}

fn check_signature(parts: &Parts<'_>, keys: &Keys, policy: &Policy<'_>) -> Result<Algorithm, JwtError> {
    // SECURITY: only what the policy names; never what the token or a key would like (`alg: none`, HS256 with
    // a public key or our own secret as the secret).
    let found = parts.header.get("alg").and_then(Value::as_str).unwrap_or_default();
    let alg = Algorithm::from_name(found).filter(|alg| policy.algs.contains(alg)).ok_or_else(|| {
        let allowed = policy.algs.iter().map(|alg| alg.name()).collect::<Vec<_>>().join(", ");
        JwtError::Algorithm { found: told(found), allowed }
    })?;
    let kid = match parts.header.get("kid") {
        None | Some(Value::Null) => None,
        Some(Value::String(kid)) => Some(kid.as_str()),
        Some(_) => return Err(JwtError::NotA { claim: "kid", expected: "a string" }),
    };
    // SECURITY: `jwk`, `jku`, `x5u` and `x5c` of the header are not looked at: a token can't bring its own key.
    let mut eligible = keys.eligible(alg, kid).peekable();
    let kid = || kid.map(told);
    if eligible.peek().is_none() {
        return Err(JwtError::NoKey { kid: kid(), alg: alg.name() });
    }
    let message = parts.signed.as_bytes();
    let fits = |key| jsonwebtoken::crypto::verify(parts.signature, message, key, alg.into()).unwrap_or(false);
    if eligible.any(fits) { Ok(alg) } else { Err(JwtError::Signature { kid: kid() }) }
}

fn check_times(claims: &Map<String, Value>, policy: &Policy<'_>, now: Timestamp) -> Result<(), JwtError> {
    let read = |claim: &'static str| match time(claims, claim)? {
        None if policy.required.contains(&claim) => Err(JwtError::Missing(claim)),
        found => Ok(found),
    };
    if let Some(exp) = read("exp")?
        && now >= exp.plus(policy.leeway)
    {
        return Err(JwtError::Expired(now.since(exp)));
    }
    if let Some(nbf) = read("nbf")?
        && nbf > now.plus(policy.leeway)
    {
        return Err(JwtError::NotYetValid(nbf.since(now)));
    }
    // `iat` too far in the past is left to `exp`: only the provider knows how long its tokens are good for.
    if let Some(iat) = read("iat")?
        && iat > now.plus(policy.leeway)
    {
        return Err(JwtError::IssuedInFuture(iat.since(now)));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
