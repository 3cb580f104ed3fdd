//! What the provider answers at each of its endpoints, as it was told to behave: right where nothing else was said.
//!
//! Codes, refresh tokens and pushed requests are good once, and proofs are checked; a test that bends an answer
//! bends what a right one would be.

use serde_json::json;

use super::{Behaviour, CLIENT_ID, Draft, Endpoint, Grant, Signed, State, now};
use crate::world::keys;
use crate::world::proofs::Proofs;
use crate::world::server::{Answer, Received};

impl State {
    pub(super) fn answer(&self, request: &Received) -> Answer {
        let behaviour = self.behaviour.lock().unwrap();
        let path = request.path();
        let endpoint = match path.rsplit('/').next().unwrap() {
            "openid-configuration" => Endpoint::Discovery,
            "jwks" => Endpoint::Keys,
            "authorize" => Endpoint::Authorize,
            "par" => Endpoint::Pushed,
            "token" => Endpoint::Token,
            "userinfo" => Endpoint::Userinfo,
            "logout" => Endpoint::EndSession,
            "revoke" => Endpoint::Revocation,
            _ => return Answer::of(404, "text/plain", "no such endpoint"),
        };
        if let Some(answer) = behaviour.replaced.get(&endpoint) {
            return answer.clone();
        }
        let answer = match endpoint {
            Endpoint::Discovery => self.discovery(&behaviour),
            Endpoint::Keys => {
                let mut set = json!({"keys": behaviour.keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()});
                (behaviour.key_set)(&mut set);
                Answer::json(&set)
            }
            Endpoint::Authorize => self.authorize(&behaviour, request),
            Endpoint::Pushed => {
                let uri = format!("urn:ietf:params:oauth:request_uri:{}", keys::random());
                self.pushed.lock().unwrap().insert(uri.clone(), request.params());
                let body = json!({"request_uri": uri, "expires_in": 60}).to_string();
                Answer::of(201, "application/json", body)
            }
            Endpoint::Token | Endpoint::Userinfo if behaviour.proofs != Proofs::NotWanted => {
                self.proven(&behaviour, endpoint, request)
            }
            Endpoint::Token => self.token(&behaviour, request),
            Endpoint::Userinfo => Self::userinfo(&behaviour),
            Endpoint::Revocation => Answer::of(200, "text/plain", ""),
            Endpoint::EndSession => {
                let mut to = request.param("post_logout_redirect_uri").unwrap_or_else(|| "/bye".into());
                if let Some(state) = request.param("state") {
                    to.push_str(&format!("?state={state}"));
                }
                Answer::redirect(302, &to)
            }
        };
        match behaviour.slow.get(&endpoint) {
            Some(by) => Answer::After(*by, Box::new(answer)),
            None => answer,
        }
    }

    fn userinfo(behaviour: &Behaviour) -> Answer {
        let mut person = behaviour.person.clone();
        (behaviour.userinfo)(&mut person);
        Answer::json(&person)
    }

    /// What these endpoints say to a request with a proof.
    fn proven(&self, behaviour: &Behaviour, endpoint: Endpoint, request: &Received) -> Answer {
        let authorization = request.header("authorization").unwrap_or_default();
        let token =
            (endpoint == Endpoint::Userinfo).then(|| authorization.strip_prefix("DPoP ").unwrap_or(""));
        let mut seen = self.proofs.lock().unwrap();
        let thumbprint = match seen.check(behaviour.proofs, request, &self.server_origin(), token) {
            Ok(thumbprint) => thumbprint,
            Err(answer) => return answer,
        };
        let code = request.param("code").unwrap_or_default();
        let bound = match request.param("refresh_token") {
            Some(token) => {
                let known = self.refresh_tokens.lock().unwrap();
                known.get(&token).and_then(|grant| grant.as_ref()?.thumbprint.clone())
            }
            None => self.codes.lock().unwrap().get(&code).and_then(|grant| grant.thumbprint.clone()),
        };
        let answer = match endpoint {
            Endpoint::Token if bound != Some(thumbprint) => {
                Answer::of(400, "application/json", json!({"error": "invalid_dpop_proof"}).to_string())
            }
            Endpoint::Token => self.token(behaviour, request),
            _ => Self::userinfo(behaviour),
        };
        seen.with_nonce(behaviour.proofs, answer)
    }

    fn server_origin(&self) -> String {
        url::Url::parse(&self.issuer).unwrap().origin().ascii_serialization()
    }

