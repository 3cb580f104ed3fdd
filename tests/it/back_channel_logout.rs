//! The provider says, without a browser, who signed out there: sessions end here, and nothing else happens.

use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::registering::{completed, issuer_alone, register};
use crate::websockets::Socket;
use crate::world::browser::Response;
use crate::world::farewell::{EVENT, deliver, deliver_form};
use crate::world::keys::SigningKey;
use crate::world::rogue::{CLIENT_SECRET, Draft, Signed};
use crate::world::sealed::EncryptionKey;
use crate::world::{Answer, Ask, Browser, Endpoint, Engine, Gateway, Rogue, Server, World};

mod under_way;

async fn is_in(browser: &Browser, gateway: &Gateway) -> bool {
    browser.fetch(&gateway.url("/_sso/session")).await.status == 200
}

/// Somebody who signed in, with this `sub` and `sid`.
async fn signed_in(gateway: &Gateway, rogue: &Rogue, sub: &str, sid: &str) -> Browser {
    rogue.person(json!({ "sub": sub }));
    rogue.session(sid);
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    browser
}

#[tokio::test]
async fn a_sid_ends_the_sessions_of_that_session_there_and_a_sub_all_of_the_person() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    let origin = gateway.world.origin();
    let here = signed_in(&gateway, &rogue, "u-1", "one").await;
    let same = signed_in(&gateway, &rogue, "u-1", "one").await;
    let elsewhere = signed_in(&gateway, &rogue, "u-1", "two").await;
    let other = signed_in(&gateway, &rogue, "u-2", "three").await;
    let heeded = deliver(&origin, &rogue.logout_token(|draft| draft.claims["sid"] = json!("one"))).await;
    let heeded = heeded.expect(200);
    assert_eq!(heeded.header("cache-control").as_deref(), Some("no-store"));
    assert_eq!(heeded.text(), "");
    for (browser, stays) in [(&here, false), (&same, false), (&elsewhere, true), (&other, true)] {
        assert_eq!(is_in(browser, &gateway).await, stays);
    }
    deliver(&origin, &rogue.logout_token_of_person()).await.expect(200);
    assert!(!is_in(&elsewhere, &gateway).await && is_in(&other, &gateway).await);
    let metrics = gateway.ask_admin("/metrics").await.text();
    let counted = "vestibule_sign_outs_total{provider=\"rogue\",by=\"provider\"} 2";
    assert!(metrics.contains(counted), "{metrics}");
    let log = gateway.logs("provider_sign_out").await;
    assert!(log.contains("sessions=2") && !log.contains("eyJ"), "{log}");
}

#[tokio::test]
async fn the_answer_is_the_same_where_nobody_is_signed_in() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    let nobody = deliver(&gateway.world.origin(), &rogue.logout_token(|_| ())).await.expect(200);
    let somebody = signed_in(&gateway, &rogue, "u-1", "one").await;
    let token = rogue.logout_token(|draft| draft.claims["sid"] = json!("one"));
    let heeded = deliver(&gateway.world.origin(), &token).await.expect(200);
    let shown = |response: &Response| {
        let names = ["cache-control", "content-type", "content-length", "content-security-policy"];
        (names.map(|name| response.header(name)), response.text())
    };
    assert_eq!(shown(&nobody), shown(&heeded));
    assert!(!is_in(&somebody, &gateway).await);
}

type Bend = Box<dyn FnOnce(&mut Draft)>;

