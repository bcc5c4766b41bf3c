//! The server: its processor, its gate, its monitor.

use std::time::Duration;

use poolgate_control::{GateSample, PoolSample, Probes, Reachability, Sample};

use super::{Event, HEARTBEAT, TICK, TTL, World};
use crate::{
    random::seconds,
    scheme::{Admission, Arrival, Message, Occupancy, Outcome, Reply, Tell, Transport},
};

impl World<'_> {
    pub(super) fn arrive(&mut self, number: u32) {
        if !self.up {
            return self.lose(number);
        }
        let cost = seconds(self.scenario.server.request_us / 1e6);
        match self.database.occupy(cost, self.now) {
            Some(handled_at) => {
                self.requests[number as usize].incarnation = self.incarnation;
                self.schedule.at(handled_at, Event::Handle(number));
            }
            None => {
                self.meter.second(self.now).arrived += 1;
                self.reject(number);
            }
        }
    }

    pub(super) fn admit(&mut self, number: u32) {
        let request = &mut self.requests[number as usize];
        if request.incarnation != self.incarnation {
            return self.lose(number);
        }
        request.arrived_at = self.now;
        let client = request.client;
        self.meter.second(self.now).arrived += 1;
        let demand = 1.0 + self.browsers[client as usize].control.waiting() as f64;
        self.publisher.arrived(client, demand, self.now);
        let arrival = Arrival { request: number, client, fair_rate: self.publisher.fair_rate() };
        let admission = self.limiter.arrive(arrival, self.now);
        if admission == Admission::OverQuota {
            self.meter.second(self.now).over_quota += 1;
            return self.reject(number);
        }
        self.sample.gate.arrivals += 1;
        match admission {
            Admission::Start => self.start(number),
            Admission::Wait => {}
            Admission::Reject | Admission::OverQuota => {
                self.sample.gate.rejected += 1;
                self.reject(number);
            }
        }
        self.shed();
    }

    fn start(&mut self, number: u32) {
        self.requests[number as usize].started_at = self.now;
        if self.pool.acquire(number) {
            self.begin(number);
        }
        self.connect();
    }

    /// A request has its connection.
    fn begin(&mut self, number: u32) {
        let wait = self.now - self.requests[number as usize].arrived_at;
        self.waits.add(wait, self.now);
        self.meter.admit(wait, self.now);
        self.database.start(number, self.now);
        self.plan_finish();
    }

    pub(super) fn connect(&mut self) {
        for _ in 0..self.pool.connects() {
            self.schedule.at(self.now + self.pool.connect_time(), Event::Connected(self.incarnation));
        }
    }

    pub(super) fn connected(&mut self, incarnation: u32) {
        if incarnation != self.incarnation {
            return;
        }
        if let Some(next) = self.pool.connected() {
            self.begin(next);
        }
        self.connect();
    }

    pub(super) fn plan_finish(&mut self) {
        if let Some(at) = self.database.next_end(self.now).and_then(|at| self.finish.plan(at)) {
            self.schedule.at(at, Event::Finish);
        }
    }

    pub(super) fn complete(&mut self) {
        while let Some((number, answered)) = self.database.finish(self.now) {
            let request = self.requests[number as usize];
            let held = self.now - request.started_at;
            self.sample.completed += 1;
            if !answered {
                self.reachability = Reachability::Silent;
            }
            let outcome = if answered { Outcome::Served } else { Outcome::NoContact };
            self.reply(number, outcome);
            if let Some(next) = self.pool.release() {
                self.begin(next);
            }
            if let Some(next) = self.limiter.release(Some(request.client), held, answered, self.now) {
                self.start(next);
            }
            self.shed();
        }
        self.connect();
        self.plan_finish();
    }

    pub(super) fn shed(&mut self) {
        while let Some(number) = self.limiter.shed(self.now) {
            self.sample.gate.rejected += 1;
            self.reject(number);
        }
        if let Some(at) = self.limiter.next_expiry().and_then(|at| self.expiry.plan(at.max(self.now))) {
            self.schedule.at(at, Event::Expire);
        }
    }

    pub(super) fn reject(&mut self, number: u32) {
        self.meter.second(self.now).rejected += 1;
        let retry_after = Duration::from_secs(1 + self.network.below(3) as u64);
        self.reply(number, Outcome::Rejected { retry_after });
    }

    pub(super) fn lose(&mut self, number: u32) {
        self.respond(number, Outcome::NoContact);
    }

    pub(super) fn reply(&mut self, number: u32, outcome: Outcome) {
        let client = self.requests[number as usize].client;
        let reply = Reply { client, outcome, occupancy: self.limiter.occupancy(self.now) };
        let mut tell = Tell::default();
        let carried = self.publisher.answering(&reply, self.now, &mut tell);
        self.requests[number as usize].carries = carried.as_ref().map(|_| self.whispered.len() as u32);
        self.whispered.extend(carried);
        self.broadcast(tell);
        self.respond(number, outcome);
    }

    pub(super) fn respond(&mut self, number: u32, outcome: Outcome) {
        self.requests[number as usize].stamp = self.told.len() as u32;
        let delay = self.one_way();
        self.schedule.at(self.now + delay, Event::Answer(number, outcome));
    }

    pub(super) fn tick(&mut self) {
        self.schedule.at(self.now + TICK, Event::Tick);
        if !self.up {
            return;
        }
        self.test_database();
        let occupancy = self.limiter.occupancy(self.now);
        let sample = self.take_sample(occupancy);
        self.measure_slots(&occupancy);
        let mut tell = Tell::default();
        let orders = self.publisher.tick(&sample, &occupancy, self.now, &mut tell);
        self.limiter.obey(&orders);
        while let Some(next) = self.limiter.grant(self.now) {
            self.start(next);
        }
        self.shed();
        self.meter.tick(self.publisher.level(), self.publisher.fair_rate(), self.now);
        self.add_heartbeat(&mut tell);
        self.broadcast(tell);
    }

    fn measure_slots(&mut self, occupancy: &Occupancy) {
        let second = self.meter.second(self.now);
        second.idle += 1.0 - (self.pool.in_use() as f32 / self.pool.capacity().max(1) as f32).min(1.0);
        second.narrowed_ticks += u32::from(occupancy.permits < self.scenario.database.connections);
    }

    fn take_sample(&mut self, occupancy: Occupancy) -> Sample {
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
                permits: self.scenario.database.connections,
                in_flight: occupancy.in_flight,
                queued: occupancy.queued,
                ..counted.gate
            },
            acquire_wait_p99: self.waits.p99(self.now),
            reachability: self.reachability,
            probes: Probes::default(),
            live_clients: self.browsers.iter().filter(|browser| browser.is_live(TTL, self.now)).count() as u32,
            streaming_clients: self.browsers.iter().filter(|browser| browser.listens).count() as u32,
            ..counted
        }
    }

    /// Tests the database on its own connection twice a second while it is silent, as the server does.
    fn test_database(&mut self) {
        if self.reachability == Reachability::Silent && self.now - self.tested_at >= Duration::from_millis(500) {
            self.tested_at = self.now;
            if self.database.answers() {
                self.reachability = Reachability::Answering;
            }
        }
    }

    fn add_heartbeat(&mut self, tell: &mut Tell) {
        if !matches!(self.scheme.transport(), Transport::Push) || self.now - self.heartbeat_at < HEARTBEAT {
            return;
        }
        self.heartbeat_at = self.now;
        if let Some(Message::Config(config)) = self.publisher.current(0) {
            tell.all.push(Message::Heartbeat(config.at()));
        }
    }

    pub(super) fn broadcast(&mut self, tell: Tell) {
        for message in tell.all {
            self.meter.second(self.now).published += u32::from(!matches!(message, Message::Heartbeat(_)));
            if matches!(self.scheme.transport(), Transport::Poll { .. }) {
                continue;
            }
            self.told.push((self.now, message));
            for client in 0..self.browsers.len() as u32 {
                self.plan_hearing(client);
            }
        }
        for (client, message) in tell.one {
            let delay = self.network.around(seconds(self.scenario.network.push_ms / 1000.0));
            self.schedule.at(self.now + delay, Event::Told(client, self.whispered.len() as u32));
            self.whispered.push(message);
        }
    }
}
