//! Sign-ins that lead nowhere end in a page that says why, after three rounds at most.

use serde_json::json;

use crate::world::chromium::Chromium;
use crate::world::{Answer, Ask, Browser, Gateway, Rogue, World};

/// The browser keeps all cookies but the session's.
fn is_session(name: &str) -> bool {
    !name.contains("-login-")
}

fn mark(browser: &Browser) -> Option<String> {
    let mark = browser.cookies().into_iter().find(|cookie| cookie.name.ends_with("-login-rounds"));
    mark.map(|cookie| cookie.value)
}

/// Visits, and gives the page that ends it and how often the provider was asked.
async fn goes_round(browser: &Browser, gateway: &Gateway, rogue: &Rogue) -> (String, usize) {
    let before = rogue.asked("/authorize").len();
    let page = browser.visit(&gateway.url("/course")).await.expect(400);
    (page.text(), rogue.asked("/authorize").len() - before)
}

#[tokio::test]
async fn a_session_cookie_that_never_comes_back_ends_in_a_page_after_three_sign_ins() {
    let (gateway, rogue, app) = World::with_rogue("").await;
    let browser = Browser::new().refusing(is_session);
    let (page, rounds) = goes_round(&browser, &gateway, &rogue).await;
    assert_eq!(rounds, 3);
    assert!(page.contains("did not keep the cookie that would keep you signed in"), "{page}");
    assert!(page.contains("/_sso/sign-in?return_to=%2Fcourse"), "{page}");
    let log = gateway.logs("session-cookie-lost").await;
    let line = log.lines().find(|line| line.contains("session-cookie-lost")).unwrap();
    assert!(line.contains("did not come back") && line.contains("blocks this cookie"), "{line}");
    assert!(app.received().is_empty());
    let metrics = gateway.ask_admin("/metrics").await.text();
    assert!(
        metrics.lines().any(|line| line.contains("session-cookie-lost") && line.ends_with(" 1")),
        "{metrics}"
    );

    // Whoever tries again is given as many rounds again, and who then keeps the cookie is in.
    assert_eq!(mark(&browser), None);
    assert_eq!(goes_round(&browser, &gateway, &rogue).await.1, 3);
    browser.refusing(|_| false).visit(&gateway.url("/course")).await.expect(200);
    let browser = Browser::new().refusing(is_session);
    let russian = browser.reading("ru").visit(&gateway.url("/")).await.expect(400).text();
    assert!(russian.contains("браузер не сохраняет cookie, по которому мы вас узнаём"), "{russian}");
}

#[tokio::test]
async fn a_browser_without_any_cookies_is_told_so_after_one_sign_in() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    let browser = Browser::new().refusing(|_| true);
    let (page, rounds) = goes_round(&browser, &gateway, &rogue).await;
    assert_eq!(rounds, 1);
    assert!(page.contains("did not keep the cookie that signing in needs"), "{page}");
    assert!(!page.contains("http-equiv"), "nothing is tried by itself: {page}");
    let log = gateway.logs("no-cookies").await;
    assert!(log.lines().any(|line| line.contains("no-cookies") && line.contains("blocks cookies")), "{log}");
}

#[tokio::test]
async fn a_proxy_that_says_that_the_browser_came_without_tls_is_believed_about_that() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, crate::world::Server::start().await);
    let port = world.address().port();
    let url = format!("https://lms.school.localhost:{port}");
    let config = "[server]\ntrusted_proxies = [\"127.0.0.0/8\"]\n".to_owned()
        + &rogue.table("rogue", "")
        + &world.app_at("lms", &url, &app.origin());
    let gateway = world.start(&config).await;
    let browser = Browser::new();
    browser.knows("lms.school.localhost", gateway.address().ip());
    let plain = |target: &str, scheme: &str| {
        Ask::navigation(&format!("http://lms.school.localhost:{port}{target}"))
            .header("X-Forwarded-Proto", scheme)
    };
    let begun = browser.send(plain("/", "http")).await.expect(302);
    let back = Browser::new().get(begun.location().as_str()).await.expect(302).location();
    let callback = format!("{}?{}", back.path(), back.query().unwrap());
    // As browsers do it: cookies that are `Secure` are not kept over http.
    let page = browser.fresh().send(plain(&callback, "http").without_cookies()).await.expect(400).text();
    assert!(page.contains("opened without encryption"), "{page}");
    let page = browser.send(plain(&callback, "https").without_cookies()).await.expect(400).text();
    assert!(page.contains("did not keep the cookie that signing in needs"), "{page}");
    gateway.logs("cookies-need-https").await;
}

