//! The authorization response: RFC 6749 sections 4.1.2 and 4.1.2.1, RFC 9207 section 2.4, Core 3.1.2.5 to 3.1.2.7,
//! Form Post Response Mode, and what is in a signed one (JARM), whose signature is `jarm`'s.
//!
//! A [`PendingLogin`] is consumed here. A code that passed is a [`Redemption`], the only thing that the token
//! endpoint is asked with: nothing is sent there before `state` and `iss` were compared.

use std::borrow::Cow;
use std::time::Duration;

use aws_lc_rs::constant_time;
use serde_json::{Map, Value};
use thiserror::Error;

use super::authorization::PendingLogin;
use super::error::OidcError;
use super::jarm::JarmError;
use super::jwt::{self, JwtError};
use super::message::{Call, told};
use super::provider::Provider;
use super::refusal::Refusal;
use super::response_mode::Carrier;
use crate::foundation::secret::Secret;

const MOST_BYTES: usize = 16 * 1024;
const MOST_PARAMETERS: usize = 32;

/// What the provider sent through the browser, read and not yet believed.
#[derive(Clone, Debug, Default)]
pub struct AuthorizationResponse {
    code: Option<Secret>,
    state: Option<String>,
    iss: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
    carrier: Carrier,
    protection: Protection,
}

/// Who vouches for what a response says.
#[derive(Clone, Debug, Default)]
enum Protection {
    /// Nobody.
    #[default]
    None,
    /// Perhaps the provider: this JWT is still to be verified, and only its `state` was looked at.
    Signed(Secret),
    /// The provider.
    Verified,
}

/// A code that belongs to this browser's login and may be redeemed, once.
#[derive(Debug)]
pub struct Redemption {
    pub(super) provider: String,
    pub(super) code: Secret,
    pub(super) nonce: Secret,
    pub(super) verifier: Secret,
    pub(super) redirect_uri: String,
    pub(super) max_age: Option<Duration>,
    pub(super) proof_key: Option<Secret>,
    pub(super) acr_values: Option<String>,
}

/// Why an authorization response is not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CallbackError {
    /// More than any provider sends.
    #[error("it is too long")]
    TooLong,
    /// RFC 6749 section 3.1: no parameter more than once.
    #[error("the parameter {0:?} is given twice")]
    Repeated(String),
    /// A token or a signed response, which was not asked for.
    #[error("it carries `{0}`, which was not asked for")]
    Unasked(&'static str),
    /// A form that is none.
    #[error("it was posted, and not as a form")]
    NotAForm,
    /// A form was posted to an address with a query: which of the two is the response can't be told.
    #[error("it has a query and a form")]
    QueryAndForm,
    /// A form was asked for, and a query came.
    #[error("it came in the address, though `form_post` was asked for")]
    NotPosted,
    /// A signed response that can't be read.
    #[error("its `response` can't be read: {0}")]
    Unreadable(JwtError),
    /// A signed response that says something beside its signature.
    #[error("it carries `{0}` beside a signed response")]
    Beside(&'static str),
    /// A signed response was asked for.
    #[error("it is not signed, though that was asked for")]
    Unsigned,
    /// The login was begun with another provider.
    #[error("the login was begun with another provider")]
    OtherProvider,
    /// Without `state` it belongs to no login.
    #[error("it has no `state`")]
    NoState,
    /// It belongs to another login, or to another browser's.
    #[error("its `state` is another login's")]
    OtherState,
    /// RFC 9700 section 4.4.2.2: it came to the address of another login or provider (mix-up).
    #[error("it arrived at another address than the one that the login asked for")]
    OtherAddress,
    /// RFC 9207 section 2.4: announced, so it must be there.
    #[error("it has no `iss`, though the provider announces it")]
    NoIssuer,
    /// Another provider answered (mix-up).
    #[error("its `iss` is {found:?}, not {expected:?}")]
    OtherIssuer {
        /// What it says.
        found: String,
        /// The configured issuer.
        expected: String,
    },
    /// It says yes and no.
    #[error("it has both `code` and `error`")]
    CodeAndError,
    /// It says nothing.
    #[error("it has neither `code` nor `error`")]
    Nothing,
}

impl CallbackError {
    /// A code for logs that stays the same between versions.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLong
            | Self::Repeated(_)
            | Self::Unasked(_)
            | Self::NotAForm
            | Self::QueryAndForm
            | Self::NotPosted
            | Self::Unreadable(_)
            | Self::Beside(_)
            | Self::Unsigned
            | Self::CodeAndError
            | Self::Nothing => "callback_malformed",
            Self::OtherProvider | Self::NoState | Self::OtherState => "callback_state",
            Self::OtherAddress => "callback_address",
            Self::NoIssuer | Self::OtherIssuer { .. } => "callback_issuer",
        }
    }

    pub(super) fn mend(&self) -> Option<&'static str> {
        match self {
            Self::Unreadable(error) => JarmError::from(error.clone()).mend(),
            Self::NotPosted | Self::Unsigned => {
                Some("let the provider answer this client in the `response_mode` that is set")
            }
            _ => None,
        }
    }
}

