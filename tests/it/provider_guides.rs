//! The guides for administrators of Trusted.ID, Indeed AM and Keycloak: their configurations sign people in.

use std::process::Command;

use serde_json::{Value, json};

use crate::documents::source::{document, read};
use crate::world::{Ask, Browser, Engine, Gateway, Server, World};

/// The guide's configuration with our addresses, and the client that `engine` knows, in place of the guide's.
async fn gateway(guide: &str, issuer: &str, engine: &Engine, metadata: Value) -> (Gateway, Server) {
    let (world, app) = (World::new(), Server::start().await);
    let client: toml::Table = engine.client(&world, "client", metadata, "").parse().unwrap();
    let client = &client["providers"]["client"];
    let guide = document(guide);
    let mut config = guide.blocks().into_iter().find(|block| block.file == "config.toml").unwrap().text;
    for (stands, takes_its_place) in [
        (format!("{issuer:?}"), client["issuer"].to_string()),
        ("\"lms\"".to_owned(), client["client_id"].to_string()),
        ("{ env = \"LMS_CLIENT_SECRET\" }".to_owned(), client["client_secret"].to_string()),
        ("\"https://lms.example.org\"".to_owned(), format!("{:?}", world.origin())),
        ("\"http://127.0.0.1:3000\"".to_owned(), format!("{:?}", app.origin())),
    ] {
        assert_eq!(config.matches(&stands).count(), 1, "{stands} in {}", guide.path.display());
        config = config.replace(&stands, &takes_its_place);
    }
    (world.start(&config).await, app)
}

/// Signs in by way of the consent that a provider asks for refresh tokens.
async fn sign_in(gateway: &Gateway, login: &str) -> Browser {
    let browser = Browser::new();
    let consent = browser.sign_in(&gateway.url("/courses"), login).await.expect(200);
    browser.submit(&consent, consent.form("consent")).await.expect(200);
    browser
}

/// What the guides tell to ask before anybody signs in finds nothing that would fail.
async fn is_well(gateway: &Gateway, guide: &str) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command.args(["doctor", "--config"]).arg(gateway.config_path());
    // Beside this thread, which is the app that is asked.
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{guide}: {told}");
    assert!(told.contains("ok ") && !told.contains("failed "), "{guide}: {told}");
}

#[tokio::test]
async fn trusted_id_signs_people_in_by_its_guide() {
    for guide in ["docs/trusted-id.md", "docs/ru/trusted-id.md"] {
        let (gateway, app) = gateway(guide, "https://id.example.org", &Engine::trusted(), json!({})).await;
        is_well(&gateway, guide).await;
        sign_in(&gateway, "ivanov").await;
        let request = app.last();
        assert_eq!(request.target(), "/courses", "{guide}");
        assert_eq!(request.header("x-user-email").as_deref(), Some("ivanov@school.example"), "{guide}");
        assert_eq!(request.header("x-user-snils").as_deref(), Some("112-233-445 95"), "{guide}");
        assert!(request.header("x-user-name").unwrap().starts_with("%D0%98%D0%B2"), "{guide}");
    }
}

#[tokio::test]
async fn indeed_am_signs_people_in_and_out_by_its_guide() {
    for guide in ["docs/indeed-am.md", "docs/ru/indeed-am.md"] {
        let entered = json!({"scope": "openid email profile offline_access"});
        let issuer = "https://am.example.org/am/idp";
        let (gateway, app) = gateway(guide, issuer, &Engine::indeed(), entered).await;
        is_well(&gateway, guide).await;
        let browser = sign_in(&gateway, "petrova").await;
        let request = app.last();
        assert_eq!(request.header("x-user-login").as_deref(), Some("SCHOOL\\petrova"), "{guide}");
        assert_eq!(request.header("x-user-email").as_deref(), Some("petrova@school.example"), "{guide}");
        assert!(request.header("x-user-dn").unwrap().starts_with("CN%3D%D0%9F%D0%B5"), "{guide}");
        let leave = Ask::navigation(&gateway.url("/_sso/sign-out")).instead("Sec-Fetch-Site", "same-origin");
        let asked = browser.follow(browser.send(leave).await).await;
        let end = browser.submit(&asked, asked.form("op.logoutForm").fill("logout", "yes")).await.expect(200);
        assert_eq!(end.url.path(), "/_sso/signed-out", "{guide}");
    }
}

#[test]
fn both_sides_of_a_guide_have_the_same_configurations_and_explain_the_same_codes() {
    for name in ["trusted-id", "indeed-am", "keycloak"] {
        let (english, russian) = (format!("docs/{name}.md"), format!("docs/ru/{name}.md"));
        let blocks = |path: &str| -> Vec<String> {
            let document = document(path);
            let blocks = document.blocks().into_iter();
            blocks
                .filter(|block| ["toml", "console", "json", "sh"].contains(&block.language))
                .map(|block| block.text)
                .collect()
        };
        assert_eq!(blocks(&english), blocks(&russian), "{name}");
        assert!(blocks(&english).len() >= 2, "{name}");
        let operating = read("docs/operating.md") + &read("docs/doctor.md");
        let codes = |path: &str| -> Vec<String> {
            let text = read(path);
            let rows = text.lines().filter(|line| line.starts_with("| ")).flat_map(|row| {
                let words: Vec<String> = row.split('`').skip(1).step_by(2).map(str::to_owned).collect();
                words
            });
            rows.filter(|word| operating.contains(&format!("| `{word}` |"))).collect()
        };
        assert_eq!(codes(&english), codes(&russian), "{name}");
        assert!(codes(&english).len() >= 5, "{name}: {:?}", codes(&english));
    }
}
