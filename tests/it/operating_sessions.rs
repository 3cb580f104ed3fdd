//! Operators see and end sessions: by the command line, as JSON with a token, and on a page.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::world::browser::Response;
use crate::world::{Answer, Ask, Browser, Gateway, Rogue, Server, World};

mod page;

const TOKEN: &str = "operators-token-of-32-characters";

const ADMIN: &str = "[admin]\ntoken = \"operators-token-of-32-characters\"\n";

/// What these people's provider says of them.
fn person(sub: &str, name: &str) -> Value {
    json!({"sub": sub, "name": name, "email": format!("{sub}@school.example")})
}

/// Signs somebody in, in a browser of their own.
async fn signed_in(gateway: &Gateway, rogue: &Rogue, sub: &str, name: &str) -> Browser {
    rogue.person(person(sub, name));
    let browser = Browser::new();
    browser.visit(&gateway.url("/courses")).await.expect(200);
    browser
}

/// Whether the app is shown without another sign-in.
async fn is_in(gateway: &Gateway, browser: &Browser) -> bool {
    browser.get(&gateway.url("/courses")).await.status == 200
}

async fn api(gateway: &Gateway, method: &str, path: &str, token: &str) -> Response {
    let ask = Ask::new(method, &format!("http://{}{path}", gateway.admin()));
    Browser::new().send(ask.header("Authorization", format!("Bearer {token}"))).await
}

async fn list(gateway: &Gateway, query: &str) -> Vec<Value> {
    let told = api(gateway, "GET", &format!("/sessions?{query}"), TOKEN).await.expect(200).json();
    told["sessions"].as_array().unwrap().clone()
}

