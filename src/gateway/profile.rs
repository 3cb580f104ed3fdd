//! What one app is told of one person, and which of its rules let them in: made once a session and app.

use std::sync::Arc;

use http::header::{HeaderName, HeaderValue};

use super::failure::Failure;
use super::statement::Statement;
use super::{App, Gateway};
use crate::foundation::clock::Timestamp;
use crate::identity::access::{Fit, Proof, Verdict};
use crate::identity::claims::{Claims, Tokens};
use crate::identity::mapping::{Missing, Omitted};
use crate::upstream::Fields;

/// A person as one app meets them.
#[derive(Debug)]
pub struct Profile {
    /// The subject, for the log.
    pub subject: Arc<str>,
    /// The identity headers, rendered.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The same, as a request to the app carries them.
    fields: Fields,
    /// Required claims that are absent: not empty means that only public rules let the person in.
    pub missing: Vec<Missing>,
    /// What was left out of the headers, and why.
    pub omitted: Vec<Omitted>,
    statement: Option<Statement>,
    holder: Holder,
    verdicts: Vec<Verdict>,
}

/// Who holds what a profile was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A browser with a session.
    Session,
    /// A client with an access token, and when that ends, where it is said.
    Token(Option<Timestamp>),
}

impl Profile {
    /// Renders a person for an app, who signed in at `auth_time`, if that is known.
    pub fn new(
        app: &App,
        holder: Holder,
        subject: Arc<str>,
        claims: &Claims,
        tokens: &Tokens,
        auth_time: Option<Timestamp>,
    ) -> Self {
        let rendered = app.headers.render(claims, tokens);
        Self {
            statement: Statement::of(app, &subject, claims),
            subject,
            fields: Fields::written(rendered.headers.iter().map(|(name, value)| (name, value))),
            headers: rendered.headers,
            holder,
            missing: rendered.missing,
            omitted: rendered.omitted,
            verdicts: app.rules.verdicts(claims, Proof::new(claims, auth_time)),
        }
    }

    /// Who holds what this was made of.
    pub const fn holder(&self) -> Holder {
        self.holder
    }

    /// What a request to the app carries of the person: their headers, and the statement as it is now.
    ///
    /// # Errors
    /// When the statement can't be signed.
    pub fn told(&self, gateway: &Gateway) -> Result<Fields, Failure> {
        match &self.statement {
            None => Ok(self.fields.clone()),
            Some(statement) => {
                let told = statement.told(&gateway.statements, gateway.clock.now(), &self.fields);
                told.map(|(_, fields)| fields)
            }
        }
    }

    /// The statement's header as it is now, if the app wants one.
    ///
    /// # Errors
    /// When it can't be signed.
    pub fn statement(&self, gateway: &Gateway) -> Result<Option<(&HeaderName, HeaderValue)>, Failure> {
        let Some(statement) = &self.statement else { return Ok(None) };
        let (value, _) = statement.told(&gateway.statements, gateway.clock.now(), &self.fields)?;
        Ok(Some((statement.name(), value)))
    }

    /// Whether the person meets a rule. Where no rule fits, being signed in is enough; a rule without a
    /// verdict lets nobody in.
    pub fn verdict(&self, fit: Fit) -> &Verdict {
        fit.verdict(&self.verdicts)
    }
}
