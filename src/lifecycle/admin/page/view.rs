//! What the operators' page shows, gathered: nothing is probed for it but the session store.

use askama::Template;

use super::chart::Chart;
use super::texts::Words;
use super::{STYLE, value};
use crate::foundation::clock::Timestamp;
use crate::gateway::pages::Language;
use crate::lifecycle::admin::asked::{Asked, person};
use crate::lifecycle::admin::refusal::Refusal;
use crate::lifecycle::admin::{Call, State, health};
use crate::oidc::Readiness;
use crate::sessions::{Card, Listed, Listing, Wanted};
use crate::telemetry::history::{AppTotals, MINUTES, Totals};

/// How many sessions stand on a page.
const PAGE: usize = 50;

/// How many minutes say how an app is now.
const RECENT: usize = 5;

#[derive(Template)]
#[template(path = "lifecycle/admin/page/overview.html")]
pub(super) struct Overview {
    language: &'static str,
    style: &'static str,
    words: &'static Words,
    /// Whether it is loaded again by itself: not where somebody searches or turns pages.
    refreshes: bool,
    ended: Option<u64>,
    health: Vec<Item>,
    hour: Totals,
    chart: Chart,
    search: String,
    again: String,
    problem: Option<String>,
    rows: Vec<Row>,
    /// The person that the list is of, where it is of one.
    of_person: Option<String>,
    /// The query of the next page.
    next: Option<String>,
    /// Whether there are pages before.
    is_later: bool,
}

/// The page when something could not be done.
#[derive(Template)]
#[template(path = "lifecycle/admin/page/failed.html")]
pub(super) struct Failed {
    language: &'static str,
    style: &'static str,
    words: &'static Words,
    problem: String,
}

/// One thing that works or does not.
struct Item {
    state: Condition,
    kind: &'static str,
    name: String,
    told: String,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Works,
    Limps,
    Broken,
}

impl Condition {
    /// How an app is, by how requests to it went lately.
    const fn of(lately: &AppTotals) -> Self {
        match (lately.failures, lately.failures.saturating_mul(2) >= lately.requests) {
            (0, _) => Self::Works,
            (_, false) => Self::Limps,
            (_, true) => Self::Broken,
        }
    }

    const fn class(self) -> &'static str {
        match self {
            Self::Works => "",
            Self::Limps => "warn",
            Self::Broken => "bad",
        }
    }
}

/// A session in the table. Lengths of time stand beside their moment.
struct Row {
    id: String,
    card: Option<Card>,
    /// The query of this person's list.
    of_person: String,
    since: Option<(String, Timestamp)>,
    last_seen: (String, Timestamp),
}

