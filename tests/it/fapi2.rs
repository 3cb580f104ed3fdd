//! `profile = "fapi2"`: one line makes a sign-in keep to FAPI 2.0 Security Profile; what contradicts it is refused, in
//! the configuration and at the provider.

use std::process::Command;

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, SignatureAlgorithm};
use serde_json::{Value, json};

use crate::world::{Browser, Engine, Rogue, Server, World};

const PROFILE: &str = "profile = \"fapi2\"\nprivate_key = { file = \"client.key\" }\n";

fn private_key(world: &World, kind: &'static SignatureAlgorithm) {
    let pem = KeyPair::generate_for(kind).unwrap().serialize_pem();
    std::fs::write(world.dir.path().join("client.key"), pem).unwrap();
}

async fn vestibule(world: &World, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command.args(arguments).current_dir(world.dir.path()).env("INITIAL_TOKEN", "initial-access-token");
    let out = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    (
        out.status.code().unwrap(),
        String::from_utf8(out.stdout).unwrap() + std::str::from_utf8(&out.stderr).unwrap(),
    )
}

#[tokio::test]
async fn a_client_is_registered_examined_and_signed_in_with_by_one_line() {
    for kind in [&PKCS_ECDSA_P256_SHA256, &PKCS_RSA_SHA256] {
        let engine = Engine::v9();
        let (world, app) = (World::new(), Server::start().await);
        private_key(&world, kind);
        let scopes = "scopes = [\"openid\", \"email\", \"profile\"]\n";
        let config = format!("[providers.school]\nissuer = {:?}\n{PROFILE}{scopes}", engine.issuer)
            + &world.app("lms", &app);
        world.write_config(&config);
        let (code, printed) =
            vestibule(&world, &["register", "--provider", "school", "--token-env", "INITIAL_TOKEN"]).await;
        assert_eq!(code, 0, "{printed}");
        assert!(!printed.contains("client_secret"), "{printed}");
        let config = config.replace("[providers.school]\n", &printed);
        world.write_config(&config);
        let (code, said) = vestibule(&world, &["doctor"]).await;
        assert_eq!(code, 0, "{said}");
        assert!(
            said.contains("we authenticate by private_key_jwt") && said.contains("beforehand (PAR)"),
            "{said}"
        );
        let (pushed, proven) = (engine.count("/request"), engine.count("/token"));
        let gateway = world.start(&config).await;
        let page = Browser::new().sign_in(&gateway.url("/"), "ivanov").await;
        assert_eq!(page.status, 200, "{page:?}\n{}", gateway.log());
        assert_eq!(app.last().header("x-auth-email").as_deref(), Some("ivanov@school.example"));
        assert!(engine.count("/request") > pushed && engine.count("/token") > proven);
    }
}

/// A provider that has all that the profile needs, and then `bend`.
async fn examined(lines: &str, bend: Value) -> (i32, String) {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    private_key(&world, &PKCS_RSA_SHA256);
    rogue.bend_discovery(move |document| {
        document["token_endpoint_auth_methods_supported"] = json!(["private_key_jwt"]);
        document["dpop_signing_alg_values_supported"] = json!(["ES256"]);
        document["pushed_authorization_request_endpoint"] =
            json!(format!("{}/par", document["issuer"].as_str().unwrap()));
        document.as_object_mut().unwrap().extend(bend.as_object().unwrap().clone());
    });
    let table =
        format!("[providers.school]\nissuer = {:?}\nclient_id = \"lms\"\n{PROFILE}{lines}\n", rogue.issuer());
    world.write_config(&(table + &world.app("lms", &app)));
    vestibule(&world, &["doctor", "--json"]).await
}

