//! The gateway as operators run it: the real binary, its configuration in a file, its log read back.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::browser::{Browser, Response};
use super::wire::PATIENCE;
use super::{ADMIN_PORT, Engine, Rogue, Server, World};

/// A running gateway. It is killed when the test lets go of it.
pub struct Gateway {
    /// The world it lives in: its address and its directory.
    pub world: World,
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            eprintln!("── the gateway's log ──\n{}", self.log());
        }
    }
}

impl World {
    /// A gateway in front of one recording app, behind this real provider; `lines` follow the app's table.
    pub async fn behind(engine: &Engine, lines: &str) -> (Gateway, Server) {
        let (world, app) = (Self::new(), Server::start().await);
        let config = engine.table(&world, "school", "") + &world.app("lms", &app) + lines;
        (world.start(&config).await, app)
    }

    /// A gateway in front of one app and behind one provider that misbehaves on demand.
    pub async fn with_rogue(lines: &str) -> (Gateway, Rogue, Server) {
        let (world, rogue, app) = (Self::new(), Rogue::start().await, Server::start().await);
        let config = rogue.table("rogue", "timeout = \"2s\"") + &world.app("lms", &app) + lines;
        (world.start(&config).await, rogue, app)
    }

    /// Writes this configuration, with this world's listeners, and starts the gateway.
    pub async fn start(self, config: &str) -> Gateway {
        self.write_config(config);
        self.restart().await
    }

    /// Starts the gateway with the configuration that is there already.
    pub async fn restart(self) -> Gateway {
        let mut gateway = Gateway::spawn(self);
        let addresses = [gateway.address(), gateway.admin()];
        for address in addresses {
            gateway.wait_for(address).await;
        }
        // The listeners are there first; whoever answers has everything else as well.
        gateway.ask_admin("/healthz").await.expect(200);
        gateway
    }

    /// The command line that runs this world's configuration.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
        command.args(["run", "--config"]).arg(self.config_path()).current_dir(self.dir.path());
        // What whoever runs the tests has in their environment is no part of them.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("VESTIBULE_") || name == "STATE_DIRECTORY" {
                command.env_remove(name);
            }
        }
        command
    }
}

impl Gateway {
    fn spawn(world: World) -> Self {
        let mut command = world.command();
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let outputs: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for output in outputs {
            let log = Arc::clone(&log);
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    log.lock().unwrap().push(line);
                }
            });
        }
        Self { world, child, log }
    }

    async fn wait_for(&mut self, address: SocketAddr) {
        let open = timeout(PATIENCE, async {
            while TcpStream::connect(address).await.is_err() {
                if let Some(status) = self.child.try_wait().unwrap() {
                    sleep(Duration::from_millis(50)).await;
                    panic!("the gateway ended with {status}:\n{}", self.log());
                }
                sleep(Duration::from_millis(5)).await;
            }
        });
        if open.await.is_err() {
            panic!("the gateway never listened on {address}:\n{}", self.log());
        }
    }

    /// Where browsers find it.
    pub fn address(&self) -> SocketAddr {
        self.world.address()
    }

    /// Where operators find it.
    pub fn admin(&self) -> SocketAddr {
        SocketAddr::new(self.address().ip(), ADMIN_PORT)
    }

    /// The address of this path on the app's origin.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.world.origin())
    }

    /// What the admin listener says.
    pub async fn ask_admin(&self, path: &str) -> Response {
        Browser::new().get(&format!("http://{}{path}", self.admin())).await
    }

    /// Waits until the provider of this gateway is known to work.
    pub async fn ready(self) -> Self {
        let ready = timeout(PATIENCE, async {
            while self.ask_admin("/readyz").await.status != 200 {
                sleep(Duration::from_millis(10)).await;
            }
        });
        ready.await.unwrap_or_else(|_| panic!("never ready:\n{}", self.log()));
        self
    }

    /// Everything it wrote so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// Waits until the log holds this text.
    pub async fn logs(&self, text: &str) -> String {
        let found = timeout(PATIENCE, async {
            while !self.log().contains(text) {
                sleep(Duration::from_millis(10)).await;
            }
        });
        found.await.unwrap_or_else(|_| panic!("never logged {text:?}:\n{}", self.log()));
        self.log()
    }

    /// The events that it wrote as JSON.
    pub fn events(&self) -> Vec<serde_json::Value> {
        self.log.lock().unwrap().iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The process's number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name, as `kill` does.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status().unwrap();
        assert!(sent.success());
    }

    /// Waits until the process has ended.
    pub async fn ended(&mut self) -> ExitStatus {
        let ended = timeout(PATIENCE, async {
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    return status;
                }
                sleep(Duration::from_millis(5)).await;
            }
        });
        ended.await.unwrap_or_else(|_| panic!("never ended:\n{}", self.log()))
    }

    /// Kills it at once, as a power cut would, and leaves its world.
    pub async fn kill(mut self) -> World {
        self.child.kill().unwrap();
        self.ended().await;
        self.world.clone()
    }

    /// The configuration file.
    pub fn config_path(&self) -> PathBuf {
        self.world.config_path()
    }
}
