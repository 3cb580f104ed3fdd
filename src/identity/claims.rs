//! Claims, as the provider sent them: raw JSON, never forced into a type.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::foundation::secret::Secret;

/// What a provider says of a person.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Claims(pub Map<String, Value>);

/// The tokens of a session, sealed wherever they are kept.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tokens {
    /// The access token.
    pub access: Option<Secret>,
    /// The ID token as it came, for `id_token_hint` and for apps that are mapped to get it.
    pub id: Option<Secret>,
    /// The refresh token.
    pub refresh: Option<Secret>,
}
