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
    post_logout_redirect_uri: String,
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
    let of_app = |app: &'_ App| {
        let App { origin, prefix, callback_path, .. } = app;
        (format!("{origin}{callback_path}"), format!("{origin}{prefix}{endpoints}/signed-out"))
    };
    let each = settings.providers.iter().flat_map(|provider| {
        let apps = settings.gateway.apps.iter().filter(|app| app.providers.contains(&provider.name));
        apps.map(|app| {
            let (redirect_uri, post_logout_redirect_uri) = of_app(app);
            Addresses { provider: &provider.name, app: &app.name, redirect_uri, post_logout_redirect_uri }
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
    for Addresses { provider, app, redirect_uri, post_logout_redirect_uri } in addresses {
        for (what, address) in [("redirect", redirect_uri), ("post-logout", post_logout_redirect_uri)] {
            text += &format!("{provider:<provider_width$}  {app:<app_width$}  {what:<11}  {address}\n");
        }
    }
    text
}
