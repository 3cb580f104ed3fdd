//! Keeps the connections: opens them, watches them, and opens them anew with growing pauses. Requests never
//! connect. They take what is there, wait for the first attempt after a connection was lost, and fail at once
//! while the store is known to be down.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::fault::Fault;
use super::lanes::Lanes;
use super::servers;
use super::settings::RedisSettings;

/// The pause between two looks at a connection that seems well.
const BEAT: Duration = Duration::from_secs(1);

/// The pause between two questions to the Sentinels whether the master still is the master.
const ASKS: Duration = Duration::from_secs(3);

/// The pause after the first attempt that failed; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What there is of connections.
#[derive(Clone)]
pub(super) enum State {
    /// They are being opened, and nothing speaks against it.
    Opening,
    /// They are open.
    Up(Arc<Lanes>),
    /// They can't be opened; the next attempt follows.
    Down(Fault),
}

/// The keeper, which ends when this is dropped.
pub(super) struct Keeper {
    state: watch::Receiver<State>,
    doubted: Arc<Notify>,
    limit: Duration,
    task: AbortHandle,
}

impl Keeper {
    /// Starts it on the control runtime.
    pub(super) fn start(settings: Arc<RedisSettings>, control: &Handle) -> Self {
        let (tell, state) = watch::channel(State::Opening);
        let doubted = Arc::new(Notify::new());
        let limit = settings.timeout;
        let task = control.spawn(keep(settings, tell, Arc::clone(&doubted))).abort_handle();
        Self { state, doubted, limit, task }
    }

    /// The connections, waited for while they are opened for the first time or after a loss.
    pub(super) async fn lanes(&self) -> Result<Arc<Lanes>, Fault> {
        self.await_state(|state| !matches!(state, State::Opening)).await
    }

    /// The connections that come after `lost`.
    pub(super) async fn after(&self, lost: &Arc<Lanes>) -> Result<Arc<Lanes>, Fault> {
        self.await_state(|state| match state {
            State::Opening => false,
            State::Up(lanes) => !Arc::ptr_eq(lanes, lost),
            State::Down(_) => true,
        })
        .await
    }

    /// Asks for a look at the connections at once.
    pub(super) fn doubt(&self) {
        self.doubted.notify_one();
    }

    /// What there is now, and whenever it is something else.
    pub(super) fn states(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    async fn await_state(&self, wanted: impl FnMut(&State) -> bool) -> Result<Arc<Lanes>, Fault> {
        let mut states = self.state.clone();
        let waited = timeout(self.limit, states.wait_for(wanted)).await.map_err(|_| Fault::Slow)?;
        match waited.map(|state| state.clone()) {
            Ok(State::Up(lanes)) => Ok(lanes),
            Ok(State::Down(fault)) => Err(fault),
            Ok(State::Opening) | Err(_) => Err(Fault::Unreachable("its connections are closed".to_owned())),
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep(settings: Arc<RedisSettings>, tell: watch::Sender<State>, doubted: Arc<Notify>) {
    let (mut pause, mut told, mut before) = (FIRST_PAUSE, None, None::<Arc<Lanes>>);
    loop {
        match servers::open(&settings).await {
            Ok(lanes) => {
                let lanes = Arc::new(lanes);
                if let Some(before) = before.replace(Arc::clone(&lanes)) {
                    lanes.remember(&before);
                }
                if told.take().is_some() {
                    tracing::info!(store = %lanes.address(), "the session store answers again");
                }
                tell.send_replace(State::Up(Arc::clone(&lanes)));
                pause = FIRST_PAUSE;
                let fault = guard(&settings, &lanes, &doubted).await;
                // A connection that was only cut is there again at once: nobody need be refused meanwhile.
                tell.send_replace(if fault.is_lost() { State::Opening } else { State::Down(fault) });
            }
            Err(fault) => {
                if told.replace(fault.code()) != Some(fault.code()) {
                    tracing::warn!(code = fault.code(), error = %fault, mend = fault.mend(), "the session store can't be used");
                }
                tell.send_replace(State::Down(fault));
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// Looks at the connections until they are no good any more, and gives the reason.
async fn guard(settings: &RedisSettings, lanes: &Lanes, doubted: &Notify) -> Fault {
    let mut asked = Instant::now();
    loop {
        tokio::select! {
            () = sleep(BEAT) => {}
            () = doubted.notified() => {}
        }
        if let Err(fault) = lanes.check().await {
            return fault;
        }
        // SECURITY: a master that was replaced while it could not be told takes changes that nobody else sees.
        if asked.elapsed() >= ASKS {
            asked = Instant::now();
            if !servers::is_still_master(settings, lanes.address()).await {
                return Fault::Replica;
            }
        }
        // A request that failed for a reason of its own must not make this a busy loop.
        sleep(FIRST_PAUSE).await;
    }
}
