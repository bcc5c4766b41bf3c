//! Faults: how they begin and end.

use std::time::Duration;

use super::{Event, FALLBACK_POLL, RECONNECT, World};
use crate::{scenario::FaultKind, scheme::Transport};

impl World<'_> {
    pub(super) fn fault(&mut self, number: usize, begins: bool) {
        let fault = self.scenario.faults[number];
        match (fault.kind, begins) {
            (FaultKind::Slow, true) => self.database.slow_down(fault.factor),
            (FaultKind::Slow, false) => self.database.slow_down(1.0),
            (FaultKind::Outage, _) => {
                self.database.set_outage(begins, self.now);
                self.plan_finish();
            }
            (FaultKind::Restart, true) => self.stop_servers(),
            (FaultKind::Restart, false) => self.start_servers(),
            (FaultKind::Dispose, true) => {
                for server in 0..self.servers.len() as u32 {
                    self.server(server).pool.dispose();
                    self.connect(server);
                }
            }
            (FaultKind::Dispose, false) => {}
            (FaultKind::Shrink, begins) => {
                let connections = f64::from(self.scenario.database.connections);
                let factor = if begins { fault.factor } else { 1.0 };
                for server in 0..self.servers.len() as u32 {
                    self.server(server).pool.resize(((connections / factor) as u32).max(1));
                    self.connect(server);
                }
            }
            (FaultKind::Deploy, true) => self.deploy(&fault),
            (FaultKind::Kill, true) => self.kill_some(&fault),
            (FaultKind::Join, true) => (0..fault.replicas).for_each(|_| self.start_replica(true)),
            (FaultKind::Deploy | FaultKind::Kill | FaultKind::Join, false) => {}
            (FaultKind::Partition, begins) => self.set_partition(&fault, begins),
            (FaultKind::StoreLost, begins) => self.set_store_lost(begins),
            (FaultKind::Pause, begins) => self.set_paused(&fault, begins),
            (FaultKind::StreamCut, true) => self.cut_streams(),
            (FaultKind::StreamCut, false) => {
                self.streams = true;
                self.let_reconnect();
            }
        }
    }

    fn stop_servers(&mut self) {
        self.cut_streams();
        let in_work: Vec<u32> = self.database.abandon().collect();
        for number in in_work {
            self.lose(number);
        }
        for server in 0..self.servers.len() as u32 {
            let now = self.now;
            let stopped = self.server(server);
            (stopped.up, stopped.incarnation) = (false, stopped.incarnation + 1);
            for number in stopped.pool.abandon() {
                self.lose(number);
            }
            // Requests that waited at the gate are lost too.
            while let Some(number) = self.server(server).limiter.release(None, Duration::ZERO, false, now) {
                self.lose(number);
            }
        }
    }

    fn start_servers(&mut self) {
        self.streams = true;
        for server in &mut self.servers {
            server.restart(self.scenario, self.scheme);
        }
        for browser in &mut self.browsers {
            browser.polled_at = None;
        }
        self.let_reconnect();
    }

    pub(super) fn cut_streams(&mut self) {
        self.streams = false;
        for client in 0..self.browsers.len() as u32 {
            self.catch_up(client);
            self.browsers[client as usize].listens = false;
            if matches!(self.scheme.transport(), Transport::Push) {
                let after = FALLBACK_POLL.mul_f64(self.clients.unit());
                self.schedule.at(self.now + after, Event::Poll(client));
            }
        }
    }

    fn let_reconnect(&mut self) {
        for client in 0..self.browsers.len() as u32 {
            let after = RECONNECT.mul_f64(self.clients.unit());
            self.schedule.at(self.now + after, Event::Reconnect(client));
        }
    }
}
