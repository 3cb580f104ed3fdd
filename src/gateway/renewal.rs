//! Tokens renewed beside the requests, and revoked after a sign-out.
//!
//! The request that finds them due begins the renewal, on the control runtime, and goes on with the access
//! token that is still good. Once that is not, requests wait for the one renewal, for as long as the
//! provider's time limit. A refusal ends the session. A provider that can't be reached does not: identity
//! stands until the session's own end, apps get the old token, and each try is later than the one before.
//!
//! Where several gateways share a store, one of them asks and the others take over what it got. A store that can't
//! lend the lock for that keeps the refresh token from being used.

use std::sync::Arc;
use std::time::Duration;

use super::Gateway;
use super::apps::Protected;
use super::own_session::telling;
use crate::foundation::clock::Timestamp;
use crate::oidc::{Held, OidcError, Provider, RefreshError};
use crate::sessions::{Live, News, Renewal, SessionData, Standing, Turn, Way};
use crate::telemetry::SubjectInLogs;
use crate::telemetry::log::AUDIT;

/// How much longer than the provider's time limit another gateway is waited for: it may have died at it, and its
/// lock must end first.
const PATIENCE: Duration = Duration::from_secs(8);

/// Sees to a session whose tokens are due: renews them, or waits for who does. Afterwards the session may be
/// over, or have other content.
pub async fn attend(gateway: &Arc<Gateway>, app: &Protected, live: &Arc<Live>, now: Timestamp) {
    let Some(provider) = app.provider_named(&live.data().provider) else { return };
    let awaited = match live.begin_renewal(now) {
        Turn::NotDue => false,
        Turn::Anothers => true,
        Turn::Yours(renewal) => {
            let awaited = renewal.is_awaited();
            let (gateway, provider) = (Arc::clone(gateway), Arc::clone(provider));
            let app = app.settings.name.clone();
            gateway.control.clone().spawn(async move { renew(&gateway, &provider, &app, renewal).await });
            awaited
        }
    };
    if awaited {
        // Whoever waited in vain goes on with the old token.
        tokio::time::timeout(provider.settings().timeout, live.landed()).await.ok();
    }
}

/// Revokes the tokens of a session that is over, in the background: a sign-out neither waits for it nor fails
/// by it.
pub fn revoke(gateway: &Gateway, provider: &Arc<Provider>, data: &SessionData) {
    let (provider, tokens) = (Arc::clone(provider), data.tokens.clone());
    gateway.control.spawn(async move {
        if let Err(error) = provider.revoke(&tokens).await {
            let (code, mend) = (error.code(), error.mend());
            tracing::warn!(provider = provider.name(), code, %error, mend, "tokens could not be revoked");
        }
    });
}

/// Revokes the tokens of a session that another person's took the place of. A person's own new session may stand
/// on the same grant at the provider, which would be revoked with the old tokens.
pub fn revoke_replaced(
    gateway: &Gateway,
    app: &Protected,
    outgoing: &SessionData,
    provider: &str,
    subject: &str,
) {
    let same = outgoing.provider == provider && outgoing.subject == subject;
    if let Some(provider) = app.provider_named(&outgoing.provider).filter(|_| !same) {
        revoke(gateway, provider, outgoing);
    }
}

/// How a renewal ended that did not bring new tokens.
enum Failed {
    /// The session was ended meanwhile.
    Over,
    /// The provider says that it is over, or what it says can't be this person's. So it said of what had been renewed
    /// so often.
    Refused(OidcError, u32),
    /// It is to be tried again.
    Later(OidcError),
}

/// How new content is kept that the store did not take.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    InStore,
    HereAlone,
}

