//! `[providers.*]`: issuer, endpoints, and how we prove ourselves there.

use std::collections::BTreeMap;
use std::time::Duration;

use url::Url;

use super::Judge;
use super::protocol::asks_for_signature;
use super::values::{DAY, MINUTE, SECOND};
use crate::config::place::KeyPath;
use crate::config::problem::{Fault, Finding};
use crate::config::raw::{OneOrMany, Provider};
use crate::config::source::shown;
use crate::oidc::{DecryptionKey, Discovery, Endpoints, ResponseMode, Settings, TokenBinding, Userinfo};

impl Judge<'_> {
    /// `[providers]`.
    pub(super) fn providers(
        &mut self,
        at: &KeyPath,
        raw: &BTreeMap<String, Provider>,
    ) -> Option<Vec<Settings>> {
        if raw.is_empty() && !self.report.is_blamed(at) {
            let mend = "add [providers.NAME] with issuer, client_id and client_secret";
            self.report.add(at, Finding::new(Fault::Missing).expected("at least one provider").mend(mend));
        }
        let each = self.in_order(at, raw).into_iter();
        each.map(|(path, name, raw)| self.provider(&path, name, raw))
            .collect::<Vec<_>>()
            .into_iter()
            .collect()
    }

    fn provider(&mut self, at: &KeyPath, name: &str, raw: &Provider) -> Option<Settings> {
        let name = self.name(at, name);
        let protocol = self.protocol(at, raw);
        let (issuer, discovery) = self.issuer_and_discovery(at, raw);
        let endpoints = self.endpoints(at, raw, discovery);
        let mend = "set client_id to the identifier that the provider gave you";
        let client_id = self.required(&at.key("client_id"), raw.client_id.as_deref(), "text", mend);
        if client_id == Some("") {
            self.report.add(&at.key("client_id"), Finding::invalid("is empty").mend(mend));
        }
        let secret = raw.client_secret.as_ref().map(|secret| self.secret(&at.key("client_secret"), secret));
        let decryption_keys = self.decryption_keys(&at.key("decryption_key"), raw);
        let private_key = raw.private_key.as_ref().map(|key| self.signing_key(&at.key("private_key"), key));
        let tls_client =
            raw.tls_client.as_ref().map(|tls| self.client_certificate(&at.key("tls_client"), tls));
        let readable = private_key.as_ref().and_then(Option::as_deref);
        let profile = self.profile(at, raw, readable);
        let auths = self.client_auths(at, raw);
        let request = self.request_form(at, raw);
        let ca = self.trusted_certificates(&at.key("ca"), raw.ca.as_deref());
        let label = self.label(&at.key("label"), raw);
        let domains = self.domains(&at.key("domains"), raw);
        let scopes = self.scopes(at, raw);
        let modes = ResponseMode::ALL.map(|mode| (mode.name(), mode));
        let mode = raw.response_mode.as_deref();
        let response_mode = self.choice(&at.key("response_mode"), mode, ResponseMode::Query, &modes);
        let choices = [("auto", Userinfo::Auto), ("always", Userinfo::Always), ("never", Userinfo::Never)];
        let userinfo = self.choice(&at.key("userinfo"), raw.userinfo.as_deref(), Userinfo::Auto, &choices);
        let algorithms = self.algorithms(&at.key("id_token_algs"), raw.id_token_algs.as_deref());
        let skew = raw.clock_skew.as_deref();
        let clock_skew = self.duration(&at.key("clock_skew"), skew, MINUTE, Duration::ZERO..=MINUTE);
        let timeout = raw.timeout.as_deref();
        let timeout = self.duration(&at.key("timeout"), timeout, 10 * SECOND, SECOND..=5 * MINUTE);
        let max_age = raw
            .max_age
            .as_deref()
            .map(|text| self.duration(&at.key("max_age"), Some(text), DAY, Duration::ZERO..=365 * DAY));
        let words = self.words(at, raw);
        let claims = raw.claims.as_deref().map(|claims| self.claims(&at.key("claims"), claims));
        let resource = self.resources(&at.key("resource"), &raw.resource);
        let params = self.params(&at.key("params"), &raw.params);
        let logout = self.provider_logout(&at.key("logout"), raw);
        words?;
        Some(Settings {
            name: name?,
            label: label?,
            domains: domains?,
            protocol: protocol?,
            issuer: issuer?,
            discovery,
            endpoints: endpoints?,
            client_id: client_id?.to_owned(),
            client_secret: present(secret)?,
            decryption_keys: decryption_keys?,
            private_key: present(private_key)?,
            tls_client: present(tls_client)?,
            client_auth: auths?.token,
            introspection_auth: auths?.introspection,
            revocation_auth: auths?.revocation,
            ca: ca?,
            scopes: scopes?,
            response_mode: response_mode?,
            profile: profile?,
            binding: if raw.dpop == Some(true) { TokenBinding::Key } else { TokenBinding::Bearer },
            request: request?,
            userinfo: userinfo?,
            id_token_algs: algorithms?,
            clock_skew: clock_skew?,
            timeout: timeout?,
            prompt: raw.prompt.clone(),
            acr_values: raw.acr_values.clone(),
            max_age: present(max_age)?,
            ui_locales: raw.ui_locales.clone(),
            audience: raw.audience.clone(),
            claims: present(claims)?,
            resource: resource?,
            login_hint: raw.login_hint.clone(),
            params: params?,
            logout: logout?,
        })
    }

    /// OpenID Connect Discovery 1.0 section 3: a URL without query and fragment, kept byte for byte.
    pub(super) fn issuer(&mut self, at: &KeyPath, text: Option<&str>) -> Option<String> {
        let text =
            self.required(at, text, "the provider's issuer", "set issuer to the provider's address")?;
        let url = self.protected_address(at, text)?;
        let finding = Finding::invalid("is not an issuer").found(format!("{:?}", shown(text)));
        if url.query().is_some() {
            return self.refuse(at, finding.mend("take out the ? and what follows"));
        }
        if let Some((issuer, _)) = text.split_once("/.well-known/") {
            return self.refuse(at, finding.mend(format!("write {:?}; the rest is added", shown(issuer))));
        }
        Some(text.to_owned())
    }

    fn endpoints(&mut self, at: &KeyPath, raw: &Provider, discovery: Discovery) -> Option<Endpoints> {
        if discovery == Discovery::ByHand {
            let mut needed = vec![
                ("authorization_endpoint", &raw.authorization_endpoint),
                ("token_endpoint", &raw.token_endpoint),
            ];
            let plain = raw.protocol.as_deref() == Some("oauth2");
            if !plain || asks_for_signature(raw) {
                needed.push(("jwks_uri", &raw.jwks_uri));
            }
            if plain || raw.userinfo.as_deref() == Some("always") {
                needed.push(("userinfo_endpoint", &raw.userinfo_endpoint));
            }
            if matches!(raw.request.as_deref(), Some("par" | "par+jar")) {
                let endpoint = &raw.pushed_authorization_request_endpoint;
                needed.push(("pushed_authorization_request_endpoint", endpoint));
            }
            for (key, value) in needed {
                let mend = format!("set {key}, or discovery = true");
                self.required(&at.key(key), value.as_deref(), "an address, as discovery = false", &mend);
            }
        }
        let mut endpoint = |key: &str, text: &Option<String>| -> Option<Option<Url>> {
            present(text.as_deref().map(|text| self.protected_address(&at.key(key), text)))
        };
        let authorization = endpoint("authorization_endpoint", &raw.authorization_endpoint);
        let token = endpoint("token_endpoint", &raw.token_endpoint);
        let userinfo = endpoint("userinfo_endpoint", &raw.userinfo_endpoint);
        let jwks = endpoint("jwks_uri", &raw.jwks_uri);
        let end_session = endpoint("end_session_endpoint", &raw.end_session_endpoint);
        let introspection = endpoint("introspection_endpoint", &raw.introspection_endpoint);
        let revocation = endpoint("revocation_endpoint", &raw.revocation_endpoint);
        let pushed =
            endpoint("pushed_authorization_request_endpoint", &raw.pushed_authorization_request_endpoint);
        let device = endpoint("device_authorization_endpoint", &raw.device_authorization_endpoint);
        Some(Endpoints {
            authorization: authorization?,
            token: token?,
            userinfo: userinfo?,
            jwks: jwks?,
            end_session: end_session?,
            introspection: introspection?,
            revocation: revocation?,
            device_authorization: device?,
            pushed_authorization_request: pushed?,
        })
    }
}

