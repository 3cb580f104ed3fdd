//! Step 3 for rules with `access = "bearer"`: whose access token a request carries (RFC 6750).
//!
//! Only the `Authorization` header is read: a token in an address or a form would stand in logs. A worker keeps
//! what it knows of a token, so that a request with a known one asks nobody and renders nothing. A browser's
//! session is nobody here, as a token is nobody elsewhere.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;

use http::header::{AUTHORIZATION, HeaderValue};
use http::{HeaderMap, StatusCode};
use lru::LruCache;

use super::Worker;
use super::apps::Protected;
use super::failure::Failure;
use super::profile::{Holder, Profile};
use crate::foundation::clock::Timestamp;
use crate::identity::access::Fit;
use crate::identity::claims::Tokens;
use crate::oidc::{AccessToken, Disbelief, Provider, TokenRefused, named_issuer};

/// How many tokens a worker keeps for each app.
const KEPT: NonZeroUsize = NonZeroUsize::new(2048).unwrap();

/// What a worker knows of tokens. SECURITY: one table for each app, as apps trust different providers.
#[derive(Debug)]
pub struct Bearers(Vec<RefCell<LruCache<Box<[u8]>, Known>>>);

#[derive(Clone, Debug)]
struct Known {
    profile: Rc<Profile>,
    provider: Rc<str>,
    scopes: Rc<[String]>,
    until: Timestamp,
}

/// Why a client may not use an API (RFC 6750 section 3.1).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenProblem {
    /// It sent no access token.
    #[error("the request carries no access token")]
    None,
    /// It sent several, or something that is none.
    #[error("the request's Authorization is none, or there are several")]
    Request,
    /// The token is not good.
    #[error("the access token is not good: {0}")]
    Invalid(TokenRefused),
    /// The token is good and may not be used for this; holds the scopes that the rule asks for.
    #[error("the access token lacks the scope {}", .0.join(" "))]
    Scope(Vec<String>),
    /// The token is good, and the rule's `allow` says no to whose it is.
    #[error("the rule does not let the holder of this access token in")]
    Denied,
}

impl TokenProblem {
    /// The status of the answer.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::None | Self::Invalid(_) => StatusCode::UNAUTHORIZED,
            Self::Request => StatusCode::BAD_REQUEST,
            Self::Scope(_) | Self::Denied => StatusCode::FORBIDDEN,
        }
    }

    /// A stable name for logs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::None => "token-needed",
            Self::Request => "token-malformed",
            Self::Invalid(_) => "token-invalid",
            Self::Scope(_) => "token-scope",
            Self::Denied => "token-denied",
        }
    }

    /// The challenge for `WWW-Authenticate` (RFC 6750 section 3); `realm` is the app's origin.
    pub fn challenge(&self, realm: &str) -> Option<HeaderValue> {
        let error = match self {
            Self::None => None,
            Self::Request => Some("invalid_request"),
            Self::Invalid(_) => Some("invalid_token"),
            Self::Scope(_) | Self::Denied => Some("insufficient_scope"),
        };
        let mut challenge = format!("Bearer realm=\"{realm}\"");
        if let Some(error) = error {
            challenge += &format!(", error=\"{error}\"");
        }
        if let Self::Scope(scopes) = self {
            challenge += &format!(", scope=\"{}\"", scopes.join(" "));
        }
        HeaderValue::try_from(challenge).ok()
    }
}

impl Bearers {
    /// Room for the tokens of so many apps.
    pub fn new(apps: usize) -> Self {
        Self(std::iter::repeat_with(|| RefCell::new(LruCache::new(KEPT))).take(apps).collect())
    }

    fn get(&self, app: usize, token: &[u8], now: Timestamp) -> Option<Known> {
        let mut kept = self.0.get(app)?.borrow_mut();
        let until = kept.get(token)?.until;
        if until <= now {
            kept.pop(token);
        }
        kept.get(token).cloned()
    }

    fn keep(&self, app: usize, token: &[u8], known: Known) {
        if let Some(table) = self.0.get(app) {
            table.borrow_mut().put(token.into(), known);
        }
    }
}

