//! HTTP/1.1 as bytes: reading a message head and its body without losing what was really sent.
//!
//! Both sides of the tests use it: the servers that stand in for an app or a provider, and the browser.
//! It understands just enough, and keeps the rest raw, because it is the raw bytes that tests assert on.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};

/// No single wait in a test lasts longer than this.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The header fields of a message, as they were sent and in their order.
#[derive(Clone, Default)]
pub struct Fields(pub Vec<(String, Vec<u8>)>);

impl std::fmt::Debug for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let texts = self.0.iter().map(|(name, value)| (name, String::from_utf8_lossy(value)));
        f.debug_map().entries(texts).finish()
    }
}

impl Fields {
    /// The value of the only field of this name; `None` when there is none. Two of them are a test's failure.
    pub fn get(&self, name: &str) -> Option<String> {
        let mut all = self.all(name);
        assert!(all.len() < 2, "{name} stands {} times: {all:?}", all.len());
        all.pop()
    }

    /// The values of every field of this name.
    pub fn all(&self, name: &str) -> Vec<String> {
        let same = self.0.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        same.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }

    /// The raw bytes of the only field of this name.
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
    }

    /// Whether a comma-separated field holds this word.
    pub fn has_word(&self, name: &str, word: &str) -> bool {
        self.all(name).iter().any(|value| value.split(',').any(|one| one.trim().eq_ignore_ascii_case(word)))
    }
}

/// A message's head: its bytes, and what they say.
#[derive(Clone, Debug)]
pub struct Head {
    /// Every byte up to and with the empty line.
    pub raw: Vec<u8>,
    /// The first line.
    pub start: String,
    /// The fields.
    pub fields: Fields,
}

impl Head {
    fn parse(raw: Vec<u8>) -> Self {
        let text: Vec<&[u8]> =
            raw.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect();
        let start = String::from_utf8_lossy(text[0]).into_owned();
        let fields = text[1..].iter().filter(|line| !line.is_empty()).map(|line| {
            let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
            let value = line.get(colon + 1..).unwrap_or_default().trim_ascii();
            (String::from_utf8_lossy(&line[..colon]).into_owned(), value.to_vec())
        });
        let fields = Fields(fields.collect());
        Self { raw, start, fields }
    }
}

/// A connection's reading side, with what was read ahead.
pub struct Reader<S> {
    stream: S,
    ahead: Vec<u8>,
}

impl<S: AsyncRead + Unpin> Reader<S> {
    /// Reads from this stream.
    pub fn new(stream: S) -> Self {
        Self { stream, ahead: Vec::new() }
    }

    /// Reads some more; `false` at the end of the stream or when it broke.
    async fn more(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer).await {
            Ok(0) | Err(_) => false,
            Ok(length) => {
                self.ahead.extend_from_slice(&buffer[..length]);
                true
            }
        }
    }

    /// The next head; `None` when the other side closed before one was complete.
    pub async fn head(&mut self) -> Option<Head> {
        loop {
            if let Some(end) = find(&self.ahead, b"\r\n\r\n") {
                let rest = self.ahead.split_off(end + 4);
                return Some(Head::parse(std::mem::replace(&mut self.ahead, rest)));
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// At most `limit` of the bytes that come next; empty at the end.
    pub async fn some(&mut self, limit: usize) -> Vec<u8> {
        if self.ahead.is_empty() {
            self.more().await;
        }
        let rest = self.ahead.split_off(self.ahead.len().min(limit));
        std::mem::replace(&mut self.ahead, rest)
    }

    /// Exactly `length` bytes; fewer when the stream ended before.
    pub async fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.ahead.len() < length && self.more().await {}
        let rest = self.ahead.split_off(self.ahead.len().min(length));
        std::mem::replace(&mut self.ahead, rest)
    }

    /// Everything until the other side closes.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.ahead)
    }

    async fn line(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(end) = find(&self.ahead, b"\r\n") {
                let rest = self.ahead.split_off(end + 2);
                return Some(std::mem::replace(&mut self.ahead, rest));
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// One chunk of a chunked body with its data; `None` after the last one or when the stream ended. What
    /// was read is added to `raw` byte for byte, trailers included.
    pub async fn chunk(&mut self, raw: &mut Vec<u8>) -> Option<Vec<u8>> {
        let line = self.line().await?;
        raw.extend_from_slice(&line);
        let digits = String::from_utf8_lossy(&line);
        let size = usize::from_str_radix(digits.trim().split(';').next()?, 16).ok()?;
        if size == 0 {
            while let Some(line) = self.line().await {
                raw.extend_from_slice(&line);
                if line == b"\r\n" {
                    break;
                }
            }
            return None;
        }
        let mut data = self.exactly(size + 2).await;
        raw.extend_from_slice(&data);
        data.truncate(size);
        Some(data)
    }

    /// The body that follows this head: its content, and the bytes that carried it.
    pub async fn body(&mut self, head: &Head, end: BodyEnds) -> (Vec<u8>, Vec<u8>) {
        if head.fields.has_word("transfer-encoding", "chunked") {
            let (mut content, mut raw) = (Vec::new(), Vec::new());
            while let Some(data) = self.chunk(&mut raw).await {
                content.extend_from_slice(&data);
            }
            return (content, raw);
        }
        let body = match (head.fields.get("content-length"), end) {
            (Some(length), _) => self.exactly(length.parse().unwrap()).await,
            (None, BodyEnds::WithLength) => Vec::new(),
            (None, BodyEnds::WithConnection) => self.rest().await,
        };
        (body.clone(), body)
    }
}

/// Where a body ends that has neither a length nor chunks.
#[derive(Clone, Copy)]
pub enum BodyEnds {
    /// There is none: a request.
    WithLength,
    /// With the connection: a response.
    WithConnection,
}

/// Where `needle` begins.
pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
