//! How long a sign-in lasts, in each store, and what survives.

use std::time::Duration;

use serde_json::json;

use crate::world::{Ask, Browser, Gateway, Inside, Rogue, Server, World};

const STORES: [&str; 3] = ["file", "memory", "cookie"];

async fn with_session(lines: &str) -> (Gateway, Rogue, Server) {
    World::with_rogue(&format!("[session]\n{lines}\n")).await
}

#[tokio::test]
async fn a_sign_in_works_in_every_store() {
    for store in STORES {
        let (gateway, _rogue, app) = with_session(&format!("store = \"{store}\"")).await;
        let browser = Browser::new();
        browser.visit(&gateway.url("/a")).await.expect(200);
        browser.get(&gateway.url("/b")).await.expect(200);
        assert_eq!(app.last().header("x-auth-sub").as_deref(), Some("u-1"), "{store}");
        assert_eq!(app.last().header("cookie"), None, "{store}");
        let session = browser.fetch(&gateway.url("/_sso/session")).await.expect(200).json();
        assert_eq!(session["claims"]["name"], "Анна Каренина", "{store}");
        let leave = Ask::navigation(&gateway.url("/_sso/sign-out")).instead("Sec-Fetch-Site", "same-origin");
        browser.send(leave).await;
        browser.fetch(&gateway.url("/")).await.expect(401);
    }
}

#[tokio::test]
async fn a_sign_in_survives_kill_minus_9_in_the_file_and_in_the_cookie_but_not_in_memory() {
    for (store, survives) in [("file", true), ("cookie", true), ("memory", false)] {
        let (gateway, _rogue, app) = with_session(&format!("store = \"{store}\"")).await;
        let browser = Browser::new();
        browser.visit(&gateway.url("/")).await.expect(200);
        let gateway = gateway.kill().await.restart().await;
        let status = browser.fetch(&gateway.url("/again")).await.status;
        assert_eq!(status, if survives { 200 } else { 401 }, "{store}");
        if survives {
            assert_eq!(app.last().header("x-auth-email").as_deref(), Some("anna@school.example"), "{store}");
        }
    }
}

#[tokio::test]
async fn a_sign_out_survives_kill_minus_9() {
    let (gateway, _rogue, _app) = with_session("store = \"file\"").await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    let thief = browser.copy();
    let leave = Ask::navigation(&gateway.url("/_sso/sign-out")).instead("Sec-Fetch-Site", "same-origin");
    browser.send(leave).await;
    let gateway = gateway.kill().await.restart().await;
    thief.fetch(&gateway.url("/")).await.expect(401);
}

#[tokio::test]
async fn kill_minus_9_in_the_midst_of_many_sign_ins_loses_none_that_was_answered() {
    let (gateway, _rogue, _app) = with_session("store = \"file\"").await;
    let mut browsers = Vec::new();
    for _ in 0..20 {
        let browser = Browser::new();
        browser.visit(&gateway.url("/")).await.expect(200);
        browsers.push(browser);
    }
    let late: Vec<_> = (0..4)
        .map(|_| {
            let url = gateway.url("/");
            tokio::spawn(async move { Browser::new().get(&url).await.status })
        })
        .collect();
    let gateway = gateway.kill().await.restart().await;
    for browser in browsers {
        browser.fetch(&gateway.url("/")).await.expect(200);
    }
    for login in late {
        login.await.ok();
    }
}

#[tokio::test]
async fn a_login_that_was_begun_before_a_restart_can_be_finished_after_it() {
    let (gateway, _rogue, app) = with_session("store = \"file\"").await;
    let browser = Browser::new();
    let login = browser.get(&gateway.url("/wanted")).await.expect(302);
    let back = browser.get(login.location().as_str()).await.expect(302);
    let gateway = gateway.kill().await.restart().await;
    browser.visit(back.location().as_str()).await.expect(200);
    assert_eq!(app.last().target(), "/wanted");
    drop(gateway);
}

const HOUR: Duration = Duration::from_secs(3600);

async fn with_clock(store: &str) -> (Inside, Rogue, Server) {
    Inside::with_rogue(&format!(
        "[session]\nstore = \"{store}\"\nidle_timeout = \"8h\"\nlifetime = \"24h\"\n"
    ))
    .await
}

