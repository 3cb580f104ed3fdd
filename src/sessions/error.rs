//! Why sessions can't be kept at all: found at start, each with what the operator should do.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use super::store::OpenError;

/// Why the gateway can't keep sessions with these settings.
#[derive(Debug, thiserror::Error)]
pub enum SessionsError {
    /// A file or directory can't be read or written.
    #[error("{path} can't be used: {source}", path = path.display())]
    Unusable {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The key file holds no key.
    #[error("{path} does not hold a session key (base64 of 32 bytes)", path = path.display())]
    BadKey {
        /// The key file.
        path: PathBuf,
    },
    /// Another process has the session file.
    #[error("{path} is in use by another process", path = path.display())]
    Busy {
        /// The session file.
        path: PathBuf,
    },
    /// The session file is damaged, or not one of ours. It was left as it is.
    #[error("{path} is damaged or is no session file: {source}", path = path.display())]
    Damaged {
        /// The session file.
        path: PathBuf,
        /// What was found.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The configured cookie name can't be one.
    #[error("{name:?} can't be a cookie's name")]
    CookieName {
        /// The name.
        name: String,
    },
}

impl SessionsError {
    pub(super) fn of_file(path: &Path, error: OpenError) -> Self {
        let path = path.to_owned();
        match error {
            OpenError::Busy => Self::Busy { path },
            OpenError::Damaged(source) => Self::Damaged { path, source },
            OpenError::Io(source) => Self::Unusable { path, source },
        }
    }

    /// What the operator should do.
    pub const fn mend(&self) -> &'static str {
        match self {
            Self::Unusable { .. } => {
                "let the gateway's user read and write there, or set server.state_dir to where it can"
            }
            Self::BadKey { .. } => {
                "put the key back from a backup; or move the file away: a new key is made and everybody signs in again"
            }
            Self::Busy { .. } => "stop the other process, or give each gateway a server.state_dir of its own",
            Self::Damaged { .. } => {
                "put the file back from a backup; or move it away: a new one is made and everybody signs in again"
            }
            Self::CookieName { .. } => {
                "set session.cookie.name to at most 64 letters, digits, hyphens and underscores, or leave it out"
            }
        }
    }
}
