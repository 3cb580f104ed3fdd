//! An app in a frame of another page, as an LMS shows its tools.

use std::sync::Arc;

use serde_json::json;

use crate::process::certificate;
use crate::world::chromium::Chromium;
use crate::world::{Answer, Ask, Browser, Gateway, Rogue, Server, World};

const TOOL: &str = "tool.vendor.test";
const LMS: &str = "lms.school.test";

fn in_frame(url: &str, site: &str) -> Ask {
    Ask::navigation(url).instead("Sec-Fetch-Dest", "iframe").instead("Sec-Fetch-Site", site)
}

#[tokio::test]
async fn in_another_sites_page_the_app_is_offered_in_a_window_of_its_own() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    let third_party = |url: &str| in_frame(url, "same-origin").header("Sec-Fetch-Storage-Access", "none");
    let wanted = gateway.url("/course/7?a=1");
    for ask in [
        in_frame(&wanted, "cross-site"),
        in_frame(&wanted, "cross-site").instead("Sec-Fetch-Dest", "frame"),
        in_frame(&wanted, "cross-site").instead("Sec-Fetch-Dest", "object"),
        third_party(&wanted),
    ] {
        let page = Browser::new().send(ask).await.expect(403);
        let link = format!("<a class=\"button\" href=\"{wanted}\" target=\"_blank\" rel=\"noopener\">");
        assert!(page.text().contains(&link), "{page:?}");
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.ends_with("frame-ancestors *") && policy.contains("form-action 'none'"), "{policy}");
        assert!(page.headers.all("set-cookie").is_empty(), "{page:?}");
        assert_eq!(page.header("x-frame-options"), None);
    }
    let issuer: String = form_urlencoded::byte_serialize(rogue.issuer().as_bytes()).collect();
    for path in ["/_sso/sign-in?return_to=%2Fcourse".to_owned(), format!("/_sso/initiate?iss={issuer}")] {
        let page = Browser::new().send(in_frame(&gateway.url(&path), "cross-site")).await.expect(403);
        assert!(
            page.text().contains("target=\"_blank\"") && page.text().contains("/_sso/sign-in?"),
            "{page:?}"
        );
    }
    let russian = Browser::new().reading("ru").send(in_frame(&wanted, "cross-site")).await.expect(403);
    assert!(russian.text().contains("Открыть в новом окне"), "{russian:?}");
    assert!(rogue.asked("/authorize").is_empty());
}

#[tokio::test]
async fn what_is_no_page_of_another_sites_frame_is_as_ever() {
    let rules = "[[apps.lms.rules]]\npaths = [\"/open\"]\naccess = \"public\"\n";
    let (gateway, _rogue, _app) = World::with_rogue(rules).await;
    let url = gateway.url("/");
    for (ask, status) in [
        (in_frame(&url, "same-site"), 302),
        (in_frame(&url, "same-origin"), 302),
        (Ask::navigation(&url).instead("Sec-Fetch-Site", "cross-site"), 302),
        (Ask::script("GET", &url).instead("Sec-Fetch-Site", "cross-site"), 401),
        (in_frame(&gateway.url("/open"), "cross-site"), 200),
    ] {
        Browser::new().send(ask.clone()).await.expect(status);
    }
    let browser = Browser::new();
    browser.visit(&url).await.expect(200);
    browser.send(in_frame(&url, "same-site")).await.expect(200);
}

#[tokio::test]
async fn a_choice_of_providers_is_not_made_in_a_frame() {
    let (world, app) = (World::new(), Server::start().await);
    let rogues = [Rogue::start().await, Rogue::start().await];
    let config = rogues[0].table("first", "") + &rogues[1].table("second", "") + &world.app("lms", &app);
    let gateway = world.start(&config).await;
    for path in ["/", "/_sso/sign-in"] {
        let page = Browser::new().send(in_frame(&gateway.url(path), "same-site")).await.expect(403);
        assert!(page.text().contains("target=\"_blank\""), "{page:?}");
    }
}

