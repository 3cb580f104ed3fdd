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
}

/// The type of a key's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text.
    Text,
    /// Text that may be secret and is not shown.
    HiddenText,
    /// An address that may hold a login, which is not shown.
    Address,
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

impl Kind {
    /// Whether nothing but tables will do.
    pub(super) const fn is_table(self) -> bool {
        matches!(self, Self::Table | Self::Tables | Self::TableOrTables | Self::Names)
    }

    /// What is expected, in words.
    pub(super) const fn expected(self) -> &'static str {
        match self {
            Self::Text | Self::HiddenText | Self::Address => "text in quotes",
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

const fn key(path: &'static str, kind: Kind) -> Key {
    Key { path, kind }
}

use Kind::{
    Address, Duration, Flag, HiddenText, Names, Number, Secret, SecretOrSecrets, Secrets, Table,
    TableOrTables, Tables, Text, TextOrTable, TextOrTexts, Texts, TextsOrTables,
};

/// All keys. A table stands before its keys.
#[rustfmt::skip]
pub(super) const KEYS: &[Key] = &[
    key("server", Table),
    key("server.listen", TextOrTexts),
    key("server.danger_allow_http", Flag),
    key("server.tls", TableOrTables),
    key("server.tls.cert", Text),
    key("server.tls.key", Text),
    key("server.state_dir", Text),
    key("server.trusted_proxies", Texts),
    key("server.proxy_protocol", Flag),
    key("server.endpoints", Text),
    key("server.workers", Number),
    key("server.drain_timeout", Duration),
    key("server.limits", Table),
    key("server.limits.head_bytes", Number),
    key("server.limits.headers", Number),
    key("server.limits.head_timeout", Duration),
    key("server.limits.connections", Number),

    key("admin", Table),
    key("admin.listen", Text),
    key("admin.token", Secret),

    key("log", Table),
    key("log.format", Text),
    key("log.level", Text),
    key("log.access", Flag),
    key("log.subject", Flag),

    key("pages", Table),
    key("pages.name", Text),
    key("pages.logo", Text),

    key("session", Table),
    key("session.keys", Secrets),
    key("session.store", Address),
    key("session.redis", Table),
    key("session.redis.username", Text),
    key("session.redis.password", Secret),
    key("session.redis.sentinel_username", Text),
    key("session.redis.sentinel_password", Secret),
    key("session.redis.ca", Text),
    key("session.redis.tls_client", Table),
    key("session.redis.tls_client.cert", Text),
    key("session.redis.tls_client.key", Text),
    key("session.redis.prefix", Text),
    key("session.redis.timeout", Duration),
    key("session.idle_timeout", Duration),
    key("session.lifetime", Duration),
    key("session.max_sessions", Number),
    key("session.outage_grace", Duration),
    key("session.form_limit", Number),
    key("session.cookie", Table),
    key("session.cookie.name", Text),
    key("session.cookie.domain", Text),
    key("session.cookie.same_site", Text),
    key("session.cookie.partitioned", Flag),

    key("providers", Names),
    key("providers.*", Table),
    key("providers.*.protocol", Text),
    key("providers.*.subject", Text),
    key("providers.*.issuer", Text),
    key("providers.*.discovery", Flag),
    key("providers.*.authorization_endpoint", Text),
    key("providers.*.token_endpoint", Text),
    key("providers.*.userinfo_endpoint", Text),
    key("providers.*.jwks_uri", Text),
    key("providers.*.end_session_endpoint", Text),
    key("providers.*.introspection_endpoint", Text),
    key("providers.*.revocation_endpoint", Text),
    key("providers.*.device_authorization_endpoint", Text),
    key("providers.*.pushed_authorization_request_endpoint", Text),
    key("providers.*.client_id", Text),
    key("providers.*.client_secret", Secret),
    key("providers.*.client_auth", Text),
    key("providers.*.decryption_key", SecretOrSecrets),
    key("providers.*.introspection_auth", Text),
    key("providers.*.revocation_auth", Text),
    key("providers.*.private_key", Secret),
    key("providers.*.tls_client", Table),
    key("providers.*.tls_client.cert", Text),
    key("providers.*.tls_client.key", Text),
    key("providers.*.ca", Text),
    key("providers.*.label", Text),
    key("providers.*.domains", Texts),
    key("providers.*.scopes", Texts),
    key("providers.*.response_mode", Text),
    key("providers.*.request", Text),
    key("providers.*.dpop", Flag),
    key("providers.*.profile", Text),
    key("providers.*.userinfo", Text),
    key("providers.*.id_token_algs", Texts),
    key("providers.*.clock_skew", Duration),
    key("providers.*.timeout", Duration),
    key("providers.*.prompt", Text),
    key("providers.*.acr_values", Text),
    key("providers.*.max_age", Duration),
    key("providers.*.ui_locales", Text),
    key("providers.*.audience", Text),
    key("providers.*.claims", Text),
    key("providers.*.resource", Texts),
    key("providers.*.login_hint", Text),
    key("providers.*.params", Names),
    key("providers.*.params.*", Text),
    key("providers.*.logout", Table),
    key("providers.*.logout.id_token_hint", Flag),
    key("providers.*.logout.session_param", Text),

    key("apps", Names),
    key("apps.*", Table),
    key("apps.*.url", Text),
    key("apps.*.upstream", TextOrTexts),
    key("apps.*.provider", TextOrTexts),
    key("apps.*.strip_prefix", Flag),
    key("apps.*.callback_path", Text),
    key("apps.*.silent_path", Text),
    key("apps.*.device", Flag),
    key("apps.*.host_header", Text),
    key("apps.*.timeouts", Table),
    key("apps.*.timeouts.connect", Duration),
    key("apps.*.timeouts.response", Duration),
    key("apps.*.websocket_origins", Texts),
    key("apps.*.cors_origins", Texts),
    key("apps.*.upstream_tls", Table),
    key("apps.*.upstream_tls.ca", Text),
    key("apps.*.upstream_tls.server_name", Text),
    key("apps.*.identity_jwt", Table),
    key("apps.*.identity_jwt.header", Text),
    key("apps.*.identity_jwt.audience", Text),
    key("apps.*.headers", Names),
    key("apps.*.headers.*", TextOrTable),
    key("apps.*.headers.*.claim", Text),
    key("apps.*.headers.*.template", Text),
    key("apps.*.headers.*.expr", Text),
    key("apps.*.headers.*.value", HiddenText),
    key("apps.*.headers.*.token", Text),
    key("apps.*.headers.*.join", Text),
    key("apps.*.headers.*.encode", Text),
    key("apps.*.headers.*.default", Text),
    key("apps.*.headers.*.required", Flag),
    key("apps.*.rules", Tables),
    key("apps.*.rules.paths", Texts),
    key("apps.*.rules.methods", Texts),
    key("apps.*.rules.access", Text),
    key("apps.*.rules.scopes", Texts),
    key("apps.*.rules.provider", Text),
    key("apps.*.rules.allow", Text),
    key("apps.*.rules.acr", Text),
    key("apps.*.rules.max_age", Duration),
    key("apps.*.logout", Table),
    key("apps.*.logout.paths", Texts),
    key("apps.*.logout.redirect", Text),
    key("apps.*.logout.callback_path", Text),
    key("apps.*.logout.clear_cookies", TextsOrTables),
    key("apps.*.logout.clear_cookies.name", Text),
    key("apps.*.logout.clear_cookies.path", Text),
    key("apps.*.logout.clear_cookies.domain", Text),
    key("apps.*.logout.on_end", Table),
    key("apps.*.logout.on_end.method", Text),
    key("apps.*.logout.on_end.url", Text),
];

/// The table of the whole configuration, whose keys are the outermost.
pub(super) const ROOT: Key = key("", Table);

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
        is_telling(name) || meant.is_none_or(|meant| meant.is_secret(name) || meant.kind == Kind::Address)
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
