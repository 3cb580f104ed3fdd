//! The providers that an app's people choose from: which they are, where their answers arrive, what is refused.

use super::refusals::Refusal;
use super::*;

#[test]
fn an_app_has_the_providers_that_it_lists_or_all_and_each_has_a_redirect_uri_of_its_own() {
    const OTHER: &str = "domains = [\"Школа.РФ\"]\nlabel = \"Школа № 7\"\n[providers.another]\n\
        issuer = \"https://b.example.org/\"\nclient_id = \"b\"";
    for (app, providers, callbacks) in [
        ("", &["trusted", "another"][..], &["/_sso/callback", "/_sso/callback/another"][..]),
        (
            "provider = [\"another\", \"trusted\"]",
            &["another", "trusted"],
            &["/_sso/callback", "/_sso/callback/trusted"],
        ),
        ("provider = [\"another\"]\ncallback_path = \"/x/\"", &["another"], &["/x/"]),
        ("callback_path = \"/x/\"", &["trusted", "another"], &["/x/", "/x/another"]),
    ] {
        let settings = good(&with(OTHER, app, ""));
        let app = &settings.gateway.apps[0];
        assert_eq!(app.providers, providers);
        let found: Vec<_> = providers.iter().map(|name| app.callback_path_of(name).unwrap()).collect();
        assert_eq!(found, callbacks);
        assert_eq!(app.callback_path_of("nobody"), None);
        let trusted = &settings.providers[0];
        assert_eq!(trusted.domains, ["xn--80atdl2c.xn--p1ai"]);
        assert_eq!(trusted.label.as_deref(), Some("Школа № 7"));
    }
    // Neighbours on one origin may list the same ones in another order.
    good(&with(
        OTHER,
        "provider = [\"trusted\", \"another\"]",
        "[apps.b]\nurl = \"https://lms.example.org/b\"\nupstream = \"http://b\"\nprovider = [\"another\", \"trusted\"]",
    ));
}

/// What is refused of a choice.
pub(super) const REFUSALS: &[Refusal] = &[
    (
        "[providers.other]\nissuer = \"https://o.example.org\"\nclient_id = \"x\"",
        "provider = [\"trusted\", \"other\", \"trusted\"]",
        "",
        "apps.lms.provider[2]",
        "stands twice",
    ),
    ("", "provider = [\"trusted\", \"trustd\"]", "", "apps.lms.provider[1]", "did you mean \"trusted\"?"),
    ("", "provider = []", "", "apps.lms.provider", "is empty"),
    ("label = \"\"", "", "", "providers.trusted.label", "is not a label to read"),
    ("label = \" x\"", "", "", "providers.trusted.label", "is not a label to read"),
    ("domains = \"school.ru\"", "", "", "providers.trusted.domains", "expected: a list"),
    (
        "domains = [\"@school.ru\"]",
        "",
        "",
        "providers.trusted.domains[0]",
        "is not the domain of e-mail addresses",
    ),
    (
        "domains = [\"*.school.ru\"]",
        "",
        "",
        "providers.trusted.domains[0]",
        "is not the domain of e-mail addresses",
    ),
    (
        "domains = [\"127.0.0.1\"]",
        "",
        "",
        "providers.trusted.domains[0]",
        "is not the domain of e-mail addresses",
    ),
    (
        "domains = [\"школа.рф\", \"XN--80atdl2c.xn--p1ai\"]",
        "",
        "",
        "providers.trusted.domains[1]",
        "stands twice",
    ),
    (
        "domains = [\"a.ru\", \"школа.рф\"]\n[providers.other]\nissuer = \"https://o.example.org\"\nclient_id = \"x\"\n\
         domains = [\"Школа.РФ\"]",
        "",
        "",
        "providers.other.domains",
        "leave each domain to one of them",
    ),
    (
        "[providers.\"a/b\"]\nissuer = \"https://o.example.org\"\nclient_id = \"x\"",
        "",
        "",
        "providers.\"a/b\"",
        "has a name that can't stand in an address",
    ),
    (
        "[providers.other]\nissuer = \"https://o.example.org\"\nclient_id = \"x\"",
        "callback_path = \"/cb\"",
        "[apps.b]\nurl = \"https://lms.example.org/cb/other\"\nupstream = \"http://b\"",
        "apps.lms.callback_path",
        "lies below the prefix of \"b\"",
    ),
    (
        "[providers.other]\nissuer = \"https://o.example.org\"\nclient_id = \"x\"",
        "provider = \"trusted\"",
        "[apps.b]\nurl = \"https://lms.example.org/b\"\nupstream = \"http://b\"\nprovider = \"other\"",
        "apps.b.provider",
        "use the same providers for both",
    ),
];
