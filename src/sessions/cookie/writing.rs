//! Our cookies set and deleted: `Set-Cookie` values with the attributes that an operator chose.
//!
//! What is deleted is what the request brought, with the attributes that it was set with; a browser keeps what is
//! deleted with others.

use std::time::Duration;

use cookie::time::OffsetDateTime;
use cookie::{Cookie, Expiration};
use http::{HeaderMap, HeaderValue};

use super::{
    CookieNames, CookieSettings, PIECE, PIECES, Partitioned, Reach, SameSite, header, piece, piece_name,
};
use crate::sessions::store::StoreError;

impl CookieNames {
    /// `Set-Cookie` values for a session whose ticket is `text`.
    pub(in crate::sessions) fn set_session(
        &self,
        text: &str,
        lasts: Duration,
    ) -> Result<Vec<HeaderValue>, StoreError> {
        if text.len() <= PIECE {
            return Ok(self.set_session_piece(&self.session, text, lasts).into_iter().collect());
        }
        let number = (text.len() + 2).div_ceil(PIECE);
        if number > PIECES {
            return Err(StoreError::TooLarge { bytes: text.len(), limit: PIECES * PIECE - 2 });
        }
        let whole = format!("{number}.{text}");
        let mut values = Vec::with_capacity(number);
        for (number, piece) in whole.as_bytes().chunks(PIECE).enumerate() {
            let piece = String::from_utf8_lossy(piece);
            values.extend(self.set_session_piece(&piece_name(&self.session, number), &piece, lasts));
        }
        Ok(values)
    }

    fn set_session_piece(&self, name: &str, value: &str, lasts: Duration) -> Option<HeaderValue> {
        self.set(name, value, lasts, self.settings.same_site, Reach::Session)
    }

    /// `Set-Cookie` values that delete the session cookies which the request brought: all of them, or after a
    /// sign-in those beyond the `set` that were set anew, so that each name stands once in a response.
    ///
    /// What is left from other settings goes too, or it would be sent beside the session for as long as it lasts: a
    /// name that came twice is deleted in every way that it can have been set, and where a domain shares the
    /// session, what was set for the host alone.
    pub fn clear(&self, headers: &HeaderMap, set: usize) -> Vec<HeaderValue> {
        let mut brought = [0_u8; PIECES];
        let mut former = [false; PIECES];
        for (name, _) in header::pairs(headers) {
            if let Some(count) = piece(&self.session, name).and_then(|number| brought.get_mut(number)) {
                *count = count.saturating_add(1);
            }
            if let Some(brought) = piece(&self.own, name).and_then(|number| former.get_mut(number)) {
                *brought = true;
            }
        }
        let mut values = Vec::new();
        for (number, (brought, former)) in brought.into_iter().zip(former).enumerate() {
            let session = piece_name(&self.session, number);
            if brought > 0 && number >= set {
                values.extend(self.delete(&session, self.settings.same_site, Reach::Session));
            }
            let is_shared = self.settings.domain.is_some();
            let same_name = self.own == self.session;
            if is_shared && former && (!same_name || brought > 1 || set > 0) {
                let own = piece_name(&self.own, number);
                values.extend(self.delete(&own, self.settings.same_site, Reach::Host));
            }
            if brought > 1 && self.secure {
                values.extend(self.delete_otherwise(&session));
            }
        }
        values
    }

    /// A `Set-Cookie` value. Names are tokens and values base64url with dots, so there always is one.
    pub(in crate::sessions) fn set(
        &self,
        name: &str,
        value: &str,
        lasts: Duration,
        same_site: SameSite,
        reach: Reach,
    ) -> Option<HeaderValue> {
        let mut cookie = self.bare(name, value, same_site, reach);
        cookie.set_max_age(cookie::time::Duration::try_from(lasts).ok());
        header_value(&cookie)
    }

    /// A `Set-Cookie` value that deletes what [`CookieNames::set`] set, with the same attributes.
    pub(in crate::sessions) fn delete(
        &self,
        name: &str,
        same_site: SameSite,
        reach: Reach,
    ) -> Option<HeaderValue> {
        let mut cookie = self.bare(name, "", same_site, reach);
        cookie.set_max_age(cookie::time::Duration::ZERO);
        cookie.set_expires(Expiration::DateTime(OffsetDateTime::UNIX_EPOCH));
        header_value(&cookie)
    }

    /// Deletes a session's cookie that was set before `partitioned` was turned on, or off.
    fn delete_otherwise(&self, name: &str) -> Option<HeaderValue> {
        let partitioned = match self.settings.partitioned {
            Partitioned::No => Partitioned::Yes,
            Partitioned::Yes => Partitioned::No,
        };
        let settings = CookieSettings { partitioned, ..self.settings.clone() };
        Self { settings, ..self.clone() }.delete(name, self.settings.same_site, Reach::Session)
    }

    fn bare<'c>(&self, name: &'c str, value: &'c str, same_site: SameSite, reach: Reach) -> Cookie<'c> {
        let cookie = Cookie::build((name, value))
            .path("/")
            .http_only(true)
            .secure(self.secure)
            .same_site(match same_site {
                SameSite::Lax => cookie::SameSite::Lax,
                SameSite::Strict => cookie::SameSite::Strict,
                SameSite::None => cookie::SameSite::None,
            })
            .partitioned(self.settings.partitioned == Partitioned::Yes);
        match &self.settings.domain {
            Some(domain) if reach == Reach::Session => cookie.domain(domain.clone()).build(),
            _ => cookie.build(),
        }
    }
}

fn header_value(cookie: &Cookie<'_>) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(cookie.to_string()).ok()?;
    // SECURITY: a header map that is printed must not show who could be signed in with it.
    value.set_sensitive(true);
    Some(value)
}
