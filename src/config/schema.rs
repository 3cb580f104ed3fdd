//! Every key that a configuration may have: its type, and whether it works yet.
//!
//! This table is all that the walk, the environment and the tests of `config.toml.example` know of keys.
//! What a value means is judged elsewhere.

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    /// Where it stands; `*` is a name of the administrator's choosing.
    pub(super) path: &'static str,
    /// The type of its value.
    pub(super) kind: Kind,
    /// Whether it works yet.
    pub(super) support: Support,
}

/// The type of a key's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text.
    Text,
    /// Text that may be secret and is not shown.
    HiddenText,
    /// A length of time, as text.
    Duration,
    /// A secret: text, or where it is kept.
    Secret,
    /// `true` or `false`.
    Flag,
    /// A whole number, not negative.
    Number,
    /// A list of text.
    Texts,
    /// Text, or a list of it.
    TextOrTexts,
    /// A list of text and of tables with the keys of this schema.
    TextsOrTables,
    /// A list of secrets.
    Secrets,
    /// A secret, or a list of them.
    SecretOrSecrets,
    /// A table with the keys of this schema.
    Table,
    /// A list of such tables.
    Tables,
    /// Such a table or a list of them.
    TableOrTables,
    /// Text or such a table.
    TextOrTable,
    /// A table whose names the administrator chooses.
    Names,
}

/// Whether a key works yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Support {
    /// It works.
    Now,
    /// It belongs to a version to come, and is refused.
    Later,
}

impl Kind {
    /// Whether nothing but tables will do.
    pub(super) const fn is_table(self) -> bool {
        matches!(self, Self::Table | Self::Tables | Self::TableOrTables | Self::Names)
    }

    /// What is expected, in words.
    pub(super) const fn expected(self) -> &'static str {
        match self {
            Self::Text | Self::HiddenText => "text in quotes",
            Self::Duration => "a duration such as \"90s\", \"15m\", \"8h\" or \"30d\"",
            Self::Secret => "text in quotes, { env = \"NAME\" } or { file = \"path\" }",
            Self::Flag => "true or false",
            Self::Number => "a whole number, 0 or more",
            Self::Texts => "a list such as [\"a\", \"b\"]",
            Self::TextOrTexts => "text in quotes or a list such as [\"a\", \"b\"]",
            Self::SecretOrSecrets => {
                "text in quotes, { env = \"NAME\" }, { file = \"path\" }, or a list of them"
            }
            Self::Secrets => "a list of secrets such as [{ env = \"NAME\" }]",
            Self::Table | Self::Names => "a table",
            Self::Tables => "a list of tables",
            Self::TableOrTables => "a table or a list of tables",
            Self::TextOrTable => "text in quotes or a table",
            Self::TextsOrTables => "a list of texts in quotes or tables",
        }
    }
}

const fn now(path: &'static str, kind: Kind) -> Key {
    Key { path, kind, support: Support::Now }
}

#[expect(dead_code, reason = "no key is of a version to come at the moment; the next one is written with it")]
const fn later(path: &'static str, kind: Kind) -> Key {
    Key { path, kind, support: Support::Later }
}

use Kind::{
    Duration, Flag, HiddenText, Names, Number, Secret, SecretOrSecrets, Secrets, Table, TableOrTables,
    Tables, Text, TextOrTable, TextOrTexts, Texts, TextsOrTables,
};

