//! No path makes the readings panic, and a rule never admits a path of which one reading meets a refusal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vestibule::identity::readings::Path;

fuzz_target!(|text: &str| {
    if let Ok(path) = Path::parse(text) {
        assert_eq!(path.as_str(), text, "what is judged is what was sent");
        // Every reading is a path of its own; the first is the path itself.
        let readings = path.readings();
        assert!(readings.iter().next().is_some());
        for prefix in ["", "/lms", "/a/b"] {
            let _ = path.below(prefix);
        }
    }
});
