//! What the tests run the gateway in: its address, its directory, and everybody it talks to.
//!
//! Each world has a loopback address of its own (127.x.y.z), so that cookies of one never reach another, ports
//! need not be guessed, and a gateway can be started again where it was.

pub mod ask;
pub mod authority;
pub mod browser;
pub mod chromium;
pub mod engine;
pub mod farewell;
pub mod foreign;
pub mod gateway;
pub mod html;
pub mod inside;
pub mod keys;
pub mod obedient;
pub mod program;
pub mod proofs;
#[path = "../../servers/redis.rs"]
#[expect(dead_code, reason = "the store's own tests use all of it")]
pub mod redis;
pub mod rogue;
pub mod sealed;
pub mod server;
pub mod toolkit;
pub mod wire;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use tempfile::TempDir;

pub use ask::Ask;
pub use browser::{Browser, twenty};
pub use engine::{Engine, Shape};
pub use gateway::Gateway;
pub use inside::Inside;
pub use rogue::{Endpoint, Rogue};
pub use server::{Answer, Server};
pub use toolkit::Toolkit;

/// The port of every gateway's public listener.
pub const PUBLIC_PORT: u16 = 4180;
/// The port of every gateway's admin listener.
pub const ADMIN_PORT: u16 = 9180;

/// A gateway's surroundings.
#[derive(Clone)]
pub struct World {
    /// Its directory: configuration and state.
    pub dir: Arc<TempDir>,
    ip: Ipv4Addr,
}

impl World {
    /// A new directory and an address that no other test has, in this process or another.
    pub fn new() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(number < 1000, "worlds have run out");
        let process = std::process::id();
        let ip = Ipv4Addr::new(
            127,
            64 + u8::try_from((process >> 6) & 0x7f).unwrap(),
            u8::try_from((process & 0x3f) << 2).unwrap() + u8::try_from(number / 250).unwrap(),
            u8::try_from(number % 250 + 1).unwrap(),
        );
        Self { dir: Arc::new(tempfile::tempdir().unwrap()), ip }
    }

    /// Where browsers find the gateway.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((self.ip, PUBLIC_PORT))
    }

    /// The origin of an app that has this world's address.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The configuration file.
    pub fn config_path(&self) -> PathBuf {
        self.dir.path().join("config.toml")
    }

    /// The table of an app at this world's address.
    pub fn app(&self, name: &str, app: &Server) -> String {
        self.app_at(name, &self.origin(), &app.origin())
    }

    /// The table of an app.
    pub fn app_at(&self, name: &str, url: &str, upstream: &str) -> String {
        format!("[apps.{name}]\nurl = {url:?}\nupstream = {upstream:?}\n")
    }

    /// Writes the configuration file. Tables of `config` that this world writes too are merged by hand: a
    /// configuration that begins with `[server]` or holds `[session]` says what it needs there.
    pub fn write_config(&self, config: &str) {
        let (public, admin) = (self.address(), SocketAddr::from((self.ip, ADMIN_PORT)));
        let mut text = String::new();
        let mut rest = config.to_owned();
        for (table, line) in
            [("[server]", format!("listen = \"{public}\"")), ("[admin]", format!("listen = \"{admin}\""))]
        {
            let head = format!("{table}\n{line}\n");
            if rest.contains(table) {
                rest = rest.replacen(&format!("{table}\n"), &head, 1);
            } else {
                text.push_str(&head);
            }
        }
        text.push_str(&rest);
        std::fs::write(self.config_path(), text).unwrap();
    }
}
