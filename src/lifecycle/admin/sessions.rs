//! The sessions for programs: `GET /sessions`, `DELETE /sessions?subject=…`, `DELETE /sessions/ID`, as JSON.

use std::time::Duration;

use http::{Method, StatusCode};

use super::answer::{self, Answer};
use super::asked::{Asked, Parameters, person};
use super::documents::{Ended, Sessions};
use super::refusal::Refusal;
use super::{Call, State};
use crate::sessions::{Listing, Person, SessionId};
use crate::telemetry::SubjectInLogs;
use crate::telemetry::log::AUDIT;

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
    call.state.access.program(&call.head.headers)?;
    let asked =
        Asked::read(call.head.uri.query(), &call.state.provider_names(), call.state.gateway.clock.now())?;
    Ok(answer::json(StatusCode::OK, &Sessions::from(call.state.list(asked).await?)))
}

async fn end_person(call: &Call<'_>) -> Result<Answer, Refusal> {
    call.state.access.program(&call.head.headers)?;
    let parameters = Parameters::read(call.head.uri.query(), &["subject", "provider"])?;
    let subject = parameters.get("subject").ok_or(Refusal::WhoseSessions)?.to_owned();
    let person = person(subject, parameters.get("provider"), &call.state.provider_names());
    let ended = call.end_person(&person).await?;
    Ok(answer::json(StatusCode::OK, &Ended { ended }))
}

async fn end(call: &Call<'_>, id: &str) -> Result<Answer, Refusal> {
    call.state.access.program(&call.head.headers)?;
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
        let listing = self.gateway.sessions.list(&asked.wanted, asked.after, asked.limit);
        Ok(tokio::time::timeout(PATIENCE, listing).await.map_err(|_| Refusal::Late)??)
    }
}

impl Call<'_> {
    /// Ends all sessions of a person; tells how many there were.
    pub(super) async fn end_person(&self, person: &Person) -> Result<usize, Refusal> {
        let sessions = &self.state.gateway.sessions;
        let mut ended = 0;
        for provider in &person.providers {
            let ending = sessions.end_by_subject(provider, &person.subject);
            ended += tokio::time::timeout(PATIENCE, ending).await.map_err(|_| Refusal::Late)??;
        }
        let named = self.state.gateway.subject_in_logs == SubjectInLogs::Named;
        let subject = named.then_some(&*person.subject);
        tracing::info!(target: AUDIT, event = "sessions_ended", client = %self.client, ended, subject, "an operator ended the sessions of a person");
        Ok(ended)
    }

    /// Ends the session that this text names.
    pub(super) async fn end_session(&self, id: &str) -> Result<(), Refusal> {
        // What can't name a session names none.
        let id: SessionId = id.parse().map_err(|_| Refusal::NoSession)?;
        let ending = self.state.gateway.sessions.end_by_id(id);
        if !tokio::time::timeout(PATIENCE, ending).await.map_err(|_| Refusal::Late)?? {
            return Err(Refusal::NoSession);
        }
        tracing::info!(target: AUDIT, event = "sessions_ended", client = %self.client, ended = 1, id = %id, "an operator ended a session");
        Ok(())
    }
}
