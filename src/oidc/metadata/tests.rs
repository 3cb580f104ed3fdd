//! What is settled from documents as providers write them, and from settings.

use serde_json::json;

use super::*;
use crate::oidc::ClientAuth;
use crate::oidc::fixture;

fn settle(issuer: &str, document: Value) -> Result<Metadata, OidcError> {
    let settings = Settings { issuer: issuer.to_owned(), ..fixture::settings("https://unused.example") };
    Metadata::settle(&settings, document.as_object().unwrap())
}

fn least() -> Value {
    json!({
        "authorization_endpoint": "https://id.example/auth",
        "token_endpoint": "https://id.example/token",
        "jwks_uri": "https://id.example/jwks",
    })
}

#[test]
fn the_least_that_a_document_can_say_is_enough() {
    let metadata = settle("https://id.example", least()).unwrap();
    assert_eq!(metadata.client_auth.method(), ClientAuth::ClientSecretBasic);
    assert_eq!(metadata.id_token_algs, [Algorithm::Rs256]);
    assert_eq!((metadata.userinfo, metadata.end_session, metadata.response_iss), (None, None, false));
    assert!(metadata.remarks.is_empty());
}

#[test]
fn nulls_strings_for_booleans_and_odd_lists_do_no_harm() {
    let mut document = least();
    for (name, value) in [
        ("userinfo_endpoint", json!(null)),
        ("end_session_endpoint", json!("")),
        ("authorization_response_iss_parameter_supported", json!("true")),
        ("token_endpoint_auth_methods_supported", json!(["client_secret_post", null, 7])),
        ("id_token_signing_alg_values_supported", json!(["none", "HS256", "ES256", 5, "XY", "PS384"])),
        ("scopes_supported", json!("openid")),
        ("x_unknown", json!({"a": [1]})),
    ] {
        document[name] = value;
    }
    let metadata = settle("https://id.example", document).unwrap();
    assert_eq!((metadata.userinfo, metadata.end_session, metadata.response_iss), (None, None, true));
    assert_eq!(metadata.client_auth.method(), ClientAuth::ClientSecretPost);
    assert_eq!(metadata.id_token_algs, [Algorithm::Es256, Algorithm::Ps384]);
}

#[test]
fn an_endpoint_is_as_protected_as_the_issuer() {
    for (issuer, endpoint, problem) in [
        ("https://id.example", "http://id.example/token", Some(EndpointProblem::NotHttps)),
        ("https://id.example", "http://127.0.0.1/token", Some(EndpointProblem::NotHttps)),
        ("https://id.example", "/token", Some(EndpointProblem::NotAnAddress)),
        ("https://id.example", "javascript:alert(1)", Some(EndpointProblem::NotAnAddress)),
        ("https://id.example", "https://u:p@id.example/token", Some(EndpointProblem::NotAnAddress)),
        ("http://127.0.0.1:80", "http://127.0.0.1/token", None),
        ("http://127.0.0.1:80", "https://id.example/token", None),
    ] {
        let mut document = least();
        document["token_endpoint"] = json!(endpoint);
        let error = settle(issuer, document).err();
        let expected = problem.map(|problem| OidcError::Endpoint { endpoint: "token_endpoint", problem });
        assert_eq!(error, expected, "{issuer} {endpoint}");
    }
}

#[test]
fn an_endpoint_on_another_host_is_remarked_and_one_not_needed_is_left_out() {
    let mut document = least();
    document["token_endpoint"] = json!("https://tokens.example/token");
    document["end_session_endpoint"] = json!("http://id.example/end");
    let metadata = settle("https://id.example", document).unwrap();
    assert_eq!(metadata.end_session, None);
    assert_eq!(
        metadata.remarks,
        [
            Remark::OtherHost { endpoint: "token_endpoint", host: "tokens.example".into() },
            Remark::LeftOut { endpoint: "end_session_endpoint", problem: EndpointProblem::NotHttps },
        ]
    );
}

#[test]
fn userinfo_is_asked_as_the_settings_say() {
    let announced = json!("https://id.example/me");
    for (setting, document, expected) in [
        (Userinfo::Auto, json!(null), Ok(false)),
        (Userinfo::Auto, announced.clone(), Ok(true)),
        (Userinfo::Never, announced.clone(), Ok(false)),
        (Userinfo::Always, announced, Ok(true)),
        (Userinfo::Always, json!(null), Err(OidcError::EndpointMissing { endpoint: "userinfo_endpoint" })),
    ] {
        let settings = Settings { userinfo: setting, ..fixture::settings("https://id.example") };
        let mut least = least();
        least["userinfo_endpoint"] = document;
        let found = Metadata::settle(&settings, least.as_object().unwrap());
        assert_eq!(found.map(|metadata| metadata.userinfo.is_some()), expected, "{setting:?}");
    }
}

#[test]
fn an_endpoint_set_by_hand_wins_and_fills_in() {
    let mut settings = fixture::settings("https://id.example");
    let by_hand = Url::parse("http://10.0.0.7/token").unwrap();
    settings.endpoints.token = Some(by_hand.clone());
    let metadata = Metadata::settle(&settings, least().as_object().unwrap()).unwrap();
    assert_eq!(metadata.token, by_hand);
    let nothing = Metadata::settle(&settings, &Map::new());
    assert_eq!(nothing, Err(OidcError::EndpointMissing { endpoint: "authorization_endpoint" }));
}
