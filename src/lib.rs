//! Vestibule puts company sign-in in front of web applications that don't have it.
//!
//! It is a reverse proxy and an OpenID Connect relying party. The parts stand on floors and import only
//! downwards (`ARCHITECTURE.md`; `tests/architecture` keeps it so). A request's path is written down in
//! [`gateway`].

pub mod cli;
pub mod config;
pub mod demo;
pub mod foundation;
pub mod gateway;
pub mod identity;
pub mod lifecycle;
pub mod oidc;
pub mod server;
pub mod sessions;
pub mod telemetry;
pub mod upstream;
