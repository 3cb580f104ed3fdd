//! What the documents say is true: their configurations run, their examples come out, their links lead somewhere.
//!
//! A code block whose fence names a file (` ```toml config.toml `) is that file; `console` blocks of the same
//! document are then typed, and what stands below each `$ vestibule …` must come out.

pub mod source;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use self::source::{Document, checked, document, documents, read, root, rows, slug, typed};
use crate::process::certificate;
use crate::world::browser::Browser;
use crate::world::{Ask, Rogue, Server, World};

/// What a fragment of a configuration needs around it.
const AROUND: &str = r#"
[providers.school]
issuer = "https://id.example.org"
client_id = "lms"
client_secret = "s3cret"

[apps.lms]
url = "https://lms.example.org"
upstream = "http://127.0.0.1:3000"
"#;

#[test]
fn every_example_gives_what_stands_below_it() {
    let mut tried = 0;
    for document in documents() {
        let directory = document.directory();
        for block in document.blocks().iter().filter(|block| block.language == "console") {
            let commands = block.text.split("$ ").filter(|command| !command.is_empty());
            for (command, expected) in commands.filter_map(|command| command.split_once('\n')) {
                let mut words = command.split(' ');
                if words.next() == Some("vestibule") {
                    let words: Vec<&str> = words.collect();
                    let said = typed(directory.path(), &words);
                    assert_eq!(said, expected, "{}: {command}", document.path.display());
                    tried += 1;
                }
            }
        }
    }
    assert!(tried >= 10, "{tried} examples were tried");
}

#[test]
fn every_configuration_in_a_document_is_a_good_one() {
    for document in documents() {
        let directory = document.directory();
        for block in document.blocks().iter().filter(|block| block.language == "toml") {
            let around = if block.text.contains("[providers") { "" } else { AROUND };
            let said = checked(directory.path(), &format!("{around}{}", block.text));
            assert!(said.starts_with("configuration is good"), "{}: {said}", document.path.display());
        }
    }
}

/// The document's configuration in a world: only addresses and the secret are others.
fn substituted(document: &Document, world: &World, rogue: &Rogue, app: &Server) -> String {
    let blocks = document.blocks();
    let mut config = blocks.iter().find(|block| block.file == "config.toml").unwrap().text.clone();
    // A guide that leaves TLS to a later step shows the lines for it apart.
    if !config.contains("[server]") {
        let server = blocks.iter().find(|block| block.text.starts_with("[server]")).unwrap();
        config.push_str(&server.text);
    }
    let own = format!("\"https://{HOST}:{}\"", world.address().port());
    for (stands, takes_its_place) in [
        ("listen = \"[::]:443\"\n", ""),
        ("{ env = \"LMS_CLIENT_SECRET\" }", "\"s3cret\""),
        ("\"https://id.example.org\"", &format!("{:?}", rogue.issuer())),
        ("\"https://lms.example.org\"", &own),
        ("\"http://127.0.0.1:3000\"", &format!("{:?}", app.origin())),
    ] {
        assert_eq!(config.matches(stands).count(), 1, "{stands} in {}", document.path.display());
        config = config.replace(stands, takes_its_place);
    }
    config
}

const HOST: &str = "lms.school.localhost";

