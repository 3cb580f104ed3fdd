//! Sign-out at an app's own address, and the app's cookies when another person comes.

use serde_json::json;

use crate::world::browser::Response;
use crate::world::{Answer, Ask, Browser, Gateway, Server, World};

const PATHS: &str = "[[apps.lms.rules]]\npaths = [\"/open/*\"]\naccess = \"public\"\n\
    [apps.lms.logout]\npaths = [\"/logout\", \"/login/logout.php\"]\n";

/// An app whose sign-out addresses answer so; every other page sets its session cookie.
pub fn answers(app: &Server, answer: impl Fn() -> Answer + Send + Sync + 'static) {
    app.answer(move |request| match request.path() {
        "/logout" | "/login/logout.php" => answer(),
        _ => Answer::text("hello").with("Set-Cookie", "sid=x; Path=/"),
    });
}

/// A person who is signed in, here and in the app.
pub async fn signed_in(gateway: &Gateway) -> Browser {
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    browser
}

/// Goes there by a link, or by a form, on a page of the app's own.
pub fn by_link(gateway: &Gateway, method: &str, path: &str) -> Ask {
    let ask = Ask::new(method, &gateway.url(path))
        .header("Accept", "text/html")
        .header("Sec-Fetch-Mode", "navigate")
        .header("Sec-Fetch-Dest", "document")
        .header("Sec-Fetch-Site", "same-origin")
        .header("Referer", gateway.url("/"));
    if method == "POST" {
        ask.header("Origin", gateway.world.origin()).header("Content-Length", "0")
    } else {
        ask
    }
}

pub async fn leave(browser: &Browser, gateway: &Gateway, method: &str) -> Response {
    browser.send(by_link(gateway, method, "/logout")).await
}

async fn is_in(browser: &Browser, gateway: &Gateway) {
    browser.fetch(&gateway.url("/_sso/session")).await.expect(200);
}

pub async fn is_out(browser: &Browser, gateway: &Gateway) {
    browser.fetch(&gateway.url("/_sso/session")).await.expect(401);
}

fn cookie(browser: &Browser, name: &str) -> Option<String> {
    browser.cookies().into_iter().find(|cookie| cookie.name == name).map(|cookie| cookie.value)
}

#[tokio::test]
async fn the_app_answers_first_and_then_the_session_ends_here_and_at_the_provider() {
    let (gateway, rogue, app) = World::with_rogue(PATHS).await;
    answers(&app, || {
        Answer::redirect(302, "/login")
            .with("Set-Cookie", "sid=; Max-Age=0; Path=/")
            .with("Set-Cookie", "seen=1; Path=/")
    });
    for (method, status) in [("GET", 302), ("POST", 303)] {
        let browser = signed_in(&gateway).await;
        assert_eq!(cookie(&browser, "sid").as_deref(), Some("x"));
        let thief = browser.copy();
        app.forget();
        let leaving = leave(&browser, &gateway, method).await.expect(status);
        let asked = app.last();
        assert_eq!((asked.method(), asked.target()), (method, "/logout"));
        assert_eq!(asked.header("x-auth-sub").as_deref(), Some("u-1"), "{asked:?}");
        assert!(asked.header("cookie").is_some_and(|cookie| cookie == "sid=x"), "{asked:?}");
        assert_eq!(
            leaving.location().as_str().split('?').next().unwrap(),
            format!("{}/logout", rogue.issuer())
        );
        assert!(leaving.location_param("id_token_hint").is_some());
        assert!(leaving.body.is_empty(), "the app's page is not shown");
        // The app's cookies came through; its own and ours are gone.
        assert_eq!(cookie(&browser, "seen").as_deref(), Some("1"));
        assert_eq!(browser.cookies().len(), 1, "{:?}", browser.cookies());
        is_out(&thief, &gateway).await;
        let end = browser.follow(leaving).await.expect(200);
        assert_eq!(end.url.path(), "/_sso/signed-out", "a page that signs in again is no place to end");
    }
    let log = gateway.logs("signed out").await;
    assert!(log.contains("by=\"app\""), "{log}");
    let metrics = gateway.ask_admin("/metrics").await.text();
    assert!(
        metrics.contains("by=\"app\"} 2") || metrics.contains("by=\"app\",provider=\"rogue\"} 2"),
        "{metrics}"
    );
}

