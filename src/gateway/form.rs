//! A form that is posted to one of our endpoints, read whole: with a limit in bytes and in time.

use std::time::Duration;

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;

use super::failure::Failure;

/// The largest form, in bytes.
const LARGEST: usize = 16 * 1024;

/// How long a form may take to arrive.
const SLOWEST: Duration = Duration::from_secs(10);

/// Whether what is posted says that it is `application/x-www-form-urlencoded`, and once.
pub fn is_urlencoded(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let only = types.next().filter(|_| types.next().is_none()).and_then(|value| value.to_str().ok());
    let essence = only.and_then(|value| value.split(';').next()).unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// The text of a urlencoded form.
///
/// # Errors
/// 400 when it is too large or too slow, breaks off, or is no text.
pub async fn read(body: Incoming) -> Result<String, Failure> {
    let read = tokio::time::timeout(SLOWEST, Limited::new(body, LARGEST).collect()).await;
    let read = read.map_err(|_| Failure::BadRequest("the form did not arrive in time"))?;
    let bytes = read.map_err(|_| Failure::BadRequest("the form is too large or broke off"))?.to_bytes();
    String::from_utf8(bytes.into()).map_err(|_| Failure::BadRequest("the form is not urlencoded"))
}
