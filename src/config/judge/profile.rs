//! `profile`: what FAPI 2.0 Security Profile forbids is refused, each key beside the profile that it contradicts.
//!
//! What the profile sets where nothing is written is filled in before (`raw`).

use super::{Judge, PlainHttp};
use crate::config::place::KeyPath;
use crate::config::problem::Finding;
use crate::config::raw::Provider;
use crate::config::source::shown;
use crate::foundation::secret::Secret;
use crate::oidc::{Profile, SigningKey};

const MEND: &str = "take it out, as the profile says what takes its place; or take out profile";

impl Judge<'_> {
    /// `profile`, with everything that contradicts it. `key` is the private key, as far as it could be read.
    pub(super) fn profile(
        &mut self,
        at: &KeyPath,
        raw: &Provider,
        key: Option<&SigningKey>,
    ) -> Option<Profile> {
        let choices = [("none", Profile::Usual), ("fapi2", Profile::Fapi2)];
        let profile = self.choice(&at.key("profile"), raw.profile.as_deref(), Profile::Usual, &choices)?;
        if profile == Profile::Usual {
            return Some(profile);
        }
        let mut right = true;
        for (key, found) in contradictions(raw, key) {
            self.contradiction(&at.key(key), &found);
            right = false;
        }
        // FAPI 2.0 Security Profile section 5.4.1.
        let allowed = Profile::FAPI2_ALGORITHMS.map(|algorithm| algorithm.name());
        for (number, name) in raw.id_token_algs.iter().flatten().enumerate() {
            if !allowed.contains(&name.as_str()) && name != "Ed25519" {
                self.contradiction(&at.key("id_token_algs").index(number), &format!("{:?}", shown(name)));
                right = false;
            }
        }
        if raw.private_key.is_none() && raw.tls_client.is_none() {
            let expected = "a private key or tls_client, as profile = \"fapi2\" asks for one";
            let mend = "set private_key = { file = \"client.key\" }";
            self.required(&at.key("private_key"), None::<&Secret>, expected, mend);
            right = false;
        }
        // Section 5.2.1: TLS on every connection.
        let is_plain = raw.issuer.as_deref().is_some_and(|issuer| issuer.starts_with("http:"));
        if is_plain && self.plain_http == PlainHttp::Anywhere {
            self.contradiction(&at.key("issuer"), "an issuer without TLS");
            right = false;
        }
        right.then_some(profile)
    }

    fn contradiction(&mut self, path: &KeyPath, found: &str) {
        let finding = Finding::invalid("contradicts profile = \"fapi2\"");
        self.report.add(path, finding.found(found).mend(MEND));
    }
}

/// The keys that say what the profile forbids.
fn contradictions(raw: &Provider, key: Option<&SigningKey>) -> Vec<(&'static str, String)> {
    let mut found: Vec<(&'static str, String)> = Vec::new();
    let mut text = |key, value: &Option<String>, allowed: &[&str]| {
        if let Some(value) = value.as_deref().filter(|value| !allowed.contains(value)) {
            found.push((key, format!("{:?}", shown(value))));
        }
    };
    // Section 5.3.3.1: metadata comes from the well-known document and nowhere else.
    text("authorization_endpoint", &raw.authorization_endpoint, &[]);
    text("token_endpoint", &raw.token_endpoint, &[]);
    text("userinfo_endpoint", &raw.userinfo_endpoint, &[]);
    text("jwks_uri", &raw.jwks_uri, &[]);
    text("pushed_authorization_request_endpoint", &raw.pushed_authorization_request_endpoint, &[]);
    // Section 5.3.3.1: no secret that both sides know.
    let methods = ["private_key_jwt", "tls_client_auth"];
    text("client_auth", &raw.client_auth, &methods);
    text("introspection_auth", &raw.introspection_auth, &methods);
    text("revocation_auth", &raw.revocation_auth, &methods);
    // Section 5.3.3.2: every request is pushed.
    text("request", &raw.request, &["par", "par+jar"]);
    text("response_mode", &raw.response_mode, &["query", "query.jwt", "form_post.jwt", "jwt"]);
    if raw.client_secret.is_some() {
        found.push(("client_secret", "a secret".to_owned()));
    }
    if raw.discovery == Some(false) {
        found.push(("discovery", "false".to_owned()));
    }
    // Section 5.3.3.1: tokens are bound to a key or to the certificate.
    if raw.dpop == Some(false) && raw.client_auth.as_deref() != Some("tls_client_auth") {
        found.push(("dpop", "false without tls_client_auth".to_owned()));
    }
    if key.is_some_and(|key| !key.algorithms().iter().any(|algorithm| Profile::Fapi2.allows(*algorithm))) {
        found.push(("private_key", "a key that can't sign with PS256, ES256 or EdDSA".to_owned()));
    }
    found
}
