//! The letters and digits that a message's header names begin with, as a set of bits.
//!
//! Several steps look for names in every spelling (`X_Forwarded-For`). One look over the names tells each of
//! them whether any could be one of its own; for most requests none is, and nothing more is done.

use http::header::HeaderName;

/// A set of first letters and digits; what a name begins with else (`_`, `.`) is passed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Initials(u64);

impl Initials {
    /// The set of these letters and digits.
    pub const fn of(letters: &[u8]) -> Self {
        let mut set = 0;
        let mut rest = letters;
        while let [letter, others @ ..] = rest {
            set |= bit(*letter);
            rest = others;
        }
        Self(set)
    }

    /// Adds what a name begins with.
    pub fn note(&mut self, name: &HeaderName) {
        self.0 |= initial(name.as_str().as_bytes()).map_or(0, bit);
    }

    /// Adds a letter or digit.
    pub fn add(&mut self, letter: u8) {
        self.0 |= bit(letter);
    }

    /// Whether a letter or digit is in the set.
    pub const fn holds(self, letter: u8) -> bool {
        self.0 & bit(letter) != 0
    }

    /// Whether the sets have anything in common.
    pub const fn meet(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }
}

/// The first letter or digit of a name.
pub fn initial(name: &[u8]) -> Option<u8> {
    name.iter().copied().find(u8::is_ascii_alphanumeric)
}

/// A bit for each letter and digit, whatever its case.
const fn bit(byte: u8) -> u64 {
    match byte.to_ascii_lowercase() {
        letter @ b'a'..=b'z' => 1 << (letter - b'a'),
        digit @ b'0'..=b'9' => 1 << (digit - b'0' + 26),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_noted_by_their_first_letter_whatever_stands_before_it() {
        for name in ["x-forwarded-for", "X_Real_IP", "_x.forwarded", "!#$x"] {
            let mut initials = Initials::default();
            initials.note(&HeaderName::from_bytes(name.as_bytes()).unwrap());
            assert!(initials.meet(Initials::of(b"fX")) && !initials.meet(Initials::of(b"ft9")), "{name}");
        }
        let mut initials = Initials::default();
        initials.note(&HeaderName::from_static("_"));
        assert_eq!(initials, Initials::default());
    }
}
