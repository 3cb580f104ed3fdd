//! The rules that keep `ARCHITECTURE.md` true, kept by a machine.
//!
//! It reads the sources as text, without comments and strings: which part names which, where third-party
//! names stand, what a file is called, how long it is and how it begins. It knows nothing of types; what
//! the compiler can keep (private fields, lints) is left to the compiler.
#![allow(clippy::panic, clippy::print_stdout, reason = "a test says what it found")]
#![allow(clippy::indexing_slicing, reason = "a test may fail")]

mod source;

use source::{Source, read};

/// The parts by floor. Imports go down, never up and never sideways; `demo` is a room of its own.
const FLOORS: &[(&str, u8)] = &[
    ("main", 8),
    ("cli", 7),
    ("lifecycle", 6),
    ("config", 5),
    ("gateway", 4),
    ("oidc", 3),
    ("sessions", 3),
    ("upstream", 3),
    ("server", 3),
    ("telemetry", 3),
    ("identity", 2),
    ("foundation", 1),
];

/// Downward imports that are forbidden all the same: who, whom, why.
const APART: &[(&str, &str, &str)] = &[
    ("gateway", "server", "the gateway is a function from request to response"),
    ("server", "identity", "a socket knows nobody"),
    ("upstream", "identity", "the data plane carries headers and does not read them"),
];

/// The steps of a request in their order: a step names none of a later rank.
const STEPS: &[(&str, u8)] = &[
    ("request", 1),
    ("routing", 2),
    ("authentication", 3),
    ("authorization", 4),
    ("forwarding", 5),
    ("forward_auth", 5),
    ("endpoints", 5),
    ("response", 6),
];

/// Third-party names and the files or folders that may know them.
const HOMES: &[(&str, &[&str])] = &[
    ("aes_gcm", &["foundation/sealing.rs", "foundation/sealing/"]),
    ("askama", &["gateway/pages/", "demo/", "lifecycle/admin/page/"]),
    ("cel", &["identity/expression.rs", "identity/expression/"]),
    ("clap", &["cli/", "main.rs"]),
    ("figment", &["config/"]),
    ("httpdate", &["oidc/examination.rs"]),
    ("mimalloc", &["main.rs"]),
    ("openidconnect", &["oidc/"]),
    ("prometheus_client", &["telemetry/"]),
    ("psl", &["foundation/site.rs"]),
    ("qrcode", &["gateway/pages/qr.rs"]),
    ("redb", &["sessions/store/file.rs", "sessions/store/file/"]),
    // The store's own folder bears the same name.
    ("redis", &["sessions/store/redis/", "sessions/store/mod.rs"]),
    ("reqwest", &["oidc/transport.rs", "oidc/transport/"]),
    ("rustls_platform_verifier", &["foundation/trust.rs"]),
    ("x509_parser", &["foundation/certificate.rs"]),
    ("tracing_subscriber", &["telemetry/"]),
];

/// Where `oidc` reads the clock: what waits for an answer, and can't be told beforehand when it comes.
const CLOCK_READERS: &[&str] = &["oidc/provider.rs", "oidc/provider/", "oidc/cached.rs", "oidc/believed.rs"];

const NAMELESS: &[&str] = &["utils", "util", "helpers", "common", "manager", "types", "misc"];
const SOFT_LIMIT: usize = 300;
const HARD_LIMIT: usize = 500;

fn floor(part: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == part).map(|(_, floor)| *floor)
}

