//! The provider's page says in a hidden frame whose session there is over.

use serde_json::json;

use crate::world::browser::Response;
use crate::world::{Ask, Browser, Gateway, Rogue, Server, World};

/// What a hidden frame of the provider's page asks for: browsers withhold cookies from it.
async fn framed(gateway: &Gateway, pairs: &[(&str, &str)]) -> Response {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let ask = Ask::navigation(&gateway.url(&format!("/_sso/frontchannel-logout?{query}")))
        .instead("Sec-Fetch-Dest", "iframe")
        .instead("Sec-Fetch-Site", "cross-site");
    Browser::new().send(ask).await
}

async fn is_in(browser: &Browser, gateway: &Gateway) -> bool {
    browser.fetch(&gateway.url("/_sso/session")).await.status == 200
}

async fn signed_in(gateway: &Gateway, rogue: &Rogue, sid: &str) -> Browser {
    rogue.session(sid);
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    browser
}

#[tokio::test]
async fn issuer_and_session_end_that_session_without_a_cookie_and_without_a_script() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    let (one, other) = (signed_in(&gateway, &rogue, "one").await, signed_in(&gateway, &rogue, "two").await);
    let page = framed(&gateway, &[("iss", rogue.issuer()), ("sid", "one")]).await.expect(200);
    assert!(!is_in(&one, &gateway).await && is_in(&other, &gateway).await);
    assert_eq!(page.header("cache-control").as_deref(), Some("no-store"));
    let policy = page.header("content-security-policy").unwrap();
    let origin = url::Url::parse(rogue.issuer()).unwrap().origin().ascii_serialization();
    assert_eq!(policy.rsplit("; ").next().unwrap(), format!("frame-ancestors {origin}"));
    assert!(policy.starts_with("default-src 'none'") && !page.text().contains("script"), "{page:?}");
    let nothing = framed(&gateway, &[("iss", rogue.issuer()), ("sid", "nothing of the kind")]).await;
    let shown = |page: &Response| {
        (page.status, page.text(), page.header("content-security-policy"), page.header("set-cookie"))
    };
    assert_eq!(shown(&page), shown(&nothing), "whatever was found");
    let log = gateway.logs("provider_sign_out").await;
    assert!(log.contains("sessions=1"), "{log}");
}

#[tokio::test]
async fn nothing_happens_unless_both_are_there_once_and_both_are_right() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    let browser = signed_in(&gateway, &rogue, "one").await;
    let (iss, slash) = (rogue.issuer(), format!("{}/", rogue.issuer()));
    let long = "x".repeat(600);
    for pairs in [
        &[][..],
        &[("iss", iss)],
        &[("sid", "one")],
        &[("iss", iss), ("sid", "")],
        &[("iss", ""), ("sid", "one")],
        &[("iss", "https://evil.example"), ("sid", "one")],
        &[("iss", &slash), ("sid", "one")],
        &[("iss", iss), ("iss", iss), ("sid", "one")],
        &[("iss", iss), ("sid", "one"), ("sid", "one")],
        &[("iss", iss), ("sid", &long)],
        &[("iss", iss), ("sid", "One")],
        &[("iss", iss), ("sub", "u-1")],
    ] {
        framed(&gateway, pairs).await.expect(200);
        assert!(is_in(&browser, &gateway).await, "{pairs:?}");
    }
    for method in ["POST", "HEAD", "PUT"] {
        let url = gateway.url(&format!("/_sso/frontchannel-logout?iss={iss}&sid=one"));
        let refused = Browser::new().send(Ask::new(method, &url)).await.expect(405);
        assert_eq!(refused.header("allow").as_deref(), Some("GET"), "{method}");
    }
    assert!(is_in(&browser, &gateway).await);
}

#[tokio::test]
async fn a_cookie_that_comes_along_goes_with_its_session_and_no_other_does() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    let browser = signed_in(&gateway, &rogue, "one").await;
    let url = |sid: &str| gateway.url(&format!("/_sso/frontchannel-logout?iss={}&sid={sid}", rogue.issuer()));
    let before = browser.cookies().len();
    browser.get(&url("two")).await.expect(200);
    assert_eq!(browser.cookies().len(), before);
    assert!(is_in(&browser, &gateway).await);
    let page = browser.get(&url("one")).await.expect(200);
    assert!(page.header("set-cookie").unwrap().contains("Max-Age=0"), "{page:?}");
    assert!(!is_in(&browser, &gateway).await);
}

#[tokio::test]
async fn with_the_cookie_store_a_session_ends_where_its_cookie_comes() {
    let (gateway, rogue, _app) = World::with_rogue("[session]\nstore = \"cookie\"\n").await;
    let browser = signed_in(&gateway, &rogue, "one").await;
    let thief = browser.copy();
    framed(&gateway, &[("iss", rogue.issuer()), ("sid", "one")]).await.expect(200);
    assert!(is_in(&browser, &gateway).await, "it can't be found");
    let query = format!("iss={}&sid=one", rogue.issuer());
    browser.get(&gateway.url(&format!("/_sso/frontchannel-logout?{query}"))).await.expect(200);
    assert!(!is_in(&browser, &gateway).await && !is_in(&thief, &gateway).await);
}

#[tokio::test]
async fn only_pages_of_the_apps_own_providers_may_have_it_in_a_frame() {
    let (world, app) = (World::new(), Server::start().await);
    let (first, second) = (Rogue::start().await, Rogue::start().await);
    second.bend_discovery(|document| document["end_session_endpoint"] = json!("http://localhost:1/bye"));
    let tables = first.table("first", "") + &second.table("second", "");
    let gateway = world.clone().start(&(tables + &world.app("lms", &app))).await.ready().await;
    // Each provider is asked by itself, and one is asked after the other is there.
    let waited = std::time::Instant::now();
    let policy = loop {
        let page = framed(&gateway, &[]).await.expect(200);
        let policy = page.header("content-security-policy").unwrap();
        if policy.contains("localhost") || waited.elapsed() > crate::world::wire::PATIENCE {
            break policy;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let ancestors: Vec<&str> = policy.split("frame-ancestors ").nth(1).unwrap().split(' ').collect();
    assert_eq!(ancestors.len(), 3, "{policy}");
    for origin in [first.issuer(), second.issuer(), "http://localhost:1"] {
        assert!(ancestors.contains(&origin), "{origin}: {policy}");
    }
}
