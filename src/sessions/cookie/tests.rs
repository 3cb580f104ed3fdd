//! The cookie header read, stripped and written.

use std::time::Duration;

use super::*;
use crate::sessions::store::StoreError;
use http::header::COOKIE;
use proptest::prelude::*;
use url::Url;

const DAY: Duration = Duration::from_secs(86_400);

fn names(origin: &str, configured: Option<&str>, same_site: SameSite) -> CookieNames {
    let settings = CookieSettings { name: configured.map(str::to_owned), same_site, ..Default::default() };
    names_by(origin, &settings)
}

fn names_by(origin: &str, settings: &CookieSettings) -> CookieNames {
    CookieNames::for_origin(&Origin::of(&Url::parse(origin).unwrap()).unwrap(), settings)
}

fn https() -> CookieNames {
    names("https://lms.example.org", None, SameSite::Lax)
}

fn sent(values: &[&str]) -> HeaderMap {
    values.iter().map(|value| (COOKIE, HeaderValue::from_str(value).unwrap())).collect()
}

/// The request that follows when a browser took `set`.
fn returned(set: &[HeaderValue]) -> HeaderMap {
    let pairs: Vec<_> =
        set.iter().map(|value| value.to_str().unwrap().split(';').next().unwrap().to_owned()).collect();
    sent(&[&pairs.join("; ")])
}

