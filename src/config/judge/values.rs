//! Judgements of single values that many tables share: durations, choices, numbers, addresses, paths.

use std::ops::RangeInclusive;
use std::time::Duration;

use url::Url;

use super::{Judge, PlainHttp};
use crate::config::place::KeyPath;
use crate::config::problem::Finding;
use crate::config::schema::{Kind, nearest};
use crate::config::source::shown;
use crate::foundation::origin::Origin;

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Judge<'_> {
    /// A length of time within `range`, or `default` when nothing is written.
    pub(super) fn duration(
        &mut self,
        path: &KeyPath,
        text: Option<&str>,
        default: Duration,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let Some(text) = text else { return Some(default) };
        let found = format!("{:?}", shown(text));
        let Some(duration) = parse_duration(text) else {
            let finding =
                Finding::invalid("is not a duration").found(found).expected(Kind::Duration.expected());
            return self.refuse(path, finding.mend("write a whole number and one of s, m, h, d"));
        };
        if !range.contains(&duration) {
            let expected = format!("{} to {}", written(*range.start()), written(*range.end()));
            return self.refuse(path, Finding::invalid("is out of range").found(found).expected(expected));
        }
        Some(duration)
    }

    /// One of a few words, or `default` when nothing is written.
    pub(super) fn choice<T: Clone>(
        &mut self,
        path: &KeyPath,
        text: Option<&str>,
        default: T,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let Some(text) = text else { return Some(default) };
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
            return Some(value.clone());
        }
        let words = || choices.iter().map(|(word, _)| *word);
        let mut finding = Finding::invalid("has a value that Vestibule does not know")
            .found(format!("{:?}", shown(text)))
            .expected(words().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", "));
        if let Some(meant) = nearest(text, words()) {
            finding = finding.mend(format!("did you mean {meant:?}?"));
        }
        self.refuse(path, finding)
    }

    /// A whole number within `range`, or `default` when nothing is written.
    pub(super) fn number(
        &mut self,
        path: &KeyPath,
        number: Option<u64>,
        default: usize,
        range: RangeInclusive<usize>,
    ) -> Option<usize> {
        let Some(number) = number else { return Some(default) };
        match usize::try_from(number) {
            Ok(number) if range.contains(&number) => Some(number),
            _ => {
                let expected = format!("{} to {}", range.start(), range.end());
                self.refuse(
                    path,
                    Finding::invalid("is out of range").found(number.to_string()).expected(expected),
                )
            }
        }
    }

    /// An absolute `http` or `https` address without user name and fragment.
    pub(super) fn address(&mut self, path: &KeyPath, text: &str) -> Option<Url> {
        let refuse = |why: &str, mend: &str| {
            let finding = Finding::invalid(why).found(format!("{:?}", shown(text)));
            finding.expected("an address such as \"https://id.example.org/path\"").mend(mend)
        };
        let finding = match Url::parse(text) {
            Err(url::ParseError::RelativeUrlWithoutBase) => {
                refuse("is not a whole address", "begin it with https://")
            }
            Err(error) => refuse(&format!("is not an address: {error}"), "write it as a browser shows it"),
            Ok(url) if !matches!(url.scheme(), "http" | "https") || Origin::of(&url).is_none() => {
                refuse("is not a web address", "begin it with https://")
            }
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                refuse("holds a user name or a password", "take out what stands before the @")
            }
            Ok(url) if url.host_str().is_some_and(|host| host.contains('*')) => {
                refuse("has a * in its host, which stands for nothing but itself", "name one host")
            }
            Ok(url) if url.fragment().is_some() => {
                refuse("has a fragment", "take out the # and what follows")
            }
            Ok(_) if text.trim() != text || text.chars().any(char::is_control) => {
                refuse("holds spaces or control characters around it", "take them out")
            }
            Ok(url) => return Some(url),
        };
        self.refuse(path, finding)
    }

    /// Like [`Judge::address`], and protected by TLS unless it is on this machine or `danger_allow_http` is set.
    pub(super) fn protected_address(&mut self, path: &KeyPath, text: &str) -> Option<Url> {
        let url = self.address(path, text)?;
        let origin = Origin::of(&url)?;
        // SECURITY: over plain HTTP anyone on the way reads codes, tokens and cookies.
        if url.scheme() == "http" && self.plain_http == PlainHttp::Loopback && !origin.is_loopback() {
            let finding = Finding::invalid("is not protected by TLS")
                .found(format!("{:?}", shown(text)))
                .expected("https://; http:// only on loopback addresses, localhost and *.localhost")
                .mend("use https://, or set danger_allow_http = true in [server] where nobody can listen in");
            return self.refuse(path, finding);
        }
        Some(url)
    }

    /// A bare origin: scheme, host and perhaps port.
    pub(super) fn origin(&mut self, path: &KeyPath, text: &str) -> Option<Origin> {
        let url = self.address(path, text)?;
        if url.path() != "/" || url.query().is_some() {
            let finding = Finding::invalid("is more than an origin").found(format!("{:?}", shown(text)));
            let bare = Origin::of(&url)?;
            return self.refuse(
                path,
                finding.expected("scheme, host and port").mend(format!("write {:?}", bare.to_string())),
            );
        }
        Origin::of(&url)
    }

    /// A list of bare origins.
    pub(super) fn origins(&mut self, path: &KeyPath, texts: &[String]) -> Option<Vec<Origin>> {
        let each = texts.iter().enumerate().map(|(number, text)| self.origin(&path.index(number), text));
        each.collect::<Vec<_>>().into_iter().collect()
    }

    /// A path that reads in one way only: begins with `/`, plain segments, no final slash. Given back as it is.
    pub(super) fn plain_path<'t>(&mut self, path: &KeyPath, text: &'t str) -> Option<&'t str> {
        let plain = |segment: &str| {
            !matches!(segment, "" | "." | "..")
                && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
        };
        match text.strip_prefix('/') {
            Some(rest) if rest.split('/').all(plain) => Some(text),
            _ => {
                let finding =
                    Finding::invalid("is not a plain path").found(format!("{:?}", shown(text))).expected(
                        "a path such as \"/a/b\", of letters, digits and - . _ ~, without a final slash",
                    );
                self.refuse(path, finding)
            }
        }
    }
}

