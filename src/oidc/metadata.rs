//! What is known of a provider: its endpoints and what it can, from its own document and from the settings.
//!
//! The document is read leniently: unknown members, nulls, `"true"` for true and missing optional lists do no
//! harm. What is read here is settled: whoever holds a [`Metadata`] has nothing more to choose.

use serde_json::{Map, Value};
use url::Url;

use super::carriage::Carriage;
use super::client_choice::{Proof, Proofs};
use super::error::{EndpointProblem, OidcError};
use super::message::told;
use super::{Algorithm, Protocol, Settings, TokenBinding, Userinfo, dpop, profile};
use crate::foundation::origin::Origin;

/// A provider's endpoints and abilities, settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Metadata {
    pub(super) authorization: Url,
    pub(super) token: Url,
    /// Where claims are asked for, if they are.
    pub(super) userinfo: Option<Url>,
    /// Where the keys are; with OpenID Connect always known.
    pub(super) jwks: Option<Url>,
    pub(super) end_session: Option<Url>,
    /// Where a token's state is asked for.
    pub(super) introspection: Option<Url>,
    pub(super) revocation: Option<Url>,
    /// Where a screen without a keyboard asks for a code.
    pub(super) device: Option<Url>,
    /// How we prove who we are at the token endpoint.
    pub(super) client_auth: Proof,
    /// Where clients are registered (RFC 7591).
    pub(super) registration: Option<Url>,
    /// The same at the introspection endpoint.
    pub(super) introspection_auth: Proof,
    /// The same at the revocation endpoint.
    pub(super) revocation_auth: Proof,
    /// How the authorization request travels.
    pub(super) carriage: Carriage,
    /// The signature algorithms that an ID token may have.
    pub(super) id_token_algs: Vec<Algorithm>,
    /// The signature algorithms that a signed userinfo answer may have.
    pub(super) userinfo_algs: Vec<Algorithm>,
    /// The signature algorithms that a signed authorization response may have.
    pub(super) response_algs: Vec<Algorithm>,
    /// Whether every authorization response carries `iss` (RFC 9207 section 3).
    pub(super) response_iss: bool,
    /// How it tells of sign-outs there, as far as it says.
    pub(super) tells: Tells,
    /// What an operator should see once.
    pub(super) remarks: Vec<Remark>,
}

/// How a provider tells its clients that somebody signed out there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tells {
    /// By itself (Back-Channel Logout 1.0 section 2.1).
    Us,
    /// By frames in its own page, and not by itself (Front-Channel Logout 1.0 section 3).
    Browsers,
    /// It says nothing of either.
    Unknown,
}

/// Something in a provider's metadata that is no error and yet worth a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Remark {
    /// An announced endpoint is on another host than the issuer.
    OtherHost { endpoint: &'static str, host: String },
    /// Something is used, by the settings or for want of better, that a list of the provider's does not name.
    NotAnnounced { member: &'static str, chosen: &'static str },
    /// An announced endpoint that a login does not need can't be used, and is left out.
    LeftOut { endpoint: &'static str, problem: EndpointProblem },
}

impl Metadata {
    /// Settles what `document` announces and what is set by hand; each endpoint set by hand wins.
    ///
    /// # Errors
    /// When an endpoint that a login needs is missing, or announced and unusable.
    pub(super) fn settle(settings: &Settings, document: &Map<String, Value>) -> Result<Self, OidcError> {
        let by_hand = &settings.endpoints;
        let issuer = Url::parse(&settings.issuer).ok();
        let mut read = Reader { document, aliases: None, issuer, remarks: Vec::new() };
        let proofs = Proofs::settle(settings, &mut read);
        if proofs.any_certificate() {
            read.aliases = document.get("mtls_endpoint_aliases").and_then(Value::as_object);
        }
        let carriage = Carriage::settle(settings, &mut read)?;
        profile::demand(settings, proofs.token, &read)?;
        if settings.claims.is_some() && read.denies("claims_parameter_supported") {
            read.remark(Remark::NotAnnounced { member: "claims_parameter_supported", chosen: "claims" });
        }
        takes_dpop(settings, read.list("dpop_signing_alg_values_supported").as_deref())?;
        // Every provider has RS256 (Discovery 1.0 section 3): what a list without any that we know comes to.
        let id_token_algs = read
            .algorithms(settings, "id_token_signing_alg_values_supported")
            .unwrap_or_else(|| vec![Algorithm::Rs256]);
        Ok(Self {
            authorization: read.needed("authorization_endpoint", by_hand.authorization.as_ref())?,
            token: read.needed("token_endpoint", by_hand.token.as_ref())?,
            // Claims come from there: to go on without an unusable one would change who a person is.
            userinfo: match (&settings.protocol, settings.userinfo) {
                (Protocol::OAuth2 { .. }, _) | (_, Userinfo::Always) => {
                    Some(read.needed("userinfo_endpoint", by_hand.userinfo.as_ref())?)
                }
                (_, Userinfo::Auto) => read.endpoint("userinfo_endpoint", by_hand.userinfo.as_ref())?,
                (_, Userinfo::Never) => None,
            },
            jwks: match &settings.protocol {
                Protocol::OpenIdConnect => Some(read.needed("jwks_uri", by_hand.jwks.as_ref())?),
                Protocol::OAuth2 { .. } => read.optional("jwks_uri", by_hand.jwks.as_ref()),
            },
            end_session: read.optional("end_session_endpoint", by_hand.end_session.as_ref()),
            introspection: read.optional("introspection_endpoint", by_hand.introspection.as_ref()),
            revocation: read.optional("revocation_endpoint", by_hand.revocation.as_ref()),
            device: read.optional("device_authorization_endpoint", by_hand.device_authorization.as_ref()),
            registration: read.optional("registration_endpoint", None),
            client_auth: proofs.token,
            introspection_auth: proofs.introspection,
            revocation_auth: proofs.revocation,
            carriage,
            userinfo_algs: read
                .algorithms(settings, "userinfo_signing_alg_values_supported")
                .unwrap_or_else(|| id_token_algs.clone()),
            // JARM section 4; a provider that does not say signs with what it signs ID tokens with.
            response_algs: read.list("authorization_signing_alg_values_supported").map_or_else(
                || id_token_algs.clone(),
                |announced| {
                    let known = announced.into_iter().filter_map(Algorithm::from_name);
                    known.filter(|algorithm| settings.profile.allows(*algorithm)).collect()
                },
            ),
            id_token_algs,
            response_iss: read.flag("authorization_response_iss_parameter_supported"),
            tells: if read.flag("backchannel_logout_supported") {
                Tells::Us
            } else if read.flag("frontchannel_logout_supported") {
                Tells::Browsers
            } else {
                Tells::Unknown
            },
            remarks: read.remarks,
        })
    }
}

/// RFC 9449 section 5.1: what proofs may be signed with; a provider that does not say may yet take them.
fn takes_dpop(settings: &Settings, announced: Option<&[&str]>) -> Result<(), OidcError> {
    match (settings.binding, announced) {
        (TokenBinding::Key, Some(announced)) if !announced.contains(&dpop::ALGORITHM) => {
            Err(OidcError::ProofAlgorithm { announced: told(&announced.join(", ")) })
        }
        _ => Ok(()),
    }
}

/// Reads a provider's document, and notes what an operator should see.
pub(super) struct Reader<'a> {
    document: &'a Map<String, Value>,
    /// Where endpoints are that ask for our certificate, if any does.
    aliases: Option<&'a Map<String, Value>>,
    issuer: Option<Url>,
    remarks: Vec<Remark>,
}

