//! Replicas in front of one database in virtual time: gates with slots, a store that is asked from time to time, and
//! clients that send what they have been told.

use std::{collections::BTreeMap, time::Duration};

use poolgate_control::{
    GateSample, PoolSample, Reachability, Sample, Settings,
    cluster::{self, Census, Gauges, MemoryStore, Part, Replica, ReplicaId, Said, Seen, SharedLaw, State, Totals},
};
use poolgate_types::{ConfigVersion, ThrottlingConfig, rng::Rng};

pub(crate) const TICK: Duration = Duration::from_millis(100);
/// How long a slot is held.
const HOLD: f64 = 0.05;
/// Connections of all replicas.
const BUDGET: u32 = 24;
/// Places in the queue for each slot, as in the gate while clients are limited.
const PLACES: f64 = 2.1;
pub(crate) const RULES: cluster::Settings =
    cluster::Settings { budget: BUDGET + 3, max_replicas: 6, ttl: Duration::from_secs(10) };

/// Requests a second that `slots` serve.
fn capacity(slots: u32) -> f64 {
    f64::from(slots) / HOLD
}

/// One server.
pub(crate) struct Server {
    replica: Replica,
    law: SharedLaw,
    /// What it would say without the others.
    own: poolgate_control::Controller,
    totals: Totals,
    queue: f64,
    in_flight: u32,
    period: Duration,
    next_exchange: Duration,
    /// An exchange in progress: what was read, to be taken in at the next tick.
    pending: Option<Option<Seen>>,
    next_look: Duration,
    /// Neither runs nor serves.
    pub(crate) is_down: bool,
    pub(crate) reaches_store: bool,
    pub(crate) reaches_database: bool,
    /// What it serves.
    pub(crate) said: Option<ThrottlingConfig>,
    /// Every version that it has served, with the time.
    pub(crate) history: Vec<(Duration, ConfigVersion)>,
}

pub(crate) struct World {
    pub(crate) now: Duration,
    pub(crate) servers: Vec<Server>,
    store: MemoryStore,
    rng: Rng,
    /// Clients with a stream on each server.
    pub(crate) streams: Vec<u32>,
    /// Requests a second that each client would like to send.
    pub(crate) demand: f64,
    /// The part of the requests that arrives at each server.
    pub(crate) routing: Vec<f64>,
    /// Every config that was ever served.
    documents: BTreeMap<ConfigVersion, ThrottlingConfig>,
    pub(crate) arrived: f64,
    pub(crate) served: f64,
}

impl World {
    pub(crate) fn new(servers: usize, seed: u64) -> Self {
        let mut world = Self {
            now: Duration::ZERO,
            servers: Vec::new(),
            store: MemoryStore::default(),
            rng: Rng::new(seed),
            streams: Vec::new(),
            demand: 0.0,
            routing: Vec::new(),
            documents: BTreeMap::new(),
            arrived: 0.0,
            served: 0.0,
        };
        (0..servers).for_each(|_| world.start(1000 + world.servers.len() as u32));
        world
    }

    /// Another server starts.
    pub(crate) fn start(&mut self, id: u32) {
        let epoch = 1_700_000_000_000 + self.now.as_millis() as u64 + u64::from(id);
        let seed = self.rng.next_u64();
        self.servers.push(Server {
            replica: Replica::new(ReplicaId(id), RULES, self.now),
            law: SharedLaw::new(Settings::default(), epoch, seed),
            own: SharedLaw::alone(Settings::default(), epoch, seed),
            totals: Totals::default(),
            queue: 0.0,
            in_flight: 0,
            period: Duration::from_millis(1000),
            next_exchange: self.now,
            pending: None,
            next_look: self.now,
            is_down: false,
            reaches_store: true,
            reaches_database: true,
            said: None,
            history: Vec::new(),
        });
        self.streams.push(0);
        self.routing.push(0.0);
    }

    pub(crate) fn empty_the_store(&mut self) {
        self.store = MemoryStore::default();
    }

    /// Spreads streams and requests evenly over the servers that run.
    pub(crate) fn spread(&mut self, clients: u32) {
        let running = self.servers.iter().filter(|server| !server.is_down).count();
        for (number, server) in self.servers.iter().enumerate() {
            self.streams[number] = if server.is_down { 0 } else { clients / running as u32 };
            self.routing[number] = if server.is_down { 0.0 } else { 1.0 / running as f64 };
        }
    }

