//! A plain OAuth 2.0 provider: django-oauth-toolkit, run by `tests/providers/toolkit/server.py`.
//!
//! Its userinfo is JSON without `sub`: `{"id": 123, "email": "ivanov@school.example", "login": "ivanov", …}`;
//! `petrova` is 124, `sidorova` 125 and has no e-mail. `Browser::sign_in` knows its login page. A test writes:
//!
//! ```ignore
//! let toolkit = Toolkit::shared();                 // or Toolkit::own(json!({"access_token_ttl": 5}))
//! let (client_id, secret) = toolkit.client(&world, json!({}));      // {"consent": true} shows its own page too
//! let config = format!("[providers.base]\nprotocol = \"oauth2\"\nissuer = {:?}\n…", toolkit.issuer);
//! toolkit.count("refresh_token");                  // grants served, or a path: "/api/v1/me"
//! ```

use std::process::Command;
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

use super::World;
use super::engine::SECRET;
use super::obedient::Obedient;

/// A running provider.
#[derive(Clone)]
pub struct Toolkit {
    /// Where it is; the issuer of its metadata (RFC 8414).
    pub issuer: String,
    process: Arc<Obedient>,
}

impl Toolkit {
    /// The one that all tests share.
    pub fn shared() -> Self {
        static SHARED: OnceLock<Toolkit> = OnceLock::new();
        SHARED.get_or_init(|| Self::own(json!({}))).clone()
    }

    /// One for a single test, with options that `server.py` lists.
    pub fn own(options: Value) -> Self {
        let (process, ready) = Obedient::start(
            Command::new("/usr/bin/python3")
                .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/providers/toolkit/server.py"))
                .arg(options.to_string()),
        );
        Self { issuer: ready["issuer"].as_str().unwrap().into(), process: Arc::new(process) }
    }

    /// Registers a client for this world's app; its identifier and its secret.
    pub fn client(&self, world: &World, more: Value) -> (String, &'static str) {
        let client_id = format!("base {}", world.address());
        let mut client = json!({
            "client_id": client_id, "client_secret": SECRET,
            "redirect_uris": [format!("{}/_sso/callback", world.origin())],
        });
        client.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.command("client", json!({"client": client}));
        (client_id, SECRET)
    }

    /// Obeys one of the commands that `server.py` lists.
    pub fn command(&self, name: &str, arguments: Value) -> Value {
        self.process.command(name, arguments)
    }

    /// How often this path was asked for, or this grant type at the token endpoint.
    pub fn count(&self, what: &str) -> u64 {
        self.process.count(what)
    }
}
