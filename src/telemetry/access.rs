//! Access lines: one a request, written when its answer is over.
//!
//! Lines are formatted by hand into a buffer of the worker's own and handed to the output in batches, a tenth
//! of a second late at most: on the hot path nothing is locked and no event machinery runs. A line holds the
//! path but never the query, which may carry codes and tokens.

use std::cell::RefCell;
use std::io::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::uri::PathAndQuery;
use http::{Method, StatusCode};
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::time::FormatTime as _;

use super::LogFormat;
use super::metrics::{AppMetrics, Decision};
use super::output::{Kind, Output};
use crate::foundation::body::BodyEnd;
use crate::foundation::clock::wall_clock;

const BATCH: usize = 16 * 1024;
const LATEST: Duration = Duration::from_millis(100);

/// What is known of a request once its answer's head is made. It becomes a line when the body is over.
#[derive(Debug)]
pub struct Record {
    /// How the line is written; `None`: no line, metrics only.
    pub format: Option<LogFormat>,
    /// When the request's head was there.
    pub started: Instant,
    /// When the answer's head was there.
    pub answered: Instant,
    /// The client, after trusted proxies.
    pub client: IpAddr,
    /// The request's method.
    pub method: Method,
    /// The request's target; only its path is written.
    pub target: Option<PathAndQuery>,
    /// The app, when one was found.
    pub app: Option<Arc<AppLabels>>,
    /// The rule that decided, as a place in [`AppLabels::rules`].
    pub rule: Option<usize>,
    /// What was decided.
    pub decision: Decision,
    /// The status of the answer.
    pub status: StatusCode,
    /// The subject, when there is one and the operator wants it.
    pub subject: Option<Arc<str>>,
    /// The reference that the page shows, when there was a page.
    pub reference: Option<String>,
    /// Where the request is counted.
    pub metrics: Arc<AppMetrics>,
}

/// What lines say of an app: made at start, shared by all records.
#[derive(Debug)]
pub struct AppLabels {
    /// The app's name.
    pub name: Arc<str>,
    /// The name of each rule; the last is for requests that no rule fits.
    pub rules: Vec<String>,
}

impl Record {
    fn fields(&self) -> [(&'static str, Option<&str>); 4] {
        let app = self.app.as_deref();
        let rule = self.rule.and_then(|rule| app?.rules.get(rule));
        [
            ("app", app.map(|app| &*app.name)),
            ("rule", rule.map(String::as_str)),
            ("subject", self.subject.as_deref()),
            ("reference", self.reference.as_deref()),
        ]
    }

    fn path(&self) -> &str {
        self.target.as_ref().map_or("", PathAndQuery::path)
    }
}

impl BodyEnd for Record {
    fn ended(self: Box<Self>, bytes: u64, complete: bool) {
        let total = self.started.elapsed();
        self.metrics.count(self.decision, self.status, self.answered.duration_since(self.started));
        if let Some(format) = self.format {
            BUFFER.with_borrow_mut(|buffer| buffer.append(&self, format, total, bytes, complete));
        }
    }
}

thread_local! {
    static BUFFER: RefCell<Buffer> = const { RefCell::new(Buffer::new()) };
}

struct Buffer {
    lines: Vec<u8>,
    due: bool,
    /// The second that was written last, and how.
    second: u64,
    date: String,
}

impl Buffer {
    const fn new() -> Self {
        Self { lines: Vec::new(), due: false, second: 0, date: String::new() }
    }

    fn append(&mut self, record: &Record, format: LogFormat, total: Duration, bytes: u64, complete: bool) {
        let micros = self.tell_time();
        let line = Line { record, date: &self.date, micros, total, bytes, complete };
        match format {
            LogFormat::Json => line.json(&mut self.lines),
            LogFormat::Text => line.text(&mut self.lines),
        }
        if self.lines.len() >= BATCH {
            self.flush();
        } else if !self.due {
            match tokio::runtime::Handle::try_current() {
                Ok(runtime) => {
                    self.due = true;
                    drop(runtime.spawn(async {
                        tokio::time::sleep(LATEST).await;
                        flush();
                    }));
                }
                Err(_) => self.flush(),
            }
        }
    }

    /// Brings `date` up to the present second; gives the microseconds beyond it.
    fn tell_time(&mut self) -> u32 {
        let now = wall_clock();
        if now.as_secs() != self.second || self.date.is_empty() {
            self.second = now.as_secs();
            self.date.clear();
            // Written as `tracing` writes it, so that all lines of the log agree; once a second.
            fmt::time::SystemTime
                .format_time(&mut fmt::format::Writer::new(&mut self.date))
                .unwrap_or_default();
            self.date.truncate("2026-01-02T03:04:05".len());
        }
        now.subsec_micros()
    }

    fn flush(&mut self) {
        self.due = false;
        if !self.lines.is_empty() {
            let next = Vec::with_capacity(self.lines.len());
            Output::get().write(Kind::Access, std::mem::replace(&mut self.lines, next));
        }
    }
}

/// Hands this thread's lines to the output now: for the end of a worker.
pub fn flush() {
    BUFFER.with_borrow_mut(Buffer::flush);
}

/// A record that is over, and when.
struct Line<'a> {
    record: &'a Record,
    date: &'a str,
    micros: u32,
    total: Duration,
    bytes: u64,
    complete: bool,
}

