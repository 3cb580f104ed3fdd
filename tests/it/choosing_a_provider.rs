//! Several providers for one app: which one a login goes to, and that they never stand in for each other.

use serde_json::json;

use crate::world::browser::Response;
use crate::world::chromium::Chromium;
use crate::world::{Ask, Browser, Engine, Gateway, Rogue, Server, World, html, rogue};

const SCHOOL: &str = "label = \"Школа № 7\"\ndomains = [\"school.example\"]\n";
const MINISTRY: &str = "label = \"Министерство\"\ndomains = [\"минобр.рф\"]\n";

/// A gateway in front of one app whose people choose between the providers in both their shapes.
async fn with_both(lines: &str) -> (Gateway, Server) {
    let (world, app) = (World::new(), Server::start().await);
    let school = Engine::trusted().table(&world, "school", SCHOOL);
    let callback = "/_sso/callback/ministry";
    let ministry = Engine::indeed().table_for(&[&world.origin()], callback, "ministry", MINISTRY);
    let config = school + &ministry + &world.app("lms", &app) + lines;
    (world.start(&config).await.ready().await, app)
}

/// A gateway in front of one app, between two providers that a test bends; neither says who answers (`iss`).
async fn with_rogues(lines: &str) -> (Gateway, [Rogue; 2], Server) {
    let (world, app) = (World::new(), Server::start().await);
    let rogues = [Rogue::start().await, Rogue::start().await];
    rogues.iter().for_each(Rogue::is_silent_about_itself);
    let [first, second] = &rogues;
    let config = first.table("first", "") + &second.table("second", "") + &world.app("lms", &app) + lines;
    (world.start(&config).await.ready().await, rogues, app)
}

/// The address of a choice on the page that has this in it.
fn offer(page: &Response, provider: &str) -> String {
    let links = html::links(&page.text());
    let found = links.iter().find(|link| link.contains(&format!("provider={provider}&")));
    let link = found.unwrap_or_else(|| panic!("no {provider} among {links:?}"));
    page.url.join(link).unwrap().into()
}

async fn session(browser: &Browser, gateway: &Gateway) -> serde_json::Value {
    browser.fetch(&gateway.url("/_sso/session")).await.expect(200).json()
}

/// The same browser once its session is over: what else it remembers is still there.
fn without_session(browser: &Browser) -> Browser {
    let later = browser.fresh();
    for cookie in browser.cookies().iter().filter(|cookie| cookie.name.ends_with("-provider")) {
        later.plant(&cookie.host, &cookie.name, &cookie.value);
    }
    later
}

async fn sign_out(browser: &Browser, gateway: &Gateway) -> Response {
    let ask = Ask::navigation(&gateway.url("/_sso/sign-out")).instead("Sec-Fetch-Site", "same-origin");
    browser.send(ask).await
}

#[tokio::test]
async fn a_visit_without_a_session_leads_to_a_page_that_offers_every_provider_by_what_people_call_it() {
    let (gateway, _app) = with_both("").await;
    let browser = Browser::new();
    let first = browser.get(&gateway.url("/courses?id=1")).await.expect(302);
    assert_eq!(first.location().as_str(), gateway.url("/_sso/sign-in?return_to=%2Fcourses%3Fid%3D1"));
    for (language, heading) in [("ru", "Как вы хотите войти?"), ("en", "How do you want to sign in?")]
    {
        let page = browser.clone().reading(language).get(first.location().as_str()).await.expect(200);
        let text = page.text();
        assert!(text.contains(heading), "{text}");
        assert!(text.contains("Школа № 7") && text.contains("Министерство"), "{text}");
        assert_eq!(page.header("cache-control").as_deref(), Some("no-store"));
        assert!(!text.contains("<script"));
    }
    assert!(browser.cookies().is_empty(), "{:?}", browser.cookies());
    // Who could not choose is told where a person can.
    let script = browser.fetch(&gateway.url("/courses")).await.expect(401).json();
    assert_eq!(script["sign_in"], gateway.url("/_sso/sign-in"));
    browser.fetch(&gateway.url("/_sso/sign-in")).await.expect(401);
    let ahead = Ask::navigation(&gateway.url("/courses")).header("Sec-Purpose", "prefetch");
    browser.send(ahead).await.expect(401);
    browser.get(&gateway.url("/_sso/sign-in?provider=nobody")).await.expect(400);
}

