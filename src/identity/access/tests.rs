//! Rules: what patterns fit, which rule decides, and that no trick reaches another rule than the app's
//! reading of the path would.

use percent_encoding::percent_decode;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn rule(paths: &[&str], access: Access) -> Rule {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    Rule::compile(RuleSpec { paths, access, ..RuleSpec::default() }).unwrap()
}

fn fit(rules: &AccessRules, path: &str) -> Result<Fit, Ambiguous> {
    rules.fit(Some(&Method::GET), &Path::parse(path).unwrap())
}

/// Public files, protected pages, and the rest for any signed-in person.
fn usual() -> AccessRules {
    AccessRules::new(vec![
        rule(&["/static/*", "/favicon.ico"], Access::Public),
        rule(&["/admin/*"], Access::SignedIn),
    ])
}

#[test]
fn a_pattern_fits_what_the_documentation_says() {
    let cases: [(&str, &[&str], &[&str]); 11] = [
        (
            "/static/*",
            &["/static/", "/static/a", "/static/a/b", "/static/a%20b", "/static/%D1%84"],
            &["/static", "/statics/a", "/"],
        ),
        ("/favicon.ico", &["/favicon.ico"], &["/favicon.ico/", "/favicon", "/a/favicon.ico"]),
        ("/*", &["/", "/a", "/a/b/"], &[]),
        ("/", &["/"], &["/a"]),
        ("/a*", &["/a", "/abc"], &["/a/b", "/b", "/"]),
        (
            "/u/*/edit",
            &["/u/1/edit", "/u/a-b/edit"],
            &["/u/1/2/edit", "/u/edit", "/u/1/edit/x", "/u/1/editx"],
        ),
        ("/*.css", &["/a.css", "/a.b.css", "/.css"], &["/a/b.css", "/a.css/", "/a.cs"]),
        ("/v*/u*r/*", &["/v1/user/", "/v/ur/a/b", "/v2/urur/x"], &["/v1/user", "/v1/users/x", "/v/1/user/x"]),
        ("/*a*b", &["/xaxb", "/ab", "/aabab"], &["/ba", "/xaxbx", "/a/b"]),
        ("/файлы/*", &["/файлы/x", "/%D1%84%D0%B0%D0%B9%D0%BB%D1%8B/x", "/%d1%84айлы/"], &["/файл/x"]),
        ("/my%20files/100%25", &["/my%20files/100%25"], &["/my/files"]),
    ];
    for (pattern, fitting, others) in cases {
        let rules = AccessRules::new(vec![rule(&[pattern], Access::SignedIn)]);
        for path in fitting {
            assert_eq!(fit(&rules, path), Ok(Fit::Rule(0)), "{pattern} {path}");
        }
        for path in others {
            assert_eq!(fit(&rules, path), Ok(Fit::Default), "{pattern} {path}");
        }
    }
}

#[test]
fn a_pattern_that_could_never_decide_is_refused() {
    for (pattern, expected) in [
        ("static/*", "does not begin"),
        ("*", "does not begin"),
        ("", "does not begin"),
        ("/%", "without two"),
        ("/%4", "without two"),
        ("/я%я", "without two"),
        ("/a?b", "query"),
        ("/a%3fb", "query"),
        ("/a%2Fb", "encoded slash"),
        ("/a\\b", "encoded slash"),
        ("/a%2a", "encoded slash"),
        ("/a;b", "parameter"),
        ("/a//b", "two slashes"),
        ("/a/../b", "segment"),
        ("/a/%2e", "segment"),
        ("/a./b", "segment"),
        ("/a%20", "segment"),
        ("/a\n", "control"),
    ] {
        let spec = RuleSpec { paths: vec![pattern.to_owned()], ..RuleSpec::default() };
        let error = Rule::compile(spec).unwrap_err().0;
        assert!(error.contains(expected), "{pattern}: {error}");
    }
    let too_long = RuleSpec { paths: vec![format!("/{}", "a".repeat(2000))], ..RuleSpec::default() };
    assert!(Rule::compile(too_long).is_err());
    let contradiction =
        RuleSpec { access: Access::Public, allow: Some("true".into()), ..RuleSpec::default() };
    assert!(Rule::compile(contradiction).unwrap_err().0.contains("public"));
    let unreadable = RuleSpec { allow: Some("claims.".into()), ..RuleSpec::default() };
    assert!(Rule::compile(unreadable).is_err());
}

