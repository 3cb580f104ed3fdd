//! A provider on a socket: sign-in from end to end, and everything that its network can do.

use std::time::Instant;

use serde_json::{Value, json};

use super::*;
use crate::foundation::secret::Secret;
use crate::oidc::fixture::{self, FakeProvider, Signer, redemption};
use crate::oidc::{
    Algorithm, AuthorizationResponse, Fault, Held, LoginRequest, RefreshError, Refreshed, RequestForm,
};

mod plain_oauth2;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
const DISCOVERY: &str = "/.well-known/openid-configuration";

struct World {
    fake: FakeProvider,
    clock: Clock,
    provider: Arc<Provider>,
}

impl World {
    async fn new() -> Self {
        Self::with(FakeProvider::working().await, |_| {})
    }

    fn with(fake: FakeProvider, change: impl FnOnce(&mut Settings)) -> Self {
        let clock = Clock::manual(NOW);
        let mut settings = fixture::settings(&fake.base);
        change(&mut settings);
        let provider = Provider::new(settings, clock.clone()).unwrap();
        let world = Self { fake, clock, provider };
        world.tokens("k1", Signer::get(Algorithm::Rs256), &[]);
        world.fake.says("/me", 200, json!({"sub": "anna", "name": "Анна", "id": 7}).to_string());
        world
    }

    /// The token endpoint gives an ID token by this key, with these claims changed.
    fn tokens(&self, kid: &str, signer: &Signer, changes: &[(&str, Value)]) {
        let mut claims = fixture::claims(&self.fake.base, self.clock.now());
        for (name, value) in changes {
            claims[*name] = value.clone();
        }
        let id_token = signer.token(&json!({"alg": "RS256", "kid": kid}), &claims);
        let body = json!({
            "access_token": "at", "token_type": "bearer", "id_token": id_token, "refresh_token": "rt",
            "expires_in": "60",
        });
        self.fake.says("/token", 200, body.to_string());
    }

    async fn redeem(&self) -> Result<SignIn, OidcError> {
        self.provider.redeem(redemption("c")).await
    }

