//! A server: its gate, its pool, its monitor.

use std::time::Duration;

use poolgate_control::{GateSample, PoolSample, Probes, Reachability, Sample};

use crate::{
    database::Database,
    pool::Pool,
    scenario::Scenario,
    schedule::Alarm,
    scheme::{Limiter, Message, Occupancy, Publisher, Scheme},
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
            tested_at: Duration::ZERO,
        }
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
        Sample {
            pool: PoolSample {
                checked_out: self.pool.in_use(),
                capacity: self.pool.capacity(),
                waiting: self.pool.waiting(),
                open: self.pool.in_use() + self.pool.idle(),
                closing: 0,
            },
            gate: GateSample {
                permits,
                in_flight: occupancy.in_flight,
                queued: occupancy.queued,
                ..counted.gate
            },
            acquire_wait_p99: self.waits.p99(now),
            reachability: self.reachability,
            probes: Probes::default(),
            live_clients: audience.live,
            streaming_clients: audience.streaming,
            ..counted
        }
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
