//! Sign-in through the real provider, in both its shapes, and what a login must never allow.

use std::time::Duration;

use serde_json::json;

use crate::world::{Ask, Browser, Engine, Inside, Rogue, Server, Shape, World};

const TRUSTED_HEADERS: &str = r#"
[apps.lms.headers]
X-User-Id = "sub"
X-User-Login = "login"
X-User-Email = "email"
X-User-First-Name = { claim = "given_name", encode = "percent" }
X-User-Last-Name = "family_name"
X-User-Phone = "phone_number"
X-User-Snils = "custom_fields.snils"
X-User-Groups = { claim = "custom_fields.groups", join = "," }
X-User-Accounts = { claim = "publicExternalAccounts", encode = "json" }
X-User-Label = { template = "{given_name} {family_name} <{email}>" }
X-User-Role = { expr = 'claims.custom_fields.groups.exists(g, g == "teachers") ? "teacher" : "student"' }
X-User-Tenant = { value = "acme" }
"#;

#[tokio::test]
async fn a_person_of_trusted_id_signs_in_and_the_app_learns_who_they_are() {
    let (gateway, app) = World::behind(&Engine::trusted(), TRUSTED_HEADERS).await;
    let browser = Browser::new();
    let page = browser.sign_in(&gateway.url("/courses/7?tab=%D0%B0"), "ivanov").await.expect(200);
    assert_eq!(page.url.as_str(), gateway.url("/courses/7?tab=%D0%B0"));
    let request = app.last();
    assert_eq!(request.target(), "/courses/7?tab=%D0%B0");
    for (name, value) in [
        ("x-user-id", "5f6d1c0e9b1e8a0017a1b001"),
        ("x-user-login", "ivanov"),
        ("x-user-email", "ivanov@school.example"),
        ("x-user-first-name", "%D0%98%D0%B2%D0%B0%D0%BD"),
        ("x-user-last-name", "Иванов"),
        ("x-user-phone", "+79001234567"),
        ("x-user-snils", "112-233-445 95"),
        ("x-user-groups", "students,10 «А»"),
        ("x-user-accounts", r#"[{"type":"telegram","sub":42,"label":"@vanya"}]"#),
        ("x-user-label", "Иван Иванов <ivanov@school.example>"),
        ("x-user-role", "student"),
        ("x-user-tenant", "acme"),
    ] {
        assert_eq!(request.header(name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(request.header("cookie"), None, "our own cookies never reach the app");
}

#[tokio::test]
async fn a_person_without_an_email_signs_in_and_no_such_header_is_sent() {
    let (gateway, app) = World::behind(&Engine::trusted(), "").await;
    Browser::new().sign_in(&gateway.url("/"), "sidorova").await.expect(200);
    let request = app.last();
    assert_eq!(request.header("x-auth-email"), None);
    assert_eq!(request.header("x-auth-family-name").as_deref(), Some("Сидорова-Ёжикова"));
    assert_eq!(request.header("x-auth-given-name").as_deref(), Some("Ольга"));
    assert_eq!(request.header("x-auth-name").as_deref(), Some("Сидорова-Ёжикова Ольга"));
    assert_eq!(request.header("x-auth-phone-number").as_deref(), Some("+79005550101"));
    assert_eq!(request.header("x-auth-sub").as_deref(), Some("5f6d1c0e9b1e8a0017a1b003"));
}

#[tokio::test]
async fn a_person_of_indeed_am_signs_in_with_claims_of_the_id_token_alone() {
    let headers = r#"
        [apps.lms.headers]
        Remote-User = "SamCompatibleName"
        X-Dn = "DistinguishedName"
        X-Dn-Percent = { claim = "DistinguishedName", encode = "percent" }
        X-Sid = "Sid"
        X-Patronymic = "middle_name"
        X-Email = "email"
    "#;
    let (gateway, app) = World::behind(&Engine::indeed(), headers).await;
    Browser::new().sign_in(&gateway.url("/"), "petrova").await.expect(200);
    let request = app.last();
    assert_eq!(request.header("remote-user").as_deref(), Some("SCHOOL\\petrova"));
    assert_eq!(
        request.header("x-dn").as_deref(),
        Some("CN=Петрова Мария Алексеевна,OU=Учителя,OU=Школа № 7,DC=school,DC=example")
    );
    assert!(request.header("x-dn-percent").unwrap().contains("CN%3D%D0%9F%D0%B5%D1%82"));
    assert_eq!(request.header("x-sid").as_deref(), Some("S-1-5-21-3623811015-3361044348-30300820-1014"));
    assert_eq!(request.header("x-patronymic").as_deref(), Some("Алексеевна"));
    assert_eq!(request.header("x-email").as_deref(), Some("petrova@school.example"));
}

#[tokio::test]
async fn indeed_am_with_an_issuer_that_ends_in_a_slash_works_when_it_is_written_so() {
    let engine = Engine::own(Shape::Indeed, json!({"trailing_slash": true}));
    let (gateway, app) = World::behind(&engine, "").await;
    Browser::new().sign_in(&gateway.url("/"), "ivanov").await.expect(200);
    assert!(app.last().header("x-auth-sub").is_some());
}

#[tokio::test]
async fn each_way_to_authenticate_the_client_works_at_the_real_provider() {
    for method in ["client_secret_basic", "client_secret_post"] {
        let (world, app) = (World::new(), Server::start().await);
        // Its own provider: a client is registered with one method.
        let engine = Engine::trusted();
        let table = engine.table(&world, "school", &format!("client_auth = {method:?}"));
        let gateway = world.clone().start(&(table + &world.app("lms", &app))).await;
        Browser::new().sign_in(&gateway.url("/"), "ivanov").await.expect(200);
    }
}

#[tokio::test]
async fn an_app_below_a_path_with_its_own_callback_path_works() {
    let (world, app) = (World::new(), Server::start().await);
    let url = format!("{}/lms", world.origin());
    let engine = Engine::trusted();
    let config = engine.table_for(&[&url], "/login/callback", "school", "")
        + &world.app_at("lms", &url, &app.origin())
        + "strip_prefix = true\ncallback_path = \"/lms/login/callback\"\n";
    let gateway = world.start(&config).await;
    let browser = Browser::new();
    browser.sign_in(&gateway.url("/lms/courses?id=1"), "ivanov").await.expect(200);
    assert_eq!(app.last().target(), "/courses?id=1");
    browser.fetch(&gateway.url("/lms/_sso/session")).await.expect(200);
    let outside = browser.get(&gateway.url("/other")).await;
    assert!(matches!(outside.status, 404 | 421), "{outside:?}");
    assert!(app.received().iter().all(|request| request.path() == "/courses"));
}

#[tokio::test]
async fn two_tabs_can_sign_in_at_the_same_time() {
    let (gateway, app) = World::behind(&Engine::trusted(), "").await;
    let browser = Browser::new();
    let first = browser.visit(&gateway.url("/first")).await;
    let second = browser.visit(&gateway.url("/second")).await;
    browser.log_in(&first, "ivanov").await.expect(200);
    assert_eq!(app.last().target(), "/first");
    browser.log_in(&second, "ivanov").await.expect(200);
    assert_eq!(app.last().target(), "/second");
}

#[tokio::test]
async fn many_logins_begun_and_left_do_not_pile_up_in_the_browser() {
    let (gateway, _rogue, _app) = World::with_rogue("").await;
    let browser = Browser::new();
    for _ in 0..30 {
        browser.get(&gateway.url("/")).await.expect(302);
    }
    let cookies = browser.cookies();
    assert!(cookies.len() <= 8, "{} login cookies", cookies.len());
    browser.visit(&gateway.url("/")).await.expect(200);
}

#[tokio::test]
async fn cookies_are_http_only_lax_and_for_the_whole_host() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    let browser = Browser::new();
    let login = browser.get(&gateway.url("/")).await.expect(302);
    let back = browser.get(login.location().as_str()).await.expect(302);
    let done = browser.get(back.location().as_str()).await.expect(302);
    for response in [&login, &done] {
        let set = response.headers.all("set-cookie");
        assert!(!set.is_empty());
        for line in &set {
            let lower = line.to_lowercase();
            assert!(
                lower.contains("httponly") && lower.contains("samesite=lax") && lower.contains("path=/"),
                "{line}"
            );
            assert!(!lower.contains("domain="), "{line}");
            assert!(line.len() < 4096);
        }
        let mut names: Vec<_> = set.iter().map(|line| line.split('=').next().unwrap()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), set.len(), "each name once in a response: {set:?}");
    }
    assert!(rogue.asked("/token").len() == 1);
}

#[tokio::test]
async fn a_completed_sign_in_gives_a_new_session_and_ends_the_one_before() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    let old = browser.copy();
    rogue.person(json!({"sub": "u-2"}));
    browser.visit(&gateway.url("/_sso/sign-in?return_to=/next")).await.expect(200);
    let session = browser.fetch(&gateway.url("/_sso/session")).await.expect(200).json();
    assert_eq!(session["sub"], "u-2");
    old.fetch(&gateway.url("/_sso/session")).await.expect(401);
}

#[tokio::test]
async fn each_cookie_is_set_once_also_where_the_one_before_was_broken_or_due_for_renewal() {
    let (gateway, rogue, _app) = Inside::with_rogue("[session]\nstore = \"cookie\"\n").await;
    let mut ahead = Duration::ZERO;
    for broken in [false, true] {
        let browser = Browser::new();
        browser.visit(&gateway.url("/")).await.expect(200);
        let held = browser.cookies().remove(0);
        let login = browser.get(&gateway.url("/_sso/sign-in")).await.expect(302);
        let back = browser.get(login.location().as_str()).await.expect(302);
        gateway.later(Duration::from_secs(600));
        ahead += Duration::from_secs(600);
        rogue.is_ahead(ahead);
        let mut callback = Ask::navigation(back.location().as_str());
        if broken {
            // Twice the same name, as where another path set one too.
            let own = browser.cookie_header(&back.location()).unwrap();
            callback = callback.without_cookies().header("Cookie", format!("{own}; {}=x", held.name));
        }
        let done = browser.send(callback).await.expect(302);
        let mut names: Vec<_> = done.headers.all("set-cookie");
        names.iter_mut().for_each(|line| line.truncate(line.find('=').unwrap()));
        let set = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), set, "{done:?}");
        browser.fetch(&gateway.url("/_sso/session")).await.expect(200);
    }
}