#[tokio::test]
async fn a_session_that_nobody_uses_is_over_and_one_in_use_goes_on() {
    for store in STORES {
        let (gateway, _rogue, _app) = with_clock(store).await;
        let (used, left) = (Browser::new(), Browser::new());
        used.visit(&gateway.url("/")).await.expect(200);
        left.visit(&gateway.url("/")).await.expect(200);
        for _ in 0..2 {
            gateway.later(HOUR * 7);
            assert_eq!(used.fetch(&gateway.url("/")).await.status, 200, "{store}");
        }
        assert_eq!(left.fetch(&gateway.url("/")).await.status, 401, "{store}");
        assert_eq!(used.fetch(&gateway.url("/")).await.status, 200, "{store}");
        gateway.later(HOUR * 8 + Duration::from_secs(1));
        assert_eq!(used.fetch(&gateway.url("/")).await.status, 401, "{store}");
    }
}

#[tokio::test]
async fn a_session_is_over_at_the_end_of_its_lifetime_however_it_was_used() {
    for store in STORES {
        let (gateway, _rogue, _app) = with_clock(store).await;
        let browser = Browser::new();
        browser.visit(&gateway.url("/")).await.expect(200);
        for _ in 0..3 {
            gateway.later(HOUR * 7);
            assert_eq!(browser.fetch(&gateway.url("/")).await.status, 200, "{store}");
        }
        gateway.later(HOUR * 3 - Duration::from_secs(1));
        assert_eq!(browser.fetch(&gateway.url("/")).await.status, 200, "{store}");
        gateway.later(Duration::from_secs(1));
        assert_eq!(browser.fetch(&gateway.url("/")).await.status, 401, "{store}");
    }
}

#[tokio::test]
async fn a_login_that_was_begun_and_forgotten_is_over_after_a_while() {
    let (gateway, _rogue, _app) = with_clock("memory").await;
    let browser = Browser::new();
    let login = browser.get(&gateway.url("/wanted")).await.expect(302);
    let back = browser.get(login.location().as_str()).await.expect(302);
    gateway.later(HOUR * 24);
    browser.get(back.location().as_str()).await.expect(400);
}

#[tokio::test]
async fn a_login_may_take_half_an_hour() {
    let (gateway, rogue, _app) = with_clock("memory").await;
    for (minutes, status) in [(29, 302), (31, 400)] {
        rogue.is_ahead(Duration::from_secs(minutes * 60));
        let browser = Browser::new();
        let login = browser.get(&gateway.url("/wanted")).await.expect(302);
        let back = browser.get(login.location().as_str()).await.expect(302);
        gateway.later(Duration::from_secs(minutes * 60));
        browser.get(back.location().as_str()).await.expect(status);
    }
}

#[tokio::test]
async fn a_scripts_own_session_says_when_it_ends() {
    let (gateway, _rogue, _app) = with_clock("memory").await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    let before = browser.fetch(&gateway.url("/_sso/session")).await.json();
    gateway.later(HOUR);
    let after = browser.fetch(&gateway.url("/_sso/session")).await.json();
    assert_eq!(before["signed_in_at"], after["signed_in_at"]);
    assert_eq!(before["expires_at"], after["expires_at"], "use does not move the end of its lifetime");
}

#[tokio::test]
async fn a_large_identity_in_the_cookie_store_goes_in_pieces() {
    let (gateway, rogue, app) = with_session("store = \"cookie\"").await;
    let groups: Vec<String> =
        (0..400).map(|number| format!("Группа {number} {}", crate::world::keys::random())).collect();
    rogue.person(json!({"sub": "u-1", "email": "anna@school.example", "groups": groups}));
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    let cookies = browser.cookies();
    assert!(cookies.len() > 1, "in pieces: {}", cookies.len());
    assert!(cookies.iter().all(|cookie| cookie.name.len() + cookie.value.len() <= 4096));
    browser.get(&gateway.url("/")).await.expect(200);
    assert_eq!(app.last().header("x-auth-email").as_deref(), Some("anna@school.example"));
    assert_eq!(app.last().header("cookie"), None);
    // A smaller identity leaves no piece of the larger one behind.
    rogue.person(json!({"sub": "u-1"}));
    browser.visit(&gateway.url("/_sso/sign-in")).await.expect(200);
    assert!(browser.cookies().len() < cookies.len());
    browser.fetch(&gateway.url("/")).await.expect(200);
}

