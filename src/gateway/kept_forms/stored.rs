//! A form as it is laid aside: two fields that go with it, then its content; and how it takes the marker's place.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, REFERER};
use http::{HeaderValue, Request};

use crate::foundation::body::Body;

/// What stands before the content: each field with its length before it.
pub(super) fn head(kind: &HeaderValue, page: Option<&HeaderValue>) -> Vec<u8> {
    let mut stored = Vec::new();
    for field in [kind.as_bytes(), page.map_or(&[][..], HeaderValue::as_bytes)] {
        // Longer ones were refused, or are of no use.
        let (length, field) = match u16::try_from(field.len()) {
            Ok(length) => (length, field),
            Err(_) => (0, &[][..]),
        };
        stored.extend_from_slice(&length.to_be_bytes());
        stored.extend_from_slice(field);
    }
    stored
}

/// What a request holds in place of the body that it came with.
#[derive(Debug)]
pub struct Instead {
    body: Bytes,
    fields: Option<Fields>,
}

#[derive(Debug)]
struct Fields {
    kind: HeaderValue,
    page: Option<HeaderValue>,
}

impl Instead {
    /// The form that was stored; `None` for anything that was not stored here.
    pub(super) fn of(stored: Bytes) -> Option<Self> {
        let mut body = stored;
        let kind = HeaderValue::from_maybe_shared(field(&mut body)?).ok()?;
        let page = HeaderValue::from_maybe_shared(field(&mut body)?).ok().filter(|page| !page.is_empty());
        Some(Self { body, fields: Some(Fields { kind, page }) })
    }

    /// The very body that came, which had to be read.
    pub(super) const fn unchanged(body: Bytes) -> Self {
        Self { body, fields: None }
    }

    /// The length of the body, in bytes.
    pub(super) const fn len(&self) -> usize {
        self.body.len()
    }

    /// Puts it into the request: its length follows from the body where that is sent.
    pub fn put_into(self, request: &mut Request<Body>) {
        *request.body_mut() = Body::full(self.body);
        let Some(Fields { kind, page }) = self.fields else { return };
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, kind);
        match page {
            Some(page) => drop(headers.insert(REFERER, page)),
            // It would name our own page, where an app must send nobody back to.
            None => drop(headers.remove(REFERER)),
        }
    }
}

/// Cuts a field and the length before it off the beginning.
fn field(rest: &mut Bytes) -> Option<Bytes> {
    let (length, _) = rest.split_first_chunk()?;
    let length = usize::from(u16::from_be_bytes(*length));
    let end = length + 2;
    if rest.len() < end {
        return None;
    }
    let mut field = rest.split_to(end);
    Some(field.split_off(2))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use proptest::prelude::*;

    use super::*;

    fn came_back(instead: Instead) -> (Request<()>, Vec<u8>) {
        let mut request = Request::new(Body::full("marker"));
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        request
            .headers_mut()
            .insert(REFERER, HeaderValue::from_static("https://lms.example.org/_sso/resend"));
        instead.put_into(&mut request);
        let (parts, body) = request.into_parts();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let body = runtime.block_on(body.collect()).unwrap().to_bytes().to_vec();
        (Request::from_parts(parts, ()), body)
    }

    proptest! {
        #[test]
        fn what_was_stored_comes_back_as_it_was(body: Vec<u8>, kind in "[a-z]{1,9}/[a-z]{1,9}", page in "(https://[a-z/]{1,20})?") {
            let page = HeaderValue::try_from(page).unwrap();
            let kind = HeaderValue::try_from(kind).unwrap();
            let mut stored = head(&kind, Some(&page).filter(|page| !page.is_empty()));
            stored.extend_from_slice(&body);
            let (request, back) = came_back(Instead::of(stored.into()).unwrap());
            prop_assert_eq!(back, body);
            prop_assert_eq!(&request.headers()[CONTENT_TYPE], &kind);
            prop_assert_eq!(request.headers().get(REFERER), Some(&page).filter(|page| !page.is_empty()));
        }

        #[test]
        fn what_was_stored_by_nobody_does_no_harm(bytes: Vec<u8>) {
            drop(Instead::of(bytes.into()));
        }
    }

    #[test]
    fn what_was_no_marker_goes_on_as_it_came() {
        let (request, body) = came_back(Instead::unchanged(Bytes::from_static(b"a=1\r\n")));
        assert_eq!(body, b"a=1\r\n");
        assert_eq!(
            (&request.headers()[CONTENT_TYPE], request.headers().len()),
            (&HeaderValue::from_static("text/plain"), 2)
        );
    }
}
