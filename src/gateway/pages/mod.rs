//! x
mod language;
pub use language::Language;
