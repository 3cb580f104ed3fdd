//! The end session endpoint (RP-Initiated Logout 1.0).
//!
//! A client that proves with an ID token of this very session that it means it is obeyed at once; everyone
//! else is asked. Where the browser goes afterwards must be registered and vouched for, else it stays here.

use http::header::SET_COOKIE;
use http::{HeaderMap, Response, StatusCode};
use serde_json::Value;
use url::Url;

use super::{Provider, SESSION_COOKIE, Session, pages};
use crate::demo::params::Params;
use crate::demo::serving;
use crate::foundation::body::Body;

/// A request to sign out, judged.
struct LogoutRequest {
    /// The claims of the ID token that came along, when it is ours.
    hint: Option<Value>,
    /// Where to go on, complete with `state`.
    redirect: Option<String>,
}

/// Why a request to sign out is not in order.
enum Fault {
    Repeated,
    Hint,
    Client,
    Redirect,
}

impl Provider {
    /// `GET` or `POST /end-session`
    pub(super) fn end_session(&self, headers: &HeaderMap, params: &Params) -> Response<Body> {
        let request = match self.read_logout(params) {
            Ok(request) => request,
            Err(fault) => return fault.answer(),
        };
        match (self.session(headers), &request.hint) {
            (None, _) => self.signed_out(headers, &request),
            (Some(session), Some(hint)) if is_of(hint, &session) => self.signed_out(headers, &request),
            // SECURITY: any site can send a browser here; without proof the person is asked (section 6).
            (Some(session), _) => pages::confirm_end_session(&self.client, session.person, params),
        }
    }

    /// `POST /end-session/confirm`: the request over again.
    pub(super) fn confirm_end_session(&self, headers: &HeaderMap, form: &Params) -> Response<Body> {
        if !self.is_our_own_form(headers) {
            return pages::problem(
                StatusCode::FORBIDDEN,
                "Эта форма пришла с другого сайта, выход не выполнен.",
                "This form came from another site; nobody was signed out.",
            );
        }
        match self.read_logout(form) {
            Ok(request) => self.signed_out(headers, &request),
            Err(fault) => fault.answer(),
        }
    }

    fn read_logout(&self, params: &Params) -> Result<LogoutRequest, Fault> {
        if params.repeated().is_some() {
            return Err(Fault::Repeated);
        }
        let hint = match params.get("id_token_hint") {
            None => None,
            Some(hint) => match self.key.read_hint(hint, &self.issuer, &self.client.id) {
                Some(claims) => Some(claims),
                None => return Err(Fault::Hint),
            },
        };
        let client = params.get("client_id");
        if client.is_some_and(|client| client != self.client.id) {
            return Err(Fault::Client);
        }
        let redirect = match params.get("post_logout_redirect_uri") {
            None => None,
            // SECURITY: only a registered address, and only for a client that is known to ask (section 3).
            Some(uri)
                if uri == self.client.post_logout_redirect_uri && (hint.is_some() || client.is_some()) =>
            {
                with_state(uri, params.get("state"))
            }
            Some(_) => return Err(Fault::Redirect),
        };
        Ok(LogoutRequest { hint, redirect })
    }

    fn signed_out(&self, headers: &HeaderMap, request: &LogoutRequest) -> Response<Body> {
        self.end(headers);
        // A POST from another site comes without our cookie; the hint names the session all the same.
        if let Some(sid) = request.hint.as_ref().and_then(|hint| hint.get("sid")).and_then(Value::as_str) {
            self.memory().sessions.retain(|session| session.sid != sid);
        }
        let mut answer = request.redirect.as_deref().map_or_else(pages::signed_out, serving::see_other);
        let expired = format!("{SESSION_COOKIE}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
        serving::set(&mut answer, SET_COOKIE, &expired);
        answer
    }
}

impl Fault {
    /// The page that says so; nobody is signed out.
    fn answer(&self) -> Response<Body> {
        let (ru, en) = match self {
            Self::Repeated => ("Запрос на выход составлен неверно.", "A parameter came more than once."),
            Self::Hint => (
                "Запрос на выход составлен неверно.",
                "id_token_hint is not an ID token that this provider gave this client.",
            ),
            Self::Client => ("Приложение здесь не записано.", "This client is not registered here."),
            Self::Redirect => (
                "Адрес, куда нужно вернуться после выхода, здесь не записан. Вы не вышли.",
                "post_logout_redirect_uri is not registered here; nobody was signed out.",
            ),
        };
        pages::problem(StatusCode::BAD_REQUEST, ru, en)
    }
}

/// Whether an ID token was given in this very session (section 2: `sid`, or else the person).
fn is_of(hint: &Value, session: &Session) -> bool {
    let same = |name, value: &str| hint.get(name).and_then(Value::as_str) == Some(value);
    same("sub", session.person.sub) && same("sid", &session.sid)
}

fn with_state(uri: &str, state: Option<&str>) -> Option<String> {
    let mut url = Url::parse(uri).ok()?;
    if let Some(state) = state {
        url.query_pairs_mut().append_pair("state", state);
    }
    Some(url.into())
}
