//! The discovery document: what the provider can do and where (Discovery 1.0 section 3, RFC 8414).
//!
//! With the announcements of RFC 9207 section 3 and RP-Initiated Logout 1.0 section 2.1. It promises only
//! what the other files here do.

use http::{Response, StatusCode};
use serde_json::json;

use super::{Provider, people};
use crate::demo::serving;
use crate::foundation::body::Body;

impl Provider {
    /// `GET /.well-known/openid-configuration`
    pub(super) fn metadata(&self) -> Response<Body> {
        let issuer = &self.issuer;
        let document = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "userinfo_endpoint": format!("{issuer}/userinfo"),
            "jwks_uri": format!("{issuer}/jwks"),
            "end_session_endpoint": format!("{issuer}/end-session"),
            "scopes_supported": people::SCOPES,
            "claims_supported": people::CLAIMS,
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "code_challenge_methods_supported": ["S256"],
            "prompt_values_supported": ["none", "login", "select_account", "consent"],
            "ui_locales_supported": ["ru", "en"],
            "claims_parameter_supported": false,
            "request_parameter_supported": false,
            "request_uri_parameter_supported": false,
            "authorization_response_iss_parameter_supported": true,
        });
        serving::json(StatusCode::OK, &document)
    }
}
