//! Dynamic registration: OAuth 2.0 Dynamic Client Registration (RFC 7591), OpenID Connect Dynamic Client Registration
//! 1.0. The request says of us what the settings say; the response is what the settings lack.

use openidconnect::{HttpRequest, HttpResponse};
use serde_json::{Map, Value, json};
use url::Url;

use super::carriage::Carriage;
use super::client_choice::Proof;
use super::error::{MemberProblem, OidcError};
use super::message::{self, Call, told};
use super::metadata::{Metadata, Tells};
use super::own_jwt::Signing;
use super::{ClientAuth, Profile, Protocol, Settings, TokenBinding};
use crate::foundation::certificate;
use crate::foundation::clock::Timestamp;
use crate::foundation::secret::Secret;

/// The addresses that a client is registered with.
#[derive(Clone, Debug, Default)]
pub struct ClientAddresses {
    /// The redirect URIs of all apps.
    pub redirect: Vec<Url>,
    /// Where sign-outs end.
    pub post_logout: Vec<Url>,
    /// Where a portal begins a sign-in; a client has one.
    pub initiate_login: Option<Url>,
    /// Where the provider tells us of sign-outs there; a client has one. `None`: what is told can't be heeded.
    pub backchannel_logout: Option<Url>,
    /// Where its pages tell us, in frames.
    pub frontchannel_logout: Option<Url>,
}

/// What the provider made of us.
#[derive(Debug)]
pub struct Registered {
    /// Our identifier there.
    pub client_id: String,
    /// Our secret there, if we got one.
    pub client_secret: Option<Secret>,
    /// When the secret stops being good, if it does.
    pub secret_expires_at: Option<Timestamp>,
    /// How we are to authenticate, where that is not what we asked for.
    pub other_client_auth: Option<String>,
}

/// The scopes that a client is registered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scopes {
    /// Those of the settings.
    All,
    /// Those but `openid`, which to Keycloak is none that a client could be given.
    WithoutOpenid,
}

/// Whether a refusal is of the scopes. Nothing was made then, so that it may be asked once more.
pub(super) fn refuses_scopes(answer: &Result<Registered, OidcError>) -> bool {
    matches!(answer, Err(OidcError::Refused(refusal)) if refusal.error == "insufficient_scope")
}

/// RFC 7591 section 3.1: the client's metadata, with the initial access token where there is one.
pub(super) fn request(
    settings: &Settings,
    metadata: &Metadata,
    endpoint: &Url,
    addresses: &ClientAddresses,
    name: &str,
    token: Option<&Secret>,
    scopes: Scopes,
) -> Result<HttpRequest, OidcError> {
    let body = Value::Object(client(settings, metadata, addresses, name, scopes));
    message::post_json(Call::Registration, endpoint, &body, token)
}