#[tokio::test]
async fn a_person_signs_in_by_the_configuration_of_the_readme_and_of_the_russian_guide() {
    for (path, claims, name) in [
        (
            "README.md",
            "petrova.json",
            "%D0%9C%D0%B0%D1%80%D0%B8%D1%8F%20%D0%9F%D0%B5%D1%82%D1%80%D0%BE%D0%B2%D0%B0",
        ),
        (
            "docs/ru/README.md",
            "ivanov.json",
            "%D0%98%D0%B2%D0%B0%D0%BD%20%D0%98%D0%B2%D0%B0%D0%BD%D0%BE%D0%B2",
        ),
    ] {
        let document = document(path);
        let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
        let (issued, trusted) = certificate(&[HOST]);
        std::fs::create_dir(world.dir.path().join("certs")).unwrap();
        std::fs::write(world.dir.path().join("certs/lms.pem"), issued.cert.pem()).unwrap();
        std::fs::write(world.dir.path().join("certs/lms.key"), issued.signing_key.serialize_pem()).unwrap();
        let config = substituted(&document, &world, &rogue, &app);
        let gateway = world.start(&config).await;
        let blocks = document.blocks();
        let person = &blocks.iter().find(|block| block.file == claims).unwrap().text;
        let person: Value = serde_json::from_str(person).unwrap();
        rogue.person(person.clone());
        let url = format!("https://{HOST}:{}/admin/users", gateway.address().port());
        let browser = Browser::new().trusting(trusted);
        browser.knows(HOST, gateway.address().ip());
        browser.visit(&url).await.expect(200);
        let request = app.last();
        assert_eq!(request.target(), "/admin/users");
        assert_eq!(request.header("x-user-id").as_deref(), person["sub"].as_str(), "{path}");
        assert_eq!(request.header("x-user-name").as_deref(), Some(name), "{path}");
        let other = browser.fresh();
        rogue.person(json!({"sub": "u-2", "groups": ["students"]}));
        let allowed = if path == "README.md" { 403 } else { 200 };
        other.visit(&url).await.expect(allowed);
    }
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut pictures = BTreeSet::new();
    for document in documents() {
        let folder = root().join(&document.path).parent().unwrap().to_owned();
        let prose = document.prose();
        for target in prose.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() { root().join(&document.path) } else { folder.join(file) };
            let from = document.path.display();
            let path =
                path.canonicalize().unwrap_or_else(|error| panic!("{from} links to {target}: {error}"));
            if !anchor.is_empty() {
                let text = std::fs::read_to_string(&path).unwrap();
                let mut headings = text.lines().filter(|line| line.starts_with('#')).map(slug);
                assert!(headings.any(|slug| slug == anchor), "{from} links to {target}: no such heading");
            }
            if file.ends_with(".png") {
                let size = path.metadata().unwrap().len();
                assert!(size < 150_000, "{file} has {size} bytes");
                pictures.insert(path.file_name().unwrap().to_owned());
            }
        }
    }
    assert!(pictures.len() >= 3, "{pictures:?}");
}

/// The first cells of a document's tables that are code: keys, values, error codes.
fn named(text: &str) -> BTreeSet<String> {
    let cells = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    cells.map(|(cell, _)| cell.to_owned()).collect()
}

#[test]
fn what_is_written_in_two_languages_names_the_same_and_each_side_leads_to_the_other() {
    let sides = documents().into_iter().filter(|document| document.path.starts_with("docs/ru"));
    let mut pairs = 0;
    for russian in sides.filter(|document| !document.path.ends_with("README.md")) {
        let name = russian.path.file_name().unwrap().to_str().unwrap();
        let english = read(&format!("docs/{name}"));
        assert!(english.contains(&format!("](ru/{name})")), "docs/{name} does not link to its Russian side");
        let back = format!("](../{name}");
        assert!(russian.text.contains(&back), "{} does not link to its English side", russian.path.display());
        assert_eq!(named(&english), named(&russian.text), "{name}: English, Russian");
        pairs += 1;
    }
    assert!(pairs >= 16, "{pairs} documents are written in both languages");
}

#[test]
fn every_command_and_option_that_is_named_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let help = typed(directory.path(), &["--help"]);
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let commands: Vec<&str> = list
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let mut named = BTreeSet::new();
    for document in documents() {
        for code in document.code() {
            for rest in code.split("vestibule ").skip(1).filter_map(|rest| rest.lines().next()) {
                let (command, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                if command.is_empty() || !command.bytes().all(|byte| byte.is_ascii_lowercase()) {
                    continue;
                }
                let from = document.path.display();
                assert!(commands.contains(&command), "{from} names `vestibule {command}`");
                let mut help = typed(directory.path(), &[command, "--help"]);
                if let Some(inner) =
                    rest.split(' ').next().filter(|word| help.contains(&format!("\n  {word} ")))
                {
                    help = typed(directory.path(), &[command, inner, "--help"]);
                }
                for option in rest.split(' ').filter(|word| word.starts_with("--")) {
                    assert!(help.contains(option), "{from} names `vestibule {command} {option}`");
                }
                named.insert(command.to_owned());
            }
        }
    }
    assert!(
        commands.iter().all(|command| named.contains(*command)),
        "of {commands:?} only {named:?} are told of"
    );
}

#[test]
fn every_key_that_is_named_is_in_the_example_of_all_keys() {
    let example = read("config.toml.example");
    let tables = ["server", "admin", "log", "pages", "session", "providers", "apps"];
    let is_key = |word: &str| {
        let (table, rest) = word.split_once('.').unwrap_or((word, ""));
        tables.contains(&table)
            && !rest.is_empty()
            && rest.bytes().all(|byte| byte.is_ascii_lowercase() || b"._*".contains(&byte))
    };
    let there = |name: &str| {
        example.lines().any(|line| {
            let line = line.trim_start_matches(['#', '~']);
            let in_table =
                line.starts_with('[') && line.trim_matches(['[', ']']).split('.').any(|part| part == name);
            in_table
                || line.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with('='))
                || line.contains(&format!("{{ {name} = "))
                || line.contains(&format!(", {name} = "))
        })
    };
    let mut named = 0;
    for document in documents() {
        for code in document.code() {
            for key in code.split([' ', '\n']).filter(|word| is_key(word)) {
                let name = key.rsplit('.').next().unwrap();
                assert!(there(name), "{} names {key}", document.path.display());
                named += 1;
            }
        }
    }
    assert!(named > 50, "{named} keys are named");
}

