//! Floor 5: from text to `Settings`.
//!
//! A file in TOML, then the environment over it, are merged by figment; a walk beside the schema finds what
//! has no place; a judgement makes `Settings` of the rest. Every step notes its problems and goes on where it
//! can, so that an operator sees them all at once, each with its line.

mod environment;
mod file;
mod judge;
mod place;
mod problem;
mod raw;
mod report;
mod schema;
mod source;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use figment::value::{Dict, Map};
use figment::{Figment, Metadata, Profile, Provider};

pub use self::environment::environment;
pub use self::judge::duration;
pub use self::problem::{Fault, Location, Problem, Problems};
pub use self::source::Position;

use self::judge::{Judge, PlainHttp};
use self::place::KeyPath;
use self::problem::Finding;
use self::report::Report;
use self::source::Source;
use crate::foundation::secret::Secret;
use crate::{gateway, oidc, server, sessions, telemetry};

/// The whole configuration, judged.
#[derive(Debug)]
pub struct Settings {
    /// The public listeners.
    pub server: server::Settings,
    /// The admin listener.
    pub admin: Admin,
    /// How sessions are kept.
    pub sessions: sessions::Settings,
    /// The providers, in the order of the configuration.
    pub providers: Vec<oidc::Settings>,
    /// The apps and how they are served.
    pub gateway: gateway::Settings,
    /// Logs.
    pub telemetry: telemetry::Settings,
}

/// The admin listener, and who may see sessions there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admin {
    /// Its address; `None` when it is switched off with an empty string.
    pub listen: Option<SocketAddr>,
    /// What operators show; `None`: nobody sees or ends sessions.
    pub token: Option<Secret>,
}

/// Reads the file at `path`, and `environment` over it.
///
/// # Errors
/// Everything that is wrong with them.
pub fn load(path: &Path, environment: impl Iterator<Item = (String, String)>) -> Result<Settings, Problems> {
    let base = path.parent().unwrap_or(Path::new(""));
    read(file::read(path)?, base, environment.collect(), |_| {}, judge::judge)
}

/// As [`load`], but only the admin listener is judged, so that an operator needs no secret but its token.
///
/// # Errors
/// Everything that is wrong with it, and keys that have no place wherever they stand.
pub fn load_admin(
    path: &Path,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Admin, Problems> {
    let base = path.parent().unwrap_or(Path::new(""));
    read(
        file::read(path)?,
        base,
        environment.collect(),
        |_| {},
        |judge, raw| judge.admin(&KeyPath::root(), raw),
    )
}

/// As [`load`], but that this provider's table lacks what registration will bring: identifier and secret.
///
/// # Errors
/// Everything else that is wrong with them.
pub fn load_unregistered(
    path: &Path,
    environment: impl Iterator<Item = (String, String)>,
    provider: &str,
) -> Result<Settings, Problems> {
    let base = path.parent().unwrap_or(Path::new(""));
    let stand_in = |raw: &mut raw::Raw| {
        if let Some(provider) = raw.providers.get_mut(provider) {
            provider.stand_in_for_registration();
        }
    };
    read(file::read(path)?, base, environment.collect(), stand_in, judge::judge)
}

/// Reads a configuration that is no file. Relative paths in it begin at `base`; problems name it
/// `config.toml`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load_text(
    text: &str,
    base: &Path,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Settings, Problems> {
    let source = Source { name: "config.toml".to_owned(), text: text.to_owned(), hidden: Vec::new() };
    read(source, base, environment.collect(), |_| {}, judge::judge)
}

fn read<T>(
    source: Source,
    base: &Path,
    environment: BTreeMap<String, String>,
    prepare: impl FnOnce(&mut raw::Raw),
    judge: impl FnOnce(&mut Judge<'_>, &raw::Raw) -> Option<T>,
) -> Result<T, Problems> {
    let mut report = Report::on(source);
    let Some(mut file) = file::parse(&mut report) else { return report.conclude(None) };
    let variables = environment::layer(&mut report, &environment, &mut file);
    let merged = Figment::from(Layer("the file", file)).merge(Layer("the environment", variables));
    // Layers hold their values already, so merging them can't fail; were it to, nothing would be configured.
    let values = merged.data().unwrap_or_default().remove(&Profile::Default).unwrap_or_default();
    let values = walk::walk(&mut report, values);
    let settings = match Figment::from(Layer("what is left", values)).extract() {
        Ok(raw) => {
            let mut raw: raw::Raw = raw;
            raw.providers.values_mut().for_each(raw::Provider::fill_in_profile);
            prepare(&mut raw);
            let plain_http = PlainHttp::Loopback;
            let mut court = Judge { report: &mut report, base, environment: &environment, plain_http };
            judge(&mut court, &raw)
        }
        // The walk let through what the raw shape does not take: a mistake of ours, told nevertheless.
        Err(error) => {
            report.add(&KeyPath::root(), Finding::invalid(format!("can't be read: {}", error.kind)));
            None
        }
    };
    report.conclude(settings)
}

/// Values that were read already, as a source of figment's.
struct Layer(&'static str, Dict);

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.0)
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Map::from([(Profile::Default, self.1.clone())]))
    }
}