/// RFC 7591 section 2, RFC 8705 section 2.1.2, RFC 9126 section 6, RFC 9449 section 5.2.
fn client(
    settings: &Settings,
    metadata: &Metadata,
    addresses: &ClientAddresses,
    name: &str,
    scopes: Scopes,
) -> Map<String, Value> {
    let refresh = settings.scopes.iter().any(|scope| scope == "offline_access");
    let grants =
        if refresh { vec!["authorization_code", "refresh_token"] } else { vec!["authorization_code"] };
    let mut client = Map::new();
    let mut put = |member: &str, value: Value| drop(client.insert(member.to_owned(), value));
    put("client_name", json!(name));
    put("redirect_uris", json!(addresses.redirect));
    put("response_types", json!(["code"]));
    put("grant_types", json!(grants));
    put("token_endpoint_auth_method", json!(metadata.client_auth.method().name()));
    let counts = |scope: &&str| scopes == Scopes::All || *scope != "openid";
    let named: Vec<&str> = settings.scopes.iter().map(String::as_str).filter(counts).collect();
    if !named.is_empty() {
        put("scope", json!(named.join(" ")));
    }
    if settings.protocol == Protocol::OpenIdConnect {
        put("application_type", json!("web"));
        put("post_logout_redirect_uris", json!(addresses.post_logout));
        // OpenID Connect Dynamic Client Registration 1.0 section 2: it must be https.
        if let Some(uri) = addresses.initiate_login.as_ref().filter(|uri| uri.scheme() == "https") {
            put("initiate_login_uri", json!(uri));
        }
        logout(metadata, addresses, &mut put);
        if let Some(algorithm) = settings.id_token_algs.as_ref().and_then(|algorithms| algorithms.first()) {
            put("id_token_signed_response_alg", json!(algorithm.name()));
        }
    }
    if let Some(key) = &settings.private_key {
        put("jwks", json!({"keys": [key.public_jwk()]}));
    }
    if let Proof::Assertion(Signing::Key(algorithm)) = metadata.client_auth {
        put("token_endpoint_auth_signing_alg", json!(algorithm.name()));
    }
    // RFC 8705 sections 2.1.2 and 3.4
    if metadata.client_auth.method() == ClientAuth::TlsClientAuth {
        let shown = settings.tls_client.as_ref().and_then(|key| key.cert.first());
        if let Some(subject) = shown.and_then(|certificate| certificate::subject(certificate)) {
            put("tls_client_auth_subject_dn", json!(subject));
        }
        if settings.binding == TokenBinding::Bearer && settings.profile == Profile::Fapi2 {
            put("tls_client_certificate_bound_access_tokens", json!(true));
        }
    }
    match &metadata.carriage {
        Carriage::Query => {}
        Carriage::Pushed { .. } => put("require_pushed_authorization_requests", json!(true)),
        Carriage::Object(_) | Carriage::Reference(_) => {}
    }
    if settings.binding == TokenBinding::Key {
        put("dpop_bound_access_tokens", json!(true));
    }
    client
}

/// Back-Channel Logout 1.0 section 2.2, which most providers do without a word about it; Front-Channel Logout 1.0
/// section 2 where they say that they do that alone. With `sid`, so that a sign-out in one browser is not one in all.
fn logout(metadata: &Metadata, addresses: &ClientAddresses, put: &mut impl FnMut(&str, Value)) {
    let (uri, uri_member, session_member) = match metadata.tells {
        Tells::Us | Tells::Unknown => {
            (&addresses.backchannel_logout, "backchannel_logout_uri", "backchannel_logout_session_required")
        }
        Tells::Browsers => (
            &addresses.frontchannel_logout,
            "frontchannel_logout_uri",
            "frontchannel_logout_session_required",
        ),
    };
    if let Some(uri) = uri {
        put(uri_member, json!(uri));
        put(session_member, json!(true));
    }
}

