//! `session.store` and `[session.redis]`: where sessions are kept.

use std::time::Duration;

use percent_encoding::percent_decode_str;

use super::Judge;
use super::values::SECOND;
use crate::config::place::KeyPath;
use crate::config::problem::{Fault, Finding};
use crate::config::raw::{Redis, Session};
use crate::config::schema::nearest;
use crate::config::source::shown;
use crate::foundation::secret::Secret;
use crate::sessions::{Address, Login, RedisSettings, StoreKind, Tls, Topology};

const PREFIX: &str = "vestibule:";
const EXPECTED: &str = "redis://host:6379/0, redis+sentinel://host:26379,host:26379/mymaster or \
    redis+cluster://host:6379,host:6379; with TLS rediss://, rediss+sentinel://, rediss+cluster://";

/// The forms of a shared store's address: the scheme, what the servers are to each other, and whether with TLS.
const SCHEMES: [(&str, Form, bool); 6] = [
    ("redis", Form::Standalone, false),
    ("rediss", Form::Standalone, true),
    ("redis+sentinel", Form::Sentinel, false),
    ("rediss+sentinel", Form::Sentinel, true),
    ("redis+cluster", Form::Cluster, false),
    ("rediss+cluster", Form::Cluster, true),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Standalone,
    Sentinel,
    Cluster,
}

/// What is wrong with an address, and the mend.
type Wrong = (&'static str, &'static str);

/// What stands in an address.
#[derive(Debug, PartialEq, Eq)]
struct Parts {
    username: Option<String>,
    password: Option<Secret>,
    servers: Vec<Address>,
    master: Option<String>,
    database: u16,
    prefix: Option<String>,
}