#[tokio::test]
async fn the_person_ends_where_the_app_says_when_that_is_open_and_where_the_operator_says_first() {
    let (gateway, _rogue, app) = World::with_rogue(PATHS).await;
    for (to, end) in [
        ("/open/bye?a=b", "/open/bye?a=b"),
        ("/", "/_sso/signed-out"),
        ("https://evil.example/open/x", "/_sso/signed-out"),
        ("//evil.example/open/x", "/_sso/signed-out"),
        ("/open/../", "/_sso/signed-out"),
    ] {
        answers(&app, move || Answer::redirect(302, to));
        let browser = signed_in(&gateway).await;
        let at = browser.follow(leave(&browser, &gateway, "GET").await).await.expect(200);
        let there = at.url[url::Position::BeforePath..].to_owned();
        assert!(there.starts_with(end), "{to}: {there}");
        is_out(&browser, &gateway).await;
    }
    let lines = format!("{PATHS}redirect = \"https://www.school.example/\"\n");
    let (gateway, _rogue, app) = World::with_rogue(&lines).await;
    answers(&app, || Answer::redirect(302, "/open/bye"));
    let browser = signed_in(&gateway).await;
    let mut at = leave(&browser, &gateway, "GET").await;
    while at.is_redirect() && at.location().host_str() != Some("www.school.example") {
        at = browser.get(at.location().as_str()).await;
    }
    assert_eq!(at.location().as_str(), "https://www.school.example/");
}

#[tokio::test]
async fn an_app_that_asks_first_or_refuses_keeps_its_person() {
    let (gateway, _rogue, app) = World::with_rogue(PATHS).await;
    let browser = signed_in(&gateway).await;
    for (what, method, answer) in [
        ("a question", "GET", Answer::of(200, "text/html", "Do you want to leave?")),
        ("a form that is not trusted", "POST", Answer::of(403, "text/html", "CSRF")),
        ("a token that is too old", "POST", Answer::of(422, "text/html", "again")),
        ("no such page", "GET", Answer::of(404, "text/html", "none")),
        ("another slash", "GET", Answer::redirect(301, "/logout/")),
        ("on to the question", "GET", Answer::redirect(302, "/login/logout.php")),
    ] {
        let (status, body) = match &answer {
            Answer::Plain(status, _, body) => (*status, body.clone()),
            _ => unreachable!(),
        };
        answers(&app, move || answer.clone());
        let got = leave(&browser, &gateway, method).await.expect(status);
        assert_eq!(got.body, body, "{what}");
        is_in(&browser, &gateway).await;
    }
    // A page after the sign-out, as JupyterHub's and Django's, takes a cookie away.
    answers(&app, || Answer::of(200, "text/html", "bye").with("Set-Cookie", "sid=; Max-Age=0; Path=/"));
    browser.visit(&gateway.url("/")).await.expect(200);
    leave(&browser, &gateway, "GET").await.expect(302);
    is_out(&browser, &gateway).await;
}

#[tokio::test]
async fn an_app_that_is_down_holds_nobody() {
    let lines = format!("{PATHS}clear_cookies = [\"sid\"]\n[apps.lms.timeouts]\nresponse = \"1s\"\n");
    for answer in [Answer::Close, Answer::Silence, Answer::of(503, "text/html", "down")] {
        let (gateway, rogue, app) = World::with_rogue(&lines).await;
        answers(&app, move || answer.clone());
        let browser = signed_in(&gateway).await;
        let leaving = leave(&browser, &gateway, "GET").await.expect(302);
        assert!(leaving.location().as_str().starts_with(rogue.issuer()), "{leaving:?}");
        is_out(&browser, &gateway).await;
        assert_eq!(cookie(&browser, "sid"), None, "the app could not take its cookie back, so we did");
    }
}

