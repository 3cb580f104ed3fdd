//! The authorization request: OpenID Connect Core 1.0 section 3.1.2.1, RFC 7636 section 4.3, RFC 6749 section
//! 4.1.1, and what has to be remembered until the answer comes. Where OAuth 2.0 alone is spoken, neither `openid`
//! nor `nonce` is sent.

use std::borrow::Cow;
use std::time::Duration;

use openidconnect::core::{CoreAuthenticationFlow, CoreClient};
use openidconnect::{
    AuthUrl, ClientId, CsrfToken, IssuerUrl, JsonWebKeySet, Nonce, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, Scope,
};
use serde::{Deserialize, Serialize};
use url::Url;

use super::dpop::ProofKey;
use super::error::OidcError;
use super::metadata::Metadata;
use super::request_object::Parameters;
use super::{Carrier, Protocol, ResponseMode, Settings};
use crate::foundation::random;
use crate::foundation::secret::Secret;

/// Parameters that `params` can't set, because the login sets them itself; each with the key of the
/// configuration that sets it, where there is one.
pub const RESERVED_PARAMS: &[(&str, Option<&str>)] = &[
    ("acr_values", Some("acr_values")),
    ("audience", Some("audience")),
    ("claims", Some("claims")),
    ("client_assertion", Some("client_auth")),
    ("client_assertion_type", Some("client_auth")),
    ("client_id", Some("client_id")),
    ("client_secret", Some("client_secret")),
    ("code_challenge", None),
    ("code_challenge_method", None),
    ("code_verifier", None),
    ("dpop_jkt", None),
    ("grant_type", None),
    ("login_hint", Some("login_hint")),
    ("max_age", Some("max_age")),
    ("nonce", None),
    ("prompt", Some("prompt")),
    ("redirect_uri", None),
    ("request", Some("request")),
    ("request_uri", Some("request")),
    ("resource", Some("resource")),
    ("response_mode", Some("response_mode")),
    ("response_type", None),
    ("scope", Some("scopes")),
    ("state", None),
    ("ui_locales", Some("ui_locales")),
];

/// One login, as it is begun.
#[derive(Clone, Debug)]
pub struct LoginRequest {
    /// Where the provider sends the browser back to; it must be registered there, byte for byte.
    pub redirect_uri: Url,
    /// `prompt` of this login, in place of the provider's setting: `login` after a sign-out.
    pub prompt: Option<String>,
    /// Whom the provider should propose (`login_hint`), in place of the provider's setting.
    pub login_hint: Option<String>,
    /// `acr_values` of this login, in place of the provider's setting. What comes of them is for the caller to
    /// judge: the provider may answer with less (Core 3.1.2.1).
    pub acr_values: Option<String>,
    /// `max_age` of this login, where it is less than the provider's setting. The setting alone is enforced here.
    pub max_age: Option<Duration>,
    /// Below which address of ours the provider can fetch request objects; `None` where it can't.
    pub requests: Option<Url>,
}

impl LoginRequest {
    /// A login as the settings say, that comes back to `redirect_uri`.
    pub const fn new(redirect_uri: Url) -> Self {
        Self { redirect_uri, prompt: None, login_hint: None, acr_values: None, max_age: None, requests: None }
    }
}

/// What has to be remembered between the redirect to the provider and the callback. It belongs sealed into one
/// browser's login cookie, and is spent by [`PendingLogin::check`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PendingLogin {
    pub(super) provider: String,
    pub(super) state: String,
    pub(super) nonce: Secret,
    pub(super) verifier: Secret,
    pub(super) redirect_uri: String,
    /// In seconds.
    pub(super) max_age: Option<u64>,
    /// Whether the response has to carry `iss`.
    pub(super) response_iss: bool,
    /// How the response has to come.
    pub(super) response_mode: ResponseMode,
    /// What the tokens will be bound to.
    pub(super) proof_key: Option<Secret>,
    /// What this login asked for in place of the setting.
    #[serde(default)]
    pub(super) acr_values: Option<String>,
}

impl PendingLogin {
    /// The `state` of the authorization request.
    pub fn state(&self) -> &str {
        &self.state
    }

    /// The name of the provider that the login was begun with.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// Whether the provider has to sign its response.
    pub(super) const fn asks_for_signature(&self) -> bool {
        self.response_mode.is_signed()
    }

    /// What the response will be carried by.
    pub const fn carrier(&self) -> Carrier {
        self.response_mode.carrier()
    }
}

