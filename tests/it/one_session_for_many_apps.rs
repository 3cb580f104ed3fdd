//! One session for all apps below a domain, with each app's own rules and headers.

use std::time::Duration;

use serde_json::json;

use crate::kept_forms::{URLENCODED, form, press, signed_in};
use crate::process::certificate;
use crate::world::browser::Response;
use crate::world::{Answer, Ask, Browser, Gateway, Rogue, Server, World};

const HOSTS: [&str; 2] = ["lms.school.localhost", "talk.school.localhost"];
const STORES: [&str; 3] = ["file", "memory", "cookie"];

/// Two apps below one domain, behind one provider.
struct School {
    gateway: Gateway,
    rogue: Rogue,
    lms: Server,
    talk: Server,
    browser: Browser,
}

impl School {
    /// `cookie` are further keys of the cookie, `session` of the session, `lines` follow the table of `talk`.
    async fn with(session: &str, cookie: &str, lines: &str) -> Self {
        let (world, rogue) = (World::new(), Rogue::start().await);
        let (lms, talk) = (Server::start().await, Server::start().await);
        let [at_lms, at_talk] = HOSTS.map(|host| format!("http://{host}:{}", world.address().port()));
        let config = rogue.table("rogue", "")
            + &format!("[session]\n{session}\n[session.cookie]\ndomain = \"school.localhost\"\n{cookie}\n")
            + &world.app_at("lms", &at_lms, &lms.origin())
            + &world.app_at("talk", &at_talk, &talk.origin())
            + lines;
        let gateway = world.start(&config).await;
        let browser = Browser::new();
        for host in HOSTS {
            browser.knows(host, gateway.address().ip());
        }
        Self { gateway, rogue, lms, talk, browser }
    }

    fn at(&self, app: usize, path: &str) -> String {
        format!("http://{}:{}{path}", HOSTS[app], self.gateway.address().port())
    }

    async fn own(&self, app: usize, path: &str) -> Response {
        let ask = Ask::navigation(&self.at(app, path)).instead("Sec-Fetch-Site", "same-origin");
        self.browser.send(ask).await
    }
}

#[tokio::test]
async fn who_signed_in_at_one_app_is_signed_in_at_the_other_by_its_own_rules_and_headers() {
    for store in STORES {
        let lines = "[apps.talk.headers]\nX-Talker = \"email\"\n[[apps.talk.rules]]\npaths = [\"/admin/*\"]\n\
                     allow = '\"admins\" in claims.groups'\n";
        let school = School::with(&format!("store = \"{store}\""), "", lines).await;
        school.browser.visit(&school.at(0, "/")).await.expect(200);
        let asked = school.rogue.server.received().len();
        school.browser.get(&school.at(1, "/")).await.expect(200);
        assert_eq!(school.rogue.server.received().len(), asked, "{store}: nobody was asked again");
        assert_eq!(school.talk.last().header("x-talker").as_deref(), Some("anna@school.example"));
        assert_eq!(school.lms.last().header("x-auth-sub").as_deref(), Some("u-1"));
        assert_eq!(school.lms.last().header("x-talker"), None);
        for app in [&school.lms, &school.talk] {
            assert_eq!(app.last().header("cookie"), None, "{store}");
        }
        school.browser.get(&school.at(1, "/admin/x")).await.expect(403);
        school.browser.get(&school.at(0, "/admin/x")).await.expect(200);
        let [one, other] = [0, 1].map(|app| school.at(app, "/_sso/session"));
        let [one, other] =
            [school.browser.fetch(&one).await.json(), school.browser.fetch(&other).await.json()];
        assert_eq!((&one["sub"], &one["signed_in_at"]), (&other["sub"], &other["signed_in_at"]));
        let session: Vec<_> =
            school.browser.cookies().into_iter().filter(|cookie| !cookie.name.contains("login")).collect();
        assert!(session.iter().all(|cookie| cookie.wide && cookie.host == "school.localhost"), "{session:?}");
    }
}

