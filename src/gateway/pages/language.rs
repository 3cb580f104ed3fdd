//! Which of our two languages a person reads, by `Accept-Language` (RFC 9110 section 12.5.4).
//!
//! English where neither is asked for. Reading the header allocates nothing and never fails: what can't be
//! read counts as not said.

use http::HeaderMap;
use http::header::ACCEPT_LANGUAGE;

use crate::gateway::negotiation::{Quality, weighted};

/// A language that our pages are written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English, also for who reads neither.
    #[default]
    English,
    /// Russian
    Russian,
}

impl Language {
    /// The language that suits this request best: the higher weight wins, then the one named first.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut english = None;
        let mut russian = None;
        let mut others = None;
        for (place, (range, quality)) in weighted(headers, &ACCEPT_LANGUAGE).enumerate() {
            let primary = range.split('-').next().unwrap_or(range);
            let wish = match primary {
                _ if primary.eq_ignore_ascii_case("en") => &mut english,
                _ if primary.eq_ignore_ascii_case("ru") => &mut russian,
                "*" => &mut others,
                _ => continue,
            };
            let said = Wish { quality, earliness: usize::MAX - place };
            if wish.is_none_or(|known| known < said) {
                *wish = Some(said);
            }
        }
        // `*` speaks for a language that was not named.
        let english = english.or(others).filter(|wish| wish.quality.is_acceptable());
        let russian = russian.or(others).filter(|wish| wish.quality.is_acceptable());
        if russian > english { Self::Russian } else { Self::English }
    }

    /// The language tag (RFC 5646), for `lang` and `Content-Language`.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Russian => "ru",
        }
    }
}

/// How much a language is wanted: by weight, then by place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Wish {
    quality: Quality,
    earliness: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn the_language_follows_weights_and_order_and_falls_back_to_english() {
        use Language::{English, Russian};
        for (accept, expected) in [
            ("ru-RU,ru;q=0.9,en-US;q=0.8,en;q=0.7", Russian),
            ("en-US,en;q=0.9,ru;q=0.8", English),
            ("en;q=0.5, ru", Russian),
            ("ru;q=0.5, en;q=0.6", English),
            ("RU", Russian),
            ("de, ru;q=0.1", Russian),
            ("de", English),
            ("", English),
            ("*", English),
            ("en;q=0, *", Russian),
            ("ru;q=0", English),
            ("ru;q=0, en;q=0", English),
            ("russian", English),
            ("en, ru", English),
            ("ru, en", Russian),
            ("ru;q=nonsense, en;q=0.1", English),
            (";;;,,,=,q=1;ru", English),
            ("en;q=0.3, ru;q=0.5, en;q=0.9", English),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static(accept));
            assert_eq!(Language::of(&headers), expected, "{accept}");
        }
        assert_eq!(Language::of(&HeaderMap::new()), English);
    }

    #[test]
    fn bytes_that_are_no_text_choose_english() {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_bytes(b"ru\xff\xfe, ru").unwrap());
        assert_eq!(Language::of(&headers), Language::English);
    }
}