/// Whose token a request carries, and whether it may be used for what the rule `fit` guards.
///
/// # Errors
/// When it carries none, it is not good or lacks a scope; or when that can't be told now.
pub async fn holder(
    worker: &Worker,
    app: &Protected,
    headers: &HeaderMap,
    fit: Fit,
) -> Result<Rc<Profile>, Failure> {
    let token = presented(headers).map_err(Failure::Token)?;
    let now = worker.gateway.clock.now();
    let known = match worker.bearers.get(app.number, token.as_bytes(), now) {
        Some(known) => known,
        None => {
            let (provider, access) = ask(worker, app, app.settings.rules.provider(fit), token).await?;
            let subject = access.subject.as_str().into();
            let claims = &access.claims;
            let holder = Holder::Token(access.expires_at);
            let profile = Profile::new(&app.settings, holder, subject, claims, &Tokens::default(), None);
            let (scopes, provider) = (access.scopes.as_slice().into(), provider.name().into());
            let known = Known { profile: Rc::new(profile), provider, scopes, until: access.believed_until };
            worker.bearers.keep(app.number, token.as_bytes(), known.clone());
            known
        }
    };
    // SECURITY: another rule may have taken it, from a provider that this one does not trust.
    if app.settings.rules.provider(fit).is_some_and(|wanted| *wanted != *known.provider) {
        return Err(Failure::Token(TokenProblem::Invalid(TokenRefused::Issuer)));
    }
    let wanted = app.settings.rules.scopes(fit);
    if !wanted.iter().all(|scope| known.scopes.contains(scope)) {
        return Err(Failure::Token(TokenProblem::Scope(wanted.to_vec())));
    }
    Ok(known.profile)
}

/// RFC 6750 section 2.1; the scheme in any case (RFC 9110 section 11.1).
fn presented(headers: &HeaderMap) -> Result<&str, TokenProblem> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let Some(only) = all.next() else { return Err(TokenProblem::None) };
    // SECURITY: of two tokens the app could read the other one.
    if all.next().is_some() {
        return Err(TokenProblem::Request);
    }
    let text = only.to_str().map_err(|_| TokenProblem::Request)?;
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(TokenProblem::None);
    }
    Some(token.trim_matches(' ')).filter(|token| !token.is_empty()).ok_or(TokenProblem::Request)
}

/// Asks the provider that issued the token: the one that the rule names, or that the token does, or the app's only
/// one.
async fn ask(
    worker: &Worker,
    app: &Protected,
    wanted: Option<&str>,
    token: &str,
) -> Result<(Arc<Provider>, Arc<AccessToken>), Failure> {
    let refused = |why| Failure::Token(TokenProblem::Invalid(why));
    let issuer = named_issuer(token);
    let mut providers = app.providers.iter().filter(|provider| {
        wanted.is_none_or(|name| provider.name() == name)
            && issuer.as_deref().is_none_or(|issuer| provider.issues(issuer))
    });
    let provider = providers.next().ok_or_else(|| refused(TokenRefused::Issuer))?;
    // SECURITY: a provider that is shown another's token could use it.
    if providers.next().is_some() {
        return Err(refused(TokenRefused::Unattributed));
    }
    let (asked, token) = (Arc::clone(provider), token.to_owned());
    let asking = worker.gateway.control.spawn(async move { asked.believe(&token).await });
    let outcome = asking.await.map_err(|_| Failure::Internal("a question about a token was cut off"))?;
    match outcome {
        Ok(access) => Ok((Arc::clone(provider), access)),
        Err(Disbelief::Refused(why)) => Err(refused(why)),
        Err(Disbelief::Unknown(error)) => Err(Failure::TokenUnknown(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&'static str]) -> Result<String, TokenProblem> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_static(value));
        }
        presented(&headers).map(str::to_owned)
    }

    #[test]
    fn one_bearer_token_is_read_and_anything_else_is_told_apart() {
        for (values, expected) in [
            (&["Bearer abc"][..], Ok("abc")),
            (&["bEARER  abc "], Ok("abc")),
            (&[], Err(TokenProblem::None)),
            (&["Basic YTpi"], Err(TokenProblem::None)),
            (&["DPoP abc"], Err(TokenProblem::None)),
            (&["Bearer"], Err(TokenProblem::Request)),
            (&["Bearer "], Err(TokenProblem::Request)),
            (&["Bearer a", "Bearer b"], Err(TokenProblem::Request)),
            (&["Basic YTpi", "Bearer b"], Err(TokenProblem::Request)),
        ] {
            assert_eq!(read(values), expected.map(str::to_owned), "{values:?}");
        }
    }

    #[test]
    fn a_challenge_says_what_would_be_enough_and_nothing_of_the_token() {
        for (problem, expected) in [
            (TokenProblem::None, "Bearer realm=\"https://a\""),
            (TokenProblem::Request, "Bearer realm=\"https://a\", error=\"invalid_request\""),
            (
                TokenProblem::Invalid(TokenRefused::Inactive),
                "Bearer realm=\"https://a\", error=\"invalid_token\"",
            ),
            (
                TokenProblem::Scope(vec!["read".into(), "write".into()]),
                "Bearer realm=\"https://a\", error=\"insufficient_scope\", scope=\"read write\"",
            ),
            (TokenProblem::Denied, "Bearer realm=\"https://a\", error=\"insufficient_scope\""),
        ] {
            assert_eq!(problem.challenge("https://a").unwrap(), expected);
        }
    }
}
