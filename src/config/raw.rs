//! The shape of the configuration as it is written: what figment gives after the walk. Nothing is judged here;
//! types and names were, so every field may be absent and none can be wrong.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::oidc::Profile;

/// A value, or a list of values.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    /// The values in order.
    pub(super) fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// A secret, or where it is kept.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum RawSecret {
    Literal(String),
    Environment { env: String },
    File { file: String },
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Raw {
    pub(super) server: Server,
    pub(super) admin: Admin,
    pub(super) log: Log,
    pub(super) pages: Pages,
    pub(super) session: Session,
    pub(super) providers: BTreeMap<String, Provider>,
    pub(super) apps: BTreeMap<String, App>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Server {
    pub(super) listen: Option<OneOrMany<String>>,
    pub(super) danger_allow_http: bool,
    pub(super) tls: Option<OneOrMany<Tls>>,
    pub(super) state_dir: Option<String>,
    pub(super) trusted_proxies: Vec<String>,
    pub(super) proxy_protocol: bool,
    pub(super) endpoints: Option<String>,
    pub(super) workers: Option<u64>,
    pub(super) drain_timeout: Option<String>,
    pub(super) limits: Limits,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Tls {
    pub(super) cert: Option<String>,
    pub(super) key: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Limits {
    pub(super) head_bytes: Option<u64>,
    pub(super) headers: Option<u64>,
    pub(super) head_timeout: Option<String>,
    pub(super) connections: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Admin {
    pub(super) listen: Option<String>,
    pub(super) token: Option<RawSecret>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Log {
    pub(super) format: Option<String>,
    pub(super) level: Option<String>,
    pub(super) access: Option<bool>,
    pub(super) subject: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Pages {
    pub(super) name: Option<String>,
    pub(super) logo: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Session {
    pub(super) keys: Vec<RawSecret>,
    pub(super) store: Option<String>,
    pub(super) redis: Option<Redis>,
    pub(super) idle_timeout: Option<String>,
    pub(super) lifetime: Option<String>,
    pub(super) max_sessions: Option<u64>,
    pub(super) outage_grace: Option<String>,
    pub(super) form_limit: Option<u64>,
    pub(super) cookie: Cookie,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Redis {
    pub(super) username: Option<String>,
    pub(super) password: Option<RawSecret>,
    pub(super) sentinel_username: Option<String>,
    pub(super) sentinel_password: Option<RawSecret>,
    pub(super) ca: Option<String>,
    pub(super) tls_client: Option<Tls>,
    pub(super) prefix: Option<String>,
    pub(super) timeout: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Cookie {
    pub(super) name: Option<String>,
    pub(super) domain: Option<String>,
    pub(super) same_site: Option<String>,
    pub(super) partitioned: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Provider {
    pub(super) protocol: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) issuer: Option<String>,
    pub(super) discovery: Option<bool>,
    pub(super) authorization_endpoint: Option<String>,
    pub(super) token_endpoint: Option<String>,
    pub(super) userinfo_endpoint: Option<String>,
    pub(super) jwks_uri: Option<String>,
    pub(super) end_session_endpoint: Option<String>,
    pub(super) introspection_endpoint: Option<String>,
    pub(super) revocation_endpoint: Option<String>,
    pub(super) device_authorization_endpoint: Option<String>,
    pub(super) pushed_authorization_request_endpoint: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) client_secret: Option<RawSecret>,
    pub(super) client_auth: Option<String>,
    pub(super) decryption_key: Option<OneOrMany<RawSecret>>,
    pub(super) introspection_auth: Option<String>,
    pub(super) revocation_auth: Option<String>,
    pub(super) private_key: Option<RawSecret>,
    pub(super) tls_client: Option<Tls>,
    pub(super) ca: Option<String>,
    pub(super) label: Option<String>,
    pub(super) domains: Vec<String>,
    pub(super) scopes: Option<Vec<String>>,
    pub(super) response_mode: Option<String>,
    pub(super) dpop: Option<bool>,
    pub(super) profile: Option<String>,
    pub(super) request: Option<String>,
    pub(super) userinfo: Option<String>,
    pub(super) id_token_algs: Option<Vec<String>>,
    pub(super) clock_skew: Option<String>,
    pub(super) timeout: Option<String>,
    pub(super) prompt: Option<String>,
    pub(super) acr_values: Option<String>,
    pub(super) max_age: Option<String>,
    pub(super) ui_locales: Option<String>,
    pub(super) audience: Option<String>,
    pub(super) claims: Option<String>,
    pub(super) resource: Vec<String>,
    pub(super) login_hint: Option<String>,
    pub(super) params: BTreeMap<String, String>,
    pub(super) logout: ProviderLogout,
}

impl Provider {
    /// Puts in what the profile sets where nothing is written, so that one line is enough.
    pub(super) fn fill_in_profile(&mut self) {
        if self.profile.as_deref() != Some("fapi2") {
            return;
        }
        let method = match (&self.private_key, &self.tls_client) {
            (Some(_), _) => Some("private_key_jwt"),
            (None, Some(_)) => Some("tls_client_auth"),
            (None, None) => None,
        };
        self.client_auth = self.client_auth.take().or(method.map(str::to_owned));
        self.request.get_or_insert_with(|| "par".to_owned());
        self.dpop.get_or_insert(true);
        let algorithms = || Profile::FAPI2_ALGORITHMS.map(|algorithm| algorithm.name().to_owned()).to_vec();
        self.id_token_algs.get_or_insert_with(algorithms);
    }

    /// Puts in what a registration will bring, so that all else can be judged. It is sent to nobody.
    pub(super) fn stand_in_for_registration(&mut self) {
        let stand_in = || "unregistered".to_owned();
        self.client_id = Some(stand_in());
        let by_secret = match self.client_auth.as_deref() {
            Some(method) => method.starts_with("client_secret"),
            None => self.private_key.is_none() && self.tls_client.is_none(),
        };
        self.client_secret = by_secret.then(|| RawSecret::Literal(stand_in()));
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ProviderLogout {
    pub(super) id_token_hint: Option<bool>,
    pub(super) session_param: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct App {
    pub(super) url: Option<String>,
    pub(super) upstream: Option<OneOrMany<String>>,
    pub(super) provider: Option<OneOrMany<String>>,
    pub(super) strip_prefix: bool,
    pub(super) callback_path: Option<String>,
    pub(super) silent_path: Option<String>,
    pub(super) device: Option<bool>,
    pub(super) host_header: Option<String>,
    pub(super) timeouts: Timeouts,
    pub(super) websocket_origins: Vec<String>,
    pub(super) cors_origins: Vec<String>,
    pub(super) upstream_tls: Option<UpstreamTls>,
    pub(super) identity_jwt: Option<IdentityJwt>,
    pub(super) headers: Option<BTreeMap<String, Header>>,
    pub(super) rules: Vec<Rule>,
    pub(super) logout: AppLogout,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Timeouts {
    pub(super) connect: Option<String>,
    pub(super) response: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct IdentityJwt {
    pub(super) header: Option<String>,
    pub(super) audience: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct UpstreamTls {
    pub(super) ca: Option<String>,
    pub(super) server_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Header {
    Claim(String),
    Table(Box<HeaderTable>),
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct HeaderTable {
    pub(super) claim: Option<String>,
    pub(super) template: Option<String>,
    pub(super) expr: Option<String>,
    pub(super) value: Option<String>,
    pub(super) token: Option<String>,
    pub(super) join: Option<String>,
    pub(super) encode: Option<String>,
    pub(super) default: Option<String>,
    pub(super) required: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Rule {
    pub(super) paths: Option<Vec<String>>,
    pub(super) methods: Option<Vec<String>>,
    pub(super) access: Option<String>,
    pub(super) scopes: Vec<String>,
    pub(super) provider: Option<String>,
    pub(super) allow: Option<String>,
    pub(super) acr: Option<String>,
    pub(super) max_age: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct AppLogout {
    pub(super) paths: Option<Vec<String>>,
    pub(super) redirect: Option<String>,
    pub(super) callback_path: Option<String>,
    pub(super) clear_cookies: Vec<AppCookie>,
    pub(super) on_end: Option<OnEnd>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum AppCookie {
    Name(String),
    Table(AppCookieTable),
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct AppCookieTable {
    pub(super) name: Option<String>,
    pub(super) path: Option<String>,
    pub(super) domain: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct OnEnd {
    pub(super) method: Option<String>,
    pub(super) url: Option<String>,
}