    fn discovery(&self, behaviour: &Behaviour) -> Answer {
        let base = self.issuer.trim_end_matches('/');
        let mut document = json!({
            "issuer": self.issuer,
            "authorization_endpoint": format!("{base}/authorize"),
            "pushed_authorization_request_endpoint": format!("{base}/par"),
            "token_endpoint": format!("{base}/token"),
            "userinfo_endpoint": format!("{base}/userinfo"),
            "jwks_uri": format!("{base}/jwks"),
            "end_session_endpoint": format!("{base}/logout"),
            "revocation_endpoint": format!("{base}/revoke"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [
                "none", "HS256", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
        });
        (behaviour.discovery)(&mut document);
        Answer::json(&document)
    }

    fn authorize(&self, behaviour: &Behaviour, request: &Received) -> Answer {
        let pushed = request.param("request_uri").and_then(|uri| self.pushed.lock().unwrap().remove(&uri));
        let params = pushed.unwrap_or_else(|| request.params());
        let param =
            |name: &str| params.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let code = keys::random();
        let redirect_uri = param("redirect_uri").expect("a redirect URI");
        let mut response = vec![("code".to_owned(), code.clone()), ("iss".to_owned(), self.issuer.clone())];
        response.extend(param("state").map(|state| ("state".to_owned(), state)));
        let grant = Grant {
            nonce: param("nonce"),
            challenge: param("code_challenge"),
            redirect_uri: redirect_uri.clone(),
            thumbprint: request.param("dpop_jkt"),
        };
        self.codes.lock().unwrap().insert(code, grant);
        let mode = param("response_mode").unwrap_or_default();
        if mode.ends_with("jwt") {
            let signed = self.signed_response(behaviour, &response);
            response = vec![("response".to_owned(), signed)];
        }
        (behaviour.response)(&mut response);
        if mode.starts_with("form_post") {
            return Answer::of(200, "text/html; charset=utf-8", posting(&redirect_uri, &response));
        }
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(response).finish();
        Answer::redirect(302, &format!("{redirect_uri}?{query}"))
    }

    fn signed_response(&self, behaviour: &Behaviour, response: &[(String, String)]) -> String {
        let key = &behaviour.keys[0];
        let mut claims = json!({"aud": CLIENT_ID, "exp": now() + 120});
        for (name, value) in response {
            claims[name] = json!(value);
        }
        let header = json!({"alg": key.algorithm, "kid": key.id}).as_object().unwrap().clone();
        let mut draft = Draft { header, claims, signed: Signed::Well };
        (behaviour.signed_response)(&mut draft);
        draft.token(key)
    }

    fn token(&self, behaviour: &Behaviour, request: &Received) -> Answer {
        let redeemed = match request.param("refresh_token") {
            Some(token) => self.redeem_refresh_token(&token),
            None => self.redeem_code(request),
        };
        let Some(grant) = redeemed else {
            return Answer::of(400, "application/json", json!({"error": "invalid_grant"}).to_string());
        };
        let access_token = keys::random();
        let now = now();
        let key = &behaviour.keys[0];
        let mut draft = Draft {
            header: json!({"alg": key.algorithm, "kid": key.id, "typ": "JWT"}).as_object().unwrap().clone(),
            claims: json!({
                "iss": self.issuer, "sub": behaviour.person["sub"], "aud": CLIENT_ID, "iat": now, "exp": now + 600,
                "at_hash": keys::half_hash(&access_token), "nonce": grant.nonce, "sid": "provider-session-1",
            }),
            signed: Signed::Well,
        };
        if !matches!(key.algorithm, "ES256" | "RS256" | "PS256") {
            // Another hash would be needed; it is optional here.
            draft.claims.as_object_mut().unwrap().remove("at_hash");
        }
        (behaviour.id_token)(&mut draft);
        let id_token = draft.token(key);
        let kind = if behaviour.proofs == Proofs::NotWanted { "Bearer" } else { "DPoP" };
        let mut tokens = json!({
            "access_token": access_token, "token_type": kind, "expires_in": 600, "id_token": id_token,
        });
        if let Some(lifetime) = behaviour.refreshable {
            let refresh_token = keys::random();
            tokens["expires_in"] = json!(lifetime);
            tokens["refresh_token"] = json!(refresh_token);
            self.refresh_tokens.lock().unwrap().insert(refresh_token, Some(grant));
        }
        (behaviour.tokens)(&mut tokens);
        Answer::json(&tokens)
    }

    fn redeem_code(&self, request: &Received) -> Option<Grant> {
        let grant = self.codes.lock().unwrap().remove(&request.param("code")?)?;
        let proof = request.param("code_verifier").map(|verifier| keys::hash(&verifier));
        let same_place = request.param("redirect_uri").as_ref() == Some(&grant.redirect_uri);
        (proof == grant.challenge && same_place).then_some(grant)
    }

    fn redeem_refresh_token(&self, token: &str) -> Option<Grant> {
        let mut known = self.refresh_tokens.lock().unwrap();
        match known.get_mut(token)?.take() {
            Some(grant) => Some(grant),
            None => {
                known.clear();
                None
            }
        }
    }
}

/// A page that posts these fields by itself.
fn posting(action: &str, fields: &[(String, String)]) -> String {
    let inputs: String = fields
        .iter()
        .map(|(name, value)| format!("<input type=\"hidden\" name=\"{name}\" value=\"{value}\">"))
        .collect();
    format!(
        "<!doctype html><body onload=\"document.forms[0].submit()\">\
         <form method=\"post\" action=\"{action}\">{inputs}</form>"
    )
}
