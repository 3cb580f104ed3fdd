//! Paths: what is refused outright, what is plain, and which readings a twisted path has.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn readings(path: &str) -> BTreeSet<String> {
    let readings = Path::parse(path).unwrap().readings();
    assert!(readings.is_complete(), "{path}");
    readings.iter().map(|reading| String::from_utf8_lossy(reading).into_owned()).collect()
}

#[test]
fn a_target_that_no_server_should_see_is_refused() {
    let long = format!("/{}", "a".repeat(MAX_PATH));
    let cases = [
        ("", BadPath::NotAbsolute),
        ("admin", BadPath::NotAbsolute),
        ("*", BadPath::NotAbsolute),
        ("http://h/", BadPath::NotAbsolute),
        ("/%", BadPath::BadPercent),
        ("/%2", BadPath::BadPercent),
        ("/%zz", BadPath::BadPercent),
        ("/%u002e", BadPath::BadPercent),
        ("/%%32%65", BadPath::BadPercent),
        ("/a%00", BadPath::Nul),
        ("/a\0", BadPath::Nul),
        ("/a\\b", BadPath::Backslash),
        ("/a b", BadPath::Control),
        ("/a\tb", BadPath::Control),
        ("/a\u{7f}", BadPath::Control),
        ("/a?b", BadPath::Delimiter),
        ("/a#b", BadPath::Delimiter),
        (long.as_str(), BadPath::TooLong),
    ];
    for (path, expected) in cases {
        assert_eq!(Path::parse(path), Err(expected), "{path}");
    }
}

#[test]
fn an_ordinary_path_is_plain() {
    for path in [
        "/",
        "/a",
        "/a/",
        "/a/b.css",
        "/.well-known/x",
        "/a..b/...c",
        "/@u/~x/a=b,c&d!$'()*+:",
        "/A-Z_0",
        "/\"<>^`{|}",
    ] {
        assert!(Path::parse(path).unwrap().is_plain(), "{path}");
        assert_eq!(readings(path), BTreeSet::from([path.to_owned()]));
    }
    for path in ["/.", "/..", "/a/./b", "/a/../b", "/a.", "/a./b", "//", "/a//b", "/;", "/a;b", "/%41", "/я"]
    {
        assert!(!Path::parse(path).unwrap().is_plain(), "{path}");
    }
}

#[test]
fn what_a_client_had_to_encode_is_no_second_reading() {
    for (path, reading) in [
        ("/%D1%84%D0%B0%D0%B9%D0%BB%D1%8B/x", "/файлы/x"),
        ("/файлы/x", "/файлы/x"),
        ("/a%20b", "/a b"),
        ("/u/%40ivan%2B1", "/u/@ivan+1"),
        ("/100%25", "/100%"),
        ("/%7Euser%2D%5f", "/~user-_"),
    ] {
        assert_eq!(readings(path), BTreeSet::from([reading.to_owned()]), "{path}");
    }
}

#[test]
fn a_twisted_path_has_the_readings_of_all_servers() {
    let cases = [
        ("/%61dmin", vec!["/%61dmin", "/admin"]),
        ("/static/../admin", vec!["/static/../admin", "/admin"]),
        ("/static/%2e%2E/admin", vec!["/admin"]),
        ("/static/%2e%2e%2fadmin", vec!["/admin", "/static/..%2fadmin"]),
        ("/static/..%2fadmin", vec!["/admin"]),
        ("/static/..%5cadmin", vec!["/admin"]),
        ("/static/%252e%252e/admin", vec!["/static/%2e%2e/admin", "/admin"]),
        ("/static/%252e%252e%252fadmin", vec!["/admin"]),
        ("/static/..;/admin", vec!["/admin"]),
        ("/static/..;x=1/admin", vec!["/admin"]),
        ("/static/%2e%2e%3b/admin", vec!["/admin"]),
        ("/static/.%2e;a/admin", vec!["/admin"]),
        ("/admin;x/y", vec!["/admin/y"]),
        ("/admin%3bx/y", vec!["/admin/y"]),
        ("//admin", vec!["/admin", "/"]),
        ("/%2fadmin", vec!["/admin", "//admin"]),
        ("//static/admin", vec!["/admin", "/static/admin"]),
        ("/a//../b", vec!["/b", "/a/b"]),
        ("/admin.", vec!["/admin"]),
        ("/admin%20/x", vec!["/admin/x"]),
        ("/static/..%20/admin", vec!["/admin"]),
        ("/admin%0a", vec!["/admin"]),
        ("/admin%3fx", vec!["/admin"]),
        ("/admin%23x", vec!["/admin"]),
        ("/admin%2500.css", vec!["/admin"]),
        ("/static/%c0%ae%c0%ae%c0%afadmin", vec!["/admin"]),
        ("/s/%2e%2e/a/x%2fy/edit", vec!["/a/x%2fy/edit", "/a/x/y/edit"]),
        ("/a/..", vec!["/"]),
        ("/a/.", vec!["/a/"]),
        ("/../../a", vec!["/a"]),
    ];
    for (path, expected) in cases {
        let readings = readings(path);
        for reading in expected {
            assert!(readings.contains(reading), "{path} lacks {reading}: {readings:?}");
        }
    }
}

#[test]
fn a_path_made_to_have_countless_readings_says_so_and_costs_little() {
    let path = format!("/{}", "a%2525252f..;b//%2e%252e./%5c%c0%af%3f%20.;/".repeat(100));
    let readings = Path::parse(&path).unwrap().readings();
    assert!(!readings.is_complete());
    assert!(readings.iter().map(<[u8]>::len).sum::<usize>() < 256 * 1024);
}

#[test]
fn a_path_is_below_a_prefix_when_all_its_readings_are() {
    let cases = [
        ("/lms", "/lms", Below::Yes),
        ("/lms/", "/lms", Below::Yes),
        ("/lms/a%20b/..%2fc", "/lms", Below::Yes),
        ("/lmsx", "/lms", Below::No),
        ("/other", "/lms", Below::No),
        ("/other/%2e", "/lms", Below::No),
        ("/anything//", "", Below::Yes),
        ("/LMS/a", "/lms", Below::Torn),
        ("/lms/../admin", "/lms", Below::Torn),
        ("/lms/..%2fadmin", "/lms", Below::Torn),
        ("/lm%73/a", "/lms", Below::Torn),
        ("/other/..;/lms", "/lms", Below::Torn),
        ("/%D1%84/a", "/%d1%84", Below::Yes),
        ("/%D0%A4/a", "/ф", Below::Torn),
    ];
    for (path, prefix, expected) in cases {
        assert_eq!(Path::parse(path).unwrap().below(prefix), expected, "{path} {prefix}");
    }
}

#[test]
fn letter_case_is_folded_in_every_alphabet() {
    assert_eq!(*fold("/ФАЙЛЫ/Ab\u{212a}ſ".as_bytes()), *"/файлы/abks".as_bytes());
    assert_eq!(*fold(b"/A\xff"), *b"/a\xff");
}

proptest! {
    #[test]
    fn no_text_makes_a_path_panic(path in any::<String>(), tail in "[/.;%2fFeE5cC0]{0,40}") {
        for path in [path.as_str(), &format!("/{path}"), &format!("/{tail}")] {
            if let Ok(path) = Path::parse(path) {
                let readings = path.readings();
                prop_assert!(readings.iter().count() > 0);
                prop_assert!(readings.iter().all(|reading| reading.starts_with(b"/")));
            }
        }
    }
}
