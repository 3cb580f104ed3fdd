//! One provider: its settings, what is known of it, and the calls in their order.
//!
//! Joins the messages with the transport and owns nothing of the protocol. Each provider has its own state and
//! its own time limits: a slow one delays nobody but those who sign in with it.

use std::sync::Arc;
use std::time::Duration;

use openidconnect::HttpResponse;
use url::Url;

use super::access_token::{self, AccessToken, Looks, TokenRefused};
use super::authorization::{PendingLogin, RESERVED_PARAMS};
use super::believed::{Believed, Disbelief};
use super::cached::{self, Cached, Fetched, Readiness, Why};
use super::callback::{AuthorizationResponse, CallbackError, Redemption};
use super::client_auth::{self, Form};
use super::client_choice::Proof;
use super::dpop::{Nonces, ProofKey};
use super::end_session::{self, EndSession, EndSessionRequest};
use super::error::{OidcError, SetupError};
use super::held_requests::HeldRequests;
use super::jwks::{self, Keys};
use super::message::Call;
use super::metadata::Metadata;
use super::report::Told;
use super::token;
use super::transport::Transport;
use super::{
    ClientAuth, Discovery, Protocol, Settings, client_choice, discovery, introspection, jarm, report,
};
use crate::foundation::clock::{Clock, Timestamp};
use crate::foundation::origin::{Origin, Scheme};
use crate::identity::claims::{Claims, Tokens};

mod beginning;
mod device;
mod examining;
mod logging_out;
mod person;
mod proving;
mod refreshing;
mod registering;

use person::Asked;

/// How long [`Provider::keep_fresh`] sleeps at most, so that a clock that jumped is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// One provider. Its async functions belong on the control runtime.
#[derive(Debug)]
pub struct Provider {
    settings: Settings,
    clock: Clock,
    transport: Transport,
    metadata: Cached<Metadata>,
    keys: Cached<Keys>,
    believed: Believed,
    nonces: Nonces,
    requests: HeldRequests,
    told: ToldOf,
}

/// What the log was told of each thing that is fetched.
#[derive(Debug, Default)]
struct ToldOf {
    metadata: Told,
    keys: Told,
}

/// How we prove who we are at each endpoint that may want its own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAuths {
    /// The token endpoint, and those that are spoken to like it.
    pub token: ClientAuth,
    /// The introspection endpoint.
    pub introspection: ClientAuth,
    /// The revocation endpoint.
    pub revocation: ClientAuth,
}

/// A person who signed in, as the provider says.
#[derive(Debug)]
pub struct SignIn {
    /// The person, unique at this provider: `sub`, or with OAuth 2.0 alone the claim that was chosen.
    pub subject: String,
    /// The provider's name for its own session (`sid`).
    pub provider_session: Option<String>,
    /// What the provider says of the person: the ID token's claims and userinfo's, raw.
    pub claims: Claims,
    /// The tokens.
    pub tokens: Tokens,
    /// When the access token stops being good, if the provider says.
    pub access_expires_at: Option<Timestamp>,
    /// When the person proved who they are, if the provider says.
    pub auth_time: Option<Timestamp>,
    /// When the provider said so (`iat` of the ID token), by its clock.
    pub issued_at: Option<Timestamp>,
}

