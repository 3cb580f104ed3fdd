//! The chart of the last hour: a bar a minute, of what went well at the bottom and what did not above it.

use crate::telemetry::history::{MINUTES, Totals};

/// How wide a minute is, with the gap beside it.
const MINUTE: usize = 10;
const GAP: usize = 2;

/// Bars in the units of the chart.
pub(super) struct Chart {
    pub(super) width: usize,
    pub(super) height: u64,
    pub(super) bars: Vec<Bar>,
}

/// One piece of a bar.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bar {
    pub(super) class: &'static str,
    pub(super) x: usize,
    pub(super) y: u64,
    pub(super) width: usize,
    pub(super) height: u64,
}

impl Chart {
    /// The chart of these minutes, the last of which is now.
    pub(super) fn of(minutes: &[Totals]) -> Self {
        let sum = |minute: &Totals| minute.signed_in + minute.not_signed_in + minute.denied;
        // A single event is no peak.
        let height = minutes.iter().map(sum).max().unwrap_or_default().max(8);
        let first = MINUTES.saturating_sub(minutes.len());
        let mut bars = Vec::new();
        for (place, minute) in minutes.iter().enumerate() {
            let mut y = height;
            for (class, count) in
                [("good", minute.signed_in), ("warn", minute.not_signed_in), ("bad", minute.denied)]
            {
                y = y.saturating_sub(count);
                if count > 0 {
                    bars.push(Bar {
                        class,
                        x: (first + place) * MINUTE,
                        y,
                        width: MINUTE - GAP,
                        height: count,
                    });
                }
            }
        }
        Self { width: MINUTES * MINUTE, height, bars }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stand_on_each_other_and_the_last_minute_stands_at_the_end() {
        let minute =
            |signed_in, not_signed_in, denied| Totals { signed_in, not_signed_in, denied, apps: Vec::new() };
        let chart = Chart::of(&[minute(0, 0, 0), minute(10, 0, 5)]);
        assert_eq!((chart.width, chart.height), (600, 15));
        let bar = |class, y, height| Bar { class, x: 590, y, width: 8, height };
        assert_eq!(chart.bars, [bar("good", 5, 10), bar("bad", 0, 5)]);
        assert!(Chart::of(&[]).bars.is_empty());
    }
}
