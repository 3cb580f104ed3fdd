//! The apps with everything prepared at start that a request of theirs needs.

use std::sync::Arc;

use http::Method;
use url::Url;

use super::cross_origin::CrossOrigin;
use super::failure::Failure;
use super::return_to;
use super::{App, StripPrefix};
use crate::foundation::site::site_of;
use crate::identity::access::Fit;
use crate::identity::readings::Path;
use crate::oidc::Provider;
use crate::sessions::CookieNames;
use crate::telemetry::access::AppLabels;
use crate::telemetry::metrics::AppMetrics;

/// One protected app.
#[derive(Debug)]
pub struct Protected {
    /// Its place among the apps.
    pub number: usize,
    /// What the configuration says of it.
    pub settings: App,
    /// The providers that its people sign in with, in the order of the configuration: one at least.
    pub providers: Vec<Arc<Provider>>,
    /// The names of our cookies on its origin.
    pub cookies: CookieNames,
    /// Its origin as text: what cookies are sealed for, and what `Location` begins with.
    pub origin: String,
    /// Who may frame what of ours does no harm in a frame, as a policy names it: its own site, or anybody where our
    /// cookies go into all frames.
    pub embedders: String,
    /// Its names in the log.
    pub labels: Arc<AppLabels>,
    /// Its row in the metrics.
    pub metrics: Arc<AppMetrics>,
    /// Whose scripts may read our own answers.
    pub cross_origin: CrossOrigin,
    /// Whether a rule is for some methods only.
    pub depends_on_methods: bool,
    own: String,
    /// Where the answers of all providers but the first arrive.
    further_callbacks: Vec<String>,
}

impl Protected {
    /// Prepares an app. `endpoints` is the prefix of our own endpoints.
    pub fn new(
        number: usize,
        settings: App,
        endpoints: &str,
        providers: Vec<Arc<Provider>>,
        cookies: CookieNames,
        metrics: Arc<AppMetrics>,
    ) -> Self {
        let mut rules: Vec<String> = (0..settings.rules.count())
            .map(|rule| settings.rules.label(Fit::Rule(rule)).to_owned())
            .collect();
        rules.push(settings.rules.label(Fit::Default).to_owned());
        let labels = Arc::new(AppLabels { name: settings.name.as_str().into(), rules });
        let origin = settings.origin.to_string();
        let own = format!("{}{endpoints}/", settings.prefix);
        let scheme = settings.origin.scheme().as_str();
        let embedders = match site_of(settings.origin.host()) {
            _ if cookies.goes_into_frames() => "*".to_owned(),
            None => "'self'".to_owned(),
            Some(site) => format!("'self' {scheme}://{site}:* {scheme}://*.{site}:*"),
        };
        let further = settings.providers.iter().skip(1);
        let further_callbacks = further.filter_map(|name| settings.callback_path_of(name)).collect();
        Self {
            depends_on_methods: settings.rules.depend_on_methods(),
            cross_origin: CrossOrigin::new(&settings.cors_origins),
            number,
            settings,
            providers,
            cookies,
            origin,
            embedders,
            labels,
            metrics,
            own,
            further_callbacks,
        }
    }

    /// The app's provider of that name. SECURITY: a session or a login with any other provider is nobody's here.
    pub fn provider_named(&self, name: &str) -> Option<&Arc<Provider>> {
        self.providers.iter().find(|provider| provider.name() == name)
    }

    /// The name of a login's provider, as far as it is known: an app's only one is.
    pub fn provider_name<'a>(&'a self, known: Option<&'a Arc<Provider>>) -> &'a str {
        match (known, &*self.providers) {
            (Some(provider), _) | (None, [provider]) => provider.name(),
            (None, _) => "",
        }
    }

    /// Whether a path is below the app's prefix.
    pub fn covers(&self, path: &str) -> bool {
        path.strip_prefix(self.settings.prefix.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The endpoint of ours that a path names; `None` for the app's own paths.
    ///
    /// # Errors
    /// When the path is below our prefix and names none of ours.
    pub fn endpoint(&self, path: &str) -> Result<Option<Endpoint>, Failure> {
        let silent = self.settings.silent_path.as_deref() == Some(path);
        if silent
            || path == self.settings.callback_path
            || self.further_callbacks.iter().any(|known| path == known)
        {
            return Ok(Some(Endpoint::Callback));
        }
        if self.settings.logout_callback.as_deref().map(return_to::path_of) == Some(path) {
            return Ok(Some(Endpoint::SignedOut));
        }
        match path.strip_prefix(self.own.as_str()) {
            None => Ok(None),
            Some(name) => Endpoint::named(name).map(Some).ok_or(Failure::NoEndpoint),
        }
    }

    /// The path as the app gets it.
    pub fn seen_by_app<'a>(&self, path: &'a str) -> &'a str {
        match self.settings.strip_prefix {
            StripPrefix::Keep => path,
            StripPrefix::Strip => match path.strip_prefix(self.settings.prefix.as_str()) {
                Some("") => "/",
                Some(rest) => rest,
                None => path,
            },
        }
    }

