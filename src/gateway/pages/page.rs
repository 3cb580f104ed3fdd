//! What can be said: each page with the facts it needs, and what a person can do on it.
//!
//! Its status and words are in `summary`, how it looks is the templates' business; who says it when is the
//! caller's.

use http::StatusCode;

use super::policy::{Sends, Stands};
use super::texts::{self, Text};
use crate::gateway::rounds::LoopCause;
use crate::identity::access::Shortfall;
use crate::identity::mapping::Missing;

/// The field of the sign-out form that carries the ticket.
pub const TICKET_FIELD: &str = "ticket";
/// The field of the sign-out form that carries the address to return to.
pub const RETURN_TO_FIELD: &str = "return_to";

/// A page and its facts. Addresses are the caller's own: a path on the app's origin, or an absolute address.
#[derive(Clone, Copy, Debug)]
pub enum Page<'a> {
    /// A sign-in that did not come to its end.
    SignInFailed {
        /// Why.
        cause: SignInCause,
        /// What stands in the log.
        reference: &'a str,
        /// Where the sign-in begins anew.
        retry: Option<&'a str>,
    },
    /// Several providers to sign in with.
    Choose {
        /// The one that was used in this browser last.
        last: Option<Offer<'a>>,
        /// The others.
        others: &'a [Offer<'a>],
        /// The way by e-mail address, where a provider has domains.
        by_email: Option<ByEmail<'a>>,
    },
    /// Signed in, and not let in.
    NotAllowed {
        /// Why.
        reason: NotAllowed<'a>,
        /// How the person is called.
        person: Option<&'a str>,
        /// The sign-out endpoint.
        sign_out: &'a str,
        /// What stands in the log.
        reference: &'a str,
    },
    /// The end of a sign-out.
    SignedOut {
        /// Where the app begins.
        sign_in_again: &'a str,
        /// Whether the provider took part.
        provider: AtProvider,
    },
    /// Another site asked to sign the person out.
    ConfirmSignOut {
        /// The sign-out endpoint; gets [`TICKET_FIELD`] and [`RETURN_TO_FIELD`].
        action: &'a str,
        /// Proof that this page was shown.
        ticket: &'a str,
        /// Where to go after the sign-out.
        return_to: Option<&'a str>,
        /// Where to go when the person stays signed in.
        stay: &'a str,
        /// Where the sign-out goes on to.
        provider: Provider,
    },
    /// Another site sent the person to the app's own sign-out address.
    ConfirmLeaving {
        /// That address.
        leave: &'a str,
        /// Where to go when the person stays signed in.
        stay: &'a str,
    },
    /// A sign-out request that is too long for an address: the person posts it to the provider.
    PostToProvider {
        /// The provider's end-session endpoint.
        action: &'a str,
        /// The request's parameters.
        fields: &'a [(&'a str, &'a str)],
    },
    /// The provider signed the person in otherwise than the page asks for that they wanted.
    TooWeak {
        /// What the sign-in lacks.
        lacks: Shortfall,
        /// How the person is called.
        person: Option<&'a str>,
        /// Where they try once more.
        retry: Option<&'a str>,
        /// The sign-out endpoint.
        sign_out: &'a str,
        /// What stands in the log.
        reference: &'a str,
    },
    /// A code for a phone, on a screen without a keyboard.
    EnterOnPhone {
        /// The code.
        code: &'a str,
        /// Where it is entered.
        address: &'a str,
        /// What the phone scans.
        scanned: &'a str,
    },
    /// The app in a frame of another site's page, where nobody can sign in. It may stand in any frame: there is
    /// nothing on it but what it is there for.
    InFrame {
        /// What is opened in a window of its own.
        open: &'a str,
    },
    /// A form that waits until its sender has signed in.
    FormKept {
        /// Why that is needed.
        why: Unsent,
        /// Where to sign in.
        sign_in: &'a str,
    },
    /// The sender of a form that was kept has signed in.
    SendForm {
        /// Whether that is waited for.
        how: Sending,
        /// Where the form goes.
        to: &'a str,
        /// The field that stands for what it holds.
        marker: (&'a str, &'a str),
        /// How the person is called.
        person: Option<&'a str>,
        /// Where to go without sending it.
        leave: &'a str,
    },
    /// A form that could not be kept until the person had signed in, or is kept no longer.
    NothingSent {
        /// Why.
        unsent: Unsent,
        /// Where to sign in, or where the app begins.
        sign_in: &'a str,
        /// What stands in the log.
        reference: &'a str,
    },
    /// Anything else that did not work.
    Failure {
        /// What.
        kind: FailureKind,
        /// What stands in the log.
        reference: &'a str,
        /// Where to try again; when the address itself is wrong, where the app begins.
        retry: Option<&'a str>,
    },
}

