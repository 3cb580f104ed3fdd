//! The beginning of a login: its request, and the way that the request takes to the provider.

use url::Url;

use super::Provider;
use crate::oidc::authorization::{self, LoginRequest, PendingLogin};
use crate::oidc::carriage::Carriage;
use crate::oidc::error::OidcError;
use crate::oidc::message::Call;
use crate::oidc::metadata::Metadata;
use crate::oidc::pushed;
use crate::oidc::request_object::{self, Parameters};

impl Provider {
    /// Begins a login: the address to send the browser to, and what to remember for the callback. Metadata that
    /// is not known yet is asked for, by one fetch that all who wait share.
    ///
    /// # Errors
    /// When it can't be had within the time limit.
    pub async fn begin(&self, login: LoginRequest) -> Result<(Url, PendingLogin), OidcError> {
        let metadata = self.known_metadata().await?;
        let requests = login.requests.clone();
        let (address, pending) = authorization::request(&self.settings, &metadata, login)?;
        Ok((self.carry(&metadata, address, requests).await?, pending))
    }

    /// The request object of that name, which the provider fetches (RFC 9101 section 5.2.3).
    pub fn request_object(&self, name: &str) -> Option<String> {
        self.requests.read(name, self.clock.now())
    }

    /// The address to send the browser to, when the authorization request travels as it was settled. `requests`
    /// is where the provider can fetch objects of ours.
    async fn carry(
        &self,
        metadata: &Metadata,
        address: Url,
        requests: Option<Url>,
    ) -> Result<Url, OidcError> {
        // What the endpoint's own query has stays there.
        let own = metadata.authorization.query_pairs().count();
        let parameters: Parameters = address.query_pairs().into_owned().skip(own).collect();
        let (settings, now) = (&self.settings, self.clock.now());
        let object = |signing| request_object::make(settings, signing, &parameters, now);
        match &metadata.carriage {
            Carriage::Query => Ok(address),
            Carriage::Object(signing) => {
                Ok(authorization::by_object(metadata, &parameters, ("request", &object(*signing)?)))
            }
            Carriage::Reference(signing) => {
                let mut uri = requests.ok_or(OidcError::Address { call: Call::Authorization })?;
                let name = self.requests.hold(object(*signing)?, now);
                uri.set_path(&format!("{}/{name}", uri.path()));
                Ok(authorization::by_object(metadata, &parameters, ("request_uri", uri.as_str())))
            }
            Carriage::Pushed { endpoint, object: signing } => {
                let form = match signing {
                    Some(signing) => pushed::form_of_object(&settings.client_id, &object(*signing)?),
                    None => pushed::form(&parameters),
                };
                let answer = self.post(Call::Pushed, metadata.client_auth, endpoint, form).await?;
                Ok(authorization::by_pushed(settings, metadata, &pushed::response(&answer)?))
            }
        }
    }
}
