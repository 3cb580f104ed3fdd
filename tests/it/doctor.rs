//! `vestibule doctor` asks real providers and one that misbehaves, and names each thing that would fail.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::world::{Answer, Endpoint, Engine, Rogue, Server, Shape, World};

/// What `doctor` says with these further arguments, and its exit code.
async fn typed(world: &World, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command.arg("doctor").arg("--config").arg(world.config_path()).args(arguments);
    let run = move || command.output().unwrap();
    let out = tokio::task::spawn_blocking(run).await.unwrap();
    let text = String::from_utf8(out.stdout).unwrap() + std::str::from_utf8(&out.stderr).unwrap();
    (out.status.code().unwrap(), text)
}

/// The findings, and the exit code.
async fn doctor(world: &World) -> (i32, Vec<Value>) {
    let (code, text) = typed(world, &["--json"]).await;
    (code, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
}

/// The finding of this code.
fn found<'a>(findings: &'a [Value], code: &str) -> &'a Value {
    findings
        .iter()
        .find(|finding| finding["code"] == code)
        .unwrap_or_else(|| panic!("no {code} in {findings:#?}"))
}

/// Examines this configuration, and expects this finding; what fails gives the exit code 1.
async fn expect(world: &World, config: &str, verdict: &str, code: &str) -> Value {
    world.write_config(config);
    let (exit, findings) = doctor(world).await;
    let finding = found(&findings, code).clone();
    assert_eq!(finding["verdict"], verdict, "{finding}");
    assert!(verdict == "ok" || finding["mend"].is_string(), "{finding}");
    let fails = findings.iter().any(|finding| finding["verdict"] == "failed");
    assert_eq!(exit, i32::from(fails), "{findings:#?}");
    finding
}

#[tokio::test]
async fn where_all_is_well_every_real_provider_is_found_well() {
    for engine in [Engine::trusted(), Engine::indeed(), Engine::v7(), Engine::v8(), Engine::v9()] {
        let (world, app) = (World::new(), Server::start().await);
        world.write_config(&(engine.table(&world, "school", "") + &world.app("lms", &app)));
        let (exit, findings) = doctor(&world).await;
        assert_eq!(exit, 0, "{findings:#?}");
        for code in ["metadata", "clock", "client_auth", "keys", "redirect_uri", "client", "app", "sessions"]
        {
            assert_eq!(found(&findings, code)["verdict"], "ok", "{code} of {}", engine.issuer);
        }
        assert!(!world.dir.path().join("state").exists(), "nothing is made");
    }
}

#[tokio::test]
async fn people_get_a_line_for_each_finding_and_no_secret() {
    let (world, rogue) = (World::new(), Rogue::start().await);
    rogue.bend_discovery(|document| document["grant_types_supported"] = json!(["implicit"]));
    let closed = world.app_at("lms", &world.origin(), "http://127.0.0.1:1");
    world.write_config(&(rogue.table("school", "") + &closed));
    let (exit, text) = typed(&world, &[]).await;
    assert_eq!(exit, 1, "{text}");
    let line =
        |begin: &str| text.lines().find(|line| line.starts_with(begin)).unwrap_or_else(|| panic!("{text}"));
    assert!(line("ok       provider school  it answers as ").ends_with(rogue.issuer()), "{text}");
    assert!(line("failed   provider school  ").contains("  mend: "), "{text}");
    assert!(line("failed   app lms          ").contains("  mend: "), "{text}");
    assert!(line("ok       gateway          ").contains("sessions.redb"), "{text}");
    assert!(!text.contains(crate::world::rogue::CLIENT_SECRET), "{text}");
}

#[tokio::test]
async fn a_wrong_configuration_is_told_as_check_tells_it() {
    let world = World::new();
    world.write_config("[providers.school]\nissuer = 7\n");
    let (exit, text) = typed(&world, &["--json"]).await;
    assert_eq!(exit, 2, "{text}");
    assert!(text.contains("client_id"), "{text}");
}