#[tokio::test]
async fn a_planted_cookie_never_becomes_a_session() {
    let (gateway, _rogue, _app) = World::with_rogue("").await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    let held = browser.cookies();
    let session = held.iter().find(|cookie| !cookie.value.is_empty()).unwrap();
    let host = gateway.address().ip().to_string();
    for value in
        ["", "x", "AAAA", &"A".repeat(4000), &session.value[1..], &format!("{}A", session.value), "é"]
    {
        let thief = Browser::new();
        thief.plant(&host, &session.name, value);
        thief.fetch(&gateway.url("/")).await.expect(401);
    }
    // The same name twice: nobody can tell which one is ours.
    let twice = format!("{0}={1}; {0}=x", session.name, session.value);
    let response = Browser::new().send(Ask::script("GET", &gateway.url("/")).header("Cookie", twice)).await;
    assert_eq!(response.status, 401);
}

#[tokio::test]
async fn sign_in_returns_to_the_wanted_path_and_never_to_another_origin() {
    let (gateway, _rogue, app) = World::with_rogue("").await;
    let browser = Browser::new();
    let page =
        browser.visit(&gateway.url("/_sso/sign-in?return_to=/courses/7%3Fa%3Db%26c")).await.expect(200);
    assert_eq!(page.url.as_str(), gateway.url("/courses/7?a=b&c"));
    for evil in [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "\\\\evil.example",
        "%2F%2Fevil.example",
        "/%09/evil.example",
        "javascript:alert(1)",
        "///evil.example",
        "/%0d%0aLocation:%20https://evil.example",
        "http:evil.example",
        "@evil.example",
        ".evil.example",
        "",
        "/_sso/sign-out",
        "/_sso/callback?code=x",
    ] {
        app.forget();
        let encoded: String = form_urlencoded::byte_serialize(evil.as_bytes()).collect();
        for value in [evil.to_owned(), encoded] {
            let ask = Ask::navigation(&gateway.url("/")).target(format!("/_sso/sign-in?return_to={value}"));
            let mut response = Browser::new().send(ask).await;
            // Wherever it leads, it never leaves the app's origin and the provider.
            let walker = Browser::new();
            for _ in 0..10 {
                if !response.is_redirect() {
                    break;
                }
                let host = response.location().host_str().map(str::to_owned).unwrap_or_default();
                assert!(!host.contains("evil"), "{value}: {response:?}");
                assert!(response.location().scheme().starts_with("http"), "{value}");
                response = walker.get(response.location().as_str()).await;
            }
        }
    }
}

