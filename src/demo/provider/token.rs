//! The token endpoint (Core 3.1.3, RFC 6749 sections 2.3.1, 4.1.3, 5; RFC 7636 section 4.6).

use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::authorize::Grant;
use super::keys::{KeyError, at_hash, s256};
use super::{AccessToken, Code, Provider};
use crate::demo::params::Params;
use crate::demo::serving;
use crate::foundation::body::Body;
use crate::foundation::random;

const TOKEN_LIFETIME: Duration = Duration::from_secs(60 * 60);
const ID_TOKEN_LIFETIME: Duration = Duration::from_secs(10 * 60);

/// An error of RFC 6749 section 5.2: its code and what is wrong.
struct TokenError(&'static str, &'static str);

impl Provider {
    /// `POST /token`
    pub(super) fn token(&self, headers: &HeaderMap, form: &Params) -> Response<Body> {
        match self.redeem(headers, form) {
            Ok(tokens) => serving::json(StatusCode::OK, &tokens),
            Err(TokenError(error, description)) => {
                let status = match error {
                    "invalid_client" => StatusCode::UNAUTHORIZED,
                    "server_error" => StatusCode::INTERNAL_SERVER_ERROR,
                    _ => StatusCode::BAD_REQUEST,
                };
                let problem = json!({ "error": error, "error_description": description });
                let mut answer = serving::json(status, &problem);
                if status == StatusCode::UNAUTHORIZED {
                    serving::set(&mut answer, WWW_AUTHENTICATE, "Basic realm=\"demo\", charset=\"UTF-8\"");
                }
                answer
            }
        }
    }

    fn redeem(&self, headers: &HeaderMap, form: &Params) -> Result<Value, TokenError> {
        if form.repeated().is_some() {
            return Err(TokenError("invalid_request", "a parameter came more than once"));
        }
        self.authenticate(headers, form)?;
        match form.get("grant_type") {
            Some("authorization_code") => {}
            Some(_) => return Err(TokenError("unsupported_grant_type", "only authorization_code is known")),
            None => return Err(TokenError("invalid_request", "grant_type is missing")),
        }
        let code = form.get("code").ok_or(TokenError("invalid_request", "code is missing"))?;
        let grant = self.spend(code)?;
        // Core 3.1.3.2: the redirect URI of the authorization request, which can only have been this one.
        if form.get("redirect_uri") != Some(self.client.redirect_uri.as_str()) {
            return Err(TokenError("invalid_grant", "redirect_uri is not that of the authorization request"));
        }
        // SECURITY: only who began this login knows the verifier; a stolen code is worth nothing.
        let proven = form.get("code_verifier").is_some_and(|verifier| s256(verifier) == grant.challenge);
        if !proven {
            return Err(TokenError("invalid_grant", "code_verifier does not belong to the code_challenge"));
        }
        self.issue(code, grant).map_err(|KeyError| TokenError("server_error", "no token could be signed"))
    }

    /// RFC 6749 section 2.3.1: the client's name and secret, in one of two places.
    fn authenticate(&self, headers: &HeaderMap, form: &Params) -> Result<(), TokenError> {
        const WRONG: TokenError = TokenError("invalid_client", "the client's name or secret is wrong");
        let posted = form.get("client_secret");
        let (id, secret) = match (headers.get(AUTHORIZATION), posted) {
            (Some(_), Some(_)) => {
                return Err(TokenError("invalid_request", "the client's secret came in two ways"));
            }
            (Some(basic), None) => basic.to_str().ok().and_then(read_basic).ok_or(WRONG)?,
            (None, Some(secret)) => (form.get("client_id").unwrap_or_default().to_owned(), secret.to_owned()),
            (None, None) => return Err(TokenError("invalid_client", "the client's secret is missing")),
        };
        // SECURITY: how long a comparison takes must not tell how much of a guess was right.
        let right = verify_slices_are_equal(secret.as_bytes(), self.client.secret.expose().as_bytes());
        let same_client = form.get("client_id").is_none_or(|posted| posted == id);
        if id == self.client.id && same_client && right.is_ok() { Ok(()) } else { Err(WRONG) }
    }

    /// Takes a code, which can be done once.
    fn spend(&self, code: &str) -> Result<Grant, TokenError> {
        const UNKNOWN: TokenError = TokenError("invalid_grant", "the code is unknown, expired or used");
        let now = self.clock.now();
        let mut memory = self.memory();
        match memory.codes.take(code, now) {
            Some(Code::Fresh(grant)) => {
                memory.codes.put(code.to_owned(), Code::Spent, now.plus(TOKEN_LIFETIME), now);
                Ok(*grant)
            }
            Some(Code::Spent) => {
                // SECURITY: one of the two who presented it stole it (RFC 6749 section 4.1.2): what it
                // was exchanged for ends.
                memory.codes.put(code.to_owned(), Code::Spent, now.plus(TOKEN_LIFETIME), now);
                memory.tokens.retain(|token| token.code != code);
                Err(UNKNOWN)
            }
            None => Err(UNKNOWN),
        }
    }

    fn issue(&self, code: &str, grant: Grant) -> Result<Value, KeyError> {
        let now = self.clock.now();
        let access_token = random::token();
        // Core 2 and 3.1.3.6. Who the person is beyond `sub` is told by userinfo (Core 5.4).
        let mut claims = Map::new();
        claims.insert("iss".to_owned(), json!(self.issuer));
        claims.insert("sub".to_owned(), json!(grant.person.sub));
        claims.insert("aud".to_owned(), json!(self.client.id));
        claims.insert("exp".to_owned(), json!(now.plus(ID_TOKEN_LIFETIME).as_secs()));
        claims.insert("iat".to_owned(), json!(now.as_secs()));
        claims.insert("auth_time".to_owned(), json!(grant.auth_time.as_secs()));
        claims.insert("sid".to_owned(), json!(grant.sid));
        claims.insert("at_hash".to_owned(), json!(at_hash(&access_token)));
        if let Some(nonce) = grant.nonce {
            claims.insert("nonce".to_owned(), json!(nonce));
        }
        let id_token = self.key.sign(&Value::Object(claims))?;
        let answer = json!({
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": TOKEN_LIFETIME.as_secs(),
            "scope": grant.scopes.join(" "),
            "id_token": id_token,
        });
        let token = AccessToken { person: grant.person, scopes: grant.scopes, code: code.to_owned() };
        self.memory().tokens.put(access_token, token, now.plus(TOKEN_LIFETIME), now);
        Ok(answer)
    }
}

/// `Basic`, with name and secret form-urlencoded before they were joined (RFC 6749 section 2.3.1).
fn read_basic(header: &str) -> Option<(String, String)> {
    let (scheme, credentials) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let credentials = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
    let (id, secret) = credentials.split_once(':')?;
    Some((form_decode(id)?, form_decode(secret)?))
}

fn form_decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_form_decoded() {
        let header = format!("bAsIc {}", STANDARD.encode("l%3Ams:p%2B+%D1%8F"));
        assert_eq!(read_basic(&header), Some(("l:ms".to_owned(), "p+ я".to_owned())));
        for broken in ["Basic", "Bearer YTpi", "Basic !", "Basic YQ=="] {
            assert_eq!(read_basic(broken), None, "{broken}");
        }
    }
}
