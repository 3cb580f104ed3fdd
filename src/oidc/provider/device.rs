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
use crate::oidc::{Profile, Protocol, token};

impl Provider {
    /// Asks for a code that a person enters on another device. `None` where the provider has no such thing, or the
    /// profile forbids it.
    ///
    /// # Errors
    /// When the provider refuses or can't be reached, or its answer can't be used.
    pub async fn begin_device(
        &self,
        acr_values: Option<String>,
        max_age: Option<Duration>,
    ) -> Result<Option<PendingDevice>, OidcError> {
        let metadata = self.known_metadata().await?;
        // FAPI 2.0 Security Profile section 5.3.3: the authorization code grant, and no other.
        let endpoint = metadata.device.as_ref().filter(|_| self.settings.profile == Profile::Usual);
        let Some(endpoint) = endpoint else { return Ok(None) };
        // SECURITY: as of a login through a browser: a stolen token, or device code, is worth nothing without the key.
        let proof_key = ProofKey::wanted(self.settings.binding)?;
        let form = device::form(&self.settings, acr_values.as_deref(), max_age);
        let answer = self.post(Call::Device, metadata.client_auth, endpoint, form).await?;
        device::response(&self.settings, &answer, acr_values, proof_key).map(Some)
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
        let key = pending.proof_key.as_ref().map(ProofKey::open).transpose()?;
        let key = key.as_ref();
        let form = device::question(&self.settings, pending);
        let answer = self.ask_for_tokens(&metadata, form, key).await?;
        let (binding, now) = (ProofKey::binding(key), self.clock.now());
        if let Err(error) = token::answer(&answer, binding, now) {
            return device::waits(&error).ok_or(error);
        }
        let mut person: SignIn = match &self.settings.protocol {
            Protocol::OpenIdConnect => {
                let asked = Asked {
                    nonce: None,
                    max_age: pending.max_age.map(Duration::from_secs),
                    acr_values: pending.acr_values.as_deref(),
                };
                self.by_id_token(&metadata, asked, key, token::response(&answer, binding, now)?).await?
            }
            Protocol::OAuth2 { .. } => {
                self.by_userinfo(&metadata, key, token::answer(&answer, binding, now)?).await?
            }
        };
        person.tokens.proof_key.clone_from(&pending.proof_key);
        Ok(Answer::SignedIn(Box::new(person)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::foundation::clock::{Clock, Timestamp};
    use crate::oidc::fixture::{self, FakeProvider, Signer};
    use crate::oidc::{Algorithm, Settings, TokenBinding};

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    /// A provider that hands out codes, with these settings.
    async fn world(change: impl FnOnce(&mut Settings)) -> (FakeProvider, std::sync::Arc<Provider>) {
        let fake = FakeProvider::working().await;
        let mut settings = fixture::settings(&fake.base);
        settings.endpoints.device_authorization = Some(format!("{}/device", fake.base).parse().unwrap());
        change(&mut settings);
        let code = json!({"device_code": "d", "user_code": "A", "verification_uri": "https://id.example"});
        fake.says("/device", 200, code.to_string());
        fake.says("/me", 200, json!({"sub": "anna"}).to_string());
        (fake, Provider::new(settings, Clock::manual(NOW)).unwrap())
    }

    fn tokens(fake: &FakeProvider, kind: &str) -> String {
        let mut claims = fixture::claims(&fake.base, NOW);
        claims.as_object_mut().unwrap().remove("nonce");
        let header = json!({"alg": "RS256", "kid": "k1"});
        let id_token = Signer::get(Algorithm::Rs256).token(&header, &claims);
        json!({"access_token": "at", "token_type": kind, "id_token": id_token}).to_string()
    }

    #[tokio::test]
    async fn a_screens_tokens_are_bound_to_its_key_as_those_of_any_login() {
        let (fake, provider) = world(|settings| {
            settings.binding = TokenBinding::Key;
            settings.resource = vec!["https://api.example".into()];
        })
        .await;
        let pending = provider.begin_device(None, None).await.unwrap().unwrap();
        fake.says("/token", 200, tokens(&fake, "Bearer"));
        assert_eq!(provider.ask_device(&pending).await.unwrap_err().code(), "provider_member");
        fake.says("/token", 200, tokens(&fake, "DPoP"));
        let Answer::SignedIn(person) = provider.ask_device(&pending).await.unwrap() else { panic!() };
        assert!(person.tokens.proof_key.is_some() && person.tokens.proof_key == pending.proof_key);
        let asked = &fake.seen("/token")[1];
        assert!(asked.headers.contains_key("dpop"));
        assert!(asked.body.contains("resource=https%3A%2F%2Fapi.example"), "{}", asked.body);
        assert_eq!(fake.seen("/me")[0].headers["authorization"], "DPoP at");
    }

    #[tokio::test]
    async fn without_dpop_a_screen_has_bearer_tokens_and_no_key() {
        let (fake, provider) = world(|_| {}).await;
        let pending = provider.begin_device(None, None).await.unwrap().unwrap();
        fake.says("/token", 200, tokens(&fake, "Bearer"));
        let Answer::SignedIn(person) = provider.ask_device(&pending).await.unwrap() else { panic!() };
        assert_eq!((person.tokens.proof_key, pending.proof_key), (None, None));
        assert!(!fake.seen("/token")[0].headers.contains_key("dpop"));
    }
}
