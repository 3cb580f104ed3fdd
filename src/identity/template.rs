//! Text with claims in it: `{given_name} {family_name} <{email}>`.
//!
//! `{path}` stands for a claim, `{{` and `}}` for braces. What an absent claim leaves behind is tidied: an
//! empty pair of brackets around it goes (`<>`, `()`, `[]`), and white space on both sides of it becomes one
//! space. A template of which every claim is absent gives nothing at all.

/// A template may have this many bytes.
const MAX_BYTES: usize = 4096;

/// Stands where a claim was absent. Neither a template nor what is filled in can hold it.
const ABSENT: char = '\0';

/// A compiled template.
#[derive(Debug)]
pub struct Template {
    pieces: Vec<Piece>,
    source: String,
}

#[derive(Debug)]
enum Piece {
    Text(String),
    Claim(String),
}

/// Why a template can't be read. Positions count characters from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It is larger than any that a person would write.
    #[error("the template is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// A brace without its partner.
    #[error("the template has a lone {brace} at character {at}; a brace itself is written {brace}{brace}")]
    LoneBrace {
        /// Which one.
        brace: char,
        /// Where.
        at: usize,
    },
    /// `{}`.
    #[error("the template has braces without a claim's name at character {at}")]
    NoName {
        /// Where.
        at: usize,
    },
    /// A control character.
    #[error("the template holds a control character at character {at}, which no header can carry")]
    Control {
        /// Where.
        at: usize,
    },
    /// Nothing to fill in.
    #[error("the template names no claim; a text that is the same for everyone is written with value")]
    NoClaim,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn compile(source: &str) -> Result<Self, TemplateError> {
        if source.len() > MAX_BYTES {
            return Err(TemplateError::TooLong);
        }
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut chars = (1..).zip(source.chars()).peekable();
        while let Some((at, c)) = chars.next() {
            match c {
                '{' | '}' if chars.next_if(|(_, next)| *next == c).is_some() => text.push(c),
                '{' => {
                    let mut name = String::new();
                    loop {
                        match chars.next() {
                            Some((_, '}')) => break,
                            None | Some((_, '{')) => return Err(TemplateError::LoneBrace { brace: '{', at }),
                            Some((at, c)) if c.is_control() => return Err(TemplateError::Control { at }),
                            Some((_, c)) => name.push(c),
                        }
                    }
                    let name = name.trim();
                    if name.is_empty() {
                        return Err(TemplateError::NoName { at });
                    }
                    if !text.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut text)));
                    }
                    pieces.push(Piece::Claim(name.to_owned()));
                }
                '}' => return Err(TemplateError::LoneBrace { brace: '}', at }),
                c if c.is_control() => return Err(TemplateError::Control { at }),
                c => text.push(c),
            }
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        if !pieces.iter().any(|piece| matches!(piece, Piece::Claim(_))) {
            return Err(TemplateError::NoClaim);
        }
        Ok(Self { pieces, source: source.to_owned() })
    }

    /// The template as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The text for one person; `None` when every claim is absent. `claim` gives the text of a claim by its
    /// path, without control characters.
    pub fn fill(&self, mut claim: impl FnMut(&str) -> Option<String>) -> Option<String> {
        let mut filled = String::new();
        let mut present = 0_usize;
        let mut absent = 0_usize;
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Claim(path) => {
                    match claim(path).as_deref().map(str::trim).filter(|text| !text.is_empty()) {
                        Some(text) => {
                            filled.push_str(text);
                            present += 1;
                        }
                        None => {
                            filled.push(ABSENT);
                            absent += 1;
                        }
                    }
                }
            }
        }
        match (present, absent) {
            (0, _) => None,
            (_, 0) => Some(filled),
            _ => Some(tidy(filled)),
        }
    }
}