async fn vestibule(world: &World, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command.arg("sessions").args(arguments).arg("--config").arg(world.config_path());
    command.env_remove("STATE_DIRECTORY").current_dir(world.dir.path());
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn a_program_with_the_token_lists_sessions_by_who_where_and_when_and_ends_them() {
    let (gateway, rogue, _app) = World::with_rogue(ADMIN).await;
    let ivan = signed_in(&gateway, &rogue, "u-1", "Иван Иванов").await;
    let maria = signed_in(&gateway, &rogue, "u-2", "Мария Петрова").await;
    let marias_phone = signed_in(&gateway, &rogue, "u-2", "Мария Петрова").await;

    let all = list(&gateway, "").await;
    assert_eq!(all.len(), 3);
    let of_ivan = all.iter().find(|session| session["subject"] == "u-1").unwrap();
    for (member, value) in [
        ("provider", "rogue"),
        ("name", "Иван Иванов"),
        ("email", "u-1@school.example"),
        ("app", "lms"),
        ("address", "127.0.0.1"),
    ] {
        assert_eq!(of_ivan[member], value, "{member}");
    }
    let (since, until) = (of_ivan["signed_in_at"].as_u64().unwrap(), of_ivan["expires_at"].as_u64().unwrap());
    assert_eq!(until - since, 24 * 3600);
    for (query, found) in [
        ("subject=u-2", 2),
        ("subject=u-2&provider=rogue", 2),
        ("subject=u-2&provider=another", 0),
        ("subject=nobody", 0),
        ("provider=rogue&app=lms&address=127.0.0.1", 3),
        ("app=talk", 0),
        ("address=192.0.2.7", 0),
        ("older_than=1h", 0),
        ("newer_than=1h", 3),
        ("search=%D0%BF%D0%B5%D1%82%D1%80%D0%BE%D0%B2", 2),
        ("limit=2", 2),
    ] {
        assert_eq!(list(&gateway, query).await.len(), found, "{query}");
    }
    let first = api(&gateway, "GET", "/sessions?limit=2", TOKEN).await.expect(200).json();
    let next = first["next"].as_str().unwrap();
    let second = api(&gateway, "GET", &format!("/sessions?limit=2&after={next}"), TOKEN).await.json();
    assert_eq!((second["sessions"].as_array().unwrap().len(), &second["next"]), (1, &Value::Null));

    // A place in another list would leave sessions out.
    for elsewhere in ["subject=u-2", "subject=u-1&provider=rogue"] {
        api(&gateway, "GET", &format!("/sessions?{elsewhere}&after={next}"), TOKEN).await.expect(400);
    }
    let of_maria = api(&gateway, "GET", "/sessions?limit=1&subject=u-2", TOKEN).await.expect(200).json();
    let next = of_maria["next"].as_str().unwrap();
    assert_eq!(list(&gateway, &format!("limit=1&subject=u-2&after={next}")).await.len(), 1);
    for elsewhere in ["", "subject=u-1&"] {
        api(&gateway, "GET", &format!("/sessions?{elsewhere}after={next}"), TOKEN).await.expect(400);
    }

    let id = of_ivan["id"].as_str().unwrap();
    assert_eq!(
        api(&gateway, "DELETE", &format!("/sessions/{id}"), TOKEN).await.expect(200).json()["ended"],
        1
    );
    assert!(!is_in(&gateway, &ivan).await && is_in(&gateway, &maria).await);
    api(&gateway, "DELETE", &format!("/sessions/{id}"), TOKEN).await.expect(404);
    let ended = api(&gateway, "DELETE", "/sessions?subject=u-2&provider=another", TOKEN).await.json();
    assert_eq!(ended["ended"], 0);
    assert!(is_in(&gateway, &maria).await);
    assert_eq!(api(&gateway, "DELETE", "/sessions?subject=u-2", TOKEN).await.expect(200).json()["ended"], 2);
    assert!(!is_in(&gateway, &maria).await && !is_in(&gateway, &marias_phone).await);
    assert!(list(&gateway, "").await.is_empty());
    assert!(!gateway.log().contains(TOKEN));
    gateway.logs("an operator ended the sessions of a person").await;
}

#[tokio::test]
async fn without_the_token_nobody_sees_or_ends_a_session_and_health_stays_open() {
    let (gateway, rogue, _app) = World::with_rogue(ADMIN).await;
    let ivan = signed_in(&gateway, &rogue, "u-1", "Иван Иванов").await;
    let id = list(&gateway, "").await[0]["id"].as_str().unwrap().to_owned();
    for (method, path) in [
        ("GET", "/sessions".to_owned()),
        ("DELETE", "/sessions?subject=u-1".to_owned()),
        ("DELETE", format!("/sessions/{id}")),
    ] {
        let without =
            Browser::new().send(Ask::new(method, &format!("http://{}{path}", gateway.admin()))).await;
        assert_eq!((without.status, without.header("www-authenticate").as_deref()), (401, Some("Bearer")));
        for token in ["", "operators-token-of-32-character", "operators-token-of-32-charactersX"] {
            let wrong = api(&gateway, method, &path, token).await.expect(401);
            assert!(!wrong.text().contains("Иван") && wrong.header("cache-control").unwrap() == "no-store");
        }
    }
    for (method, path, status) in [
        ("GET", "/sessions?subjct=u-1", 400),
        ("DELETE", "/sessions", 400),
        ("DELETE", "/sessions?subject=", 400),
        ("DELETE", "/sessions?subject=u-1&subject=u-2", 400),
        ("DELETE", "/sessions?subject=u-1&app=lms", 400),
        ("DELETE", "/sessions/none", 404),
        ("GET", &format!("/sessions/{id}"), 405),
        ("POST", "/sessions", 405),
    ] {
        api(&gateway, method, path, TOKEN).await.expect(status);
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        gateway.ask_admin(path).await.expect(200);
    }
    assert!(is_in(&gateway, &ivan).await);
    let refused = "a wrong token for operators was shown";
    gateway.logs(refused).await;
    assert_eq!(
        gateway.log().matches(refused).count(),
        9,
        "one for each wrong token, none where none was shown"
    );
}

#[tokio::test]
async fn a_gateway_without_a_token_or_with_sessions_in_cookies_says_so() {
    let (gateway, ..) = World::with_rogue("").await;
    let refused = api(&gateway, "GET", "/sessions", TOKEN).await.expect(403);
    assert!(refused.json()["mend"].as_str().unwrap().contains("admin.token"));
    assert!(gateway.ask_admin("/").await.expect(403).text().contains("admin.token"));
    let told = vestibule(&gateway.world, &["list"]).await;
    assert_eq!((told.status.code(), text(&told.stdout)), (Some(2), ""));
    assert!(text(&told.stderr).contains("admin.token is not set"), "{}", text(&told.stderr));

    let (gateway, ..) = World::with_rogue(&format!("{ADMIN}[session]\nstore = \"cookie\"\n")).await;
    for (method, path) in [("GET", "/sessions"), ("DELETE", "/sessions?subject=u-1")] {
        let refused = api(&gateway, method, path, TOKEN).await.expect(501);
        assert!(refused.json()["detail"].as_str().unwrap().contains("sessions in cookies"));
    }
    let told = vestibule(&gateway.world, &["list"]).await;
    assert_eq!(told.status.code(), Some(1));
    assert!(text(&told.stderr).contains("another session.store"), "{}", text(&told.stderr));
}

#[tokio::test]
async fn an_operator_lists_and_ends_sessions_by_the_command_line() {
    let (gateway, rogue, _app) = World::with_rogue(ADMIN).await;
    let world = gateway.world.clone();
    let none = vestibule(&world, &["list"]).await;
    assert_eq!((none.status.code(), text(&none.stdout).trim(), text(&none.stderr)), (Some(0), "", ""));
    let ivan = signed_in(&gateway, &rogue, "u-1", "Иван Иванов").await;
    let maria = signed_in(&gateway, &rogue, "u-2", "Мария Петрова-Водкина").await;

    let told = vestibule(&world, &["list"]).await;
    assert!(told.status.success(), "{}", text(&told.stderr));
    let lines: Vec<&str> = text(&told.stdout).lines().collect();
    let column = |line: &str, text: &str| {
        line.chars().count() - line.split_once(text).unwrap().1.chars().count() - text.chars().count()
    };
    let at: Vec<usize> = lines.iter().map(|line| column(line, "@school.example")).collect();
    assert_eq!((lines.len(), at[0]), (2, at[1]), "{lines:?}");
    for (more, found) in [
        (&["--limit", "1"][..], 1),
        (&["--subject", "u-2"], 1),
        (&["--search", "петрова"], 1),
        (&["--provider", "rogue"], 2),
        (&["--provider", "другая"], 0),
        (&["--app", "lms"], 2),
        (&["--app", "talk"], 0),
        (&["--address", "127.0.0.1"], 2),
        (&["--address", "2001:db8::7"], 0),
        (&["--newer-than", "1h"], 2),
        (&["--older-than", "1h"], 0),
        (&["--app", "lms", "--search", "ИВАН", "--newer-than", "1d"], 1),
    ] {
        let told = vestibule(&world, &[&["list"], more].concat()).await;
        let lines = text(&told.stdout).lines().filter(|line| !line.is_empty()).count();
        assert_eq!((told.status.code(), lines), (Some(0), found), "{more:?}");
        assert_eq!(text(&told.stderr).contains("there are more"), more[0] == "--limit");
        let told = vestibule(&world, &[&["list", "--json"], more].concat()).await;
        let told: Value = serde_json::from_slice(&told.stdout).unwrap();
        assert_eq!(told.as_array().unwrap().len(), found, "{more:?}");
    }
    let told = vestibule(&world, &["list", "--json", "--subject", "u-1"]).await;
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!((told.as_array().unwrap().len(), &told[0]["name"]), (1, &json!("Иван Иванов")));

    let id = told[0]["id"].as_str().unwrap();
    let ended = vestibule(&world, &["end", "--id", id]).await;
    assert_eq!((ended.status.code(), text(&ended.stdout)), (Some(0), "1 session ended\n"));
    assert!(!is_in(&gateway, &ivan).await && is_in(&gateway, &maria).await);
    let again = vestibule(&world, &["end", "--id", id]).await;
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("no such session"), "{}", text(&again.stderr));
    let ended = vestibule(&world, &["end", "--subject", "u-2", "--json"]).await;
    assert_eq!(serde_json::from_slice::<Value>(&ended.stdout).unwrap(), json!({"ended": 1}));
    assert!(!is_in(&gateway, &maria).await);
    let ended = vestibule(&world, &["end", "--subject", "u-2"]).await;
    assert_eq!((ended.status.code(), text(&ended.stdout)), (Some(0), "0 sessions ended\n"));

    for wrong in [
        &["end"][..],
        &["end", "--id", id, "--subject", "u-2"],
        &["end", "--id", "short"],
        &["end", "--provider", "rogue"],
        &["list", "--older-than", "2"],
        &["list", "--address", "localhost"],
        &["list", "--limit", "0"],
    ] {
        assert_eq!(vestibule(&world, wrong).await.status.code(), Some(2), "{wrong:?}");
    }
    let config = std::fs::read_to_string(world.config_path()).unwrap();
    std::fs::write(world.config_path(), config.replace(TOKEN, "another-token-of-the-operators")).unwrap();
    let wrong = vestibule(&world, &["list"]).await;
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong.stderr).contains("needs a restart"), "{}", text(&wrong.stderr));
    let world = gateway.kill().await;
    let nobody = vestibule(&world, &["list"]).await;
    assert_eq!(nobody.status.code(), Some(1));
    assert!(text(&nobody.stderr).contains("no gateway answers at"), "{}", text(&nobody.stderr));
}

