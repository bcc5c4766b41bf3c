//! A process of the model: a replica, its clock, and a pool with a random load.

use std::time::Duration;

use poolgate_control::cluster::{Exchange, Replica, ReplicaId, Seen, Settings, State};
use poolgate_types::rng::Rng;

/// Longest time for opening a connection, by the process's clock.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections opened at the same time.
const AT_ONCE: usize = 8;

pub(crate) struct Process {
    pub(crate) replica: Replica,
    clock: Clock,
    /// While it is paused, what happens to it waits.
    pub(crate) paused: bool,
    pub(crate) leaving: bool,
    pub(crate) left: bool,
    pub(crate) reaches_store: bool,
    pub(crate) reaches_database: bool,
    /// Connections that it believes to have; the database may have closed some.
    pub(crate) open: u32,
    leased: u32,
    demand: u32,
    /// Connects in progress, by their number, with their start.
    connecting: Vec<(u64, Duration)>,
    next_connect: u64,
    /// The exchange in progress.
    pub(crate) exchange: u64,
}

#[derive(Clone, Copy)]
struct Clock {
    born: Duration,
    offset: Duration,
    rate: f64,
}

impl Process {
    pub(crate) fn new(id: ReplicaId, settings: Settings, born: Duration, rate: f64, rng: &mut Rng) -> Self {
        let clock = Clock { born, offset: Duration::from_secs(rng.below(100_000)), rate };
        Self {
            replica: Replica::new(id, settings, clock.now(born)),
            clock,
            paused: false,
            leaving: false,
            left: false,
            reaches_store: true,
            reaches_database: true,
            open: 0,
            leased: 0,
            demand: 0,
            connecting: Vec::new(),
            next_connect: 0,
            exchange: 0,
        }
    }

    pub(crate) fn now(&self, real: Duration) -> Duration {
        self.clock.now(real)
    }

    /// A time of this process's clock in real time.
    pub(crate) fn real(&self, local: Duration) -> Duration {
        local.div_f64(self.clock.rate)
    }

    pub(crate) fn begin(&mut self, real: Duration) -> Exchange {
        self.report();
        self.exchange += 1;
        self.replica.begin(self.now(real))
    }

    pub(crate) fn end(&mut self, seen: Option<Seen>, real: Duration) {
        self.report();
        self.replica.end(seen, self.now(real));
    }

    pub(crate) fn limit(&mut self, real: Duration) -> u32 {
        self.report();
        self.replica.limit(self.now(real))
    }

    fn holds(&self) -> u32 {
        self.open + self.connecting.len() as u32
    }

    pub(crate) fn report(&mut self) {
        if self.leaving && self.holds() == 0 {
            self.left = true;
        }
        let state = match (self.left, self.leaving) {
            (true, _) => State::Left,
            (false, true) => State::Draining,
            (false, false) => State::Serving,
        };
        self.replica.connections(state, self.holds(), 1000);
    }

    /// The pool works for a moment. Returns the connects that it begins, and the connections that it closes.
    pub(crate) fn work(&mut self, real: Duration, rng: &mut Rng) -> (Vec<u64>, u32) {
        let now = self.now(real);
        self.connecting.retain(|(_, begun)| now - *begun <= CONNECT_TIMEOUT);
        if rng.below(8) == 0 {
            self.demand = if self.leaving { 0 } else { rng.below(150) as u32 };
        }
        let limit = self.limit(real);
        self.leased = self.leased.min(self.open);
        // Leases end at random, some only after long.
        self.leased = self.leased.saturating_sub(rng.below(4) as u32);
        self.leased = self.leased.max(self.demand.min(self.open));
        if self.leaving || (self.open > limit && rng.below(3) > 0) {
            self.leased = self.leased.saturating_sub(1 + rng.below(8) as u32);
        }
        let surplus = self.holds().saturating_sub(limit).max(if self.leaving { u32::MAX } else { 0 });
        let closed = surplus.min(self.open - self.leased);
        self.open -= closed;
        let mut connects = Vec::new();
        while self.reaches_database
            && self.holds() < limit.min(self.demand)
            && self.connecting.len() < AT_ONCE
            && !self.leaving
        {
            self.next_connect += 1;
            self.connecting.push((self.next_connect, now));
            connects.push(self.next_connect);
        }
        (connects, closed)
    }

    /// A connect has come through; true if it is still wanted.
    pub(crate) fn connected(&mut self, number: u64, real: Duration) -> bool {
        let now = self.now(real);
        let Some(at) = self.connecting.iter().position(|(other, _)| *other == number) else { return false };
        let (_, begun) = self.connecting.swap_remove(at);
        let in_time = self.reaches_database && now - begun <= CONNECT_TIMEOUT;
        self.open += u32::from(in_time);
        in_time
    }
}

impl Clock {
    fn now(self, real: Duration) -> Duration {
        self.offset + real.saturating_sub(self.born).mul_f64(self.rate)
    }
}