    /// Sends requests to the other servers alone. The streams stay.
    pub(crate) fn route_around(&mut self, number: usize) {
        let others = self.routing.len() as f64 - 1.0;
        for (server, part) in self.routing.iter_mut().enumerate() {
            *part = if server == number { 0.0 } else { 1.0 / others };
        }
    }

    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        (self.arrived, self.served) = (0.0, 0.0);
        while self.now < end {
            self.tick();
        }
    }

    fn tick(&mut self) {
        self.now += TICK;
        let per_second: f64 = self
            .servers
            .iter()
            .zip(&self.streams)
            .map(|(server, clients)| {
                let config = server.said.as_ref();
                let rate = config.and_then(|config| config.fair_rate_per_second).unwrap_or(f64::INFINITY);
                f64::from(*clients) * rate.min(self.demand)
            })
            .sum();
        let census: Census = self
            .servers
            .iter()
            .filter(|server| !server.is_down)
            .map(|server| (server.replica.id(), server.replica.limit(self.now)))
            .collect();
        for number in 0..self.servers.len() {
            let mean = per_second * self.routing[number] * TICK.as_secs_f64();
            let spread = mean.sqrt() * 1.7 * self.rng.between(-1.0, 1.0);
            let arrivals = (mean + spread).round().max(0.0) as u64;
            self.arrived += arrivals as f64;
            let server = &mut self.servers[number];
            if server.is_down {
                continue;
            }
            let served = server.work(arrivals, self.streams[number], self.now);
            self.served += served as f64;
            server.meet(&mut self.store, &census, &mut self.rng, self.now);
        }
        self.check();
    }

    /// No version has two contents, and no server goes back within an epoch.
    fn check(&mut self) {
        for server in self.servers.iter_mut().filter(|server| !server.is_down) {
            let Some(config) = &server.said else { continue };
            let known = self.documents.entry(config.at()).or_insert_with(|| config.clone());
            assert_eq!(known, config, "two contents of one version");
            let before = server.history.last().map(|(_, at)| *at);
            assert!(before.is_none_or(|before| before.epoch != config.epoch || before <= config.at()), "{before:?}");
            if before != Some(config.at()) {
                server.history.push((self.now, config.at()));
            }
        }
    }

    /// Requests a second that the servers together can serve.
    pub(crate) fn capacity(&self) -> f64 {
        let running = self.servers.iter().filter(|server| !server.is_down);
        capacity(running.map(|server| server.replica.limit(self.now)).sum())
    }

    /// The same of these servers alone.
    pub(crate) fn capacity_of_first(&self, count: usize) -> f64 {
        capacity(self.servers[..count].iter().map(|server| server.replica.limit(self.now)).sum())
    }

    /// The rate that the clients of each server know.
    pub(crate) fn rates(&self) -> Vec<Option<f64>> {
        let rate = |server: &Server| server.said.as_ref().and_then(|config| config.fair_rate_per_second);
        self.servers.iter().filter(|server| !server.is_down).map(rate).collect()
    }

    /// What all serve, if they serve the same.
    pub(crate) fn common(&self) -> Option<&ThrottlingConfig> {
        let mut said = self.servers.iter().filter(|server| !server.is_down).map(|server| server.said.as_ref());
        let first = said.next()??;
        said.all(|other| other == Some(first)).then_some(first)
    }

    /// The server that publishes.
    pub(crate) fn publisher(&self) -> Option<usize> {
        self.servers.iter().position(|server| !server.is_down && server.replica.part(self.now) == Part::Publishes)
    }

    pub(crate) fn versions(&self) -> impl Iterator<Item = &ConfigVersion> {
        self.documents.keys()
    }
}

impl Server {
    /// A tick of the gate and of the monitor. Returns the requests served.
    fn work(&mut self, arrivals: u64, streams: u32, now: Duration) -> u64 {
        let slots = self.replica.limit(now);
        let most = if self.reaches_database { capacity(slots) * TICK.as_secs_f64() } else { 0.0 };
        let offered = self.queue + arrivals as f64;
        let served = offered.min(most).floor();
        self.queue = (offered - served).min((PLACES * f64::from(slots)).round());
        let rejected = (offered - served - self.queue) as u64;
        self.in_flight = (served / TICK.as_secs_f64() * HOLD).ceil() as u32;
        self.totals.arrivals += arrivals;
        self.totals.rejected += rejected;
        self.totals.completed += served as u64;
        let reachability = if self.reaches_database { Reachability::Answering } else { Reachability::Silent };
        let sample = Sample {
            pool: PoolSample { checked_out: self.in_flight, capacity: slots, open: slots, ..PoolSample::default() },
            gate: GateSample {
                permits: slots,
                in_flight: self.in_flight,
                queued: self.queue as u32,
                arrivals,
                rejected,
                ..GateSample::default()
            },
            completed: served as u64,
            reachability,
            live_clients: streams,
            streaming_clients: streams,
            ..Sample::default()
        };
        let gauges = Gauges {
            permits: slots,
            capacity: slots,
            checked_out: self.in_flight,
            open: slots,
            in_flight: self.in_flight,
            queued: self.queue as u32,
            streaming_clients: streams,
            ..Gauges::default()
        };
        let state = if self.replica.view(now).mode == cluster::Mode::Shared { State::Serving } else { State::Joining };
        self.replica.connections(state, slots, 1000);
        self.replica.figures(self.totals, gauges, self.reaches_database);
        // Its own epochs are even.
        if let Some(said) = self.said.as_ref().filter(|said| said.epoch % 2 == 1) {
            self.own.hear(said);
        }
        let alone = self.own.tick(&sample, now).config;
        self.said = match self.law.tick(&mut self.replica, &sample, now) {
            Said::Nothing => self.said.take(),
            Said::Own => Some(alone),
            Said::Shared(config) => Some(config),
        };
        let is_limited = self.said.as_ref().is_some_and(|config| config.enforced);
        let is_busy = is_limited || self.queue >= 1.0 || rejected > 0;
        self.period = Duration::from_millis(if is_busy { 250 } else { 1000 });
        if self.replica.offers_since() == Some(now) || is_busy {
            self.next_exchange = self.next_exchange.min(now + self.period);
        }
        served as u64
    }

    fn meet(&mut self, store: &mut MemoryStore, census: &Census, rng: &mut Rng, now: Duration) {
        if let Some(seen) = self.pending.take() {
            self.replica.end(seen, now);
        }
        if now >= self.next_look && self.reaches_database {
            self.next_look = now + Duration::from_secs(2);
            self.replica.look(census.clone(), now, now);
        }
        if now >= self.next_exchange {
            self.next_exchange = now + self.period.mul_f64(rng.between(0.8, 1.2));
            let write = self.replica.begin(now);
            self.pending = Some(self.reaches_store.then(|| store.exchange(write)));
        }
    }
}
