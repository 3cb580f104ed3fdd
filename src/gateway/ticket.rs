//! Text that goes through a page, an address or a provider and comes back unread and unchanged.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Worker;
use super::apps::Protected;
use crate::foundation::sealing::Purpose;

/// Seals a text for one purpose on one app's origin; it opens nowhere else.
pub fn seal(worker: &Worker, app: &Protected, purpose: &str, text: &str) -> String {
    let context = format!("{}\0{purpose}", app.origin);
    let sealed = worker.gateway.sessions.keys().seal(Purpose::Ticket, context.as_bytes(), text.as_bytes());
    URL_SAFE_NO_PAD.encode(sealed)
}

/// The text that [`seal`] sealed for this purpose and origin; `None` for anything else.
pub fn open(worker: &Worker, app: &Protected, purpose: &str, sealed: &str) -> Option<String> {
    let context = format!("{}\0{purpose}", app.origin);
    let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
    let text = worker.gateway.sessions.keys().open(Purpose::Ticket, context.as_bytes(), &sealed)?;
    String::from_utf8(text).ok()
}
