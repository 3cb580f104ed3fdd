//! A provider of our own that is right unless a test says how it is wrong.
//!
//! It signs everybody in at once, as the person that the test wants. Every answer can be replaced or bent: here is
//! what a test can say, in `answering` what the provider then does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Map, Value, json};

mod answering;

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

    /// From now on it says nowhere who answers (`iss`, RFC 9207), as most providers don't.
    pub fn is_silent_about_itself(&self) {
        self.bend_discovery(|document| {
            document.as_object_mut().unwrap().remove("authorization_response_iss_parameter_supported");
        });
        self.bend_response(|response| response.retain(|(name, _)| name != "iss"));
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
