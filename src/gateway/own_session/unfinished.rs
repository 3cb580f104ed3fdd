//! A sign-out that a script began at the app's own address. A script can't be sent to the provider, where the session
//! goes on and would sign the person in again with the next page: so that page finishes the sign-out instead.
//!
//! What it takes is kept by the browser, sealed; a sign-in that the person begins makes it void.

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};

use crate::foundation::secret::Secret;
use crate::gateway::Worker;
use crate::gateway::apps::Protected;
use crate::gateway::ticket::{open, seal};
use crate::oidc::Provider;
use crate::sessions::SessionData;

/// What it is sealed for.
const PURPOSE: &str = "unfinished sign-out";

/// What a browser keeps.
#[derive(Serialize, Deserialize)]
struct Kept<'k> {
    provider: Cow<'k, str>,
    id_token: Option<Cow<'k, str>>,
    session: Option<Cow<'k, str>>,
}

/// Whom a provider is to be asked to sign out.
pub struct Leaver {
    /// The provider.
    pub provider: Arc<Provider>,
    /// The ID token of the session that ended here.
    pub id_token: Option<Secret>,
    /// The provider's own name for it.
    pub session: Option<String>,
}

impl Leaver {
    /// Somebody with this session.
    pub fn of(app: &Protected, data: &SessionData) -> Option<Self> {
        let provider = Arc::clone(app.provider_named(&data.provider)?);
        Some(Self { provider, id_token: data.tokens.id.clone(), session: data.provider_session.clone() })
    }

    /// Whose sign-out this browser has to finish.
    pub fn unfinished(worker: &Worker, app: &Protected, headers: &HeaderMap) -> Option<Self> {
        let sealed = std::str::from_utf8(app.cookies.unfinished(headers)?).ok()?;
        let kept = open(worker, app, PURPOSE, sealed)?;
        let Kept { provider, id_token, session } = serde_json::from_str(&kept).ok()?;
        let provider = Arc::clone(app.provider_named(&provider)?);
        let id_token = id_token.map(|token| Secret::new(token.into_owned()));
        Some(Self { provider, id_token, session: session.map(Cow::into_owned) })
    }

    /// Has the browser finish the sign-out later, where the provider can do its part. An ID token that is too long for
    /// a cookie stays behind: then the provider asks the person.
    pub fn keep(&self, worker: &Worker, app: &Protected) -> Option<HeaderValue> {
        self.provider.sign_out_scheme()?;
        let keep = |id_token: Option<&str>| {
            let kept = Kept {
                provider: self.provider.name().into(),
                id_token: id_token.map(Cow::from),
                session: self.session.as_deref().map(Cow::from),
            };
            let kept = serde_json::to_string(&kept).ok()?;
            app.cookies.keep_unfinished(&seal(worker, app, PURPOSE, &kept))
        };
        keep(self.id_token.as_ref().map(Secret::expose)).or_else(|| keep(None))
    }
}
