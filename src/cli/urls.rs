//! `vestibule urls`: prints, for each provider and app, the addresses to enter at the provider.

use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use super::{ConfigFile, Exit, answer};
use crate::config::Settings;
use crate::gateway::App;
use crate::gateway::apps::Endpoint;
use crate::oidc::RequestForm;

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
    let each = settings.providers.iter().flat_map(|provider| {
        settings.gateway.apps.iter().filter_map(move |app| {
            let App { name, origin, prefix, silent_path, logout_callback, .. } = app;
            let own = |endpoint: Endpoint| format!("{prefix}{endpoints}/{}", endpoint.name());
            let signed_out = logout_callback.clone().unwrap_or_else(|| own(Endpoint::SignedOut));
            let silent = silent_path.as_ref().filter(|_| app.providers.len() == 1);
            let keys = Some(provider.public_keys()).filter(|keys| !keys.is_empty());
            let is_fetched = provider.request == RequestForm::ByReference;
            Some(Addresses {
                provider: &provider.name,
                app: name,
                redirect_uri: format!("{origin}{}", app.callback_path_of(&provider.name)?),
                silent_redirect_uri: silent.map(|path| format!("{origin}{path}")),
                post_logout_redirect_uri: format!("{origin}{signed_out}"),
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
        for (what, item) in [
            ("redirect", Some(&of_app.redirect_uri)),
            ("silent", of_app.silent_redirect_uri.as_ref()),
            ("post-logout", Some(&of_app.post_logout_redirect_uri)),
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
