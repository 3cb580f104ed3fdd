//! `vestibule explain` says of a request what the gateway then does with it.

use serde_json::{Value, json};

use crate::world::{Ask, Browser, Rogue, Server, World};

const APP: &str = r#"
[apps.lms.headers]
X-User-Id = "sub"
X-User-Name = { claim = "name", encode = "percent" }
X-User-Groups = { claim = "groups", join = "," }
X-User-Role = { expr = '"teachers" in claims.groups ? "teacher" : "student"' }
X-User-City = "address.locality"
X-Bad = "bad"

[[apps.lms.rules]]
paths = ["/static/*"]
access = "public"

[[apps.lms.rules]]
paths = ["/grades/*"]
methods = ["GET"]
allow = '"teachers" in claims.groups'

[[apps.lms.rules]]
paths = ["/grades/*"]
allow = 'claims.no_such_claim == "x"'
"#;

/// What `explain --json` says.
fn explain(world: &World, method: &str, url: &str, claims: Option<&Value>) -> Value {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command.arg("explain").arg("--config").arg(world.config_path());
    command.args(["--json", "--method", method, "--url", url]);
    if let Some(claims) = claims {
        let path = world.dir.path().join("claims.json");
        std::fs::write(&path, claims.to_string()).unwrap();
        command.arg("--claims").arg(path);
    }
    let out = command.output().unwrap();
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

#[tokio::test]
async fn explain_and_the_gateway_decide_alike_and_send_the_same_headers() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let gateway = world.clone().start(&(rogue.table("rogue", "") + &world.app("lms", &app) + APP)).await;
    for person in [
        json!({"sub": "u-1", "name": "Ёлкин, Пётр", "groups": ["teachers", "хор"], "address": {"locality": "Пермь"}}),
        json!({"sub": "u-2", "name": "x\ny", "groups": ["a,b", "students"], "bad": "a\u{0}b"}),
        json!({"sub": "u-3"}),
    ] {
        rogue.person(person.clone());
        let browser = Browser::new();
        browser.visit(&gateway.url("/")).await;
        for (method, target) in [
            ("GET", "/"),
            ("GET", "/static/a.css"),
            ("GET", "/grades/7"),
            ("POST", "/grades/7"),
            ("GET", "/STATIC/a.css"),
            ("GET", "/static/../grades/7"),
            ("GET", "/a%00b"),
        ] {
            app.forget();
            let url = gateway.url(target);
            let said = explain(&world, method, &url, Some(&person));
            let ask = Ask::script(method, &gateway.url("/")).target(target).header("Origin", world.origin());
            let response = browser.send(ask).await;
            match said["decision"].as_str().unwrap() {
                "admit" | "public" | "admitted" => {
                    assert_eq!(response.status, 200, "{method} {target} {person}: {said}");
                    let request = app.last();
                    let expected: Vec<(&str, &str)> = said["headers"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|header| (header["name"].as_str().unwrap(), header["value"].as_str().unwrap()))
                        .collect();
                    for (name, value) in &expected {
                        assert_eq!(
                            request.header(name).as_deref(),
                            Some(*value),
                            "{method} {target} {person}"
                        );
                    }
                    for name in
                        ["x-user-id", "x-user-name", "x-user-groups", "x-user-role", "x-user-city", "x-bad"]
                    {
                        let told = expected.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
                        assert_eq!(
                            request.header(name).is_some(),
                            told,
                            "{name}: {method} {target} {person}"
                        );
                    }
                }
                _ => {
                    assert_eq!(said["status"], response.status, "{method} {target} {person}: {said}");
                    assert!(app.received().is_empty());
                }
            }
            assert!(!said["reason"].as_str().unwrap().is_empty());
        }
    }
}

#[tokio::test]
async fn explain_says_what_a_stranger_would_get_and_why() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let gateway = world.clone().start(&(rogue.table("rogue", "") + &world.app("lms", &app) + APP)).await;
    for (target, status) in [("/", 302), ("/static/a", 200), ("/Static/a", 400)] {
        let said = explain(&world, "GET", &gateway.url(target), None);
        let response = Browser::new().get(&gateway.url(target)).await;
        assert_eq!(response.status, status, "{target}");
        let told = said["status"].as_u64().unwrap_or(200);
        assert!(told == u64::from(status) || said["decision"] == "sign_in", "{target}: {said}");
    }
    let elsewhere = explain(&world, "GET", "http://other.example/", None);
    assert_eq!(elsewhere["status"], 421, "{elsewhere}");
}

#[tokio::test]
async fn explain_names_the_header_that_was_left_out() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    world.write_config(&(rogue.table("rogue", "") + &world.app("lms", &app) + APP));
    let said = explain(
        &world,
        "GET",
        &format!("{}/", world.origin()),
        Some(&json!({"sub": "u-1", "bad": "a\u{0}b", "groups": ["a,b"]})),
    );
    let omitted = said["omitted"].to_string().to_lowercase();
    assert!(omitted.contains("x-bad") && omitted.contains("x-user-groups"), "{said}");
}

#[tokio::test]
async fn explain_tells_where_people_sign_out_of_the_app_and_what_is_the_gateways_alone() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let lines = "[apps.lms.logout]\npaths = [\"/logout\"]\non_end = { url = \"/internal/{sub}/end\" }\n";
    world.write_config(&(rogue.table("rogue", "") + &world.app("lms", &app) + lines));
    let url = |path: &str| format!("{}{path}", world.origin());
    let person = json!({"sub": "u-1"});
    let said = explain(&world, "GET", &url("/logout"), Some(&person));
    assert_eq!(said["decision"], "admit", "{said}");
    assert!(said["reason"].as_str().unwrap().contains("people sign out of the app here"), "{said}");
    for (method, status) in [("GET", 302), ("POST", 303)] {
        let said = explain(&world, method, &url("/logout"), None);
        assert_eq!((&said["decision"], &said["status"]), (&json!("sign_out"), &json!(status)), "{said}");
    }
    assert_eq!(explain(&world, "DELETE", &url("/logout"), None)["decision"], "sign_in");
    let said = explain(&world, "POST", &url("/internal/u-2/end"), Some(&person));
    assert_eq!((&said["decision"], &said["status"]), (&json!("refuse"), &json!(403)), "{said}");
}
