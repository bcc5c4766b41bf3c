//! Poolgate: the real controller, the real gate, the real throttle.

use std::{rc::Rc, time::Duration};

use poolgate_control::{
    Controller, Sample, Settings,
    gate::{Admission as Granting, Arrival as Asking, Crowd, Gate, GateSettings, Quota},
};
use poolgate_throttle::Order;
use poolgate_types::{Level, ThrottlingConfig};

use super::{shared::SharedDocument, throttled::Throttled};
use crate::{
    scenario::Scenario,
    scheme::{Admission, Arrival, Client, Limiter, Message, Occupancy, Orders, Publisher, Scheme, Tell},
};

/// Poolgate with these settings of its law; the defaults are the server's.
#[derive(Clone, Debug, Default)]
pub struct Poolgate {
    /// The controller's settings.
    pub settings: Settings,
}

impl Scheme for Poolgate {
    fn name(&self) -> &'static str {
        "poolgate"
    }

    fn about(&self) -> &'static str {
        "one broadcast fair rate, obeyed in the browsers, and the gate"
    }

    fn limiter(&self, scenario: &Scenario) -> Box<dyn Limiter> {
        Box::new(PoolgateGate::new(scenario))
    }

    fn publisher(&self, _scenario: &Scenario, epoch: u64) -> Box<dyn Publisher> {
        Box::new(Document::new(self.settings.clone(), epoch))
    }

    fn member(&self, _scenario: &Scenario, epoch: u64, seed: u64) -> Box<dyn Publisher> {
        Box::new(SharedDocument::new(&self.settings, epoch, seed))
    }

    fn client(&self, scenario: &Scenario, seed: u64) -> Box<dyn Client> {
        Box::new(Throttled::new(scenario, Order::default(), seed))
    }
}

/// The limiter that the server runs: the gate (CoDel, newest first) behind the quota of each client.
#[derive(Debug)]
pub struct PoolgateGate {
    gate: Gate<u32>,
    quota: Quota,
}

impl PoolgateGate {
    /// With as many permits as the scenario's database has connections.
    pub fn new(scenario: &Scenario) -> Self {
        let permits = scenario.database.connections;
        let settings = GateSettings {
            permits,
            max_queue: scenario.server.max_queue.map_or(permits as usize * 4, |most| most as usize),
            timeout: Duration::from_millis(500),
            ..GateSettings::default()
        };
        Self { gate: Gate::new(settings), quota: Quota::default() }
    }
}

/// Each simulated client has its own address and listens.
const ONE_CLIENT: Crowd = Crowd { counted: 1, claimed: 1, hears: true };

impl Limiter for PoolgateGate {
    fn arrive(&mut self, arrival: Arrival, now: Duration) -> Admission {
        let caller = u64::from(arrival.client);
        if let Some(rate) = arrival.fair_rate
            && self.quota.judge(caller, rate, ONE_CLIENT, now).is_err()
        {
            return Admission::OverQuota;
        }
        let asking = Asking { caller: Some(caller), ..Asking::default() };
        match self.gate.arrive(asking, now, || arrival.request) {
            Granting::Granted => Admission::Start,
            Granting::Queued(_) => Admission::Wait,
            Granting::Rejected(_) => Admission::Reject,
        }
    }

    fn release(&mut self, client: Option<u32>, _held: Duration, _answered: bool, now: Duration) -> Option<u32> {
        self.gate.release(client.map(u64::from), now)
    }

    fn shed(&mut self, now: Duration) -> Option<u32> {
        self.gate.shed(now).map(|(request, _)| request)
    }

    fn next_expiry(&self) -> Option<Duration> {
        self.gate.next_expiry()
    }

    fn occupancy(&self, now: Duration) -> Occupancy {
        let occupancy = self.gate.occupancy(now);
        Occupancy {
            permits: occupancy.permits,
            in_flight: occupancy.in_flight,
            queued: occupancy.queued,
            oldest_wait: occupancy.oldest_wait,
        }
    }

    fn obey(&mut self, orders: &Orders) {
        // The world asks for what may be granted after every order.
        let _ = self.gate.obey(orders);
    }

    fn grant(&mut self, now: Duration) -> Option<u32> {
        self.gate.grant(now)
    }
}

/// The publisher that the server runs: the controller and its config.
#[derive(Debug)]
pub struct Document {
    controller: Controller,
    config: Rc<ThrottlingConfig>,
    orders: Orders,
}

impl Document {
    /// A controller that has just started; `epoch` rises with each restart.
    pub fn new(settings: Settings, epoch: u64) -> Self {
        let mut controller = Controller::new(settings, epoch, epoch);
        let first = controller.tick(&Sample::default(), Duration::ZERO);
        Self { controller, config: Rc::new(first.config), orders: first.gate }
    }
}

impl Publisher for Document {
    fn tick(&mut self, sample: &Sample, _occupancy: &Occupancy, now: Duration, tell: &mut Tell) -> Orders {
        let decision = self.controller.tick(sample, now);
        if decision.config_changed {
            self.config = Rc::new(decision.config.clone());
            tell.all.push(Message::Config(Rc::clone(&self.config)));
        }
        self.orders = decision.gate;
        self.orders
    }

    fn current(&mut self, _client: u32) -> Option<Message> {
        Some(Message::Config(Rc::clone(&self.config)))
    }

    fn fair_rate(&self) -> Option<f64> {
        self.orders.fair_rate_per_second
    }

    fn level(&self) -> Level {
        self.config.throttling_level
    }
}
