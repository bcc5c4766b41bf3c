//! The processes of a trial: replicas, HAProxy before them, and the store.

use std::{
    net::{SocketAddr, TcpListener},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use poolgate_e2e::Server;
use poolgate_test_postgres::{Frozen, NatsServer, Postgres, Proxy};
use tokio::runtime::Runtime;

use super::trial::Trial;
use crate::{cpu, front::Front, machine::Machine};

/// Replicas, unless something happens, and those that may live at the same time: twice as many in a deploy.
const REPLICAS: usize = 3;
const MAX_REPLICAS: usize = 2 * REPLICAS;
/// Connections of the pools of three replicas; the one of a single replica has all of them.
pub(super) const CONNECTIONS: u32 = 60;
/// One connection is kept for each replica that may still come, and four for each replica are outside its pool.
pub(super) const BUDGET: u32 = CONNECTIONS + (MAX_REPLICAS - REPLICAS + 4 * MAX_REPLICAS) as u32;
/// How long replicas may take until they have divided the connections: with a new store in NATS half a minute.
const DIVISION: Duration = Duration::from_secs(60);
/// Longer than HAProxy takes to notice that a replica is not ready.
const DRAIN_DELAY: &str = "2s";

/// The processes.
pub(super) struct Group<'a> {
    machine: &'a Machine,
    /// The oldest first.
    replicas: Vec<Server>,
    /// Where they listen, those included that may still come.
    addresses: Vec<SocketAddr>,
    front: Front,
    database_url: String,
    nats: Option<NatsServer>,
    /// Between the first replica and the database, or NATS if that is the store.
    relay: Proxy,
    /// The relay works in it.
    runtime: Runtime,
}

impl<'a> Group<'a> {
    /// Starts the replicas of a trial, with a database of its own.
    pub(super) fn start(machine: &'a Machine, postgres: &Postgres, name: &str, trial: Trial) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let database = name.replace(|c: char| !c.is_ascii_lowercase(), "_");
        let database_url = postgres.create_database(&database)?;
        let nats = trial.uses_nats().then(|| cpu::pinned(&machine.server_cpus, NatsServer::start)).transpose()?;
        let nats = nats.transpose()?;
        let behind = nats.as_ref().map_or(postgres.port(), NatsServer::port);
        let relay = runtime.block_on(Proxy::to(behind))?;
        let addresses = free_addresses(MAX_REPLICAS)?;
        let front = Front::balance(&addresses, &machine.server_cpus)?;
        let mut group = Self { machine, replicas: Vec::new(), addresses, front, database_url, nats, relay, runtime };
        if trial == Trial::One {
            group.add(false)?;
        } else {
            // The first one creates the demo's data.
            (0..REPLICAS).try_for_each(|_| group.add(true))?;
            group.wait_for_shares()?;
        }
        Ok(group)
    }

    /// Where users ask.
    pub(super) fn address(&self) -> SocketAddr {
        self.front.address()
    }

    pub(super) fn kill_publisher(&mut self) -> Result<()> {
        let publisher = self.publisher()?;
        // Dropping it kills it.
        self.replicas.remove(publisher);
        Ok(())
    }

    /// Until the returned value is dropped.
    pub(super) fn stop_publisher(&self) -> Result<Frozen> {
        let publisher = self.publisher()?;
        let server = self.replicas.get(publisher).context("a replica")?;
        Frozen::new(server.process_id())
    }

    /// Cuts the first replica off, without telling either end.
    pub(super) fn cut_off(&self) {
        self.relay.silence();
    }

    pub(super) fn reach_again(&self) {
        self.relay.restore();
    }

    pub(super) fn kill_store(&mut self) -> Result<()> {
        self.nats.as_mut().context("NATS is the store")?.kill()
    }

    pub(super) fn start_store_again(&mut self) -> Result<()> {
        let Self { machine, nats, .. } = self;
        let nats = nats.as_mut().context("NATS is the store")?;
        cpu::pinned(&machine.server_cpus, || nats.start_again())?
    }

    /// Starts as many replicas as there are, each when the one before is ready, and then ends the old ones, one by one.
    pub(super) fn deploy(&mut self) -> Result<()> {
        let old = self.replicas.len();
        (0..old).try_for_each(|_| self.add(true))?;
        for server in self.replicas.drain(..old) {
            let (status, _) = server.terminate()?;
            ensure!(status.success(), "a replica ended with {status}");
        }
        Ok(())
    }

    /// Starts one more and waits until it is ready.
    fn add(&mut self, shares: bool) -> Result<()> {
        let number = self.replicas.len();
        let address = self.addresses.get(number).context("no place for one more replica")?;
        let is_first = number == 0;
        let database_url = match &self.nats {
            None if is_first && shares => self.through_relay(),
            _ => self.database_url.clone(),
        };
        let connections = CONNECTIONS.to_string();
        let mut server = Server::builder()
            .demo()
            .database(&database_url)
            .port(address.port())
            .environment("POOLGATE_POOL__SIZE", &connections)
            .environment("POOLGATE_POOL__MAX_OVERFLOW", "0")
            .environment("POOLGATE_GATE__MAX_CONCURRENT_REQUESTS", &connections)
            .environment("POOLGATE_SERVER__TRUSTED_PROXIES", "127.0.0.1")
            .environment("POOLGATE_SERVER__DRAIN_DELAY", DRAIN_DELAY);
        if shares {
            let store = match &self.nats {
                None => "postgres".to_owned(),
                Some(_) if is_first => format!("nats://{}", self.relay.address()),
                Some(nats) => nats.url(),
            };
            server = server
                .environment("POOLGATE_CLUSTER__STORE", &store)
                .environment("POOLGATE_CLUSTER__CONNECTIONS", &BUDGET.to_string())
                .environment("POOLGATE_CLUSTER__MAX_REPLICAS", &MAX_REPLICAS.to_string());
        }
        let server = cpu::pinned(&self.machine.server_cpus, || server.start())??;
        self.runtime.block_on(server.ready())?;
        self.replicas.push(server);
        Ok(())
    }

    /// Waits until the replicas have divided the connections.
    fn wait_for_shares(&self) -> Result<()> {
        let begun = Instant::now();
        for server in &self.replicas {
            while !self.has_share(server)? {
                ensure!(begun.elapsed() < DIVISION, "the connections are not divided after {DIVISION:?}");
                thread::sleep(Duration::from_millis(100));
            }
        }
        Ok(())
    }

    fn has_share(&self, server: &Server) -> Result<bool> {
        let cluster = self.runtime.block_on(server.status())?.cluster;
        Ok(cluster.is_some_and(|cluster| !cluster.is_static && cluster.share >= CONNECTIONS / REPLICAS as u32))
    }

    fn through_relay(&self) -> String {
        let database = self.database_url.rsplit('/').next().unwrap_or_default();
        self.relay.url(database)
    }

    /// The replica that publishes for all.
    fn publisher(&self) -> Result<usize> {
        for (number, server) in self.replicas.iter().enumerate() {
            let cluster = self.runtime.block_on(server.status())?.cluster.context("a replica shares nothing")?;
            if cluster.members.iter().any(|member| member.publishes && member.replica == cluster.replica) {
                return Ok(number);
            }
        }
        bail!("no replica says that it publishes")
    }
}

/// Free when asked for; HAProxy must know them before the replicas listen.
fn free_addresses(count: usize) -> Result<Vec<SocketAddr>> {
    let listeners: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<std::io::Result<_>>()?;
    Ok(listeners.iter().map(TcpListener::local_addr).collect::<std::io::Result<_>>()?)
}
