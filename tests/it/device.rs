//! Sign-in by QR code: a screen without a keyboard shows a code, a phone approves it, and the screen is in.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::world::browser::Response;
use crate::world::{Answer, Ask, Browser, Endpoint, Engine, Gateway, Rogue, Server, Shape, World};

/// The grant types of a client that shows codes.
pub const GRANTS: [&str; 3] =
    ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"];

/// Where the page comes again by itself, and after how many seconds.
fn refresh(page: &Response) -> (u64, String) {
    let refresh = page.header("refresh").unwrap_or_else(|| panic!("{page:?}"));
    let (pause, url) = refresh.split_once(";url=").unwrap();
    (pause.parse().unwrap(), url.to_owned())
}

/// The screen as it stands there, until it shows something else than the code.
async fn wait(screen: &Browser, mut page: Response) -> Response {
    for _ in 0..4 {
        if page.header("refresh").is_none() {
            return screen.follow(page).await;
        }
        let (pause, url) = refresh(&page);
        tokio::time::sleep(Duration::from_secs(pause)).await;
        page = screen.send(Ask::navigation(&url).instead("Sec-Fetch-Site", "same-origin")).await;
    }
    panic!("the screen waits without end: {page:?}");
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    text.split_once(start).unwrap_or_else(|| panic!("{start} in {text}")).1.split(end).next().unwrap()
}

async fn engine_world(shape: Shape, lines: &str) -> (Gateway, Engine, Server) {
    let (world, app) = (World::new(), Server::start().await);
    let engine = Engine::own(shape, json!({}));
    let table = engine.client(&world, "school", json!({ "grant_types": GRANTS }), "");
    let config = table + &world.app("lms", &app) + lines;
    (world.start(&config).await, engine, app)
}

/// The phone opens the address, enters the code where it is asked to, and signs in.
async fn approve(phone: &Browser, address: &str, code: &str) -> Response {
    let mut page = phone.visit(address).await;
    for _ in 0..6 {
        let forms = crate::world::html::forms(&page.text());
        if forms.iter().any(|form| form.id == "login") {
            page = phone.log_in(&page, "ivanov").await;
        } else if let Some(form) = forms.into_iter().find(|form| form.method == "post") {
            let asks = page.text().contains("name=\"user_code\"");
            let form = if asks { form.fill("user_code", code) } else { form };
            page = phone.submit(&page, form).await;
        } else {
            return page;
        }
    }
    page
}

#[tokio::test]
async fn a_screen_is_in_when_the_phone_has_signed_in_at_the_real_provider() {
    let (gateway, _engine, app) = engine_world(Shape::V9, "").await;
    let done = a_phone_lets_a_screen_in(&gateway, &app).await;
    assert!(done.text().contains("Готово"), "{done:?}");
}

/// Opens the page with the code, approves it with a phone, and finds the screen in the app; what the provider shows
/// the phone at the end.
pub async fn a_phone_lets_a_screen_in(gateway: &Gateway, app: &Server) -> Response {
    let (screen, phone) = (Browser::new(), Browser::new());
    let page = screen.get(&gateway.url("/_sso/device?return_to=/board%3Fa=1")).await.expect(200);
    let text = page.text();
    assert!(text.contains("<svg") && !text.contains("<script"), "{text}");
    let code = between(&text, "user-code\">", "<").to_owned();
    let address = between(&text, "<bdi>", "<").to_owned();
    screen.get(&gateway.url("/")).await.expect(302);
    let done = approve(&phone, &address, &code).await;
    let there = wait(&screen, page).await.expect(200);
    assert_eq!(there.url.as_str(), gateway.url("/board?a=1"));
    assert!(app.last().header("x-auth-sub").is_some());
    phone.get(&gateway.url("/")).await.expect(302);
    done
}