impl Judge<'_> {
    /// `session.store`, with `session.redis` where it names a shared store.
    pub(super) fn store(&mut self, at: &KeyPath, session: &Session) -> Option<StoreKind> {
        let (path, text) = (at.key("store"), session.store.as_deref());
        let form = text.and_then(|text| text.split_once("://")).and_then(|(scheme, rest)| {
            let known = SCHEMES.iter().find(|(name, ..)| *name == scheme);
            known.map(|(_, form, tls)| (*form, *tls, rest))
        });
        let Some((form, has_tls, rest)) = form else {
            return self.store_here(at, text, session.redis.is_some());
        };
        if session.keys.is_empty() {
            let finding = Finding::new(Fault::Missing).expected("keys that all gateways of this store have");
            let mend = "make one with `vestibule keygen`, and give it to each gateway";
            self.report.add(&at.key("keys"), finding.mend(mend));
        }
        let parts = match parts(form, rest) {
            Ok(parts) => Some(parts),
            Err((why, mend)) => {
                let finding = Finding::invalid(why).found(without_login(text.unwrap_or_default()));
                self.refuse(&path, finding.expected(EXPECTED).mend(mend))
            }
        };
        let nothing = Redis::default();
        let redis = self.redis(&at.key("redis"), session.redis.as_ref().unwrap_or(&nothing), form, has_tls);
        let (parts, mut redis) = (parts?, redis?);
        redis.login = self.login(&at.key("redis"), &parts, redis.login)?;
        if parts.prefix.is_some() && session.redis.as_ref().is_some_and(|redis| redis.prefix.is_some()) {
            let finding = Finding::invalid("is set twice").found("?prefix= in session.store, too");
            return self.refuse(&at.key("redis").key("prefix"), finding.mend("take one of them out"));
        }
        if let Some(prefix) = parts.prefix {
            redis.prefix = self.prefix(&path, &prefix)?;
        }
        redis.database = parts.database;
        redis.topology = match (redis.topology, form) {
            (Topology::Sentinel { login, .. }, _) => {
                Topology::Sentinel { sentinels: parts.servers, master: parts.master?, login }
            }
            (_, Form::Cluster) => Topology::Cluster(parts.servers),
            _ => Topology::Standalone(parts.servers.into_iter().next()?),
        };
        Some(StoreKind::Redis(Box::new(redis)))
    }

    /// A store that is no shared one.
    fn store_here(&mut self, at: &KeyPath, text: Option<&str>, has_redis: bool) -> Option<StoreKind> {
        let kind = match text {
            None | Some("file") => StoreKind::File,
            Some("memory") => StoreKind::Memory,
            Some("cookie") => StoreKind::Cookie,
            Some(text) => {
                let finding = Finding::invalid("has a value that Vestibule does not know");
                let mut finding = finding
                    .found(without_login(text))
                    .expected(format!("\"file\", \"memory\", \"cookie\", {EXPECTED}"));
                let words = ["file", "memory", "cookie"].into_iter();
                let scheme = text.split(':').next().unwrap_or_default();
                if let Some(meant) = nearest(text, words) {
                    finding = finding.mend(format!("did you mean {meant:?}?"));
                } else if let Some(meant) = nearest(scheme, SCHEMES.iter().map(|(name, ..)| *name)) {
                    finding = finding.mend(format!("write the servers behind it: {meant}://host"));
                }
                return self.refuse(&at.key("store"), finding);
            }
        };
        if has_redis {
            let finding = Finding::invalid("belongs to a Redis store").found(text.unwrap_or("file"));
            let mend = "set session.store = \"redis://…\", or take it out";
            return self.refuse(&at.key("redis"), finding.mend(mend));
        }
        Some(kind)
    }

    /// What stands beside the address; the servers are filled in from it.
    fn redis(&mut self, at: &KeyPath, raw: &Redis, form: Form, has_tls: bool) -> Option<RedisSettings> {
        let password = raw.password.as_ref().map(|raw| self.secret(&at.key("password"), raw));
        let sentinel =
            raw.sentinel_password.as_ref().map(|raw| self.secret(&at.key("sentinel_password"), raw));
        let prefix = self.prefix(&at.key("prefix"), raw.prefix.as_deref().unwrap_or(PREFIX));
        let timeout = self.duration(
            &at.key("timeout"),
            raw.timeout.as_deref(),
            2 * SECOND,
            SECOND..=Duration::from_secs(30),
        );
        let tls = self.redis_tls(at, raw, has_tls);
        let sentinel_keys = [
            ("sentinel_username", raw.sentinel_username.is_some()),
            ("sentinel_password", raw.sentinel_password.is_some()),
        ];
        if let Some((key, _)) = sentinel_keys.into_iter().find(|(_, set)| *set && form != Form::Sentinel) {
            let finding = Finding::invalid("belongs to a store with Sentinels");
            return self.refuse(
                &at.key(key),
                finding.mend("begin session.store with redis+sentinel://, or take it out"),
            );
        }
        let login = |username: &Option<String>, password| Login { username: username.clone(), password };
        let topology = match form {
            Form::Sentinel => Topology::Sentinel {
                sentinels: Vec::new(),
                master: String::new(),
                login: login(
                    &raw.sentinel_username,
                    match sentinel {
                        Some(secret) => Some(secret?),
                        None => None,
                    },
                ),
            },
            Form::Standalone | Form::Cluster => Topology::Cluster(Vec::new()),
        };
        let password = match password {
            Some(secret) => Some(secret?),
            None => None,
        };
        Some(RedisSettings {
            topology,
            login: login(&raw.username, password),
            database: 0,
            prefix: prefix?,
            tls: tls?,
            timeout: timeout?,
        })
    }

    fn redis_tls(&mut self, at: &KeyPath, raw: &Redis, has_tls: bool) -> Option<Option<Tls>> {
        if !has_tls {
            let set = [("ca", raw.ca.is_some()), ("tls_client", raw.tls_client.is_some())];
            let Some((key, _)) = set.into_iter().find(|(_, set)| *set) else { return Some(None) };
            let finding =
                Finding::invalid("belongs to a store with TLS").found("a session.store without TLS");
            return self.refuse(&at.key(key), finding.mend("begin session.store with rediss"));
        }
        let ca = raw.ca.as_deref().map(|file| {
            self.trusted_certificates(&at.key("ca"), Some(file))?;
            self.file(&at.key("ca"), file)
        });
        let client = raw.tls_client.as_ref().map(|tls| {
            let path = at.key("tls_client");
            self.client_certificate(&path, tls)?;
            let cert = self.file(&path.key("cert"), tls.cert.as_deref()?)?;
            let key = self.file(&path.key("key"), tls.key.as_deref()?)?;
            Some((cert, Secret::new(String::from_utf8_lossy(&key))))
        });
        let ca = match ca {
            Some(ca) => Some(ca?),
            None => None,
        };
        let client = match client {
            Some(client) => Some(client?),
            None => None,
        };
        Some(Some(Tls { ca, client }))
    }

    /// The user, who may stand in the address or beside it.
    fn login(&mut self, at: &KeyPath, parts: &Parts, beside: Login) -> Option<Login> {
        let both = [
            ("username", parts.username.is_some() && beside.username.is_some()),
            ("password", parts.password.is_some() && beside.password.is_some()),
        ];
        if let Some((key, _)) = both.into_iter().find(|(_, both)| *both) {
            let finding = Finding::invalid("is set twice").found("before the @ in session.store, too");
            return self.refuse(&at.key(key), finding.mend("take one of them out"));
        }
        let login = Login {
            username: beside.username.or_else(|| parts.username.clone()),
            password: beside.password.or_else(|| parts.password.clone()),
        };
        if login.username.is_some() && login.password.is_none() {
            let finding = Finding::new(Fault::Missing).expected("the user's password");
            return self.refuse(
                &at.key("password"),
                finding.mend("set password = { env = \"NAME\" } in [session.redis]"),
            );
        }
        Some(login)
    }

    fn prefix(&mut self, at: &KeyPath, prefix: &str) -> Option<String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":._-/".contains(&byte);
        if (1..=64).contains(&prefix.len()) && prefix.bytes().all(plain) {
            return Some(prefix.to_owned());
        }
        let finding = Finding::invalid("is not a prefix to use").found(format!("{:?}", shown(prefix)));
        self.refuse(at, finding.expected("1 to 64 letters, digits and : . _ - /"))
    }
}

