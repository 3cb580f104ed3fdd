//! How we prove who we are in a call to the provider: OpenID Connect Core 1.0 section 9, RFC 6749 section 2.3.
//!
//! Every POST of a form to the provider is built here, so that each endpoint (token, pushed authorization,
//! introspection, revocation, device authorization) is spoken to in the same way. What the form asks for is
//! the matter of its own message.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use form_urlencoded::Serializer;
use http::{HeaderValue, header};
use openidconnect::HttpRequest;
use url::Url;
use zeroize::Zeroizing;

use super::client_choice::Proof;
use super::error::OidcError;
use super::message::{self, Call};
use super::{ClientAuth, Settings, client_assertion};
use crate::foundation::clock::Timestamp;
use crate::foundation::secret::Secret;

/// A form on its way to the provider, urlencoded.
#[derive(Clone, Default)]
pub(super) struct Form(Zeroizing<String>);

impl Form {
    /// This form and one field more.
    #[must_use]
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        let text = Serializer::new(std::mem::take(&mut *self.0)).append_pair(name, value).finish();
        Self(Zeroizing::new(text))
    }

    /// This form with our identifier, which stands there once at most.
    fn with_client_id(self, settings: &Settings) -> Self {
        let named = form_urlencoded::parse(self.0.as_bytes()).any(|(name, _)| name == "client_id");
        if named { self } else { self.with("client_id", &settings.client_id) }
    }

    /// The form's text.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl ClientAuth {
    /// All of them, as an operator writes them.
    pub const ALL: [(&'static str, Self); 6] = [
        ("client_secret_basic", Self::ClientSecretBasic),
        ("client_secret_post", Self::ClientSecretPost),
        ("client_secret_jwt", Self::ClientSecretJwt),
        ("private_key_jwt", Self::PrivateKeyJwt),
        ("tls_client_auth", Self::TlsClientAuth),
        ("none", Self::None),
    ];

    /// The name as it stands in a provider's metadata.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, method)| *method == self).map_or("", |(name, _)| name)
    }
}