impl<'a> Reader<'a> {
    pub(super) fn needed(&mut self, name: &'static str, by_hand: Option<&Url>) -> Result<Url, OidcError> {
        self.endpoint(name, by_hand)?.ok_or(OidcError::EndpointMissing { endpoint: name })
    }

    fn optional(&mut self, name: &'static str, by_hand: Option<&Url>) -> Option<Url> {
        match self.endpoint(name, by_hand) {
            Ok(url) => url,
            Err(OidcError::Endpoint { endpoint, problem }) => {
                self.remarks.push(Remark::LeftOut { endpoint, problem });
                None
            }
            Err(_) => None,
        }
    }

    fn endpoint(&mut self, name: &'static str, by_hand: Option<&Url>) -> Result<Option<Url>, OidcError> {
        if let Some(url) = by_hand {
            return Ok(Some(url.clone()));
        }
        let written = |members: &'a Map<String, Value>| {
            members.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
        };
        // RFC 8705 section 5: for calls of ours alone. What browsers open has no alias.
        let alias =
            self.aliases.filter(|_| !matches!(name, "authorization_endpoint" | "end_session_endpoint"));
        let alias = alias.and_then(written);
        let Some(text) = alias.or_else(|| written(self.document)) else { return Ok(None) };
        let unusable = |problem| OidcError::Endpoint { endpoint: name, problem };
        let mut url = Url::parse(text).map_err(|_| unusable(EndpointProblem::NotAnAddress))?;
        let origin = Origin::of(&url).ok_or(unusable(EndpointProblem::NotAnAddress))?;
        // SECURITY: a user name in an address would become an Authorization header that nobody configured.
        if !url.username().is_empty() || url.password().is_some() {
            return Err(unusable(EndpointProblem::NotAnAddress));
        }
        let issuer_is_https = self.issuer.as_ref().is_none_or(|issuer| issuer.scheme() == "https");
        // SECURITY: an http endpoint would show codes, secrets and tokens to the network.
        if issuer_is_https && url.scheme() != "https" {
            return Err(unusable(EndpointProblem::NotHttps));
        }
        let issuer_host = self.issuer.as_ref().and_then(Origin::of);
        if alias.is_none() && issuer_host.is_some_and(|issuer| issuer.host() != origin.host()) {
            self.remarks.push(Remark::OtherHost { endpoint: name, host: told(origin.host()) });
        }
        url.set_fragment(None);
        Ok(Some(url))
    }

    /// A list of strings; a single string counts as one, what is no string is passed over.
    pub(super) fn list(&self, name: &str) -> Option<Vec<&'a str>> {
        match self.document.get(name)? {
            Value::Array(items) => Some(items.iter().filter_map(Value::as_str).collect()),
            Value::String(text) => Some(text.split_ascii_whitespace().collect()),
            _ => None,
        }
    }

    /// The algorithms that the settings name, else those that `announced` lists and we know, if any.
    fn algorithms(&self, settings: &Settings, announced: &str) -> Option<Vec<Algorithm>> {
        if let Some(chosen) = &settings.id_token_algs {
            return Some(chosen.clone());
        }
        let announced = self.list(announced).unwrap_or_default();
        let known: Vec<_> = announced.into_iter().filter_map(Algorithm::from_name).collect();
        Some(known).filter(|known| !known.is_empty())
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        match self.document.get(name) {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
            _ => false,
        }
    }

    /// Whether the provider says that it has not what a flag stands for.
    fn denies(&self, name: &str) -> bool {
        self.document.get(name).is_some_and(|value| !value.is_null()) && !self.flag(name)
    }

    pub(super) fn remark(&mut self, remark: Remark) {
        self.remarks.push(remark);
    }
}

#[cfg(test)]
mod tests;
