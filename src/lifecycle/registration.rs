//! The registration of this gateway as a client of one of its providers: the addresses of all apps that have it.

use thiserror::Error;
use tokio::runtime;
use url::Url;

use super::{StartError, assemble};
use crate::config;
use crate::foundation::clock::Clock;
use crate::foundation::secret::Secret;
use crate::gateway::apps::Endpoint;
use crate::oidc::{ClientAddresses, OidcError, Registered};

/// Why no client was registered.
#[derive(Debug, Error)]
pub enum RegistrationError {
    /// The provider can't even be asked.
    #[error(transparent)]
    Start(#[from] StartError),
    /// There is no provider of that name.
    #[error("the configuration has no provider {0}")]
    UnknownProvider(String),
    /// No app has it, so that there is nothing to come back to.
    #[error("no app has the provider {0}")]
    NoApp(String),
    /// The provider did not register us.
    #[error(transparent)]
    Provider(#[from] OidcError),
}

impl RegistrationError {
    /// What the operator should do.
    pub fn mend(&self) -> Option<&'static str> {
        match self {
            Self::Start(error) => Some(error.mend()),
            Self::UnknownProvider(_) => Some("name one of its tables [providers.…] with --provider"),
            Self::NoApp(_) => Some("name it in provider of an app"),
            Self::Provider(error) => error.mend(),
        }
    }
}

/// Registers the gateway at this provider, under `name`.
///
/// # Errors
/// When the provider can't be asked or refuses.
pub fn register(
    settings: config::Settings,
    provider: &str,
    name: &str,
    token: Option<&Secret>,
) -> Result<Registered, RegistrationError> {
    let clock = Clock::system();
    if !settings.providers.iter().any(|known| known.name == provider) {
        return Err(RegistrationError::UnknownProvider(provider.to_owned()));
    }
    let ends_unseen = settings.sessions.store.ends_unseen();
    let apps = assemble::apps_alone(settings, &clock)?;
    let mut addresses = ClientAddresses::default();
    let mut found = None;
    for app in &apps {
        let Some(provider) = app.provider_named(provider) else { continue };
        let redirects = [app.callback_of(provider), app.silent_callback(provider)];
        for uri in redirects.into_iter().flatten() {
            if !addresses.redirect.contains(&uri) {
                addresses.redirect.push(uri);
            }
        }
        addresses.post_logout.extend(app.url_of(Endpoint::SignedOut));
        // Each app's address ends the sessions of all: the first one will do.
        let first = |known: Option<Url>, endpoint| known.or_else(|| app.url_of(endpoint));
        addresses.initiate_login = first(addresses.initiate_login, Endpoint::Initiate);
        if ends_unseen {
            addresses.backchannel_logout = first(addresses.backchannel_logout, Endpoint::BackchannelLogout);
            addresses.frontchannel_logout =
                first(addresses.frontchannel_logout, Endpoint::FrontchannelLogout);
        }
        found = Some(provider);
    }
    let provider = found.ok_or_else(|| RegistrationError::NoApp(provider.to_owned()))?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)?;
    Ok(runtime.block_on(provider.register(&addresses, name, token))?)
}