pub(in crate::config) fn parse_duration(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let digits = text.strip_suffix(unit)?;
    let unit = match unit {
        's' => SECOND,
        'm' => MINUTE,
        'h' => HOUR,
        'd' => DAY,
        _ => return None,
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    unit.checked_mul(digits.parse().ok()?)
}

/// A duration in the notation of the configuration.
fn written(duration: Duration) -> String {
    let units = [(DAY, 'd'), (HOUR, 'h'), (MINUTE, 'm')];
    let seconds = duration.as_secs();
    let fitting = units.iter().find(|(unit, _)| seconds != 0 && seconds.is_multiple_of(unit.as_secs()));
    fitting.map_or_else(
        || format!("{seconds}s"),
        |(unit, letter)| format!("{}{letter}", seconds / unit.as_secs()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_whole_number_and_a_unit() {
        for (text, seconds) in [
            ("90s", Some(90)),
            ("15m", Some(900)),
            ("8h", Some(28_800)),
            ("30d", Some(2_592_000)),
            ("0s", Some(0)),
            ("", None),
            ("s", None),
            ("8", None),
            ("8 h", None),
            ("+8h", None),
            ("1.5h", None),
            ("8H", None),
            ("1h30m", None),
            ("99999999999999999999d", None),
            ("4294967295d", Some(4_294_967_295 * 86_400)),
            ("8ч", None),
        ] {
            assert_eq!(parse_duration(text).map(|duration| duration.as_secs()), seconds, "{text}");
        }
    }

    #[test]
    fn durations_are_written_as_they_are_read() {
        for text in ["90s", "15m", "8h", "30d", "0s"] {
            assert_eq!(parse_duration(text).map(written).as_deref(), Some(text));
        }
    }
}