#[tokio::test]
async fn a_redirect_uri_that_the_provider_does_not_know_is_seen_at_its_authorization_endpoint() {
    for engine in [Engine::trusted(), Engine::v9()] {
        let (world, app) = (World::new(), Server::start().await);
        let table = engine.table_for(&[&world.origin()], "/elsewhere", "school", "");
        let config = table + &world.app("lms", &app);
        let finding = expect(&world, &config, "failed", "redirect_uri_refused").await;
        let uri = format!("{}/_sso/callback", world.origin());
        assert!(finding["mend"].as_str().unwrap().contains(&uri), "{finding}");
        assert!(finding["message"].as_str().unwrap().contains("lms"), "{finding}");
    }
}

#[tokio::test]
async fn a_wrong_secret_and_a_client_that_nobody_knows_are_seen() {
    let engine = Engine::v9();
    let (world, app) = (World::new(), Server::start().await);
    let config = engine.table(&world, "school", "") + &world.app("lms", &app);
    let secret = format!("client_secret = {:?}", crate::world::engine::SECRET);
    assert!(config.contains(&secret));
    let wrong = config.replace(&secret, "client_secret = \"another\"");
    expect(&world, &wrong, "failed", "client_refused").await;
    let unknown = config.replace("client_id = \"lms ", "client_id = \"nobody ");
    expect(&world, &unknown, "failed", "client_unknown").await;
}

#[tokio::test]
async fn an_issuer_that_differs_by_a_slash_is_explained() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let table = rogue.table("school", "").replace(rogue.issuer(), &format!("{}/", rogue.issuer()));
    let finding = expect(&world, &(table + &world.app("lms", &app)), "failed", "provider_issuer").await;
    assert!(finding["mend"].as_str().unwrap().contains("slash"), "{finding}");
}

/// A bend of the metadata, further lines of the provider's table, and what is found.
type Case = (Value, &'static str, &'static str, &'static str);

#[tokio::test]
async fn what_the_provider_lacks_by_its_own_metadata_is_named() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let cases: [Case; 14] = [
        (json!({"userinfo_endpoint": "http://localhost:1/userinfo"}), "", "warning", "endpoint_other_host"),
        (json!({"end_session_endpoint": "nowhere"}), "", "warning", "endpoint_left_out"),
        (json!({"end_session_endpoint": null}), "", "warning", "sign_out_here_only"),
        (
            json!({"token_endpoint_auth_methods_supported": ["private_key_jwt"]}),
            "",
            "failed",
            "client_auth_unsupported",
        ),
        (json!({"response_types_supported": ["id_token"]}), "", "failed", "response_type_unsupported"),
        (json!({"grant_types_supported": ["implicit"]}), "", "failed", "grant_unsupported"),
        (
            json!({"grant_types_supported": ["authorization_code"]}),
            "scopes = [\"openid\", \"offline_access\"]",
            "warning",
            "refresh_unsupported",
        ),
        (json!({"code_challenge_methods_supported": ["plain"]}), "", "warning", "pkce_unsupported"),
        (json!({"scopes_supported": ["openid"]}), "", "warning", "scope_unsupported"),
        (
            json!({"response_modes_supported": ["query"]}),
            "response_mode = \"form_post\"",
            "failed",
            "response_mode_unsupported",
        ),
        (json!({"acr_values_supported": ["bronze"]}), "acr_values = \"gold\"", "warning", "acr_unsupported"),
        (
            json!({"claims_parameter_supported": false}),
            "claims = '{\"userinfo\":{\"phone\":null}}'",
            "warning",
            "not_announced",
        ),
        (json!({"prompt_values_supported": ["none"]}), "prompt = \"login\"", "warning", "prompt_unsupported"),
        (
            json!({"id_token_signing_alg_values_supported": ["RS256"]}),
            "id_token_algs = [\"ES256\"]",
            "failed",
            "algorithm_unsupported",
        ),
    ];
    for (bend, lines, verdict, code) in cases {
        rogue.bend_discovery(move |document| {
            document.as_object_mut().unwrap().extend(bend.as_object().unwrap().clone());
        });
        let config = rogue.table("school", lines) + &world.app("lms", &app);
        let finding = expect(&world, &config, verdict, code).await;
        assert_eq!((&finding["kind"], &finding["name"]), (&json!("provider"), &json!("school")));
    }
}

