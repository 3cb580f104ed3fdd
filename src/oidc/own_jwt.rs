//! JWTs that we make ourselves: RFC 7515 section 7.1, signed with the client's key or keyed with its secret.
//!
//! What they say is the matter of `client_assertion` and `request_object`; how the provider's are checked is
//! that of `jwt`.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::error::OidcError;
use super::message::Call;
use super::{Algorithm, Settings};

/// What a JWT of ours is signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signing {
    /// The private key.
    Key(Algorithm),
    /// The client secret.
    Secret(Mac),
}

/// A keyed hash (RFC 7518 section 3.2). Only for what we say; the provider's tokens are never taken so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mac {
    /// HMAC with SHA-256
    Hs256,
    /// HMAC with SHA-384
    Hs384,
    /// HMAC with SHA-512
    Hs512,
}

impl Mac {
    const ALL: [Self; 3] = [Self::Hs256, Self::Hs384, Self::Hs512];

    const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
        }
    }

    fn algorithm(self) -> hmac::Algorithm {
        match self {
            Self::Hs256 => hmac::HMAC_SHA256,
            Self::Hs384 => hmac::HMAC_SHA384,
            Self::Hs512 => hmac::HMAC_SHA512,
        }
    }

    /// The first of those announced, the weakest first: every provider that knows any knows HS256.
    pub(super) fn among(announced: &[&str]) -> Option<Self> {
        Self::ALL.into_iter().find(|mac| announced.contains(&mac.name()))
    }
}

impl Signing {
    /// The name as it stands in `alg`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Key(algorithm) => algorithm.name(),
            Self::Secret(mac) => mac.name(),
        }
    }
}

/// A JWT of these claims, of the type `typ`.
///
/// # Errors
/// When the settings have nothing to sign with, which their check at start rules out.
pub(super) fn sign(
    call: Call,
    settings: &Settings,
    signing: Signing,
    typ: &str,
    claims: &Value,
) -> Result<String, OidcError> {
    let mut header = json!({"alg": signing.name(), "typ": typ});
    if let (Signing::Key(_), Some(key), Some(header)) =
        (signing, &settings.private_key, header.as_object_mut())
    {
        header.insert("kid".into(), key.id().into());
    }
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let message = format!("{}.{}", encode(&header), encode(claims));
    let made = match signing {
        Signing::Key(algorithm) => {
            settings.private_key.as_ref().and_then(|key| key.sign(algorithm, message.as_bytes()))
        }
        Signing::Secret(mac) => settings.client_secret.as_ref().map(|secret| {
            let key = hmac::Key::new(mac.algorithm(), secret.expose().as_bytes());
            hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
        }),
    };
    let made = made.ok_or(OidcError::Unsigned { call })?;
    Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(made)))
}
