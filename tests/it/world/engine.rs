//! The real provider: npm `oidc-provider`, run by `tests/providers/provider.cjs`.
//!
//! One process in each shape serves all tests; each test registers a client of its own. A test that rotates
//! keys or stops the provider starts one for itself.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};

use serde_json::{Value, json};

use super::World;

/// How the provider looks.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Trusted.ID: claims in userinfo.
    Trusted,
    /// Indeed AM: issuer with a path, claims in the ID token, PKCE required.
    Indeed,
}

/// A running provider.
#[derive(Clone)]
pub struct Engine {
    /// Its issuer identifier.
    pub issuer: String,
    shape: Shape,
    process: Arc<Mutex<Process>>,
}

struct Process {
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.commands = None;
        self.child.kill().ok();
        self.child.wait().ok();
    }
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

    /// A provider for one test alone, with further options of `provider.cjs`.
    pub fn own(shape: Shape, mut options: Value) -> Self {
        options["shape"] = json!(format!("{shape:?}").to_lowercase());
        let mut child = Command::new("node")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/providers/provider.cjs"))
            .arg(options.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node runs");
        let commands = child.stdin.take();
        let mut answers = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).expect("the provider starts: has ./test run npm ci?");
        Self {
            issuer: ready["issuer"].as_str().unwrap().into(),
            shape,
            process: Arc::new(Mutex::new(Process { child, commands, answers })),
        }
    }

    /// Obeys one of the commands that `provider.cjs` lists.
    pub fn command(&self, name: &str, mut arguments: Value) -> Value {
        arguments["do"] = json!(name);
        let mut process = self.process.lock().unwrap();
        writeln!(process.commands.as_mut().unwrap(), "{arguments}").unwrap();
        let mut line = String::new();
        process.answers.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert!(answer["error"].is_null(), "{name}: {answer}");
        answer["ok"].clone()
    }

    /// Stops it at once.
    pub fn stop(&self) {
        let mut process = self.process.lock().unwrap();
        process.child.kill().unwrap();
        process.child.wait().unwrap();
    }

    /// Registers a client for this world's apps and returns the provider's table of a configuration.
    /// `lines` are further lines of that table.
    pub fn table(&self, world: &World, name: &str, lines: &str) -> String {
        self.table_for(&[&world.origin()], "/_sso/callback", name, lines)
    }

    /// The same for apps at these addresses, with this redirect path.
    pub fn table_for(&self, urls: &[&str], callback: &str, name: &str, lines: &str) -> String {
        let client_id = client_id(urls[0]);
        let scope = match self.shape {
            Shape::Trusted => "openid offline_access email profile accounts phone",
            Shape::Indeed => "openid offline_access email profile",
        };
        let redirects: Vec<String> = urls.iter().map(|url| format!("{url}{callback}")).collect();
        let after: Vec<String> = urls.iter().map(|url| format!("{url}/_sso/signed-out")).collect();
        self.command(
            "client",
            json!({"client": {
                "client_id": client_id, "client_secret": SECRET, "scope": scope,
                "redirect_uris": redirects, "post_logout_redirect_uris": after,
                "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
            }}),
        );
        let scopes: Vec<&str> = scope.split(' ').filter(|scope| *scope != "offline_access").collect();
        let scopes = if lines.contains("scopes") { String::new() } else { format!("scopes = {scopes:?}\n") };
        format!(
            "[providers.{name}]\nissuer = {:?}\nclient_id = {:?}\nclient_secret = {SECRET:?}\n{scopes}{lines}\n",
            self.issuer, client_id,
        )
    }
}

/// A secret whose characters mean something in a URL, a form and Basic authentication (RFC 6749 section 2.3.1).
pub const SECRET: &str = "p+ss word: 100%&=/?~";

/// A client identifier of its own for each address, with a space in it.
fn client_id(url: &str) -> String {
    format!("lms {}", url.replace(['/', ':'], "-"))
}