#[test]
fn a_path_that_an_app_could_read_as_another_rule_s_is_ambiguous() {
    let rules = usual();
    for path in [
        "/static/../admin/x",
        "/static/%2e%2e/admin/x",
        "/static/%2e%2e%2fadmin/x",
        "/static/..%2fadmin/x",
        "/static/..%5cadmin/x",
        "/static/%252e%252e/admin/x",
        "/static/..;/admin/x",
        "/static/..;a=b/admin/x",
        "/static//../admin/x",
        "//admin/x",
        "/%2fadmin/x",
        "/admin;x/y",
        "/admin%3bx/y",
        "/;/admin/x",
        "/%61dmin/x",
        "/%2561dmin/x",
        "/Admin/x",
        "/ADMIN/x",
        "/STATIC/x",
        "/PUBLIC/../Admin/x",
        "/Static/../x",
        "/admin./x",
        "/admin%20/x",
        "/./admin/x",
        "/x/../admin/y",
        "/static/%c0%ae%c0%ae/admin/x",
        "//static/admin/x",
        "/favicon.ico;x",
        "/favicon.ico%3fx",
        "/favicon.ico.",
        "/favicon.ico%2500",
        "/Favicon.ico",
        "/favicon%2eico",
        "/static/..",
        "/st%61tic/x",
        "/static/..%20/admin/x",
        "/admin%2fx",
    ] {
        assert!(fit(&rules, path).is_err(), "{path}: {:?}", fit(&rules, path));
    }
}

#[test]
fn nothing_harmless_is_refused() {
    let rules = usual();
    for (path, expected) in [
        ("/", Fit::Default),
        ("/courses/7/;jsessionid=1", Fit::Default),
        ("/files/a%2Fb", Fit::Default),
        ("/wiki//Main_Page", Fit::Default),
        ("/wiki/What%3F", Fit::Default),
        ("/wiki/%D0%9F%D1%80%D0%B8%D0%B2%D0%B5%D1%82...", Fit::Default),
        ("/Courses/Index.ASPX", Fit::Default),
        ("/static/a/../b.css", Fit::Rule(0)),
        ("/static//a.css", Fit::Rule(0)),
        ("/static/a;v=1/b.css", Fit::Rule(0)),
        ("/static/A%20B%2Fc.css", Fit::Rule(0)),
        ("/static/a.", Fit::Rule(0)),
        ("/admin/Users/100%25/..", Fit::Rule(1)),
        ("/administrator", Fit::Default),
    ] {
        assert_eq!(fit(&rules, path), Ok(expected), "{path}");
    }
    let everything = AccessRules::new(vec![rule(&[], Access::Public)]);
    let countless = format!("/{}", "a%2525252f..;b//%2e%252e./%5c%c0%af%3f%20.;/".repeat(100));
    assert_eq!(fit(&everything, &countless), Ok(Fit::Rule(0)));
    assert_eq!(fit(&AccessRules::default(), &countless), Ok(Fit::Default));
    assert!(fit(&rules, &countless).is_err());
}

#[test]
fn the_first_rule_that_fits_path_and_method_decides() {
    let with = |paths: &[&str], methods: &[Method]| {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        Rule::compile(RuleSpec { paths, methods: methods.to_vec(), ..RuleSpec::default() }).unwrap()
    };
    let rules = AccessRules::new(vec![
        with(&["/a/*"], &[Method::GET]),
        with(&["/a/*", "/b"], &[Method::POST, Method::HEAD]),
        with(&["/a/*"], &[]),
        with(&[], &[Method::DELETE]),
    ]);
    let get = Method::from_bytes(b"get").unwrap();
    let cases = [
        (&Method::GET, "/a/x", Fit::Rule(0)),
        (&get, "/c", Fit::Default),
        (&Method::HEAD, "/a/x", Fit::Rule(0)),
        (&Method::POST, "/a/x", Fit::Rule(1)),
        (&Method::PUT, "/a/x", Fit::Rule(2)),
        (&Method::HEAD, "/b", Fit::Rule(1)),
        (&Method::GET, "/b", Fit::Default),
        (&Method::DELETE, "/b", Fit::Rule(3)),
        (&Method::GET, "/c", Fit::Default),
    ];
    for (method, path, expected) in cases {
        assert_eq!(rules.fit(Some(method), &Path::parse(path).unwrap()), Ok(expected), "{method} {path}");
    }
    // An app may take `get` for GET: neither this rule nor one behind it may let it in.
    for (method, path) in [("get", "/a/x"), ("head", "/a/x"), ("Post", "/b"), ("delete", "/c")] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let fit = rules.fit(Some(&method), &Path::parse(path).unwrap());
        assert!(
            fit.is_err_and(|ambiguous| ambiguous.reading.ends_with("by the method in capitals")),
            "{method} {path}"
        );
    }
    for path in ["/a/x", "/b", "/c"] {
        assert!(rules.fit(None, &Path::parse(path).unwrap()).is_err(), "{path}");
    }
    assert_eq!(usual().fit(None, &Path::parse("/static/x").unwrap()), Ok(Fit::Rule(0)));
    let labels =
        [Fit::Rule(0), Fit::Rule(1), Fit::Rule(2), Fit::Rule(3), Fit::Default].map(|fit| rules.label(fit));
    let expected = [
        "rule 1 (GET /a/*)",
        "rule 2 (POST HEAD /a/*, …)",
        "rule 3 (/a/*)",
        "rule 4 (DELETE every path)",
        "default (any signed-in user)",
    ];
    assert_eq!(labels, expected);
}

