//! The request by which an app is told that a session ended, as the operator writes it: a method and a path of the
//! app's, in which the person's identifier and the provider's name are filled in.
//!
//! SECURITY: nothing else of it comes from a person, a provider or a request, and what is filled in can't make another
//! path of it. How and when it is sent is in `telling`.

use http::uri::PathAndQuery;
use http::{Method, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::identity::access::{Ambiguous, Paths};
use crate::identity::readings::Path;
use crate::sessions::Ended;

/// What stands as it is in a path or query (RFC 3986 section 2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What stands for the person's identifier, and for the provider's name.
const SUBJECT: &str = "sub";
const PROVIDER: &str = "provider";

/// The request that ends a person's session in an app.
#[derive(Debug)]
pub struct OnEnd {
    method: Method,
    target: Vec<Piece>,
    closed: Paths,
}

#[derive(Debug)]
enum Piece {
    Text(String),
    Subject,
    Provider,
}

/// Why a request can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OnEndError {
    /// It names a place elsewhere, or none.
    #[error("it is not a path of the app's")]
    NotAPath,
    /// A brace without its partner, or a name that is none.
    #[error("it can hold {{sub}} and {{provider}}, and no other brace")]
    Braces,
    /// A character that no address can hold.
    #[error("it holds a character that an address can't; write it with % and two hexadecimal digits")]
    Character,
    /// A path that can be read in more than one way.
    #[error("{0}")]
    Path(String),
}

impl OnEnd {
    /// Reads a request: a path of the app's, perhaps with a query, in which `{sub}` and `{provider}` are filled in.
    ///
    /// # Errors
    /// When it can't be used.
    pub fn compile(method: Method, url: &str) -> Result<Self, OnEndError> {
        if !url.starts_with('/') || url.starts_with("//") {
            return Err(OnEndError::NotAPath);
        }
        let fits =
            |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'#' | b'*');
        if !url.bytes().all(fits) {
            return Err(OnEndError::Character);
        }
        let mut target = Vec::new();
        let mut rest = url;
        while let Some((text, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or(OnEndError::Braces)?;
            target.push(Piece::Text(text.to_owned()));
            target.push(match name {
                SUBJECT => Piece::Subject,
                PROVIDER => Piece::Provider,
                _ => return Err(OnEndError::Braces),
            });
            rest = after;
        }
        target.push(Piece::Text(rest.to_owned()));
        if target.iter().any(|piece| matches!(piece, Piece::Text(text) if text.contains('}'))) {
            return Err(OnEndError::Braces);
        }
        let path = url.split('?').next().unwrap_or(url);
        let pattern = path.replace(&format!("{{{SUBJECT}}}"), "*").replace(&format!("{{{PROVIDER}}}"), "*");
        let closed = Paths::compile(vec![pattern]).map_err(|error| OnEndError::Path(error.to_string()))?;
        Ok(Self { method, target, closed })
    }

    /// Whether a path is this one, with whatever filled in.
    ///
    /// # Errors
    /// When it is by some of its readings only.
    pub fn is_at(&self, path: &Path<'_>) -> Result<bool, Ambiguous> {
        self.closed.hold(path)
    }

    /// Its method.
    pub const fn method(&self) -> &Method {
        &self.method
    }

    /// The target for one person; `None` when the app could read another path in it.
    pub fn target(&self, ended: &Ended) -> Option<Uri> {
        let mut filled = String::new();
        for piece in &self.target {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Subject => filled.extend(utf8_percent_encode(&ended.subject, ENCODED)),
                Piece::Provider => filled.extend(utf8_percent_encode(&ended.provider, ENCODED)),
            }
        }
        let target: PathAndQuery = filled.parse().ok()?;
        // SECURITY: an identifier such as `../admin` must not make another request of this one.
        let held = Path::parse(target.path()).is_ok_and(|path| self.is_at(&path) == Ok(true));
        held.then(|| Uri::from(target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str, subject: &str) -> Option<String> {
        let ended = Ended { provider: "school".to_owned(), subject: subject.to_owned(), app: None };
        OnEnd::compile(Method::POST, url).unwrap().target(&ended).map(|uri| uri.to_string())
    }

    #[test]
    fn a_person_is_filled_in_encoded_and_cannot_change_the_path() {
        for (url, subject, expected) in [
            ("/internal/logout?user={sub}", "5f-6d", Some("/internal/logout?user=5f-6d")),
            ("/internal/logout?user={sub}&by={provider}", "a&b=c d/é", {
                Some("/internal/logout?user=a%26b%3Dc%20d%2F%C3%A9&by=school")
            }),
            ("/users/{sub}/sessions", "5f", Some("/users/5f/sessions")),
            ("/users/{sub}/sessions", "a@b.example", Some("/users/a%40b.example/sessions")),
            ("/users/{sub}/sessions", "a/b", None),
            ("/users/{sub}/sessions", "..", None),
            ("/users/{sub}/sessions", ".", None),
            ("/users/{sub}/sessions", "a;b", Some("/users/a%3Bb/sessions")),
            ("/users/{sub}/sessions", "%2e%2e", None),
            ("/logout-all", "x", Some("/logout-all")),
        ] {
            assert_eq!(target(url, subject).as_deref(), expected, "{url} {subject}");
        }
    }

    #[test]
    fn a_request_that_leads_elsewhere_or_reads_in_two_ways_is_refused() {
        for (url, error) in [
            ("https://other.example/", OnEndError::NotAPath),
            ("//other.example/", OnEndError::NotAPath),
            ("logout", OnEndError::NotAPath),
            ("/logout?user={email}", OnEndError::Braces),
            ("/logout?user={sub", OnEndError::Braces),
            ("/logout?user=sub}", OnEndError::Braces),
            ("/log out", OnEndError::Character),
            ("/logout#x", OnEndError::Character),
            ("/выход", OnEndError::Character),
        ] {
            assert_eq!(OnEnd::compile(Method::POST, url).unwrap_err(), error, "{url}");
        }
        assert!(matches!(OnEnd::compile(Method::POST, "/a/../b"), Err(OnEndError::Path(_))));
    }
}
