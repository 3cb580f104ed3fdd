//! A development provider: OpenID Connect Core 1.0, Discovery 1.0, RP-Initiated Logout 1.0, RFC 7636, RFC 9207.
//!
//! One client, three people, no passwords; everything is kept in memory and gone with the process. What it
//! does it does by the specifications, one file an endpoint, so that it can be read as an example. What is
//! not there: refresh tokens, dynamic registration, implicit and hybrid flows, consent.

mod authorize;
mod end_session;
mod keys;
mod login;
mod memory;
mod metadata;
mod pages;
mod people;
#[cfg(test)]
mod tests;
mod token;
mod userinfo;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::header::ORIGIN;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use self::authorize::Grant;
use self::keys::{KeyError, SigningKey};
use self::memory::Shelf;
use self::people::Person;
use super::params::Params;
use super::serving;
use crate::foundation::body::Body;
use crate::foundation::clock::{Clock, Timestamp};
use crate::foundation::secret::Secret;

const SESSION_COOKIE: &str = "demo-provider";
const SESSION_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// The provider.
pub(super) struct Provider {
    issuer: String,
    client: Client,
    key: SigningKey,
    clock: Clock,
    memory: Mutex<Memory>,
}

/// The one client that the provider knows.
pub(super) struct Client {
    pub(super) id: String,
    pub(super) secret: Secret,
    /// Compared byte for byte (RFC 9700 section 2.1).
    pub(super) redirect_uri: String,
    /// Compared byte for byte (RP-Initiated Logout 1.0 section 2).
    pub(super) post_logout_redirect_uri: String,
}

/// What the provider remembers, each in bounded number and for a bounded time.
struct Memory {
    sessions: Shelf<Session>,
    codes: Shelf<Code>,
    tokens: Shelf<AccessToken>,
}

/// Somebody signed in at the provider, by the value of their cookie.
#[derive(Clone)]
struct Session {
    person: &'static Person,
    /// What clients are told as `sid`; the cookie's value is nobody's business but the browser's.
    sid: String,
    auth_time: Timestamp,
}

/// What became of an authorization code.
enum Code {
    Fresh(Box<Grant>),
    /// It was presented. A second time means that somebody stole it.
    Spent,
}

/// What an access token stands for.
struct AccessToken {
    person: &'static Person,
    scopes: Vec<String>,
    /// The code that it was given for.
    code: String,
}

impl Provider {
    /// A provider that is known by `issuer`, with a signing key of its own.
    ///
    /// # Errors
    /// When the system gives no key.
    pub(super) fn new(issuer: String, client: Client, clock: Clock) -> Result<Self, KeyError> {
        let memory = Memory { sessions: Shelf::new(512), codes: Shelf::new(4096), tokens: Shelf::new(1024) };
        Ok(Self { issuer, client, key: SigningKey::generate()?, clock, memory: Mutex::new(memory) })
    }

    /// Answers one request.
    pub(super) async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let query = Params::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let form = if parts.method == Method::POST {
            match serving::read_form(&parts.headers, body).await {
                Ok(form) => Some(form),
                // RFC 6750 section 3.1: userinfo takes its token from a header; its body may be anything.
                Err(_) if parts.uri.path() == "/userinfo" => None,
                Err(status) => return serving::empty(status),
            }
        } else {
            None
        };
        self.route(&parts, &query, form)
    }

    fn route(&self, parts: &Parts, query: &Params, form: Option<Params>) -> Response<Body> {
        let headers = &parts.headers;
        match (parts.uri.path(), &parts.method, form) {
            ("/", &Method::GET | &Method::HEAD, _) => self.index(),
            ("/style.css", &Method::GET | &Method::HEAD, _) => pages::style(),
            ("/.well-known/openid-configuration", &Method::GET | &Method::HEAD, _) => self.metadata(),
            ("/jwks", &Method::GET | &Method::HEAD, _) => serving::json(StatusCode::OK, self.key.jwks()),
            // Core 3.1.2.1: both methods.
            ("/authorize", &Method::GET, _) => self.authorize(headers, query),
            ("/authorize", &Method::POST, Some(form)) => self.authorize(headers, &form),
            ("/login", &Method::POST, Some(form)) => self.login(headers, &form),
            ("/token", &Method::POST, Some(form)) => self.token(headers, &form),
            // Core 5.3.1: both methods.
            ("/userinfo", &Method::GET | &Method::POST, _) => self.userinfo(headers),
            // RP-Initiated Logout 1.0 section 2: both methods.
            ("/end-session", &Method::GET, _) => self.end_session(headers, query),
            ("/end-session", &Method::POST, Some(form)) => self.end_session(headers, &form),
            ("/end-session/confirm", &Method::POST, Some(form)) => self.confirm_end_session(headers, &form),
            ("/login" | "/token" | "/end-session/confirm", ..) => serving::method_not_allowed("POST"),
            ("/authorize" | "/end-session" | "/userinfo", ..) => serving::method_not_allowed("GET, POST"),
            ("/" | "/style.css" | "/.well-known/openid-configuration" | "/jwks", ..) => {
                serving::method_not_allowed("GET, HEAD")
            }
            _ => pages::problem(StatusCode::NOT_FOUND, "Такой страницы здесь нет.", "There is no such page."),
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Nothing in here panics half-way through a change.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session of the browser that asks.
    fn session(&self, headers: &HeaderMap) -> Option<Session> {
        let cookie = serving::cookie(headers, SESSION_COOKIE)?;
        self.memory().sessions.get(cookie, self.clock.now()).cloned()
    }

    /// Ends the session of the browser that asks.
    fn end(&self, headers: &HeaderMap) {
        if let Some(cookie) = serving::cookie(headers, SESSION_COOKIE) {
            self.memory().sessions.take(cookie, self.clock.now());
        }
    }

    /// Whether a form was sent by one of our own pages.
    fn is_our_own_form(&self, headers: &HeaderMap) -> bool {
        // SECURITY: another site could post a form here and sign a person in or out (login CSRF); browsers
        // name the sender of every POST.
        headers.get(ORIGIN).is_some_and(|origin| origin.as_bytes() == self.issuer.as_bytes())
    }
}
