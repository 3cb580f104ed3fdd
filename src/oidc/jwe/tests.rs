//! What decrypts, what does not, and that nothing tells which part of it failed.

use serde_json::json;

use super::*;
use crate::oidc::fixture::Sealer;

const ALGS: [&str; 2] = ["RSA-OAEP-256", "ECDH-ES"];

/// `token` with the part of this number changed.
fn with_part(token: &str, number: usize, change: impl Fn(&str) -> String) -> String {
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    parts[number] = change(&parts[number]);
    parts.join(".")
}

/// Base64url text with one bit of its first byte turned over.
fn bent(part: &str) -> String {
    let mut bytes = URL_SAFE_NO_PAD.decode(part).unwrap();
    bytes[0] ^= 1;
    URL_SAFE_NO_PAD.encode(bytes)
}

fn refused(token: &str, keys: &[DecryptionKey]) -> JweError {
    decrypt(token, keys).map(drop).unwrap_err()
}

#[test]
fn what_is_encrypted_to_us_is_read() {
    for alg in ALGS {
        let sealer = Sealer::get(alg);
        let keys = [sealer.key()];
        for inside in ["a.b.c", "", "{\"name\": \"Анна\"}", &"x".repeat(100_000)] {
            assert_eq!(decrypt(&sealer.seal(inside), &keys).unwrap().as_str(), inside, "{alg}");
        }
        let parties = json!({"apu": "QWxpY2U", "apv": "Qm9i", "typ": "JWT", "iat": 7});
        assert_eq!(decrypt(&sealer.seal_with("a", &parties), &keys).unwrap().as_str(), "a", "{alg}");
    }
}

#[test]
fn a_key_is_found_by_its_identifier_or_by_trying() {
    for (alg, other) in [("RSA-OAEP-256", Sealer::rsa()), ("ECDH-ES", Sealer::p256())] {
        let sealer = Sealer::get(alg);
        let both = [other.key(), sealer.key()];
        for kid in [json!(null), json!("a name of the provider's own"), json!(sealer.key().id()), json!(7)] {
            let token = sealer.seal_with("a", &json!({"kid": kid}));
            assert_eq!(decrypt(&token, &both).unwrap().as_str(), "a", "{alg} {kid}");
        }
        let misnamed = sealer.seal_with("a", &json!({"kid": other.key().id()}));
        assert_eq!(refused(&misnamed, &both), JweError::Undecryptable, "{alg}");
        assert_eq!(refused(&sealer.seal("a"), &[other.key()]), JweError::Undecryptable, "{alg}");
    }
    let error = refused(&Sealer::get("ECDH-ES").seal("a"), &[Sealer::get("RSA-OAEP-256").key()]);
    assert_eq!(error, JweError::NoKey("ECDH-ES"));
}

#[test]
fn whatever_was_changed_it_does_not_decrypt_and_does_not_say_why() {
    for alg in ALGS {
        let sealer = Sealer::get(alg);
        let (token, keys) = (sealer.seal("a.b.c"), [sealer.key()]);
        let renamed = |part: &str| {
            let header = String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
            URL_SAFE_NO_PAD.encode(header.replace("JWT", "jwt"))
        };
        let mut changed = vec![
            with_part(&token, 0, renamed),
            with_part(&token, 2, bent),
            with_part(&token, 3, bent),
            with_part(&token, 4, bent),
            with_part(&token, 3, |part| part[..4].to_owned()),
            with_part(&token, 3, |_| String::new()),
        ];
        if alg == "RSA-OAEP-256" {
            changed.push(with_part(&token, 1, bent));
            changed.push(with_part(&token, 1, |_| String::new()));
            changed.push(with_part(&token, 1, |_| "AAAA".to_owned()));
        } else {
            let off_the_curve = json!({"epk": {
                "kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode([7; 32]), "y": URL_SAFE_NO_PAD.encode([7; 32]),
            }});
            changed.push(sealer.seal_with("a.b.c", &off_the_curve));
        }
        for token in changed {
            assert_eq!(refused(&token, &keys), JweError::Undecryptable, "{alg} {token}");
        }
    }
}

