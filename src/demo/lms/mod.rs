//! A sample LMS, «Учебный портал»: an app that knows nothing of sign-in and believes its identity headers.
//!
//! It stands for the apps that the gateway is made for: no login page, no session, no check of its own on
//! `/teachers`. Everything that keeps people out of it is the gateway before it.

mod live;
mod pages;
#[cfg(test)]
mod tests;
mod visitor;

use std::sync::Arc;

use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::sync::Semaphore;

use self::visitor::Visitor;
use super::serving;
use crate::foundation::body::Body;
use crate::foundation::clock::Clock;

/// WebSockets open at once.
const MAX_SOCKETS: usize = 64;

/// The LMS.
pub(super) struct Lms {
    clock: Clock,
    sockets: Arc<Semaphore>,
}

impl Lms {
    /// An LMS that tells the time by this clock.
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, sockets: Arc::new(Semaphore::new(MAX_SOCKETS)) }
    }

    /// Answers one request.
    pub(super) async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        if request.uri().path() == "/live/socket" {
            return self.socket(request);
        }
        let (parts, _) = request.into_parts();
        if !matches!(parts.method, Method::GET | Method::HEAD) {
            return serving::method_not_allowed("GET, HEAD");
        }
        self.page(&parts)
    }

    fn page(&self, parts: &Parts) -> Response<Body> {
        let visitor = Visitor::read(&parts.headers);
        match parts.uri.path() {
            "/" => pages::home(&visitor, &parts.headers),
            "/teachers" | "/teachers/" => pages::teachers(&visitor),
            "/live" => pages::live(&visitor),
            "/about" => pages::about(&visitor),
            "/events" => live::events(&self.clock),
            "/static/style.css" => serving::asset("text/css; charset=utf-8", include_str!("../style.css")),
            "/static/live.js" => {
                serving::asset("text/javascript; charset=utf-8", include_str!("static/live.js"))
            }
            "/static/icon.svg" => serving::asset("image/svg+xml", include_str!("static/icon.svg")),
            path if path.starts_with("/static/") => serving::empty(StatusCode::NOT_FOUND),
            _ => pages::not_found(&visitor),
        }
    }
}
