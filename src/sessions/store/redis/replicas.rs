//! How many replicas must have a change before it counts as made: all that keep up. In a fail-over of a master
//! that still runs, one of them is made the new master, leaves the old one in that moment, and takes with it what
//! the old one is told from then on; had another's confirmation been enough, that would be lost.
//!
//! So one that has left is waited for a while: [`DOUBT`]. One that hangs is waited for as long, and then not any
//! more, but one at least is, as long as any is connected.

use std::time::{Duration, Instant};

use super::slots::Range;

/// How long a master that a replica has left is not believed to be the master still: by then the Sentinels, or the
/// other nodes, say who is.
pub(super) const DOUBT: Duration = Duration::from_secs(5);

/// How far behind a replica may be that keeps up: each tells the master once a second how far it is.
const KEEPS_UP: Duration = Duration::from_millis(2500);

/// What a change must wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Confirmation {
    /// For nobody: there is no replica.
    None,
    /// For so many replicas.
    By(usize),
    /// For more than there are now.
    Impossible,
}

/// What is known of the replicas of one master.
#[derive(Clone, Debug)]
pub(super) struct Replicas {
    pub(super) range: Range,
    needed: usize,
    fewer_from: Option<Instant>,
}

/// How far the master was, and when.
#[derive(Debug, Default)]
pub(super) struct Pace(Vec<(Instant, u64)>);

impl Replicas {
    /// Those that are there at first: nothing is known of any that has left.
    pub(super) const fn new(range: Range) -> Self {
        Self { range, needed: range.keeping_up, fewer_from: None }
    }

    /// How many are waited for now.
    pub(super) const fn needed(&self) -> usize {
        self.needed
    }

    /// Those of a server that may have just been made master: so many at least are waited for, as it may be that
    /// another was made master in the same fail-over, and what that one is not told is lost then.
    pub(super) fn expect(&mut self, count: usize) {
        self.needed = self.needed.max(count);
    }

    /// What a change must wait for now.
    pub(super) const fn confirmation(&self) -> Confirmation {
        match self.needed {
            0 => Confirmation::None,
            needed if needed > self.range.connected => Confirmation::Impossible,
            needed => Confirmation::By(needed),
        }
    }

    /// Takes over what the master says now. Tells whether from now on nobody is waited for.
    pub(super) fn observe(&mut self, range: Range, now: Instant) -> bool {
        self.range = range;
        let needed = range.keeping_up.max(range.connected.min(1));
        if needed >= self.needed {
            (self.needed, self.fewer_from) = (needed, None);
        } else if *self.fewer_from.get_or_insert(now + DOUBT) <= now {
            (self.needed, self.fewer_from) = (needed, None);
            return needed == 0;
        }
        false
    }
}

impl Pace {
    /// How many of the replicas, that are so far, keep up with the master, that is so far now.
    pub(super) fn keeping_up(&mut self, master: u64, replicas: &[u64], now: Instant) -> usize {
        let settled = self.0.iter().rposition(|(at, _)| now.duration_since(*at) >= KEEPS_UP);
        if let Some(settled) = settled {
            self.0.drain(..settled);
        }
        self.0.push((now, master));
        let due = self.0.first().filter(|_| settled.is_some()).map_or(0, |(_, offset)| *offset);
        replicas.iter().filter(|offset| **offset >= due).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(connected: usize, keeping_up: usize) -> Range {
        Range { first: 0, last: 1, connected, keeping_up, has_failed: false }
    }

    #[test]
    fn who_has_left_or_hangs_is_waited_for_a_while_and_one_at_least_while_any_is_there() {
        use Confirmation::{By, Impossible, None};
        let start = Instant::now();
        let mut replicas = Replicas::new(range(2, 2));
        assert_eq!(replicas.confirmation(), By(2));
        for (seconds, connected, keeping_up, expected) in [
            (1, 1, 1, Impossible),
            (5, 1, 1, Impossible),
            (6, 1, 1, By(1)),
            (7, 2, 2, By(2)),
            (8, 2, 0, By(2)),
            (13, 2, 0, By(1)),
            (14, 0, 0, Impossible),
            (15, 1, 1, By(1)),
            (16, 0, 0, Impossible),
            (20, 0, 0, Impossible),
            (21, 0, 0, None),
        ] {
            let nobody = replicas.observe(range(connected, keeping_up), start + Duration::from_secs(seconds));
            assert_eq!((replicas.confirmation(), nobody), (expected, expected == None), "after {seconds} s");
        }
    }

    #[test]
    fn a_new_master_is_believed_when_it_has_its_replicas_or_was_without_for_a_while() {
        use Confirmation::{By, Impossible, None};
        let start = Instant::now();
        for (expects, connected, expected) in [
            (1, 0, [Impossible, None]),
            (1, 1, [By(1), By(1)]),
            (1, 2, [By(2), By(2)]),
            (2, 1, [Impossible, By(1)]),
        ] {
            let mut replicas = Replicas::new(range(connected, connected));
            replicas.expect(expects);
            let told = [1, 6].map(|seconds| {
                replicas.observe(range(connected, connected), start + Duration::from_secs(seconds));
                replicas.confirmation()
            });
            assert_eq!(told, expected, "{connected} of {expects}");
        }
    }

    #[test]
    fn a_replica_keeps_up_that_has_what_the_master_had_a_moment_ago() {
        let (start, mut pace) = (Instant::now(), Pace::default());
        for (seconds, master, replicas, expected) in [
            (0, 100, [100, 0], 2),
            (1, 200, [200, 0], 2),
            (2, 300, [200, 0], 2),
            (3, 400, [300, 0], 1),
            (4, 500, [400, 200], 2),
            (5, 600, [299, 600], 1),
        ] {
            let at = start + Duration::from_secs(seconds);
            assert_eq!(pace.keeping_up(master, &replicas, at), expected, "after {seconds} s");
        }
    }
}
