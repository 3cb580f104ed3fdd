//! The provider over real sockets, as a browser and a client see it.
//!
//! The clock is moved by hand. `World::login` is the click on a person, `World::redeem` is what the client
//! does with the code.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, WWW_AUTHENTICATE};
use serde_json::json;

use super::*;
use crate::demo::asking::{self, Answer, ask, cookie_of};

const ISSUER: &str = "http://localhost:9";
const REDIRECT_URI: &str = "http://127.0.0.1:4180/_sso/callback";
const POST_LOGOUT: &str = "http://127.0.0.1:4180/_sso/signed-out";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const FORM: (http::HeaderName, &str) = (CONTENT_TYPE, "application/x-www-form-urlencoded");
const OURS: (http::HeaderName, &str) = (ORIGIN, ISSUER);
const TEACHER: &str = "person-1002";

struct World {
    address: SocketAddr,
    provider: Arc<Provider>,
    clock: Clock,
}

impl World {
    async fn new() -> Self {
        let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
        let client = Client {
            id: "lms".to_owned(),
            secret: Secret::new("s+cret"),
            redirect_uri: REDIRECT_URI.to_owned(),
            post_logout_redirect_uri: POST_LOGOUT.to_owned(),
        };
        let provider = Arc::new(Provider::new(ISSUER.to_owned(), client, clock.clone()).unwrap());
        let address = asking::serve(Arc::clone(&provider), Provider::answer).await;
        Self { address, provider, clock }
    }

    async fn get(&self, target: &str, headers: &[(http::HeaderName, &str)]) -> Answer {
        ask(self.address, Method::GET, target, headers, "").await
    }

    async fn post(&self, target: &str, headers: &[(http::HeaderName, &str)], body: &str) -> Answer {
        let headers: Vec<_> = [FORM].iter().chain(headers).cloned().collect();
        ask(self.address, Method::POST, target, &headers, body).await
    }

    async fn login(&self, extra: &str) -> Answer {
        let form = format!("{}&person={TEACHER}", request(extra));
        self.post("/login", &[OURS], &form).await
    }

    async fn redeem(&self, code: &str, verifier: &str) -> Answer {
        let redirect_uri = encoded(REDIRECT_URI);
        let form = format!(
            "grant_type=authorization_code&code={code}&redirect_uri={redirect_uri}&code_verifier={verifier}"
        );
        self.post("/token", &[(AUTHORIZATION, &basic("lms", "s%2Bcret"))], &form).await
    }

    async fn tokens(&self, login: &Answer) -> serde_json::Value {
        let answer = self.redeem(&login.param("code").unwrap(), VERIFIER).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.json()
    }

