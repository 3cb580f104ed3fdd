//! What is refused in `[session.cookie]`, by itself and beside the apps.

use super::Refusal;

pub(super) const COOKIE: &[Refusal] = &[
    ("", "", "[session]\ncookie = { domain = \"co.uk\" }", "session.cookie.domain", "is a public suffix"),
    ("", "", "[session]\ncookie = { domain = \"GitHub.io\" }", "session.cookie.domain", "is a public suffix"),
    ("", "", "[session]\ncookie = { domain = \"com.ru\" }", "session.cookie.domain", "is a public suffix"),
    (
        "",
        "",
        "[session]\ncookie = { domain = \".example.org\" }",
        "session.cookie.domain",
        "without a dot before it",
    ),
    ("", "", "[session]\ncookie = { domain = \"localhost\" }", "session.cookie.domain", "is not a domain"),
    ("", "", "[session]\ncookie = { domain = \"192.0.2.7\" }", "session.cookie.domain", "is not a domain"),
    (
        "",
        "",
        "[session]\ncookie = { domain = \"ample.org\" }",
        "session.cookie.domain",
        "address of app \"lms\"",
    ),
    (
        "",
        "",
        "[session]\ncookie = { domain = \"example.org\" }\n[apps.b]\nurl = \"https://b.example.net\"\nupstream = \"http://b\"",
        "session.cookie.domain",
        "does not fit the address of app \"b\"",
    ),
    (
        "",
        "",
        "[session]\ncookie = { domain = \"example.org\" }\n[server]\ndanger_allow_http = true\n[apps.b]\nurl = \"http://b.example.org\"\nupstream = \"http://b\"",
        "apps.b.url",
        "by the scheme",
    ),
    (
        "",
        "provider = \"trusted\"",
        "[session]\ncookie = { domain = \"example.org\" }\n[providers.other]\nissuer = \"https://o.example.org\"\nclient_id = \"o\"\n[apps.b]\nurl = \"https://b.example.org\"\nupstream = \"http://b\"",
        "apps.b.provider",
        "below the same session.cookie.domain",
    ),
    (
        "",
        "",
        "[session]\ncookie = { name = \"__Host-a\", domain = \"example.org\" }",
        "session.cookie.name",
        "can't have a domain",
    ),
    ("", "", "[session]\ncookie = { partitioned = true }", "session.cookie.partitioned", "needs same_site"),
    ("", "", "[session]\ncookie = { name = \"a b\" }", "session.cookie.name", "is not a cookie's name"),
    (
        "",
        "",
        "[session]\ncookie = { same_site = \"Lax\" }",
        "session.cookie.same_site",
        "did you mean \"lax\"?",
    ),
];
