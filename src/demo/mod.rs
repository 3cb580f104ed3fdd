//! A room of its own: the development provider and the sample LMS that `vestibule demo` puts on loopback.
//!
//! Only `cli/demo.rs` opens its door; nothing that `run` does can reach it. The provider asks for no password
//! and must never stand in front of anything real. The gateway of a demo is the ordinary one: it is
//! configured with the text of [`Demo::config_toml`], read like any other configuration.

#[cfg(test)]
mod asking;
mod lms;
mod params;
mod provider;
mod serving;
mod state_dir;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use askama::Template;
use tokio::net::TcpListener;

use self::lms::Lms;
use self::provider::{Client, Provider};
use self::state_dir::StateDir;
use crate::foundation::clock::Clock;
use crate::foundation::random;
use crate::foundation::secret::Secret;

/// A development provider and a sample LMS, bound to loopback, and what the gateway before them needs.
pub struct Demo {
    gateway: SocketAddr,
    issuer: String,
    client_id: String,
    client_secret: Secret,
    lms_address: SocketAddr,
    provider: Arc<Provider>,
    provider_listeners: Vec<TcpListener>,
    lms: Arc<Lms>,
    lms_listener: TcpListener,
    state_dir: StateDir,
}

/// Why a demo could not be put up.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The gateway's address is reachable from other machines, and the provider asks for no password.
    #[error("{0} is not a loopback address, and the demo's provider lets anyone in without a password")]
    NotLoopback(SocketAddr),
    /// Something else listens on the gateway's address.
    #[error("{address} is in use by another program")]
    InUse {
        /// The address that the gateway should have had.
        address: SocketAddr,
    },
    /// An address could not be bound for another reason.
    #[error("{address} cannot be listened on: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// No key could be made for the provider's signatures.
    #[error("no signing key could be made")]
    SigningKey,
    /// The directory for what the gateway keeps could not be made.
    #[error("the directory {} cannot be made: {source}", path.display())]
    StateDir {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Demo {
    /// Binds the provider and the LMS to free loopback ports. `gateway` is where the gateway is going to
    /// listen; its port 0 becomes a free one.
    ///
    /// # Errors
    /// When `gateway` is not a loopback address or is taken, or the system gives no port, key or directory.
    pub async fn bind(gateway: SocketAddr, clock: Clock) -> Result<Self, DemoError> {
        // SECURITY: signing in takes one click, so the demo must not be offered to other machines.
        if !gateway.ip().is_loopback() {
            return Err(DemoError::NotLoopback(gateway));
        }
        let gateway = probe(gateway).await?;
        let (provider_listeners, provider_port) = bind_localhost().await?;
        let lms_listener = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let lms_address = local_addr(&lms_listener)?;

        // Cookies belong to a host whatever its port: the provider is `localhost`, the app is not.
        let issuer = format!("http://localhost:{provider_port}");
        let client_id = "lms".to_owned();
        let client_secret = Secret::new(random::token());
        let client = Client {
            id: client_id.clone(),
            secret: client_secret.clone(),
            redirect_uri: format!("http://{gateway}/_sso/callback"),
            post_logout_redirect_uri: format!("http://{gateway}/_sso/signed-out"),
        };
        let provider =
            Provider::new(issuer.clone(), client, clock.clone()).map_err(|_| DemoError::SigningKey)?;
        Ok(Self {
            gateway,
            issuer,
            client_id,
            client_secret,
            lms_address,
            provider: Arc::new(provider),
            provider_listeners,
            lms: Arc::new(Lms::new(clock)),
            lms_listener,
            state_dir: StateDir::make()?,
        })
    }

    /// Where a person opens the LMS: the gateway's address as a browser writes it.
    pub fn app_url(&self) -> String {
        format!("http://{}", self.gateway)
    }

    /// The development provider's address, which is its issuer identifier.
    pub fn provider_url(&self) -> &str {
        &self.issuer
    }

    /// Where the LMS itself listens; it believes every identity header, so only the gateway should ask it.
    pub const fn lms_address(&self) -> SocketAddr {
        self.lms_address
    }

    /// The gateway's configuration for this demo.
    pub fn config_toml(&self) -> String {
        let config = Config {
            listen: self.gateway,
            state_dir: toml::Value::from(self.state_dir.path().to_string_lossy().as_ref()),
            issuer: &self.issuer,
            client_id: &self.client_id,
            client_secret: self.client_secret.expose(),
            lms: self.lms_address,
        };
        // The template writes plain values into a string, which cannot fail.
        config.render().unwrap_or_default()
    }

    /// Serves the provider and the LMS until `shutdown` is over.
    pub async fn serve(&self, shutdown: impl Future<Output = ()>) {
        let provider = serving::serve(&self.provider_listeners, {
            let provider = Arc::clone(&self.provider);
            move |request| Arc::clone(&provider).answer(request)
        });
        let lms = serving::serve(std::slice::from_ref(&self.lms_listener), {
            let lms = Arc::clone(&self.lms);
            move |request| Arc::clone(&lms).answer(request)
        });
        tokio::select! {
            () = shutdown => {}
            () = provider => {}
            () = lms => {}
        }
    }
}

#[derive(Template)]
#[template(path = "demo/config.toml", escape = "none")]
struct Config<'a> {
    listen: SocketAddr,
    state_dir: toml::Value,
    issuer: &'a str,
    client_id: &'a str,
    client_secret: &'a str,
    lms: SocketAddr,
}

