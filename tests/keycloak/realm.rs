//! The running Keycloak: its realm `school`, a client for each test, and its login page.
//!
//! In the realm are `ivanov` (group `/Ученики/10 «А»`, role `ученик`) and `petrova` (group `/Учителя`, roles
//! `учитель` and `admin`), password «пароль». `acr_values=gold` asks for the password once more on a page of its
//! own; a usual sign-in is `bronze`. Refresh tokens are used once. `id_token` and userinfo have `groups` and
//! `realm_access.roles`. What a client wants else is said in Keycloak's words, over what it has anyway:
//!
//! ```ignore
//! json!({"attributes": {"require.pushed.authorization.requests": "true", "access.token.lifespan": "5"}})
//! json!({"clientAuthenticatorType": "client-jwt", "attributes": {"use.jwks.string": "true", "jwks.string": "…"}})
//! json!({"attributes": {"dpop.bound.access.tokens": "true", "id.token.encrypted.response.alg": "ECDH-ES"}})
//! json!({"attributes": {"request.object.required": "request only", "backchannel.logout.url": "…"}})
//! json!({"frontchannelLogout": true, "attributes": {"frontchannel.logout.url": "…"}})
//! ```
//!
//! What clients did at its endpoints is in the realm's events: the types are those that `realm.json` keeps.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::world::browser::Response;
use crate::world::wire::PATIENCE;
use crate::world::{Ask, Browser, Gateway, Server, World};

/// A running Keycloak.
pub struct Keycloak {
    /// The realm's issuer identifier.
    pub issuer: String,
    base: String,
    token: String,
}

/// A secret whose characters mean something in a URL, a form and Basic authentication (RFC 6749 section 2.3.1).
pub const SECRET: &str = "p+ss word: 100%&=/?~";

impl Keycloak {
    /// The one that `./test keycloak` has started.
    pub async fn running() -> Self {
        let base = std::env::var("KEYCLOAK_URL")
            .expect("there is no Keycloak: run ./test keycloak, which starts one");
        let form = "grant_type=password&client_id=admin-cli&username=admin&password=admin";
        let url = format!("{base}/realms/master/protocol/openid-connect/token");
        let ask = Ask::new("POST", &url).body("application/x-www-form-urlencoded", form);
        let token =
            Browser::new().send(ask).await.expect(200).json()["access_token"].as_str().unwrap().to_owned();
        Self { issuer: format!("{base}/realms/school"), base, token }
    }

    /// Registers a client for this world's app and returns the provider's table; `lines` are further lines of it.
    pub async fn table(&self, world: &World, name: &str, more: Value, lines: &str) -> String {
        let client_id = client_id(world);
        let mapper = |claim: &str, kind: &str, more: Value| {
            let mut config =
                json!({"claim.name": claim, "id.token.claim": "true", "userinfo.token.claim": "true"});
            merge(&mut config, more);
            json!({"name": claim, "protocol": "openid-connect", "protocolMapper": kind, "config": config})
        };
        let mut client = json!({
            "clientId": client_id, "secret": SECRET, "redirectUris": [format!("{}/_sso/callback", world.origin())],
            "attributes": {"post.logout.redirect.uris": format!("{}/_sso/signed-out", world.origin())},
            "protocolMappers": [
                mapper("groups", "oidc-group-membership-mapper", json!({"full.path": "true"})),
                mapper("realm_access.roles", "oidc-usermodel-realm-role-mapper", json!({"multivalued": "true"})),
            ],
        });
        merge(&mut client, more);
        self.administer("POST", "/clients", client.clone()).await.expect(201);
        let public = client["publicClient"] == true;
        let secret = match client["clientAuthenticatorType"].as_str() {
            _ if public => "client_auth = \"none\"\n".to_owned(),
            Some("client-jwt") => String::new(),
            _ => format!("client_secret = {:?}\n", client["secret"].as_str().unwrap()),
        };
        let issuer = &self.issuer;
        format!("[providers.{name}]\nissuer = {issuer:?}\nclient_id = {client_id:?}\n{secret}{lines}\n")
    }