#[tokio::test]
async fn an_identity_too_large_for_cookies_is_told_and_signs_nobody_in() {
    let (gateway, rogue, app) = with_session("store = \"cookie\"").await;
    let groups: Vec<String> = (0..9000).map(|_| crate::world::keys::random()).collect();
    rogue.person(json!({"sub": "u-1", "groups": groups}));
    let browser = Browser::new();
    let page = browser.visit(&gateway.url("/")).await.expect(502);
    assert_eq!(page.header("retry-after"), None, "waiting mends nothing");
    assert!(page.text().contains("Sign-in did not work"), "{page:?}");
    let log = gateway.logs("session-too-large").await;
    assert!(log.contains("session.store") && !log.contains("out of reach"), "{log}");
    browser.fetch(&gateway.url("/")).await.expect(401);
    assert!(app.received().is_empty());
}

#[tokio::test]
async fn keys_of_the_operator_open_what_an_older_key_sealed() {
    let key = || {
        use base64::Engine as _;
        let mut bytes = [0_u8; 32];
        aws_lc_rs::rand::fill(&mut bytes).unwrap();
        base64::engine::general_purpose::STANDARD.encode(bytes)
    };
    let (old, new) = (key(), key());
    let (gateway, _rogue, _app) = with_session(&format!("store = \"cookie\"\nkeys = [{old:?}]")).await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    let world = gateway.kill().await;
    let rekey = |keys: String| {
        let path = world.config_path();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines =
            text.lines().map(|line| if line.starts_with("keys") { keys.clone() } else { line.to_owned() });
        std::fs::write(&path, lines.collect::<Vec<_>>().join("\n")).unwrap();
    };
    rekey(format!("keys = [{new:?}, {old:?}]"));
    let gateway = world.clone().restart().await;
    browser.fetch(&gateway.url("/")).await.expect(200);
    drop(gateway);
    rekey(format!("keys = [{:?}]", key()));
    let gateway = world.restart().await;
    browser.fetch(&gateway.url("/")).await.expect(401);
}

#[tokio::test]
async fn the_state_directory_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (gateway, _rogue, _app) = with_session("store = \"file\"").await;
    Browser::new().visit(&gateway.url("/")).await.expect(200);
    let state = gateway.world.dir.path().join("state");
    assert_eq!(std::fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
    let mut files = 0;
    for entry in std::fs::read_dir(&state).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
        files += 1;
    }
    assert!(files > 0);
}

#[tokio::test]
async fn what_the_file_holds_says_nothing_to_who_copies_it() {
    let (gateway, _rogue, _app) = with_session("store = \"file\"").await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    for entry in std::fs::read_dir(gateway.world.dir.path().join("state")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        for cookie in browser.cookies().iter().filter(|cookie| cookie.value.len() > 16) {
            let found = crate::world::wire::find(&bytes, cookie.value.as_bytes());
            assert!(found.is_none(), "the cookie's own value stands in {}", path.display());
        }
    }
}