    fn later(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    fn seen(&self, path: &str) -> usize {
        self.fake.seen(path).len()
    }
}

fn callback() -> LoginRequest {
    LoginRequest::new(Url::parse("https://lms.example/_sso/callback").unwrap())
}

#[tokio::test]
async fn a_person_signs_in_from_redirect_to_claims() {
    let world = World::new().await;
    let (url, pending) = world.provider.begin(callback()).await.unwrap();
    let nonce = url.query_pairs().find(|(name, _)| name == "nonce").unwrap().1.into_owned();
    world.tokens("k1", Signer::get(Algorithm::Rs256), &[("nonce", json!(nonce))]);

    let query = format!("code=the+code&state={}", pending.state());
    let response = AuthorizationResponse::parse(&query).unwrap();
    let redemption = pending.check(&world.provider, response).unwrap();
    let sign_in = world.provider.redeem(redemption).await.unwrap();

    assert_eq!(sign_in.subject, "anna");
    assert_eq!(sign_in.provider_session.as_deref(), Some("session 1"));
    assert_eq!(sign_in.access_expires_at, Some(NOW.plus(Duration::from_secs(60))));
    assert_eq!(sign_in.claims.0["name"], "Анна");
    assert_eq!(sign_in.claims.0["email"], "anna@example.org");
    assert_eq!(sign_in.claims.0.get("nonce"), None);
    assert_eq!(sign_in.tokens.access, Some(Secret::new("at")));

    let token = &world.fake.seen("/token")[0];
    assert!(token.body.starts_with("grant_type=authorization_code&code=the+code&redirect_uri=https%3A"));
    assert!(token.headers["authorization"].to_str().unwrap().starts_with("Basic "));
    assert!(token.headers["user-agent"].to_str().unwrap().starts_with("vestibule/"));
    assert_eq!(token.headers["accept"], "application/json");
    assert_eq!(world.fake.seen("/me")[0].headers["authorization"], "Bearer at");
    assert_eq!(world.provider.readiness(), Readiness::Ready);
}

#[tokio::test]
async fn an_answer_that_can_not_be_trusted_or_read_is_told_by_its_fault() {
    let world = World::new().await;
    world.provider.begin(callback()).await.unwrap();
    let big = format!(r#"{{"a":"{}"}}"#, "x".repeat(2 * 1024 * 1024));
    for (path, status, body, fault, code) in [
        ("/token", 400, r#"{"error":"invalid_grant"}"#, Fault::Request, "invalid_grant"),
        ("/token", 401, r#"{"error":"invalid_client"}"#, Fault::Provider, "provider_refused"),
        ("/token", 200, "<html>", Fault::Provider, "provider_not_json"),
        ("/token", 500, "{}", Fault::Unreachable, "provider_status"),
        ("/token", 200, &big, Fault::Provider, "provider_too_large"),
        ("/me", 401, "", Fault::Provider, "provider_status"),
        ("/me", 503, "", Fault::Unreachable, "provider_status"),
        ("/me", 200, r#"{"sub":"boris"}"#, Fault::Provider, "userinfo_subject"),
    ] {
        let world = World::new().await;
        world.fake.says(path, status, body);
        let error = world.redeem().await.unwrap_err();
        assert_eq!((error.fault(), error.code()), (fault, code), "{path} {status} {body:.40}");
    }
    world.fake.says_with("/token", 302, ("location", &format!("{}/elsewhere?secret", world.fake.base)));
    let error = world.redeem().await.unwrap_err();
    assert_eq!((error.fault(), error.code()), (Fault::Provider, "provider_redirected"));
    assert_eq!(world.seen("/elsewhere"), 0, "a redirect is not followed");
}

#[tokio::test]
async fn a_provider_that_is_down_at_start_is_tried_again_and_found_when_it_is_up() {
    let world = World::with(FakeProvider::start().await, |_| {});
    world.fake.says(DISCOVERY, 503, "");
    let wait = world.provider.fetch_due().await;
    assert_eq!(wait, Duration::from_secs(1));
    assert_eq!(world.provider.begin(callback()).await.unwrap_err().fault(), Fault::Unreachable);
    let Readiness::Waiting { attempts: 1, last: Some(last), .. } = world.provider.readiness() else {
        panic!("{:?}", world.provider.readiness());
    };
    assert_eq!(last.code(), "provider_status");

    world.fake.says(DISCOVERY, 200, fixture::document(&world.fake.base).to_string());
    world.fake.has_keys(&[("k1", Signer::get(Algorithm::Rs256))]);
    assert_eq!(world.provider.begin(callback()).await.unwrap_err(), last, "too soon after the failure");
    world.later(2);
    world.provider.begin(callback()).await.unwrap();
    assert!(world.provider.begin(callback()).await.is_ok(), "a login that needs it fetches it");
    assert!(matches!(world.provider.readiness(), Readiness::Waiting { .. }), "the keys are still to come");
    world.provider.fetch_due().await;
    assert_eq!(world.provider.readiness(), Readiness::Ready);
}

#[tokio::test]
async fn a_provider_that_goes_down_later_leaves_what_is_known() {
    let world = World::new().await;
    let wait = world.provider.fetch_due().await;
    assert!(wait > Duration::from_secs(3000), "{wait:?}");
    world.fake.says(DISCOVERY, 500, "");
    world.fake.says("/jwks", 200, "<html>");
    world.later(3600);
    world.provider.fetch_due().await;
    assert!(matches!(world.provider.readiness(), Readiness::Stale { since: NOW, attempts: 1, .. }));
    assert!(world.provider.begin(callback()).await.is_ok());
    world.tokens("k1", Signer::get(Algorithm::Rs256), &[]);
    assert!(world.redeem().await.is_ok());
}

#[tokio::test]
async fn a_slow_provider_costs_its_time_limit_once_for_all_who_wait() {
    let limit = Duration::from_millis(200);
    let world = World::with(FakeProvider::start().await, |settings| settings.timeout = limit);
    world.fake.says_slowly(DISCOVERY, 200, "{}", Duration::from_secs(60));
    let begun = Instant::now();
    let ask = || world.provider.begin(callback());
    let (a, b, c) = tokio::join!(ask(), ask(), ask());
    for error in [a, b, c].map(Result::unwrap_err) {
        assert_eq!((error.fault(), error.code()), (Fault::Unreachable, "provider_too_slow"));
    }
    assert!(begun.elapsed() < limit * 2, "{:?}", begun.elapsed());
    assert_eq!(world.seen(DISCOVERY), 1);
}

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let provider =
        Provider::new(fixture::settings(&format!("http://{address}")), Clock::manual(NOW)).unwrap();
    let error = provider.begin(callback()).await.unwrap_err();
    assert_eq!((error.fault(), error.code()), (Fault::Unreachable, "provider_unreachable"));
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_certificate_counts_only_if_its_ca_is_trusted() {
    let certified = rcgen::generate_simple_self_signed(vec!["id.localhost".into()]).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(crate::foundation::trust::crypto_provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("https://id.localhost:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let refuse = hyper::service::service_fn(|_| async {
                Ok::<_, std::convert::Infallible>(http::Response::new("[]".to_owned()))
            });
            let stream = hyper_util::rt::TokioIo::new(stream);
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(stream, refuse));
        }
    });
    let provider = Provider::new(fixture::settings(&issuer), Clock::manual(NOW)).unwrap();
    let error = provider.begin(callback()).await.unwrap_err();
    assert_eq!((error.fault(), error.code()), (Fault::Unreachable, "provider_tls"), "{error}");
    assert!(error.mend().unwrap().contains("`ca`"));
    let settings = Settings { ca: vec![certified.cert.der().clone()], ..fixture::settings(&issuer) };
    let error = Provider::new(settings, Clock::manual(NOW)).unwrap().begin(callback()).await.unwrap_err();
    assert_eq!(error.code(), "provider_not_json", "{error}");
}

#[tokio::test]
async fn names_below_localhost_are_this_machine() {
    let fake = FakeProvider::start().await;
    let issuer = fake.base.replace("127.0.0.1", "id.localhost");
    fake.says(DISCOVERY, 200, fixture::document(&issuer).to_string());
    let provider = Provider::new(fixture::settings(&issuer), Clock::manual(NOW)).unwrap();
    provider.begin(callback()).await.unwrap();
    assert_eq!(fake.seen(DISCOVERY)[0].headers["host"], issuer.strip_prefix("http://").unwrap());
}

#[tokio::test]
async fn new_keys_are_fetched_when_a_token_needs_them_and_a_stranger_can_not_make_it_frequent() {
    let world = World::new().await;
    world.redeem().await.unwrap();
    assert_eq!(world.seen("/jwks"), 1);

    let new = Signer::stranger(Algorithm::Rs256);
    world.fake.has_keys(&[("k1", Signer::get(Algorithm::Rs256)), ("k2", new)]);
    world.tokens("k2", new, &[]);
    world.redeem().await.unwrap();
    assert_eq!(world.seen("/jwks"), 2, "rotation is met at once");

    world.tokens("k3", new, &[]);
    for _ in 0..5 {
        assert_eq!(world.redeem().await.unwrap_err().code(), "id_token_key");
        world.later(5);
    }
    assert_eq!(world.seen("/jwks"), 2, "but seldom");
    world.later(10);
    world.fake.has_keys(&[("k3", new)]);
    world.tokens("k3", new, &[]);
    world.redeem().await.unwrap();
    assert_eq!(world.seen("/jwks"), 3);
}

#[tokio::test]
async fn keys_replaced_under_the_same_name_are_met_too_and_a_wrong_issuer_fetches_nothing() {
    let world = World::new().await;
    world.redeem().await.unwrap();
    world.tokens("k9", Signer::stranger(Algorithm::Rs256), &[("iss", json!("https://evil.example"))]);
    assert_eq!(world.redeem().await.unwrap_err().code(), "id_token_issuer");
    assert_eq!(world.seen("/jwks"), 1);

    world.fake.has_keys(&[("k1", Signer::stranger(Algorithm::Rs256))]);
    world.tokens("k1", Signer::stranger(Algorithm::Rs256), &[]);
    world.redeem().await.unwrap();
    assert_eq!(world.seen("/jwks"), 2);
}

#[tokio::test]
async fn endpoints_set_by_hand_need_no_discovery() {
    let fake = FakeProvider::working().await;
    let url = |path: &str| Some(Url::parse(&format!("{}{path}", fake.base)).unwrap());
    let (authorization, token, jwks) = (url("/auth"), url("/token"), url("/jwks"));
    let world = World::with(fake, |settings| {
        settings.discovery = Discovery::ByHand;
        settings.endpoints.authorization = authorization;
        settings.endpoints.token = token;
        settings.endpoints.jwks = jwks;
    });
    assert!(world.provider.begin(callback()).await.is_ok());
    let sign_in = world.redeem().await.unwrap();
    assert_eq!(sign_in.claims.0.get("name"), None, "there is no userinfo endpoint");
    world.provider.fetch_due().await;
    assert_eq!(world.seen(DISCOVERY), 0);
    assert_eq!(world.provider.readiness(), Readiness::Ready);
    let back = Url::parse("https://lms.example/").unwrap();
    let session =
        EndSession { id_token: None, provider_session: None, post_logout_redirect_uri: &back, state: "s" };
    assert_eq!(world.provider.end_session(session), None);
}

#[tokio::test]
async fn a_signed_userinfo_answer_is_verified_and_new_keys_are_met_at_once() {
    let world = World::new().await;
    let new = Signer::stranger(Algorithm::Rs256);
    let me = |kid: &str, signer: &Signer, sub: &str| {
        let claims = json!({"iss": world.fake.base, "aud": "lms", "sub": sub, "name": "Анна"});
        world.fake.says("/me", 200, signer.token(&json!({"alg": "RS256", "kid": kid}), &claims));
    };
    me("k1", Signer::get(Algorithm::Rs256), "anna");
    assert_eq!(world.redeem().await.unwrap().claims.0["name"], "Анна");
    me("k1", Signer::get(Algorithm::Rs256), "boris");
    assert_eq!(world.redeem().await.unwrap_err().code(), "userinfo_subject");
    me("k2", new, "anna");
    assert_eq!(world.redeem().await.unwrap_err().code(), "userinfo_jwt");
    world.later(60);
    world.fake.has_keys(&[("k1", Signer::get(Algorithm::Rs256)), ("k2", new)]);
    world.redeem().await.unwrap();
    assert_eq!(world.seen("/jwks"), 3);
}

#[tokio::test]
async fn a_code_is_redeemed_by_the_provider_it_came_from_only() {
    let world = World::new().await;
    let mut other = redemption("c");
    other.provider = "legacy".into();
    assert_eq!(world.provider.redeem(other).await.unwrap_err().code(), "callback_state");
    assert_eq!(world.seen("/token"), 0);
}

#[test]
fn settings_that_can_not_work_are_refused_at_once() {
    let refused = |change: &dyn Fn(&mut Settings)| {
        let mut settings = fixture::settings("https://id.example");
        change(&mut settings);
        Provider::new(settings, Clock::manual(NOW)).unwrap_err()
    };
    assert!(matches!(refused(&|settings| settings.issuer = "id".into()), SetupError::Issuer(_)));
    assert!(matches!(
        refused(&|settings| settings.params = vec![("state".into(), "x".into())]),
        SetupError::ReservedParam(_)
    ));
    assert!(matches!(
        refused(&|settings| settings.discovery = Discovery::ByHand),
        SetupError::EndpointMissing("authorization_endpoint")
    ));
    assert!(matches!(
        refused(&|settings| {
            settings.client_secret = None;
            settings.client_auth = Some(ClientAuth::ClientSecretPost);
        }),
        SetupError::SecretMissing
    ));
    assert!(matches!(
        refused(&|settings| settings.revocation_auth = Some(ClientAuth::PrivateKeyJwt)),
        SetupError::KeyMissing("client_auth")
    ));
    assert!(matches!(
        refused(&|settings| settings.introspection_auth = Some(ClientAuth::TlsClientAuth)),
        SetupError::CertificateMissing
    ));
    assert!(matches!(
        refused(&|settings| {
            settings.client_secret = None;
            settings.request = RequestForm::Signed;
        }),
        SetupError::KeyMissing("request")
    ));
}

#[test]
fn what_runs_on_the_control_runtime_can_be_sent_there() {
    fn sent<T: Send>(_: T) {}
    let provider = Provider::new(fixture::settings("https://id.example"), Clock::manual(NOW)).unwrap();
    sent(provider.redeem(redemption("c")));
    sent(provider.begin(callback()));
    sent(Arc::clone(&provider).keep_fresh());
}

/// Tokens as a session has them after [`World::redeem`].
async fn refreshed(world: &World, held: &SignIn) -> Result<(Refreshed, Claims), RefreshError> {
    let held = Held { subject: &held.subject, tokens: &held.tokens, claims: &held.claims };
    let refreshed = world.provider.refresh(held).await?;
    let tokens = Refreshed {
        tokens: refreshed.tokens.clone(),
        access_expires_at: refreshed.access_expires_at,
        id_token: None,
    };
    Ok((tokens, world.provider.fresh_claims(held, refreshed).await?))
}

#[tokio::test]
async fn a_refresh_gives_new_tokens_and_claims_and_asks_for_keys_before_it_spends_the_old() {
    let world = World::new().await;
    let held = world.redeem().await.unwrap();
    world.later(60);
    world.fake.says("/me", 200, json!({"sub": "anna", "name": "Анна Новая"}).to_string());
    world.tokens("k1", Signer::get(Algorithm::Rs256), &[("auth_time", json!(NOW.as_secs() - 10))]);
    let (tokens, claims) = refreshed(&world, &held).await.unwrap();
    assert_eq!(claims.0["name"], "Анна Новая");
    assert_eq!(tokens.access_expires_at, Some(NOW.plus(Duration::from_secs(120))));
    assert!(world.fake.seen("/token")[1].body.starts_with("grant_type=refresh_token&refresh_token=rt"));

    let fake = FakeProvider::working().await;
    let keyless = World::with(fake, |_| {});
    keyless.fake.says("/jwks", 503, "");
    let error = refreshed(&keyless, &held).await.unwrap_err();
    assert!(matches!(error, RefreshError::Later(_)));
    assert_eq!(keyless.seen("/token"), 0, "the refresh token is not spent");
}

#[tokio::test]
async fn a_refreshed_id_token_whose_key_can_not_be_had_is_left_aside_and_a_forged_one_ends_the_session() {
    let world = World::new().await;
    let held = world.redeem().await.unwrap();
    world.tokens("k2", Signer::stranger(Algorithm::Rs256), &[]);
    world.later(60);
    let error = refreshed(&world, &held).await.unwrap_err();
    assert!(matches!(error, RefreshError::Refused(OidcError::IdToken(_))), "{error}");
    world.later(60);
    world.fake.says("/jwks", 503, "");
    let (tokens, _) = refreshed(&world, &held).await.unwrap();
    assert_eq!(tokens.tokens.id, held.tokens.id, "the one that was verified stays");
}

#[tokio::test]
async fn userinfo_of_somebody_else_ends_the_session_and_one_that_is_down_does_not() {
    let world = World::new().await;
    let held = world.redeem().await.unwrap();
    world.fake.says("/me", 200, json!({"sub": "boris"}).to_string());
    let error = refreshed(&world, &held).await.unwrap_err();
    assert!(matches!(error, RefreshError::Refused(OidcError::OtherSubject)), "{error}");
    world.fake.says("/me", 503, "");
    assert!(matches!(refreshed(&world, &held).await.unwrap_err(), RefreshError::Later(_)));
}

#[tokio::test]
async fn tokens_are_revoked_where_the_provider_lets_us() {
    let world = World::new().await;
    let held = world.redeem().await.unwrap();
    world.provider.revoke(&held.tokens).await.unwrap();
    assert_eq!(world.seen("/revoke"), 0, "it announces no such endpoint");
    let fake = FakeProvider::working().await;
    let endpoint = Url::parse(&format!("{}/revoke", fake.base)).unwrap();
    let world = World::with(fake, |settings| settings.endpoints.revocation = Some(endpoint));
    world.fake.says("/revoke", 200, "");
    world.provider.revoke(&held.tokens).await.unwrap();
    assert_eq!(world.fake.seen("/revoke")[0].body, "token=rt&token_type_hint=refresh_token");
    assert!(world.fake.seen("/revoke")[0].headers.contains_key("authorization"));
}