#[tokio::test]
async fn answers_that_are_posted_arrive_at_the_redirect_uri_of_their_own_provider() {
    let (world, app) = (World::new(), Server::start().await);
    let posted = "response_mode = \"form_post\"\n";
    let school = Engine::trusted().table(&world, "school", posted);
    let callback = "/_sso/callback/ministry";
    let ministry = Engine::indeed().table_for(&[&world.origin()], callback, "ministry", posted);
    let gateway = world.clone().start(&(school + &ministry + &world.app("lms", &app))).await.ready().await;
    for (provider, login) in [("school", "ivanov"), ("ministry", "petrova")] {
        let browser = Browser::new();
        let page = browser.visit(&gateway.url("/courses?id=1")).await.expect(200);
        let at_provider = browser.visit(&offer(&page, provider)).await;
        let mut page = browser.log_in(&at_provider, login).await;
        // The provider's page with the answer, and ours that brings it to this site's cookies.
        while page.text().contains("<form") {
            let form = page.form("");
            page = browser.submit(&page, form).await;
        }
        page.expect(200);
        assert_eq!(app.last().target(), "/courses?id=1");
        assert_eq!(session(&browser, &gateway).await["provider"], provider);
    }
}

#[tokio::test]
async fn each_choice_signs_in_with_its_own_provider_and_ends_on_the_wanted_page() {
    let (gateway, app) = with_both("").await;
    for (provider, login) in [("school", "ivanov"), ("ministry", "petrova")] {
        let browser = Browser::new();
        let page = browser.visit(&gateway.url("/courses?id=1")).await.expect(200);
        let at_provider = browser.visit(&offer(&page, provider)).await;
        browser.log_in(&at_provider, login).await.expect(200);
        assert_eq!(app.last().target(), "/courses?id=1");
        assert!(app.last().header("cookie").is_none(), "the app sees none of our cookies");
        assert_eq!(session(&browser, &gateway).await["provider"], provider);
    }
}

#[tokio::test]
async fn the_provider_of_the_last_sign_in_comes_next_time_by_itself_and_after_a_sign_out_first() {
    let (gateway, [_first, second], _app) = with_rogues("").await;
    let browser = Browser::new();
    let page = browser.visit(&gateway.url("/")).await.expect(200);
    browser.visit(&offer(&page, "second")).await.expect(200);
    let chosen: Vec<_> =
        browser.cookies().into_iter().filter(|cookie| cookie.name.ends_with("-provider")).collect();
    assert_eq!((chosen.len(), chosen[0].value.as_str(), &*chosen[0].path), (1, "second", "/"));

    let later = without_session(&browser);
    let straight = later.get(&gateway.url("/next")).await.expect(302);
    assert!(straight.location().as_str().starts_with(second.issuer()), "{straight:?}");
    // Nobody is stuck: the page is one address away, with the last one first.
    let page = later.get(&gateway.url("/_sso/sign-in")).await.expect(200);
    assert!(html::links(&page.text())[0].contains("provider=second"), "{}", page.text());
    assert!(page.text().contains("You signed in here last time"));
    offer(&page, "first");

    let left = sign_out(&browser, &gateway).await.expect(302);
    assert!(left.location().as_str().starts_with(second.issuer()), "{left:?}");
    browser.follow(left).await.expect(200);
    let page = browser.visit(&gateway.url("/next")).await.expect(200);
    assert_eq!(page.url.path(), "/_sso/sign-in");
    assert!(html::links(&page.text())[0].contains("provider=second"), "{}", page.text());
    // The next sign-in, with the other one, is the one that is remembered.
    browser.visit(&offer(&page, "first")).await.expect(200);
    assert_eq!(session(&browser, &gateway).await["provider"], "first");
    let page = without_session(&browser).get(&gateway.url("/_sso/sign-in")).await.expect(200);
    assert!(html::links(&page.text())[0].contains("provider=first"), "{}", page.text());
}

#[tokio::test]
async fn who_has_no_session_any_more_signs_out_at_the_provider_of_the_last_sign_in() {
    let (gateway, [first, _second], _app) = with_rogues("").await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/_sso/sign-in?provider=first")).await.expect(200);
    let left = sign_out(&without_session(&browser), &gateway).await.expect(302);
    assert!(left.location().as_str().starts_with(first.issuer()), "{left:?}");
    let nobody = sign_out(&Browser::new(), &gateway).await.expect(302);
    assert_eq!(nobody.location().path(), "/_sso/signed-out");
}

