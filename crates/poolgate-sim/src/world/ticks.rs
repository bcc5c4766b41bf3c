//! The servers' ticks: each measures, decides and tells its clients.

use super::{
    Event, HEARTBEAT, TICK, TTL, World,
    server::{Audience, Server},
};
use crate::{
    random::seconds,
    scheme::{Message, Occupancy, Tell, Transport},
};

impl World<'_> {
    pub(super) fn tick(&mut self, number: u32) {
        let (now, is_up) = (self.now, self.server(number).up);
        // A single server may start again; a replica that has ended does not.
        if is_up || self.cluster.is_none() {
            self.schedule.at(now + TICK, Event::Tick(number));
        }
        if !is_up {
            return;
        }
        self.take_share(number);
        let audience = self.audience(number);
        let server = &mut self.servers[number as usize];
        server.test_database(&self.database, now);
        let occupancy = server.limiter.occupancy(now);
        let permits = server.permits(self.scenario);
        let sample = server.take_sample(&occupancy, audience, permits, now);
        let (orders, mut tell) = server.decide(&sample, &occupancy, now);
        server.limiter.obey(&orders);
        self.measure(number, permits, &occupancy);
        while let Some(next) = self.server(number).limiter.grant(now) {
            self.start(next);
        }
        self.shed(number);
        self.add_heartbeat(number, &mut tell);
        self.broadcast(number, tell);
        self.end_tick(number, &sample);
    }

    /// The clients that a server counts.
    fn audience(&self, number: u32) -> Audience {
        let here = || self.browsers.iter().filter(move |browser| browser.server == number);
        Audience {
            live: here().filter(|browser| browser.is_live(TTL, self.now)).count() as u32,
            streaming: here().filter(|browser| browser.listens).count() as u32,
        }
    }

    /// The first server that runs stands for all where their figures are the same.
    fn speaks_for_all(&self, number: u32) -> bool {
        self.servers.iter().position(Server::runs) == Some(number as usize)
    }

    fn measure(&mut self, number: u32, permits: u32, occupancy: &Occupancy) {
        let server = &self.servers[number as usize];
        let running = self.servers.iter().filter(|server| server.runs());
        let count = running.clone().count();
        let shared = running.filter(|server| !server.is_spare).map(|server| server.pool.capacity()).sum();
        let idle = 1.0 - (server.pool.in_use() as f32 / server.pool.capacity().max(1) as f32).min(1.0);
        let second = self.meter.second(self.now);
        second.idle += idle / count as f32;
        if !self.speaks_for_all(number) {
            return;
        }
        let (level, fair_rate) = (server.publisher.level(), server.publisher.fair_rate());
        let second = self.meter.second(self.now);
        second.narrowed_ticks += u32::from(occupancy.permits < permits);
        second.shared = shared;
        self.meter.tick(level, fair_rate, self.now);
    }

    fn add_heartbeat(&mut self, number: u32, tell: &mut Tell) {
        let (now, transport) = (self.now, self.scheme.transport());
        let server = self.server(number);
        if !matches!(transport, Transport::Push) || now - server.heartbeat_at < HEARTBEAT {
            return;
        }
        server.heartbeat_at = now;
        if let Some(Message::Config(config)) = server.publisher.current(0) {
            tell.all.push(Message::Heartbeat(config.at()));
        }
    }

    /// Sends what a server says to the clients with a stream to it.
    pub(super) fn broadcast(&mut self, number: u32, tell: Tell) {
        for message in tell.all {
            let is_config = !matches!(message, Message::Heartbeat(_)) && self.speaks_for_all(number);
            self.meter.second(self.now).published += u32::from(is_config);
            if matches!(self.scheme.transport(), Transport::Poll { .. }) {
                continue;
            }
            self.servers[number as usize].told.push((self.now, message));
            for client in 0..self.browsers.len() as u32 {
                if self.browsers[client as usize].server == number {
                    self.plan_hearing(client);
                }
            }
        }
        for (client, message) in tell.one {
            let delay = self.network.around(seconds(self.scenario.network.push_ms / 1000.0));
            self.schedule.at(self.now + delay, Event::Told(client, self.whispered.len() as u32));
            self.whispered.push(message);
        }
    }
}
