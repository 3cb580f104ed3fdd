//! What stands in `deploy/` is good and works: systemd itself runs the unit, what the image would hold signs people
//! in, and the schemas, linters and readers of the compose file and the manifests have nothing to say.
//!
//! No container engine is needed: the image's root is made by the script that the Dockerfile runs, and entered.

mod clusters;
pub mod pair;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::documents::source::{checked, read, root, typed};
use crate::world::program::Program;
use crate::world::{Browser, Rogue, Server, World};

/// A program that `./test` installs for these tests.
fn tool(name: &str) -> PathBuf {
    root().join(".cache/deploy/bin").join(name)
}

/// Runs a command to its end.
fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}: ./test installs it"))
}

/// Runs it; it must have nothing to say against what it was given. What it says otherwise.
fn good(command: &mut Command) -> String {
    let output = run(command);
    let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

/// Whether the tests run as root, without whom nobody enters another root directory or boots a systemd.
fn is_root() -> bool {
    run(Command::new("id").arg("-u")).stdout == b"0\n"
}

/// `check` reads a configuration of `deploy/`, with the files that it names below a directory of the test's.
fn reads(path: &str, secrets: &str) {
    let directory = tempfile::tempdir().unwrap();
    for name in ["client-secret", "redis-password"] {
        std::fs::write(directory.path().join(name), "s3cret\n").unwrap();
    }
    std::fs::write(directory.path().join("session-key"), typed(directory.path(), &["keygen"])).unwrap();
    let config = read(path).replace(secrets, directory.path().to_str().unwrap());
    let said = checked(directory.path(), &config);
    assert!(said.starts_with("configuration is good"), "{path}: {said}");
}

const UNIT: &str = "deploy/systemd/vestibule.service";

#[test]
fn the_unit_is_verified_and_exposes_little() {
    let directory = tempfile::tempdir().unwrap();
    let unit = directory.path().join("vestibule.service");
    let text = read(UNIT).replace("/usr/local/bin/vestibule", env!("CARGO_BIN_EXE_vestibule"));
    std::fs::write(&unit, text).unwrap();
    let verified = good(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit));
    assert!(!verified.contains("vestibule"), "{verified}");
    // In tenths, from 0 to 100: what it may do, as systemd counts.
    let mut security = Command::new("systemd-analyze");
    good(security.args(["security", "--offline=true", "--threshold=20", "--no-pager"]).arg(&unit));
}

#[test]
fn systemd_runs_the_unit_restarts_it_stops_it_and_leaves_a_wrong_configuration_alone() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    let (issued, _) = crate::process::certificate(&["lms.example.org"]);
    write("lms.pem", &issued.cert.pem());
    write("lms.key", &issued.signing_key.serialize_pem());
    write("client-secret", "s3cret\n");
    write(
        "config.toml",
        r#"
[server]
listen = "0.0.0.0:443"
tls = { cert = "/etc/vestibule/lms.pem", key = "/run/credentials/vestibule.service/lms.key" }

[providers.school]
issuer = "https://id.example.org"
discovery = false
authorization_endpoint = "https://id.example.org/authorize"
token_endpoint = "https://id.example.org/token"
jwks_uri = "https://id.example.org/jwks"
client_id = "lms"
client_secret = { file = "/run/credentials/vestibule.service/client-secret" }

[apps.lms]
url = "https://lms.example.org"
upstream = "http://localhost:3000"

[[apps.lms.rules]]
paths = ["/static/*"]
access = "public"
"#,
    );
    let mut boot = Command::new("/usr/bin/python3");
    boot.arg(root().join("tests/deploy/boot.py")).arg(root().join(UNIT));
    let output = run(boot.arg(env!("CARGO_BIN_EXE_vestibule")).arg(directory.path()));
    if output.status.code() == Some(77) {
        eprintln!(
            "not tried: only root can boot a systemd of its own, where namespaces and cgroups can be made"
        );
        return;
    }
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    let log = seen["log"].as_str().unwrap();
    assert_eq!(seen["started"]["ActiveState"], "active", "{seen:#}");
    assert_eq!(seen["ready"], 200, "{seen:#}");
    assert_eq!(seen["sign_in"][0], 302, "{seen:#}");
    assert!(seen["sign_in"][1].as_str().unwrap().starts_with("https://id.example.org/authorize?"));
    assert_eq!(seen["public"], 200, "names are resolved and the app is reached: {seen:#}");

    // A user of its own, who may open low ports and nothing else, behind a filter of system calls.
    assert_ne!(seen["process"]["Uid"], "0");
    assert_eq!(seen["process"]["NoNewPrivs"], "1");
    assert_eq!(seen["process"]["Seccomp"], "2");
    for set in ["CapEff", "CapBnd"] {
        assert_eq!(seen["process"][set], "0000000000000400", "{set}");
    }
    assert_eq!(seen["state"]["mode"], "0o700");
    for file in ["session.key", "sessions.redb"] {
        assert_eq!(seen["state"]["files"][file], "0o600", "{seen:#}");
    }
    assert_eq!(seen["killed"]["NRestarts"], "1", "{seen:#}");
    assert_eq!(seen["key_stays"], true);
    assert_eq!(seen["stopped"]["ActiveState"], "inactive", "{seen:#}");
    assert_eq!(seen["stopped"]["Result"], "success", "{seen:#}");
    assert!(log.contains("stopped"), "{log}");
    assert_eq!(seen["wrong_config"]["ActiveState"], "failed", "{seen:#}");
    assert_eq!(seen["wrong_config"]["ExecMainStatus"], "2", "{seen:#}");
    assert_eq!(seen["wrong_config"]["NRestarts"], "0", "{seen:#}");
}

