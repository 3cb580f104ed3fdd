//! What a hidden frame of the app's gets instead of a page: a message to the window around it, by the one script
//! that we have, or the word to come again.
//!
//! A message may stand in a frame of the app's own origin alone, the word to come again in one of its own site.

use askama::Template;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde_json::Value;

use super::policy;
use crate::foundation::body::Body;

const SCRIPT: &str = include_str!("frame.js");

#[derive(Template)]
#[template(path = "gateway/pages/frame.html")]
struct Frame<'a> {
    origin: &'a str,
    message: String,
    script: &'static str,
}

/// Tells the window around the frame, if it is a page of `origin`.
pub fn message(origin: &str, message: &Value) -> Response<Body> {
    // SECURITY: the receiver is named: whoever else should have got the frame into a window hears nothing.
    let frame = Frame { origin, message: message.to_string(), script: SCRIPT };
    let mut response = Response::new(Body::full(frame.render().unwrap_or_default()));
    policy::complete(&mut response, StatusCode::OK);
    let hash = STANDARD.encode(digest(&SHA256, SCRIPT.as_bytes()));
    let allowed = format!(
        "default-src 'none'; script-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    );
    let headers = response.headers_mut();
    // Base64 and the words above are all visible ASCII, so the stricter policy always gives way.
    if let Ok(allowed) = HeaderValue::try_from(allowed) {
        headers.insert(CONTENT_SECURITY_POLICY, allowed);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

/// Lets an answer that nobody may frame stand in a frame of these pages.
///
/// SECURITY: for a step on the way, and for pages on which nothing can be pressed that another site must not have
/// pressed (clickjacking).
pub fn allow(mut response: Response<Body>, embedders: &str) -> Response<Body> {
    let headers = response.headers_mut();
    let policy = headers.get(CONTENT_SECURITY_POLICY).and_then(|policy| policy.to_str().ok());
    let rest = policy.and_then(|policy| policy.strip_suffix(policy::NOBODY));
    let allowed = rest.map(|rest| HeaderValue::try_from(format!("{rest}{embedders}")));
    // Hosts and the words of a policy are all visible ASCII, so the stricter one always gives way.
    if let Some(Ok(allowed)) = allowed {
        headers.insert(CONTENT_SECURITY_POLICY, allowed);
    }
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use serde_json::json;

    use super::*;
    use crate::gateway::Branding;
    use crate::gateway::pages::{Language, Page, Pages};

    fn text(response: Response<Body>) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let bytes = runtime.block_on(response.into_body().collect()).unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn a_message_is_data_and_the_only_script_is_the_one_that_is_allowed() {
        let told = json!({"type": "vestibule:silent", "error": "\"></script><script>alert(1)</script>"});
        let response = message("https://lms.example.org", &told);
        let allowed = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        let text = text(response);
        let scripts: Vec<&str> = text.split("<script").skip(1).collect();
        let [script] = scripts.as_slice() else { panic!("{text}") };
        let script = script.split_once('>').unwrap().1.split_once("</script>").unwrap().0;
        assert!(allowed.contains(&STANDARD.encode(digest(&SHA256, script.as_bytes()))), "{allowed} {text}");
        assert!(allowed.contains("frame-ancestors 'self'") && allowed.contains("default-src 'none'"));
        assert!(text.contains("data-origin=\"https://lms.example.org\""));
    }

    #[test]
    fn the_page_in_a_frame_opens_a_window_that_has_no_hold_on_it() {
        let page = Page::InFrame { open: "https://lms.example.org/course/7?a=1&b=2" };
        let text = text(Pages::new(Branding::default()).render(&page, Language::English));
        let link = "href=\"https://lms.example.org/course/7?a=1&#38;b=2\" target=\"_blank\" rel=\"noopener\"";
        assert!(text.contains(link), "{text}");
        assert_eq!((text.matches("<a ").count(), text.matches("<form").count()), (1, 0));
    }
}
