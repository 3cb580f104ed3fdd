//! The one place that builds long-lived objects out of settings.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::StartError;
use crate::foundation::clock::Clock;
use crate::gateway::Gateway;
use crate::gateway::apps::Protected;
use crate::gateway::own_session::telling::{self, Ends};
use crate::gateway::pages::Pages;
use crate::gateway::routing::Routes;
use crate::identity::statement::StatementKeys;
use crate::oidc::Provider;
use crate::sessions::{CookieNames, Operation, Outcome, Sessions};
use crate::telemetry::AccessLog;
use crate::telemetry::metrics::Metrics;
use crate::{config, gateway, oidc, sessions};

/// The providers by name.
pub(super) type Providers = HashMap<String, Arc<Provider>>;

/// The providers, before any of them is asked.
///
/// # Errors
/// When a provider's TLS cannot be set up.
pub(super) fn providers(settings: Vec<oidc::Settings>, clock: &Clock) -> Result<Providers, StartError> {
    let provider = |settings: oidc::Settings| {
        let name = settings.name.clone();
        match Provider::new(settings, clock.clone()) {
            Ok(provider) => Ok((name, provider)),
            Err(source) => Err(StartError::Provider { name, source }),
        }
    };
    settings.into_iter().map(provider).collect()
}

/// The apps with their providers, before anything is opened or asked.
///
/// # Errors
/// When an app names a provider that there is not, which a judged configuration rules out.
pub(super) fn apps(
    apps: Vec<gateway::App>,
    endpoints: &str,
    providers: &Providers,
    sessions: &sessions::Settings,
    metrics: &Metrics,
) -> Result<Vec<Protected>, StartError> {
    let protect = |(number, app): (usize, gateway::App)| {
        let unknown = |provider: &str| StartError::UnknownProvider {
            app: app.name.clone(),
            provider: provider.to_owned(),
        };
        let known =
            app.providers.iter().map(|name| providers.get(name).cloned().ok_or_else(|| unknown(name)));
        let known = known.collect::<Result<Vec<_>, _>>()?;
        let Some(metrics) = metrics.app(number) else { return Err(unknown("")) };
        let cookies = CookieNames::for_origin(&app.origin, &sessions.cookie);
        Ok(Protected::new(number, app, endpoints, known, cookies, metrics))
    };
    apps.into_iter().enumerate().map(protect).collect()
}

/// The apps of a configuration without a gateway around them: nothing is opened, nobody is asked.
///
/// # Errors
/// When a provider cannot be set up.
pub fn apps_alone(settings: config::Settings, clock: &Clock) -> Result<Vec<Protected>, StartError> {
    let config::Settings { sessions, providers: configured, gateway, .. } = settings;
    let metrics = Metrics::new(gateway.apps.iter().map(|app| app.name.as_str().into()));
    apps(gateway.apps, &gateway.endpoints, &providers(configured, clock)?, &sessions, &metrics)
}

/// The gateway that all workers share, and its providers.
///
/// # Errors
/// When sessions cannot be kept, or a provider cannot be set up.
pub fn gateway(
    settings: config::Settings,
    clock: Clock,
    control: &Handle,
) -> Result<(Arc<Gateway>, Vec<Arc<Provider>>), StartError> {
    let config::Settings { sessions: kept, providers: configured, gateway: served, telemetry, .. } = settings;
    let metrics = Metrics::new(served.apps.iter().map(|app| app.name.as_str().into()));
    let providers = providers(configured, &clock)?;
    let apps = apps(served.apps, &served.endpoints, &providers, &kept, &metrics)?;
    let sessions = Sessions::open(&kept, clock.clone(), control.clone())?;
    let gateway = Arc::new(Gateway {
        routes: Routes::new(&apps),
        ends: Ends::of(&apps),
        apps,
        statements: StatementKeys::new(Arc::clone(sessions.keys())),
        sessions,
        pages: Pages::new(served.pages),
        trusted_proxies: served.trusted_proxies,
        access_log: (telemetry.access == AccessLog::On).then_some(telemetry.format),
        subject_in_logs: telemetry.subject,
        waiting: gateway::waiting::Waiting::default(),
        forms: gateway::kept_forms::Room::default(),
        form_limit: served.form_limit,
        metrics,
        clock,
        control: control.clone(),
    });
    let mut providers: Vec<Arc<Provider>> = providers.into_values().collect();
    providers.sort_by(|one, other| one.name().cmp(other.name()));
    watch(&gateway, &providers);
    Ok((gateway, providers))
}

/// Starts what goes on beside requests: metadata and keys kept fresh, sessions swept, gauges shown.
fn watch(gateway: &Arc<Gateway>, providers: &[Arc<Provider>]) {
    for provider in providers {
        gateway.control.spawn(Arc::clone(provider).keep_fresh());
        let (name, shown) = (provider.name().to_owned(), Arc::clone(provider));
        let value = move || f64::from(u8::from(shown.readiness().can_sign_in()));
        let help = "Whether a provider's metadata and keys are known";
        gateway.metrics.gauge("provider_ready", help, Some(("provider", name)), Box::new(value));
    }
    gateway.control.spawn(Arc::clone(&gateway.sessions).keep());
    if gateway.ends.are_told() {
        let told = Arc::downgrade(gateway);
        gateway.sessions.tell_of_ends(move |ended| {
            if let Some(gateway) = told.upgrade() {
                telling::tell_of(&gateway, ended);
            }
        });
    }
    let sessions = Arc::clone(&gateway.sessions);
    #[allow(clippy::cast_precision_loss, reason = "a gauge of a few million at most")]
    let open = move || sessions.in_use() as f64;
    gateway.metrics.gauge("sessions_open", "Sessions that this process has open", None, Box::new(open));
    show_store(&gateway.metrics, &gateway.sessions);
}

/// What becomes of the store in `/metrics`.
fn show_store(metrics: &Metrics, sessions: &Arc<Sessions>) {
    for operation in Operation::ALL {
        for outcome in Outcome::ALL {
            let operations = Arc::clone(sessions.operations());
            let labels = vec![("operation", operation.as_str()), ("outcome", outcome.as_str())];
            let count = Box::new(move || operations.count(operation, outcome));
            let help = "Operations of the session store by what and how they ended";
            metrics.counter("session_store_operations", help, labels, count);
        }
        let labels = vec![("operation", operation.as_str())];
        let timings = sessions.operations().timings(operation);
        metrics.timings("session_store_answer", "Time until the session store answered", labels, timings);
    }
    for (at, (outcome, _)) in sessions.confirmations().counts().into_iter().enumerate() {
        let kept = Arc::clone(sessions);
        let count = move || kept.confirmations().counts().get(at).map_or(0, |(_, count)| *count);
        let help = "Open sessions that the store was asked for again";
        metrics.counter("session_confirmations", help, vec![("outcome", outcome)], Box::new(count));
    }
    let kept = Arc::clone(sessions);
    let help = "Requests served by what was known moments ago, as the store could not be asked";
    metrics.counter("sessions_graced", help, Vec::new(), Box::new(move || kept.confirmations().graced()));
    let kept = Arc::clone(sessions);
    let hears = move || f64::from(u8::from(kept.hears() != Some(false)));
    let help = "Whether what other gateways do to sessions is heard";
    metrics.gauge("session_store_heard", help, None, Box::new(hears));
}
