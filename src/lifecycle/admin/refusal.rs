//! Why an operator's request is not answered, as `application/problem+json` (RFC 9457) with what to do about it.

use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use thiserror::Error;

use super::access::Denied;
use super::answer::{self, Answer};
use super::documents::Problem;
use crate::sessions::StoreError;

/// Why an operator's request is not answered.
#[derive(Debug, Error)]
pub(super) enum Refusal {
    /// Nobody may see sessions.
    #[error("admin.token is not set, so nobody sees sessions here")]
    NoToken,
    /// No token was shown.
    #[error("the token for operators is needed")]
    NothingShown,
    /// Another token was shown.
    #[error("that is not the token for operators")]
    WrongToken,
    /// A parameter that there is not. Ignored, it would make more of the request than was meant.
    #[error("there is no parameter {name:?} here")]
    UnknownParameter {
        /// As it was given.
        name: String,
    },
    /// A parameter that was given twice.
    #[error("{name} is given twice")]
    GivenTwice {
        /// Which.
        name: &'static str,
    },
    /// A parameter with a value that it can't have.
    #[error("{name} must be {expected}")]
    BadParameter {
        /// Which.
        name: &'static str,
        /// What it can have.
        expected: &'static str,
    },
    /// It was not said which sessions are to end.
    #[error("name the person whose sessions are to end: subject")]
    WhoseSessions,
    /// There is no such session.
    #[error("there is no such session: it has ended already")]
    NoSession,
    /// The store can't be used, or can't do this.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store takes too long.
    #[error("the session store does not answer")]
    Late,
}

impl Refusal {
    /// The status to answer with.
    pub(super) const fn status(&self) -> StatusCode {
        match self {
            Self::NoToken => StatusCode::FORBIDDEN,
            Self::NothingShown | Self::WrongToken => StatusCode::UNAUTHORIZED,
            Self::UnknownParameter { .. }
            | Self::GivenTwice { .. }
            | Self::BadParameter { .. }
            | Self::WhoseSessions => StatusCode::BAD_REQUEST,
            Self::NoSession => StatusCode::NOT_FOUND,
            Self::Store(StoreError::Unsupported) => StatusCode::NOT_IMPLEMENTED,
            Self::Store(_) | Self::Late => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// A stable name for it.
    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::NoToken => "no-token",
            Self::NothingShown => "token-needed",
            Self::WrongToken => "wrong-token",
            Self::UnknownParameter { .. }
            | Self::GivenTwice { .. }
            | Self::BadParameter { .. }
            | Self::WhoseSessions => "bad-parameter",
            Self::NoSession => "no-session",
            Self::Store(StoreError::Unsupported) => "store-unsupported",
            Self::Store(_) | Self::Late => "store-unavailable",
        }
    }

    /// What the operator should do.
    const fn mend(&self) -> Option<&'static str> {
        match self {
            Self::NoToken => Some("set admin.token in the configuration, and restart"),
            Self::NothingShown => Some("send Authorization: Bearer and the token that admin.token holds"),
            Self::WrongToken => Some(
                "use the token that the running gateway was started with: a change of admin.token needs a restart",
            ),
            Self::Store(StoreError::Unsupported) => Some("use another session.store to see and end sessions"),
            _ => None,
        }
    }

    /// The answer to a program.
    pub(super) fn problem(&self) -> Answer {
        let status = self.status();
        let problem = Problem {
            r#type: format!("urn:vestibule:problem:{}", self.code()),
            title: status.canonical_reason().unwrap_or_default().to_owned(),
            status: status.as_u16(),
            detail: self.to_string(),
            mend: self.mend().map(str::to_owned),
        };
        let mut response = answer::problem(status, &problem);
        let headers = response.headers_mut();
        match status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("10"));
            }
            _ => {}
        }
        response
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::NoToken => Self::NoToken,
            Denied::NothingShown => Self::NothingShown,
            Denied::Wrong => Self::WrongToken,
        }
    }
}
