//! Where log lines go: one thread that writes to standard error, so that no worker waits for a slow reader.
//!
//! Lines arrive whole, in batches. When the reader is too slow, the queue is bounded in bytes: access lines are
//! dropped first, then other events, audit events last. What was dropped is counted, and the count is an event
//! of its own as soon as the reader goes on.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

use super::log::AUDIT;

const MIB: usize = 1 << 20;
/// What a message takes beside its bytes.
const OVERHEAD: usize = 64;
/// How long the end of the process waits for the reader.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How often it is told that lines were dropped.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// What lines are, and with it how much of the queue they may fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Access lines.
    Access,
    /// Events.
    Event,
    /// Audit events.
    Audit,
}

impl Kind {
    /// How full the queue may be, in bytes, for lines of this kind still to enter it.
    const fn limit(self) -> usize {
        match self {
            Self::Access => 4 * MIB,
            Self::Event => 6 * MIB,
            // SECURITY: a flood of requests must not push out who signed in and who was refused.
            Self::Audit => 8 * MIB,
        }
    }
}

/// A handle on the writing thread; clones write to the same one.
#[derive(Clone, Debug)]
pub struct Output {
    queue: Sender<Message>,
    load: Arc<Load>,
}

/// How full the queue is, and what it had no room for.
#[derive(Debug, Default)]
struct Load {
    bytes: AtomicUsize,
    dropped: AtomicU64,
}

#[derive(Debug)]
enum Message {
    Lines(Vec<u8>),
    Flush(SyncSender<()>),
}

static OUTPUT: OnceLock<Output> = OnceLock::new();

impl Output {
    /// The process's log output; its thread starts with the first call.
    pub fn get() -> &'static Self {
        OUTPUT.get_or_init(|| {
            let (output, messages) = Self::queue();
            let load = Arc::clone(&output.load);
            // When no thread can be had, every line is counted as dropped; there is nobody left to tell.
            drop(thread::Builder::new().name("log".into()).spawn(move || write_all(&messages, &load)));
            output
        })
    }

    fn queue() -> (Self, Receiver<Message>) {
        let (queue, messages) = mpsc::channel();
        (Self { queue, load: Arc::default() }, messages)
    }

    /// Hands whole lines over, each with its newline.
    pub fn write(&self, kind: Kind, lines: Vec<u8>) {
        let cost = cost(&lines);
        let before = self.load.bytes.fetch_add(cost, Ordering::Relaxed);
        if before + cost > kind.limit() {
            self.drop_lines(cost, &lines);
        } else if let Err(mpsc::SendError(Message::Lines(lines))) = self.queue.send(Message::Lines(lines)) {
            self.drop_lines(cost, &lines);
        }
    }

    fn drop_lines(&self, cost: usize, lines: &[u8]) {
        self.load.bytes.fetch_sub(cost, Ordering::Relaxed);
        let count = lines.iter().filter(|byte| **byte == b'\n').count();
        self.load.dropped.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Waits until everything handed over so far is written, but not long: for the end of the process.
    pub fn flush(&self) {
        let (done, wait) = mpsc::sync_channel(1);
        if self.queue.send(Message::Flush(done)).is_ok() {
            wait.recv_timeout(LAST_WORDS).unwrap_or_default(); // The reader is stuck, or the thread gone.
        }
    }
}

fn cost(lines: &Vec<u8>) -> usize {
    lines.capacity() + OVERHEAD
}

fn write_all(messages: &Receiver<Message>, load: &Load) {
    let mut out = io::stderr();
    let mut told: Option<Instant> = None;
    loop {
        let waiting = load.dropped.load(Ordering::Relaxed) > 0;
        let message = if waiting {
            messages.recv_timeout(TOLD_EVERY)
        } else {
            messages.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        match message {
            Ok(Message::Lines(lines)) => {
                // A reader that went away must not end the gateway; the lines are lost.
                drop(out.write_all(&lines));
                load.bytes.fetch_sub(cost(&lines), Ordering::Relaxed);
            }
            Ok(Message::Flush(done)) => done.send(()).unwrap_or_default(), // Nobody waits any more.
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if waiting && told.is_none_or(|told| told.elapsed() >= TOLD_EVERY) {
            told = Some(Instant::now());
            let lines = load.dropped.swap(0, Ordering::Relaxed);
            // It goes through the queue like every event, and is written as they are.
            tracing::error!(lines, "log lines were dropped: their reader is too slow");
        }
    }
}

/// One event of `tracing`, collected into a line.
pub struct Line {
    kind: Kind,
    bytes: Vec<u8>,
}

impl Line {
    fn new(kind: Kind) -> Self {
        Self { kind, bytes: Vec::with_capacity(256) }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        Output::get().write(self.kind, std::mem::take(&mut self.bytes));
    }
}

/// Makes a [`Line`] for each event.
#[derive(Clone, Copy, Debug)]
pub struct Lines;

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line::new(Kind::Event)
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Line {
        Line::new(if event.target() == AUDIT { Kind::Audit } else { Kind::Event })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_nobody_reads_is_bounded_in_bytes_and_keeps_room_for_audit_events() {
        let (output, messages) = Output::queue();
        let batch = || [b"x".repeat(65_535), b"\n".to_vec()].concat();
        for _ in 0..1000 {
            output.write(Kind::Access, batch());
        }
        let held = output.load.bytes.load(Ordering::Relaxed);
        assert!(held <= 4 * MIB, "{held}");
        let taken = 1000 - output.load.dropped.load(Ordering::Relaxed);
        for _ in 0..1000 {
            output.write(Kind::Event, batch());
        }
        let dropped = output.load.dropped.load(Ordering::Relaxed);
        assert!(dropped < 2000 - taken, "events still found room");
        output.write(Kind::Audit, batch());
        assert_eq!(output.load.dropped.load(Ordering::Relaxed), dropped, "and audit events beside those");
        assert!(output.load.bytes.load(Ordering::Relaxed) <= 8 * MIB);
        let queued: usize =
            messages.try_iter().map(|message| usize::from(matches!(message, Message::Lines(_)))).sum();
        assert_eq!(u64::try_from(queued).unwrap(), 2001 - dropped);
    }
}