/// A provider that a person can choose.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// What people call it.
    pub label: &'a str,
    /// Where a login with it begins.
    pub address: &'a str,
}

/// The choice by e-mail address.
#[derive(Clone, Copy, Debug)]
pub struct ByEmail<'a> {
    /// The sign-in endpoint; gets `email` and [`RETURN_TO_FIELD`].
    pub action: &'a str,
    /// Where to go after the sign-in.
    pub return_to: &'a str,
    /// The address that was given and that no provider here is for.
    pub unknown: Option<&'a str>,
    /// Where the sign-in goes on to.
    pub onward: Provider,
}

/// Why a sign-in failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInCause {
    /// No such login in this browser: never begun here, used before, or begun elsewhere. 400
    NotBegunHere,
    /// The login waited too long. 400
    Expired,
    /// The browser came back without any of our cookies. 400
    NoCookies,
    /// The same, and over plain http, where an app's cookies need https. 400
    NeedsHttps,
    /// Sign-ins that lead nowhere, one after the other. 400
    Loop(LoopCause),
    /// `iss` wrong or missing, or a response that breaks the protocol. 400
    BadResponse,
    /// The provider does not know the code. 400
    CodeRefused,
    /// Nobody approved the code on the screen in time. 400
    CodeExpired,
    /// `access_denied`: cancelled, or refused at the provider. 403
    Declined,
    /// The provider's answer can't be trusted or read, or it refuses us. 502
    ProviderUntrusted,
    /// The provider says more of the person than can be kept. 502
    SessionTooLarge,
    /// The provider can't be reached, is too slow or answers 5xx. 503
    ProviderUnreachable,
}

/// Why a person who is signed in is not let in. 403
#[derive(Clone, Copy, Debug)]
pub enum NotAllowed<'a> {
    /// By the app's rules.
    Rule,
    /// Claims that the app requires are absent.
    MissingClaims(&'a [Missing]),
}

/// Why a form was not sent on. 403
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsent {
    /// The session had ended.
    NoSession,
    /// The sign-in is too weak for it, or too long ago.
    WeakSession,
    /// It is too large to be kept until the person has signed in.
    TooLarge,
    /// It came too slowly to be kept, or there is no room.
    NotKept,
    /// It is kept no longer: it was sent, or it waited too long.
    Gone,
    /// Somebody else sent it than has signed in.
    AnotherPerson,
    /// It was sent from a frame, where nobody can sign in.
    InFrame,
}

/// When a form is sent that was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sending {
    /// At once, where the browser runs a script: it is known who sent it.
    AtOnce,
    /// When the person presses the button.
    WhenAsked,
}

/// Whether the provider's own session ended too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtProvider {
    /// It did.
    Ended,
    /// Nobody knows: the provider has no sign-out for us.
    MayRemain,
}