#[tokio::test]
async fn a_sign_out_at_any_app_ends_the_session_of_all() {
    for store in STORES {
        let school = School::with(&format!("store = \"{store}\""), "", "").await;
        school.browser.visit(&school.at(0, "/")).await.expect(200);
        school.browser.get(&school.at(1, "/")).await.expect(200);
        let thief = school.browser.copy();
        assert!(school.own(1, "/_sso/sign-out").await.is_redirect());
        assert!(school.browser.cookies().is_empty(), "{store}: {:?}", school.browser.cookies());
        for browser in [&school.browser, &thief] {
            for app in [0, 1] {
                browser.fetch(&school.at(app, "/")).await.expect(401);
            }
        }
    }
}

#[tokio::test]
async fn a_sign_in_at_the_other_app_takes_the_place_of_the_session_for_both() {
    let school = School::with("", "", "").await;
    school.browser.visit(&school.at(0, "/")).await.expect(200);
    let old = school.browser.copy();
    school.rogue.person(json!({"sub": "u-2"}));
    let begun = school.own(1, "/_sso/sign-in").await;
    school.browser.follow(begun).await.expect(200);
    for app in [0, 1] {
        let session = school.browser.fetch(&school.at(app, "/_sso/session")).await.json();
        assert_eq!(session["sub"], "u-2");
        old.fetch(&school.at(app, "/")).await.expect(401);
    }
}

#[tokio::test]
async fn a_rule_of_one_app_asks_for_more_than_the_sign_in_at_the_other() {
    let lines = "[[apps.talk.rules]]\npaths = [\"/exam/*\"]\nacr = \"mfa\"\n";
    let school = School::with("", "", lines).await;
    school.browser.visit(&school.at(0, "/")).await.expect(200);
    school.browser.get(&school.at(1, "/")).await.expect(200);
    let sent = school.browser.get(&school.at(1, "/exam/1")).await.expect(302);
    assert_eq!(sent.location_param("acr_values").as_deref(), Some("mfa"));
    school.rogue.bend_id_token(|draft| draft.claims["acr"] = json!("mfa"));
    school.browser.follow(sent).await.expect(200);
    assert_eq!(school.talk.last().target(), "/exam/1");
    // The stronger session is the other app's too.
    let session = school.browser.fetch(&school.at(0, "/_sso/session")).await.json();
    assert_eq!(session["claims"]["acr"], "mfa");
}

#[tokio::test]
async fn whose_a_kept_form_is_is_known_by_the_shared_session_too() {
    for store in STORES {
        let school = School::with(&format!("store = \"{store}\"\nidle_timeout = \"1s\""), "", "").await;
        school.browser.visit(&school.at(0, "/")).await.expect(200);
        tokio::time::sleep(Duration::from_millis(2100)).await;
        // At the other app than they signed in at.
        let kept = school.browser.send(form(&school.at(1, "/quiz")).body(URLENCODED, "a=1")).await;
        let other = school.browser.copy();
        school.rogue.person(json!({"sub": "u-2"}));
        let page = signed_in(&other, kept.clone()).await.expect(403);
        assert!(page.text().contains("somebody else"), "{store}: {page:?}");
        school.rogue.person(json!({"sub": "u-1"}));
        let page = signed_in(&school.browser, kept).await.expect(200);
        assert!(page.text().contains("<script data-when=\"now\">"), "{store}: {page:?}");
        press(&school.browser, &page).await.expect(200);
        assert_eq!(school.talk.last().body, b"a=1");
        assert!(school.lms.received().iter().all(|request| request.method() == "GET"));
    }
}

#[tokio::test]
async fn cookies_from_before_there_was_a_domain_lock_nobody_out() {
    for (cookie, name) in [("", "vestibule-4180"), ("name = \"school\"", "school")] {
        let school = School::with("", cookie, "").await;
        for host in HOSTS {
            school.browser.plant(host, name, "from-before");
        }
        school.browser.visit(&school.at(0, "/")).await.expect(200);
        school.browser.visit(&school.at(1, "/")).await.expect(200);
        school.browser.get(&school.at(0, "/")).await.expect(200);
        school.browser.get(&school.at(1, "/")).await.expect(200);
        assert!(school.rogue.asked("/authorize").len() <= 3, "{cookie}");
        assert_eq!(school.talk.last().header("cookie"), None, "{cookie}");
    }
}

