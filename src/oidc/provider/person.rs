//! Who signed in: by the ID token with what userinfo adds, or by userinfo alone where OAuth 2.0 alone is spoken.

use std::time::Duration;

use serde_json::{Map, Value};
use tracing::debug;

use super::{Provider, SignIn};
use crate::foundation::secret::Secret;
use crate::identity::claims::{Claims, Tokens};
use crate::oidc::cached::Why;
use crate::oidc::callback::Redemption;
use crate::oidc::dpop::ProofKey;
use crate::oidc::error::OidcError;
use crate::oidc::id_token::{self, Expected, IdToken};
use crate::oidc::jwks::Keys;
use crate::oidc::metadata::Metadata;
use crate::oidc::token::{Answer, Grant};
use crate::oidc::{Protocol, subject, userinfo};

/// What an ID token is held against that differs between logins.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// What the authorization request sent, if there was one.
    pub(super) nonce: Option<&'a Secret>,
    pub(super) max_age: Option<Duration>,
    pub(super) acr_values: Option<&'a str>,
}

impl<'a> Asked<'a> {
    /// By the authorization request whose code is redeemed.
    pub(super) fn by(redemption: &'a Redemption) -> Self {
        Self {
            nonce: Some(&redemption.nonce),
            max_age: redemption.max_age,
            acr_values: redemption.acr_values.as_deref(),
        }
    }
}

impl Provider {
    pub(super) async fn by_id_token(
        &self,
        metadata: &Metadata,
        asked: Asked<'_>,
        key: Option<&ProofKey>,
        grant: Grant,
    ) -> Result<SignIn, OidcError> {
        let Grant { access_token, access_expires_at, id_token, refresh_token } = grant;
        let signed = id_token::decrypt(id_token, &self.settings.decryption_keys)?;
        let expected = Expected {
            settings: &self.settings,
            algs: &metadata.id_token_algs,
            nonce: asked.nonce,
            max_age: asked.max_age,
            acr_values: asked.acr_values,
            access_token: &access_token,
        };
        let check = |keys: &Keys| Ok(id_token::check(&signed, keys, &expected, self.clock.now())?);
        let IdToken { subject, provider_session, auth_time, issued_at, claims } =
            self.with_keys(metadata, check).await?;
        let userinfo = self.userinfo(metadata, &access_token, key, Some(&subject)).await?;
        let claims = userinfo::merge(claims, userinfo);
        let tokens = Tokens {
            access: Some(access_token),
            id: Some(signed),
            refresh: refresh_token,
            ..Tokens::default()
        };
        Ok(SignIn { subject, provider_session, claims, tokens, access_expires_at, auth_time, issued_at })
    }

    /// An ID token that came along is not looked at and not kept: nobody asked for one, so nothing binds it to
    /// this login.
    pub(super) async fn by_userinfo(
        &self,
        metadata: &Metadata,
        key: Option<&ProofKey>,
        answer: Answer,
    ) -> Result<SignIn, OidcError> {
        let Answer { access_token, access_expires_at, refresh_token, .. } = answer;
        let said = self.userinfo(metadata, &access_token, key, None).await?;
        let said = Claims(said.ok_or(OidcError::EndpointMissing { endpoint: "userinfo_endpoint" })?);
        let subject = subject::of(&said, self.named_subject())?;
        let provider_session = said.get("sid").and_then(Value::as_str).filter(|sid| !sid.is_empty());
        let provider_session = provider_session.map(str::to_owned);
        let claims = userinfo::alone(said.0, &subject);
        let tokens = Tokens { access: Some(access_token), refresh: refresh_token, ..Tokens::default() };
        let (auth_time, issued_at) = (None, None);
        Ok(SignIn { subject, provider_session, claims, tokens, access_expires_at, auth_time, issued_at })
    }

    /// What the userinfo endpoint says, if there is one; of whom else than `subject`, if that is known, is an
    /// error.
    pub(super) async fn userinfo(
        &self,
        metadata: &Metadata,
        access_token: &Secret,
        key: Option<&ProofKey>,
        subject: Option<&str>,
    ) -> Result<Option<Map<String, Value>>, OidcError> {
        let Some(endpoint) = &metadata.userinfo else { return Ok(None) };
        let answer = self.ask_for_claims(endpoint, access_token, key).await?;
        let claims = match userinfo::response(&answer, &self.settings.decryption_keys)? {
            userinfo::Answer::Plain(claims) => claims,
            userinfo::Answer::Signed(token) => {
                let (algs, now) = (&metadata.userinfo_algs, self.clock.now());
                let check = |keys: &Keys| userinfo::verify(&token, keys, &self.settings, algs, now);
                self.with_keys(metadata, check).await?
            }
        };
        let Some(subject) = subject else { return Ok(Some(claims)) };
        if self.signs() {
            userinfo::check_subject(&claims, subject)?;
            return Ok(Some(claims));
        }
        let claims = Claims(claims);
        if subject::of(&claims, self.named_subject())? != subject {
            return Err(OidcError::OtherSubject);
        }
        Ok(Some(claims.0))
    }

    /// Checks something signed with the keys that are known, and with newer ones where those could make it good.
    pub(super) async fn with_keys<T>(
        &self,
        metadata: &Metadata,
        check: impl Fn(&Keys) -> Result<T, OidcError>,
    ) -> Result<T, OidcError> {
        let keys = self.known_keys(metadata).await?;
        let error = match check(&keys) {
            Err(error) if error.may_be_rotation() => error,
            settled => return settled,
        };
        debug!(provider = self.name(), %error, "the provider may have new keys");
        let newer = self.fetch_keys(metadata, Why::Unfit(&keys)).await?;
        if std::sync::Arc::ptr_eq(&newer, &keys) {
            return Err(error);
        }
        check(&newer)
    }

    fn named_subject(&self) -> Option<&str> {
        match &self.settings.protocol {
            Protocol::OpenIdConnect => None,
            Protocol::OAuth2 { subject } => subject.as_deref(),
        }
    }
}
