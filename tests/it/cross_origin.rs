//! What scripts of other origins may read: our own answers, where an app lists their origin, and nothing else.

use crate::world::browser::Response;
use crate::world::{Answer, Ask, Browser, Gateway, Rogue, Server, World};

const SPA: &str = "https://spa.example.org";
const LISTED: &str = "cors_origins = [\"https://spa.example.org\", \"https://spa.example.org:8443\"]\n";

async fn gateway(lines: &str) -> (Gateway, Rogue, Server) {
    World::with_rogue(&format!("{LISTED}{lines}")).await
}

/// A script's request, from a page of this origin.
fn from(origin: &str, method: &str, url: &str) -> Ask {
    Ask::script(method, url).instead("Sec-Fetch-Site", "same-site").header("Origin", origin)
}

fn preflight(origin: &str, url: &str) -> Ask {
    from(origin, "OPTIONS", url)
        .header("Access-Control-Request-Method", "PUT")
        .header("Access-Control-Request-Headers", "content-type,x-requested-with")
}

#[track_caller]
fn may_be_read(response: &Response, origin: Option<&str>) {
    assert_eq!(response.header("access-control-allow-origin").as_deref(), origin, "{response:?}");
    let credentials = response.header("access-control-allow-credentials");
    assert_eq!(credentials.as_deref(), origin.map(|_| "true"), "{response:?}");
    assert!(response.headers.has_word("vary", "Origin"), "{response:?}");
}

#[tokio::test]
async fn a_script_of_a_listed_origin_reads_where_to_sign_in() {
    let (gateway, _rogue, _app) = gateway("").await;
    let browser = Browser::new();
    for url in ["/api/courses", "/_sso/session"] {
        for (origin, listed) in [
            (SPA, true),
            ("https://spa.example.org:8443", true),
            ("https://evil.example", false),
            ("https://spa.example.org.evil.example", false),
            ("http://spa.example.org", false),
            ("null", false),
        ] {
            let told = browser.send(from(origin, "GET", &gateway.url(url))).await.expect(401);
            assert_eq!(told.header("content-type").as_deref(), Some("application/problem+json"));
            assert!(told.json()["sign_in"].as_str().unwrap().starts_with(&gateway.url("/_sso/sign-in")));
            may_be_read(&told, listed.then_some(origin));
        }
    }
}

#[tokio::test]
async fn refusals_and_the_callers_session_can_be_read_too() {
    let rules = "[[apps.lms.rules]]\npaths = [\"/admin/*\"]\nallow = 'claims.sub == \"nobody\"'\n";
    let (gateway, _rogue, app) = gateway(rules).await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    for (origin, allowed) in [(SPA, Some(SPA)), ("https://evil.example", None)] {
        let session = browser.send(from(origin, "GET", &gateway.url("/_sso/session"))).await.expect(200);
        assert_eq!(session.json()["sub"], "u-1");
        may_be_read(&session, allowed);
        may_be_read(&browser.send(from(origin, "GET", &gateway.url("/admin/x"))).await.expect(403), allowed);
    }
    drop(app);
    may_be_read(&browser.send(from(SPA, "GET", &gateway.url("/"))).await.expect(502), Some(SPA));
}

#[tokio::test]
async fn the_apps_own_answers_keep_the_fields_that_the_app_gives_them() {
    let (gateway, _rogue, app) = gateway("").await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    let answer = browser.send(from(SPA, "GET", &gateway.url("/api"))).await.expect(200);
    assert_eq!(answer.header("access-control-allow-origin"), None);
    assert_eq!(answer.header("vary"), None);
    app.answer(|_| {
        Answer::text("x").with("Access-Control-Allow-Origin", "https://other.example").with("Vary", "Accept")
    });
    let answer = browser.send(from(SPA, "GET", &gateway.url("/api"))).await.expect(200);
    assert_eq!(answer.header("access-control-allow-origin").as_deref(), Some("https://other.example"));
    assert_eq!(answer.header("vary").as_deref(), Some("Accept"));
}

#[tokio::test]
async fn a_preflight_of_a_listed_origin_is_answered_and_reaches_no_app() {
    let rules = "[[apps.lms.rules]]\npaths = [\"/api/*\"]\naccess = \"bearer\"\n\n\
                 [[apps.lms.rules]]\npaths = [\"/public/*\"]\naccess = \"public\"\n";
    let (gateway, _rogue, app) = gateway(rules).await;
    let browser = Browser::new();
    for path in ["/courses", "/api/courses", "/_sso/session"] {
        let answer = browser.send(preflight(SPA, &gateway.url(path))).await.expect(204);
        may_be_read(&answer, Some(SPA));
        assert_eq!(answer.header("access-control-allow-methods").as_deref(), Some("PUT"));
        let fields = answer.header("access-control-allow-headers");
        assert_eq!(fields.as_deref(), Some("content-type,x-requested-with"));
        assert!(answer.headers.all("set-cookie").is_empty());
        let refused = browser.send(preflight("https://evil.example", &gateway.url(path))).await;
        assert!(matches!(refused.status, 401 | 405), "{refused:?}");
        may_be_read(&refused, None);
        assert_eq!(refused.header("access-control-allow-methods"), None);
    }
    // No preflight, or one that asks for what is none.
    let bare = from(SPA, "OPTIONS", &gateway.url("/courses"));
    browser.send(bare.clone()).await.expect(401);
    browser.send(bare.header("Access-Control-Request-Method", "PUT; x=<y>")).await.expect(401);
    assert!(app.received().is_empty());
    // Where everybody may go, the app answers for itself.
    app.answer(|_| Answer::of(204, "text/plain", "").with("Access-Control-Allow-Origin", "*"));
    let answer = browser.send(preflight(SPA, &gateway.url("/public/x"))).await.expect(204);
    assert_eq!(answer.header("access-control-allow-origin").as_deref(), Some("*"));
    assert_eq!(app.last().method(), "OPTIONS");
}

#[tokio::test]
async fn an_app_that_lists_no_origin_says_nothing_of_origins() {
    let (gateway, _rogue, _app) = World::with_rogue("").await;
    let told = Browser::new().send(from(SPA, "GET", &gateway.url("/api"))).await.expect(401);
    assert!(told.headers.all("vary").is_empty() && told.header("access-control-allow-origin").is_none());
    Browser::new().send(preflight(SPA, &gateway.url("/api"))).await.expect(401);
}