impl Judge<'_> {
    /// The keys that the provider encrypts to, each a PEM text.
    fn decryption_keys(&mut self, at: &KeyPath, raw: &Provider) -> Option<Vec<DecryptionKey>> {
        let secrets = match &raw.decryption_key {
            None => return Some(Vec::new()),
            Some(OneOrMany::One(one)) => vec![(at.clone(), one)],
            Some(OneOrMany::Many(many)) => {
                many.iter().enumerate().map(|(number, secret)| (at.index(number), secret)).collect()
            }
        };
        let each = secrets.into_iter().map(|(at, secret)| {
            let pem = self.secret(&at, secret)?;
            DecryptionKey::from_pem(pem.expose().as_bytes()).ok().or_else(|| {
                let finding = Finding::invalid("holds no key to decrypt with");
                let expected = "PEM without a password: RSA of 2048 bits or more, or EC on P-256";
                let mend = "make one: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256";
                self.refuse(&at, finding.expected(expected).mend(mend))
            })
        });
        each.collect::<Vec<_>>().into_iter().collect()
    }
}

/// Nothing where nothing was written; else the judged value, `None` when it is wrong.
pub(super) fn present<T>(judged: Option<Option<T>>) -> Option<Option<T>> {
    judged.map_or(Some(None), |value| value.map(Some))
}