#[tokio::test]
async fn a_login_that_a_frame_could_not_keep_ends_in_the_same_page() {
    let (gateway, _rogue, _app) = World::with_rogue("").await;
    let browser = Browser::new();
    let begun = browser.send(in_frame(&gateway.url("/"), "same-origin")).await.expect(302);
    let back = browser.get(begun.location().as_str()).await.expect(302);
    let page = browser.fresh().send(in_frame(back.location().as_str(), "same-origin")).await.expect(403);
    assert!(page.text().contains("target=\"_blank\""), "{page:?}");
}

#[tokio::test]
async fn in_a_page_of_its_own_site_the_sign_in_goes_on_in_the_frame() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let host = "tool.school.localhost";
    let url = format!("http://{host}:{}", world.address().port());
    let config = rogue.table("rogue", "") + &world.app_at("lms", &url, &app.origin());
    let gateway = world.start(&config).await;
    let browser = Browser::new();
    browser.knows(host, gateway.address().ip());
    let begun = browser.send(in_frame(&format!("{url}/course"), "same-site")).await.expect(302);
    let back = browser.send(in_frame(begun.location().as_str(), "cross-site")).await.expect(302);
    let step = browser.send(in_frame(back.location().as_str(), "cross-site")).await.expect(200);
    let policy = step.header("content-security-policy").unwrap();
    let ancestors = "frame-ancestors 'self' http://school.localhost:* http://*.school.localhost:*";
    assert!(policy.ends_with(ancestors) && step.body.is_empty(), "{step:?}");
    let refresh = step.header("refresh").unwrap();
    let landed = browser.send(in_frame(refresh.strip_prefix("0;url=").unwrap(), "same-origin")).await;
    browser.send(in_frame(landed.expect(302).location().as_str(), "same-origin")).await.expect(200);
}

/// A tool and an LMS of another site that shows it in a frame, both with TLS.
struct Embedded {
    gateway: Gateway,
    rogue: Rogue,
    tool: Server,
    lms: Server,
    lms_host: &'static str,
}

impl Embedded {
    async fn with(cookie: &str) -> Self {
        Self::at(LMS, cookie, "").await
    }

    /// `lines` follow the tool's table.
    async fn at(lms_host: &'static str, cookie: &str, lines: &str) -> Self {
        let (world, rogue, tool) = (World::new(), Rogue::start().await, Server::start().await);
        let (issued, _) = certificate(&[TOOL, lms_host]);
        let (cert, key) = (world.dir.path().join("tool.pem"), world.dir.path().join("tool.key"));
        std::fs::write(&cert, issued.cert.pem()).unwrap();
        std::fs::write(&key, issued.signing_key.serialize_pem()).unwrap();
        let url = format!("https://{TOOL}:{}", world.address().port());
        let config = format!("[server]\ntls = {{ cert = {cert:?}, key = {key:?} }}\n")
            + &rogue.table("rogue", "")
            + &format!("[session.cookie]\n{cookie}\n")
            + &world.app_at("tool", &url, &tool.origin())
            + lines;
        let gateway = world.start(&config).await;
        tool.answer(|request| {
            let name = request.header("x-auth-email").unwrap_or_default();
            Answer::of(
                200,
                "text/html",
                format!("<!DOCTYPE html><title>tool</title><p id=who>In as {name}</p>"),
            )
        });
        let key = rustls_pki_types::PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![issued.cert.der().clone()], key)
            .unwrap();
        let lms = Server::start_tls(Arc::new(tls)).await;
        let frame = format!(
            "<!DOCTYPE html><title>LMS</title><h1>LMS</h1><iframe src=\"{url}/lesson\" width=700 height=500></iframe>"
        );
        lms.answer(move |_| Answer::of(200, "text/html", frame.clone()));
        Self { gateway, rogue, tool, lms, lms_host }
    }

    async fn chromium(&self, preferences: serde_json::Value) -> Chromium {
        let ip = self.gateway.address().ip();
        let rules = format!("--host-resolver-rules=MAP {TOOL} {ip},MAP {} 127.0.0.1", self.lms_host);
        Chromium::with("ru-RU", &[&rules, "--ignore-certificate-errors"], preferences).await
    }

    /// What cookies the tool got with the last request for its page.
    fn cookies_at_the_lesson(&self) -> Option<String> {
        let received = self.tool.received();
        received.iter().rev().find(|request| request.path() == "/lesson")?.header("cookie")
    }

    fn page(&self) -> String {
        format!("https://{}:{}/", self.lms_host, self.lms.address().port())
    }
}

