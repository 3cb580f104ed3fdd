//! How connections are opened: to one server, to the master that Sentinels name, to a cluster. What is opened
//! is checked before it is used: a replica that is taken for its master would refuse every change.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use redis::cluster::ClusterClient;
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _,
    RedisConnectionInfo, TlsCertificates, cmd,
};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::fault::Fault;
use super::lanes::{Lane, Lanes, read};
use super::settings::{Address, Login, RedisSettings, Tls, Topology};
use super::slots::Range;

/// How long all Sentinels together may take: those that are down must not hold up the others.
const ASKING: Duration = Duration::from_secs(1);

/// How long a connection is unused until the other side is asked for a sign of life, and the pause between two.
const UNUSED: Duration = Duration::from_secs(5);
const SIGNS: Duration = Duration::from_secs(2);

/// How long the other side may be silent to what was sent before the connection counts as lost: a server, or a
/// firewall in between, can go without a word.
const SILENT: Duration = Duration::from_secs(10);

/// The longest pause before a cluster's node is asked again, in milliseconds.
const LONGEST_PAUSE: u64 = 100;

/// What a server says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A master.
    Master {
        /// How far its changes are, in bytes.
        offset: u64,
        /// How far each replica said that it has them.
        replicas: Vec<u64>,
    },
    /// A replica.
    Replica,
    /// A server that does not say, or may not say it to us.
    Unsaid,
}

/// Opens the connections that all requests share.
pub(super) async fn open(settings: &RedisSettings) -> Result<Lanes, Fault> {
    match &settings.topology {
        Topology::Standalone(address) => single(settings, address).await,
        Topology::Sentinel { sentinels, master, login } => {
            let mut fault = Fault::NoMaster;
            for address in masters(settings, sentinels, master, login).await? {
                match single(settings, &address).await {
                    Ok(lanes) => return Ok(lanes),
                    Err(Fault::Replica) => {}
                    Err(other) => fault = other,
                }
            }
            Err(fault)
        }
        Topology::Cluster(nodes) => cluster(settings, nodes).await,
    }
}

/// The servers that a listener must hear, the one or all masters of a cluster, and those that may take their place.
pub(super) async fn to_hear(
    settings: &RedisSettings,
    lanes: &Lanes,
) -> Result<(Vec<Address>, Vec<Address>), Fault> {
    match &settings.topology {
        Topology::Cluster(_) => lanes.nodes().await,
        _ => Ok((vec![lanes.address().clone()], Vec::new())),
    }
}

/// What the server at the other end says it is.
pub(super) async fn role(lane: &Lane, limit: Duration) -> Result<Role, Fault> {
    let parts: Vec<redis::Value> = match lane.ask(&cmd("ROLE"), limit).await {
        Ok(value) => read(value)?,
        Err(Fault::NotPermitted(_) | Fault::Answered { .. }) => return Ok(Role::Unsaid),
        Err(fault) => return Err(fault),
    };
    let mut parts = parts.into_iter();
    let mut part = || parts.next().ok_or(Fault::Unreadable);
    let kind: String = read(part()?)?;
    match kind.as_str() {
        "master" => {
            let (offset, replicas) = (read(part()?)?, read::<Vec<(String, String, u64)>>(part()?)?);
            Ok(Role::Master { offset, replicas: replicas.into_iter().map(|(.., offset)| offset).collect() })
        }
        "slave" => Ok(Role::Replica),
        _ => Ok(Role::Unsaid),
    }
}

/// A client of one server.
pub(super) fn client(address: &Address, login: &Login, settings: &RedisSettings) -> Result<Client, Fault> {
    let info = connection(address, login, settings)?;
    let made = match &settings.tls {
        None => Client::open(info),
        Some(tls) => Client::build_with_tls(info, certificates(tls)),
    };
    made.map_err(Fault::from)
}