impl Line<'_> {
    fn json(&self, out: &mut Vec<u8>) {
        let record = self.record;
        out.extend_from_slice(b"{\"timestamp\":\"");
        self.time(out);
        out.extend_from_slice(
            b"\",\"level\":\"INFO\",\"target\":\"access\",\"message\":\"request\",\"client\":\"",
        );
        address(out, record.client);
        out.extend_from_slice(b"\",\"method\":\"");
        out.extend_from_slice(record.method.as_str().as_bytes());
        out.extend_from_slice(b"\",\"path\":");
        quoted(out, record.path());
        for (name, value) in record.fields() {
            if let Some(value) = value {
                member(out, b",\"", name, b"\":");
                quoted(out, value);
            }
        }
        member(out, b",\"decision\":\"", record.decision.as_str(), b"\"");
        for (name, number) in self.numbers() {
            member(out, b",\"", name, b"\":");
            decimal(out, number);
        }
        out.extend_from_slice(if self.complete {
            b",\"complete\":true}\n"
        } else {
            b",\"complete\":false}\n"
        });
    }

    fn text(&self, out: &mut Vec<u8>) {
        let record = self.record;
        self.time(out);
        out.extend_from_slice(b"  INFO access: ");
        address(out, record.client);
        member(out, b" ", record.method.as_str(), b" ");
        quoted(out, record.path());
        member(out, b" decision=", record.decision.as_str(), b"");
        for (name, value) in record.fields() {
            if let Some(value) = value {
                member(out, b" ", name, b"=");
                quoted(out, value);
            }
        }
        for (name, number) in self.numbers() {
            member(out, b" ", name, b"=");
            decimal(out, number);
        }
        out.extend_from_slice(if self.complete { b" complete=true\n" } else { b" complete=false\n" });
    }

    fn time(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.date.as_bytes());
        // A million more keeps the leading zeros.
        let mut digits = itoa::Buffer::new();
        let (_, fraction) = digits.format(1_000_000 + self.micros).split_at(1);
        member(out, b".", fraction, b"Z");
    }

    fn numbers(&self) -> [(&'static str, u64); 4] {
        let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let head = self.record.answered.duration_since(self.record.started);
        [
            ("status", u64::from(self.record.status.as_u16())),
            ("bytes", self.bytes),
            ("head_us", micros(head)),
            ("total_us", micros(self.total)),
        ]
    }
}

fn member(out: &mut Vec<u8>, before: &[u8], text: &str, after: &[u8]) {
    out.extend_from_slice(before);
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(after);
}

fn decimal(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            for (byte, dot) in [(a, true), (b, true), (c, true), (d, false)] {
                decimal(out, u64::from(byte));
                out.extend_from_slice(if dot { b"." } else { b"" });
            }
        }
        // Writing into a vector cannot fail.
        IpAddr::V6(address) => write!(out, "{address}").unwrap_or_default(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn record(path: &str) -> Record {
        let now = Instant::now();
        Record {
            format: Some(LogFormat::Json),
            started: now,
            answered: now,
            client: IpAddr::from([127, 0, 0, 1]),
            method: Method::GET,
            target: Some(PathAndQuery::try_from(path).unwrap()),
            app: Some(Arc::new(AppLabels { name: "lms".into(), rules: vec!["default".into()] })),
            rule: Some(0),
            decision: Decision::Admitted,
            status: StatusCode::OK,
            subject: Some("пользователь\n".into()),
            reference: None,
            metrics: Arc::default(),
        }
    }

    fn line(record: &Record, format: LogFormat) -> String {
        let mut buffer = Buffer::new();
        buffer.append(record, format, Duration::from_micros(7), 5, true);
        String::from_utf8(buffer.lines).unwrap()
    }

    #[tokio::test]
    async fn a_line_is_one_json_object_whatever_the_path_holds() {
        let out = line(&record("/\"я?code=secret"), LogFormat::Json);
        assert_eq!(out.matches('\n').count(), 1);
        let line: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!((&line["path"], &line["rule"]), (&"/\"я".into(), &"default".into()));
        assert_eq!(line["subject"], "пользователь\n");
        assert_eq!((&line["status"], &line["total_us"]), (&200.into(), &7.into()));
        let timestamp = line["timestamp"].as_str().unwrap();
        assert_eq!((timestamp.len(), &timestamp[19..20]), ("2026-01-02T03:04:05.000006Z".len(), "."));
    }

    #[tokio::test]
    async fn a_readable_line_stays_one_line() {
        let out = line(&record("/a"), LogFormat::Text);
        assert_eq!(out.lines().count(), 1);
        assert!(out.contains("subject=\"пользователь\\u000a\""), "{out}");
        assert!(out.contains(" access: 127.0.0.1 GET \"/a\" decision=admitted "), "{out}");
    }
}
