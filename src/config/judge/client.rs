//! `[providers.*]`, the client: how it proves who it is, its key and its certificate, how its request travels.

use std::sync::Arc;

use rustls::sign::CertifiedKey;

use super::Judge;
use crate::config::place::KeyPath;
use crate::config::problem::Finding;
use crate::config::raw::{Provider, RawSecret, Tls};
use crate::config::source::shown;
use crate::foundation::secret::Secret;
use crate::oidc::{ClientAuth, RequestForm, SigningKey, SigningKeyError};

/// How a client proves who it is at each endpoint that may want its own way, as far as it is written.
#[derive(Clone, Copy)]
pub(super) struct Auths {
    pub(super) token: Option<ClientAuth>,
    pub(super) introspection: Option<ClientAuth>,
    pub(super) revocation: Option<ClientAuth>,
}

impl Judge<'_> {
    /// `client_auth`, `introspection_auth` and `revocation_auth`, each with what it needs.
    pub(super) fn client_auths(&mut self, at: &KeyPath, raw: &Provider) -> Option<Auths> {
        let token = self.client_auth(at, raw, "client_auth", raw.client_auth.as_deref());
        let introspection = raw.introspection_auth.as_deref();
        let introspection = self.client_auth(at, raw, "introspection_auth", introspection);
        let revocation = self.client_auth(at, raw, "revocation_auth", raw.revocation_auth.as_deref());
        let nothing = raw.client_secret.is_none() && raw.private_key.is_none() && raw.tls_client.is_none();
        let token = match token? {
            // There is nothing else that such a client could prove itself with.
            None if nothing => Some(ClientAuth::None),
            token => token,
        };
        Some(Auths { token, introspection: introspection?, revocation: revocation? })
    }

    fn client_auth(
        &mut self,
        at: &KeyPath,
        raw: &Provider,
        key: &str,
        text: Option<&str>,
    ) -> Option<Option<ClientAuth>> {
        let choices = ClientAuth::ALL.map(|(name, method)| (name, Some(method)));
        let chosen = self.choice(&at.key(key), text, None, &choices)?;
        let (needed, is_there, expected, mend) = match chosen {
            None => return Some(None),
            Some(ClientAuth::None) if raw.client_secret.is_some() && key == "client_auth" => {
                let finding = Finding::invalid("contradicts client_secret").found("\"none\" and a secret");
                return self.refuse(&at.key(key), finding.mend("take out client_secret, or client_auth"));
            }
            Some(ClientAuth::None) => return Some(chosen),
            Some(
                ClientAuth::ClientSecretBasic | ClientAuth::ClientSecretPost | ClientAuth::ClientSecretJwt,
            ) => (
                "client_secret",
                raw.client_secret.is_some(),
                "a secret",
                "set client_secret = { env = \"NAME\" }",
            ),
            Some(ClientAuth::PrivateKeyJwt) => (
                "private_key",
                raw.private_key.is_some(),
                "a private key",
                "set private_key = { file = \"client.key\" }",
            ),
            Some(ClientAuth::TlsClientAuth) => (
                "tls_client",
                raw.tls_client.is_some(),
                "a certificate",
                "set tls_client = { cert = \"client.pem\", key = \"client.key\" }",
            ),
        };
        if !is_there {
            let expected = format!("{expected}, as {key} asks for one");
            self.required(&at.key(needed), None::<&Secret>, &expected, mend);
            return None;
        }
        Some(chosen)
    }

    /// `private_key`: read, and fit to sign with.
    pub(super) fn signing_key(&mut self, at: &KeyPath, raw: &RawSecret) -> Option<Arc<SigningKey>> {
        let text = self.secret(at, raw)?;
        let error = match SigningKey::from_pem(text.expose()) {
            Ok(key) => return Some(Arc::new(key)),
            Err(error) => error,
        };
        // Where it is written, and what is there: never the text itself.
        let (place, found) = match raw {
            RawSecret::Literal(_) => (at.clone(), None),
            RawSecret::Environment { env } => (at.key("env"), Some(env)),
            RawSecret::File { file } => (at.key("file"), Some(file)),
        };
        let mut finding = Finding::invalid(format!("gives no key to sign with: {error}"));
        if let Some(found) = found {
            finding = finding.found(shown(found));
        }
        let mend = match error {
            SigningKeyError::Encrypted => "take the password off: openssl pkey -in client.key -out plain.key",
            SigningKeyError::NotPem | SigningKeyError::Broken => {
                "it begins with -----BEGIN PRIVATE KEY----- and ends with -----END PRIVATE KEY-----"
            }
            SigningKeyError::Other(_) | SigningKeyError::Unusable => {
                "make one: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out client.key"
            }
        };
        self.refuse(&place, finding.expected(SigningKey::EXPECTED).mend(mend))
    }

    /// `tls_client`: a certificate and its key, both read and found to belong together.
    pub(super) fn client_certificate(&mut self, at: &KeyPath, tls: &Tls) -> Option<Arc<CertifiedKey>> {
        let mend = "write tls_client = { cert = \"client.pem\", key = \"client.key\" }";
        self.certified_key(at, tls, mend).map(Arc::new)
    }

    /// `request`, with what it needs.
    pub(super) fn request_form(&mut self, at: &KeyPath, raw: &Provider) -> Option<RequestForm> {
        let choices = [
            ("query", RequestForm::Query),
            ("par", RequestForm::Pushed),
            ("jar", RequestForm::Signed),
            ("par+jar", RequestForm::PushedAndSigned),
            ("request_uri", RequestForm::ByReference),
        ];
        let form = self.choice(&at.key("request"), raw.request.as_deref(), RequestForm::Query, &choices)?;
        let is_signed = !matches!(form, RequestForm::Query | RequestForm::Pushed);
        if is_signed && raw.private_key.is_none() && raw.client_secret.is_none() {
            let mend = "set private_key = { file = \"client.key\" }";
            let expected = "a private key, as request asks for one";
            self.required(&at.key("private_key"), None::<&Secret>, expected, mend);
            return None;
        }
        Some(form)
    }
}