/// A POST of `form` to `endpoint` that proves by `proof` who we are.
///
/// # Errors
/// When the endpoint is no address.
pub(super) fn post(
    call: Call,
    settings: &Settings,
    proof: Proof,
    endpoint: &Url,
    mut form: Form,
    now: Timestamp,
) -> Result<HttpRequest, OidcError> {
    let secret = settings.client_secret.as_ref().map_or("", Secret::expose);
    let mut authorization = None;
    match proof {
        Proof::SecretInHeader => authorization = Some(basic(&settings.client_id, secret)),
        Proof::SecretInBody => form = form.with_client_id(settings).with("client_secret", secret),
        Proof::Assertion(signing) => {
            let made = client_assertion::make(call, settings, signing, audience(settings, endpoint), now)?;
            form = form
                .with_client_id(settings)
                .with("client_assertion_type", client_assertion::KIND)
                .with("client_assertion", made.expose());
        }
        // RFC 8705 section 2: the certificate is shown by the connection; the form says whose it is.
        Proof::Certificate | Proof::Nothing => form = form.with_client_id(settings),
    }
    let mut request = message::post(call, endpoint, form.as_str().to_owned())?;
    if let Some(mut value) = authorization {
        value.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    Ok(request)
}

/// Whom an assertion is for: the issuer, as the only one.
///
/// SECURITY: an assertion for an endpoint's address could be had by a provider that names another's endpoint as
/// its own, and be spent there; so the revision of RFC 7523 and FAPI 2.0 want the issuer alone. Every engine
/// that we tried takes it. A provider that has no issuer is named by the endpoint.
fn audience<'a>(settings: &'a Settings, endpoint: &'a Url) -> &'a str {
    if settings.issuer.is_empty() { endpoint.as_str() } else { &settings.issuer }
}

/// RFC 6749 section 2.3.1: both are form-urlencoded first, so that a colon or a letter beyond ASCII survives.
fn basic(id: &str, secret: &str) -> HeaderValue {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = Zeroizing::new(format!("{}:{}", encode(id), encode(secret)));
    let value = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
    // Base64 is always fit for a header.
    HeaderValue::from_str(&value).unwrap_or_else(|_| HeaderValue::from_static("Basic"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::oidc::own_jwt::{Mac, Signing};
    use crate::oidc::{Algorithm, fixture};

    fn sent(proof: Proof, id: &str, secret: &str) -> (Option<String>, Vec<(String, String)>) {
        let mut settings = fixture::settings("https://id.example");
        settings.client_id = id.to_owned();
        settings.client_secret = Some(Secret::new(secret));
        let endpoint = Url::parse("https://id.example/token").unwrap();
        let asked = Form::default().with("code", "the code");
        let request = post(Call::Token, &settings, proof, &endpoint, asked, Timestamp::from_secs(0)).unwrap();
        assert_eq!(request.headers()[header::CONTENT_TYPE], "application/x-www-form-urlencoded");
        let authorization =
            request.headers().get(header::AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
        (authorization, form_urlencoded::parse(request.body()).into_owned().collect())
    }

    #[test]
    fn each_way_to_authenticate_puts_the_secret_in_its_place_and_nowhere_else() {
        let code = ("code".to_owned(), "the code".to_owned());
        let (authorization, form) = sent(Proof::SecretInHeader, "l m:s", "p+ä%");
        let pair = String::from_utf8(
            STANDARD.decode(authorization.unwrap().strip_prefix("Basic ").unwrap()).unwrap(),
        );
        assert_eq!(pair.unwrap(), "l+m%3As:p%2B%C3%A4%25");
        assert_eq!(form, std::slice::from_ref(&code));

        let (authorization, form) = sent(Proof::SecretInBody, "lms", "p+ä%");
        assert_eq!(authorization, None);
        let expected =
            [code.clone(), ("client_id".into(), "lms".into()), ("client_secret".into(), "p+ä%".into())];
        assert_eq!(form, expected);

        for proof in [Proof::Nothing, Proof::Certificate] {
            let (authorization, form) = sent(proof, "lms", "unused");
            assert_eq!(authorization, None);
            assert_eq!(form, [code.clone(), ("client_id".into(), "lms".into())]);
        }
    }

    /// Header and claims of an assertion whose signature holds.
    fn assertion(settings: &Settings, signing: Signing, now: u64) -> (Value, Value) {
        let endpoint = Url::parse("https://id.example/token").unwrap();
        let asked = Form::default().with("client_id", &settings.client_id);
        let proof = Proof::Assertion(signing);
        let request =
            post(Call::Token, settings, proof, &endpoint, asked, Timestamp::from_secs(now)).unwrap();
        assert!(!request.headers().contains_key(header::AUTHORIZATION));
        let form: Vec<(String, String)> = form_urlencoded::parse(request.body()).into_owned().collect();
        let names: Vec<&str> = form.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["client_id", "client_assertion_type", "client_assertion"]);
        assert_eq!(form[1].1, "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        fixture::opened(settings, &form[2].1)
    }

    #[test]
    fn an_assertion_is_for_the_issuer_for_a_minute_and_for_one_call() {
        let mut settings = fixture::settings("https://id.example");
        settings.private_key = Some(fixture::signing_key());
        let of = |signing| assertion(&settings, signing, 1000);
        let (header, claims) = of(Signing::Key(Algorithm::Es256));
        let kid = settings.private_key.as_ref().unwrap().id();
        assert_eq!(header, json!({"alg": "ES256", "typ": "JWT", "kid": kid}));
        assert_eq!((&claims["iss"], &claims["sub"]), (&json!("lms"), &json!("lms")));
        assert_eq!(claims["aud"], "https://id.example");
        assert_eq!((&claims["iat"], &claims["exp"]), (&json!(1000), &json!(1060)));
        let (_, again) = of(Signing::Key(Algorithm::Es256));
        assert!(claims["jti"].as_str().unwrap().len() == 43 && claims["jti"] != again["jti"]);

        let (header, claims) = of(Signing::Secret(Mac::Hs256));
        assert_eq!(header, json!({"alg": "HS256", "typ": "JWT"}));
        assert_eq!(claims["sub"], "lms");
    }

    #[test]
    fn an_assertion_that_nothing_can_sign_is_not_sent() {
        let mut settings = fixture::settings("https://id.example");
        settings.client_secret = None;
        let endpoint = Url::parse("https://id.example/token").unwrap();
        for signing in [Signing::Key(Algorithm::Es256), Signing::Secret(Mac::Hs256)] {
            let proof = Proof::Assertion(signing);
            let now = Timestamp::from_secs(0);
            let error = post(Call::Token, &settings, proof, &endpoint, Form::default(), now).unwrap_err();
            assert_eq!(error.code(), "client_key");
        }
    }
}
