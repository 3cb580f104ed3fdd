//! ID tokens and userinfo that the provider signs, encrypts to the gateway's key, or both.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::world::keys::{self, SigningKey};
use crate::world::sealed::EncryptionKey;
use crate::world::{Answer, Ask, Browser, Endpoint, Engine, Gateway, Rogue, Server, World};

/// A gateway behind this real provider, whose client has this metadata and encrypts to `key`.
async fn behind(engine: &Engine, metadata: Value, key: Option<&EncryptionKey>) -> (Gateway, Server) {
    let (world, app) = (World::new(), Server::start().await);
    let mut metadata = metadata;
    let mut lines = String::new();
    if let Some(key) = key {
        metadata["jwks"] = json!({"keys": [key.jwk]});
        std::fs::write(world.dir.path().join("decryption.key"), &key.pem).unwrap();
        lines.push_str("decryption_key = { file = \"decryption.key\" }\n");
    }
    let config = engine.client(&world, "school", metadata, &lines) + &world.app("lms", &app);
    (world.start(&config).await, app)
}

/// Somebody signs in and the app learns who it is; sign-out at the provider works too.
async fn signs_in(gateway: &Gateway, app: &Server, what: &str) {
    let browser = Browser::new();
    let page = browser.sign_in(&gateway.url("/"), "ivanov").await;
    assert_eq!(page.status, 200, "{what}: {}\n{}", page.text(), gateway.log());
    assert!(app.last().header("x-auth-email").is_some(), "{what}");
    let leaving = Ask::navigation(&gateway.url("/_sso/sign-out")).instead("Sec-Fetch-Site", "same-origin");
    let asked = browser.send(leaving).await.expect(302);
    let hint = asked.location_param("id_token_hint").unwrap();
    assert_eq!(hint.split('.').count(), 3, "{what}: the signed token is shown, not the encrypted one");
    let page = browser.follow(asked).await.expect(200);
    page.form("op.logoutForm");
}

#[tokio::test]
async fn userinfo_signed_with_every_algorithm_signs_in() {
    for engine in [Engine::v8(), Engine::v9()] {
        for alg in ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"] {
            let metadata = json!({"userinfo_signed_response_alg": alg});
            let (gateway, app) = behind(&engine, metadata, None).await;
            signs_in(&gateway, &app, alg).await;
        }
    }
}

#[tokio::test]
async fn encrypted_id_tokens_and_userinfo_sign_in() {
    for alg in ["RSA-OAEP-256", "ECDH-ES"] {
        let key = EncryptionKey::new(alg);
        for (number, engine) in [(8, Engine::v8()), (9, Engine::v9())] {
            let (id_token, userinfo) = (
                [("id_token_encrypted_response_alg", alg), ("id_token_encrypted_response_enc", "A256GCM")],
                [("userinfo_encrypted_response_alg", alg), ("userinfo_encrypted_response_enc", "A256GCM")],
            );
            // The engine encrypts only answers that it signs.
            let signed = [("userinfo_signed_response_alg", "ES256")];
            for members in [
                &id_token[..],
                &[userinfo, [signed[0]; 2]].concat(),
                &[id_token, userinfo, [signed[0]; 2]].concat(),
            ] {
                let metadata: Value =
                    members.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
                let (gateway, app) = behind(&engine, metadata.clone(), Some(&key)).await;
                signs_in(&gateway, &app, &format!("{alg}, major {number}: {metadata}")).await;
            }
        }
    }
}