#[tokio::test]
async fn what_a_cookie_says_counts_only_among_the_apps_own_providers() {
    let (gateway, _rogues, app) = with_rogues("").await;
    let sample = Browser::new();
    sample.visit(&gateway.url("/_sso/sign-in?provider=first")).await.expect(200);
    let cookies = sample.cookies();
    let named = cookies.iter().find(|cookie| cookie.name.ends_with("-provider")).unwrap();
    for value in ["", "nobody", "First", "first:x", "https://evil.example", "%66irst", &"x".repeat(3000)] {
        let browser = Browser::new();
        browser.plant(&named.host, &named.name, value);
        let answer = browser.get(&gateway.url("/")).await.expect(302);
        assert_eq!(answer.location().path(), "/_sso/sign-in", "{value}");
        let page = browser.follow(answer).await.expect(200);
        assert!(!page.text().contains("last time") && !page.text().contains("evil"), "{value}");
    }
    // An app can't choose for its people either.
    app.answer({
        let set = format!("{}=second; Path=/", named.name);
        move |_| crate::world::Answer::text("hello").with("Set-Cookie", &set)
    });
    let answer = sample.get(&gateway.url("/")).await.expect(200);
    assert!(answer.headers.all("set-cookie").is_empty(), "{answer:?}");
}

#[tokio::test]
async fn an_e_mail_address_leads_to_the_provider_of_its_domain_which_is_told_it() {
    let (gateway, app) = with_both("").await;
    let (school, ministry) = (Engine::trusted().issuer, Engine::indeed().issuer);
    for (email, issuer) in [
        ("ivanov@school.example", &school),
        (" Ivanov@SCHOOL.Example ", &school),
        ("\"a@b\"@school.example", &school),
        ("иван@минобр.рф", &ministry),
        ("ivan@МИНОБР.РФ", &ministry),
        ("ivan@xn--90anlffn.xn--p1ai", &ministry),
    ] {
        let browser = Browser::new();
        let page = browser.visit(&gateway.url("/courses?id=1")).await.expect(200);
        let sent = browser.submit_once(&page, page.form("").fill("email", email)).await.expect(302);
        assert!(sent.location().as_str().starts_with(issuer.as_str()), "{email}: {sent:?}");
        assert_eq!(sent.location_param("login_hint").as_deref(), Some(email.trim()));
    }
    let browser = Browser::new();
    let page = browser.visit(&gateway.url("/courses?id=1")).await.expect(200);
    let at_provider = browser.submit(&page, page.form("").fill("email", "ivanov@school.example")).await;
    assert!(at_provider.text().contains("value=\"ivanov@school.example\""), "{}", at_provider.text());
    browser.log_in(&at_provider, "ivanov").await.expect(200);
    assert_eq!(app.last().target(), "/courses?id=1");
}

#[tokio::test]
async fn an_e_mail_address_of_no_known_domain_is_said_so_and_every_provider_is_offered() {
    let (gateway, _app) = with_both("").await;
    let long = format!("{}@school.example", "x".repeat(300));
    for email in [
        "anna@elsewhere.example",
        "anna@sub.school.example",
        "anna@school.example.evil.example",
        "anna@school",
        "school.example",
        "@school.example",
        "anna@",
        "anna@school.example/",
        "\"><script>alert(1)</script>@x.example",
        &long,
    ] {
        let browser = Browser::new().reading("ru");
        let page = browser.visit(&gateway.url("/wanted")).await.expect(200);
        let page = browser.submit_once(&page, page.form("").fill("email", email)).await.expect(200);
        let text = page.text();
        assert!(text.contains("Для такого адреса почты способ входа не найден"), "{email}: {text}");
        assert!(!text.contains("<script"), "{text}");
        for provider in ["school", "ministry"] {
            assert!(offer(&page, provider).contains("return_to=%2Fwanted"), "{text}");
        }
        if email.len() < 254 {
            assert!(page.form("").fields.contains(&("email".into(), email.into())), "{text}");
        }
    }
}

#[tokio::test]
async fn the_form_goes_on_to_a_provider_under_the_policy_of_its_page() {
    let (gateway, _app) = with_both("").await;
    let page = Browser::new().visit(&gateway.url("/")).await.expect(200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("form-action 'self' https: http:;"), "{policy}");
    // Without a form nothing may be sent.
    let (gateway, _rogues, _app) = with_rogues("").await;
    let page = Browser::new().visit(&gateway.url("/")).await.expect(200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("form-action 'none';"), "{policy}");
    assert!(!page.text().contains("<form"));
}