#[tokio::test]
async fn a_token_with_anything_wrong_is_refused_and_ends_nothing() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    let origin = gateway.world.origin();
    let browser = signed_in(&gateway, &rogue, "u-1", "provider-session-1").await;
    let public = rogue.key().public_der();
    let stranger = Arc::new(SigningKey::new("first", "ES256"));
    let claim = |name: &'static str, value: Value| -> Bend {
        Box::new(move |draft| {
            draft.claims[name] = value;
            draft.claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        })
    };
    let hashed = |key: Vec<u8>| -> Bend {
        Box::new(move |draft| {
            draft.header.insert("alg".into(), json!("HS256"));
            draft.signed = Signed::Hash(key);
        })
    };
    let now = crate::world::rogue::now();
    let cases: Vec<(&str, Bend, &str)> = vec![
        ("a stranger's key", Box::new(move |draft| draft.signed = Signed::With(stranger)), "signature"),
        (
            "alg none",
            Box::new(|draft| {
                draft.header.insert("alg".into(), json!("none"));
                draft.signed = Signed::NotAtAll;
            }),
            "signature",
        ),
        ("our secret as the key", hashed(CLIENT_SECRET.into()), "signature"),
        ("the public key as a secret", hashed(public), "signature"),
        ("another issuer", claim("iss", json!("https://evil.example")), "issuer"),
        ("no issuer", claim("iss", json!(null)), "claim"),
        ("another client's", claim("aud", json!("other")), "audience"),
        ("ours and another client's", claim("aud", json!(["lms", "other"])), "audience"),
        ("no iat", claim("iat", json!(null)), "claim"),
        ("from the future", claim("iat", json!(now + 600)), "expired"),
        ("past its end", claim("exp", json!(now - 600)), "expired"),
        (
            "without an end, and old",
            Box::new(move |draft| {
                draft.claims.as_object_mut().unwrap().remove("exp");
                draft.claims["iat"] = json!(now - 600);
            }),
            "expired",
        ),
        ("no jti", claim("jti", json!(null)), "claim"),
        (
            "nobody",
            Box::new(|draft| draft.claims.as_object_mut().unwrap().retain(|name, _| !name.starts_with('s'))),
            "claim",
        ),
        ("no events", claim("events", json!(null)), "type"),
        ("another event", claim("events", json!({"urn:example:other": {}})), "type"),
        ("an event that is no object", claim("events", json!({EVENT: "yes"})), "type"),
        ("a nonce", claim("nonce", json!("n")), "type"),
        (
            "an access token's type",
            Box::new(|draft| drop(draft.header.insert("typ".into(), json!("at+jwt")))),
            "type",
        ),
        (
            "a critical extension",
            Box::new(|draft| drop(draft.header.insert("crit".into(), json!(["b64"])))),
            "malformed",
        ),
    ];
    for (name, bend, code) in cases {
        let refused = deliver(&origin, &rogue.logout_token(bend)).await.expect(400);
        let told = json!({"error": "invalid_request", "error_description": format!("logout_token_{code}")});
        assert_eq!(refused.json(), told, "{name}");
        assert_eq!(refused.header("cache-control").as_deref(), Some("no-store"), "{name}");
        assert!(is_in(&browser, &gateway).await, "{name}");
    }
    for (name, token, code) in [("text", "text", "malformed"), ("encrypted", "a.b.c.d.e", "encryption")] {
        let refused = deliver(&origin, token).await.expect(400);
        assert_eq!(refused.json()["error_description"], format!("logout_token_{code}"), "{name}");
    }
    gateway.logs("logout_token_encryption").await;
}

#[tokio::test]
async fn an_id_token_signs_nobody_out_and_a_logout_token_signs_nobody_in() {
    let (gateway, rogue, app) = World::with_rogue("[apps.lms.headers]\nX-Token = { token = \"id\" }\n").await;
    let browser = signed_in(&gateway, &rogue, "u-1", "one").await;
    let id_token = app.last().header("x-token").unwrap();
    let id_token = id_token.strip_prefix("Bearer ").unwrap_or(&id_token).to_owned();
    deliver(&gateway.world.origin(), &id_token).await.expect(400);
    assert!(is_in(&browser, &gateway).await);
    for typ in ["logout+jwt", "JWT"] {
        rogue.bend_id_token(move |draft| {
            draft.header.insert("typ".into(), json!(typ));
            draft.claims["events"] = json!({EVENT: {}});
        });
        Browser::new().visit(&gateway.url("/")).await.expect(502);
    }
    gateway.logs("id_token_type").await;
}

#[tokio::test]
async fn only_one_token_in_one_form_that_is_posted_is_taken() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    let (origin, url) = (gateway.world.origin(), gateway.url("/_sso/backchannel-logout"));
    let browser = signed_in(&gateway, &rogue, "u-1", "one").await;
    let token = rogue.logout_token_of_person();
    for method in ["GET", "PUT", "DELETE", "HEAD"] {
        let ask = Ask::new(method, &format!("{url}?logout_token={token}"));
        let refused = Browser::new().send(ask).await.expect(405);
        assert_eq!(refused.header("allow").as_deref(), Some("POST"), "{method}");
    }
    let form = format!("logout_token={token}");
    for (kind, body) in [
        ("application/json", json!({ "logout_token": token }).to_string()),
        ("text/plain", form.clone()),
        ("multipart/form-data; boundary=x", form.clone()),
        ("application/jwt", token.clone()),
    ] {
        let refused = Browser::new().send(Ask::new("POST", &url).body(kind, body)).await.expect(400);
        assert_eq!(refused.json()["error"], "invalid_request", "{kind}");
    }
    let long = format!("{form}&x={}", "x".repeat(20_000));
    for body in ["", "x=1", &format!("{form}&{form}"), &long] {
        let refused = deliver_form(&origin, body).await.expect(400);
        assert_eq!(refused.header("cache-control").as_deref(), Some("no-store"), "{refused:?}");
    }
    // Beside the address nothing is a token.
    let elsewhere = Ask::new("POST", &format!("{url}?{form}"));
    let kind = "application/x-www-form-urlencoded";
    Browser::new().send(elsewhere.body(kind, "x=1")).await.expect(400);
    assert!(is_in(&browser, &gateway).await);
    deliver_form(&origin, &format!("{form}&x=1")).await.expect(200);
    assert!(!is_in(&browser, &gateway).await);
}