#[tokio::test]
async fn what_is_encrypted_in_a_way_we_do_not_know_gets_502_and_the_log_says_how_to_mend_it() {
    let key = EncryptionKey::new("RSA-OAEP-256");
    let of = |alg: &str, enc: &str| json!({"id_token_encrypted_response_alg": alg, "id_token_encrypted_response_enc": enc});
    for (metadata, ours, told) in [
        (of("RSA-OAEP-256", "A128CBC-HS256"), Some(&key), "not A256GCM"),
        (of("RSA-OAEP", "A256GCM"), Some(&key), "not RSA-OAEP-256 or ECDH-ES"),
        (of("RSA-OAEP-256", "A256GCM"), None, "set `decryption_key`"),
    ] {
        let (world, app) = (World::new(), Server::start().await);
        let mut metadata = metadata;
        let mut jwk = key.jwk.clone();
        jwk.as_object_mut().unwrap().remove("alg");
        metadata["jwks"] = json!({"keys": [jwk]});
        let lines = ours.map_or(String::new(), |key| format!("decryption_key = {:?}\n", key.pem));
        let config = Engine::v8().client(&world, "school", metadata, &lines) + &world.app("lms", &app);
        let gateway = world.start(&config).await;
        let page = Browser::new().sign_in(&gateway.url("/"), "ivanov").await;
        assert_eq!(page.status, 502, "{told}: {page:?}");
        let log = gateway.logs("id_token_encryption").await;
        assert!(log.contains(told) && !log.contains("PRIVATE"), "{told}: {log}");
    }
}

/// A gateway behind the misbehaving provider, with the private halves of these keys.
async fn with_rogue(keys: &[&EncryptionKey]) -> (Gateway, Rogue, Server) {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let pems: Vec<_> = keys.iter().map(|key| format!("{:?}", key.pem)).collect();
    let lines = format!("timeout = \"2s\"\ndecryption_key = [{}]", pems.join(", "));
    let config = rogue.table("rogue", &lines) + &world.app("lms", &app);
    (world.start(&config).await, rogue, app)
}

async fn is_refused(gateway: &Gateway, what: &str) {
    let browser = Browser::new();
    let page = browser.visit(&gateway.url("/")).await;
    assert_eq!(page.status, 502, "{what}: {}\n{}", page.text(), gateway.log());
    assert_eq!(browser.fetch(&gateway.url("/")).await.status, 401, "{what}: no session");
}

async fn is_accepted(gateway: &Gateway, what: &str) {
    let page = Browser::new().visit(&gateway.url("/")).await;
    assert_eq!(page.status, 200, "{what}: {}\n{}", page.text(), gateway.log());
}

type Bend = Box<dyn Fn(&str) -> String + Send + Sync>;

/// `token` with a letter of this part changed.
fn tampered(token: &str, part: usize) -> String {
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    let first = if parts[part].starts_with('A') { "B" } else { "A" };
    parts[part].replace_range(..1, first);
    parts.join(".")
}

#[tokio::test]
async fn an_encrypted_id_token_that_is_wrong_in_any_way_gets_502() {
    for alg in ["RSA-OAEP-256", "ECDH-ES"] {
        let (key, stranger) = (Arc::new(EncryptionKey::new(alg)), Arc::new(EncryptionKey::new(alg)));
        let (gateway, rogue, app) = with_rogue(&[&key]).await;
        let with = |members: Value| -> Bend {
            let key = Arc::clone(&key);
            Box::new(move |token| key.seal(token, &members))
        };
        let holding = |inside: String| -> Bend {
            let key = Arc::clone(&key);
            Box::new(move |_| key.seal(&inside, &json!({})))
        };
        let tampering = |part: usize| -> Bend {
            let key = Arc::clone(&key);
            Box::new(move |token| tampered(&key.seal(token, &json!({})), part))
        };
        let claims =
            json!({"iss": rogue.issuer(), "aud": "lms", "sub": "u-1", "iat": 1, "exp": 4_000_000_000_u64});
        let none = json!({"alg": "none"}).as_object().unwrap().clone();
        let twice = key.seal(&key.seal("a.b.c", &json!({})), &json!({}));
        let wrongs: Vec<(&str, Bend)> = vec![
            ("to another key", Box::new(move |token| stranger.seal(token, &json!({})))),
            ("RSA1_5", with(json!({"alg": "RSA1_5"}))),
            ("the secret as key", with(json!({"alg": "dir"}))),
            ("another encryption", with(json!({"enc": "A128CBC-HS256"}))),
            ("compressed", with(json!({"zip": "DEF"}))),
            ("an extension", with(json!({"crit": ["exp"], "exp": 1}))),
            ("another header", tampering(0)),
            ("another IV", tampering(2)),
            ("another content", tampering(3)),
            ("another tag", tampering(4)),
            ("unsigned claims inside", holding(claims.to_string())),
            ("a token that nobody signed inside", holding(keys::unsigned(&none, &claims))),
            ("encrypted twice", holding(twice)),
            ("nothing inside", holding(String::new())),
            (
                "padded",
                Box::new({
                    let key = Arc::clone(&key);
                    move |token| key.seal(token, &json!({})) + "=="
                }),
            ),
        ];
        for (what, bend) in wrongs {
            rogue.bend_tokens(move |tokens| {
                tokens["id_token"] = json!(bend(tokens["id_token"].as_str().unwrap()));
            });
            is_refused(&gateway, &format!("{alg}: {what}")).await;
        }
        assert!(app.received().is_empty());
        // What is inside is held to every check.
        let sealing = Arc::clone(&key);
        rogue.bend_tokens(move |tokens| {
            tokens["id_token"] = json!(sealing.seal(tokens["id_token"].as_str().unwrap(), &json!({})));
        });
        rogue.bend_id_token(|draft| draft.claims["nonce"] = json!("another login's"));
        is_refused(&gateway, "another nonce inside").await;
        rogue.bend_id_token(|draft| draft.signed = crate::world::rogue::Signed::Hash(b"s3cret".to_vec()));
        is_refused(&gateway, "a stranger's signature inside").await;
        rogue.bend_id_token(|_| ());
        is_accepted(&gateway, alg).await;
    }
}

