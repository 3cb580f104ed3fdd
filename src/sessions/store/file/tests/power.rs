//! The power fails at each moment of some changes: what was written since the disk was last told to keep it may be
//! there in part, torn, or not at all. What was acknowledged is there all the same, and the file can be opened.

use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use redb::StorageBackend;

use super::super::disk::database;
use super::super::*;
use crate::sessions::store::{Entry, Gone};

/// What a database does with its file.
#[derive(Clone, Debug)]
enum Step {
    Write(usize, Vec<u8>),
    SetLen(usize),
    Sync,
}

/// What becomes of the steps that the disk was not told to keep.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Kept,
    Lost,
    EverySecondLost,
    LastTorn,
}

/// A disk that remembers each step.
#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<(Vec<u8>, Vec<Step>)>>);

impl Disk {
    fn takes(&self, step: Step) {
        let (bytes, steps) = &mut *self.0.lock().unwrap();
        apply(bytes, &step);
        steps.push(step);
    }

    fn steps(&self) -> usize {
        self.0.lock().unwrap().1.len()
    }

    /// The disk as the power left it after so many steps.
    fn cut(&self, steps: usize, fate: Fate) -> Self {
        let (mut bytes, all) = (Vec::new(), &self.0.lock().unwrap().1[..steps]);
        let kept = all.iter().rposition(|step| matches!(step, Step::Sync)).map_or(0, |at| at + 1);
        all[..kept].iter().for_each(|step| apply(&mut bytes, step));
        for (at, step) in all[kept..].iter().enumerate() {
            match (fate, step) {
                (Fate::Lost, _) => {}
                (Fate::EverySecondLost, _) if at % 2 == 0 => {}
                (Fate::LastTorn, Step::Write(to, data)) if kept + at + 1 == steps => {
                    apply(&mut bytes, &Step::Write(*to, data[..data.len() / 2].to_vec()));
                }
                _ => apply(&mut bytes, step),
            }
        }
        Self(Arc::new(Mutex::new((bytes, Vec::new()))))
    }
}

fn apply(bytes: &mut Vec<u8>, step: &Step) {
    match step {
        Step::Write(at, data) => {
            bytes.resize(bytes.len().max(at + data.len()), 0);
            bytes[*at..at + data.len()].copy_from_slice(data);
        }
        Step::SetLen(len) => bytes.resize(*len, 0),
        Step::Sync => {}
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().0.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let (bytes, _) = &*self.0.lock().unwrap();
        let at = usize::try_from(offset).unwrap();
        let read = bytes.get(at..at + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(read);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.takes(Step::SetLen(usize::try_from(len).unwrap()));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.takes(Step::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.takes(Step::Write(usize::try_from(offset).unwrap(), data.to_vec()));
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        Ok(())
    }

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, redb::BackendError> {
        Ok(true)
    }
}

fn on(disk: &Disk) -> FileStore {
    let disk = disk.clone();
    let opened = super::super::Disk::with(Box::new(move |_| database(disk.clone()))).unwrap();
    FileStore::on(opened, 100, Handle::current()).unwrap()
}

fn entry(name: u8) -> Entry {
    let at = Timestamp::from_secs(1_763_750_000);
    Entry {
        name: [name; 32],
        indexes: vec![[name ^ 0xff; 32]],
        expires_at: at.plus(Duration::from_secs(3600)),
        kept: Kept { record: vec![name; 3000], last_seen: at },
        card: vec![name; 100],
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_outlives_a_power_cut_at_any_moment() {
    let disk = Disk::default();
    let store = on(&disk);
    let opened = disk.steps();
    // For each record, when it was said to be made, when its end was begun and when it was said to be over.
    let mut told = Vec::new();
    for name in 0..8 {
        store.apply(Change::Put { entry: entry(name), replacing: None }).await.unwrap();
        told.push((disk.steps(), usize::MAX, usize::MAX));
        if name % 2 == 1 {
            let begun = disk.steps();
            let ends = Gone { name: [name - 1; 32], expires_at: Timestamp::default() };
            store.apply(Change::Remove(ends)).await.unwrap();
            let ended = &mut told[usize::from(name - 1)];
            (ended.1, ended.2) = (begun, disk.steps());
        }
    }
    store.close().await.unwrap();
    drop(store);
    let (mut cuts, all) = (0, disk.steps());
    for cut in opened..=all {
        for fate in [Fate::Kept, Fate::Lost, Fate::EverySecondLost, Fate::LastTorn] {
            let after = on(&disk.cut(cut, fate));
            for (name, (made, begun, ended)) in (0_u8..).zip(&told) {
                let kept = after.get([name; 32], None).await.unwrap();
                let what = || format!("{name} after {cut} of {all} steps, {fate:?}");
                if *made <= cut && cut <= *begun {
                    assert_eq!(kept.unwrap().record, [name; 3000], "lost: {}", what());
                } else if *ended <= cut {
                    assert!(kept.is_none(), "back: {}", what());
                }
            }
            cuts += 1;
        }
    }
    assert!(cuts > 200, "{cuts}");
}
