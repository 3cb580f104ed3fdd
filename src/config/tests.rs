//! Whole configurations: what they become, and what is said of wrong ones.

use std::time::Duration;

use super::*;
use crate::foundation::sealing::RootKey;

mod choosing;
mod environment;
mod refusals;
mod rubbish;
mod sample;
mod store;

const SMALLEST: &str = r#"
[providers.trusted]
issuer        = "https://id.example.org"
client_id     = "lms"
client_secret = { env = "LMS_CLIENT_SECRET" }

[apps.lms]
url      = "https://lms.example.org"
upstream = "http://127.0.0.1:3000"
"#;

fn variables(variables: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
    let secret = [("LMS_CLIENT_SECRET", "hunter2")];
    let all: Vec<_> = secret.iter().chain(variables).map(|(a, b)| (a.to_string(), b.to_string())).collect();
    all.into_iter()
}

/// What a text becomes, with these environment variables over it.
fn read_with(text: &str, environment: &[(&str, &str)]) -> Result<Settings, Problems> {
    load_text(text, Path::new("/etc/vestibule"), variables(environment))
}

#[track_caller]
fn good(text: &str) -> Settings {
    read_with(text, &[]).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The problems of a text, each as `key: heading`.
#[track_caller]
fn problems(text: &str) -> Vec<Problem> {
    read_with(text, &[]).expect_err("it should be refused").iter().cloned().collect()
}

/// The smallest file with further lines in its tables, and further tables.
fn with(provider: &str, app: &str, more: &str) -> String {
    let text = SMALLEST.replace("[apps.lms]", &format!("{provider}\n[apps.lms]"));
    format!("{text}{app}\n{more}\n")
}

#[test]
fn oauth_alone_needs_three_endpoints_or_an_issuer_and_asks_for_no_scope_of_its_own() {
    let by_hand = r#"
[providers.plain]
protocol               = "oauth2"
authorization_endpoint = "https://id.example.org/authorize"
token_endpoint         = "https://id.example.org/token"
userinfo_endpoint      = "https://id.example.org/me"
client_id              = "lms"
client_secret          = "s"

[apps.lms]
url      = "https://lms.example.org"
upstream = "http://127.0.0.1:3000"
"#;
    let provider = &good(by_hand).providers[0];
    assert_eq!(provider.protocol, oidc::Protocol::OAuth2 { subject: None });
    assert_eq!((provider.issuer.as_str(), provider.discovery), ("", oidc::Discovery::ByHand));
    // Nobody without a name and keys can vouch for a signed response.
    let signed = by_hand.replace("client_id  ", "response_mode = \"jwt\"\nclient_id  ");
    let told: Vec<String> = problems(&signed).iter().map(|problem| problem.key().to_owned()).collect();
    assert_eq!(told, ["providers.plain.issuer", "providers.plain.jwks_uri"]);
    assert!(provider.scopes.is_empty());

    let named = by_hand
        .replace("client_id ", "subject = \"user.id\"\nissuer = \"https://id.example.org\"\nclient_id ");
    let provider = &good(&named).providers[0];
    assert_eq!(provider.protocol, oidc::Protocol::OAuth2 { subject: Some("user.id".into()) });
    assert_eq!(provider.discovery, oidc::Discovery::Fetch);

    let asked = by_hand.replace("client_id ", "discovery = true\nclient_id ");
    assert_eq!(problems(&asked)[0].key(), "providers.plain.issuer");
    let missing = by_hand.replace("userinfo_endpoint ", "jwks_uri ");
    assert_eq!(problems(&missing)[0].key(), "providers.plain.userinfo_endpoint");
}

#[test]
fn the_smallest_file_has_all_defaults() {
    let settings = good(SMALLEST);
    assert_eq!(settings.server.listen, ["127.0.0.1:4180".parse().unwrap()]);
    assert!(settings.server.tls.is_empty());
    assert_eq!(settings.admin, Admin { listen: Some("127.0.0.1:9180".parse().unwrap()), token: None });
    assert_eq!(settings.server.drain_timeout, Duration::from_secs(30));
    assert_eq!(settings.sessions.store, sessions::StoreKind::File);
    assert_eq!(settings.sessions.idle_timeout, Duration::from_secs(8 * 3600));
    assert_eq!(settings.sessions.lifetime, Duration::from_secs(24 * 3600));
    assert_eq!(settings.sessions.state_dir, Path::new("/etc/vestibule/state"));
    assert_eq!(settings.sessions.cookie.same_site, sessions::SameSite::Lax);
    assert_eq!(settings.sessions.max_sessions, 100_000);
    let provider = &settings.providers[0];
    assert_eq!((provider.name.as_str(), provider.issuer.as_str()), ("trusted", "https://id.example.org"));
    assert_eq!(provider.client_secret.as_ref().unwrap().expose(), "hunter2");
    assert_eq!(provider.client_auth, None);
    assert_eq!(provider.scopes, ["openid", "email", "profile", "phone"]);
    assert_eq!(provider.discovery, oidc::Discovery::Fetch);
    assert_eq!((provider.clock_skew, provider.timeout), (Duration::from_secs(60), Duration::from_secs(10)));
    assert_eq!(provider.logout.id_token_hint, oidc::IdTokenHint::Send);
    let app = &settings.gateway.apps[0];
    assert_eq!(app.origin.to_string(), "https://lms.example.org");
    assert_eq!((app.prefix.as_str(), app.callback_path.as_str()), ("", "/_sso/callback"));
    assert_eq!(app.providers, ["trusted"]);
    assert_eq!(app.upstream.connect_timeout, Duration::from_secs(5));
    assert_eq!(app.upstream.response_timeout, Duration::from_secs(60));
    assert_eq!(settings.gateway.endpoints, "/_sso");
    assert_eq!(settings.telemetry.level, tracing::Level::INFO);
    assert_eq!(settings.telemetry.access, telemetry::AccessLog::On);
}

#[test]
fn providers_and_apps_keep_the_order_of_the_file() {
    let settings = good(&with(
        "[providers.another]\nissuer = \"https://b.example.org/\"\nclient_id = \"b\"",
        "provider = \"trusted\"",
        "[apps.aaa]\nurl = \"https://a.example.org\"\nupstream = \"unix:/run/a.sock\"\nprovider = \"another\"",
    ));
    let names: Vec<_> = settings.providers.iter().map(|provider| provider.name.as_str()).collect();
    assert_eq!(names, ["trusted", "another"]);
    let names: Vec<_> = settings.gateway.apps.iter().map(|app| app.name.as_str()).collect();
    assert_eq!(names, ["lms", "aaa"]);
    assert_eq!(settings.providers[1].client_auth, Some(oidc::ClientAuth::None));
    assert_eq!(settings.providers[1].issuer, "https://b.example.org/");
}

#[test]
fn the_callback_path_sits_below_the_prefix_however_it_is_written() {
    for (url, callback, prefix, expected) in [
        ("https://h/", None, "", "/_sso/callback"),
        ("https://h/lms", None, "/lms", "/lms/_sso/callback"),
        ("https://h/lms/", Some("/login/callback"), "/lms", "/lms/login/callback"),
        ("https://h/lms", Some("/lms/login/callback"), "/lms", "/lms/login/callback"),
        ("https://h", Some("/admin/oauth2callback.php"), "", "/admin/oauth2callback.php"),
        ("https://h", Some("/oidc/"), "", "/oidc/"),
    ] {
        let text = SMALLEST.replace("https://lms.example.org", url);
        let callback = callback.map_or(String::new(), |path| format!("callback_path = {path:?}"));
        let settings = good(&format!("{text}{callback}"));
        let app = &settings.gateway.apps[0];
        assert_eq!((app.prefix.as_str(), app.callback_path.as_str()), (prefix, expected), "{url} {callback}");
    }
}

#[test]
fn a_secret_is_literal_or_in_the_environment_or_in_a_file() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("secret"), "from a file\r\n").unwrap();
    for (written, expected) in [
        ("\"0123\"", "0123"),
        ("{ env = \"LMS_CLIENT_SECRET\" }", "hunter2"),
        ("{ file = \"secret\" }", "from a file"),
    ] {
        let text = SMALLEST.replace("{ env = \"LMS_CLIENT_SECRET\" }", written);
        let settings = load_text(&text, directory.path(), variables(&[])).unwrap();
        assert_eq!(settings.providers[0].client_secret.as_ref().unwrap().expose(), expected);
    }
}