#[tokio::test]
async fn a_session_of_which_a_piece_is_lost_is_too_large_for_the_browser() {
    let (gateway, rogue, _app) = World::with_rogue("[session]\nstore = \"cookie\"\n").await;
    let groups: Vec<String> = (0..400).map(|_| crate::world::keys::random()).collect();
    rogue.person(json!({"sub": "u-1", "groups": groups}));
    for refuses in [(|name: &str| name.ends_with(".1")) as fn(&str) -> bool, is_session] {
        let browser = Browser::new().refusing(refuses);
        let (page, rounds) = goes_round(&browser, &gateway, &rogue).await;
        assert_eq!(rounds, 3);
        assert!(page.contains("too large for your browser"), "{page}");
    }
    let log = gateway.logs("session-cookie-too-large").await;
    assert!(log.contains("session.store"), "{log}");
}

#[tokio::test]
async fn a_cookie_that_comes_back_and_names_no_session_is_told_from_one_that_does_not() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    // As with two gateways that have keys or stores of their own.
    let browser = Browser::new().refusing(is_session);
    browser.plant(&gateway.address().ip().to_string(), "vestibule-4180", "AAAA");
    let (page, rounds) = goes_round(&browser, &gateway, &rogue).await;
    assert_eq!(rounds, 3);
    assert!(page.contains("could not find your session"), "{page}");
    let log = gateway.logs("session-unknown").await;
    assert!(log.contains("same session.keys"), "{log}");
}

#[tokio::test]
async fn a_second_cookie_of_the_same_name_that_cannot_be_deleted_is_named() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    let browser = Browser::new();
    browser.plant_below(&gateway.address().ip().to_string(), "/course", "vestibule-4180", "AAAA");
    let (page, rounds) = goes_round(&browser, &gateway, &rogue).await;
    assert_eq!(rounds, 3);
    assert!(page.contains("two cookies of one name"), "{page}");
    gateway.logs("session-cookie-twice").await;
}

#[tokio::test]
async fn a_cookie_for_a_domain_that_the_browser_refuses_is_named() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, crate::world::Server::start().await);
    let host = "lms.school.localhost";
    let url = format!("http://{host}:{}", world.address().port());
    let config = rogue.table("rogue", "")
        + &world.app_at("lms", &url, &app.origin())
        + "[session.cookie]\ndomain = \"school.localhost\"\n";
    let gateway = world.start(&config).await;
    let browser = Browser::new().refusing(is_session);
    browser.knows(host, gateway.address().ip());
    let page = browser.visit(&format!("{url}/course")).await.expect(400).text();
    assert_eq!(rogue.asked("/authorize").len(), 3);
    assert!(page.contains("meant for other addresses"), "{page}");
    let log = gateway.logs("session-cookie-domain").await;
    assert!(log.contains("session.cookie.domain"), "{log}");
}

#[tokio::test]
async fn an_app_that_sends_people_to_sign_in_who_are_signed_in_is_told_apart() {
    let (gateway, rogue, app) = World::with_rogue("").await;
    app.answer(|_| Answer::redirect(302, "/_sso/sign-in?return_to=/course"));
    let browser = Browser::new();
    let (page, rounds) = goes_round(&browser, &gateway, &rogue).await;
    assert_eq!(rounds, 3);
    assert!(page.contains("You are signed in already"), "{page}");
    let log = gateway.logs("app-asks-again").await;
    assert!(log.contains("read the identity headers"), "{log}");
    // It is the app's fault: the session stands.
    browser.fetch(&gateway.url("/_sso/session")).await.expect(200);
}

#[tokio::test]
async fn whoever_is_signed_in_carries_no_mark_and_no_answer_sets_one() {
    let (gateway, _rogue, _app) = World::with_rogue("").await;
    let browser = Browser::new();
    let begun = browser.get(&gateway.url("/")).await.expect(302);
    let back = browser.get(begun.location().as_str()).await.expect(302);
    let landed = browser.get(back.location().as_str()).await.expect(302);
    assert!(mark(&browser).unwrap().starts_with("1.0."), "{landed:?}");
    let first = browser.get(landed.location().as_str()).await.expect(200);
    assert_eq!(first.headers.all("set-cookie").len(), 1, "{first:?}");
    assert_eq!(mark(&browser), None);
    for path in ["/", "/a", "/_sso/session"] {
        assert!(browser.get(&gateway.url(path)).await.headers.all("set-cookie").is_empty());
    }
}

