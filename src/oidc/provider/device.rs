//! Sign-in on a device without a keyboard, in its two calls (RFC 8628). Who signed in is told as after a code that
//! came through a browser.

use std::time::Duration;

use super::person::Asked;
use super::{Provider, SignIn};
use crate::oidc::callback::CallbackError;
use crate::oidc::device::{self, Answer, PendingDevice};
use crate::oidc::dpop::ProofKey;
use crate::oidc::error::OidcError;
use crate::oidc::message::Call;
use crate::oidc::{Protocol, token};

impl Provider {
    /// Asks for a code that a person enters on another device. `None` where the provider has no such thing.
    ///
    /// # Errors
    /// When the provider refuses or can't be reached, or its answer can't be used.
    pub async fn begin_device(
        &self,
        acr_values: Option<String>,
        max_age: Option<Duration>,
    ) -> Result<Option<PendingDevice>, OidcError> {
        let metadata = self.known_metadata().await?;
        let Some(endpoint) = &metadata.device else { return Ok(None) };
        let form = device::form(&self.settings, acr_values.as_deref(), max_age);
        let answer = self.post(Call::Device, metadata.client_auth, endpoint, form).await?;
        device::response(&self.settings, &answer, acr_values).map(Some)
    }

    /// Asks once whether that code was approved, and if so for the person. When to ask is the caller's matter.
    ///
    /// # Errors
    /// When the code is over or was refused, the provider can't be reached, or its answer can't be trusted.
    pub async fn ask_device(&self, pending: &PendingDevice) -> Result<Answer, OidcError> {
        if pending.provider != self.settings.name {
            return Err(CallbackError::OtherProvider.into());
        }
        let metadata = self.known_metadata().await?;
        if self.signs() {
            // Before the code is spent: without keys it would be spent for nothing.
            self.known_keys(&metadata).await?;
        }
        let form = device::question(pending);
        let answer = self.ask_for_tokens(&metadata, form, None).await?;
        let (binding, now) = (ProofKey::binding(None), self.clock.now());
        if let Err(error) = token::answer(&answer, binding, now) {
            return device::waits(&error).ok_or(error);
        }
        let person: SignIn = match &self.settings.protocol {
            Protocol::OpenIdConnect => {
                let asked = Asked {
                    nonce: None,
                    max_age: pending.max_age.map(Duration::from_secs),
                    acr_values: pending.acr_values.as_deref(),
                };
                self.by_id_token(&metadata, asked, None, token::response(&answer, binding, now)?).await?
            }
            Protocol::OAuth2 { .. } => {
                self.by_userinfo(&metadata, None, token::answer(&answer, binding, now)?).await?
            }
        };
        Ok(Answer::SignedIn(Box::new(person)))
    }
}
