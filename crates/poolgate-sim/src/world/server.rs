//! A server: its gate, its pool, its monitor.

use std::{collections::VecDeque, time::Duration};

use poolgate_control::{GateSample, PoolSample, Probes, Reachability, Sample};

use super::Event;
use crate::{
    cluster::Member,
    database::Database,
    pool::Pool,
    scenario::Scenario,
    schedule::Alarm,
    scheme::{Among, Limiter, Message, Occupancy, Orders, Publisher, Scheme, Tell},
    waits::RecentWaits,
};

/// How often the database is tested while it is silent.
const TEST: Duration = Duration::from_millis(500);

/// One server.
pub(super) struct Server {
    pub(super) pool: Pool,
    pub(super) limiter: Box<dyn Limiter>,
    pub(super) expiry: Alarm,
    pub(super) publisher: Box<dyn Publisher>,
    /// Broadcast messages, and when they were sent.
    pub(super) told: Vec<(Duration, Message)>,
    pub(super) up: bool,
    /// Its start: what began before the newest one is lost.
    pub(super) incarnation: u32,
    /// What was counted since the previous tick.
    pub(super) sample: Sample,
    pub(super) waits: RecentWaits,
    pub(super) reachability: Reachability,
    pub(super) heartbeat_at: Duration,
    /// Its part in the cluster, if there is one.
    pub(super) member: Option<Member>,
    /// The balancer sends it requests.
    pub(super) takes_requests: bool,
    /// The balancer's health checks fail.
    pub(super) is_suspect: bool,
    /// The balancer sends it nothing, ready or not.
    pub(super) is_spare: bool,
    /// It is stopped: what happens to it waits.
    pub(super) is_paused: bool,
    pub(super) put_off: Vec<Event>,
    /// After its end: connections on which the database still works for it.
    pub(super) left_behind: u32,
    tested_at: Duration,
}

/// Clients that a server counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Audience {
    /// Those with a stream, and those that have polled lately.
    pub(super) live: u32,
    /// Those with a stream.
    pub(super) streaming: u32,
}

impl Server {
    pub(super) fn new(scenario: &Scenario, scheme: &dyn Scheme) -> Self {
        Self {
            pool: Pool::new(&scenario.database),
            limiter: scheme.limiter(scenario),
            expiry: Alarm::default(),
            publisher: scheme.publisher(scenario, 1),
            told: Vec::new(),
            up: true,
            incarnation: 0,
            sample: Sample::default(),
            waits: RecentWaits::default(),
            reachability: Reachability::Answering,
            heartbeat_at: Duration::ZERO,
            member: None,
            takes_requests: true,
            is_suspect: false,
            is_spare: false,
            is_paused: false,
            put_off: Vec::new(),
            left_behind: 0,
            tested_at: Duration::ZERO,
        }
    }

    /// One of several servers, which has just started.
    pub(super) fn of_cluster(
        scenario: &Scenario,
        scheme: &dyn Scheme,
        member: Member,
        publisher: Box<dyn Publisher>,
    ) -> Self {
        Self {
            pool: Pool::empty(&scenario.database),
            publisher,
            member: Some(member),
            takes_requests: false,
            ..Self::new(scenario, scheme)
        }
    }

    /// Requests that its gate may admit by its settings, and in a cluster by its share.
    pub(super) fn permits(&self, scenario: &Scenario) -> u32 {
        if self.member.is_some() { self.pool.capacity() } else { scenario.database.connections }
    }

    /// Sizes the pool by the share of the connections, and tells the cluster what it has. Without a cluster it does
    /// nothing.
    pub(super) fn take_share(&mut self, now: Duration) {
        let Some(member) = &mut self.member else { return };
        let in_work = self.limiter.occupancy(now);
        let is_done = member.drains && in_work.in_flight == 0 && in_work.queued == 0;
        let limit = if is_done { 0 } else { member.limit(now) };
        if limit != self.pool.capacity() {
            self.pool.resize(limit);
        }
        member.report(self.pool.holds(), now);
    }

    /// Ends without a word. Returns the requests that waited for a connection.
    pub(super) fn end(&mut self, scenario: &Scenario) -> VecDeque<u32> {
        (self.up, self.takes_requests, self.is_paused, self.incarnation) = (false, false, false, self.incarnation + 1);
        self.put_off.clear();
        if let Some(member) = &mut self.member {
            member.stop();
        }
        std::mem::replace(&mut self.pool, Pool::empty(&scenario.database)).abandon()
    }

    /// Whether it is up and not stopped.
    pub(super) fn runs(&self) -> bool {
        self.up && !self.is_paused
    }

    /// Connections that the database has for it.
    pub(super) fn connections(&self) -> u32 {
        self.pool.holds() + self.left_behind
    }

    /// Starts again, without its state.
    pub(super) fn restart(&mut self, scenario: &Scenario, scheme: &dyn Scheme) {
        self.up = true;
        self.limiter = scheme.limiter(scenario);
        self.pool = Pool::new(&scenario.database);
        self.publisher = scheme.publisher(scenario, 1 + u64::from(self.incarnation));
        self.sample = Sample::default();
    }

    /// What happened since the previous sample. `permits`: requests that the gate may admit by its settings.
    pub(super) fn take_sample(
        &mut self,
        occupancy: &Occupancy,
        audience: Audience,
        permits: u32,
        now: Duration,
    ) -> Sample {
        let counted = std::mem::take(&mut self.sample);
        if let Some(member) = &mut self.member {
            member.count(&counted);
        }
        Sample {
            pool: PoolSample {
                checked_out: self.pool.in_use(),
                capacity: self.pool.capacity(),
                waiting: self.pool.waiting(),
                open: self.pool.in_use() + self.pool.idle(),
                closing: 0,
            },
            gate: GateSample { permits, in_flight: occupancy.in_flight, queued: occupancy.queued, ..counted.gate },
            acquire_wait_p99: self.waits.p99(now),
            reachability: self.reachability,
            probes: Probes::default(),
            live_clients: audience.live,
            streaming_clients: audience.streaming,
            ..counted
        }
    }

    /// Decides what the gate has to do, and what clients are told.
    pub(super) fn decide(&mut self, sample: &Sample, occupancy: &Occupancy, now: Duration) -> (Orders, Tell) {
        let mut tell = Tell::default();
        let orders = match &mut self.member {
            Some(member) => {
                let (totals, local) = (member.totals, member.local(now));
                let among = Among { replica: &mut member.replica, totals, now: local };
                self.publisher.tick_among(sample, occupancy, among, &mut tell)
            }
            None => self.publisher.tick(sample, occupancy, now, &mut tell),
        };
        (orders, tell)
    }

    /// Tests the database on its own connection while it is silent, as the server does.
    pub(super) fn test_database(&mut self, database: &Database, now: Duration) {
        if self.reachability == Reachability::Silent && now - self.tested_at >= TEST {
            self.tested_at = now;
            if database.answers() {
                self.reachability = Reachability::Answering;
            }
        }
    }
}