async fn renew(gateway: &Gateway, provider: &Arc<Provider>, app: &str, renewal: Renewal) {
    let name = provider.name();
    let patience = provider.settings().timeout + PATIENCE;
    let lease = match gateway.sessions.way_to_renew(renewal.live(), patience).await {
        Ok(Way::Free(lease)) => lease,
        Ok(Way::Renewed | Way::Over) => {
            gateway.metrics.renewal(name, "elsewhere");
            return renewal.succeeded();
        }
        Err(error) => {
            let code = error.code();
            gateway.metrics.renewal(name, code);
            if renewal.failures() == 0 {
                tracing::warn!(app, provider = name, code, %error, "tokens are not refreshed while the session store can't lend a lock; the session goes on");
            }
            return renewal.failed(gateway.clock.now());
        }
    };
    let outcome = refresh(gateway, provider, app, renewal.live()).await;
    match &outcome {
        Ok(_) => gateway.metrics.renewal(name, "ok"),
        Err(Failed::Refused(error, _) | Failed::Later(error)) => gateway.metrics.renewal(name, error.code()),
        Err(Failed::Over) => {}
    }
    match outcome {
        Ok(Kept::InStore) | Err(Failed::Over) => renewal.succeeded(),
        Ok(Kept::HereAlone) => {
            let live = Arc::clone(renewal.live());
            renewal.succeeded();
            // Who else renews it now would use the token that is spent.
            gateway.sessions.save_at_last(&live, lease).await;
        }
        Err(Failed::Refused(error, renewals)) => end(gateway, name, app, renewal, &error, renewals).await,
        Err(Failed::Later(error)) => {
            let (code, mend) = (error.code(), error.mend());
            if renewal.failures() == 0 {
                tracing::warn!(app, provider = name, code, %error, mend, "tokens could not be refreshed; the session goes on");
            } else {
                tracing::debug!(app, provider = name, code, %error, "tokens could not be refreshed again");
            }
            renewal.failed(gateway.clock.now());
        }
    }
}

/// Asks the provider; what it answers is written down before anything else is asked.
async fn refresh(
    gateway: &Gateway,
    provider: &Arc<Provider>,
    app: &str,
    live: &Live,
) -> Result<Kept, Failed> {
    let data = live.data();
    let held = Held { subject: &data.subject, tokens: &data.tokens, claims: &data.claims };
    let refreshed = provider.refresh(held).await.map_err(|error| match error {
        RefreshError::Refused(error) => Failed::Refused(error, data.renewals),
        RefreshError::Later(error) => Failed::Later(error),
    })?;
    let tokens = refreshed.tokens.clone();
    let from = gateway.clock.now();
    let news = News::Tokens { tokens, from, access_expires_at: refreshed.access_expires_at };
    let mut kept = Kept::InStore;
    match gateway.sessions.renew(live, news).await {
        Ok(Standing::Stands) => {}
        Ok(Standing::Over) => {
            revoke(gateway, provider, &SessionData { tokens: refreshed.tokens, ..SessionData::clone(&data) });
            return Err(Failed::Over);
        }
        Err(error) => {
            let provider = provider.name();
            tracing::error!(app, provider, %error, "refreshed tokens could not be written down; it is tried again");
            kept = Kept::HereAlone;
        }
    }
    let claims = match provider.fresh_claims(held, refreshed).await {
        Ok(claims) => claims,
        Err(RefreshError::Refused(error)) => return Err(Failed::Refused(error, live.data().renewals)),
        Err(RefreshError::Later(error)) => {
            let (provider, code, mend) = (provider.name(), error.code(), error.mend());
            tracing::warn!(app, provider, code, %error, mend, "claims could not be asked for again; the old ones stay");
            return Ok(kept);
        }
    };
    if claims != data.claims
        && let Err(error) = gateway.sessions.renew(live, News::Claims(claims)).await
    {
        let provider = provider.name();
        tracing::error!(app, provider, %error, "a session's new claims could not be written down");
        kept = Kept::HereAlone;
    }
    Ok(kept)
}

/// Ends a session that the provider refuses to go on with.
async fn end(
    gateway: &Gateway,
    provider: &str,
    app: &str,
    renewal: Renewal,
    error: &OidcError,
    renewals: u32,
) {
    let data = renewal.live().data();
    match gateway.sessions.is_newer_elsewhere(renewal.live(), renewals).await {
        Ok(false) => {}
        // The refusal is about a token that another gateway has spent, for a better one.
        Ok(true) => return renewal.succeeded(),
        Err(_) => return renewal.failed(gateway.clock.now()),
    }
    let subject = (gateway.subject_in_logs == SubjectInLogs::Named).then_some(&*data.subject);
    // A refusal is the provider's last word about this grant: there is nothing for the operator to mend.
    let mend = if matches!(error, OidcError::Refused(_)) { None } else { error.mend() };
    let code = error.code();
    match gateway.sessions.end(renewal.live()).await {
        Ok(()) => {
            tracing::warn!(target: AUDIT, event = "session_ended", code, %error, mend, app, provider, subject, "a refused refresh ended a session");
            let at = gateway.apps.iter().find(|known| known.settings.name == app);
            telling::tell(gateway, at, &data);
            renewal.succeeded();
        }
        Err(unwritten) => {
            tracing::error!(app, provider, code, error = %unwritten, "a session whose refresh was refused could not be ended; it is tried again");
            renewal.failed(gateway.clock.now());
        }
    }
}
