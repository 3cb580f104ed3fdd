//! What a request gathers on its way for the last step, which every path reaches.

use std::sync::Arc;

use http::header::HeaderValue;

use crate::oidc::Provider;
use crate::telemetry::access::Record;

/// What a request leaves behind on its way: its line in the log, and the cookies that its answer sets.
#[derive(Debug)]
pub struct Trail {
    /// What is known of the request so far. A client that goes away drops it, and so it tells of that too.
    pub record: Box<Record>,
    /// `Set-Cookie` values for the answer, whichever it is.
    pub cookies: Vec<HeaderValue>,
    /// Where a sign-in that fails from here on begins anew.
    pub retry: Option<String>,
    /// The provider that a login is with, once that is known.
    pub provider: Option<Arc<Provider>>,
}