#[tokio::test]
async fn chromium_shows_the_link_in_the_lms_and_the_window_it_opens_is_signed_in() {
    let school = Embedded::with("").await;
    let chromium = school.chromium(json!({})).await;
    chromium.goto(&school.page()).await;
    chromium.enter_frame().await;
    chromium.reads("Нужно отдельное окно").await;
    chromium.picture("embedded-needs-a-window").await;
    assert!(school.rogue.asked("/authorize").is_empty() && school.tool.received().is_empty());
    chromium.press("a.button").await;
    chromium.enter_new_window().await;
    chromium.reads("In as anna@school.example").await;
    assert_eq!(chromium.run("return window.opener === null;").await, json!(true));
    assert_eq!(chromium.url().await.path(), "/lesson");
    chromium.close().await;
}

#[tokio::test]
async fn chromium_signs_in_inside_the_frame_with_cookies_of_its_own_for_each_page_around_it() {
    // As browsers are that block third parties' cookies: what is partitioned is kept all the same.
    for preferences in [json!({}), json!({"profile.cookie_controls_mode": 1})] {
        let school = Embedded::with("same_site = \"none\"\npartitioned = true").await;
        let chromium = school.chromium(preferences).await;
        chromium.goto(&school.page()).await;
        chromium.enter_frame().await;
        chromium.reads("In as anna@school.example").await;
        chromium.leave_frame().await;
        let asked = school.rogue.asked("/authorize").len();
        assert_eq!(asked, 1);
        chromium.goto(&school.page()).await;
        chromium.enter_frame().await;
        chromium.reads("In as anna@school.example").await;
        assert_eq!(school.rogue.asked("/authorize").len(), asked, "the session came back in the frame");
        // In a window of its own the tool has another session.
        chromium.goto(&format!("https://{TOOL}:{}/lesson", school.gateway.address().port())).await;
        chromium.reads("In as anna@school.example").await;
        assert_eq!(school.rogue.asked("/authorize").len(), asked + 1);
        chromium.close().await;
    }
}

#[tokio::test]
async fn chromium_signs_in_inside_a_frame_of_the_tools_own_site_with_no_further_ado() {
    let school = Embedded::at("www.vendor.test", "", "").await;
    let chromium = school.chromium(json!({})).await;
    for _ in 0..2 {
        chromium.goto(&school.page()).await;
        chromium.enter_frame().await;
        chromium.reads("In as anna@school.example").await;
        chromium.leave_frame().await;
    }
    assert_eq!(school.rogue.asked("/authorize").len(), 1);
    chromium.close().await;
}

#[tokio::test]
async fn chromium_shows_the_link_where_a_frame_may_have_no_cookies_at_all() {
    // SameSite=None alone, in a browser that blocks third parties' cookies; and one that blocks all.
    for (cookie, preferences) in [
        ("same_site = \"none\"", json!({"profile.cookie_controls_mode": 1})),
        (
            "same_site = \"none\"\npartitioned = true",
            json!({"profile.default_content_setting_values.cookies": 2}),
        ),
    ] {
        let school = Embedded::with(cookie).await;
        let chromium = school.chromium(preferences).await;
        chromium.goto(&school.page()).await;
        chromium.enter_frame().await;
        chromium.reads("Открыть в новом окне").await;
        assert_eq!(school.rogue.asked("/authorize").len(), 1, "{cookie}");
        chromium.close().await;
    }
}

/// Lets the tool show a form to write in.
fn shows_a_form(tool: &Server) {
    const FORM: &str = "<!DOCTYPE html><title>tool</title><form method=post action=/send><textarea name=a></textarea>\
                        <button>Send</button></form>";
    tool.answer(|request| {
        let html = if request.method() == "POST" { "<!DOCTYPE html><p>Accepted" } else { FORM };
        Answer::of(200, "text/html", html)
    });
}

