//! `vestibule register`: makes this gateway a client of a provider, and prints what config.toml then needs.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Exit, answer, complain};
use crate::config;
use crate::foundation::secret::Secret;
use crate::lifecycle::registration;
use crate::oidc::{self, ClientAuth, Registered};

/// No initial access token is longer.
const LONGEST_TOKEN: u64 = 64 * 1024;

/// Register at a provider (RFC 7591), and print the lines for config.toml
#[derive(Debug, Args)]
pub(super) struct Register {
    /// The configuration file; the provider's table needs no client_id and no client_secret yet
    #[arg(long, value_name = "FILE", default_value = "config.toml")]
    config: PathBuf,
    /// The provider to register at, by its name in the configuration
    #[arg(long, value_name = "NAME")]
    provider: String,
    /// What the provider shows people as the client's name
    #[arg(long, value_name = "TEXT", default_value = "Vestibule")]
    client_name: String,
    /// The variable that holds the initial access token
    #[arg(long, value_name = "VARIABLE", conflicts_with = "token_file")]
    token_env: Option<String>,
    /// The file that holds the initial access token
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// A new file for the client secret, readable by its owner alone
    #[arg(long, value_name = "FILE", conflicts_with = "show_secret")]
    secret_file: Option<PathBuf>,
    /// Print the client secret
    #[arg(long)]
    show_secret: bool,
}

impl Register {
    pub(super) fn run(self) -> Exit {
        let settings = match config::load_unregistered(&self.config, config::environment(), &self.provider) {
            Ok(settings) => settings,
            Err(problems) => return complain(problems, Exit::Wrong),
        };
        let token = match self.token() {
            Ok(token) => token,
            Err(problem) => return complain(problem, Exit::Wrong),
        };
        let known = settings.providers.iter().find(|provider| provider.name == self.provider);
        if known.is_some_and(gets_secret) && self.secret_file.is_none() && !self.show_secret {
            let text = "the provider will give a secret, and it is to go nowhere\n   mend: add --secret-file FILE, or --show-secret to see it here";
            return complain(text, Exit::Wrong);
        }
        // Before anybody is asked: a secret that can't be kept is a client that nobody can use.
        let file = match self.secret_file.as_deref().map(new_file).transpose() {
            Ok(file) => file,
            Err(problem) => return complain(problem, Exit::Failed),
        };
        let registered = registration::register(settings, &self.provider, &self.client_name, token.as_ref());
        let kept = registered.map_err(|error| {
            let mend = error.mend().map(|mend| format!("\n   mend: {mend}")).unwrap_or_default();
            format!("not registered: {error}{mend}")
        });
        let kept = kept.and_then(|registered| {
            match (file, &registered.client_secret) {
                (Some(mut file), Some(secret)) => {
                    writeln!(file, "{}", secret.expose()).and_then(|()| file.sync_all()).map_err(
                        |error| {
                            format!(
                                "registered as {}, but its secret can't be written: {error}",
                                registered.client_id
                            )
                        },
                    )?;
                }
                (Some(_), None) => self.forget_file(),
                (None, _) => {}
            }
            Ok(registered)
        });
        match kept {
            Ok(registered) => answer(self.lines(&registered)),
            Err(problem) => {
                self.forget_file();
                complain(problem, Exit::Failed)
            }
        }
    }

    /// The initial access token. SECURITY: never an argument, which every user of the machine can read.
    fn token(&self) -> Result<Option<Secret>, String> {
        let text = match (&self.token_env, &self.token_file) {
            (None, None) => return Ok(None),
            (Some(name), _) => {
                let found = config::environment().find(|(own, _)| own == name);
                found.map(|(_, text)| text).ok_or_else(|| format!("the variable {name} is not set"))?
            }
            (None, Some(path)) => {
                let read = fs::metadata(path).and_then(|facts| {
                    match facts.len() <= LONGEST_TOKEN && facts.is_file() {
                        true => fs::read_to_string(path),
                        false => Err(io::Error::other("it holds no token")),
                    }
                });
                read.map_err(|error| format!("{}: {error}", path.display()))?
            }
        };
        match text.trim() {
            "" => Err("the initial access token is empty".to_owned()),
            token if token.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(Some(Secret::new(token))),
            _ => Err("the initial access token holds spaces or line breaks".to_owned()),
        }
    }

    /// Takes the new file away again; what is in it is no secret of anybody's.
    fn forget_file(&self) {
        if let Some(path) = &self.secret_file {
            fs::remove_file(path).unwrap_or_default();
        }
    }

    /// What config.toml needs, to be put into the provider's table.
    fn lines(&self, registered: &Registered) -> String {
        let mut lines = vec![
            format!(
                "[providers.{}]",
                toml::Value::from(self.provider.as_str()).to_string().trim_matches('"')
            ),
            format!("client_id     = {}", toml::Value::from(registered.client_id.as_str())),
        ];
        match (&registered.client_secret, &self.secret_file) {
            (Some(_), Some(path)) => {
                let path = from_config(&self.config, path);
                let path = toml::Value::from(path.to_string_lossy().into_owned());
                lines.push(format!("client_secret = {{ file = {path} }}"));
            }
            (Some(secret), None) if self.show_secret => {
                lines.push(format!("client_secret = {}", toml::Value::from(secret.expose())));
            }
            // It was not asked for: we prove ourselves by a key or a certificate.
            _ => {}
        }
        if let Some(method) = &registered.other_client_auth {
            lines.push(format!("client_auth   = {}", toml::Value::from(method.as_str())));
        }
        if let Some(ends) = registered.secret_expires_at {
            lines.push(format!("# the secret is good until {} s after 1970", ends.as_secs()));
        }
        lines.join("\n")
    }
}

/// Whether the provider will prove us by a secret.
fn gets_secret(provider: &oidc::Settings) -> bool {
    match provider.client_auth {
        Some(ClientAuth::PrivateKeyJwt | ClientAuth::TlsClientAuth | ClientAuth::None) => false,
        Some(_) => true,
        None => provider.private_key.is_none() && provider.tls_client.is_none(),
    }
}

fn new_file(path: &Path) -> Result<fs::File, String> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => format!("{} is there already, and is left as it is", path.display()),
        _ => format!("{}: {error}", path.display()),
    })
}

/// The path as it stands in the configuration, where relative ones begin at the file.
fn from_config(config: &Path, path: &Path) -> PathBuf {
    let folder = config.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (folder.canonicalize(), path.canonicalize()) {
        (Ok(folder), Ok(path)) => path.strip_prefix(&folder).map(Path::to_owned).unwrap_or(path),
        _ => path.to_owned(),
    }
}