/// RFC 7591 section 3.2.1.
///
/// # Errors
/// When the provider refuses, fails, or gives no identifier.
pub(super) fn response(metadata: &Metadata, response: &HttpResponse) -> Result<Registered, OidcError> {
    let answer = message::json(Call::Registration, response)?;
    let text = |member: &str| answer.get(member).and_then(Value::as_str).filter(|text| !text.is_empty());
    let missing =
        OidcError::Member { call: Call::Registration, member: "client_id", problem: MemberProblem::Missing };
    let client_id = text("client_id").ok_or(missing)?;
    let asked = metadata.client_auth.method().name();
    let method = text("token_endpoint_auth_method").filter(|method| *method != asked);
    // 0 means that it does not end.
    let ends = answer.get("client_secret_expires_at").and_then(Value::as_u64).filter(|seconds| *seconds > 0);
    Ok(Registered {
        client_id: client_id.to_owned(),
        client_secret: text("client_secret").map(Secret::new),
        secret_expires_at: ends.map(Timestamp::from_secs),
        other_client_auth: method.map(told),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oidc::fixture::{self, answer};

    #[test]
    fn a_client_is_described_as_the_settings_say() {
        let mut settings = fixture::settings("https://id.example");
        settings.scopes = vec!["openid".into(), "offline_access".into()];
        let url = |text: &str| Url::parse(text).unwrap();
        let addresses = ClientAddresses {
            redirect: vec![url("https://lms.example/_sso/callback")],
            post_logout: vec![url("https://lms.example/_sso/signed-out")],
            initiate_login: Some(url("https://lms.example/_sso/initiate")),
            backchannel_logout: Some(url("https://lms.example/_sso/backchannel-logout")),
            frontchannel_logout: Some(url("https://lms.example/_sso/frontchannel-logout")),
        };
        let mut metadata = fixture::metadata(&settings);
        let endpoint = url("https://id.example/reg");
        let token = Secret::new("initial");
        let request =
            request(&settings, &metadata, &endpoint, &addresses, "LMS", Some(&token), Scopes::All).unwrap();
        assert_eq!(request.headers()["authorization"], "Bearer initial");
        assert_eq!(request.headers()["content-type"], "application/json");
        let sent: Value = serde_json::from_slice(request.body()).unwrap();
        let expected = json!({
            "client_name": "LMS", "redirect_uris": ["https://lms.example/_sso/callback"],
            "response_types": ["code"], "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "client_secret_basic", "scope": "openid offline_access",
            "application_type": "web",
            "post_logout_redirect_uris": ["https://lms.example/_sso/signed-out"],
            "initiate_login_uri": "https://lms.example/_sso/initiate",
            "backchannel_logout_uri": "https://lms.example/_sso/backchannel-logout",
            "backchannel_logout_session_required": true,
        });
        assert_eq!(sent, expected);
        metadata.tells = Tells::Browsers;
        let sent = client(&settings, &metadata, &addresses, "LMS", Scopes::All);
        assert_eq!(sent["frontchannel_logout_uri"], "https://lms.example/_sso/frontchannel-logout");
        assert_eq!(sent["frontchannel_logout_session_required"], true);
        assert!(!sent.contains_key("backchannel_logout_uri"));
    }

    #[test]
    fn what_the_provider_gives_is_read_and_nothing_else_is_taken_for_it() {
        let settings = fixture::settings("https://id.example");
        let metadata = fixture::metadata(&settings);
        let given = response(
            &metadata,
            &answer(201, r#"{"client_id":"c","client_secret":"s","client_secret_expires_at":7}"#),
        )
        .unwrap();
        assert_eq!((given.client_id.as_str(), given.client_secret.unwrap().expose()), ("c", "s"));
        assert_eq!(given.secret_expires_at, Some(Timestamp::from_secs(7)));
        assert_eq!(given.other_client_auth, None);
        for (status, body, code) in [
            (201, "{}", "provider_member"),
            (200, "<html>", "provider_not_json"),
            (400, r#"{"error":"invalid_redirect_uri"}"#, "provider_refused"),
            (401, "", "provider_status"),
        ] {
            assert_eq!(response(&metadata, &answer(status, body)).unwrap_err().code(), code);
        }
    }

    #[test]
    fn openid_is_left_out_where_it_is_no_scope_to_the_provider() {
        let mut settings = fixture::settings("https://id.example");
        settings.scopes = vec!["openid".into(), "email".into()];
        let (metadata, addresses) = (fixture::metadata(&settings), ClientAddresses::default());
        for (scopes, named) in [(Scopes::All, "openid email"), (Scopes::WithoutOpenid, "email")] {
            assert_eq!(client(&settings, &metadata, &addresses, "LMS", scopes)["scope"], named);
        }
        let refused = |error: &str| response(&metadata, &answer(403, json!({ "error": error }).to_string()));
        assert!(refuses_scopes(&refused("insufficient_scope")));
        assert!(!refuses_scopes(&refused("invalid_client_metadata")));
    }
}
