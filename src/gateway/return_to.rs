//! Addresses to return to: they never leave the app's origin.

use url::Url;

use super::apps::Protected;
use crate::foundation::origin::Origin;

const LONGEST: usize = 2048;

/// The path, query and fragment of an address on the app's origin; `None` for anything that a browser could
/// take for another place.
///
/// `wanted` is a path (`/course?id=3`) or an absolute address of the app's own.
pub fn on_origin(app: &Protected, wanted: &str) -> Option<String> {
    local_part(&app.settings.origin, &app.origin, wanted).filter(|path| app.covers(path_of(path)))
}

/// The path of such an address.
pub fn path_of(target: &str) -> &str {
    target.split(['?', '#']).next().unwrap_or(target)
}

fn local_part(origin: &Origin, origin_text: &str, wanted: &str) -> Option<String> {
    // SECURITY: browsers drop tabs and newlines, and read backslashes as slashes; `//host` is another host.
    let hostile = |byte: u8| byte <= b' ' || byte == b'\\' || byte == 0x7f;
    if wanted.len() > LONGEST || wanted.bytes().any(hostile) {
        return None;
    }
    let absolute = wanted.starts_with("https://") || wanted.starts_with("http://");
    if !absolute && (!wanted.starts_with('/') || wanted.starts_with("//")) {
        return None;
    }
    let url = Url::parse(origin_text).ok()?.join(wanted).ok()?;
    if Origin::of(&url).as_ref() != Some(origin) || !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    // What stands in `Location` is what the parser understood, not what came.
    let mut local = url.path().to_owned();
    // SECURITY: `/.//evil.example` becomes `//evil.example`, which alone would name a host.
    if local.starts_with("//") {
        return None;
    }
    if let Some(query) = url.query() {
        local.push('?');
        local.push_str(query);
    }
    if let Some(fragment) = url.fragment() {
        local.push('#');
        local.push_str(fragment);
    }
    Some(local)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ORIGIN: &str = "https://lms.example.org";

    fn local(wanted: &str) -> Option<String> {
        local_part(&Origin::of(&Url::parse(ORIGIN).unwrap()).unwrap(), ORIGIN, wanted)
    }

    #[test]
    fn only_addresses_on_the_origin_are_kept() {
        for (wanted, kept) in [
            ("/", Some("/")),
            ("/course?id=3&x=%2F#top", Some("/course?id=3&x=%2F#top")),
            ("/курс", Some("/%D0%BA%D1%83%D1%80%D1%81")),
            ("https://lms.example.org/a", Some("/a")),
            ("https://LMS.example.org:443/a", Some("/a")),
            ("//evil.example/", None),
            ("/\\evil.example/", None),
            ("/.//evil.example", None),
            ("/\t/evil.example", None),
            ("https://evil.example/", None),
            ("https://lms.example.org@evil.example/", None),
            ("https://a:b@lms.example.org/", None),
            ("http://lms.example.org/", None),
            ("https:evil.example", None),
            ("javascript:alert(1)", None),
            ("course", None),
            ("", None),
        ] {
            assert_eq!(local(wanted).as_deref(), kept, "{wanted}");
        }
    }

    proptest! {
        #[test]
        fn no_address_to_return_to_leaves_its_origin(wanted in "(/|https?:|[/\\\\.@:;%\t ]|evil\\.example|lms\\.example\\.org|\\PC){0,12}") {
            if let Some(local) = local(&wanted) {
                let there = Url::parse(ORIGIN).unwrap().join(&local).unwrap();
                prop_assert_eq!(there.origin().ascii_serialization(), ORIGIN);
                prop_assert!(local.starts_with('/') && !local.starts_with("//"));
            }
        }
    }
}