#[tokio::test]
async fn another_site_signs_nobody_out_at_the_apps_address() {
    let (gateway, _rogue, app) = World::with_rogue(PATHS).await;
    answers(&app, || Answer::redirect(302, "/login").with("Set-Cookie", "seen=1; Path=/"));
    let browser = signed_in(&gateway).await;
    let link = || by_link(&gateway, "GET", "/logout?sesskey=a%22b").instead("Sec-Fetch-Site", "cross-site");
    app.forget();
    let page = browser.send(link()).await.expect(200);
    assert!(app.received().is_empty(), "the app is not asked before the person is");
    is_in(&browser, &gateway).await;
    assert!(page.text().contains("/logout?sesskey=a%22b\""), "{}", page.text());
    assert!(page.header("content-security-policy").unwrap().contains("frame-ancestors 'none'"));
    // Pictures and scripts of theirs, and pictures on the app's own pages: the app sees to itself.
    for (mode, dest, site) in [
        ("no-cors", "image", "cross-site"),
        ("cors", "empty", "cross-site"),
        ("no-cors", "image", "same-origin"),
    ] {
        let ask = Ask::new("GET", &gateway.url("/logout"))
            .header("Sec-Fetch-Mode", mode)
            .header("Sec-Fetch-Dest", dest)
            .header("Sec-Fetch-Site", site);
        let cookies = browser.cookie_header(&url::Url::parse(&gateway.url("/")).unwrap()).unwrap();
        browser.send(ask.without_cookies().header("Cookie", cookies)).await.expect(302);
        is_in(&browser, &gateway).await;
    }
    // What a browser asks for in advance does not even reach the app.
    app.forget();
    for path in ["/logout", "/login/logout.php"] {
        let ask = by_link(&gateway, "GET", path).header("Sec-Purpose", "prefetch");
        browser.send(ask).await.expect(403);
    }
    assert!(app.received().is_empty());
    for method in ["HEAD", "OPTIONS", "DELETE"] {
        browser.send(by_link(&gateway, method, "/logout")).await.expect(302);
        is_in(&browser, &gateway).await;
    }
    // Who agrees goes there from our page.
    leave(&browser, &gateway, "GET").await.expect(302);
    is_out(&browser, &gateway).await;
}

#[tokio::test]
async fn a_path_with_two_readings_does_not_slip_past() {
    let (gateway, _rogue, app) = World::with_rogue(PATHS).await;
    answers(&app, || Answer::redirect(302, "/login"));
    let browser = signed_in(&gateway).await;
    app.forget();
    for target in [
        "/Logout",
        "/x/..%2flogout",
        "/x/../logout",
        "//logout",
        "/logout;a",
        "/l%6fgout",
        "/login%2flogout.php",
    ] {
        let ask = by_link(&gateway, "GET", "/").target(target);
        browser.send(ask).await.expect(400);
        is_in(&browser, &gateway).await;
    }
    assert!(app.received().is_empty(), "{:?}", app.received());
}

#[tokio::test]
async fn a_script_gets_the_apps_answer_and_where_to_go_on() {
    let (gateway, _rogue, app) = World::with_rogue(PATHS).await;
    answers(&app, || {
        Answer::json(&json!({"left": true}))
            .with("Set-Cookie", "sid=; Max-Age=0; Path=/")
            .with("Cache-Control", "max-age=60")
    });
    let browser = signed_in(&gateway).await;
    let thief = browser.copy();
    let ask = Ask::script("POST", &gateway.url("/logout")).header("Content-Length", "0");
    let answer = browser.send(ask).await.expect(200);
    assert_eq!(answer.json(), json!({"left": true}));
    assert_eq!(answer.header("vestibule-sign-out"), Some(gateway.url("/_sso/sign-out")));
    assert_eq!(
        answer.header("cache-control").as_deref(),
        Some("no-store"),
        "or a cache would sign others out"
    );
    is_out(&thief, &gateway).await;
    let kept: Vec<String> = browser.cookies().into_iter().map(|cookie| cookie.name).collect();
    assert_eq!(kept, ["vestibule-4180-leaving"]);
    // Nobody is signed in any more.
    browser
        .send(Ask::script("POST", &gateway.url("/logout")).header("Content-Length", "0"))
        .await
        .expect(401);
}

#[tokio::test]
async fn the_page_after_a_scripts_sign_out_finishes_it_at_the_provider_and_signs_nobody_in() {
    let (gateway, rogue, app) = World::with_rogue(PATHS).await;
    answers(&app, || Answer::of(204, "text/plain", ""));
    for path in ["/", "/_sso/sign-out"] {
        let browser = signed_in(&gateway).await;
        let began = rogue.asked("/authorize").len();
        let ask = || Ask::script("POST", &gateway.url("/logout")).header("Content-Length", "0");
        browser.send(ask()).await.expect(204);
        // A hidden frame signs nobody in who has just left.
        let silent = browser.send(by_link(&gateway, "GET", "/_sso/silent")).await.expect(200);
        assert!(silent.text().contains("login_required"), "{silent:?}");
        // What of a browser's is on the app's page stays open.
        browser.send(by_link(&gateway, "GET", "/open/x")).await.expect(200);
        let sent = browser.send(by_link(&gateway, "GET", path)).await.expect(302);
        assert!(sent.location().as_str().starts_with(&format!("{}/logout", rogue.issuer())), "{sent:?}");
        assert!(sent.location_param("id_token_hint").is_some(), "{sent:?}");
        assert!(cookie(&browser, "vestibule-4180-leaving").is_none(), "{:?}", browser.cookies());
        let end = browser.follow(sent).await.expect(200);
        assert_eq!(end.url.path(), "/_sso/signed-out");
        assert_eq!(rogue.asked("/authorize").len(), began);
        // Who then wants to come in does.
        browser.visit(&gateway.url("/")).await.expect(200);
        is_in(&browser, &gateway).await;
        // And who signs in by a link of the app's has nothing to finish.
        browser.send(ask()).await.expect(204);
        browser.visit(&gateway.url("/_sso/sign-in?return_to=/")).await.expect(200);
        is_in(&browser, &gateway).await;
        assert!(cookie(&browser, "vestibule-4180-leaving").is_none());
    }
}