/// One connection to one server, shared by many requests.
pub(super) async fn connect(
    address: &Address,
    login: &Login,
    settings: &RedisSettings,
    limit: Duration,
) -> Result<Lane, Fault> {
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(Some(limit)).set_response_timeout(Some(limit));
    let client = client(address, login, settings)?;
    let opening = client.get_multiplexed_async_connection_with_config(&config);
    let opened = timeout(limit, opening).await.map_err(|_| Fault::Slow)?;
    let lane = Lane::Single(opened.map_err(Fault::from)?);
    // Not by the client, which would not tell a database that is not there from any other refusal.
    if settings.database != 0 {
        match lane.ask(cmd("SELECT").arg(settings.database), limit).await {
            Err(Fault::Answered { .. }) if lane.ask(cmd("SELECT").arg(0), limit).await.is_ok() => {
                return Err(Fault::NoDatabase);
            }
            selected => selected?,
        };
    }
    Ok(lane)
}

async fn single(settings: &RedisSettings, address: &Address) -> Result<Lanes, Fault> {
    let limit = settings.timeout;
    let connecting = || connect(address, &settings.login, settings, limit);
    let (asks, changes) = tokio::try_join!(connecting(), connecting())?;
    let replicas = match role(&asks, limit).await? {
        Role::Master { replicas, .. } => replicas.len(),
        Role::Unsaid if matches!(settings.topology, Topology::Standalone(_)) => 0,
        Role::Replica | Role::Unsaid => return Err(Fault::Replica),
    };
    Ok(Lanes::new(asks, changes, settings, address.clone(), vec![Range::whole(replicas, replicas)]))
}

async fn cluster(settings: &RedisSettings, nodes: &[Address]) -> Result<Lanes, Fault> {
    let first = nodes.first().ok_or(Fault::Unreadable)?;
    let infos: Result<Vec<_>, Fault> =
        nodes.iter().map(|node| connection(node, &settings.login, settings)).collect();
    let mut builder = ClusterClient::builder(infos?)
        .retries(8)
        .min_retry_wait(5)
        .max_retry_wait(LONGEST_PAUSE)
        .tcp_settings(lasting())
        .connection_timeout(settings.timeout / 2)
        .response_timeout(settings.timeout);
    if let Some(tls) = &settings.tls {
        builder = builder.certs(certificates(tls));
    }
    let client = builder.build().map_err(Fault::from)?;
    let connecting = || async {
        // Nodes that hang are waited for, and then done without.
        let opened = timeout(settings.timeout * 4, client.get_async_connection()).await;
        opened.map_err(|_| Fault::Slow)?.map(Lane::Cluster).map_err(Fault::from)
    };
    let lanes = match tokio::try_join!(connecting(), connecting()) {
        Ok((asks, changes)) => Lanes::new(asks, changes, settings, first.clone(), Vec::new()),
        Err(fault) => return Err(why_no_cluster(settings, nodes, fault).await),
    };
    lanes.check().await?;
    Ok(lanes)
}

/// The client tells only that no node would do: each is asked for the reason.
async fn why_no_cluster(settings: &RedisSettings, nodes: &[Address], fault: Fault) -> Fault {
    for node in nodes {
        let asked = match connect(node, &settings.login, settings, settings.timeout).await {
            Ok(lane) => lane.ask(cmd("CLUSTER").arg("SLOTS"), settings.timeout).await.map(drop),
            Err(fault) => Err(fault),
        };
        match asked {
            Err(Fault::Unreachable(_)) => {}
            Err(Fault::Answered { .. }) => return Fault::OtherTopology("it is no cluster"),
            Err(fault) => return fault,
            Ok(()) => return Fault::ClusterDown,
        }
    }
    fault
}

/// Whether the Sentinels still name this server; also where none of them answers.
pub(super) async fn is_still_master(settings: &RedisSettings, address: &Address) -> bool {
    let Topology::Sentinel { sentinels, master, login } = &settings.topology else { return true };
    match masters(settings, sentinels, master, login).await {
        Ok(named) => named.first() == Some(address),
        Err(_) => true,
    }
}

