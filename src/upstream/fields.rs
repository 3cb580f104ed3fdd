//! Header fields that are the same for many requests: written once, sent as they are.
//!
//! A field that goes through a `HeaderMap` is hashed, counted, written and dropped for each request, and a
//! signed-in request has a dozen that never change. These stand in the request's head behind its first line;
//! the caller has removed from the request whatever an app could take for one of them.

use std::rc::Rc;

use http::Request;
use http::header::{HeaderName, HeaderValue};

use crate::foundation::body::Body;

/// Header fields as they stand in a message.
#[derive(Clone, Debug, Default)]
pub struct Fields(Rc<[u8]>);

impl Fields {
    /// Writes these fields. Names and values hold no line break by their types, so neither can add a field.
    pub fn written<'a>(fields: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>) -> Self {
        let mut bytes = Vec::new();
        for (name, value) in fields {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        Self(bytes.into())
    }

    /// The fields' bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Where they are kept: equal for clones, and for nothing else while one of them lives.
    pub fn address(&self) -> *const u8 {
        self.0.as_ptr()
    }

    /// These fields and then others.
    #[must_use]
    pub fn and(&self, others: &Self) -> Self {
        Self([&*self.0, &*others.0].concat().into())
    }
}

/// What a connection still has to write by itself, beside what `hyper` hands it.
#[derive(Debug, Default)]
pub(super) struct Insertion {
    bytes: Vec<u8>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Nothing,
    /// `bytes` are the first line that is to come, so long, and the fields that belong behind it.
    Waiting(usize),
    /// `bytes` are a head, of which so many were written.
    Writing(usize),
}

/// A head larger than this does not leave its room to the next one.
const KEPT: usize = 16 * 1024;

impl Insertion {
    /// Gets ready for a request that is about to be handed to `hyper`. Takes the place of what was there, so
    /// that one request's fields can't reach the app with another's.
    pub(super) fn prepare(&mut self, request: &Request<Body>, fields: &Fields) {
        self.bytes.clear();
        self.stage = Stage::Nothing;
        if fields.0.is_empty() {
            return;
        }
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        for part in [request.method().as_str(), " ", target, " HTTP/1.1\r\n"] {
            self.bytes.extend_from_slice(part.as_bytes());
        }
        self.stage = Stage::Waiting(self.bytes.len());
        self.bytes.extend_from_slice(&fields.0);
    }

    /// Takes a head over, with the fields in it, when one is waited for. `None`: it is not, write `head` as it
    /// is. `Some(false)`: these bytes are not the head of the request.
    pub(super) fn take_over(&mut self, head: &[u8]) -> Option<bool> {
        let Stage::Waiting(line) = self.stage else { return None };
        // SECURITY: in any other place the fields would be part of another message (request smuggling), and
        // without them the app would be told of nobody.
        let ours = self.bytes.get(..line).is_some_and(|line| head.starts_with(line));
        if ours {
            self.bytes.extend_from_slice(head.get(line..).unwrap_or_default());
            self.stage = Stage::Writing(0);
        }
        Some(ours)
    }

    /// What is to be written before anything else; empty: nothing.
    pub(super) fn rest(&self) -> &[u8] {
        match self.stage {
            Stage::Writing(written) => self.bytes.get(written..).unwrap_or_default(),
            Stage::Nothing | Stage::Waiting(_) => &[],
        }
    }

    /// Notes that so much of the rest was written.
    pub(super) fn wrote(&mut self, bytes: usize) {
        let Stage::Writing(written) = self.stage else { return };
        self.stage = Stage::Writing(written + bytes);
        if written + bytes >= self.bytes.len() {
            self.stage = Stage::Nothing;
            self.bytes.clear();
            self.bytes.shrink_to(KEPT);
        }
    }

    /// Whether the head of the last request has gone out.
    pub(super) const fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Nothing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> Fields {
        let (name, value) = (HeaderName::from_static("x-user-id"), HeaderValue::from_static("ivan"));
        Fields::written(std::iter::once((&name, &value)))
    }

    fn get(target: &str) -> Request<Body> {
        Request::get(target).body(Body::empty()).unwrap()
    }

    #[test]
    fn fields_stand_behind_the_first_line_of_their_own_request_and_nowhere_else() {
        let mut insertion = Insertion::default();
        insertion.prepare(&get("/a?b"), &fields());
        assert!(!insertion.is_done());
        assert_eq!(insertion.take_over(b"0\r\n\r\nGET /a?b HTTP/1.1\r\n\r\n"), Some(false));
        assert_eq!(insertion.take_over(b"GET /a?bc HTTP/1.1\r\n\r\n"), Some(false));
        assert_eq!(insertion.take_over(b"GET /a?b HTTP/1.1\r\nhost: a\r\n\r\nbody"), Some(true));
        assert_eq!(insertion.take_over(b"more"), None);
        let head = b"GET /a?b HTTP/1.1\r\nx-user-id: ivan\r\nhost: a\r\n\r\nbody";
        assert_eq!(insertion.rest(), head);
        insertion.wrote(5);
        assert_eq!((insertion.rest(), insertion.is_done()), (&head[5..], false));
        insertion.wrote(head.len() - 5);
        assert!(insertion.is_done() && insertion.rest().is_empty());
        assert_eq!(insertion.take_over(b"GET /a?b HTTP/1.1\r\n\r\n"), None);
    }

    #[test]
    fn fields_of_a_request_that_was_not_sent_go_with_no_other() {
        let mut insertion = Insertion::default();
        insertion.prepare(&get("/a"), &fields());
        insertion.prepare(&get("/a"), &Fields::default());
        assert_eq!(insertion.take_over(b"GET /a HTTP/1.1\r\n\r\n"), None);
        assert!(insertion.is_done());
    }
}
