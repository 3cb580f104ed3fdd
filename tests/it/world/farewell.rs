//! What the misbehaving provider says of sign-outs there: logout tokens, right unless a test bends them.

use serde_json::json;

use super::ask::Ask;
use super::browser::{Browser, Response};
use super::keys;
use super::rogue::{CLIENT_ID, Draft, Rogue, Signed, now};

/// The member of `events` that makes a token a logout token.
pub const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

impl Rogue {
    /// A token that says that `u-1` signed out of the session that its ID tokens name.
    pub fn logout_token(&self, bend: impl FnOnce(&mut Draft)) -> String {
        let (key, now) = (self.key(), now());
        let mut draft = Draft {
            header: json!({"alg": key.algorithm, "kid": key.id, "typ": "logout+jwt"})
                .as_object()
                .unwrap()
                .clone(),
            claims: json!({
                "iss": self.issuer(), "aud": CLIENT_ID, "iat": now, "exp": now + 120, "jti": keys::random(),
                "sub": "u-1", "sid": "provider-session-1", "events": {EVENT: {}},
            }),
            signed: Signed::Well,
        };
        bend(&mut draft);
        draft.token(&key)
    }

    /// One that names the person alone, and was issued moments ago: whoever signs in after it has a newer ID token.
    pub fn logout_token_of_person(&self) -> String {
        self.logout_token(|draft| {
            draft.claims.as_object_mut().unwrap().remove("sid");
            draft.claims["iat"] = json!(now() - 2);
        })
    }

    /// From now on its ID tokens name this session.
    pub fn session(&self, sid: &str) {
        let sid = sid.to_owned();
        self.bend_id_token(move |draft| draft.claims["sid"] = json!(sid));
    }
}

/// Brings a logout token to the gateway at this origin, as providers do.
pub async fn deliver(origin: &str, token: &str) -> Response {
    deliver_form(origin, &format!("logout_token={token}")).await
}

/// Brings a form there.
pub async fn deliver_form(origin: &str, form: &str) -> Response {
    deliver_by(&Browser::new(), origin, form).await
}

/// The same by somebody who knows where this origin is.
pub async fn deliver_by(by: &Browser, origin: &str, form: &str) -> Response {
    let ask = Ask::new("POST", &format!("{origin}/_sso/backchannel-logout"));
    by.send(ask.body("application/x-www-form-urlencoded", form)).await
}
