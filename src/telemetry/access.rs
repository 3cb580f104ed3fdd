//! Access lines: one a request, written when its answer is over, or when its client has gone before.
//!
//! Lines are formatted by hand into a buffer of the worker's own and handed to the output in batches, a tenth
//! of a second late at most: on the hot path nothing is locked and no event machinery runs. A line holds the
//! path but never the query, which may carry codes and tokens.

use std::cell::RefCell;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
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

const BATCH: usize = 64 * 1024;
/// What most lines need, in bytes.
const USUAL: usize = 512;

const LATEST: Duration = Duration::from_millis(100);

/// How long the time of day is worked out instead of asked for.
const FRESH: Duration = Duration::from_secs(1);

/// What a worker's records have in common: made once for each, so that no two workers count its owners.
#[derive(Debug)]
pub struct Book {
    format: Option<LogFormat>,
    apps: Vec<Row>,
    strangers: Arc<AppMetrics>,
}

/// One app in a [`Book`].
#[derive(Debug)]
struct Row {
    metrics: Arc<AppMetrics>,
    /// What lines say of it, written beforehand: of the app alone, and of the app with each of its rules.
    app: Box<[u8]>,
    rules: Vec<Box<[u8]>>,
}

/// What lines say of an app: made at start, shared by all workers.
#[derive(Debug)]
pub struct AppLabels {
    /// The app's name.
    pub name: Arc<str>,
    /// The name of each rule; the last is for requests that no rule fits.
    pub rules: Vec<String>,
}

/// What is known of a request. When it is dropped it becomes a line, and is counted: so a request whose client
/// has gone, which drops everything about it, leaves its line too.
#[derive(Debug)]
pub struct Record {
    /// When the request's head was there.
    pub started: Instant,
    /// The client, after trusted proxies.
    pub client: IpAddr,
    /// The request's method.
    pub method: Method,
    /// The request's target; only its path is written.
    pub target: Option<PathAndQuery>,
    /// The app, when one was found: its place in [`Book::apps`].
    pub app: Option<usize>,
    /// The rule that decided, as a place in [`AppLabels::rules`].
    pub rule: Option<usize>,
    /// What was decided.
    pub decision: Decision,
    /// The subject, when there is one and the operator wants it.
    pub subject: Option<Arc<str>>,
    /// The reference that the page shows, when there was a page.
    pub reference: Option<String>,
    book: Rc<Book>,
    /// The answer's status, and how long its head took; `None` as long as there is none.
    answer: Option<(StatusCode, Duration)>,
    bytes: u64,
    complete: bool,
}

/// What the log says of a request that its client did not wait for: no answer of ours has it.
const CLIENT_GONE: u16 = 499;

impl Book {
    /// A book for these apps, in their order. Without a `format` there are no lines; `strangers` counts the
    /// requests that found no app.
    pub fn new<'a>(
        format: Option<LogFormat>,
        apps: impl Iterator<Item = (&'a AppLabels, &'a Arc<AppMetrics>)>,
        strangers: Arc<AppMetrics>,
    ) -> Rc<Self> {
        let row = |(labels, metrics): (&AppLabels, &Arc<AppMetrics>)| {
            let written = |fields: &[(&str, &str)]| {
                let mut out = Vec::new();
                fields.iter().for_each(|(name, value)| field(&mut out, format, name, value));
                out.into()
            };
            let app = ("app", &*labels.name);
            let rules = labels.rules.iter().map(|rule| written(&[app, ("rule", rule)])).collect();
            Row { metrics: Arc::clone(metrics), app: written(&[app]), rules }
        };
        Rc::new(Self { format, apps: apps.map(row).collect(), strangers })
    }
}

impl Record {
    /// The record of a request that begins now.
    pub fn begin(book: &Rc<Book>, client: IpAddr, method: Method, target: Option<PathAndQuery>) -> Self {
        Self {
            started: Instant::now(),
            client,
            method,
            target,
            app: None,
            rule: None,
            decision: Decision::Refused,
            subject: None,
            reference: None,
            book: Rc::clone(book),
            answer: None,
            bytes: 0,
            complete: false,
        }
    }

    /// Notes that the answer's head is there.
    pub fn answered(&mut self, status: StatusCode) {
        self.answer = Some((status, self.started.elapsed()));
    }

    fn row(&self) -> Option<&Row> {
        self.book.apps.get(self.app?)
    }

    fn fields(&self, out: &mut Vec<u8>, format: LogFormat) {
        if let Some(row) = self.row() {
            let rule = self.rule.and_then(|rule| row.rules.get(rule));
            out.extend_from_slice(rule.unwrap_or(&row.app));
        }
        for (name, value) in [("subject", self.subject.as_deref()), ("reference", self.reference.as_deref())]
        {
            if let Some(value) = value {
                field(out, Some(format), name, value);
            }
        }
    }

    fn path(&self) -> &str {
        self.target.as_ref().map_or("", PathAndQuery::path)
    }
}

