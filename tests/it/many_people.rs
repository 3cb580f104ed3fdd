//! Many people, apps and providers at once, and nobody is taken for somebody else.

use serde_json::json;

use crate::world::{Answer, Ask, Browser, Engine, Rogue, Server, World};

#[tokio::test]
async fn people_who_sign_in_and_work_at_the_same_moment_are_never_mixed_up() {
    let (gateway, app) = World::behind(&Engine::trusted(), "").await;
    app.answer(|request| Answer::text(&request.header("x-auth-email").unwrap_or_else(|| "nobody".into())));
    let people: Vec<_> = (0..12)
        .map(|number| {
            let login = if number % 2 == 0 { "ivanov" } else { "petrova" };
            let url = gateway.url("/");
            tokio::spawn(async move {
                let browser = Browser::new();
                let own = format!("{login}@school.example");
                assert_eq!(browser.sign_in(&url, login).await.expect(200).text(), own);
                for _ in 0..30 {
                    assert_eq!(browser.get(&url).await.expect(200).text(), own);
                }
            })
        })
        .collect();
    for person in people {
        person.await.unwrap();
    }
}

/// Two apps below one host. Nobody may enter the second one.
async fn neighbours() -> (crate::world::Gateway, Rogue, Server, Server) {
    let (world, rogue) = (World::new(), Rogue::start().await);
    let (first, second) = (Server::start().await, Server::start().await);
    let config = rogue.table("rogue", "")
        + &world.app_at("a", &format!("{}/a", world.origin()), &first.origin())
        + &world.app_at("b", &format!("{}/b", world.origin()), &second.origin())
        + "[[apps.b.rules]]\npaths = [\"/*\"]\nallow = 'claims.sub == \"root\"'\n";
    (world.start(&config).await, rogue, first, second)
}

#[tokio::test]
async fn the_rules_of_each_app_below_one_host_hold_for_who_signed_in_at_the_other() {
    let (gateway, rogue, first, second) = neighbours().await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/a/x")).await.expect(200);
    assert_eq!(first.last().target(), "/a/x");
    browser.fetch(&gateway.url("/b/x")).await.expect(403);
    assert!(second.received().is_empty());
    rogue.person(json!({"sub": "root"}));
    browser.visit(&gateway.url("/b/_sso/sign-in?return_to=/b/y")).await.expect(200);
    assert_eq!(second.last().target(), "/b/y");
}

#[tokio::test]
async fn a_login_begun_for_one_provider_cannot_be_finished_at_another() {
    let (world, one, two) = (World::new(), Rogue::start().await, Rogue::start().await);
    let app = Server::start().await;
    let config = one.table("one", "")
        + &two.table("two", "")
        + &world.app_at("a", "http://a.localhost:4180", &app.origin())
        + "provider = \"one\"\n"
        + &world.app_at("b", "http://b.localhost:4180", &app.origin())
        + "provider = \"two\"\n";
    let gateway = world.start(&config).await;
    let browser = Browser::new();
    for host in ["a.localhost", "b.localhost"] {
        browser.knows(host, gateway.address().ip());
    }
    let login = browser.get("http://a.localhost:4180/x").await.expect(302);
    let back = browser.get(login.location().as_str()).await.expect(302);
    // Whatever an attacker can do with cookies, the login belongs to its own origin.
    for cookie in browser.cookies() {
        browser.plant("b.localhost", &cookie.name, &cookie.value);
    }
    let crossed = back.location().as_str().replace("a.localhost", "b.localhost");
    browser.get(&crossed).await.expect(400);
    assert!(one.asked("/token").is_empty() && two.asked("/token").is_empty());
    browser.fetch("http://b.localhost:4180/x").await.expect(401);
    assert!(app.received().is_empty());
}

#[tokio::test]
async fn the_apps_below_one_host_keep_their_paths_apart() {
    let (gateway, _rogue, first, second) = neighbours().await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/a/x")).await.expect(200);
    for target in
        ["/a/../b/x", "/a/%2e%2e/b/x", "/a/..%2fb/x", "/a%2f../b/x", "/a;/x", "/A/x", "//a/x", "/a/..;/b/x"]
    {
        let response = browser.send(Ask::script("GET", &gateway.url("/")).target(target)).await;
        assert!(matches!(response.status, 400 | 401 | 404 | 421), "{target}: {response:?}");
    }
    assert!(second.received().is_empty());
    assert_eq!(first.received().len(), 1);
    let stranger = Browser::new();
    for target in ["/ab/x", "/a", "/_sso/session"] {
        let response = stranger.send(Ask::script("GET", &gateway.url("/")).target(target)).await;
        assert!(matches!(response.status, 401 | 404 | 421), "{target}: {response:?}");
    }
}

#[tokio::test]
async fn our_own_endpoints_cannot_be_used_to_slip_past_the_rules() {
    let (gateway, _rogue, app) = World::with_rogue("").await;
    for target in [
        "/_sso/../secret",
        "/_sso/%2e%2e/secret",
        "/_sso/..%2fsecret",
        "/_sso/..;/secret",
        "/_sso%2f..%2fsecret",
        "/_SSO/session",
        "/_sso;/secret",
        "/_sso//..//secret",
        "/x/../_sso/session",
        "/_sso/session/../../secret",
        "/_sso/sign-in/../../secret",
        "/_ss%6f/session",
        "/_sso/sessio%6e",
    ] {
        let response = Browser::new().send(Ask::script("GET", &gateway.url("/")).target(target)).await;
        assert!(response.status >= 400, "{target}: {response:?}");
    }
    assert!(app.received().is_empty());
}

#[tokio::test]
async fn another_site_learns_nothing_of_who_is_signed_in() {
    let (gateway, _rogue, _app) = World::with_rogue("").await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    let ask = Ask::script("GET", &gateway.url("/_sso/session"))
        .instead("Sec-Fetch-Site", "cross-site")
        .header("Origin", "https://evil.example");
    let response = browser.send(ask).await;
    assert_eq!(response.header("access-control-allow-origin"), None);
    assert_eq!(response.header("x-content-type-options").as_deref(), Some("nosniff"));
    let preflight = Ask::new("OPTIONS", &gateway.url("/_sso/session"))
        .header("Origin", "https://evil.example")
        .header("Access-Control-Request-Method", "GET");
    let response = browser.send(preflight).await;
    assert_eq!(response.header("access-control-allow-origin"), None);
}