#[tokio::test]
async fn signing_in_and_out_again_and_again_is_nobodys_loop() {
    for lines in ["", "[session.cookie]\nsame_site = \"strict\"\n", "[session]\nstore = \"cookie\"\n"] {
        let (gateway, rogue, _app) = World::with_rogue(lines).await;
        let browser = Browser::new();
        for _ in 0..5 {
            browser.visit(&gateway.url("/")).await.expect(200);
            let leave =
                Ask::navigation(&gateway.url("/_sso/sign-out")).instead("Sec-Fetch-Site", "same-origin");
            assert!(browser.send(leave).await.is_redirect());
            assert_eq!(mark(&browser), None, "{lines}");
        }
        for _ in 0..5 {
            let other = "/_sso/sign-in?prompt=login";
            let link = Ask::navigation(&gateway.url(other)).instead("Sec-Fetch-Site", "same-origin");
            let begun = browser.send(link).await;
            browser.follow(begun).await.expect(200);
        }
        assert_eq!(rogue.asked("/authorize").len(), 10, "{lines}");
    }
}

#[tokio::test]
async fn many_tabs_that_sign_in_at_once_are_nobodys_loop() {
    let (gateway, _rogue, _app) = World::with_rogue("").await;
    let browser = Browser::new();
    let mut begun = Vec::new();
    for tab in 0..5 {
        begun.push(browser.get(&gateway.url(&format!("/{tab}"))).await.expect(302));
    }
    for tab in begun {
        browser.follow(tab).await.expect(200);
    }
    browser.get(&gateway.url("/")).await.expect(200);
    assert_eq!(mark(&browser), None);
}

#[tokio::test]
async fn a_session_that_comes_back_by_another_proxys_question_has_come_back() {
    let (gateway, _rogue, _app) = World::with_rogue("[server]\ntrusted_proxies = [\"127.0.0.0/8\"]\n").await;
    let browser = Browser::new();
    let begun = browser.get(&gateway.url("/_sso/sign-in")).await.expect(302);
    let back = browser.get(begun.location().as_str()).await.expect(302);
    browser.get(back.location().as_str()).await.expect(302);
    assert!(mark(&browser).is_some());
    let question = Ask::navigation(&gateway.url("/_sso/verify"))
        .header("X-Forwarded-Method", "GET")
        .header("X-Forwarded-Proto", "http")
        .header("X-Forwarded-Host", gateway.address().to_string())
        .header("X-Forwarded-Uri", "/course");
    browser.send(question.clone()).await.expect(200);
    assert_eq!(mark(&browser), None);
    assert!(browser.send(question).await.expect(200).headers.all("set-cookie").is_empty());
}

#[tokio::test]
async fn chromium_that_blocks_cookies_shows_the_page() {
    let (gateway, rogue, app) = World::with_rogue("").await;
    let blocked = json!({"profile.default_content_setting_values.cookies": 2});
    let chromium = Chromium::with("ru-RU", &[], blocked).await;
    chromium.goto(&gateway.url("/course")).await;
    chromium.reads("Браузер не сохранил cookie, без которых войти нельзя.").await;
    chromium.picture("loop-cookies-blocked").await;
    assert!(rogue.asked("/authorize").len() <= 3);
    // Once more, by hand, and nothing else than before.
    chromium.press("a.button").await;
    chromium.reads("Браузер не сохранил cookie, без которых войти нельзя.").await;
    assert!(app.received().is_empty());
    chromium.close().await;
}

#[tokio::test]
async fn chromium_shows_the_page_when_the_session_alone_does_not_come_back() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    let chromium = Chromium::open().await;
    // A cookie of the same name that another path of this host set: browsers send both.
    chromium.goto(&gateway.url("/_sso/signed-out")).await;
    let planted = "document.cookie = 'vestibule-4180=AAAA; path=/course'; return document.cookie;";
    chromium.run(planted).await;
    chromium.goto(&gateway.url("/course/7")).await;
    chromium.reads("два cookie этого сайта с одним именем").await;
    assert_eq!(rogue.asked("/authorize").len(), 3);
    chromium.picture("loop-cookie-twice").await;
    chromium.close().await;
}
