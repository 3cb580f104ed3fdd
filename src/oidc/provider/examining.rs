//! An examination of the provider: every call that a sign-in makes, but none that signs anybody in.
//!
//! Makes the calls, each within the provider's time limit; what their answers mean is in `examination`.

use http::header;
use openidconnect::HttpResponse;
use serde_json::Map;
use url::Url;

use super::Provider;
use crate::foundation::certificate;
use crate::foundation::finding::Finding;
use crate::foundation::random;
use crate::foundation::secret::Secret;
use crate::oidc::authorization::LoginRequest;
use crate::oidc::carriage::Carriage;
use crate::oidc::client_auth::Form;
use crate::oidc::dpop::ProofKey;
use crate::oidc::error::OidcError;
use crate::oidc::examination::{self, AskedRedirect};
use crate::oidc::message::{self, Call};
use crate::oidc::metadata::Metadata;
use crate::oidc::transport::PeerCertificate;
use crate::oidc::{Discovery, Protocol, discovery, jwks};

/// The hosts whose certificates were looked at.
type Seen = Vec<String>;

impl Provider {
    /// Asks the provider what a sign-in would ask, and says what would fail. Nobody is signed in; the token endpoint
    /// is asked once, with a made-up code.
    pub async fn examine(&self, redirects: &[AskedRedirect]) -> Vec<Finding> {
        let (mut findings, mut seen) = (Vec::new(), Seen::new());
        let Some((metadata, document)) = self.examine_metadata(&mut findings, &mut seen).await else {
            return findings;
        };
        findings.push(examination::authentication(&self.settings, &metadata, &document));
        findings.extend(examination::abilities(&self.settings, &metadata, &document));
        if let Some(jwks) = metadata.jwks.as_ref().filter(|_| self.signs()) {
            findings.extend(self.examine_keys(&metadata, jwks, &mut seen).await);
        }
        if let Some(own) = self.settings.tls_client.as_ref().and_then(|pair| pair.cert.first()) {
            findings.push(certificate::examine("our client certificate", own, self.clock.now()));
        }
        // The provider would fetch the request from a gateway that serves, which we are not.
        let is_fetched = matches!(metadata.carriage, Carriage::Reference(_));
        if is_fetched {
            let text = "it fetches requests from us, so its sign-in can't be tried without one";
            findings.push(Finding::warning("sign_in_untried", text).mend("sign in once, and read the log"));
        }
        for redirect in redirects.iter().filter(|_| !is_fetched) {
            findings.extend(self.examine_redirect(redirect, &mut seen).await);
        }
        if let Some(first) = redirects.first() {
            let form = Form::default()
                .with("grant_type", "authorization_code")
                .with("code", &random::token())
                .with("redirect_uri", first.uri.as_str())
                .with("code_verifier", &random::token());
            let answer = match ProofKey::wanted(self.settings.binding) {
                Ok(key) => self.ask_for_made_up(&metadata, form, key.as_ref()).await,
                Err(error) => Err(error),
            };
            if let Ok(answer) = &answer {
                findings.extend(self.certificate(&metadata.token, answer, &mut seen));
            }
            findings.push(examination::token_answer(&answer));
        }
        findings
    }

    /// As a sign-in would ask: with a proof of a key where tokens are bound, for some look at that first.
    async fn ask_for_made_up(
        &self,
        metadata: &Metadata,
        form: Form,
        key: Option<&Secret>,
    ) -> Result<HttpResponse, OidcError> {
        let key = key.map(ProofKey::open).transpose()?;
        self.ask_for_tokens(metadata, form, key.as_ref()).await
    }