#[tokio::test]
async fn a_token_that_comes_again_does_nothing() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    let origin = gateway.world.origin();
    let before = signed_in(&gateway, &rogue, "u-1", "one").await;
    let token = rogue.logout_token_of_person();
    deliver(&origin, &token).await.expect(200);
    assert!(!is_in(&before, &gateway).await);
    let after = signed_in(&gateway, &rogue, "u-1", "two").await;
    deliver(&origin, &token).await.expect(200);
    assert!(is_in(&after, &gateway).await);
    gateway.logs("a logout token came again").await;
    deliver(&origin, &rogue.logout_token_of_person()).await.expect(200);
    assert!(!is_in(&after, &gateway).await);
}

#[tokio::test]
async fn a_token_without_an_end_is_good_for_minutes() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    let browser = signed_in(&gateway, &rogue, "u-1", "provider-session-1").await;
    let token = rogue.logout_token(|draft| {
        draft.claims.as_object_mut().unwrap().remove("exp");
        draft.header.remove("typ");
    });
    deliver(&gateway.world.origin(), &token).await.expect(200);
    assert!(!is_in(&browser, &gateway).await);
}

#[tokio::test]
async fn new_keys_are_fetched_for_a_token_but_seldom_for_strangers() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    let origin = gateway.world.origin();
    let browser = signed_in(&gateway, &rogue, "u-1", "provider-session-1").await;
    rogue.rotate(SigningKey::new("second", "ES256"));
    deliver(&origin, &rogue.logout_token(|_| ())).await.expect(200);
    assert!(!is_in(&browser, &gateway).await);
    let fetched = rogue.asked("/jwks").len();
    for number in 0..10 {
        let stranger = Arc::new(SigningKey::new("third", "ES256"));
        let token = rogue.logout_token(move |draft| {
            draft.header.insert("kid".into(), json!(format!("kid {number}")));
            draft.signed = Signed::With(stranger);
        });
        deliver(&origin, &token).await.expect(400);
    }
    assert_eq!(rogue.asked("/jwks").len(), fetched);
}

#[tokio::test]
async fn where_the_keys_can_not_be_had_the_provider_may_come_again() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    rogue.replace(Endpoint::Keys, Answer::of(500, "text/plain", "later"));
    let gateway = world.clone().start(&(rogue.table("rogue", "") + &world.app("lms", &app))).await;
    let token = rogue.logout_token(|_| ());
    let told = deliver(&world.origin(), &token).await.expect(503);
    assert!(told.header("retry-after").is_some(), "{told:?}");
    rogue.restore();
    let heeded = async {
        while deliver(&world.origin(), &token).await.status != 200 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(crate::world::wire::PATIENCE, heeded)
        .await
        .expect("it is heeded when it comes again");
    drop(gateway);
}

#[tokio::test]
async fn with_several_providers_a_token_ends_the_sessions_of_the_one_that_signed_it() {
    let (world, app) = (World::new(), Server::start().await);
    let (first, second) = (Rogue::start().await, Rogue::start().await);
    let tables = first.table("first", "") + &second.table("second", "");
    let gateway = world.clone().start(&(tables + &world.app("lms", &app))).await;
    let mut browsers = Vec::new();
    for name in ["first", "second"] {
        let browser = Browser::new();
        browser.visit(&gateway.url(&format!("/_sso/sign-in?provider={name}"))).await.expect(200);
        browsers.push(browser);
    }
    // Both call the person and the session by the same names; and neither speaks for the other.
    let issuer = first.issuer().to_owned();
    let forged = second.logout_token(move |draft| draft.claims["iss"] = json!(issuer));
    deliver(&world.origin(), &forged).await.expect(400);
    deliver(&world.origin(), &second.logout_token(|_| ())).await.expect(200);
    assert!(is_in(&browsers[0], &gateway).await && !is_in(&browsers[1], &gateway).await);
    second.session("another");
    let again = browsers[1].visit(&gateway.url("/_sso/sign-in?provider=second")).await;
    again.expect(200);
    deliver(&world.origin(), &first.logout_token_of_person()).await.expect(200);
    assert!(!is_in(&browsers[0], &gateway).await && is_in(&browsers[1], &gateway).await);
}

