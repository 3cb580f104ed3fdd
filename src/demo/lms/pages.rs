//! The LMS's pages, and the policy that they are shown under.
//!
//! Every text that came with a request is escaped by the templates. None of the pages asks whether the
//! visitor may see it: the gateway did.

use askama::Template;
use http::{HeaderMap, Response, StatusCode};

use super::visitor::{Received, Visitor, received};
use crate::demo::serving;
use crate::foundation::body::Body;

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

#[derive(Template)]
#[template(path = "demo/lms/home.html")]
struct Home<'a> {
    here: &'static str,
    visitor: &'a Visitor,
    identity: &'a [Received],
    others: &'a [Received],
}

#[derive(Template)]
#[template(path = "demo/lms/teachers.html")]
struct Teachers<'a> {
    here: &'static str,
    visitor: &'a Visitor,
}

#[derive(Template)]
#[template(path = "demo/lms/live.html")]
struct Live<'a> {
    here: &'static str,
    visitor: &'a Visitor,
}

#[derive(Template)]
#[template(path = "demo/lms/about.html")]
struct About<'a> {
    here: &'static str,
    visitor: &'a Visitor,
}

#[derive(Template)]
#[template(path = "demo/lms/not_found.html")]
struct NotFound<'a> {
    here: &'static str,
    visitor: &'a Visitor,
}

/// Who is signed in, and the headers that say so.
pub(super) fn home(visitor: &Visitor, headers: &HeaderMap) -> Response<Body> {
    let (identity, others) = received(headers);
    let home = Home { here: "/", visitor, identity: &identity, others: &others };
    serving::page(StatusCode::OK, POLICY, &home)
}

/// The page for teachers; that only teachers see it is a rule of the gateway.
pub(super) fn teachers(visitor: &Visitor) -> Response<Body> {
    serving::page(StatusCode::OK, POLICY, &Teachers { here: "/teachers", visitor })
}

/// The WebSocket and the server-sent events.
pub(super) fn live(visitor: &Visitor) -> Response<Body> {
    serving::page(StatusCode::OK, POLICY, &Live { here: "/live", visitor })
}

/// A page for everybody.
pub(super) fn about(visitor: &Visitor) -> Response<Body> {
    serving::page(StatusCode::OK, POLICY, &About { here: "/about", visitor })
}

/// There is no such page.
pub(super) fn not_found(visitor: &Visitor) -> Response<Body> {
    serving::page(StatusCode::NOT_FOUND, POLICY, &NotFound { here: "", visitor })
}
