//! The gateway behind a real Keycloak: `./test keycloak` downloads it, starts it with the realm in
//! `tests/providers/keycloak/realm.json`, and runs this; plain `cargo test` leaves it out (see `Cargo.toml`).
//!
//! `realm.rs` registers a client of its own for each test; the gateway, the browser and the app are those of
//! `tests/it`.

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
#[path = "../it/world/mod.rs"]
#[expect(dead_code, unused_imports, reason = "tests/it uses all of it")]
mod world;

/// The running Keycloak and its realm.
mod realm;

/// Keycloak does what later tests rely on.
mod test_bed;

/// Sign-in and sign-out.
mod signing_in;

/// Renewed tokens, closed accounts, and pages that ask for a stronger sign-in.
mod staying_signed_in;

/// Sign-outs that it tells of.
mod told_of_sign_outs;

/// Signed and encrypted answers.
mod signed_answers;

/// Proofs of who we are, pushed and signed requests, bound tokens.
mod proving;

/// Sign-in by a code that is shown on a screen.
mod screens;

/// Access tokens that clients of an API bring.
mod api;

/// Commands that operators type before anybody signs in.
mod operators;
