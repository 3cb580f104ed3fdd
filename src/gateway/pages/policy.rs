//! The security headers of everything that the gateway says for itself.
//!
//! Every answer is allowed nothing by default; a page is allowed its own styles, a picture that stands in
//! it, and the forms that it has.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderValue, REFERRER_POLICY, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{Response, StatusCode};

use crate::foundation::body::Body;

/// Seconds after which whoever got a 503 may ask again.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("10");

/// Who may frame a page, as a policy that ends with it has it, where it may stand alone only.
pub(super) const NOBODY: &str = "'none'";

/// Where a page may send something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sends {
    /// Nowhere: it has no form.
    Nothing,
    /// To us alone: a link that must tell us where it was.
    ToUs,
    /// To us, and on to a provider over TLS.
    Onward,
    /// To us, and on to a provider without TLS: on loopback, or where the operator allowed it.
    OnwardWithoutTls,
    /// To the app, and on to wherever it sends people, by a script of ours.
    ByScript,
}

/// Where a page may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stands {
    /// In a window of its own.
    Alone,
    /// In a frame of anybody's page, too.
    InAnyFrame,
}

/// The content security policies of the pages, made once.
#[derive(Debug)]
pub(super) struct Policies {
    nothing: HeaderValue,
    framed: HeaderValue,
    to_us: HeaderValue,
    onward: HeaderValue,
    onward_without_tls: HeaderValue,
    by_script: HeaderValue,
}

impl Policies {
    /// The policies of pages that inline this style, and one of them this script.
    pub(super) fn new(style: &str, script: &str) -> Self {
        let hash = |text: &str| STANDARD.encode(digest(&SHA256, text.as_bytes()));
        let (style, script) = (hash(style), hash(script));
        let policy = |forms: &str, ancestors: &str| {
            let policy = format!(
                "default-src 'none'; style-src 'sha256-{style}'; img-src data:; form-action {forms}; \
                 base-uri 'none'; frame-ancestors {ancestors}"
            );
            // Base64 and the words above are all visible ASCII, so the stricter policy is never needed.
            HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
        };
        Self {
            nothing: policy("'none'", NOBODY),
            // SECURITY: whoever frames it can have a link pressed that opens the app, as their own could.
            framed: policy("'none'", "*"),
            to_us: policy("'self'", NOBODY),
            // Chromium holds every redirect that follows a form against form-action, and a provider that
            // stands before others sends the browser through hosts that nobody can list.
            onward: policy("'self' https:", NOBODY),
            onward_without_tls: policy("'self' https: http:", NOBODY),
            // SECURITY: the very script, and nothing else that stands in the page.
            by_script: policy(&format!("'self' https: http:; script-src 'sha256-{script}'"), NOBODY),
        }
    }

    /// Gives a page its policy, and the referrer that its forms and links need.
    pub(super) fn apply(&self, headers: &mut HeaderMap, sends: Sends, stands: Stands) {
        let (policy, referrer) = match sends {
            Sends::Nothing if stands == Stands::InAnyFrame => (&self.framed, "no-referrer"),
            // SECURITY: the address of a failed callback holds a code; nobody is told it (RFC 9700 section 4.2.4).
            Sends::Nothing => (&self.nothing, "no-referrer"),
            // With `no-referrer` browsers send `Origin: null` with a form, as a stranger's form would.
            Sends::ToUs => (&self.to_us, "same-origin"),
            Sends::Onward => (&self.onward, "same-origin"),
            Sends::OnwardWithoutTls => (&self.onward_without_tls, "same-origin"),
            Sends::ByScript => (&self.by_script, "same-origin"),
        };
        headers.insert(CONTENT_SECURITY_POLICY, policy.clone());
        headers.insert(REFERRER_POLICY, HeaderValue::from_static(referrer));
    }
}

/// Gives an answer of our own its status and the headers that all of them have.
pub(in crate::gateway) fn complete(response: &mut Response<Body>, status: StatusCode) {
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    );
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
    }
}
