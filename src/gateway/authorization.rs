//! Step 4: whether a request may enter. Pure: no `await`, no clock of its own, no socket.
//!
//! [`Admission`] is the permission itself: only [`decide`] makes one, forwarding and forward-auth spend it by
//! value, and nothing else lets a request through. What cannot be decided is a no.

use std::rc::Rc;

use super::profile::{Holder, Profile};
use crate::foundation::clock::Timestamp;
use crate::identity::access::{Access, AccessRules, Fit, Shortfall, Verdict};
use crate::identity::mapping::Missing;

/// The permission to enter, with what the app is told of the person.
#[derive(Debug)]
#[must_use]
pub struct Admission {
    fit: Fit,
    profile: Option<Rc<Profile>>,
}

impl Admission {
    /// The rule that decided.
    pub const fn fit(&self) -> Fit {
        self.fit
    }

    /// What the app is told; `None` for nobody, by a public rule.
    pub const fn profile(&self) -> Option<&Rc<Profile>> {
        self.profile.as_ref()
    }
}

/// What is decided about a request.
#[derive(Debug)]
pub enum Decision {
    /// It may enter.
    Admit(Admission),
    /// Somebody must sign in first.
    SignIn,
    /// An access token must be shown first.
    Token,
    /// The person must sign in again, more strongly or just to be sure.
    StepUp(Shortfall),
    /// The person may not enter.
    Deny(Denial),
}

/// Why a person may not enter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The rule's `allow` said no.
    Rule,
    /// The rule's `allow` could not be evaluated.
    RuleFailed(String),
    /// Claims that the app requires are absent.
    Missing(Vec<Missing>),
}

/// Decides about a request by the rule that fits it and the person who is there. `now` is asked where the rule
/// has a `max_age`.
pub fn decide(
    rules: &AccessRules,
    fit: Fit,
    person: Option<&Rc<Profile>>,
    now: impl FnOnce() -> Timestamp,
) -> Decision {
    let admit = |profile: Option<&Rc<Profile>>| Decision::Admit(Admission { fit, profile: profile.cloned() });
    // SECURITY: a browser sends its cookies also where another site asks it to; where a token is asked for, they
    // prove nothing. And a token is no sign-in.
    let profile = match (rules.access(fit), person) {
        (Access::Public, _) => return admit(person),
        (Access::Bearer, Some(profile)) if matches!(profile.holder(), Holder::Token(_)) => profile,
        (Access::Bearer, _) => return Decision::Token,
        (Access::SignedIn, Some(profile)) if profile.holder() == Holder::Session => profile,
        (Access::SignedIn, _) => return Decision::SignIn,
    };
    match profile.verdict(fit) {
        Verdict::Refused => Decision::Deny(Denial::Rule),
        Verdict::Failed(reason) => Decision::Deny(Denial::RuleFailed(reason.clone())),
        _ if !profile.missing.is_empty() => Decision::Deny(Denial::Missing(profile.missing.clone())),
        Verdict::Weak(shortfall) => Decision::StepUp(*shortfall),
        // SECURITY: at that very moment it is over.
        Verdict::AllowedUntil(until) if now() >= *until => Decision::StepUp(Shortfall::Age),
        Verdict::AllowedUntil(_) | Verdict::Allowed => admit(Some(profile)),
    }
}