impl BodyEnd for Record {
    fn ended(mut self: Box<Self>, bytes: u64, complete: bool) {
        self.bytes = bytes;
        self.complete = complete;
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let now = Instant::now();
        let total = now.saturating_duration_since(self.started);
        let (status, head) =
            self.answer.map_or((CLIENT_GONE, total), |(status, head)| (status.as_u16(), head));
        let metrics = self.row().map_or(&self.book.strangers, |row| &row.metrics);
        metrics.count(self.decision, status, head);
        if let Some(format) = self.book.format {
            BUFFER.with_borrow_mut(|buffer| buffer.append(self, format, Spent { status, head, total, now }));
        }
    }
}

/// How a request ended, how long it took, its head and all of it, and when that was.
#[derive(Clone, Copy)]
struct Spent {
    status: u16,
    head: Duration,
    total: Duration,
    now: Instant,
}

thread_local! {
    static BUFFER: RefCell<Buffer> = const { RefCell::new(Buffer::new()) };
}

struct Buffer {
    lines: Vec<u8>,
    due: bool,
    /// The time of day at a moment of the last second: asking for either costs as much as writing half a line.
    noon: Option<(Instant, Duration)>,
    /// The second that was written last, and how.
    second: u64,
    date: String,
    /// The client that was written last, and how: many lines come from a proxy in front.
    address: IpAddr,
    client: String,
}

impl Buffer {
    const fn new() -> Self {
        Self {
            lines: Vec::new(),
            due: false,
            noon: None,
            second: 0,
            date: String::new(),
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            client: String::new(),
        }
    }

    fn append(&mut self, record: &Record, format: LogFormat, spent: Spent) {
        self.tell_client(record.client);
        let micros = self.tell_time(spent.now);
        let line = Line { record, client: &self.client, date: &self.date, micros, spent };
        self.lines.reserve(USUAL);
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

    /// Brings `date` up to the second of `now`; gives the microseconds beyond it.
    fn tell_time(&mut self, now: Instant) -> u32 {
        let now = self.time_of_day(now);
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

    /// Asks the system once a second, so that a clock that was set is noticed.
    fn time_of_day(&mut self, now: Instant) -> Duration {
        if let Some((then, time)) = self.noon
            && let Some(since) = now.checked_duration_since(then)
            && since < FRESH
        {
            return time + since;
        }
        let time = wall_clock();
        self.noon = Some((Instant::now(), time));
        time
    }

    fn tell_client(&mut self, address: IpAddr) {
        if address != self.address || self.client.is_empty() {
            self.address = address;
            self.client = address.to_string();
        }
    }

    fn flush(&mut self) {
        self.due = false;
        if !self.lines.is_empty() {
            // With room for the line that fills a batch: a full one need not move to grow.
            let next = Vec::with_capacity(self.lines.len() + USUAL);
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
    client: &'a str,
    date: &'a str,
    micros: u32,
    spent: Spent,
}

impl Line<'_> {
    fn json(&self, out: &mut Vec<u8>) {
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

    fn text(&self, out: &mut Vec<u8>) {
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

fn field(out: &mut Vec<u8>, format: Option<LogFormat>, name: &str, value: &str) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn record(path: &str, format: Option<LogFormat>) -> Record {
        let labels = AppLabels { name: "lms".into(), rules: vec!["default".into()] };
        let book = Book::new(format, std::iter::once((&labels, &Arc::default())), Arc::default());
        let target = PathAndQuery::try_from(path).unwrap();
        let mut record = Record::begin(&book, IpAddr::from([127, 0, 0, 1]), Method::GET, Some(target));
        (record.app, record.rule, record.decision) = (Some(0), Some(0), Decision::Admitted);
        record.subject = Some("пользователь\n".into());
        record
    }

    fn line(path: &str, format: LogFormat) -> String {
        let mut buffer = Buffer::new();
        let (head, total) = (Duration::ZERO, Duration::from_micros(7));
        let spent = Spent { status: 200, head, total, now: Instant::now() };
        buffer.append(&record(path, Some(format)), format, spent);
        String::from_utf8(std::mem::take(&mut buffer.lines)).unwrap()
    }

    #[tokio::test]
    async fn a_request_counts_by_its_answer_and_one_that_was_dropped_by_its_clients_going() {
        let [mut answered, gone] = ["/a", "/b"].map(|path| Box::new(record(path, None)));
        let metrics = [&answered, &gone].map(|record| Arc::clone(&record.row().unwrap().metrics));
        answered.answered(StatusCode::OK);
        answered.ended(5, true);
        drop(gone);
        let counted = metrics.map(|metrics| metrics.counted(Decision::Admitted));
        assert_eq!(counted, [[0, 1, 0, 0, 0], [0, 0, 0, 1, 0]]);
    }

    #[tokio::test]
    async fn a_line_is_one_json_object_whatever_the_path_holds() {
        let out = line("/\"я?code=secret", LogFormat::Json);
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
        let out = line("/a", LogFormat::Text);
        assert_eq!(out.lines().count(), 1);
        assert!(out.contains("subject=\"пользователь\\u000a\""), "{out}");
        assert!(out.contains(" access: 127.0.0.1 GET \"/a\" decision=admitted "), "{out}");
    }
}
