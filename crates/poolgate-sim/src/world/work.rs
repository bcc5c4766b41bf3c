//! What the servers do with requests: from the arrival to the answer.

use std::time::Duration;

use poolgate_control::Reachability;

use super::{Event, World, server::Server};
use crate::{
    random::seconds,
    scheme::{Admission, Arrival, Outcome, Reply, Tell},
};

impl World<'_> {
    pub(super) fn arrive(&mut self, number: u32) {
        let Some(server) = self.choose_server() else { return self.lose(number) };
        let cost = seconds(self.scenario.server.request_us / 1e6);
        let handled_at = self.database.occupy(cost, self.now);
        let incarnation = self.server(server).incarnation;
        let request = &mut self.requests[number as usize];
        request.server = server;
        match handled_at {
            Some(handled_at) => {
                request.incarnation = incarnation;
                self.schedule.at(handled_at, Event::Handle(number));
            }
            None => {
                self.meter.second(self.now).arrived += 1;
                self.reject(number);
            }
        }
    }

    pub(super) fn admit(&mut self, number: u32) {
        let now = self.now;
        let request = &mut self.requests[number as usize];
        let (client, at) = (request.client, request.server);
        let server = &mut self.servers[at as usize];
        if request.incarnation != server.incarnation {
            return self.lose(number);
        }
        request.arrived_at = now;
        self.meter.second(now).arrived += 1;
        let demand = 1.0 + self.browsers[client as usize].control.waiting() as f64;
        server.publisher.arrived(client, demand, now);
        let arrival = Arrival { request: number, client, fair_rate: server.publisher.fair_rate() };
        let admission = server.limiter.arrive(arrival, now);
        if admission == Admission::OverQuota {
            self.meter.second(now).over_quota += 1;
            return self.reject(number);
        }
        server.sample.gate.arrivals += 1;
        match admission {
            Admission::Start => self.start(number),
            Admission::Wait => {}
            Admission::Reject | Admission::OverQuota => {
                server.sample.gate.rejected += 1;
                self.reject(number);
            }
        }
        self.shed(at);
    }

    pub(super) fn start(&mut self, number: u32) {
        let request = &mut self.requests[number as usize];
        request.started_at = self.now;
        let server = request.server;
        if self.server(server).pool.acquire(number) {
            self.begin(number);
        }
        self.connect(server);
    }

    /// A request has its connection.
    fn begin(&mut self, number: u32) {
        let request = &self.requests[number as usize];
        let wait = self.now - request.arrived_at;
        self.servers[request.server as usize].waits.add(wait, self.now);
        self.meter.admit(wait, self.now);
        self.database.start(number, self.now);
        self.plan_finish();
    }

    pub(super) fn connect(&mut self, number: u32) {
        let server = &mut self.servers[number as usize];
        if server.is_paused {
            return;
        }
        for _ in 0..server.pool.connects() {
            let at = self.now + server.pool.connect_time();
            self.schedule.at(at, Event::Connected(number, server.incarnation));
        }
        if self.cluster.is_some() {
            let all = self.servers.iter().map(Server::connections).sum();
            self.meter.cluster.most_connections = self.meter.cluster.most_connections.max(all);
        }
    }

    pub(super) fn connected(&mut self, number: u32, incarnation: u32) {
        let server = self.server(number);
        if incarnation != server.incarnation {
            return;
        }
        if let Some(next) = server.pool.connected() {
            self.begin(next);
        }
        self.connect(number);
    }

    pub(super) fn plan_finish(&mut self) {
        if let Some(at) = self.database.next_end(self.now).and_then(|at| self.finish.plan(at)) {
            self.schedule.at(at, Event::Finish);
        }
    }

    pub(super) fn complete(&mut self) {
        while let Some((number, answered)) = self.database.finish(self.now) {
            let request = &self.requests[number as usize];
            let server = &mut self.servers[request.server as usize];
            if server.is_paused {
                server.put_off.push(Event::Ended(number, answered));
            } else if request.incarnation != server.incarnation {
                server.left_behind -= 1;
            } else {
                self.ended(number, answered);
            }
        }
        for server in 0..self.servers.len() as u32 {
            self.connect(server);
        }
        self.plan_finish();
    }

    /// The database has ended a request.
    pub(super) fn ended(&mut self, number: u32, answered: bool) {
        let request = self.requests[number as usize];
        let held = self.now - request.started_at;
        let server = self.server(request.server);
        server.sample.completed += 1;
        if !answered {
            server.reachability = Reachability::Silent;
        }
        let outcome = if answered { Outcome::Served } else { Outcome::NoContact };
        self.reply(number, outcome);
        if let Some(next) = self.server(request.server).pool.release() {
            self.begin(next);
        }
        let now = self.now;
        if let Some(next) = self.server(request.server).limiter.release(Some(request.client), held, answered, now) {
            self.start(next);
        }
        self.shed(request.server);
    }

    pub(super) fn shed(&mut self, number: u32) {
        let now = self.now;
        while let Some(request) = self.server(number).limiter.shed(now) {
            self.server(number).sample.gate.rejected += 1;
            self.reject(request);
        }
        let server = self.server(number);
        if let Some(at) = server.limiter.next_expiry().and_then(|at| server.expiry.plan(at.max(now))) {
            self.schedule.at(at, Event::Expire(number));
        }
    }

    fn reject(&mut self, number: u32) {
        self.meter.second(self.now).rejected += 1;
        let retry_after = Duration::from_secs(1 + self.network.below(3) as u64);
        self.reply(number, Outcome::Rejected { retry_after });
    }

    pub(super) fn lose(&mut self, number: u32) {
        self.respond(number, Outcome::NoContact);
    }

    fn reply(&mut self, number: u32, outcome: Outcome) {
        let request = self.requests[number as usize];
        let server = &mut self.servers[request.server as usize];
        let reply = Reply { client: request.client, outcome, occupancy: server.limiter.occupancy(self.now) };
        let mut tell = Tell::default();
        let carried = server.publisher.answering(&reply, self.now, &mut tell);
        self.requests[number as usize].carries = carried.as_ref().map(|_| self.whispered.len() as u32);
        self.whispered.extend(carried);
        self.broadcast(request.server, tell);
        self.respond(number, outcome);
    }

    fn respond(&mut self, number: u32, outcome: Outcome) {
        let server = self.requests[number as usize].server;
        self.requests[number as usize].stamp = self.server(server).told.len() as u32;
        let delay = self.one_way();
        self.schedule.at(self.now + delay, Event::Answer(number, outcome));
    }
}
