//! A login that a portal asks for: OpenID Connect Core 1.0 section 4.

use serde_json::json;

use crate::world::{Ask, Browser, Gateway, Rogue, Server, World};

/// A gateway in front of one app and between two providers.
async fn portal() -> (Gateway, [Rogue; 2], Server) {
    let (world, app) = (World::new(), Server::start().await);
    let rogues = [Rogue::start().await, Rogue::start().await];
    let config = rogues[0].table("first", "") + &rogues[1].table("second", "") + &world.app("lms", &app);
    (world.start(&config).await.ready().await, rogues, app)
}

fn encoded(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// What a portal's link or form sends the browser to.
fn asks(gateway: &Gateway, method: &str, pairs: &[(&str, &str)]) -> Ask {
    match method {
        "GET" => Ask::navigation(&gateway.url(&format!("/_sso/initiate?{}", encoded(pairs))))
            .instead("Sec-Fetch-Site", "cross-site"),
        _ => Ask::new(method, &gateway.url("/_sso/initiate"))
            .header("Accept", "text/html")
            .header("Sec-Fetch-Mode", "navigate")
            .header("Sec-Fetch-Site", "cross-site")
            .header("Origin", "https://portal.example")
            .body("application/x-www-form-urlencoded", encoded(pairs)),
    }
}

#[tokio::test]
async fn a_portal_begins_a_login_with_its_provider_by_get_and_by_post_and_ends_on_its_target() {
    let (gateway, [_first, second], app) = portal().await;
    for (method, status) in [("GET", 302), ("POST", 303)] {
        let target = gateway.url("/courses?id=1");
        let pairs = [
            ("iss", second.issuer()),
            ("login_hint", "анна@school.example"),
            ("target_link_uri", &target),
            ("lti_message_hint", "x"),
        ];
        let browser = Browser::new();
        let sent = browser.send(asks(&gateway, method, &pairs)).await.expect(status);
        assert!(sent.location().as_str().starts_with(second.issuer()), "{sent:?}");
        assert_eq!(sent.location_param("login_hint").as_deref(), Some("анна@school.example"));
        assert_eq!(sent.location_param("redirect_uri"), Some(gateway.url("/_sso/callback/second")));
        assert_eq!(sent.location_param("lti_message_hint"), None);
        browser.follow(sent).await.expect(200);
        assert_eq!(app.last().target(), "/courses?id=1");
        let session = browser.fetch(&gateway.url("/_sso/session")).await.expect(200).json();
        assert_eq!(session["provider"], "second");
    }
}

#[tokio::test]
async fn without_a_target_the_login_ends_on_the_front_page_and_without_a_hint_none_is_sent() {
    let (gateway, [first, _second], app) = portal().await;
    let browser = Browser::new();
    let sent =
        browser.send(asks(&gateway, "GET", &[("iss", first.issuer()), ("login_hint", "")])).await.expect(302);
    assert_eq!(sent.location_param("login_hint"), None);
    browser.follow(sent).await.expect(200);
    assert_eq!(app.last().target(), "/");
}

#[tokio::test]
async fn an_issuer_that_is_no_providers_byte_for_byte_is_refused() {
    let (gateway, [first, second], _app) = portal().await;
    let issuer = first.issuer().to_owned();
    let slash = format!("{issuer}/");
    let space = format!(" {issuer}");
    let upper = issuer.to_uppercase();
    let twice = [("iss", issuer.as_str()), ("iss", issuer.as_str())];
    for pairs in [
        &[("iss", slash.as_str())][..],
        &[("iss", &space)],
        &[("iss", &upper)],
        &[("iss", "https://evil.example")],
        &[("iss", "first")],
        &[("iss", "")],
        &[("login_hint", "anna")],
        &twice,
    ] {
        for method in ["GET", "POST"] {
            let page = Browser::new().send(asks(&gateway, method, pairs)).await;
            assert_eq!(page.status, 400, "{method} {pairs:?}: {page:?}");
            assert_eq!(page.header("content-type").as_deref(), Some("text/html; charset=utf-8"));
            assert!(page.headers.all("set-cookie").is_empty());
        }
    }
    for rogue in [&first, &second] {
        assert!(rogue.asked("/authorize").is_empty());
    }
}

#[tokio::test]
async fn a_target_that_is_no_page_of_this_app_is_refused() {
    let (gateway, [first, _second], _app) = portal().await;
    let target = |target: &str| {
        [("iss".to_owned(), first.issuer().to_owned()), ("target_link_uri".into(), target.into())]
    };
    for wanted in [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "javascript:alert(1)",
        "https://evil.example@127.0.0.1/",
        "course",
        "",
        &gateway.url("/_sso/sign-out"),
        &gateway.url("/_sso/nothing"),
        &gateway.url("/_sso/callback?code=x"),
    ] {
        let pairs = target(wanted);
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (&**name, &**value)).collect();
        let page = Browser::new().send(asks(&gateway, "GET", &pairs)).await;
        assert_eq!(page.status, 400, "{wanted}: {page:?}");
    }
    let twice = [("iss", first.issuer()), ("target_link_uri", "/a"), ("target_link_uri", "/b")];
    Browser::new().send(asks(&gateway, "GET", &twice)).await.expect(400);
}

