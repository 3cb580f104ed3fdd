//! What each change does to the keys, in an order that a crash between two of them can't turn into a broken
//! promise: a record is listed before it is there, and is gone before it is struck off. What is listed and not
//! there costs a few bytes until it would have ended.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use redis::{Cmd, Value, cmd};

use super::fault::Fault;
use super::hearing::told;
use super::lanes::{Lanes, read};
use super::layout::{self, Layout};
use super::scripts::{self, script};
use crate::foundation::clock::Timestamp;
use crate::sessions::store::{BATCH, Change, Entry, IndexName, News, RecordName};

/// How long the name of an ended record is kept from coming back: longer than any sign-in under way.
const TOMBSTONE: Duration = Duration::from_secs(60);

/// The most commands that one change has under way at a time.
const TOGETHER: usize = 64;

/// What changes are made with.
pub(super) struct Changes<'a> {
    layout: &'a Layout,
    lanes: &'a Lanes,
    /// A record is due so long after its last use, and is kept as long again as its marks may be behind.
    idle: Duration,
}

/// What a sweep found under a name.
enum Swept {
    Nothing,
    Gone(Vec<IndexName>),
    Stays(i64),
}

type Work<'w, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send + 'w>>;

impl<'a> Changes<'a> {
    pub(super) const fn new(layout: &'a Layout, lanes: &'a Lanes, idle: Duration) -> Self {
        Self { layout, lanes, idle }
    }

    /// Makes one change, and gives the names of the records that are gone by it.
    pub(super) async fn apply(&self, change: &Change) -> Result<Vec<RecordName>, Fault> {
        match change {
            Change::Put { entry, replacing } => {
                let mut gone = self.put(entry).await?;
                if let Some(replaced) = replacing {
                    self.end(&replaced.name).await?;
                    gone.push(replaced.name);
                }
                Ok(gone)
            }
            Change::Replace { name, record, renewals } => {
                let key = self.layout.record(name);
                let mut command = script(scripts::REPLACE, &key);
                command.arg(layout::counted(*renewals, record));
                command.arg(self.layout.channel()).arg(told(&News::Changed(*name)));
                let is_there = read::<u8>(self.lanes.change(&key, &command).await?)? == 1;
                Ok(if is_there { Vec::new() } else { vec![*name] })
            }
            Change::Touch(seen) => self.touch(seen).await.map(|()| Vec::new()),
            Change::Remove(gone) => self.end(&gone.name).await.map(|_| vec![gone.name]),
            Change::EndBy(indexes) => self.end_by(indexes).await,
            Change::Sweep { now, unused_since } => self.sweep(*now, *unused_since).await,
        }
    }

    /// How many records there are, those included that are over and not swept yet.
    pub(super) async fn count(&self) -> Result<u64, Fault> {
        let counting = self.layout.shelves().map(|shelf| self.count_on(shelf));
        Ok(all(counting.collect()).await?.into_iter().sum())
    }

    /// Asks for something small of each part of the store.
    pub(super) async fn probe(&self) -> Result<(), Fault> {
        let shelves = self.lanes.one_of_each_part(self.layout.shelves())?;
        all(shelves.into_iter().map(|shelf| self.count_on(shelf)).collect()).await.map(drop)
    }

    async fn count_on(&self, shelf: String) -> Result<u64, Fault> {
        read(self.lanes.ask(&shelf, cmd("ZCARD").arg(&shelf)).await?)
    }

