//! What an examination makes of a provider's answers: pure judgements, each with its code, its sentence and its mend.
//!
//! The calls are made by `provider/examining`; what the provider announces of itself is held against the settings
//! in `examination/abilities`.

mod abilities;

use http::{HeaderMap, header};
use openidconnect::HttpResponse;
use serde_json::Value;
use url::Url;

pub(super) use abilities::{abilities, authentication};

use super::error::OidcError;
use super::message::{self, Call, told};
use super::refusal::Refusal;
use super::{Settings, jwt};
use crate::foundation::clock::Timestamp;
use crate::foundation::finding::Finding;

/// A redirect URI that the provider has to know.
#[derive(Clone, Debug)]
pub struct AskedRedirect {
    /// The app that it belongs to.
    pub app: String,
    /// The address.
    pub uri: Url,
}

/// What an error means for an operator who asked.
pub(super) fn failure(error: &OidcError) -> Finding {
    let finding = Finding::failed(error.code(), error.to_string());
    match error.mend() {
        Some(mend) => finding.mend(mend),
        None => finding,
    }
}

/// The provider's clock beside ours, by the `Date` of an answer (RFC 9110 section 6.6.1), which is in whole seconds.
pub(super) fn clock(settings: &Settings, headers: &HeaderMap, now: Timestamp) -> Option<Finding> {
    let date = headers.get(header::DATE)?.to_str().ok()?;
    let theirs = httpdate::parse_http_date(date).ok()?;
    let theirs = theirs.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs();
    let (ahead, off) = (theirs > now.as_secs(), theirs.abs_diff(now.as_secs()));
    let allowed = settings.clock_skew.as_secs();
    let direction = if ahead { "ahead of" } else { "behind" };
    Some(match off {
        off if off > allowed + 1 => Finding::failed(
            "clock_skew",
            format!("its clock is {off} s {direction} ours, and clock_skew allows {allowed} s"),
        )
        .mend("set both machines' clocks by NTP"),
        0 | 1 => Finding::ok("clock", "its clock and ours agree"),
        off => {
            Finding::ok("clock", format!("its clock is {off} s {direction} ours; {allowed} s are allowed"))
        }
    })
}

/// What the authorization endpoint answered to a login of `asked`, that was to be ended without asking anybody.
pub(super) fn authorization(settings: &Settings, asked: &AskedRedirect, answer: &HttpResponse) -> Finding {
    let AskedRedirect { app, uri } = asked;
    let taken = || Finding::ok("redirect_uri", format!("it takes the redirect URI of {app}, {uri}"));
    let status = answer.status();
    if status.is_redirection() {
        let Some(to) = location(answer) else {
            return Finding::failed(
                "authorization_unclear",
                format!("it answered the login of {app} with a redirect to nowhere"),
            )
            .mend("check authorization_endpoint");
        };
        return match error_in(&to) {
            // A login page that is asked to ask nobody may still ask.
            None => taken(),
            Some((error, description)) => refused(settings, asked, &error, description),
        };
    }
    if status.is_success() {
        return match named_in(answer.body()) {
            Some(Named::RedirectUri) => redirect_uri_refused(settings, asked, None),
            _ => taken(),
        };
    }
    if status.is_server_error() {
        return failure(&OidcError::Status { call: Call::Authorization, status: status.as_u16() });
    }
    let refusal =
        message::object(answer.body()).ok().and_then(|object| message::refusal(Call::Authorization, &object));
    match (refusal, named_in(answer.body())) {
        (Some(Refusal { error, description, .. }), _) => refused(settings, asked, &error, description),
        (None, Some(Named::RedirectUri)) => redirect_uri_refused(settings, asked, None),
        (None, Some(Named::Client)) => unknown_client(settings, app),
        (None, None) => Finding::failed(
            "authorization_refused",
            format!("it answered the login of {app} with a page of status {}", status.as_u16()),
        )
        .mend(format!("open it in a browser and read what it says; often {uri} is not entered there")),
    }
}