impl AuthorizationResponse {
    /// Reads the parameters of a callback from its query. Pure, for any text.
    ///
    /// # Errors
    /// When a parameter is given twice, one is there that was not asked for, or it is too long.
    pub fn parse(query: &str) -> Result<Self, CallbackError> {
        Self::read(query, Carrier::Query)
    }

    /// Reads the parameters of a form that was posted (OAuth 2.0 Form Post Response Mode section 2).
    ///
    /// # Errors
    /// As [`AuthorizationResponse::parse`].
    pub fn parse_form(body: &str) -> Result<Self, CallbackError> {
        Self::read(body, Carrier::Form)
    }

    fn read(query: &str, carrier: Carrier) -> Result<Self, CallbackError> {
        // SECURITY: a stranger chooses these bytes.
        if query.len() > MOST_BYTES {
            return Err(CallbackError::TooLong);
        }
        let mut seen: Vec<Cow<'_, str>> = Vec::new();
        let mut signed = None;
        let mut response = Self { carrier, ..Self::default() };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            // RFC 6749 section 3.1: no parameter more than once, known or not.
            // SECURITY: two readers could take different ones for the true one (parameter pollution).
            if seen.contains(&name) {
                return Err(CallbackError::Repeated(told(&name)));
            }
            if seen.len() == MOST_PARAMETERS {
                return Err(CallbackError::TooLong);
            }
            // RFC 6749 section 3.1: a parameter without a value counts as left out.
            let value = Some(value.into_owned()).filter(|value| !value.is_empty());
            match name.as_ref() {
                "code" => response.code = value.map(Secret::new),
                "state" => response.state = value,
                "iss" => response.iss = value,
                "error" => response.error = value,
                "error_description" => response.error_description = value,
                // SECURITY: tokens in an address are what the code flow is there to prevent.
                "access_token" => return Err(CallbackError::Unasked("access_token")),
                "id_token" => return Err(CallbackError::Unasked("id_token")),
                "response" => signed = value.map(Secret::new),
                // RFC 6749 section 4.1.2: what is not known is ignored; `session_state` and `scope` are common.
                _ => {}
            }
            seen.push(name);
        }
        match signed {
            Some(signed) => response.signed(signed),
            None => Ok(response),
        }
    }

    /// JARM section 2.3: all parameters are in the JWT, and none beside it.
    fn signed(self, jwt: Secret) -> Result<Self, CallbackError> {
        // SECURITY: an unsigned code must not ride on a signed response.
        let beside = [
            ("code", self.code.is_some()),
            ("state", self.state.is_some()),
            ("iss", self.iss.is_some()),
            ("error", self.error.is_some()),
        ];
        if let Some((name, _)) = beside.into_iter().find(|(_, there)| *there) {
            return Err(CallbackError::Beside(name));
        }
        // JARM section 2.4 (2): `state` tells which login, and so which provider's keys, this is to be held against.
        let claims = jwt::unverified(jwt.expose()).map_err(CallbackError::Unreadable)?;
        let state = claims.get("state").and_then(Value::as_str).map(str::to_owned);
        Ok(Self { state, protection: Protection::Signed(jwt), ..self })
    }

    /// The JWT of a signed response that nobody verified yet.
    pub(super) const fn unverified(&self) -> Option<&Secret> {
        match &self.protection {
            Protection::Signed(jwt) => Some(jwt),
            Protection::None | Protection::Verified => None,
        }
    }

    /// The same response by what its JWT says, now that the provider is known to have said it.
    pub(super) fn verified(&self, claims: &Map<String, Value>) -> Self {
        let text = |name: &str| {
            let text = claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
            text.map(str::to_owned)
        };
        Self {
            code: text("code").map(Secret::new),
            state: text("state"),
            iss: text("iss"),
            error: text("error"),
            error_description: text("error_description"),
            carrier: self.carrier,
            protection: Protection::Verified,
        }
    }

    /// The `state`, by which a browser's login is found.
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

