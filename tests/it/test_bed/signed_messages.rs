//! What a client signs: assertions instead of a secret, request objects by value and by reference, DPoP proofs.

use serde_json::{Map, Value, json};
use url::Url;

use super::direct::{Direct, majors};
use crate::world::browser::Response;
use crate::world::{Answer, Ask, Browser, Engine, Server, Shape, keys};

const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const SECRET: &str = "secret of at least thirty-two bytes";

fn header(algorithm: &str) -> Map<String, Value> {
    let mut header = Map::from_iter([("alg".to_owned(), json!(algorithm))]);
    // A secret has no name.
    if !algorithm.starts_with("HS") {
        header.insert("kid".into(), json!("client"));
    }
    header
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// What an assertion of this client says (RFC 7523 section 3).
fn about(direct: &Direct) -> Value {
    let (id, issuer, jti) = (&direct.id, &direct.engine.issuer, keys::random());
    json!({"iss": id, "sub": id, "aud": issuer, "jti": jti, "iat": now(), "exp": now() + 50})
}

/// Posts a form with further header fields and no secret.
async fn post(direct: &Direct, path: &str, form: &[(&str, &str)], more: &[(&str, &str)]) -> Response {
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let mut ask = Ask::new("POST", &format!("{}{path}", direct.engine.issuer))
        .body("application/x-www-form-urlencoded", form);
    for (name, value) in more {
        ask = ask.header(name, *value);
    }
    Browser::new().send(ask).await
}

async fn by_assertion(direct: &Direct, assertion: &str) -> Response {
    let form = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", ASSERTION),
        ("client_assertion", assertion),
    ];
    post(direct, "/token", &form, &[]).await
}

#[tokio::test]
async fn a_client_proves_itself_by_a_key_it_gave_or_published_or_by_its_secret() {
    for (major, engine) in majors() {
        for algorithm in ["RS256", "PS256", "ES256", "EdDSA"] {
            let key = keys::SigningKey::new("client", algorithm);
            let jwks = json!({"keys": [key.jwk()]});
            let published = Server::start().await;
            let served = jwks.clone();
            published.answer(move |_| Answer::json(&served));
            let places = [("jwks", jwks), ("jwks_uri", json!(format!("{}/jwks", published.origin())))];
            for (place, value) in places {
                let mut metadata = json!({
                    "client_secret": null, "token_endpoint_auth_method": "private_key_jwt",
                    "token_endpoint_auth_signing_alg": algorithm,
                });
                metadata[place] = value;
                let direct = Direct::with(&engine, metadata).await;
                let assertion = key.token(&header(algorithm), &about(&direct));
                let answer = by_assertion(&direct, &assertion).await;
                assert_eq!(answer.status, 200, "{major} {algorithm} {place}: {answer:?}");
                let again = by_assertion(&direct, &assertion).await;
                assert_eq!(again.status, 401, "{major} {algorithm}: a second time: {again:?}");
            }
        }
        let direct = Direct::with(&engine, json!({"token_endpoint_auth_method": "client_secret_jwt"})).await;
        let assertion = keys::hashed(SECRET.as_bytes(), &header("HS256"), &about(&direct));
        by_assertion(&direct, &assertion).await.expect(200);
    }
}

#[tokio::test]
async fn introspection_can_have_a_method_of_its_own_in_major_7() {
    let engine = Engine::v7();
    let metadata = json!({"introspection_endpoint_auth_method": "client_secret_jwt"});
    let direct = Direct::with(&engine, metadata).await;
    let tokens = direct.post("/token", &[("grant_type", "client_credentials")]).await.expect(200).json();
    let token = tokens["access_token"].as_str().unwrap();
    direct.post("/token/introspection", &[("token", token)]).await.expect(401);
    let assertion = keys::hashed(SECRET.as_bytes(), &header("HS256"), &about(&direct));
    let form = [("token", token), ("client_assertion_type", ASSERTION), ("client_assertion", &assertion)];
    let answer = post(&direct, "/token/introspection", &form, &[]).await.expect(200).json();
    assert_eq!(answer["active"], true, "{answer}");
}

