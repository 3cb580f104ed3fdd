//! How an authorization response comes back: OAuth 2.0 Multiple Response Type Encoding Practices section 2.1,
//! OAuth 2.0 Form Post Response Mode, JWT Secured Authorization Response Mode (JARM) section 2.3.
//!
//! Only names and what follows from them; what a response must hold is in `callback` and `jarm`.

use serde::{Deserialize, Serialize};

/// The `response_mode` of the authorization request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResponseMode {
    /// In the query of the redirect URI: the default of the code flow.
    #[default]
    Query,
    /// In a form that the browser posts to the redirect URI.
    FormPost,
    /// Signed, in the way that is the default of the code flow: the query.
    Jwt,
    /// Signed, in the query.
    QueryJwt,
    /// Signed, in a form.
    FormPostJwt,
}

/// What carries a response to us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carrier {
    /// The query of a GET.
    #[default]
    Query,
    /// The body of a POST, which another site's page had the browser send.
    Form,
}

impl ResponseMode {
    /// All of them, in the order in which they are offered to an operator.
    pub const ALL: [Self; 5] = [Self::Query, Self::FormPost, Self::QueryJwt, Self::FormPostJwt, Self::Jwt];

    /// The value of `response_mode`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::FormPost => "form_post",
            Self::Jwt => "jwt",
            Self::QueryJwt => "query.jwt",
            Self::FormPostJwt => "form_post.jwt",
        }
    }

    /// What carries the response.
    pub const fn carrier(self) -> Carrier {
        match self {
            Self::Query | Self::Jwt | Self::QueryJwt => Carrier::Query,
            Self::FormPost | Self::FormPostJwt => Carrier::Form,
        }
    }

    /// Whether the response is a signed JWT.
    pub const fn is_signed(self) -> bool {
        matches!(self, Self::Jwt | Self::QueryJwt | Self::FormPostJwt)
    }
}
