//! The client assertion: RFC 7523 section 3, OpenID Connect Core 1.0 section 9.
//!
//! A JWT by which we prove who we are without sending the secret or the key. Each is for one call.

use std::time::Duration;

use serde_json::json;

use super::Settings;
use super::error::OidcError;
use super::message::Call;
use super::own_jwt::{self, Signing};
use crate::foundation::clock::Timestamp;
use crate::foundation::random;
use crate::foundation::secret::Secret;

/// RFC 7521 section 4.2: the form field `client_assertion_type`.
pub(super) const KIND: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How long one is good.
const LIFETIME: Duration = Duration::from_secs(60);

/// An assertion for one call that is made now.
///
/// # Errors
/// When there is nothing to sign with.
pub(super) fn make(
    call: Call,
    settings: &Settings,
    signing: Signing,
    audience: &str,
    now: Timestamp,
) -> Result<Secret, OidcError> {
    let claims = json!({
        // RFC 7523 section 3 (1) and (2): both are the client.
        "iss": settings.client_id,
        "sub": settings.client_id,
        // RFC 7523 section 3 (3): one audience, as text. See `client_auth::audience`.
        "aud": audience,
        // RFC 7523 section 3 (7). SECURITY: one that is stolen on its way is good for nothing: a provider
        // takes each name once.
        "jti": random::token(),
        "iat": now.as_secs(),
        // RFC 7523 section 3 (4).
        "exp": now.plus(LIFETIME).as_secs(),
    });
    own_jwt::sign(call, settings, signing, "JWT", &claims).map(Secret::new)
}
