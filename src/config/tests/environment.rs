//! The environment over the file.

use super::*;

#[test]
fn the_environment_wins_over_the_file_and_secrets_arrive_as_written() {
    let settings = read_with(
        SMALLEST,
        &[
            ("VESTIBULE_SESSION__LIFETIME", "12h"),
            ("VESTIBULE_PROVIDERS__TRUSTED__CLIENT_SECRET", "0123"),
            ("VESTIBULE_PROVIDERS__TRUSTED__CLIENT_ID", "true"),
            ("VESTIBULE_PROVIDERS__TRUSTED__SCOPES", "[\"openid\", \"groups\"]"),
            ("VESTIBULE_SERVER__LISTEN", "127.0.0.1:1"),
            ("VESTIBULE_SERVER__WORKERS", "3"),
            ("VESTIBULE_LOG__ACCESS", "false"),
            ("VESTIBULE_APPS__LMS__TIMEOUTS", "{ connect = \"7s\" }"),
            ("VESTIBULE_PORT", "tcp://10.0.0.1:4180"),
        ],
    )
    .unwrap();
    assert_eq!(settings.sessions.lifetime, Duration::from_secs(12 * 3600));
    let provider = &settings.providers[0];
    assert_eq!(provider.client_secret.as_ref().unwrap().expose(), "0123");
    assert_eq!(provider.client_id, "true");
    assert_eq!(provider.scopes, ["openid", "groups"]);
    assert_eq!(settings.server.listen, ["127.0.0.1:1".parse().unwrap()]);
    assert_eq!(settings.server.workers, 3);
    assert_eq!(settings.telemetry.access, telemetry::AccessLog::Off);
    assert_eq!(settings.gateway.apps[0].upstream.connect_timeout, Duration::from_secs(7));
}

#[test]
fn the_environment_alone_is_enough() {
    let settings = read_with(
        "",
        &[
            ("VESTIBULE_PROVIDERS__T__ISSUER", "https://id.example.org"),
            ("VESTIBULE_PROVIDERS__T__CLIENT_ID", "a"),
            ("VESTIBULE_PROVIDERS__T__CLIENT_SECRET", "{ env = \"X\" }"),
            ("VESTIBULE_APPS__LMS__URL", "https://lms.example.org"),
            ("VESTIBULE_APPS__LMS__UPSTREAM", "http://127.0.0.1:3000"),
        ],
    )
    .unwrap();
    assert_eq!(settings.providers[0].client_secret.as_ref().unwrap().expose(), "{ env = \"X\" }");
    assert_eq!(settings.gateway.apps[0].name, "lms");
}

#[test]
fn names_of_the_file_are_recognised_without_case_and_hyphens() {
    let text = SMALLEST.replace("apps.lms", "apps.My-App");
    let settings = read_with(&text, &[("VESTIBULE_APPS__MY_APP__URL", "https://my.example.org")]).unwrap();
    assert_eq!(settings.gateway.apps.len(), 1);
    assert_eq!(settings.gateway.apps[0].origin.host(), "my.example.org");
}

#[test]
fn a_secrets_place_from_the_environment_replaces_the_files() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("s");
    std::fs::write(&file, "in a file\n").unwrap();
    let name = "VESTIBULE_PROVIDERS__TRUSTED__CLIENT_SECRET__FILE";
    let settings = read_with(SMALLEST, &[(name, file.to_str().unwrap())]).unwrap();
    assert_eq!(settings.providers[0].client_secret.as_ref().unwrap().expose(), "in a file");
}

#[test]
fn problems_of_the_environment_name_the_variable() {
    for (name, value, key, said) in [
        ("VESTIBULE_SESSION__LIFETIME", "0123", "session.lifetime", "is not a duration"),
        ("VESTIBULE_SESSION__LIFETIM", "1h", "session.lifetim", "did you mean lifetime?"),
        ("VESTIBULE_SESSION_LIFETIME", "1h", "session_lifetime", "is not a key"),
        ("VESTIBULE_SERVER__WORKERS", "many", "server.workers", "found: the text \"many\""),
        (
            "VESTIBULE_SERVER__TRUSTED_PROXIES",
            "[\"10.0.0.0/8\"",
            "server.trusted_proxies",
            "expected: a list",
        ),
        ("VESTIBULE_SERVER__TRUSTED_PROXIES", "[\"x\"]", "server.trusted_proxies[0]", "is not a network"),
        ("VESTIBULE_LOG__ACCESS", "yes", "log.access", "expected: true or false"),
        ("VESTIBULE_SESSION", "x", "session", "expected: a table"),
        (
            "VESTIBULE_APPS__LMS__IDENTITY_JWT__HEADER",
            "Cookie",
            "apps.lms.identity_jwt.header",
            "can't be used",
        ),
        ("VESTIBULE_PAGES__NAME", "\u{fffd}", "pages.name", "not UTF-8"),
    ] {
        let problems = read_with(SMALLEST, &[(name, value)]).unwrap_err();
        let [problem] = problems.iter().as_slice() else { panic!("{problems}") };
        assert_eq!(problem.location(), &Location::Variable(name.to_owned()));
        assert_eq!(problem.key(), key);
        assert!(problem.to_string().starts_with(&format!("{name} (environment): ")), "{problem}");
        assert!(problem.to_string().contains(said), "{problem}");
    }
}

#[test]
fn a_variable_that_a_secret_is_read_from_is_no_key() {
    let text = SMALLEST.replace("LMS_CLIENT_SECRET", "VESTIBULE_LMS_SECRET");
    let settings = read_with(&text, &[("VESTIBULE_LMS_SECRET", "s3cret")]).unwrap();
    assert_eq!(settings.providers[0].client_secret.as_ref().unwrap().expose(), "s3cret");
}

#[test]
fn variables_that_contradict_each_other_are_refused() {
    let secret = "VESTIBULE_PROVIDERS__TRUSTED__CLIENT_SECRET";
    let problems = read_with(SMALLEST, &[(secret, "hunter3"), (&format!("{secret}__ENV"), "X")]).unwrap_err();
    assert!(problems.to_string().contains("is set by more than one variable"), "{problems}");
    assert!(!problems.to_string().contains("hunter3"), "{problems}");
    let text = with("", "", "[apps.a-b]\n[apps.a_b]\n");
    let problems = read_with(&text, &[("VESTIBULE_APPS__A_B__URL", "https://x.example.org")]).unwrap_err();
    assert!(problems.to_string().contains("could also be meant for"), "{problems}");
}
