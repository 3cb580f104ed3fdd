//! Security profiles: what FAPI 2.0 Security Profile asks of a provider besides what every sign-in asks.
//!
//! What it asks of the settings is judged with the configuration; here a provider's metadata is held against it, so
//! that a sign-in fails before it begins, and says which member is to blame.

use super::client_choice::{Proof, is_offered};
use super::dpop;
use super::error::OidcError;
use super::metadata::Reader;
use super::own_jwt::Signing;
use super::{Algorithm, Protocol, Settings, TokenBinding};

/// What a sign-in has to keep to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// OpenID Connect and OAuth 2.0 with today's best practice (RFC 9700).
    #[default]
    Usual,
    /// FAPI 2.0 Security Profile.
    Fapi2,
}

impl Profile {
    /// FAPI 2.0 Security Profile section 5.4.1: what may be signed with, by us and by the provider.
    pub const FAPI2_ALGORITHMS: [Algorithm; 3] = [Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa];

    /// Whether something may be signed with this algorithm.
    pub fn allows(self, algorithm: Algorithm) -> bool {
        self == Self::Usual || Self::FAPI2_ALGORITHMS.contains(&algorithm)
    }
}

/// FAPI 2.0 Security Profile section 5.3.2: whether the provider announces what the profile needs.
///
/// # Errors
/// Names the first member that lacks something.
pub(super) fn demand(settings: &Settings, proof: Proof, read: &Reader<'_>) -> Result<(), OidcError> {
    if settings.profile == Profile::Usual {
        return Ok(());
    }
    let lacks = |member, needed| Err(OidcError::Profile { member, needed });
    // Section 5.3.2.1: clients are authenticated by private_key_jwt or mutual TLS.
    let member = "token_endpoint_auth_methods_supported";
    let method = proof.method();
    if !read.list(member).is_some_and(|methods| is_offered(method, &methods)) {
        return lacks(member, method.name());
    }
    let member = "token_endpoint_auth_signing_alg_values_supported";
    if let (Proof::Assertion(Signing::Key(algorithm)), Some(taken)) = (proof, read.list(member))
        && !taken.iter().any(|name| Algorithm::from_name(name) == Some(algorithm))
    {
        return lacks(member, algorithm.name());
    }
    // Section 5.3.2.1: access tokens are bound to who asked for them.
    match settings.binding {
        TokenBinding::Key => {
            let member = "dpop_signing_alg_values_supported";
            if !read.list(member).is_some_and(|algorithms| algorithms.contains(&dpop::ALGORITHM)) {
                return lacks(member, dpop::ALGORITHM);
            }
        }
        TokenBinding::Bearer => {
            let member = "tls_client_certificate_bound_access_tokens";
            if !read.flag(member) {
                return lacks(member, "true");
            }
        }
    }
    // Section 5.3.2.2: PKCE with S256.
    let member = "code_challenge_methods_supported";
    if !read.list(member).is_some_and(|methods| methods.contains(&"S256")) {
        return lacks(member, "S256");
    }
    // Section 5.3.2.2: `iss` in the response (RFC 9207); a signed one holds it anyway.
    let member = "authorization_response_iss_parameter_supported";
    if !settings.response_mode.is_signed() && !read.flag(member) {
        return lacks(member, "true");
    }
    let member = "id_token_signing_alg_values_supported";
    let known = read.list(member).unwrap_or_default();
    let mut known = known.into_iter().filter_map(Algorithm::from_name);
    if settings.protocol == Protocol::OpenIdConnect
        && !known.any(|algorithm| settings.profile.allows(algorithm))
    {
        return lacks(member, "PS256, ES256 or EdDSA");
    }
    Ok(())
}
