//! The text of the configuration file: lines and columns of its bytes, and lines shown without secrets.

use std::ops::Range;

/// The file's text and what of it must not be shown.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// The file's name, as the operator gave it.
    pub(super) name: String,
    /// All of it.
    pub(super) text: String,
    /// The ranges that hold, or may hold, secrets.
    pub(super) hidden: Vec<Range<usize>>,
}

/// A line and a column, both from 1; the column counts characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// A line of the file with the part that a problem is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Excerpt {
    /// The line's number, from 1.
    pub(super) line: usize,
    /// The line, secrets replaced by `…`.
    pub(super) text: String,
    /// How many characters stand before the part.
    pub(super) before: usize,
    /// How many characters the part has, at least 1.
    pub(super) length: usize,
}

const WIDEST: usize = 160;

/// The most of a value that is shown, in characters.
const LONGEST: usize = 80;

impl Source {
    /// The line and column of a byte.
    pub(super) fn position(&self, offset: usize) -> Position {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Position { line, column }
    }

    /// The line of a range's first byte, with the range marked as far as it stands on that line.
    pub(super) fn excerpt(&self, range: &Range<usize>) -> Excerpt {
        let start = self.text.get(..range.start).and_then(|t| t.rfind('\n')).map_or(0, |newline| newline + 1);
        let line = self.text.get(start..).unwrap_or_default().lines().next().unwrap_or_default();
        let on_line = |range: &&Range<usize>| range.start < start + line.len() && range.end > start;
        let mut secrets: Vec<_> = self.hidden.iter().filter(on_line).cloned().collect();
        secrets.extend(credentials(line).into_iter().map(|range| start + range.start..start + range.end));
        let (mut text, mut before, mut end) = (String::new(), 0, 0);
        let mut hiding = false;
        let mut width = 0;
        for (offset, letter) in line.char_indices().map(|(at, letter)| (start + at, letter)) {
            // SECURITY: a log or a screen that shows a problem must not show the secret on its line.
            let hide = secrets.iter().any(|range| range.contains(&offset));
            if !(hide && hiding) {
                text.push(if hide || width == WIDEST { '…' } else { printable(letter) });
                width += 1;
            }
            hiding = hide;
            before = if offset < range.start { width } else { before };
            end = if offset < range.end { width } else { end };
            if width > WIDEST {
                break;
            }
        }
        let length = end.min(text.chars().count()).saturating_sub(before).max(1);
        Excerpt { line: self.position(range.start).line, text, before, length }
    }

    /// Hides what may be secret on the line of `offset`, for a text that could not be read, where nobody can
    /// say what its parts are: what follows a key that is `known`, or the whole line.
    pub(super) fn hide_line(&mut self, offset: usize, known: impl Fn(&str) -> bool) {
        let start = self.text.get(..offset).and_then(|t| t.rfind('\n')).map_or(0, |newline| newline + 1);
        let line = self.text.get(start..).unwrap_or_default().lines().next().unwrap_or_default();
        let visible = match line.split_once('=') {
            None if line.trim_start().starts_with('[') && !line.contains(['"', '\'']) => line.len(),
            Some((key, _)) if known(key.trim()) => (key.len() + 2).min(line.len()),
            _ => 0,
        };
        self.hidden.push((start + visible)..(start + line.len()));
    }
}

fn printable(letter: char) -> char {
    match letter {
        '\t' => ' ',
        letter if letter.is_control() => '\u{fffd}',
        letter => letter,
    }
}

/// Text as it may stand in a problem: one line, not too long, and no password of an address.
pub(super) fn shown(text: &str) -> String {
    let secrets = credentials(text);
    let (mut shown, mut hiding) = (String::new(), false);
    for (offset, letter) in text.char_indices() {
        let hide = secrets.iter().any(|range| range.contains(&offset));
        if !(hide && hiding) {
            shown.push(if hide { '…' } else { printable(letter) });
        }
        hiding = hide;
    }
    match shown.char_indices().nth(LONGEST) {
        Some((cut, _)) => shown.get(..cut).unwrap_or_default().to_owned() + "…",
        None => shown,
    }
}

/// SECURITY: `redis://:password@host` carries a secret in plain sight: what stands before the `@`.
fn credentials(text: &str) -> Vec<Range<usize>> {
    let (mut found, mut from) = (Vec::new(), 0);
    while let Some((before, rest)) = text.get(from..).and_then(|text| text.split_once("://")) {
        let start = from + before.len() + "://".len();
        let length = rest.find(['/', '"', '\'', ' ', '?', '#']).unwrap_or(rest.len());
        let login = rest.get(..length).and_then(|authority| authority.rfind('@'));
        found.extend(login.map(|at| start..start + at));
        from = start + length;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str, hidden: Option<Range<usize>>) -> Source {
        Source { name: "config.toml".to_owned(), text: text.to_owned(), hidden: hidden.into_iter().collect() }
    }

    #[test]
    fn columns_count_characters_and_lines_begin_at_one() {
        let source = source("a = 1\nимя = \"б\" # x", None);
        assert_eq!(source.position(0), Position { line: 1, column: 1 });
        assert_eq!(source.position(6), Position { line: 2, column: 1 });
        assert_eq!(source.position(15), Position { line: 2, column: 7 });
        assert_eq!(source.position(9_999), Position { line: 2, column: 14 });
    }

    #[test]
    fn a_secret_is_not_shown_and_the_mark_moves_with_what_is() {
        let source = source("x = { secret = \"hunter2\", foo = 1 }\n", Some(15..24));
        let excerpt = source.excerpt(&(26..29));
        assert_eq!(excerpt.text, "x = { secret = …, foo = 1 }");
        assert_eq!((excerpt.before, excerpt.length), (18, 3));
    }

    #[test]
    fn a_line_that_could_not_be_read_shows_its_key_alone() {
        for (line, expected) in [
            ("client_secret = hunter2", "client_secret = …"),
            ("c2VjcmV0c2VjcmV0=,", "…"),
            ("  c2VjcmV0c2VjcmV0, ", "…"),
            ("[apps.lms", "[apps.lms"),
            ("x", "…"),
        ] {
            let mut source = source(line, None);
            source.hide_line(0, |key| key == "client_secret");
            assert_eq!(source.excerpt(&(0..1)).text, expected);
        }
    }

    #[test]
    fn passwords_in_addresses_are_not_shown() {
        for (text, expected) in [
            ("redis://:hunter2@h:1/0", "redis://…@h:1/0"),
            ("https://u:p@a and http://x@b/c", "https://…@a and http://…@b/c"),
            ("https://h/a@b", "https://h/a@b"),
            ("plain", "plain"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn a_long_password_in_an_address_is_not_cut_and_shown() {
        let address = format!("redis://u:{}@h", "hunter2".repeat(40));
        assert_eq!(shown(&address), "redis://…@h");
        let source = source(&format!("x = \"{address}\" # x\n"), None);
        let excerpt = source.excerpt(&(4..4 + address.len() + 2));
        assert_eq!(excerpt.text, "x = \"redis://…@h\" # x");
        assert_eq!((excerpt.before, excerpt.length), (4, 13));
        assert_eq!(shown(&"x".repeat(81)), "x".repeat(80) + "…");
        assert_eq!(shown(&"x".repeat(80)), "x".repeat(80));
    }
}