/// The provider's no to a login.
pub(super) fn refused(
    settings: &Settings,
    asked: &AskedRedirect,
    error: &str,
    description: Option<String>,
) -> Finding {
    let text = description.clone().unwrap_or_default().to_lowercase();
    match error {
        // Nobody is signed in there, and nobody was to be asked: the request itself was well.
        "login_required" | "interaction_required" | "consent_required" | "account_selection_required" => {
            let AskedRedirect { app, uri } = asked;
            Finding::ok("redirect_uri", format!("it takes the redirect URI of {app}, {uri}"))
        }
        _ if error.contains("redirect_uri")
            || text.contains("redirect_uri")
            || text.contains("redirect uri") =>
        {
            redirect_uri_refused(settings, asked, description)
        }
        "invalid_client" => unknown_client(settings, &asked.app),
        _ => {
            let refusal = Refusal { call: Call::Authorization, error: error.to_owned(), description };
            let mend =
                refusal.mend().unwrap_or("compare the settings with the provider's entry for this client");
            Finding::failed("authorization_refused", format!("the login of {}: {refusal}", asked.app))
                .mend(mend)
        }
    }
}

fn redirect_uri_refused(settings: &Settings, asked: &AskedRedirect, description: Option<String>) -> Finding {
    let AskedRedirect { app, uri } = asked;
    let why = description.map(|text| format!(" ({text})")).unwrap_or_default();
    Finding::failed("redirect_uri_refused", format!("it refuses the redirect URI of {app}, {uri}{why}"))
        .mend(format!("enter {uri} there for the client {}, letter by letter", settings.client_id))
}

fn unknown_client(settings: &Settings, app: &str) -> Finding {
    Finding::failed(
        "client_unknown",
        format!("it knows no client {} (asked for the login of {app})", settings.client_id),
    )
    .mend("compare client_id with the provider's entry, and issuer with the provider that has it")
}

/// What the token endpoint answered to a code that it never gave.
pub(super) fn token_answer(answer: &Result<HttpResponse, OidcError>) -> Finding {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return failure(error),
    };
    let status = answer.status().as_u16();
    match message::json(Call::Token, answer) {
        Err(OidcError::Refused(refusal)) => match refusal.error.as_str() {
            "invalid_grant" => {
                Finding::ok("client", "it takes our client authentication (it refuses only a made-up code)")
            }
            "invalid_client" | "unauthorized_client" => client_refused(&refusal),
            _ => Finding::warning("client_unclear", format!("asked with a made-up code: {refusal}"))
                .mend(refusal.mend().unwrap_or("try a sign-in; the log tells what happens")),
        },
        Err(OidcError::Status { .. }) if status == 401 => {
            Finding::failed("client_refused", "token endpoint: it answered 401").mend(
                "check client_id, client_secret and client_auth against the provider's entry for this client",
            )
        }
        Err(error) => failure(&error),
        Ok(_) => Finding::failed("token_endpoint_gives_all", "it gives tokens for a made-up code")
            .mend("check token_endpoint: this is no provider to trust"),
    }
}

fn client_refused(refusal: &Refusal) -> Finding {
    Finding::failed("client_refused", refusal.to_string())
        .mend(refusal.mend().unwrap_or("check client_id, client_secret and client_auth"))
}

fn location(answer: &HttpResponse) -> Option<Url> {
    let text = answer.headers().get(header::LOCATION)?.to_str().ok()?;
    // Only the query matters: where it is relative, any base will do.
    match Url::parse(text) {
        Ok(url) => Some(url),
        Err(_) => Url::parse("https://provider.invalid/").ok()?.join(text).ok(),
    }
}

/// `error` and `error_description` of a response (RFC 6749 section 4.1.2.1), also of a signed one, whose signature
/// does not matter here: nothing is let in by it.
fn error_in(to: &Url) -> Option<(String, Option<String>)> {
    let param =
        |name: &str| to.query_pairs().find(|(own, _)| own == name).map(|(_, value)| value.into_owned());
    if let Some(error) = param("error").filter(|error| !error.is_empty()) {
        return Some((told(&error), param("error_description").map(|text| told(&text))));
    }
    let payload = jwt::unverified(&param("response")?).ok()?;
    let text = |name: &str| payload.get(name).and_then(Value::as_str).map(told);
    Some((text("error")?, text("error_description")))
}

enum Named {
    RedirectUri,
    Client,
}

/// What a page blames, by the words that the common providers have for it.
fn named_in(body: &[u8]) -> Option<Named> {
    let text = String::from_utf8_lossy(body).to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&[
        "invalid_redirect_uri",
        "redirect_uri_mismatch",
        "invalid parameter: redirect_uri",
        "redirect_uri did not match",
    ]) || (has(&["redirect_uri", "redirect uri", "redirecturi"])
        && has(&["invalid", "mismatch", "not registered", "not allowed", "unregistered"]))
    {
        return Some(Named::RedirectUri);
    }
    has(&["invalid_client", "client not found", "client is invalid", "unknown client"])
        .then_some(Named::Client)
}

#[cfg(test)]
mod tests;
