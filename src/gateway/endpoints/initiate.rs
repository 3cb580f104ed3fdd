//! `GET|POST E/initiate?iss=…&login_hint=…&target_link_uri=…`: a login that a portal asks for, OpenID Connect Core
//! 1.0 section 4.
//!
//! Nothing that comes with it is believed: the issuer picks among the app's providers, the target among the app's
//! own pages, and the hint is for the provider to judge. What else a portal sends is ignored.

use std::borrow::Cow;

use http::{Method, Request, Response};
use hyper::body::Incoming;

use super::is_opened;
use crate::foundation::body::Body;
use crate::gateway::Worker;
use crate::gateway::apps::Protected;
use crate::gateway::failure::Failure;
use crate::gateway::login::{self, Wish};
use crate::gateway::request::Facts;
use crate::gateway::trail::Trail;
use crate::gateway::{form, return_to};

/// The longest hint that is passed on.
const LONGEST_HINT: usize = 1024;

/// Starts a login with the provider that `iss` names, also for a person who is signed in.
///
/// # Errors
/// 400 when `iss` is no provider's of this app, the target is not on the app's own origin, or a parameter comes
/// twice; else as [`login::begin`]. 401 for a script, which could not follow.
pub async fn answer(
    worker: &Worker,
    app: &Protected,
    request: Request<Incoming>,
    trail: &mut Trail,
) -> Result<Response<Body>, Failure> {
    let (parts, body) = request.into_parts();
    let facts = Facts::of(&parts.method, &parts.uri, &parts.headers)?;
    is_opened(&facts)?;
    let posted;
    let sent = match parts.method {
        Method::POST => {
            posted = form::read(body).await?;
            &posted
        }
        _ => facts.query.unwrap_or_default(),
    };
    let asked = Asked::parse(sent)?;
    // Core 4: `iss` is required, and compared as every issuer is, byte for byte.
    let iss = asked.iss.ok_or(Failure::BadRequest("the request to sign in has no iss"))?;
    let provider = app.providers.iter().find(|provider| provider.issues(&iss));
    let provider = provider.ok_or(Failure::BadRequest("the app has no provider of that iss"))?;
    // SECURITY: Core 4: "The RP MUST verify the value of the target_link_uri to prevent being used as an open
    // redirector to external sites."
    let return_to = match asked.target {
        None => app.front_page(),
        Some(target) => return_to::on_origin(app, &target)
            .filter(|target| matches!(app.endpoint(return_to::path_of(target)), Ok(None)))
            .ok_or(Failure::BadRequest("the target_link_uri is no page of this app"))?,
    };
    let wish = Wish { login_hint: asked.hint.map(Cow::into_owned), ..Wish::to(app, return_to) };
    login::begin(worker, app, provider, &facts, wish, trail).await
}

/// What a portal asks for.
#[derive(Debug, Default)]
struct Asked<'a> {
    iss: Option<Cow<'a, str>>,
    hint: Option<Cow<'a, str>>,
    target: Option<Cow<'a, str>>,
}

impl<'a> Asked<'a> {
    fn parse(sent: &'a str) -> Result<Self, Failure> {
        let mut asked = Self::default();
        for (name, value) in form_urlencoded::parse(sent.as_bytes()) {
            let place = match &*name {
                "iss" => &mut asked.iss,
                "login_hint" => &mut asked.hint,
                "target_link_uri" => &mut asked.target,
                _ => continue,
            };
            // SECURITY: who checked one and uses the other could be led anywhere (parameter pollution).
            if place.replace(value).is_some() {
                return Err(Failure::BadRequest("the request to sign in has a parameter twice"));
            }
        }
        asked.hint = asked.hint.filter(|hint| !hint.is_empty());
        if asked.hint.as_ref().is_some_and(|hint| hint.len() > LONGEST_HINT) {
            return Err(Failure::BadRequest("the login_hint is too long"));
        }
        Ok(asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_portal_asks_for_is_read_once_and_what_is_not_known_is_ignored() {
        let long = format!("iss=i&login_hint={}", "x".repeat(LONGEST_HINT + 1));
        for (sent, expected) in [
            (
                "iss=i&login_hint=a%40b&target_link_uri=%2Fx&lti_message_hint=1",
                Ok((Some("i"), Some("a@b"), Some("/x"))),
            ),
            ("", Ok((None, None, None))),
            ("iss=i&login_hint=", Ok((Some("i"), None, None))),
            ("iss=i&iss=i", Err(())),
            ("iss=i&target_link_uri=/&target_link_uri=//evil", Err(())),
            ("iss=i&login_hint=a&login%5fhint=b", Err(())),
            (&long, Err(())),
        ] {
            let asked = Asked::parse(sent);
            let asked = asked.as_ref().map(|asked| {
                let [iss, hint, target] = [&asked.iss, &asked.hint, &asked.target].map(Option::as_deref);
                (iss, hint, target)
            });
            assert_eq!(asked.map_err(drop), expected, "{sent}");
        }
    }
}
