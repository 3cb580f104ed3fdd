//! What is said of wrong configurations.

mod cookie;
mod own_session;
mod providers;

use super::*;

#[test]
fn a_problem_reads_like_this() {
    let text = format!("{SMALLEST}[session]\nidle_timout = \"8h\"\n");
    let problems = read_with(&text, &[]).unwrap_err();
    assert_eq!(
        problems.to_string(),
        "config.toml:11:1: [session] idle_timout is not a key that Vestibule knows
   11 | idle_timout = \"8h\"
      | ^^^^^^^^^^^
   found: idle_timout
   expected: one of cookie, form_limit, idle_timeout, keys, lifetime, max_sessions, outage_grace, redis, store
   mend: did you mean idle_timeout?"
    );
}

#[test]
fn all_problems_are_told_at_once_in_the_order_of_the_file() {
    let text = r#"
[providers.trusted]
issuer = "http://id.example.org"
client_id = 7
scopes = ["email"]

[apps.lms]
url = "https://lms.example.org?x"
upstream = ["http://a:1", "http://b:1"]
provider = "trustd"
colour = "red"

[session]
keys = ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]
lifetime = "forever"
store = "redis://:hunter2@r/x"

[server]
trusted_proxies = ["0.0.0.0/0"]
"#;
    let found: Vec<_> = problems(text).iter().map(|problem| problem.key().to_owned()).collect();
    assert_eq!(
        found,
        [
            "providers.trusted.issuer",
            "providers.trusted.client_id",
            "providers.trusted.scopes",
            "apps.lms.url",
            "apps.lms.upstream",
            "apps.lms.provider",
            "apps.lms.colour",
            "session.lifetime",
            "session.store",
            "server.trusted_proxies[0]",
        ]
    );
    assert!(!read_with(text, &[]).unwrap_err().to_string().contains("hunter2"));
}

#[test]
fn what_is_missing_is_named_with_its_table_and_only_once() {
    for (text, expected) in [
        ("", vec!["providers", "apps"]),
        (
            "[providers.a]\n[apps.b]",
            vec!["providers.a.issuer", "providers.a.client_id", "apps.b.url", "apps.b.upstream"],
        ),
        (
            "[providers.a]\nisuer = \"https://a\"\nclient_id = \"x\"\n[app.b]",
            vec!["providers.a.isuer", "app"],
        ),
        (
            "[providers.a]\nissuer = \"https://a\"\nclient_id = \"x\"\ndiscovery = false\nuserinfo = \"always\"\n",
            vec![
                "apps",
                "providers.a.authorization_endpoint",
                "providers.a.token_endpoint",
                "providers.a.jwks_uri",
                "providers.a.userinfo_endpoint",
            ],
        ),
    ] {
        let found: Vec<_> = problems(text).iter().map(|problem| problem.key().to_owned()).collect();
        assert_eq!(found, expected, "{text}");
    }
}

