//! The database file: how it is opened, what keeps others away from it, and how it comes back after an error.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use redb::backends::FileBackend;
use redb::{
    Builder, Database, DatabaseError, Error, ReadTransaction, ReadableDatabase as _, StorageBackend,
    WriteTransaction,
};

use super::tables::{self, Tables};

/// Pages of the file kept in memory, in bytes.
const CACHE: usize = 8 << 20;

/// The database file, open or to be opened again.
pub(in crate::sessions) struct Disk {
    open: Box<dyn Fn(Absent) -> Result<Database, DatabaseError> + Send + Sync>,
    database: Mutex<Option<Arc<Database>>>,
}

/// What becomes of a file that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    /// It is made.
    Made,
    /// It is an error: a store that has lost its file must not go on with an empty one.
    Missed,
}

/// Why the file could not be opened.
#[derive(Debug)]
pub(in crate::sessions) enum OpenError {
    /// Another process has it.
    Busy,
    /// It is not a database of ours or was damaged. It was left as it is.
    Damaged(Box<dyn std::error::Error + Send + Sync>),
    /// It can't be read or written.
    Io(io::Error),
}

impl Disk {
    /// Opens the file, or makes it with mode 0600.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let path = path.to_owned();
        Self::with(Box::new(move |absent| {
            let file = open_file(&path, absent)?;
            database(FileBackend::new(file)?)
        }))
    }

    pub(super) fn with(
        open: Box<dyn Fn(Absent) -> Result<Database, DatabaseError> + Send + Sync>,
    ) -> Result<Self, OpenError> {
        // A damaged file can make the database panic: a thread of its own turns that into an error.
        let opening = std::thread::spawn(move || {
            let database = open(Absent::Made)?;
            if !tables::exist(&database.begin_read()?)? {
                let txn = database.begin_write()?;
                Tables::open(&txn)?;
                txn.commit()?;
            }
            Ok::<_, Error>(Self { open, database: Mutex::new(Some(Arc::new(database))) })
        });
        opening
            .join()
            .map_err(|_| OpenError::Damaged("its pages contradict each other".into()))?
            .map_err(OpenError::from)
    }

    /// Reads within one transaction.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.using(|database| read(&database.begin_read()?))
    }

    /// Writes within one transaction, and returns when it is on the disk. An error leaves nothing written.
    pub(super) fn write<T>(
        &self,
        write: impl FnOnce(&WriteTransaction) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.using(|database| {
            let txn = database.begin_write()?;
            let written = write(&txn)?;
            txn.commit()?;
            Ok(written)
        })
    }

    /// Closes the file; the next caller opens it again.
    pub(super) fn close(&self) {
        self.slot().take();
    }

    fn using<T>(&self, act: impl FnOnce(&Database) -> Result<T, Error>) -> Result<T, Error> {
        let database = {
            let mut slot = self.slot();
            match &*slot {
                Some(database) => Arc::clone(database),
                None => Arc::clone(slot.insert(Arc::new((self.open)(Absent::Missed)?))),
            }
        };
        let result = act(&database);
        if result.is_err() {
            // The database refuses everything after an input or output error until it is opened anew.
            let mut slot = self.slot();
            if slot.as_ref().is_some_and(|held| Arc::ptr_eq(held, &database)) {
                slot.take();
            }
        }
        result
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Arc<Database>>> {
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a database on what it is stored in.
pub(super) fn database(backend: impl StorageBackend) -> Result<Database, DatabaseError> {
    Builder::new().set_cache_size(CACHE).create_with_backend(backend)
}

fn open_file(path: &Path, absent: Absent) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(absent == Absent::Made)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    // A new file's name must be on the disk before anybody is told that a session is.
    if file.metadata()?.len() == 0
        && let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty())
    {
        File::open(dir)?.sync_all()?;
    }
    Ok(file)
}

impl From<Error> for OpenError {
    fn from(error: Error) -> Self {
        match error {
            Error::DatabaseAlreadyOpen => Self::Busy,
            Error::Io(error)
                if !matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) =>
            {
                Self::Io(error)
            }
            other => Self::Damaged(Box::new(other)),
        }
    }
}