#[test]
fn session_keys_are_read_and_the_idle_time_never_outlasts_the_lifetime() {
    let key = RootKey::generate();
    let text = format!("{SMALLEST}[session]\nkeys = [{:?}]\nlifetime = \"1h\"", key.to_base64().as_str());
    let settings = good(&text);
    assert_eq!(settings.sessions.keys, [key]);
    assert_eq!(settings.sessions.idle_timeout, Duration::from_secs(3600));
}

#[test]
fn the_state_directory_is_the_written_one_else_systemds_else_beside_the_file() {
    let systemd = [("STATE_DIRECTORY", "/var/lib/vestibule:/var/lib/other")];
    let state_dir = |text: &str, environment| read_with(text, environment).unwrap().sessions.state_dir;
    assert_eq!(state_dir(SMALLEST, &systemd), Path::new("/var/lib/vestibule"));
    let written = format!("{SMALLEST}[server]\nstate_dir = \"here\"");
    assert_eq!(state_dir(&written, &systemd), Path::new("/etc/vestibule/here"));
}

#[test]
fn certificates_are_read_and_must_fit_their_keys() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        let made = rcgen::generate_simple_self_signed(["lms.example.org".to_owned()]).unwrap();
        std::fs::write(directory.path().join(format!("{name}.pem")), made.cert.pem()).unwrap();
        std::fs::write(directory.path().join(format!("{name}.key")), made.signing_key.serialize_pem())
            .unwrap();
    }
    let load = |tls: &str| {
        let text = format!("{}[server]\ntls = {tls}", with("ca = \"a.pem\"", "", ""));
        load_text(&text, directory.path(), variables(&[]))
    };
    let settings = load(r#"[{ cert = "a.pem", key = "a.key" }, { cert = "b.pem", key = "b.key" }]"#).unwrap();
    assert_eq!(settings.server.tls.len(), 2);
    assert_eq!(settings.server.tls[1].cert, directory.path().join("b.pem"));
    assert_eq!(settings.providers[0].ca.len(), 1);
    for (tls, key, said) in [
        (r#"{ cert = "a.pem", key = "b.key" }"#, "server.tls.key", "does not fit the certificate"),
        (r#"{ cert = "a.key", key = "a.key" }"#, "server.tls.cert", "without a certificate"),
        (r#"{ cert = "a.pem", key = "a.pem" }"#, "server.tls.key", "without a private key"),
        (r#"[{ cert = "a.pem" }]"#, "server.tls[0].key", "is missing"),
        (r#"{ cert = "c.pem", key = "a.key" }"#, "server.tls.cert", "can't be read"),
    ] {
        let problems = load(tls).unwrap_err();
        let problem = problems.iter().next().unwrap();
        assert_eq!(problem.key(), key, "{problems}");
        assert!(problem.to_string().contains(said), "{problems}");
    }
}

#[test]
fn a_logo_becomes_a_data_address() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("logo.svg"), "<svg xmlns=\"http://www.w3.org/2000/svg\"/>").unwrap();
    std::fs::write(directory.path().join("logo.txt"), "GIF89a").unwrap();
    std::fs::write(directory.path().join("large"), vec![0; 70_000]).unwrap();
    let load = |logo: &str| {
        let text = format!("{SMALLEST}[pages]\nname = \"Школа\"\nlogo = {logo:?}");
        load_text(&text, directory.path(), variables(&[]))
    };
    let pages = load("logo.svg").unwrap().gateway.pages;
    assert_eq!(pages.name.as_deref(), Some("Школа"));
    assert!(pages.logo.unwrap().starts_with("data:image/svg+xml;base64,"));
    for wrong in ["logo.txt", "large", "none", "."] {
        assert_eq!(load(wrong).unwrap_err().iter().next().unwrap().key(), "pages.logo", "{wrong}");
    }
}

#[test]
fn an_empty_admin_address_switches_the_admin_listener_off() {
    assert_eq!(good(&format!("{SMALLEST}[admin]\nlisten = \"\"")).admin.listen, None);
}

#[test]
fn a_token_for_operators_is_long_enough_that_nobody_guesses_it() {
    let token = |token: &str| format!("{SMALLEST}[admin]\ntoken = {token:?}");
    let long = "t".repeat(20);
    assert_eq!(good(&token(&long)).admin.token.unwrap().expose(), long);
    for wrong in
        ["t", &"t".repeat(19), &"t".repeat(513), "twenty characters and spaces", "двадцать-знаков-здесь"]
    {
        let problems = problems(&token(wrong));
        assert_eq!((problems[0].key(), problems.len()), ("admin.token", 1), "{wrong}");
    }
}

#[test]
fn the_admin_listener_is_found_without_the_secrets_of_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    let load = |admin: &str| {
        std::fs::write(&path, format!("{}{admin}", SMALLEST.replace("\"s3cret\"", "{ env = \"NOT_SET\" }")))
            .unwrap();
        load_admin(&path, std::iter::once(("TOKEN".into(), "t".repeat(20))))
    };
    let admin = load("[admin]\ntoken = { env = \"TOKEN\" }").unwrap();
    assert_eq!(admin.token.unwrap().expose(), "t".repeat(20));
    assert!(load("[admin]\nlisten = \"nowhere\"").is_err());
}

#[test]
fn trusted_proxies_are_networks_or_addresses() {
    let text = format!(
        "{SMALLEST}[server]\ntrusted_proxies = [\"10.0.0.0/8\", \"192.0.2.1\", \"::ffff:172.16.0.0/108\"]"
    );
    let proxies = good(&text).gateway.trusted_proxies;
    for (address, trusted) in
        [("10.1.2.3", true), ("192.0.2.1", true), ("192.0.2.2", false), ("172.16.0.9", true)]
    {
        assert_eq!(proxies.contains(address.parse().unwrap()), trusted, "{address}");
    }
}
