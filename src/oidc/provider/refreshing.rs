//! The calls that a session makes after its sign-in: tokens refreshed, claims asked for again, tokens revoked.

use std::sync::Arc;

use super::Provider;
use crate::identity::claims::{Claims, Tokens};
use crate::oidc::error::{MemberProblem, OidcError};
use crate::oidc::id_token::refreshed;
use crate::oidc::message::Call;
use crate::oidc::refresh::{self, Held, RefreshError, Refreshed};
use crate::oidc::token::Answer;
use crate::oidc::{jwks, metadata::Metadata, revocation};

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
        // Before the refresh token is spent: without keys it would be spent for nothing.
        let keys = self.known_keys(&metadata).await.map_err(RefreshError::Later)?;
        let form = refresh::form(refresh_token);
        let response = self.post(Call::Token, metadata.client_auth, &metadata.token, form).await;
        let mut answer = refresh::response(&response.map_err(RefreshError::Later)?, self.clock.now())?;
        let id_token = match self.verify_refreshed(held, &answer, &metadata, keys).await {
            Ok(claims) => claims,
            // Its keys can't be had now: the new tokens count, the ID token does not.
            Err(error @ OidcError::Network { .. }) => {
                tracing::debug!(provider = self.name(), %error, "a refreshed ID token is left aside");
                answer.id_token = None;
                None
            }
            // SECURITY: another person's tokens, or another sign-in's, must not go into this session.
            Err(error) => return Err(RefreshError::Refused(error)),
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
        let userinfo = self.userinfo(&metadata, access_token, held.subject).await;
        let userinfo = userinfo.map_err(|error| match error {
            // SECURITY: claims of another person must not go into this session.
            OidcError::OtherSubject => RefreshError::Refused(error),
            error => RefreshError::Later(error),
        })?;
        Ok(refresh::claims(held, refreshed.id_token, userinfo))
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
        let answer = self.post(Call::Revocation, metadata.client_auth, endpoint, form).await?;
        revocation::response(&answer)
    }

    async fn verify_refreshed(
        &self,
        held: Held<'_>,
        answer: &Answer,
        metadata: &Metadata,
        keys: Arc<jwks::Keys>,
    ) -> Result<Option<serde_json::Map<String, serde_json::Value>>, OidcError> {
        let Some(id_token) = &answer.id_token else { return Ok(None) };
        let expected = refreshed::Expected {
            settings: &self.settings,
            algs: &metadata.id_token_algs,
            held,
            access_token: &answer.access_token,
        };
        let check = |keys: &jwks::Keys| refreshed::check(id_token, keys, &expected, self.clock.now());
        self.verify_with(metadata, keys, check).await.map(Some)
    }
}
