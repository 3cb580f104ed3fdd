//! The sessions that one worker has opened, by the cookie's own bytes: with what each app is told of the person.
//!
//! Bounded in number and in bytes, and swept each minute: whatever is over or was not used lately is let go, so
//! that the process can let go of it too. Whether a session that is kept still stands is asked at each request.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use lru::LruCache;

use super::authentication::Person;
use crate::foundation::clock::{Clock, Timestamp};

/// How many sessions a worker keeps for each app; the longest unused make room.
const KEPT: usize = 16_384;

/// How many bytes a worker keeps, over all apps.
const BYTES: usize = 64 << 20;

/// What an app may keep at least, however many there are.
const LEAST: usize = 1 << 20;

/// What an opened session takes about, besides its cookie and its headers.
const SESSION: usize = 2048;

/// The pause between two sweeps.
const ROUND: Duration = Duration::from_secs(60);

/// How long a session must be unused before a sweep lets it go.
const RESTS: Duration = Duration::from_secs(120);

/// The sessions that a worker opened.
///
/// SECURITY: one table for each app, because a cookie is sealed for one origin: bytes that were opened for one
/// app say nothing on another.
#[derive(Debug)]
pub struct Opened {
    tables: Vec<RefCell<Table>>,
    clock: Clock,
    sweeping: Cell<bool>,
}

#[derive(Debug)]
struct Table {
    kept: LruCache<Box<[u8]>, Person>,
    bytes: usize,
    room: usize,
}

impl Opened {
    /// Room for the sessions of so many apps; it grows with use, up to its bounds.
    pub fn new(apps: usize, clock: Clock) -> Rc<Self> {
        let room = (BYTES / apps.max(1)).max(LEAST);
        let table = || RefCell::new(Table { kept: LruCache::unbounded(), bytes: 0, room });
        let tables = std::iter::repeat_with(table).take(apps).collect();
        Rc::new(Self { tables, clock, sweeping: Cell::new(false) })
    }

    /// The person whose session a cookie opened.
    pub(super) fn get(&self, app: usize, cookie: &[u8]) -> Option<Person> {
        self.tables.get(app)?.borrow_mut().kept.get(cookie).cloned()
    }

    /// Keeps a session that was just opened. To be called on the worker's own thread.
    pub(super) fn keep(self: &Rc<Self>, app: usize, cookie: &[u8], person: Person) {
        let Some(table) = self.tables.get(app) else { return };
        table.borrow_mut().put(cookie, person);
        if !self.sweeping.replace(true) {
            let opened = Rc::downgrade(self);
            // Runs while anything is kept; holds nothing alive.
            tokio::task::spawn_local(async move {
                loop {
                    tokio::time::sleep(ROUND).await;
                    let Some(opened) = opened.upgrade() else { return };
                    if opened.sweep(opened.clock.now()) == 0 {
                        opened.sweeping.set(false);
                        return;
                    }
                }
            });
        }
    }

    /// Lets a session go.
    pub(super) fn forget(&self, app: usize, cookie: &[u8]) {
        if let Some(table) = self.tables.get(app) {
            table.borrow_mut().drop(cookie);
        }
    }

    /// Lets go of what is over or rests; returns how many are left.
    fn sweep(&self, now: Timestamp) -> usize {
        let rests =
            |person: &Person| !person.live.is_alive(now) || now.since(person.live.last_seen()) >= RESTS;
        let mut left = 0;
        for table in &self.tables {
            let mut table = table.borrow_mut();
            let resting = table.kept.iter().filter(|(_, person)| rests(person));
            let resting: Vec<Box<[u8]>> = resting.map(|(cookie, _)| cookie.clone()).collect();
            resting.iter().for_each(|cookie| table.drop(cookie));
            left += table.kept.len();
        }
        left
    }
}

impl Table {
    fn put(&mut self, cookie: &[u8], person: Person) {
        self.drop(cookie);
        self.bytes += weight(cookie, &person);
        self.kept.put(cookie.into(), person);
        while self.kept.len() > KEPT || self.bytes > self.room {
            let Some((cookie, person)) = self.kept.pop_lru() else { return };
            self.bytes -= weight(&cookie, &person);
        }
    }

    fn drop(&mut self, cookie: &[u8]) {
        if let Some(person) = self.kept.pop(cookie) {
            self.bytes -= weight(cookie, &person);
        }
    }
}

fn weight(cookie: &[u8], person: &Person) -> usize {
    let headers = person.profile.headers.iter().map(|(_, value)| value.len());
    // A session in a cookie is as large again when it is open.
    SESSION + 2 * cookie.len() + headers.sum::<usize>()
}
