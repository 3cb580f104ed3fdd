//! Floor 1: what everything else stands on and what knows nothing of sign-in.
//!
//! Time, randomness, secrets, sealing, origins, peers, trust roots, certificates, findings, timings and the body type. Nothing here does
//! network input or output, and nothing here imports another part of Vestibule.

pub mod body;
pub mod certificate;
pub mod clock;
pub mod finding;
pub mod initials;
pub mod origin;
pub mod peer;
pub mod random;
pub mod sealing;
pub mod secret;
pub mod site;
pub mod timings;
pub mod trust;