/// The address to send the browser to, and what to remember.
pub(super) fn request(
    settings: &Settings,
    metadata: &Metadata,
    login: LoginRequest,
) -> Result<(Url, PendingLogin), OidcError> {
    // SECURITY: 256 bits each from the system: state against login CSRF, nonce against a replayed ID token,
    // PKCE against a stolen or injected code (RFC 9700 section 2.1.1).
    let (state, nonce, verifier) = (random::token(), random::token(), random::token());
    let challenge = PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(verifier.clone()));
    // The library knows the request's form; it is never asked to judge an answer, so any issuer will do.
    let issuer = IssuerUrl::from_url(metadata.authorization.clone());
    let mut client =
        CoreClient::new(ClientId::new(settings.client_id.clone()), issuer, JsonWebKeySet::new(Vec::new()))
            .set_auth_uri(AuthUrl::from_url(metadata.authorization.clone()));
    let is_openid = settings.protocol == Protocol::OpenIdConnect;
    if !is_openid {
        client = client.disable_openid_scope();
    }
    let redirect_uri = RedirectUrl::from_url(login.redirect_uri.clone());
    let (sent_state, sent_nonce) = (CsrfToken::new(state.clone()), Nonce::new(nonce.clone()));
    let scopes = settings.scopes.iter().filter(|scope| !is_openid || *scope != "openid");
    let mut request = client
        .authorize_url(CoreAuthenticationFlow::AuthorizationCode, || sent_state, || sent_nonce)
        .set_pkce_challenge(challenge)
        .set_redirect_uri(Cow::Owned(redirect_uri))
        .add_scopes(scopes.map(|scope| Scope::new(scope.clone())));
    if let Some(max_age) = [settings.max_age, login.max_age].into_iter().flatten().min() {
        request = request.set_max_age(max_age);
    }
    let proof_key = ProofKey::wanted(settings.binding)?;
    // RFC 9449 section 10.
    // SECURITY: a stolen code is worth nothing without the key that it was asked for with.
    let thumbprint = match &proof_key {
        Some(kept) => Some(ProofKey::open(kept)?.thumbprint()),
        None => None,
    };
    let prompt = prompt(settings, login.prompt);
    // Multiple Response Types section 2.1: the flow's own default is not named.
    let mode = Some(settings.response_mode).filter(|mode| *mode != ResponseMode::Query);
    let login_hint = login.login_hint.as_ref().or(settings.login_hint.as_ref());
    let optional = [
        ("prompt", prompt.as_deref()),
        ("acr_values", login.acr_values.as_deref().or(settings.acr_values.as_deref())),
        ("ui_locales", settings.ui_locales.as_deref()),
        ("audience", settings.audience.as_deref()),
        ("response_mode", mode.map(ResponseMode::name)),
        ("dpop_jkt", thumbprint.as_deref()),
        ("login_hint", login_hint.map(String::as_str)),
        ("claims", settings.claims.as_deref()),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            request = request.add_extra_param(name.to_owned(), value.to_owned());
        }
    }
    // RFC 8707 section 2: the one parameter that may stand there several times.
    for resource in &settings.resource {
        request = request.add_extra_param("resource", resource.clone());
    }
    for (name, value) in &settings.params {
        request = request.add_extra_param(name.clone(), value.clone());
    }
    let (mut url, _, _) = request.url();
    if !is_openid && let Some(query) = url.query() {
        // RFC 6749 knows no nonce; there is no ID token that it could come back in.
        let query = query.replacen(&format!("&nonce={nonce}"), "", 1);
        url.set_query(Some(&query));
    }
    let pending = PendingLogin {
        provider: settings.name.clone(),
        state,
        nonce: Secret::new(nonce),
        verifier: Secret::new(verifier),
        redirect_uri: login.redirect_uri.into(),
        max_age: settings.max_age.map(|max_age| max_age.as_secs()),
        response_iss: metadata.response_iss,
        response_mode: settings.response_mode,
        proof_key,
        acr_values: login.acr_values,
    };
    Ok((url, pending))
}

/// The address of a request whose parameters are in an object, given by value (`request`) or by reference
/// (`request_uri`). Core 6.1 and 6.2: `response_type` and `scope` stand outside as well, for providers that judge a
/// request before they open it; RFC 9101 section 6.3 has what is inside count.
pub(super) fn by_object(metadata: &Metadata, parameters: &Parameters, object: (&str, &str)) -> Url {
    let mut address = metadata.authorization.clone();
    let outside = |name: &str| matches!(name, "client_id" | "response_type" | "scope");
    let outside = parameters.iter().filter(|(name, _)| outside(name));
    address.query_pairs_mut().extend_pairs(outside).append_pair(object.0, object.1);
    address
}

