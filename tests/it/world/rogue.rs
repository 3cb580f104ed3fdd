//! A provider of our own that is right unless a test says how it is wrong.
//!
//! It signs everybody in at once, as the person that the test wants. Every answer can be replaced or bent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::keys::{self, SigningKey};
use super::proofs::{Proofs, Seen};
use super::server::{Answer, Received, Server};

/// The client's identifier at this provider.
pub const CLIENT_ID: &str = "lms";
/// Its secret.
pub const CLIENT_SECRET: &str = "s3cret";

/// The endpoints whose whole answer a test can replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `/.well-known/openid-configuration`
    Discovery,
    /// `/jwks`
    Keys,
    /// `/authorize`
    Authorize,
    /// `/par`
    Pushed,
    /// `/token`
    Token,
    /// `/userinfo`
    Userinfo,
    /// `/logout`
    EndSession,
    /// `/revoke`
    Revocation,
}

/// An ID token or a response that is about to be signed.
pub struct Draft {
    /// Its header.
    pub header: Map<String, Value>,
    /// Its claims.
    pub claims: Value,
    /// How it is signed.
    pub signed: Signed,
}

/// How it is signed.
pub enum Signed {
    /// With the provider's current key.
    Well,
    /// With this key instead.
    With(Arc<SigningKey>),
    /// Not at all.
    NotAtAll,
    /// By a keyed hash with these bytes as the key.
    Hash(Vec<u8>),
}

type Bend<T> = Box<dyn Fn(&mut T) + Send + Sync>;

struct Behaviour {
    replaced: HashMap<Endpoint, Answer>,
    slow: HashMap<Endpoint, Duration>,
    discovery: Bend<Value>,
    key_set: Bend<Value>,
    response: Bend<Vec<(String, String)>>,
    tokens: Bend<Value>,
    signed_response: Bend<Draft>,
    id_token: Bend<Draft>,
    userinfo: Bend<Value>,
    person: Value,
    proofs: Proofs,
    keys: Vec<Arc<SigningKey>>,
    /// How long access tokens are good, in seconds; with it, refresh tokens are given.
    refreshable: Option<u64>,
}

#[derive(Clone)]
struct Grant {
    nonce: Option<String>,
    challenge: Option<String>,
    redirect_uri: String,
    /// The key that the code, and all that comes of it, is bound to.
    thumbprint: Option<String>,
}

/// The running provider.
pub struct Rogue {
    /// The server below it: what it received, and where it is.
    pub server: Server,
    state: Arc<State>,
}

struct State {
    issuer: String,
    behaviour: Mutex<Behaviour>,
    codes: Mutex<HashMap<String, Grant>>,
    proofs: Mutex<Seen>,
    /// The refresh tokens: the good ones with their grants, and the spent ones.
    refresh_tokens: Mutex<HashMap<String, Option<Grant>>>,
    pushed: Mutex<HashMap<String, Vec<(String, String)>>>,
}

impl Rogue {
    /// A provider that does everything right, with a key for ES256.
    pub async fn start() -> Self {
        Self::with_key(SigningKey::new("first", "ES256"), "").await
    }

    /// The same with this key, its issuer ending in `path`.
    pub async fn with_key(key: SigningKey, path: &str) -> Self {
        let server = Server::start().await;
        let state = Arc::new(State {
            issuer: format!("{}{path}", server.origin()),
            behaviour: Mutex::new(Behaviour {
                replaced: HashMap::new(),
                slow: HashMap::new(),
                discovery: Box::new(|_| ()),
                key_set: Box::new(|_| ()),
                response: Box::new(|_| ()),
                tokens: Box::new(|_| ()),
                signed_response: Box::new(|_| ()),
                id_token: Box::new(|_| ()),
                userinfo: Box::new(|_| ()),
                person: json!({"sub": "u-1", "name": "Анна Каренина", "email": "anna@school.example"}),
                proofs: Proofs::NotWanted,
                keys: vec![Arc::new(key)],
                refreshable: None,
            }),
            codes: Mutex::default(),
            proofs: Mutex::default(),
            refresh_tokens: Mutex::default(),
            pushed: Mutex::default(),
        });
        let answering = Arc::clone(&state);
        server.answer(move |request| answering.answer(request));
        Self { server, state }
    }

    /// Its issuer identifier.
    pub fn issuer(&self) -> &str {
        &self.state.issuer
    }

    /// The provider's table of a configuration.
    pub fn table(&self, name: &str, lines: &str) -> String {
        format!(
            "[providers.{name}]\nissuer = {:?}\nclient_id = {CLIENT_ID:?}\nclient_secret = {CLIENT_SECRET:?}\n{lines}\n",
            self.issuer()
        )
    }

    /// From now on this endpoint answers so.
    pub fn replace(&self, endpoint: Endpoint, answer: Answer) {
        self.state.behaviour.lock().unwrap().replaced.insert(endpoint, answer);
    }