#[tokio::test]
async fn a_client_that_has_two_entries_here_is_signed_out_of_both_by_one_token() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let wiki = format!("http://wiki.school.localhost:{}", world.address().port());
    let tables = rogue.table("usual", "") + &rogue.table("strict", "prompt = \"login\"");
    let lms = world.app("lms", &app) + "provider = \"usual\"\n";
    let apps = lms + &world.app_at("wiki", &wiki, &app.origin()) + "provider = \"strict\"\n";
    let gateway = world.clone().start(&(tables + &apps)).await;
    let (one, other) = (Browser::new(), Browser::new());
    other.knows("wiki.school.localhost", world.address().ip());
    one.visit(&gateway.url("/")).await.expect(200);
    other.visit(&format!("{wiki}/")).await.expect(200);
    deliver(&world.origin(), &rogue.logout_token(|_| ())).await.expect(200);
    assert!(!is_in(&one, &gateway).await);
    other.fetch(&format!("{wiki}/_sso/session")).await.expect(401);
}

/// What a command says.
fn typed(world: &World, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command.args(arguments).arg("--config").arg(world.config_path());
    let said = command.output().unwrap();
    String::from_utf8(said.stdout).unwrap() + std::str::from_utf8(&said.stderr).unwrap()
}

#[tokio::test]
async fn with_the_cookie_store_it_is_said_everywhere_that_nobody_can_be_signed_out() {
    let lines = "[session]\nstore = \"cookie\"\n";
    let (gateway, rogue, _app) = World::with_rogue(lines).await;
    let browser = signed_in(&gateway, &rogue, "u-1", "one").await;
    let told = deliver(&gateway.world.origin(), &rogue.logout_token(|_| ())).await.expect(501);
    assert_eq!(told.header("cache-control").as_deref(), Some("no-store"));
    assert!(is_in(&browser, &gateway).await);
    let check = typed(&gateway.world, &["check"]);
    assert!(check.contains("/_sso/backchannel-logout answers 501"), "{check}");
    let urls = typed(&gateway.world, &["urls"]);
    assert!(urls.contains("back-channel    none: session.store"), "{urls}");
    let world = gateway.world.clone();
    let doctor = tokio::task::spawn_blocking(move || typed(&world, &["doctor", "--json"])).await.unwrap();
    assert!(doctor.contains("sign_out_unheard"), "{doctor}");
}

#[tokio::test]
async fn websockets_and_streams_of_events_end_with_their_session() {
    let (gateway, rogue, app) = World::with_rogue("").await;
    let origin = gateway.world.origin();
    let browser = signed_in(&gateway, &rogue, "u-1", "one").await;
    let other = signed_in(&gateway, &rogue, "u-2", "two").await;
    app.answer(|request| match request.header("upgrade") {
        Some(_) => Answer::WebSocketEcho,
        None => {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n";
            Answer::bytes(format!("{head}9\r\ndata: 1\n\n\r\n"))
        }
    });
    let mut socket = Socket::open(&browser, &origin, Some(&origin)).await;
    let mut others = Socket::open(&other, &origin, Some(&origin)).await;
    socket.echo("before").await;
    let url = gateway.url("/events");
    let (stream, others_stream) =
        (tokio::spawn(events(browser.copy(), url.clone())), tokio::spawn(events(other.copy(), url)));
    while app.received().iter().filter(|request| request.path() == "/events").count() < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    deliver(&origin, &rogue.logout_token(|draft| draft.claims["sid"] = json!("one"))).await.expect(200);
    socket.end().await;
    let response = stream.await.unwrap().expect(200);
    assert_eq!(response.text(), "data: 1\n\n", "whole, and at its end");
    others.echo("still here").await;
    assert!(!others_stream.is_finished());
    others_stream.abort();
    browser.fetch(&gateway.url("/events")).await.expect(401);
}

async fn events(browser: Browser, url: String) -> Response {
    browser.send(Ask::script("GET", &url).header("Accept", "text/event-stream")).await
}

/// Signs out on the provider's own page, without coming here.
async fn sign_out_there(browser: &Browser, engine: &Engine) {
    let document = browser.get(&format!("{}/.well-known/openid-configuration", engine.issuer)).await.json();
    let page = browser.get(document["end_session_endpoint"].as_str().unwrap()).await.expect(200);
    browser.submit(&page, page.form("op.logoutForm").fill("logout", "yes")).await.expect(200);
}

