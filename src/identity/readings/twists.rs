//! What servers, frameworks and their proxies do to a path, and all that comes of it.
//!
//! Each twist is one thing that some server is known to do. Servers do them in different orders and leave
//! some out, so every order is followed until nothing new comes.

use std::borrow::Cow;

use super::Readings;

/// More readings than any path has that was not made to confuse.
const MAX_READINGS: usize = 64;

/// More bytes than the readings of any such path have together.
const MAX_BYTES: usize = 64 * 1024;

/// How many rounds of percent-decoding a reading has been through.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Decoded {
    Never,
    Once,
    Twice,
}

/// Changes a path, or leaves it alone (`None`).
type Twist = fn(&[u8]) -> Option<Vec<u8>>;

const TWISTS: [Twist; 8] = [
    remove_dot_segments,
    merge_slashes,
    turn_backslashes,
    drop_parameters,
    drop_authority,
    trim_segments,
    cut_off,
    read_overlong,
];

pub(super) fn readings(raw: &[u8]) -> Readings<'_> {
    let mut found = vec![(Cow::Borrowed(raw), Decoded::Never)];
    let mut bytes = raw.len();
    let mut next = 0;
    while let Some((path, decoded)) = found.get(next) {
        let decoded = *decoded;
        let mut reached: Vec<_> = TWISTS.iter().filter_map(|twist| Some((twist(path)?, decoded))).collect();
        match decoded {
            Decoded::Never => {
                reached.extend(normalise(path).map(|path| (path, decoded)));
                reached.extend(decode(path).map(|path| (path, Decoded::Once)));
            }
            Decoded::Once => reached.extend(decode(path).map(|path| (path, Decoded::Twice))),
            Decoded::Twice => {}
        }
        for (path, decoded) in reached {
            if found.iter().any(|(known, times)| *times == decoded && **known == *path) {
                continue;
            }
            bytes += path.len();
            found.push((Cow::Owned(path), decoded));
        }
        // SECURITY: twisting costs time; a path built to have thousands of readings must not get them.
        if found.len() > MAX_READINGS || bytes > MAX_BYTES {
            return Readings { forms: forms(found), complete: false };
        }
        next += 1;
    }
    Readings { forms: forms(found), complete: true }
}

