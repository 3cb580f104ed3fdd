//! Where log lines go: one thread that writes to standard error, so that no worker waits for a slow reader.
//!
//! Lines arrive whole, in batches. When the reader is too slow and the queue is full, batches are dropped and
//! counted, and the count is written as soon as there is room.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, OnceLock};
use std::thread;

use tracing_subscriber::fmt::MakeWriter;

const QUEUE: usize = 4096;

/// A handle on the writing thread; clones write to the same one.
#[derive(Clone, Debug)]
pub struct Output {
    queue: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
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
            let (queue, messages) = mpsc::sync_channel(QUEUE);
            let dropped = Arc::new(AtomicU64::new(0));
            let output = Self { queue, dropped: Arc::clone(&dropped) };
            // When no thread can be had, every line is counted as dropped; there is nobody left to tell.
            drop(thread::Builder::new().name("log".into()).spawn(move || write_all(&messages, &dropped)));
            output
        })
    }

    /// Hands whole lines over, each with its newline.
    pub fn write(&self, lines: Vec<u8>) {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.queue.try_send(Message::Lines(lines))
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until everything handed over so far is written: for the end of the process.
    pub fn flush(&self) {
        let (done, wait) = mpsc::sync_channel(1);
        if self.queue.send(Message::Flush(done)).is_ok() {
            wait.recv().unwrap_or_default(); // An error says that the thread is gone: nothing to wait for.
        }
    }
}

fn write_all(messages: &Receiver<Message>, dropped: &AtomicU64) {
    let mut out = io::stderr();
    while let Ok(message) = messages.recv() {
        let written = match message {
            Message::Lines(lines) => out.write_all(&lines),
            Message::Flush(done) => {
                done.send(()).unwrap_or_default(); // Nobody waits any more.
                Ok(())
            }
        };
        let lost = dropped.swap(0, Ordering::Relaxed);
        let told = if lost > 0 {
            writeln!(out, "{lost} log batches were dropped: the reader is too slow")
        } else {
            Ok(())
        };
        // A reader that went away must not end the gateway; the lines are lost.
        drop(written.and(told));
    }
}

/// One event of `tracing`, collected into a line.
pub struct Line(Vec<u8>);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        Output::get().write(std::mem::take(&mut self.0));
    }
}

/// Makes a [`Line`] for each event.
#[derive(Clone, Copy, Debug)]
pub struct Lines;

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(Vec::with_capacity(256))
    }
}