/// Where a sign-out, or a sign-in by e-mail address, goes on to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// Nowhere: it ends here.
    None,
    /// An `https` address.
    Https,
    /// An `http` address.
    Http,
}
/// What did not work besides signing in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The target has NUL, a bad `%`, a backslash, or is not in origin form. 400
    BadTarget,
    /// The path's readings would meet different rules. 400
    AmbiguousPath,
    /// Anything else about the request that can't be understood. 400
    BadRequest,
    /// A WebSocket that another origin opens. 403
    ForeignOrigin,
    /// None of our endpoints, and no app. 404
    NotFound,
    /// One of our endpoints by a method that it does not take. 405
    MethodNotAllowed,
    /// A host that no app has. 421, in plain text
    UnknownHost,
    /// Headers that are too large or too many. 431
    HeadersTooLarge,
    /// Our own fault. 500
    Internal,
    /// The app can't be reached, or what it answers can't be read. 502
    AppUnreachable,
    /// The session store is out of reach. 503
    SessionsUnreachable,
    /// Too much to do, or about to end. 503
    Busy,
    /// The app answers too late. 504
    AppTooSlow,
}

/// Something a person can do on a page.
pub(super) enum Action<'a> {
    Link {
        label: Text,
        to: &'a str,
    },
    Post {
        label: Text,
        to: &'a str,
        fields: Vec<(&'a str, &'a str)>,
    },
    /// Opens a window of its own.
    Window {
        label: Text,
        to: &'a str,
    },
    /// Posts a field as plain text.
    Marked {
        label: Text,
        to: &'a str,
        marker: (&'a str, &'a str),
    },
}

impl<'a> Page<'a> {
    /// The status that it is answered with.
    pub fn status(&self) -> StatusCode {
        self.summary().status
    }

