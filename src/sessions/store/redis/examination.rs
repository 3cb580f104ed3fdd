//! An examination of the shared store for the operator: whether all that sessions need of it works, tried on a
//! record of nobody's, and whether the server is set so that sessions would be lost.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::cmd;
use tokio::runtime::Handle;

use super::fault::Fault;
use super::lanes::read;
use super::replicas::DOUBT;
use super::servers::{self, Role};
use super::settings::{Address, RedisSettings, Topology};
use super::{RedisStore, hearing};
use crate::foundation::clock::Timestamp;
use crate::foundation::finding::Finding;
use crate::foundation::random;
use crate::sessions::store::{Change, Entry, Kept, Store as _, StoreError};

const MINUTE: Duration = Duration::from_secs(60);

/// How long it may take until a server without replicas takes changes: it is doubted at first.
const SETTLING: Duration = DOUBT.saturating_add(Duration::from_secs(3));

/// What there is to say of the shared store. Needs a runtime around it.
pub(in crate::sessions) async fn examine(settings: &RedisSettings, now: Timestamp) -> Vec<Finding> {
    let tried = async {
        let lanes = servers::open(settings).await?;
        let (masters, _) = servers::to_hear(settings, &lanes).await?;
        hearing::try_out(settings, &lanes).await?;
        Ok::<_, Fault>(masters)
    };
    let masters = match tried.await {
        Ok(masters) => masters,
        Err(fault) => return vec![unusable(settings, &fault.to_string(), fault.mend())],
    };
    if let Err(error) = try_out(settings, now).await {
        let mend = match &error {
            StoreError::Unreachable(fault) => fault.downcast_ref().map(Fault::mend),
            _ => None,
        };
        return vec![unusable(settings, &error.to_string(), mend.unwrap_or("look at Redis' log"))];
    }
    let mut findings = Vec::new();
    if settings.tls.is_none() && !masters.iter().all(is_on_this_machine) {
        let text = format!("{settings} is asked without TLS: who listens in between reads its password");
        let mend = "begin session.store with rediss, or see to it that nobody else is in that network";
        findings.push(Finding::warning("store_unprotected", text).mend(mend));
    }
    for master in &masters {
        findings.extend(examine_one(settings, master).await);
    }
    findings
}

fn unusable(settings: &RedisSettings, error: &str, mend: &str) -> Finding {
    Finding::failed("store_unusable", format!("{settings}: {error}")).mend(mend)
}

/// Waits until the store takes changes, where it only lacks a replica yet.
async fn settle(store: &RedisStore) -> Result<(), StoreError> {
    let end = Instant::now() + SETTLING;
    loop {
        match store.unlock(random::bytes(), random::bytes()).await {
            Err(StoreError::Unreachable(fault)) if is_unconfirmed(&fault) && Instant::now() < end => {
                tokio::time::sleep(SETTLING / 50).await;
            }
            settled => return settled,
        }
    }
}

fn is_unconfirmed(fault: &Arc<dyn Error + Send + Sync>) -> bool {
    matches!(fault.downcast_ref(), Some(Fault::Unconfirmed))
}

/// Does everything once that sessions need.
async fn try_out(settings: &RedisSettings, now: Timestamp) -> Result<(), StoreError> {
    let store = RedisStore::open(settings.clone(), MINUTE, Handle::current());
    settle(&store).await?;
    let (name, index, until) = (random::bytes(), random::bytes(), now.plus(MINUTE));
    let kept = Kept { record: vec![0; 64], last_seen: now };
    let entry = Entry { name, indexes: vec![index], expires_at: until, kept, card: Vec::new() };
    store.apply(Change::Put { entry, replacing: None }).await?;
    store.get(name, None).await?;
    store.apply(Change::Touch(vec![(name, now.plus(MINUTE / 2))])).await?;
    store.apply(Change::Replace { name, record: vec![1; 64], renewals: 1 }).await?;
    store.page(None, Some(index), 1).await?;
    store.apply(Change::EndBy(vec![index])).await?;
    store
        .apply(Change::Sweep { now: Timestamp::from_secs(0), unused_since: Timestamp::from_secs(0) })
        .await?;
    store.count().await?;
    store.put_note(name, vec![0; 16], now, until).await?;
    store.take_note(name, now).await?;
    store.lock(name, random::bytes(), MINUTE).await?;
    store.close().await
}

async fn examine_one(settings: &RedisSettings, at: &Address) -> Vec<Finding> {
    match facts(settings, at).await {
        Ok(facts) => facts.findings(settings, at),
        Err(fault) => {
            let text = format!("{at} does not tell its version and settings: {fault}");
            vec![Finding::warning("store_unseen", text).mend("give the user +info and +config|get")]
        }
    }
}

/// What a server says of itself.
struct Facts {
    info: String,
    saves: Option<String>,
    role: Role,
}

async fn facts(settings: &RedisSettings, at: &Address) -> Result<Facts, Fault> {
    let limit = settings.timeout;
    let lane = servers::connect(at, &settings.login, settings, limit).await?;
    let info = read(lane.ask(&cmd("INFO"), limit).await?)?;
    // Not all allow this; then the append-only file alone is judged.
    let saves = match lane.ask(cmd("CONFIG").arg("GET").arg("save"), limit).await {
        Ok(answer) => read::<Vec<String>>(answer)?.pop(),
        Err(_) => None,
    };
    Ok(Facts { info, saves, role: servers::role(&lane, limit).await? })
}

impl Facts {
    fn findings(&self, settings: &RedisSettings, at: &Address) -> Vec<Finding> {
        let version = self.value("valkey_version").map(|version| format!("Valkey {version}"));
        let version =
            version.or_else(|| self.value("redis_version").map(|version| format!("Redis {version}")));
        let replicas = match &self.role {
            Role::Master { replicas, .. } => replicas.len(),
            Role::Replica | Role::Unsaid => 0,
        };
        let what = version.unwrap_or_else(|| "a server".to_owned());
        let mut findings =
            vec![Finding::ok("sessions", format!("{what} at {at} keeps them, with replicas: {replicas}"))];
        if let Some(policy) = self.value("maxmemory_policy").filter(|policy| *policy != "noeviction") {
            let text =
                format!("{at} drops sessions when its memory is full: its maxmemory-policy is {policy}");
            findings
                .push(Finding::failed("store_evicts", text).mend("set maxmemory-policy noeviction in Redis"));
        }
        let appends = self.value("aof_enabled") == Some("1");
        if !appends && self.saves.as_deref() == Some("") {
            let text =
                format!("{at} keeps nothing on its disk: when it is restarted, everybody is signed out");
            findings.push(Finding::warning("store_forgets", text).mend("set appendonly yes in Redis"));
        } else if !appends {
            let text = format!(
                "{at} keeps snapshots alone: restarted, it forgets sign-ins and sign-outs since the last"
            );
            findings.push(Finding::warning("store_forgets", text).mend("set appendonly yes in Redis"));
        }
        if replicas == 0 && !matches!(settings.topology, Topology::Standalone(_)) {
            let text = format!("{at} has no replica: a fail-over would lose the last changes, or can't be");
            findings.push(Finding::warning("store_unreplicated", text).mend("start its replicas"));
        }
        findings
    }

    fn value(&self, name: &str) -> Option<&str> {
        let mut lines = self.info.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    }
}

fn is_on_this_machine(at: &Address) -> bool {
    at.host == "localhost" || at.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
