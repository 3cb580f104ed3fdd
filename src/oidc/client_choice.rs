//! Which way to prove who we are is the best that both sides can do, and with which signature.
//!
//! Pure: what the settings have and what the provider announces (Discovery 1.0 section 3, RFC 8414 section 2) go
//! in, a [`Proof`] for each endpoint comes out. What a proof looks like is the matter of `client_auth`.

use super::metadata::{Reader, Remark};
use super::own_jwt::{Mac, Signing};
use super::{Algorithm, ClientAuth, RequestForm, Settings, SetupError};

/// How we prove who we are at an endpoint, settled: nothing more has to be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// The secret in a header.
    SecretInHeader,
    /// The secret in the form.
    SecretInBody,
    /// A signed assertion.
    Assertion(Signing),
    /// The certificate of the connection.
    Certificate,
    /// Nothing: a public client.
    Nothing,
}

impl Proof {
    /// The method by its name.
    pub(super) const fn method(self) -> ClientAuth {
        match self {
            Self::SecretInHeader => ClientAuth::ClientSecretBasic,
            Self::SecretInBody => ClientAuth::ClientSecretPost,
            Self::Assertion(Signing::Secret(_)) => ClientAuth::ClientSecretJwt,
            Self::Assertion(Signing::Key(_)) => ClientAuth::PrivateKeyJwt,
            Self::Certificate => ClientAuth::TlsClientAuth,
            Self::Nothing => ClientAuth::None,
        }
    }
}

/// The proofs for the endpoints that may each want its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Proofs {
    /// The token endpoint; also pushed authorization and device authorization (RFC 9126 section 2, RFC 8628
    /// section 3.1).
    pub(super) token: Proof,
    /// The introspection endpoint.
    pub(super) introspection: Proof,
    /// The revocation endpoint.
    pub(super) revocation: Proof,
}

impl Proofs {
    pub(super) fn settle(settings: &Settings, read: &mut Reader<'_>) -> Self {
        let token = At {
            configured: settings.client_auth,
            usual: None,
            methods: "token_endpoint_auth_methods_supported",
            algorithms: "token_endpoint_auth_signing_alg_values_supported",
        };
        let token = token.settle(settings, read);
        let introspection = At {
            configured: settings.introspection_auth,
            usual: Some(token.method()),
            methods: "introspection_endpoint_auth_methods_supported",
            algorithms: "introspection_endpoint_auth_signing_alg_values_supported",
        };
        let revocation = At {
            configured: settings.revocation_auth,
            usual: Some(token.method()),
            methods: "revocation_endpoint_auth_methods_supported",
            algorithms: "revocation_endpoint_auth_signing_alg_values_supported",
        };
        Self {
            token,
            introspection: introspection.settle(settings, read),
            revocation: revocation.settle(settings, read),
        }
    }

    /// Whether any endpoint is shown the certificate.
    pub(super) fn any_certificate(self) -> bool {
        [self.token, self.introspection, self.revocation].contains(&Proof::Certificate)
    }
}

/// Whether the settings hold what they ask to be used.
///
/// # Errors
/// When they don't.
pub(super) fn has_what_it_needs(settings: &Settings) -> Result<(), SetupError> {
    let (secret, key) = (settings.client_secret.is_some(), settings.private_key.is_some());
    for method in [settings.client_auth, settings.introspection_auth, settings.revocation_auth] {
        match method {
            Some(
                ClientAuth::ClientSecretBasic | ClientAuth::ClientSecretPost | ClientAuth::ClientSecretJwt,
            ) if !secret => return Err(SetupError::SecretMissing),
            Some(ClientAuth::PrivateKeyJwt) if !key => return Err(SetupError::KeyMissing("client_auth")),
            Some(ClientAuth::TlsClientAuth) if settings.tls_client.is_none() => {
                return Err(SetupError::CertificateMissing);
            }
            _ => {}
        }
    }
    let is_signed = !matches!(settings.request, RequestForm::Query | RequestForm::Pushed);
    if is_signed && !secret && !key { Err(SetupError::KeyMissing("request")) } else { Ok(()) }
}

/// One endpoint: what the operator and the provider say about it.
struct At {
    configured: Option<ClientAuth>,
    /// What is used where neither says otherwise.
    usual: Option<ClientAuth>,
    methods: &'static str,
    algorithms: &'static str,
}

