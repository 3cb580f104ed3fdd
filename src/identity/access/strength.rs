//! How strongly and how lately a person must have signed in for a rule: its `acr` and `max_age`.
//!
//! What somebody's sign-in is worth is judged once a session; all that is left for a request is to compare a
//! moment. Sending a person to the provider again is the gateway's matter.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Verdict;
use crate::foundation::clock::Timestamp;
use crate::identity::claims::Claims;

/// What a rule asks of a sign-in. It asks for something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strength {
    acr: Option<String>,
    max_age: Option<Duration>,
}

/// How somebody signed in, in the ID token's words.
#[derive(Clone, Copy, Debug, Default)]
pub struct Proof<'a> {
    /// The class of the sign-in (`acr`).
    pub acr: Option<&'a str>,
    /// When the person proved who they are (`auth_time`).
    pub auth_time: Option<Timestamp>,
}

/// What a sign-in lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortfall {
    /// Its `acr` is none that will do.
    Acr,
    /// It is too long ago, or nothing says when it was.
    Age,
}

impl<'a> Proof<'a> {
    /// By the claims of a session, whose `acr` is the ID token's alone.
    pub fn new(claims: &'a Claims, auth_time: Option<Timestamp>) -> Self {
        Self { acr: claims.0.get("acr").and_then(|acr| acr.as_str()), auth_time }
    }
}

impl Strength {
    /// One of the values in `acr`, which stand between spaces, and a sign-in no older than `max_age`; `None`
    /// when nothing is asked for.
    pub fn new(acr: Option<String>, max_age: Option<Duration>) -> Option<Self> {
        (acr.is_some() || max_age.is_some()).then_some(Self { acr, max_age })
    }

    /// The values of `acr` that will do, between spaces.
    pub fn acr(&self) -> Option<&str> {
        self.acr.as_deref()
    }

    /// How old a sign-in may be.
    pub const fn max_age(&self) -> Option<Duration> {
        self.max_age
    }

    /// What a sign-in lacks at this moment.
    pub fn shortfall(&self, proof: Proof<'_>, now: Timestamp) -> Option<Shortfall> {
        match self.judge(proof) {
            Verdict::AllowedUntil(until) if now >= until => Some(Shortfall::Age),
            Verdict::Weak(shortfall) => Some(shortfall),
            _ => None,
        }
    }

    /// What a sign-in is worth, whenever it is asked.
    pub(super) fn judge(&self, proof: Proof<'_>) -> Verdict {
        let wanted = |acr: &str| {
            self.acr().is_some_and(|list| list.split_ascii_whitespace().any(|value| value == acr))
        };
        if self.acr.is_some() && !proof.acr.is_some_and(wanted) {
            return Verdict::Weak(Shortfall::Acr);
        }
        match (self.max_age, proof.auth_time) {
            (None, _) => Verdict::Allowed,
            // SECURITY: a sign-in of which nobody says when it was may be any age.
            (Some(_), None) => Verdict::Weak(Shortfall::Age),
            (Some(max_age), Some(auth_time)) => Verdict::AllowedUntil(auth_time.plus(max_age)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_is_strong_enough_by_one_of_the_values_and_by_its_age() {
        const MFA: &str = "urn:example:mfa";
        let strength = |acr: Option<&str>, max_age: Option<u64>| {
            Strength::new(acr.map(str::to_owned), max_age.map(Duration::from_secs))
        };
        assert_eq!(strength(None, None), None);
        let (acr, age) = (Some(Shortfall::Acr), Some(Shortfall::Age));
        for (wanted, max_age, found, auth_time, lacks) in [
            (Some(MFA), None, Some(MFA), None, None),
            (Some("urn:a urn:example:mfa"), None, Some(MFA), None, None),
            (Some(MFA), None, None, Some(1000), acr),
            (Some(MFA), None, Some(""), None, acr),
            (Some(MFA), None, Some("urn:example:MFA"), None, acr),
            (Some(MFA), None, Some("urn:example"), None, acr),
            (Some("urn:a urn:b"), None, Some("urn:a urn:b"), None, acr),
            (None, Some(900), None, Some(1000), None),
            (None, Some(900), None, Some(101), None),
            (None, Some(900), None, Some(100), age),
            (None, Some(900), None, None, age),
            (None, Some(900), None, Some(5000), None),
            (Some(MFA), Some(900), Some(MFA), Some(100), age),
            (Some(MFA), Some(900), None, None, acr),
        ] {
            let strength = strength(wanted, max_age).unwrap();
            let proof = Proof { acr: found, auth_time: auth_time.map(Timestamp::from_secs) };
            assert_eq!(
                strength.shortfall(proof, Timestamp::from_secs(1000)),
                lacks,
                "{strength:?} {proof:?}"
            );
        }
    }

    #[test]
    fn an_acr_that_is_no_text_is_none() {
        for (claims, acr) in [
            (serde_json::json!({"acr": "urn:a"}), Some("urn:a")),
            (serde_json::json!({"acr": ["urn:a"]}), None),
            (serde_json::json!({"acr": 1}), None),
            (serde_json::json!({}), None),
        ] {
            let claims = serde_json::from_value(claims).unwrap();
            assert_eq!(Proof::new(&claims, None).acr, acr, "{claims:?}");
        }
    }
}