#[tokio::test]
async fn requests_are_signed_and_given_by_value_or_by_reference() {
    for (major, engine) in majors() {
        let key = keys::SigningKey::new("client", "ES256");
        let published = Server::start().await;
        let uri = format!("{}/request", published.origin());
        let mut metadata = json!({
            "jwks": {"keys": [key.jwk()]}, "request_object_signing_alg": "ES256",
            "require_signed_request_object": true,
        });
        if major < 9 {
            metadata["request_uris"] = json!([uri]);
        }
        let direct = Direct::with(&engine, metadata).await;
        let refused = direct.browser.get(&direct.authorize(&[])).await;
        assert!(refused.location_param("error").is_some() || refused.status == 400, "{major}: {refused:?}");

        for way in if major < 9 { &["request", "request_uri"][..] } else { &["request"] } {
            let mut object = about(&direct);
            object.as_object_mut().unwrap().remove("sub");
            for (name, value) in direct.params(&[]) {
                object[name] = json!(value);
            }
            let object = key.token(&header("ES256"), &object);
            let served = object.clone();
            published.answer(move |_| Answer::of(200, "application/oauth-authz-req+jwt", served.clone()));
            let value = if *way == "request" { &object } else { &uri };
            let params =
                [("client_id", &*direct.id), ("scope", "openid"), ("response_type", "code"), (way, value)];
            let url = Url::parse_with_params(&format!("{}/auth", engine.issuer), params).unwrap();
            let page = direct.browser.fresh().visit(url.as_str()).await;
            assert_eq!(page.status, 200, "{major} {way}: {page:?}");
            assert!(page.form("login").fields.iter().any(|(name, _)| name == "password"), "{major} {way}");
        }
    }
}

/// A proof for the token endpoint (RFC 9449 section 4.2).
fn proof(key: &keys::SigningKey, direct: &Direct, nonce: Option<&str>) -> String {
    let mut jwk = key.jwk();
    jwk.as_object_mut().unwrap().retain(|name, _| !["kid", "use", "alg"].contains(&name.as_str()));
    let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk}).as_object().unwrap().clone();
    let url = format!("{}/token", direct.engine.issuer);
    let mut claims = json!({"jti": keys::random(), "htm": "POST", "htu": url, "iat": now()});
    if let Some(nonce) = nonce {
        claims["nonce"] = json!(nonce);
    }
    key.token(&header, &claims)
}

#[tokio::test]
async fn tokens_are_bound_to_the_key_of_a_proof_and_a_nonce_is_asked_for_where_it_is_wanted() {
    let own = |shape| Engine::own(shape, json!({"dpop": "nonce"}));
    for (engine, wants_nonce) in
        [(Engine::v8(), false), (Engine::v9(), false), (own(Shape::V8), true), (own(Shape::V9), true)]
    {
        let metadata =
            json!({"dpop_bound_access_tokens": true, "token_endpoint_auth_method": "client_secret_post"});
        let direct = Direct::with(&engine, metadata).await;
        let key = keys::SigningKey::new("proof", "ES256");
        let form =
            [("grant_type", "client_credentials"), ("client_id", &direct.id), ("client_secret", SECRET)];
        post(&direct, "/token", &form, &[]).await.expect(400);
        let mut answer = post(&direct, "/token", &form, &[("DPoP", &proof(&key, &direct, None))]).await;
        if wants_nonce {
            let refused = answer.expect(400);
            assert_eq!(refused.json()["error"], "use_dpop_nonce");
            let nonce = refused.header("dpop-nonce").unwrap();
            answer = post(&direct, "/token", &form, &[("DPoP", &proof(&key, &direct, Some(&nonce)))]).await;
        }
        assert_eq!(answer.expect(200).json()["token_type"], "DPoP");
    }
}
