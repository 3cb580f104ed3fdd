//! The configuration through the front door: what `check`, `urls` and `keygen` say and how they exit.

#![allow(clippy::unwrap_used, reason = "a test may panic, and so may what it stands on")]

use std::path::Path;
use std::process::{Command, Output};

const GOOD: &str = r#"
[providers.trusted]
issuer        = "https://id.example.org"
client_id     = "lms"
client_secret = { env = "LMS_CLIENT_SECRET" }

[apps.lms]
url      = "https://lms.example.org/school"
upstream = "http://127.0.0.1:3000"
"#;

/// Runs a command on a configuration file that holds `text`, with these environment variables and no others.
fn vestibule(arguments: &[&str], text: &str, environment: &[(&str, &str)]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("config.toml"), text).unwrap();
    run(arguments, directory.path(), environment)
}

fn run(arguments: &[&str], directory: &Path, environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vestibule"))
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .env("LMS_CLIENT_SECRET", "hunter2")
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn check_says_that_a_good_configuration_is_good() {
    let output = vestibule(&["check", "--config", "config.toml"], GOOD, &[]);
    assert_eq!(stdout(&output), "configuration is good: 1 provider, 1 app\n");
    assert_eq!((stderr(&output), output.status.code()), ("", Some(0)));
}

#[test]
fn check_tells_every_problem_of_file_and_environment_and_exits_with_2() {
    let text = format!("{GOOD}colour = \"red\"\n[session]\nidle_timout = \"8h\"\nkeys = [\"hunter2\"]\n");
    let output = vestibule(&["check"], &text, &[("VESTIBULE_SERVER__WORKERS", "many")]);
    assert_eq!((stdout(&output), output.status.code()), ("", Some(2)));
    let said = stderr(&output);
    for expected in [
        "config.toml:10:1: [apps.lms] colour is not a key that Vestibule knows",
        "config.toml:12:1: [session] idle_timout is not a key that Vestibule knows",
        "mend: did you mean idle_timeout?",
        "config.toml:13:9: [session] keys number 1 is not a session key",
        "VESTIBULE_SERVER__WORKERS (environment): [server] workers has the wrong type",
        "4 problems",
    ] {
        assert!(said.contains(expected), "{expected}\n--\n{said}");
    }
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn the_environment_wins_over_the_file_and_its_secrets_are_not_numbers() {
    let environment = [
        ("VESTIBULE_PROVIDERS__TRUSTED__CLIENT_SECRET", "0123"),
        ("VESTIBULE_APPS__LMS__URL", "https://other.example.org"),
    ];
    let output = vestibule(&["urls"], GOOD, &environment);
    assert!(stdout(&output).contains("https://other.example.org/_sso/callback"), "{}", stderr(&output));
}

#[test]
fn urls_prints_what_to_enter_at_the_provider() {
    let output = vestibule(&["urls"], GOOD, &[]);
    assert_eq!(
        stdout(&output),
        "trusted  lms  redirect        https://lms.example.org/school/_sso/callback\n\
         trusted  lms  post-logout     https://lms.example.org/school/_sso/signed-out\n\
         trusted  lms  back-channel    https://lms.example.org/school/_sso/backchannel-logout  session required\n\
         trusted  lms  front-channel   https://lms.example.org/school/_sso/frontchannel-logout  session required\n\
         trusted  lms  initiate-login  https://lms.example.org/school/_sso/initiate\n"
    );
    let output = vestibule(&["urls", "--json"], GOOD, &[]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        json,
        serde_json::json!([{
            "provider": "trusted",
            "app": "lms",
            "redirect_uri": "https://lms.example.org/school/_sso/callback",
            "post_logout_redirect_uri": "https://lms.example.org/school/_sso/signed-out",
            "backchannel_logout_uri": "https://lms.example.org/school/_sso/backchannel-logout",
            "backchannel_logout_session_required": true,
            "frontchannel_logout_uri": "https://lms.example.org/school/_sso/frontchannel-logout",
            "frontchannel_logout_session_required": true,
            "initiate_login_uri": "https://lms.example.org/school/_sso/initiate",
        }])
    );
}

#[test]
fn keygen_prints_a_key_that_the_configuration_takes() {
    let directory = tempfile::tempdir().unwrap();
    let key = run(&["keygen"], directory.path(), &[]);
    let text = format!("{GOOD}[session]\nkeys = [{:?}]\n", stdout(&key).trim());
    let output = vestibule(&["check"], &text, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_ne!(run(&["keygen"], directory.path(), &[]).stdout, key.stdout);
}

#[test]
fn wrong_usage_and_missing_files_exit_with_2() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in
        [&["chek"][..], &[], &["check", "--confg", "x"], &["check", "--config", "none.toml"], &["check"]]
    {
        let output = run(arguments, directory.path(), &[]);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stdout(&output).is_empty() && !stderr(&output).is_empty(), "{arguments:?}");
    }
    assert_eq!(run(&["--help"], directory.path(), &[]).status.code(), Some(0));
}

#[test]
fn what_kubernetes_says_of_a_service_of_our_name_is_no_key() {
    let links = [
        ("VESTIBULE_PORT", "tcp://10.0.0.1:4180"),
        ("VESTIBULE_PORT_4180_TCP", "tcp://10.0.0.1:4180"),
        ("VESTIBULE_PORT_4180_TCP_ADDR", "10.0.0.1"),
        ("VESTIBULE_PORT_4180_TCP_PORT", "4180"),
        ("VESTIBULE_PORT_4180_TCP_PROTO", "tcp"),
        ("VESTIBULE_SERVICE_HOST", "10.0.0.1"),
        ("VESTIBULE_SERVICE_PORT", "4180"),
        ("VESTIBULE_SERVICE_PORT_HTTP", "4180"),
        ("VESTIBULE_ADMIN_SERVICE_HOST", "10.0.0.2"),
        ("VESTIBULE_ADMIN_PORT_9180_TCP", "tcp://10.0.0.2:9180"),
    ];
    let output = vestibule(&["check"], GOOD, &links);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let output = vestibule(&["check"], GOOD, &[("VESTIBULE_SESSION_LIFETIME", "1h")]);
    assert_eq!(output.status.code(), Some(2), "a mistake is still one");
}

const EXPLAINED: &str = r#"
headers = { X-Auth-Sub = "sub", Authorization = { token = "access", required = true } }
rules = [{ paths = ["/school/admin/*"], allow = '"admins" in claims.groups' }]
"#;

#[test]
fn explain_judges_an_address_as_written_and_knows_what_it_does_not_know() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("config.toml"), format!("{GOOD}{EXPLAINED}")).unwrap();
    std::fs::write(directory.path().join("me.json"), r#"{"sub": "u-1", "groups": []}"#).unwrap();
    let explain = |method: &str, path: &str, who: &[&str]| {
        let url = format!("https://lms.example.org{path}");
        let output =
            run(&[&["explain", "--method", method, "--url", &url], who].concat(), directory.path(), &[]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stdout(&output).to_owned()
    };
    let me = &["--claims", "me.json"][..];
    for (method, path, who, said, unsaid) in [
        (
            "GET",
            "/school/",
            me,
            &["admit", "header    x-auth-sub: u-1", "left out  authorization: a token"][..],
            "Bearer",
        ),
        ("GET", "/school/admin/x", me, &["deny (403)"], "header "),
        ("GET", "/school/admin/../x", me, &["refuse (400)"], "admit"),
        ("GET", "/school/%61dmin/x", me, &["refuse (400)"], "admit"),
        ("get", "/school/", &[], &["sign_in (403)"], "302)"),
        ("HEAD", "/school/", &[], &["sign_in (302)"], "403"),
        ("POST", "/school/", &[], &["decision  sign_in\n", "is kept", "nothing was sent"], "302"),
        ("GET", "/school/_sso/callback", me, &["decision  own", "endpoint callback"], "rule 1"),
        ("HEAD", "/school/_sso/callback", me, &["refuse (405)", "takes GET"], "own"),
        ("GET", "/school/_sso/none", me, &["refuse (404)"], "own"),
    ] {
        let told = explain(method, path, who);
        for words in said {
            assert!(told.contains(words), "{method} {path}: {words}\n{told}");
        }
        assert!(!told.contains(unsaid), "{method} {path}: {unsaid}\n{told}");
    }
}
