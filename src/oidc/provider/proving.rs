//! The calls with tokens that may be bound to a key (RFC 9449): the token endpoint, and userinfo.

use openidconnect::HttpResponse;
use url::Url;

use super::Provider;
use crate::foundation::secret::Secret;
use crate::oidc::client_auth::{self, Form};
use crate::oidc::dpop::ProofKey;
use crate::oidc::error::OidcError;
use crate::oidc::message::Call;
use crate::oidc::metadata::Metadata;
use crate::oidc::userinfo;

impl Provider {
    /// What the token endpoint says to `form`; with a key, what it gives is bound to that.
    pub(super) async fn ask_for_tokens(
        &self,
        metadata: &Metadata,
        form: Form,
        key: Option<&ProofKey>,
    ) -> Result<HttpResponse, OidcError> {
        let (call, method, endpoint) = (Call::Token, metadata.client_auth, &metadata.token);
        let Some(key) = key else { return self.post(call, method, endpoint, form).await };
        // Built anew for each attempt: an assertion of ours is good for one request, too.
        let build =
            || client_auth::post(call, &self.settings, method, endpoint, form.clone(), self.clock.now());
        self.nonces.exchange(&self.transport, call, key, None, || self.clock.now(), build).await
    }

    /// What the userinfo endpoint answers to this token, which is bound to `key`, where there is one.
    pub(super) async fn ask_for_claims(
        &self,
        endpoint: &Url,
        access_token: &Secret,
        key: Option<&ProofKey>,
    ) -> Result<HttpResponse, OidcError> {
        let build = || userinfo::request(endpoint, access_token, ProofKey::binding(key));
        let Some(key) = key else { return self.transport.exchange(Call::Userinfo, build()?).await };
        let (token, now) = (Some(access_token), || self.clock.now());
        self.nonces.exchange(&self.transport, Call::Userinfo, key, token, now, build).await
    }
}