#[tokio::test]
async fn what_answers_in_a_gateway_s_place_or_is_an_older_one_is_told_from_a_refusal() {
    let (world, other) = (World::new(), Server::start().await);
    let config = format!("{ADMIN}listen = \"{}\"\n", other.address());
    std::fs::write(world.config_path(), config).unwrap();
    let not_found = Answer::of(404, "text/plain", "/healthz /readyz /metrics\n");
    for answer in [Answer::text("<h1>Courses</h1>"), not_found] {
        other.answer(move |_| answer.clone());
        for command in [&["list"][..], &["end", "--subject", "u-1"]] {
            let told = vestibule(&world, command).await;
            assert_eq!((told.status.code(), text(&told.stdout)), (Some(1), ""), "{command:?}");
            assert!(text(&told.stderr).contains("is no gateway of this version"), "{}", text(&told.stderr));
        }
    }
}

#[tokio::test]
async fn a_person_is_signed_out_at_every_provider_or_at_the_one_that_is_named_be_it_still_configured_or_not()
{
    let (world, app) = (World::new(), Server::start().await);
    let rogues = [Rogue::start().await, Rogue::start().await];
    for rogue in &rogues {
        rogue.is_silent_about_itself();
        rogue.person(person("u-1", "Иван Иванов"));
    }
    let [first, second] = &rogues;
    let (one, two) = (first.table("first", ""), second.table("second", ""));
    let rest = world.app("lms", &app) + ADMIN;
    let gateway = world.start(&(one.clone() + &two + &rest)).await.ready().await;
    let at = async |gateway: &Gateway, provider: &str| {
        let browser = Browser::new();
        let address = gateway.url(&format!("/_sso/sign-in?return_to=%2Fcourses&provider={provider}"));
        browser.visit(&address).await.expect(200);
        browser
    };
    let end = async |gateway: &Gateway, more: &[&str]| {
        let told = vestibule(&gateway.world, &[&["end", "--subject", "u-1"], more].concat()).await;
        text(&told.stdout).to_owned()
    };
    let (here, there) = (at(&gateway, "first").await, at(&gateway, "second").await);
    assert_eq!(list(&gateway, "subject=u-1").await.len(), 2);
    assert_eq!(end(&gateway, &["--provider", "first"]).await, "1 session ended\n");
    assert!(!is_in(&gateway, &here).await && is_in(&gateway, &there).await);
    let here = at(&gateway, "first").await;
    assert_eq!(end(&gateway, &[]).await, "2 sessions ended\n");
    assert!(!is_in(&gateway, &here).await && !is_in(&gateway, &there).await);

    let stays = at(&gateway, "second").await;
    let world = gateway.kill().await;
    let gateway = world.start(&(one + &rest)).await.ready().await;
    assert!(!is_in(&gateway, &stays).await, "its provider is nobody to the app any more");
    assert_eq!(list(&gateway, "provider=second").await.len(), 1, "and yet it is there");
    assert_eq!(end(&gateway, &[]).await, "0 sessions ended\n");
    assert_eq!(end(&gateway, &["--provider", "second"]).await, "1 session ended\n");
    assert!(list(&gateway, "").await.is_empty());
}
