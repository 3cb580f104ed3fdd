//! The real provider: npm `oidc-provider` in three majors, run by `tests/providers/provider.cjs`.
//!
//! One process in each shape serves all tests; each test registers a client of its own. A test that rotates
//! keys, makes trouble or stops the provider starts one for itself, and so does one that needs a provider which
//! demands something of every client (the options stand in `tests/providers/open.cjs`):
//!
//! ```ignore
//! let engine = Engine::v9();                       // everything is on, nothing is demanded
//! let engine = Engine::own(Shape::V8, json!({"par": "required", "dpop": "nonce", "ttl": {"AccessToken": 5}}));
//! let table = engine.client(&world, "school", json!({"require_pushed_authorization_requests": true}), "");
//! engine.command("trouble", json!({"path": "/token", "status": 503, "times": 2}));
//! assert_eq!(engine.count("refresh_token"), 1);    // or a path: "/token", "/request", "/me"
//! ```
//!
//! The login page of the majors has a field `acr`, filled in with what was asked for ("bronze", "silver",
//! "gold"): a test may write another. Tokens for `resource=https://api.school.example` are JWTs (RFC 9068), for
//! `https://opaque.school.example` opaque; scopes there are `read` and `write`. Registration wants the bearer
//! token `initial-access-token`.

use std::process::Command;
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

use super::World;
use super::obedient::Obedient;

/// How the provider looks.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Trusted.ID: claims in userinfo.
    Trusted,
    /// Indeed AM: issuer with a path, claims in the ID token, PKCE required.
    Indeed,
    /// Major 7 with everything it can do: a method of its own for introspection and for revocation, `request_uri`.
    V7,
    /// Major 8 with everything: the one that has both `request_uri` and DPoP as it was published.
    V8,
    /// Major 9 with everything: no `request_uri`, no `at_hash`.
    V9,
}

/// A running provider.
#[derive(Clone)]
pub struct Engine {
    /// Its issuer identifier.
    pub issuer: String,
    shape: Shape,
    process: Arc<Obedient>,
}

impl Engine {
    /// The provider that looks like Trusted.ID, shared by all tests.
    pub fn trusted() -> Self {
        static SHARED: OnceLock<Engine> = OnceLock::new();
        SHARED.get_or_init(|| Self::own(Shape::Trusted, json!({}))).clone()
    }

    /// The provider that looks like Indeed AM, shared by all tests.
    pub fn indeed() -> Self {
        static SHARED: OnceLock<Engine> = OnceLock::new();
        SHARED.get_or_init(|| Self::own(Shape::Indeed, json!({}))).clone()
    }

    /// Major 7 with everything switched on, shared by all tests.
    pub fn v7() -> Self {
        static SHARED: OnceLock<Engine> = OnceLock::new();
        SHARED.get_or_init(|| Self::own(Shape::V7, json!({}))).clone()
    }

    /// Major 8 with everything switched on, shared by all tests.
    pub fn v8() -> Self {
        static SHARED: OnceLock<Engine> = OnceLock::new();
        SHARED.get_or_init(|| Self::own(Shape::V8, json!({}))).clone()
    }

    /// Major 9 with everything switched on, shared by all tests.
    pub fn v9() -> Self {
        static SHARED: OnceLock<Engine> = OnceLock::new();
        SHARED.get_or_init(|| Self::own(Shape::V9, json!({}))).clone()
    }

    /// A provider for one test alone, with further options of `provider.cjs` and `open.cjs`.
    pub fn own(shape: Shape, mut options: Value) -> Self {
        options["shape"] = json!(format!("{shape:?}").to_lowercase());
        let (process, ready) = Obedient::start(
            Command::new("node")
                .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/providers/provider.cjs"))
                .arg(options.to_string()),
        );
        Self { issuer: ready["issuer"].as_str().unwrap().into(), shape, process: Arc::new(process) }
    }

    /// Obeys one of the commands that `provider.cjs` lists.
    pub fn command(&self, name: &str, arguments: Value) -> Value {
        self.process.command(name, arguments)
    }

    /// How often this path was asked for, or this grant type was served.
    pub fn count(&self, what: &str) -> u64 {
        self.process.count(what)
    }

    /// Stops it at once.
    pub fn stop(&self) {
        self.process.stop();
    }

    /// Registers a client for this world's apps and returns the provider's table of a configuration.
    /// `lines` are further lines of that table.
    pub fn table(&self, world: &World, name: &str, lines: &str) -> String {
        self.table_for(&[&world.origin()], "/_sso/callback", name, lines)
    }

    /// The same for apps at these addresses, with this redirect path.
    pub fn table_for(&self, urls: &[&str], callback: &str, name: &str, lines: &str) -> String {
        self.register(urls, callback, name, &json!({}), lines)
    }

    /// The same as `table` for a client with this metadata (RFC 7591 section 2) over what it has anyway; `null`
    /// takes a member away. One that has no secret gets no `client_secret` line.
    pub fn client(&self, world: &World, name: &str, metadata: Value, lines: &str) -> String {
        self.register(&[&world.origin()], "/_sso/callback", name, &metadata, lines)
    }

    fn register(&self, urls: &[&str], callback: &str, name: &str, metadata: &Value, lines: &str) -> String {
        let scope = match self.shape {
            Shape::Trusted => "openid offline_access email profile accounts phone",
            Shape::Indeed => "openid offline_access email profile",
            Shape::V7 | Shape::V8 | Shape::V9 => {
                "openid offline_access email profile phone groups read write"
            }
        };
        let redirects: Vec<String> = urls.iter().map(|url| format!("{url}{callback}")).collect();
        let after: Vec<String> = urls.iter().map(|url| format!("{url}/_sso/signed-out")).collect();
        let mut client = json!({
            "client_id": client_id(urls[0]), "client_secret": SECRET, "scope": scope,
            "redirect_uris": redirects, "post_logout_redirect_uris": after,
            "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
        });
        let secretless = ["none", "private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"];
        if metadata["token_endpoint_auth_method"].as_str().is_some_and(|method| secretless.contains(&method))
        {
            client["client_secret"] = Value::Null;
        }
        let known = client.as_object_mut().unwrap();
        known.extend(metadata.as_object().unwrap().clone());
        known.retain(|_, value| !value.is_null());
        let text = |member: &str| client[member].as_str().map(str::to_owned);
        let (client_id, secret, scope) = (text("client_id"), text("client_secret"), text("scope"));
        self.command("client", json!({"client": client}));
        let unasked = ["offline_access", "read", "write"];
        let scopes: Vec<&str> = scope.iter().flat_map(|scope| scope.split(' ')).collect();
        let scopes: Vec<&str> = scopes.into_iter().filter(|scope| !unasked.contains(scope)).collect();
        let scopes = if lines.contains("scopes") { String::new() } else { format!("scopes = {scopes:?}\n") };
        let secret = secret.map(|secret| format!("client_secret = {secret:?}\n")).unwrap_or_default();
        let issuer = &self.issuer;
        format!(
            "[providers.{name}]\nissuer = {issuer:?}\nclient_id = {:?}\n{secret}{scopes}{lines}\n",
            client_id.unwrap(),
        )
    }
}

/// A secret whose characters mean something in a URL, a form and Basic authentication (RFC 6749 section 2.3.1).
pub const SECRET: &str = "p+ss word: 100%&=/?~";

/// A client identifier of its own for each address, with a space in it.
fn client_id(url: &str) -> String {
    format!("lms {}", url.replace(['/', ':'], "-"))
}
