//! What a browser holds of a form that is kept: where it goes, whose it is, and the secret that finds and opens it;
//! sealed in a cookie. And the marker that stands for the form on the way to the app.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};

use crate::foundation::clock::Timestamp;
use crate::foundation::random;
use crate::foundation::sealing::RecordSecret;
use crate::gateway::apps::{Endpoint, Protected};
use crate::gateway::authentication::Person;
use crate::gateway::{Worker, ticket};
use crate::sessions::Whose;

/// The field of the marker.
pub const FIELD: &str = "vestibule-form";

/// What a marker comes as: no form of an app's is sent so, but for a curiosity.
pub(super) const MARKER_KIND: &str = "text/plain";

/// The length of a marker, as `Content-Length` has it: field, `=`, identifier and line break, as browsers write
/// `text/plain` forms (HTML section 4.10.21.8).
pub(super) const MARKER_LENGTH: &str = "29";

/// The same as a number.
pub(super) const MARKER_BYTES: usize = 29;

/// What a browser holds of a form that is kept.
#[derive(Serialize, Deserialize)]
pub struct Slip {
    app: String,
    /// Path and query that it was sent to, byte for byte.
    pub target: String,
    secret: String,
    /// Who sent it, as far as that is known.
    pub whose: Option<Whose>,
    until: Timestamp,
}

impl Slip {
    pub(super) fn new(
        app: &Protected,
        target: String,
        secret: &RecordSecret,
        whose: Option<Whose>,
        until: Timestamp,
    ) -> Self {
        let secret = URL_SAFE_NO_PAD.encode(secret.as_bytes());
        Self { app: app.settings.name.clone(), target, secret, whose, until }
    }

    /// Its new identifier, and the `Set-Cookie` values that give it to the browser; `None` when it is too long.
    pub(super) fn hand_out(
        &self,
        worker: &Worker,
        app: &Protected,
        headers: &HeaderMap,
        lasts: Duration,
    ) -> Option<(String, Vec<HeaderValue>)> {
        let id = URL_SAFE_NO_PAD.encode(random::bytes::<9>());
        let text = ticket::seal(worker, app, &purpose(&id), &serde_json::to_string(self).ok()?);
        let cookies = app.cookies.lay_aside(headers, &id, &text, worker.gateway.clock.now(), lasts)?;
        Some((id, cookies))
    }

    /// The slip of this identifier that a browser brought for this app; `None` when it has none that is good.
    pub fn open(worker: &Worker, app: &Protected, headers: &HeaderMap, id: &str) -> Option<Self> {
        let sealed = app.cookies.aside(headers, id)?;
        let slip: Self = serde_json::from_str(&ticket::open(worker, app, &purpose(id), sealed)?).ok()?;
        (slip.app == app.settings.name && worker.gateway.clock.now() < slip.until).then_some(slip)
    }

    pub(super) fn secret(&self) -> Option<RecordSecret> {
        let bytes = URL_SAFE_NO_PAD.decode(&self.secret).ok()?;
        Some(RecordSecret::from_bytes(bytes.as_slice().try_into().ok()?))
    }

    /// Whether it is known to be of somebody else than is signed in.
    pub fn is_anothers(&self, worker: &Worker, person: Option<&Person>) -> bool {
        let Some(whose) = self.whose else { return false };
        let data = person.map(|person| person.live.data());
        !data.is_some_and(|data| worker.gateway.sessions.is_of(whose, &data.provider, &data.subject))
    }
}

fn purpose(id: &str) -> String {
    format!("kept form\0{id}")
}

/// The address of the page that sends a kept form.
pub fn address(app: &Protected, id: &str) -> String {
    format!("{}?form={id}", app.path_of(Endpoint::Resend))
}

/// Where somebody else signs in, who may be the sender, and comes back to that page.
pub fn sign_in_as_sender(app: &Protected, id: &str) -> String {
    format!("{}&prompt=login", crate::gateway::login::again(app, &address(app, id)))
}

/// The identifier that a marker holds; `None` for what is none.
pub(super) fn marked(content: &[u8]) -> Option<&str> {
    let value = content.strip_prefix(FIELD.as_bytes())?.strip_prefix(b"=")?.strip_suffix(b"\r\n")?;
    let id =
        value.len() == 12 && value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte));
    std::str::from_utf8(value).ok().filter(|_| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_of_one_length_and_one_form() {
        let marker = format!("{FIELD}={}\r\n", URL_SAFE_NO_PAD.encode([7; 9]));
        assert_eq!((marker.len(), marker.len().to_string().as_str()), (MARKER_BYTES, MARKER_LENGTH));
        assert_eq!(marked(marker.as_bytes()), Some("BwcHBwcHBwcH"));
        for other in [
            "",
            "vestibule-form=BwcHBwcHBwcH",
            "vestibule-form=BwcHBwcHBw=H\r\n",
            "vestibule_form=BwcHBwcHBwcH\r\n",
        ] {
            assert_eq!(marked(other.as_bytes()), None, "{other}");
        }
    }
}
