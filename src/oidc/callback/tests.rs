//! Which authorization responses are taken, which are not, and whose fault it is.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::oidc::{Fault, ResponseMode, fixture};

const ISSUER: &str = "https://id.example/r";
/// Code and fault of what is refused.
type Refused = Option<(&'static str, Fault)>;

fn check(query: &str, response_iss: bool) -> Result<Redemption, OidcError> {
    let pending = PendingLogin { response_iss, ..fixture::pending("the-state") };
    pending.check_for("trusted", ISSUER, AuthorizationResponse::parse(query)?)
}

#[test]
fn a_response_belongs_to_the_address_that_its_login_asked_for() {
    let own = fixture::pending("the-state");
    let there = own.redirect_uri.clone();
    assert!(own.arrived_at(&there).is_ok());
    for elsewhere in [format!("{there}/other"), format!("{there}/"), there.to_uppercase(), String::new()] {
        let error = own.arrived_at(&elsewhere).unwrap_err();
        assert_eq!((error.code(), OidcError::from(error).fault()), ("callback_address", Fault::Request));
    }
}

#[test]
fn a_response_is_taken_or_refused_by_the_specification() {
    let iss = "iss=https%3A%2F%2Fid.example%2Fr";
    let cases: [(&str, bool, Refused); 26] = [
        ("code=c&state=the-state", false, None),
        ("code=c&state=the-state&IGNORED=1&session_state=x", false, None),
        ("error=&code=c&state=the-state", false, None),
        (&format!("code=c&state=the-state&{iss}"), true, None),
        (&format!("code=c&state=the-state&{iss}"), false, None),
        ("code=c", false, Some(("callback_state", Fault::Request))),
        ("code=c&state=", false, Some(("callback_state", Fault::Request))),
        ("code=c&state=the-stat", false, Some(("callback_state", Fault::Request))),
        ("code=c&state=THE-STATE", false, Some(("callback_state", Fault::Request))),
        ("error=access_denied&state=other", false, Some(("callback_state", Fault::Request))),
        ("code=c&state=the-state", true, Some(("callback_issuer", Fault::Request))),
        ("error=access_denied&state=the-state", true, Some(("callback_issuer", Fault::Request))),
        (&format!("code=c&state=the-state&{iss}%2F"), true, Some(("callback_issuer", Fault::Request))),
        ("code=c&state=the-state&iss=https://evil.example", false, Some(("callback_issuer", Fault::Request))),
        ("code=c&code=c&state=the-state", false, Some(("callback_malformed", Fault::Request))),
        ("code=c&state=the-state&state=x", false, Some(("callback_malformed", Fault::Request))),
        ("code=c&state=the-state&x=1&x=2", false, Some(("callback_malformed", Fault::Request))),
        ("code=c&%63ode=d&state=the-state", false, Some(("callback_malformed", Fault::Request))),
        ("code=c&error=access_denied&state=the-state", false, Some(("callback_malformed", Fault::Request))),
        ("state=the-state", false, Some(("callback_malformed", Fault::Request))),
        ("", false, Some(("callback_state", Fault::Request))),
        ("code=c&state=the-state&id_token=t", false, Some(("callback_malformed", Fault::Request))),
        ("response=jwt", false, Some(("callback_malformed", Fault::Request))),
        ("error=access_denied&state=the-state", false, Some(("access_denied", Fault::Denied))),
        ("error=login_required&state=the-state", false, Some(("provider_refused", Fault::Request))),
        ("error=invalid_scope&state=the-state", false, Some(("provider_refused", Fault::Provider))),
    ];
    for (query, response_iss, expected) in cases {
        let found = check(query, response_iss).err().map(|error| (error.code(), error.fault()));
        assert_eq!(found, expected, "{query}");
    }
    for (error, fault) in [
        ("temporarily_unavailable", Fault::Unreachable),
        ("server_error", Fault::Unreachable),
        ("x", Fault::Provider),
    ] {
        let found = check(&format!("error={error}&state=the-state"), false).unwrap_err();
        assert_eq!(found.fault(), fault, "{error}");
    }
}

#[test]
fn what_was_to_be_posted_is_not_taken_from_an_address() {
    for (mode, query, form) in [
        (ResponseMode::Query, None, None),
        (ResponseMode::FormPost, Some(CallbackError::NotPosted.into()), None),
    ] {
        let pending = || PendingLogin { response_mode: mode, ..fixture::pending("s") };
        let text = "code=c&state=s";
        let response = AuthorizationResponse::parse(text).unwrap();
        assert_eq!(pending().check_for("trusted", ISSUER, response).err(), query, "{mode:?}");
        let response = AuthorizationResponse::parse_form(text).unwrap();
        assert_eq!(pending().check_for("trusted", ISSUER, response).err(), form, "{mode:?}");
    }
}

#[test]
fn a_signed_response_is_taken_when_it_was_asked_for_and_verified_and_nothing_stands_beside_it() {
    let jwt = format!("{}.c2ln", fixture::unsigned(&json!({}), &json!({"code": "c", "state": "s"})));
    let signed = || AuthorizationResponse::parse(&format!("response={jwt}")).unwrap();
    let plain = || AuthorizationResponse::parse("code=c&state=s").unwrap();
    let claims = json!({"code": "c", "state": "s", "iss": ISSUER, "exp": 9});
    let verified = || signed().verified(claims.as_object().unwrap());
    assert_eq!(signed().state(), Some("s"));
    let check = |mode, response| {
        let pending = PendingLogin { response_mode: mode, ..fixture::pending("s") };
        pending.check_for("trusted", ISSUER, response).err()
    };
    assert_eq!(check(ResponseMode::Jwt, verified()), None);
    assert_eq!(check(ResponseMode::Jwt, signed()), Some(CallbackError::Unsigned.into()));
    assert_eq!(check(ResponseMode::QueryJwt, plain()), Some(CallbackError::Unsigned.into()));
    assert_eq!(check(ResponseMode::Query, signed()), Some(CallbackError::Unasked("response").into()));
    assert_eq!(check(ResponseMode::FormPostJwt, verified()), Some(CallbackError::NotPosted.into()));
    let other = signed().verified(json!({"code": "c", "state": "t"}).as_object().unwrap());
    assert_eq!(check(ResponseMode::Jwt, other), Some(CallbackError::OtherState.into()));
    for name in ["code", "state", "iss", "error"] {
        let beside = AuthorizationResponse::parse(&format!("{name}=x&response={jwt}"));
        assert_eq!(beside.unwrap_err(), CallbackError::Beside(name));
    }
    for (jwt, error) in [("x", JwtError::Malformed("token")), ("a.b.c.d.e", JwtError::Encrypted)] {
        let refused = AuthorizationResponse::parse(&format!("response={jwt}")).unwrap_err();
        assert_eq!(refused, CallbackError::Unreadable(error), "{jwt}");
    }
}

#[test]
fn a_login_belongs_to_one_provider() {
    let response = || AuthorizationResponse::parse("code=c&state=s").unwrap();
    let other = fixture::pending("s").check_for("legacy", ISSUER, response()).unwrap_err();
    assert_eq!(other, CallbackError::OtherProvider.into());
    assert!(fixture::pending("s").check_for("trusted", ISSUER, response()).is_ok());
}

#[test]
fn what_a_redemption_holds_is_the_logins_own() {
    let redemption = check("code=c%2Bd&state=the-state", false).unwrap();
    let pending = fixture::pending("the-state");
    assert_eq!(redemption.code.expose(), "c+d");
    assert_eq!((redemption.nonce, redemption.verifier), (pending.nonce, pending.verifier));
}

#[test]
fn too_much_is_refused_before_it_is_read() {
    let many: String = (0..40).map(|n| format!("p{n}=&")).collect();
    let long = format!("code={}", "a".repeat(MOST_BYTES));
    for query in [many, long] {
        assert_eq!(AuthorizationResponse::parse(&query).unwrap_err(), CallbackError::TooLong);
    }
}

proptest! {
    #[test]
    fn nothing_a_stranger_sends_makes_it_panic_or_pass(query: String, value: String) {
        prop_assert!(check(&query, true).is_err());
        let encoded = form_urlencoded::byte_serialize(value.as_bytes()).collect::<String>();
        let query = format!("code=c&state=the-state&iss={encoded}");
        prop_assert!(check(&query, true).is_err());
    }
}