#[tokio::test]
async fn keys_are_rotated_by_a_list_and_a_plain_token_is_fine_until_the_provider_knows_them() {
    let (old, new) = (Arc::new(EncryptionKey::new("RSA-OAEP-256")), Arc::new(EncryptionKey::new("ECDH-ES")));
    let next = Arc::new(EncryptionKey::new("ECDH-ES"));
    let (gateway, rogue, _app) = with_rogue(&[&old, &new, &next]).await;
    is_accepted(&gateway, "plain").await;
    for (what, key) in [("the first", old), ("the second", new), ("the third", next)] {
        rogue.bend_tokens(move |tokens| {
            let token = tokens["id_token"].as_str().unwrap();
            tokens["id_token"] = json!(key.seal(token, &json!({"kid": "a name of the provider's own"})));
        });
        is_accepted(&gateway, what).await;
    }
}

#[tokio::test]
async fn the_public_half_of_each_key_is_served_for_the_provider_and_nothing_of_the_private_one() {
    let keys = [EncryptionKey::new("RSA-OAEP-256"), EncryptionKey::new("ECDH-ES")];
    let (gateway, _rogue, _app) = with_rogue(&[&keys[0], &keys[1]]).await;
    let served = Browser::new().get(&gateway.url("/_sso/client-jwks.json")).await.expect(200).json();
    let told: Vec<_> =
        served["keys"].as_array().unwrap().iter().map(|key| [&key["use"], &key["alg"], &key["d"]]).collect();
    let expected = |alg: &str| [json!("enc"), json!(alg), json!(null)];
    assert_eq!(told, [expected("RSA-OAEP-256").each_ref(), expected("ECDH-ES").each_ref()]);
}

/// What the provider says of the person that everybody here is.
fn person(rogue: &Rogue) -> Value {
    json!({"iss": rogue.issuer(), "aud": "lms", "sub": "u-1", "email": "anna@school.example"})
}

fn signed(key: &SigningKey, claims: &Value, typ: Option<&str>) -> String {
    let mut header = Map::new();
    header.insert("alg".into(), json!(key.algorithm));
    header.insert("kid".into(), json!(key.id));
    header.extend(typ.map(|typ| ("typ".to_owned(), json!(typ))));
    key.token(&header, claims)
}

fn jwt(token: String) -> Answer {
    Answer::of(200, "application/jwt", token)
}