/// Finds out whether the gateway's address is free; the gateway itself shares its port between workers
/// (`SO_REUSEPORT`) and so would not notice another gateway there.
async fn probe(address: SocketAddr) -> Result<SocketAddr, DemoError> {
    local_addr(&bind(address).await?)
}

/// The same free port on both addresses that `localhost` may mean; on a machine without IPv6, on one.
async fn bind_localhost() -> Result<(Vec<TcpListener>, u16), DemoError> {
    const ATTEMPTS: usize = 8;
    let mut attempt = 1;
    loop {
        let v4 = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let port = local_addr(&v4)?.port();
        match bind(SocketAddr::from((Ipv6Addr::LOCALHOST, port))).await {
            Ok(v6) => return Ok((vec![v4, v6], port)),
            // SECURITY: with this port of [::1] in other hands, some browsers would sign in there.
            Err(DemoError::InUse { .. }) if attempt < ATTEMPTS => attempt += 1,
            Err(taken @ DemoError::InUse { .. }) => return Err(taken),
            Err(_) => return Ok((vec![v4], port)),
        }
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, DemoError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => DemoError::InUse { address },
        _ => DemoError::Bind { address, source },
    })
}

fn local_addr(listener: &TcpListener) -> Result<SocketAddr, DemoError> {
    let unknown = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    listener.local_addr().map_err(|source| DemoError::Bind { address: unknown, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn demo() -> Demo {
        Demo::bind("127.0.0.1:0".parse().unwrap(), Clock::system()).await.unwrap()
    }

    #[tokio::test]
    async fn the_configuration_is_toml_and_names_the_bound_addresses() {
        let demo = demo().await;
        let config: toml::Table = demo.config_toml().parse().unwrap();
        assert_eq!(config["providers"]["demo"]["issuer"].as_str(), Some(demo.provider_url()));
        assert_eq!(config["apps"]["lms"]["url"].as_str(), Some(demo.app_url().as_str()));
        let upstream = format!("http://{}", demo.lms_address());
        assert_eq!(config["apps"]["lms"]["upstream"].as_str(), Some(upstream.as_str()));
        assert_eq!(config["server"]["state_dir"].as_str(), demo.state_dir.path().to_str());
    }

    #[tokio::test]
    async fn an_address_that_others_can_reach_is_refused() {
        for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:4180"] {
            let refused = Demo::bind(address.parse().unwrap(), Clock::system()).await.map(drop);
            assert!(matches!(refused, Err(DemoError::NotLoopback(_))), "{address}");
        }
    }

    #[tokio::test]
    async fn an_address_in_use_is_named() {
        let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let taken = other.local_addr().unwrap();
        let refused = Demo::bind(taken, Clock::system()).await.map(drop);
        assert!(matches!(refused, Err(DemoError::InUse { address }) if address == taken));
    }

    #[tokio::test]
    async fn serving_ends_with_the_shutdown_and_the_directory_with_the_demo() {
        let demo = demo().await;
        let dir = demo.state_dir.path().to_owned();
        demo.serve(std::future::ready(())).await;
        assert!(dir.is_dir());
        drop(demo);
        assert!(!dir.exists());
    }
}
