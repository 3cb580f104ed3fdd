//! The examination of everything that a gateway with these settings would need: providers, upstreams, certificates
//! of our own, the place of the sessions. All are asked side by side; nothing is served and nothing is changed.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize;
use tokio::runtime;
use tokio::task::LocalSet;

use super::{StartError, assemble};
use crate::foundation::certificate;
use crate::foundation::clock::Clock;
use crate::foundation::finding::{Finding, Verdict};
use crate::foundation::trust;
use crate::gateway::apps::Protected;
use crate::oidc::{AskedRedirect, Provider};
use crate::server::{self, tls};
use crate::telemetry::metrics::Metrics;
use crate::{config, sessions, upstream};

/// Findings about one thing.
#[derive(Debug, Serialize)]
pub struct Examined {
    /// What kind of thing it is: `provider`, `app` or `gateway`.
    pub kind: &'static str,
    /// Its name in the configuration; the gateway has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What was found, in the order in which it was looked at.
    pub findings: Vec<Finding>,
}

impl Examined {
    /// The worst that was found.
    pub fn verdict(&self) -> Verdict {
        self.findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Ok)
    }
}

/// One thing being looked at.
type Pending = Pin<Box<dyn Future<Output = Examined>>>;

/// Examines everything; the providers come first, then the apps, each in the order of the configuration, then the
/// gateway itself. It takes as long as the slowest of them, and each has its time limits.
///
/// # Errors
/// When a provider or TLS can't even be set up, or the system gives no runtime.
pub fn examine(settings: config::Settings, clock: &Clock) -> Result<Vec<Examined>, StartError> {
    let config::Settings { server, sessions: kept, providers: configured, gateway, .. } = settings;
    let order: Vec<String> = configured.iter().map(|provider| provider.name.clone()).collect();
    let providers = assemble::providers(configured, clock)?;
    let metrics = Metrics::new(gateway.apps.iter().map(|app| app.name.as_str().into()));
    let apps = assemble::apps(gateway.apps, &gateway.endpoints, &providers, &kept, &metrics)?;
    let mut pending: Vec<Pending> = Vec::new();
    for provider in order.iter().filter_map(|name| providers.get(name)) {
        pending.push(Box::pin(examine_provider(Arc::clone(provider), redirects(&apps, provider))));
    }
    for app in apps {
        pending.push(examine_app(app, clock)?);
    }
    let own = examine_gateway(server, kept, clock.clone());
    pending.push(Box::pin(own));
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)?;
    Ok(LocalSet::new().block_on(&runtime, all(pending)))
}

async fn all(pending: Vec<Pending>) -> Vec<Examined> {
    let running: Vec<_> = pending.into_iter().map(tokio::task::spawn_local).collect();
    let mut examined = Vec::with_capacity(running.len());
    for one in running {
        // A task ends otherwise only when it panicked, and then the panic was told.
        examined.extend(one.await.ok());
    }
    examined
}

/// The redirect URIs that the provider has to know.
fn redirects(apps: &[Protected], provider: &Provider) -> Vec<AskedRedirect> {
    let mut redirects = Vec::new();
    for app in apps {
        let Some(callback) = app.callback_of(provider) else { continue };
        let silent = app.silent_callback(provider).filter(|silent| *silent != callback);
        for uri in std::iter::once(callback).chain(silent) {
            redirects.push(AskedRedirect { app: app.settings.name.clone(), uri });
        }
    }
    redirects
}

async fn examine_provider(provider: Arc<Provider>, redirects: Vec<AskedRedirect>) -> Examined {
    let mut findings = provider.examine(&redirects).await;
    if redirects.is_empty() {
        let text = "no app lets people sign in with it, so its sign-in was not tried";
        findings.push(Finding::warning("provider_unused", text).mend("name it in provider of an app"));
    }
    Examined { kind: "provider", name: provider.name().to_owned(), findings }
}

fn examine_app(app: Protected, clock: &Clock) -> Result<Pending, StartError> {
    let upstream = &app.settings.upstream;
    let tls = match upstream.is_secured() {
        true => trust::client_config(upstream.ca.clone())?,
        false => trust::nobody()?,
    };
    let now = clock.now();
    Ok(Box::pin(async move {
        let path = app.seen_by_app(&app.front_page()).to_owned();
        let host = app.settings.origin.authority();
        let findings =
            upstream::examination::examine(&app.settings.upstream, Arc::new(tls), &host, &path, now);
        Examined { kind: "app", findings: findings.await, name: app.settings.name }
    }))
}

async fn examine_gateway(server: server::Settings, kept: sessions::Settings, clock: Clock) -> Examined {
    let now = clock.now();
    let mut findings = Vec::new();
    match tls::own_certificates(&server.tls) {
        Ok(certificates) => {
            let files = server.tls.iter().map(|pair| format!("our certificate {}", pair.cert.display()));
            let each = files.zip(&certificates);
            findings.extend(each.map(|(whose, der)| certificate::examine(&whose, der, now)));
        }
        Err(error) => {
            let finding = Finding::failed("certificate_unreadable", error.to_string());
            findings.push(finding.mend("mend cert and key in server.tls"));
        }
    }
    findings.extend(sessions::examine(&kept, now).await);
    if !kept.store.ends_unseen() {
        let text = "a sign-out at a provider ends no session here, and a restart forgets who signed out: they are in the browsers' cookies";
        let mend = "set session.store to another store, or session.lifetime to how long that may be so";
        findings.push(Finding::warning("sign_out_unheard", text).mend(mend));
    }
    Examined { kind: "gateway", name: String::new(), findings }
}
