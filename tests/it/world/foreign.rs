//! Real providers that share no code with `oidc-provider` or with each other: Glewlwyd from Debian, written in C,
//! and canaille from PyPI, written in Python. `tests/providers/*/server.py` say what is peculiar about them.

use std::process::Command;
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

use super::ask::Ask;
use super::browser::{Browser, Response};
use super::obedient::Obedient;
use super::{Gateway, Server, World};

/// A running provider.
#[derive(Clone)]
pub struct Foreign {
    /// Its issuer identifier.
    pub issuer: String,
    process: Arc<Obedient>,
}

/// Neither of them decodes what RFC 6749 section 2.3.1 has clients encode.
const SECRET: &str = "a-secret-that-needs-no-encoding";

impl Foreign {
    /// Glewlwyd, shared by all tests.
    pub fn glewlwyd() -> Self {
        static SHARED: OnceLock<Foreign> = OnceLock::new();
        SHARED.get_or_init(|| Self::start("/usr/bin/python3", "glewlwyd")).clone()
    }

    /// Canaille, shared by all tests.
    pub fn canaille() -> Self {
        static SHARED: OnceLock<Foreign> = OnceLock::new();
        let python = concat!(env!("CARGO_MANIFEST_DIR"), "/.cache/canaille/bin/python");
        SHARED.get_or_init(|| Self::start(python, "canaille")).clone()
    }

    fn start(python: &str, name: &str) -> Self {
        let server = format!("{}/tests/providers/{name}/server.py", env!("CARGO_MANIFEST_DIR"));
        let (process, ready) = Obedient::start(Command::new(python).arg(server));
        Self { issuer: ready["issuer"].as_str().unwrap().into(), process: Arc::new(process) }
    }

    /// Registers a client with this metadata for this world's app, and returns the provider's table.
    pub fn table(&self, world: &World, name: &str, metadata: Value, lines: &str) -> String {
        let client_id = format!("lms-{}", world.address().ip());
        let mut client = json!({
            "client_id": client_id, "client_secret": SECRET,
            "redirect_uris": [format!("{}/_sso/callback", world.origin())],
            "post_logout_redirect_uris": [format!("{}/_sso/signed-out", world.origin())],
        });
        client.as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
        self.process.command("client", json!({"client": client}));
        let issuer = &self.issuer;
        format!(
            "[providers.{name}]\nissuer = {issuer:?}\nclient_id = {client_id:?}\nclient_secret = {SECRET:?}\n\
             client_auth = \"client_secret_basic\"\nscopes = [\"openid\", \"profile\", \"email\"]\n{lines}\n",
        )
    }

    /// A gateway in front of one recording app, behind this provider; `lines` follow the app's table.
    pub async fn gateway(&self, metadata: Value, lines: &str) -> (Gateway, Server) {
        let (world, app) = (World::new(), Server::start().await);
        let config = self.table(&world, "school", metadata, "") + &world.app("lms", &app) + lines;
        (world.start(&config).await, app)
    }
}

/// Opens an address that needs sign-in and does at Glewlwyd what its pages' script would do for this person.
pub async fn sign_in_at_glewlwyd(browser: &Browser, url: &str, login: &str) -> Response {
    let page = browser.visit(url).await.expect(200);
    let asked = |name: &str| {
        let found = page.url.query_pairs().find(|(known, _)| known == name);
        found.unwrap_or_else(|| panic!("no {name} in {}", page.url)).1.into_owned()
    };
    glewlwyd(browser, &page, "POST", "/api/auth/", json!({"username": login, "password": "пароль"})).await;
    let grant = format!("/api/auth/grant/{}", asked("client_id"));
    glewlwyd(browser, &page, "PUT", &grant, json!({"scope": asked("scope")})).await;
    browser.visit(&format!("{}&g_continue", asked("callback_url"))).await
}

/// Does what the script of Glewlwyd's sign-out page would do, from the address that the gateway sent to.
pub async fn sign_out_at_glewlwyd(browser: &Browser, leaving: Response) -> Response {
    let page = browser.follow(leaving).await.expect(200);
    let asked = |name: &str| page.url.query_pairs().find(|(known, _)| known == name).unwrap().1.into_owned();
    let session = format!("/api/oidc/session/{}", asked("sid"));
    glewlwyd(browser, &page, "DELETE", &session, json!({})).await;
    glewlwyd(browser, &page, "DELETE", "/api/auth/", json!({})).await;
    browser.visit(&asked("callback_url")).await
}

async fn glewlwyd(browser: &Browser, page: &Response, method: &str, path: &str, content: Value) {
    let url = page.url.join(path).unwrap();
    browser
        .send(Ask::script(method, url.as_str()).body("application/json", content.to_string()))
        .await
        .expect(200);
}

/// Opens an address that needs sign-in and signs this person in on canaille's two pages.
pub async fn sign_in_at_canaille(browser: &Browser, url: &str, login: &str) -> Response {
    let page = browser.visit(url).await.expect(200);
    let page = browser.submit(&page, page.form("loginform").fill("login", login)).await.expect(200);
    browser.submit(&page, page.form("passwordform").fill("password", "пароль")).await
}
