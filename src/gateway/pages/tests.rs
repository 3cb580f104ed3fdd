//! Every page in both languages: complete, closed to the outside, and safe to show hostile text.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http_body_util::BodyExt as _;

use super::*;
use crate::identity::mapping::Missing;

mod contrast;
mod every;

use every::{all_pages, missing};

const LANGUAGES: [Language; 2] = [Language::English, Language::Russian];
const LOGO: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E\
    %3Crect width='32' height='32' rx='9' fill='%232157c4'/%3E%3Cpath d='M9 21V11l7 6 7-6v10' fill='none' \
    stroke='%23fff' stroke-width='3'/%3E%3C/svg%3E";

fn branded() -> Pages {
    Pages::new(Branding { name: Some("Школа № 7".to_owned()), logo: Some(LOGO.to_owned()) })
}

fn read(response: Response<Body>) -> (StatusCode, HeaderMap, String) {
    let (parts, body) = response.into_parts();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let bytes = runtime.block_on(body.collect()).unwrap().to_bytes();
    (parts.status, parts.headers, String::from_utf8(bytes.to_vec()).unwrap())
}

fn html(page: Page<'_>) -> String {
    read(branded().render(&page, Language::English)).2
}

fn is_plain(page: &Page<'_>) -> bool {
    page.status() == StatusCode::MISDIRECTED_REQUEST
}

#[test]
fn every_page_is_written_out_for_looking_at() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/pages");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, page) in all_pages(&missing()) {
        for language in LANGUAGES {
            let (.., text) = read(branded().render(&page, language));
            let ending = if is_plain(&page) { "txt" } else { "html" };
            std::fs::write(folder.join(format!("{name}.{}.{ending}", language.tag())), text).unwrap();
        }
    }
}

#[test]
fn no_text_is_missing_and_none_is_the_same_in_both_languages() {
    for (name, text) in texts::ALL {
        let [english, russian] = LANGUAGES.map(|language| text.in_language(language));
        assert!(!english.trim().is_empty() && !russian.trim().is_empty(), "{name} is missing");
        assert_ne!(english, russian, "{name}");
        assert!(english.chars().all(|c| !('\u{400}'..='\u{4ff}').contains(&c)), "{name}: {english}");
        assert!(russian.chars().any(|c| ('\u{400}'..='\u{4ff}').contains(&c)), "{name}: {russian}");
    }
}

#[test]
fn every_page_says_in_its_language_what_happened_and_carries_its_reference() {
    for (name, page) in all_pages(&missing()) {
        for language in LANGUAGES {
            let (status, headers, text) = read(branded().render(&page, language));
            let summary = page.summary();
            assert_eq!(status, page.status(), "{name}");
            for part in [summary.heading, summary.what] {
                assert!(text.contains(part.in_language(language)), "{name}");
            }
            if is_plain(&page) {
                continue;
            }
            assert!(text.contains(summary.advice.in_language(language)), "{name}");
            assert!(text.contains(&format!("<html lang=\"{}\">", language.tag())), "{name}");
            assert_eq!(headers[CONTENT_LANGUAGE], language.tag(), "{name}");
            assert!(page.reference().is_none_or(|reference| text.contains(reference)), "{name}");
            assert!(text.contains("Школа № 7"), "{name}");
        }
    }
}

#[test]
fn a_screen_reader_finds_one_heading_in_one_main_part() {
    for (name, page) in all_pages(&missing()).into_iter().filter(|(_, page)| !is_plain(page)) {
        let text = html(page);
        for once in ["<main>", "<h1>", "<title>", "<html lang=", "name=\"viewport\""] {
            assert_eq!(text.matches(once).count(), 1, "{name}: {once}");
        }
        assert_eq!(text.matches("<svg").count(), text.matches("aria-hidden=\"true\"").count(), "{name}");
        assert_eq!(text.matches("<img").count(), text.matches("alt=\"").count(), "{name}");
    }
}