fn tidy(mut text: String) -> String {
    while let Some(pair) = empty_pair(&text) {
        text.replace_range(pair, "\0");
    }
    let mut tidied = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (kept, after) = rest.split_at(rest.find(is_gap).unwrap_or(rest.len()));
        let (gap, after) = after.split_at(after.find(|c| !is_gap(c)).unwrap_or(after.len()));
        tidied.push_str(kept);
        if !gap.contains(ABSENT) {
            tidied.push_str(gap);
        } else if gap.contains(char::is_whitespace) {
            tidied.push(' ');
        }
        rest = after;
    }
    tidied.trim().to_owned()
}

fn is_gap(c: char) -> bool {
    c == ABSENT || c.is_whitespace()
}

/// Brackets with nothing but absent claims between them.
fn empty_pair(text: &str) -> Option<std::ops::Range<usize>> {
    text.char_indices().find_map(|(start, open)| {
        let close = match open {
            '<' => '>',
            '(' => ')',
            '[' => ']',
            _ => return None,
        };
        let inside = text.get(start + 1..)?;
        let (gap, after) = inside.split_at(inside.find(|c| !is_gap(c))?);
        (gap.contains(ABSENT) && after.starts_with(close)).then(|| start..start + 1 + gap.len() + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(template: &str, claims: &[(&str, &str)]) -> Option<String> {
        Template::compile(template)
            .unwrap()
            .fill(|path| claims.iter().find(|(name, _)| *name == path).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn claims_are_filled_in_and_what_absence_leaves_is_tidied() {
        let ivan = [("given_name", "Иван"), ("family_name", "Петров"), ("email", "i@example.org")];
        let full = "{given_name} {family_name} <{email}>";
        type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], Option<&'a str>);
        let cases: [Case<'_>; 15] = [
            (full, &ivan, Some("Иван Петров <i@example.org>")),
            (full, &ivan[..2], Some("Иван Петров")),
            (full, &ivan[1..], Some("Петров <i@example.org>")),
            (full, &[ivan[0], ivan[2]], Some("Иван <i@example.org>")),
            (full, &ivan[2..], Some("<i@example.org>")),
            (full, &[], None),
            ("ID-{email}", &[], None),
            ("ID-{email}", &ivan, Some("ID-i@example.org")),
            ("{given_name}{family_name}", &ivan[..1], Some("Иван")),
            ("{given_name}  {{x}}", &ivan, Some("Иван  {x}")),
            ("{given_name} ({a} {b}) [{email}]", &ivan, Some("Иван [i@example.org]")),
            ("{given_name} ([{a}])", &ivan, Some("Иван")),
            ("{given_name}  ()  {family_name} {a}", &ivan, Some("Иван  ()  Петров")),
            ("{ given_name }{{{email}}}", &ivan, Some("Иван{i@example.org}")),
            ("{given_name} {a}", &[("given_name", " Иван "), ("a", "  ")], Some("Иван")),
        ];
        for (template, claims, expected) in cases {
            assert_eq!(fill(template, claims).as_deref(), expected, "{template} {claims:?}");
        }
    }

    #[test]
    fn an_unreadable_template_says_where_it_is_wrong() {
        let cases = [
            ("{a", TemplateError::LoneBrace { brace: '{', at: 1 }),
            ("и {a{b}", TemplateError::LoneBrace { brace: '{', at: 3 }),
            ("a}", TemplateError::LoneBrace { brace: '}', at: 2 }),
            ("x {}", TemplateError::NoName { at: 3 }),
            ("{ }", TemplateError::NoName { at: 1 }),
            ("{a}\n", TemplateError::Control { at: 4 }),
            ("{a\0}", TemplateError::Control { at: 3 }),
            ("plain {{x}}", TemplateError::NoClaim),
            ("", TemplateError::NoClaim),
        ];
        for (template, expected) in cases {
            assert_eq!(Template::compile(template).unwrap_err(), expected, "{template}");
        }
        assert_eq!(Template::compile(&"{a}".repeat(2000)).unwrap_err(), TemplateError::TooLong);
    }
}
