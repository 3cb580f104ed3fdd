//! No callback's query panics, and none names a parameter twice and is read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vestibule::oidc::AuthorizationResponse;

fuzz_target!(|query: &str| {
    let Ok(response) = AuthorizationResponse::parse(query) else { return };
    let states = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "state").count();
    assert!(states < 2);
    assert!(response.state().is_none_or(|state| !state.is_empty()));
});
