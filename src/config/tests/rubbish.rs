//! Texts that are no configuration, files that are none, and secrets in wrong places.

use super::*;

#[test]
fn secrets_are_never_shown() {
    for text in [
        SMALLEST.replace("{ env = \"LMS_CLIENT_SECRET\" }", "\"hunter2\" # a\nclient_secret = \"hunter2\""),
        SMALLEST.replace("{ env = \"LMS_CLIENT_SECRET\" }", "hunter2"),
        SMALLEST.replace("{ env = \"LMS_CLIENT_SECRET\" }", "\"hunter2"),
        SMALLEST.replace("{ env = \"LMS_CLIENT_SECRET\" }", "[\"hunter2\"]"),
        SMALLEST.replace("{ env = \"LMS_CLIENT_SECRET\" }", "{ vaule = \"hunter2\" }"),
        SMALLEST
            .replace("{ env = \"LMS_CLIENT_SECRET\" }", "{ env = [\"hunter2\"] }")
            .replace("env = [", "file = 1, env = ["),
        SMALLEST.replace("client_secret = { env = \"LMS_CLIENT_SECRET\" }", "client_secrt = \"hunter2\""),
        "providers = { t = { issuer = \"x\", client_secret = \"hunter2\", foo = 1 } }".to_owned(),
        with("params = { app_secret = [\"hunter2\"] }", "", ""),
        with("params = { state_token = \"hunter2\", state = \"x\" }", "", ""),
        with("", "headers = { X-Key = { value = \"hunter2\", foo = 1 } }", ""),
        with("", "headers = { X-Key = { value = [\"hunter2\"] } }", ""),
        with("", "", "[session]\nkeys = [\"hunter2\"]"),
        with("", "", "[session]\nkeys = [\n  \"hunter2\",\n  hunter2\n  hunter2=,\n]"),
        with("", "", "[session]\nkeys = \"hunter2\""),
        with("", "upstream_tls = 1", "[session]\nstore = \"rediss://u:hunter2@h\""),
        with("", "upstream_tls = 1", "").replace("https://lms", "https://u:hunter2@lms"),
    ] {
        let problems = read_with(&text, &[]).expect_err(&text);
        assert!(!problems.to_string().contains("hunter2"), "{text}\n--\n{problems}");
        assert!(!problems.iter().any(|problem| format!("{problem:?}").contains("hunter2")), "{text}");
    }
    for (name, value) in [
        ("VESTIBULE_SESSION__KEYS", "hunter2"),
        ("VESTIBULE_SESSION__KEYS", "[\"hunter2\"]"),
        ("VESTIBULE_SESSION__KEYS", "[hunter2]"),
        ("VESTIBULE_SESSION__KEYS", "[{ vaule = \"hunter2\" }]"),
        ("VESTIBULE_PROVIDERS__TRUSTED", "{ client_secret = \"hunter2\" "),
        ("VESTIBULE_SESSION__STORE", "mysql://u:hunter2@h"),
    ] {
        let problems = read_with(SMALLEST, &[(name, value)]).unwrap_err();
        assert!(!problems.to_string().contains("hunter2"), "{problems}");
    }
}

#[test]
fn several_syntax_errors_are_told_at_once() {
    let problems = problems("[server\nlisten = 1\n[log]\nlevel = info\nformat = \"json\n");
    let lines: Vec<_> = problems
        .iter()
        .map(|problem| match problem.location() {
            Location::File(_, Some(position)) => position.line,
            _ => panic!("{problem}"),
        })
        .collect();
    assert_eq!(lines, [1, 4, 5]);
    assert!(problems[1].to_string().contains("text stands in quotes"), "{}", problems[1]);
    let text = format!("{SMALLEST}url = \"https://again\"");
    assert!(
        read_with(&text, &[])
            .unwrap_err()
            .to_string()
            .contains("config.toml:10:1: this is not TOML: duplicate key")
    );
}

#[test]
fn a_mistake_that_the_parser_repeats_is_told_once() {
    assert!(problems(&format!("x = {}", "[".repeat(100_000))).len() <= 2);
    assert!(problems(&"=\n".repeat(20_000)).len() <= 20);
}

#[test]
fn rubbish_is_refused_without_a_panic() {
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    for text in [
        format!("a = {deep}"),
        format!("{} = 1", vec!["a"; 100_000].join(".")),
        format!("[{}]", vec!["a"; 100_000].join(".")),
        "a = ".to_owned(),
        "\u{feff}[".to_owned(),
        "\0".to_owned(),
        "=\n".repeat(20_000),
        (0..20_000).map(|number| format!("k{number} = 1\n")).collect(),
        "[apps.\"\\u0000\"]\nurl = \"\\u0000\"".to_owned(),
    ] {
        assert!(read_with(&text, &[]).is_err());
    }
    assert!(
        read_with(SMALLEST, &[("VESTIBULE_APPS", &deep), ("VESTIBULE_", ""), ("VESTIBULE___", "")]).is_err()
    );
}

#[test]
fn a_file_that_can_not_be_read_is_named_with_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("latin1"), b"[server]\n# caf\xe9\n").unwrap();
    std::fs::write(path("large"), vec![b'#'; 10 * 1024 * 1024]).unwrap();
    for (name, said) in [
        ("none", "can't be read: No such file"),
        ("", "is a directory"),
        ("latin1", "is not UTF-8: line 2"),
        ("large", "is larger than 1 MiB"),
    ] {
        let problems = load(&path(name), std::iter::empty()).unwrap_err();
        assert!(problems.to_string().contains(said), "{problems}");
        assert!(problems.to_string().contains(&path(name).display().to_string()), "{problems}");
    }
}
