//! The provider's no, in its own words, and what each word means for whom (RFC 6749 sections 4.1.2.1 and 5.2,
//! OpenID Connect Core 1.0 section 3.1.2.6).

use thiserror::Error;

use super::error::Fault;
use super::message::Call;

/// A refusal, by the provider or, through it, by the person.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{call}: refused with {error}{}", .description.as_ref().map(|text| format!(" ({text})")).unwrap_or_default())]
pub struct Refusal {
    /// Who said it.
    pub call: Call,
    /// The value of `error`.
    pub error: String,
    /// The value of `error_description`.
    pub description: Option<String>,
}

impl Refusal {
    pub(super) fn fault(&self) -> Fault {
        match (self.call, self.error.as_str()) {
            // RFC 8628 section 3.5 says no at the token endpoint.
            (Call::Authorization | Call::Token, "access_denied") => Fault::Denied,
            // OpenID Connect Core 1.0 section 3.1.2.6: the person has to do something, at another try.
            (
                Call::Authorization,
                "login_required"
                | "consent_required"
                | "interaction_required"
                | "account_selection_required"
                | "unmet_authentication_requirements",
            )
            | (Call::Token, "invalid_grant" | "expired_token") => Fault::Request,
            // RFC 6749 section 4.1.2.1: these stand for 500 and 503, which a redirect can't say.
            (Call::Authorization, "server_error" | "temporarily_unavailable") => Fault::Unreachable,
            _ => Fault::Provider,
        }
    }

    pub(super) fn code(&self) -> &'static str {
        match (self.call, self.error.as_str()) {
            (Call::Authorization | Call::Token, "access_denied") => "access_denied",
            (Call::Token, "expired_token") => "device_code_expired",
            (Call::Token, "invalid_grant") => "invalid_grant",
            _ => "provider_refused",
        }
    }

    pub(super) fn mend(&self) -> Option<&'static str> {
        if self.call == Call::Registration {
            return registration(&self.error);
        }
        Some(match self.error.as_str() {
            "invalid_client" => {
                "check client_id, client_auth and what it needs (client_secret, private_key or tls_client) against the provider's entry for this client"
            }
            "invalid_request_object" => {
                "check the provider's entry for this client: it needs the key that `vestibule urls` prints and takes its algorithm"
            }
            "invalid_request_uri" => {
                "the provider must be able to fetch requests from us at the address that `vestibule urls` prints, and may know no other list of them"
            }
            "request_not_supported" | "request_uri_not_supported" => {
                "the provider takes no such request: set `request` to \"query\" or \"par\""
            }
            "unauthorized_client" if self.call == Call::Device => {
                "let this client use the device code grant at the provider"
            }
            "unauthorized_client" => "let this client use the authorization code grant at the provider",
            "unsupported_response_type" => "let this client use the response type `code` at the provider",
            "invalid_scope" => "check `scopes` against what the provider offers this client",
            "invalid_request" => {
                "compare the redirect URI (`vestibule urls` prints it) with the provider's entry for this client"
            }
            "use_dpop_nonce" | "invalid_dpop_proof" => {
                "compare the clocks of this machine and of the provider; is `DPoP-Nonce` kept by what is between?"
            }
            "invalid_grant" => {
                "an old or used code; if it happens each time, compare the redirect URI and both machines' clocks"
            }
            "login_required" | "consent_required" | "interaction_required" => {
                "`prompt` forbids the provider to ask the person"
            }
            _ => return None,
        })
    }
}

/// What a refused registration (RFC 7591 section 3.2.2, RFC 6750 section 3.1) asks of the operator.
fn registration(error: &str) -> Option<&'static str> {
    Some(match error {
        "invalid_redirect_uri" => "most providers want https and a host name in `url` of each app",
        "invalid_client_metadata" | "invalid_request" => {
            "the description names what the provider does not take: change the key that it comes from"
        }
        "invalid_token" | "insufficient_scope" => {
            "give a good initial access token of the provider's by --token-env or --token-file"
        }
        _ => return None,
    })
}
