//! Sign-in on a device without a keyboard: RFC 8628, the request for a code (sections 3.1 and 3.2) and for what it is
//! worth (3.4 and 3.5).
//!
//! A code that the person has approved gives the same as one that came through a browser, with one difference: there
//! was no authorization request, so the ID token has no `nonce`. What stands for it is that the device code never
//! leaves our cookie and the provider.

use std::time::Duration;

use openidconnect::HttpResponse;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use super::client_auth::Form;
use super::error::{MemberProblem, OidcError};
use super::message::{self, Call, told};
use super::provider::SignIn;
use super::{Protocol, Settings, token};
use crate::foundation::secret::Secret;

/// RFC 8628 section 3.4.
const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// RFC 8628 section 3.2: without a word of the provider's.
const INTERVAL: u64 = 5;

/// The slowest that a screen may be to notice.
const LONGEST_INTERVAL: u64 = 60;

/// The longest that a code is waited for.
const LONGEST_LIFE: u64 = 30 * 60;

/// The longest code, and address, that we show.
const LONGEST: usize = 2048;

/// A sign-in that waits for a phone. It belongs sealed into one browser's cookie.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PendingDevice {
    pub(super) provider: String,
    pub(super) device_code: Secret,
    /// In seconds; what was asked for.
    pub(super) max_age: Option<u64>,
    pub(super) acr_values: Option<String>,
    /// What the tokens will be bound to (RFC 9449).
    pub(super) proof_key: Option<Secret>,
    /// What the person enters.
    pub user_code: String,
    /// Where they enter it.
    pub verification_uri: String,
    /// The same with the code in it, for a QR code.
    pub verification_uri_complete: Option<String>,
    /// How long the code is good, in seconds.
    pub lasts: u64,
    /// How long to wait between two questions, in seconds.
    pub interval: u64,
}

impl PendingDevice {
    /// The name of the provider.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// What tells one sign-in from another: for a table of those that wait.
    pub fn secret(&self) -> &Secret {
        &self.device_code
    }
}

/// What a question is answered with.
#[derive(Debug)]
pub enum Answer {
    /// Nobody approved it yet.
    Pending,
    /// Nor that, and the next question shall wait five seconds longer than this one did.
    SlowDown,
    /// Somebody did.
    SignedIn(Box<SignIn>),
}

/// RFC 8628 section 3.1, with the parameters of the authorization request that mean something here.
pub(super) fn form(settings: &Settings, acr_values: Option<&str>, max_age: Option<Duration>) -> Form {
    let openid = (settings.protocol == Protocol::OpenIdConnect).then_some("openid");
    let scopes = settings.scopes.iter().map(String::as_str).filter(|scope| *scope != "openid");
    let scopes: Vec<&str> = openid.into_iter().chain(scopes).collect();
    let mut form = Form::default().with("scope", &scopes.join(" "));
    if let Some(acr_values) = acr_values.or(settings.acr_values.as_deref()) {
        form = form.with("acr_values", acr_values);
    }
    if let Some(max_age) = [settings.max_age, max_age].into_iter().flatten().min() {
        form = form.with("max_age", &max_age.as_secs().to_string());
    }
    if let Some(audience) = &settings.audience {
        form = form.with("audience", audience);
    }
    token::for_resources(settings, form)
}

/// RFC 8628 section 3.2.
pub(super) fn response(
    settings: &Settings,
    response: &HttpResponse,
    acr_values: Option<String>,
    proof_key: Option<Secret>,
) -> Result<PendingDevice, OidcError> {
    let mut answer = message::json(Call::Device, response)?;
    let device_code = Secret::new(text(&mut answer, "device_code")?.ok_or(missing("device_code"))?);
    let user_code = text(&mut answer, "user_code")?.ok_or(missing("user_code"))?;
    // An early draft, and Google, call it `verification_url`.
    let verification_uri = match text(&mut answer, "verification_uri")? {
        Some(uri) => uri,
        None => text(&mut answer, "verification_url")?.ok_or(missing("verification_uri"))?,
    };
    let complete = text(&mut answer, "verification_uri_complete")?;
    for (member, uri) in
        [("verification_uri", Some(&verification_uri)), ("verification_uri_complete", complete.as_ref())]
    {
        // SECURITY: a phone opens it: nothing but an address of a site.
        if uri.is_some_and(|uri| !is_site(uri)) {
            let problem = MemberProblem::NotA("an http or https address");
            return Err(OidcError::Member { call: Call::Device, member, problem });
        }
    }
    let seconds = |name: &str| answer.get(name).and_then(Value::as_u64);
    Ok(PendingDevice {
        provider: settings.name.clone(),
        device_code,
        max_age: settings.max_age.map(|max_age| max_age.as_secs()),
        acr_values,
        proof_key,
        user_code,
        verification_uri,
        verification_uri_complete: complete,
        lasts: seconds("expires_in").unwrap_or(LONGEST_LIFE).min(LONGEST_LIFE),
        interval: seconds("interval").unwrap_or(INTERVAL).clamp(1, LONGEST_INTERVAL),
    })
}

