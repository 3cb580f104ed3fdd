//! What operators type before anybody signs in at a real Keycloak: `vestibule doctor` and `vestibule register`.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::proving::{KEY, fetched, with_key};
use crate::realm::{Keycloak, SECRET, sign_in};
use crate::world::{Browser, Server, World};

async fn typed(world: &World, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command.args(arguments).arg("--config").arg(world.config_path()).current_dir(world.dir.path());
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// What `doctor` finds amiss with this configuration, by code.
async fn amiss(world: &World, config: &str) -> Vec<(String, Value)> {
    world.write_config(config);
    let output = typed(world, &["doctor", "--json"]).await;
    let findings: Vec<Value> =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let amiss = findings.into_iter().filter(|finding| finding["verdict"] != "ok");
    amiss.map(|finding| (finding["code"].as_str().unwrap().to_owned(), finding)).collect()
}

#[tokio::test]
async fn doctor_finds_nothing_amiss_where_people_can_sign_in() {
    let keycloak = Keycloak::running().await;
    let attributes = |name: &str| json!({"attributes": {name: "true"}});
    for (client, lines) in [
        (json!({}), ""),
        (attributes("require.pushed.authorization.requests"), "request = \"par\""),
        (attributes("dpop.bound.access.tokens"), "dpop = true"),
    ] {
        let (world, app) = (World::new(), Server::start().await);
        let config = keycloak.table(&world, "school", client, lines).await + &world.app("lms", &app);
        let amiss = amiss(&world, &config).await;
        assert!(amiss.is_empty(), "{lines}: {amiss:#?}");
    }
}

#[tokio::test]
async fn doctor_tells_a_wrong_secret_a_wrong_key_an_unknown_client_and_an_unknown_redirect_uri() {
    let keycloak = Keycloak::running().await;
    let (world, app) = (World::new(), Server::start().await);
    let good = keycloak.table(&world, "school", json!({}), "").await + &world.app("lms", &app);
    for (config, code) in [
        (good.replace(SECRET, "another"), "client_refused"),
        (good.replace("client_id = \"lms ", "client_id = \"nobody "), "client_refused"),
        (good.clone() + "callback_path = \"/elsewhere\"\n", "redirect_uri_refused"),
    ] {
        let amiss = amiss(&world, &config).await;
        assert!(amiss.iter().any(|(found, _)| found == code), "{code}: {amiss:#?}");
    }
    let world = with_key(&rcgen::PKCS_ECDSA_P256_SHA256);
    let client = fetched(&World::new(), json!({"clientAuthenticatorType": "client-jwt"}));
    let config = keycloak.table(&world, "school", client, KEY).await + &world.app("lms", &app);
    let amiss = amiss(&world, &config).await;
    assert!(amiss.iter().any(|(found, _)| found == "client_refused"), "{amiss:#?}");
}

#[tokio::test]
async fn a_client_that_was_just_registered_signs_people_in() {
    let keycloak = Keycloak::running().await;
    let once = json!({"expiration": 60, "count": 1});
    let made = keycloak.administer("POST", "/clients-initial-access", once).await;
    assert!(matches!(made.status, 200 | 201), "{made:?}");
    let (world, app) = (World::new(), Server::start().await);
    std::fs::write(world.dir.path().join("token"), made.json()["token"].as_str().unwrap()).unwrap();
    let issuer = &keycloak.issuer;
    let config = format!("[providers.school]\nissuer = {issuer:?}\n") + &world.app("lms", &app);
    world.write_config(&config);
    let asked = ["register", "--provider", "school", "--token-file", "token", "--secret-file", "secret"];
    let output = typed(&world, &asked).await;
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let gateway = world.start(&config.replace("[providers.school]\n", &printed)).await;
    let page = sign_in(&Browser::new(), &gateway.url("/courses"), "ivanov").await;
    assert_eq!(page.status, 200, "{page:?}\n{}", gateway.log());
    assert_eq!(app.last().header("x-auth-email").as_deref(), Some("ivanov@school.example"));
}
