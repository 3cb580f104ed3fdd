//! Every page there is, in each of its variants, and the code and status of each: one list that stands beside
//! the other, so that a new page is missed by neither. What holds for all of them is tried by the tests around.

use super::*;
use crate::gateway::rounds::LoopCause;

pub(super) fn missing() -> Vec<Missing> {
    ["custom_fields.snils", "phone_number"]
        .map(|source| Missing { header: "X-User".to_owned(), source: source.to_owned() })
        .into()
}

const OFFERS: [Offer<'static>; 2] = [
    Offer { label: "Школа № 7", address: "/_sso/sign-in?provider=school&return_to=%2F" },
    Offer {
        label: "Министерство образования и науки", address: "/_sso/sign-in?provider=ad&return_to=%2F"
    },
];

fn by_email(unknown: Option<&str>) -> ByEmail<'_> {
    ByEmail { action: "/_sso/sign-in", return_to: "/course", unknown, onward: Provider::Https }
}

/// Every page there is, by the name of its file.
pub(super) fn all_pages(missing: &[Missing]) -> Vec<(String, Page<'_>)> {
    use FailureKind as F;
    use SignInCause as C;
    let reference = "7K3M9Q2XWT";
    let retry = Some("/_sso/sign-in?return_to=/course/7");
    let action = "https://id.example.org/session/end";
    let sign_out = "/_sso/sign-out";
    let person = Some("Мария Ивановна Петрова");
    let confirm = |provider| Page::ConfirmSignOut {
        action: sign_out,
        ticket: "t1cket",
        return_to: Some("/course"),
        stay: "/",
        provider,
    };
    let mut pages: Vec<Page<'_>> = [
        C::NotBegunHere,
        C::Expired,
        C::NoCookies,
        C::NeedsHttps,
        C::Loop(LoopCause::Lost),
        C::Loop(LoopCause::Domain),
        C::Loop(LoopCause::TooLarge),
        C::Loop(LoopCause::Twice),
        C::Loop(LoopCause::Unknown),
        C::Loop(LoopCause::AppAsksAgain),
        C::BadResponse,
        C::CodeRefused,
        C::CodeExpired,
        C::Declined,
        C::ProviderUntrusted,
        C::SessionTooLarge,
        C::ProviderUnreachable,
    ]
    .map(|cause| Page::SignInFailed { cause, reference, retry })
    .into();
    pages.extend(
        [
            F::BadTarget,
            F::AmbiguousPath,
            F::BadRequest,
            F::ForeignOrigin,
            F::NotFound,
            F::MethodNotAllowed,
            F::UnknownHost,
            F::HeadersTooLarge,
            F::Internal,
            F::AppUnreachable,
            F::SessionsUnreachable,
            F::Busy,
            F::AppTooSlow,
        ]
        .map(|kind| Page::Failure { kind, reference, retry: Some("/course/7") }),
    );
    pages.extend([
        Page::NotAllowed { reason: NotAllowed::Rule, person, sign_out, reference },
        Page::NotAllowed { reason: NotAllowed::MissingClaims(missing), person, sign_out, reference },
        Page::SignedOut { sign_in_again: "/", provider: AtProvider::Ended },
        Page::SignedOut { sign_in_again: "/", provider: AtProvider::MayRemain },
        confirm(Provider::None),
        confirm(Provider::Https),
        confirm(Provider::Http),
        Page::PostToProvider { action, fields: &[("id_token_hint", "eyJhbGciOi"), ("state", "s")] },
    ]);
    pages.extend([
        Page::Choose { last: None, others: &OFFERS, by_email: None },
        Page::Choose { last: Some(OFFERS[1]), others: &OFFERS[..1], by_email: Some(by_email(None)) },
        Page::Choose { last: None, others: &OFFERS, by_email: Some(by_email(Some("anna@школа.рф"))) },
    ]);
    use crate::identity::access::Shortfall;
    pages.extend(
        [
            Unsent::NoSession,
            Unsent::WeakSession,
            Unsent::TooLarge,
            Unsent::NotKept,
            Unsent::Gone,
            Unsent::AnotherPerson,
            Unsent::InFrame,
        ]
        .map(|unsent| Page::NothingSent { unsent, sign_in: "/_sso/sign-in", reference }),
    );
    pages.extend(
        [Unsent::NoSession, Unsent::WeakSession]
            .map(|why| Page::FormKept { why, sign_in: "/_sso/resend?form=BwcHBwcHBwcH" }),
    );
    pages.extend([Sending::AtOnce, Sending::WhenAsked].map(|how| Page::SendForm {
        how,
        to: "https://lms.example.org/quiz/7?attempt=3",
        marker: ("vestibule-form", "BwcHBwcHBwcH"),
        person,
        leave: "/",
    }));
    pages.push(Page::InFrame { open: "https://lms.example.org/course/7" });
    pages.push(Page::EnterOnPhone {
        code: "WDJB-MJHT",
        address: "https://id.example.org/device",
        scanned: "https://id.example.org/device?user_code=WDJB-MJHT",
    });
    pages.extend([Shortfall::Acr, Shortfall::Age].map(|lacks| Page::TooWeak {
        lacks,
        person,
        retry,
        sign_out,
        reference,
    }));
    pages.into_iter().enumerate().map(|(n, page)| (format!("{n:02}-{}", page.code()), page)).collect()
}

#[test]
fn statuses_follow_the_cause() {
    let expected = [
        ("login-unknown", 400),
        ("login-expired", 400),
        ("no-cookies", 400),
        ("cookies-need-https", 400),
        ("session-cookie-lost", 400),
        ("session-cookie-domain", 400),
        ("session-cookie-too-large", 400),
        ("session-cookie-twice", 400),
        ("session-unknown", 400),
        ("app-asks-again", 400),
        ("bad-response", 400),
        ("code-refused", 400),
        ("code-expired", 400),
        ("declined", 403),
        ("provider-untrusted", 502),
        ("session-too-large", 502),
        ("provider-unreachable", 503),
        ("bad-target", 400),
        ("ambiguous-path", 400),
        ("bad-request", 400),
        ("foreign-origin", 403),
        ("not-found", 404),
        ("method-not-allowed", 405),
        ("unknown-host", 421),
        ("headers-too-large", 431),
        ("internal", 500),
        ("app-unreachable", 502),
        ("sessions-unreachable", 503),
        ("busy", 503),
        ("app-too-slow", 504),
        ("not-allowed", 403),
        ("claim-missing", 403),
        ("signed-out", 200),
        ("signed-out", 200),
        ("confirm-sign-out", 200),
        ("confirm-sign-out", 200),
        ("confirm-sign-out", 200),
        ("post-to-provider", 200),
        ("choose-provider", 200),
        ("choose-provider", 200),
        ("choose-provider", 200),
        ("nothing-sent", 403),
        ("nothing-sent", 403),
        ("nothing-sent", 403),
        ("nothing-sent", 403),
        ("nothing-sent", 403),
        ("nothing-sent", 403),
        ("nothing-sent", 403),
        ("form-kept", 200),
        ("form-kept", 200),
        ("send-form", 200),
        ("send-form", 200),
        ("in-frame", 403),
        ("enter-on-phone", 200),
        ("sign-in-too-weak", 403),
        ("sign-in-too-weak", 403),
    ];
    let missing = missing();
    let found: Vec<_> =
        all_pages(&missing).iter().map(|(_, page)| (page.code(), page.status().as_u16())).collect();
    assert_eq!(found, expected);
}