/// The instructions of the Dockerfile, lines joined, comments left out: name and the rest.
fn instructions() -> Vec<(String, String)> {
    let text = read("deploy/image/Dockerfile");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    let instruction = |line: &str| {
        let (name, rest) = line.split_once(' ').unwrap();
        (name.to_owned(), rest.trim().to_owned())
    };
    joined.lines().map(instruction).collect()
}

/// What an instruction of the last stage says; it stands there once.
fn says(name: &str) -> String {
    let instructions = instructions();
    let last = instructions.iter().rposition(|(name, _)| name == "FROM").unwrap();
    let mut found = instructions[last..].iter().filter(|(it, _)| it == name).map(|(_, rest)| rest.clone());
    let one = found.next().unwrap_or_else(|| panic!("no {name}"));
    assert_eq!(found.next(), None, "{name}");
    one
}

#[test]
fn the_dockerfile_has_a_linters_approval_and_copies_what_is_there_and_nothing_else() {
    good(Command::new(tool("hadolint")).arg(root().join("deploy/image/Dockerfile")));
    let sent: Vec<String> =
        read(".dockerignore").lines().filter_map(|line| line.strip_prefix('!').map(str::to_owned)).collect();
    let mut copied = Vec::new();
    for (name, rest) in instructions() {
        if name == "COPY" && !rest.starts_with("--from") {
            let mut words: Vec<&str> = rest.split_whitespace().collect();
            words.pop();
            copied.extend(words.into_iter().map(str::to_owned));
        }
    }
    assert!(copied.iter().all(|path| root().join(path).exists()), "{copied:?}");
    assert_eq!(copied, sent, "what is copied, and what .dockerignore lets through");
    // What the program holds of other files stands below src, too; tests reach further.
    for (path, text) in sources(&root().join("src")) {
        for include in text.split("include_str!(\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let target = path.parent().unwrap().join(include).canonicalize().unwrap();
            let inside = target.starts_with(root().join("src"));
            assert!(
                inside || path.components().any(|part| part.as_os_str() == "tests"),
                "{}",
                path.display()
            );
        }
    }
    assert_eq!(says("FROM"), "scratch");
    assert_eq!(says("HEALTHCHECK"), "NONE");
}

fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let of = |path: PathBuf| match path.is_dir() {
        true => sources(&path),
        false => std::fs::read_to_string(&path).map(|text| vec![(path, text)]).unwrap_or_default(),
    };
    entries.flat_map(of).collect()
}

#[tokio::test]
async fn what_the_image_holds_signs_people_in_as_the_image_s_user() {
    if !is_root() {
        return eprintln!("not tried: only root can enter another root directory");
    }
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let image = world.dir.path().join("image");
    good(Command::new(root().join("deploy/image/furnish")).arg(env!("CARGO_BIN_EXE_vestibule")).arg(&image));
    // As COPY --chown does it, and as whoever runs the image gives it its configuration.
    let user = says("USER");
    let state = says("ENV").strip_prefix("STATE_DIRECTORY=").unwrap().to_owned();
    // Apart from the rest: COPY leaves a directory's owner as it is where that stands in the image already.
    let handed = format!("--from=build --chown={user} /state /var");
    assert!(instructions().contains(&("COPY".into(), handed)), "{:?}", instructions());
    let apart = |(name, rest): &(String, String)| name == "RUN" && rest.ends_with("&& mv /image/var /state");
    assert!(state.starts_with("/var/") && instructions().iter().any(apart), "{:?}", instructions());
    good(Command::new("chown").arg(&user).arg(format!("{}{state}", image.display())));
    world.write_config(&(rogue.table("school", "") + &world.app("lms", &app)));
    std::fs::copy(world.config_path(), image.join("etc/vestibule/config.toml")).unwrap();

    let words = |name: &str| -> Vec<String> { serde_json::from_str(&says(name)).unwrap() };
    let entered = |command: &mut Command| {
        command.arg(format!("--userspec={user}")).arg(&image).args(words("ENTRYPOINT"));
        command.env_clear().env("STATE_DIRECTORY", &state);
    };
    let checked = |command: &mut Command| {
        entered(command);
        command.args(["check", "--config", "/etc/vestibule/config.toml"]);
    };
    let mut check = Command::new("/usr/sbin/chroot");
    checked(&mut check);
    assert!(good(&mut check).starts_with("configuration is good"));
    let vestibule = Program::start("/usr/sbin/chroot", |command| {
        entered(command);
        command.args(words("CMD"));
    });
    vestibule.says("admin listening").await;
    let browser = Browser::new();
    browser.visit(&format!("{}/courses", world.origin())).await.expect(200);
    assert_eq!(app.last().target(), "/courses");
    assert!(image.join(&state[1..]).join("session.key").exists());
    drop(vestibule);
}
