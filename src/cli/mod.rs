//! Floor 7: what an operator can type, one file a command.
//!
//! A command reads its arguments, asks the floors below, and tells what came of it: the answer on standard
//! output, what went wrong on standard error, and an `Exit`. Only here is anything printed.

mod check;
mod demo;
mod doctor;
mod explain;
mod keygen;
mod register;
mod run;
mod sessions;
mod urls;

use std::fmt::Display;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{self, Settings};
use crate::lifecycle::StartError;

/// Puts company sign-in in front of web applications that don't have it.
#[derive(Debug, Parser)]
#[command(name = "vestibule", version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Run),
    Check(check::Check),
    Demo(demo::Demo),
    Keygen(keygen::Keygen),
    Urls(urls::Urls),
    Explain(explain::Explain),
    Doctor(doctor::Doctor),
    Register(register::Register),
    Sessions(sessions::Sessions),
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// Well: 0.
    Well,
    /// It failed at run time: 1.
    Failed,
    /// The arguments or the configuration were wrong: 2.
    Wrong,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Well => Self::SUCCESS,
            Exit::Failed => Self::FAILURE,
            Exit::Wrong => Self::from(2),
        }
    }
}

/// Runs the command that the arguments of this process name.
pub fn main() -> ExitCode {
    let exit = match Arguments::try_parse() {
        Ok(arguments) => match arguments.command {
            Command::Register(register) => register.run(),
            Command::Run(run) => run.run(),
            Command::Check(check) => check.run(),
            Command::Demo(demo) => demo.run(),
            Command::Doctor(doctor) => doctor.run(),
            Command::Explain(explain) => explain.run(),
            Command::Keygen(keygen) => keygen.run(),
            Command::Sessions(sessions) => sessions.run(),
            Command::Urls(urls) => urls.run(),
        },
        Err(error) => {
            let text = error.render();
            if error.use_stderr() { complain(text, Exit::Wrong) } else { answer(text) }
        }
    };
    exit.into()
}

/// The configuration file that a command is about.
#[derive(Debug, Args)]
struct ConfigFile {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "config.toml")]
    config: PathBuf,
}

impl ConfigFile {
    /// The configuration, with the environment over it; its problems are printed.
    fn load(&self) -> Result<Settings, Exit> {
        config::load(&self.config, config::environment()).map_err(|problems| {
            let count = problems.iter().len();
            let plural = if count == 1 { "" } else { "s" };
            complain(format_args!("{problems}\n\n{count} problem{plural}"), Exit::Wrong)
        })
    }
}

/// Prints what a command is asked for.
fn answer(text: impl Display) -> Exit {
    match print(io::stdout().lock(), text) {
        Ok(()) => Exit::Well,
        // `vestibule … | head` has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Well,
        Err(_) => Exit::Failed,
    }
}

/// Prints what went wrong.
fn complain(text: impl Display, exit: Exit) -> Exit {
    // Whoever closed standard error wants to hear nothing; the exit code says it all the same.
    print(io::stderr().lock(), text).map_or(exit, |()| exit)
}

/// Prints why the gateway could not start, and what to do.
fn cannot_start(error: &StartError) -> Exit {
    complain(format_args!("vestibule can't start: {error}\n   mend: {}", error.mend()), Exit::Failed)
}

fn print(mut to: impl io::Write, text: impl Display) -> io::Result<()> {
    let text = text.to_string();
    writeln!(to, "{}", text.trim_end())?;
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_are_declared_soundly() {
        Arguments::command().debug_assert();
    }
}
