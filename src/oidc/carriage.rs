//! How an authorization request travels: in the browser's address, signed, pushed beforehand, or fetched by the
//! provider.
//!
//! What the operator wants and the provider demands is settled here once; the messages themselves are the
//! matter of `authorization`, `request_object` and `pushed`.

use url::Url;

use super::client_choice;
use super::error::OidcError;
use super::metadata::{Reader, Remark};
use super::own_jwt::{Mac, Signing};
use super::{RequestForm, Settings};

/// The member of the metadata that lists what a request object may be signed with (RFC 9101 section 10.5).
const ALGORITHMS: &str = "request_object_signing_alg_values_supported";

/// How an authorization request travels, settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Carriage {
    /// In the address, in plain parameters.
    Query,
    /// In the address, as a signed object.
    Object(Signing),
    /// As a signed object that the provider fetches from us.
    Reference(Signing),
    /// From us to this endpoint; the address holds what the provider calls it.
    Pushed {
        /// The pushed authorization request endpoint.
        endpoint: Url,
        /// Whether it is a signed object.
        object: Option<Signing>,
    },
}

impl Carriage {
    /// What the settings ask for, and more where the provider takes nothing less.
    ///
    /// # Errors
    /// When it is to be pushed and there is no endpoint, or to be signed and there is nothing to sign with.
    pub(super) fn settle(settings: &Settings, read: &mut Reader<'_>) -> Result<Self, OidcError> {
        let form = settings.request;
        // RFC 9126 section 5: the provider takes none that was not pushed.
        let pushed = form.is_pushed() || read.flag("require_pushed_authorization_requests");
        // RFC 9101 section 10.5: the provider takes none that is not signed.
        let signed = form.is_signed() || read.flag("require_signed_request_object");
        let object = if signed { Some(signing(settings, read)?) } else { None };
        if pushed {
            let by_hand = settings.endpoints.pushed_authorization_request.as_ref();
            let endpoint = read.needed("pushed_authorization_request_endpoint", by_hand)?;
            return Ok(Self::Pushed { endpoint, object });
        }
        Ok(match object {
            None => Self::Query,
            Some(signing) if form == RequestForm::ByReference => {
                // Discovery 1.0 section 3: each address of ours is good once, none can be entered beforehand.
                if read.flag("require_request_uri_registration") {
                    read.remark(Remark::NotAnnounced {
                        member: "require_request_uri_registration",
                        chosen: "request_uri",
                    });
                }
                Self::Reference(signing)
            }
            Some(signing) => Self::Object(signing),
        })
    }
}

impl RequestForm {
    const fn is_pushed(self) -> bool {
        matches!(self, Self::Pushed | Self::PushedAndSigned)
    }

    const fn is_signed(self) -> bool {
        matches!(self, Self::Signed | Self::PushedAndSigned | Self::ByReference)
    }
}

/// The key, or the secret where there is no key and the provider says that it takes that.
fn signing(settings: &Settings, read: &mut Reader<'_>) -> Result<Signing, OidcError> {
    if let Some(algorithm) = client_choice::key_algorithm(settings, ALGORITHMS, read) {
        return Ok(Signing::Key(algorithm));
    }
    let announced = read.list(ALGORITHMS).unwrap_or_default();
    let mac = settings.client_secret.as_ref().and_then(|_| Mac::among(&announced));
    mac.map(Signing::Secret).ok_or(OidcError::NothingToSignWith)
}

#[cfg(test)]
mod tests;