/// RFC 9126 section 4: the address of a request that the provider has already.
pub(super) fn by_pushed(settings: &Settings, metadata: &Metadata, request_uri: &str) -> Url {
    let mut address = metadata.authorization.clone();
    let mut query = address.query_pairs_mut();
    query.append_pair("client_id", &settings.client_id).append_pair("request_uri", request_uri);
    drop(query);
    address
}

/// The login's own `prompt`, else the setting's. Core 11, where that is spoken: `offline_access` is dropped without a word unless the
/// prompt has `consent`, so it gets it, but where the operator wrote a prompt or nothing may be asked.
fn prompt(settings: &Settings, own: Option<String>) -> Option<String> {
    let offline = settings.protocol == Protocol::OpenIdConnect
        && settings.scopes.iter().any(|scope| scope == "offline_access");
    match (own, &settings.prompt) {
        (None, Some(chosen)) => Some(chosen.clone()),
        (None, None) => offline.then(|| "consent".to_owned()),
        (Some(own), _) if offline && own != "none" && !own.split(' ').any(|word| word == "consent") => {
            Some(format!("{own} consent"))
        }
        (Some(own), _) => Some(own),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use aws_lc_rs::digest;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;
    use crate::oidc::TokenBinding;
    use crate::oidc::fixture;

    fn callback() -> LoginRequest {
        LoginRequest::new(Url::parse("https://lms.example/_sso/callback").unwrap())
    }

    fn begin(settings: &Settings, login: LoginRequest) -> (HashMap<String, String>, PendingLogin) {
        let (url, pending) = request(settings, &fixture::metadata(settings), login).unwrap();
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let names: HashMap<String, String> = pairs.iter().cloned().collect();
        assert_eq!(pairs.len(), names.len(), "no parameter is sent twice");
        (names, pending)
    }

    #[test]
    fn the_least_request_carries_code_pkce_state_and_nonce() {
        let settings = fixture::settings("https://id.example");
        let (sent, pending) = begin(&settings, callback());
        let challenge =
            URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, pending.verifier.expose().as_bytes()));
        let expected = [
            ("response_type", "code"),
            ("client_id", "lms"),
            ("redirect_uri", "https://lms.example/_sso/callback"),
            ("scope", "openid email"),
            ("state", pending.state()),
            ("nonce", pending.nonce.expose()),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        assert_eq!(sent, expected.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect());
        let (_, again) = begin(&settings, callback());
        assert_ne!(pending.state, again.state);
        assert_ne!(pending.nonce, again.nonce);
        assert_ne!(pending.verifier, again.verifier);
    }

    #[test]
    fn oauth_alone_is_asked_without_openid_and_nonce_and_with_pkce_and_state_all_the_same() {
        for (scopes, sent_scope) in
            [(vec![], None), (vec!["read", "offline_access"], Some("read offline_access"))]
        {
            let mut settings = fixture::settings("https://id.example");
            settings.protocol = Protocol::OAuth2 { subject: None };
            settings.issuer = String::new();
            settings.scopes = scopes.into_iter().map(str::to_owned).collect();
            let mut metadata = fixture::metadata(&fixture::settings("https://id.example"));
            metadata.authorization = Url::parse("https://id.example/auth?tenant=a%20b").unwrap();
            let (url, pending) = request(&settings, &metadata, callback()).unwrap();
            let mut names: Vec<_> = url.query_pairs().map(|(name, _)| name.into_owned()).collect();
            names.retain(|name| name != "scope");
            let expected = [
                "tenant",
                "response_type",
                "client_id",
                "state",
                "code_challenge",
                "code_challenge_method",
                "redirect_uri",
            ];
            assert_eq!(names, expected);
            let scope =
                url.query_pairs().find(|(name, _)| name == "scope").map(|(_, value)| value.into_owned());
            assert_eq!(scope.as_deref(), sent_scope);
            assert!(!url.as_str().contains(pending.nonce.expose()), "{url}");
            assert!(url.as_str().contains("tenant=a%20b&"), "{url}");
        }
    }

    #[test]
    fn everything_that_is_set_is_sent() {
        let mut settings = fixture::settings("https://id.example");
        settings.prompt = Some("login".into());
        settings.acr_values = Some("urn:a urn:b".into());
        settings.max_age = Some(Duration::from_secs(28_800));
        settings.ui_locales = Some("ru en".into());
        settings.audience = Some("https://api.example".into());
        settings.response_mode = ResponseMode::FormPost;
        settings.binding = TokenBinding::Key;
        settings.params = vec![("kc_idp_hint".into(), "корп & ко".into())];
        settings.claims = Some(r#"{"userinfo":{"email":null}}"#.into());
        settings.resource = vec!["https://api.example".into()];
        settings.login_hint = Some("x".into());
        let mut login = callback();
        login.login_hint = Some("anna".into());
        let (sent, pending) = begin(&settings, login);
        for (name, value) in [
            ("prompt", "login"),
            ("acr_values", "urn:a urn:b"),
            ("max_age", "28800"),
            ("ui_locales", "ru en"),
            ("audience", "https://api.example"),
            ("response_mode", "form_post"),
            ("kc_idp_hint", "корп & ко"),
            ("login_hint", "anna"),
            ("claims", r#"{"userinfo":{"email":null}}"#),
            ("resource", "https://api.example"),
        ] {
            assert_eq!(sent[name], value);
        }
        assert_eq!(pending.max_age, Some(28_800));
        assert_eq!(pending.carrier(), Carrier::Form);
        let key = ProofKey::open(pending.proof_key.as_ref().unwrap()).unwrap();
        assert_eq!(sent["dpop_jkt"], key.thumbprint());
    }

    #[test]
    fn a_login_may_ask_for_more_than_the_settings_and_never_for_an_older_sign_in() {
        for (set, own, sent_age) in [
            (None, None, None),
            (None, Some(900), Some("900")),
            (Some(60), Some(900), Some("60")),
            (Some(3600), Some(900), Some("900")),
        ] {
            let mut settings = fixture::settings("https://id.example");
            settings.max_age = set.map(Duration::from_secs);
            settings.acr_values = Some("urn:password".into());
            let mut login = callback();
            login.max_age = own.map(Duration::from_secs);
            login.acr_values = Some("urn:mfa".into());
            let (sent, pending) = begin(&settings, login);
            assert_eq!(sent.get("max_age").map(String::as_str), sent_age);
            assert_eq!(sent["acr_values"], "urn:mfa");
            assert_eq!(pending.max_age, set, "the setting is what the ID token is held against");
        }
    }

    #[test]
    fn the_query_of_the_endpoint_itself_is_kept() {
        let settings = fixture::settings("https://id.example");
        let mut metadata = fixture::metadata(&settings);
        metadata.authorization = Url::parse("https://id.example/auth?tenant=a%20b").unwrap();
        let (url, _) = request(&settings, &metadata, callback()).unwrap();
        assert!(url.as_str().starts_with("https://id.example/auth?tenant=a%20b&"), "{url}");
    }

    #[test]
    fn a_login_may_ask_again_and_offline_access_asks_for_consent() {
        for (scopes, set, own, expected) in [
            (vec!["openid"], None, None, None),
            (vec!["openid"], Some("login"), None, Some("login")),
            (vec!["openid"], Some("select_account"), Some("login"), Some("login")),
            (vec!["offline_access"], None, None, Some("consent")),
            (vec!["offline_access"], Some("login"), None, Some("login")),
            (vec!["offline_access"], None, Some("login"), Some("login consent")),
            (vec!["offline_access"], None, Some("none"), Some("none")),
            (vec!["offline_access"], None, Some("login consent"), Some("login consent")),
        ] {
            let mut settings = fixture::settings("https://id.example");
            settings.scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
            settings.prompt = set.map(str::to_owned);
            let own = own.map(str::to_owned);
            assert_eq!(prompt(&settings, own.clone()).as_deref(), expected, "{scopes:?} {set:?} {own:?}");
        }
    }

    #[test]
    fn what_is_remembered_survives_being_written_down() {
        let settings = fixture::settings("https://id.example");
        let (_, pending) = begin(&settings, callback());
        let read: PendingLogin = rmp_serde::from_slice(&rmp_serde::to_vec(&pending).unwrap()).unwrap();
        assert_eq!(read.state, pending.state);
        assert_eq!(read.verifier, pending.verifier);
        assert!(!format!("{read:?}").contains(read.verifier.expose()));
    }
}