    /// A stable name for it, for the log and the type of the problem.
    pub fn code(&self) -> &'static str {
        self.summary().code
    }

    /// Whether a script is told of it by a problem: when something went wrong in an app's context.
    pub(super) fn is_problem(&self) -> bool {
        let status = self.status();
        !status.is_success() && status != StatusCode::MISDIRECTED_REQUEST
    }

    /// What stands in the log.
    pub(super) fn reference(&self) -> Option<&'a str> {
        match *self {
            Self::SignInFailed { reference, .. }
            | Self::NotAllowed { reference, .. }
            | Self::TooWeak { reference, .. }
            | Self::NothingSent { reference, .. }
            | Self::Failure { reference, .. } => Some(reference),
            Self::Choose { .. }
            | Self::SignedOut { .. }
            | Self::ConfirmLeaving { .. }
            | Self::EnterOnPhone { .. }
            | Self::InFrame { .. }
            | Self::ConfirmSignOut { .. }
            | Self::FormKept { .. }
            | Self::SendForm { .. }
            | Self::PostToProvider { .. } => None,
        }
    }

    /// The required values that are absent.
    pub(super) fn missing(&self) -> &'a [Missing] {
        match *self {
            Self::NotAllowed { reason: NotAllowed::MissingClaims(missing), .. } => missing,
            _ => &[],
        }
    }

    /// Who is signed in.
    pub(super) fn person(&self) -> Option<&'a str> {
        match *self {
            Self::NotAllowed { person, .. }
            | Self::TooWeak { person, .. }
            | Self::SendForm { person, .. } => person.filter(|person| !person.trim().is_empty()),
            _ => None,
        }
    }

    /// What can be done, the likelier first.
    pub(super) fn actions(&self) -> [Option<Action<'a>>; 2] {
        match *self {
            Self::Choose { .. } => [None, None],
            Self::SignInFailed { retry, .. } => {
                [retry.map(|to| Action::Link { label: texts::TRY_AGAIN, to }), None]
            }
            Self::Failure { kind, retry, .. } => {
                let label = if kind.is_about_the_address() { texts::GO_TO_APP } else { texts::TRY_AGAIN };
                [retry.map(|to| Action::Link { label, to }), None]
            }
            Self::NotAllowed { sign_out, .. } => {
                [Some(Action::Link { label: texts::SIGN_OUT, to: sign_out }), None]
            }
            Self::EnterOnPhone { .. } => [None, None],
            Self::InFrame { open } => [Some(Action::Window { label: texts::OPEN_WINDOW, to: open }), None],
            Self::TooWeak { retry, sign_out, .. } => [
                retry.map(|to| Action::Link { label: texts::TRY_AGAIN, to }),
                Some(Action::Link { label: texts::SIGN_OUT, to: sign_out }),
            ],
            Self::SignedOut { sign_in_again, .. } => {
                [Some(Action::Link { label: texts::SIGN_IN_AGAIN, to: sign_in_again }), None]
            }
            Self::NothingSent { unsent: Unsent::InFrame, sign_in, .. } => {
                [Some(Action::Window { label: texts::OPEN_WINDOW, to: sign_in }), None]
            }
            Self::NothingSent { unsent, sign_in, .. } => {
                let label = match unsent {
                    Unsent::Gone => texts::GO_TO_APP,
                    Unsent::AnotherPerson => texts::SIGN_IN_AGAIN,
                    _ => texts::SIGN_IN,
                };
                [Some(Action::Link { label, to: sign_in }), None]
            }
            Self::FormKept { sign_in, .. } => {
                [Some(Action::Link { label: texts::SIGN_IN, to: sign_in }), None]
            }
            Self::SendForm { to, marker, leave, .. } => [
                Some(Action::Marked { label: texts::SEND, to, marker }),
                Some(Action::Link { label: texts::DO_NOT_SEND, to: leave }),
            ],
            Self::ConfirmSignOut { action, ticket, return_to, stay, .. } => {
                let mut fields = vec![(TICKET_FIELD, ticket)];
                fields.extend(return_to.map(|address| (RETURN_TO_FIELD, address)));
                [
                    Some(Action::Post { label: texts::SIGN_OUT, to: action, fields }),
                    Some(Action::Link { label: texts::STAY, to: stay }),
                ]
            }
            Self::ConfirmLeaving { leave, stay } => [
                Some(Action::Link { label: texts::SIGN_OUT, to: leave }),
                Some(Action::Link { label: texts::STAY, to: stay }),
            ],
            Self::PostToProvider { action, fields } => {
                [Some(Action::Post { label: texts::FINISH, to: action, fields: fields.to_vec() }), None]
            }
        }
    }

    /// Where it may send something.
    pub(super) fn sends(&self) -> Sends {
        match self {
            Self::NotAllowed { .. } | Self::TooWeak { .. } => Sends::ToUs,
            Self::Choose { by_email: Some(ByEmail { onward: provider, .. }), .. }
            | Self::ConfirmSignOut { provider, .. } => match provider {
                Provider::None => Sends::ToUs,
                Provider::Https => Sends::Onward,
                Provider::Http => Sends::OnwardWithoutTls,
            },
            Self::PostToProvider { action, .. } if action.starts_with("https:") => Sends::Onward,
            Self::PostToProvider { .. } => Sends::OnwardWithoutTls,
            Self::SendForm { .. } => Sends::ByScript,
            Self::Choose { by_email: None, .. }
            | Self::SignInFailed { .. }
            | Self::ConfirmLeaving { .. }
            | Self::SignedOut { .. }
            | Self::EnterOnPhone { .. }
            | Self::InFrame { .. }
            | Self::NothingSent { .. }
            | Self::FormKept { .. }
            | Self::Failure { .. } => Sends::Nothing,
        }
    }

    /// Where it may stand.
    pub(super) fn stands(&self) -> Stands {
        match self {
            // What is kept for a frame is told there, by a page that goes on by itself.
            Self::InFrame { .. }
            | Self::FormKept { .. }
            | Self::NothingSent { unsent: Unsent::InFrame, .. } => Stands::InAnyFrame,
            _ => Stands::Alone,
        }
    }
}

impl FailureKind {
    /// Whether the same address would fail again.
    fn is_about_the_address(self) -> bool {
        matches!(self, Self::BadTarget | Self::AmbiguousPath | Self::NotFound | Self::MethodNotAllowed)
    }
}