#[tokio::test]
async fn a_provider_that_lacks_what_the_profile_needs_is_told_with_the_member() {
    let (_, well) = examined("", json!({})).await;
    assert!(!well.contains("provider_profile") && well.contains("\"metadata\""), "{well}");
    for (bend, code) in [
        (json!({"token_endpoint_auth_methods_supported": ["client_secret_basic"]}), "provider_profile"),
        (json!({"token_endpoint_auth_methods_supported": null}), "provider_profile"),
        (json!({"token_endpoint_auth_signing_alg_values_supported": ["RS256"]}), "provider_profile"),
        (json!({"dpop_signing_alg_values_supported": null}), "provider_profile"),
        (json!({"dpop_signing_alg_values_supported": ["RS256"]}), "provider_profile"),
        (json!({"code_challenge_methods_supported": null}), "provider_profile"),
        (json!({"code_challenge_methods_supported": ["plain"]}), "provider_profile"),
        (json!({"authorization_response_iss_parameter_supported": false}), "provider_profile"),
        (json!({"id_token_signing_alg_values_supported": ["RS256"]}), "provider_profile"),
        (json!({"pushed_authorization_request_endpoint": null}), "provider_endpoint"),
    ] {
        let (exit, said) = examined("", bend.clone()).await;
        assert!(said.contains(code), "{bend}: {said}");
        if code == "provider_profile" {
            let member = bend.as_object().unwrap().keys().next().unwrap();
            assert!(said.contains(member.as_str()), "{bend}: {said}");
        }
        assert_eq!(exit, 1, "{bend}: {said}");
    }
    // A signed response says itself whose it is.
    let mode = "response_mode = \"query.jwt\"";
    let (_, signed) = examined(mode, json!({"authorization_response_iss_parameter_supported": false})).await;
    assert!(!signed.contains("provider_profile"), "{signed}");
}

#[tokio::test]
async fn what_contradicts_the_profile_is_refused_and_both_are_named() {
    let world = World::new();
    let app = world.app_at("lms", &world.origin(), "http://127.0.0.1:1");
    let table = "[providers.school]\nissuer = \"https://id.example.org\"\nclient_id = \"lms\"\n";
    for (lines, key) in [
        ("client_secret = \"s3cret\"", "client_secret"),
        ("client_auth = \"client_secret_basic\"\nclient_secret = \"s3cret\"", "client_auth"),
        ("client_auth = \"none\"", "client_auth"),
        ("revocation_auth = \"none\"", "revocation_auth"),
        ("introspection_auth = \"none\"", "introspection_auth"),
        ("request = \"query\"", "request"),
        ("request = \"jar\"", "request"),
        ("response_mode = \"form_post\"", "response_mode"),
        ("dpop = false", "dpop"),
        ("id_token_algs = [\"ES256\", \"RS256\"]", "id_token_algs number 2"),
        ("token_endpoint = \"https://id.example.org/token\"", "token_endpoint"),
        ("jwks_uri = \"https://id.example.org/jwks\"", "jwks_uri"),
        ("discovery = false", "discovery"),
    ] {
        private_key(&world, &PKCS_ECDSA_P256_SHA256);
        world.write_config(&format!("{table}{PROFILE}{lines}\n{app}"));
        let (code, said) = vestibule(&world, &["check"]).await;
        assert_eq!(code, 2, "{lines}: {said}");
        assert!(said.contains("contradicts profile = \"fapi2\"") && said.contains(key), "{lines}: {said}");
    }
    private_key(&world, &PKCS_ECDSA_P384_SHA384);
    world.write_config(&format!("{table}{PROFILE}{app}"));
    let (_, said) = vestibule(&world, &["check"]).await;
    assert!(said.contains("private_key") && said.contains("contradicts profile"), "{said}");
    world.write_config(&format!("{table}profile = \"fapi2\"\n{app}"));
    let (_, said) = vestibule(&world, &["check"]).await;
    assert!(said.contains("private_key") && said.contains("as profile = \"fapi2\" asks for one"), "{said}");
    world.write_config(&format!("{table}profile = \"fapi1\"\nclient_secret = \"x\"\n{app}"));
    let (_, said) = vestibule(&world, &["check"]).await;
    assert!(said.contains("fapi2"), "{said}");
    // Without TLS there is no such profile, whatever else may be dangerous.
    private_key(&world, &PKCS_ECDSA_P256_SHA256);
    let plain = table.replace("https:", "http:");
    world.write_config(&format!("[server]\ndanger_allow_http = true\n{plain}{PROFILE}{app}"));
    let (_, said) = vestibule(&world, &["check"]).await;
    assert!(said.contains("issuer") && said.contains("contradicts profile"), "{said}");
}