#[tokio::test]
async fn two_gateways_do_not_share_one_state_directory() {
    let (gateway, rogue, app) = with_session("store = \"file\"").await;
    let other = World::new();
    let config = rogue.table("rogue", "")
        + &other.app("lms", &app)
        + &format!("[server]\nstate_dir = {:?}\n", gateway.world.dir.path().join("state"));
    other.write_config(&config);
    let said = other.dir.path().join("said");
    let log = std::fs::File::create(&said).unwrap();
    let out = tokio::task::spawn_blocking(move || {
        let mut child = other.command().stdout(std::process::Stdio::null()).stderr(log).spawn().unwrap();
        for _ in 0..400 {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        panic!("it does not end: {}", std::fs::read_to_string(&said).unwrap());
    });
    assert_eq!(out.await.unwrap().code(), Some(1), "the second one ends instead of corrupting the file");
}

#[tokio::test]
async fn a_cookie_name_of_the_operators_choosing_is_used() {
    let (gateway, _rogue, _app) = with_session("cookie = { name = \"school\" }").await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    let names: Vec<_> = browser.cookies().into_iter().map(|cookie| cookie.name).collect();
    assert!(names.iter().any(|name| name == "school"), "{names:?}");
}

#[tokio::test]
async fn a_strict_cookie_is_set_by_an_answer_that_goes_on_from_this_site() {
    let (gateway, _rogue, app) = with_session("cookie = { same_site = \"strict\" }").await;
    let browser = Browser::new();
    // A browser would withhold the cookie from a redirect that began at the provider, and sign in for ever.
    let landed = browser.visit(&gateway.url("/course?id=3")).await.expect(200);
    assert_eq!(landed.header("refresh"), Some(format!("0;url={}", gateway.url("/course?id=3"))));
    assert!(app.received().is_empty());
    browser.get(&gateway.url("/course?id=3")).await.expect(200);
    assert!(app.last().header("x-auth-sub").is_some());
}

#[tokio::test]
async fn a_sign_in_ends_the_session_before_it_also_where_its_cookie_is_withheld() {
    for store in STORES {
        let lines = format!("store = \"{store}\"\ncookie = {{ same_site = \"strict\" }}");
        let (gateway, rogue, _app) = with_session(&lines).await;
        let browser = Browser::new();
        browser.visit(&gateway.url("/")).await.expect(200);
        let old = browser.copy();
        old.fetch(&gateway.url("/_sso/session")).await.expect(200);
        rogue.person(json!({"sub": "u-2"}));
        let link = Ask::navigation(&gateway.url("/_sso/sign-in")).instead("Sec-Fetch-Site", "same-origin");
        let begun = browser.send(link).await;
        browser.follow(begun).await.expect(200);
        assert_eq!(browser.fetch(&gateway.url("/_sso/session")).await.json()["sub"], "u-2", "{store}");
        assert_eq!(old.fetch(&gateway.url("/_sso/session")).await.status, 401, "{store}");
    }
}

#[tokio::test]
async fn a_session_that_is_ended_on_one_connection_is_over_on_every_other_at_once() {
    use crate::world::browser::read_response;
    use crate::world::wire::{PATIENCE, Reader};
    use tokio::io::AsyncWriteExt;

    for store in STORES {
        let (gateway, _rogue, _app) = with_session(&format!("store = \"{store}\"")).await;
        let browser = Browser::new();
        browser.visit(&gateway.url("/")).await.expect(200);
        let url = url::Url::parse(&gateway.url("/")).unwrap();
        let cookies = browser.cookie_header(&url).unwrap();
        let request = format!("GET /x HTTP/1.1\r\nHost: {}\r\nCookie: {cookies}\r\n\r\n", gateway.address());
        let mut wires = Vec::new();
        // Many connections, so that each worker has some and knows the session by then.
        for _ in 0..16 {
            let (reader, writer) = tokio::io::split(browser.connect(&url).await);
            wires.push((Reader::new(reader), writer));
        }
        let mut statuses = Vec::new();
        for round in 0..2 {
            if round == 1 {
                let leave =
                    Ask::navigation(&gateway.url("/_sso/sign-out")).instead("Sec-Fetch-Site", "same-origin");
                browser.send(leave).await;
            }
            for (reader, writer) in &mut wires {
                writer.write_all(request.as_bytes()).await.unwrap();
                let answer =
                    tokio::time::timeout(PATIENCE, read_response(reader, &url, "GET")).await.unwrap();
                statuses.push(answer.status);
            }
        }
        assert_eq!(statuses, [[200; 16], [401; 16]].concat(), "{store}");
    }
}

#[tokio::test]
async fn a_signed_in_request_needs_neither_the_provider_nor_the_state_directory() {
    let (gateway, rogue, app) = with_session("store = \"file\"").await;
    let browser = Browser::new();
    browser.visit(&gateway.url("/")).await.expect(200);
    let asked = rogue.server.received().len();
    std::fs::rename(gateway.world.dir.path().join("state"), gateway.world.dir.path().join("gone")).unwrap();
    for _ in 0..20 {
        browser.get(&gateway.url("/")).await.expect(200);
    }
    assert_eq!(rogue.server.received().len(), asked);
    assert_eq!(app.last().header("x-auth-sub").as_deref(), Some("u-1"));
}