#[test]
fn what_the_changelog_says_is_not_supported_yet_is_refused_and_nothing_is_missing_there() {
    let directory = tempfile::tempdir().unwrap();
    let changelog = read("CHANGELOG.md");
    let listed = rows(&changelog, "### Not supported yet");
    for row in &listed {
        let mut config: toml::Table = AROUND.parse().unwrap();
        merge(&mut config, row.parse().unwrap_or_else(|error| panic!("{row}: {error}")));
        let said = checked(directory.path(), &toml::to_string(&config).unwrap());
        assert!(said.contains("not supported yet"), "{row}: {said}");
    }
    let example = read("config.toml.example");
    let later = example.lines().filter_map(|line| line.strip_prefix("#~"));
    for key in later.filter_map(|line| line.split(' ').next()) {
        let told = listed.iter().any(|row| {
            let (path, value) = row.split_once(" = ").unwrap();
            path.ends_with(&format!(".{key}")) || value.contains(&format!("{{ {key} ="))
        });
        assert!(told, "{key} of config.toml.example is not in CHANGELOG.md");
    }
}

fn merge(into: &mut toml::Table, from: toml::Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(toml::Value::Table(old)), toml::Value::Table(new)) => merge(old, new),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

/// Codes of pages that no line of the log has: the last seven are no failures, the others name what the log
/// tells more exactly, or wait for what will show them.
const PAGES_ONLY: [&str; 13] = [
    "declined",
    "code-refused",
    "code-expired",
    "provider-untrusted",
    "provider-unreachable",
    "headers-too-large",
    "signed-out",
    "confirm-sign-out",
    "post-to-provider",
    "choose-provider",
    "enter-on-phone",
    "form-kept",
    "send-form",
];

#[test]
fn every_error_code_is_explained_and_every_explained_one_exists() {
    let oidc = ["error", "refusal", "callback", "jarm", "id_token", "logout_token"]
        .map(|name| read(&format!("src/oidc/{name}.rs")))
        .concat();
    let pages = read("src/gateway/pages/summary.rs") + &read("src/gateway/pages/problem.rs");
    let literals = |text: &str| -> BTreeSet<String> {
        let quoted = text.split('"').skip(1).step_by(2);
        quoted.filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    let only = |words: BTreeSet<String>, separator: u8| -> BTreeSet<String> {
        let fits = |word: &String| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == separator);
        words.into_iter().filter(fits).collect()
    };
    let begins = ["provider_", "id_token_", "callback_", "userinfo_", "logout_token_"];
    let mut codes = only(literals(&oidc), b'_');
    codes.retain(|word| {
        (begins.iter().any(|begin| word.starts_with(begin)) && word != "userinfo_endpoint")
            || ["access_denied", "client_key", "device_code_expired", "invalid_grant"]
                .contains(&word.as_str())
    });
    codes.extend(only(literals(&pages), b'-'));
    let tokens = only(literals(&read("src/gateway/bearer.rs")), b'-');
    codes.extend(tokens.into_iter().filter(|code| code.starts_with("token-")));
    codes.retain(|code| !PAGES_ONLY.contains(&code.as_str()));
    let operating = read("docs/operating.md");
    let told: BTreeSet<String> = [
        "\nRequests:\n",
        "\nSign-ins that failed in the browser:\n",
        "\nSign-ins that failed with the provider:\n",
        "\nLogout tokens that a provider sent and that were not heeded ([sign-out.md](sign-out.md)):\n",
    ]
    .iter()
    .flat_map(|heading| rows(&operating, heading))
    .collect();
    assert_eq!(codes, told, "in the program, and in docs/operating.md");
}

/// The files that find; each code stands in one of them as a literal.
const FINDERS: [&str; 8] = [
    "foundation/certificate.rs",
    "oidc/examination.rs",
    "oidc/examination/abilities.rs",
    "oidc/provider/examining.rs",
    "upstream/examination.rs",
    "sessions/examination.rs",
    "sessions/store/redis/examination.rs",
    "lifecycle/examination.rs",
];

