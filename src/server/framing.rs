//! Follows where one request ends and the next begins, in the bytes as they arrive.
//!
//! `hyper` reads the requests; this looks over its shoulder for what `hyper` does not tell: that a request
//! gave its length in two ways, and whether a body is still owed. It never decides what the bytes mean.

/// A line that is split over two reads is kept up to here; only the names of two fields matter in it.
const LINE: usize = 256;

/// The place in the stream of requests of one connection.
#[derive(Debug, Default)]
pub(super) struct Framing {
    stage: Stage,
    /// The beginning of a line whose end has not arrived.
    partial: Vec<u8>,
    begun: bool,
    length: Option<u64>,
    chunked: bool,
    heads: u64,
    contradiction: Option<u64>,
    encoded: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Head,
    Body(u64),
    ChunkSize {
        size: u64,
        extension: bool,
    },
    ChunkData(u64),
    ChunkEnd,
    Trailers,
    /// Not followed any further: `hyper` refuses what comes, or closes after it.
    Lost,
}

impl Framing {
    /// Whether the request with this number (the first is 0) gave both a `Content-Length` and a
    /// `Transfer-Encoding`.
    pub(super) const fn is_contradictory(&self, request: u64) -> bool {
        matches!(self.contradiction, Some(number) if number == request)
    }

    /// Whether any request so far may have to be refused: the usual connection need not be asked further.
    pub(super) const fn is_suspicious(&self) -> bool {
        self.encoded || self.contradiction.is_some() || matches!(self.stage, Stage::Lost)
    }

    /// Whether the client has begun a body and still owes the rest.
    pub(super) const fn is_mid_body(&self) -> bool {
        !matches!(self.stage, Stage::Head | Stage::Lost)
    }

    /// Whether the client has begun a head and not finished it.
    pub(super) const fn is_mid_head(&self) -> bool {
        matches!(self.stage, Stage::Head) && (self.begun || !self.partial.is_empty())
    }

    /// Whether the client may still be sending what nobody is going to read.
    pub(super) const fn is_cut_short(&self) -> bool {
        self.begun || !matches!(self.stage, Stage::Head)
    }

