//! `[providers.*]`, the messages: what is asked for at sign-in, what is accepted, how sign-out is asked for.

use std::collections::BTreeMap;

use serde_json::Value;
use url::Url;

use super::Judge;
use crate::config::place::KeyPath;
use crate::config::problem::Finding;
use crate::config::raw::Provider;
use crate::config::source::shown;
use crate::oidc::{Algorithm, IdTokenHint, Logout, RESERVED_PARAMS};

const SCOPES: [&str; 4] = ["openid", "email", "profile", "phone"];

/// Parameters of the end-session request that the gateway sets itself.
const OWN_LOGOUT_PARAMETERS: [&str; 4] = ["id_token_hint", "client_id", "post_logout_redirect_uri", "state"];

const ALGORITHMS: [(&str, Algorithm); 9] = [
    ("RS256", Algorithm::Rs256),
    ("RS384", Algorithm::Rs384),
    ("RS512", Algorithm::Rs512),
    ("PS256", Algorithm::Ps256),
    ("PS384", Algorithm::Ps384),
    ("PS512", Algorithm::Ps512),
    ("ES256", Algorithm::Es256),
    ("ES384", Algorithm::Es384),
    ("EdDSA", Algorithm::EdDsa),
];

impl Judge<'_> {
    /// With OAuth 2.0 alone each provider has scopes of its own, so none is asked for unasked.
    pub(super) fn scopes(&mut self, at: &KeyPath, raw: &Provider) -> Option<Vec<String>> {
        let is_openid = raw.protocol.as_deref() != Some("oauth2");
        let at = &at.key("scopes");
        let Some(scopes) = &raw.scopes else {
            let usual: &[&str] = if is_openid { &SCOPES } else { &[] };
            return Some(usual.iter().copied().map(str::to_owned).collect());
        };
        // RFC 6749 section 3.3: scope-token.
        let is_token = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        let mut right = true;
        for (number, scope) in scopes.iter().enumerate() {
            if scope.is_empty() || !scope.bytes().all(is_token) {
                let finding = Finding::invalid("is not one scope").found(format!("{:?}", shown(scope)));
                self.report
                    .add(&at.index(number), finding.mend("give each scope its own element of the list"));
                right = false;
            }
        }
        if right && is_openid && !scopes.iter().any(|scope| scope == "openid") {
            // OpenID Connect Core 1.0 section 3.1.2.1: without it the provider sends no ID token.
            let finding = Finding::invalid("lacks openid").found(format!("{scopes:?}"));
            return self.refuse(at, finding.mend("add \"openid\" to the list"));
        }
        right.then(|| scopes.to_vec())
    }

    pub(super) fn algorithms(
        &mut self,
        at: &KeyPath,
        raw: Option<&[String]>,
    ) -> Option<Option<Vec<Algorithm>>> {
        let Some(names) = raw else { return Some(None) };
        if names.is_empty() {
            return self.refuse(at, Finding::invalid("is empty").mend("take it out, or name an algorithm"));
        }
        let each = names.iter().enumerate().map(|(number, name)| {
            let path = at.index(number);
            let refused = match name.as_str() {
                "none" => Some("would let in tokens that nobody signed"),
                "HS256" | "HS384" | "HS512" => Some("would let whoever knows the client secret sign tokens"),
                _ => None,
            };
            match refused {
                // SECURITY: unsigned ID tokens, and ones signed with a shared secret, are never accepted.
                Some(why) => {
                    let finding = Finding::invalid(why).found(format!("{name:?}"));
                    self.refuse(&path, finding.mend("have the provider sign with RS256 or ES256"))
                }
                None => {
                    let choices = ALGORITHMS.map(|(name, algorithm)| (name, Some(algorithm)));
                    self.choice(&path, Some(name), None, &choices).flatten()
                }
            }
        });
        each.collect::<Vec<_>>().into_iter().collect::<Option<Vec<_>>>().map(Some)
    }

    /// The parameters that are lists of words: `prompt`, `ui_locales`, `acr_values`, and `audience`.
    pub(super) fn words(&mut self, at: &KeyPath, raw: &Provider) -> Option<()> {
        let prompt = raw.prompt.as_deref().is_none_or(|prompt| {
            let words: Vec<_> = prompt.split(' ').collect();
            let known = ["none", "login", "consent", "select_account", "create"];
            let right = words.iter().all(|word| known.contains(word));
            right && (words.len() == 1 || !words.contains(&"none"))
        });
        let is_tag = |tag: &str| {
            tag.split('-').all(|part| {
                (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
            })
        };
        let locales = raw.ui_locales.as_deref().is_none_or(|locales| locales.split(' ').all(is_tag));
        let is_text =
            |text: &str| !text.is_empty() && text.trim() == text && !text.chars().any(char::is_control);
        let acr = raw.acr_values.as_deref().is_none_or(is_text);
        let audience = raw.audience.as_deref().is_none_or(is_text);
        let login_hint = raw.login_hint.as_deref().is_none_or(is_text);
        let checks = [
            (
                "prompt",
                prompt,
                &raw.prompt,
                "\"none\", or of login, consent, select_account, create, with spaces between",
            ),
            ("ui_locales", locales, &raw.ui_locales, "language tags with spaces between, such as \"ru en\""),
            ("acr_values", acr, &raw.acr_values, "text that is not empty"),
            ("audience", audience, &raw.audience, "text that is not empty"),
            ("login_hint", login_hint, &raw.login_hint, "text that is not empty"),
        ];
        let mut right = true;
        for (key, is_right, text, expected) in checks {
            if !is_right {
                let found = format!("{:?}", shown(text.as_deref().unwrap_or_default()));
                self.report
                    .add(&at.key(key), Finding::invalid("can't be sent").found(found).expected(expected));
            }
            right &= is_right;
        }
        right.then_some(())
    }

    /// `claims`: a JSON object (OpenID Connect Core 1.0 section 5.5), given back in as few characters as it has.
    pub(super) fn claims(&mut self, at: &KeyPath, text: &str) -> Option<String> {
        let example = r#"a JSON object such as '{"userinfo": {"email": {"essential": true}}}'"#;
        match serde_json::from_str::<Value>(text) {
            Ok(claims) if claims.is_object() => Some(claims.to_string()),
            Ok(_) => {
                let finding = Finding::invalid("is not a claims request").found("another JSON value");
                self.refuse(at, finding.expected(example))
            }
            Err(error) => {
                let finding = Finding::invalid(format!("is not JSON: {error}"));
                let mend = "put it between apostrophes, so that its quotes need no backslash";
                self.refuse(at, finding.found(format!("{:?}", shown(text))).expected(example).mend(mend))
            }
        }
    }

    /// RFC 8707 section 2: absolute URIs without a fragment, sent as they are written.
    pub(super) fn resources(&mut self, at: &KeyPath, raw: &[String]) -> Option<Vec<String>> {
        let mut right = true;
        for (number, text) in raw.iter().enumerate() {
            if !Url::parse(text).is_ok_and(|uri| uri.fragment().is_none() && text.trim() == text) {
                let finding = Finding::invalid("is not a resource").found(format!("{:?}", shown(text)));
                let expected = "an absolute URI without a #, such as \"https://api.example.org\"";
                self.report.add(&at.index(number), finding.expected(expected));
                right = false;
            }
        }
        right.then(|| raw.to_vec())
    }

    pub(super) fn params(
        &mut self,
        at: &KeyPath,
        raw: &BTreeMap<String, String>,
    ) -> Option<Vec<(String, String)>> {
        let mut right = true;
        let entries = self.in_order(at, raw);
        for (path, name, _) in &entries {
            if let Some((_, key)) = RESERVED_PARAMS.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)) {
                // SECURITY: these bind a login to one browser and one redirect; nobody may set them twice.
                let finding = Finding::invalid("is a parameter that Vestibule sends itself");
                let mend =
                    key.map_or("take it out".to_owned(), |key| format!("take it out, and set {key} instead"));
                self.report.add(path, finding.mend(mend));
                right = false;
            } else if name.is_empty() {
                self.report.add(path, Finding::invalid("has no name").mend("take it out"));
                right = false;
            }
        }
        right.then(|| entries.into_iter().map(|(_, name, value)| (name.to_owned(), value.clone())).collect())
    }

    pub(super) fn provider_logout(&mut self, at: &KeyPath, raw: &Provider) -> Option<Logout> {
        let hint = raw.logout.id_token_hint.unwrap_or(true);
        let session_param = raw.logout.session_param.clone();
        let is_own = |name: &&str| name.is_empty() || OWN_LOGOUT_PARAMETERS.contains(name);
        if let Some(name) = session_param.as_deref().filter(is_own) {
            let finding = Finding::invalid("is not the name of an extra parameter");
            let found = format!("{:?}", shown(name));
            return self
                .refuse(&at.key("session_param"), finding.found(found).expected("a name such as \"sid\""));
        }
        let id_token_hint = if hint { IdTokenHint::Send } else { IdTokenHint::Omit };
        Some(Logout { id_token_hint, session_param })
    }
}