#[tokio::test]
async fn who_is_signed_in_already_goes_straight_back_from_a_callback_that_is_over() {
    let (gateway, _rogue, app) = World::with_rogue("").await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    let response = browser.get(&gateway.url("/_sso/callback?code=old&state=old")).await;
    assert!(response.is_redirect(), "{response:?}");
    browser.follow(response).await.expect(200);
    assert_eq!(app.last().path(), "/");
    // Nobody signed in by that.
    let metrics = gateway.ask_admin("/metrics").await.text();
    let counted = metrics.lines().find(|line| line.starts_with("vestibule_sign_ins_total{")).unwrap();
    assert!(counted.ends_with(" 1") && counted.contains("\"ok\""), "{counted}");
}

#[tokio::test]
async fn the_callers_own_session_is_told_as_json() {
    let (gateway, _app) = World::behind(&Engine::trusted(), "").await;
    let browser = Browser::new();
    browser.sign_in(&gateway.url("/"), "ivanov").await.expect(200);
    let response = browser.fetch(&gateway.url("/_sso/session")).await.expect(200);
    assert_eq!(response.header("cache-control").as_deref(), Some("no-store"));
    let session = response.json();
    assert_eq!(session["sub"], "5f6d1c0e9b1e8a0017a1b001");
    assert_eq!(session["provider"], "school");
    assert_eq!(session["claims"]["name"], "Иванов Иван Сергеевич");
    assert_eq!(session["claims"]["custom_fields"]["class"], 10);
    for time in ["signed_in_at", "expires_at"] {
        assert!(session[time].is_string() || session[time].is_u64(), "{time}: {session}");
    }
    let text = response.text();
    assert!(!text.contains("access_token") && !text.contains("eyJ"), "{text}");
}

#[tokio::test]
async fn a_session_of_one_app_is_none_at_another_app_of_the_same_host() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let config = rogue.table("rogue", "")
        + &world.app_at("one", "http://one.localhost:4180", &app.origin())
        + &world.app_at("two", "http://two.localhost:4180", &app.origin());
    let gateway = world.start(&config).await;
    let browser = Browser::new();
    for host in ["one.localhost", "two.localhost"] {
        browser.knows(host, gateway.address().ip());
    }
    browser.visit("http://one.localhost:4180/").await.expect(200);
    let stolen = browser.cookies();
    for cookie in stolen {
        browser.plant("two.localhost", &cookie.name, &cookie.value);
    }
    browser.fetch("http://two.localhost:4180/").await.expect(401);
}