impl Provider {
    /// A provider by its settings; nothing is fetched yet.
    ///
    /// # Errors
    /// When it can't even be tried with these settings.
    pub fn new(settings: Settings, clock: Clock) -> Result<Arc<Self>, SetupError> {
        let issuer = Url::parse(&settings.issuer).ok();
        let nameless = matches!(settings.protocol, Protocol::OAuth2 { .. })
            && settings.discovery == Discovery::ByHand
            && settings.issuer.is_empty();
        if !nameless && issuer.as_ref().and_then(Origin::of).is_none() {
            return Err(SetupError::Issuer(settings.issuer));
        }
        let reserved = |name: &str| RESERVED_PARAMS.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        if let Some((name, _)) = settings.params.iter().find(|(name, _)| reserved(name)) {
            return Err(SetupError::ReservedParam(name.clone()));
        }
        client_choice::has_what_it_needs(&settings)?;
        let metadata = match settings.discovery {
            Discovery::Fetch => Cached::empty(clock.now()),
            Discovery::ByHand => {
                let metadata =
                    Metadata::settle(&settings, &serde_json::Map::new()).map_err(|error| match error {
                        OidcError::EndpointMissing { endpoint } => SetupError::EndpointMissing(endpoint),
                        other => SetupError::Client(other.to_string()),
                    })?;
                Cached::fixed(metadata, clock.now())
            }
        };
        let transport = Transport::new(&settings)?;
        let keys = Cached::empty(clock.now());
        Ok(Arc::new(Self {
            settings,
            clock,
            transport,
            metadata,
            keys,
            believed: Believed::new(),
            nonces: Nonces::default(),
            requests: HeldRequests::new(),
            told: ToldOf::default(),
        }))
    }

    /// The administrator's name for it.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// What the configuration says of it.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Fetches metadata and keys, again when they age, again after failures, without end.
    pub async fn keep_fresh(self: Arc<Self>) {
        loop {
            let wait = self.fetch_due().await;
            tokio::time::sleep(wait.clamp(Duration::from_millis(500), LONGEST_SLEEP)).await;
        }
    }

    /// Whether people can sign in with it.
    pub fn readiness(&self) -> Readiness {
        let now = self.clock.now();
        let metadata = self.metadata.readiness(now);
        if !self.signs() {
            return metadata;
        }
        let keys = self.keys.readiness(now);
        match (&metadata, &keys) {
            (Readiness::Waiting { .. }, _) => metadata,
            (_, Readiness::Waiting { .. }) => keys,
            (Readiness::Stale { .. }, _) => metadata,
            _ => keys,
        }
    }

    /// Ends a login: holds the response against it, and redeems the code.
    ///
    /// # Errors
    /// As [`PendingLogin::check`] and [`Provider::redeem`], and when the provider did not sign a response that it
    /// was to sign.
    pub async fn finish(
        &self,
        login: PendingLogin,
        response: AuthorizationResponse,
    ) -> Result<SignIn, OidcError> {
        let response = match response.unverified() {
            Some(jwt) if login.asks_for_signature() && login.provider() == self.name() => {
                let metadata = self.known_metadata().await?;
                let (algs, now) = (&metadata.response_algs, self.clock.now());
                let check = |keys: &Keys| Ok(jarm::verify(jwt, keys, &self.settings, algs, now)?);
                response.verified(&self.with_keys(&metadata, check).await?)
            }
            _ => response,
        };
        let redemption = login.check(self, response)?;
        self.redeem(redemption).await
    }

    /// Redeems a code: token endpoint, ID token where there is one, userinfo.
    ///
    /// # Errors
    /// When the provider refuses or can't be reached, or its answer can't be trusted.
    pub async fn redeem(&self, redemption: Redemption) -> Result<SignIn, OidcError> {
        if redemption.provider != self.settings.name {
            return Err(CallbackError::OtherProvider.into());
        }
        let metadata = self.known_metadata().await?;
        if self.signs() {
            // Before the code is spent: without keys it would be spent for nothing.
            self.known_keys(&metadata).await?;
        }
        let key = redemption.proof_key.as_ref().map(ProofKey::open).transpose()?;
        let key = key.as_ref();
        let answer = self.ask_for_tokens(&metadata, token::form(&self.settings, &redemption), key).await?;
        let (binding, now) = (ProofKey::binding(key), self.clock.now());
        let mut sign_in = match &self.settings.protocol {
            Protocol::OpenIdConnect => {
                let grant = token::response(&answer, binding, now)?;
                self.by_id_token(&metadata, Asked::by(&redemption), key, grant).await?
            }
            Protocol::OAuth2 { .. } => {
                self.by_userinfo(&metadata, key, token::answer(&answer, binding, now)?).await?
            }
        };
        sign_in.tokens.proof_key = redemption.proof_key;
        Ok(sign_in)
    }

