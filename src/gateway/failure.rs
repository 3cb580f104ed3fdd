//! Every way in which a request's path can end early, and the one place that turns it into an answer.
//!
//! A failure holds facts: the log gets them with a stable code and a reference, the person gets a page in their
//! language with the same reference, a script gets `application/problem+json`.

use http::header::{ALLOW, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use thiserror::Error;

use super::apps::{Endpoint, Protected};
use super::authorization::Denial;
use super::bearer::TokenProblem;
use super::explanation;
use super::negotiation::{Form, Intent};
use super::pages::{self, FailureKind, Language, NotAllowed, Page, Pages, SignInCause, Unsent};
use super::rounds::LoopCause;
use super::step_up::TooWeak;
use crate::foundation::body::Body;
use crate::identity::readings::BadPath;
use crate::oidc::{Fault, OidcError};
use crate::sessions::StoreError;
use crate::telemetry::metrics::Decision;
use crate::upstream::UpstreamError;

/// Why a request was not served as it was asked.
#[derive(Debug, Error)]
pub enum Failure {
    /// The target is not in origin form.
    #[error("the target is not in origin form")]
    TargetForm,
    /// The path must be refused whatever the rules say.
    #[error("{0}")]
    Path(BadPath),
    /// The path's readings meet different rules; holds the other reading.
    #[error("the path can also be read as {0}, and another rule decides that")]
    AmbiguousPath(String),
    /// `Host` is absent, doubled or no host.
    #[error("the request names no host, or more than one")]
    Host,
    /// No app has the host.
    #[error("no app has this host")]
    UnknownHost,
    /// The host's apps have other paths.
    #[error("no app of this host has this path")]
    NoApp,
    /// The path is below our prefix and none of ours.
    #[error("there is no such endpoint")]
    NoEndpoint,
    /// One of our endpoints by another method.
    #[error("the endpoint takes {allowed}")]
    Method {
        /// What it takes.
        allowed: &'static str,
    },
    /// TRACE, to any app.
    #[error("TRACE is passed on to no app")]
    Trace,
    /// Anything else that can't be understood.
    #[error("{0}")]
    BadRequest(&'static str),
    /// A script, or a WebSocket, without a session: 401 with the address to open.
    #[error("nobody is signed in")]
    SignInNeeded,
    /// A script, or a WebSocket, of somebody whose sign-in is too weak for it: 401 with the address to open.
    #[error("the person has to sign in again for this")]
    StepUpNeeded {
        /// The address.
        sign_in: String,
    },
    /// A client of an API without an access token that is good for it.
    #[error("{0}")]
    Token(TokenProblem),
    /// Whether an access token is good can't be told now.
    #[error("whether the access token is good can't be told: {0}")]
    TokenUnknown(#[source] OidcError),
    /// The provider signed the person in otherwise than the rule asks for that decides where they wanted to go.
    #[error("{0}")]
    TooWeak(TooWeak),
    /// A form that came without a session, or with one that is too weak for it.
    #[error("{}", explanation::unsent(*.0))]
    NothingSent(Unsent),
    /// The person may not enter.
    #[error("{}", explanation::reason(.denial))]
    Denied {
        /// Why.
        denial: Denial,
        /// How the person is called.
        person: Option<String>,
    },
    /// More screens wait for a phone than may.
    #[error("too many sign-ins by code wait already")]
    Crowded,
    /// The path where the gateway ends sessions of the app's own.
    #[error("the path is the one of logout.on_end, which is the gateway's alone")]
    Reserved,
    /// A WebSocket from an origin that is not the app's and not listed.
    #[error("a WebSocket was opened by a foreign origin")]
    ForeignOrigin,
    /// The browser brought no login back that this response could belong to.
    #[error("the response belongs to no login of this browser: {}", explanation::no_login(*.0))]
    Login(SignInCause),
    /// Sign-ins that lead nowhere, one after the other.
    #[error("{0}")]
    Loop(LoopCause),
    /// A sign-in in another site's page, where its session could not come back.
    #[error("nobody can sign in in a frame of another site's page")]
    InFrame {
        /// What is opened in a window of its own.
        open: String,
    },
    /// The sign-in failed at or with the provider.
    #[error("{0}")]
    SignIn(#[source] OidcError),
    /// What the provider says of the person does not fit into where sessions are kept.
    #[error("{0}")]
    SessionTooLarge(#[source] StoreError),
    /// The session store is out of reach.
    #[error("the session store is out of reach: {0}")]
    Store(#[source] StoreError),
    /// The app could not be reached, or answered too late or wrongly.
    #[error("{0}")]
    Upstream(#[source] UpstreamError),
    /// Our own fault.
    #[error("{0}")]
    Internal(&'static str),
}

/// What an answer is made for.
#[derive(Clone, Copy, Debug)]
pub struct Audience<'a> {
    /// The app, when one was found.
    pub app: Option<&'a Protected>,
    /// The header fields of the request.
    pub headers: &'a HeaderMap,
    /// What sent it.
    pub intent: Intent,
    /// The path and query that were asked for.
    pub target: Option<&'a str>,
    /// Where a sign-in that failed, or is needed first, begins.
    pub retry: Option<&'a str>,
}

impl Failure {
    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::SignInNeeded | Self::StepUpNeeded { .. } => StatusCode::UNAUTHORIZED,
            Self::Token(problem) => problem.status(),
            other => other.page("", None, "").status(),
        }
    }

    /// A stable name for logs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::SignInNeeded => "sign-in-needed",
            Self::StepUpNeeded { .. } => "step-up-needed",
            Self::SignIn(error) | Self::TokenUnknown(error) => error.code(),
            Self::Token(problem) => problem.code(),
            other => other.page("", None, "").code(),
        }
    }

    /// What the metrics and the access line call it.
    pub fn decision(&self) -> Decision {
        match self {
            // The request's own body broke off.
            Self::Upstream(error) if error.status().is_client_error() => Decision::Refused,
            Self::TargetForm
            | Self::Path(_)
            | Self::AmbiguousPath(_)
            | Self::Host
            | Self::UnknownHost
            | Self::NoApp
            | Self::Trace => Decision::Refused,
            Self::NoEndpoint
            | Self::Method { .. }
            | Self::BadRequest(_)
            | Self::Login(_)
            | Self::SignIn(_)
            | Self::SessionTooLarge(_) => Decision::Endpoint,
            Self::SignInNeeded
            | Self::StepUpNeeded { .. }
            | Self::NothingSent(_)
            | Self::Loop(_)
            | Self::InFrame { .. } => Decision::SignIn,
            Self::Token(_)
            | Self::Denied { .. }
            | Self::TooWeak(_)
            | Self::ForeignOrigin
            | Self::Reserved => Decision::Denied,
            Self::TokenUnknown(_)
            | Self::Crowded
            | Self::Store(_)
            | Self::Upstream(_)
            | Self::Internal(_) => Decision::Failed,
        }
    }

    /// The answer.
    pub fn answer(&self, pages: &Pages, reference: &str, audience: Audience<'_>) -> Response<Body> {
        let language = Language::of(audience.headers);
        let sign_in = audience.app.map(|app| app.address(&app.path_of(Endpoint::SignIn))).unwrap_or_default();
        if matches!(self, Self::SignInNeeded) {
            return pages::sign_in_needed(&sign_in, language);
        }
        if let Self::StepUpNeeded { sign_in } = self {
            return pages::step_up_needed(sign_in, language);
        }
        if let Self::Token(problem) = self {
            let realm = audience.app.map(|app| app.origin.as_str()).unwrap_or_default();
            return pages::token_needed(
                problem.code(),
                problem.status(),
                problem.challenge(realm),
                reference,
            );
        }
        let form = match self {
            // Who calls an API reads no pages, whatever it accepts.
            Self::TokenUnknown(_) => Form::Problem,
            _ => Form::of(audience.intent, audience.headers),
        };
        let retry = match self {
            // It would be asked for again, and go round again.
            Self::Loop(LoopCause::AppAsksAgain) => None,
            Self::Loop(_)
            | Self::TooWeak(_)
            | Self::Login(_)
            | Self::SignIn(_)
            | Self::SessionTooLarge(_) => audience.retry.or(Some(&sign_in)),
            // A login is begun anew, as its response can't be taken twice, and a form that was kept is sent from its
            // page; anything else is just asked again.
            Self::Store(_) | Self::Upstream(_) => audience.retry.or(audience.target),
            _ => None,
        };
        let sign_out = audience.app.map(|app| app.path_of(Endpoint::SignOut)).unwrap_or_default();
        let own = match self {
            Self::NothingSent(_) => audience.retry.unwrap_or(&sign_in),
            _ => &sign_out,
        };
        let mut response = pages.answer(&self.page(reference, retry, own), form, language);
        let allowed = match self {
            Self::Method { allowed } => Some(*allowed),
            Self::Trace => Some("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
            _ => None,
        };
        if let Some(allowed) = allowed {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
        }
        response
    }

    /// Whether its page does no harm in a frame of the app's own site: there is no way out of the session on it.
    pub const fn may_be_framed(&self) -> bool {
        !matches!(self, Self::Denied { .. } | Self::TooWeak(_) | Self::Reserved)
    }

    /// The page; `own` is the endpoint of ours that it links to.
    fn page<'a>(&'a self, reference: &'a str, retry: Option<&'a str>, own: &'a str) -> Page<'a> {
        let failure = |kind| Page::Failure { kind, reference, retry };
        match self {
            Self::TargetForm | Self::Path(_) => failure(FailureKind::BadTarget),
            Self::AmbiguousPath(_) => failure(FailureKind::AmbiguousPath),
            Self::Host
            | Self::BadRequest(_)
            | Self::SignInNeeded
            | Self::StepUpNeeded { .. }
            | Self::Token(_) => failure(FailureKind::BadRequest),
            Self::UnknownHost => failure(FailureKind::UnknownHost),
            Self::NoApp | Self::NoEndpoint => failure(FailureKind::NotFound),
            Self::Method { .. } | Self::Trace => failure(FailureKind::MethodNotAllowed),
            Self::NothingSent(unsent) => Page::NothingSent { unsent: *unsent, sign_in: own, reference },
            Self::TooWeak(weak) => {
                let (lacks, person) = (weak.shortfall, weak.person.as_deref());
                Page::TooWeak { lacks, person, retry, sign_out: own, reference }
            }
            Self::Denied { denial, person } => {
                let reason = match denial {
                    Denial::Missing(missing) => NotAllowed::MissingClaims(missing),
                    Denial::Rule | Denial::RuleFailed(_) => NotAllowed::Rule,
                };
                Page::NotAllowed { reason, person: person.as_deref(), sign_out: own, reference }
            }
            Self::Reserved => {
                Page::NotAllowed { reason: NotAllowed::Rule, person: None, sign_out: own, reference }
            }
            Self::Crowded => failure(FailureKind::Busy),
            Self::ForeignOrigin => failure(FailureKind::ForeignOrigin),
            Self::Login(cause) => Page::SignInFailed { cause: *cause, reference, retry },
            Self::Loop(cause) => Page::SignInFailed { cause: SignInCause::Loop(*cause), reference, retry },
            Self::InFrame { open } => Page::InFrame { open },
            Self::SignIn(error) | Self::TokenUnknown(error) => {
                Page::SignInFailed { cause: cause(error), reference, retry }
            }
            Self::SessionTooLarge(_) => {
                Page::SignInFailed { cause: SignInCause::SessionTooLarge, reference, retry }
            }
            Self::Store(_) => failure(FailureKind::SessionsUnreachable),
            Self::Upstream(error) => failure(match error.status() {
                StatusCode::GATEWAY_TIMEOUT => FailureKind::AppTooSlow,
                StatusCode::BAD_REQUEST => FailureKind::BadRequest,
                _ => FailureKind::AppUnreachable,
            }),
            Self::Internal(_) => failure(FailureKind::Internal),
        }
    }
}

fn cause(error: &OidcError) -> SignInCause {
    match error.fault() {
        Fault::Request if error.code() == "invalid_grant" => SignInCause::CodeRefused,
        Fault::Request if error.code() == "device_code_expired" => SignInCause::CodeExpired,
        Fault::Request => SignInCause::BadResponse,
        Fault::Denied => SignInCause::Declined,
        Fault::Provider => SignInCause::ProviderUntrusted,
        Fault::Unreachable => SignInCause::ProviderUnreachable,
    }
}