/// Waits until the session is over.
async fn is_over(browser: &Browser, gateway: &Gateway) {
    let over = async {
        while is_in(browser, gateway).await {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let in_time = tokio::time::timeout(crate::world::wire::PATIENCE, over).await;
    assert!(in_time.is_ok(), "still signed in:\n{}", gateway.log());
}

#[tokio::test]
async fn a_sign_out_at_each_real_provider_ends_the_session_here() {
    for engine in [Engine::trusted(), Engine::v7(), Engine::v8(), Engine::v9()] {
        for session_required in [true, false] {
            let (world, app) = (World::new(), Server::start().await);
            let client = json!({
                "backchannel_logout_uri": format!("{}/_sso/backchannel-logout", world.origin()),
                "backchannel_logout_session_required": session_required,
            });
            let config = engine.client(&world, "school", client, "") + &world.app("lms", &app);
            let gateway = world.start(&config).await;
            let (browser, elsewhere) = (Browser::new(), Browser::new());
            browser.sign_in(&gateway.url("/"), "ivanov").await.expect(200);
            elsewhere.sign_in(&gateway.url("/"), "ivanov").await.expect(200);
            sign_out_there(&browser, &engine).await;
            is_over(&browser, &gateway).await;
            let stays = is_in(&elsewhere, &gateway).await;
            assert_eq!(stays, session_required, "{}: by sid one session, by sub all", engine.issuer);
        }
    }
}

#[tokio::test]
async fn a_client_that_was_just_registered_is_told_without_anything_entered_by_hand() {
    let engine = Engine::v9();
    let (world, app) = (World::new(), Server::start().await);
    let config = issuer_alone(&engine.issuer, "scopes = [\"openid\"]") + &world.app("lms", &app);
    world.write_config(&config);
    let output = register(&world, &["--token-env", "INITIAL_TOKEN", "--show-secret"]).await;
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let gateway = world.clone().start(&completed(&config, &printed)).await;
    let (browser, elsewhere) = (Browser::new(), Browser::new());
    browser.sign_in(&gateway.url("/"), "ivanov").await.expect(200);
    elsewhere.sign_in(&gateway.url("/"), "ivanov").await.expect(200);
    sign_out_there(&browser, &engine).await;
    is_over(&browser, &gateway).await;
    assert!(is_in(&elsewhere, &gateway).await, "it names its sessions");
}

#[tokio::test]
async fn an_encrypted_token_is_read_with_our_key_and_refused_where_there_is_none() {
    for engine in [Engine::v8(), Engine::v9()] {
        let (world, app) = (World::new(), Server::start().await);
        let key = EncryptionKey::new("ECDH-ES");
        std::fs::write(world.dir.path().join("decryption.key"), &key.pem).unwrap();
        let client = json!({
            "backchannel_logout_uri": format!("{}/_sso/backchannel-logout", world.origin()),
            "backchannel_logout_session_required": true, "jwks": {"keys": [key.jwk]},
            "id_token_encrypted_response_alg": "ECDH-ES", "id_token_encrypted_response_enc": "A256GCM",
        });
        let table = engine.client(&world, "school", client, DECRYPTION_KEY);
        let gateway = world.clone().start(&(table + &world.app("lms", &app))).await;
        let browser = Browser::new();
        browser.sign_in(&gateway.url("/"), "ivanov").await.expect(200);
        sign_out_there(&browser, &engine).await;
        is_over(&browser, &gateway).await;
    }
    let key = EncryptionKey::new("RSA-OAEP-256");
    for (lines, status) in [(DECRYPTION_KEY, 200), ("", 400)] {
        let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
        std::fs::write(world.dir.path().join("decryption.key"), &key.pem).unwrap();
        let gateway = world.clone().start(&(rogue.table("rogue", lines) + &world.app("lms", &app))).await;
        let browser = signed_in(&gateway, &rogue, "u-1", "provider-session-1").await;
        let token = key.seal(&rogue.logout_token(|_| ()), &json!({}));
        deliver(&world.origin(), &token).await.expect(status);
        assert_eq!(is_in(&browser, &gateway).await, status != 200);
        // Encrypting needs our public key alone.
        let forged = key.seal(&rogue.logout_token(|draft| draft.signed = Signed::NotAtAll), &json!({}));
        deliver(&world.origin(), &forged).await.expect(400);
    }
}

const DECRYPTION_KEY: &str = "decryption_key = { file = \"decryption.key\" }\n";
