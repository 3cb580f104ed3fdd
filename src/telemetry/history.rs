//! What happened in each minute of the last hour, for the operators' page. Once a minute the counters that there
//! are anyway are noted, so that no request does anything for it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::metrics::Metrics;

/// How many minutes are remembered.
pub const MINUTES: usize = 60;

const MINUTE: Duration = Duration::from_secs(60);

/// Counts since the process began, or within a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Sign-ins that went well.
    pub signed_in: u64,
    /// Sign-ins that failed.
    pub not_signed_in: u64,
    /// Requests of people who may not enter.
    pub denied: u64,
    /// By app, in the order of the configuration.
    pub apps: Vec<AppTotals>,
}

/// Counts of one app.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AppTotals {
    /// Requests.
    pub requests: u64,
    /// Requests that were answered with a 5xx, by the app or in its place.
    pub failures: u64,
}

/// The counters as they stood at the beginning of each minute.
#[derive(Debug, Default)]
pub struct History(Mutex<VecDeque<Totals>>);

impl History {
    /// Notes the counters once a minute for as long as it is polled.
    pub async fn keep(self: Arc<Self>, metrics: Arc<Metrics>) {
        let mut minutes = tokio::time::interval(MINUTE);
        loop {
            minutes.tick().await;
            self.note(metrics.totals());
        }
    }

    /// What happened in each minute, the earliest first; the last one, up to `now`, is not over yet.
    pub fn minutes(&self, now: &Totals) -> Vec<Totals> {
        let noted = self.noted();
        let ends = noted.iter().skip(1).chain(std::iter::once(now));
        noted.iter().zip(ends).map(|(begin, end)| end.since(begin)).collect()
    }

    /// What happened since so many minutes ago, or since the earliest that is remembered.
    pub fn within(&self, minutes: usize, now: &Totals) -> Totals {
        let noted = self.noted();
        let first = noted.get(noted.len().saturating_sub(minutes));
        first.map_or_else(|| now.clone(), |first| now.since(first))
    }

    fn note(&self, totals: Totals) {
        let mut noted = self.noted();
        if noted.len() >= MINUTES {
            noted.pop_front();
        }
        noted.push_back(totals);
    }

    fn noted(&self) -> MutexGuard<'_, VecDeque<Totals>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Totals {
    fn since(&self, begin: &Self) -> Self {
        let apps = self.apps.iter().zip(&begin.apps).map(|(end, begin)| AppTotals {
            requests: end.requests.saturating_sub(begin.requests),
            failures: end.failures.saturating_sub(begin.failures),
        });
        Self {
            signed_in: self.signed_in.saturating_sub(begin.signed_in),
            not_signed_in: self.not_signed_in.saturating_sub(begin.not_signed_in),
            denied: self.denied.saturating_sub(begin.denied),
            apps: apps.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::metrics::Decision;
    use super::*;

    #[test]
    fn each_minute_has_its_own_counts_and_the_hour_has_them_all() {
        let metrics = Metrics::new(std::iter::once("lms".into()));
        let history = History::default();
        history.note(metrics.totals());
        metrics.sign_in("trusted", "ok");
        metrics.app(0).unwrap().count(Decision::Admitted, 502, Duration::ZERO);
        history.note(metrics.totals());
        metrics.sign_in("trusted", "access_denied");
        metrics.app(0).unwrap().count(Decision::Denied, 403, Duration::ZERO);
        let minutes = history.minutes(&metrics.totals());
        let [first, last] = &minutes[..] else { panic!("{minutes:?}") };
        assert_eq!((first.signed_in, first.not_signed_in, first.denied), (1, 0, 0));
        assert_eq!((last.signed_in, last.not_signed_in, last.denied), (0, 1, 1));
        assert_eq!(first.apps, [AppTotals { requests: 1, failures: 1 }]);
        let hour = history.within(MINUTES, &metrics.totals());
        assert_eq!((hour.signed_in, hour.not_signed_in, hour.denied), (1, 1, 1));
        assert_eq!(hour.apps, [AppTotals { requests: 2, failures: 1 }]);
        assert_eq!(history.within(1, &metrics.totals()), *last);
        (0..2 * MINUTES).for_each(|_| history.note(metrics.totals()));
        assert_eq!(history.minutes(&metrics.totals()).len(), MINUTES);
        assert_eq!(history.within(MINUTES, &metrics.totals()).signed_in, 0);
    }
}
