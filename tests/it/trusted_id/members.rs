//! Each member of Trusted.ID's discovery document with each value that it announces, and the test that uses it, or
//! why none does.
//!
//! `nothing_that_the_document_announces_is_left_untried` holds this against the document and against the tests.

/// Why a value of the document may stand there.
pub enum Shown {
    /// The test of this name, below, uses it.
    By(&'static str),
    /// Nothing here uses it, for this reason.
    Not(&'static str),
}

use Shown::{By, Not};

const IN_THE_BROWSER: &str = "a token would come through the browser's address, where only a script of the page can \
    read it: a server never does (RFC 9700 section 2.1.2)";
const ENDPOINTS: Shown = By("the_endpoints_of_the_document_are_asked");
const CLAIMS: Shown = By("every_claim_arrives_in_a_header");
const SCOPES: Shown = By("every_scope_brings_its_claims_and_no_others");
const REDEEMED: Shown = By("codes_are_redeemed_by_every_method");
const REVOKED: Shown = By("tokens_are_revoked_by_every_method");
const INTROSPECTED: Shown = By("tokens_of_api_clients_are_asked_about_by_every_method");
const REFRESHED: Shown = By("offline_access_keeps_a_person_signed_in_by_refreshes");
const DEVICE: Shown = By("a_screen_without_a_keyboard_signs_in_by_a_code");
const ISSUER: Shown = By("the_answer_names_its_issuer_and_one_that_does_not_is_refused");
const ANSWER: Shown = By("an_answer_comes_in_the_address_or_in_a_form");

const METHODS: &[&str] =
    &["client_secret_basic", "client_secret_jwt", "client_secret_post", "private_key_jwt", "none"];
/// What stands for a member that is no list.
const WHOLE: &[&str] = &[""];

/// Each member with each of its values.
pub const SHOWN: &[(&str, &[&str], Shown)] = &[
    ("issuer", WHOLE, ISSUER),
    ("authorization_endpoint", WHOLE, ENDPOINTS),
    ("token_endpoint", WHOLE, ENDPOINTS),
    ("userinfo_endpoint", WHOLE, ENDPOINTS),
    ("jwks_uri", WHOLE, ENDPOINTS),
    ("device_authorization_endpoint", WHOLE, DEVICE),
    ("registration_endpoint", WHOLE, By("an_application_registers_from_the_command_line")),
    ("introspection_endpoint", WHOLE, INTROSPECTED),
    ("introspection_endpoint_auth_methods_supported", METHODS, INTROSPECTED),
    ("end_session_endpoint", WHOLE, By("a_sign_out_ends_the_session_there_too")),
    ("revocation_endpoint", WHOLE, REVOKED),
    ("token_endpoint_auth_methods_supported", METHODS, REDEEMED),
    ("revocation_endpoint_auth_methods_supported", METHODS, REVOKED),
    ("grant_types_supported", &["authorization_code"], REDEEMED),
    ("grant_types_supported", &["refresh_token"], REFRESHED),
    ("grant_types_supported", &["urn:ietf:params:oauth:grant-type:device_code"], DEVICE),
    ("grant_types_supported", &["implicit"], Not(IN_THE_BROWSER)),
    ("response_types_supported", &["code"], ANSWER),
    (
        "response_types_supported",
        &["code token", "code id_token token", "code id_token", "id_token"],
        Not(IN_THE_BROWSER),
    ),
    ("response_types_supported", &["none"], Not("it says that somebody signed in, and not who")),
    ("response_modes_supported", &["query", "form_post"], ANSWER),
    (
        "response_modes_supported",
        &["fragment"],
        Not("browsers send a server no fragment (RFC 9110 section 7.1)"),
    ),
    ("code_challenge_methods_supported", &["S256"], By("a_code_is_worth_nothing_without_the_verifier")),
    (
        "id_token_signing_alg_values_supported",
        &["RS256"],
        By("id_tokens_are_signed_with_rs256_and_no_other_way"),
    ),
    ("authorization_response_iss_parameter_supported", WHOLE, ISSUER),
    (
        "claims_parameter_supported",
        WHOLE,
        By("what_it_does_not_take_is_not_sent_and_harms_nobody_when_it_is"),
    ),
    ("claim_types_supported", &["normal"], CLAIMS),
    (
        "subject_types_supported",
        &["public", "pairwise"],
        By("a_person_may_have_another_subject_for_each_application"),
    ),
    ("scopes_supported", &["openid", "email", "profile", "accounts", "phone"], SCOPES),
    ("scopes_supported", &["offline_access"], REFRESHED),
    (
        "claims_supported",
        &[
            "sub",
            "email",
            "email_public",
            "email_verified",
            "name",
            "nickname",
            "given_name",
            "family_name",
            "login",
            "profile",
            "birthdate",
            "password_updated_at",
            "password_change_required",
            "deleted",
            "picture",
            "custom_fields",
            "publicExternalAccounts",
            "phone_number",
            "phone_number_verified",
            "sid",
            "auth_time",
            "iss",
        ],
        CLAIMS,
    ),
];