#[tokio::test]
async fn a_request_that_the_provider_would_fetch_is_told_to_be_untried() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    rogue.bend_discovery(|document| {
        document["request_object_signing_alg_values_supported"] = json!(["HS256"])
    });
    let config = rogue.table("school", "request = \"request_uri\"") + &world.app("lms", &app);
    expect(&world, &config, "warning", "sign_in_untried").await;
    assert!(rogue.asked("/authorize").is_empty());
}

#[tokio::test]
async fn a_clock_that_is_off_is_told_with_its_distance() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let issuer = rogue.issuer();
    let document = json!({
        "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/jwks"),
    });
    rogue.replace(Endpoint::Discovery, Answer::json(&document).with("Date", "Thu, 01 Jan 2026 00:00:00 GMT"));
    let config = rogue.table("school", "") + &world.app("lms", &app);
    let finding = expect(&world, &config, "failed", "clock_skew").await;
    assert!(finding["message"].as_str().unwrap().contains("behind ours"), "{finding}");
}

#[tokio::test]
async fn keys_that_cannot_be_had_or_used_are_told_apart() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let app = world.app("lms", &app);
    let config = rogue.table("school", "") + &app;
    for (answer, code) in [
        (Answer::of(200, "text/html", "<!DOCTYPE html><p>Sign in"), "provider_not_json"),
        (Answer::of(200, "application/json", ""), "provider_not_json"),
        (Answer::json(&json!({"keys": []})), "provider_keys"),
        (Answer::of(404, "text/plain", "?"), "provider_status"),
    ] {
        rogue.replace(Endpoint::Keys, answer);
        expect_any(&world, &config, code).await;
    }
    rogue.restore();
    rogue.bend_discovery(|document| document["jwks_uri"] = json!("http://127.0.0.1:1/jwks"));
    expect_any(&world, &config, "provider_unreachable").await;
    rogue.restore();
    let unfit = rogue.table("school", "id_token_algs = [\"RS256\"]") + &app;
    expect(&world, &unfit, "failed", "keys_unfit").await;
}

/// As `expect` of what fails, where not every error has a mend of its own.
async fn expect_any(world: &World, config: &str, code: &str) {
    world.write_config(config);
    let (exit, findings) = doctor(world).await;
    assert_eq!(found(&findings, code)["verdict"], "failed");
    assert_eq!(exit, 1);
}

#[tokio::test]
async fn an_authorization_or_token_endpoint_that_answers_rubbish_is_told() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let config = rogue.table("school", "") + &world.app("lms", &app);
    for (endpoint, answer, verdict, code) in [
        (
            Endpoint::Authorize,
            Answer::redirect(302, "https://x.example/?error=invalid_scope"),
            "failed",
            "authorization_refused",
        ),
        (Endpoint::Authorize, Answer::of(302, "text/plain", ""), "failed", "authorization_unclear"),
        (Endpoint::Token, Answer::json(&json!({"access_token": "x"})), "failed", "token_endpoint_gives_all"),
        (
            Endpoint::Token,
            Answer::of(400, "application/json", "{\"error\":\"invalid_request\"}"),
            "warning",
            "client_unclear",
        ),
    ] {
        rogue.restore();
        rogue.replace(endpoint, answer);
        expect(&world, &config, verdict, code).await;
    }
}

#[tokio::test]
async fn a_provider_without_apps_is_told_to_be_of_no_use() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let config = rogue.table("school", "") + &rogue.table("spare", "") + &world.app("lms", &app);
    let config = config + "provider = \"school\"\n";
    let finding = expect(&world, &config, "warning", "provider_unused").await;
    assert_eq!(finding["name"], "spare");
}

