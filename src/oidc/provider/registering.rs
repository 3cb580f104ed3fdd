//! The registration of a client at the provider, which is done once, before anybody can sign in.

use super::Provider;
use crate::foundation::secret::Secret;
use crate::oidc::error::OidcError;
use crate::oidc::message::Call;
use crate::oidc::registration::{self, ClientAddresses, Registered, Scopes};

impl Provider {
    /// Registers a client with these addresses (RFC 7591). `token` is the initial access token that many providers
    /// want.
    ///
    /// # Errors
    /// When the provider registers nobody, refuses, or can't be reached.
    pub async fn register(
        &self,
        addresses: &ClientAddresses,
        name: &str,
        token: Option<&Secret>,
    ) -> Result<Registered, OidcError> {
        let metadata = self.known_metadata().await?;
        let missing = OidcError::EndpointMissing { endpoint: "registration_endpoint" };
        let endpoint = metadata.registration.as_ref().ok_or(missing)?;
        let register = async |scopes| {
            let request =
                registration::request(&self.settings, &metadata, endpoint, addresses, name, token, scopes)?;
            let answer = self.transport.exchange(Call::Registration, request).await?;
            registration::response(&metadata, &answer)
        };
        let answer = register(Scopes::All).await;
        if registration::refuses_scopes(&answer) { register(Scopes::WithoutOpenid).await } else { answer }
    }
}
