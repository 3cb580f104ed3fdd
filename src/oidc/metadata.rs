//! What is known of a provider: its endpoints and what it can, from its own document and from the settings.
//!
//! The document is read leniently: unknown members, nulls, `"true"` for true and missing optional lists do no
//! harm. What is read here is settled: whoever holds a [`Metadata`] has nothing more to choose.

use serde_json::{Map, Value};
use url::Url;

use super::error::{EndpointProblem, OidcError};
use super::message::told;
use super::{Algorithm, ClientAuth, Settings, Userinfo};
use crate::foundation::origin::Origin;

/// A provider's endpoints and abilities, settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Metadata {
    pub(super) authorization: Url,
    pub(super) token: Url,
    /// Where claims are asked for, if they are.
    pub(super) userinfo: Option<Url>,
    pub(super) jwks: Url,
    pub(super) end_session: Option<Url>,
    /// How we authenticate at the token endpoint.
    pub(super) client_auth: ClientAuth,
    /// The signature algorithms that an ID token may have.
    pub(super) id_token_algs: Vec<Algorithm>,
    /// Whether every authorization response carries `iss` (RFC 9207 section 3).
    pub(super) response_iss: bool,
    /// What an operator should see once.
    pub(super) remarks: Vec<Remark>,
}

/// Something in a provider's metadata that is no error and yet worth a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Remark {
    /// An announced endpoint is on another host than the issuer.
    OtherHost { endpoint: &'static str, host: String },
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
        let mut read = Reader { document, issuer: Url::parse(&settings.issuer).ok(), remarks: Vec::new() };
        Ok(Self {
            authorization: read.needed("authorization_endpoint", by_hand.authorization.as_ref())?,
            token: read.needed("token_endpoint", by_hand.token.as_ref())?,
            // Claims come from there: to go on without an unusable one would change who a person is.
            userinfo: match settings.userinfo {
                Userinfo::Never => None,
                Userinfo::Auto => read.endpoint("userinfo_endpoint", by_hand.userinfo.as_ref())?,
                Userinfo::Always => Some(read.needed("userinfo_endpoint", by_hand.userinfo.as_ref())?),
            },
            jwks: read.needed("jwks_uri", by_hand.jwks.as_ref())?,
            end_session: read.optional("end_session_endpoint", by_hand.end_session.as_ref()),
            client_auth: client_auth(settings, read.list("token_endpoint_auth_methods_supported").as_deref()),
            id_token_algs: id_token_algs(
                settings,
                read.list("id_token_signing_alg_values_supported").as_deref(),
            ),
            response_iss: read.flag("authorization_response_iss_parameter_supported"),
            remarks: read.remarks,
        })
    }
}

/// The method that the settings name, else the best that is announced.
fn client_auth(settings: &Settings, announced: Option<&[&str]>) -> ClientAuth {
    if let Some(chosen) = settings.client_auth {
        return chosen;
    }
    if settings.client_secret.is_none() {
        return ClientAuth::None;
    }
    let offers = |method| announced.is_some_and(|methods| methods.contains(&method));
    // Discovery 1.0 section 3: nothing announced means client_secret_basic. RFC 6749 section 2.3.1 prefers
    // it, too: a body is logged more easily than an Authorization header.
    if offers("client_secret_post") && !offers("client_secret_basic") {
        return ClientAuth::ClientSecretPost;
    }
    ClientAuth::ClientSecretBasic
}

/// The algorithms that the settings name, else those that are announced and known. Every provider has RS256
/// (Discovery 1.0 section 3), so that is what a list without any that we know comes to.
fn id_token_algs(settings: &Settings, announced: Option<&[&str]>) -> Vec<Algorithm> {
    if let Some(chosen) = &settings.id_token_algs {
        return chosen.clone();
    }
    let mut known: Vec<Algorithm> =
        announced.unwrap_or_default().iter().filter_map(|name| Algorithm::from_name(name)).collect();
    if known.is_empty() {
        known.push(Algorithm::Rs256);
    }
    known
}

struct Reader<'a> {
    document: &'a Map<String, Value>,
    issuer: Option<Url>,
    remarks: Vec<Remark>,
}

impl<'a> Reader<'a> {
    fn needed(&mut self, name: &'static str, by_hand: Option<&Url>) -> Result<Url, OidcError> {
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
        let Some(text) = self.document.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
        else {
            return Ok(None);
        };
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
        if issuer_host.is_some_and(|issuer| issuer.host() != origin.host()) {
            self.remarks.push(Remark::OtherHost { endpoint: name, host: told(origin.host()) });
        }
        url.set_fragment(None);
        Ok(Some(url))
    }

