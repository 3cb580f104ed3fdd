//! A client of the provider that is not the gateway: it shows what the provider does before the gateway is asked.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use url::Url;

use crate::world::browser::Response;
use crate::world::{Ask, Browser, Engine, Server, keys};

const VERIFIER: &str = "a verifier of the length that RFC 7636 asks for";

/// The majors that all tests share.
pub fn majors() -> [(u8, Engine); 3] {
    [(7, Engine::v7()), (8, Engine::v8()), (9, Engine::v9())]
}

/// A client that asks the provider itself.
pub struct Direct {
    /// The provider.
    pub engine: Engine,
    /// Where the person is sent back to.
    pub app: Server,
    /// `client_id`
    pub id: String,
    /// The person's browser.
    pub browser: Browser,
}

impl Direct {
    /// A client with this metadata over what it has anyway.
    pub async fn with(engine: &Engine, metadata: Value) -> Self {
        let app = Server::start().await;
        let id = format!("direct-{}", app.origin().replace([':', '/'], "-"));
        let mut client = json!({
            "client_id": id, "client_secret": "secret of at least thirty-two bytes", "redirect_uris": [redirect(&app)],
            "grant_types": ["authorization_code", "refresh_token", "client_credentials",
                "urn:ietf:params:oauth:grant-type:device_code"],
            "response_types": ["code"], "scope": "openid offline_access email profile read",
        });
        let members = client.as_object_mut().unwrap();
        members.extend(metadata.as_object().unwrap().clone());
        members.retain(|_, value| !value.is_null());
        engine.command("client", json!({"client": client}));
        Self { engine: engine.clone(), app, id, browser: Browser::new() }
    }

    /// The authorization request's parameters, and these.
    pub fn params<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, String)> {
        let mut params: Vec<(&str, String)> = vec![
            ("client_id", self.id.clone()),
            ("response_type", "code".into()),
            ("redirect_uri", redirect(&self.app)),
            ("code_challenge", keys::hash(&VERIFIER.replace(' ', "-"))),
            ("code_challenge_method", "S256".into()),
        ];
        params.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        if !more.iter().any(|(name, _)| *name == "scope") {
            params.push(("scope", "openid email".into()));
        }
        params
    }

    /// The address that begins a sign-in.
    pub fn authorize(&self, more: &[(&str, &str)]) -> String {
        let url = Url::parse_with_params(&format!("{}/auth", self.engine.issuer), self.params(more));
        url.unwrap().into()
    }

    /// Posts a form as this client, by its secret.
    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Response {
        let credentials = STANDARD.encode(format!("{}:secret+of+at+least+thirty-two+bytes", self.id));
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let ask = Ask::new("POST", &format!("{}{path}", self.engine.issuer))
            .header("Authorization", format!("Basic {credentials}"))
            .body("application/x-www-form-urlencoded", form);
        self.browser.send(ask).await
    }

    /// The tokens for the code that the app got last.
    pub async fn tokens(&self, more: &[(&str, &str)]) -> Value {
        let (code, redirect) = (self.app.last().param("code").unwrap(), redirect(&self.app));
        let verifier = VERIFIER.replace(' ', "-");
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", &redirect),
            ("code_verifier", &verifier),
        ];
        form.extend(more);
        self.post("/token", &form).await.expect(200).json()
    }

    /// Signs a person in, and the tokens.
    pub async fn sign_in(&self, more: &[(&str, &str)]) -> Value {
        self.browser.sign_in(&self.authorize(more), "ivanov").await.expect(200);
        self.tokens(&[]).await
    }
}

/// The client's redirect URI.
pub fn redirect(app: &Server) -> String {
    format!("{}/cb", app.origin())
}

/// What a token says.
pub fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(part).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}