    /// Whether an access token that a client presents is good: by the provider's keys where it is a JWT access
    /// token, by asking the provider otherwise. What is found out is kept for a short time.
    ///
    /// # Errors
    /// When it is not good, or that can't be told now.
    pub async fn believe(&self, token: &str) -> Result<Arc<AccessToken>, Disbelief> {
        let looks = access_token::looks(token)?;
        let find_out = async || match looks {
            Looks::Jwt => self.verify_access_token(token).await,
            Looks::Opaque => self.introspect(token).await,
        };
        self.believed.ask(token, &self.clock, find_out).await
    }

    /// Whether that is this provider's issuer. SECURITY: one that has none is not meant by an empty name.
    pub fn issues(&self, issuer: &str) -> bool {
        !issuer.is_empty() && self.settings.issuer == issuer
    }

    /// How we prove who we are at the provider's endpoints; `None` where it is not known yet.
    pub fn client_auths(&self) -> Option<ClientAuths> {
        let metadata = self.metadata.get()?;
        Some(ClientAuths {
            token: metadata.client_auth.method(),
            introspection: metadata.introspection_auth.method(),
            revocation: metadata.revocation_auth.method(),
        })
    }

    /// How to send the browser to the provider's own sign-out; `None` where the provider has none or is not
    /// known yet.
    pub fn end_session(&self, session: EndSession<'_>) -> Option<EndSessionRequest> {
        let metadata = self.metadata.get()?;
        let endpoint = metadata.end_session.as_ref()?;
        Some(end_session::request(&self.settings, endpoint, session))
    }

    /// The scheme of where people sign in, as far as it is known.
    pub fn sign_in_scheme(&self) -> Scheme {
        let known = self.metadata.get().and_then(|metadata| Origin::of(&metadata.authorization));
        let issuer = || Url::parse(&self.settings.issuer).ok().as_ref().and_then(Origin::of);
        known.or_else(issuer).map_or(Scheme::Https, |origin| origin.scheme())
    }

    /// The scheme of the provider's own sign-out; `None` where it has none or is not known yet.
    pub fn sign_out_scheme(&self) -> Option<Scheme> {
        self.metadata.get()?.end_session.as_ref().and_then(Origin::of).map(|origin| origin.scheme())
    }

    /// Fetches what is due; says how long until something is due again.
    async fn fetch_due(&self) -> Duration {
        if self.metadata.due_in(self.clock.now()).is_zero() {
            self.fetch_metadata(Why::Due).await.ok();
        }
        if let Some(metadata) = self.metadata.get()
            && self.signs()
            && self.keys.due_in(self.clock.now()).is_zero()
        {
            self.fetch_keys(&metadata, Why::Due).await.ok();
        }
        let now = self.clock.now();
        match self.metadata.get() {
            Some(_) if self.signs() => self.metadata.due_in(now).min(self.keys.due_in(now)),
            _ => self.metadata.due_in(now),
        }
    }

    /// Whether sign-in needs the provider's keys, which are then kept at hand.
    fn signs(&self) -> bool {
        self.settings.protocol == Protocol::OpenIdConnect
    }

    async fn verify_access_token(
        &self,
        token: &str,
    ) -> Result<Result<Arc<AccessToken>, TokenRefused>, OidcError> {
        let metadata = self.known_metadata().await?;
        if self.settings.issuer.is_empty() || metadata.jwks.is_none() {
            // RFC 9068 section 4 needs both; the provider itself can tell all the same.
            return self.introspect(token).await;
        }
        let keys = self.known_keys(&metadata).await?;
        let algs = &metadata.id_token_algs;
        let check = |keys: &Keys| access_token::check(token, keys, &self.settings, algs, self.clock.now());
        let mut checked = check(&keys);
        if checked.as_ref().is_err_and(TokenRefused::may_be_rotation) {
            let newer = self.fetch_keys(&metadata, Why::Unfit(&keys)).await?;
            checked = check(&newer);
        }
        Ok(checked.map(Arc::new))
    }

