//! A program that obeys: it says on stdout in one line of JSON where it is, and then answers one line of JSON on
//! stdin at a time. The providers in `tests/providers` are such programs; they end when their stdin closes.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

/// A running program.
pub struct Obedient {
    process: Mutex<Process>,
}

struct Process {
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It ends by itself, and clears up what it made.
        self.commands = None;
        for _ in 0..100 {
            if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Obedient {
    /// Starts it; also what it said when it was ready.
    pub fn start(command: &mut Command) -> (Self, Value) {
        // A provider was once seen to listen and never say so; a start that hangs must not hold up all tests.
        (0..3).find_map(|_| Self::try_start(command)).unwrap_or_else(|| panic!("{command:?} does not start"))
    }

    fn try_start(command: &mut Command) -> Option<(Self, Value)> {
        let mut child = command
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}: ./test installs it"));
        let commands = child.stdin.take();
        let mut answers = BufReader::new(child.stdout.take().unwrap());
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            answers.read_line(&mut line).unwrap();
            tell.send((answers, line)).ok();
        });
        let Ok((answers, line)) = told.recv_timeout(Duration::from_secs(60)) else {
            child.kill().ok();
            child.wait().ok();
            return None;
        };
        let ready = serde_json::from_str(&line)
            .unwrap_or_else(|_| panic!("{command:?} starts: has ./test installed what it needs?"));
        Some((Self { process: Mutex::new(Process { child, commands, answers }) }, ready))
    }

    /// Has it do something, and what it answered.
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

    /// How often it counted this since it began or was told to `reset`.
    pub fn count(&self, what: &str) -> u64 {
        self.command("counts", json!({}))[what].as_u64().unwrap_or_default()
    }

    /// Stops it at once.
    pub fn stop(&self) {
        let mut process = self.process.lock().unwrap();
        process.child.kill().unwrap();
        process.child.wait().unwrap();
    }
}
