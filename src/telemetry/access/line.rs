//! What an access line looks like, as JSON or as text: written by hand, because it is written for every request.
//!
//! Nothing that a stranger sends can end a line or begin a field.

use std::io::Write as _;
use std::time::{Duration, Instant};

use super::Record;
use crate::telemetry::LogFormat;

/// How a request ended, how long it took, its head and all of it, and when that was.
#[derive(Clone, Copy)]
pub(super) struct Spent {
    pub(super) status: u16,
    pub(super) head: Duration,
    pub(super) total: Duration,
    pub(super) now: Instant,
}

/// A record that is over, and when.
pub(super) struct Line<'a> {
    pub(super) record: &'a Record,
    pub(super) client: &'a str,
    pub(super) date: &'a str,
    pub(super) micros: u32,
    pub(super) spent: Spent,
}

impl Line<'_> {
    pub(super) fn json(&self, out: &mut Vec<u8>) {
        let record = self.record;
        out.extend_from_slice(b"{\"timestamp\":\"");
        self.time(out);
        out.extend_from_slice(
            b"\",\"level\":\"INFO\",\"target\":\"access\",\"message\":\"request\",\"client\":\"",
        );
        member(out, self.client.as_bytes(), "\",\"method\":\"", record.method.as_str().as_bytes());
        out.extend_from_slice(b"\",\"path\":");
        quoted(out, record.path());
        record.fields(out, LogFormat::Json);
        member(out, b",\"decision\":\"", record.decision.as_str(), b"\"");
        for (name, number) in self.numbers() {
            member(out, b",\"", name, b"\":");
            decimal(out, number);
        }
        out.extend_from_slice(if record.complete {
            b",\"complete\":true}\n"
        } else {
            b",\"complete\":false}\n"
        });
    }

    pub(super) fn text(&self, out: &mut Vec<u8>) {
        let record = self.record;
        self.time(out);
        out.extend_from_slice(b"  INFO access: ");
        out.extend_from_slice(self.client.as_bytes());
        member(out, b" ", record.method.as_str(), b" ");
        quoted(out, record.path());
        member(out, b" decision=", record.decision.as_str(), b"");
        record.fields(out, LogFormat::Text);
        for (name, number) in self.numbers() {
            member(out, b" ", name, b"=");
            decimal(out, number);
        }
        out.extend_from_slice(if record.complete { b" complete=true\n" } else { b" complete=false\n" });
    }

    fn time(&self, out: &mut Vec<u8>) {
        // A million more keeps the leading zeros.
        let mut digits = itoa::Buffer::new();
        let (_, fraction) = digits.format(1_000_000 + self.micros).split_at(1);
        member(out, self.date.as_bytes(), ".", fraction.as_bytes());
        out.push(b'Z');
    }

    fn numbers(&self) -> [(&'static str, u64); 4] {
        let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        [
            ("status", u64::from(self.spent.status)),
            ("bytes", self.record.bytes),
            ("head_us", micros(self.spent.head)),
            ("total_us", micros(self.spent.total)),
        ]
    }
}

pub(super) fn field(out: &mut Vec<u8>, format: Option<LogFormat>, name: &str, value: &str) {
    match format {
        None => return,
        Some(LogFormat::Json) => member(out, b",\"", name, b"\":"),
        Some(LogFormat::Text) => member(out, b" ", name, b"="),
    }
    quoted(out, value);
}

fn member(out: &mut Vec<u8>, before: &[u8], text: &str, after: &[u8]) {
    out.extend_from_slice(before);
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(after);
}

fn decimal(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// SECURITY: a path or a subject must not be able to forge another line or another field.
fn quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\') {
        out.extend_from_slice(text.as_bytes());
    } else {
        text.chars().for_each(|character| escaped(out, character));
    }
    out.push(b'"');
}

fn escaped(out: &mut Vec<u8>, character: char) {
    match character {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        // Control characters, and the line separators that some log readers break lines at.
        '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
            write!(out, "\\u{:04x}", u32::from(character)).unwrap_or_default();
        }
        _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}
