//! The authorization endpoint (Core 3.1.2, RFC 6749 section 4.1, RFC 7636, RFC 9207).
//!
//! An error that could be an attack on the redirect URI is a page here; every other one goes back to the
//! client. Who signs in is decided in `login`.

use std::time::Duration;

use http::{HeaderMap, Response, StatusCode};
use serde_json::Value;
use url::Url;

use super::people::{Person, SCOPES};
use super::{Code, Provider, Session, pages};
use crate::demo::params::Params;
use crate::demo::serving;
use crate::foundation::body::Body;
use crate::foundation::clock::Timestamp;
use crate::foundation::random;

const CODE_LIFETIME: Duration = Duration::from_secs(60);
const MAX_NONCE_BYTES: usize = 512;

/// What a client asks for, judged.
#[derive(Debug)]
pub(super) struct AuthorizationRequest {
    state: Option<String>,
    nonce: Option<String>,
    scopes: Vec<String>,
    challenge: String,
    prompt: Prompt,
    max_age: Option<Duration>,
    /// Who should be signed in, by an ID token of ours.
    expected: Option<String>,
}

/// How a person is to be asked (Core 3.1.2.1, `prompt`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prompt {
    /// When they are not signed in here.
    WhenNeeded,
    /// Not at all.
    None,
    /// In any case.
    Login,
}

/// Why an authorization request is not in order.
#[derive(Debug)]
pub(super) enum Fault {
    /// The client or its redirect URI is not known; only the person can be told.
    Unregistered,
    /// Anything else; the client is told.
    Refused(Refusal),
}

/// An error that is told to the client (RFC 6749 section 4.1.2.1, Core 3.1.2.6).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal(pub(super) &'static str, pub(super) &'static str);

/// What an authorization code stands for.
pub(super) struct Grant {
    pub(super) person: &'static Person,
    pub(super) sid: String,
    pub(super) auth_time: Timestamp,
    pub(super) scopes: Vec<String>,
    pub(super) nonce: Option<String>,
    pub(super) challenge: String,
}

impl Provider {
    /// `GET` or `POST /authorize`
    pub(super) fn authorize(&self, headers: &HeaderMap, params: &Params) -> Response<Body> {
        let request = match self.judge(params) {
            Ok(request) => request,
            Err(fault) => return self.fault(params, &fault),
        };
        let session = self.session(headers).filter(|session| self.satisfies(session, &request));
        match (request.prompt, session) {
            (Prompt::WhenNeeded | Prompt::None, Some(session)) => self.grant(request, session),
            (Prompt::None, None) => {
                self.refuse(params, &Refusal("login_required", "nobody, or somebody else, is signed in here"))
            }
            (Prompt::WhenNeeded | Prompt::Login, _) => pages::login(&self.client, params),
        }
    }

    /// Reads an authorization request.
    ///
    /// # Errors
    /// What is wrong with it; [`Provider::fault`] answers that.
    pub(super) fn judge(&self, params: &Params) -> Result<AuthorizationRequest, Fault> {
        // SECURITY: the client and its redirect URI come first: an error must never be redirected to an
        // address that nobody registered (open redirector, RFC 9700 section 4.11).
        let known = params.get("client_id") == Some(self.client.id.as_str())
            && params.get("redirect_uri") == Some(self.client.redirect_uri.as_str())
            && !matches!(params.repeated(), Some("client_id" | "redirect_uri"));
        if !known {
            return Err(Fault::Unregistered);
        }
        self.read(params).map_err(Fault::Refused)
    }

    fn read(&self, params: &Params) -> Result<AuthorizationRequest, Refusal> {
        if params.repeated().is_some() {
            return Err(Refusal("invalid_request", "a parameter came more than once"));
        }
        if params.get("request").is_some() {
            return Err(Refusal("request_not_supported", "request objects are not supported"));
        }
        if params.get("request_uri").is_some() {
            return Err(Refusal("request_uri_not_supported", "request objects are not supported"));
        }
        match params.get("response_type") {
            Some("code") => {}
            Some(_) => return Err(Refusal("unsupported_response_type", "response_type must be code")),
            None => return Err(Refusal("invalid_request", "response_type is missing")),
        }
        if params.get("response_mode").is_some_and(|mode| mode != "query") {
            return Err(Refusal("invalid_request", "response_mode must be query"));
        }
        // Core 3.1.2.1: without openid it is no authentication request; an unknown scope is ignored.
        let asked: Vec<&str> = params.get("scope").unwrap_or_default().split(' ').collect();
        if !asked.contains(&"openid") {
            return Err(Refusal("invalid_scope", "scope must hold openid"));
        }
        let scopes = SCOPES.into_iter().filter(|scope| asked.contains(scope)).map(str::to_owned).collect();
        // RFC 7636 section 4.4.1, and RFC 9700 section 2.1.1: no code without PKCE.
        let challenge = match (params.get("code_challenge"), params.get("code_challenge_method")) {
            (Some(challenge), Some("S256")) if is_s256_challenge(challenge) => challenge.to_owned(),
            _ => return Err(Refusal("invalid_request", "PKCE with code_challenge_method S256 is required")),
        };
        let max_age = match params.get("max_age").map(str::parse) {
            Some(Ok(seconds)) => Some(Duration::from_secs(seconds)),
            Some(Err(_)) => return Err(Refusal("invalid_request", "max_age is not a number of seconds")),
            None => None,
        };
        let nonce = params.get("nonce");
        if nonce.is_some_and(|nonce| nonce.len() > MAX_NONCE_BYTES) {
            return Err(Refusal("invalid_request", "nonce is too long"));
        }
        Ok(AuthorizationRequest {
            state: params.get("state").map(str::to_owned),
            nonce: nonce.map(str::to_owned),
            scopes,
            challenge,
            prompt: read_prompt(params.get("prompt").unwrap_or_default())?,
            max_age,
            expected: params.get("id_token_hint").map(|hint| self.read_hint(hint)).transpose()?,
        })
    }

