//! How a value is written into a header, so that the app reads what the provider said.

/// The encodings of a header value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// The bytes of UTF-8 (what PHP reads).
    #[default]
    Utf8,
    /// The bytes of ISO 8859-1; what it lacks is an error of the value.
    Latin1,
    /// Percent-encoded UTF-8 (RFC 3986 section 2.1).
    Percent,
    /// Base64 of UTF-8 (RFC 4648 section 4).
    Base64,
    /// Encoded-words, base 64 (RFC 2047 section 4.1).
    Rfc2047,
    /// Encoded-words, quoted-printable (RFC 2047 section 4.2).
    Rfc2047Q,
    /// An extended value (RFC 8187 section 3.2).
    Rfc8187,
    /// JSON in ASCII.
    Json,
}