impl PendingLogin {
    /// Holds the address that a response arrived at against the redirect URI of this login; comes before
    /// [`PendingLogin::check`].
    ///
    /// # Errors
    /// When it arrived elsewhere.
    pub fn arrived_at(&self, address: &str) -> Result<(), CallbackError> {
        // RFC 9700 section 4.4.2.2: each provider has a redirect URI of its own.
        // SECURITY: a code of an honest provider in a login that was begun at an attacker's (mix-up).
        (address == self.redirect_uri).then_some(()).ok_or(CallbackError::OtherAddress)
    }

    /// Holds the response against this login and spends both. How long a login may take is for whoever kept it
    /// to judge.
    ///
    /// # Errors
    /// When the response belongs to another login or provider, breaks the protocol, or says no.
    pub fn check(
        self,
        provider: &Provider,
        response: AuthorizationResponse,
    ) -> Result<Redemption, OidcError> {
        let settings = provider.settings();
        self.check_for(&settings.name, &settings.issuer, response)
    }

    fn check_for(
        self,
        provider: &str,
        issuer: &str,
        response: AuthorizationResponse,
    ) -> Result<Redemption, OidcError> {
        // RFC 9700 section 4.4.2: the login remembers its provider.
        if self.provider != provider {
            return Err(CallbackError::OtherProvider.into());
        }

        // Form Post Response Mode section 2: what was to come in a form comes in a form. The other way round no
        // more is shown to anybody than was agreed.
        // SECURITY: a code in an address stands in histories and logs (response mode downgrade).
        if self.carrier() == Carrier::Form && response.carrier == Carrier::Query {
            return Err(CallbackError::NotPosted.into());
        }

        // JARM section 2.4: what was to be signed is signed, and verified by now.
        // SECURITY: an answer of anybody's, where only the provider's counts (signature stripping).
        match (self.response_mode.is_signed(), &response.protection) {
            (true, Protection::Verified) | (false, Protection::None) => {}
            (true, _) => return Err(CallbackError::Unsigned.into()),
            (false, _) => return Err(CallbackError::Unasked("response").into()),
        }

        // RFC 6749 section 10.12, Core 3.1.2.7: state, on errors too
        // SECURITY: a response that somebody else started (login CSRF, code injection).
        let state = response.state.ok_or(CallbackError::NoState)?;
        constant_time::verify_slices_are_equal(state.as_bytes(), self.state.as_bytes())
            .map_err(|_| CallbackError::OtherState)?;

        // RFC 9207 section 2.4: iss, on errors too, as a plain string; one that was not announced is compared all
        // the same.
        // SECURITY: a code of ours that an attacker's provider wants redeemed there (mix-up).
        match response.iss {
            None if self.response_iss => return Err(CallbackError::NoIssuer.into()),
            Some(found) if found != issuer => {
                let expected = issuer.to_owned();
                return Err(CallbackError::OtherIssuer { found: told(&found), expected }.into());
            }
            _ => {}
        }

        // RFC 6749 sections 4.1.2 and 4.1.2.1, Core 3.1.2.6: a code or an error
        let code = match (response.code, response.error) {
            (Some(_), Some(_)) => return Err(CallbackError::CodeAndError.into()),
            (None, None) => return Err(CallbackError::Nothing.into()),
            (None, Some(error)) => {
                let description = response.error_description.as_deref().map(told);
                let refusal = Refusal { call: Call::Authorization, error: told(&error), description };
                return Err(OidcError::Refused(refusal));
            }
            (Some(code), None) => code,
        };
        Ok(Redemption {
            provider: self.provider,
            code,
            nonce: self.nonce,
            verifier: self.verifier,
            redirect_uri: self.redirect_uri,
            max_age: self.max_age.map(Duration::from_secs),
            proof_key: self.proof_key,
            acr_values: self.acr_values,
        })
    }
}

#[cfg(test)]
mod tests;
