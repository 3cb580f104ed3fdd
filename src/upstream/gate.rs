//! Lets a connection wake its task when something arrives, and only then.
//!
//! `hyper` also wakes whoever moves a connection when a message is handed over inside the process. Here the
//! one who moves it is the one who takes the message: those wake-ups would poll everything once more for
//! nothing.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// A waker of a connection's own, that passes wake-ups on to the task that last moved it, while it is open.
pub(super) struct Gate {
    door: Arc<Door>,
    waker: Waker,
}

struct Door {
    open: AtomicBool,
    /// Never contended: a connection stays on its thread.
    task: Mutex<Waker>,
}

impl Gate {
    pub(super) fn new() -> Self {
        let door = Arc::new(Door { open: AtomicBool::new(false), task: Mutex::new(Waker::noop().clone()) });
        Self { waker: Waker::from(Arc::clone(&door)), door }
    }

    /// Polls the connection for the task of `cx`; afterwards the gate is shut.
    pub(super) fn poll<F: Future>(&self, connection: Pin<&mut F>, cx: &Context<'_>) -> Poll<F::Output> {
        {
            let mut task = self.door.task.lock().unwrap_or_else(PoisonError::into_inner);
            if !task.will_wake(cx.waker()) {
                task.clone_from(cx.waker());
            }
        }
        self.open();
        let polled = connection.poll(&mut Context::from_waker(&self.waker));
        self.door.open.store(false, Ordering::Relaxed);
        polled
    }

    /// The connection's own waker.
    pub(super) const fn waker(&self) -> &Waker {
        &self.waker
    }

    /// To be called before the task rests.
    pub(super) fn open(&self) {
        self.door.open.store(true, Ordering::Relaxed);
    }
}

impl Wake for Door {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.open.load(Ordering::Relaxed) {
            self.task.lock().unwrap_or_else(PoisonError::into_inner).wake_by_ref();
        }
    }
}
