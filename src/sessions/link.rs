//! Whether what this process remembers of a session may be served without asking the store.
//!
//! Over a store that it has alone, always. Over a shared one, while the store says that this process hears of
//! what the others do, and the session was read since it began to. One such time without a gap is an *epoch*:
//! what was done in a gap is lost, so that in the next epoch each session is asked for once. Both facts are one
//! word, so that a request compares two numbers.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::live::Live;
use crate::foundation::clock::{Clock, Timestamp};

/// The bits of the word that hold a moment, in whole seconds of the clock; the others hold an epoch.
const MOMENT_BITS: u32 = 40;
const ALWAYS: u64 = (1 << MOMENT_BITS) - 1;

/// The epoch of a store that nobody else changes.
const ALONE: u32 = 1;

/// The last epoch before they begin anew. None is zero, which is no session's but one that must be read again.
const LAST: u32 = u32::MAX >> (MOMENT_BITS - u32::BITS);

/// How many epochs that are over are remembered.
const REMEMBERED: usize = 8;

/// What ties this process to the others of its store.
#[derive(Debug)]
pub(super) struct Link {
    clock: Clock,
    born: Instant,
    /// The epoch, and until when it can be relied on.
    word: AtomicU64,
    hearing: Mutex<Hearing>,
}

#[derive(Debug)]
struct Hearing {
    shared: bool,
    epoch: u32,
    hears: bool,
    until: Instant,
    /// When the store was asked what it said so to last, in microseconds since `born`.
    said_at: u64,
    /// Epochs that are over, each with the moment when it was relied on last.
    past: VecDeque<(u32, u64)>,
    told_deaf: bool,
}

/// A moment before a store is asked: what it answers is true at that moment or later.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) epoch: u32,
    /// In microseconds since the process began.
    pub(super) at: u64,
}

/// What an operator is to be told of the link, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turned {
    Deaf,
    Hearing,
}

impl Link {
    /// A link that hears nothing yet.
    pub(super) fn new(clock: Clock) -> Self {
        let born = Instant::now();
        let hearing = Hearing {
            shared: true,
            epoch: ALONE,
            hears: false,
            until: born,
            said_at: 0,
            past: VecDeque::new(),
            told_deaf: false,
        };
        Self { clock, born, word: AtomicU64::new(0), hearing: Mutex::new(hearing) }
    }

    /// Notes that nobody else changes the store.
    pub(super) fn stand_alone(&self) {
        self.hearing().shared = false;
        self.word.store(word(ALONE, ALWAYS), Ordering::Release);
    }

    /// Whether others change the store.
    pub(super) fn is_shared(&self) -> bool {
        self.hearing().shared
    }

    /// Whether what is known of this session is as good as what the store would say. For every request.
    pub(super) fn trusts(&self, live: &Live, now: Timestamp) -> bool {
        let word = self.word.load(Ordering::Acquire);
        now.as_secs() < word & ALWAYS && u64::from(live.epoch()) == word >> MOMENT_BITS
    }

    /// Whether what others do is heard.
    pub(super) fn hears(&self) -> bool {
        self.clock.now().as_secs() < self.word.load(Ordering::Acquire) & ALWAYS
    }

    /// Takes the store's word, asked for at `asked`, that nothing goes unheard until then. Tells whether an epoch begins.
    pub(super) fn hears_until(&self, asked: Instant, until: Instant) -> bool {
        let mut hearing = self.hearing();
        let begins = !hearing.hears;
        if begins {
            hearing.hears = true;
            hearing.epoch = if hearing.epoch < LAST { hearing.epoch + 1 } else { ALONE + 1 };
        }
        hearing.until = until;
        hearing.said_at = micros(asked.saturating_duration_since(self.born));
        // Rounded down: a second too few is asked for once more, a second too many might be served.
        let rest = until.saturating_duration_since(Instant::now()).as_secs();
        let moment = self.clock.now().as_secs().saturating_add(rest).min(ALWAYS - 1);
        self.word.store(word(hearing.epoch, moment), Ordering::Release);
        begins
    }

    /// Notes that something may have gone unheard.
    pub(super) fn deaf(&self) {
        let mut hearing = self.hearing();
        if !hearing.shared {
            return;
        }
        self.word.store(0, Ordering::Release);
        if std::mem::take(&mut hearing.hears) {
            let over = (hearing.epoch, hearing.said_at);
            hearing.past.push_front(over);
            hearing.past.truncate(REMEMBERED);
        }
    }

    /// Looks at the time that really passed, whatever happened to the clock; and whether there is something new
    /// to be told. To be called each second or so.
    pub(super) fn look(&self) -> Option<Turned> {
        let mut hearing = self.hearing();
        if !hearing.shared {
            return None;
        }
        let hears = hearing.hears && Instant::now() < hearing.until;
        if !hears {
            // Of the same epoch, should the store only be late: nothing went unheard then.
            self.word.store(word(hearing.epoch, 0), Ordering::Release);
        }
        let turned = if hears { Turned::Hearing } else { Turned::Deaf };
        let news = hearing.told_deaf == hears;
        hearing.told_deaf = !hears;
        news.then_some(turned)
    }

    /// The present moment, before a store is asked.
    pub(super) fn moment(&self) -> Moment {
        let word = self.word.load(Ordering::Acquire);
        Moment { epoch: u32::try_from(word >> MOMENT_BITS).unwrap_or_default(), at: self.micros() }
    }

    /// Whether it was known no longer ago than this that the session stands.
    pub(super) fn knew_within(&self, live: &Live, span: Duration) -> bool {
        let hearing = self.hearing();
        let epoch = live.epoch();
        let heard = if hearing.hears && hearing.epoch == epoch {
            Some(hearing.said_at)
        } else {
            hearing.past.iter().find(|(past, _)| *past == epoch).map(|(_, at)| *at)
        };
        let known_at = heard.unwrap_or_default().max(live.confirmed_at());
        drop(hearing);
        self.micros().saturating_sub(known_at) < micros(span)
    }

    fn hearing(&self) -> MutexGuard<'_, Hearing> {
        self.hearing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn micros(&self) -> u64 {
        micros(self.born.elapsed())
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

const fn word(epoch: u32, moment: u64) -> u64 {
    (epoch as u64) << MOMENT_BITS | moment
}
