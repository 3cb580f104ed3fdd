//! Access lines: one a request, written when its answer is over.
//!
//! Lines are formatted by hand into a buffer of the worker's own and handed to the output in batches, a tenth
//! of a second late at most: on the hot path nothing is locked and no event machinery runs. A line holds the
//! path but never the query, which may carry codes and tokens.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::uri::PathAndQuery;
use http::{Method, StatusCode};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};

use super::LogFormat;
use super::metrics::{AppMetrics, Decision};
use super::output::Output;
use crate::foundation::body::BodyEnd;

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
    static BUFFER: RefCell<Buffer> = const { RefCell::new(Buffer { lines: String::new(), due: false }) };
}

struct Buffer {
    lines: String,
    due: bool,
}

impl Buffer {
    fn append(&mut self, record: &Record, format: LogFormat, total: Duration, bytes: u64, complete: bool) {
        let written = match format {
            LogFormat::Json => json(&mut self.lines, record, total, bytes, complete),
            LogFormat::Text => text(&mut self.lines, record, total, bytes, complete),
        };
        written.unwrap_or_default(); // Writing into a String cannot fail.
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

    fn flush(&mut self) {
        self.due = false;
        if !self.lines.is_empty() {
            let next = String::with_capacity(self.lines.len());
            Output::get().write(std::mem::replace(&mut self.lines, next).into_bytes());
        }
    }
}

/// Hands this thread's lines to the output now: for the end of a worker.
pub fn flush() {
    BUFFER.with_borrow_mut(Buffer::flush);
}

fn json(out: &mut String, record: &Record, total: Duration, bytes: u64, complete: bool) -> std::fmt::Result {
    out.push_str("{\"timestamp\":\"");
    SystemTime.format_time(&mut Writer::new(out))?;
    out.push_str("\",\"level\":\"INFO\",\"target\":\"access\",\"message\":\"request\"");
    write!(out, ",\"client\":\"{}\",\"method\":\"{}\",\"path\":", record.client, record.method)?;
    json_text(out, record.path());
    for (name, value) in record.fields() {
        if let Some(value) = value {
            write!(out, ",\"{name}\":")?;
            json_text(out, value);
        }
    }
    writeln!(
        out,
        ",\"decision\":\"{}\",\"status\":{},\"bytes\":{bytes},\"complete\":{complete},\"head_us\":{},\"total_us\":{}}}",
        record.decision.as_str(),
        record.status.as_u16(),
        record.answered.duration_since(record.started).as_micros(),
        total.as_micros(),
    )
}

fn text(out: &mut String, record: &Record, total: Duration, bytes: u64, complete: bool) -> std::fmt::Result {
    SystemTime.format_time(&mut Writer::new(out))?;
    write!(out, "  INFO access: {} {} ", record.client, record.method)?;
    json_text(out, record.path());
    write!(out, " {} {}", record.status.as_u16(), record.decision.as_str())?;
    for (name, value) in record.fields() {
        if let Some(value) = value {
            write!(out, " {name}=")?;
            json_text(out, value);
        }
    }
    let head = record.answered.duration_since(record.started).as_micros();
    writeln!(out, " bytes={bytes} complete={complete} head_us={head} total_us={}", total.as_micros())
}

/// SECURITY: a path or a subject must not be able to forge another line or another field.
fn json_text(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            // Control characters, and the line separators that some log readers break lines at.
            '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
                write!(out, "\\u{:04x}", u32::from(character)).unwrap_or_default();
            }
            _ => out.push(character),
        }
    }
    out.push('"');
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

    #[test]
    fn a_line_is_one_json_object_whatever_the_path_holds() {
        let mut out = String::new();
        json(&mut out, &record("/\"я?code=secret"), Duration::from_micros(7), 5, true).unwrap();
        assert_eq!(out.matches('\n').count(), 1);
        let line: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!((&line["path"], &line["rule"]), (&"/\"я".into(), &"default".into()));
        assert_eq!(line["subject"], "пользователь\n");
        assert_eq!(line["status"], 200);
    }

    #[test]
    fn a_readable_line_stays_one_line() {
        let mut out = String::new();
        text(&mut out, &record("/a"), Duration::ZERO, 0, false).unwrap();
        assert_eq!(out.lines().count(), 1);
        assert!(out.contains("subject=\"пользователь\\u000a\""), "{out}");
    }
}
