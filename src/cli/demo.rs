//! `vestibule demo`: a gateway, a development provider and a sample LMS on loopback, nothing to configure.
//!
//! The gateway is the one that `run` runs; only its configuration comes from the demo. The environment is
//! left out of it, so that a demo looks the same everywhere.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use clap::Args;
use tokio::runtime;

use super::{Exit, complain};
use crate::config::{self, Problems};
use crate::demo::{self, DemoError};
use crate::foundation::clock::Clock;
use crate::lifecycle::{Ending, Running, StartError, Stopped};

/// Try it: a gateway, a development provider and a sample LMS on loopback, nothing to configure
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Where the gateway listens: a loopback address; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4180")]
    listen: SocketAddr,
}

impl Demo {
    /// Runs the demo until Ctrl-C or SIGTERM.
    pub(super) fn run(self) -> Exit {
        demo(self.listen).map_or_else(|failure| failure.tell(), |()| Exit::Well)
    }
}

fn demo(listen: SocketAddr) -> Result<(), Failure> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::System)?;
    let demo = runtime.block_on(demo::Demo::bind(listen, Clock::system()))?;
    let settings = config::load_text(&demo.config_toml(), Path::new(""), std::iter::empty())?;
    let mut gateway = Running::start(settings, Clock::system())?;
    announce(&demo, &mut io::stdout().lock()).map_err(Failure::System)?;
    let mut ending = Ending::Asked;
    runtime.block_on(demo.serve(async { ending = gateway.ending().await }));
    // The apps go first: a WebSocket or an event stream of theirs would keep the gateway waiting.
    drop(runtime);
    match (ending, gateway.stop()) {
        (Ending::Asked, Stopped::Drained) => Ok(()),
        _ => Err(Failure::Cut),
    }
}

fn announce(demo: &demo::Demo, out: &mut impl io::Write) -> io::Result<()> {
    writeln!(
        out,
        "\n  Откройте · open          {app}/\n\
         \n  Войдите ученицей, учителем или администратором: одно нажатие, без пароля.\
         \n  Sign in as a student, a teacher or an administrator: one click, no password.\n\
         \n  Поставщик входа учебный: он впускает любого и годится только для пробы.\
         \n  The development provider lets anyone in. It is for trying out, and for nothing else.\n\
         \n  За шлюзом · behind it    {provider}/   поставщик входа · provider\
         \n                           http://{lms}/   учебный портал · sample LMS\n\
         \n  Ctrl-C заканчивает всё · Ctrl-C ends all of it\n",
        app = demo.app_url(),
        provider = demo.provider_url(),
        lms = demo.lms_address(),
    )?;
    out.flush()
}

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Demo(#[from] DemoError),
    #[error("the demo's own configuration is wrong, which is a mistake in Vestibule:\n{0}")]
    Config(#[from] Problems),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("it did not end by itself; the log says why")]
    Cut,
    #[error("the system does not let the demo run: {0}")]
    System(io::Error),
}

impl Failure {
    fn tell(&self) -> Exit {
        let (mend, exit) = match self {
            Self::Demo(DemoError::InUse { .. }) => (
                "take another: vestibule demo --listen 127.0.0.1:4181, or port 0 for a free one",
                Exit::Failed,
            ),
            Self::Demo(DemoError::NotLoopback(_)) => {
                ("take an address of this machine alone: vestibule demo --listen 127.0.0.1:4180", Exit::Wrong)
            }
            Self::Start(error) => (error.mend(), Exit::Failed),
            Self::Demo(DemoError::Bind { .. }) => ("take another address with --listen", Exit::Failed),
            _ => ("", Exit::Failed),
        };
        let separator = if mend.is_empty() { "" } else { "\n  " };
        complain(format_args!("vestibule demo: {self}{separator}{mend}"), exit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_announcement_says_where_to_go_and_that_it_is_for_trying_out() {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let demo =
            runtime.block_on(demo::Demo::bind("127.0.0.1:0".parse().unwrap(), Clock::system())).unwrap();
        let mut out = Vec::new();
        announce(&demo, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains(&demo.app_url()) && text.contains(demo.provider_url()));
        assert!(text.contains("только для пробы") && text.contains("for trying out"));
    }

    #[test]
    fn the_demo_configures_a_gateway() {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let demo =
            runtime.block_on(demo::Demo::bind("127.0.0.1:0".parse().unwrap(), Clock::system())).unwrap();
        let settings = config::load_text(&demo.config_toml(), Path::new(""), std::iter::empty()).unwrap();
        assert_eq!((settings.gateway.apps.len(), settings.providers.len()), (1, 1));
    }
}
