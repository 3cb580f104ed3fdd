//! No `Cookie` header panics; what is ours is never left for the app; nothing sealed opens by chance.
#![no_main]

use http::HeaderMap;
use http::header::{COOKIE, HeaderValue};
use libfuzzer_sys::fuzz_target;
use url::Url;
use vestibule::foundation::origin::Origin;
use vestibule::foundation::sealing::{KeyRing, Purpose, RootKey};
use vestibule::sessions::{CookieNames, CookieSettings};

fuzz_target!(|bytes: &[u8]| {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(COOKIE, value);
        }
    }
    for (address, domain) in [
        ("https://lms.example.org", None),
        ("https://lms.example.org", Some("example.org")),
        ("http://127.0.0.1:4180", None),
    ] {
        let Some(origin) = Url::parse(address).ok().and_then(|url| Origin::of(&url)) else { return };
        let settings = CookieSettings { domain: domain.map(str::to_owned), ..CookieSettings::default() };
        let names = CookieNames::for_origin(&origin, &settings);
        if let Ok(Some(presented)) = names.read(&headers) {
            let ring = KeyRing::new(&RootKey::generate(), &[]);
            assert!(ring.open(Purpose::LoginCookie, names.realm().as_bytes(), presented.as_bytes()).is_none());
        }
        let mut left = headers.clone();
        names.strip_own(&mut left);
        assert!(matches!(names.read(&left), Ok(None)), "ours is gone: {left:?}");
        let _ = (names.clear(&headers, 0), names.came_back(&headers));
    }
});
