//! `vestibule urls`: prints, for each provider and app, the addresses to enter at the provider.

use clap::Args;
use serde::Serialize;

use super::{ConfigFile, Exit, answer};
use crate::config::Settings;
use crate::gateway::App;

/// Print the addresses to enter at each provider
#[derive(Debug, Args)]
pub(super) struct Urls {
    #[command(flatten)]
    config: ConfigFile,
    /// Print JSON instead, named as in client registration
    #[arg(long)]
    json: bool,
}

/// The addresses of one app at its provider. The names are those of OpenID Connect Dynamic Client
/// Registration 1.0 section 2 and RP-Initiated Logout 1.0 section 3.1.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Addresses<'a> {
    provider: &'a str,
    app: &'a str,
    redirect_uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    silent_redirect_uri: Option<String>,
    post_logout_redirect_uri: String,
    initiate_login_uri: String,
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
        settings.gateway.apps.iter().filter_map(|app| {
            let App { name, origin, prefix, silent_path, logout_callback, .. } = app;
            let own = |endpoint: &str| format!("{prefix}{endpoints}/{endpoint}");
            let signed_out = logout_callback.clone().unwrap_or_else(|| own("signed-out"));
            let silent = silent_path.as_ref().filter(|_| app.providers.len() == 1);
            Some(Addresses {
                provider: &provider.name,
                app: name,
                redirect_uri: format!("{origin}{}", app.callback_path_of(&provider.name)?),
                silent_redirect_uri: silent.map(|path| format!("{origin}{path}")),
                post_logout_redirect_uri: format!("{origin}{signed_out}"),
                initiate_login_uri: format!("{origin}{}", own("initiate")),
            })
        })
    });
    each.collect()
}

/// One line an address: provider, app, what it is, and the address itself.
fn lines(addresses: &[Addresses<'_>]) -> String {
    let width = |name: fn(&Addresses<'_>) -> usize| addresses.iter().map(name).max().unwrap_or_default();
    let provider_width = width(|line| line.provider.chars().count());
    let app_width = width(|line| line.app.chars().count());
    let mut text = String::new();
    for line in addresses {
        let (provider, app) = (line.provider, line.app);
        let silent = line.silent_redirect_uri.as_ref().map(|address| ("silent", address));
        let after =
            [("post-logout", &line.post_logout_redirect_uri), ("initiate-login", &line.initiate_login_uri)];
        for (what, address) in std::iter::once(("redirect", &line.redirect_uri)).chain(silent).chain(after) {
            text += &format!("{provider:<provider_width$}  {app:<app_width$}  {what:<14}  {address}\n");
        }
    }
    text
}