/// RFC 8628 section 3.4.
pub(super) fn question(settings: &Settings, pending: &PendingDevice) -> Form {
    let form = Form::default().with("grant_type", GRANT).with("device_code", pending.device_code.expose());
    token::for_resources(settings, form)
}

/// RFC 8628 section 3.5: whether a refusal only means that it takes longer.
pub(super) fn waits(error: &OidcError) -> Option<Answer> {
    let OidcError::Refused(refusal) = error else { return None };
    match refusal.error.as_str() {
        "authorization_pending" => Some(Answer::Pending),
        "slow_down" => Some(Answer::SlowDown),
        _ => None,
    }
}

fn is_site(uri: &str) -> bool {
    Url::parse(uri).is_ok_and(|url| matches!(url.scheme(), "https" | "http"))
}

fn text(answer: &mut Map<String, Value>, member: &'static str) -> Result<Option<String>, OidcError> {
    let problem = match answer.get_mut(member).map(Value::take) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) if text.is_empty() => return Ok(None),
        Some(Value::String(text)) if text.len() <= LONGEST && !text.chars().any(char::is_control) => {
            return Ok(Some(text));
        }
        Some(Value::String(text)) => MemberProblem::Value(told(&text)),
        Some(_) => MemberProblem::NotA("a string"),
    };
    Err(OidcError::Member { call: Call::Device, member, problem })
}

fn missing(member: &'static str) -> OidcError {
    OidcError::Member { call: Call::Device, member, problem: MemberProblem::Missing }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::oidc::fixture::{self, answer};

    #[test]
    fn a_code_is_asked_for_with_what_a_login_would_ask_for() {
        let mut settings = fixture::settings("https://id.example");
        settings.max_age = Some(Duration::from_secs(3600));
        let form = form(&settings, Some("urn:mfa"), Some(Duration::from_secs(900)));
        assert_eq!(form.as_str(), "scope=openid+email&acr_values=urn%3Amfa&max_age=900");
        settings.audience = Some("api".into());
        settings.resource = vec!["https://a.example".into(), "https://b.example".into()];
        let form = super::form(&settings, None, None);
        let ours = "audience=api&resource=https%3A%2F%2Fa.example&resource=https%3A%2F%2Fb.example";
        assert_eq!(form.as_str(), format!("scope=openid+email&max_age=3600&{ours}"));
    }

    #[test]
    fn an_answer_is_read_leniently_and_within_bounds() {
        let settings = fixture::settings("https://id.example");
        let least =
            json!({"device_code": "d", "user_code": "AB-CD", "verification_uri": "https://id.example/d"});
        let pending = response(&settings, &answer(200, least.to_string()), None, None).unwrap();
        assert_eq!((pending.interval, pending.lasts), (5, 1800));
        for (member, value, good) in [
            ("verification_uri", json!("javascript:alert(1)"), false),
            ("verification_uri_complete", json!("data:,x"), false),
            ("verification_uri_complete", json!("https://id.example/d?c=AB-CD"), true),
            ("verification_uri", json!(null), false),
            ("user_code", json!("A\nB"), false),
            ("user_code", json!(7), false),
            ("device_code", json!(""), false),
            ("interval", json!(100_000), true),
            ("expires_in", json!("soon"), true),
        ] {
            let mut body = least.clone();
            body[member] = value.clone();
            let read = response(&settings, &answer(200, body.to_string()), None, None);
            assert_eq!(read.is_ok(), good, "{member} {value}");
            assert!(read.is_err() || read.unwrap().interval <= LONGEST_INTERVAL);
        }
    }
}
