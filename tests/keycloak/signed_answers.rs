//! Answers that a real Keycloak signs or encrypts: of a sign-in (JARM), ID tokens, userinfo.

use serde_json::{Value, json};

use crate::realm::{Keycloak, sign_in};
use crate::world::browser::Response;
use crate::world::sealed::EncryptionKey;
use crate::world::{Browser, Gateway, Server, World};

/// Signs somebody in behind a realm whose client has this more, with these lines in the provider's table.
async fn behind(world: World, more: Value, lines: &str) -> (Gateway, Server, Response) {
    let (keycloak, app) = (Keycloak::running().await, Server::start().await);
    let config = keycloak.table(&world, "school", more, lines).await + &world.app("lms", &app);
    let gateway = world.start(&config).await;
    let page = sign_in(&Browser::new(), &gateway.url("/courses"), "ivanov").await;
    (gateway, app, page)
}

async fn signs_in(world: World, more: Value, lines: &str) {
    let (gateway, app, page) = behind(world, more, lines).await;
    assert_eq!(page.status, 200, "{page:?}\n{}", gateway.log());
    assert_eq!(app.last().target(), "/courses");
    assert_eq!(app.last().header("x-auth-email").as_deref(), Some("ivanov@school.example"));
}

#[tokio::test]
async fn the_answer_of_a_sign_in_is_signed() {
    for algorithm in ["RS256", "PS256", "ES256"] {
        let more = json!({"attributes": {"authorization.signed.response.alg": algorithm}});
        signs_in(World::new(), more, "response_mode = \"query.jwt\"").await;
    }
}

#[tokio::test]
async fn id_tokens_are_encrypted_and_userinfo_is_signed() {
    for algorithm in ["RSA-OAEP-256", "ECDH-ES"] {
        let (world, key) = (World::new(), EncryptionKey::new(algorithm));
        std::fs::write(world.dir.path().join("decryption.key"), &key.pem).unwrap();
        let more = json!({"attributes": {
            "use.jwks.string": "true", "jwks.string": json!({"keys": [key.jwk]}).to_string(),
            "id.token.encrypted.response.alg": algorithm, "id.token.encrypted.response.enc": "A256GCM",
            "user.info.response.signature.alg": "ES256",
        }});
        let (gateway, app, page) = behind(World::new(), more.clone(), "").await;
        assert!(page.status >= 400 && app.received().is_empty(), "it was not encrypted: {page:?}");
        gateway.logs("decryption_key").await;
        signs_in(world, more, "decryption_key = { file = \"decryption.key\" }").await;
    }
}