/// All keys. A table stands before its keys.
#[rustfmt::skip]
pub(super) const KEYS: &[Key] = &[
    now("server", Table),
    now("server.listen", TextOrTexts),
    now("server.danger_allow_http", Flag),
    now("server.tls", TableOrTables),
    now("server.tls.cert", Text),
    now("server.tls.key", Text),
    now("server.state_dir", Text),
    now("server.trusted_proxies", Texts),
    now("server.proxy_protocol", Flag),
    now("server.endpoints", Text),
    now("server.workers", Number),
    now("server.drain_timeout", Duration),
    now("server.limits", Table),
    now("server.limits.head_bytes", Number),
    now("server.limits.headers", Number),
    now("server.limits.head_timeout", Duration),
    now("server.limits.connections", Number),

    now("admin", Table),
    now("admin.listen", Text),
    now("admin.token", Secret),

    now("log", Table),
    now("log.format", Text),
    now("log.level", Text),
    now("log.access", Flag),
    now("log.subject", Flag),

    now("pages", Table),
    now("pages.name", Text),
    now("pages.logo", Text),

    now("session", Table),
    now("session.keys", Secrets),
    now("session.store", Text),
    now("session.redis", Table),
    now("session.redis.username", Text),
    now("session.redis.password", Secret),
    now("session.redis.sentinel_username", Text),
    now("session.redis.sentinel_password", Secret),
    now("session.redis.ca", Text),
    now("session.redis.tls_client", Table),
    now("session.redis.tls_client.cert", Text),
    now("session.redis.tls_client.key", Text),
    now("session.redis.prefix", Text),
    now("session.redis.timeout", Duration),
    now("session.idle_timeout", Duration),
    now("session.lifetime", Duration),
    now("session.max_sessions", Number),
    now("session.outage_grace", Duration),
    now("session.form_limit", Number),
    now("session.cookie", Table),
    now("session.cookie.name", Text),
    now("session.cookie.domain", Text),
    now("session.cookie.same_site", Text),
    now("session.cookie.partitioned", Flag),

    now("providers", Names),
    now("providers.*", Table),
    now("providers.*.protocol", Text),
    now("providers.*.subject", Text),
    now("providers.*.issuer", Text),
    now("providers.*.discovery", Flag),
    now("providers.*.authorization_endpoint", Text),
    now("providers.*.token_endpoint", Text),
    now("providers.*.userinfo_endpoint", Text),
    now("providers.*.jwks_uri", Text),
    now("providers.*.end_session_endpoint", Text),
    now("providers.*.introspection_endpoint", Text),
    now("providers.*.revocation_endpoint", Text),
    now("providers.*.device_authorization_endpoint", Text),
    now("providers.*.pushed_authorization_request_endpoint", Text),
    now("providers.*.client_id", Text),
    now("providers.*.client_secret", Secret),
    now("providers.*.client_auth", Text),
    now("providers.*.decryption_key", SecretOrSecrets),
    now("providers.*.introspection_auth", Text),
    now("providers.*.revocation_auth", Text),
    now("providers.*.private_key", Secret),
    now("providers.*.tls_client", Table),
    now("providers.*.tls_client.cert", Text),
    now("providers.*.tls_client.key", Text),
    now("providers.*.ca", Text),
    now("providers.*.label", Text),
    now("providers.*.domains", Texts),
    now("providers.*.scopes", Texts),
    now("providers.*.response_mode", Text),
    now("providers.*.request", Text),
    now("providers.*.dpop", Flag),
    now("providers.*.profile", Text),
    now("providers.*.userinfo", Text),
    now("providers.*.id_token_algs", Texts),
    now("providers.*.clock_skew", Duration),
    now("providers.*.timeout", Duration),
    now("providers.*.prompt", Text),
    now("providers.*.acr_values", Text),
    now("providers.*.max_age", Duration),
    now("providers.*.ui_locales", Text),
    now("providers.*.audience", Text),
    now("providers.*.claims", Text),
    now("providers.*.resource", Texts),
    now("providers.*.login_hint", Text),
    now("providers.*.params", Names),
    now("providers.*.params.*", Text),
    now("providers.*.logout", Table),
    now("providers.*.logout.id_token_hint", Flag),
    now("providers.*.logout.session_param", Text),

    now("apps", Names),
    now("apps.*", Table),
    now("apps.*.url", Text),
    now("apps.*.upstream", TextOrTexts),
    now("apps.*.provider", TextOrTexts),
    now("apps.*.strip_prefix", Flag),
    now("apps.*.callback_path", Text),
    now("apps.*.silent_path", Text),
    now("apps.*.device", Flag),
    now("apps.*.host_header", Text),
    now("apps.*.timeouts", Table),
    now("apps.*.timeouts.connect", Duration),
    now("apps.*.timeouts.response", Duration),
    now("apps.*.websocket_origins", Texts),
    now("apps.*.cors_origins", Texts),
    now("apps.*.upstream_tls", Table),
    now("apps.*.upstream_tls.ca", Text),
    now("apps.*.upstream_tls.server_name", Text),
    now("apps.*.identity_jwt", Table),
    now("apps.*.identity_jwt.header", Text),
    now("apps.*.identity_jwt.audience", Text),
    now("apps.*.headers", Names),
    now("apps.*.headers.*", TextOrTable),
    now("apps.*.headers.*.claim", Text),
    now("apps.*.headers.*.template", Text),
    now("apps.*.headers.*.expr", Text),
    now("apps.*.headers.*.value", HiddenText),
    now("apps.*.headers.*.token", Text),
    now("apps.*.headers.*.join", Text),
    now("apps.*.headers.*.encode", Text),
    now("apps.*.headers.*.default", Text),
    now("apps.*.headers.*.required", Flag),
    now("apps.*.rules", Tables),
    now("apps.*.rules.paths", Texts),
    now("apps.*.rules.methods", Texts),
    now("apps.*.rules.access", Text),
    now("apps.*.rules.scopes", Texts),
    now("apps.*.rules.provider", Text),
    now("apps.*.rules.allow", Text),
    now("apps.*.rules.acr", Text),
    now("apps.*.rules.max_age", Duration),
    now("apps.*.logout", Table),
    now("apps.*.logout.paths", Texts),
    now("apps.*.logout.redirect", Text),
    now("apps.*.logout.callback_path", Text),
    now("apps.*.logout.clear_cookies", TextsOrTables),
    now("apps.*.logout.clear_cookies.name", Text),
    now("apps.*.logout.clear_cookies.path", Text),
    now("apps.*.logout.clear_cookies.domain", Text),
    now("apps.*.logout.on_end", Table),
    now("apps.*.logout.on_end.method", Text),
    now("apps.*.logout.on_end.url", Text),
];