#[tokio::test]
async fn nobody_signs_in_to_sign_out() {
    let (gateway, rogue, app) = World::with_rogue(PATHS).await;
    let gateway = gateway.ready().await;
    let browser = Browser::new();
    let sent = leave(&browser, &gateway, "GET").await.expect(302);
    assert_eq!(sent.location().as_str(), gateway.url("/_sso/sign-out"));
    let sent = leave(&browser, &gateway, "POST").await.expect(303);
    let sent = browser.get(sent.location().as_str()).await.expect(302);
    assert!(sent.location().as_str().starts_with(&format!("{}/logout", rogue.issuer())), "{sent:?}");
    assert!(app.received().is_empty());
}

/// What Moodle does when somebody leaves: `/login/logout.php` asks without a `sesskey`; with the right one the
/// `logoutpage_hook` of a sign-in plugin sends the browser to the plugin's `logout_handler`, with `return`.
fn moodle(app: &Server, origin: &str, handler: Option<&str>, back: &'static str) {
    let (origin, handler) = (origin.to_owned(), handler.map(str::to_owned));
    app.answer(move |request| match (request.path(), request.param("sesskey").as_deref()) {
        ("/login/logout.php", Some("Xy7")) => {
            let back = back.replace("WWWROOT", &origin);
            let to = match &handler {
                Some(handler) => {
                    let back: String = form_urlencoded::byte_serialize(back.as_bytes()).collect();
                    format!("{origin}{handler}?return={back}")
                }
                None => back,
            };
            Answer::redirect(303, &to).with("Set-Cookie", "MoodleSession=new; path=/")
        }
        ("/login/logout.php", _) => Answer::of(200, "text/html", "Do you really want to log out?"),
        _ => Answer::text("hello").with("Set-Cookie", "MoodleSession=old; path=/"),
    });
}

#[tokio::test]
async fn moodle_signs_out_here_too_by_its_own_page_and_by_its_logout_handler() {
    for (lines, handler, back, end) in [
        (PATHS, None, "WWWROOT/", "/_sso/signed-out"),
        (PATHS, Some("/_sso/sign-out"), "WWWROOT/open/", "/open/"),
        ("", Some("/_sso/sign-out"), "WWWROOT/login/index.php?loggedout=1", "/login/index.php?loggedout=1"),
        ("", Some("/_sso/sign-out"), "/login/index.php", "/login/index.php"),
    ] {
        let (gateway, rogue, app) = World::with_rogue(lines).await;
        moodle(&app, &gateway.world.origin(), handler, back);
        let browser = signed_in(&gateway).await;
        let asked = browser.send(by_link(&gateway, "GET", "/login/logout.php")).await.expect(200);
        assert!(asked.text().contains("really"));
        is_in(&browser, &gateway).await;
        let mut at = browser.send(by_link(&gateway, "GET", "/login/logout.php?sesskey=Xy7")).await;
        assert_eq!(cookie(&browser, "MoodleSession").as_deref(), Some("new"));
        let mut seen = Vec::new();
        while at.is_redirect() && !at.location().path().starts_with("/authorize") {
            seen.push(at.location().to_string());
            let site = if at.url.origin() == at.location().origin() { "same-origin" } else { "none" };
            let next = Ask::navigation(at.location().as_str()).instead("Sec-Fetch-Site", site);
            at = browser.send(next).await;
        }
        assert!(seen.iter().any(|url| url.starts_with(&format!("{}/logout", rogue.issuer()))), "{seen:?}");
        assert!(
            seen.iter().any(|url| *url == gateway.url(end) || url.starts_with(&gateway.url(end))),
            "{end}: {seen:?}"
        );
        is_out(&browser, &gateway).await;
    }
}

