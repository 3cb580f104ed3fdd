//! Claims to headers, and headers that a client forges.

use serde_json::json;

use crate::world::{Ask, Browser, World};

#[tokio::test]
async fn every_encoding_carries_a_cyrillic_name() {
    let headers = r#"
        [apps.lms.headers]
        X-Utf8 = "name"
        X-Latin1 = { claim = "city", encode = "latin1" }
        X-Percent = { claim = "name", encode = "percent" }
        X-Base64 = { claim = "name", encode = "base64" }
        X-Rfc2047 = { claim = "name", encode = "rfc2047" }
        X-Rfc2047-Q = { claim = "name", encode = "rfc2047-q" }
        X-Rfc8187 = { claim = "name", encode = "rfc8187" }
        X-Json = { claim = "name", encode = "json" }
    "#;
    let (gateway, rogue, app) = World::with_rogue(headers).await;
    rogue.person(json!({"sub": "u-1", "name": "Ёлкин", "city": "Zürich"}));
    Browser::new().visit(&gateway.url("/")).await.expect(200);
    let request = app.last();
    for (name, value) in [
        ("x-utf8", "Ёлкин".as_bytes()),
        ("x-latin1", b"Z\xfcrich"),
        ("x-percent", b"%D0%81%D0%BB%D0%BA%D0%B8%D0%BD"),
        ("x-base64", "0IHQu9C60LjQvQ==".as_bytes()),
        ("x-rfc2047", b"=?UTF-8?B?0IHQu9C60LjQvQ==?="),
        ("x-rfc8187", b"UTF-8''%D0%81%D0%BB%D0%BA%D0%B8%D0%BD"),
        ("x-json", br#""\u0401\u043b\u043a\u0438\u043d""#),
    ] {
        let sent = request.head.fields.bytes(name).unwrap_or_else(|| panic!("{name} is missing"));
        assert!(
            sent.eq_ignore_ascii_case(value),
            "{name}: {:?} is not {:?}",
            String::from_utf8_lossy(&sent),
            String::from_utf8_lossy(value)
        );
    }
    let quoted = request.header("x-rfc2047-q").unwrap();
    assert!(quoted.eq_ignore_ascii_case("=?UTF-8?Q?=D0=81=D0=BB=D0=BA=D0=B8=D0=BD?="), "{quoted}");
}

#[tokio::test]
async fn paths_lists_templates_expressions_constants_and_defaults_become_headers() {
    let headers = r#"
        [apps.lms.headers]
        X-City = "address.locality"
        X-Groups = { claim = "groups", join = ";" }
        X-Roles = { claim = "roles", encode = "json" }
        X-Label = { template = "{name} <{email}>" }
        X-Adult = { expr = 'claims.age >= 18 ? "yes" : "no"' }
        X-Broken = { expr = 'claims.nothing.at.all' }
        X-Tenant = { value = "acme" }
        X-Login = { claim = "login", default = "unknown" }
        X-Absent = "no_such_claim"
        X-Null = "nothing"
        Authorization = { token = "access" }
    "#;
    let (gateway, rogue, app) = World::with_rogue(headers).await;
    rogue.person(json!({
        "sub": "u-1", "name": "Анна", "email": "a@school.example", "age": 17, "nothing": null,
        "address": {"locality": "Пермь"}, "groups": ["10А", "a;b", "хор"], "roles": [{"id": 1, "имя": "я"}],
    }));
    Browser::new().visit(&gateway.url("/")).await.expect(200);
    let request = app.last();
    for (name, value) in [
        ("x-city", Some("Пермь")),
        ("x-groups", Some("10А;хор")),
        ("x-label", Some("Анна <a@school.example>")),
        ("x-adult", Some("no")),
        ("x-broken", None),
        ("x-tenant", Some("acme")),
        ("x-login", Some("unknown")),
        ("x-absent", None),
        ("x-null", None),
        ("x-auth-sub", None),
    ] {
        assert_eq!(request.header(name).as_deref(), value, "{name}");
    }
    let roles = request.header("x-roles").unwrap();
    assert!(roles.is_ascii(), "{roles}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&roles).unwrap(), json!([{"id": 1, "имя": "я"}]));
    assert!(request.header("authorization").unwrap().starts_with("Bearer "));
}

#[tokio::test]
async fn a_claim_with_a_control_character_is_left_out_and_logged() {
    let (gateway, rogue, app) =
        World::with_rogue("[apps.lms.headers]\nX-Name = \"name\"\nX-Sub = \"sub\"\n").await;
    for bad in ["a\r\nX-Admin: yes", "a\nb", "a\u{0}b", "a\u{7f}b", "a\tb", "a\u{85}b"] {
        rogue.person(json!({"sub": "u-1", "name": bad}));
        Browser::new().visit(&gateway.url("/")).await.expect(200);
        let request = app.last();
        assert_eq!(request.header("x-name"), None, "{bad:?}");
        assert_eq!(request.header("x-admin"), None, "{bad:?}");
        assert_eq!(request.header("x-sub").as_deref(), Some("u-1"));
    }
    gateway.logs("X-Name").await;
}

/// Spellings that some app could read as `X-User-Email`.
const SPELLINGS: [&str; 12] = [
    "X-User-Email",
    "x-user-email",
    "X_User_Email",
    "X-User_Email",
    "x.user.email",
    "XUSEREMAIL",
    "X--User--Email",
    "X-USER-EMAIL_",
    "_X-User-Email",
    "X!User#Email",
    "x~user~email",
    "X-User-E-mail",
];

#[tokio::test]
async fn a_forged_header_is_removed_in_every_spelling_whoever_sends_it() {
    let lines = "[[apps.lms.rules]]\npaths = [\"/public/*\"]\naccess = \"public\"\n\n[apps.lms.headers]\nX-User-Email = \"email\"\nX-User-Admin = \"admin\"\n";
    let (gateway, _rogue, app) = World::with_rogue(lines).await;
    let signed_in = Browser::new();
    signed_in.visit(&gateway.url("/")).await.expect(200);
    for (browser, path, own) in [
        (&Browser::new(), "/public/x", None),
        (&signed_in, "/public/x", Some("anna@school.example")),
        (&signed_in, "/private", Some("anna@school.example")),
    ] {
        let mut ask = Ask::script("GET", &gateway.url(path));
        for spelling in SPELLINGS {
            ask =
                ask.header(spelling, "root@school.example").header(&spelling.replace("mail", "MAIL"), "root");
        }
        ask =
            ask.header("X-User-Admin", "true").header("X_USER_ADMIN", "true").header("X-User-Emails", "kept");
        browser.send(ask).await.expect(200);
        let request = app.last();
        let text = String::from_utf8_lossy(&request.head.raw).into_owned();
        assert!(!text.contains("root"), "{path}: {text}");
        assert_eq!(request.header("x-user-email").as_deref(), own, "{path}");
        assert_eq!(request.header("x-user-admin"), None, "{path}: a claim that is absent sends no header");
        assert_eq!(
            request.header("x-user-emails").as_deref(),
            Some("kept"),
            "another name is the client's own affair"
        );
    }
}

#[tokio::test]
async fn a_client_cannot_have_an_identity_header_dropped() {
    let (gateway, _rogue, app) = World::with_rogue("").await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    for connection in
        ["X-Auth-Sub", "close, x-auth-sub", "keep-alive, X-Auth-Email, X-Forwarded-For, Forwarded"]
    {
        let ask = Ask::script("GET", &gateway.url("/"))
            .header("Connection", connection)
            .header("X-Auth-Sub", "forged")
            .header("Keep-Alive", "x-auth-sub");
        browser.send(ask).await.expect(200);
        let request = app.last();
        assert_eq!(request.header("x-auth-sub").as_deref(), Some("u-1"), "{connection}");
        assert_eq!(request.header("x-auth-email").as_deref(), Some("anna@school.example"), "{connection}");
        assert!(request.header("x-forwarded-for").is_some(), "{connection}");
    }
}

#[tokio::test]
async fn a_forged_header_in_the_trailers_never_arrives() {
    let (gateway, _rogue, app) = World::with_rogue("").await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    let url = url::Url::parse(&gateway.url("/")).unwrap();
    let request = format!(
        "POST /upload HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\nOrigin: {}\r\nTE: trailers\r\nTrailer: X-Auth-Sub\r\n\
         Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Auth-Sub: forged\r\nX-Other: y\r\n\r\n",
        gateway.address(),
        browser.cookie_header(&url).unwrap(),
        gateway.world.origin(),
    );
    browser.raw(&gateway.url("/"), request.as_bytes()).await.expect(200);
    let received = app.last();
    assert_eq!(received.body, b"abc");
    assert!(!String::from_utf8_lossy(&received.raw_body).contains("forged"));
    assert_eq!(received.header("x-auth-sub").as_deref(), Some("u-1"));
    assert_eq!(received.header("trailer"), None);
}

#[tokio::test]
async fn the_apps_own_cookies_are_untouched_and_ours_never_arrive() {
    let (gateway, _rogue, app) = World::with_rogue("").await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    let ours: Vec<String> = browser.cookies().into_iter().map(|cookie| cookie.name).collect();
    let url = url::Url::parse(&gateway.url("/")).unwrap();
    let held = browser.cookie_header(&url).unwrap();
    let own = "MoodleSession=abc; q=\"a b\"; x=1=2;;weird; =v; ж=%D0%B6";
    for cookies in [format!("{own}; {held}"), format!("{held}; {own}")] {
        let ask = Ask::script("GET", &gateway.url("/")).without_cookies().header("Cookie", cookies);
        browser.send(ask).await.expect(200);
        let sent = app.last().header("cookie").unwrap();
        assert_eq!(sent, own);
    }
    let ask = Ask::script("GET", &gateway.url("/"))
        .without_cookies()
        .header("Cookie", held)
        .header("Cookie", "a=b");
    browser.send(ask).await.expect(200);
    let cookies = app.last().head.fields.all("cookie").join("; ");
    assert_eq!(cookies, "a=b");
    assert!(ours.iter().all(|name| !cookies.contains(name)));
}

#[tokio::test]
async fn a_person_whose_claims_change_is_described_anew_at_the_next_sign_in() {
    let (gateway, rogue, app) = World::with_rogue("").await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    rogue.person(json!({"sub": "u-1", "email": "new@school.example"}));
    browser.get(&gateway.url("/")).await.expect(200);
    assert_eq!(app.last().header("x-auth-email").as_deref(), Some("anna@school.example"));
    browser.visit(&gateway.url("/_sso/sign-in")).await.expect(200);
    browser.get(&gateway.url("/")).await.expect(200);
    assert_eq!(app.last().header("x-auth-email").as_deref(), Some("new@school.example"));
}