    async fn introspect(&self, token: &str) -> Result<Result<Arc<AccessToken>, TokenRefused>, OidcError> {
        let metadata = self.known_metadata().await?;
        let Some(endpoint) = &metadata.introspection else { return Ok(Err(TokenRefused::Opaque)) };
        let form = introspection::form(token);
        let answer = self.post(Call::Introspection, metadata.introspection_auth, endpoint, form).await?;
        let answer = introspection::response(&answer)?;
        Ok(access_token::introspected(answer, &self.settings, self.clock.now()).map(Arc::new))
    }

    async fn known_metadata(&self) -> Result<Arc<Metadata>, OidcError> {
        match self.metadata.get() {
            Some(metadata) => Ok(metadata),
            None => self.fetch_metadata(Why::Needed).await,
        }
    }

    async fn known_keys(&self, metadata: &Metadata) -> Result<Arc<Keys>, OidcError> {
        match self.keys.get() {
            Some(keys) => Ok(keys),
            None => self.fetch_keys(metadata, Why::Needed).await,
        }
    }

    async fn fetch_metadata(&self, why: Why<'_, Metadata>) -> Result<Arc<Metadata>, OidcError> {
        let call = async {
            let answer = self.document().await;
            let fetched = answer.and_then(|answer| {
                let value = discovery::response(&self.settings, &answer)?;
                Ok(Fetched { value, lifetime: cached::lifetime(answer.headers()) })
            });
            if let Ok(Fetched { value, .. }) = &fetched
                && self.metadata.get().is_none_or(|known| known.remarks != value.remarks)
            {
                report::remarks(self.name(), &value.remarks);
            }
            let now = self.clock.now();
            let before = self.metadata.readiness(now);
            self.told.metadata.fetched(self.name(), Call::Discovery, &fetched, &before, now);
            fetched
        };
        self.metadata.fetch(why, &self.clock, call).await
    }

    async fn fetch_keys(&self, metadata: &Metadata, why: Why<'_, Keys>) -> Result<Arc<Keys>, OidcError> {
        let jwks = metadata.jwks.as_ref().ok_or(OidcError::EndpointMissing { endpoint: "jwks_uri" })?;
        let request = jwks::request(jwks)?;
        let call = async {
            let answer = self.transport.exchange(Call::Keys, request).await;
            let fetched = answer.and_then(|answer| {
                let value = jwks::response(&answer)?;
                Ok(Fetched { value, lifetime: cached::lifetime(answer.headers()) })
            });
            let now = self.clock.now();
            let before = self.keys.readiness(now);
            self.told.keys.fetched(self.name(), Call::Keys, &fetched, &before, now);
            fetched
        };
        self.keys.fetch(why, &self.clock, call).await
    }

    /// Sends a form to one of the provider's endpoints, with the proof of who we are.
    async fn post(
        &self,
        call: Call,
        proof: Proof,
        endpoint: &Url,
        form: Form,
    ) -> Result<HttpResponse, OidcError> {
        let request = client_auth::post(call, &self.settings, proof, endpoint, form, self.clock.now())?;
        self.transport.exchange(call, request).await
    }

    /// The provider's document, from the first place that has one.
    async fn document(&self) -> Result<HttpResponse, OidcError> {
        let mut answer = Err(OidcError::Address { call: Call::Discovery });
        for request in discovery::requests(&self.settings)? {
            answer = self.transport.exchange(Call::Discovery, request).await;
            if answer.as_ref().map_or(true, discovery::is_there) {
                break;
            }
        }
        answer
    }
}

#[cfg(test)]
mod tests;
