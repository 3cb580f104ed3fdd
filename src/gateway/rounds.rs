//! Sign-ins that lead nowhere: counted from one to the next, and ended by a page that says why.
//!
//! A provider that knows the person sends them back at once, so a session that does not come back would send a browser
//! to and fro without end. Each sign-in leaves a mark beside the session's cookie ([`Rounds`]); the session's coming
//! back takes it away, and after three marks in a row there is no fourth login. The other circle is an app's that
//! sends people to sign in who are signed in: those are counted at our endpoint for that.

use http::header::HeaderValue;
use thiserror::Error;

use super::Worker;
use super::apps::Protected;
use super::authentication::{self, Person};
use super::failure::Failure;
use super::login::{Login, Occasion, Wish, again};
use super::negotiation::is_for_a_frame;
use super::request::Facts;
use super::trail::Trail;
use crate::sessions::{Malformed, Rounds};

/// The sign-ins after which it is said what is wrong.
const MOST: u8 = 3;

/// The longest session that fits into one cookie, in bytes: browsers take 4096 with its name.
const ONE_COOKIE: u32 = 4096;

/// Why sign-ins lead nowhere, as far as the last request tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LoopCause {
    /// The session's cookie did not come back, others of ours did.
    #[error("the session cookie of {MOST} sign-ins did not come back, though another cookie did")]
    Lost,
    /// The same, and it was for a domain.
    #[error("the session cookie of {MOST} sign-ins, which is for a domain, did not come back")]
    Domain,
    /// The same, or a part of it is missing, and it was long.
    #[error("the session cookies of {MOST} sign-ins did not come back whole")]
    TooLarge,
    /// It comes more than once.
    #[error("the session cookie comes more than once, after {MOST} sign-ins")]
    Twice,
    /// It comes back, and names no session that is known here.
    #[error("the session cookie came back after {MOST} sign-ins, and names no session that is known here")]
    Unknown,
    /// The app asks for it, and the person is signed in.
    #[error("the app sent somebody to sign in {MOST} times in a minute who is signed in")]
    AppAsksAgain,
}

impl LoopCause {
    /// What the operator can do about it.
    pub const fn mend(self) -> &'static str {
        match self {
            Self::Lost => {
                "look whether the browser blocks this cookie, or a proxy before the gateway drops a Set-Cookie"
            }
            Self::Domain => "compare session.cookie.domain with the address that the browser shows",
            Self::TooLarge => {
                "use another session.store than \"cookie\", or ask the provider for less (scopes); see to it that a proxy before the gateway passes all cookies on"
            }
            Self::Twice => {
                "have the cookies of this site deleted; find who else sets one of that name, or set session.cookie.name"
            }
            Self::Unknown => {
                "give all gateways the same session.keys and one shared session.store, and compare their clocks"
            }
            Self::AppAsksAgain => {
                "let the app read the identity headers, and not send people to sign in whom they name"
            }
        }
    }
}

/// What a login that is to be begun has behind it.
///
/// # Errors
/// When it would be one round more of a circle: then it is not begun, and the count begins anew.
pub async fn check(
    worker: &Worker,
    app: &Protected,
    facts: &Facts<'_>,
    wish: &Wish,
    trail: &mut Trail,
) -> Result<Rounds, Failure> {
    if wish.silent.is_some() {
        return Ok(Rounds::default());
    }
    let rounds = app.cookies.rounds(facts.headers);
    let lost = rounds.lost >= MOST;
    let asks = wish.occasion == Occasion::Link && wish.prompt.is_none() && rounds.again >= MOST - 1;
    if !lost && !asks {
        return Ok(rounds);
    }
    let person = authentication::leaving_person(worker, app, facts.headers, &mut Vec::new()).await?;
    let cause = match person {
        Some(_) if asks => LoopCause::AppAsksAgain,
        None if lost => cause(app, facts, rounds),
        _ => return Ok(rounds),
    };
    trail.cookies.extend(app.cookies.unmark(facts.headers));
    trail.retry = Some(again(app, &wish.return_to));
    let failure = match cause {
        _ if is_for_a_frame(facts.headers) => Failure::InFrame { open: app.address(&wish.return_to) },
        cause => Failure::Loop(cause),
    };
    worker.gateway.metrics.sign_in(app.provider_name(trail.provider.as_ref()), failure.code());
    Err(failure)
}

/// What is counted after a login that `person` was there before.
pub fn next(login: &Login, person: Option<&Person>) -> Rounds {
    let came_back = person.is_some() || login.previous.is_some();
    Rounds {
        lost: if came_back { 0 } else { login.rounds.lost.saturating_add(1) },
        again: match login.occasion {
            Occasion::Link if came_back => login.rounds.again.saturating_add(1),
            Occasion::Link | Occasion::Page => 0,
        },
        bytes: 0,
    }
}

/// A `Set-Cookie` value that marks the browser with it; `set` are those of the session.
pub fn mark(app: &Protected, facts: &Facts<'_>, next: Rounds, set: &[HeaderValue]) -> Option<HeaderValue> {
    if next == Rounds::default() {
        return app.cookies.unmark(facts.headers);
    }
    let deletes = |value: &HeaderValue| value.as_bytes().ends_with(b"1970 00:00:00 GMT");
    let bytes = set.iter().filter(|value| !deletes(value)).map(HeaderValue::len).sum::<usize>();
    app.cookies.mark(Rounds { bytes: u32::try_from(bytes).unwrap_or(u32::MAX), ..next })
}

fn cause(app: &Protected, facts: &Facts<'_>, rounds: Rounds) -> LoopCause {
    match app.cookies.read(facts.headers) {
        Ok(Some(_)) => LoopCause::Unknown,
        Err(Malformed::Duplicate) => LoopCause::Twice,
        Err(Malformed::Incomplete | Malformed::TooLong) => LoopCause::TooLarge,
        Ok(None) if rounds.bytes > ONE_COOKIE => LoopCause::TooLarge,
        Ok(None) if app.cookies.domain().is_some() => LoopCause::Domain,
        Ok(None) => LoopCause::Lost,
    }
}