/// Lines for the provider, for the app, further tables; the key that is blamed, and a part of what is said.
pub(super) type Refusal = (&'static str, &'static str, &'static str, &'static str, &'static str);

/// Every single refusal but those of providers, and of a choice of them.
const REFUSALS: &[Refusal] = &[
    ("", "", "[server]\nlisten = \":4180\"", "server.listen", "write \"[::]:4180\""),
    (
        "",
        "",
        "[server]\nlisten = [\"127.0.0.1:1\", \"x\"]",
        "server.listen[1]",
        "is not an address to listen on",
    ),
    ("", "", "[server]\nlisten = []", "server.listen", "is empty"),
    ("", "", "[server]\nlisten = [\"127.0.0.1:1\", \"127.0.0.1:1\"]", "server.listen[1]", "stands twice"),
    ("", "", "[server]\nlisten = \"0.0.0.0:9180\"", "admin.listen", "is an address of the public listener"),
    (
        "",
        "",
        "[server]\ntrusted_proxies = [\"::/0\"]",
        "server.trusted_proxies[0]",
        "would believe strangers",
    ),
    (
        "",
        "",
        "[server]\ntrusted_proxies = [\"::ffff:0:0/96\"]",
        "server.trusted_proxies[0]",
        "would believe strangers",
    ),
    ("", "", "[server]\nproxy_protocol = true", "server.proxy_protocol", "is not supported yet"),
    ("", "", "[server]\nendpoints = \"/_sso/\"", "server.endpoints", "is not a plain path"),
    ("", "", "[server]\nendpoints = \"\"", "server.endpoints", "is not a plain path"),
    ("", "", "[server]\nworkers = 0", "server.workers", "is out of range"),
    ("", "", "[server]\nworkers = -1", "server.workers", "expected: a whole number"),
    ("", "", "[server]\nworkers = 1.5", "server.workers", "found: a number"),
    ("", "", "[server]\nworkers = 99999999999999999999", "server.workers", "found: a number"),
    ("", "", "[server]\nstate_dir = 2026-11-21", "server.state_dir", "found: a date or time"),
    ("", "", "[server.limits]\nhead_bytes = 100", "server.limits.head_bytes", "expected: 8192 to 1048576"),
    ("", "", "[session]\nkeys = [\"c2hvcnQ=\"]", "session.keys[0]", "vestibule keygen"),
    (
        "",
        "",
        "[session]\nkeys = [{ env = \"NOT_SET\" }]",
        "session.keys[0].env",
        "names a variable that is not set",
    ),
    ("", "", "[session]\nkeys = [{ env = \"A\", file = \"b\" }]", "session.keys[0]", "both env and file"),
    ("", "", "[session]\nstore = \"redis://h\"", "session.keys", "vestibule keygen"),
    (
        "",
        "",
        "[session]\nstore = \"file\"\nredis = { prefix = \"a:\" }",
        "session.redis",
        "belongs to a Redis store",
    ),
    ("", "", "[session]\nstore = \"files\"", "session.store", "did you mean \"file\"?"),
    ("", "", "[session]\nidle_timeout = \"25h\"", "session.idle_timeout", "is longer than the lifetime"),
    ("", "", "[session]\nlifetime = \"0s\"", "session.lifetime", "expected: 1s to 400d"),
    ("", "", "[log]\nlevel = \"verbose\"", "log.level", "expected: \"error\""),
    ("", "", "[pages]\nname = \"\"", "pages.name", "can't stand on a page"),
    ("", "provider = [7]", "", "apps.lms.provider[0]", "found: the number 7"),
    ("", "host_header = \"app\"", "", "apps.lms.host_header", "expected: \"keep\", \"upstream\""),
    ("", "timeouts = { connect = \"5\" }", "", "apps.lms.timeouts.connect", "is not a duration"),
    ("", "callback_path = \"callback\"", "", "apps.lms.callback_path", "is not a plain path"),
    ("", "callback_path = \"/\"", "", "apps.lms.callback_path", "is not a plain path"),
    ("", "silent_path = \"/_sso/session\"", "", "apps.lms.silent_path", "own endpoints"),
    (
        "",
        "logout = { callback_path = \"/a?b#c\" }",
        "",
        "apps.lms.logout.callback_path",
        "a query that is none",
    ),
    (
        "",
        "logout = { callback_path = \"/_sso/callback\" }",
        "",
        "apps.lms.logout.callback_path",
        "is the callback_path too",
    ),
    ("", "callback_path = \"/a/../b\"", "", "apps.lms.callback_path", "is not a plain path"),
    ("", "callback_path = \"/_sso/sign-out\"", "", "apps.lms.callback_path", "own endpoints"),
    ("", "websocket_origins = [\"https://a/b\"]", "", "apps.lms.websocket_origins[0]", "write \"https://a\""),
    ("", "websocket_origins = [\"*\"]", "", "apps.lms.websocket_origins[0]", "is not a whole address"),
    ("", "cors_origins = [\"https://a/b\"]", "", "apps.lms.cors_origins[0]", "write \"https://a\""),
    ("", "cors_origins = [\"*\"]", "", "apps.lms.cors_origins[0]", "is not a whole address"),
    ("", "cors_origins = [\"null\"]", "", "apps.lms.cors_origins[0]", "is not a whole address"),
    ("", "cors_origins = [\"https://*.example.org\"]", "", "apps.lms.cors_origins[0]", "a * in its host"),
    ("", "", "[session]\noutage_grace = \"6m\"", "session.outage_grace", "expected: 0s to 5m"),
    ("", "", "[session]\nform_limit = 8388609", "session.form_limit", "is out of range"),
    ("", "upstream_tls = { server_name = \"a\" }", "", "apps.lms.upstream_tls", "needs an https:// upstream"),
    ("", "identity_jwt = { header = \"Cookie\" }", "", "apps.lms.identity_jwt.header", "can't be used"),
    ("", "identity_jwt = { header = \"x_auth_sub\" }", "", "apps.lms.identity_jwt.header", "x-auth-sub"),
    ("", "identity_jwt = { audience = \" \" }", "", "apps.lms.identity_jwt.audience", "is empty"),
    ("", "logout = { redirect = \"/\" }", "", "apps.lms.logout.redirect", "is not a whole address"),
    (
        "",
        "logout = { redirect = \"javascript:alert(1)\" }",
        "",
        "apps.lms.logout.redirect",
        "is not a web address",
    ),
    (
        "",
        "headers = { X-User-Id = \"sub\", x_user_id = \"email\" }",
        "",
        "apps.lms.headers.x_user_id",
        "X-User-Id",
    ),
    ("", "headers = { content_length = \"sub\" }", "", "apps.lms.headers.content_length", "can't be used"),
    ("", "headers = { \"X Bad\" = \"sub\" }", "", "apps.lms.headers.\"X Bad\"", "can't be used"),
    ("", "headers = { X-A = {} }", "", "apps.lms.headers.X-A", "needs one source"),
    (
        "",
        "headers = { X-A = { claim = \"a\", value = \"b\" } }",
        "",
        "apps.lms.headers.X-A",
        "claim and value",
    ),
    (
        "",
        "headers = { X-A = { claim = \"a\", encode = \"utf-8\" } }",
        "",
        "apps.lms.headers.X-A.encode",
        "\"utf8\"?",
    ),
    (
        "",
        "headers = { X-A = { token = \"refresh\" } }",
        "",
        "apps.lms.headers.X-A.token",
        "\"access\", \"id\"",
    ),
    (
        "",
        "headers = { X-A = { value = \"a\", join = \",\" } }",
        "",
        "apps.lms.headers.X-A.join",
        "join has no meaning",
    ),
    (
        "",
        "headers = { X-A = { claim = \"a\", required = 1 } }",
        "",
        "apps.lms.headers.X-A.required",
        "wrong type",
    ),
    ("", "[[apps.lms.rules]]\npaths = [\"x\"]", "", "apps.lms.rules[0].paths[0]", "can't be used"),
    ("", "[[apps.lms.rules]]\npaths = []", "", "apps.lms.rules[0].paths", "take it out to mean all"),
    ("", "[[apps.lms.rules]]\nmethods = [\"get\"]", "", "apps.lms.rules[0].methods[0]", "write \"GET\""),
    ("", "[[apps.lms.rules]]\nscopes = [\"read\"]", "", "apps.lms.rules[0].scopes", "needs access"),
    (
        "",
        "[[apps.lms.rules]]\naccess = \"bearer\"\nscopes = [\"read write\"]",
        "",
        "apps.lms.rules[0].scopes[0]",
        "is not one scope",
    ),
    ("", "[[apps.lms.rules]]\nprovider = \"trusted\"", "", "apps.lms.rules[0].provider", "needs access"),
    (
        "",
        "[[apps.lms.rules]]\naccess = \"bearer\"\nprovider = \"trustd\"",
        "",
        "apps.lms.rules[0].provider",
        "did you mean \"trusted\"?",
    ),
    ("", "[[apps.lms.rules]]\naccess = \"bearer\"\nacr = \"mfa\"", "", "apps.lms.rules[0].acr", "bearer"),
    (
        "",
        "[[apps.lms.rules]]\naccess = \"publik\"",
        "",
        "apps.lms.rules[0].access",
        "did you mean \"public\"?",
    ),
    ("", "[[apps.lms.rules]]\nacr = \" \"", "", "apps.lms.rules[0].acr", "is empty"),
    ("", "[[apps.lms.rules]]\nmax_age = \"59s\"", "", "apps.lms.rules[0].max_age", "1m to 365d"),
    (
        "",
        "[[apps.lms.rules]]\naccess = \"public\"\nacr = \"urn:x\"",
        "",
        "apps.lms.rules[0].acr",
        "contradicts",
    ),
    (
        "",
        "[[apps.lms.rules]]\naccess = \"public\"\nmax_age = \"15m\"",
        "",
        "apps.lms.rules[0].max_age",
        "contradicts",
    ),
    ("", "[[apps.lms.rules]]\nallow = \"bad(\"", "", "apps.lms.rules[0].allow", "can't be used"),
    (
        "",
        "[[apps.lms.rules]]\naccess = \"public\"\nallow = \"true\"",
        "",
        "apps.lms.rules[0].allow",
        "contradicts",
    ),
    ("", "rules = [1]", "", "apps.lms.rules[0]", "expected: a table"),
    ("", "[[apps.lms.rules]]\nallow = \"1 + 1\"", "", "apps.lms.rules[0].allow", "it is always 2"),
    ("", "headers = { X-A = \"a..b\" }", "", "apps.lms.headers.X-A", "an empty part"),
    ("", "headers = { X-A = { claim = \".a\" } }", "", "apps.lms.headers.X-A.claim", "an empty part"),
    (
        "",
        "headers = { X-A = { template = \"<{a.}>\" } }",
        "",
        "apps.lms.headers.X-A.template",
        "an empty part",
    ),
    (
        "",
        "headers = { X-A = { claim = \"a\", join = \",\", encode = \"json\" } }",
        "",
        "apps.lms.headers.X-A.join",
        "contradict each other",
    ),
    (
        "",
        "websocket_origins = [\"https://*.example.org\"]",
        "",
        "apps.lms.websocket_origins[0]",
        "a * in its host",
    ),
    ("", "", "[session]\ncookie = { name = \"a.b\" }", "session.cookie.name", "is not a cookie's name"),
    (
        "",
        "",
        "[session]\ncookie = { name = \"a\" }\n[apps.b]\nurl = \"https://lms.example.org:8443\"\nupstream = \"http://b\"",
        "session.cookie.name",
        "one cookie of two origins",
    ),
    (
        "",
        "",
        "[server]\ndanger_allow_http = true\n[apps.b]\nurl = \"http://lms.example.org/b\"\nupstream = \"http://b\"",
        "apps.b.url",
        "by the scheme only",
    ),
    (
        "",
        "",
        "[server]\ndanger_allow_http = true\n[apps.b]\nurl = \"http://lms.example.org:443\"\nupstream = \"http://b\"",
        "apps.b.url",
        "by the scheme only",
    ),
    (
        "",
        "",
        "[apps.b]\nurl = \"https://lms.example.org/\"\nupstream = \"http://b\"",
        "apps.b.url",
        "is the address of \"lms\" too",
    ),
    (
        "",
        "",
        "[apps.b]\nurl = \"https://lms.example.org/_sso\"\nupstream = \"http://b\"",
        "apps.b.url",
        "collides with the gateway's own endpoints",
    ),
    (
        "",
        "callback_path = \"/b/cb\"",
        "[apps.b]\nurl = \"https://lms.example.org/b\"\nupstream = \"http://b\"",
        "apps.lms.callback_path",
        "lies below the prefix of \"b\"",
    ),
    (
        "",
        "",
        "[apps.\"\"]\nurl = \"https://b\"\nupstream = \"http://b\"",
        "apps.\"\"",
        "is not a name to use",
    ),
    ("", "", "[session]\nkeys = [[1]]", "session.keys[0]", "found: a list"),
    ("", "", "colour = { a = 1 }", "apps.lms.colour", "is not a key"),
];

#[test]
fn every_refusal_blames_its_key_once_and_says_why() {
    for (provider, app, more, key, said) in REFUSALS
        .iter()
        .chain(choosing::REFUSALS)
        .chain(cookie::COOKIE)
        .chain(providers::PROVIDERS)
        .chain(own_session::REFUSALS)
    {
        let text = with(provider, app, more);
        let problems = read_with(&text, &[]).expect_err(&text);
        let [problem] = problems.iter().as_slice() else { panic!("{text}\n{problems}") };
        assert_eq!(&problem.key(), key, "{problems}");
        assert!(problem.to_string().contains(said), "{said}\n{problems}");
        assert!(
            matches!(problem.location(), Location::File(_, position) if position.is_some() || *key == "admin.listen"),
            "{problems}"
        );
    }
}

#[test]
fn other_addresses_of_the_app_and_the_issuer_are_refused_or_taken() {
    for (from, to, key) in [
        ("https://lms.example.org", "http://lms.example.org", Some("apps.lms.url")),
        ("https://lms.example.org", "http://lms.localhost:4180", None),
        ("https://lms.example.org", "http://127.0.0.1:4180", None),
        ("https://lms.example.org", "https://u:p@lms.example.org", Some("apps.lms.url")),
        ("https://lms.example.org", "https://lms.example.org/a?b", Some("apps.lms.url")),
        ("https://lms.example.org", "https://lms.example.org/#b", Some("apps.lms.url")),
        ("https://lms.example.org", "https://lms.example.org/a/../b", Some("apps.lms.url")),
        ("https://lms.example.org", "https://lms.example.org/a//b", Some("apps.lms.url")),
        ("https://lms.example.org", "lms.example.org", Some("apps.lms.url")),
        ("https://lms.example.org", "https://*.example.org", Some("apps.lms.url")),
        ("https://id.example.org", "http://id.example.org", Some("providers.trusted.issuer")),
        ("https://id.example.org", "http://localhost:8080/realms/r", None),
        ("https://id.example.org", "https://id.example.org/a/", None),
        (
            "https://id.example.org",
            "https://id.example.org/.well-known/openid-configuration",
            Some("providers.trusted.issuer"),
        ),
        ("https://id.example.org", "https://id.example.org?a", Some("providers.trusted.issuer")),
        ("http://127.0.0.1:3000", "http://app.internal", None),
        ("http://127.0.0.1:3000", "http://127.0.0.1:4180", Some("apps.lms.upstream")),
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000/path", Some("apps.lms.upstream")),
        ("http://127.0.0.1:3000", "unix:relative.sock", Some("apps.lms.upstream")),
        ("http://127.0.0.1:3000", "ws://127.0.0.1:3000", Some("apps.lms.upstream")),
    ] {
        let text = SMALLEST.replace(from, to);
        match (read_with(&text, &[]), key) {
            (Ok(_), None) => {}
            (Err(problems), Some(key)) => {
                assert_eq!(problems.iter().next().unwrap().key(), key, "{problems}")
            }
            (Ok(_), Some(_)) => panic!("{to} was taken"),
            (Err(problems), None) => panic!("{problems}"),
        }
    }
    let text = format!("{SMALLEST}[server]\ndanger_allow_http = true").replace("https://", "http://");
    assert_eq!(good(&text).gateway.apps[0].origin.to_string(), "http://lms.example.org");
}

#[test]
fn a_part_of_a_rule_or_header_that_is_wrong_hides_no_other() {
    let text = with(
        "",
        "headers = { \"X Bad\" = { claim = \"a..b\", encode = \"utf-8\" } }\n\
         rules = [{ paths = [\"a\"], methods = [\"get\"], allow = \"claims.x ==\", acess = \"public\" }]",
        "",
    );
    let mut found: Vec<_> = problems(&text).iter().map(|problem| problem.key().to_owned()).collect();
    found.sort();
    assert_eq!(
        found,
        [
            "apps.lms.headers.\"X Bad\".claim",
            "apps.lms.headers.\"X Bad\".encode",
            "apps.lms.rules[0].acess",
            "apps.lms.rules[0].allow",
            "apps.lms.rules[0].methods[0]",
            "apps.lms.rules[0].paths[0]",
        ]
    );
}

#[test]
fn origins_of_one_host_need_no_more_than_ports_of_their_own() {
    good(&with("", "", "[apps.b]\nurl = \"https://lms.example.org:8443\"\nupstream = \"http://b\""));
}
