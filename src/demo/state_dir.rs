//! The directory that a demo's gateway keeps its key in: made for one run, removed with it.
//!
//! What the gateway writes there is the gateway's matter; a process that is killed leaves it to the system's
//! own sweeping of temporary files.

use std::fs::{self, DirBuilder};
use std::path::{Path, PathBuf};

use super::DemoError;
use crate::foundation::random;

/// A temporary directory of our own, removed when it is dropped.
pub(super) struct StateDir(PathBuf);

impl StateDir {
    /// Makes it below the system's directory for temporary files.
    pub(super) fn make() -> Result<Self, DemoError> {
        let path = std::env::temp_dir().join(format!("vestibule-demo-{}", random::reference()));
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        {
            use std::os::unix::fs::DirBuilderExt as _;
            // SECURITY: keys are kept here, below a directory that everyone may enter.
            builder.mode(0o700);
        }
        match builder.create(&path) {
            Ok(()) => Ok(Self(path)),
            Err(source) => Err(DemoError::StateDir { path, source }),
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "the demo's directory is left behind");
        }
    }
}
