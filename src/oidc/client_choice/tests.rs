//! Every way to prove who we are, by what we have and what the provider announces.

use std::sync::Arc;

use rustls::sign::CertifiedKey;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};

use super::*;
use crate::foundation::secret::Secret;
use crate::foundation::trust::crypto_provider;
use crate::oidc::fixture;
use crate::oidc::metadata::Metadata;

const SECRET: u8 = 1;
const KEY: u8 = 2;
const CERTIFICATE: u8 = 4;

fn certificate() -> Arc<CertifiedKey> {
    let made = rcgen::generate_simple_self_signed(["lms.example".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    Arc::new(CertifiedKey::from_der(vec![made.cert.der().clone()], key, &crypto_provider()).unwrap())
}

fn with(what: u8) -> Settings {
    let mut settings = fixture::settings("https://id.example");
    settings.client_secret = (what & SECRET != 0).then(|| Secret::new("a secret"));
    settings.private_key = (what & KEY != 0).then(fixture::signing_key);
    settings.tls_client = (what & CERTIFICATE != 0).then(certificate);
    settings
}

fn settle(settings: &Settings, announced: &[(&str, Value)]) -> Metadata {
    let mut document = fixture::document("https://id.example");
    for (name, value) in announced {
        document[*name] = value.clone();
    }
    Metadata::settle(settings, document.as_object().unwrap()).unwrap()
}

const TOKEN: &str = "token_endpoint_auth_methods_supported";

#[test]
fn the_best_method_that_both_sides_can_do_is_chosen() {
    use ClientAuth::{
        ClientSecretBasic, ClientSecretJwt, ClientSecretPost, None, PrivateKeyJwt, TlsClientAuth,
    };
    let all = json!([
        "client_secret_basic",
        "client_secret_jwt",
        "client_secret_post",
        "private_key_jwt",
        "tls_client_auth",
        "none"
    ]);
    for (what, announced, expected) in [
        (SECRET, all.clone(), ClientSecretBasic),
        (SECRET | KEY, all.clone(), PrivateKeyJwt),
        (SECRET | KEY | CERTIFICATE, all.clone(), TlsClientAuth),
        (0, all, None),
        (SECRET, json!(["client_secret_jwt", "client_secret_post"]), ClientSecretPost),
        (SECRET, json!(["client_secret_jwt", "private_key_jwt"]), ClientSecretJwt),
        (SECRET | KEY, json!(["client_secret_basic"]), ClientSecretBasic),
        (SECRET | CERTIFICATE, json!(["self_signed_tls_client_auth"]), TlsClientAuth),
        (SECRET, json!(["attest_jwt_client_auth"]), ClientSecretBasic),
        (SECRET, json!([]), ClientSecretBasic),
        (SECRET | KEY, json!(null), ClientSecretBasic),
        (KEY, json!(null), PrivateKeyJwt),
        (KEY | CERTIFICATE, json!(null), TlsClientAuth),
        (KEY, json!(["none", "client_secret_basic"]), None),
        (KEY, json!(["client_secret_basic"]), PrivateKeyJwt),
        (0, json!(null), None),
    ] {
        let metadata = settle(&with(what), &[(TOKEN, announced.clone())]);
        assert_eq!(metadata.client_auth.method(), expected, "{what} {announced}");
        assert_eq!(metadata.introspection_auth.method(), expected, "{what} {announced}");
    }
}

#[test]
fn introspection_and_revocation_have_a_method_of_their_own_where_somebody_says_so() {
    let mut settings = with(SECRET | KEY);
    let own = |member, methods: Value| (member, methods);
    let metadata = settle(
        &settings,
        &[
            own(TOKEN, json!(["private_key_jwt", "client_secret_basic"])),
            own("introspection_endpoint_auth_methods_supported", json!(["client_secret_post"])),
        ],
    );
    assert_eq!(metadata.client_auth.method(), ClientAuth::PrivateKeyJwt);
    assert_eq!(metadata.introspection_auth.method(), ClientAuth::ClientSecretPost);
    assert_eq!(metadata.revocation_auth.method(), ClientAuth::PrivateKeyJwt);

    settings.introspection_auth = Some(ClientAuth::ClientSecretJwt);
    settings.revocation_auth = Some(ClientAuth::None);
    let metadata = settle(&settings, &[own(TOKEN, json!(["client_secret_basic"]))]);
    let methods = [metadata.client_auth, metadata.introspection_auth, metadata.revocation_auth];
    let expected = [ClientAuth::ClientSecretBasic, ClientAuth::ClientSecretJwt, ClientAuth::None];
    assert_eq!(methods.map(Proof::method), expected);
}

#[test]
fn what_is_set_counts_and_is_remarked_on_when_the_provider_does_not_announce_it() {
    let mut settings = with(SECRET);
    settings.client_auth = Some(ClientAuth::ClientSecretPost);
    let metadata = settle(&settings, &[(TOKEN, json!(["client_secret_basic"]))]);
    assert_eq!(metadata.client_auth, Proof::SecretInBody);
    assert_eq!(metadata.remarks, [Remark::NotAnnounced { member: TOKEN, chosen: "client_secret_post" }]);
    assert_eq!(settle(&settings, &[]).remarks, []);
}

#[test]
fn an_assertion_is_signed_as_the_provider_announces() {
    let member = "token_endpoint_auth_signing_alg_values_supported";
    let mut settings = with(SECRET | KEY);
    let key = |algorithm| Proof::Assertion(Signing::Key(algorithm));
    let secret = |mac| Proof::Assertion(Signing::Secret(mac));
    for (method, announced, expected, remarks) in [
        (ClientAuth::PrivateKeyJwt, json!(null), key(Algorithm::Es256), 0),
        (ClientAuth::PrivateKeyJwt, json!(["RS256", "ES256"]), key(Algorithm::Es256), 0),
        (ClientAuth::PrivateKeyJwt, json!(["RS256"]), key(Algorithm::Es256), 1),
        (ClientAuth::ClientSecretJwt, json!(null), secret(Mac::Hs256), 0),
        (ClientAuth::ClientSecretJwt, json!(["HS512", "HS384"]), secret(Mac::Hs384), 0),
        (ClientAuth::ClientSecretJwt, json!(["RS256"]), secret(Mac::Hs256), 0),
    ] {
        settings.client_auth = Some(method);
        let metadata = settle(&settings, &[(member, announced.clone())]);
        assert_eq!(metadata.client_auth, expected, "{announced}");
        assert_eq!(metadata.remarks.len(), remarks, "{announced}");
    }
}

#[test]
fn endpoints_that_ask_for_the_certificate_are_called_where_they_are() {
    let aliases = json!({
        "token_endpoint": "https://mtls.id.example/token",
        "userinfo_endpoint": "http://mtls.id.example/me",
        "authorization_endpoint": "https://mtls.id.example/auth",
    });
    let announced = |methods: Value| [(TOKEN, methods), ("mtls_endpoint_aliases", aliases.clone())];
    let mut good = aliases.clone();
    good["userinfo_endpoint"] = json!("https://mtls.id.example/me");
    let metadata =
        settle(&with(CERTIFICATE), &[(TOKEN, json!(["tls_client_auth"])), ("mtls_endpoint_aliases", good)]);
    assert_eq!(metadata.token.as_str(), "https://mtls.id.example/token");
    assert_eq!(metadata.userinfo.unwrap().as_str(), "https://mtls.id.example/me");
    assert_eq!(metadata.authorization.as_str(), "https://id.example/auth");
    assert_eq!(metadata.remarks, [], "another host is what an alias is for");

    let metadata = settle(&with(SECRET), &announced(json!(["client_secret_basic", "tls_client_auth"])));
    assert_eq!(metadata.token.as_str(), "https://id.example/token");

    let mut document = fixture::document("https://id.example");
    document["mtls_endpoint_aliases"] = aliases;
    let error = Metadata::settle(&with(CERTIFICATE), document.as_object().unwrap()).unwrap_err();
    assert_eq!(error.code(), "provider_endpoint", "an alias is held to what an endpoint is held to");
}