#[tokio::test]
async fn people_whose_sub_is_the_same_at_two_providers_are_two_people() {
    let (gateway, [first, second], app) = with_rogues("").await;
    first.person(json!({"sub": "1", "name": "Анна"}));
    second.person(json!({"sub": "1", "name": "Борис"}));
    let (anna, boris) = (Browser::new(), Browser::new());
    for (browser, provider, name) in [(&anna, "first", "Анна"), (&boris, "second", "Борис")] {
        browser.visit(&gateway.url(&format!("/_sso/sign-in?provider={provider}"))).await.expect(200);
        assert_eq!(app.last().header("x-auth-name").as_deref(), Some(name));
    }
    for _ in 0..2 {
        for (browser, provider, name) in [(&anna, "first", "Анна"), (&boris, "second", "Борис")] {
            let session = session(browser, &gateway).await;
            assert_eq!((&session["provider"], &session["claims"]["name"]), (&json!(provider), &json!(name)));
            browser.get(&gateway.url("/")).await.expect(200);
            assert_eq!(app.last().header("x-auth-name").as_deref(), Some(name));
        }
    }
    // One leaves, and the other stays.
    sign_out(&anna, &gateway).await.expect(302);
    anna.fetch(&gateway.url("/_sso/session")).await.expect(401);
    assert_eq!(session(&boris, &gateway).await["provider"], "second");
}

#[tokio::test]
async fn a_sign_in_with_another_provider_ends_the_session_that_the_browser_had() {
    let (gateway, _rogues, _app) = with_rogues("").await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/_sso/sign-in?provider=first")).await.expect(200);
    let old = browser.copy();
    browser.visit(&gateway.url("/_sso/sign-in?provider=second")).await.expect(200);
    assert_eq!(session(&browser, &gateway).await["provider"], "second");
    old.fetch(&gateway.url("/_sso/session")).await.expect(401);
}

/// RFC 9700 section 4.4: the person starts at the attacker's provider, which sends the browser on to the honest
/// one, as if our login had been begun there. Its code must reach nobody: not the attacker's token endpoint.
#[tokio::test]
async fn a_code_of_one_provider_is_never_redeemed_at_another_also_where_neither_says_who_answers() {
    let (gateway, rogues, _app) = with_rogues("").await;
    let address = |number| gateway.url(["/_sso/callback", "/_sso/callback/second"][number]);
    for (attacker, honest) in [(0, 1), (1, 0)] {
        let name = ["first", "second"][attacker];
        let browser = Browser::new();
        let login = browser.get(&gateway.url(&format!("/_sso/sign-in?provider={name}"))).await.expect(302);
        assert_eq!(login.location_param("redirect_uri"), Some(address(attacker)));
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("client_id", rogue::CLIENT_ID)
            .append_pair("response_type", "code")
            .append_pair("redirect_uri", &address(honest))
            .append_pair("state", &login.location_param("state").unwrap())
            .append_pair("nonce", &login.location_param("nonce").unwrap())
            .append_pair("code_challenge", &login.location_param("code_challenge").unwrap())
            .finish();
        let honestly =
            browser.get(&format!("{}/authorize?{query}", rogues[honest].issuer())).await.expect(302);
        let refused = browser.get(honestly.location().as_str()).await;
        assert_eq!(refused.status, 400, "{refused:?}");
        gateway.logs("callback_address").await;
        browser.fetch(&gateway.url("/_sso/session")).await.expect(401);
        assert!(rogues.iter().all(|rogue| rogue.asked("/token").is_empty()));
        // The login is spent with it.
        let late = honestly.location().as_str().replace(&address(honest), &address(attacker));
        browser.get(&late).await.expect(400);
        assert!(rogues.iter().all(|rogue| rogue.asked("/token").is_empty()));
    }
    for name in ["first", "second"] {
        Browser::new().visit(&gateway.url(&format!("/_sso/sign-in?provider={name}"))).await.expect(200);
    }
    assert!(rogues.iter().all(|rogue| rogue.asked("/token").len() == 1));
}

#[tokio::test]
async fn an_address_of_no_provider_below_the_callback_is_none() {
    let (gateway, _rogues, app) = with_rogues("").await;
    for path in
        ["/_sso/callback/first", "/_sso/callback/nobody", "/_sso/callback/", "/_sso/callback/second/x"]
    {
        Browser::new().get(&gateway.url(path)).await.expect(404);
    }
    assert!(app.received().is_empty());
}

