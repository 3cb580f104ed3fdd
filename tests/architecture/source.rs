//! Rust source as words with lines: what the rules are held against.
//!
//! Comments and literals are left out, so that nothing is found in them. No parser: names, `::` and braces
//! are enough for rules about who names whom.

use std::fs;
use std::path::Path;

/// One file: its path below `src` or `tests`, its text, and its words with their lines.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) words: Vec<(String, usize)>,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned(), words: words(text) }
    }

    /// The part that it belongs to; nothing for the file that lists the parts.
    pub(crate) fn part(&self) -> Option<&str> {
        let part = self.path.split('/').next().unwrap_or_default().trim_end_matches(".rs");
        (part != "lib").then_some(part)
    }

    pub(crate) fn module(&self) -> Vec<&str> {
        let path = self.path.trim_end_matches(".rs").trim_end_matches("/mod");
        path.split('/').filter(|name| !["main", "lib"].contains(name)).collect()
    }

    pub(crate) fn is(&self, homes: &[&str]) -> bool {
        homes.iter().any(|home| self.path == *home || (home.ends_with('/') && self.path.starts_with(home)))
    }

    pub(crate) fn word(&self, at: usize) -> &str {
        self.words.get(at).map_or("", |(word, _)| word)
    }

    /// Whether these words stand here one after the other.
    pub(crate) fn has(&self, at: usize, expected: &[&str]) -> bool {
        expected.iter().enumerate().all(|(offset, word)| self.word(at + offset) == *word)
    }

    /// Where these words stand one after the other, by index.
    pub(crate) fn find(&self, expected: &[&str]) -> impl Iterator<Item = usize> {
        (0..self.words.len()).filter(move |&at| self.has(at, expected))
    }

    pub(crate) fn complaint(&self, at: usize, what: &str) -> String {
        format!("{}:{}: {what}", self.path, self.words.get(at).map_or(1, |(_, line)| *line))
    }

    /// What the file names at the root of the crate, where the parts are: by `crate`, and by climbing.
    pub(crate) fn named_at_root(&self) -> Vec<(usize, &str)> {
        let by_name =
            self.named_below(&["crate", ":", ":"]).chain(self.named_below(&["vestibule", ":", ":"]));
        by_name.collect()
    }

    /// What the file names after as many `super`s as it is deep. Inside an inline module that is not yet
    /// the root, so a caller looks only at the names of parts.
    pub(crate) fn named_by_climbing(&self) -> Vec<(usize, &str)> {
        let climb: Vec<&str> = self.module().iter().flat_map(|_| ["super", ":", ":"]).collect();
        if climb.is_empty() { Vec::new() } else { self.named_below(&climb).collect() }
    }

    fn named_below<'a>(&'a self, prefix: &[&str]) -> impl Iterator<Item = (usize, &'a str)> {
        let starts: Vec<usize> = self.find(prefix).map(|at| at + prefix.len()).collect();
        starts
            .into_iter()
            .flat_map(|at| if self.word(at) == "{" { self.group(at) } else { vec![at] })
            .map(|at| (at, self.word(at)))
    }

    /// The first names of a group of imports that opens here.
    fn group(&self, open: usize) -> Vec<usize> {
        let (mut depth, mut names) = (0, Vec::new());
        for at in open..self.words.len() {
            match self.word(at) {
                "{" => depth += 1,
                "}" if depth == 1 => break,
                "}" => depth -= 1,
                _ => {}
            }
            if depth == 1 && ["{", ","].contains(&self.word(at)) && self.word(at + 1) != "}" {
                names.push(at + 1);
            }
        }
        names
    }
}

/// All Rust files below a folder of the project.
pub(crate) fn read(folder: &str) -> Vec<Source> {
    fn walk(folder: &Path, root: &Path, found: &mut Vec<Source>) {
        let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        for path in entries.map(|entry| entry.map(|entry| entry.path())).filter_map(Result::ok) {
            if path.is_dir() && path.file_name().is_none_or(|name| name != "node_modules") {
                walk(&path, root, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text =
                    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
                found.push(Source::new(&name, &text));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found = Vec::new();
    walk(&root, &root, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The words of Rust source: identifiers whole, all other characters alone; no comments, no literals' text.
fn words(text: &str) -> Vec<(String, usize)> {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let find = |from: usize, end: &str| {
        let end: Vec<char> = end.chars().collect();
        (from..chars.len()).find(|&i| chars[i..].starts_with(&end)).map_or(chars.len(), |i| i + end.len())
    };
    let (mut words, mut i, mut line) = (Vec::new(), 0, 1);
    while i < chars.len() {
        let from = i;
        let hashes = (i + 1..).take_while(|&j| at(j) == '#').count();
        let mut word = None;
        if at(i) == '/' && at(i + 1) == '/' {
            i = find(i, "\n") - usize::from(find(i, "\n") < chars.len());
        } else if at(i) == '/' && at(i + 1) == '*' {
            i = find(i, "*/");
        } else if at(i) == 'r' && at(i + 1 + hashes) == '"' {
            i = find(i + 2 + hashes, &format!("\"{}", "#".repeat(hashes)));
        } else if at(i) == '"' {
            i += 1;
            while i < chars.len() && at(i) != '"' {
                i += if at(i) == '\\' { 2 } else { 1 };
            }
            i += 1;
        } else if at(i) == '\'' && at(i + 1) == '\\' {
            i = find(i + 3, "'");
        } else if at(i) == '\'' && at(i + 2) == '\'' {
            i += 3;
        } else if at(i).is_alphanumeric() || at(i) == '_' {
            while at(i).is_alphanumeric() || at(i) == '_' {
                i += 1;
            }
            word = Some(chars[from..i].iter().collect());
        } else {
            word = (!at(i).is_whitespace()).then(|| at(i).to_string());
            i += 1;
        }
        words.extend(word.map(|word| (word, line)));
        line += chars[from..i.min(chars.len())].iter().filter(|&&c| c == '\n').count();
    }
    words
}
