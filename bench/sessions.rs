//! Fills the session store of a configuration and measures what operators and restarts take there. `bench/sessions`
//! runs it and then measures a gateway over what it left; `bench/README.md` says how to read the numbers.
//!
//! It goes through the library as a gateway does: each session is a sign-in, kept before the next step.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a tool for whoever measures: it fails by panicking and prints what it found"
)]

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::runtime::{Builder, Handle};
use tokio::task::JoinSet;
use vestibule::config;
use vestibule::foundation::clock::Clock;
use vestibule::foundation::secret::Secret;
use vestibule::identity::claims::{Claims, Tokens};
use vestibule::sessions::{CookieNames, Entrance, Listing, Person, SessionData, Sessions, Wanted};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Sign-ins that wait for the store at once.
const AT_ONCE: usize = 256;

/// Sessions of one person.
const OF_A_PERSON: usize = 4;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [config, number] = &arguments[..] else { panic!("usage: sessions CONFIG NUMBER") };
    let number: usize = number.parse().unwrap();
    let settings =
        config::load(Path::new(config), std::env::vars()).unwrap_or_else(|problems| panic!("{problems}"));
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let told = runtime.block_on(measure(&settings, number));
    println!("{told:#}");
    runtime.shutdown_background();
}

async fn measure(settings: &config::Settings, number: usize) -> Value {
    let app = &settings.gateway.apps[0];
    let provider = settings.providers[0].name.clone();
    let (clock, control) = (Clock::system(), Handle::current());
    let sessions = Sessions::open(&settings.sessions, clock.clone(), control.clone()).unwrap();
    let names = sessions.cookies_on(&app.origin);
    let begun = Instant::now();
    let cookie = fill(&sessions, &names, &app.name, &provider, number, &clock).await;
    let filled = begun.elapsed();
    sessions.close().await.unwrap();
    drop(sessions);

    let begun = Instant::now();
    let sessions = Sessions::open(&settings.sessions, clock, control).unwrap();
    let opened = begun.elapsed();
    let count = median(20, async |_| _ = sessions.count().await.unwrap()).await;
    let all = Wanted::default();
    let first = median(20, async |_| drop(sessions.list(&all, None, 100).await.unwrap())).await;
    let thousand = median(20, async |_| drop(sessions.list(&all, None, 1000).await.unwrap())).await;
    let (through, listed) = through(&sessions, &all).await;
    let nobody = Wanted { search: Some("nobody is called so".into()), ..Wanted::default() };
    let search = median(5, async |_| drop(sessions.list(&nobody, None, 100).await.unwrap())).await;
    let persons = number.div_ceil(OF_A_PERSON);
    let subject = |round: usize| subject(persons.saturating_sub(1) * (round + 1) / 32 * OF_A_PERSON);
    let person = median(20, async |round| {
        let person = Person { subject: subject(round), providers: vec![provider.clone()] };
        let wanted = Wanted { person: Some(person), ..Wanted::default() };
        let found = sessions.list(&wanted, None, 100).await.unwrap().sessions.len();
        assert!(found >= 1, "nobody");
    })
    .await;
    let ends = if number > 100 { 20 } else { 0 };
    let end = median(ends, async |round| {
        let ended = sessions.end_by_subject(&provider, &subject(round)).await.unwrap();
        assert!(ended >= 1, "nobody");
    })
    .await;
    sessions.close().await.unwrap();
    json!({
        "sessions": listed,
        "cookie": cookie,
        "fill_s": filled.as_secs_f64(),
        "open_ms": milliseconds(opened),
        "count_ms": milliseconds(count),
        "page_of_100_ms": milliseconds(first),
        "page_of_1000_ms": milliseconds(thousand),
        "all_pages_s": through.as_secs_f64(),
        "search_ms": milliseconds(search),
        "person_ms": milliseconds(person),
        "end_person_ms": milliseconds(end),
    })
}

