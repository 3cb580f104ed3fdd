//! Programs from Debian that the tests run beside the gateway. Each is killed when the test lets go of it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::wire::PATIENCE;

/// A running program.
pub struct Program {
    name: String,
    child: Mutex<Child>,
    said: Arc<Mutex<String>>,
}

impl Drop for Program {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap();
        // Asked first: nginx has children of its own to end. A program that leads a group takes it along.
        for whom in [format!("-{}", child.id()), child.id().to_string()] {
            Command::new("kill").args(["-TERM", "--", &whom]).stderr(Stdio::null()).status().ok();
        }
        for _ in 0..100 {
            if child.try_wait().is_ok_and(|ended| ended.is_some()) {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Command::new("kill")
            .args(["-KILL", "--", &format!("-{}", child.id())])
            .stderr(Stdio::null())
            .status()
            .ok();
        child.kill().ok();
        child.wait().ok();
        if std::thread::panicking() {
            eprintln!("── what {} said ──\n{}", self.name, self.said());
        }
    }
}

impl Program {
    /// Starts it.
    pub fn start(name: &str, arguments: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(name);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        arguments(&mut command);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}: ./test installs it"));
        let said = Arc::new(Mutex::new(String::new()));
        let outputs: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for output in outputs {
            let said = Arc::clone(&said);
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    said.lock().unwrap().push_str(&(line + "\n"));
                }
            });
        }
        Self { name: name.into(), child: Mutex::new(child), said }
    }

    /// Waits until it listens on this port of 127.0.0.1.
    pub async fn listens_on(&self, port: u16) {
        self.listens_within(port, PATIENCE).await;
    }

    /// The same for one that takes long to start.
    pub async fn listens_within(&self, port: u16, patience: Duration) {
        let open = timeout(patience, async {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                let ended = self.child.lock().unwrap().try_wait().unwrap();
                assert!(ended.is_none(), "{} ended: {}", self.name, self.said.lock().unwrap());
                sleep(Duration::from_millis(10)).await;
            }
        });
        open.await.unwrap_or_else(|_| panic!("{} never listened: {}", self.name, self.said.lock().unwrap()));
    }

    /// Waits until it said this; everything up to the end of that line.
    pub async fn says(&self, text: &str) -> String {
        self.says_one_of(&[text]).await
    }

    /// The same for one of several texts.
    pub async fn says_one_of(&self, texts: &[&str]) -> String {
        let found = timeout(PATIENCE, async {
            loop {
                let said = self.said();
                if texts.iter().any(|text| said.contains(text)) {
                    return said;
                }
                sleep(Duration::from_millis(10)).await;
            }
        });
        found.await.unwrap_or_else(|_| panic!("{} never said {texts:?}: {}", self.name, self.said()))
    }

    fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
