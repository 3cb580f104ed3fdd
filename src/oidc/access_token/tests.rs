//! What is an access token, and whose; what an introspection must say.

use serde_json::json;

use super::*;
use crate::oidc::fixture;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

fn introspected(
    change: impl FnOnce(&mut Value),
    audience: Option<&str>,
) -> Result<AccessToken, TokenRefused> {
    let mut answer = json!({
        "active": true, "sub": "anna", "client_id": "lms", "scope": "read write",
        "exp": NOW.as_secs() + 10, "iss": "https://id.example",
    });
    change(&mut answer);
    let mut settings = fixture::settings("https://id.example");
    settings.audience = audience.map(str::to_owned);
    let Value::Object(answer) = answer else { unreachable!() };
    super::introspected(answer, &settings, NOW)
}

#[test]
fn only_a_token_whose_type_says_so_is_a_jwt_access_token() {
    let token = |header: &Value| format!("{}.e30.c2ln", URL_SAFE_NO_PAD.encode(header.to_string()));
    for (header, expected) in [
        (json!({"typ": "at+jwt"}), Looks::Jwt),
        (json!({"typ": "Application/AT+JWT"}), Looks::Jwt),
        (json!({"typ": "JWT"}), Looks::Opaque),
        (json!({"alg": "RS256"}), Looks::Opaque),
        (json!({"typ": ["at+jwt"]}), Looks::Opaque),
        (json!({"typ": "logout+jwt"}), Looks::Opaque),
    ] {
        assert_eq!(looks(&token(&header)), Ok(expected), "{header}");
    }
    assert_eq!(looks("2YotnFZFEjr1zCsicMWpAA=="), Ok(Looks::Opaque));
    for bad in ["", "a b", "a\u{e4}", "a,b", "a\"", &"x".repeat(9000)] {
        assert_eq!(looks(bad), Err(TokenRefused::Malformed), "{bad:.20}");
    }
}

#[test]
fn an_introspection_says_who_may_do_what_and_is_believed_no_longer_than_the_token_lasts() {
    let token = introspected(|_| {}, None).unwrap();
    assert_eq!((&*token.subject, &*token.scopes), ("anna", &["read".to_owned(), "write".to_owned()][..]));
    assert_eq!(token.believed_until, NOW.plus(Duration::from_secs(10)));
    let lasting = introspected(|answer| answer["exp"] = json!(null), None).unwrap();
    assert_eq!((lasting.expires_at, lasting.believed_until), (None, NOW.plus(BELIEVED)));
    // A float, as some providers send it, and a client's own token.
    let token = introspected(|answer| answer["exp"] = json!(1_700_000_020.5), None).unwrap();
    assert_eq!(token.expires_at, Some(Timestamp::from_secs(1_700_000_020)));
    for (name, kind) in [("token_type", "Bearer"), ("token_use", "access_token"), ("typ", "Bearer")] {
        assert!(introspected(|answer| answer[name] = json!(kind), None).is_ok(), "{name}");
    }
    assert_eq!(introspected(|answer| answer["sub"] = json!(null), None).unwrap().subject, "lms");
}

#[test]
fn an_introspection_that_does_not_say_a_clear_yes_to_us_is_a_no() {
    for (name, value, audience) in [
        ("active", json!(false), None),
        ("active", json!("true"), None),
        ("active", json!(null), None),
        ("iss", json!("https://evil.example"), None),
        ("exp", json!(NOW.as_secs() - 60), None),
        ("aud", json!("another"), None),
        ("aud", json!(["one", "two"]), None),
        ("aud", json!([]), None),
        ("client_id", json!("another"), None),
        // A configured audience must be named, also where the token is our own.
        ("aud", json!(null), Some("https://api.example")),
        ("aud", json!("lms"), Some("https://api.example")),
        // Keycloak calls these active as well, and an ID token's audience is us.
        ("token_type", json!("ID"), None),
        ("token_type", json!("Refresh"), None),
        ("token_type", json!("DPoP"), None),
        ("token_type", json!(["Bearer"]), None),
        ("typ", json!("ID"), None),
        ("token_use", json!("refresh_token"), None),
        // Bound to a key, which a Bearer token does not prove.
        ("cnf", json!({"jkt": "x"}), None),
    ] {
        let refused = introspected(|answer| answer[name] = value.clone(), audience);
        assert!(refused.is_err(), "{name} {value} {refused:?}");
    }
    let two = |answer: &mut Value| answer["aud"] = json!(["x", "https://api.example"]);
    assert!(introspected(two, Some("https://api.example")).is_ok());
    for (name, kind) in
        [("token_type", "bearer"), ("typ", "Bearer"), ("typ", "JWT"), ("token_use", "access_token")]
    {
        assert!(introspected(|answer| answer[name] = json!(kind), None).is_ok(), "{name} {kind}");
    }
}