/// The addresses that the Sentinels name as the master's, the one of the last fail-over first: one that has heard of
/// it counts for more than all that have not.
async fn masters(
    settings: &RedisSettings,
    sentinels: &[Address],
    master: &str,
    login: &Login,
) -> Result<Vec<Address>, Fault> {
    let mut asking = JoinSet::new();
    for address in sentinels {
        let (address, login, master) = (address.clone(), login.clone(), master.to_owned());
        let settings = RedisSettings { database: 0, ..settings.clone() };
        asking.spawn(async move { named(&settings, &address, &login, &master).await });
    }
    let (mut votes, mut fault) = (BTreeMap::<(u64, Address), usize>::new(), None);
    while let Some(answer) = asking.join_next().await {
        match answer.unwrap_or(Err(Fault::Unreadable)) {
            Ok(Some(named)) => *votes.entry(named).or_default() += 1,
            Ok(None) => fault = Some(Fault::NoMaster),
            Err(Fault::Unreachable(why)) => fault = fault.or(Some(Fault::NoSentinel(why))),
            Err(Fault::Slow) => fault = fault.or(Some(Fault::NoSentinel("no answer in time".to_owned()))),
            Err(Fault::WrongPassword) => fault = Some(Fault::WrongSentinelPassword),
            Err(other) => fault = Some(other),
        }
    }
    if votes.is_empty() {
        return Err(fault.unwrap_or(Fault::NoMaster));
    }
    let mut votes: Vec<_> = votes.into_iter().collect();
    votes.sort_by_key(|((epoch, _), votes)| Reverse((*epoch, *votes)));
    Ok(votes.into_iter().map(|((_, address), _)| address).collect())
}

/// Whom one Sentinel names, and since which fail-over.
async fn named(
    settings: &RedisSettings,
    address: &Address,
    login: &Login,
    master: &str,
) -> Result<Option<(u64, Address)>, Fault> {
    let limit = settings.timeout.min(ASKING);
    let lane = connect(address, login, settings, limit).await?;
    let told: BTreeMap<String, String> =
        match lane.ask(cmd("SENTINEL").arg("MASTER").arg(master), limit).await {
            Ok(told) => read(told)?,
            // It knows none of that name.
            Err(Fault::Answered { .. }) => return Ok(None),
            Err(fault) => return Err(fault),
        };
    let epoch = told.get("config-epoch").and_then(|epoch| epoch.parse().ok()).ok_or(Fault::Unreadable)?;
    let mut command = cmd("SENTINEL");
    command.arg("GET-MASTER-ADDR-BY-NAME").arg(master);
    let named: Option<(String, u16)> = read(lane.ask(&command, limit).await?)?;
    Ok(named.map(|(host, port)| (epoch, Address { host, port })))
}

fn connection(address: &Address, login: &Login, settings: &RedisSettings) -> Result<ConnectionInfo, Fault> {
    let Address { host, port } = address.clone();
    let addr = match settings.tls {
        None => ConnectionAddr::Tcp(host, port),
        Some(_) => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
    };
    let mut redis = RedisConnectionInfo::default().set_skip_set_lib_name();
    if let Some(username) = &login.username {
        redis = redis.set_username(username);
    }
    if let Some(password) = &login.password {
        redis = redis.set_password(password.expose());
    }
    let info = addr.into_connection_info().map_err(Fault::from)?.set_redis_settings(redis);
    Ok(info.set_tcp_settings(lasting()))
}

/// How a connection is kept that is used for days, or unused for hours.
fn lasting() -> TcpSettings {
    let signs = TcpKeepalive::new().with_time(UNUSED).with_interval(SIGNS);
    TcpSettings::default().set_nodelay(true).set_keepalive(signs).set_user_timeout(SILENT)
}

fn certificates(tls: &Tls) -> TlsCertificates {
    let client_tls = tls.client.as_ref().map(|(cert, key)| ClientTlsConfig {
        client_cert: cert.clone(),
        client_key: key.expose().as_bytes().to_vec(),
    });
    TlsCertificates { client_tls, root_cert: tls.ca.clone() }
}