#[test]
fn a_header_gets_only_what_is_allowed() {
    let algorithm = |alg: &str| JweError::Algorithm(alg.into());
    let encryption = |enc: &str| JweError::Encryption(enc.into());
    for (members, expected) in [
        (json!({"alg": "RSA1_5"}), algorithm("RSA1_5")),
        (json!({"alg": "RSA-OAEP"}), algorithm("RSA-OAEP")),
        (json!({"alg": "dir"}), algorithm("dir")),
        (json!({"alg": "A256KW"}), algorithm("A256KW")),
        (json!({"alg": "PBES2-HS256+A128KW", "p2c": 1e9}), algorithm("PBES2-HS256+A128KW")),
        (json!({"alg": "ECDH-ES+A256KW"}), algorithm("ECDH-ES+A256KW")),
        (json!({"alg": "rsa-oaep-256"}), algorithm("rsa-oaep-256")),
        (json!({"alg": "none"}), algorithm("none")),
        (json!({"alg": null}), algorithm("")),
        (json!({"alg": ["RSA-OAEP-256"]}), algorithm("")),
        (json!({"enc": "A128GCM"}), encryption("A128GCM")),
        (json!({"enc": "A256CBC-HS512"}), encryption("A256CBC-HS512")),
        (json!({"enc": null}), encryption("")),
        (json!({"zip": "DEF"}), JweError::Extension("zip")),
        (json!({"zip": null}), JweError::Extension("zip")),
        (json!({"crit": ["exp"]}), JweError::Extension("crit")),
    ] {
        for alg in ALGS {
            let sealer = Sealer::get(alg);
            assert_eq!(refused(&sealer.seal_with("a.b.c", &members), &[sealer.key()]), expected, "{members}");
        }
    }
}

#[test]
fn a_key_that_the_sender_brings_must_be_of_our_curve() {
    let sealer = Sealer::get("ECDH-ES");
    for epk in [
        json!(null),
        json!("x"),
        json!({}),
        json!({"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"}),
        json!({"kty": "OKP", "crv": "X25519", "x": "AA"}),
        json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}),
        json!({"kty": "EC", "crv": "P-256", "x": "A".repeat(44), "y": "A".repeat(44)}),
    ] {
        let token = sealer.seal_with("a", &json!({"epk": epk}));
        assert_eq!(refused(&token, &[sealer.key()]), JweError::Malformed("`epk`"), "{epk}");
    }
    for (name, value) in [("apu", json!(7)), ("apv", json!("="))] {
        let token = sealer.seal_with("a", &json!({name: value}));
        assert!(matches!(refused(&token, &[sealer.key()]), JweError::Malformed(_)), "{name}");
    }
    let token = with_part(&sealer.seal("a"), 1, |_| "AAAA".to_owned());
    assert_eq!(refused(&token, &[sealer.key()]), JweError::Malformed("key"), "there is nothing to unwrap");
}

#[test]
fn a_token_has_one_spelling_and_an_end() {
    let sealer = Sealer::get("RSA-OAEP-256");
    let (token, keys) = (sealer.seal("a.b.c"), [sealer.key()]);
    for (number, what) in [(0, "header"), (1, "key"), (2, "IV"), (3, "content"), (4, "tag")] {
        for (before, after) in [("", "=="), ("", "!"), (" ", ""), ("", "+"), ("", "\n")] {
            let token = with_part(&token, number, |part| format!("{before}{part}{after}"));
            assert_eq!(refused(&token, &keys), JweError::Malformed(what), "{number} {after:?}");
        }
    }
    // The last character of 16 bytes holds four bits that mean nothing.
    let loose = with_part(&token, 4, |part| {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let (rest, last) = part.split_at(part.len() - 1);
        let place = alphabet.iter().position(|letter| *letter == last.as_bytes()[0]).unwrap();
        format!("{rest}{}", char::from(alphabet[place + 1]))
    });
    assert_eq!(refused(&loose, &keys), JweError::Malformed("tag"));
    for (number, text, what) in
        [(2, "AAAA", "IV"), (2, "", "IV"), (4, "AAAA", "tag"), (4, "", "tag"), (0, "", "header")]
    {
        let token = with_part(&token, number, |_| text.to_owned());
        assert_eq!(refused(&token, &keys), JweError::Malformed(what), "{number} {text:?}");
    }
    for (text, what) in [("", "token"), ("a.b.c", "token"), ("a.b.c.d", "token"), ("....", "header")] {
        assert_eq!(refused(text, &keys), JweError::Malformed(what), "{text}");
    }
    assert_eq!(refused(&format!("{token}.AAAA"), &keys), JweError::Malformed("token"));
    assert_eq!(refused(&sealer.seal(&"x".repeat(MOST_BYTES)), &keys), JweError::Malformed("length"));
}

#[test]
fn any_text_at_all_is_read_without_harm() {
    use proptest::prelude::*;
    let keys = [Sealer::get("RSA-OAEP-256").key(), Sealer::get("ECDH-ES").key()];
    proptest!(|(header in any::<Vec<u8>>(), rest in "[A-Za-z0-9_.=-]{0,80}", alg in prop::sample::select(&ALGS[..]))| {
        let random = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(&header));
        let likely = json!({"alg": alg, "enc": "A256GCM", "epk": {"kty": "EC", "crv": "P-256"}}).to_string();
        let likely = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(likely));
        prop_assert!(decrypt(&random, &keys).is_err() && decrypt(&likely, &keys).is_err());
    });
}