fn text(values: Vec<HeaderValue>) -> Vec<String> {
    values.iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

#[test]
fn names_follow_scheme_port_and_configuration() {
    for (origin, configured, name) in [
        ("https://lms.example.org", None, "__Host-vestibule"),
        ("https://lms.example.org:8443", None, "__Host-vestibule-8443"),
        ("http://localhost", None, "vestibule"),
        ("http://127.0.0.1:4180", None, "vestibule-4180"),
        ("https://lms.example.org", Some("sid"), "sid"),
        ("https://lms.example.org:8443", Some("__Host-sid"), "__Host-sid"),
    ] {
        assert_eq!(names(origin, configured, SameSite::Lax).session(), name, "{origin} {configured:?}");
    }
}

fn shared(name: Option<&str>) -> CookieSettings {
    CookieSettings { name: name.map(str::to_owned), domain: Some("example.org".into()), ..Default::default() }
}

#[test]
fn below_a_domain_the_session_is_one_cookie_and_the_logins_stay_each_origins_own() {
    for (origin, configured, session, login) in [
        ("https://lms.example.org", None, "__Secure-vestibule", "__Host-vestibule-login-x"),
        ("https://talk.example.org:8443", None, "__Secure-vestibule", "__Host-vestibule-8443-login-x"),
        ("http://lms.example.org:4180", None, "vestibule", "vestibule-4180-login-x"),
        ("https://talk.example.org", Some("sid"), "sid", "sid-login-x"),
    ] {
        let names = names_by(origin, &shared(configured));
        assert_eq!((names.session(), &*names.login("x")), (session, login), "{origin} {configured:?}");
        let secure = if origin.starts_with("https") { " Secure;" } else { "" };
        let set = text(names.set_session("abc", DAY).unwrap());
        let attributes = format!("; HttpOnly; SameSite=Lax;{secure} Path=/; Domain=example.org");
        assert_eq!(set, [format!("{session}=abc{attributes}; Max-Age=86400")]);
        let gone = text(names.clear(&sent(&[&format!("{session}=abc")]), 0));
        assert!(gone[0].starts_with(&format!("{session}={attributes}; Max-Age=0")), "{gone:?}");
    }
    let realm = |origin: &str| names_by(origin, &shared(None)).realm().to_owned();
    assert_eq!(realm("https://lms.example.org"), realm("https://talk.example.org:8443"));
    assert_ne!(realm("https://lms.example.org"), realm("http://lms.example.org"));
}

#[test]
fn what_was_set_for_the_host_alone_is_deleted_when_the_session_is_shared() {
    let names = names_by("https://lms.example.org", &shared(None));
    let gone = text(names.clear(&sent(&["__Host-vestibule=old; __Secure-vestibule=new"]), 1));
    assert_eq!(gone.len(), 1, "{gone:?}");
    assert!(gone[0].starts_with("__Host-vestibule=;") && !gone[0].contains("Domain"), "{gone:?}");
    // A configured name is the same before and after: which of two is which can't be told, so both go.
    let names = names_by("https://lms.example.org", &shared(Some("sid")));
    let both = sent(&["sid=old; sid=new"]);
    assert_eq!(names.read(&both), Err(Malformed::Duplicate));
    let gone = text(names.clear(&both, 0));
    let of = |words: [bool; 2]| {
        let fits = |set: &&String| words == [set.contains("Domain=example.org"), set.contains("Partitioned")];
        gone.iter().filter(fits).count()
    };
    assert_eq!(
        (gone.len(), of([true, false]), of([false, false]), of([true, true])),
        (3, 1, 1, 1),
        "{gone:?}"
    );
    assert_eq!(names.clear(&sent(&["sid=new"]), 0).len(), 1);
}

#[test]
fn partitioned_cookies_are_so_all_of_them_and_over_tls_alone() {
    let framed = CookieSettings {
        same_site: SameSite::None,
        partitioned: Partitioned::Yes,
        ..CookieSettings::default()
    };
    let names = names_by("https://lms.example.org", &framed);
    let marked = names.mark(Rounds::default()).into_iter();
    for set in text(names.set_session("abc", DAY).unwrap().into_iter().chain(marked).collect()) {
        assert!(set.contains("SameSite=None; Partitioned; Secure") || set.contains("Partitioned"), "{set}");
        assert!(set.contains("SameSite=None") && set.contains("Secure"), "{set}");
    }
    let names = names_by("http://localhost:4180", &framed);
    let set = text(names.set_session("abc", DAY).unwrap());
    assert!(!set[0].contains("Partitioned") && set[0].contains("SameSite=Lax"), "{set:?}");
}

#[test]
fn a_cookie_is_deleted_with_the_attributes_it_was_set_with() {
    let cases = [
        ("https://lms.example.org", SameSite::Lax, "; HttpOnly; SameSite=Lax; Secure; Path=/"),
        ("https://lms.example.org", SameSite::Strict, "; HttpOnly; SameSite=Strict; Secure; Path=/"),
        ("https://lms.example.org", SameSite::None, "; HttpOnly; SameSite=None; Secure; Path=/"),
        ("http://localhost", SameSite::Lax, "; HttpOnly; SameSite=Lax; Path=/"),
        ("http://localhost", SameSite::None, "; HttpOnly; SameSite=Lax; Path=/"),
    ];
    for (origin, same_site, attributes) in cases {
        let names = names(origin, None, same_site);
        let set = names.set_session("abc", DAY).unwrap();
        let name = names.session();
        assert_eq!(text(set.clone()), [format!("{name}=abc{attributes}; Max-Age=86400")]);
        let gone = format!("{name}={attributes}; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(text(names.clear(&returned(&set), 0)), [gone]);
    }
}

#[test]
fn only_what_the_request_brought_and_the_answer_does_not_set_is_deleted() {
    let names = https();
    let brought =
        sent(&["a=1; __Host-vestibule=x; __Host-vestibule.2=y", "__Host-vestibule.1=z; __Host-vestibule=w"]);
    assert_eq!(names.clear(&brought, 0).len(), 4, "what came twice goes with and without its partition");
    let beyond = text(names.clear(&brought, 2));
    let [twice, beyond] = &beyond[..] else { panic!("{beyond:?}") };
    assert!(twice.starts_with("__Host-vestibule=;") && twice.contains("Partitioned"), "{twice}");
    assert!(beyond.starts_with("__Host-vestibule.2=;"));
    assert!(names.clear(&sent(&["a=1; vestibule=x"]), 0).is_empty());
}

#[test]
fn the_session_is_read_out_of_any_cookie_header() {
    let full = "p".repeat(PIECE - 2);
    let pieces = format!("__Host-vestibule=2.{full}; __Host-vestibule.1=tail");
    let stale = format!("__Host-vestibule.2=old; {pieces}");
    type Case<'a> = (&'a [&'a str], Result<Option<&'a [u8]>, Malformed>);
    let cases: [Case<'_>; 14] = [
        (&[], Ok(None)),
        (&["a=b; c=d"], Ok(None)),
        (&["__Host-vestibule=abc"], Ok(Some(b"abc"))),
        (&["a=b;__Host-vestibule = abc ;c=d"], Ok(Some(b"abc"))),
        (&["a=b", "__Host-vestibule=abc"], Ok(Some(b"abc"))),
        (&["__Host-vestibule="], Ok(None)),
        (&["vestibule=abc; __Host-vestibule-8443=abc; __host-vestibule=abc"], Ok(None)),
        (&["__Host-vestibule=abc; __Host-vestibule=abc"], Err(Malformed::Duplicate)),
        (&["__Host-vestibule=abc", "a=b; __Host-vestibule="], Err(Malformed::Duplicate)),
        (&["__Host-vestibule=abc; __Host-vestibule.1=old"], Ok(Some(b"abc"))),
        (&["__Host-vestibule=9.abc"], Err(Malformed::Incomplete)),
        (&["__Host-vestibule=2.abc; __Host-vestibule.1=d"], Err(Malformed::Incomplete)),
        (&["__Host-vestibule=.abc"], Err(Malformed::Incomplete)),
        (&[&stale], Ok(Some(&[full.as_bytes(), b"tail"].concat().leak()[..]))),
    ];
    for (values, expected) in cases {
        let headers = sent(values);
        let read = https().read(&headers);
        assert_eq!(
            read.as_ref().map(|read| read.as_ref().map(Presented::as_bytes)),
            expected.as_ref().map(|e| *e)
        );
    }
    let long = format!("__Host-vestibule={}", "x".repeat(PIECE + 1));
    assert_eq!(https().read(&sent(&[&long])), Err(Malformed::TooLong));
    let lone = format!("__Host-vestibule=3.{full}; __Host-vestibule.2=tail");
    assert_eq!(https().read(&sent(&[&lone])), Err(Malformed::Incomplete));
}

#[test]
fn the_app_gets_its_own_cookies_byte_for_byte_and_none_of_ours() {
    let cases: [(&[&str], &[&str]); 13] = [
        (&["a=b; c=\"d\";e"], &["a=b; c=\"d\";e"]),
        (&["__Host-vestibule=x"], &[]),
        (&["__Host-vestibule=x; a=b"], &["a=b"]),
        (&["a=b; __Host-vestibule=x"], &["a=b"]),
        (&["a=b;  c=d ;__Host-vestibule=x;e=f"], &["a=b;  c=d ;e=f"]),
        (&["a=b", "__Host-vestibule=x; __Host-vestibule.1=y", "c=d; vestibule-8443"], &["a=b", "c=d"]),
        (&["vestibule=1; vestibule-4180=2; __Host-vestibule-4180.3=4; __Secure-vestibule=5"], &[]),
        (&["vestibule-login-ab_c-d=1; __Host-vestibule-8443-login-x=2; a=b"], &["a=b"]),
        (&["vestibule-provider=a; __Host-vestibule-8443-provider=b; a=b"], &["a=b"]),
        (&["a=b; vestibule-operator=x"], &["a=b"]),
        (&["vestibule-providers=a"], &["vestibule-providers=a"]),
        (
            &["vestibules=1; xvestibule=2; vestibule-theme=3; Vestibule=4; vestibule.x=5; vestibule=6"],
            &["vestibules=1; xvestibule=2; vestibule-theme=3; Vestibule=4; vestibule.x=5"],
        ),
        (&["__Host-vestibule=x;; "], &[]),
    ];
    for (before, after) in cases {
        let mut headers = sent(before);
        https().strip_own(&mut headers);
        let kept: Vec<_> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
        let expected: Vec<_> = sent(after).get_all(COOKIE).iter().map(|v| v.as_bytes().to_vec()).collect();
        assert_eq!(kept, expected, "{before:?}");
    }
}

#[test]
fn an_app_sets_its_own_cookies_and_none_of_ours() {
    use http::header::SET_COOKIE;
    let ours = [
        "__Host-vestibule=x; Path=/",
        "vestibule=x",
        " vestibule =x",
        "__Host-vestibule-8443.1=y; Max-Age=0",
        "__Host-vestibule-login-abc=z",
        "=__Host-vestibule=x",
        " = vestibule=x; Path=/a",
        "vestibule",
        "vestibule-operator=x; Path=/",
    ];
    let apps = ["a=1; Path=/", "vestibule-theme=dark", "a=vestibule", "b=; vestibule=1", ""];
    let mut headers = HeaderMap::new();
    for value in ours.into_iter().chain(apps) {
        headers.append(SET_COOKIE, HeaderValue::from_static(value));
    }
    https().strip_set(&mut headers);
    let kept: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
    assert_eq!(kept, apps);
}

#[test]
fn a_session_that_no_browser_would_carry_is_refused() {
    let largest = PIECE * PIECES - 2;
    assert_eq!(https().set_session(&"x".repeat(largest), DAY).unwrap().len(), PIECES);
    let refused = https().set_session(&"x".repeat(largest + 1), DAY).unwrap_err();
    assert!(
        matches!(refused, StoreError::TooLarge { bytes, limit } if bytes == largest + 1 && limit == largest)
    );
}

#[test]
fn a_configured_name_is_a_short_token_without_dots() {
    assert!(is_cookie_name("__Host-sid") && is_cookie_name("a"));
    for bad in ["", "a b", "a=b", "a;b", "a.b", "имя", &"x".repeat(65)] {
        assert!(!is_cookie_name(bad), "{bad}");
    }
}

/// Headers of pairs that are ours, almost ours, and the app's.
fn cookies() -> impl Strategy<Value = Vec<String>> {
    let own = prop_oneof![
        "(__Host-|__Secure-)?vestibule(-[0-9]{1,5})?(\\.[0-9]|-provider|-login-[a-z0-9_-]{1,8})?"
    ];
    let app = "[a-z_]{0,3}(vestibule)?[a-z.=-]{0,4}";
    let pair = (prop_oneof![own, app.prop_map(|s| s)], "(=[!-:<-~\u{e0}-\u{ff} ]{0,9})?");
    let segment = (" {0,2}", pair).prop_map(|(space, (name, value))| format!("{space}{name}{value}"));
    prop::collection::vec(prop::collection::vec(segment, 0..6).prop_map(|pairs| pairs.join(";")), 0..3)
}

proptest! {
    #[test]
    fn stripping_never_leaves_ours_and_never_changes_the_apps_own(values in cookies()) {
        let headers: HeaderMap = values.iter()
            .map(|value| (COOKIE, HeaderValue::from_bytes(value.as_bytes()).unwrap()))
            .collect();
        let own = |segment: &[u8]| {
            let name = segment.split(|b| *b == b'=').next().unwrap_or_default();
            header::is_own(name.trim_ascii(), b"vestibule")
        };
        let segments = |headers: &HeaderMap| -> Vec<Vec<u8>> {
            let values = headers.get_all(COOKIE).iter();
            values.flat_map(|value| value.as_bytes().split(|b| *b == b';').map(<[u8]>::to_vec)).collect()
        };
        let kept = |headers: &HeaderMap| -> Vec<Vec<u8>> {
            let apps = segments(headers).into_iter().filter(|segment| !own(segment));
            apps.map(|segment| segment.trim_ascii_start().to_vec()).filter(|segment| !segment.is_empty()).collect()
        };
        let mut stripped = headers.clone();
        https().strip_own(&mut stripped);
        prop_assert!(!segments(&stripped).iter().any(|segment| own(segment)));
        prop_assert_eq!(kept(&stripped), kept(&headers));
        if !segments(&headers).iter().any(|segment| own(segment)) {
            prop_assert_eq!(stripped, headers);
        }
    }

    #[test]
    fn pieces_come_together_again(length in 1..PIECE * PIECES - 1) {
        let ticket: String = (0..length).map(|at| char::from(b'a' + u8::try_from(at % 26).unwrap())).collect();
        let set = https().set_session(&ticket, DAY).unwrap();
        prop_assert!(set.iter().all(|value| value.len() < 4096));
        let headers = returned(&set);
        let read = https().read(&headers).unwrap().unwrap();
        prop_assert_eq!(read.as_bytes(), ticket.as_bytes());
    }
}
