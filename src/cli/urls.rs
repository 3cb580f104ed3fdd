//! `vestibule urls`: prints, for each provider and app, the addresses to enter at the provider.

use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use super::{ConfigFile, Exit, answer};
use crate::config::Settings;
use crate::gateway::App;
use crate::gateway::apps::Endpoint;
use crate::oidc::{Protocol, RequestForm};

/// Print the addresses to enter at each provider
#[derive(Debug, Args)]
pub(super) struct Urls {
    #[command(flatten)]
    config: ConfigFile,
    /// Print JSON instead, named as in client registration
    #[arg(long)]
    json: bool,
}

/// What a provider has to know of one app. The names are those of OpenID Connect Dynamic Client Registration 1.0
/// section 2 and RP-Initiated Logout 1.0 section 3.1.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Addresses<'a> {
    provider: &'a str,
    app: &'a str,
    redirect_uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    silent_redirect_uri: Option<String>,
    post_logout_redirect_uri: String,
    #[serde(flatten)]
    logout: Option<LogoutAddresses>,
    /// Why there are none.
    #[serde(skip)]
    unheard: bool,
    initiate_login_uri: String,
    /// Where the provider fetches signed requests, each by an address of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_uri: Option<String>,
    /// The public halves of our keys by address, and as it is: one of the two is entered.
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks: Option<Value>,
}

/// Where a provider tells of sign-outs there. The names are those of Back-Channel Logout 1.0 section 2.2 and
/// Front-Channel Logout 1.0 section 2.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct LogoutAddresses {
    backchannel_logout_uri: String,
    backchannel_logout_session_required: bool,
    frontchannel_logout_uri: String,
    frontchannel_logout_session_required: bool,
}

/// What stands in the place of the addresses for the cookie store.
const UNHEARD: &str = "none: session.store = \"cookie\" keeps sessions where no provider can end them";

impl Urls {
    pub(super) fn run(self) -> Exit {
        let settings = match self.config.load() {
            Ok(settings) => settings,
            Err(exit) => return exit,
        };
        let addresses = addresses(&settings);
        if !self.json {
            return answer(lines(&addresses));
        }
        match serde_json::to_string_pretty(&addresses) {
            Ok(json) => answer(json),
            Err(error) => super::complain(error, Exit::Failed),
        }
    }
}

/// The addresses of all apps, by provider in the order of the configuration.
fn addresses(settings: &Settings) -> Vec<Addresses<'_>> {
    let endpoints = &settings.gateway.endpoints;
    let ends_unseen = settings.sessions.store.ends_unseen();
    let each = settings.providers.iter().flat_map(|provider| {
        settings.gateway.apps.iter().filter_map(move |app| {
            let App { name, origin, prefix, silent_path, logout_callback, .. } = app;
            let own = |endpoint: Endpoint| format!("{prefix}{endpoints}/{}", endpoint.name());
            let signed_out = logout_callback.clone().unwrap_or_else(|| own(Endpoint::SignedOut));
            let silent = silent_path.as_ref().filter(|_| app.providers.len() == 1);
            let keys = Some(provider.public_keys()).filter(|keys| !keys.is_empty());
            // What tells of a sign-out is signed as an ID token is.
            let is_told = provider.protocol == Protocol::OpenIdConnect;
            let is_fetched = provider.request == RequestForm::ByReference;
            Some(Addresses {
                provider: &provider.name,
                app: name,
                redirect_uri: format!("{origin}{}", app.callback_path_of(&provider.name)?),
                silent_redirect_uri: silent.map(|path| format!("{origin}{path}")),
                post_logout_redirect_uri: format!("{origin}{signed_out}"),
                logout: (is_told && ends_unseen).then(|| LogoutAddresses {
                    backchannel_logout_uri: format!("{origin}{}", own(Endpoint::BackchannelLogout)),
                    backchannel_logout_session_required: true,
                    frontchannel_logout_uri: format!("{origin}{}", own(Endpoint::FrontchannelLogout)),
                    frontchannel_logout_session_required: true,
                }),
                unheard: is_told && !ends_unseen,
                initiate_login_uri: format!("{origin}{}", own(Endpoint::Initiate)),
                request_uri: is_fetched.then(|| format!("{origin}{}/*", own(Endpoint::RequestObject))),
                jwks_uri: keys.as_ref().map(|_| format!("{origin}{}", own(Endpoint::ClientJwks))),
                jwks: keys.map(|keys| json!({ "keys": keys })),
            })
        })
    });
    each.collect()
}

/// One line an item: provider, app, what it is, and the item itself.
fn lines(addresses: &[Addresses<'_>]) -> String {
    let width = |name: fn(&Addresses<'_>) -> usize| addresses.iter().map(name).max().unwrap_or_default();
    let provider_width = width(|line| line.provider.chars().count());
    let app_width = width(|line| line.app.chars().count());
    let mut text = String::new();
    for of_app in addresses {
        let Addresses { provider, app, .. } = of_app;
        let jwks = of_app.jwks.as_ref().map(Value::to_string);
        let unheard = of_app.unheard.then(|| UNHEARD.to_owned());
        let told = |uri: fn(&LogoutAddresses) -> &String| {
            let told = of_app.logout.as_ref().map(|logout| format!("{}  session required", uri(logout)));
            told.or_else(|| unheard.clone())
        };
        let back = told(|logout| &logout.backchannel_logout_uri);
        let front = told(|logout| &logout.frontchannel_logout_uri);
        for (what, item) in [
            ("redirect", Some(&of_app.redirect_uri)),
            ("silent", of_app.silent_redirect_uri.as_ref()),
            ("post-logout", Some(&of_app.post_logout_redirect_uri)),
            ("back-channel", back.as_ref()),
            ("front-channel", front.as_ref()),
            ("initiate-login", Some(&of_app.initiate_login_uri)),
            ("request", of_app.request_uri.as_ref()),
            ("jwks-uri", of_app.jwks_uri.as_ref()),
            ("jwks", jwks.as_ref()),
        ] {
            if let Some(item) = item {
                text += &format!("{provider:<provider_width$}  {app:<app_width$}  {what:<14}  {item}\n");
            }
        }
    }
    text
}
