//! Faults: how they begin and end.

use std::time::Duration;

use poolgate_control::Sample;

use super::{Event, FALLBACK_POLL, RECONNECT, World};
use crate::{pool::Pool, scenario::FaultKind, scheme::Transport};

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
            (FaultKind::Restart, true) => self.stop_server(),
            (FaultKind::Restart, false) => self.start_server(),
            (FaultKind::Dispose, true) => {
                self.pool.dispose();
                self.connect();
            }
            (FaultKind::Dispose, false) => {}
            (FaultKind::Shrink, begins) => {
                let connections = f64::from(self.scenario.database.connections);
                let factor = if begins { fault.factor } else { 1.0 };
                self.pool.resize(((connections / factor) as u32).max(1));
                self.connect();
            }
            (FaultKind::StreamCut, true) => self.cut_streams(),
            (FaultKind::StreamCut, false) => {
                self.streams = true;
                self.let_reconnect();
            }
        }
    }

    fn stop_server(&mut self) {
        self.up = false;
        self.cut_streams();
        self.incarnation += 1;
        let waiting: Vec<u32> = self.database.abandon().chain(self.pool.abandon()).collect();
        for number in waiting {
            self.lose(number);
        }
        // Requests that waited at the gate are lost too.
        while let Some(number) = self.limiter.release(None, Duration::ZERO, false, self.now) {
            self.lose(number);
        }
    }

    fn start_server(&mut self) {
        self.up = true;
        self.streams = true;
        self.limiter = self.scheme.limiter(self.scenario);
        self.pool = Pool::new(&self.scenario.database);
        self.publisher = self.scheme.publisher(self.scenario, 1 + u64::from(self.incarnation));
        self.sample = Sample::default();
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
