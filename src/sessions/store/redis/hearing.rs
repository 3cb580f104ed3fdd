//! What other processes do to records, heard over a channel: the scripts that end and change records tell it in
//! the same step. A connection of its own listens, in a cluster one to each node, as a script tells it to its own
//! node first: so whoever is connected to each master hears of whatever any of them did.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{join, join_all, try_join_all};
use futures_util::stream::{SelectAll, StreamExt as _, once};
use futures_util::{FutureExt as _, Stream};
use redis::aio::PubSubSink;
use redis::{Msg, RedisResult, Value};
use tokio::sync::watch;
use tokio::task::unconstrained;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::Inner;
use super::fault::Fault;
use super::keeper::State;
use super::lanes::Lanes;
use super::layout::Layout;
use super::servers;
use super::settings::{Address, RedisSettings};
use crate::sessions::store::{Listener, News};

/// The pause between two questions whether the connections still stand.
const BEAT: Duration = Duration::from_secs(1);

/// How long an answer to that question counts, from when it was asked.
const COUNTS: Duration = Duration::from_secs(4);

/// The pause before listening is tried again; it doubles up to the longest while that is in vain.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// One message, or the end of one server's.
enum Heard {
    Message(Msg),
    End,
}

type Stations = SelectAll<std::pin::Pin<Box<dyn Stream<Item = Heard> + Send>>>;

/// What is listened to: the masters, and who may take their place.
struct Ear {
    nodes: Vec<(Address, PubSubSink)>,
    heard: Stations,
}

/// The text that tells of something: a letter and the record's name.
pub(super) fn told(news: &News) -> Vec<u8> {
    let (kind, name) = match news {
        News::Ended(name) => (b'e', name),
        News::Changed(name) => (b'c', name),
    };
    [&[kind][..], name].concat()
}

/// What a text tells, if it is one of ours.
fn understood(text: &[u8]) -> Option<News> {
    let (kind, name) = text.split_first()?;
    let name = name.try_into().ok()?;
    match kind {
        b'e' => Some(News::Ended(name)),
        b'c' => Some(News::Changed(name)),
        _ => None,
    }
}

/// Listens for as long as it is polled.
pub(super) async fn listen(inner: Arc<Inner>, listener: Arc<dyn Listener>) {
    let (mut code, mut pause) = (None, PAUSE);
    loop {
        listener.deaf();
        let mut states = inner.keeper().states();
        let Ok(State::Up(lanes)) =
            states.wait_for(|state| matches!(state, State::Up(_))).await.map(|state| state.clone())
        else {
            // The store was closed: whoever uses it again opens connections anew.
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let began = Instant::now();
        let Err(fault) = listen_at(&inner, &lanes, &mut states, &*listener).await;
        if code.replace(fault.code()) != Some(fault.code()) {
            tracing::warn!(code = fault.code(), error = %fault, "other gateways' changes can't be heard for now");
        }
        if began.elapsed() > COUNTS {
            pause = PAUSE;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Tries once to listen, for an examination.
pub(super) async fn try_out(settings: &RedisSettings, lanes: &Lanes) -> Result<(), Fault> {
    Ear::open(settings, lanes).await.map(drop)
}

async fn listen_at(
    inner: &Inner,
    lanes: &Arc<Lanes>,
    states: &mut watch::Receiver<State>,
    listener: &dyn Listener,
) -> Result<std::convert::Infallible, Fault> {
    let limit = inner.settings.timeout;
    let mut ear = Ear::open(&inner.settings, lanes).await?;
    let mut beat = interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            heard = ear.heard.next() => hand_over(heard, listener)?,
            changed = states.changed() => {
                // Other connections may lead to another server: there is to be listened, then.
                drop(changed);
                return Err(Fault::Unreachable("its connections are new".to_owned()));
            }
            _ = beat.tick() => {
                let asked = Instant::now();
                let (masters, _) = servers::to_hear(&inner.settings, lanes).await?;
                timeout(limit, ear.ask(&masters)?).await.map_err(|_| Fault::Slow)??;
                // SECURITY: what came before the answers is handed over before anybody relies on them, all of it: the
                // runtime would have a task pause after so many messages, as if there were no more.
                while let Some(heard) = unconstrained(ear.heard.next()).now_or_never() {
                    hand_over(heard, listener)?;
                }
                listener.hears(asked, asked + COUNTS);
            }
        }
    }
}

fn hand_over(heard: Option<Heard>, listener: &dyn Listener) -> Result<(), Fault> {
    match heard {
        Some(Heard::Message(message)) => {
            if let Some(news) = understood(message.get_payload_bytes()) {
                listener.heard(news);
            }
            Ok(())
        }
        Some(Heard::End) | None => {
            Err(Fault::Unreachable("the connection that listens was closed".to_owned()))
        }
    }
}

impl Ear {
    async fn open(settings: &RedisSettings, lanes: &Lanes) -> Result<Self, Fault> {
        let (masters, others) = servers::to_hear(settings, lanes).await?;
        // A replica may be made a master before anybody hears of it; one that is down may not.
        let (masters, others) = join(
            try_join_all(masters.into_iter().map(|at| connect(settings, at))),
            join_all(others.into_iter().map(|at| connect(settings, at))),
        )
        .await;
        let mut ear = Self { nodes: Vec::new(), heard: SelectAll::new() };
        for (at, sink, heard) in masters?.into_iter().chain(others.into_iter().flatten()) {
            ear.nodes.push((at, sink));
            ear.heard.push(Box::pin(heard.map(Heard::Message).chain(once(std::future::ready(Heard::End)))));
        }
        Ok(ear)
    }

    /// Asks whether the connections to these still stand; all of them must be listened to.
    fn ask(&mut self, masters: &[Address]) -> Result<impl Future<Output = RedisResult<Vec<Value>>>, Fault> {
        let asked: Vec<_> = self.nodes.iter_mut().filter(|(at, _)| masters.contains(at)).collect();
        if asked.len() < masters.len() {
            return Err(Fault::Redirected);
        }
        Ok(try_join_all(asked.into_iter().map(|(_, sink)| sink.ping())))
    }
}

async fn connect(
    settings: &RedisSettings,
    at: Address,
) -> Result<(Address, PubSubSink, impl Stream<Item = Msg> + Send + use<>), Fault> {
    let client = servers::client(&at, &settings.login, settings)?;
    let connecting = async {
        let (mut sink, heard) = client.get_async_pubsub().await?.split();
        sink.subscribe(Layout::new(settings.prefix.clone()).channel()).await?;
        Ok::<_, redis::RedisError>((at, sink, heard))
    };
    Ok(timeout(settings.timeout, connecting).await.map_err(|_| Fault::Slow)??)
}