    /// A list of strings; a single string counts as one, what is no string is passed over.
    fn list(&self, name: &str) -> Option<Vec<&'a str>> {
        match self.document.get(name)? {
            Value::Array(items) => Some(items.iter().filter_map(Value::as_str).collect()),
            Value::String(text) => Some(text.split_ascii_whitespace().collect()),
            _ => None,
        }
    }

    fn flag(&self, name: &str) -> bool {
        match self.document.get(name) {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::oidc::fixture;

    fn settle(issuer: &str, document: Value) -> Result<Metadata, OidcError> {
        let settings = Settings { issuer: issuer.to_owned(), ..fixture::settings("https://unused.example") };
        Metadata::settle(&settings, document.as_object().unwrap())
    }

    fn least() -> Value {
        json!({
            "authorization_endpoint": "https://id.example/auth",
            "token_endpoint": "https://id.example/token",
            "jwks_uri": "https://id.example/jwks",
        })
    }

    #[test]
    fn the_least_that_a_document_can_say_is_enough() {
        let metadata = settle("https://id.example", least()).unwrap();
        assert_eq!(metadata.client_auth, ClientAuth::ClientSecretBasic);
        assert_eq!(metadata.id_token_algs, [Algorithm::Rs256]);
        assert_eq!((metadata.userinfo, metadata.end_session, metadata.response_iss), (None, None, false));
        assert!(metadata.remarks.is_empty());
    }

    #[test]
    fn nulls_strings_for_booleans_and_odd_lists_do_no_harm() {
        let mut document = least();
        for (name, value) in [
            ("userinfo_endpoint", json!(null)),
            ("end_session_endpoint", json!("")),
            ("authorization_response_iss_parameter_supported", json!("true")),
            ("token_endpoint_auth_methods_supported", json!(["client_secret_post", null, 7])),
            ("id_token_signing_alg_values_supported", json!(["none", "HS256", "ES256", 5, "XY", "PS384"])),
            ("scopes_supported", json!("openid")),
            ("x_unknown", json!({"a": [1]})),
        ] {
            document[name] = value;
        }
        let metadata = settle("https://id.example", document).unwrap();
        assert_eq!((metadata.userinfo, metadata.end_session, metadata.response_iss), (None, None, true));
        assert_eq!(metadata.client_auth, ClientAuth::ClientSecretPost);
        assert_eq!(metadata.id_token_algs, [Algorithm::Es256, Algorithm::Ps384]);
    }

    #[test]
    fn the_client_authenticates_by_the_best_that_is_announced_unless_it_is_told_how() {
        let chosen = |announced: Option<&[&str]>, told: Option<ClientAuth>, secret: bool| {
            let mut settings = fixture::settings("https://id.example");
            settings.client_auth = told;
            settings.client_secret = settings.client_secret.filter(|_| secret);
            client_auth(&settings, announced)
        };
        use ClientAuth::{ClientSecretBasic as Basic, ClientSecretPost as Post, None as Public};
        for (announced, told, secret, expected) in [
            (None, None, true, Basic),
            (Some(&["client_secret_post", "client_secret_basic"][..]), None, true, Basic),
            (Some(&["client_secret_post"][..]), None, true, Post),
            (Some(&["private_key_jwt"][..]), None, true, Basic),
            (Some(&["client_secret_basic"][..]), Some(Post), true, Post),
            (Some(&["client_secret_basic"][..]), None, false, Public),
        ] {
            assert_eq!(chosen(announced, told, secret), expected, "{announced:?} {told:?} {secret}");
        }
    }

    #[test]
    fn an_endpoint_is_as_protected_as_the_issuer() {
        for (issuer, endpoint, problem) in [
            ("https://id.example", "http://id.example/token", Some(EndpointProblem::NotHttps)),
            ("https://id.example", "http://127.0.0.1/token", Some(EndpointProblem::NotHttps)),
            ("https://id.example", "/token", Some(EndpointProblem::NotAnAddress)),
            ("https://id.example", "javascript:alert(1)", Some(EndpointProblem::NotAnAddress)),
            ("https://id.example", "https://u:p@id.example/token", Some(EndpointProblem::NotAnAddress)),
            ("http://127.0.0.1:80", "http://127.0.0.1/token", None),
            ("http://127.0.0.1:80", "https://id.example/token", None),
        ] {
            let mut document = least();
            document["token_endpoint"] = json!(endpoint);
            let error = settle(issuer, document).err();
            let expected = problem.map(|problem| OidcError::Endpoint { endpoint: "token_endpoint", problem });
            assert_eq!(error, expected, "{issuer} {endpoint}");
        }
    }

    #[test]
    fn an_endpoint_on_another_host_is_remarked_and_one_not_needed_is_left_out() {
        let mut document = least();
        document["token_endpoint"] = json!("https://tokens.example/token");
        document["end_session_endpoint"] = json!("http://id.example/end");
        let metadata = settle("https://id.example", document).unwrap();
        assert_eq!(metadata.end_session, None);
        assert_eq!(
            metadata.remarks,
            [
                Remark::OtherHost { endpoint: "token_endpoint", host: "tokens.example".into() },
                Remark::LeftOut { endpoint: "end_session_endpoint", problem: EndpointProblem::NotHttps },
            ]
        );
    }

    #[test]
    fn userinfo_is_asked_as_the_settings_say() {
        let announced = json!("https://id.example/me");
        for (setting, document, expected) in [
            (Userinfo::Auto, json!(null), Ok(false)),
            (Userinfo::Auto, announced.clone(), Ok(true)),
            (Userinfo::Never, announced.clone(), Ok(false)),
            (Userinfo::Always, announced, Ok(true)),
            (
                Userinfo::Always,
                json!(null),
                Err(OidcError::EndpointMissing { endpoint: "userinfo_endpoint" }),
            ),
        ] {
            let settings = Settings { userinfo: setting, ..fixture::settings("https://id.example") };
            let mut least = least();
            least["userinfo_endpoint"] = document;
            let found = Metadata::settle(&settings, least.as_object().unwrap());
            assert_eq!(found.map(|metadata| metadata.userinfo.is_some()), expected, "{setting:?}");
        }
    }

    #[test]
    fn an_endpoint_set_by_hand_wins_and_fills_in() {
        let mut settings = fixture::settings("https://id.example");
        let by_hand = Url::parse("http://10.0.0.7/token").unwrap();
        settings.endpoints.token = Some(by_hand.clone());
        let metadata = Metadata::settle(&settings, least().as_object().unwrap()).unwrap();
        assert_eq!(metadata.token, by_hand);
        let nothing = Metadata::settle(&settings, &Map::new());
        assert_eq!(nothing, Err(OidcError::EndpointMissing { endpoint: "authorization_endpoint" }));
    }
}
