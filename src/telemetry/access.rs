//! Access lines: one a request, written when its answer is over, or when its client has gone before.
//!
//! What a record is and when it is over stands here, what a line looks like in `line`, and how lines reach the
//! output in `batch`. A line holds the path but never the query, which may carry codes and tokens.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::uri::PathAndQuery;
use http::{Method, StatusCode};

use super::LogFormat;
use super::metrics::{AppMetrics, Decision};
use crate::foundation::body::BodyEnd;

mod batch;
mod line;

pub use batch::flush;

use line::{Spent, field};

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
            batch::append(self, format, Spent { status, head, total, now });
        }
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
        let (head, total) = (Duration::ZERO, Duration::from_micros(7));
        let spent = Spent { status: 200, head, total, now: Instant::now() };
        batch::Buffer::of_one(&record(path, Some(format)), format, spent)
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
