//! The sessions for programs: `GET /sessions`, `DELETE /sessions?subject=…`, `DELETE /sessions/ID`, as JSON.

use std::time::Duration;

use http::{Method, StatusCode};

use super::access::Denied;
use super::answer::{self, Answer};
use super::asked::{Asked, Parameters, person};
use super::documents::{Ended, Sessions};
use super::refusal::Refusal;
use super::{Call, State};
use crate::sessions::{Listing, Person, SessionId, StoreError};
use crate::telemetry::SubjectInLogs;
use crate::telemetry::log::AUDIT;

/// Who asked, in the metrics.
const BY: &str = "operator";

/// How long the store may take for one request.
const PATIENCE: Duration = Duration::from_secs(15);

/// All sessions, or those of one person: lists or ends them.
pub(super) async fn all(call: &Call<'_>) -> Answer {
    let answered = match call.head.method {
        Method::GET | Method::HEAD => list(call).await,
        Method::DELETE => end_person(call).await,
        _ => return answer::method_not_allowed("GET, HEAD, DELETE"),
    };
    answered.unwrap_or_else(|refusal| refusal.problem())
}

/// Ends one session.
pub(super) async fn one(call: &Call<'_>, id: &str) -> Answer {
    if call.head.method != Method::DELETE {
        return answer::method_not_allowed("DELETE");
    }
    end(call, id).await.unwrap_or_else(|refusal| refusal.problem())
}

async fn list(call: &Call<'_>) -> Result<Answer, Refusal> {
    call.admit()?;
    let asked =
        Asked::read(call.head.uri.query(), &call.state.provider_names(), call.state.gateway.clock.now())?;
    Ok(answer::json(StatusCode::OK, &Sessions::from(call.state.list(asked).await?)))
}

async fn end_person(call: &Call<'_>) -> Result<Answer, Refusal> {
    call.admit()?;
    let parameters = Parameters::read(call.head.uri.query(), &["subject", "provider"])?;
    let subject = parameters.get("subject").ok_or(Refusal::WhoseSessions)?.to_owned();
    let person = person(subject, parameters.get("provider"), &call.state.provider_names());
    let ended = call.end_person(&person).await?;
    Ok(answer::json(StatusCode::OK, &Ended { ended }))
}

async fn end(call: &Call<'_>, id: &str) -> Result<Answer, Refusal> {
    call.admit()?;
    call.end_session(id).await?;
    Ok(answer::json(StatusCode::OK, &Ended { ended: 1 }))
}

impl State {
    /// The names of all providers.
    pub(super) fn provider_names(&self) -> Vec<String> {
        self.providers.iter().map(|provider| provider.name().to_owned()).collect()
    }

    /// A page of the list.
    pub(super) async fn list(&self, asked: Asked) -> Result<Listing, Refusal> {
        let sessions = &self.gateway.sessions;
        if asked.after.as_ref().is_some_and(|after| !sessions.is_place_of(&asked.wanted, after)) {
            return Err(Refusal::BadParameter {
                name: "after",
                expected: "what next of the page before says",
            });
        }
        let listing = sessions.list(&asked.wanted, asked.after, asked.limit);
        in_time(listing).await
    }
}

impl Call<'_> {
    /// Lets a program pass that shows the token.
    fn admit(&self) -> Result<(), Refusal> {
        self.state.access.program(&self.head.headers).map_err(|denied| self.refused(denied))
    }

    /// Notes that somebody showed a wrong token.
    pub(super) fn refused(&self, denied: Denied) -> Refusal {
        if denied == Denied::Wrong {
            tracing::warn!(target: AUDIT, event = "operator_refused", client = %self.client, "a wrong token for operators was shown");
        }
        denied.into()
    }

    /// Ends all sessions of a person; tells how many there were.
    pub(super) async fn end_person(&self, person: &Person) -> Result<usize, Refusal> {
        let named = self.state.gateway.subject_in_logs == SubjectInLogs::Named;
        let subject = named.then_some(&*person.subject);
        let ended = in_time(self.state.gateway.sessions.end_person(person)).await;
        let ended = ended.inspect_err(|refusal| self.failed(refusal, subject, None))?;
        if ended > 0 {
            let provider = if let [only] = person.providers.as_slice() { only } else { "" };
            self.state.gateway.metrics.sign_out(provider, BY);
        }
        tracing::info!(target: AUDIT, event = "sessions_ended", client = %self.client, ended, subject, "an operator ended the sessions of a person");
        Ok(ended)
    }

    /// Ends the session that this text names.
    pub(super) async fn end_session(&self, id: &str) -> Result<(), Refusal> {
        // What can't name a session names none.
        let id: SessionId = id.parse().map_err(|_| Refusal::NoSession)?;
        let ended = in_time(self.state.gateway.sessions.end_by_id(id)).await;
        let ended = ended.inspect_err(|refusal| self.failed(refusal, None, Some(id)))?;
        let card = ended.ok_or(Refusal::NoSession)?.card;
        let provider = card.as_ref().map_or("", |card| &card.provider);
        self.state.gateway.metrics.sign_out(provider, BY);
        let named = self.state.gateway.subject_in_logs == SubjectInLogs::Named;
        let (app, subject) = (card.as_ref().map(|card| &*card.app), card.as_ref().map(|card| &*card.subject));
        let subject = subject.filter(|_| named);
        tracing::info!(target: AUDIT, event = "sessions_ended", client = %self.client, ended = 1, id = %id, app, provider, subject, "an operator ended a session");
        Ok(())
    }

    /// Notes an end that may have been made in part, or be made yet.
    fn failed(&self, refusal: &Refusal, subject: Option<&str>, id: Option<SessionId>) {
        let (code, id) = (refusal.code(), id.map(tracing::field::display));
        tracing::warn!(target: AUDIT, event = "sessions_end_failed", code, error = %refusal, client = %self.client, subject, id, "sessions that an operator ends may still stand");
    }
}

/// What the store answers, unless it takes too long.
async fn in_time<T>(asking: impl Future<Output = Result<T, StoreError>>) -> Result<T, Refusal> {
    Ok(tokio::time::timeout(PATIENCE, asking).await.map_err(|_| Refusal::Late)??)
}
