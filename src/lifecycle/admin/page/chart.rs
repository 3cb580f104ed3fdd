//! The chart of the last hour: a bar a minute, of what went well at the bottom and what did not above it.

use crate::telemetry::history::{MINUTES, Totals};

/// How wide a minute is, with the gap beside it.
const MINUTE: usize = 10;
const GAP: usize = 2;

/// Bars in the units of the chart.
pub(super) struct Chart {
    pub(super) width: usize,
    pub(super) height: u64,
    /// The most that happened in a minute.
    pub(super) most: u64,
    /// The minutes in which anything happened.
    pub(super) minutes: Vec<Minute>,
}

/// One minute.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Minute {
    /// What happened, in words.
    pub(super) told: String,
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
    /// The chart of these minutes, the last of which is now. `tell` says in words what happened so many minutes ago.
    pub(super) fn of(minutes: &[Totals], tell: impl Fn(usize, &Totals) -> String) -> Self {
        let sum = |minute: &Totals| minute.signed_in + minute.not_signed_in + minute.denied;
        let most = minutes.iter().map(sum).max().unwrap_or_default();
        // A single event is no peak.
        let height = most.max(8);
        let happened = minutes.iter().rev().enumerate().rev().filter(|(_, minute)| sum(minute) > 0);
        let minutes = happened.map(|(ago, minute)| {
            let x = MINUTES.saturating_sub(ago + 1) * MINUTE;
            Minute { told: tell(ago, minute), bars: bars(minute, x, height) }
        });
        Self { width: MINUTES * MINUTE, height, most, minutes: minutes.collect() }
    }
}

fn bars(minute: &Totals, x: usize, height: u64) -> Vec<Bar> {
    let mut y = height;
    let counts = [("good", minute.signed_in), ("warn", minute.not_signed_in), ("bad", minute.denied)];
    let pieces = counts.into_iter().filter(|(_, count)| *count > 0).map(|(class, count)| {
        y = y.saturating_sub(count);
        Bar { class, x, y, width: MINUTE - GAP, height: count }
    });
    pieces.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stand_on_each_other_and_the_last_minute_stands_at_the_end() {
        let minute =
            |signed_in, not_signed_in, denied| Totals { signed_in, not_signed_in, denied, apps: Vec::new() };
        let tell = |ago: usize, minute: &Totals| format!("{ago}: {}", minute.signed_in);
        let chart = Chart::of(&[minute(0, 1, 0), minute(0, 0, 0), minute(10, 0, 5)], tell);
        assert_eq!((chart.width, chart.height, chart.most), (600, 15, 15));
        let bar = |class, x, y, height| Bar { class, x, y, width: 8, height };
        let minute = |told: &str, bars| Minute { told: told.to_owned(), bars };
        assert_eq!(
            chart.minutes,
            [
                minute("2: 0", vec![bar("warn", 570, 14, 1)]),
                minute("0: 10", vec![bar("good", 590, 5, 10), bar("bad", 590, 0, 5)])
            ]
        );
        let empty = Chart::of(&[], tell);
        assert!(empty.minutes.is_empty() && (empty.height, empty.most) == (8, 0));
    }
}
