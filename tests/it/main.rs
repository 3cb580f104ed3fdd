//! The gateway from outside: the real binary, real connections, a real provider and a provider that misbehaves.
//!
//! The list of modules is the table of contents; each test's name is a sentence that is true.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::let_underscore_must_use,
    reason = "nothing is exported; a test fails by panicking, reads the real clock, and tells on stderr what happened"
)]

/// What the tests run the gateway in.
mod world;

/// The test bed itself does what the tests rely on.
mod test_bed;
