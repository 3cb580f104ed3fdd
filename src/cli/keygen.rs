//! `vestibule keygen`: prints a session key.

use clap::Args;

use super::{Exit, answer};
use crate::foundation::sealing::RootKey;

/// Print a new session key, for `keys` in [session]
#[derive(Debug, Args)]
pub(super) struct Keygen {}

impl Keygen {
    pub(super) fn run(self) -> Exit {
        answer(RootKey::generate().to_base64().as_str())
    }
}
