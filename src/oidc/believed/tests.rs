//! Access tokens against a provider on a socket: verified, asked about, kept, and found out once.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::oidc::fixture::{self, FakeProvider, Signer};
use crate::oidc::{Algorithm, Fault, JwtError, Provider};

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

struct World {
    fake: FakeProvider,
    clock: Clock,
    provider: Arc<Provider>,
}

impl World {
    async fn new() -> Self {
        let fake = FakeProvider::working().await;
        let mut document = fixture::document(&fake.base);
        document["introspection_endpoint"] = json!(format!("{}/introspect", fake.base));
        fake.says("/.well-known/openid-configuration", 200, document.to_string());
        let clock = Clock::manual(NOW);
        let provider = Provider::new(fixture::settings(&fake.base), clock.clone()).unwrap();
        Self { fake, clock, provider }
    }

    fn token(&self, typ: &str, change: impl FnOnce(&mut Value)) -> String {
        let now = self.clock.now().as_secs();
        let mut claims = json!({
            "iss": self.fake.base, "sub": "anna", "aud": ["lms", "another"], "client_id": "phone",
            "exp": now + 300, "iat": now, "jti": "1", "scope": "read",
        });
        change(&mut claims);
        Signer::get(Algorithm::Rs256).token(&json!({"alg": "RS256", "kid": "k1", "typ": typ}), &claims)
    }

    fn answers(&self, answer: Value) {
        self.fake.says("/introspect", 200, answer.to_string());
    }

    fn later(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    fn asked(&self) -> usize {
        self.fake.seen("/introspect").len()
    }
}

#[tokio::test]
async fn a_jwt_access_token_is_verified_with_the_providers_keys_and_nobody_is_asked() {
    let world = World::new().await;
    let token = world.token("at+jwt", |_| {});
    let known = world.provider.believe(&token).await.unwrap();
    assert_eq!((&*known.subject, &*known.scopes), ("anna", &["read".to_owned()][..]));
    assert_eq!(world.asked(), 0);
    for (why, token) in [
        ("another issuer", world.token("at+jwt", |claims| claims["iss"] = json!("https://evil.example"))),
        ("another audience", world.token("at+jwt", |claims| claims["aud"] = json!(["another"]))),
        ("over", world.token("at+jwt", |claims| claims["exp"] = json!(NOW.as_secs() - 61))),
        ("endless", world.token("at+jwt", |claims| claims["exp"] = json!(null))),
        ("bound to a key", world.token("at+jwt", |claims| claims["cnf"] = json!({"jkt": "x"}))),
        (
            "nobody's",
            world.token("at+jwt", |claims| {
                claims["sub"] = json!("");
                claims["client_id"] = json!(null);
            }),
        ),
    ] {
        let refused = world.provider.believe(&token).await.unwrap_err();
        assert!(matches!(refused, Disbelief::Refused(_)), "{why}: {refused:?}");
    }
    let mut forged = world.token("at+jwt", |_| {});
    forged.replace_range(forged.len() - 8.., "AAAAAAAA");
    let refused = world.provider.believe(&forged).await.unwrap_err();
    let Disbelief::Refused(TokenRefused::Jwt(JwtError::Signature { .. })) = refused else {
        panic!("{refused}")
    };
}

#[tokio::test]
async fn an_id_token_is_no_access_token() {
    let world = World::new().await;
    world.answers(json!({"active": false}));
    for typ in ["JWT", "logout+jwt"] {
        let refused = world.provider.believe(&world.token(typ, |_| {})).await.unwrap_err();
        assert_eq!(refused, Disbelief::Refused(TokenRefused::Inactive), "{typ}");
    }
}

#[tokio::test]
async fn what_a_provider_says_of_a_token_is_kept_for_half_a_minute_and_a_no_for_five_seconds() {
    let world = World::new().await;
    world.answers(json!({"active": true, "sub": "anna", "client_id": "lms"}));
    for (pause, asked) in [(0, 1), (29, 1), (1, 2), (30, 3)] {
        world.later(pause);
        world.provider.believe("opaque").await.unwrap();
        assert_eq!(world.asked(), asked);
    }
    world.answers(json!({"active": false}));
    world.later(30);
    for (pause, asked) in [(0, 4), (4, 4), (1, 5)] {
        world.later(pause);
        world.provider.believe("opaque").await.unwrap_err();
        assert_eq!(world.asked(), asked);
    }
    let sent = &world.fake.seen("/introspect")[0];
    let form: Vec<(String, String)> = form_urlencoded::parse(sent.body.as_bytes()).into_owned().collect();
    assert_eq!(form[0], ("token".to_owned(), "opaque".to_owned()));
    assert!(sent.headers["authorization"].as_bytes().starts_with(b"Basic "));
}

#[tokio::test]
async fn many_requests_with_one_token_ask_once() {
    let world = World::new().await;
    let answer = json!({"active": true, "sub": "anna", "client_id": "lms"}).to_string();
    world.fake.says_slowly("/introspect", 200, &answer, Duration::from_millis(100));
    let asking = (0..20).map(|_| world.provider.believe("opaque"));
    for known in futures_util::future::join_all(asking).await {
        assert_eq!(known.unwrap().subject, "anna");
    }
    assert_eq!(world.asked(), 1);
}

#[tokio::test]
async fn a_provider_that_can_not_be_asked_says_neither_yes_nor_no_and_is_asked_again() {
    let world = World::new().await;
    world.fake.says("/introspect", 503, "");
    let unknown = world.provider.believe("opaque").await.unwrap_err();
    let Disbelief::Unknown(error) = unknown else { panic!("{unknown}") };
    assert_eq!(error.fault(), Fault::Unreachable);
    world.answers(json!({"active": true, "sub": "anna", "client_id": "lms"}));
    assert!(world.provider.believe("opaque").await.is_ok());
}