#[tokio::test]
async fn a_person_chooses_with_which_of_several_providers_the_screen_signs_in() {
    let (world, app) = (World::new(), Server::start().await);
    let engines = [Engine::own(Shape::V8, json!({})), Engine::own(Shape::V9, json!({}))];
    let [first, second] = &engines;
    let config = first.client(&world, "first", json!({ "grant_types": GRANTS }), "")
        + &second.client(&world, "second", json!({ "grant_types": GRANTS }), "")
        + &world.app("lms", &app);
    let gateway = world.start(&config).await.ready().await;
    let page = Browser::new().get(&gateway.url("/_sso/device?return_to=/board")).await.expect(200);
    let links = crate::world::html::links(&page.text());
    assert_eq!(links.iter().filter(|link| link.contains("/_sso/device?return_to=%2Fboard&")).count(), 2);
    let second = links.iter().find(|link| link.contains("provider=second")).unwrap();
    let shown = Browser::new().get(page.url.join(&second.replace("&amp;", "&")).unwrap().as_str()).await;
    assert!(shown.expect(200).text().contains("user-code"));
}

#[tokio::test]
async fn an_app_that_refuses_screens_has_no_page_for_them() {
    let (gateway, _rogue, _servers) = rogue_world("device = false").await;
    Browser::new().get(&gateway.url("/_sso/device")).await.expect(404);
}

/// A rogue that hands out codes.
async fn rogue_world(lines: &str) -> (Gateway, Rogue, [Server; 2]) {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let server = Server::start().await;
    let endpoint = format!("{}/device", server.origin());
    rogue.bend_discovery(move |document| document["device_authorization_endpoint"] = json!(endpoint));
    let config = rogue.table("rogue", "timeout = \"2s\"") + &world.app("lms", &app) + lines;
    let codes = AtomicUsize::new(0);
    server.answer(move |_| {
        Answer::json(&json!({
            "device_code": format!("d-{}", codes.fetch_add(1, Ordering::SeqCst)), "user_code": "WDJB-MJHT",
            "verification_uri": "https://id.example.org/device", "expires_in": 600, "interval": 1,
            "verification_uri_complete": "https://id.example.org/device?user_code=WDJB-MJHT",
        }))
    });
    (world.start(&config).await, rogue, [server, app])
}

fn refuses(error: &str) -> Answer {
    Answer::of(400, "application/json", json!({ "error": error }).to_string())
}