#[test]
fn no_page_loads_anything_and_none_but_the_one_that_sends_runs_anything() {
    for (name, page) in all_pages(&missing()).into_iter().filter(|(_, page)| !is_plain(page)) {
        let (_, headers, mut text) = read(branded().render(&page, Language::English));
        let policy = headers["content-security-policy"].to_str().unwrap();
        if matches!(page, Page::SendForm { .. }) {
            let hash = STANDARD.encode(digest(&SHA256, SCRIPT.as_bytes()));
            assert!(policy.contains(&format!("script-src 'sha256-{hash}';")), "{policy}");
            let without = text.replacen(SCRIPT, "", 1);
            assert_eq!(without.matches("<script data-when=\"").count(), 1, "{name}");
            text = without.replacen("<script", "", 1);
        } else {
            assert!(!policy.contains("script-src"), "{name}: {policy}");
        }
        for never in ["<script", "<iframe", "<object", "@import", "url(", " style=", "http-equiv", "srcset"] {
            assert!(!text.contains(never), "{name}: {never}");
        }
        for attribute in ["src=\"", "<link rel=\"icon\" href=\""] {
            for address in text.split(attribute).skip(1) {
                assert!(address.starts_with("data:"), "{name}: {address:.40}");
            }
        }
    }
}

#[test]
fn the_policy_allows_the_very_style_that_is_inlined() {
    for (name, page) in all_pages(&missing()).into_iter().filter(|(_, page)| !is_plain(page)) {
        let (_, headers, text) = read(branded().render(&page, Language::Russian));
        let style = text.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
        let hash = STANDARD.encode(digest(&SHA256, style.as_bytes()));
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains(&format!("style-src 'sha256-{hash}'")), "{name}: {policy}");
        // Some are for frames, and hold nothing but a link.
        let framed = matches!(
            page,
            Page::InFrame { .. } | Page::FormKept { .. } | Page::NothingSent { unsent: Unsent::InFrame, .. }
        );
        let ancestors = if framed { "*" } else { "'none'" };
        let ancestors = format!("frame-ancestors {ancestors}");
        for part in ["default-src 'none'", "base-uri 'none'", &ancestors, "img-src data:"] {
            assert!(policy.contains(part), "{name}: {policy}");
        }
        let elsewhere = policy.replace(&ancestors, "");
        assert!(!policy.contains("unsafe") && !elsewhere.contains('*'), "{name}: {policy}");
        assert!(!text.contains("<form") || !policy.contains("form-action 'none'"), "{name}: {policy}");
    }
}

#[test]
fn every_answer_is_kept_by_nobody_and_taken_for_nothing_else() {
    for (name, page) in all_pages(&missing()) {
        for form in [Form::Page, Form::Problem] {
            let (status, headers, _) = read(branded().answer(&page, form, Language::English));
            assert_eq!(headers["cache-control"], "no-store", "{name}");
            assert_eq!(headers["x-content-type-options"], "nosniff", "{name}");
            assert!(
                headers["content-security-policy"].to_str().unwrap().contains("default-src 'none'"),
                "{name}"
            );
            assert!(headers.contains_key("referrer-policy"), "{name}");
            assert_eq!(headers.contains_key("retry-after"), status == 503, "{name}");
        }
    }
}

#[test]
fn forms_may_go_where_they_must_and_tell_us_where_they_were() {
    let fields = [("id_token_hint", "x")];
    let confirm = |provider| Page::ConfirmSignOut {
        action: "/_sso/sign-out",
        ticket: "t",
        return_to: None,
        stay: "/",
        provider,
    };
    for (page, forms, referrer) in [
        (confirm(Provider::None), "form-action 'self';", "same-origin"),
        (confirm(Provider::Https), "form-action 'self' https:;", "same-origin"),
        (confirm(Provider::Http), "form-action 'self' https: http:;", "same-origin"),
        (
            Page::PostToProvider { action: "https://id.example.org/e", fields: &fields },
            "form-action 'self' https:;",
            "same-origin",
        ),
        (
            Page::PostToProvider { action: "http://127.0.0.1:9/e", fields: &fields },
            "form-action 'self' https: http:;",
            "same-origin",
        ),
        (
            Page::SignInFailed { cause: SignInCause::Expired, reference: "R", retry: Some("/") },
            "form-action 'none';",
            "no-referrer",
        ),
    ] {
        let (_, headers, _) = read(branded().render(&page, Language::English));
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains(forms), "{policy}");
        assert_eq!(headers["referrer-policy"], referrer);
    }
}

