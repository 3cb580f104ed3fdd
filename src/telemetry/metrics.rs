//! The metrics table: everything `/metrics` shows, counted with atomics that were resolved at start.
//!
//! Names follow Prometheus' conventions; labels are the configuration's names, never anything a stranger
//! sends.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::history::{AppTotals, Totals};
use crate::foundation::timings::Timings;

/// What was decided about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A public rule let it pass.
    Public,
    /// A signed-in person was let pass.
    Admitted,
    /// It needs a sign-in first.
    SignIn,
    /// The person may not enter.
    Denied,
    /// One of our own endpoints answered.
    Endpoint,
    /// It was refused for what it is: a bad target, an unknown host.
    Refused,
    /// It could not be decided or served: a store out of reach.
    Failed,
}

impl Decision {
    const ALL: [Self; 7] = [
        Self::Public,
        Self::Admitted,
        Self::SignIn,
        Self::Denied,
        Self::Endpoint,
        Self::Refused,
        Self::Failed,
    ];

    /// The decision's name in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Admitted => "admitted",
            Self::SignIn => "sign_in",
            Self::Denied => "denied",
            Self::Endpoint => "endpoint",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The requests of one app, or of none.
#[derive(Debug, Default)]
pub struct AppMetrics {
    requests: [[AtomicU64; CLASSES.len()]; Decision::ALL.len()],
    heads: Timings,
}

impl AppMetrics {
    /// Counts a request whose answer's head took `head`.
    pub fn count(&self, decision: Decision, status: u16, head: Duration) {
        let class = usize::from(status / 100).saturating_sub(1);
        if let Some(count) = self.requests.get(decision as usize).and_then(|classes| classes.get(class)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.heads.count(head);
    }

    /// All requests, and those that were answered with a 5xx.
    fn totals(&self) -> AppTotals {
        let mut totals = AppTotals::default();
        for classes in &self.requests {
            let counts = classes.each_ref().map(|count| count.load(Ordering::Relaxed));
            totals.requests += counts.iter().sum::<u64>();
            totals.failures += counts.last().copied().unwrap_or_default();
        }
        totals
    }

    fn denied(&self) -> u64 {
        let classes = self.requests.get(Decision::Denied as usize).into_iter().flatten();
        classes.map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// The counts of a decision, by class of status.
    #[cfg(test)]
    pub(super) fn counted(&self, decision: Decision) -> [u64; CLASSES.len()] {
        self.requests[decision as usize].each_ref().map(|count| count.load(Ordering::Relaxed))
    }
}

/// A count with one label, for what happens seldom.
#[derive(Debug, Default)]
struct Labelled(Mutex<HashMap<[String; 2], u64>>);

impl Labelled {
    fn add(&self, labels: [&str; 2]) {
        let mut counts = lock(&self.0);
        *counts.entry(labels.map(str::to_owned)).or_default() += 1;
    }
}

/// Something that is asked for its value when `/metrics` is read.
pub type Gauge = Box<dyn Fn() -> f64 + Send + Sync>;

/// A count that is kept elsewhere and asked for when `/metrics` is read.
pub type Count = Box<dyn Fn() -> u64 + Send + Sync>;

/// The labels of one row of a family.
pub type Labels = Vec<(&'static str, &'static str)>;

/// All metrics of the process.
#[derive(Default)]
pub struct Metrics {
    apps: Vec<(Arc<str>, Arc<AppMetrics>)>,
    strangers: Arc<AppMetrics>,
    sign_ins: Labelled,
    sign_outs: Labelled,
    renewals: Labelled,
    gauges: Mutex<Vec<GaugeRow>>,
    counts: Mutex<Vec<Row<Count>>>,
    timings: Mutex<Vec<Row<Arc<Timings>>>>,
}

/// What is kept elsewhere; rows of one name stand together.
struct Row<T> {
    name: &'static str,
    help: &'static str,
    labels: Labels,
    value: T,
}

struct GaugeRow {
    name: &'static str,
    help: &'static str,
    label: Option<(&'static str, String)>,
    value: Gauge,
}

impl Metrics {
    /// A table for these apps.
    pub fn new(apps: impl Iterator<Item = Arc<str>>) -> Arc<Self> {
        Arc::new(Self { apps: apps.map(|name| (name, Arc::default())).collect(), ..Self::default() })
    }

    /// The metrics of an app by its number, to be kept by whoever counts.
    pub fn app(&self, number: usize) -> Option<Arc<AppMetrics>> {
        self.apps.get(number).map(|(_, metrics)| Arc::clone(metrics))
    }

    /// The metrics of requests that found no app.
    pub fn strangers(&self) -> Arc<AppMetrics> {
        Arc::clone(&self.strangers)
    }

    /// Counts a sign-in by how it ended: `ok`, or an error's stable code.
    pub fn sign_in(&self, provider: &str, outcome: &str) {
        self.sign_ins.add([provider, outcome]);
    }

    /// Counts a sign-out by who asked for it.
    pub fn sign_out(&self, provider: &str, by: &str) {
        self.sign_outs.add([provider, by]);
    }

    /// Counts a renewal of a session's tokens by how it ended: `ok`, `elsewhere` where there was nothing left to do, or
    /// an error's stable code.
    pub fn renewal(&self, provider: &str, outcome: &str) {
        self.renewals.add([provider, outcome]);
    }

    /// What was counted so far, for [`super::history`].
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for ([_, outcome], count) in &*self.sign_ins.0.lock().unwrap_or_else(PoisonError::into_inner) {
            let of = if outcome == "ok" { &mut totals.signed_in } else { &mut totals.not_signed_in };
            *of += count;
        }
        totals.denied = self.apps.iter().map(|(_, app)| app.denied()).sum();
        totals.apps = self.apps.iter().map(|(_, app)| app.totals()).collect();
        totals
    }

    /// Shows a value that is asked for when the metrics are read.
    pub fn gauge(
        &self,
        name: &'static str,
        help: &'static str,
        label: Option<(&'static str, String)>,
        value: Gauge,
    ) {
        let row = GaugeRow { name, help, label, value };
        lock(&self.gauges).push(row);
    }

    /// Shows a count that is kept elsewhere.
    pub fn counter(&self, name: &'static str, help: &'static str, labels: Labels, value: Count) {
        lock(&self.counts).push(Row { name, help, labels, value });
    }

    /// Shows timings that are kept elsewhere, in seconds.
    pub fn timings(&self, name: &'static str, help: &'static str, labels: Labels, value: Arc<Timings>) {
        lock(&self.timings).push(Row { name, help, labels, value });
    }

    /// The metrics in OpenMetrics text format.
    pub fn render(self: &Arc<Self>) -> String {
        let mut registry = Registry::with_prefix("vestibule");
        registry.register_collector(Box::new(Table(Arc::clone(self))));
        let mut out = String::new();
        text::encode(&mut out, &registry).unwrap_or_default(); // Writing into a String cannot fail.
        out
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("apps", &self.apps.len()).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Table(Arc<Metrics>);

impl Collector for Table {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let metrics = &self.0;
        let rows = || {
            let apps = metrics.apps.iter().map(|(name, app)| (&**name, app));
            apps.chain(std::iter::once(("", &metrics.strangers)))
        };
        let mut requests = encoder.encode_descriptor(
            "requests",
            "Requests by app, decision and status",
            None,
            MetricType::Counter,
        )?;
        for (name, app) in rows() {
            for (decision, classes) in Decision::ALL.iter().zip(&app.requests) {
                for (class, count) in CLASSES.iter().zip(classes) {
                    let count = count.load(Ordering::Relaxed);
                    if count > 0 {
                        let labels = [("app", name), ("decision", decision.as_str()), ("status", class)];
                        requests
                            .encode_family(&labels)?
                            .encode_counter::<NoLabelSet, _, u64>(&count, None)?;
                    }
                }
            }
        }
        let mut latency = encoder.encode_descriptor(
            "request_head",
            "Time from a request's head to its answer's",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        for (name, app) in rows() {
            latency.encode_family(&[("app", name)]).and_then(|encoder| histogram(encoder, &app.heads))?;
        }
        for (name, help, counts, labels) in [
            ("sign_ins", "Sign-ins by provider and outcome", &metrics.sign_ins, ["provider", "outcome"]),
            ("sign_outs", "Sign-outs by provider and who asked", &metrics.sign_outs, ["provider", "by"]),
            (
                "token_refreshes",
                "Refreshes of tokens by provider and outcome",
                &metrics.renewals,
                ["provider", "outcome"],
            ),
        ] {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for ([first, second], count) in &*lock(&counts.0) {
                let [a, b] = labels;
                let labels = [(a, first.as_str()), (b, second.as_str())];
                family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(count, None)?;
            }
        }
        for group in lock(&metrics.counts).chunk_by(|a, b| a.name == b.name) {
            let Some(first) = group.first() else { continue };
            let mut family = encoder.encode_descriptor(first.name, first.help, None, MetricType::Counter)?;
            for Row { labels, value, .. } in group {
                let (labels, count) = (labels.as_slice(), value());
                family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
            }
        }
        for group in lock(&metrics.timings).chunk_by(|a, b| a.name == b.name) {
            let Some(first) = group.first() else { continue };
            let seconds = Some(&Unit::Seconds);
            let mut family =
                encoder.encode_descriptor(first.name, first.help, seconds, MetricType::Histogram)?;
            for Row { labels, value, .. } in group {
                let labels = labels.as_slice();
                family.encode_family(&labels).and_then(|encoder| histogram(encoder, value))?;
            }
        }
        let gauges = lock(&metrics.gauges);
        for group in gauges.chunk_by(|a, b| a.name == b.name) {
            let Some(first) = group.first() else { continue };
            let mut family = encoder.encode_descriptor(first.name, first.help, None, MetricType::Gauge)?;
            for row in group {
                match &row.label {
                    Some((label, value)) => {
                        family.encode_family(&[(*label, value.as_str())])?.encode_gauge(&(row.value)())?;
                    }
                    None => family.encode_gauge(&(row.value)())?,
                }
            }
        }
        Ok(())
    }
}

fn lock<T>(rows: &Mutex<T>) -> MutexGuard<'_, T> {
    rows.lock().unwrap_or_else(PoisonError::into_inner)
}

fn histogram(mut encoder: MetricEncoder<'_>, timings: &Timings) -> fmt::Result {
    let counts = timings.counts();
    let bounds = Timings::BOUNDS.into_iter().chain(std::iter::once(f64::INFINITY));
    let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
    encoder.encode_histogram::<NoLabelSet>(timings.seconds(), counts.iter().sum(), &buckets, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_gauges_stand_in_the_text() {
        let metrics = Metrics::new(std::iter::once("lms".into()));
        metrics.app(0).unwrap().count(Decision::Admitted, 200, Duration::from_micros(300));
        metrics.sign_in("trusted", "ok");
        let (labels, timings) = (vec![("operation", "read")], Arc::new(Timings::default()));
        timings.count(Duration::from_millis(3));
        metrics.counter("store", "Operations", labels.clone(), Box::new(|| 7));
        metrics.timings("store_answer", "Time", labels, timings);
        metrics.gauge("sessions_live", "Live sessions", None, Box::new(|| 3.0));
        metrics.gauge("provider_ready", "Ready", Some(("provider", "a".into())), Box::new(|| 1.0));
        metrics.gauge("provider_ready", "Ready", Some(("provider", "b".into())), Box::new(|| 0.0));
        let text = metrics.render();
        for line in [
            "vestibule_requests_total{app=\"lms\",decision=\"admitted\",status=\"2xx\"} 1",
            "vestibule_request_head_seconds_bucket{le=\"0.001\",app=\"lms\"} 1",
            "vestibule_request_head_seconds_bucket{le=\"+Inf\",app=\"lms\"} 1",
            "vestibule_sign_ins_total{provider=\"trusted\",outcome=\"ok\"} 1",
            "vestibule_store_total{operation=\"read\"} 7",
            "vestibule_store_answer_seconds_bucket{le=\"0.005\",operation=\"read\"} 1",
            "vestibule_sessions_live 3.0",
            "vestibule_provider_ready{provider=\"b\"} 0.0",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