#[tokio::test]
async fn a_login_stays_the_origins_that_began_it() {
    let school = School::with("", "", "").await;
    let begun = school.browser.get(&school.at(0, "/")).await.expect(302);
    let back = school.browser.get(begun.location().as_str()).await.expect(302).location();
    let elsewhere = school.at(1, &format!("{}?{}", back.path(), back.query().unwrap()));
    school.browser.get(&elsewhere).await.expect(400);
    school.browser.visit(back.as_str()).await.expect(200);
}

#[tokio::test]
async fn an_app_cannot_set_the_session_that_it_shares() {
    let school = School::with("", "", "").await;
    school.browser.visit(&school.at(0, "/")).await.expect(200);
    school.talk.answer(|_| {
        Answer::text("x")
            .with("Set-Cookie", "vestibule=mine; Domain=school.localhost")
            .with("Set-Cookie", "a=b")
    });
    let answer = school.browser.get(&school.at(1, "/")).await.expect(200);
    assert_eq!(answer.headers.all("set-cookie"), ["a=b"]);
}

#[tokio::test]
async fn refreshed_tokens_of_a_session_in_the_cookie_reach_both_apps() {
    let lines = "[apps.talk.headers]\nAuthorization = { token = \"access\" }\n";
    let school = School::with("store = \"cookie\"", "", lines).await;
    school.rogue.gives_refresh_tokens(Duration::from_secs(2));
    school.browser.visit(&school.at(0, "/")).await.expect(200);
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        for app in [0, 1] {
            school.browser.get(&school.at(app, "/")).await.expect(200);
        }
    }
    assert!(school.rogue.refreshes() > 0);
}

#[tokio::test]
async fn a_person_who_left_one_app_chooses_the_provider_again_at_the_other() {
    let (world, app) = (World::new(), Server::start().await);
    let rogues = [Rogue::start().await, Rogue::start().await];
    let [at_lms, at_talk] = HOSTS.map(|host| format!("http://{host}:{}", world.address().port()));
    let config = rogues[0].table("first", "")
        + &rogues[1].table("second", "")
        + "[session.cookie]\ndomain = \"school.localhost\"\n"
        + &world.app_at("lms", &at_lms, &app.origin())
        + &world.app_at("talk", &at_talk, &app.origin());
    let gateway = world.start(&config).await;
    let browser = Browser::new();
    HOSTS.iter().for_each(|host| browser.knows(host, gateway.address().ip()));
    browser.visit(&format!("{at_lms}/_sso/sign-in?provider=second")).await.expect(200);
    browser.get(&format!("{at_talk}/")).await.expect(200);
    let leave = Ask::navigation(&format!("{at_lms}/_sso/sign-out")).instead("Sec-Fetch-Site", "same-origin");
    assert!(browser.send(leave).await.is_redirect());
    let page = browser.visit(&format!("{at_talk}/")).await.expect(200);
    assert!(page.text().contains("You signed in here last time"), "{page:?}");
}

#[tokio::test]
async fn a_proxy_asks_at_one_app_about_the_other() {
    let rule = "[[apps.talk.rules]]\npaths = [\"/admin/*\"]\nallow = 'false'\n[server]\ntrusted_proxies = [\"127.0.0.0/8\"]\n";
    let school = School::with("", "", rule).await;
    school.browser.visit(&school.at(0, "/")).await.expect(200);
    let about = |path: &str| {
        Ask::new("GET", &school.at(0, "/_sso/verify"))
            .header("X-Forwarded-Proto", "http")
            .header("X-Forwarded-Host", format!("{}:{}", HOSTS[1], school.gateway.address().port()))
            .header("X-Forwarded-Uri", path)
            .header("X-Forwarded-Method", "GET")
    };
    school.browser.send(about("/")).await.expect(200);
    school.browser.send(about("/admin/x")).await.expect(403);
    school.browser.fresh().send(about("/").without_cookies()).await;
}