#[tokio::test]
async fn what_is_posted_in_a_frame_where_nobody_can_sign_in_is_answered_there() {
    let (gateway, rogue, app) = World::with_rogue("").await;
    let posted = |site: &str| {
        let ask = Ask::new("POST", &gateway.url("/launch")).header("Accept", "text/html");
        let ask = ask.header("Sec-Fetch-Mode", "navigate").header("Sec-Fetch-Dest", "iframe");
        ask.header("Sec-Fetch-Site", site).body("application/x-www-form-urlencoded", "a=1")
    };
    // Written there.
    let own = posted("same-origin").header("Sec-Fetch-Storage-Access", "none");
    let page = Browser::new().send(own.header("Referer", gateway.url("/quiz"))).await.expect(403);
    assert!(page.text().contains("Nothing was sent") && page.text().contains("another site"), "{page:?}");
    assert!(page.text().contains("return_to=%2Fquiz\" target=\"_blank\""), "{page:?}");
    assert!(page.header("content-security-policy").unwrap().ends_with("frame-ancestors *"));
    // An LMS that opens its tool by a form.
    let page = Browser::new().send(posted("cross-site")).await.expect(403);
    let link = format!("<a class=\"button\" href=\"{}\" target=\"_blank\"", gateway.url("/"));
    assert!(page.text().contains(&link) && !page.text().contains("Nothing was sent"), "{page:?}");
    assert!(page.header("content-security-policy").unwrap().ends_with("frame-ancestors *"));
    assert!(page.headers.all("set-cookie").is_empty(), "{page:?}");
    assert!(app.received().is_empty() && rogue.asked("/authorize").is_empty());
}

#[tokio::test]
async fn a_browser_that_kept_no_slip_in_a_frame_is_told_that_nothing_was_sent() {
    let (gateway, _rogue, _app) = World::with_rogue("").await;
    let there = gateway.url("/_sso/resend?form=BwcHBwcHBwcH");
    let page = Browser::new().send(in_frame(&there, "same-origin")).await.expect(403);
    assert!(page.text().contains("target=\"_blank\"") && page.text().contains("did not arrive"), "{page:?}");
    // Elsewhere it may have arrived.
    let page = Browser::new().get(&there).await.expect(403);
    assert!(page.text().contains("sent already"), "{page:?}");
}

#[tokio::test]
async fn pages_that_do_no_harm_in_a_frame_can_be_seen_in_one_of_the_apps_own_site() {
    let rules = "[[apps.lms.rules]]\npaths = [\"/closed\"]\nallow = 'false'\n";
    let (gateway, _rogue, app) = World::with_rogue(rules).await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    // A way out of the session stands on it.
    let denied = browser.get(&gateway.url("/closed")).await.expect(403);
    assert!(denied.header("content-security-policy").unwrap().ends_with("frame-ancestors 'none'"));
    drop(app);
    let failed = browser.send(in_frame(&gateway.url("/"), "same-origin")).await.expect(502);
    assert!(failed.header("content-security-policy").unwrap().ends_with("frame-ancestors 'self'"));
}

#[tokio::test]
async fn a_sign_in_by_code_is_begun_in_a_window() {
    let (gateway, _rogue, _app) = World::with_rogue("device = true\n").await;
    for site in ["cross-site", "same-site", "same-origin"] {
        let device = gateway.url("/_sso/device?return_to=%2Fcourse");
        let page = Browser::new().send(in_frame(&device, site)).await.expect(403);
        assert!(page.text().contains(&format!("href=\"{device}\" target=\"_blank\"")), "{page:?}");
    }
}

#[tokio::test]
async fn chromium_loses_no_form_in_a_frame_whose_session_has_ended() {
    // In another site's page, with cookies of its own there; and in a page of the tool's own site.
    for (lms_host, cookie) in [(LMS, "same_site = \"none\"\npartitioned = true\n"), ("www.vendor.test", "")] {
        let school = Embedded::at(lms_host, &format!("{cookie}[session]\nidle_timeout = \"2s\""), "").await;
        shows_a_form(&school.tool);
        let chromium = school.chromium(json!({})).await;
        chromium.goto(&school.page()).await;
        chromium.enter_frame().await;
        chromium.write("textarea", "kept").await;
        tokio::time::sleep(std::time::Duration::from_millis(3100)).await;
        chromium.press("button").await;
        chromium.frame_reads("Accepted").await;
        assert_eq!(school.tool.last().body, b"a=kept", "{lms_host}");
        chromium.close().await;
    }
}

