//! What the tests of this part share: settings, keys of each kind, a provider on a socket that does as told.

mod sealer;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use openidconnect::HttpResponse;
use serde_json::{Value, json};

pub(super) use self::sealer::Sealer;
use super::algorithm::KeyKind;
use super::authorization::PendingLogin;
use super::callback::Redemption;
use super::metadata::Metadata;
use super::{
    Algorithm, Discovery, Endpoints, IdTokenHint, Logout, Protocol, RequestForm, ResponseMode, Settings,
    SigningKey, TokenBinding, Userinfo,
};
use crate::foundation::clock::Timestamp;
use crate::foundation::secret::Secret;

/// A provider as most are.
pub(super) fn settings(issuer: &str) -> Settings {
    Settings {
        name: "trusted".into(),
        label: None,
        domains: Vec::new(),
        protocol: Protocol::OpenIdConnect,
        issuer: issuer.into(),
        discovery: Discovery::Fetch,
        endpoints: Endpoints::default(),
        client_id: "lms".into(),
        client_secret: Some(Secret::new("client secret")),
        client_auth: None,
        decryption_keys: Vec::new(),
        introspection_auth: None,
        revocation_auth: None,
        private_key: None,
        tls_client: None,
        ca: Vec::new(),
        scopes: vec!["openid".into(), "email".into()],
        response_mode: ResponseMode::Query,
        binding: TokenBinding::Bearer,
        profile: crate::oidc::Profile::Usual,
        request: RequestForm::Query,
        userinfo: Userinfo::Auto,
        id_token_algs: None,
        clock_skew: Duration::from_secs(60),
        timeout: Duration::from_secs(5),
        prompt: None,
        acr_values: None,
        max_age: None,
        ui_locales: None,
        audience: None,
        claims: None,
        resource: Vec::new(),
        login_hint: None,
        params: Vec::new(),
        logout: Logout { id_token_hint: IdTokenHint::Send, session_param: None },
    }
}

/// The document of a provider whose endpoints are below `base`.
pub(super) fn document(base: &str) -> Value {
    json!({
        "issuer": base,
        "authorization_endpoint": format!("{base}/auth"),
        "token_endpoint": format!("{base}/token"),
        "userinfo_endpoint": format!("{base}/me"),
        "jwks_uri": format!("{base}/jwks"),
        "end_session_endpoint": format!("{base}/end"),
        "backchannel_logout_supported": true,
        "id_token_signing_alg_values_supported": Algorithm::ALL.map(Algorithm::name),
    })
}

pub(super) fn metadata(settings: &Settings) -> Metadata {
    Metadata::settle(settings, document(&settings.issuer).as_object().unwrap()).unwrap()
}

pub(super) fn pending(state: &str) -> PendingLogin {
    PendingLogin {
        provider: "trusted".into(),
        state: state.into(),
        nonce: Secret::new("the nonce"),
        verifier: Secret::new("the verifier"),
        redirect_uri: "https://lms.example/_sso/callback".into(),
        max_age: None,
        response_iss: false,
        response_mode: ResponseMode::Query,
        proof_key: None,
        acr_values: None,
    }
}

pub(super) fn redemption(code: &str) -> Redemption {
    let pending = pending("");
    Redemption {
        provider: pending.provider,
        code: Secret::new(code),
        nonce: pending.nonce,
        verifier: pending.verifier,
        redirect_uri: pending.redirect_uri,
        max_age: None,
        proof_key: None,
        acr_values: None,
    }
}

/// A private key of ours, for ES256.
pub(super) fn signing_key() -> Arc<SigningKey> {
    static KEY: LazyLock<Arc<SigningKey>> = LazyLock::new(|| {
        let pair = EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let body = STANDARD.encode(pair.to_pkcs8v1().unwrap().as_ref());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
        Arc::new(SigningKey::from_pem(&pem).unwrap())
    });
    Arc::clone(&KEY)
}

/// Header and claims of a JWT that these settings signed, by their key or their secret.
pub(super) fn opened(settings: &Settings, token: &str) -> (Value, Value) {
    let (message, made) = token.rsplit_once('.').unwrap();
    let mut parts = message
        .split('.')
        .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap());
    let (header, claims): (Value, Value) = (parts.next().unwrap(), parts.next().unwrap());
    let decoding = if header["alg"] == "HS256" {
        jsonwebtoken::DecodingKey::from_secret(settings.client_secret.as_ref().unwrap().expose().as_bytes())
    } else {
        let jwk = settings.private_key.as_ref().unwrap().public_jwk().clone();
        jsonwebtoken::DecodingKey::from_jwk(&serde_json::from_value(jwk).unwrap()).unwrap()
    };
    let algorithm = serde_json::from_value(header["alg"].clone()).unwrap();
    assert!(jsonwebtoken::crypto::verify(made, message.as_bytes(), &decoding, algorithm).unwrap());
    (header, claims)
}

pub(super) fn answer(status: u16, body: impl Into<String>) -> HttpResponse {
    http::Response::builder().status(status).body(body.into().into_bytes()).unwrap()
}

/// The claims of a good ID token.
pub(super) fn claims(issuer: &str, now: Timestamp) -> Value {
    let now = now.as_secs();
    json!({
        "iss": issuer, "sub": "anna", "aud": "lms", "exp": now + 300, "iat": now, "nonce": "the nonce",
        "sid": "session 1", "auth_time": now - 10, "email": "anna@example.org",
    })
}

