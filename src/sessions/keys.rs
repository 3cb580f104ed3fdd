//! The keys that seal cookies: those of the configuration, or one that is made once and kept in the state
//! directory, so that a restart signs nobody out.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use zeroize::Zeroizing;

use super::SessionsError;
use crate::foundation::random;
use crate::foundation::sealing::{KeyRing, RootKey};

/// The key's file in the state directory.
const FILE: &str = "session.key";

/// The ring of the configured keys or, where there are none, of the one in the state directory.
pub(super) fn ring(configured: &[RootKey], state_dir: &Path) -> Result<KeyRing, SessionsError> {
    match configured {
        [first, others @ ..] => Ok(KeyRing::new(first, others)),
        [] => Ok(KeyRing::new(&kept(state_dir)?, &[])),
    }
}

/// Whether the key in the state directory is one, where it is there.
pub(super) fn examine(state_dir: &Path) -> Result<(), SessionsError> {
    let path = state_dir.join(FILE);
    match read(&path) {
        Ok(Some(text)) if RootKey::from_base64(&text).is_none() => Err(SessionsError::BadKey { path }),
        Ok(_) => Ok(()),
        Err(source) => Err(SessionsError::Unusable { path, source }),
    }
}

/// Makes the state directory with mode 0700, unless it is there.
pub(super) fn make_state_dir(path: &Path) -> Result<(), SessionsError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| SessionsError::Unusable { path: path.to_owned(), source })
}

/// The key in the state directory, made when it is not there.
fn kept(state_dir: &Path) -> Result<RootKey, SessionsError> {
    make_state_dir(state_dir)?;
    let path = state_dir.join(FILE);
    let unusable = |source| SessionsError::Unusable { path: path.clone(), source };
    if let Some(text) = read(&path).map_err(unusable)? {
        return RootKey::from_base64(&text).ok_or(SessionsError::BadKey { path });
    }
    let key = RootKey::generate();
    match publish(state_dir, &path, key.to_base64().as_bytes()) {
        Ok(()) => Ok(key),
        // Another process was faster: its key is the one.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let text = read(&path).map_err(unusable)?.unwrap_or_default();
            RootKey::from_base64(&text).ok_or(SessionsError::BadKey { path })
        }
        Err(error) => Err(unusable(error)),
    }
}

fn read(path: &Path) -> io::Result<Option<Zeroizing<String>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Zeroizing::new(Vec::with_capacity(1024));
    file.take(1024).read_to_end(&mut bytes)?;
    Ok(Some(Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned())))
}

/// Writes a file that is either not there or complete, and never writes over one.
fn publish(dir: &Path, path: &Path, text: &[u8]) -> io::Result<()> {
    let draft = dir.join(format!("{FILE}.{}", random::reference()));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(text)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::hard_link(&draft, path)
    })();
    fs::remove_file(&draft)?;
    written?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundation::sealing::Purpose;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_key_is_made_once_for_its_owner_only_and_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("a/state");
        let sealed = ring(&[], &state).unwrap().seal(Purpose::Ticket, b"", b"text");
        assert_eq!(ring(&[], &state).unwrap().open(Purpose::Ticket, b"", &sealed).unwrap(), b"text");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&state), mode(&state.join(FILE))), (0o700, 0o600));
        assert_eq!(fs::read_dir(&state).unwrap().count(), 1, "no draft stays");
    }

    #[test]
    fn processes_that_start_together_agree_on_one_key() {
        let dir = tempfile::tempdir().unwrap();
        let keys: Vec<_> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..8).map(|_| scope.spawn(|| kept(dir.path()).unwrap())).collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        assert!(keys.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn a_key_that_is_none_is_an_error_and_is_not_written_over() {
        let dir = tempfile::tempdir().unwrap();
        for bad in ["", "c2hvcnQ=", "\u{ff}\0"] {
            fs::write(dir.path().join(FILE), bad).unwrap();
            let error = ring(&[], dir.path()).err().unwrap();
            assert!(matches!(error, SessionsError::BadKey { .. }), "{error}");
            assert_eq!(fs::read_to_string(dir.path().join(FILE)).unwrap(), bad);
        }
    }
}
