//! The gateway inside the test's own process, with a clock that the test moves.
//!
//! It is assembled, bound and drained by the same code as the binary; only the clock is another.

use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use vestibule::config;
use vestibule::foundation::clock::{Clock, Timestamp};
use vestibule::lifecycle::Running;

use super::{Rogue, Server, World};

/// A running gateway whose time stands still until it is moved.
pub struct Inside {
    /// The world it lives in.
    pub world: World,
    clock: Clock,
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.stop = None;
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking(), "the gateway ended badly");
    }
}

impl Inside {
    /// A gateway in front of one app and behind the provider that misbehaves on demand.
    pub async fn with_rogue(lines: &str) -> (Self, Rogue, Server) {
        let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
        let config = rogue.table("rogue", "") + &world.app("lms", &app) + lines;
        world.write_config(&config);
        (Self::start(world), rogue, app)
    }

    /// Starts this world's configuration. The gateway has threads of its own; one more waits for its end.
    fn start(world: World) -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let clock = Clock::manual(Timestamp::from_secs(since.as_secs()));
        let settings = config::load(&world.config_path(), std::iter::empty())
            .unwrap_or_else(|problems| panic!("{problems}"));
        let (stop, stopped) = mpsc::channel::<()>();
        let (started, starting) = mpsc::channel();
        let own = clock.clone();
        let thread = std::thread::spawn(move || {
            let running = Running::start(settings, own).unwrap();
            started.send(()).unwrap();
            stopped.recv().ok();
            running.stop();
        });
        starting.recv().expect("the gateway starts");
        Self { world, clock, stop: Some(stop), thread: Some(thread) }
    }

    /// Moves the time forward.
    pub fn later(&self, span: Duration) {
        self.clock.advance(span);
    }

    /// The address of this path on the app's origin.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.world.origin())
    }
}
