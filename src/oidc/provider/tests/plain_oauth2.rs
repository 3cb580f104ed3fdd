//! Sign-in where OAuth 2.0 alone is spoken, from end to end.

use super::*;
use crate::oidc::{Endpoints, Held, RefreshError};

/// A provider that speaks OAuth 2.0 alone, with these endpoints by hand and no issuer.
async fn plain(subject: Option<&str>) -> World {
    let fake = FakeProvider::start().await;
    let url = |path: &str| Some(Url::parse(&format!("{}{path}", fake.base)).unwrap());
    let endpoints = Endpoints {
        authorization: url("/auth"),
        token: url("/token"),
        userinfo: url("/me"),
        end_session: url("/end"),
        ..Endpoints::default()
    };
    let subject = subject.map(str::to_owned);
    let world = World::with(fake, |settings| {
        settings.protocol = Protocol::OAuth2 { subject };
        settings.issuer = String::new();
        settings.discovery = Discovery::ByHand;
        settings.endpoints = endpoints;
        settings.scopes = Vec::new();
    });
    world.fake.says("/token", 200, r#"{"access_token":"at","token_type":"Bearer"}"#);
    world.fake.says("/me", 200, r#"{"id": 123, "email": "example@example.ru"}"#);
    world
}

#[tokio::test]
async fn oauth_alone_signs_in_by_userinfo_without_issuer_keys_or_id_token() {
    let world = plain(None).await;
    assert_eq!(world.provider.readiness(), Readiness::Ready);
    let (url, pending) = world.provider.begin(callback()).await.unwrap();
    assert!(url.query_pairs().all(|(name, _)| name != "nonce" && name != "scope"), "{url}");
    let query = format!("code=c&state={}", pending.state());
    let redemption = pending.check(&world.provider, AuthorizationResponse::parse(&query).unwrap()).unwrap();
    let sign_in = world.provider.redeem(redemption).await.unwrap();
    assert_eq!((sign_in.subject.as_str(), sign_in.auth_time), ("123", None));
    let claims = json!({"id": 123, "sub": "123", "email": "example@example.ru"});
    assert_eq!(Value::Object(sign_in.claims.0), claims);
    assert_eq!((sign_in.tokens.access, sign_in.tokens.id), (Some(Secret::new("at")), None));
    assert_eq!(world.fake.seen("/me")[0].headers["authorization"], "Bearer at");
    world.provider.fetch_due().await;
    assert_eq!(world.seen("/jwks"), 0);

    let back = Url::parse("https://lms.example/").unwrap();
    let session =
        EndSession { id_token: None, provider_session: None, post_logout_redirect_uri: &back, state: "s" };
    let Some(EndSessionRequest::Redirect(url)) = world.provider.end_session(session) else { panic!() };
    assert!(url.query_pairs().any(|(name, value)| name == "client_id" && value == "lms"), "{url}");
    assert!(url.query_pairs().all(|(name, _)| name != "id_token_hint"), "{url}");
}

#[tokio::test]
async fn oauth_alone_believes_nothing_of_the_sign_in_and_keeps_no_id_token() {
    let world = plain(Some("login")).await;
    let said = json!({
        "id": 1, "sub": "somebody", "login": "anna", "acr": "high", "amr": ["mfa"], "auth_time": 5,
        "sid": "s1", "email_verified": true,
    });
    world.fake.says("/me", 200, said.to_string());
    let tokens = json!({"access_token": "at", "token_type": "bearer", "id_token": "not a token"});
    world.fake.says("/token", 200, tokens.to_string());
    let sign_in = world.redeem().await.unwrap();
    let claims = json!({"id": 1, "sub": "anna", "login": "anna", "email_verified": true});
    assert_eq!(Value::Object(sign_in.claims.0), claims);
    assert_eq!((sign_in.tokens.id, sign_in.auth_time), (None, None));
    assert_eq!(sign_in.provider_session.as_deref(), Some("s1"));
}

#[tokio::test]
async fn oauth_alone_refreshes_tokens_and_claims_for_the_same_person_only() {
    let world = plain(None).await;
    let tokens = Tokens { refresh: Some(Secret::new("rt")), ..Tokens::default() };
    let claims = Claims(json!({"id": 123, "sub": "123", "group": "left"}).as_object().unwrap().clone());
    let held = Held { subject: "123", tokens: &tokens, claims: &claims };
    world.fake.says(
        "/token",
        200,
        r#"{"access_token":"at2","token_type":"Bearer","id_token":"not a token"}"#,
    );
    let refreshed = world.provider.refresh(held).await.unwrap();
    assert_eq!(refreshed.tokens.access, Some(Secret::new("at2")));
    assert_eq!((refreshed.tokens.id.as_ref(), world.seen("/jwks")), (None, 0));
    let fresh = world.provider.fresh_claims(held, refreshed).await.unwrap();
    let expected = json!({"id": 123, "sub": "123", "email": "example@example.ru"});
    assert_eq!(Value::Object(fresh.0), expected, "what is said no longer is gone");

    let refreshed = world.provider.refresh(held).await.unwrap();
    world.fake.says("/me", 200, r#"{"id": 124}"#);
    let error = world.provider.fresh_claims(held, refreshed).await.unwrap_err();
    assert!(matches!(error, RefreshError::Refused(OidcError::OtherSubject)), "{error:?}");
}

#[tokio::test]
async fn oauth_alone_lets_nobody_in_by_an_answer_that_names_nobody_or_can_not_be_read() {
    let big = format!(r#"{{"id":1,"a":"{}"}}"#, "x".repeat(2 * 1024 * 1024));
    let world = plain(None).await;
    for (status, body, fault, code) in [
        (200, r#"{"email":"a@example.ru"}"#, Fault::Provider, "userinfo_subject"),
        (200, r#"{"id":1.5}"#, Fault::Provider, "userinfo_subject"),
        (200, r#"[{"id":1}]"#, Fault::Provider, "provider_not_json"),
        (200, "<html>", Fault::Provider, "provider_not_json"),
        (200, "", Fault::Provider, "provider_not_json"),
        (200, &big, Fault::Provider, "provider_too_large"),
        (401, r#"{"error":"invalid_token"}"#, Fault::Provider, "provider_refused"),
        (503, "", Fault::Unreachable, "provider_status"),
        // Signed, by keys that nobody named.
        (200, "eyJhbGciOiJFUzI1NiJ9.eyJpZCI6MX0.AAAA", Fault::Provider, "provider_endpoint"),
    ] {
        world.fake.says("/me", status, body);
        let error = world.redeem().await.unwrap_err();
        assert_eq!((error.fault(), error.code()), (fault, code), "{status} {body:.40}");
    }
}

#[tokio::test]
async fn oauth_metadata_is_found_where_either_specification_puts_it() {
    const OAUTH: &str = "/.well-known/oauth-authorization-server";
    for (place, announces_iss) in [(OAUTH, true), (DISCOVERY, false)] {
        let fake = FakeProvider::start().await;
        let mut document = fixture::document(&fake.base);
        document.as_object_mut().unwrap().remove("jwks_uri");
        document["authorization_response_iss_parameter_supported"] = json!(announces_iss);
        fake.says(place, 200, document.to_string());
        let world = World::with(fake, |settings| {
            settings.protocol = Protocol::OAuth2 { subject: None };
        });
        let (_, pending) = world.provider.begin(callback()).await.unwrap();
        assert_eq!(world.seen(OAUTH), 1, "asked first");
        assert_eq!(world.provider.readiness(), Readiness::Ready, "no key is waited for");
        let response = AuthorizationResponse::parse(&format!("code=c&state={}", pending.state())).unwrap();
        let checked = pending.check(&world.provider, response);
        assert_eq!(checked.err().map(|error| error.code()), announces_iss.then_some("callback_issuer"));
    }
}

#[tokio::test]
async fn oauth_metadata_of_another_issuer_is_refused_without_looking_further() {
    let fake = FakeProvider::start().await;
    let other = fixture::document("https://evil.example").to_string();
    fake.says("/.well-known/oauth-authorization-server", 200, other);
    fake.says(DISCOVERY, 200, fixture::document(&fake.base).to_string());
    let world = World::with(fake, |settings| settings.protocol = Protocol::OAuth2 { subject: None });
    assert_eq!(world.provider.begin(callback()).await.unwrap_err().code(), "provider_issuer");
    assert_eq!(world.seen(DISCOVERY), 0);
}

#[tokio::test]
async fn a_jwt_access_token_of_a_provider_without_issuer_and_keys_is_asked_about() {
    let fake = FakeProvider::start().await;
    let introspection = format!("{}/introspect", fake.base).parse().unwrap();
    fake.says("/introspect", 200, json!({"active": true, "sub": "7", "client_id": "lms"}).to_string());
    let world = World::with(fake, |settings| {
        let base = settings.issuer.clone();
        let at = |path: &str| Some(format!("{base}{path}").parse().unwrap());
        settings.protocol = Protocol::OAuth2 { subject: None };
        settings.discovery = Discovery::ByHand;
        settings.issuer = String::new();
        settings.endpoints.authorization = at("/auth");
        settings.endpoints.token = at("/token");
        settings.endpoints.userinfo = at("/me");
        settings.endpoints.introspection = Some(introspection);
    });
    let token =
        Signer::get(Algorithm::Rs256).token(&json!({"alg": "RS256", "typ": "at+jwt"}), &json!({"iss": ""}));
    assert_eq!(world.provider.believe(&token).await.unwrap().subject, "7");
    assert_eq!(world.seen("/introspect"), 1);
}

#[tokio::test]
async fn an_unknown_issuers_response_is_not_taken_for_a_provider_without_one() {
    let world = plain(None).await;
    let (_, pending) = world.provider.begin(callback()).await.unwrap();
    let query = format!("code=c&state={}&iss=https%3A%2F%2Fevil.example", pending.state());
    let response = AuthorizationResponse::parse(&query).unwrap();
    let error = pending.check(&world.provider, response).unwrap_err();
    assert_eq!(error.code(), "callback_issuer");
    assert!(error.mend().unwrap().contains("`issuer`"));
    assert_eq!(world.seen("/token"), 0);
}