#[test]
fn every_finding_of_the_doctor_is_explained_in_both_languages() {
    let source = FINDERS.map(|name| read(&format!("src/{name}"))).concat();
    let mut codes = BTreeSet::new();
    for made in ["Finding::warning(", "Finding::failed("] {
        let literal = |rest: &str| {
            rest.trim_start().strip_prefix('"')?.split_once('"').map(|(code, _)| code.to_owned())
        };
        codes.extend(source.split(made).skip(1).filter_map(literal));
    }
    let abilities = read("src/oidc/examination/abilities.rs");
    let tabled = abilities.split('"').skip(1).step_by(2);
    codes.extend(tabled.filter(|word| word.ends_with("_unsupported")).map(str::to_owned));
    let upstream = read("src/upstream/error.rs");
    codes.extend(upstream.split('"').filter(|word| word.starts_with("upstream_")).map(str::to_owned));
    for path in ["docs/doctor.md", "docs/ru/doctor.md"] {
        let told: BTreeSet<String> = rows(&read(path), "| --- | --- |").into_iter().collect();
        assert_eq!(codes, told, "in the program, and in {path}");
    }
}

#[test]
fn what_the_russian_guide_quotes_stands_on_our_pages() {
    let texts = read("src/gateway/pages/texts.rs");
    let guide = read("docs/ru/README.md");
    let (_, table) = guide.split_once("## Если не получается").unwrap();
    let quoted: Vec<&str> = table.split('«').skip(1).filter_map(|rest| rest.split('»').next()).collect();
    assert!(quoted.len() > 5);
    for words in quoted {
        assert!(texts.contains(words), "{words}");
    }
}

#[tokio::test]
async fn the_log_and_the_metrics_are_as_operating_describes_them() {
    let lines = r#"
        [admin]
        token = "operators-token-of-32-characters"

        [log]
        format = "json"
        subject = true

        [apps.lms.headers]
        X-User-Groups = "groups"

        [[apps.lms.rules]]
        paths = ["/admin/*"]
        allow = '"admins" in claims.groups'
    "#;
    let (gateway, rogue, app) = World::with_rogue(lines).await;
    let browser = Browser::new();
    rogue.person(json!({"sub": "u-1", "groups": ["students", "choir"]}));
    browser.visit(&gateway.url("/courses")).await.expect(200);
    browser.visit(&gateway.url("/admin/x")).await.expect(403);
    browser.fresh().get(&gateway.url("/_sso/callback?code=x&state=y")).await.expect(400);
    browser.get(&gateway.url("/a%00")).await.expect(400);
    browser.get(&gateway.url("/_sso/sign-out")).await;
    let end = Ask::new("DELETE", &format!("http://{}/sessions?subject=u-2", gateway.admin()));
    let end = end.header("Authorization", "Bearer operators-token-of-32-characters");
    browser.send(end).await.expect(200);
    browser.visit(&gateway.url("/courses")).await.expect(200);
    drop(app);
    browser.get(&gateway.url("/courses")).await.expect(502);
    let metrics = gateway.ask_admin("/metrics").await.expect(200).text();
    // Each worker writes its own lines when it comes to it.
    for status in [200, 302, 400, 403, 502] {
        gateway.logs(&format!("\"status\":{status},\"bytes\"")).await;
    }

    let log = gateway.log();
    let events: Vec<serde_json::Value> =
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let operating = document("docs/operating.md");
    for block in operating.blocks().iter().filter(|block| block.file == "log") {
        for line in block.text.lines() {
            let told: Value = serde_json::from_str(line).unwrap();
            let keys = |event: &Value| event.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
            let alike = |event: &&Value| {
                let same = |key: &str| event[key] == told[key];
                same("target")
                    && same("event")
                    && (same("message") || same("code") || !told["event"].is_null())
            };
            let there = events.iter().filter(alike).any(|event| keys(event) == keys(&told));
            assert!(there, "{line}\n\nin the log:\n{}", gateway.log());
        }
    }
    let ready = operating.blocks().into_iter().find(|block| block.text.contains("\"draining\"")).unwrap();
    let told: Value = serde_json::from_str(&ready.text).unwrap();
    let said = gateway.ask_admin("/readyz").await.expect(200).json();
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!((names(&told), &told["ready"]), (names(&said), &said["ready"]));

    let shown = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let shown: BTreeSet<String> = shown.map(|(name, kind)| format!("{name}` | {kind} |")).collect();
    let (_, table) = operating.text.split_once("## Metrics").unwrap();
    let told = table.lines().filter_map(|line| line.strip_prefix("| `vestibule_"));
    let told: BTreeSet<String> = told
        .map(|row| format!("vestibule_{}", row.split_inclusive('|').take(2).collect::<String>()))
        .collect();
    assert_eq!(shown, told, "at /metrics, and in docs/operating.md");
}