#[tokio::test]
async fn an_app_that_does_not_answer_or_fails_is_told() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let closed = rogue.table("school", "") + &world.app_at("lms", &world.origin(), "http://127.0.0.1:1");
    expect(&world, &closed, "failed", "upstream_connect").await;
    let config = rogue.table("school", "") + &world.app("lms", &app);
    app.answer(|_| Answer::of(503, "text/plain", "starting"));
    let finding = expect(&world, &config, "warning", "app_status").await;
    assert!(finding["message"].as_str().unwrap().contains("503"), "{finding}");
    app.answer(|_| Answer::of(401, "text/plain", "who are you?"));
    expect(&world, &config, "ok", "app").await;
    app.answer(|_| Answer::After(Duration::from_secs(60), Box::new(Answer::text("late"))));
    let late = config + "timeouts = { response = \"1s\" }\n";
    expect(&world, &late, "failed", "upstream_response_timeout").await;
}

#[tokio::test]
async fn a_certificate_that_ends_soon_is_told_of_the_provider_of_an_app_and_of_our_own() {
    let world = World::new();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params =
        rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    let ends = std::time::SystemTime::now() + Duration::from_secs(10 * 24 * 60 * 60);
    params.not_after = ends.into();
    let cert = params.self_signed(&key).unwrap().pem();
    std::fs::write(world.dir.path().join("soon.pem"), &cert).unwrap();
    std::fs::write(world.dir.path().join("soon.key"), key.serialize_pem()).unwrap();
    let engine = Engine::own(Shape::V9, json!({"tls": {"cert": cert, "key": key.serialize_pem()}}));
    let origin = url::Url::parse(&engine.issuer).unwrap().origin().ascii_serialization();
    let config = String::from("[server]\ntls = { cert = \"soon.pem\", key = \"soon.key\" }\n")
        + &engine.table(&world, "school", "ca = \"soon.pem\"")
        + &world.app_at("lms", &world.origin().replace("http:", "https:"), &origin)
        + "upstream_tls = { ca = \"soon.pem\" }\n";
    world.write_config(&config);
    let (_, findings) = doctor(&world).await;
    let ending: Vec<_> = findings.iter().filter(|finding| finding["code"] == "certificate_expires").collect();
    let kinds: Vec<_> = ending.iter().map(|finding| finding["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["provider", "app", "gateway"], "{findings:#?}");
    // For another name the app's certificate proves nothing.
    let other = config.replace("ca = \"soon.pem\" }", "ca = \"soon.pem\", server_name = \"talk.internal\" }");
    expect(&world, &other, "failed", "upstream_tls").await;
    let stranger = config.replace("ca = \"soon.pem\"\n", "");
    expect(&world, &stranger, "failed", "provider_tls").await;
}

#[tokio::test]
async fn sessions_that_could_not_be_kept_are_told_and_a_running_gateway_is_left_alone() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let config = rogue.table("school", "") + &world.app("lms", &app);
    let state = world.dir.path().join("state");
    std::fs::create_dir(&state).unwrap();
    std::fs::write(state.join("session.key"), "no key").unwrap();
    expect(&world, &config, "failed", "sessions_unusable").await;
    std::fs::remove_file(state.join("session.key")).unwrap();
    let gateway = world.clone().start(&config).await;
    let finding = expect(&world, &config, "ok", "sessions").await;
    assert!(finding["message"].as_str().unwrap().contains("a gateway that runs"), "{finding}");
    gateway.ask_admin("/healthz").await.expect(200);
}

#[tokio::test]
async fn slow_providers_are_asked_side_by_side_and_no_longer_than_their_time_limit() {
    let (world, one, other, app) =
        (World::new(), Rogue::start().await, Rogue::start().await, Server::start().await);
    for rogue in [&one, &other] {
        rogue.slow_down(Endpoint::Discovery, Duration::from_secs(600));
    }
    let config = one.table("one", "timeout = \"3s\"") + &other.table("other", "timeout = \"3s\"");
    world.write_config(&(config + &world.app("lms", &app)));
    let begun = Instant::now();
    let (exit, findings) = doctor(&world).await;
    assert_eq!(exit, 1);
    let slow = findings.iter().filter(|finding| finding["code"] == "provider_too_slow").count();
    assert_eq!(slow, 2, "{findings:#?}");
    assert!(begun.elapsed() < Duration::from_millis(5900), "{:?}", begun.elapsed());
}