impl At {
    fn settle(&self, settings: &Settings, read: &mut Reader<'_>) -> Proof {
        let announced = read.list(self.methods);
        let offers = |method| announced.as_deref().is_some_and(|methods| is_offered(method, methods));
        let method = match (self.configured, self.usual) {
            (Some(chosen), _) => {
                if announced.is_some() && !offers(chosen) {
                    read.remark(Remark::NotAnnounced { member: self.methods, chosen: chosen.name() });
                }
                chosen
            }
            (None, Some(usual)) if announced.is_none() || offers(usual) => usual,
            (None, usual) => {
                best(settings, announced.as_deref()).unwrap_or(usual.unwrap_or(ClientAuth::None))
            }
        };
        match method {
            ClientAuth::ClientSecretBasic => Proof::SecretInHeader,
            ClientAuth::ClientSecretPost => Proof::SecretInBody,
            ClientAuth::ClientSecretJwt => {
                let announced = read.list(self.algorithms).unwrap_or_default();
                Proof::Assertion(Signing::Secret(Mac::among(&announced).unwrap_or(Mac::Hs256)))
            }
            ClientAuth::PrivateKeyJwt => match key_algorithm(settings, self.algorithms, read) {
                Some(algorithm) => Proof::Assertion(Signing::Key(algorithm)),
                None => Proof::Nothing,
            },
            ClientAuth::TlsClientAuth => Proof::Certificate,
            ClientAuth::None => Proof::Nothing,
        }
    }
}

/// RFC 8705 section 2.2: a certificate that is its own authority is shown in the same way.
pub(super) fn is_offered(method: ClientAuth, methods: &[&str]) -> bool {
    methods.contains(&method.name())
        || method == ClientAuth::TlsClientAuth && methods.contains(&"self_signed_tls_client_auth")
}

/// The best method that both sides can do; `None` where we have nothing to prove ourselves with.
///
/// A certificate or a key that the operator gave us is there to be used, and neither ever leaves us. Of the ways
/// to use a secret, an assertion would be the best; but providers announce it for clients that were entered so,
/// and take it from no other, whereas a secret in a header is what a client is entered for unless somebody says
/// otherwise (Discovery 1.0 section 3, RFC 7591 section 2). So it is chosen only where nothing else is offered.
fn best(settings: &Settings, announced: Option<&[&str]>) -> Option<ClientAuth> {
    let (has_secret, has_key) = (settings.client_secret.is_some(), settings.private_key.is_some());
    // In the order in which they are preferred. RFC 6749 section 2.3.1 prefers the header to the body, and a
    // body is logged more easily.
    let ours = [
        (ClientAuth::TlsClientAuth, settings.tls_client.is_some()),
        (ClientAuth::PrivateKeyJwt, has_key),
        (ClientAuth::ClientSecretBasic, has_secret),
        (ClientAuth::ClientSecretPost, has_secret),
        (ClientAuth::ClientSecretJwt, has_secret),
    ];
    let ours = || ours.iter().filter(|(_, can)| *can).map(|(method, _)| *method);
    match announced {
        Some(methods) => ours()
            .find(|method| is_offered(*method, methods))
            .or_else(|| (!has_secret && methods.contains(&"none")).then_some(ClientAuth::None))
            .or_else(|| usual(has_secret, ours())),
        None => usual(has_secret, ours()),
    }
}

/// Discovery 1.0 section 3: nothing announced means client_secret_basic.
fn usual(has_secret: bool, mut ours: impl Iterator<Item = ClientAuth>) -> Option<ClientAuth> {
    if has_secret { Some(ClientAuth::ClientSecretBasic) } else { ours.next() }
}

/// The algorithm that our key signs with: the best of those announced, else the usual one of its kind.
pub(super) fn key_algorithm(
    settings: &Settings,
    member: &'static str,
    read: &mut Reader<'_>,
) -> Option<Algorithm> {
    let key = settings.private_key.as_ref()?;
    let able = || key.algorithms().iter().filter(|algorithm| settings.profile.allows(**algorithm));
    let usual =
        Some(key.usual()).filter(|usual| settings.profile.allows(*usual)).or(able().next().copied())?;
    let Some(announced) = read.list(member) else { return Some(usual) };
    let announced: Vec<Algorithm> = announced.iter().filter_map(|name| Algorithm::from_name(name)).collect();
    let common = able().find(|algorithm| announced.contains(algorithm));
    if common.is_none() {
        read.remark(Remark::NotAnnounced { member, chosen: usual.name() });
    }
    Some(*common.unwrap_or(&usual))
}

#[cfg(test)]
mod tests;
