//! The servers' ticks: each measures, decides and tells its clients.

use super::{Event, HEARTBEAT, TICK, TTL, World, server::Audience};
use crate::{
    random::seconds,
    scheme::{Message, Occupancy, Tell, Transport},
};

impl World<'_> {
    pub(super) fn tick(&mut self, number: u32) {
        let now = self.now;
        self.schedule.at(now + TICK, Event::Tick(number));
        if !self.server(number).up {
            return;
        }
        let (audience, permits) = (self.audience(number), self.scenario.database.connections);
        let server = &mut self.servers[number as usize];
        server.test_database(&self.database, now);
        let occupancy = server.limiter.occupancy(now);
        let sample = server.take_sample(&occupancy, audience, permits, now);
        let mut tell = Tell::default();
        let orders = server.publisher.tick(&sample, &occupancy, now, &mut tell);
        server.limiter.obey(&orders);
        self.measure_slots(number, &occupancy);
        while let Some(next) = self.server(number).limiter.grant(now) {
            self.start(next);
        }
        self.shed(number);
        let publisher = &self.servers[number as usize].publisher;
        self.meter.tick(publisher.level(), publisher.fair_rate(), now);
        self.add_heartbeat(number, &mut tell);
        self.broadcast(number, tell);
    }

    /// The clients that a server counts.
    fn audience(&self, number: u32) -> Audience {
        let here = || self.browsers.iter().filter(move |browser| browser.server == number);
        Audience {
            live: here().filter(|browser| browser.is_live(TTL, self.now)).count() as u32,
            streaming: here().filter(|browser| browser.listens).count() as u32,
        }
    }

    fn measure_slots(&mut self, number: u32, occupancy: &Occupancy) {
        let pool = &self.servers[number as usize].pool;
        let second = self.meter.second(self.now);
        second.idle += 1.0 - (pool.in_use() as f32 / pool.capacity().max(1) as f32).min(1.0);
        second.narrowed_ticks += u32::from(occupancy.permits < self.scenario.database.connections);
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
            self.meter.second(self.now).published += u32::from(!matches!(message, Message::Heartbeat(_)));
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
