//! How access lines reach the output: formatted into a buffer of the worker's own and handed over in batches, a
//! tenth of a second late at most. On the hot path nothing is locked and no event machinery runs, and what most
//! lines have in common, the second and the client, is written once.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use tracing_subscriber::fmt;
use tracing_subscriber::fmt::time::FormatTime as _;

use super::Record;
use super::line::{Line, Spent};
use crate::foundation::clock::wall_clock;
use crate::telemetry::LogFormat;
use crate::telemetry::output::{Kind, Output};

const BATCH: usize = 64 * 1024;
/// What most lines need, in bytes.
const USUAL: usize = 512;

const LATEST: Duration = Duration::from_millis(100);

/// How long the time of day is worked out instead of asked for.
const FRESH: Duration = Duration::from_secs(1);

thread_local! {
    static BUFFER: RefCell<Buffer> = const { RefCell::new(Buffer::new()) };
}

pub(super) struct Buffer {
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

/// Adds a line about a record that is over to this thread's.
pub(super) fn append(record: &Record, format: LogFormat, spent: Spent) {
    BUFFER.with_borrow_mut(|buffer| buffer.append(record, format, spent));
}

/// Hands this thread's lines to the output now: for the end of a worker.
pub fn flush() {
    BUFFER.with_borrow_mut(Buffer::flush);
}

#[cfg(test)]
impl Buffer {
    /// The line of one record.
    pub(super) fn of_one(record: &Record, format: LogFormat, spent: Spent) -> String {
        let mut buffer = Self::new();
        buffer.append(record, format, spent);
        String::from_utf8(std::mem::take(&mut buffer.lines)).unwrap()
    }
}