    /// Gives the record's own name where it was ended before it was there.
    async fn put(&self, entry: &Entry) -> Result<Vec<RecordName>, Fault> {
        let Entry { name, indexes, expires_at, kept, card: _ } = entry;
        let (now, lasts) = (kept.last_seen, expires_at.since(kept.last_seen));
        let due = (*expires_at).min(now.plus(self.idle));
        let shelf = self.layout.shelf_of(name);
        let mut shelve = cmd("ZADD");
        shelve.arg(&shelf).arg(due.as_secs()).arg(name);
        let shelving: Work<'_, Value> = Box::pin(self.prepare(shelf, shelve));
        let listing = indexes.iter().map(|index| -> Work<'_, Value> {
            let key = self.layout.index(index);
            let mut command = script(scripts::LIST, &key);
            command.arg(name).arg(layout::digits(*expires_at)).arg(now.as_secs());
            command.arg((lasts + super::BEHIND).as_secs());
            Box::pin(self.prepare(key, command))
        });
        try_join_all(listing.chain([shelving])).await?;
        let key = self.layout.record(name);
        let mut command = script(scripts::PUT, &key);
        command.arg(layout::pack(entry)).arg(millis(due.since(now) + super::BEHIND));
        if read::<u8>(self.lanes.change(&key, &command).await?)? == 1 {
            return Ok(Vec::new());
        }
        self.strike_off(name, indexes).await?;
        Ok(vec![*name])
    }

    /// Removes one record; tells whether it was there.
    async fn end(&self, name: &RecordName) -> Result<bool, Fault> {
        let key = self.layout.record(name);
        let mut command = script(scripts::END, &key);
        command.arg(millis(TOMBSTONE)).arg(self.layout.channel()).arg(told(&News::Ended(*name)));
        let indexes: Option<Vec<u8>> = read(self.lanes.change(&key, &command).await?)?;
        let Some(indexes) = indexes else { return Ok(false) };
        self.strike_off(name, indexes.as_chunks().0).await?;
        Ok(true)
    }

    async fn end_by(&self, indexes: &[IndexName]) -> Result<Vec<RecordName>, Fault> {
        let mut gone = Vec::new();
        for index in indexes {
            let key = self.layout.index(index);
            let named: Vec<Vec<u8>> =
                read(self.lanes.ask(&key, cmd("ZRANGE").arg(&key).arg(0).arg(-1)).await?)?;
            let names: Vec<RecordName> =
                named.iter().filter_map(|name| name.as_slice().try_into().ok()).collect();
            for names in names.chunks(TOGETHER) {
                // SECURITY: also what is not there yet is ended: a sign-in that was listed must not outlive this.
                let were_there = try_join_all(names.iter().map(|name| self.end(name))).await?;
                gone.extend(names.iter().zip(were_there).filter(|(_, was)| *was).map(|(name, _)| *name));
                let mut command = cmd("ZREM");
                names.iter().fold(command.arg(&key), |command, name| command.arg(name));
                self.lanes.ask(&key, &command).await?;
            }
        }
        Ok(gone)
    }

    async fn touch(&self, seen: &[(RecordName, Timestamp)]) -> Result<(), Fault> {
        let mut touched = Ok(());
        for seen in seen.chunks(TOGETHER) {
            // Those whose part of a cluster is down keep nobody else from being noted.
            let noted = join_all(seen.iter().map(|(name, at)| self.touch_one(name, *at))).await;
            touched = noted.into_iter().fold(touched, Result::and);
        }
        touched
    }

    async fn touch_one(&self, name: &RecordName, at: Timestamp) -> Result<(), Fault> {
        let key = self.layout.record(name);
        let mut command = script(scripts::TOUCH, &key);
        command.arg(layout::digits(at)).arg(self.idle.as_secs()).arg(super::BEHIND.as_secs());
        let due: i64 = read(self.lanes.ask(&key, &command).await?)?;
        if due >= 0 { self.shelve_anew(name, due).await } else { Ok(()) }
    }

    async fn sweep(&self, now: Timestamp, unused_since: Timestamp) -> Result<Vec<RecordName>, Fault> {
        let looking = self.layout.shelves().map(|key| async move {
            let mut command = cmd("ZRANGEBYSCORE");
            command.arg(&key).arg("-inf").arg(now.as_secs()).arg("LIMIT").arg(0).arg(TOGETHER);
            read::<Vec<Vec<u8>>>(self.lanes.ask(&key, &command).await?)
        });
        let due = all(looking.collect()).await?.into_iter().flatten().take(BATCH);
        let names: Vec<RecordName> = due.filter_map(|name| name.try_into().ok()).collect();
        let sweeping = names
            .iter()
            .map(|name| async move { Ok((name, self.sweep_one(name, now, unused_since).await?)) });
        Ok(all(sweeping.collect())
            .await?
            .into_iter()
            .filter(|(_, is_gone)| *is_gone)
            .map(|(name, _)| *name)
            .collect())
    }

    async fn sweep_one(
        &self,
        name: &RecordName,
        now: Timestamp,
        unused_since: Timestamp,
    ) -> Result<bool, Fault> {
        let key = self.layout.record(name);
        let mut command = script(scripts::SWEEP, &key);
        command.arg(now.as_secs()).arg(unused_since.as_secs()).arg(self.idle.as_secs());
        command.arg(self.layout.channel()).arg(told(&News::Ended(*name)));
        match Swept::read(self.lanes.ask(&key, &command).await?)? {
            Swept::Nothing => self.strike_off(name, &[]).await.map(|()| false),
            Swept::Gone(indexes) => self.strike_off(name, &indexes).await.map(|()| true),
            Swept::Stays(due) => self.shelve_anew(name, due).await.map(|()| false),
        }
    }

    /// Notes when a record is due that is on its shelf.
    async fn shelve_anew(&self, name: &RecordName, due: i64) -> Result<(), Fault> {
        let key = self.layout.shelf_of(name);
        let mut command = cmd("ZADD");
        command.arg(&key).arg("XX").arg("GT").arg(due).arg(name);
        self.lanes.ask(&key, &command).await.map(drop)
    }

    /// Takes a record that is gone from its shelf and its indexes.
    async fn strike_off(&self, name: &RecordName, indexes: &[IndexName]) -> Result<(), Fault> {
        let keys = indexes.iter().map(|index| self.layout.index(index)).chain([self.layout.shelf_of(name)]);
        let striking =
            keys.map(|key| async move { self.lanes.ask(&key, cmd("ZREM").arg(&key).arg(name)).await });
        try_join_all(striking).await.map(drop)
    }

    async fn prepare(&self, key: String, command: Cmd) -> Result<Value, Fault> {
        self.lanes.prepare(&key, &command).await
    }
}

impl Swept {
    fn read(value: Value) -> Result<Self, Fault> {
        let (kind, rest): (u8, Vec<u8>) = read(value)?;
        match kind {
            0 => Ok(Self::Nothing),
            1 => Ok(Self::Gone(rest.as_chunks().0.to_vec())),
            _ => std::str::from_utf8(&rest)
                .ok()
                .and_then(|due| due.parse().ok())
                .map_or(Err(Fault::Unreadable), |due| Ok(Self::Stays(due))),
        }
    }
}

/// Does all of it, so many at a time, and no more once one fails.
pub(super) async fn all<T, F: Future<Output = Result<T, Fault>>>(work: Vec<F>) -> Result<Vec<T>, Fault> {
    let (mut work, mut done) = (work.into_iter(), Vec::new());
    loop {
        let together: Vec<F> = work.by_ref().take(TOGETHER).collect();
        if together.is_empty() {
            return Ok(done);
        }
        done.extend(try_join_all(together).await?);
    }
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}
