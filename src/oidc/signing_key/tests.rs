//! Keys of every kind and form, and texts that are none.

use aws_lc_rs::encoding::{AsDer, EcPrivateKeyRfc5915Der, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use base64::engine::general_purpose::STANDARD;

use super::*;

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn ed25519() -> String {
    // RFC 8037 appendix A.1, in the PKCS #8 form of RFC 8410 section 7.
    let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
    let head = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    pem("PRIVATE KEY", &[head.as_slice(), &seed].concat())
}

#[test]
fn the_key_of_the_specification_gets_the_name_of_the_specification() {
    let key = SigningKey::from_pem(&ed25519()).unwrap();
    // RFC 8037 appendices A.2 and A.3
    assert_eq!(key.public_jwk()["x"], "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    assert_eq!(key.id(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    assert_eq!((&key.public_jwk()["kid"], &key.public_jwk()["use"]), (&json!(key.id()), &json!("sig")));
}

#[test]
fn every_kind_and_form_of_key_is_read_and_its_signature_holds_by_its_public_half() {
    let rsa: Vec<u8> = AsDer::<Pkcs8V1Der<'_>>::as_der(&RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
        .unwrap()
        .as_ref()
        .into();
    let ec = |curve| EcdsaKeyPair::generate(curve).unwrap();
    let p256 = ec(&signature::ECDSA_P256_SHA256_FIXED_SIGNING);
    let sec1: Vec<u8> =
        AsDer::<EcPrivateKeyRfc5915Der<'_>>::as_der(&p256.private_key()).unwrap().as_ref().into();
    let parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    let p384 = ec(&signature::ECDSA_P384_SHA384_FIXED_SIGNING).to_pkcs8v1().unwrap();
    for (name, pem, algorithms) in [
        ("PKCS #8", pem("PRIVATE KEY", &rsa), 6),
        // What PKCS #8 wraps begins behind a head of 26 bytes for this size.
        ("PKCS #1", pem("RSA PRIVATE KEY", &rsa[26..]), 6),
        ("EC in PKCS #8", pem("PRIVATE KEY", p256.to_pkcs8v1().unwrap().as_ref()), 1),
        ("SEC 1", parameters.to_owned() + &pem("EC PRIVATE KEY", &sec1), 1),
        ("P-384", pem("PRIVATE KEY", p384.as_ref()), 1),
        ("Ed25519", ed25519(), 1),
    ] {
        let key = SigningKey::from_pem(&pem).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(key.algorithms().len(), algorithms, "{name}");
        assert!(key.algorithms().contains(&key.usual()), "{name}");
        let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(key.public_jwk().clone()).unwrap();
        let decoding = jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap();
        for algorithm in key.algorithms() {
            let made = URL_SAFE_NO_PAD.encode(key.sign(*algorithm, b"message").unwrap());
            let holds = jsonwebtoken::crypto::verify(&made, b"message", &decoding, (*algorithm).into());
            assert!(holds.unwrap(), "{name} {algorithm:?}");
        }
        let others = Algorithm::ALL.into_iter().filter(|algorithm| !key.algorithms().contains(algorithm));
        for other in others {
            assert!(key.sign(other, b"message").is_none(), "{name} {other:?}");
        }
        let seen = format!("{key:?}");
        assert!(!pem.lines().any(|line| seen.contains(line)), "{seen}");
    }
}

#[test]
fn what_is_no_key_is_told_apart() {
    let p521 = EcdsaKeyPair::generate(&signature::ECDSA_P521_SHA512_FIXED_SIGNING).unwrap();
    for (text, error) in [
        ("hunter2".to_owned(), SigningKeyError::NotPem),
        (String::new(), SigningKeyError::NotPem),
        (pem("ENCRYPTED PRIVATE KEY", b"x"), SigningKeyError::Encrypted),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n".to_owned(),
            SigningKeyError::Encrypted,
        ),
        (pem("PUBLIC KEY", b"x"), SigningKeyError::Other("a public key")),
        (pem("CERTIFICATE", b"x"), SigningKeyError::Other("a certificate")),
        (pem("CERTIFICATE REQUEST", b"x"), SigningKeyError::Other("a certificate request")),
        (pem("OPENSSH PRIVATE KEY", b"x"), SigningKeyError::Other("an OpenSSH key")),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n".to_owned(), SigningKeyError::Broken),
        ("-----BEGIN PRIVATE KEY-----\n***\n-----END PRIVATE KEY-----\n".to_owned(), SigningKeyError::Broken),
        (pem("PRIVATE KEY", b"rubbish"), SigningKeyError::Unusable),
        (pem("PRIVATE KEY", p521.to_pkcs8v1().unwrap().as_ref()), SigningKeyError::Unusable),
    ] {
        assert_eq!(SigningKey::from_pem(&text).unwrap_err(), error, "{text}");
    }
}
