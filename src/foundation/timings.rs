//! How long things took, counted by length: the numbers of a histogram, added to without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How many lengths are told apart: ten bounds, and what is longer.
pub const BUCKETS: usize = 11;

/// The bounds in microseconds; the last bucket has none.
const BOUNDS_US: [u64; BUCKETS - 1] =
    [1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 250_000, 1_000_000, 2_500_000, 10_000_000];

/// Counts of durations.
#[derive(Debug, Default)]
pub struct Timings {
    buckets: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
}

impl Timings {
    /// The bounds in seconds, in their order.
    pub const BOUNDS: [f64; BUCKETS - 1] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0];

    /// Counts something that took so long.
    pub fn count(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.iter().position(|bound| us <= *bound).unwrap_or(BUCKETS - 1);
        if let Some(count) = self.buckets.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// How many fell below each bound but not the one before, the longest last.
    pub fn counts(&self) -> [u64; BUCKETS] {
        self.buckets.each_ref().map(|bucket| bucket.load(Ordering::Relaxed))
    }

    /// All of them together, in seconds.
    #[allow(clippy::cast_precision_loss, reason = "a sum of microseconds is a measurement, not an identity")]
    pub fn seconds(&self) -> f64 {
        self.sum_us.load(Ordering::Relaxed) as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_is_counted_below_its_bound_and_in_the_sum() {
        let timings = Timings::default();
        for ms in [1, 2, 2_600, 60_000] {
            timings.count(Duration::from_millis(ms));
        }
        assert_eq!(timings.counts(), [1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert!((timings.seconds() - 62.603).abs() < 1e-9);
        for (us, seconds) in BOUNDS_US.iter().zip(Timings::BOUNDS) {
            assert_eq!(Duration::from_micros(*us), Duration::from_secs_f64(seconds));
        }
    }
}
