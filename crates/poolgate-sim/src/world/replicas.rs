//! Replicas of a cluster that start, leave, end, stop and go on.

use std::time::Duration;

use poolgate_control::{
    Sample,
    cluster::{MemoryStore, ReplicaId},
};

use super::{Event, HEALTH_CHECK, RECONNECT, TICK, World, server::Server};
use crate::{cluster::Member, random::seconds, scenario::Fault, schedule::Alarm};

/// When the first replica starts, in Unix milliseconds.
const FIRST_EPOCH: u64 = 1_700_000_000_000;

impl World<'_> {
    /// A replica starts. A spare one gets no requests, and has a lower id than all others: the lowest one publishes.
    pub(super) fn start_replica(&mut self, is_spare: bool) {
        let (now, number) = (self.now, self.servers.len() as u32);
        let (Some(cluster), Some(settings)) = (&mut self.cluster, &self.scenario.cluster) else { return };
        let members = self.servers.iter().filter_map(|server| server.member.as_ref());
        let lowest = members.map(|member| member.replica.id().0).min().unwrap_or(u32::MAX);
        let id = if is_spare { lowest / 2 } else { (cluster.random.number() >> 32) as u32 | 1 };
        let epoch = FIRST_EPOCH + now.as_millis() as u64 + u64::from(number);
        let publisher = self.scheme.member(self.scenario, epoch, cluster.random.number());
        let (wants, spread) = (self.scenario.database.connections, settings.clock_spread);
        let mut member = Member::new(ReplicaId(id), settings.settings(), wants, spread, &mut cluster.random, now);
        let first = member.hurry(now);
        let mut server = Server::of_cluster(self.scenario, self.scheme, member, publisher);
        server.is_spare = is_spare;
        self.servers.push(server);
        // The servers do not tick at the same moment.
        let tick = TICK.mul_f64(cluster.random.unit());
        self.schedule.at(now + tick, Event::Tick(number));
        if let Some(turn) = first {
            self.schedule.at(turn.at, Event::Meet(number, turn.step));
        }
    }

    /// What follows from a tick in a cluster.
    pub(super) fn end_tick(&mut self, number: u32, sample: &Sample) {
        let now = self.now;
        let server = &mut self.servers[number as usize];
        let Some(member) = &mut server.member else { return };
        self.meter.cluster.replica_seconds += TICK.as_secs_f64();
        let is_news = member.has_ticked(sample, now);
        let (drains, has_left) = (member.drains, member.drains && server.pool.holds() == 0);
        let is_ready = server.publisher.is_ready() || server.takes_requests;
        server.takes_requests = is_ready && !drains && !server.is_suspect && !server.is_spare;
        if is_news || has_left {
            self.hurry(number);
        }
    }

    /// A replica finishes its work; the balancer sends it nothing more.
    pub(super) fn drain(&mut self, number: u32) {
        let server = self.server(number);
        let Some(member) = server.member.as_mut().filter(|_| server.up) else { return };
        member.drains = true;
        server.takes_requests = false;
        self.end_streams(number);
        self.hurry(number);
    }

    /// A replica has told the others that it leaves.
    pub(super) fn leave_cluster(&mut self, number: u32) {
        let scenario = self.scenario;
        let lost = self.server(number).end(scenario);
        lost.into_iter().for_each(|request| self.lose(request));
    }

    fn kill(&mut self, number: u32) {
        let (now, scenario) = (self.now, self.scenario);
        let server = &mut self.servers[number as usize];
        let requests = &self.requests;
        let is_here = |request: &u32| {
            let request = &requests[*request as usize];
            (request.server, request.incarnation) == (number, server.incarnation)
        };
        let in_work: Vec<u32> = self.database.running().filter(is_here).collect();
        server.left_behind = in_work.len() as u32;
        let mut lost = server.end(scenario);
        while let Some(queued) = server.limiter.release(None, Duration::ZERO, false, now) {
            lost.push_back(queued);
        }
        in_work.into_iter().chain(lost).for_each(|request| self.lose(request));
        self.end_streams(number);
    }

    fn pause(&mut self, number: u32) {
        self.server(number).is_paused = true;
        self.schedule.at(self.now + HEALTH_CHECK, Event::CheckHealth(number));
    }

    fn resume(&mut self, number: u32) {
        let server = self.server(number);
        server.is_paused = false;
        let put_off = std::mem::take(&mut server.put_off);
        for event in put_off {
            self.handle(event);
        }
        // Its alarm has rung while the server was stopped.
        self.server(number).expiry = Alarm::default();
        self.shed(number);
        self.schedule.at(self.now + HEALTH_CHECK, Event::CheckHealth(number));
    }

    /// The balancer notices whether a server answers.
    pub(super) fn check_health(&mut self, number: u32) {
        let server = self.server(number);
        server.is_suspect = server.is_paused;
        if server.is_suspect {
            server.takes_requests = false;
            self.end_streams(number);
        }
    }

    /// Clients whose stream to a server has ended come back to others.
    fn end_streams(&mut self, number: u32) {
        for client in 0..self.browsers.len() as u32 {
            let browser = &self.browsers[client as usize];
            if browser.server == number && browser.listens {
                self.catch_up(client);
                self.browsers[client as usize].listens = false;
                let after = RECONNECT.mul_f64(self.clients.unit());
                self.schedule.at(self.now + after, Event::Reconnect(client));
            }
        }
    }

    pub(super) fn deploy(&mut self, fault: &Fault) {
        let step = seconds(fault.seconds / 2.0 / f64::from(fault.replicas));
        for (number, old) in (0..).zip(self.targets(fault.replicas)) {
            self.schedule.at(self.now + step * number, Event::Start);
            self.schedule.at(self.now + step * (fault.replicas + number), Event::Drain(old));
        }
    }

    pub(super) fn set_partition(&mut self, fault: &Fault, begins: bool) {
        let cut_off = if begins { self.targets(fault.replicas) } else { Vec::new() };
        for (server, number) in self.servers.iter_mut().zip(0..) {
            if let Some(member) = &mut server.member {
                member.reaches_store = !cut_off.contains(&number);
            }
        }
    }

    pub(super) fn set_store_lost(&mut self, begins: bool) {
        if let Some(cluster) = &mut self.cluster {
            cluster.store_works = !begins;
            cluster.store = MemoryStore::default();
        }
    }

    pub(super) fn set_paused(&mut self, fault: &Fault, begins: bool) {
        if begins {
            self.targets(fault.replicas).into_iter().for_each(|number| self.pause(number));
        } else {
            let paused: Vec<u32> =
                (0..).zip(&self.servers).filter(|(_, server)| server.is_paused).map(|(number, _)| number).collect();
            paused.into_iter().for_each(|number| self.resume(number));
        }
    }

    pub(super) fn kill_some(&mut self, fault: &Fault) {
        self.targets(fault.replicas).into_iter().for_each(|number| self.kill(number));
    }

    /// The replicas that a fault hits: first the one that publishes, then those that have been there for longest.
    fn targets(&self, count: u32) -> Vec<u32> {
        let up = (0..).zip(&self.servers).filter(|(_, server)| server.runs() && !server.is_spare);
        let rank = |server: &Server| server.member.as_ref().is_none_or(|member| !member.publishes(self.now));
        let mut ranked: Vec<(bool, u32)> = up.map(|(number, server)| (rank(server), number)).collect();
        ranked.sort_unstable();
        ranked.into_iter().map(|(_, number)| number).take(count as usize).collect()
    }
}
