//! `vestibule sessions list`: who is signed in, a line each.

use std::net::IpAddr;

use clap::Args;
use http::Method;

use super::super::{ConfigFile, Exit, answer, complain};
use super::{client, failed, json, with_query};
use crate::config;
use crate::foundation::clock::Timestamp;
use crate::lifecycle::admin::client::{Client, ClientError};
use crate::lifecycle::admin::documents::{Session, Sessions};

/// How many sessions are asked for at once.
const PAGE: usize = 1000;

/// List live sessions: identifier, sign-in, last use, provider, app, address, subject, name, e-mail
#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    config: ConfigFile,
    /// Only of this person, as the provider names them (`sub`)
    #[arg(long, value_name = "SUB")]
    subject: Option<String>,
    /// Only with this provider, by its name in the configuration
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Only those that began at this app, by its name in the configuration
    #[arg(long, value_name = "NAME")]
    app: Option<String>,
    /// Only those that began at this address
    #[arg(long, value_name = "IP")]
    address: Option<IpAddr>,
    /// Only where name, e-mail address or subject hold this, in any case
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Only those that began longer ago, such as 90s, 15m, 8h or 30d
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    older_than: Option<String>,
    /// Only those that began after that
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    newer_than: Option<String>,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = PAGE, value_parser = at_least_one)]
    limit: usize,
    /// Print JSON instead
    #[arg(long)]
    json: bool,
}

/// A duration as it is written; the gateway reads it.
fn duration(text: &str) -> Result<String, &'static str> {
    config::duration(text).map(|_| text.to_owned()).ok_or("a whole number and one of s, m, h, d is expected")
}

fn at_least_one(text: &str) -> Result<usize, &'static str> {
    text.parse().ok().filter(|limit| *limit > 0).ok_or("a number from 1 is expected")
}

impl List {
    pub(super) fn run(self) -> Exit {
        let client = match client(&self.config) {
            Ok(client) => client,
            Err(exit) => return exit,
        };
        let mut all = Vec::new();
        let mut widths = Widths::default();
        let mut left = self.limit;
        let mut after = None;
        while left > 0 {
            let Sessions { sessions, next } = match self.page(&client, left.min(PAGE), after.as_deref()) {
                Ok(page) => page,
                Err(error) => return failed(&error),
            };
            left = left.saturating_sub(sessions.len());
            if self.json {
                all.extend(sessions);
            } else if !sessions.is_empty()
                && let exit @ (Exit::Failed | Exit::Wrong) = answer(widths.lines(&sessions))
            {
                return exit;
            }
            after = next;
            if after.is_none() {
                break;
            }
        }
        if self.json
            && let exit @ (Exit::Failed | Exit::Wrong) = json(&all)
        {
            return exit;
        }
        match after {
            Some(_) => complain("there are more: raise --limit to see them", Exit::Well),
            None => Exit::Well,
        }
    }

    fn page(&self, client: &Client, limit: usize, after: Option<&str>) -> Result<Sessions, ClientError> {
        let address = self.address.map(|address| address.to_string());
        let path = with_query(
            "/sessions",
            &[
                ("subject", self.subject.as_deref()),
                ("provider", self.provider.as_deref()),
                ("app", self.app.as_deref()),
                ("address", address.as_deref()),
                ("search", self.search.as_deref()),
                ("older_than", self.older_than.as_deref()),
                ("newer_than", self.newer_than.as_deref()),
                ("limit", Some(&limit.to_string())),
                ("after", after),
            ],
        );
        client.ask(Method::GET, &path)
    }
}

/// How wide each column has been so far, so that pages agree.
#[derive(Default)]
struct Widths([usize; COLUMNS]);

const COLUMNS: usize = 8;

impl Widths {
    /// One line a session. The e-mail address stands last and has no width.
    fn lines(&mut self, sessions: &[Session]) -> String {
        let rows: Vec<([String; COLUMNS], String)> =
            sessions.iter().map(|session| (columns(session), plain(session.email.as_deref()))).collect();
        for (columns, _) in &rows {
            for (width, column) in self.0.iter_mut().zip(columns) {
                *width = (*width).max(column.chars().count());
            }
        }
        let mut text = String::new();
        for (columns, email) in &rows {
            for (width, column) in self.0.iter().zip(columns) {
                text += &format!("{column:<width$}  ");
            }
            text += email;
            text.push('\n');
        }
        text
    }
}

fn columns(session: &Session) -> [String; COLUMNS] {
    let time = |at: Option<Timestamp>| at.map_or_else(|| UNKNOWN.to_owned(), |at| at.to_string());
    [
        session.id.clone(),
        time(session.signed_in_at),
        time(Some(session.last_seen_at)),
        plain(session.provider.as_deref()),
        plain(session.app.as_deref()),
        session.address.map_or_else(|| UNKNOWN.to_owned(), |address| address.to_string()),
        plain(session.subject.as_deref()),
        plain(session.name.as_deref()),
    ]
}

/// What stands where nothing is known.
const UNKNOWN: &str = "-";

/// A text as it may stand in a line.
fn plain(text: Option<&str>) -> String {
    // SECURITY: a name comes from outside, and must neither steer a terminal nor look like another line or column.
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let text: String =
        text.unwrap_or_default().chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect();
    let text = text.trim();
    if text.is_empty() { UNKNOWN.to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_aligned_in_every_alphabet_and_hold_nothing_that_steers_a_terminal() {
        let at = Timestamp::from_secs;
        let session = |name: &str, subject: &str| Session {
            id: "AbC".to_owned(),
            provider: Some("school".to_owned()),
            subject: Some(subject.to_owned()),
            name: Some(name.to_owned()),
            email: None,
            app: Some("lms".to_owned()),
            address: "192.0.2.7".parse().ok(),
            acr: None,
            signed_in_at: Some(at(0)),
            last_seen_at: at(60),
            expires_at: at(90),
        };
        let mut widths = Widths::default();
        let first = widths.lines(&[session("Иван Иванов", "7d"), session("Maria\u{1b}[2J\nroot", "8")]);
        assert_eq!(
            first,
            "AbC  1970-01-01T00:00:00Z  1970-01-01T00:01:00Z  school  lms  192.0.2.7  7d  Иван Иванов     -\n\
             AbC  1970-01-01T00:00:00Z  1970-01-01T00:01:00Z  school  lms  192.0.2.7  8   Maria\u{fffd}[2J\u{fffd}root  -\n"
        );
        assert_eq!(widths.lines(&[session("Я", "9")]).find('Я'), first.find('И'));
        let unknown = Session { signed_in_at: None, ..session("", "") };
        assert!(widths.lines(&[unknown]).starts_with("AbC  -   "));
    }
}