const COOKIES: &str = "[apps.lms.logout]\nclear_cookies = [\"MoodleSession*\", \"sessionid\", { name = \"deep\", path = \"/a/b\" }]\n";

#[tokio::test]
async fn another_person_in_the_same_browser_does_not_land_in_the_previous_persons_app_session() {
    let (gateway, rogue, app) = World::with_rogue(COOKIES).await;
    app.answer(|_| {
        Answer::text("hello")
            .with("Set-Cookie", "MoodleSessionlms=first; Path=/")
            .with("Set-Cookie", "sessionid=first; Path=/")
            .with("Set-Cookie", "theme=dark; Path=/")
            .with("Set-Cookie", "deep=first; Path=/a/b")
    });
    let browser = Browser::new();
    let person = |sub: &str| json!({"sub": sub, "name": sub});
    rogue.person(person("u-1"));
    browser.visit(&gateway.url("/")).await.expect(200);
    app.answer(|_| Answer::text("hello"));
    assert_eq!(cookie(&browser, "sessionid").as_deref(), Some("first"));

    // The same person signs in anew: nothing of theirs is lost.
    browser.get(&gateway.url("/_sso/sign-in?return_to=/")).await;
    browser.visit(&gateway.url("/_sso/sign-in?return_to=/")).await.expect(200);
    assert_eq!(
        app.last().header("cookie").as_deref(),
        Some("MoodleSessionlms=first; sessionid=first; theme=dark")
    );

    // The session ends without the browser; another person comes.
    let thief = browser.copy();
    thief.send(Ask::script("POST", &gateway.url("/_sso/sign-out")).header("Content-Length", "0")).await;
    is_out(&browser, &gateway).await;
    assert_eq!(cookie(&browser, "sessionid").as_deref(), Some("first"));
    rogue.person(person("u-2"));
    browser.visit(&gateway.url("/")).await.expect(200);
    assert_eq!(app.last().header("cookie").as_deref(), Some("theme=dark"));
    assert_eq!((cookie(&browser, "deep"), cookie(&browser, "sessionid")), (None, None));

    // Over a session that still stands, too; and back.
    browser.plant(&gateway.world.address().ip().to_string(), "sessionid", "second");
    rogue.person(person("u-1"));
    browser.visit(&gateway.url("/_sso/sign-in?return_to=/")).await.expect(200);
    assert_eq!(cookie(&browser, "sessionid"), None);

    // What the browser remembers says nothing of who it was, and never reaches the app.
    let kept = browser.cookies().into_iter().find(|cookie| cookie.name.ends_with("-person")).unwrap();
    assert!(!kept.value.contains("u-1") && kept.value.len() == 43, "{kept:?}");
    let before = kept.value;
    rogue.person(person("u-3"));
    browser.visit(&gateway.url("/_sso/sign-in?return_to=/")).await.expect(200);
    let after = browser.cookies().into_iter().find(|cookie| cookie.name.ends_with("-person")).unwrap().value;
    assert_ne!(before, after);
}

#[tokio::test]
async fn a_browser_that_nobody_is_known_of_brings_no_app_session_along_and_none_is_remembered_unasked() {
    let (gateway, _rogue, app) = World::with_rogue(COOKIES).await;
    let browser = Browser::new();
    browser.plant(&gateway.world.address().ip().to_string(), "sessionid", "planted");
    browser.visit(&gateway.url("/")).await.expect(200);
    assert_eq!(app.last().header("cookie"), None);

    let (gateway, _rogue, app) = World::with_rogue("").await;
    let browser = Browser::new();
    browser.plant(&gateway.world.address().ip().to_string(), "sessionid", "planted");
    browser.visit(&gateway.url("/")).await.expect(200);
    assert_eq!(app.last().header("cookie").as_deref(), Some("sessionid=planted"));
    assert!(!browser.cookies().iter().any(|cookie| cookie.name.ends_with("-person")));
}

#[tokio::test]
async fn our_own_sign_out_takes_the_apps_cookies_too() {
    let (gateway, _rogue, app) = World::with_rogue(COOKIES).await;
    app.answer(|_| Answer::text("hello").with("Set-Cookie", "sessionid=first; Path=/"));
    let browser = signed_in(&gateway).await;
    assert!(cookie(&browser, "sessionid").is_some());
    browser.send(by_link(&gateway, "GET", "/_sso/sign-out")).await.expect(302);
    assert_eq!(cookie(&browser, "sessionid"), None);
}