/// Why this file may not name that part.
fn forbidden(source: &Source, target: &str) -> Option<String> {
    let part = source.part()?;
    let opens_demo = source.is(&["cli/demo.rs", "cli/demo/"]);
    match (floor(part), floor(target)) {
        _ if part == target => None,
        _ if target == "demo" => (!opens_demo).then(|| "only cli/demo.rs may know the demo".to_owned()),
        _ if part == "demo" => {
            (target != "foundation").then(|| format!("the demo stands apart from {target}"))
        }
        _ if part == "main" => (target != "cli").then(|| "main knows cli and nothing else".to_owned()),
        (None, _) => Some(format!("{part} stands on no floor")),
        (_, None) => Some(format!("{target} stands on no floor")),
        (Some(from), Some(to)) if from <= to => {
            Some(format!("{part} stands on floor {from}, {target} on {to}"))
        }
        _ => APART
            .iter()
            .find(|(a, b, _)| *a == part && *b == target)
            .map(|(.., why)| format!("{target}: {why}")),
    }
}

/// What is wrong with whom this file names.
fn wrong_imports(source: &Source) -> Vec<String> {
    let climbed = source.named_by_climbing().into_iter();
    let parts = climbed.filter(|(_, target)| *target == "demo" || floor(target).is_some());
    let named = source.named_at_root().into_iter().chain(parts);
    named.filter_map(|(at, target)| forbidden(source, target).map(|why| source.complaint(at, &why))).collect()
}

