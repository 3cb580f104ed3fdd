//! Floor 5: from text to `Settings`.

use std::net::SocketAddr;

use crate::{gateway, oidc, server, sessions, telemetry};

/// The whole configuration, judged.
#[derive(Debug)]
pub struct Settings {
    /// The public listeners.
    pub server: server::Settings,
    /// The admin listener; `None` when it is switched off with an empty string.
    pub admin: Option<SocketAddr>,
    /// How sessions are kept.
    pub sessions: sessions::Settings,
    /// The providers, in the order of the configuration.
    pub providers: Vec<oidc::Settings>,
    /// The apps and how they are served.
    pub gateway: gateway::Settings,
    /// Logs.
    pub telemetry: telemetry::Settings,
}
