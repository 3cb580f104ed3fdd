//! What stands between a gateway and its store when a test wants the network to be bad: a proxy for TCP that
//! delays, swallows, breaks off in the midst of an answer, or takes no connection.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What it does with what passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// Nothing: it passes at once.
    Fair,
    /// Each piece comes so much later.
    Slow(Duration),
    /// Nothing arrives, and no connection is closed.
    Gone,
    /// Answers end after so many bytes, and with them the connection.
    CutAfter(usize),
}

/// The proxy; it ends with this.
pub struct Between {
    /// Where it listens.
    pub port: u16,
    weather: Arc<Mutex<Weather>>,
    _tasks: JoinSet<()>,
}

impl Between {
    /// Stands before this port of 127.0.0.1.
    pub async fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let weather = Arc::new(Mutex::new(Weather::Fair));
        let mut tasks = JoinSet::new();
        let now = Arc::clone(&weather);
        tasks.spawn(async move {
            let mut carried = JoinSet::new();
            loop {
                let (here, _) = listener.accept().await.unwrap();
                let now = Arc::clone(&now);
                carried.spawn(async move {
                    let Ok(there) = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).await else {
                        return;
                    };
                    let (mut from_here, mut to_here) = here.into_split();
                    let (mut from_there, mut to_there) = there.into_split();
                    // Either direction's end is the other's.
                    tokio::select! {
                        () = carry(&mut from_here, &mut to_there, &now, false) => {}
                        () = carry(&mut from_there, &mut to_here, &now, true) => {}
                    }
                });
            }
        });
        Self { port: own, weather, _tasks: tasks }
    }

    /// Changes what becomes of what passes from now on.
    pub fn weather(&self, weather: Weather) {
        *self.weather.lock().unwrap() = weather;
    }
}

async fn carry(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    weather: &Mutex<Weather>,
    is_answer: bool,
) {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let Ok(read @ 1..) = from.read(&mut bytes).await else { return };
        let now = *weather.lock().unwrap();
        let mut piece = &bytes[..read];
        match now {
            Weather::Fair => {}
            Weather::Slow(by) => tokio::time::sleep(by).await,
            Weather::Gone => continue,
            Weather::CutAfter(length) if is_answer => piece = &piece[..length.min(read)],
            Weather::CutAfter(_) => {}
        }
        let written = to.write_all(piece).await;
        if written.is_err() || piece.len() < read {
            return;
        }
    }
}
