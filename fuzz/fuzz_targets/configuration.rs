//! No text makes the configuration panic, and what is wrong with it can be told.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // Certificates and secrets in files would make the outcome depend on this machine.
    if text.contains("file") {
        return;
    }
    if let Err(problems) = vestibule::config::load_text(text, Path::new("/nonexistent"), std::iter::empty()) {
        assert!(!problems.to_string().is_empty());
    }
});