#[tokio::test]
async fn the_provider_is_asked_once_an_interval_however_often_the_page_is_opened() {
    let (gateway, rogue, _servers) = rogue_world("").await;
    rogue.replace(Endpoint::Token, refuses("authorization_pending"));
    let screen = Browser::new();
    let page = screen.get(&gateway.url("/_sso/device")).await.expect(200);
    let (pause, url) = refresh(&page);
    assert_eq!(pause, 1);
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(3300) {
        screen.get(&url).await.expect(200);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let asked = rogue.asked("/token");
    assert!((2..=4).contains(&asked.len()), "{} questions", asked.len());
    assert_eq!(asked[0].param("device_code").as_deref(), Some("d-0"));
    rogue.replace(Endpoint::Token, refuses("slow_down"));
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let (pause, _) = refresh(&screen.get(&url).await.expect(200));
    assert!(pause >= 5, "{pause}");
}

#[tokio::test]
async fn a_code_that_is_over_or_refused_says_so_and_offers_another() {
    for (error, status, words) in
        [("expired_token", 400, "no longer good"), ("access_denied", 403, "cancelled")]
    {
        let (gateway, rogue, _servers) = rogue_world("").await;
        rogue.replace(Endpoint::Token, refuses(error));
        let screen = Browser::new();
        let page = screen.get(&gateway.url("/_sso/device?return_to=/board")).await.expect(200);
        let page = wait(&screen, page).await.expect(status);
        assert!(page.text().contains(words), "{page:?}");
        let links = crate::world::html::links(&page.text());
        let again = links.iter().find(|link| link.contains("/device?")).unwrap();
        let page = screen.get(&gateway.url(again)).await.expect(200);
        assert!(page.text().contains("WDJB-MJHT"));
        screen.fetch(&gateway.url("/")).await.expect(401);
    }
}

#[tokio::test]
async fn a_token_that_was_made_for_another_login_signs_no_screen_in() {
    let (gateway, rogue, _servers) = rogue_world("").await;
    let key = rogue.key();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let claims = |nonce: serde_json::Value| {
        let mut claims =
            json!({"iss": rogue.issuer(), "sub": "u-1", "aud": "lms", "iat": now, "exp": now + 600});
        if !nonce.is_null() {
            claims["nonce"] = nonce;
        }
        claims
    };
    let header = json!({"alg": key.algorithm, "kid": key.id}).as_object().unwrap().clone();
    let tokens = |claims: &serde_json::Value| {
        Answer::json(
            &json!({"access_token": "a", "token_type": "Bearer", "id_token": key.token(&header, claims)}),
        )
    };
    rogue.replace(Endpoint::Token, tokens(&claims(json!("of a login"))));
    let screen = Browser::new();
    let page = screen.get(&gateway.url("/_sso/device")).await.expect(200);
    wait(&screen, page).await.expect(502);
    screen.fetch(&gateway.url("/")).await.expect(401);

    rogue.replace(Endpoint::Token, tokens(&claims(json!(null))));
    let page = screen.get(&gateway.url("/_sso/device")).await.expect(200);
    let (thief, (_, url)) = (screen.copy(), refresh(&page));
    wait(&screen, page).await.expect(200);
    // The code is spent with that: neither a copy of the cookie nor the page's address is worth anything.
    let late = thief.send(Ask::navigation(&url)).await;
    assert_eq!(late.status, 400, "{late:?}");
    Browser::new().send(Ask::navigation(&url)).await.expect(400);
}

#[tokio::test]
async fn a_rule_that_asks_for_more_is_told_the_provider_and_held_against_what_comes() {
    let rules = "[[apps.lms.rules]]\npaths = [\"/board\"]\nacr = \"urn:example:mfa\"\n";
    let (gateway, rogue, _servers) = rogue_world(rules).await;
    let key = rogue.key();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let header = json!({"alg": key.algorithm, "kid": key.id}).as_object().unwrap().clone();
    let claims = json!({"iss": rogue.issuer(), "sub": "u-1", "aud": "lms", "iat": now, "exp": now + 600});
    let token = key.token(&header, &claims);
    rogue.replace(
        Endpoint::Token,
        Answer::json(&json!({"access_token": "a", "token_type": "Bearer", "id_token": token})),
    );
    let screen = Browser::new();
    let page = screen.get(&gateway.url("/_sso/device?return_to=/board")).await.expect(200);
    let page = wait(&screen, page).await.expect(403);
    assert!(page.text().contains("stronger sign-in"), "{page:?}");
    screen.fetch(&gateway.url("/")).await.expect(200);
}

#[tokio::test]
async fn only_the_apps_own_site_begins_it_and_a_client_has_so_many_codes() {
    let (gateway, _rogue, _servers) = rogue_world("").await;
    let device = gateway.url("/_sso/device");
    let screen = Browser::new();
    for site in ["cross-site", "same-site"] {
        screen.send(Ask::navigation(&device).instead("Sec-Fetch-Site", site)).await.expect(400);
    }
    screen.fetch(&device).await.expect(401);
    screen.send(Ask::navigation(&device).header("Sec-Purpose", "prefetch")).await.expect(401);
    for _ in 0..10 {
        Browser::new().get(&device).await.expect(200);
    }
    Browser::new().get(&device).await.expect(503);
    screen.get(&gateway.url("/_sso/device?provider=nobody")).await.expect(400);
}

#[tokio::test]
async fn a_provider_without_it_is_said_to_have_none() {
    let (gateway, _rogue, _app) = World::with_rogue("").await;
    Browser::new().get(&gateway.url("/_sso/device")).await.expect(404);
}