#[tokio::test]
async fn chromium_says_in_the_frame_that_nothing_was_sent_where_nobody_can_sign_in() {
    let open = "[[apps.tool.rules]]\npaths = [\"/lesson\"]\naccess = \"public\"";
    let school = Embedded::with(open).await;
    shows_a_form(&school.tool);
    let chromium = school.chromium(json!({})).await;
    chromium.goto(&school.page()).await;
    chromium.enter_frame().await;
    chromium.write("textarea", "lost").await;
    chromium.press("button").await;
    chromium.reads("Ничего не отправлено").await;
    chromium.picture("embedded-nothing-sent").await;
    chromium.press("a.button").await;
    chromium.enter_new_window().await;
    chromium.is_at(&format!("https://{TOOL}:{}/lesson", school.gateway.address().port())).await;
    assert!(school.tool.received().iter().all(|request| request.method() == "GET"));
}

#[tokio::test]
async fn chromium_loses_the_previous_persons_app_cookies_however_they_were_set_in_a_frame_and_in_a_window() {
    let clear = "[apps.tool.logout]\nclear_cookies = [\"plain\", \"framed\", \"part*\", \"__Host-own\", \
                 { name = \"wide\", path = \"/lesson\", domain = \"vendor.test\" }]\n";
    let school = Embedded::at(LMS, "same_site = \"none\"\npartitioned = true", clear).await;
    let (chromium, window) = (school.chromium(json!({})).await, school.gateway.address().port());
    let window = format!("https://{TOOL}:{window}/lesson");
    for framed in [true, false] {
        school.tool.answer(|request| {
            let name = request.header("x-auth-email").unwrap_or_default();
            Answer::of(200, "text/html", format!("<!DOCTYPE html><p>In as {name}</p>"))
                .with("Set-Cookie", "plain=1; Path=/")
                .with("Set-Cookie", "framed=1; Path=/; Secure; SameSite=None")
                .with("Set-Cookie", "partitioned=1; Path=/; Secure; SameSite=None; Partitioned")
                .with("Set-Cookie", "__Host-own=1; Path=/; Secure; HttpOnly; SameSite=None; Partitioned")
                .with("Set-Cookie", "wide=1; Path=/lesson; Domain=vendor.test; Secure; SameSite=None")
                .with("Set-Cookie", "kept=1; Path=/; Secure; SameSite=None; Partitioned")
        });
        school.rogue.person(json!({"sub": "u-1", "email": "anna@school.example"}));
        if framed {
            chromium.goto(&school.page()).await;
            chromium.enter_frame().await;
        } else {
            chromium.goto(&window).await;
        }
        chromium.reads("In as anna@school.example").await;
        chromium.run("document.body.id = 'old'; location.reload()").await;
        while chromium.run("return document.body?.id").await == json!("old") {}
        chromium.reads("In as anna@school.example").await;
        let brought = school.cookies_at_the_lesson().unwrap();
        // Whether a frame keeps others is the browser's affair.
        let in_window = ["plain", "framed", "wide"].into_iter().filter(|_| !framed);
        for name in in_window.chain(["partitioned", "__Host-own", "kept"]) {
            assert!(brought.contains(&format!("{name}=1")), "{name}: {brought}");
        }

        school.tool.answer(|request| {
            let name = request.header("x-auth-email").unwrap_or_default();
            Answer::of(200, "text/html", format!("<!DOCTYPE html><p>In as {name}</p>"))
        });
        school.rogue.person(json!({"sub": "u-2", "email": "boris@school.example"}));
        chromium.run("location = '/_sso/sign-in?return_to=%2Flesson'").await;
        chromium.reads("In as boris@school.example").await;
        assert_eq!(school.cookies_at_the_lesson().as_deref(), Some("kept=1"), "framed: {framed}");
    }
    chromium.close().await;
}