/// SECURITY: an address as it may be shown: the login is all that stands before the last `@`, for what is misspelt
/// tells nobody where it begins.
fn without_login(text: &str) -> String {
    let Some((before, rest)) = text.rsplit_once('@') else { return format!("{:?}", shown(text)) };
    let scheme = before.split_once("://").map(|(scheme, _)| format!("{scheme}://"));
    format!("{:?}", shown(&format!("{}…@{rest}", scheme.unwrap_or_default())))
}

fn parts(form: Form, rest: &str) -> Result<Parts, Wrong> {
    if rest.contains(|c: char| c == '#' || c.is_whitespace() || c.is_control()) {
        return Err(("holds a # or a space", "write such characters of a password as %23 and %20"));
    }
    let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if path.contains('@') {
        return Err((
            "has a / before the @",
            "write the / of a password as %2F, or set session.redis.password",
        ));
    }
    let (login, servers) =
        authority.rsplit_once('@').map_or((None, authority), |(login, at)| (Some(login), at));
    let (username, password) = match login {
        None => (None, None),
        Some(login) => {
            let (username, password) = login.split_once(':').map_or((login, None), |(u, p)| (u, Some(p)));
            (decoded(username)?, password.map(decoded).transpose()?.flatten().map(Secret::new))
        }
    };
    let port = if form == Form::Sentinel { 26379 } else { 6379 };
    let servers = servers.split(',').map(|server| address(server, port)).collect::<Result<Vec<_>, _>>()?;
    if form == Form::Standalone && servers.len() > 1 {
        return Err(("names several servers", "begin it with redis+sentinel:// or redis+cluster://"));
    }
    let (master, database) = match form {
        Form::Standalone | Form::Cluster => (None, path),
        Form::Sentinel => {
            let (master, database) = path.split_once('/').unwrap_or((path, ""));
            let master =
                decoded(master)?.ok_or(("names no master", "add its name: redis+sentinel://…/mymaster"))?;
            (Some(master), database)
        }
    };
    let database = match database {
        "" => 0,
        number => number.parse().map_err(|_| ("has a database that is no number", "end it with /0"))?,
    };
    if form == Form::Cluster && database != 0 {
        return Err(("names a database", "a cluster has only 0: take it out"));
    }
    let prefix = match query.map(|query| query.strip_prefix("prefix=")) {
        None => None,
        Some(Some(prefix)) if !prefix.contains('&') => decoded(prefix)?,
        Some(_) => {
            return Err((
                "has a parameter that is not known",
                "leave only ?prefix=; others stand in [session.redis]",
            ));
        }
    };
    Ok(Parts { username, password, servers, master, database, prefix })
}

