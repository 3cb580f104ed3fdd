//! What is the same whenever a page is shown: its status, its code, its picture and its words.
//!
//! One table, so that no two causes are told apart anywhere else.

use http::StatusCode;

use super::page::{AtProvider, FailureKind, NotAllowed, Page, Sending, SignInCause, Unsent};
use super::texts::{self, Text};
use crate::gateway::rounds::LoopCause;
use crate::identity::access::Shortfall;

/// The picture on a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Done,
    Question,
    Closed,
    Trouble,
}

/// Status, code, picture and words of a page.
#[derive(Clone, Copy)]
pub(super) struct Summary {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) mark: Mark,
    pub(super) heading: Text,
    pub(super) what: Text,
    pub(super) advice: Text,
}

impl Page<'_> {
    pub(super) fn summary(&self) -> Summary {
        match self {
            Self::SignInFailed { cause, .. } => cause.summary(),
            Self::Choose { by_email, .. } => {
                let unknown = by_email.is_some_and(|by_email| by_email.unknown.is_some());
                Summary {
                    status: StatusCode::OK,
                    code: "choose-provider",
                    mark: Mark::Question,
                    heading: texts::HOW_TO_SIGN_IN,
                    what: if unknown { texts::UNKNOWN_EMAIL } else { texts::CHOOSE_YOUR_SERVICE },
                    advice: if unknown { texts::CHECK_EMAIL_OR_CHOOSE } else { texts::CHOICE_IS_REMEMBERED },
                }
            }
            Self::NotAllowed { reason, .. } => reason.summary(),
            Self::SignedOut { provider, .. } => Summary {
                status: StatusCode::OK,
                code: "signed-out",
                mark: Mark::Done,
                heading: texts::SIGNED_OUT,
                what: match provider {
                    AtProvider::Ended => texts::SIGNED_OUT_EVERYWHERE,
                    AtProvider::MayRemain => texts::SIGNED_OUT_HERE,
                },
                advice: texts::SHARED_COMPUTER,
            },
            Self::ConfirmSignOut { .. } | Self::ConfirmLeaving { .. } => Summary {
                status: StatusCode::OK,
                code: "confirm-sign-out",
                mark: Mark::Question,
                heading: texts::CONFIRM_SIGN_OUT,
                what: texts::ANOTHER_SITE_ASKED,
                advice: texts::IF_NOT_EXPECTED,
            },
            Self::PostToProvider { .. } => Summary {
                status: StatusCode::OK,
                code: "post-to-provider",
                mark: Mark::Question,
                heading: texts::ONE_MORE_STEP,
                what: texts::SIGNED_OUT_OF_APP,
                advice: texts::PRESS_TO_FINISH,
            },
            Self::TooWeak { lacks, .. } => Summary {
                status: StatusCode::FORBIDDEN,
                code: "sign-in-too-weak",
                mark: Mark::Closed,
                heading: texts::NOT_ENOUGH,
                what: match lacks {
                    Shortfall::Acr => texts::WEAK_SIGN_IN,
                    Shortfall::Age => texts::OLD_SIGN_IN,
                },
                advice: texts::CONFIRM_WHEN_ASKED,
            },
            Self::EnterOnPhone { .. } => Summary {
                status: StatusCode::OK,
                code: "enter-on-phone",
                mark: Mark::Question,
                heading: texts::SIGN_IN_BY_PHONE,
                what: texts::SCAN_OR_ENTER,
                advice: texts::STAY_HERE,
            },
            Self::InFrame { .. } => Summary {
                status: StatusCode::FORBIDDEN,
                code: "in-frame",
                mark: Mark::Question,
                heading: texts::NEEDS_OWN_WINDOW,
                what: texts::SHOWN_IN_ANOTHER_SITE,
                advice: texts::SIGN_IN_THERE,
            },
            Self::FormKept { why, .. } => Summary {
                status: StatusCode::OK,
                code: "form-kept",
                mark: Mark::Done,
                heading: texts::FORM_KEPT,
                what: match why {
                    Unsent::WeakSession => texts::KEPT_TO_CONFIRM,
                    _ => texts::KEPT_TO_SIGN_IN,
                },
                advice: texts::SENT_AFTERWARDS,
            },
            Self::SendForm { how, .. } => {
                let (heading, what, advice) = match how {
                    Sending::AtOnce => (texts::SENDING_FORM, texts::FORM_IS_ON_ITS_WAY, texts::PRESS_TO_SEND),
                    Sending::WhenAsked => (texts::SEND_FORM, texts::FORM_WAITS, texts::ONLY_IF_YOURS),
                };
                Summary {
                    status: StatusCode::OK,
                    code: "send-form",
                    mark: Mark::Question,
                    heading,
                    what,
                    advice,
                }
            }
            Self::NothingSent { unsent, .. } => unsent.summary(),
            Self::Failure { kind, .. } => kind.summary(),
        }
    }
}