/// A signing key of a provider.
pub(super) enum Signer {
    Rsa(RsaKeyPair),
    Ec(KeyKind, EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Signer {
    /// The provider's key for `alg`.
    pub(super) fn get(alg: Algorithm) -> &'static Self {
        static KEYS: LazyLock<[Signer; 4]> = LazyLock::new(Signer::generate);
        Self::of(&KEYS, alg)
    }

    /// A stranger's key for `alg`.
    pub(super) fn stranger(alg: Algorithm) -> &'static Self {
        static KEYS: LazyLock<[Signer; 4]> = LazyLock::new(Signer::generate);
        Self::of(&KEYS, alg)
    }

    fn generate() -> [Self; 4] {
        let ec = |kind, algorithm| Self::Ec(kind, EcdsaKeyPair::generate(algorithm).unwrap());
        [
            Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()),
            ec(KeyKind::P256, &signature::ECDSA_P256_SHA256_FIXED_SIGNING),
            ec(KeyKind::P384, &signature::ECDSA_P384_SHA384_FIXED_SIGNING),
            Self::Ed(Ed25519KeyPair::generate().unwrap()),
        ]
    }

    fn of(keys: &'static [Self; 4], alg: Algorithm) -> &'static Self {
        match alg.key_kind() {
            KeyKind::Rsa => &keys[0],
            KeyKind::P256 => &keys[1],
            KeyKind::P384 => &keys[2],
            KeyKind::Ed25519 => &keys[3],
        }
    }

    /// The public key, as a key set has it.
    pub(super) fn jwk(&self, kid: &str) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Rsa(pair) => {
                let public = signature::RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({"kty": "RSA", "kid": kid, "n": text(&public.n), "e": text(&public.e)})
            }
            Self::Ec(kind, pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(pair.public_key().as_ref().len() / 2);
                let crv = if *kind == KeyKind::P256 { "P-256" } else { "P-384" };
                json!({"kty": "EC", "crv": crv, "kid": kid, "x": text(x), "y": text(y)})
            }
            Self::Ed(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": text(pair.public_key().as_ref())})
            }
        }
    }

    /// A token with this header and these claims.
    pub(super) fn token(&self, header: &Value, claims: &Value) -> String {
        let signed = unsigned(header, claims);
        let signature = self.sign(header["alg"].as_str().unwrap_or_default(), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn sign(&self, alg: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let padding: &'static dyn signature::RsaEncoding = match alg {
                    "RS384" => &signature::RSA_PKCS1_SHA384,
                    "RS512" => &signature::RSA_PKCS1_SHA512,
                    "PS256" => &signature::RSA_PSS_SHA256,
                    "PS384" => &signature::RSA_PSS_SHA384,
                    "PS512" => &signature::RSA_PSS_SHA512,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut signature).unwrap();
                signature
            }
            Self::Ec(_, pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}

/// Header and claims as they are signed.
pub(super) fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// A provider on 127.0.0.1 that answers as it is told.
#[derive(Clone)]
pub(super) struct FakeProvider {
    pub(super) base: String,
    script: Arc<Mutex<Script>>,
}

#[derive(Default)]
struct Script {
    answers: HashMap<String, Answer>,
    seen: Vec<Seen>,
}

#[derive(Clone)]
struct Answer {
    delay: Duration,
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

/// A request that came.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) path: String,
    pub(super) headers: http::HeaderMap,
    pub(super) body: String,
}

impl FakeProvider {
    /// Starts one that answers 404 to all.
    pub(super) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let fake = Self { base, script: Arc::default() };
        let server = fake.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let server = server.clone();
                let service = service_fn(move |request| server.clone().serve(request));
                let stream = hyper_util::rt::TokioIo::new(stream);
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(stream, service));
            }
        });
        fake
    }

    /// Starts one that works: its document and its keys.
    pub(super) async fn working() -> Self {
        let fake = Self::start().await;
        fake.says("/.well-known/openid-configuration", 200, document(&fake.base).to_string());
        fake.has_keys(&[("k1", Signer::get(Algorithm::Rs256))]);
        fake
    }

    pub(super) fn says(&self, path: &str, status: u16, body: impl Into<String>) {
        self.says_slowly(path, status, body, Duration::ZERO);
    }

    pub(super) fn says_slowly(&self, path: &str, status: u16, body: impl Into<String>, delay: Duration) {
        let answer = Answer { delay, status, headers: Vec::new(), body: body.into() };
        self.script().answers.insert(path.into(), answer);
    }

    pub(super) fn says_with(&self, path: &str, status: u16, header: (&'static str, &str)) {
        self.says(path, status, "");
        self.adds(path, header);
    }

    /// One header more on what it says there.
    pub(super) fn adds(&self, path: &str, (name, value): (&'static str, &str)) {
        self.script().answers.get_mut(path).unwrap().headers.push((name, value.to_owned()));
    }

    pub(super) fn has_keys(&self, keys: &[(&str, &Signer)]) {
        let keys: Vec<Value> = keys.iter().map(|(kid, signer)| signer.jwk(kid)).collect();
        self.says("/jwks", 200, json!({ "keys": keys }).to_string());
    }

    /// The requests that came for `path`.
    pub(super) fn seen(&self, path: &str) -> Vec<Seen> {
        self.script().seen.iter().filter(|seen| seen.path == path).cloned().collect()
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    async fn serve(
        self,
        request: http::Request<hyper::body::Incoming>,
    ) -> Result<http::Response<Full<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let path = head.uri.path().to_owned();
        let body = String::from_utf8(body.to_vec()).unwrap();
        self.script().seen.push(Seen { path: path.clone(), headers: head.headers, body });
        let answer = self.script().answers.get(&path).cloned();
        let Some(answer) = answer else {
            return Ok(http::Response::builder().status(404).body(Full::default()).unwrap());
        };
        tokio::time::sleep(answer.delay).await;
        let mut response = http::Response::builder().status(answer.status);
        for (name, value) in answer.headers {
            response = response.header(name, value);
        }
        Ok(response.body(Full::new(answer.body.into())).unwrap())
    }
}
