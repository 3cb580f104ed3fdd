//! Clients of an API, with access tokens (RFC 6750): JWTs by the provider's keys, others by asking the provider.

use serde_json::{Value, json};

use crate::test_bed::direct::Direct;
use crate::websockets::Socket;
use crate::world::browser::Response;
use crate::world::{Answer, Ask, Browser, Endpoint, Engine, Gateway, Rogue, Server, World};

const RULES: &str = r#"
    [[apps.lms.rules]]
    paths = ["/api/*"]
    access = "bearer"
    scopes = ["read"]
    [[apps.lms.rules]]
    paths = ["/people/*"]
    access = "bearer"
    allow = 'claims.sub == "anna"'
    [[apps.lms.rules]]
    paths = ["/open/*"]
    access = "public"
"#;

/// A gateway whose provider gives tokens for this resource, and a client that gets them.
async fn world(engine: &Engine, resource: &str) -> (Gateway, Server, Direct) {
    let (world, app) = (World::new(), Server::start().await);
    let table = engine.client(&world, "school", json!({}), &format!("audience = \"{resource}\"\n"));
    let config = table + &world.app("lms", &app) + RULES;
    let gateway = world.start(&config).await.ready().await;
    (gateway, app, Direct::with(engine, json!({"scope": "openid email read write"})).await)
}

async fn token(direct: &Direct, resource: &str, scope: &str) -> String {
    let form = [("grant_type", "client_credentials"), ("resource", resource), ("scope", scope)];
    let form: Vec<_> = form.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    let tokens = direct.post("/token", &form).await.expect(200).json();
    tokens["access_token"].as_str().unwrap().to_owned()
}

async fn call(gateway: &Gateway, path: &str, authorization: &[&str]) -> Response {
    let mut ask = Ask::script("GET", &gateway.url(path));
    for value in authorization {
        ask = ask.header("Authorization", value);
    }
    Browser::new().send(ask).await
}

fn challenge(answer: &Response) -> String {
    let realm = format!("{}://{}", answer.url.scheme(), crate::world::browser::authority(&answer.url));
    answer.header("www-authenticate").unwrap().replace(&realm, "REALM")
}

#[tokio::test]
async fn a_jwt_access_token_opens_what_its_scopes_and_the_rule_allow() {
    const API: &str = "https://api.school.example";
    for engine in [Engine::v8(), Engine::v9()] {
        let (gateway, app, direct) = world(&engine, API).await;
        let good = token(&direct, API, "read write").await;
        assert_eq!(good.split('.').count(), 3);
        for _ in 0..3 {
            call(&gateway, "/api/a?b=c", &[&format!("Bearer {good}")]).await.expect(200);
            let got = app.last();
            assert_eq!(got.header("x-auth-sub").as_deref(), Some(&*direct.id));
            assert_eq!(
                got.header("authorization"),
                Some(format!("Bearer {good}")),
                "the app may read it, too"
            );
        }
        assert_eq!(engine.count("/token/introspection"), 0, "nobody is asked about a JWT");

        let weak = token(&direct, API, "write").await;
        let refused = call(&gateway, "/api/a", &[&format!("Bearer {weak}")]).await.expect(403);
        let expected = "Bearer realm=\"REALM\", error=\"insufficient_scope\", scope=\"read\"";
        assert_eq!(challenge(&refused), expected);

        let refused = call(&gateway, "/people/1", &[&format!("Bearer {good}")]).await.expect(403);
        assert_eq!(challenge(&refused), "Bearer realm=\"REALM\", error=\"insufficient_scope\"");

        // Another API's token, and one that somebody changed.
        let foreign = token(&direct, "https://opaque.school.example", "read").await;
        let mut forged = good.clone();
        forged.replace_range(good.len() - 6.., "AAAAAA");
        for bad in [&foreign, &forged] {
            let refused = call(&gateway, "/api/a", &[&format!("Bearer {bad}")]).await.expect(401);
            assert_eq!(challenge(&refused), "Bearer realm=\"REALM\", error=\"invalid_token\"");
            assert!(!refused.text().contains(bad.as_str()) && !gateway.log().contains(bad.as_str()));
        }
    }
}

#[tokio::test]
async fn an_opaque_access_token_is_asked_about_once_and_a_revoked_one_is_refused() {
    const API: &str = "https://opaque.school.example";
    let engine = Engine::own(crate::world::Shape::V8, json!({}));
    let (gateway, app, direct) = world(&engine, API).await;
    let good = token(&direct, API, "read").await;
    for _ in 0..5 {
        call(&gateway, "/api/a", &[&format!("bearer {good}")]).await.expect(200);
    }
    assert_eq!(app.last().header("x-auth-sub").as_deref(), Some(&*direct.id));
    assert_eq!(engine.count("/token/introspection"), 1);

    let revoked = token(&direct, API, "read").await;
    direct.post("/token/revocation", &[("token", &revoked)]).await.expect(200);
    let refused = call(&gateway, "/api/a", &[&format!("Bearer {revoked}")]).await.expect(401);
    assert_eq!(challenge(&refused), "Bearer realm=\"REALM\", error=\"invalid_token\"");
    gateway.logs("token-invalid").await;

    // Down: neither yes nor no, but for what is known.
    engine.stop();
    call(&gateway, "/api/a", &[&format!("Bearer {good}")]).await.expect(200);
    let unknown = call(&gateway, "/api/a", &["Bearer never-seen-before"]).await.expect(503);
    assert!(unknown.header("retry-after").is_some());
    assert_eq!(unknown.header("content-type").as_deref(), Some("application/problem+json"));
}