#[tokio::test]
async fn a_provider_that_is_down_keeps_nobody_from_the_other() {
    let (gateway, [first, second], _app) = with_rogues("").await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/_sso/sign-in?provider=first")).await.expect(200);
    first.replace(crate::world::Endpoint::Token, crate::world::Answer::of(500, "text/plain", "no"));
    let later = without_session(&browser);
    let failed = later.visit(&gateway.url("/wanted")).await.expect(503);
    let again = html::links(&failed.text()).pop().unwrap();
    let page = later.visit(failed.url.join(&again).unwrap().as_str()).await.expect(200);
    let there = later.visit(&offer(&page, "second")).await.expect(200);
    assert_eq!(there.url.as_str(), gateway.url("/wanted"));
    assert!(!second.asked("/token").is_empty());
    let metrics = gateway.ask_admin("/metrics").await.text();
    assert!(metrics.contains("vestibule_sign_ins_total{provider=\"second\",outcome=\"ok\"} 1"), "{metrics}");
    assert!(metrics.contains("vestibule_sign_ins_total{provider=\"first\",outcome=\"ok\"} 1"), "{metrics}");
}

#[tokio::test]
async fn behind_a_proxy_a_navigation_is_sent_to_the_page_and_a_script_is_not() {
    let (gateway, _rogues, _app) = with_rogues("[server]\ntrusted_proxies = [\"127.0.0.0/8\"]\n").await;
    let asked = |ask: Ask| {
        ask.header("X-Forwarded-Method", "GET")
            .header("X-Forwarded-Proto", "http")
            .header("X-Forwarded-Host", gateway.address().to_string())
            .header("X-Forwarded-Uri", "/courses")
    };
    let browser = Browser::new();
    let sent = browser.send(asked(Ask::navigation(&gateway.url("/_sso/verify")))).await.expect(302);
    assert_eq!(sent.location().as_str(), gateway.url("/_sso/sign-in?return_to=%2Fcourses"));
    browser.send(asked(Ask::script("GET", &gateway.url("/_sso/verify")))).await.expect(401);
}

#[tokio::test]
async fn the_program_prints_an_address_of_its_own_for_each_provider() {
    let (gateway, _rogues, _app) = with_rogues("").await;
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_vestibule"));
    let output = command.args(["urls", "--config"]).arg(gateway.config_path()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for line in [
        format!("first   lms  redirect        {}", gateway.url("/_sso/callback\n")),
        format!("second  lms  redirect        {}", gateway.url("/_sso/callback/second\n")),
    ] {
        assert!(text.contains(&line), "{text}");
    }
}

#[tokio::test]
async fn a_person_with_chromium_chooses_by_name_or_by_e_mail_on_a_screen_of_any_width() {
    let (gateway, app) = with_both("").await;
    app.answer(|_| crate::world::Answer::text("the app's own page"));
    for (language, said) in [("ru-RU", "Как вы хотите войти?"), ("en-US", "How do you want to sign in?")]
    {
        let browser = Chromium::reading(language, &[]).await;
        browser.goto(&gateway.url("/courses?id=1")).await;
        browser.reads(said).await;
        browser.picture(&format!("choice-1-{language}")).await;
        browser.resize(390, 760).await;
        let too_wide = browser.run("return document.documentElement.scrollWidth > window.innerWidth").await;
        assert_eq!(too_wide, false, "the page fits a phone");
        browser.picture(&format!("choice-2-{language}-on-a-phone")).await;
        browser.resize(1000, 760).await;

        browser.write("#email", "anna@elsewhere.example").await;
        browser.press("form button").await;
        browser.is_at(&gateway.url("/_sso/sign-in?return_to=%2Fcourses%3Fid%3D1&email=anna")).await;
        browser.picture(&format!("choice-3-{language}-unknown")).await;
        browser.write("#email", "ivanov@school.example").await;
        browser.press("form button").await;
        // The form's policy lets it go on to the provider.
        browser.reads("Вход в школу").await;
        browser.log_in("ivanov").await;
        browser.is_at(&gateway.url("/courses?id=1")).await;
        browser.goto(&gateway.url("/_sso/sign-in")).await;
        browser.picture(&format!("choice-4-{language}-again")).await;
        browser.close().await;
    }
}