    fn claims(&self, id_token: &serde_json::Value) -> serde_json::Value {
        self.provider.key.read_hint(id_token.as_str().unwrap(), ISSUER, "lms").unwrap()
    }
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

/// An authorization request that is in order, with further parameters.
fn request(extra: &str) -> String {
    format!(
        "client_id=lms&response_type=code&redirect_uri={}&scope=openid+profile+email+groups&state=s%201&nonce=n1\
         &code_challenge={CHALLENGE}&code_challenge_method=S256{extra}",
        encoded(REDIRECT_URI)
    )
}

#[tokio::test]
async fn a_person_signs_in_with_one_click_and_the_client_learns_who_it_is() {
    let world = World::new().await;
    let page = world.get(&format!("/authorize?{}", request("")), &[]).await;
    assert_eq!(page.status, StatusCode::OK);
    for name in ["Анна", "Пётр", "Мария", "Только для пробы"] {
        assert!(page.text.contains(name), "{name}");
    }
    assert!(page.header(CONTENT_SECURITY_POLICY).ends_with("form-action 'self' http://127.0.0.1:4180"));
    assert_eq!(page.header(CACHE_CONTROL), "no-store");

    let login = world.login("").await;
    assert!(login.location().as_str().starts_with(REDIRECT_URI));
    assert_eq!(login.param("state").as_deref(), Some("s 1"));
    assert_eq!(login.param("iss").as_deref(), Some(ISSUER));

    let answer = world.redeem(&login.param("code").unwrap(), VERIFIER).await;
    assert_eq!(answer.header(CACHE_CONTROL), "no-store");
    let tokens = answer.json();
    assert_eq!(tokens["token_type"], "Bearer");
    let access_token = tokens["access_token"].as_str().unwrap();
    let claims = world.claims(&tokens["id_token"]);
    let now = world.clock.now().as_secs();
    assert_eq!(claims["sub"], TEACHER);
    assert_eq!(claims["nonce"], "n1");
    assert_eq!((&claims["iat"], &claims["auth_time"]), (&json!(now), &json!(now)));
    assert_eq!(claims["at_hash"], keys::at_hash(access_token));
    assert!(claims.get("name").is_none(), "claims are told by userinfo");

    let told = world.get("/userinfo", &[(AUTHORIZATION, &format!("bearer {access_token}"))]).await.json();
    assert_eq!(told["sub"], TEACHER);
    assert_eq!(told["name"], "Пётр Алексеевич Щербаков");
    assert_eq!(told["groups"], json!(["teachers", "физика"]));
    assert!(told.get("phone_number").is_none(), "phone was not asked for");
}

#[tokio::test]
async fn the_id_token_verifies_with_the_published_key() {
    let world = World::new().await;
    let tokens = world.tokens(&world.login("").await).await;
    let id_token = tokens["id_token"].as_str().unwrap();
    let header: serde_json::Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(id_token.split('.').next().unwrap()).unwrap())
            .unwrap();
    let keys: jsonwebtoken::jwk::JwkSet =
        serde_json::from_value(world.get("/jwks", &[]).await.json()).unwrap();
    let key =
        jsonwebtoken::DecodingKey::from_jwk(keys.find(header["kid"].as_str().unwrap()).unwrap()).unwrap();
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
    validation.set_audience(&["lms"]);
    validation.validate_exp = false;
    jsonwebtoken::decode::<serde_json::Value>(id_token, &key, &validation).unwrap();
}

#[tokio::test]
async fn the_discovery_document_names_endpoints_below_the_issuer() {
    let world = World::new().await;
    let metadata = world.get("/.well-known/openid-configuration", &[]).await.json();
    assert_eq!(metadata["issuer"], ISSUER);
    for endpoint in ["authorization", "token", "userinfo", "end_session"] {
        let url = metadata[format!("{endpoint}_endpoint")].as_str().unwrap();
        let path = url.strip_prefix(ISSUER).unwrap();
        assert_ne!(world.get(path, &[]).await.status, StatusCode::NOT_FOUND, "{url}");
    }
    assert_eq!(metadata["code_challenge_methods_supported"], json!(["S256"]));
}

