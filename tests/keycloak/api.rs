//! Access tokens of a real Keycloak at an API: JWTs of `typ` JWT, so that Keycloak is asked about each.

use serde_json::{Value, json};

use crate::realm::{Keycloak, client_id, sign_in};
use crate::world::browser::Response;
use crate::world::{Ask, Browser, Gateway, Server, World};

/// The API, and pages that are told the tokens of who is signed in.
const LINES: &str = r#"
[apps.lms.headers]
X-Auth-Sub = "sub"
X-Auth-Email = "email"
X-Access = { token = "access" }
X-Id = { token = "id" }

[[apps.lms.rules]]
paths = ["/api/*"]
access = "bearer"
scopes = ["profile"]

[[apps.lms.rules]]
paths = ["/marks/*"]
access = "bearer"
allow = 'has(claims.realm_access) && "учитель" in claims.realm_access.roles'
"#;

/// A client whose access tokens name this in `aud`.
fn naming(audience: &str) -> Value {
    let config = json!({"included.custom.audience": audience, "access.token.claim": "true",
        "introspection.token.claim": "true"});
    let mapper = json!({"name": "audience", "protocol": "openid-connect",
        "protocolMapper": "oidc-audience-mapper", "config": config});
    json!({"serviceAccountsEnabled": true, "protocolMappers": [mapper]})
}

async fn call(gateway: &Gateway, path: &str, token: &str) -> Response {
    let ask = Ask::script("GET", &gateway.url(path)).header("Authorization", format!("Bearer {token}"));
    Browser::new().send(ask).await
}

/// The access token and the ID token of somebody who signs in now.
async fn tokens(gateway: &Gateway, app: &Server, login: &str) -> (String, String) {
    let page = sign_in(&Browser::new(), &gateway.url("/"), login).await;
    assert_eq!(page.status, 200, "{page:?}\n{}", gateway.log());
    let token = |header: &str| app.last().header(header).unwrap().trim_start_matches("Bearer ").to_owned();
    (token("x-access"), token("x-id"))
}

#[tokio::test]
async fn a_token_opens_what_it_is_for_and_keycloak_is_asked_about_it_once() {
    let (keycloak, world) = (Keycloak::running().await, World::new());
    let client = naming(&client_id(&world));
    let (gateway, app) = keycloak.gateway_in(world, client, "", LINES).await;
    let (access, id) = tokens(&gateway, &app, "petrova").await;
    for path in ["/api/a", "/api/b", "/marks/7"] {
        let answer = call(&gateway, path, &access).await;
        assert_eq!(answer.status, 200, "{answer:?}\n{}", gateway.log());
    }
    assert_eq!(app.last().header("x-auth-email").as_deref(), Some("petrova@school.example"));
    assert_eq!(keycloak.count(&gateway.world, "INTROSPECT_TOKEN").await, 1);

    // The roles decide as they do for people.
    let (student, _) = tokens(&gateway, &app, "ivanov").await;
    call(&gateway, "/api/a", &student).await.expect(200);
    call(&gateway, "/marks/7", &student).await.expect(403);

    // SECURITY: Keycloak says of an ID token that it is active, and that it is for us.
    let before = app.received().len();
    call(&gateway, "/marks/7", &id).await.expect(401);
    gateway.logs("no access token").await;
    assert_eq!(app.received().len(), before);

    // A program's own token.
    let fields = [("grant_type", "client_credentials"), ("scope", "openid")];
    let granted = keycloak.post(&gateway.world, "/token", &fields).await.expect(200).json();
    call(&gateway, "/api/a", granted["access_token"].as_str().unwrap()).await.expect(200);
}

#[tokio::test]
async fn a_token_for_another_api_is_refused_until_the_audience_is_named() {
    let keycloak = Keycloak::running().await;
    // What Keycloak itself puts there is "account".
    for (lines, status) in [("", 401), ("audience = \"account\"\n", 200)] {
        let (gateway, app) = keycloak.gateway_in(World::new(), json!({}), lines, LINES).await;
        let (access, _) = tokens(&gateway, &app, "ivanov").await;
        let answer = call(&gateway, "/api/a", &access).await;
        assert_eq!(answer.status, status, "{answer:?}\n{}", gateway.log());
        if status == 401 {
            gateway.logs("without \\\"lms").await;
        }
    }
}

#[tokio::test]
async fn a_revoked_token_is_refused_and_a_made_up_one() {
    let (keycloak, world) = (Keycloak::running().await, World::new());
    let client = naming(&client_id(&world));
    let (gateway, app) =
        keycloak.gateway_in(world, client, "introspection_auth = \"client_secret_post\"\n", LINES).await;
    let (access, _) = tokens(&gateway, &app, "ivanov").await;
    keycloak.post(&gateway.world, "/revoke", &[("token", &access)]).await.expect(200);
    call(&gateway, "/api/a", &access).await.expect(401);
    let mut forged = access.clone();
    forged.replace_range(access.len() - 6.., "AAAAAA");
    call(&gateway, "/api/a", &forged).await.expect(401);
    gateway.logs("token-invalid").await;
}