fn assert_none(complaints: impl IntoIterator<Item = String>) {
    let complaints: Vec<String> = complaints.into_iter().collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn imports_go_down_and_never_sideways() {
    assert_none(read("src").iter().flat_map(wrong_imports));
}

#[test]
fn a_step_of_the_request_names_no_later_step() {
    let rank = |name: &str| STEPS.iter().find(|(step, _)| *step == name).map(|(_, rank)| *rank);
    assert_none(read("src").iter().filter(|source| source.part() == Some("gateway")).flat_map(|source| {
        let own = source.module().get(1).and_then(|step| rank(step));
        let named = source
            .find(&[":", ":"])
            .filter(|&at| at > 0 && ["super", "gateway"].contains(&source.word(at - 1)));
        named
            .filter(|&at| own.is_some_and(|own| rank(source.word(at + 2)).is_some_and(|later| later > own)))
            .map(|at| source.complaint(at, &format!("{} comes later", source.word(at + 2))))
            .collect::<Vec<_>>()
    }));
}

#[test]
fn third_party_names_stay_at_home() {
    assert_none(read("src").iter().flat_map(|source| {
        let strays = HOMES.iter().filter(|(_, homes)| !source.is(homes)).flat_map(|(name, homes)| {
            let named = (0..source.words.len()).filter(|&at| source.has(at, &[name, ":", ":"]));
            named
                .map(|at| source.complaint(at, &format!("{name} is known in {} alone", homes.join(" and "))))
                .collect::<Vec<_>>()
        });
        strays.collect::<Vec<_>>()
    }));
}

#[test]
fn only_authorization_makes_an_admission() {
    let sources = read("src");
    assert_none(sources.iter().filter(|source| source.path != "gateway/authorization.rs").flat_map(
        |source| {
            let named = source.find(&["Admission"]).filter(|&at| {
                let makes = ["{", "("].contains(&source.word(at + 1)) || source.has(at + 1, &[":", ":"]);
                // `-> Admission {` and `impl … for Admission {` make none.
                makes && !(at > 0 && [">", "for", "impl"].contains(&source.word(at - 1)))
            });
            named
                .map(|at| source.complaint(at, "an Admission is made in authorization alone"))
                .collect::<Vec<_>>()
        },
    ));
    for source in sources.iter().filter(|source| source.path == "gateway/authorization.rs") {
        let start =
            source.find(&["struct", "Admission"]).next().unwrap_or_else(|| panic!("where is the Admission?"));
        let fields = (start..).take_while(|&at| !["}", ";", ""].contains(&source.word(at)));
        assert_none(
            fields.filter(|&at| source.word(at) == "pub").map(|at| source.complaint(at, "a field is open")),
        );
    }
}

#[test]
fn the_time_comes_from_the_clock() {
    assert_none(read("src").iter().flat_map(|source| {
        let system =
            source.find(&["SystemTime", ":", ":", "now"]).filter(|_| source.path != "foundation/clock.rs");
        let protocol =
            source.path.starts_with("oidc/") && !source.is(CLOCK_READERS) && !source.path.contains("tests");
        let tests = source.find(&["cfg", "(", "test", ")"]).next().unwrap_or(source.words.len());
        let asked = source
            .find(&[".", "now", "("])
            .chain(source.find(&["Instant"]))
            .filter(|&at| protocol && at < tests);
        system
            .map(|at| source.complaint(at, "the time comes from foundation::clock"))
            .chain(asked.map(|at| source.complaint(at, "the protocol gets the time as an argument")))
            .collect::<Vec<_>>()
    }));
}

#[test]
fn every_file_says_first_what_it_owns_and_has_a_name_that_means_something() {
    let bare = |source: &Source| !source.text.starts_with("//! ");
    let nameless = |source: &Source| source.path.split(['/', '.']).any(|name| NAMELESS.contains(&name));
    assert_none(["src", "tests"].iter().flat_map(|folder| read(folder)).flat_map(|source| {
        let bare = bare(&source).then(|| source.complaint(0, "no head comment"));
        let nameless = nameless(&source).then(|| source.complaint(0, "a name that fits everything"));
        [bare, nameless].into_iter().flatten()
    }));
}

#[test]
fn no_file_is_too_long_to_read() {
    let sources: Vec<Source> = ["src", "tests"].iter().flat_map(|folder| read(folder)).collect();
    let mut lengths: Vec<usize> = sources.iter().map(|source| source.text.lines().count()).collect();
    lengths.sort_unstable();
    let median = lengths.get(lengths.len() / 2).copied().unwrap_or_default();
    let long = lengths.iter().filter(|&&length| length > SOFT_LIMIT).count();
    println!("{} files, median {median} lines, {long} longer than {SOFT_LIMIT}", sources.len());
    assert_none(sources.iter().filter(|source| source.text.lines().count() > HARD_LIMIT).map(|source| {
        source.complaint(0, &format!("{} lines, at most {HARD_LIMIT}", source.text.lines().count()))
    }));
}

#[test]
fn the_rules_bite() {
    for (path, text, refused) in [
        ("oidc/token.rs", "use crate::foundation::secret::Secret;", false),
        ("oidc/token.rs", "use crate::oidc::jwt;", false),
        ("oidc/token.rs", "use crate::sessions::Sessions;", true),
        ("oidc/token.rs", "use super::super::sessions::Sessions;", true),
        ("oidc/mod.rs", "use super::gateway::App;", true),
        ("oidc/token.rs", "// crate::sessions\n/* crate::gateway */ const A: &str = \"crate::cli\";", false),
        (
            "oidc/token.rs",
            "const A: &str = r#\"crate::cli \"quoted\" \"#; const B: char = '\"'; use crate::cli::X;",
            true,
        ),
        ("oidc/token.rs", "use crate::{foundation::clock::{Clock, Timestamp}, oidc};", false),
        ("oidc/token.rs", "use crate::{foundation::{clock, secret}, sessions};", true),
        ("gateway/mod.rs", "use crate::server::Connection;", true),
        ("gateway/mod.rs", "fn f<'a>(x: &'a crate::upstream::Upstream) {}", false),
        ("upstream/mod.rs", "use crate::identity::claims::Claims;", true),
        ("lifecycle/mod.rs", "use crate::demo::Demo;", true),
        ("cli/demo.rs", "use crate::demo::Demo;", false),
        ("demo/mod.rs", "use crate::gateway::App;", true),
        ("gateway/mod.rs", "mod tests { use super::*; }", false),
        ("main.rs", "vestibule::cli::main()", false),
        ("main.rs", "vestibule::oidc::x()", true),
        ("scratch.rs", "use crate::foundation::clock;", true),
        ("oidc/token.rs", "use crate::scratch::X;", true),
    ] {
        let source = Source::new(path, text);
        let found = !wrong_imports(&source).is_empty();
        assert_eq!(found, refused, "{path}: {text}");
    }
}