    fn read_hint(&self, hint: &str) -> Result<String, Refusal> {
        self.key
            .read_hint(hint, &self.issuer, &self.client.id)
            .and_then(|claims| claims.get("sub").and_then(Value::as_str).map(str::to_owned))
            .ok_or(Refusal("invalid_request", "id_token_hint is not an ID token of this provider"))
    }

    fn satisfies(&self, session: &Session, request: &AuthorizationRequest) -> bool {
        let age = self.clock.now().since(session.auth_time);
        // Core 3.1.2.1: older than max_age means to sign in again; zero means prompt=login.
        let fresh = request.max_age.is_none_or(|max_age| age <= max_age && !max_age.is_zero());
        fresh && request.expects(session.person)
    }

    /// Sends a code to the client.
    pub(super) fn grant(&self, request: AuthorizationRequest, session: Session) -> Response<Body> {
        let now = self.clock.now();
        let code = random::token();
        let grant = Grant {
            person: session.person,
            sid: session.sid,
            auth_time: session.auth_time,
            scopes: request.scopes,
            nonce: request.nonce,
            challenge: request.challenge,
        };
        let fresh = Code::Fresh(Box::new(grant));
        self.memory().codes.put(code.clone(), fresh, now.plus(CODE_LIFETIME), now);
        self.respond(&[("code", &code)], request.state.as_deref())
    }

    /// Answers a request that is not in order.
    pub(super) fn fault(&self, params: &Params, fault: &Fault) -> Response<Body> {
        match fault {
            Fault::Refused(refusal) => self.refuse(params, refusal),
            Fault::Unregistered => pages::problem(
                StatusCode::BAD_REQUEST,
                "Приложение или его адрес возврата здесь не записаны, поэтому вход не начат.",
                "This client or its redirect URI is not registered here, so no sign-in was started.",
            ),
        }
    }

    /// Sends an error to the client.
    pub(super) fn refuse(&self, params: &Params, refusal: &Refusal) -> Response<Body> {
        let Refusal(error, description) = *refusal;
        // A state that came twice has no one value to give back.
        let state = params.get("state").filter(|_| params.repeated() != Some("state"));
        self.respond(&[("error", error), ("error_description", description)], state)
    }

    fn respond(&self, answer: &[(&str, &str)], state: Option<&str>) -> Response<Body> {
        let Ok(mut location) = Url::parse(&self.client.redirect_uri) else {
            return serving::empty(StatusCode::INTERNAL_SERVER_ERROR);
        };
        location
            .query_pairs_mut()
            .extend_pairs(answer)
            .extend_pairs(state.map(|state| ("state", state)))
            // SECURITY: RFC 9207 section 2: with it a client cannot be made to take this answer for
            // another provider's (mix-up).
            .append_pair("iss", &self.issuer);
        serving::see_other(location.as_str())
    }
}

impl AuthorizationRequest {
    /// Whether this is the person whom the client means; it may mean nobody in particular.
    pub(super) fn expects(&self, person: &Person) -> bool {
        self.expected.as_ref().is_none_or(|expected| expected == person.sub)
    }
}

fn read_prompt(text: &str) -> Result<Prompt, Refusal> {
    let (mut none, mut login, mut consent) = (false, false, false);
    for value in text.split(' ').filter(|value| !value.is_empty()) {
        match value {
            "none" => none = true,
            // Signing in is choosing an account here.
            "login" | "select_account" => login = true,
            // Nothing is kept from the one client that there is.
            "consent" => consent = true,
            _ => return Err(Refusal("invalid_request", "prompt holds an unknown value")),
        }
    }
    match (none, login) {
        (true, false) if !consent => Ok(Prompt::None),
        (true, _) => Err(Refusal("invalid_request", "prompt=none stands alone")),
        (false, true) => Ok(Prompt::Login),
        (false, false) => Ok(Prompt::WhenNeeded),
    }
}

/// RFC 7636 section 4.2: a SHA-256 in base64url is 43 characters long.
fn is_s256_challenge(challenge: &str) -> bool {
    challenge.len() == 43 && challenge.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompt_is_read_as_a_set() {
        for (text, expected) in [
            ("", Some(Prompt::WhenNeeded)),
            ("none", Some(Prompt::None)),
            ("consent", Some(Prompt::WhenNeeded)),
            ("login consent", Some(Prompt::Login)),
            ("select_account", Some(Prompt::Login)),
            ("none login", None),
            ("consent none", None),
            ("create", None),
        ] {
            assert_eq!(read_prompt(text).ok(), expected, "{text}");
        }
    }
}
