//! The loop closed in a small model: clients that obey, a gate of 25 slots of 50 ms, one controller.

#![expect(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::{collections::VecDeque, time::Duration};

use poolgate_control::{Controller, GateSample, PoolSample, Reachability, Sample, Settings};
use poolgate_types::Level;

const SLOTS: usize = 25;
const HOLD_MS: u64 = 50;
const CAPACITY: f64 = 1000.0 * SLOTS as f64 / HOLD_MS as f64;
const QUEUE: usize = 22;
const LONGEST_WAIT_MS: u64 = 500;
/// How long users wait for their request to be sent.
const PATIENCE_MS: u64 = 2000;

#[test]
fn three_times_the_demand_is_served_at_capacity_with_few_rejects() {
    for clients in [10, 100, 1000] {
        let mut world = World::new(clients);
        world.run(5, 0.5);
        assert!(world.rate.is_none(), "{clients} clients are limited at half the capacity");
        world.run(5, 3.0);
        let measured = world.run(20, 3.0);
        let (goodput, rejects) = (measured.goodput(), measured.reject_share());
        assert!(goodput >= 0.9, "{clients} clients: goodput {goodput:.3}");
        assert!(rejects <= 0.2, "{clients} clients: rejects {rejects:.3}");
        // The users' patience for what still waits, then ten seconds.
        world.run(12, 0.3);
        assert_eq!((world.rate, world.level), (None, Level::Normal), "{clients} clients, afterwards");
    }
}

#[test]
fn at_eight_tenths_of_the_capacity_no_client_is_limited() {
    for clients in [10, 1000] {
        let mut world = World::new(clients);
        let measured = world.run(60, 0.8);
        assert_eq!(measured.limited_ms, 0, "{clients} clients");
        assert!(measured.goodput() > 0.78, "{clients} clients: {}", measured.goodput());
    }
}

/// All in milliseconds, one step each.
struct World {
    controller: Controller,
    now: u64,
    random: u64,
    clients: Vec<Client>,
    running: VecDeque<u64>,
    queue: VecDeque<u64>,
    tick: Sample,
    rate: Option<f64>,
    level: Level,
}

/// A token bucket with jitter, in front of it requests that wait.
#[derive(Clone, Default)]
struct Client {
    waiting: VecDeque<u64>,
    tokens: f64,
}

#[derive(Default)]
struct Measured {
    seconds: f64,
    served: u64,
    arrived: u64,
    rejected: u64,
    limited_ms: u64,
}

impl World {
    fn new(clients: usize) -> Self {
        Self {
            controller: Controller::new(Settings::default(), 1, 0),
            now: 0,
            random: 0x5EED,
            clients: vec![Client::default(); clients],
            running: VecDeque::new(),
            queue: VecDeque::new(),
            tick: Sample::default(),
            rate: None,
            level: Level::Normal,
        }
    }

    fn run(&mut self, seconds: u64, times_capacity: f64) -> Measured {
        let mut measured = Measured { seconds: seconds as f64, ..Measured::default() };
        for _ in 0..1000 * seconds {
            self.now += 1;
            self.demand(times_capacity * CAPACITY / 1000.0);
            self.send(&mut measured);
            self.serve(&mut measured);
            measured.limited_ms += u64::from(self.rate.is_some());
            if self.now.is_multiple_of(100) {
                self.decide();
            }
        }
        measured
    }

    /// Requests that users want to send in this millisecond, at random clients.
    fn demand(&mut self, mut expected: f64) {
        while expected > 0.0 {
            if self.uniform() < expected {
                let client = (self.uniform() * self.clients.len() as f64) as usize;
                self.clients[client].waiting.push_back(self.now);
            }
            expected -= 1.0;
        }
    }

    fn send(&mut self, measured: &mut Measured) {
        for index in 0..self.clients.len() {
            let cost = 0.5 + self.uniform();
            let client = &mut self.clients[index];
            while client.waiting.front().is_some_and(|since| self.now - since > PATIENCE_MS) {
                client.waiting.pop_front();
            }
            match self.rate {
                None => client.tokens = cost,
                Some(rate) => client.tokens = (client.tokens + rate / 1000.0).min(rate.max(1.5)),
            }
            let mut sent = 0;
            while client.tokens >= cost && client.waiting.pop_back().is_some() {
                sent += 1;
                if self.rate.is_some() {
                    client.tokens -= cost;
                }
            }
            for _ in 0..sent {
                self.arrive(measured);
            }
        }
    }

    fn arrive(&mut self, measured: &mut Measured) {
        measured.arrived += 1;
        self.tick.gate.arrivals += 1;
        if self.queue.len() < QUEUE {
            self.queue.push_back(self.now);
        } else {
            self.reject(measured);
        }
    }

    fn serve(&mut self, measured: &mut Measured) {
        while self.running.front().is_some_and(|ends| *ends <= self.now) {
            self.running.pop_front();
            measured.served += 1;
            self.tick.completed += 1;
        }
        while self.queue.front().is_some_and(|since| self.now - since > LONGEST_WAIT_MS) {
            self.queue.pop_front();
            self.reject(measured);
        }
        while self.running.len() < SLOTS && self.queue.pop_front().is_some() {
            self.running.push_back(self.now + HOLD_MS);
        }
    }

    fn reject(&mut self, measured: &mut Measured) {
        measured.rejected += 1;
        self.tick.gate.rejected += 1;
    }

    fn decide(&mut self) {
        let counted = std::mem::take(&mut self.tick);
        let running = self.running.len() as u32;
        let sample = Sample {
            pool: PoolSample { checked_out: running, capacity: 30, ..Default::default() },
            gate: GateSample {
                permits: SLOTS as u32,
                in_flight: running,
                queued: self.queue.len() as u32,
                ..counted.gate
            },
            reachability: Reachability::Answering,
            live_clients: self.clients.len() as u32,
            streaming_clients: self.clients.len() as u32,
            ..counted
        };
        let config = self.controller.tick(&sample, Duration::from_millis(self.now)).config;
        if self.rate.is_none() && config.fair_rate_per_second.is_some() {
            // As the throttle does: each bucket starts at a random fill.
            for index in 0..self.clients.len() {
                self.clients[index].tokens = 1.5 * self.uniform();
            }
        }
        self.rate = config.fair_rate_per_second;
        self.level = config.throttling_level;
    }

    fn uniform(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1_u64 << 53) as f64
    }
}

impl Measured {
    fn goodput(&self) -> f64 {
        self.served as f64 / self.seconds / CAPACITY
    }

    fn reject_share(&self) -> f64 {
        self.rejected as f64 / self.arrived.max(1) as f64
    }
}
