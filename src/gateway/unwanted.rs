//! Bodies that nobody wants: what is still being sent when the answer is there already.
//!
//! A connection that is closed over unread bytes is reset, and many systems throw away by that what has arrived and was
//! not read yet (RFC 9112 section 9.6): the browser shows its own error in place of our answer.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::EXPECT;
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

/// How much is read of one, in bytes.
const MOST: usize = 64 << 20;

/// How long it is read.
const LONGEST: Duration = Duration::from_secs(60);

/// Reads off a body beside the answer, so that its sender can read that; `headers` are those it came with. To be called
/// on a worker's own thread.
pub fn read_off(mut body: Incoming, headers: &HeaderMap) {
    // Most have none; who waits for a word to go on has sent nothing yet, and gets the answer instead.
    if body.is_end_stream() || headers.contains_key(EXPECT) {
        return;
    }
    tokio::task::spawn_local(tokio::time::timeout(LONGEST, async move {
        let mut rest = MOST;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            let Some(left) = rest.checked_sub(length) else { return };
            rest = left;
        }
    }));
}