#[tokio::test]
async fn signed_userinfo_that_is_wrong_in_any_way_gets_502() {
    let (gateway, rogue, app) = World::with_rogue("").await;
    let key = rogue.key();
    let with = |name: &str, value: Value| {
        let mut claims = person(&rogue);
        claims[name] = value;
        signed(&key, &claims, None)
    };
    let header = |alg: &str| json!({"alg": alg, "kid": "first"}).as_object().unwrap().clone();
    let good = signed(&key, &person(&rogue), None);
    for (what, token) in [
        ("another issuer", with("iss", json!("https://evil.example"))),
        ("the issuer with a slash", with("iss", json!(format!("{}/", rogue.issuer())))),
        ("another audience", with("aud", json!("other"))),
        ("another audience besides", with("aud", json!(["lms", "other"]))),
        ("another person", with("sub", json!("u-2"))),
        ("nobody", with("sub", Value::Null)),
        ("expired", with("exp", json!(1))),
        ("a stranger's signature", signed(&SigningKey::new("first", "ES256"), &person(&rogue), None)),
        ("nobody's signature", keys::unsigned(&header("none"), &person(&rogue))),
        ("our secret's", keys::hashed(b"s3cret", &header("HS256"), &person(&rogue))),
        ("the public key's", keys::hashed(&key.public_der(), &header("HS256"), &person(&rogue))),
        ("an access token", signed(&key, &person(&rogue), Some("at+jwt"))),
        ("tampered", tampered(&good, 1)),
        ("cut off", good[..good.len() - 4].to_owned()),
        ("encrypted to nobody we know", "e30.AAAA.AAAA.AAAA.AAAA".to_owned()),
    ] {
        rogue.replace(Endpoint::Userinfo, jwt(token));
        is_refused(&gateway, what).await;
    }
    assert!(app.received().is_empty());
    for (what, answer) in [
        ("good", jwt(good.clone())),
        ("with typ", jwt(signed(&key, &person(&rogue), Some("JWT")))),
        ("as plain JSON by name", Answer::of(200, "application/json", good)),
        ("without issuer and audience", jwt(signed(&key, &json!({"sub": "u-1"}), None))),
    ] {
        rogue.replace(Endpoint::Userinfo, answer);
        is_accepted(&gateway, what).await;
    }
}

#[tokio::test]
async fn new_keys_are_met_at_userinfo_as_at_the_id_token() {
    let (gateway, rogue, _app) = World::with_rogue("").await;
    is_accepted(&gateway, "plain").await;
    let next = SigningKey::new("second", "ES256");
    rogue.replace(Endpoint::Userinfo, jwt(signed(&next, &person(&rogue), None)));
    let jwk = next.jwk();
    rogue.bend_keys(move |set| set["keys"].as_array_mut().unwrap().push(jwk.clone()));
    is_accepted(&gateway, "signed with a key that was added").await;
    assert_eq!(rogue.asked("/jwks").len(), 2);
}

#[tokio::test]
async fn encrypted_userinfo_is_held_to_the_same_checks() {
    let key = EncryptionKey::new("ECDH-ES");
    let (gateway, rogue, _app) = with_rogue(&[&key]).await;
    let signing = rogue.key();
    let mut other = person(&rogue);
    other["sub"] = json!("u-2");
    for (what, inside) in [
        ("another person", other.to_string()),
        ("another person, signed", signed(&signing, &other, None)),
        ("a stranger's signature", signed(&SigningKey::new("first", "ES256"), &person(&rogue), None)),
        ("HTML", "<h1>SECRET-HTML</h1>".to_owned()),
        ("a list", "[]".to_owned()),
    ] {
        rogue.replace(Endpoint::Userinfo, jwt(key.seal(&inside, &json!({}))));
        is_refused(&gateway, what).await;
    }
    for (what, inside) in
        [("signed", signed(&signing, &person(&rogue), None)), ("plain", person(&rogue).to_string())]
    {
        rogue.replace(Endpoint::Userinfo, jwt(key.seal(&inside, &json!({}))));
        is_accepted(&gateway, what).await;
    }
}