/// The page as this request asks for it.
pub(super) async fn overview(call: &Call<'_>, language: Language, words: &'static Words) -> Overview {
    let state = call.state;
    let asked = call.head.uri.query().unwrap_or_default();
    let text =
        |name: &str| value(asked, name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let (subject, search, after) = (text("subject"), text("q"), text("after"));
    let found = find(state, subject, search.as_deref(), after.as_deref()).await;
    let (of_person, listing, problem) = match found {
        Ok((of_person, listing)) => (of_person, listing, None),
        Err(refusal) => (None, Listing::default(), Some(refusal.to_string())),
    };
    let search = search.or_else(|| of_person.clone()).unwrap_or_default();
    let of = if of_person.is_some() { "subject" } else { "q" };
    let next = listing.next.map(|next| query(&[(of, &search), ("after", &next.to_string())]));
    let (now, totals) = (state.gateway.clock.now(), state.gateway.metrics.totals());
    let [hour, moments] = [MINUTES, RECENT].map(|minutes| state.history.within(minutes, &totals));
    Overview {
        language: language.tag(),
        style: STYLE,
        words,
        refreshes: search.is_empty() && after.is_none(),
        ended: text("ended").and_then(|ended| ended.parse().ok()),
        health: health(state, &hour, &moments, words).await,
        chart: Chart::of(&state.history.minutes(&totals), |ago, minute| words.minute(ago, minute)),
        hour,
        again: query(&[(of, &search)]),
        search,
        problem,
        rows: listing.sessions.into_iter().map(|listed| row(listed, now, words)).collect(),
        of_person,
        next,
        is_later: after.is_some(),
    }
}

/// The page that says why something could not be done.
pub(super) const fn failed(language: Language, words: &'static Words, problem: String) -> Failed {
    Failed { language: language.tag(), style: STYLE, words, problem }
}

/// A query of these members; empty ones are left out.
pub(super) fn query(members: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(members.iter().filter(|(_, value)| !value.is_empty()));
    query.finish()
}

/// The sessions of a person, or those that a text is found in: it may be a subject, which an index finds at once
/// among millions.
async fn find(
    state: &State,
    subject: Option<String>,
    search: Option<&str>,
    after: Option<&str>,
) -> Result<(Option<String>, Listing), Refusal> {
    let not_a_place = || Refusal::BadParameter { name: "after", expected: "what the page before says" };
    let after = after.map(str::parse).transpose().map_err(|_| not_a_place())?;
    let limit = PAGE;
    let exact = subject.or_else(|| search.filter(|_| after.is_none()).map(str::to_owned));
    if let Some(subject) = exact {
        let person = Some(person(subject.clone(), None, &state.provider_names()));
        let wanted = Wanted { person, ..Wanted::default() };
        let listing = state.list(Asked { wanted, after: after.clone(), limit }).await?;
        if search.is_none() || !listing.sessions.is_empty() {
            return Ok((Some(subject), listing));
        }
    }
    let wanted = Wanted { search: search.map(str::to_owned), ..Wanted::default() };
    Ok((None, state.list(Asked { wanted, after, limit }).await?))
}

/// What is known of the store, the providers and the apps.
async fn health(state: &State, hour: &Totals, moments: &Totals, words: &Words) -> Vec<Item> {
    let mut items = vec![store(state, words).await];
    for provider in &state.providers {
        let readiness = provider.readiness();
        let (condition, told) = match readiness {
            Readiness::Ready => (Condition::Works, words.works.to_owned()),
            Readiness::Stale { .. } => (Condition::Limps, format!("{}: {readiness}", words.stale)),
            Readiness::Waiting { .. } => (Condition::Broken, format!("{}: {readiness}", words.does_not_work)),
        };
        items.push(Item { state: condition, kind: words.provider, name: provider.name().to_owned(), told });
    }
    for ((app, counts), lately) in state.gateway.apps.iter().zip(&hour.apps).zip(&moments.apps) {
        let told =
            format!("{}: {}, {}: {}", words.requests, counts.requests, words.failures, counts.failures);
        let state = Condition::of(lately);
        items.push(Item { state, kind: words.app, name: app.settings.name.clone(), told });
    }
    items
}

async fn store(state: &State, words: &Words) -> Item {
    let name = words.store.to_owned();
    let health = health::store(state).await;
    let state = match health.code {
        "ok" => {
            let count = state.gateway.sessions.count().await.ok().flatten();
            let told = count.map_or_else(
                || words.works.to_owned(),
                |count| format!("{}. {}: {count}", words.works, words.sessions_kept),
            );
            return Item { state: Condition::Works, kind: "", name, told };
        }
        _ if health.usable => Condition::Limps,
        _ => Condition::Broken,
    };
    let told = match state {
        Condition::Broken => format!("{}: {}", words.does_not_work, health.words),
        Condition::Works | Condition::Limps => health.words,
    };
    Item { state, kind: "", name, told }
}

fn row(listed: Listed, now: Timestamp, words: &Words) -> Row {
    let ago = |at: Timestamp| (format!("{} {}", words.lasting(now.since(at)), words.ago), at);
    let Listed { id, card, last_seen, .. } = listed;
    Row {
        id: id.to_string(),
        of_person: card.as_ref().map(|card| query(&[("subject", &card.subject)])).unwrap_or_default(),
        since: card.as_ref().map(|card| ago(card.signed_in_at)),
        last_seen: ago(last_seen),
        card,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_is_as_requests_to_it_went_lately() {
        for (requests, failures, expected) in [
            (0, 0, Condition::Works),
            (100, 0, Condition::Works),
            (100, 1, Condition::Limps),
            (100, 50, Condition::Broken),
            (1, 1, Condition::Broken),
        ] {
            assert_eq!(
                Condition::of(&AppTotals { requests, failures }),
                expected,
                "{failures} of {requests}"
            );
        }
    }
}
