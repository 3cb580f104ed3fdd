//! The documents themselves: their blocks, their code, their tables, and a directory in which to try them.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::process::certificate;

const VESTIBULE: &str = env!("CARGO_BIN_EXE_vestibule");

/// One document.
pub struct Document {
    /// Where it is, from the root of the repository.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

/// One fenced block of a document.
pub struct Block<'a> {
    /// The first word behind the fence.
    pub language: &'a str,
    /// The second, a file's name; may be empty.
    pub file: &'a str,
    /// What stands inside.
    pub text: String,
}

/// Where the repository is.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the repository.
pub fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every document of the repository.
pub fn documents() -> Vec<Document> {
    let (mut found, mut folders) = (Vec::new(), vec![root().to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" && name != "node_modules" {
                folders.push(path);
            } else if name.ends_with(".md") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push(Document { path: path.strip_prefix(root()).unwrap().to_owned(), text });
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(found.len() > 10, "the documents were not found");
    found
}

/// One of them.
pub fn document(path: &str) -> Document {
    Document { path: path.into(), text: read(path) }
}

impl Document {
    /// Its fenced blocks.
    pub fn blocks(&self) -> Vec<Block<'_>> {
        let mut blocks = Vec::new();
        let mut lines = self.text.lines();
        while let Some(line) = lines.next() {
            if let Some(fence) = line.strip_prefix("```") {
                let (language, file) = fence.split_once(' ').unwrap_or((fence, ""));
                let inside = lines.by_ref().take_while(|line| *line != "```");
                let text = inside.fold(String::new(), |text, line| text + line + "\n");
                blocks.push(Block { language, file, text });
            }
        }
        blocks
    }

    /// The text without its fenced blocks.
    pub fn prose(&self) -> String {
        let pieces = self.text.split("\n```").enumerate();
        pieces.filter(|(number, _)| number % 2 == 0).map(|(_, piece)| piece).collect()
    }

    /// Everything that is set as code: blocks, and what stands between backticks.
    pub fn code(&self) -> Vec<String> {
        let mut code: Vec<String> = self.blocks().into_iter().map(|block| block.text).collect();
        let prose = self.prose();
        code.extend(prose.split('`').skip(1).step_by(2).map(str::to_owned));
        code
    }

    /// A directory with the files that its blocks are, and with a certificate where configurations expect one.
    pub fn directory(&self) -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        for folder in ["certs", "secrets"] {
            std::fs::create_dir(directory.path().join(folder)).unwrap();
        }
        let (issued, _) = certificate(&["lms.example.org"]);
        let write = |path: &str, text: &str| std::fs::write(directory.path().join(path), text).unwrap();
        for name in ["lms", "client"] {
            write(&format!("certs/{name}.pem"), &issued.cert.pem());
            write(&format!("certs/{name}.key"), &issued.signing_key.serialize_pem());
        }
        for name in ["secrets/session-new.key", "secrets/session-old.key", "secrets/admin.token"] {
            write(name, &typed(directory.path(), &["keygen"]));
        }
        for block in self.blocks().iter().filter(|block| !block.file.is_empty() && block.file != "log") {
            write(block.file, &block.text);
        }
        directory
    }
}

/// What a command says, wherever it says it.
pub fn typed(directory: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(VESTIBULE);
    command.args(arguments).current_dir(directory).env_clear().env("LMS_CLIENT_SECRET", "hunter2");
    command.env("SCHOOL_SECRET", "hunter3").env("MINISTRY_SECRET", "hunter4");
    let output = command.output().unwrap();
    String::from_utf8(output.stdout).unwrap() + std::str::from_utf8(&output.stderr).unwrap()
}

/// What `check` says about a configuration that stands alone in this directory.
pub fn checked(directory: &Path, config: &str) -> String {
    std::fs::write(directory.join("checked.toml"), config).unwrap();
    typed(directory, &["check", "--config", "checked.toml"])
}

/// The first cell, between its backticks, of each row of the table below a heading.
pub fn rows(text: &str, heading: &str) -> Vec<String> {
    let (_, below) = text.split_once(heading).unwrap_or_else(|| panic!("no {heading:?}"));
    let table =
        below.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = table.filter_map(|row| row.strip_prefix("| `")?.split_once("` |"));
    cells.map(|(cell, _)| cell.to_owned()).collect()
}

/// The anchor of a heading, as forges make it.
pub fn slug(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}
