//! Floor 2: who a person is, as plain data, and what follows from it.
//!
//! Claims as the provider sent them, the mapping from claims to an app's request headers, and the rules that
//! say who may enter. Everything is compiled once, when the configuration is read; nothing here waits, reads
//! a clock or opens a socket.

pub mod access;
pub mod claims;
pub mod encoding;
pub mod expression;
pub mod mapping;
pub mod readings;
pub mod statement;
pub mod template;
