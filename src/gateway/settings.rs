//! What the gateway serves, as the configuration describes it.

use http::header::HeaderName;
use url::Url;

use super::own_session::OwnSession;
use crate::foundation::origin::Origin;
use crate::foundation::peer::TrustedProxies;
use crate::identity::access::AccessRules;
use crate::identity::mapping::HeaderMapping;
use crate::upstream;

/// What the gateway serves, as the configuration describes it.
#[derive(Debug)]
pub struct Settings {
    /// The apps, in the order of the configuration.
    pub apps: Vec<App>,
    /// The prefix of our own endpoints on every app: begins with `/` and does not end with one.
    pub endpoints: String,
    /// The peers whose forwarding headers are believed.
    pub trusted_proxies: TrustedProxies,
    /// How our own pages look.
    pub pages: Branding,
    /// How large a form may be that is kept until its sender has signed in, in bytes; 0: none is kept.
    pub form_limit: usize,
}

/// One app that we protect.
#[derive(Debug)]
pub struct App {
    /// The administrator's name for it.
    pub name: String,
    /// Where users see it.
    pub origin: Origin,
    /// The path prefix of its address: empty, or begins with `/` and does not end with one.
    pub prefix: String,
    /// Where it runs, and how it is spoken to.
    pub upstream: upstream::Settings,
    /// The names of the providers that its people sign in with: one at least.
    pub providers: Vec<String>,
    /// Whether the app sees the path prefix.
    pub strip_prefix: StripPrefix,
    /// The path of its first provider's redirect URI below the origin, complete with the prefix where it has one.
    pub callback_path: String,
    /// The same of logins in a hidden frame, where the provider has another one for them.
    pub silent_path: Option<String>,
    /// Whether people can sign in on a screen without a keyboard.
    pub device: DeviceSignIn,
    /// The path, perhaps with a query, where the provider sends people after a sign-out, instead of our endpoint.
    pub logout_callback: Option<String>,
    /// Its identity headers.
    pub headers: HeaderMapping,
    /// The signed statement that the app gets beside them, if it wants one.
    pub identity_jwt: Option<IdentityJwt>,
    /// Who may enter.
    pub rules: AccessRules,
    /// Origins that may open a WebSocket besides the app's own.
    pub websocket_origins: Vec<Origin>,
    /// Origins whose scripts may read our own answers.
    pub cors_origins: Vec<Origin>,
    /// Where a person ends after sign-out, instead of our own page.
    pub logout_redirect: Option<Url>,
    /// What is to be done about the session that the app keeps of its own.
    pub own_session: OwnSession,
}

/// A signed statement of who is there, for an app that checks signatures.
#[derive(Clone, Debug)]
pub struct IdentityJwt {
    /// The header that carries it.
    pub header: HeaderName,
    /// Its audience (`aud`): what the app is called in it.
    pub audience: String,
}

impl App {
    /// The path of the redirect URI of one of the app's providers: the first has the app's own, each further one
    /// its name behind it; `None` for a provider that is not the app's.
    ///
    /// SECURITY: RFC 9700 section 4.4.2.2: where a code of one provider's arrives, no other's is redeemed; so a
    /// login that was begun at an attacker's provider can't end with a code of an honest one (mix-up), also
    /// where neither sends `iss`.
    pub fn callback_path_of(&self, provider: &str) -> Option<String> {
        match self.providers.iter().position(|name| name == provider)? {
            0 => Some(self.callback_path.clone()),
            _ => Some(format!("{}/{provider}", self.callback_path.trim_end_matches('/'))),
        }
    }
}

/// Whether an app sees the path prefix of its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StripPrefix {
    /// It sees the path as the browser sent it.
    Keep,
    /// The prefix is taken off.
    Strip,
}

/// Whether people can sign in on a screen without a keyboard (RFC 8628), where the provider can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceSignIn {
    /// The page with the code is there.
    Offered,
    /// It is not.
    Refused,
}

/// An operator's own name and logo on our pages.
#[derive(Clone, Debug, Default)]
pub struct Branding {
    /// The organisation's name.
    pub name: Option<String>,
    /// A logo, as a `data:` address, so that nothing is loaded from elsewhere.
    pub logo: Option<String>,
}
