//! The idle connections that one worker keeps to one app, the last used first.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use super::line::Line;

/// How many connections a worker keeps idle to one app; further ones are closed after their answer.
const IDLE_LINES: usize = 64;

pub(super) struct Pool {
    #[expect(clippy::vec_box, reason = "a connection is large and goes from here into a body by its box")]
    idle: RefCell<Vec<Box<Line>>>,
    idle_limit: Duration,
    sweeping: Cell<bool>,
}

impl Pool {
    pub(super) fn new(idle_limit: Duration) -> Rc<Self> {
        Rc::new(Self { idle: RefCell::default(), idle_limit, sweeping: Cell::new(false) })
    }

    /// A connection that may be used, if there is one; those that have been idle for too long are closed.
    pub(super) fn take(&self) -> Option<Box<Line>> {
        let mut now = None;
        loop {
            let mut line = self.idle.borrow_mut().pop()?;
            if line.is_fit(*now.get_or_insert_with(Instant::now), self.idle_limit) {
                return Some(line);
            }
        }
    }

    pub(super) fn put(self: Rc<Self>, line: Box<Line>) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < IDLE_LINES {
            idle.push(line);
        }
        drop(idle);
        if !self.sweeping.replace(true) {
            let pool = Rc::downgrade(&self);
            let pause = self.idle_limit / 4;
            // Runs while there is something idle; holds nothing alive.
            tokio::task::spawn_local(async move {
                loop {
                    tokio::time::sleep(pause).await;
                    let Some(pool) = pool.upgrade() else { return };
                    if pool.sweep() == 0 {
                        pool.sweeping.set(false);
                        return;
                    }
                }
            });
        }
    }

    /// Closes what is no longer of use; returns how many are left.
    fn sweep(&self) -> usize {
        let now = Instant::now();
        let mut idle = self.idle.borrow_mut();
        idle.retain_mut(|line| line.is_worth_keeping(now, self.idle_limit));
        idle.len()
    }

    #[cfg(test)]
    pub(super) fn idle(&self) -> usize {
        self.idle.borrow().len()
    }
}
