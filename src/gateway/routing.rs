//! Step 2: one of our own endpoints, or an app and the rule that fits.
//!
//! Hosts come from the configuration alone. Among apps of one host the longest path prefix wins; a path whose
//! readings would reach another app is refused like one whose readings would meet another rule.

use std::collections::HashMap;
use std::sync::Arc;

use http::Method;

use super::apps::{Endpoint, Protected};
use super::failure::Failure;
use super::request::Facts;
use crate::identity::access::Fit;
use crate::identity::readings::{Below, Path};

/// Where a request goes.
#[derive(Clone, Copy, Debug)]
pub enum Route {
    /// To one of our own endpoints.
    Own(Endpoint),
    /// To the app, if the rule lets it.
    App(Fit),
    /// The same, at an address where people sign out of the app.
    Leave(Fit),
}

/// The apps by host.
#[derive(Debug)]
pub struct Routes {
    /// By folded authority, with and without the scheme's own port.
    hosts: HashMap<String, Host>,
}

/// The apps of one host; longest prefix first.
#[derive(Clone, Debug)]
pub struct Host(Arc<[usize]>);

impl Routes {
    /// Sorts the apps by where users see them.
    pub fn new(apps: &[Protected]) -> Self {
        let mut hosts: HashMap<String, Vec<usize>> = HashMap::new();
        for (number, app) in apps.iter().enumerate() {
            let origin = &app.settings.origin;
            hosts.entry(origin.authority()).or_default().push(number);
            if origin.port() == origin.scheme().default_port() {
                hosts.entry(format!("{}:{}", origin.host(), origin.port())).or_default().push(number);
            }
        }
        for numbers in hosts.values_mut() {
            let prefix = |number: &usize| apps.get(*number).map_or(0, |app| app.settings.prefix.len());
            numbers.sort_by_key(|number| std::cmp::Reverse(prefix(number)));
        }
        Self { hosts: hosts.into_iter().map(|(host, numbers)| (host, Host(numbers.into()))).collect() }
    }

    /// A host, folded.
    ///
    /// # Errors
    /// When no app has it.
    pub fn host(&self, host: &str) -> Result<&Host, Failure> {
        self.hosts.get(host).ok_or(Failure::UnknownHost)
    }

    /// The app of a host and path.
    ///
    /// # Errors
    /// When no app has the host (421), none of them the path (404), or the path's readings differ (400).
    pub fn app<'a>(
        &self,
        apps: &'a [Protected],
        host: &str,
        path: &Path<'_>,
    ) -> Result<&'a Protected, Failure> {
        self.host(host)?.app(apps, path)
    }
}

impl Host {
    /// The app of a path.
    ///
    /// # Errors
    /// When no app has the path (404), or its readings differ (400).
    pub fn app<'a>(&self, apps: &'a [Protected], path: &Path<'_>) -> Result<&'a Protected, Failure> {
        for app in self.0.iter().filter_map(|&number| apps.get(number)) {
            match path.below(&app.settings.prefix) {
                // A prefix in another spelling would be cut off, or reach our endpoints, in one of them only.
                Below::Yes if app.covers(path.as_str()) => return Ok(app),
                Below::No => {}
                // SECURITY: `/lms/..;/wiki/admin` must not reach the wiki under the rules of the LMS.
                Below::Yes | Below::Torn => return Err(Failure::AmbiguousPath(app.settings.prefix.clone())),
            }
        }
        Err(Failure::NoApp)
    }
}

/// The route of a request within an app.
///
/// # Errors
/// When readings of the path meet different rules, or the path is below our prefix and none of ours.
pub fn route(app: &Protected, facts: &Facts<'_>) -> Result<Route, Failure> {
    if let Some(endpoint) = app.endpoint(facts.path.as_str())? {
        return Ok(Route::Own(endpoint));
    }
    let (fit, seen) = judged(app, Some(facts.method), &facts.path)?;
    Ok(if app.settings.own_session.is_left_at(&seen)? { Route::Leave(fit) } else { Route::App(fit) })
}

/// The rule of an app that fits a method and path.
///
/// # Errors
/// When readings of the path, or methods, meet different rules, for TRACE, and for what is the gateway's alone.
pub fn fit(app: &Protected, method: Option<&Method>, path: &Path<'_>) -> Result<Fit, Failure> {
    judged(app, method, path).map(|(fit, _)| fit)
}

/// The rule, and the path as the app sees it.
fn judged<'a>(app: &Protected, method: Option<&Method>, path: &Path<'a>) -> Result<(Fit, Path<'a>), Failure> {
    // SECURITY: an app that answers TRACE repeats every header, also those that only we and the app may know.
    if method == Some(&Method::TRACE) {
        return Err(Failure::Trace);
    }
    let seen = app.path_seen_by_app(path)?;
    app.settings.own_session.keep_closed(&seen)?;
    let fit = app.settings.rules.fit(method, &seen);
    Ok((fit.map_err(|ambiguous| Failure::AmbiguousPath(ambiguous.reading))?, seen))
}