    /// The checked path as the app gets it.
    ///
    /// # Errors
    /// Never for a path that was checked and is covered by the app.
    pub fn path_seen_by_app<'a>(&self, path: &Path<'a>) -> Result<Path<'a>, Failure> {
        match self.settings.strip_prefix {
            StripPrefix::Keep => Ok(*path),
            StripPrefix::Strip => Path::parse(self.seen_by_app(path.as_str())).map_err(Failure::Path),
        }
    }

    /// The place of a rule among [`AppLabels::rules`].
    pub fn label_of(&self, fit: Fit) -> usize {
        match fit {
            Fit::Rule(number) => number,
            Fit::Default => self.settings.rules.count(),
        }
    }

    /// The absolute address of a path on this app's origin, as it stands in `Location`.
    pub fn address(&self, path_and_query: &str) -> String {
        format!("{}{path_and_query}", self.origin)
    }

    /// The path of one of our endpoints on this app.
    pub fn path_of(&self, endpoint: Endpoint) -> String {
        match endpoint {
            Endpoint::Callback => self.settings.callback_path.clone(),
            Endpoint::SignedOut if let Some(callback) = &self.settings.logout_callback => callback.clone(),
            other => format!("{}{}", self.own, other.name()),
        }
    }

    /// Where a login in a hidden frame comes back to; `None` only if the origin were no address.
    ///
    /// SECURITY: with several providers each has a redirect URI of its own (mix-up), and `silent_path` is one.
    pub fn silent_callback(&self, provider: &Provider) -> Option<Url> {
        match (&self.settings.silent_path, &*self.providers) {
            (Some(path), [_]) => Url::parse(&self.address(path)).ok(),
            _ => self.callback_of(provider),
        }
    }

    /// The absolute address of one of our endpoints on this app; `None` only if the origin were no address.
    pub fn url_of(&self, endpoint: Endpoint) -> Option<Url> {
        Url::parse(&self.address(&self.path_of(endpoint))).ok()
    }

    /// The redirect URI of one of the app's providers; `None` for another's.
    pub fn callback_of(&self, provider: &Provider) -> Option<Url> {
        Url::parse(&self.address(&self.settings.callback_path_of(provider.name())?)).ok()
    }

    /// The path of the app's front page.
    pub fn front_page(&self) -> String {
        format!("{}/", self.settings.prefix)
    }
}

/// One of our endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Starts a login.
    SignIn,
    /// Starts a login that another site asks for.
    Initiate,
    /// Takes the authorization response.
    Callback,
    /// Ends the session, here and at the provider.
    SignOut,
    /// Where a sign-out lands.
    SignedOut,
    /// Ends sessions as the provider tells us, without a browser.
    BackchannelLogout,
    /// The same in a frame of the provider's page.
    FrontchannelLogout,
    /// The caller's own session as JSON.
    Session,
    /// The script that watches over it.
    SessionScript,
    /// Sends a form that was kept.
    Resend,
    /// Sign-in by QR code.
    Device,
    /// Renews the session in a hidden frame.
    Silent,
    /// The decision for another proxy.
    Verify,
    /// The public keys of identity statements.
    Jwks,
    /// The public halves of our keys, for the providers.
    ClientJwks,
    /// Below it, the request objects that a provider fetches.
    RequestObject,
}

const NAMES: &[(Endpoint, &str)] = &[
    (Endpoint::SignIn, "sign-in"),
    (Endpoint::Initiate, "initiate"),
    (Endpoint::Callback, "callback"),
    (Endpoint::SignOut, "sign-out"),
    (Endpoint::SignedOut, "signed-out"),
    (Endpoint::BackchannelLogout, "backchannel-logout"),
    (Endpoint::FrontchannelLogout, "frontchannel-logout"),
    (Endpoint::Session, "session"),
    (Endpoint::SessionScript, "session.js"),
    (Endpoint::Resend, "resend"),
    (Endpoint::Device, "device"),
    (Endpoint::Silent, "silent"),
    (Endpoint::Verify, "verify"),
    (Endpoint::Jwks, "jwks.json"),
    (Endpoint::ClientJwks, "client-jwks.json"),
    (Endpoint::RequestObject, "request"),
];

impl Endpoint {
    /// The endpoint of that name below the prefix.
    pub fn named(name: &str) -> Option<Self> {
        let name = match name.split_once('/') {
            Some(("request", _)) => "request",
            _ => name,
        };
        NAMES.iter().find(|(_, known)| *known == name).map(|(endpoint, _)| *endpoint)
    }

    /// That it takes this method.
    ///
    /// # Errors
    /// When it takes others only.
    pub fn takes(self, method: &Method) -> Result<(), Failure> {
        let allowed = match self {
            Self::SignIn
            | Self::SignedOut
            | Self::Session
            | Self::SessionScript
            | Self::Jwks
            | Self::ClientJwks => "GET, HEAD",
            Self::Device | Self::Silent | Self::Resend | Self::RequestObject | Self::FrontchannelLogout => {
                "GET"
            }
            Self::Callback | Self::Initiate | Self::SignOut => "GET, POST",
            Self::BackchannelLogout => "POST",
            Self::Verify => return Ok(()),
        };
        let takes = allowed.split(", ").any(|listed| listed == method.as_str());
        if takes { Ok(()) } else { Err(Failure::Method { allowed }) }
    }

    /// Its name below the prefix.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(endpoint, _)| *endpoint == self).map_or("", |(_, name)| name)
    }
}