#[test]
fn a_verdict_is_yes_only_when_the_expression_says_true() {
    let allow = |text: Option<&str>| {
        Rule::compile(RuleSpec { allow: text.map(str::to_owned), ..RuleSpec::default() }).unwrap()
    };
    let rules = AccessRules::new(vec![
        allow(None),
        allow(Some(r#""admins" in claims.groups && claims.email_verified"#)),
        allow(Some("claims.age > 18")),
        allow(Some("claims.missing == 1")),
        allow(Some("claims.age")),
    ]);
    let claims = json!({ "groups": ["admins"], "email_verified": "true", "age": 17 });
    let verdicts = rules.verdicts(&serde_json::from_value(claims).unwrap(), Proof::default());
    assert_eq!(verdicts[..3], [Verdict::Allowed, Verdict::Allowed, Verdict::Refused]);
    assert!(matches!(&verdicts[3], Verdict::Failed(reason) if reason.contains("missing")));
    assert!(matches!(&verdicts[4], Verdict::Failed(_)));
    assert_eq!(Fit::Default.verdict(&verdicts), &Verdict::Allowed);
    assert_eq!(Fit::Rule(2).verdict(&verdicts), &Verdict::Refused);
    assert_eq!(Fit::Rule(9).verdict(&verdicts), &Verdict::Refused);
    assert_eq!(rules.access(Fit::Rule(9)), Access::SignedIn);
}

#[test]
fn who_is_refused_anyway_is_not_asked_for_a_stronger_sign_in() {
    let strong = |allow: &str| {
        let strength = Strength::new(Some("urn:mfa".into()), Some(std::time::Duration::from_secs(60)));
        Rule::compile(RuleSpec { allow: Some(allow.to_owned()), strength, ..RuleSpec::default() }).unwrap()
    };
    let rules = AccessRules::new(vec![
        strong("claims.admin"),
        strong("!claims.admin"),
        rule(&["/a"], Access::SignedIn),
    ]);
    let claims = serde_json::from_value(json!({ "admin": true })).unwrap();
    let auth_time = Some(Timestamp::from_secs(100));
    for (acr, first) in [
        (None, Verdict::Weak(Shortfall::Acr)),
        (Some("urn:mfa"), Verdict::AllowedUntil(Timestamp::from_secs(160))),
    ] {
        let verdicts = rules.verdicts(&claims, Proof { acr, auth_time });
        assert_eq!(verdicts, [first, Verdict::Refused, Verdict::Allowed]);
    }
    let strength = Strength::new(None, Some(std::time::Duration::from_secs(60)));
    let public = RuleSpec { access: Access::Public, strength, ..RuleSpec::default() };
    assert!(Rule::compile(public).unwrap_err().0.contains("public"));
}

/// How apps come from the bytes of a target to the path that they route by, each written apart from the
/// gateway's own twists.
mod apps {
    use super::percent_decode;

    fn unescape(path: &str) -> String {
        percent_decode(path.as_bytes()).decode_utf8_lossy().into_owned()
    }

    fn resolve(path: &str) -> String {
        let mut kept: Vec<&str> = Vec::new();
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        for (number, segment) in segments.iter().enumerate() {
            let last = number + 1 == segments.len();
            match *segment {
                "." if last => kept.push(""),
                "." => {}
                ".." => {
                    kept.pop();
                    if last {
                        kept.push("");
                    }
                }
                segment => kept.push(segment),
            }
        }
        format!("/{}", kept.join("/"))
    }

    fn merge(path: &str) -> String {
        let mut path = path.to_owned();
        while path.contains("//") {
            path = path.replace("//", "/");
        }
        path
    }

    fn bare(path: &str) -> String {
        path.split('/').map(|segment| segment.split(';').next().unwrap()).collect::<Vec<_>>().join("/")
    }

    /// Routes by what came.
    fn raw(path: &str) -> String {
        path.to_owned()
    }

    fn nginx(path: &str) -> String {
        resolve(&merge(&unescape(path)))
    }

    fn go(path: &str) -> String {
        merge(&resolve(&unescape(path)))
    }

    fn tomcat(path: &str) -> String {
        resolve(&merge(&unescape(&bare(path))))
    }

    /// Parameters after decoding, as older frameworks on servlet containers did.
    fn spring(path: &str) -> String {
        bare(&resolve(&merge(&unescape(path))))
    }

    /// `new URL(target, base).pathname`, whose dots may be encoded, decoded by the router afterwards.
    fn node(path: &str) -> String {
        let path = match path.strip_prefix("//") {
            Some(rest) => rest.find('/').map_or("/".to_owned(), |slash| rest[slash..].to_owned()),
            None => path.to_owned(),
        };
        let dots = |segment: &str| match segment.to_lowercase().replace("%2e", ".").as_str() {
            dots @ ("." | "..") => dots.to_owned(),
            _ => segment.to_owned(),
        };
        unescape(&resolve(&path.split('/').map(dots).collect::<Vec<_>>().join("/")))
    }

    fn express(path: &str) -> String {
        path.to_lowercase()
    }

    fn werkzeug(path: &str) -> String {
        merge(&unescape(path))
    }

    /// A rewriting front that decodes, then a script that decodes once more.
    fn php(path: &str) -> String {
        resolve(&unescape(&unescape(path)))
    }

    fn windows(path: &str) -> String {
        let path = resolve(&unescape(path).replace('\\', "/"));
        let trimmed: Vec<&str> =
            path.split('/').map(|segment| segment.trim_end_matches(['.', ' '])).collect();
        merge(&trimmed.join("/")).to_lowercase()
    }

    fn keeps_slashes(path: &str) -> String {
        resolve(&unescape(&path.replace("%2f", "%252f").replace("%2F", "%252F")))
    }

    fn rewriting(path: &str) -> String {
        unescape(path).split(['?', '#']).next().unwrap().to_owned()
    }

    pub(super) const ALL: [fn(&str) -> String; 13] = [
        raw,
        nginx,
        go,
        tomcat,
        spring,
        node,
        express,
        werkzeug,
        php,
        windows,
        keeps_slashes,
        rewriting,
        raw,
    ];
}

fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "/",
        "/",
        "/",
        "//",
        "%2f",
        "%2F",
        "%252f",
        "%5c",
        "%255c",
        "static",
        "admin",
        "Admin",
        "STATIC",
        "%61dmin",
        "st%2561tic",
        "x",
        ".",
        "..",
        "...",
        "%2e",
        "%2E%2e",
        ".%2e",
        "%252e%252e",
        ";",
        ";a=b",
        "%3b",
        "%3Bx",
        "%20",
        "%2520",
        "%3f",
        "%23",
        "%09",
        "%D1%84",
        "%41",
        "favicon.ico",
        "%c0%ae",
        "%25",
        "%252525",
        "host",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn no_trick_reaches_another_rule_than_the_app_s_own_reading(pieces in prop::collection::vec(piece(), 0..9)) {
        let path = format!("/{}", pieces.concat());
        // The rules, said once more in the simplest way.
        let meets = |path: &str| match path {
            path if path.starts_with("/static/") || path == "/favicon.ico" => Fit::Rule(0),
            path if path.starts_with("/admin/") => Fit::Rule(1),
            _ => Fit::Default,
        };
        if let Ok(fit) = fit(&usual(), &path) {
            for (number, app) in apps::ALL.iter().enumerate() {
                let read = app(&path);
                prop_assert_eq!(meets(&read), fit, "app {} reads {} as {}", number, path, read);
                prop_assert_eq!(meets(&read.to_lowercase()), fit, "app {} reads {} as {}", number, path, read);
            }
        }
    }

    #[test]
    fn a_plain_path_meets_the_same_rule_by_its_short_cut_as_by_its_readings(path in "/[a-zA-Z/*.]{0,12}", pattern in "/[a-c*/]{0,6}") {
        let spec = RuleSpec { paths: vec![pattern], ..RuleSpec::default() };
        let (Ok(rule), Ok(path)) = (Rule::compile(spec), Path::parse(&path)) else { return Ok(()) };
        let rules = AccessRules::new(vec![rule]);
        let raw = path.as_str().as_bytes();
        if path.is_plain() {
            prop_assert_eq!(rules.fit(None, &path), rules.first(None, raw, &fold(raw)));
        }
    }
}

#[test]
fn an_expression_that_asks_for_no_claim_has_to_be_a_yes_or_a_no() {
    let compile = |allow: &str| {
        Rule::compile(RuleSpec { allow: Some(allow.to_owned()), ..RuleSpec::default() }).map(drop)
    };
    for allow in ["1 + 1", "'admins'", "[true]", "null", "1 / 0 == 1", "'a'.size()"] {
        let error = compile(allow).expect_err(allow);
        assert!(error.to_string().contains("is true or false"), "{error}");
    }
    for allow in ["true", "false", "1 < 2", "claims.age", "claims.age / 0 == 1"] {
        assert_eq!(compile(allow), Ok(()), "{allow}");
    }
}