#[tokio::test]
async fn a_request_without_a_token_gets_a_challenge_and_never_a_redirect() {
    let (gateway, rogue, app) = World::with_rogue(RULES).await;
    for (sent, status, expected) in [
        (&[][..], 401, "Bearer realm=\"REALM\""),
        (&["Basic YTpi"], 401, "Bearer realm=\"REALM\""),
        (&["Bearer "], 400, "Bearer realm=\"REALM\", error=\"invalid_request\""),
        (&["Bearer a", "Bearer b"], 400, "Bearer realm=\"REALM\", error=\"invalid_request\""),
        (&["Bearer a b"], 401, "Bearer realm=\"REALM\", error=\"invalid_token\""),
        (&["Bearer opaque"], 401, "Bearer realm=\"REALM\", error=\"invalid_token\""),
    ] {
        let answer = call(&gateway, "/api/a", sent).await.expect(status);
        assert_eq!(challenge(&answer), expected, "{sent:?}");
        assert_eq!(answer.header("content-type").as_deref(), Some("application/problem+json"));
    }
    let navigation = Ask::navigation(&gateway.url("/api/a"));
    Browser::new().send(navigation).await.expect(401);
    assert!(rogue.asked("/authorize").is_empty() && app.received().is_empty());
}

#[tokio::test]
async fn a_session_is_no_token_and_a_token_is_no_session() {
    const API: &str = "https://api.school.example";
    let (gateway, app, direct) = world(&Engine::v8(), API).await;
    let browser = Browser::new();
    browser.sign_in(&gateway.url("/"), "ivanov").await.expect(200);
    // SECURITY: or any site could call the API by the browser of who is signed in.
    browser.fetch(&gateway.url("/api/a")).await.expect(401);
    let good = token(&direct, API, "read").await;
    call(&gateway, "/", &[&format!("Bearer {good}")]).await.expect(401);
    call(&gateway, "/open/a", &[&format!("Bearer {good}")]).await.expect(200);
    assert_eq!(app.last().header("x-auth-sub"), None, "a public rule reads no token");
}

#[tokio::test]
async fn an_id_token_is_no_access_token_and_a_token_bound_to_a_key_is_none_without_it() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let asked = format!("introspection_endpoint = \"{}/token\"\n", rogue.issuer());
    let config = rogue.table("school", &asked) + &world.app("lms", &app) + RULES;
    let gateway = world.start(&config).await.ready().await;
    let about = |about: Value| rogue.replace(Endpoint::Token, Answer::json(&about));
    about(json!({"active": true, "sub": "anna", "aud": "lms", "scope": "read", "cnf": {"jkt": "x"}}));
    call(&gateway, "/people/1", &["Bearer bound"]).await.expect(401);
    about(json!({"active": true, "sub": "anna", "aud": "another"}));
    call(&gateway, "/people/1", &["Bearer foreign"]).await.expect(401);
    about(json!({"active": "yes", "sub": "anna", "aud": "lms"}));
    call(&gateway, "/people/1", &["Bearer doubtful"]).await.expect(401);
    assert!(app.received().is_empty());
    about(json!({"active": true, "sub": "anna", "aud": "lms", "scope": "read"}));
    call(&gateway, "/people/1", &["Bearer good"]).await.expect(200);
}

#[tokio::test]
async fn a_token_that_names_no_issuer_is_shown_to_the_rules_provider_and_to_no_other() {
    let (world, app) = (World::new(), Server::start().await);
    let (first, second) = (Rogue::start().await, Rogue::start().await);
    let asked = |rogue: &Rogue| format!("introspection_endpoint = \"{}/token\"\n", rogue.issuer());
    let rule = |path: &str, lines: &str| {
        format!("[[apps.lms.rules]]\npaths = [\"{path}/*\"]\naccess = \"bearer\"\n{lines}")
    };
    let config = first.table("first", &asked(&first))
        + &second.table("second", &asked(&second))
        + &world.app("lms", &app);
    let rules = rule("/any", "")
        + &rule("/first", "provider = \"first\"\n")
        + &rule("/second", "provider = \"second\"\n");
    let gateway = world.start(&(config + &rules)).await.ready().await;
    let good = json!({"active": true, "sub": "anna", "aud": "lms"});
    second.replace(Endpoint::Token, Answer::json(&good));
    first.replace(Endpoint::Token, Answer::json(&json!({"active": false})));

    call(&gateway, "/any/a", &["Bearer opaque"]).await.expect(401);
    assert!(first.asked("/token").is_empty() && second.asked("/token").is_empty());
    call(&gateway, "/second/a", &["Bearer opaque"]).await.expect(200);
    assert!(first.asked("/token").is_empty(), "{:?}", first.asked("/token"));
    // SECURITY: known by now, but as the other provider's.
    call(&gateway, "/first/a", &["Bearer opaque"]).await.expect(401);
    assert_eq!(app.received().len(), 1);
}

#[tokio::test]
async fn a_websocket_that_a_token_opened_is_closed_when_the_token_ends() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    app.answer(|_| Answer::WebSocketEcho);
    let asked = format!("introspection_endpoint = \"{}/token\"\n", rogue.issuer());
    let config = rogue.table("school", &asked) + &world.app("lms", &app) + RULES;
    let gateway = world.start(&config).await.ready().await;
    let end = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() + 3;
    let told = json!({"active": true, "sub": "anna", "aud": "lms", "scope": "read", "exp": end});
    rogue.replace(Endpoint::Token, Answer::json(&told));
    let (url, own) = (gateway.url("/api/live"), gateway.url(""));
    let mut socket = Socket::with(&Browser::new(), &url, Some(&own), "Authorization: Bearer good\r\n").await;
    assert_eq!(socket.status(), "101");
    socket.echo("in time").await;
    socket.end().await;
}