/// The table of the whole configuration, whose keys are the outermost.
pub(super) const ROOT: Key = now("", Table);

impl Key {
    /// The key `name` of this table.
    pub(super) fn child(&self, name: &str) -> Option<&'static Key> {
        let mut any = None;
        for key in self.children() {
            match key.name() {
                "*" => any = Some(key),
                own if own == name => return Some(key),
                _ => {}
            }
        }
        any
    }

    /// The keys of this table.
    pub(super) fn children(&self) -> impl Iterator<Item = &'static Key> {
        KEYS.iter().filter(|key| key.parent() == self.path)
    }

    /// The last part of the path.
    pub(super) fn name(&self) -> &'static str {
        self.path.rsplit('.').next().unwrap_or(self.path)
    }

    fn parent(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(parent, _)| parent)
    }

    /// Whether the value of the entry `name` must not be shown: by its type, and by its name where
    /// administrators choose names.
    pub(super) fn is_secret(&self, name: &str) -> bool {
        matches!(self.kind, Kind::Secret | Kind::Secrets | Kind::SecretOrSecrets | Kind::HiddenText)
            || self.name() == "*" && self.kind == Kind::Text && is_telling(name)
    }

    /// Whether a table here says where a secret is kept.
    pub(super) fn is_secret_reference(&self) -> bool {
        matches!(self.kind, Kind::Secret | Kind::Secrets | Kind::SecretOrSecrets)
    }

    /// Whether `name`, which this table does not know, may be a secret's key, mistyped.
    pub(super) fn may_mean_secret(&self, name: &str) -> bool {
        let meant = nearest(name, self.children().map(Key::name)).and_then(|meant| self.child(meant));
        is_telling(name) || meant.is_none_or(|meant| meant.is_secret(name))
    }
}

/// Whether a name says that its value is secret.
fn is_telling(name: &str) -> bool {
    let folded = name.to_ascii_lowercase();
    ["secret", "password", "passwd", "token", "key", "credential"].iter().any(|word| folded.contains(word))
}

/// The candidate that was probably meant by `name`.
pub(super) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let folded = name.to_lowercase().replace('-', "_");
    candidates
        .map(|candidate| {
            let like = candidate.to_lowercase().replace('-', "_");
            (strsim::normalized_damerau_levenshtein(&folded, &like), candidate)
        })
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_stands_once_and_in_a_table_of_its_own() {
        for (number, key) in KEYS.iter().enumerate() {
            assert!(!KEYS[..number].iter().any(|other| other.path == key.path), "{} stands twice", key.path);
            let parent = KEYS[..number].iter().find(|other| other.path == key.parent());
            assert!(key.parent().is_empty() || parent.is_some(), "{} has no table before it", key.path);
        }
    }

    #[test]
    fn the_nearest_name_is_found_through_typing_errors() {
        let names = || ["idle_timeout", "lifetime", "keys"].into_iter();
        assert_eq!(nearest("idle_timout", names()), Some("idle_timeout"));
        assert_eq!(nearest("Idle-Timeout", names()), Some("idle_timeout"));
        assert_eq!(nearest("colour", names()), None);
    }
}