    /// From now on this endpoint takes so long to answer.
    pub fn slow_down(&self, endpoint: Endpoint, by: Duration) {
        self.state.behaviour.lock().unwrap().slow.insert(endpoint, by);
    }

    /// From now on every endpoint answers as it should.
    pub fn restore(&self) {
        let mut behaviour = self.state.behaviour.lock().unwrap();
        behaviour.replaced.clear();
        behaviour.slow.clear();
        behaviour.discovery = Box::new(|_| ());
        behaviour.key_set = Box::new(|_| ());
        behaviour.response = Box::new(|_| ());
        behaviour.tokens = Box::new(|_| ());
        behaviour.signed_response = Box::new(|_| ());
        behaviour.id_token = Box::new(|_| ());
        behaviour.userinfo = Box::new(|_| ());
    }

    /// Who signs in from now on: what userinfo says.
    pub fn person(&self, claims: Value) {
        self.state.behaviour.lock().unwrap().person = claims;
    }

    /// How it treats DPoP proofs from now on; where it wants them, tokens are bound to their keys.
    pub fn wants_proofs(&self, proofs: Proofs) {
        self.state.behaviour.lock().unwrap().proofs = proofs;
    }

    /// Bends the discovery document.
    pub fn bend_discovery(&self, bend: impl Fn(&mut Value) + Send + Sync + 'static) {
        self.state.behaviour.lock().unwrap().discovery = Box::new(bend);
    }

    /// Bends the key set.
    pub fn bend_keys(&self, bend: impl Fn(&mut Value) + Send + Sync + 'static) {
        self.state.behaviour.lock().unwrap().key_set = Box::new(bend);
    }

    /// Bends the parameters that the browser carries to the callback.
    pub fn bend_response(&self, bend: impl Fn(&mut Vec<(String, String)>) + Send + Sync + 'static) {
        self.state.behaviour.lock().unwrap().response = Box::new(bend);
    }

    /// Bends the token response.
    pub fn bend_tokens(&self, bend: impl Fn(&mut Value) + Send + Sync + 'static) {
        self.state.behaviour.lock().unwrap().tokens = Box::new(bend);
    }

    /// Bends the response before it is signed, where a signed one is asked for.
    pub fn bend_signed_response(&self, bend: impl Fn(&mut Draft) + Send + Sync + 'static) {
        self.state.behaviour.lock().unwrap().signed_response = Box::new(bend);
    }

    /// Bends the ID token before it is signed.
    pub fn bend_id_token(&self, bend: impl Fn(&mut Draft) + Send + Sync + 'static) {
        self.state.behaviour.lock().unwrap().id_token = Box::new(bend);
    }

    /// From now on its clock is ahead by so much, as that of a gateway whose time was moved.
    pub fn is_ahead(&self, by: Duration) {
        self.bend_id_token(move |draft| {
            for time in ["iat", "exp"] {
                draft.claims[time] = json!(draft.claims[time].as_u64().unwrap() + by.as_secs());
            }
        });
    }

    /// From now on it gives refresh tokens, each good once, beside access tokens that are good for so long. One
    /// that comes twice ends all grants.
    pub fn gives_refresh_tokens(&self, lifetime: Duration) {
        self.state.behaviour.lock().unwrap().refreshable = Some(lifetime.as_secs());
    }

    /// How often a refresh token was redeemed.
    pub fn refreshes(&self) -> usize {
        let asked = self.asked("/token");
        asked.iter().filter(|request| request.param("grant_type").as_deref() == Some("refresh_token")).count()
    }

    /// Bends the userinfo response.
    pub fn bend_userinfo(&self, bend: impl Fn(&mut Value) + Send + Sync + 'static) {
        self.state.behaviour.lock().unwrap().userinfo = Box::new(bend);
    }

    /// Signs with a new key from now on; the old one leaves the key set.
    pub fn rotate(&self, key: SigningKey) {
        self.state.behaviour.lock().unwrap().keys = vec![Arc::new(key)];
    }

    /// The key it signs with.
    pub fn key(&self) -> Arc<SigningKey> {
        Arc::clone(&self.state.behaviour.lock().unwrap().keys[0])
    }

    /// The requests to this path.
    pub fn asked(&self, path: &str) -> Vec<Received> {
        self.server.received().into_iter().filter(|request| request.path() == path).collect()
    }
}

impl State {
    fn answer(&self, request: &Received) -> Answer {
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

impl Draft {
    pub(super) fn token(&self, key: &SigningKey) -> String {
        match &self.signed {
            Signed::Well => key.token(&self.header, &self.claims),
            Signed::With(other) => other.token(&self.header, &self.claims),
            Signed::NotAtAll => keys::unsigned(&self.header, &self.claims),
            Signed::Hash(secret) => keys::hashed(secret, &self.header, &self.claims),
        }
    }
}

/// Seconds since the epoch.
pub fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
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