#[tokio::test]
async fn a_code_is_good_once_and_its_replay_ends_the_tokens() {
    let world = World::new().await;
    let login = world.login("").await;
    let token = world.tokens(&login).await["access_token"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {token}");
    assert_eq!(world.get("/userinfo", &[(AUTHORIZATION, &bearer)]).await.status, StatusCode::OK);
    for _ in 0..2 {
        let replay = world.redeem(&login.param("code").unwrap(), VERIFIER).await;
        assert_eq!(
            (replay.status, &replay.json()["error"]),
            (StatusCode::BAD_REQUEST, &json!("invalid_grant"))
        );
    }
    let ended = world.get("/userinfo", &[(AUTHORIZATION, &bearer)]).await;
    assert_eq!(ended.status, StatusCode::UNAUTHORIZED);
    assert!(ended.header(WWW_AUTHENTICATE).contains("invalid_token"));
}

#[tokio::test]
async fn a_wrong_verifier_spends_the_code() {
    let world = World::new().await;
    let code = world.login("").await.param("code").unwrap();
    for verifier in ["wrong", VERIFIER] {
        assert_eq!(world.redeem(&code, verifier).await.json()["error"], "invalid_grant", "{verifier}");
    }
}

#[tokio::test]
async fn a_code_is_good_for_sixty_seconds() {
    let world = World::new().await;
    let (early, late) = (world.login("").await, world.login("").await);
    world.clock.advance(Duration::from_secs(59));
    world.tokens(&early).await;
    world.clock.advance(Duration::from_secs(1));
    let refused = world.redeem(&late.param("code").unwrap(), VERIFIER).await;
    assert_eq!(refused.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn only_the_client_gets_tokens() {
    let world = World::new().await;
    let code = world.login("").await.param("code").unwrap();
    let grant = format!(
        "grant_type=authorization_code&code={code}&redirect_uri={}&code_verifier={VERIFIER}",
        encoded(REDIRECT_URI)
    );
    let wrong = basic("lms", "wrong");
    let right = basic("lms", "s%2Bcret");
    for (header, extra, error) in [
        (None, "", "invalid_client"),
        (Some(&wrong), "", "invalid_client"),
        (Some(&right), "&client_secret=s%2Bcret", "invalid_request"),
        (Some(&right), "&client_id=other", "invalid_client"),
        (Some(&right), "&code=again", "invalid_request"),
        (None, "&client_id=other&client_secret=s%2Bcret", "invalid_client"),
    ] {
        let headers: Vec<_> = header.map(|value| (AUTHORIZATION, value.as_str())).into_iter().collect();
        let answer = world.post("/token", &headers, &format!("{grant}{extra}")).await;
        assert_eq!(answer.json()["error"], error, "{header:?} {extra}");
        assert_eq!(answer.status == StatusCode::UNAUTHORIZED, error == "invalid_client");
    }
    // None of them spent the code, and the secret may also come in the body.
    let posted = world.post("/token", &[], &format!("{grant}&client_id=lms&client_secret=s%2Bcret")).await;
    assert_eq!(posted.status, StatusCode::OK, "{}", posted.text);
}

#[tokio::test]
async fn an_unregistered_client_or_address_is_never_redirected_to() {
    let world = World::new().await;
    for query in [
        request("").replace("client_id=lms", "client_id=other"),
        request("").replace("callback", "callback%2F"),
        request("&redirect_uri=https%3A%2F%2Fevil.example"),
        format!("client_id=other&error={}", encoded("<script>")),
        String::new(),
    ] {
        let answer = world.get(&format!("/authorize?{query}"), &[]).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        assert!(!answer.headers.contains_key(http::header::LOCATION), "{query}");
    }
}

#[tokio::test]
async fn a_faulty_request_goes_back_to_the_client_with_its_error() {
    let world = World::new().await;
    for (query, error) in [
        (request("").replace("=code&", "=token&"), "unsupported_response_type"),
        (request("").replace("response_type=code&", ""), "invalid_request"),
        (request("").replace("openid+", ""), "invalid_scope"),
        (request("").replace("S256", "plain"), "invalid_request"),
        (request("").replace("code_challenge=", "x="), "invalid_request"),
        (request("&nonce=n2"), "invalid_request"),
        (request("&request=x"), "request_not_supported"),
        (request("&request_uri=x"), "request_uri_not_supported"),
        (request("&response_mode=form_post"), "invalid_request"),
        (request("&max_age=soon"), "invalid_request"),
        (request("&prompt=none+login"), "invalid_request"),
        (request("&prompt=none"), "login_required"),
        (request("&id_token_hint=a.b.c"), "invalid_request"),
        (request("").replace("n1", &"n".repeat(513)), "invalid_request"),
    ] {
        let answer = world.get(&format!("/authorize?{query}"), &[]).await;
        assert_eq!(answer.param("error").as_deref(), Some(error), "{query}");
        assert_eq!(answer.param("state").as_deref(), Some("s 1"), "{query}");
        assert_eq!(answer.param("iss").as_deref(), Some(ISSUER), "{query}");
        assert_eq!(answer.param("code"), None, "{query}");
    }
}

#[tokio::test]
async fn who_is_signed_in_is_asked_again_only_when_the_client_wants_it() {
    let world = World::new().await;
    let (cookie, value) = cookie_of(&world.login("").await);
    let session = [(cookie, value.as_str())];
    world.clock.advance(Duration::from_secs(100));
    for (extra, asked) in [
        ("", false),
        ("&prompt=none", false),
        ("&prompt=consent", false),
        ("&prompt=login", true),
        ("&prompt=select_account", true),
        ("&max_age=100", false),
        ("&max_age=99", true),
        ("&max_age=0", true),
    ] {
        let answer = world.get(&format!("/authorize?{}", request(extra)), &session).await;
        assert_eq!(answer.status == StatusCode::OK, asked, "{extra}");
    }
    let silent = world.get(&format!("/authorize?{}", request("&prompt=none")), &session).await;
    let claims = world.claims(&world.tokens(&silent).await["id_token"]);
    assert_eq!(claims["auth_time"], world.clock.now().as_secs() - 100);
    let stale = world.get(&format!("/authorize?{}", request("&prompt=none&max_age=5")), &session).await;
    assert_eq!(stale.param("error").as_deref(), Some("login_required"));
    // A POST to the authorization endpoint is the same request (Core 3.1.2.1).
    let posted = world.post("/authorize", &session, &request("")).await;
    assert!(posted.param("code").is_some());
}

#[tokio::test]
async fn another_person_than_the_hint_names_is_no_answer_to_it() {
    let world = World::new().await;
    let login = world.login("").await;
    let (cookie, value) = cookie_of(&login);
    let tokens = world.tokens(&login).await;
    let hint = format!("&id_token_hint={}", tokens["id_token"].as_str().unwrap());
    let same = world.get(&format!("/authorize?{}", request(&hint)), &[(cookie, value.as_str())]).await;
    assert!(same.param("code").is_some());
    let form = format!("{}&person=person-1001", request(&hint));
    let other = world.post("/login", &[OURS], &form).await;
    assert_eq!(other.param("error").as_deref(), Some("login_required"));
}

#[tokio::test]
async fn another_site_cannot_sign_anybody_in_or_out() {
    let world = World::new().await;
    let form = format!("{}&person={TEACHER}", request(""));
    for origin in [vec![], vec![(ORIGIN, "https://evil.example")], vec![(ORIGIN, "null")]] {
        for path in ["/login", "/end-session/confirm"] {
            let answer = world.post(path, &origin, &form).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path} {origin:?}");
            assert!(!answer.headers.contains_key(http::header::SET_COOKIE));
        }
    }
}

#[tokio::test]
async fn who_declines_or_does_not_exist_is_not_signed_in() {
    let world = World::new().await;
    let declined = world.post("/login", &[OURS], &request("&cancel=1")).await;
    assert_eq!(declined.param("error").as_deref(), Some("access_denied"));
    let unknown = world.post("/login", &[OURS], &request("&person=root")).await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_sign_out_with_a_hint_of_this_session_happens_at_once() {
    let world = World::new().await;
    let login = world.login("").await;
    let (cookie, value) = cookie_of(&login);
    let session = [(cookie, value.as_str())];
    let id_token = world.tokens(&login).await["id_token"].as_str().unwrap().to_owned();
    // Long after the ID token has expired.
    world.clock.advance(Duration::from_secs(3600));
    let post_logout = encoded(POST_LOGOUT);
    let query = format!("id_token_hint={id_token}&post_logout_redirect_uri={post_logout}&state=%C3%BC");
    let answer = world.get(&format!("/end-session?{query}"), &session).await;
    assert_eq!(answer.location().as_str(), format!("{POST_LOGOUT}?state=%C3%BC"));
    assert!(answer.header(http::header::SET_COOKIE).contains("Max-Age=0"));
    let silent = world.get(&format!("/authorize?{}", request("&prompt=none")), &session).await;
    assert_eq!(silent.param("error").as_deref(), Some("login_required"));
}

#[tokio::test]
async fn a_sign_out_posted_from_another_site_ends_the_session_that_its_hint_names() {
    let world = World::new().await;
    let login = world.login("").await;
    let (cookie, value) = cookie_of(&login);
    let id_token = world.tokens(&login).await["id_token"].as_str().unwrap().to_owned();
    // Such a POST comes without the cookie (SameSite=Lax).
    let answer = world.post("/end-session", &[], &format!("id_token_hint={id_token}")).await;
    assert!(answer.text.contains("Вы вышли"));
    let silent = world.get(&format!("/authorize?{}", request("&prompt=none")), &[(cookie, &value)]).await;
    assert_eq!(silent.param("error").as_deref(), Some("login_required"));
}

#[tokio::test]
async fn a_sign_out_without_proof_is_asked_about_first() {
    let world = World::new().await;
    let login = world.login("").await;
    let old_hint = world.tokens(&login).await["id_token"].as_str().unwrap().to_owned();
    let (cookie, value) = cookie_of(&world.login("").await);
    let session = [(cookie, value.as_str())];
    let redirect = format!("client_id=lms&post_logout_redirect_uri={}", encoded(POST_LOGOUT));
    for query in [String::new(), redirect.clone(), format!("id_token_hint={old_hint}")] {
        let asked = world.get(&format!("/end-session?{query}"), &session).await;
        assert_eq!(asked.status, StatusCode::OK);
        assert!(asked.text.contains("Выйти?") && asked.text.contains("Щербаков"), "{query}");
    }
    let confirmed =
        world.post("/end-session/confirm", &[OURS, (session[0].0.clone(), session[0].1)], &redirect).await;
    assert_eq!(confirmed.location().as_str(), POST_LOGOUT);
    assert!(world.get("/end-session", &session).await.text.contains("Вы вышли"));
}

#[tokio::test]
async fn a_sign_out_goes_on_to_no_address_that_is_not_registered_and_vouched_for() {
    let world = World::new().await;
    let registered = encoded(POST_LOGOUT);
    for query in [
        "client_id=lms&post_logout_redirect_uri=https%3A%2F%2Fevil.example".to_owned(),
        format!("post_logout_redirect_uri={registered}"),
        format!("client_id=other&post_logout_redirect_uri={registered}"),
        format!("id_token_hint=a.b.c&post_logout_redirect_uri={registered}"),
        "client_id=lms&client_id=lms".to_owned(),
    ] {
        let answer = world.get(&format!("/end-session?{query}"), &[]).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
    }
}

#[tokio::test]
async fn what_a_stranger_sends_is_escaped() {
    let world = World::new().await;
    let hostile = "\"><script>alert(1)</script>";
    let query = format!("{}&x{}=1&ui={}", request(""), encoded(hostile), encoded(hostile));
    let login = world.get(&format!("/authorize?{query}"), &[]).await;
    let (cookie, value) = cookie_of(&world.login("").await);
    let logout = format!("/end-session?logout_hint={}", encoded(hostile));
    let question = world.get(&logout, &[(cookie, value.as_str())]).await;
    for page in [login, question] {
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.text.contains("alert(1)") && !page.text.contains("<script"), "{}", page.text);
    }
}

#[tokio::test]
async fn odd_methods_bodies_and_paths_get_plain_refusals() {
    let world = World::new().await;
    let big = format!("code={}", "x".repeat(20_000));
    for (method, target, content_type, body, status) in [
        (Method::GET, "/token", "", "", StatusCode::METHOD_NOT_ALLOWED),
        (Method::DELETE, "/authorize", "", "", StatusCode::METHOD_NOT_ALLOWED),
        (Method::POST, "/token", "application/json", "{}", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (Method::POST, "/token", FORM.1, big.as_str(), StatusCode::PAYLOAD_TOO_LARGE),
        (Method::GET, "/nowhere", "", "", StatusCode::NOT_FOUND),
        (Method::POST, "/jwks", FORM.1, "", StatusCode::METHOD_NOT_ALLOWED),
        (Method::GET, "/userinfo", "", "", StatusCode::UNAUTHORIZED),
        (Method::POST, "/userinfo", "text/plain", "x", StatusCode::UNAUTHORIZED),
        (Method::HEAD, "/", "", "", StatusCode::OK),
    ] {
        let what = format!("{method} {target}");
        let answer = ask(world.address, method, target, &[(CONTENT_TYPE, content_type)], body).await;
        assert_eq!(answer.status, status, "{what}");
    }
}