    /// Takes in the bytes that were just read.
    pub(super) fn observe(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.stage {
                Stage::Lost => return,
                Stage::Head | Stage::Trailers => bytes = self.lines(bytes),
                Stage::Body(left) => bytes = self.skip(bytes, left, Stage::Body, Stage::Head),
                Stage::ChunkData(left) => bytes = self.skip(bytes, left, Stage::ChunkData, Stage::ChunkEnd),
                Stage::ChunkSize { .. } | Stage::ChunkEnd => {
                    let Some((&byte, rest)) = bytes.split_first() else { return };
                    self.stage = self.chunk_byte(byte);
                    bytes = rest;
                }
            }
        }
    }

    fn skip<'a>(&mut self, bytes: &'a [u8], left: u64, more: fn(u64) -> Stage, done: Stage) -> &'a [u8] {
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let left = left.saturating_sub(u64::try_from(here).unwrap_or(u64::MAX));
        self.stage = if left == 0 { done } else { more(left) };
        bytes.get(here..).unwrap_or_default()
    }

    fn chunk_byte(&self, byte: u8) -> Stage {
        match (self.stage, byte) {
            (Stage::ChunkEnd, b'\n') => Stage::ChunkSize { size: 0, extension: false },
            (Stage::ChunkEnd, b'\r') => Stage::ChunkEnd,
            (Stage::ChunkSize { size: 0, .. }, b'\n') => Stage::Trailers,
            (Stage::ChunkSize { size, .. }, b'\n') => Stage::ChunkData(size),
            (Stage::ChunkSize { extension: true, .. }, _) => self.stage,
            (Stage::ChunkSize { size, .. }, b';' | b'\r' | b' ' | b'\t') => {
                Stage::ChunkSize { size, extension: true }
            }
            (Stage::ChunkSize { size, .. }, digit) => match char::from(digit).to_digit(16) {
                Some(digit) => {
                    let size = size.saturating_mul(16).saturating_add(u64::from(digit));
                    Stage::ChunkSize { size, extension: false }
                }
                None => Stage::Lost,
            },
            _ => Stage::Lost,
        }
    }

    /// Takes in lines until the head or the trailers are over; gives what comes after them.
    fn lines<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let mut rest = bytes;
        for end in memchr::memchr_iter(b'\n', bytes) {
            let (line, after) = rest.split_at(end + 1 - (bytes.len() - rest.len()));
            rest = after;
            if self.partial.is_empty() {
                self.whole_line(line);
            } else {
                let mut whole = std::mem::take(&mut self.partial);
                whole.extend_from_slice(line);
                self.whole_line(&whole);
                whole.clear();
                self.partial = whole;
            }
            if !matches!(self.stage, Stage::Head | Stage::Trailers) {
                return rest;
            }
        }
        let room = LINE.saturating_sub(self.partial.len()).min(rest.len());
        self.partial.extend_from_slice(rest.get(..room).unwrap_or_default());
        &[]
    }

    #[inline]
    fn whole_line(&mut self, line: &[u8]) {
        // Most lines are neither the first nor the last of a head, nor about its length.
        if self.begun && !matches!(line.first(), Some(b'c' | b'C' | b't' | b'T' | b'\r' | b'\n')) {
            return;
        }
        let empty = matches!(line, b"\n" | b"\r\n");
        match self.stage {
            Stage::Trailers if empty => self.stage = Stage::Head,
            // Empty lines before a request are skipped, as `hyper` does.
            Stage::Head if empty && self.begun => self.head_ended(),
            Stage::Head if !empty => {
                // SECURITY: a fragment is no part of a request's target (RFC 9112 section 3.2.1); `http` drops it
                // in silence, while another reader on the way may have matched it.
                if !self.begun && line.contains(&b'#') {
                    self.contradiction.get_or_insert(self.heads);
                }
                self.begun = true;
                self.field(line);
            }
            _ => {}
        }
    }

    fn field(&mut self, line: &[u8]) {
        if !matches!(line.first(), Some(b'c' | b'C' | b't' | b'T')) {
            return;
        }
        let Some(colon) = line.iter().take(32).position(|&byte| byte == b':') else { return };
        let (name, value) = line.split_at(colon);
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.chunked = true;
            self.encoded = true;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            let length = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
            match length {
                Some(length) => self.length = Some(length),
                // `hyper` refuses it.
                None => self.stage = Stage::Lost,
            }
        }
    }

    fn head_ended(&mut self) {
        self.stage = match (self.chunked, self.length) {
            (true, Some(_)) => {
                self.contradiction.get_or_insert(self.heads);
                Stage::Lost
            }
            (true, None) => Stage::ChunkSize { size: 0, extension: false },
            (false, Some(length)) if length > 0 => Stage::Body(length),
            (false, _) => Stage::Head,
        };
        self.heads += 1;
        self.begun = false;
        self.chunked = false;
        self.length = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `text` whole, and again byte by byte: it must not matter how it arrives.
    fn after(text: &str) -> Framing {
        let mut whole = Framing::default();
        whole.observe(text.as_bytes());
        let mut pieces = Framing::default();
        text.as_bytes().iter().for_each(|&byte| pieces.observe(&[byte]));
        assert_eq!(
            (whole.stage, whole.heads, whole.contradiction),
            (pieces.stage, pieces.heads, pieces.contradiction),
            "{text:?}"
        );
        whole
    }

    #[test]
    fn requests_are_told_apart() {
        for (text, heads, mid_body) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1, false),
            ("\r\n\nGET / HTTP/1.1\nHost: a\n\nGET / HTTP/1.1\r\n\r\nGET", 2, false),
            ("POST / HTTP/1.1\r\nCookie: x\r\nContent-Length: 5\r\n\r\nab\n\nc", 1, false),
            ("POST / HTTP/1.1\r\ncontent-length:5\r\n\r\nabcd", 1, true),
            (
                "POST / HTTP/1.1\r\ncontent-length: 2 \r\n\r\nabPOST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
                2,
                false,
            ),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=\"1\"\r\nabc\r\n", 1, true),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1A\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n",
                1,
                false,
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\nGET / HTTP/1.1\r\n\r\n",
                2,
                false,
            ),
        ] {
            let framing = after(text);
            assert_eq!((framing.heads, framing.is_mid_body()), (heads, mid_body), "{text:?}");
            assert_eq!(framing.contradiction, None, "{text:?}");
        }
    }

    #[test]
    fn a_length_given_in_two_ways_is_noticed_in_either_order() {
        for text in [
            "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTRANSFER-ENCODING: chunked\r\ncontent-length: 5\r\n\r\n",
        ] {
            assert!(after(text).is_contradictory(0), "{text:?}");
            let second = format!("GET / HTTP/1.1\r\n\r\n{text}");
            assert!(after(&second).is_contradictory(1) && !after(&second).is_contradictory(0));
        }
    }
}
