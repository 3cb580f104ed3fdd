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

use super::error::OidcError;
use super::message::{self, Call};
use super::{ClientAuth, Settings};
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

    /// The form's text.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A POST of `form` to `endpoint` that proves by `method` who we are.
///
/// # Errors
/// When the endpoint is no address.
pub(super) fn post(
    call: Call,
    settings: &Settings,
    method: ClientAuth,
    endpoint: &Url,
    mut form: Form,
    _now: Timestamp,
) -> Result<HttpRequest, OidcError> {
    let secret = settings.client_secret.as_ref().map_or("", Secret::expose);
    let mut authorization = None;
    match method {
        ClientAuth::ClientSecretBasic => authorization = Some(basic(&settings.client_id, secret)),
        ClientAuth::ClientSecretPost => {
            form = form.with("client_id", &settings.client_id).with("client_secret", secret);
        }
        ClientAuth::None => {
            form = form.with("client_id", &settings.client_id);
        }
    }
    let mut request = message::post(call, endpoint, form.as_str().to_owned())?;
    if let Some(mut value) = authorization {
        value.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    Ok(request)
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
    use super::*;
    use crate::oidc::fixture;

    fn sent(auth: ClientAuth, id: &str, secret: &str) -> (Option<String>, Vec<(String, String)>) {
        let mut settings = fixture::settings("https://id.example");
        settings.client_id = id.to_owned();
        settings.client_secret = Some(Secret::new(secret));
        let endpoint = Url::parse("https://id.example/token").unwrap();
        let asked = Form::default().with("code", "the code");
        let request = post(Call::Token, &settings, auth, &endpoint, asked, Timestamp::from_secs(0)).unwrap();
        assert_eq!(request.headers()[header::CONTENT_TYPE], "application/x-www-form-urlencoded");
        let authorization =
            request.headers().get(header::AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
        (authorization, form_urlencoded::parse(request.body()).into_owned().collect())
    }

    #[test]
    fn each_way_to_authenticate_puts_the_secret_in_its_place_and_nowhere_else() {
        let code = ("code".to_owned(), "the code".to_owned());
        let (authorization, form) = sent(ClientAuth::ClientSecretBasic, "l m:s", "p+ä%");
        let pair = String::from_utf8(
            STANDARD.decode(authorization.unwrap().strip_prefix("Basic ").unwrap()).unwrap(),
        );
        assert_eq!(pair.unwrap(), "l+m%3As:p%2B%C3%A4%25");
        assert_eq!(form, std::slice::from_ref(&code));

        let (authorization, form) = sent(ClientAuth::ClientSecretPost, "lms", "p+ä%");
        assert_eq!(authorization, None);
        let expected =
            [code.clone(), ("client_id".into(), "lms".into()), ("client_secret".into(), "p+ä%".into())];
        assert_eq!(form, expected);

        let (authorization, form) = sent(ClientAuth::None, "lms", "unused");
        assert_eq!(authorization, None);
        assert_eq!(form, [code, ("client_id".into(), "lms".into())]);
    }
}