#[tokio::test]
async fn a_person_who_is_signed_in_signs_in_anew() {
    let (gateway, [first, _second], _app) = portal().await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/_sso/sign-in?provider=first")).await.expect(200);
    let old = browser.copy();
    first.person(json!({"sub": "u-2"}));
    let sent = browser.send(asks(&gateway, "GET", &[("iss", first.issuer())])).await.expect(302);
    browser.follow(sent).await.expect(200);
    let session = browser.fetch(&gateway.url("/_sso/session")).await.expect(200).json();
    assert_eq!(session["sub"], "u-2");
    old.fetch(&gateway.url("/_sso/session")).await.expect(401);
}

#[tokio::test]
async fn a_script_a_prefetch_and_another_method_begin_nothing() {
    let (gateway, [first, _second], _app) = portal().await;
    let pairs = [("iss", first.issuer())];
    let url = gateway.url(&format!("/_sso/initiate?{}", encoded(&pairs)));
    Browser::new().fetch(&url).await.expect(401);
    let ahead = asks(&gateway, "GET", &pairs).header("Sec-Purpose", "prefetch;prerender");
    Browser::new().send(ahead).await.expect(401);
    let page = Browser::new().send(asks(&gateway, "PUT", &pairs)).await.expect(405);
    assert_eq!(page.header("allow").as_deref(), Some("GET, POST"));
    let large = "x".repeat(20_000);
    Browser::new().send(asks(&gateway, "POST", &[("iss", first.issuer()), ("x", &large)])).await.expect(400);
    assert!(first.asked("/authorize").is_empty());
}

#[tokio::test]
async fn an_app_with_one_provider_is_initiated_all_the_same() {
    let (gateway, rogue, app) = World::with_rogue("").await;
    let browser = Browser::new();
    let sent = browser
        .send(asks(&gateway, "GET", &[("iss", rogue.issuer()), ("target_link_uri", "/courses")]))
        .await
        .expect(302);
    assert_eq!(sent.location_param("redirect_uri"), Some(gateway.url("/_sso/callback")));
    browser.follow(sent).await.expect(200);
    assert_eq!(app.last().target(), "/courses");
}

#[tokio::test]
async fn a_provider_without_an_issuer_is_not_meant_by_an_empty_iss() {
    let (world, app) = (World::new(), Server::start().await);
    let nameless = "[providers.base]\nprotocol = \"oauth2\"\nclient_id = \"lms\"\nclient_secret = \"s\"\n\
                    authorization_endpoint = \"https://id.example/auth\"\n\
                    token_endpoint = \"https://id.example/token\"\n\
                    userinfo_endpoint = \"https://id.example/me\"\n";
    let config = nameless.to_owned() + &world.app("lms", &app);
    let gateway = world.start(&config).await.ready().await;
    Browser::new().send(asks(&gateway, "GET", &[("iss", "")])).await.expect(400);
    Browser::new().get(&gateway.url("/")).await.expect(302);
}
