//! Sign-out at the provider: OpenID Connect RP-Initiated Logout 1.0 sections 2 and 3.

use std::fmt;

use url::Url;

use super::{IdTokenHint, Settings};
use crate::foundation::secret::Secret;

/// Longer addresses are refused by servers on the way; the specification lets the browser POST instead.
const LONGEST_ADDRESS: usize = 4096;

/// Who signs out, and where the browser comes back to.
#[derive(Clone, Copy, Debug)]
pub struct EndSession<'a> {
    /// The ID token of the session that ends.
    pub id_token: Option<&'a Secret>,
    /// The provider's own name for that session (`sid`).
    pub provider_session: Option<&'a str>,
    /// Where the provider sends the browser afterwards; registered there, byte for byte.
    pub post_logout_redirect_uri: &'a Url,
    /// Comes back with the browser; ASCII, as some providers encode more than once.
    pub state: &'a str,
}

/// How the browser is sent to the provider's sign-out.
#[derive(Clone, PartialEq, Eq)]
pub enum EndSessionRequest {
    /// A redirect to this address.
    Redirect(Url),
    /// A form with these fields that is POSTed to this address.
    Form {
        /// Where the form goes.
        action: Url,
        /// Its hidden fields, by name.
        fields: Vec<(String, String)>,
    },
}

/// Shows the address without its query, and no field: they hold the ID token.
impl fmt::Debug for EndSessionRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, url) = match self {
            Self::Redirect(url) => ("Redirect", url),
            Self::Form { action, .. } => ("Form", action),
        };
        let mut bare = url.clone();
        bare.set_query(None);
        f.debug_tuple(kind).field(&bare.as_str()).finish()
    }
}

/// RP-Initiated Logout 1.0 section 2.
pub(super) fn request(settings: &Settings, endpoint: &Url, session: EndSession<'_>) -> EndSessionRequest {
    let mut fields: Vec<(String, String)> = Vec::with_capacity(5);
    let mut add = |name: &str, value: &str| fields.push((name.to_owned(), value.to_owned()));
    if let (IdTokenHint::Send, Some(id_token)) = (settings.logout.id_token_hint, session.id_token) {
        add("id_token_hint", id_token.expose());
    }
    add("client_id", &settings.client_id);
    add("post_logout_redirect_uri", session.post_logout_redirect_uri.as_str());
    add("state", session.state);
    if let (Some(name), Some(sid)) = (&settings.logout.session_param, session.provider_session) {
        add(name, sid);
    }
    let mut url = endpoint.clone();
    url.query_pairs_mut().extend_pairs(&fields);
    if url.as_str().len() > LONGEST_ADDRESS {
        return EndSessionRequest::Form { action: endpoint.clone(), fields };
    }
    EndSessionRequest::Redirect(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oidc::fixture;

    fn end(settings: &Settings, id_token: &str, sid: Option<&str>) -> EndSessionRequest {
        let back = Url::parse("https://lms.example/_sso/signed-out").unwrap();
        let id_token = Secret::new(id_token);
        let session = EndSession {
            id_token: Some(&id_token),
            provider_session: sid,
            post_logout_redirect_uri: &back,
            state: "s",
        };
        request(settings, &Url::parse("https://id.example/end?realm=r").unwrap(), session)
    }

    #[test]
    fn sign_out_names_the_session_and_the_way_back() {
        let mut settings = fixture::settings("https://id.example");
        let EndSessionRequest::Redirect(url) = end(&settings, "a.b.c", Some("sid1")) else { panic!() };
        let back = "https%3A%2F%2Flms.example%2F_sso%2Fsigned-out";
        let rest = format!("client_id=lms&post_logout_redirect_uri={back}&state=s");
        assert_eq!(url.as_str(), format!("https://id.example/end?realm=r&id_token_hint=a.b.c&{rest}"));

        settings.logout.id_token_hint = IdTokenHint::Omit;
        settings.logout.session_param = Some("session".into());
        let EndSessionRequest::Redirect(url) = end(&settings, "a.b.c", Some("sid1")) else { panic!() };
        assert_eq!(url.as_str(), format!("https://id.example/end?realm=r&{rest}&session=sid1"));
        let EndSessionRequest::Redirect(url) = end(&settings, "a.b.c", None) else { panic!() };
        assert_eq!(url.as_str(), format!("https://id.example/end?realm=r&{rest}"));
    }

    #[test]
    fn a_long_hint_goes_by_post_and_is_never_shown() {
        let settings = fixture::settings("https://id.example");
        let hint = "h".repeat(5000);
        let request = end(&settings, &hint, None);
        assert_eq!(format!("{request:?}"), r#"Form("https://id.example/end")"#);
        let EndSessionRequest::Form { action, fields } = request else { panic!() };
        assert_eq!(action.as_str(), "https://id.example/end?realm=r");
        assert_eq!(fields[0], ("id_token_hint".into(), hint));
        assert_eq!(fields.len(), 4);
    }
}