/// The readings as they are compared, each once.
fn forms(found: Vec<(Cow<'_, [u8]>, Decoded)>) -> Vec<Cow<'_, [u8]>> {
    let mut forms: Vec<Cow<'_, [u8]>> = Vec::with_capacity(found.len());
    for (path, decoded) in found {
        // A client had to encode most characters, and whether it encoded the others means nothing: only
        // escapes that hide a path's structure or plain letters are kept in the path as it came.
        let form = match decoded {
            Decoded::Never => decode_but(&path, hides_something).map_or(path, Cow::Owned),
            Decoded::Once | Decoded::Twice => path,
        };
        if !forms.contains(&form) {
            forms.push(form);
        }
    }
    forms
}

const fn hides_something(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b';')
}

/// One round of percent-decoding; an escape that is none stays.
pub(in crate::identity) fn decode(path: &[u8]) -> Option<Vec<u8>> {
    decode_but(path, |_| false)
}

/// RFC 3986 section 6.2.2.2, which URL parsers apply before they resolve dot segments. Parameters too, but
/// no slash: some servers decode all else and leave `%2F`.
fn normalise(path: &[u8]) -> Option<Vec<u8>> {
    decode_but(path, |byte| !(byte.is_ascii_alphanumeric() || b"-._~;".contains(&byte)))
}

fn decode_but(path: &[u8], keep: impl Fn(u8) -> bool) -> Option<Vec<u8>> {
    if !path.contains(&b'%') {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [byte, after @ ..] = rest {
        let escaped = match rest {
            [b'%', high, low, ..] => {
                digit(*high).zip(digit(*low)).and_then(|(h, l)| u8::try_from(h << 4 | l).ok())
            }
            _ => None,
        };
        match (escaped.filter(|byte| !keep(*byte)), after) {
            (Some(byte), [_, _, after @ ..]) => {
                decoded.push(byte);
                rest = after;
            }
            _ => {
                decoded.push(*byte);
                rest = after;
            }
        }
    }
    (decoded.len() < path.len()).then_some(decoded)
}

/// RFC 3986 section 5.2.4.
pub(in crate::identity) fn remove_dot_segments(path: &[u8]) -> Option<Vec<u8>> {
    let is_dots = |segment: &[u8]| matches!(segment, b"." | b"..");
    if !path.split(|byte| *byte == b'/').any(is_dots) {
        return None;
    }
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut segments = path.strip_prefix(b"/").unwrap_or(path).split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        if segment == b".." {
            kept.pop();
        }
        if !is_dots(segment) {
            kept.push(segment);
        } else if segments.peek().is_none() {
            kept.push(b"");
        }
    }
    Some(join(kept))
}

/// `//` is `/` to nginx, Apache, Go and most file systems.
fn merge_slashes(path: &[u8]) -> Option<Vec<u8>> {
    let twice = |pair: &[u8]| pair == b"//";
    path.windows(2).any(twice).then(|| {
        let mut merged = path.to_vec();
        merged.dedup_by(|a, b| (*a, *b) == (b'/', b'/'));
        merged
    })
}

/// `\` separates segments on Windows and in browsers' URL parsers.
fn turn_backslashes(path: &[u8]) -> Option<Vec<u8>> {
    path.contains(&b'\\').then(|| path.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect())
}

/// `/admin;x=1/y` is `/admin/y` to servlet containers.
fn drop_parameters(path: &[u8]) -> Option<Vec<u8>> {
    path.contains(&b';').then(|| {
        let bare = |segment: &'_ [u8]| segment.iter().position(|byte| *byte == b';').unwrap_or(segment.len());
        join(segments(path).map(|segment| segment.split_at(bare(segment)).0))
    })
}

/// `//host/path` is `/path` to what parses the target as a URL reference.
fn drop_authority(path: &[u8]) -> Option<Vec<u8>> {
    let rest = path.strip_prefix(b"//")?;
    let slash = rest.iter().position(|byte| *byte == b'/');
    Some(slash.map_or(b"/".to_vec(), |at| rest.split_at(at).1.to_vec()))
}

/// Dots and blanks at a segment's end are nothing to Windows, blanks nothing to what trims.
fn trim_segments(path: &[u8]) -> Option<Vec<u8>> {
    let is_trimmed = |segment: &&[u8]| trim(segment).len() == segment.len();
    (!segments(path).all(|segment| is_trimmed(&segment))).then(|| join(segments(path).map(trim)))
}

fn trim(segment: &[u8]) -> &[u8] {
    let without = |blank: fn(&u8) -> bool| {
        segment.split_at(segment.iter().rposition(|byte| !blank(byte)).map_or(0, |last| last + 1)).0
    };
    match without(|byte| *byte <= b' ') {
        // These keep their dots: `remove_dot_segments` reads them.
        dots @ (b"." | b"..") => dots,
        _ => without(|byte| *byte <= b' ' || *byte == b'.'),
    }
}

/// A decoded `?` or `#` ends the path where it is parsed again, and a NUL where it becomes a C string.
fn cut_off(path: &[u8]) -> Option<Vec<u8>> {
    let end = path.iter().position(|byte| matches!(byte, b'?' | b'#' | 0))?;
    Some(path.split_at(end).0.to_vec())
}

/// Two bytes for an ASCII character (`%C0%AF` for a slash), which lax UTF-8 decoders take.
fn read_overlong(path: &[u8]) -> Option<Vec<u8>> {
    let is_overlong = |pair: &[u8]| matches!(pair, [0xc0 | 0xc1, 0x80..=0xbf]);
    if !path.windows(2).any(is_overlong) {
        return None;
    }
    let mut read = Vec::with_capacity(path.len());
    let mut rest = path;
    loop {
        rest = match rest {
            [] => return Some(read),
            [lead @ (0xc0 | 0xc1), follow @ 0x80..=0xbf, after @ ..] => {
                read.push((lead & 1) << 6 | follow & 0x3f);
                after
            }
            [byte, after @ ..] => {
                read.push(*byte);
                after
            }
        };
    }
}

fn segments(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.strip_prefix(b"/").unwrap_or(path).split(|byte| *byte == b'/')
}

fn join<'a>(segments: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut joined = Vec::new();
    for segment in segments {
        joined.push(b'/');
        joined.extend_from_slice(segment);
    }
    if joined.is_empty() { b"/".to_vec() } else { joined }
}

/// The text without letter case, as file systems and frameworks that ignore it would compare.
pub(in crate::identity) fn fold(path: &[u8]) -> Cow<'_, [u8]> {
    if path.is_ascii() {
        if !path.iter().any(u8::is_ascii_uppercase) {
            return Cow::Borrowed(path);
        }
        return Cow::Owned(path.to_ascii_lowercase());
    }
    match std::str::from_utf8(path) {
        // By way of the upper case, where ſ and K meet s and k.
        Ok(text) => Cow::Owned(text.to_uppercase().to_lowercase().into_bytes()),
        Err(_) => Cow::Owned(path.to_ascii_lowercase()),
    }
}
