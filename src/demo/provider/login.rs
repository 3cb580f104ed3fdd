//! Signing in at the provider: the page lists the people, one click chooses one.
//!
//! The page's form carries the whole authorization request, so that nothing is kept before the click.

use http::header::SET_COOKIE;
use http::{HeaderMap, Response, StatusCode};

use super::authorize::Refusal;
use super::people::Person;
use super::{Provider, SESSION_COOKIE, SESSION_LIFETIME, Session, pages};
use crate::demo::params::Params;
use crate::demo::serving;
use crate::foundation::body::Body;
use crate::foundation::random;

impl Provider {
    /// `POST /login`: the authorization request over again, and the choice.
    pub(super) fn login(&self, headers: &HeaderMap, form: &Params) -> Response<Body> {
        if !self.is_our_own_form(headers) {
            return pages::problem(
                StatusCode::FORBIDDEN,
                "Эта форма пришла с другого сайта, вход не выполнен.",
                "This form came from another site; nobody was signed in.",
            );
        }
        let request = match self.judge(form) {
            Ok(request) => request,
            Err(fault) => return self.fault(form, &fault),
        };
        if form.get("cancel").is_some() {
            return self.refuse(form, &Refusal("access_denied", "the person did not want to sign in"));
        }
        let Some(person) = form.get("person").and_then(Person::find) else {
            return pages::problem(
                StatusCode::BAD_REQUEST,
                "Такого человека здесь нет.",
                "There is no such person here.",
            );
        };
        // Core 3.1.2.1, id_token_hint: the client asked for somebody else.
        if !request.expects(person) {
            return self.refuse(form, &Refusal("login_required", "somebody else has signed in"));
        }

        // SECURITY: a new identifier at each login, so that a planted one is worth nothing (fixation).
        self.end(headers);
        let now = self.clock.now();
        let session = Session { person, sid: random::token(), auth_time: now };
        let cookie = random::token();
        self.memory().sessions.put(cookie.clone(), session.clone(), now.plus(SESSION_LIFETIME), now);
        let mut answer = self.grant(request, session);
        let cookie = format!("{SESSION_COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Lax");
        serving::set(&mut answer, SET_COOKIE, &cookie);
        answer
    }
}
