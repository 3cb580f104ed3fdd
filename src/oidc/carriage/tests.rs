//! Every way for a request to travel, by what is set and what the provider demands.

use serde_json::json;

use super::*;
use crate::foundation::secret::Secret;
use crate::oidc::metadata::Metadata;
use crate::oidc::{Algorithm, fixture};

const ENDPOINT: &str = "https://id.example/par";

/// What comes of `form` at a provider that announces `more`, with and without a key and a secret of ours.
fn settled(
    form: RequestForm,
    more: &[(&str, serde_json::Value)],
    key: bool,
    secret: bool,
) -> Result<Metadata, OidcError> {
    let mut settings = fixture::settings("https://id.example");
    settings.request = form;
    settings.private_key = key.then(fixture::signing_key);
    settings.client_secret = secret.then(|| Secret::new("a secret"));
    let mut document = fixture::document("https://id.example");
    for (name, value) in more {
        document[*name] = value.clone();
    }
    Metadata::settle(&settings, document.as_object().unwrap())
}

#[test]
fn a_request_travels_as_it_is_set_and_as_the_provider_demands() {
    use Carriage::{Object, Query, Reference};
    use RequestForm::{ByReference, Pushed, PushedAndSigned, Signed};
    let endpoint = ("pushed_authorization_request_endpoint", json!(ENDPOINT));
    let must_push = ("require_pushed_authorization_requests", json!(true));
    let must_sign = ("require_signed_request_object", json!(true));
    let pushed = |object| Carriage::Pushed { endpoint: Url::parse(ENDPOINT).unwrap(), object };
    let es256 = Signing::Key(Algorithm::Es256);
    for (form, more, expected) in [
        (RequestForm::Query, vec![], Query),
        (RequestForm::Query, vec![endpoint.clone()], Query),
        (RequestForm::Query, vec![endpoint.clone(), must_push.clone()], pushed(None)),
        (RequestForm::Query, vec![must_sign.clone()], Object(es256)),
        (
            RequestForm::Query,
            vec![endpoint.clone(), must_push.clone(), must_sign.clone()],
            pushed(Some(es256)),
        ),
        (Pushed, vec![endpoint.clone()], pushed(None)),
        (Pushed, vec![endpoint.clone(), must_sign], pushed(Some(es256))),
        (Signed, vec![endpoint.clone()], Object(es256)),
        (Signed, vec![endpoint.clone(), must_push.clone()], pushed(Some(es256))),
        (PushedAndSigned, vec![endpoint.clone()], pushed(Some(es256))),
        (ByReference, vec![endpoint.clone()], Reference(es256)),
        (ByReference, vec![endpoint, must_push], pushed(Some(es256))),
    ] {
        let metadata = settled(form, &more, true, true).unwrap();
        assert_eq!(metadata.carriage, expected, "{form:?} {more:?}");
    }
}

#[test]
fn a_request_is_signed_by_the_secret_only_where_there_is_no_key_and_the_provider_takes_it() {
    let announced = |algs: serde_json::Value| vec![("request_object_signing_alg_values_supported", algs)];
    let secret = |mac| Carriage::Object(Signing::Secret(mac));
    let key = Carriage::Object(Signing::Key(Algorithm::Es256));
    for (algs, has_key, expected) in [
        (json!(["HS256", "ES256"]), true, Some(key.clone())),
        (json!(["HS256"]), true, Some(key)),
        (json!(["none", "HS512", "HS256"]), false, Some(secret(Mac::Hs256))),
        (json!(["HS512"]), false, Some(secret(Mac::Hs512))),
        (json!(["RS256", "none"]), false, None),
    ] {
        let settled = settled(RequestForm::Signed, &announced(algs.clone()), has_key, true);
        match expected {
            Some(expected) => assert_eq!(settled.unwrap().carriage, expected, "{algs}"),
            None => assert_eq!(settled.unwrap_err(), OidcError::NothingToSignWith, "{algs}"),
        }
    }
    let nothing = settled(RequestForm::Signed, &announced(json!(["HS256"])), false, false);
    assert_eq!(nothing.unwrap_err().code(), "client_key");
}

#[test]
fn without_the_endpoint_a_request_that_is_to_be_pushed_is_an_error_that_names_it() {
    for (form, more) in [
        (RequestForm::Pushed, vec![]),
        (RequestForm::Query, vec![("require_pushed_authorization_requests", json!("true"))]),
    ] {
        let error = settled(form, &more, true, true).unwrap_err();
        let endpoint = "pushed_authorization_request_endpoint";
        assert_eq!(error, OidcError::EndpointMissing { endpoint });
        assert!(error.mend().unwrap().contains("`request`"));
    }
}

#[test]
fn a_provider_that_wants_every_reference_entered_is_remarked_on() {
    let more = [("require_request_uri_registration", json!(true))];
    let remarks = settled(RequestForm::ByReference, &more, true, true).unwrap().remarks;
    let member = "require_request_uri_registration";
    assert_eq!(remarks, [Remark::NotAnnounced { member, chosen: "request_uri" }]);
}