    /// A gateway in front of one recording app, behind this realm; `lines` follow the app's table.
    pub async fn gateway(&self, more: Value, lines: &str) -> (Gateway, Server) {
        self.gateway_in(World::new(), more, "", lines).await
    }

    /// The same in this world, with `provider` in the provider's table.
    pub async fn gateway_in(
        &self,
        world: World,
        more: Value,
        provider: &str,
        lines: &str,
    ) -> (Gateway, Server) {
        let app = Server::start().await;
        let config = self.table(&world, "school", more, provider).await + &world.app("lms", &app) + lines;
        (world.start(&config).await, app)
    }

    /// Asks the realm's administration interface.
    pub async fn administer(&self, method: &str, path: &str, content: Value) -> Response {
        let ask = Ask::new(method, &format!("{}/admin/realms/school{path}", self.base))
            .header("Authorization", format!("Bearer {}", self.token))
            .body("application/json", content.to_string());
        Browser::new().send(ask).await
    }

    /// Gives somebody an account, and its name at Keycloak: for a test that takes their sessions or the account away.
    pub async fn enrol(&self, login: &str, given_name: &str, family_name: &str) -> String {
        let person = json!({
            "username": login, "enabled": true, "firstName": given_name, "lastName": family_name,
            "email": format!("{login}@school.example"), "emailVerified": true,
            "credentials": [{"type": "password", "value": "пароль", "temporary": false}],
        });
        let made = self.administer("POST", "/users", person).await.expect(201);
        made.location().path_segments().unwrap().next_back().unwrap().to_owned()
    }

    /// How often this world's client did this, by the name of Keycloak's event.
    pub async fn count(&self, world: &World, kind: &str) -> usize {
        let id = form_urlencoded::byte_serialize(client_id(world).as_bytes()).collect::<String>();
        let url = format!("{}/admin/realms/school/events?type={kind}&client={id}", self.base);
        let ask = Ask::new("GET", &url).header("Authorization", format!("Bearer {}", self.token));
        Browser::new().send(ask).await.expect(200).json().as_array().unwrap().len()
    }

    /// Waits until it did so this often.
    pub async fn counts(&self, world: &World, kind: &str, count: usize) {
        let counted = timeout(PATIENCE, async {
            while self.count(world, kind).await < count {
                sleep(Duration::from_millis(20)).await;
            }
        });
        counted.await.unwrap_or_else(|_| panic!("never {count} times {kind}"));
    }

    /// Posts a form to an endpoint of the realm's as this world's client, which has the usual secret.
    pub async fn post(&self, world: &World, endpoint: &str, fields: &[(&str, &str)]) -> Response {
        let url = format!("{}/protocol/openid-connect{endpoint}", self.issuer);
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .append_pair("client_id", &client_id(world))
            .append_pair("client_secret", SECRET)
            .finish();
        Browser::new().send(Ask::new("POST", &url).body("application/x-www-form-urlencoded", form)).await
    }

    /// The realm's discovery document.
    pub async fn discovery(&self) -> Value {
        let url = format!("{}/.well-known/openid-configuration", self.issuer);
        Browser::new().get(&url).await.expect(200).json()
    }
}

/// What this world's client is called: it needs encoding wherever it goes.
pub fn client_id(world: &World) -> String {
    format!("lms {}", world.address())
}

/// Signs this person in on Keycloak's login page, or gives the password once more on the page of the next step.
pub async fn log_in(browser: &Browser, page: &Response, login: &str) -> Response {
    let mut form = page.form("kc-form-login");
    if form.fields.iter().any(|(name, _)| name == "username") {
        form = form.fill("username", login);
    }
    browser.submit(page, form.fill("password", "пароль")).await
}

/// Opens an address that needs sign-in and signs this person in.
pub async fn sign_in(browser: &Browser, url: &str, login: &str) -> Response {
    let page = browser.visit(url).await.expect(200);
    log_in(browser, &page, login).await
}

/// Writes the members of one object over those of another; objects within objects likewise.
fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}
