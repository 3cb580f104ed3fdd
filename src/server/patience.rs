//! How long a client may keep a connection waiting.
//!
//! One task of a worker looks at all its connections now and then; so no request and no connection has a
//! timer of its own. A limit is met at the latest a quarter after its time.

use std::time::Duration;

use super::Limits;

/// The limits, counted in looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// The time from one look to the next.
    pub(super) pause: Duration,
    head: u32,
    stall: u32,
}

/// How long a client may leave a body that it sends, or an answer that it gets, without any progress.
const STALL: Duration = Duration::from_secs(60);

/// What is seen of a connection at one look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Glance {
    /// How many requests it has sent.
    pub(super) requests: u64,
    /// A request is being answered.
    pub(super) in_flight: bool,
    /// The client owes the rest of a body, and we are waiting for it.
    pub(super) owes_body: bool,
    /// The client does not take what we send.
    pub(super) takes_nothing: bool,
    /// Bytes read and written so far.
    pub(super) moved: u64,
}

/// What was seen before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Memory {
    last: Glance,
    idle: u32,
    stalled: u32,
}

impl Patience {
    pub(super) fn new(limits: &Limits) -> Self {
        Self::with(limits.head_timeout, limits.head_timeout.max(STALL))
    }

    pub(super) fn with(head: Duration, stall: Duration) -> Self {
        let pause = (head / 4).clamp(Duration::from_millis(10), Duration::from_secs(5));
        let looks = |limit: Duration| {
            u32::try_from(limit.as_millis().div_ceil(pause.as_millis().max(1))).unwrap_or(u32::MAX).max(1)
        };
        Self { pause, head: looks(head), stall: looks(stall) }
    }

    /// Whether the connection is to be closed.
    pub(super) fn is_over(&self, memory: &mut Memory, now: Glance) -> bool {
        let last = std::mem::replace(&mut memory.last, now);
        let stalled = (now.takes_nothing || (now.in_flight && now.owes_body)) && now.moved == last.moved;
        memory.stalled = if stalled { memory.stalled + 1 } else { 0 };
        // SECURITY: bytes of a head do not count as progress, only whole requests do, or a client could hold a
        // connection for ever by a byte now and then (slowloris).
        let idle = !now.in_flight && !now.takes_nothing && now.requests == last.requests && !last.in_flight;
        memory.idle = if idle { memory.idle + 1 } else { 0 };
        memory.stalled > self.stall || memory.idle > self.head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many looks a connection that stays so is closed, within 50.
    fn looks(glance: impl Fn(u64) -> Glance) -> Option<u64> {
        let patience = Patience::with(Duration::from_secs(4), Duration::from_secs(8));
        let mut memory = Memory::default();
        (1..50).find(|&look| patience.is_over(&mut memory, glance(look)))
    }

    #[test]
    fn only_a_client_that_makes_no_progress_is_cut() {
        let calm = Glance { requests: 1, in_flight: true, ..Glance::default() };
        type Change = fn(u64, Glance) -> Glance;
        let cases: [(&str, Option<u64>, Change); 7] = [
            ("the app thinks", None, |_, calm| calm),
            ("requests come", None, |look, calm| Glance { requests: look, in_flight: false, ..calm }),
            ("idle", Some(6), |_, calm| Glance { in_flight: false, ..calm }),
            ("a head dribbles", Some(6), |look, calm| Glance { in_flight: false, moved: look, ..calm }),
            ("a body stands still", Some(9), |_, calm| Glance { owes_body: true, ..calm }),
            ("a body dribbles", None, |look, calm| Glance { owes_body: true, moved: look, ..calm }),
            ("an answer is not taken", Some(9), |_, calm| Glance { takes_nothing: true, ..calm }),
        ];
        for (name, expected, change) in cases {
            assert_eq!(looks(|look| change(look, calm)), expected, "{name}");
        }
    }
}
