//! `vestibule register` at a real provider with dynamic registration, and at one that misbehaves.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

use serde_json::json;

use crate::world::{Browser, Endpoint, Engine, Rogue, Server, World};

const TOKEN: &str = "initial-access-token";

/// A provider's table before anybody is registered there.
pub fn issuer_alone(issuer: &str, lines: &str) -> String {
    format!("[providers.school]\nissuer = {issuer:?}\n{lines}\n")
}

/// Registers this world's gateway at the provider `school`.
pub async fn register(world: &World, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command.arg("register").arg("--config").arg(world.config_path()).args(["--provider", "school"]);
    command.args(arguments).env("INITIAL_TOKEN", TOKEN).current_dir(world.dir.path());
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap() + std::str::from_utf8(&output.stderr).unwrap()
}

/// The configuration with what registration printed in the place of the provider's table head.
pub fn completed(config: &str, printed: &str) -> String {
    config.replace("[providers.school]\n", printed)
}

#[tokio::test]
async fn a_person_signs_in_with_a_client_that_was_just_registered_and_nobody_saw_its_secret() {
    let engine = Engine::v9();
    let (world, app) = (World::new(), Server::start().await);
    let scopes = "scopes = [\"openid\", \"email\", \"profile\"]";
    let config = issuer_alone(&engine.issuer, scopes) + &world.app("lms", &app);
    world.write_config(&config);
    let output = register(&world, &["--token-env", "INITIAL_TOKEN", "--secret-file", "school.secret"]).await;
    assert!(output.status.success(), "{}", said(&output));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.starts_with("[providers.school]\nclient_id     = \""), "{printed}");
    assert!(printed.contains("client_secret = { file = \"school.secret\" }"), "{printed}");
    let file = world.dir.path().join("school.secret");
    let secret = std::fs::read_to_string(&file).unwrap();
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!printed.contains(secret.trim()) && !printed.contains(TOKEN), "{printed}");
    let gateway = world.clone().start(&completed(&config, &printed)).await;
    let page = Browser::new().sign_in(&gateway.url("/courses"), "ivanov").await;
    page.expect(200);
    assert_eq!(app.last().header("x-auth-email").as_deref(), Some("ivanov@school.example"));
}

#[tokio::test]
async fn the_secret_is_shown_where_that_is_asked_and_the_token_may_stand_in_a_file() {
    let engine = Engine::v9();
    let (world, app) = (World::new(), Server::start().await);
    world.write_config(&(issuer_alone(&engine.issuer, "scopes = [\"openid\"]") + &world.app("lms", &app)));
    std::fs::write(world.dir.path().join("token"), format!("{TOKEN}\n")).unwrap();
    let output = register(&world, &["--token-file", "token", "--show-secret"]).await;
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("client_secret = \""), "{}", said(&output));
}

#[tokio::test]
async fn a_registration_that_is_refused_leaves_nothing_behind_and_says_what_to_do() {
    let engine = Engine::v9();
    let (world, app) = (World::new(), Server::start().await);
    let app = world.app("lms", &app);
    world.write_config(&(issuer_alone(&engine.issuer, "scopes = [\"openid\"]") + &app));
    let output = register(&world, &["--secret-file", "school.secret"]).await;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("initial access token"), "{}", said(&output));
    assert!(!world.dir.path().join("school.secret").exists());
    world.write_config(
        &(issuer_alone(&engine.issuer, "scopes = [\"openid\", \"nothing-of-the-kind\"]") + &app),
    );
    let output = register(&world, &["--token-env", "INITIAL_TOKEN", "--show-secret"]).await;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("invalid_client_metadata"), "{}", said(&output));
    // One without registration.
    let rogue = Rogue::start().await;
    world.write_config(&(issuer_alone(rogue.issuer(), "") + &app));
    let output = register(&world, &["--show-secret"]).await;
    assert!(said(&output).contains("enter the client at the provider by hand"), "{}", said(&output));
    // One that answers rubbish.
    let endpoint = format!("{}/token", rogue.issuer());
    rogue.bend_discovery(move |document| document["registration_endpoint"] = json!(endpoint));
    rogue.replace(Endpoint::Token, crate::world::Answer::of(200, "text/html", "<!DOCTYPE html>"));
    let output = register(&world, &["--show-secret"]).await;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("HTML"), "{}", said(&output));
}

#[tokio::test]
async fn nobody_is_asked_before_it_is_known_where_the_secret_goes() {
    let rogue = Rogue::start().await;
    let (world, app) = (World::new(), Server::start().await);
    let app = world.app("lms", &app);
    world.write_config(&(issuer_alone(rogue.issuer(), "") + &app));
    let output = register(&world, &[]).await;
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("--secret-file"), "{}", said(&output));
    std::fs::write(world.dir.path().join("school.secret"), "another client's").unwrap();
    let output = register(&world, &["--secret-file", "school.secret"]).await;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let kept = std::fs::read_to_string(world.dir.path().join("school.secret")).unwrap();
    assert_eq!(kept, "another client's");
    let output = register(&world, &["--token-env", "NO_SUCH_VARIABLE", "--show-secret"]).await;
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    // No other provider's table may be incomplete.
    world.write_config(
        &(issuer_alone(rogue.issuer(), "") + "[providers.other]\nissuer = \"https://x.example\"\n" + &app),
    );
    let output = register(&world, &["--show-secret"]).await;
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(rogue.server.received().is_empty());
}
