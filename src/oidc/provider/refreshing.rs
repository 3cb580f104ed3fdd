//! The calls that a session makes after its sign-in: tokens refreshed, claims asked for again, tokens revoked.

use serde_json::{Map, Value};

use super::Provider;
use crate::identity::claims::{Claims, Tokens};
use crate::oidc::dpop::ProofKey;
use crate::oidc::error::{MemberProblem, OidcError};
use crate::oidc::id_token::{self, refreshed};
use crate::oidc::jwks::Keys;
use crate::oidc::message::Call;
use crate::oidc::metadata::Metadata;
use crate::oidc::refresh::{self, Held, RefreshError, Refreshed};
use crate::oidc::token::{self, Answer};
use crate::oidc::{revocation, userinfo};

impl Provider {
    /// Refreshes the tokens of a session. After an answer the old refresh token may be worth nothing: what comes
    /// back has to be written down before anything else is asked.
    ///
    /// # Errors
    /// When the provider refuses, answers for another person or sign-in, or can't be reached.
    pub async fn refresh(&self, held: Held<'_>) -> Result<Refreshed, RefreshError> {
        let Some(refresh_token) = &held.tokens.refresh else {
            let (call, member) = (Call::Token, "refresh_token");
            return Err(RefreshError::Later(OidcError::Member {
                call,
                member,
                problem: MemberProblem::Missing,
            }));
        };
        let metadata = self.known_metadata().await.map_err(RefreshError::Later)?;
        if self.signs() {
            // Before the refresh token is spent: without keys it would be spent for nothing.
            self.known_keys(&metadata).await.map_err(RefreshError::Later)?;
        }
        // RFC 9449 section 5: with the key that the tokens were bound to at first.
        let key = held.tokens.proof_key.as_ref().map(ProofKey::open).transpose();
        let key = key.map_err(RefreshError::Later)?;
        let form = token::for_resources(&self.settings, refresh::form(refresh_token));
        let response = self.ask_for_tokens(&metadata, form, key.as_ref()).await;
        let (response, binding) = (response.map_err(RefreshError::Later)?, ProofKey::binding(key.as_ref()));
        let mut answer = refresh::response(&response, binding, self.clock.now())?;
        let id_token = match self.verify_refreshed(held, &mut answer, &metadata).await {
            Ok(claims) => claims,
            // SECURITY: another person's tokens, or another sign-in's, must not go into this session.
            Err(error @ OidcError::IdToken(_)) => return Err(RefreshError::Refused(error)),
            // Newer keys can't be had now: the new tokens count, the ID token does not.
            Err(error) => {
                tracing::debug!(provider = self.name(), %error, "a refreshed ID token is left aside");
                None
            }
        };
        let access_expires_at = answer.access_expires_at;
        Ok(Refreshed { tokens: refresh::rotate(held.tokens, answer), access_expires_at, id_token })
    }

    /// What the provider says of the person now.
    ///
    /// # Errors
    /// When userinfo is about somebody else, which ends the session, or can't be had.
    pub async fn fresh_claims(&self, held: Held<'_>, refreshed: Refreshed) -> Result<Claims, RefreshError> {
        let metadata = self.known_metadata().await.map_err(RefreshError::Later)?;
        let Some(access_token) = &refreshed.tokens.access else { return Ok(held.claims.clone()) };
        let key = refreshed.tokens.proof_key.as_ref().map(ProofKey::open).transpose();
        let key = key.map_err(RefreshError::Later)?;
        let userinfo = self.userinfo(&metadata, access_token, key.as_ref(), Some(held.subject)).await;
        let userinfo = userinfo.map_err(|error| match error {
            // SECURITY: claims of another person must not go into this session.
            OidcError::OtherSubject => RefreshError::Refused(error),
            error => RefreshError::Later(error),
        })?;
        match userinfo {
            Some(said) if !self.signs() => Ok(userinfo::alone(said, held.subject)),
            userinfo => Ok(refresh::claims(held, refreshed.id_token, userinfo)),
        }
    }

    /// Revokes the tokens of a session that is over, where the provider lets us.
    ///
    /// # Errors
    /// When the provider refuses or can't be reached.
    pub async fn revoke(&self, tokens: &Tokens) -> Result<(), OidcError> {
        let metadata = self.known_metadata().await?;
        let (Some(endpoint), Some(form)) = (&metadata.revocation, revocation::form(tokens)) else {
            return Ok(());
        };
        let answer = self.post(Call::Revocation, metadata.revocation_auth, endpoint, form).await?;
        revocation::response(&answer)
    }

    /// The claims of the answer's ID token; one that is not believed is left out of the answer.
    async fn verify_refreshed(
        &self,
        held: Held<'_>,
        answer: &mut Answer,
        metadata: &Metadata,
    ) -> Result<Option<Map<String, Value>>, OidcError> {
        let Some(id_token) = answer.id_token.take().filter(|_| self.signs()) else { return Ok(None) };
        let signed = id_token::decrypt(id_token, &self.settings.decryption_keys)?;
        let expected = refreshed::Expected {
            settings: &self.settings,
            algs: &metadata.id_token_algs,
            held,
            access_token: &answer.access_token,
        };
        let check = |keys: &Keys| Ok(refreshed::check(&signed, keys, &expected, self.clock.now())?);
        let claims = self.with_keys(metadata, check).await?;
        answer.id_token = Some(signed);
        Ok(Some(claims))
    }
}
