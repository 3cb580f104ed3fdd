//! Ways to an app's sign-out address, and what apps answer there, as they really do.

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_763_775_000);

fn origin() -> Origin {
    Origin::of(&Url::parse("https://lms.example.org").unwrap()).unwrap()
}

fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_static(value));
    }
    headers
}

#[test]
fn who_comes_to_the_address_decides_what_it_does() {
    let (mode, site, dest) = ("sec-fetch-mode", "sec-fetch-site", "sec-fetch-dest");
    let html = ("accept", "text/html");
    for (method, fields, way) in [
        (Method::GET, &[(mode, "navigate"), (site, "same-origin")][..], Some(Way::Navigation)),
        (Method::GET, &[(mode, "navigate"), (site, "none")], Some(Way::Navigation)),
        (Method::POST, &[(mode, "navigate"), (site, "same-site")], Some(Way::Navigation)),
        (Method::GET, &[(mode, "navigate"), (site, "cross-site")], Some(Way::FromElsewhere)),
        (Method::POST, &[html, ("origin", "https://evil.example")], Some(Way::FromElsewhere)),
        (Method::POST, &[html, ("origin", "null")], Some(Way::FromElsewhere)),
        (Method::GET, &[html], Some(Way::Navigation)),
        (Method::GET, &[(mode, "cors"), (site, "same-origin"), (dest, "empty")], Some(Way::Script)),
        (Method::POST, &[(mode, "no-cors"), (site, "same-origin"), (dest, "empty")], Some(Way::Script)),
        (Method::POST, &[("x-requested-with", "XMLHttpRequest")], Some(Way::Script)),
        (Method::GET, &[(mode, "no-cors"), (site, "same-origin"), (dest, "image")], None),
        (Method::GET, &[(mode, "no-cors"), (site, "cross-site"), (dest, "image")], None),
        (Method::GET, &[(mode, "cors"), (site, "cross-site"), (dest, "empty")], None),
        (Method::GET, &[("accept", "image/avif"), ("referer", "https://evil.example/")], None),
        (
            Method::GET,
            &[(mode, "navigate"), (site, "none"), ("sec-purpose", "prefetch")],
            Some(Way::InAdvance),
        ),
        (Method::HEAD, &[(mode, "navigate"), (site, "none")], None),
        (Method::OPTIONS, &[(site, "same-origin")], None),
        (Method::DELETE, &[(site, "same-origin")], None),
    ] {
        assert_eq!(Way::of(&method, &headers(fields), &origin()), way, "{method} {fields:?}");
    }
}

#[test]
fn what_apps_answer_is_read_as_they_mean_it() {
    let at = Url::parse("https://lms.example.org/logout").unwrap();
    let cookies = headers(&[("cookie", "a=1; sid=x"), ("cookie", "jupyterhub-session-id=y")]);
    let to = |path: &str| Said::Left(Some(at.join(path).unwrap()));
    let (left, get, post) = (Said::Left(None), Method::GET, Method::POST);
    let goes_on = |url: &Url| url.path() == "/logout" || url.path() == "/_sso/sign-out";
    for (app, method, status, fields, said) in [
        ("Moodle", &get, 303, &[("location", "https://lms.example.org/")][..], to("/")),
        ("Moodle asks", &get, 200, &[], Said::Stays),
        ("Moodle's plugin", &get, 303, &[("location", "/_sso/sign-out?return=x")], Said::Stays),
        (
            "Django",
            &post,
            302,
            &[("location", "/admin/login/?next=/admin/")],
            to("/admin/login/?next=/admin/"),
        ),
        ("Django's page", &post, 200, &[("set-cookie", "sid=\"\"; Max-Age=0; Path=/")], left.clone()),
        ("Django's CSRF check", &post, 403, &[], Said::Stays),
        ("Django 5", &get, 405, &[], Said::Stays),
        ("Grafana", &get, 302, &[("location", "/login")], to("/login")),
        ("JupyterHub", &get, 302, &[("location", "/hub/login")], to("/hub/login")),
        (
            "JupyterHub's page",
            &get,
            200,
            &[("set-cookie", "jupyterhub-session-id=\"\"; expires=Fri, 22 Nov 2024 01:49:00 GMT; Path=/")],
            left.clone(),
        ),
        (
            "PHP",
            &get,
            200,
            &[("set-cookie", "sid=deleted; expires=Thu, 01-Jan-1970 00:00:01 GMT")],
            left.clone(),
        ),
        ("a cookie of another's", &get, 200, &[("set-cookie", "flash=; Max-Age=0")], Said::Stays),
        ("a cookie that is set", &get, 200, &[("set-cookie", "sid=new; Max-Age=3600")], Said::Stays),
        ("Clear-Site-Data", &get, 200, &[("clear-site-data", "\"cache\", \"cookies\"")], left.clone()),
        ("Clear-Site-Data of less", &get, 200, &[("clear-site-data", "\"cache\"")], Said::Stays),
        ("Redmine asks", &get, 200, &[], Said::Stays),
        ("Redmine", &post, 302, &[("location", "/")], to("/")),
        ("Rails' CSRF check", &post, 422, &[], Said::Stays),
        ("an API", &post, 204, &[], left.clone()),
        ("another slash", &get, 301, &[("location", "/logout/")], Said::Stays),
        ("another scheme", &get, 301, &[("location", "http://lms.example.org/logout")], Said::Stays),
        ("on to the app's form", &get, 302, &[("location", "/logout?really")], Said::Stays),
        (
            "to itself, and left",
            &post,
            303,
            &[("location", "/logout?done"), ("set-cookie", "sid=; Max-Age=0")],
            to("/logout?done"),
        ),
        (
            "elsewhere",
            &get,
            302,
            &[("location", "https://other.example/bye")],
            to("https://other.example/bye"),
        ),
        ("no such page", &get, 404, &[], Said::Stays),
        ("a broken app", &get, 503, &[], left.clone()),
        ("unchanged", &get, 304, &[], Said::Stays),
        ("nowhere", &get, 302, &[], Said::Stays),
    ] {
        let mut answer = Response::new(());
        *answer.status_mut() = http::StatusCode::from_u16(status).unwrap();
        *answer.headers_mut() = headers(fields);
        assert_eq!(Said::of(method, &at, &cookies, &answer, NOW, goes_on), said, "{app}");
    }
}