#[test]
fn hostile_text_stays_text() {
    let hostile = "\"><script>alert(1)</script><img src=x onerror='alert(2)'>&amp;";
    let missing = [Missing { header: "X".to_owned(), source: hostile.to_owned() }];
    let pages = Pages::new(Branding {
        name: Some(hostile.to_owned()),
        logo: Some(format!("data:image/png,{hostile}")),
    });
    let fields = [(hostile, hostile)];
    let address = format!("/{hostile}");
    for page in [
        Page::NotAllowed {
            reason: NotAllowed::MissingClaims(&missing),
            person: Some(hostile),
            sign_out: &address,
            reference: hostile,
        },
        Page::ConfirmSignOut {
            action: &address,
            ticket: hostile,
            return_to: Some(hostile),
            stay: &address,
            provider: Provider::None,
        },
        Page::PostToProvider { action: "https://id.example.org/\"><script>", fields: &fields },
    ] {
        let (.., text) = read(pages.render(&page, Language::English));
        for never in ["<script", "<img src=x", "onerror='"] {
            assert!(!text.contains(never), "{never} in {text}");
        }
    }
}

#[test]
fn an_address_that_is_no_site_makes_no_button() {
    for (address, shown) in [
        ("/course", true),
        ("https://lms.example.org/course", true),
        ("http://127.0.0.1:8080/", true),
        ("javascript:alert(1)", false),
        ("data:text/html,x", false),
        ("//evil.example", false),
        ("/\\evil.example", false),
        ("course", false),
        ("", false),
    ] {
        let page = Page::Failure { kind: FailureKind::AppUnreachable, reference: "R", retry: Some(address) };
        assert_eq!(html(page).contains("class=\"button\""), shown, "{address}");
    }
}

#[test]
fn a_logo_from_elsewhere_is_not_shown() {
    let pages = Pages::new(Branding { name: None, logo: Some("https://cdn.example/logo.png".to_owned()) });
    let page = Page::SignedOut { sign_in_again: "/", provider: AtProvider::Ended };
    let (.., text) = read(pages.render(&page, Language::English));
    assert!(!text.contains("cdn.example") && !text.contains("<header>"), "{text}");
}

#[test]
fn a_host_that_no_app_has_is_answered_in_plain_text() {
    let page = Page::Failure { kind: FailureKind::UnknownHost, reference: "R", retry: None };
    let (status, headers, text) = read(branded().answer(&page, Form::Page, Language::English));
    assert_eq!(status, 421);
    assert_eq!(headers[CONTENT_TYPE], "text/plain; charset=utf-8");
    assert_eq!(text, "No such app. There is no app of this name here.\n");
    let (_, headers, _) = read(branded().answer(&page, Form::Problem, Language::English));
    assert_eq!(headers[CONTENT_TYPE], "text/plain; charset=utf-8");
}

#[test]
fn a_script_gets_the_same_facts_as_a_problem() {
    let missing = missing();
    let page = Page::NotAllowed {
        reason: NotAllowed::MissingClaims(&missing),
        person: None,
        sign_out: "/_sso/sign-out",
        reference: "7K3M9Q2XWT",
    };
    let (status, headers, text) = read(branded().answer(&page, Form::Problem, Language::English));
    assert_eq!(status, 403);
    assert_eq!(headers[CONTENT_TYPE], "application/problem+json");
    let problem: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(problem["type"], "urn:vestibule:problem:claim-missing");
    assert_eq!(problem["status"], 403);
    assert_eq!(problem["title"], "You don’t have access");
    assert_eq!(problem["reference"], "7K3M9Q2XWT");
    assert_eq!(problem["missing"], serde_json::json!(["custom_fields.snils", "phone_number"]));
    assert!(problem["detail"].is_string() && problem.get("sign_in").is_none());
}

#[test]
fn a_script_without_a_session_is_told_where_to_sign_in() {
    let address = "https://lms.example.org/_sso/sign-in";
    let (status, headers, text) = read(sign_in_needed(address, Language::Russian));
    assert_eq!(status, 401);
    assert_eq!(headers[CONTENT_TYPE], "application/problem+json");
    assert_eq!(headers["cache-control"], "no-store");
    let problem: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(problem["sign_in"], address);
    assert_eq!(problem["title"], "Нужно войти");
}
