//! What other processes do to records, heard over a channel: the scripts that end and change records tell it in
//! the same step. A connection of its own listens, in a cluster one to each node, as a script tells it to its own
//! node first: so whoever is connected to each master hears of whatever any of them did.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use futures_util::stream::{SelectAll, StreamExt as _, once};
use futures_util::{FutureExt as _, Stream};
use redis::aio::PubSubSink;
use redis::{Msg, Value};
use tokio::sync::watch;
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

/// The pause before listening is tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// One message, or the end of one server's.
enum Heard {
    Message(Msg),
    End,
}

type Stations = SelectAll<std::pin::Pin<Box<dyn Stream<Item = Heard> + Send>>>;

/// What is listened to.
struct Ear {
    masters: Vec<PubSubSink>,
    others: Vec<PubSubSink>,
    heard: Stations,
    addresses: Vec<Address>,
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
    let mut code = None;
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
        let Err(fault) = listen_at(&inner, &lanes, &mut states, &*listener).await;
        if code.replace(fault.code()) != Some(fault.code()) {
            tracing::warn!(code = fault.code(), error = %fault, "other gateways' changes can't be heard for now");
        }
        tokio::time::sleep(PAUSE).await;
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
                let asking = try_join_all(ear.masters.iter_mut().map(PubSubSink::ping::<Value>));
                timeout(limit, asking).await.map_err(|_| Fault::Slow)??;
                if servers::to_hear(&inner.settings, lanes).await?.0.iter().any(|at| !ear.addresses.contains(at)) {
                    return Err(Fault::Redirected);
                }
                // What came before the answers is handed over before anybody relies on them.
                while let Some(heard) = ear.heard.next().now_or_never() {
                    hand_over(heard, listener)?;
                }
                listener.hears(asked + COUNTS);
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
        let mut ear = Self {
            masters: Vec::new(),
            others: Vec::new(),
            heard: SelectAll::new(),
            addresses: masters.clone(),
        };
        for (sink, heard) in try_join_all(masters.iter().map(|at| connect(settings, at))).await? {
            ear.masters.push(sink);
            ear.heard.push(Box::pin(heard.map(Heard::Message).chain(once(std::future::ready(Heard::End)))));
        }
        // A replica may be made a master before anybody hears of it; one that is down may not.
        for at in others {
            if let Ok((sink, heard)) = connect(settings, &at).await {
                ear.others.push(sink);
                ear.heard.push(Box::pin(heard.map(Heard::Message)));
                ear.addresses.push(at);
            }
        }
        Ok(ear)
    }
}

async fn connect(
    settings: &RedisSettings,
    at: &Address,
) -> Result<(PubSubSink, impl Stream<Item = Msg> + Send + use<>), Fault> {
    let client = servers::client(at, &settings.login, settings)?;
    let connecting = async {
        let (mut sink, heard) = client.get_async_pubsub().await?.split();
        sink.subscribe(Layout::new(settings.prefix.clone()).channel()).await?;
        Ok::<_, redis::RedisError>((sink, heard))
    };
    Ok(timeout(settings.timeout, connecting).await.map_err(|_| Fault::Slow)??)
}
