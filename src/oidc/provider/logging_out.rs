//! What a provider tells us of sign-outs there, without a browser (OpenID Connect Back-Channel Logout 1.0).

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;
use url::Url;

use super::Provider;
use crate::foundation::origin::Origin;
use crate::oidc::error::OidcError;
use crate::oidc::jwks::Keys;
use crate::oidc::jwt::{self, JwtError};
use crate::oidc::logout_token::{self, LogoutToken, LogoutTokenError};
use crate::oidc::message::told;
use crate::oidc::{Protocol, jwe};

impl Provider {
    /// What a logout token says, and which of the providers says it.
    ///
    /// # Errors
    /// When it is not good; or when that can't be told now, for the provider's keys are not known.
    pub async fn hear_logout(
        among: &[Arc<Self>],
        token: &str,
    ) -> Result<(Arc<Self>, LogoutToken), OidcError> {
        let signed = decrypted(among, token).map_err(LogoutTokenError::from)?;
        let provider = addressed(among, &signed).map_err(LogoutTokenError::from)?;
        let metadata = provider.known_metadata().await?;
        let check = |keys: &Keys| {
            let (settings, now) = (&provider.settings, provider.clock.now());
            Ok(logout_token::check(&signed, keys, settings, &metadata.id_token_algs, now)?)
        };
        let heard = provider.with_keys(&metadata, check).await?;
        Ok((Arc::clone(provider), heard))
    }

    /// Whether it is the same client at the same provider, under another name in the configuration.
    pub fn is_same_client(&self, other: &Self) -> bool {
        self.issues(&other.settings.issuer) && self.settings.client_id == other.settings.client_id
    }

    /// Where pages of the provider's may be, as far as it is known: its own origin, those of sign-in and sign-out.
    pub fn origins(&self) -> Vec<Origin> {
        let issuer = Url::parse(&self.settings.issuer).ok();
        let mut origins: Vec<_> = issuer.as_ref().and_then(Origin::of).into_iter().collect();
        if let Some(metadata) = self.metadata.get() {
            let more = [Some(&metadata.authorization), metadata.end_session.as_ref()];
            origins.extend(more.into_iter().flatten().filter_map(Origin::of));
        }
        origins
    }
}

/// What is signed in an encrypted token, by whichever key opens it; another token as it is.
fn decrypted<'t>(among: &[Arc<Provider>], token: &'t str) -> Result<Cow<'t, str>, JwtError> {
    if !jwe::is_encrypted(token) {
        return Ok(Cow::Borrowed(token));
    }
    let mut refused = JwtError::Encrypted;
    for provider in among.iter().filter(|provider| !provider.settings.decryption_keys.is_empty()) {
        match jwt::inside(token, &provider.settings.decryption_keys) {
            Ok(Some(signed)) => return Ok(Cow::Owned(signed.as_str().to_owned())),
            Ok(None) => {}
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

/// The provider that a token names; where a client of ours has two entries there, the one that it is for. Whether it
/// is true is still to be verified.
fn addressed<'p>(among: &'p [Arc<Provider>], token: &str) -> Result<&'p Arc<Provider>, JwtError> {
    let claims = jwt::unverified(token)?;
    let issuer = claims.get("iss").and_then(Value::as_str).ok_or(JwtError::Missing("iss"))?;
    let named = || {
        let signing = among.iter().filter(|provider| provider.settings.protocol == Protocol::OpenIdConnect);
        signing.filter(|provider| provider.issues(issuer))
    };
    let is_for = |provider: &&Arc<Provider>| match claims.get("aud") {
        Some(Value::Array(list)) => list.iter().any(|audience| *audience == provider.settings.client_id),
        audience => audience.and_then(Value::as_str) == Some(&provider.settings.client_id),
    };
    named().find(is_for).or_else(|| named().next()).ok_or_else(|| {
        let known: Vec<&str> = among.iter().map(|provider| provider.settings.issuer.as_str()).collect();
        JwtError::Issuer { found: told(issuer), expected: known.join(" or ") }
    })
}