/// Makes the sessions; gives the `Cookie` header of one that is among the last to go.
async fn fill(
    sessions: &Arc<Sessions>,
    names: &CookieNames,
    app: &str,
    provider: &str,
    number: usize,
    clock: &Clock,
) -> String {
    let keeping = tokio::spawn(Arc::clone(sessions).keep());
    let (names, app): (Arc<CookieNames>, Arc<str>) = (Arc::new(names.clone()), app.into());
    let (mut making, mut cookie) = (JoinSet::new(), String::new());
    for session in 0..number {
        while making.len() >= AT_ONCE {
            cookie = making.join_next().await.unwrap().unwrap();
        }
        if session % 100_000 == 99_999 {
            eprintln!("{} sessions", session + 1);
        }
        let data = data(session, provider, sessions, clock);
        let (sessions, names, app) = (Arc::clone(sessions), Arc::clone(&names), Arc::clone(&app));
        making.spawn(async move {
            let [_, .., c, d] = u32::try_from(session).unwrap().to_be_bytes();
            let client = IpAddr::V4(Ipv4Addr::new(198, 51, c, d));
            let entrance = Entrance { app: &app, client };
            let (_, set) = sessions.create(&names, data, entrance, None).await.unwrap();
            set[0].to_str().unwrap().split(';').next().unwrap().to_owned()
        });
    }
    while let Some(made) = making.join_next().await {
        cookie = made.unwrap();
    }
    keeping.abort();
    cookie
}

/// A person as a school's provider tells of them, with tokens of a usual size.
fn data(session: usize, provider: &str, sessions: &Sessions, clock: &Clock) -> SessionData {
    let (person, now) = (session / OF_A_PERSON, clock.now());
    let claims = json!({
        "sub": subject(session), "name": format!("Иван Петрович Сидоров-{person}"), "given_name": "Иван",
        "family_name": format!("Сидоров-{person}"), "email": format!("sidorov-{person}@school.example"), "email_verified": true,
        "phone_number": "+79990000000", "groups": ["students", format!("{}А", person % 11 + 1)], "acr": "urn:example:password",
    });
    let Value::Object(claims) = claims else { panic!("no claims") };
    // Three segments of text that does not repeat, as a signed token is.
    let text = |length: usize| {
        (0..length).map(|at| char::from(b'A' + ((session * 31 + at * at * 7) % 26) as u8)).collect::<String>()
    };
    let signed = format!("{}.{}.{}", text(80), text(560), text(342));
    SessionData {
        provider: provider.to_owned(),
        subject: subject(session),
        provider_session: Some(format!("sid-{session}")),
        claims: Claims(claims),
        tokens: Tokens {
            access: Some(Secret::new(text(43))),
            id: Some(Secret::new(signed)),
            refresh: None,
            proof_key: None,
        },
        auth_time: Some(now),
        signed_in_at: now,
        expires_at: sessions.expiry(now),
        tokens_from: now,
        access_expires_at: None,
        renewals: 0,
    }
}

fn subject(session: usize) -> String {
    format!("5f6d1c0e-7c1b-4a55-9b0e-{:012}", session / OF_A_PERSON)
}

/// How long it takes to go through all pages, and how many sessions stand there.
async fn through(sessions: &Sessions, wanted: &Wanted) -> (Duration, usize) {
    let (begun, mut listed, mut place) = (Instant::now(), 0, None);
    loop {
        let Listing { sessions: page, next } = sessions.list(wanted, place, 1000).await.unwrap();
        listed += page.len();
        place = next;
        if place.is_none() {
            return (begun.elapsed(), listed);
        }
    }
}

/// The median of so many rounds.
async fn median(rounds: usize, work: impl AsyncFn(usize)) -> Duration {
    let mut times = Vec::with_capacity(rounds);
    for round in 0..rounds {
        let begun = Instant::now();
        work(round).await;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    times.get(rounds / 2).copied().unwrap_or_default()
}

fn milliseconds(span: Duration) -> f64 {
    (span.as_secs_f64() * 1e5).round() / 100.0
}