impl Unsent {
    fn summary(self) -> Summary {
        let (what, advice) = match self {
            Self::NoSession => (texts::SESSION_HAD_ENDED, texts::SEND_ONCE_MORE),
            Self::WeakSession => (texts::SIGN_IN_FIRST, texts::SEND_ONCE_MORE),
            Self::TooLarge => (texts::FORM_TOO_LARGE, texts::SEND_ONCE_MORE),
            Self::NotKept => (texts::FORM_NOT_KEPT, texts::SEND_ONCE_MORE),
            Self::Gone => (texts::FORM_GONE, texts::SEE_WHETHER_ARRIVED),
            Self::AnotherPerson => (texts::ANOTHERS_FORM, texts::SIGN_IN_AS_SENDER),
            Self::InFrame => (texts::FORM_IN_FRAME, texts::SEND_IN_WINDOW),
        };
        let (status, code) = (StatusCode::FORBIDDEN, "nothing-sent");
        Summary { status, code, mark: Mark::Trouble, heading: texts::NOTHING_SENT, what, advice }
    }
}

impl SignInCause {
    fn summary(self) -> Summary {
        let (status, code, what, advice) = match self {
            Self::NotBegunHere => {
                (StatusCode::BAD_REQUEST, "login-unknown", texts::NOT_BEGUN_HERE, texts::START_FROM_APP)
            }
            Self::Expired => {
                (StatusCode::BAD_REQUEST, "login-expired", texts::TOOK_TOO_LONG, texts::JUST_TRY_AGAIN)
            }
            Self::NoCookies => {
                (StatusCode::BAD_REQUEST, "no-cookies", texts::NO_COOKIES, texts::ALLOW_COOKIES)
            }
            Self::NeedsHttps => (
                StatusCode::BAD_REQUEST,
                "cookies-need-https",
                texts::OPENED_WITHOUT_TLS,
                texts::OPEN_WITH_HTTPS,
            ),
            Self::Loop(cause) => return of_loop(cause),
            Self::BadResponse => {
                (StatusCode::BAD_REQUEST, "bad-response", texts::UNEXPECTED_ANSWER, texts::TELL_ADMINISTRATOR)
            }
            Self::CodeRefused => {
                (StatusCode::BAD_REQUEST, "code-refused", texts::NOT_CONFIRMED, texts::JUST_TRY_AGAIN)
            }
            Self::CodeExpired => {
                (StatusCode::BAD_REQUEST, "code-expired", texts::CODE_TOO_OLD, texts::GET_ANOTHER_CODE)
            }
            Self::Declined => {
                (StatusCode::FORBIDDEN, "declined", texts::DECLINED, texts::IF_DECLINED_BY_MISTAKE)
            }
            Self::ProviderUntrusted => {
                (StatusCode::BAD_GATEWAY, "provider-untrusted", texts::NOT_VERIFIED, texts::NOT_YOUR_FAULT)
            }
            Self::SessionTooLarge => {
                (StatusCode::BAD_GATEWAY, "session-too-large", texts::TOO_MUCH_TOLD, texts::NOT_YOUR_FAULT)
            }
            Self::ProviderUnreachable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "provider-unreachable",
                texts::PROVIDER_SILENT,
                texts::WAIT_A_MINUTE,
            ),
        };
        Summary { status, code, mark: Mark::Trouble, heading: texts::SIGN_IN_FAILED, what, advice }
    }
}

