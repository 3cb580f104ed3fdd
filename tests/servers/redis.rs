//! Real Redis servers for tests, from the system's packages: one alone, one with TLS, a master with replicas and
//! Sentinels, a cluster. Whoever includes this file by its path owns the servers; they end with the test process,
//! however that ends.

use std::io::{BufRead, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The longest that servers may take to become ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// One server in a process of its own.
pub(crate) struct Server {
    /// Its port on 127.0.0.1, without TLS.
    pub(crate) port: u16,
    /// Its port with TLS, where its lines name a certificate, or else the other.
    pub(crate) way: u16,
    /// Its process.
    pub(crate) pid: u32,
    keeper: Child,
    dir: tempfile::TempDir,
}

/// The server's program: `REDIS_SERVER` of the environment, so that the same tests run on Valkey.
fn program() -> String {
    std::env::vars()
        .find(|(name, _)| name == "REDIS_SERVER")
        .map_or("redis-server".into(), |(_, value)| value)
}

impl Server {
    /// Starts a server with these lines of configuration besides its port.
    pub(crate) fn start(lines: &[String]) -> Self {
        Self::start_somewhere("server", lines)
    }

    /// Starts a Sentinel.
    pub(crate) fn start_sentinel(lines: &[String]) -> Self {
        Self::start_somewhere("sentinel", lines)
    }

    /// Starts a server again on a port that it had.
    pub(crate) fn start_again(port: u16, lines: &[String]) -> Self {
        let server = Self::start_at("server", port, lines);
        server.until("it answers", |server| server.try_ask(&["PING"]).is_some());
        server
    }

    /// A port that was free may be taken a moment later: then another is.
    fn start_somewhere(kind: &str, lines: &[String]) -> Self {
        for _ in 0..5 {
            let server = Self::start_at(kind, free_port(), lines);
            let started = Instant::now();
            while started.elapsed() < PATIENCE
                && std::path::Path::new(&format!("/proc/{}/exe", server.pid)).exists()
            {
                if server.try_ask(&["PING"]).is_some() {
                    return server;
                }
                std::thread::park_timeout(Duration::from_millis(20));
            }
        }
        panic!("no {kind} could be started");
    }

    fn start_at(kind: &str, port: u16, lines: &[String]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut text = format!("port {port}\nbind 127.0.0.1\ndir {}\n", dir.path().display());
        if kind == "server" {
            text += "save \"\"\nappendonly no\nrepl-diskless-sync-delay 0\n";
        }
        if lines.iter().any(|line| line == "cluster-enabled yes") {
            text += &format!("cluster-port {}\n", free_port());
        }
        let mut way = port;
        if lines.iter().any(|line| line.starts_with("tls-cert-file")) {
            way = free_port();
            text += &format!("tls-port {way}\n");
        }
        text += &lines.join("\n");
        let file = dir.path().join("server.conf");
        std::fs::write(&file, text + "\n").unwrap();
        // The shell ends the server, and its files, when this process and with it the pipe is gone.
        let script =
            "\"$@\" >/dev/null 2>&1 & echo $!; read line; kill -9 $! 2>/dev/null; rm -rf \"${2%/*}\"";
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh", &program()]).arg(&file);
        if kind == "sentinel" {
            command.arg("--sentinel");
        }
        let mut keeper = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut pid = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut pid).unwrap();
        Self { port, way, pid: pid.trim().parse().unwrap(), keeper, dir }
    }

    /// Asks the server, and gives its raw answer.
    pub(crate) fn ask(&self, words: &[&str]) -> String {
        let started = Instant::now();
        loop {
            // A server that changes its place cuts connections: the question may fall between.
            if let Some(answer) = self.try_ask(words) {
                return answer;
            }
            assert!(started.elapsed() < PATIENCE, "port {}: no answer to {words:?}", self.port);
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Waits until something is so.
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let started = Instant::now();
        while !is_so(self) {
            assert!(started.elapsed() < PATIENCE, "port {}: {what}", self.port);
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Where it keeps its files.
    pub(crate) fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Sends its process a signal.
    pub(crate) fn signal(&self, signal: &str) {
        let done = Command::new("kill").args([signal, &self.pid.to_string()]).status().unwrap();
        assert!(done.success(), "kill {signal} {}", self.pid);
    }

    fn try_ask(&self, words: &[&str]) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request += &format!("${}\r\n{word}\r\n", word.len());
        }
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        read_answer(&mut BufReader::new(stream), &mut answer).ok()?;
        Some(answer)
    }
}

/// Reads one answer, however deep, and adds it as it came (Redis serialization protocol, RESP2).
fn read_answer(from: &mut impl BufRead, answer: &mut String) -> std::io::Result<()> {
    let begin = answer.len();
    from.read_line(answer)?;
    let line = answer[begin..].trim_end().to_owned();
    let number = || line[1..].parse::<i64>().unwrap_or(-1);
    match line.chars().next() {
        Some('$') if number() >= 0 => {
            let mut bytes = vec![0; usize::try_from(number()).unwrap() + 2];
            from.read_exact(&mut bytes)?;
            answer.push_str(&String::from_utf8_lossy(&bytes));
            Ok(())
        }
        Some('*') => (0..number()).try_for_each(|_| read_answer(from, answer)),
        Some(_) => Ok(()),
        None => Err(std::io::ErrorKind::UnexpectedEof.into()),
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        drop(self.keeper.wait());
    }
}

/// A master, its two replicas and three Sentinels, which call it `mymaster`.
pub(crate) struct Guarded {
    /// The master first.
    pub(crate) servers: Vec<Server>,
    /// The Sentinels.
    pub(crate) sentinels: Vec<Server>,
}

impl Guarded {
    /// Starts them, and waits until all know each other.
    pub(crate) fn start() -> Self {
        Self::start_with(&[], &[])
    }

    /// Starts them with these lines of configuration besides.
    pub(crate) fn start_with(servers: &[String], sentinels: &[String]) -> Self {
        let master = Server::start(servers);
        let follow = [servers, &[format!("replicaof 127.0.0.1 {}", master.way)]].concat();
        let replicas = [Server::start(&follow), Server::start(&follow)];
        let watched = [
            format!("sentinel monitor mymaster 127.0.0.1 {} 2", master.way),
            "sentinel down-after-milliseconds mymaster 1000".to_owned(),
            "sentinel failover-timeout mymaster 3000".to_owned(),
        ];
        let watched = [sentinels, &watched].concat();
        master.until("both replicas follow", |master| {
            master.ask(&["INFO", "replication"]).matches("state=online").count() == 2
        });
        let sentinels: Vec<_> = (0..3).map(|_| Server::start_sentinel(&watched)).collect();
        for sentinel in &sentinels {
            sentinel.until("it knows all", |sentinel| {
                let known = sentinel.ask(&["INFO", "sentinel"]);
                known.contains("slaves=2,sentinels=3")
            });
        }
        Self { servers: std::iter::once(master).chain(replicas).collect(), sentinels }
    }

    /// Kills the first master, and waits until another is in its place.
    pub(crate) fn kill_the_master(&self) {
        self.servers[0].signal("-KILL");
        let is_master = |server: &Server| server.ask(&["ROLE"]).contains("master");
        self.servers[1].until("another is the master", |_| self.servers[1..].iter().any(is_master));
    }

    /// The port of who is the master now, by the first Sentinel.
    pub(crate) fn master(&self) -> u16 {
        let answer = self.sentinels[0].ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster"]);
        answer.lines().last().unwrap().parse().unwrap()
    }
}

/// Six nodes: three masters, and a replica of each.
pub(crate) struct Cluster {
    /// The nodes.
    pub(crate) nodes: Vec<Server>,
}

impl Cluster {
    /// Starts them, and waits until each knows the others.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts them with these lines of configuration besides.
    pub(crate) fn start_with(more: &[String]) -> Self {
        let lines = ["cluster-enabled yes", "cluster-node-timeout 2000", "cluster-replica-validity-factor 0"];
        let lines = [&lines.map(str::to_owned), more].concat();
        let nodes: Vec<_> = (0..6).map(|_| Server::start(&lines)).collect();
        let mut command = Command::new("redis-cli");
        command
            .args(["--cluster", "create"])
            .args(nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)));
        let made = command.args(["--cluster-replicas", "1", "--cluster-yes"]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        for node in &nodes {
            node.until("the cluster stands", |node| {
                let ports =
                    node.ask(&["CLUSTER", "SLOTS"]).lines().filter(|line| line.starts_with(':')).count();
                // Three ranges, each of two bounds and the ports of two nodes.
                ports == 12 && node.ask(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
            });
        }
        Self { nodes }
    }

    /// Kills a master, and waits until another is in its place.
    pub(crate) fn kill_a_master(&self) {
        self.nodes[2].signal("-KILL");
        self.nodes[0].until("another is the master", |node| {
            let nodes = node.ask(&["CLUSTER", "NODES"]);
            nodes.contains("master,fail ") && nodes.matches("master - ").count() == 3
        });
    }
}

/// A port that nobody has now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