#[tokio::test]
async fn a_portal_and_a_hidden_frame_sign_in_for_all_apps() {
    let school = School::with("", "", "").await;
    let iss: String = form_urlencoded::byte_serialize(school.rogue.issuer().as_bytes()).collect();
    school.browser.visit(&school.at(1, &format!("/_sso/initiate?iss={iss}"))).await.expect(200);
    school.browser.get(&school.at(0, "/")).await.expect(200);
    let old = school.browser.copy();
    let frame = Ask::navigation(&school.at(0, "/_sso/silent"))
        .instead("Sec-Fetch-Site", "same-origin")
        .instead("Sec-Fetch-Dest", "iframe");
    let begun = school.browser.send(frame).await.expect(302);
    let back = school.browser.get(begun.location().as_str()).await.expect(302);
    let said = school.browser.get(back.location().as_str()).await.expect(200).text();
    assert!(said.contains("vestibule:silent") && said.contains("expires_at"), "{said}");
    school.browser.fetch(&school.at(1, "/")).await.expect(200);
    old.fetch(&school.at(1, "/")).await.expect(401);
}

#[tokio::test]
async fn over_tls_the_shared_cookie_is_secure_and_says_so_by_its_name() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let (issued, trusted) = certificate(&HOSTS);
    let (cert, key) = (world.dir.path().join("school.pem"), world.dir.path().join("school.key"));
    std::fs::write(&cert, issued.cert.pem()).unwrap();
    std::fs::write(&key, issued.signing_key.serialize_pem()).unwrap();
    let [at_lms, at_talk] = HOSTS.map(|host| format!("https://{host}:{}", world.address().port()));
    let config = format!("[server]\ntls = {{ cert = {cert:?}, key = {key:?} }}\n")
        + &rogue.table("rogue", "")
        + "[session.cookie]\ndomain = \"school.localhost\"\n"
        + &world.app_at("lms", &at_lms, &app.origin())
        + &world.app_at("talk", &at_talk, &app.origin());
    let gateway = world.start(&config).await;
    let browser = Browser::new().trusting(trusted);
    HOSTS.iter().for_each(|host| browser.knows(host, gateway.address().ip()));
    browser.visit(&format!("{at_lms}/")).await.expect(200);
    browser.get(&format!("{at_talk}/")).await.expect(200);
    let cookies = browser.cookies();
    let session = cookies.iter().find(|cookie| cookie.name == "__Secure-vestibule").unwrap();
    assert!(session.wide && session.secure && session.host == "school.localhost", "{session:?}");
}

#[tokio::test]
async fn another_person_does_not_land_in_the_previous_ones_session_of_an_app_where_they_never_signed_in() {
    let clear = "[apps.talk.logout]\nclear_cookies = [\"talk*\", { name = \"deep\", path = \"/a\" }]\n";
    let school = School::with("", "", clear).await;
    let person = |sub: &str| school.rogue.person(json!({"sub": sub, "name": sub}));
    let own = |value: &'static str| {
        school.talk.answer(move |request| match request.path() {
            "/in" => Answer::text("in").with("Set-Cookie", &format!("talk-sid={value}; Path=/")),
            _ => Answer::text("page"),
        });
    };
    let talks = async |path: &str| {
        school.browser.visit(&school.at(1, path)).await.expect(200);
        school.talk.last().header("cookie").unwrap_or_default()
    };
    own("first");
    person("u-1");
    school.browser.visit(&school.at(0, "/")).await.expect(200);
    talks("/in").await;
    assert_eq!(talks("/").await, "talk-sid=first");
    assert_eq!(talks("/").await, "talk-sid=first");
    // Another person signs in, at the other app.
    person("u-2");
    school.browser.visit(&school.at(0, "/_sso/sign-in?return_to=/")).await.expect(200);
    assert_eq!(talks("/").await, "", "what the previous person left is not shown to the app");
    assert_eq!(talks("/").await, "");
    own("second");
    talks("/in").await;
    assert_eq!(talks("/").await, "talk-sid=second");
    // What the app sets in the very answer stays, and is the new person's.
    person("u-1");
    school.browser.visit(&school.at(0, "/_sso/sign-in?return_to=/")).await.expect(200);
    own("third");
    assert_eq!(talks("/in").await, "");
    assert_eq!(talks("/").await, "talk-sid=third");
}