fn address(text: &str, port: u16) -> Result<Address, Wrong> {
    let wrong = ("has a server that is no host and port", "write host:port, an IPv6 address in [ ]");
    let (host, rest) = match text.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']').ok_or(wrong)?,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port = match rest {
        "" => port,
        rest => rest
            .strip_prefix(':')
            .and_then(|port| port.parse().ok())
            .filter(|port| *port != 0)
            .ok_or(wrong)?,
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:%".contains(&byte);
    if host.is_empty() || !host.bytes().all(plain) {
        return Err(wrong);
    }
    Ok(Address { host: host.to_owned(), port })
}

/// What stands for a text; `None` for an empty one.
fn decoded(text: &str) -> Result<Option<String>, Wrong> {
    let text = percent_decode_str(text).decode_utf8();
    let text =
        text.map_err(|_| ("holds bytes that are no text", "write it in UTF-8, with % and two digits"))?;
    Ok(Some(text.into_owned()).filter(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(form: Form, rest: &str) -> String {
        match parts(form, rest) {
            Err((why, _)) => why.to_owned(),
            Ok(Parts { username, password, servers, master, database, prefix }) => {
                let servers = servers.iter().map(Address::to_string).collect::<Vec<_>>().join(" ");
                let password = password.as_ref().map(Secret::expose);
                format!("{username:?} {password:?} {servers} {master:?} {database} {prefix:?}")
            }
        }
    }

    #[test]
    fn addresses_are_read_as_they_are_meant() {
        use Form::{Cluster, Sentinel, Standalone};
        for (form, rest, expected) in [
            (Standalone, "h", "None None h:6379 None 0 None"),
            (Standalone, "[::1]:1/7?prefix=sso%3A", "None None [::1]:1 None 7 Some(\"sso:\")"),
            (Standalone, ":p%40%2Fw@h/", "None Some(\"p@/w\") h:6379 None 0 None"),
            (Standalone, "u:p:w@h:1", "Some(\"u\") Some(\"p:w\") h:1 None 0 None"),
            (Standalone, "u@h", "Some(\"u\") None h:6379 None 0 None"),
            (Sentinel, "a,b:2/mymaster/3", "None None a:26379 b:2 Some(\"mymaster\") 3 None"),
            (Cluster, "a:1,b:2", "None None a:1 b:2 None 0 None"),
            (Standalone, "a,b", "names several servers"),
            (Sentinel, "a", "names no master"),
            (Cluster, "a/1", "names a database"),
            (Standalone, "h/x", "has a database that is no number"),
            (Standalone, "", "has a server that is no host and port"),
            (Standalone, "h:0", "has a server that is no host and port"),
            (Standalone, "[::1", "has a server that is no host and port"),
            (Standalone, ":a/b@h", "has a / before the @"),
            (Standalone, ":a#b@h", "holds a # or a space"),
            (Standalone, "h?tls=1", "has a parameter that is not known"),
            (Standalone, ":%ff@h", "holds bytes that are no text"),
        ] {
            assert_eq!(told(form, rest), expected, "{rest}");
        }
    }
}
