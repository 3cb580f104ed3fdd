//! The file store: embedded and durable, one file in the state directory, for one gateway.
//!
//! A change is answered when it is on the disk. Changes that wait at the same time share one transaction, and
//! none of it runs on a worker: a thread of its own writes, the control runtime's blocking threads read. After
//! an input or output error the file is opened anew for the next caller.

use std::future::ready;
use std::path::Path;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::notes::Notes;
use super::{
    Change, Cursor, Custody, Filed, IndexName, Kept, NoteName, Page, Pending, RecordName, Store, StoreError,
};
use crate::foundation::clock::Timestamp;

mod disk;
mod paging;
mod tables;
mod writer;

use disk::Disk;
pub(in crate::sessions) use disk::OpenError;
use writer::Writer;

/// Sessions in a file.
pub(in crate::sessions) struct FileStore {
    disk: Arc<Disk>,
    writer: Writer,
    control: Handle,
    notes: Notes,
}

impl FileStore {
    /// Opens the file, or makes it with mode 0600, for at most `limit` sessions, but for one at least.
    ///
    /// # Errors
    /// When another process has the file, when it is damaged, or when it can't be opened.
    pub(in crate::sessions) fn open(path: &Path, limit: usize, control: Handle) -> Result<Self, OpenError> {
        Self::on(Disk::open(path)?, limit, control)
    }

    fn on(disk: Disk, limit: usize, control: Handle) -> Result<Self, OpenError> {
        let disk = Arc::new(disk);
        let writer = Writer::start(Arc::clone(&disk), limit.max(1)).map_err(OpenError::Io)?;
        Ok(Self { disk, writer, control, notes: Notes::default() })
    }

    fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&redb::ReadTransaction) -> Result<T, redb::Error> + Send + 'static,
    ) -> Pending<'_, T> {
        let disk = Arc::clone(&self.disk);
        let reading = self.control.spawn_blocking(move || disk.read(read));
        Box::pin(async move {
            match reading.await {
                Ok(result) => result.map_err(StoreError::unreachable),
                Err(ended) => Err(StoreError::unreachable(ended)),
            }
        })
    }
}

impl Store for FileStore {
    fn custody(&self) -> Custody {
        Custody::Store
    }

    fn get(&self, name: RecordName, _: Option<Kept>) -> Pending<'_, Option<Kept>> {
        self.read(move |txn| tables::get(txn, &name))
    }

    fn apply(&self, change: Change) -> Pending<'_, Vec<RecordName>> {
        self.writer.apply(change)
    }

    fn count(&self) -> Pending<'_, Option<u64>> {
        self.read(|txn| tables::count(txn).map(Some))
    }

    fn page(&self, after: Option<Cursor>, index: Option<IndexName>, limit: usize) -> Pending<'_, Page> {
        self.read(move |txn| match index {
            Some(index) => paging::page_of(txn, &index, after.as_ref(), limit),
            None => paging::page(txn, after.as_ref(), limit),
        })
    }

    fn filed(&self, name: RecordName) -> Pending<'_, Option<Filed>> {
        self.read(move |txn| paging::filed(txn, &name))
    }

    fn put_note(&self, name: NoteName, text: Vec<u8>, now: Timestamp, until: Timestamp) -> Pending<'_, bool> {
        Box::pin(ready(Ok(self.notes.put(name, text, now, until))))
    }

    fn noted_until(&self, name: NoteName, now: Timestamp) -> Pending<'_, Option<Timestamp>> {
        Box::pin(ready(Ok(self.notes.until(&name, now))))
    }

    fn take_note(&self, name: NoteName, now: Timestamp) -> Pending<'_, Option<Vec<u8>>> {
        Box::pin(ready(Ok(self.notes.take(&name, now))))
    }

    fn close(&self) -> Pending<'_, ()> {
        let disk = Arc::clone(&self.disk);
        let closing = self.control.spawn_blocking(move || disk.close());
        Box::pin(async move { closing.await.map_err(StoreError::unreachable) })
    }
}

#[cfg(test)]
mod tests;