    async fn examine_metadata(
        &self,
        findings: &mut Vec<Finding>,
        seen: &mut Seen,
    ) -> Option<(Metadata, Map<String, serde_json::Value>)> {
        if self.settings.discovery == Discovery::ByHand {
            return match Metadata::settle(&self.settings, &Map::new()) {
                Ok(metadata) => {
                    findings.push(Finding::ok("endpoints", "its endpoints are set by hand"));
                    Some((metadata, Map::new()))
                }
                Err(error) => {
                    findings.push(examination::failure(&error));
                    None
                }
            };
        }
        let answer = self.document().await;
        if let Ok(answer) = &answer
            && let Ok(issuer) = Url::parse(&self.settings.issuer)
        {
            findings.extend(self.certificate(&issuer, answer, seen));
            findings.extend(examination::clock(&self.settings, answer.headers(), self.clock.now()));
        }
        let settled = answer.and_then(|answer| {
            let metadata = discovery::response(&self.settings, &answer)?;
            Ok((metadata, message::json(Call::Discovery, &answer)?))
        });
        match settled {
            Ok(settled) => {
                findings
                    .insert(0, Finding::ok("metadata", format!("it answers as {}", self.settings.issuer)));
                Some(settled)
            }
            Err(error) => {
                findings.push(examination::failure(&error));
                None
            }
        }
    }

    async fn examine_keys(&self, metadata: &Metadata, jwks: &Url, seen: &mut Seen) -> Vec<Finding> {
        let answer = match jwks::request(jwks) {
            Ok(request) => self.transport.exchange(Call::Keys, request).await,
            Err(error) => Err(error),
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return vec![examination::failure(&error)],
        };
        let mut findings: Vec<Finding> = self.certificate(jwks, &answer, seen).into_iter().collect();
        findings.push(match jwks::response(&answer) {
            Err(error) => examination::failure(&error),
            Ok(keys) => {
                let fits = |alg: &&crate::oidc::Algorithm| keys.eligible(**alg, None).next().is_some();
                let usable: Vec<&str> =
                    metadata.id_token_algs.iter().filter(fits).map(|alg| alg.name()).collect();
                if usable.is_empty() {
                    let names: Vec<&str> = metadata.id_token_algs.iter().map(|alg| alg.name()).collect();
                    let text = format!("none of its keys can sign with {}", names.join(", "));
                    Finding::failed("keys_unfit", text)
                        .mend("set id_token_algs to what the provider signs with, or give it such a key")
                } else {
                    Finding::ok("keys", format!("its keys can sign with {}", usable.join(", ")))
                }
            }
        });
        findings
    }

    /// A real authorization request, but that nobody is to be asked: its answer says whether the request is well.
    async fn examine_redirect(&self, redirect: &AskedRedirect, seen: &mut Seen) -> Vec<Finding> {
        let mut login = LoginRequest::new(redirect.uri.clone());
        if self.settings.protocol == Protocol::OpenIdConnect {
            login.prompt = Some("none".to_owned());
        }
        let url = match self.begin(login).await {
            Ok((url, _)) => url,
            // A pushed request is refused before there is an address to go to.
            Err(OidcError::Refused(refusal)) => {
                return vec![examination::refused(
                    &self.settings,
                    redirect,
                    &refusal.error,
                    refusal.description,
                )];
            }
            Err(error) => return vec![examination::failure(&error)],
        };
        let answer = match message::get(Call::Authorization, &url) {
            Ok(mut request) => {
                request.headers_mut().insert(
                    header::ACCEPT,
                    http::HeaderValue::from_static("text/html, application/json;q=0.9"),
                );
                self.transport.exchange(Call::Authorization, request).await
            }
            Err(error) => Err(error),
        };
        match answer {
            Ok(answer) => {
                let mut findings: Vec<Finding> = self.certificate(&url, &answer, seen).into_iter().collect();
                findings.push(examination::authorization(&self.settings, redirect, &answer));
                findings
            }
            Err(error) => vec![examination::failure(&error)],
        }
    }

    /// What the certificate of an answer's sender says, once for each host.
    fn certificate(&self, url: &Url, answer: &HttpResponse, seen: &mut Seen) -> Option<Finding> {
        let PeerCertificate(der) = answer.extensions().get()?;
        let host = url.host_str()?.to_owned();
        if seen.contains(&host) {
            return None;
        }
        let finding = certificate::examine(&format!("the certificate of {host}"), der, self.clock.now());
        seen.push(host);
        Some(finding)
    }
}
