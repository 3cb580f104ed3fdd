//! The signed statement that an app gets beside its identity headers: signed once a session and minute.
//!
//! Owns what it says of whom to whom; how it is signed is `identity::statement`'s matter.

use std::cell::RefCell;

use http::header::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::App;
use super::failure::Failure;
use crate::foundation::clock::Timestamp;
use crate::identity::claims::Claims;
use crate::identity::statement::StatementKeys;
use crate::upstream::Fields;

/// How long one statement is sent, in seconds: half of how long it is good.
const RENEWED: u64 = 60;

/// What an app is told of one person, to be signed.
#[derive(Debug)]
pub struct Statement {
    name: HeaderName,
    claims: Map<String, Value>,
    made: RefCell<Option<Made>>,
}

#[derive(Debug)]
struct Made {
    minute: u64,
    value: HeaderValue,
    /// All of the person's headers and the statement.
    fields: Fields,
}

impl Statement {
    /// What `app` is told, if it wants a statement: the claims that its headers are mapped from, and who says it
    /// of whom to whom (RFC 7519 section 4.1).
    pub fn of(app: &App, subject: &str, claims: &Claims) -> Option<Self> {
        let wanted = app.identity_jwt.as_ref()?;
        let mut told = app.headers.statement(claims);
        told.insert("iss".to_owned(), app.origin.to_string().into());
        told.insert("aud".to_owned(), wanted.audience.clone().into());
        told.insert("sub".to_owned(), subject.into());
        Some(Self { name: wanted.header.clone(), claims: told, made: RefCell::default() })
    }

    /// The name of its header.
    pub const fn name(&self) -> &HeaderName {
        &self.name
    }

    /// The header's value, and the person's other `fields` with it.
    ///
    /// # Errors
    /// When it can't be signed.
    pub fn told(
        &self,
        keys: &StatementKeys,
        now: Timestamp,
        fields: &Fields,
    ) -> Result<(HeaderValue, Fields), Failure> {
        let minute = now.as_secs() / RENEWED;
        let mut made = self.made.borrow_mut();
        if let Some(made) = made.as_ref().filter(|made| made.minute == minute) {
            return Ok((made.value.clone(), made.fields.clone()));
        }
        let signed = keys.sign(self.claims.clone(), now);
        let mut value = signed
            .ok()
            .and_then(|token| HeaderValue::try_from(token).ok())
            .ok_or(Failure::Internal("an identity statement can't be signed"))?;
        value.set_sensitive(true);
        let fields = fields.and(&Fields::written(std::iter::once((&self.name, &value))));
        *made = Some(Made { minute, value: value.clone(), fields: fields.clone() });
        Ok((value, fields))
    }
}
