//! `[session]`: keys and times; and the state directory. The cookie and the store have files of their own.

use std::path::PathBuf;
use std::time::Duration;

use super::Judge;
use super::values::{HOUR, SECOND};
use crate::config::place::KeyPath;
use crate::config::problem::Finding;
use crate::config::raw::{Raw, Session};
use crate::foundation::sealing::RootKey;
use crate::gateway::kept_forms::{DEFAULT_FORM_LIMIT, LARGEST_FORM};
use crate::sessions::Settings;

/// Browsers keep no cookie longer than this (RFC 6265bis section 5.6.1).
const LONGEST: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// Whoever was signed out elsewhere must not go on here for longer.
const LONGEST_GRACE: Duration = Duration::from_secs(5 * 60);

impl Judge<'_> {
    /// `[session]`.
    pub(super) fn session(&mut self, at: &KeyPath, raw: &Raw) -> Option<Settings> {
        let session = &raw.session;
        let keys = self.keys(&at.key("keys"), session);
        let store = self.store(at, session);
        let times = self.times(at, session);
        let max_sessions =
            self.number(&at.key("max_sessions"), session.max_sessions, 100_000, 1..=10_000_000);
        let grace = Duration::ZERO..=LONGEST_GRACE;
        let outage_grace =
            self.duration(&at.key("outage_grace"), session.outage_grace.as_deref(), 10 * SECOND, grace);
        let cookie = self.cookie(&at.key("cookie"), raw);
        let (idle_timeout, lifetime) = times?;
        Some(Settings {
            keys: keys?,
            store: store?,
            state_dir: self.state_dir(raw.server.state_dir.as_deref()),
            idle_timeout,
            lifetime,
            cookie: cookie?,
            max_sessions: max_sessions?,
            outage_grace: outage_grace?,
        })
    }

    /// How large a form may be that is kept until its sender has signed in, in bytes; 0: none is kept.
    pub(super) fn form_limit(&mut self, at: &KeyPath, raw: &Session) -> Option<usize> {
        self.number(at, raw.form_limit, DEFAULT_FORM_LIMIT, 0..=LARGEST_FORM)
    }

    fn keys(&mut self, at: &KeyPath, raw: &Session) -> Option<Vec<RootKey>> {
        let each = raw.keys.iter().enumerate().map(|(number, raw)| {
            let path = at.index(number);
            let secret = self.secret(&path, raw)?;
            RootKey::from_base64(secret.expose()).or_else(|| {
                let finding = Finding::invalid("is not a session key").expected("base64 of 32 bytes");
                self.refuse(&path, finding.mend("make one with `vestibule keygen`"))
            })
        });
        each.collect::<Vec<_>>().into_iter().collect()
    }

    fn times(&mut self, at: &KeyPath, raw: &Session) -> Option<(Duration, Duration)> {
        let (idle_text, life_text) = (raw.idle_timeout.as_deref(), raw.lifetime.as_deref());
        let lifetime = self.duration(&at.key("lifetime"), life_text, 24 * HOUR, SECOND..=LONGEST);
        let idle = self.duration(&at.key("idle_timeout"), idle_text, 8 * HOUR, SECOND..=LONGEST);
        let (mut idle, lifetime) = (idle?, lifetime?);
        if idle > lifetime {
            if idle_text.is_some() {
                let (path, mend) = (at.key("idle_timeout"), "raise lifetime or lower idle_timeout");
                let found = format!("{:?}", idle_text.unwrap_or_default());
                let expected = format!("at most lifetime, which is {:?}", life_text.unwrap_or("24h"));
                let finding = Finding::invalid("is longer than the lifetime").found(found).expected(expected);
                return self.refuse(&path, finding.mend(mend));
            }
            idle = lifetime;
        }
        Some((idle, lifetime))
    }

    /// As written; else where systemd says; else beside the configuration file.
    fn state_dir(&self, text: Option<&str>) -> PathBuf {
        let systemd = self.environment.get("STATE_DIRECTORY").and_then(|list| list.split(':').next());
        match (text, systemd) {
            (Some(text), _) => self.path(text),
            (None, Some(directory)) if !directory.is_empty() => PathBuf::from(directory),
            (None, _) => self.path("state"),
        }
    }
}
