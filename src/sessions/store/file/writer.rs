//! The one thread that writes the file: it takes all changes that wait, commits them together, and answers
//! each when they are on the disk.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use redb::Error;
use tokio::sync::oneshot;

use super::disk::Disk;
use super::tables::Tables;
use crate::sessions::store::{Change, Pending, RecordName, StoreError};

/// The most changes that share a transaction.
const TOGETHER: usize = 128;

type Answer = Result<Vec<RecordName>, StoreError>;

/// The way to the writing thread, which ends when this is dropped.
pub(super) struct Writer {
    queue: Sender<Job>,
}

struct Job {
    change: Change,
    answer: oneshot::Sender<Answer>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(disk: Arc<Disk>, limit: usize) -> io::Result<Self> {
        let (queue, jobs) = channel();
        std::thread::Builder::new()
            .name("session-writer".to_owned())
            .spawn(move || run(&disk, &jobs, limit))?;
        Ok(Self { queue })
    }

    /// Hands a change over. It is made whether or not the answer is waited for.
    pub(super) fn apply(&self, change: Change) -> Pending<'_, Vec<RecordName>> {
        let (answer, answered) = oneshot::channel();
        let handed_over = self.queue.send(Job { change, answer });
        Box::pin(async move {
            handed_over.map_err(|_| StoreError::unreachable("its writer has ended"))?;
            answered.await.unwrap_or_else(|error| Err(StoreError::unreachable(error)))
        })
    }
}

fn run(disk: &Disk, jobs: &Receiver<Job>, limit: usize) {
    while let Ok(first) = jobs.recv() {
        let mut batch = vec![first];
        batch.extend(jobs.try_iter().take(TOGETHER - 1));
        commit(disk, batch, limit);
    }
}

fn commit(disk: &Disk, batch: Vec<Job>, limit: usize) {
    // A file that was damaged from outside can make the database panic; that must not end the thread.
    let written = catch_unwind(AssertUnwindSafe(|| {
        disk.write(|txn| {
            let mut tables = Tables::open(txn)?;
            batch.iter().map(|job| tables.apply(&job.change, limit)).collect::<Result<Vec<_>, Error>>()
        })
    }));
    let answers: Vec<Answer> = match written {
        Ok(Ok(gone)) => gone.into_iter().map(Ok).collect(),
        Ok(Err(error)) => vec![Err(StoreError::unreachable(error)); batch.len()],
        Err(_) => {
            disk.close();
            vec![Err(StoreError::unreachable("its file is damaged")); batch.len()]
        }
    };
    for (job, answer) in batch.into_iter().zip(answers) {
        // Whoever asked may have gone: what was written stays written.
        drop(job.answer.send(answer));
    }
}
