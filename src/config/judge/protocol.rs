//! `[providers.*]`, what it speaks: OpenID Connect or OAuth 2.0 alone, who is named by which claim, and what makes
//! no sense where there is no ID token.

use super::Judge;
use crate::config::place::KeyPath;
use crate::config::problem::Finding;
use crate::config::raw::Provider;
use crate::config::source::shown;
use crate::oidc::{Discovery, Protocol, ResponseMode};

impl Judge<'_> {
    pub(super) fn protocol(&mut self, at: &KeyPath, raw: &Provider) -> Option<Protocol> {
        let path = at.key("protocol");
        let subject = raw.subject.clone();
        let choices = [("oidc", false), ("oauth2", true)];
        if !self.choice(&path, raw.protocol.as_deref(), false, &choices)? {
            return self.openid_subject(&at.key("subject"), subject.as_deref());
        }
        let named = subject.as_deref().is_none_or(|claim| !claim.is_empty());
        if !named {
            let finding =
                Finding::invalid("names no claim").expected("a claim such as \"id\" or \"user.id\"");
            self.report.add(&at.key("subject"), finding);
        }
        let sensible = self.without_id_token(at, raw);
        (named && sensible).then_some(Protocol::OAuth2 { subject })
    }

    /// OpenID Connect Core 1.0 section 5.7: `sub` and the issuer are all that a person may be known by.
    fn openid_subject(&mut self, at: &KeyPath, subject: Option<&str>) -> Option<Protocol> {
        match subject.filter(|claim| *claim != "sub") {
            None => Some(Protocol::OpenIdConnect),
            // SECURITY: any other claim may change hands, and with it somebody's account in the app.
            Some(claim) => {
                let finding = Finding::invalid("names a claim that an ID token names nobody by");
                let finding = finding.found(format!("{:?}", shown(claim))).expected("\"sub\"");
                let mend = "take it out, and map a header from that claim, or set protocol = \"oauth2\"";
                self.refuse(at, finding.mend(mend))
            }
        }
    }

    /// What only an ID token could answer is refused rather than not kept.
    fn without_id_token(&mut self, at: &KeyPath, raw: &Provider) -> bool {
        let mend = "take it out, or set protocol = \"oidc\"";
        let userinfo = raw.userinfo.as_deref().filter(|word| *word == "never");
        let checks = [
            ("userinfo", userinfo, "leaves nobody to say who signed in, as oauth2 has no ID token"),
            (
                "acr_values",
                raw.acr_values.as_deref(),
                "asks for what oauth2 can't prove, as it has no ID token",
            ),
            ("max_age", raw.max_age.as_deref(), "asks for what oauth2 can't prove, as it has no ID token"),
        ];
        let mut sensible = true;
        for (key, found, why) in checks {
            if let Some(found) = found {
                let finding = Finding::invalid(why).found(format!("{:?}", shown(found)));
                self.report.add(&at.key(key), finding.mend(mend));
                sensible = false;
            }
        }
        sensible
    }

    /// The issuer, and whether it is asked for its metadata. OAuth 2.0 alone does without both.
    pub(super) fn issuer_and_discovery(
        &mut self,
        at: &KeyPath,
        raw: &Provider,
    ) -> (Option<String>, Discovery) {
        let plain = raw.protocol.as_deref() == Some("oauth2");
        let wanted = raw.discovery.unwrap_or(!plain || raw.issuer.is_some());
        let discovery = if wanted { Discovery::Fetch } else { Discovery::ByHand };
        // SECURITY: who signs a response is compared with the issuer (JARM section 2.4).
        if plain && raw.issuer.is_none() && discovery == Discovery::ByHand && !asks_for_signature(raw) {
            return (Some(String::new()), discovery);
        }
        (self.issuer(&at.key("issuer"), raw.issuer.as_deref()), discovery)
    }
}

/// Whether the provider is to sign its authorization responses.
pub(super) fn asks_for_signature(raw: &Provider) -> bool {
    let named = raw.response_mode.as_deref();
    ResponseMode::ALL.iter().any(|mode| mode.is_signed() && named == Some(mode.name()))
}