fn of_loop(cause: LoopCause) -> Summary {
    let (code, what, advice) = match cause {
        LoopCause::Lost => ("session-cookie-lost", texts::COOKIE_NOT_KEPT, texts::ALLOW_COOKIES),
        LoopCause::Domain => ("session-cookie-domain", texts::COOKIE_FOR_OTHERS, texts::NOT_YOUR_FAULT),
        LoopCause::TooLarge => ("session-cookie-too-large", texts::COOKIE_TOO_LARGE, texts::NOT_YOUR_FAULT),
        LoopCause::Twice => ("session-cookie-twice", texts::COOKIE_TWICE, texts::DELETE_COOKIES),
        LoopCause::Unknown => ("session-unknown", texts::SESSION_NOT_FOUND, texts::NOT_YOUR_FAULT),
        LoopCause::AppAsksAgain => ("app-asks-again", texts::APP_ASKS_AGAIN, texts::NOT_YOUR_FAULT),
    };
    let heading =
        if cause == LoopCause::AppAsksAgain { texts::SIGNED_IN_ALREADY } else { texts::SIGN_IN_FAILED };
    Summary { status: StatusCode::BAD_REQUEST, code, mark: Mark::Trouble, heading, what, advice }
}

impl NotAllowed<'_> {
    fn summary(self) -> Summary {
        let (code, what, advice) = match self {
            Self::Rule => ("not-allowed", texts::NOT_OPEN_TO_YOU, texts::ASK_FOR_ACCESS),
            Self::MissingClaims(_) => ("claim-missing", texts::PROFILE_INCOMPLETE, texts::ASK_TO_COMPLETE),
        };
        let status = StatusCode::FORBIDDEN;
        Summary { status, code, mark: Mark::Closed, heading: texts::NO_ACCESS, what, advice }
    }
}

impl FailureKind {
    fn summary(self) -> Summary {
        let (status, code, heading, what, advice) = match self {
            Self::BadTarget => (
                StatusCode::BAD_REQUEST,
                "bad-target",
                texts::ADDRESS_UNUSABLE,
                texts::FORBIDDEN_CHARACTERS,
                texts::CHECK_ADDRESS,
            ),
            Self::AmbiguousPath => (
                StatusCode::BAD_REQUEST,
                "ambiguous-path",
                texts::ADDRESS_UNUSABLE,
                texts::TWO_READINGS,
                texts::CHECK_ADDRESS,
            ),
            Self::BadRequest => (
                StatusCode::BAD_REQUEST,
                "bad-request",
                texts::NOT_UNDERSTOOD,
                texts::UNUSABLE_REQUEST,
                texts::TELL_ADMINISTRATOR,
            ),
            Self::ForeignOrigin => (
                StatusCode::FORBIDDEN,
                "foreign-origin",
                texts::NOT_FROM_HERE,
                texts::FOREIGN_ORIGIN,
                texts::TELL_ADMINISTRATOR,
            ),
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "not-found",
                texts::PAGE_NOT_FOUND,
                texts::NOTHING_HERE,
                texts::CHECK_ADDRESS,
            ),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                texts::NOT_UNDERSTOOD,
                texts::WRONG_METHOD,
                texts::CHECK_ADDRESS,
            ),
            Self::UnknownHost => (
                StatusCode::MISDIRECTED_REQUEST,
                "unknown-host",
                texts::NO_APP,
                texts::NO_APP_OF_THIS_NAME,
                texts::CHECK_ADDRESS,
            ),
            Self::HeadersTooLarge => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "headers-too-large",
                texts::TOO_MUCH_SENT,
                texts::HEADERS_TOO_LARGE,
                texts::DELETE_COOKIES,
            ),
            Self::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                texts::WENT_WRONG,
                texts::OUR_FAULT,
                texts::TELL_ADMINISTRATOR,
            ),
            Self::AppUnreachable => (
                StatusCode::BAD_GATEWAY,
                "app-unreachable",
                texts::APP_UNAVAILABLE,
                texts::APP_UNREACHABLE,
                texts::WAIT_A_MINUTE,
            ),
            Self::SessionsUnreachable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "sessions-unreachable",
                texts::CANNOT_CHECK_NOW,
                texts::STILL_SIGNED_IN,
                texts::WAIT_A_MINUTE,
            ),
            Self::Busy => {
                (StatusCode::SERVICE_UNAVAILABLE, "busy", texts::BUSY, texts::BUSY_NOW, texts::WAIT_A_MINUTE)
            }
            Self::AppTooSlow => (
                StatusCode::GATEWAY_TIMEOUT,
                "app-too-slow",
                texts::APP_TOO_SLOW,
                texts::APP_LATE,
                texts::CHECK_WHETHER_SENT,
            ),
        };
        Summary { status, code, mark: Mark::Trouble, heading, what, advice }
    }
}
